/* whiten.c: covariance of the sample -> eigenvectors -> matrix. */
#include "engine/whiten.h"

#include "base/size.h"
#include "engine/eigen.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Between 0 (PCA) and 0.5 (whitening). Chosen on the validation photos of a
 * fashion catalog: 0.25 finds 0.5 points more of the same type than 0.5 does,
 * and 1.2 points fewer of the same product in another colour. */
static const double POWER = 0.35;

/* The bytes that are stored are the object itself. */
struct sosie_whitening {
    uint32_t dim, out_dim;
    float numbers[]; /* mean (dim), matrix (out_dim, dim) */
};

static bool whole_size(size_t dim, size_t out_dim, size_t *size)
{
    size_t rows;
    return sosie_size_add(out_dim, 1, &rows) &&
           sosie_size_mul(rows, dim, size) &&
           sosie_size_mul(*size, sizeof(float), size) &&
           sosie_size_add(*size, sizeof(struct sosie_whitening), size);
}

/* Subtracts the mean and turns (n, dim) into (dim, n), so that covariances are
 * dot products of rows. */
static void centre_and_turn(const float *samples, size_t n, size_t dim,
                            float *mean, float *turned)
{
    for (size_t j = 0; j < dim; j++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += samples[i * dim + j];
        mean[j] = (float)(sum / (double)n);
        for (size_t i = 0; i < n; i++)
            turned[j * n + i] = samples[i * dim + j] - mean[j];
    }
}

static void covariance(const float *turned, size_t n, size_t dim, double *c)
{
    enum { TILE = 32 }; /* rows of one tile stay in the second-level cache */
    const struct sosie_kernels *kernels = sosie_kernels();
    for (size_t tile = 0; tile < dim; tile += TILE)
        for (size_t j = tile; j < dim; j++)
            for (size_t i = tile; i < dim && i < tile + TILE && i <= j; i++)
                c[i * dim + j] = c[j * dim + i] =
                    (double)kernels->dot_f32(turned + i * n, turned + j * n,
                                             n) /
                    (double)n;
}

/* Directions with next to no variance hold rounding errors and nothing else. */
static float row_factor(double variance, double largest)
{
    return variance > largest * 1e-9 ? (float)pow(variance, -POWER) : 0;
}

enum sosie_status sosie_whitening_fit(const float *samples, size_t n,
                                      size_t dim, size_t out_dim,
                                      struct sosie_whitening **out,
                                      struct sosie_error *err)
{
    struct sosie_whitening *whitening = NULL;
    float *turned = calloc(n ? n : 1, dim * sizeof(*turned));
    double *c = calloc(dim, dim * sizeof(*c));
    double *values = calloc(out_dim, sizeof(*values));
    double *vectors = calloc(out_dim, dim * sizeof(*vectors));
    size_t size;
    enum sosie_status st;

    if (out_dim > dim || n < out_dim) {
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "whitening to %zu dimensions needs as many photos and "
                        "as many dimensions, found %zu and %zu",
                        out_dim, n, dim);
        goto out;
    }
    if (!whole_size(dim, out_dim, &size) || !turned || !c || !values ||
        !vectors || !(whitening = calloc(1, size))) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "whitening of %zu photos", n);
        goto out;
    }
    whitening->dim = (uint32_t)dim;
    whitening->out_dim = (uint32_t)out_dim;
    centre_and_turn(samples, n, dim, whitening->numbers, turned);
    covariance(turned, n, dim, c);
    st = sosie_eigen_symmetric(c, dim, out_dim, values, vectors, err);
    if (st)
        goto out;
    for (size_t j = 0; j < out_dim; j++)
        for (size_t i = 0; i < dim; i++)
            whitening->numbers[(j + 1) * dim + i] =
                (float)vectors[j * dim + i] * row_factor(values[j], values[0]);
    *out = whitening;
    whitening = NULL;
out:
    free(whitening);
    free(vectors);
    free(values);
    free(c);
    free(turned);
    return st;
}

enum sosie_status sosie_whitening_load(const void *bytes, size_t size,
                                       struct sosie_whitening **out,
                                       struct sosie_error *err)
{
    struct sosie_whitening *whitening;
    uint32_t dims[2];
    size_t expected;
    if (size < sizeof(dims))
        return sosie_fail(err, SOSIE_CORRUPT, "whitening of %zu bytes", size);
    memcpy(dims, bytes, sizeof(dims));
    if (!dims[0] || !dims[1] || !whole_size(dims[0], dims[1], &expected) ||
        size != expected)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "whitening from %" PRIu32 " to %" PRIu32
                          " dimensions has %zu bytes",
                          dims[0], dims[1], size);
    whitening = malloc(size);
    if (!whitening)
        return sosie_fail(err, SOSIE_NO_MEMORY, "whitening");
    memcpy(whitening, bytes, size);
    *out = whitening;
    return SOSIE_OK;
}

const void *sosie_whitening_bytes(const struct sosie_whitening *whitening,
                                  size_t *size)
{
    if (!whole_size(whitening->dim, whitening->out_dim, size))
        return NULL; /* it could not have been made */
    return whitening;
}

void sosie_whitening_destroy(struct sosie_whitening *whitening)
{
    free(whitening);
}

size_t sosie_whitening_in(const struct sosie_whitening *whitening)
{
    return whitening->dim;
}

size_t sosie_whitening_out(const struct sosie_whitening *whitening)
{
    return whitening->out_dim;
}

void sosie_whitening_apply(const struct sosie_whitening *whitening, float *x,
                           float *y)
{
    const struct sosie_kernels *kernels = sosie_kernels();
    size_t dim = whitening->dim;
    const float *mean = whitening->numbers, *row = mean + dim;
    kernels->axpy_f32(-1, mean, x, dim);
    for (size_t j = 0; j < whitening->out_dim; j++, row += dim)
        y[j] = kernels->dot_f32(row, x, dim);
}
