/* discriminant.c: covariances -> Cholesky -> subspace iteration -> matrix.
 *
 * With S = L L', the directions are L'^-1 v for the largest eigenvectors v of
 * B = L^-1 C L'^-1, the covariance of the samples turned by L^-1. */
#include "train/discriminant.h"

#include "base/random.h"
#include "engine/eigen.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Ridge, relative to the mean variance of the differences, and the power of a
 * direction's ratio that it is divided by, between 0 and 0.5 (which makes all
 * equally large): chosen on the validation photos of a fashion catalog, where
 * half or three times the ridge are as good. */
static const double RIDGE = 0.3, POWER = 0.2;
enum { EXTRA = 24, ITERATIONS = 12 };

struct fit {
    size_t dim, n_wide;               /* directions that are iterated */
    float *turned;                    /* (dim, n): samples, column by column */
    float *b;                         /* (dim, dim) */
    double *l;                        /* (dim, dim), lower triangle */
    float *q, *next;                  /* (n_wide, dim): directions */
    double *small, *values, *vectors; /* of n_wide */
};

/* (n, dim) -> (dim, n) less the mean, if one is wanted. */
static void turn(const float *rows, size_t n, size_t dim, float *mean,
                 float *turned)
{
    for (size_t j = 0; j < dim; j++) {
        double sum = 0;
        for (size_t i = 0; i < n && mean; i++)
            sum += (double)rows[i * dim + j];
        if (mean)
            mean[j] = (float)(sum / (double)n);
        for (size_t i = 0; i < n; i++)
            turned[j * n + i] = rows[i * dim + j] - (mean ? mean[j] : 0);
    }
}

/* c (dim, dim) = turned turned' / n. */
static void covariance(const float *turned, size_t n, size_t dim, float *c)
{
    enum { TILE = 32 }; /* rows of one tile stay in the second-level cache */
    const struct sosie_kernels *kernels = sosie_kernels();
    for (size_t tile = 0; tile < dim; tile += TILE)
        for (size_t j = tile; j < dim; j++)
            for (size_t i = tile; i < dim && i < tile + TILE && i <= j; i++)
                c[i * dim + j] = c[j * dim + i] =
                    kernels->dot_f32(turned + i * n, turned + j * n, n) /
                    (float)n;
}

/* l = the Cholesky factor of s + ridge; false if s holds what is no number. */
static bool factor(const float *s, size_t dim, double *l)
{
    double trace = 0, ridge;
    for (size_t i = 0; i < dim; i++)
        trace += (double)s[i * dim + i];
    ridge = trace > 0 ? RIDGE * trace / (double)dim : 1;
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = (double)s[i * dim + j] + (i == j ? ridge : 0);
            const double *x = l + i * dim, *y = l + j * dim;
            for (size_t k = 0; k < j; k++)
                sum -= x[k] * y[k];
            if (i == j && !(sum > 0))
                return false;
            l[i * dim + j] = i == j ? sqrt(sum) : sum / l[j * dim + j];
        }
    return true;
}

/* Columns of turned (dim, n) become L^-1 times themselves. */
static void solve(const double *l, size_t dim, size_t n, float *turned)
{
    for (size_t i = 0; i < dim; i++) {
        float *row = turned + i * n, scale = (float)(1 / l[i * dim + i]);
        for (size_t k = 0; k < i; k++) {
            float factor = (float)l[i * dim + k];
            const float *other = turned + k * n;
            for (size_t c = 0; c < n; c++)
                row[c] -= factor * other[c];
        }
        for (size_t c = 0; c < n; c++)
            row[c] *= scale;
    }
}

/* x becomes L'^-1 x. */
static void solve_back(const double *l, size_t dim, double *x)
{
    for (size_t i = dim; i-- > 0;) {
        const double *row = l + i * dim;
        x[i] /= row[i];
        for (size_t k = 0; k < i; k++)
            x[k] -= row[k] * x[i];
    }
}

/* Gram and Schmidt, twice, which is enough. */
static void orthonormalise(struct fit *f)
{
    const struct sosie_kernels *kernels = sosie_kernels();
    for (size_t i = 0; i < f->n_wide; i++) {
        float *x = f->q + i * f->dim, length;
        for (int again = 0; again < 2; again++)
            for (size_t k = 0; k < i; k++) {
                const float *y = f->q + k * f->dim;
                float along = kernels->dot_f32(x, y, f->dim);
                for (size_t d = 0; d < f->dim; d++)
                    x[d] -= along * y[d];
            }
        length = sqrtf(kernels->dot_f32(x, x, f->dim));
        for (size_t d = 0; d < f->dim && length > 0; d++)
            x[d] /= length;
    }
}

