/* kernels.h: the numeric inner loops, chosen once for the machine at hand.
 *
 * Every kernel is written in plain C (plain.c, qplain.c), which is its
 * specification, and again for newer instructions (avx2.c, avx512vnni.c, q*.c).
 * A table holds one function of each kind; the typedefs below are the contracts
 * that every path keeps. Integer kernels agree with plain C exactly, float
 * kernels within the stated bound, where u = 2^-24 is the rounding error of a
 * float.
 *
 * Threads: any number at once. */
#ifndef SOSIE_KERNELS_KERNELS_H
#define SOSIE_KERNELS_KERNELS_H

#include "kernels/quantised.h"

#include <stddef.h>
#include <stdint.h>

/* The sum of a[i] * b[i].
 *
 * Elements are -127..127 (-128 is not allowed: AVX2 needs its negative). n is
 * 0..65536, for which neither the sum nor a biased one on the way to it can
 * leave int32. No alignment is asked for. */
typedef int32_t sosie_dot_i8(const int8_t *a, const int8_t *b, size_t n);

/* The inner loop of exact search: one query against n_rows rows.
 *
 * Row r starts at rows + r * stride and holds its aspects one after another;
 * aspect j takes aspect_sizes[j] bytes, a multiple of 64 (its elements, then
 * zeros), 64..65536. The query is laid out like a row. Elements are as in
 * sosie_dot_i8. Writes dots[r * n_aspects + j], the dot product of aspect j.
 *
 * stride is a multiple of 64, not less than the sum of aspect_sizes; rows are
 * aligned to 64 bytes (they need not be, but are read slower otherwise). Rows
 * are taken in the order of memory, so that reading them is all it costs. */
typedef void sosie_scan_i8(const int8_t *query, const int8_t *rows,
                           size_t stride, const size_t *aspect_sizes,
                           size_t n_aspects, size_t n_rows, int32_t *dots);

/* The sum of a[i] * b[i], in any order of summation. n may be 0.
 * Error: at most n * u * (sum of |a[i] * b[i]|), about. */
typedef float sosie_dot_f32(const float *a, const float *b, size_t n);

/* y[i] += alpha * x[i]; x and y do not overlap. n may be 0.
 * Error of y[i]: at most u * (|alpha * x[i]| + |the new y[i]|), about. */
typedef void sosie_axpy_f32(float alpha, const float *x, float *y, size_t n);

struct sosie_kernels {
    const char *name; /* of the newest instructions in use: "avx2" */
    sosie_dot_i8 *dot_i8;
    sosie_scan_i8 *scan_i8;
    sosie_dot_f32 *dot_f32;
    sosie_axpy_f32 *axpy_f32;
    /* of 8-bit networks */
    sosie_qconv_run *qconv;
    sosie_qconv_size *qconv_size;
    sosie_qconv_pack *qconv_pack;
    sosie_qdepthwise_run *qdepthwise;
    sosie_qaffine *qaffine;
    sosie_qadd *qadd;
    sosie_qmul *qmul;
    sosie_qmap *qmap;
    sosie_qaccumulate *qaccumulate;
    sosie_qmax *qmax;
    sosie_qquantise *qquantise;
    sosie_qdequantise *qdequantise;
};

/* Instructions beyond the plain build's, each with the system's consent. */
enum {
    SOSIE_CPU_AVX2 = 1 << 0,       /* AVX2 and FMA */
    SOSIE_CPU_AVX512VNNI = 1 << 1, /* AVX-512 F, BW, VL and VNNI */
    SOSIE_CPU_AVX512VBMI = 1 << 2, /* AVX-512 VBMI */
};

/* What this machine has. */
unsigned sosie_cpu_flags(void);

/* Fills the table with the newest path of each kernel that `flags` allow. 0
 * means plain C; flags that the machine lacks are the caller's mistake. */
void sosie_kernels_init(struct sosie_kernels *kernels, unsigned flags);

/* Leaves out what `flags` do not have, as if the machine lacked it: for tests
 * and comparisons. Before any thread starts and sosie_kernels is called. */
void sosie_kernels_limit(unsigned flags);

/* The table for this machine, filled at the first call. */
const struct sosie_kernels *sosie_kernels(void);

#endif
