/* paths.h: the functions behind the table, one set for each instruction set.
 * Only kernels.c includes this, and the files that define them. */
#ifndef SOSIE_KERNELS_PATHS_H
#define SOSIE_KERNELS_PATHS_H

#include "kernels/kernels.h"

sosie_dot_i8 sosie_dot_i8_c, sosie_dot_i8_avx2, sosie_dot_i8_avx512vnni;
sosie_scan_i8 sosie_scan_i8_c, sosie_scan_i8_avx2, sosie_scan_i8_avx512vnni;
sosie_dot_f32 sosie_dot_f32_c, sosie_dot_f32_avx2;
sosie_axpy_f32 sosie_axpy_f32_c, sosie_axpy_f32_avx2;

#endif