/* next = q b. */
static void multiply(struct fit *f)
{
    for (size_t i = 0; i < f->n_wide; i++)
        for (size_t d = 0; d < f->dim; d++)
            f->next[i * f->dim + d] = sosie_kernels()->dot_f32(
                f->q + i * f->dim, f->b + d * f->dim, f->dim);
}

static void iterate(struct fit *f, uint64_t seed)
{
    struct sosie_random random;
    sosie_random_seed(&random, seed);
    for (size_t i = 0; i < f->n_wide * f->dim; i++)
        f->q[i] = (float)sosie_random_normal(&random);
    orthonormalise(f);
    for (int i = 0; i < ITERATIONS; i++) {
        float *q = f->q;
        multiply(f);
        f->q = f->next;
        f->next = q;
        orthonormalise(f);
    }
}

/* The eigenvectors within the subspace that was found (Rayleigh and Ritz). */
static enum sosie_status finish(struct fit *f, size_t n_out, float *matrix,
                                struct sosie_error *err)
{
    size_t n = f->n_wide, dim = f->dim;
    double *x = f->small + n * n;
    enum sosie_status st;
    multiply(f);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            f->small[i * n + k] = (double)sosie_kernels()->dot_f32(
                f->next + i * dim, f->q + k * dim, dim);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            f->small[i * n + k] = f->small[k * n + i] =
                (f->small[i * n + k] + f->small[k * n + i]) / 2;
    st = sosie_eigen_symmetric(f->small, n, n_out, f->values, f->vectors, err);
    for (size_t j = 0; j < n_out && !st; j++) {
        double scale =
            f->values[j] > f->values[0] * 1e-9 ? pow(f->values[j], -POWER) : 0;
        memset(x, 0, dim * sizeof(*x));
        for (size_t i = 0; i < n; i++)
            for (size_t d = 0; d < dim; d++)
                x[d] += f->vectors[j * n + i] * (double)f->q[i * dim + d];
        solve_back(f->l, dim, x);
        for (size_t d = 0; d < dim; d++)
            matrix[j * dim + d] = (float)(x[d] * scale);
    }
    return st;
}

static bool make_room(const struct sosie_discriminant_data *data, struct fit *f)
{
    size_t dim = f->dim, n = f->n_wide;
    size_t rows = data->n > data->m ? data->n : data->m;
    f->turned = calloc(rows, dim * sizeof(float));
    f->b = calloc(dim, dim * sizeof(float));
    f->l = calloc(dim, dim * sizeof(double));
    f->q = calloc(n, dim * sizeof(float));
    f->next = calloc(n, dim * sizeof(float));
    f->small = calloc(n * n + dim, sizeof(double));
    f->values = calloc(n, sizeof(double));
    f->vectors = calloc(n, n * sizeof(double));
    return f->turned && f->b && f->l && f->q && f->next && f->small &&
           f->values && f->vectors;
}

static void release(struct fit *f)
{
    free(f->vectors);
    free(f->values);
    free(f->small);
    free(f->next);
    free(f->q);
    free(f->l);
    free(f->b);
    free(f->turned);
}

enum sosie_status
sosie_discriminant_fit(const struct sosie_discriminant_data *data, size_t n_out,
                       uint64_t seed, float *matrix, float *mean,
                       struct sosie_error *err)
{
    size_t dim = data->dim;
    struct fit f = {.dim = dim,
                    .n_wide = n_out + EXTRA < dim ? n_out + EXTRA : dim};
    enum sosie_status st = SOSIE_OK;
    if (!n_out || n_out > dim || data->n < n_out)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu directions of %zu samples of %zu dimensions",
                          n_out, data->n, dim);
    if (!make_room(data, &f)) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "%zu directions", n_out);
        goto out;
    }
    if (data->m) {
        turn(data->differences, data->m, dim, NULL, f.turned);
        covariance(f.turned, data->m, dim, f.b);
    }
    if (!factor(f.b, dim, f.l)) {
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "samples that are not all numbers");
        goto out;
    }
    turn(data->samples, data->n, dim, mean, f.turned);
    solve(f.l, dim, data->n, f.turned);
    covariance(f.turned, data->n, dim, f.b);
    iterate(&f, seed);
    st = finish(&f, n_out, matrix, err);
out:
    release(&f);
    return st;
}
