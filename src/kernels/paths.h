/* paths.h: the functions behind the table, one set for each instruction set.
 * Only kernels.c includes this, and the files that define them. */
#ifndef SOSIE_KERNELS_PATHS_H
#define SOSIE_KERNELS_PATHS_H

#include "kernels/kernels.h"
#include "kernels/quantised.h"

sosie_dot_i8 sosie_dot_i8_c, sosie_dot_i8_avx2, sosie_dot_i8_avx512vnni;
sosie_scan_i8 sosie_scan_i8_c, sosie_scan_i8_avx2, sosie_scan_i8_avx512vnni;
sosie_dot_f32 sosie_dot_f32_c, sosie_dot_f32_avx2;
sosie_axpy_f32 sosie_axpy_f32_c, sosie_axpy_f32_avx2;

#define SOSIE_Q_PATH(path)                                                     \
    sosie_qconv_run sosie_qconv_##path;                                        \
    sosie_qdepthwise_run sosie_qdepthwise_##path;                              \
    sosie_qaffine sosie_qaffine_##path;                                        \
    sosie_qadd sosie_qadd_##path;                                              \
    sosie_qmul sosie_qmul_##path;                                              \
    sosie_qaccumulate sosie_qaccumulate_##path;                                \
    sosie_qmax sosie_qmax_##path;                                              \
    sosie_qquantise sosie_qquantise_##path;                                    \
    sosie_qdequantise sosie_qdequantise_##path
SOSIE_Q_PATH(c);
SOSIE_Q_PATH(avx2);
SOSIE_Q_PATH(avx512vnni);
sosie_qconv_size sosie_qconv_size_c, sosie_qconv_size_avx2;
sosie_qconv_pack sosie_qconv_pack_c, sosie_qconv_pack_avx2;
sosie_qmap sosie_qmap_c, sosie_qmap_avx2, sosie_qmap_avx512vbmi;

#endif
