/* plain.c: the kernels in plain C, which is what they mean. No unrolling, no
 * tricks: every other path is tested against this one. */
#include "kernels/paths.h"

int32_t sosie_dot_i8_c(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void sosie_scan_i8_c(const int8_t *query, const int8_t *rows, size_t stride,
                     const size_t *aspect_sizes, size_t n_aspects,
                     size_t n_rows, int32_t *dots)
{
    for (size_t r = 0; r < n_rows; r++) {
        size_t at = 0;
        for (size_t j = 0; j < n_aspects; j++) {
            dots[r * n_aspects + j] = sosie_dot_i8_c(
                query + at, rows + r * stride + at, aspect_sizes[j]);
            at += aspect_sizes[j];
        }
    }
}

float sosie_dot_f32_c(const float *a, const float *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void sosie_axpy_f32_c(float alpha, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}
