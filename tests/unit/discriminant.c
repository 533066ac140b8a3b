/* discriminant.c: the directions that tell things apart. */
#include "check.h"

#include "base/random.h"
#include "engine/eigen.h"
#include "train/discriminant.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 600, M = 500, DIM = 12, OUT = 3 };

struct problem {
    float samples[N * DIM], differences[M * DIM];
    float matrix[DIM * DIM], mean[DIM];
};

/* Numbers of the deviations given, about `centre`. */
static void normals(float *to, size_t n, const float *deviations, float centre,
                    uint64_t seed)
{
    struct sosie_random random;
    sosie_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < DIM; d++)
            to[i * DIM + d] =
                centre + deviations[d] * (float)sosie_random_normal(&random);
}

static struct problem *make_problem(const float *total, const float *within)
{
    struct problem *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    normals(p->samples, N, total, 3, 1);
    normals(p->differences, M, within, 0, 2);
    return p;
}

static void fit(struct problem *p, size_t m, size_t n_out)
{
    struct sosie_error err;
    check_ok(sosie_discriminant_fit(
                 &(struct sosie_discriminant_data){p->samples, N,
                                                   p->differences, m, DIM},
                 n_out, 5, p->matrix, p->mean, &err),
             &err);
}

/* The share of row j's length that lies along axis d. */
static double along(const struct problem *p, size_t j, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < DIM; k++)
        sum += pow((double)p->matrix[j * DIM + k], 2);
    return fabs((double)p->matrix[j * DIM + d]) / sqrt(sum);
}

/* Axis 0 varies most, but as much between two samples of one thing; axis 4
 * varies little, and next to nothing within a thing. */
static void what_differs_within_a_thing_counts_little(void **state)
{
    float total[DIM], within[DIM];
    struct problem *p;
    (void)state;
    for (size_t d = 0; d < DIM; d++)
        total[d] = within[d] = 1;
    total[0] = 5;
    within[0] = 5;
    total[4] = 2;
    within[4] = 0.1F;
    p = make_problem(total, within);
    fit(p, M, OUT);
    assert_true(along(p, 0, 4) > 0.95);
    fit(p, 0, OUT);
    assert_true(along(p, 0, 0) > 0.99);
    free(p);
}

/* Without differences they are principal directions, however steep the
 * variances. */
static void nothing_alike_leaves_principal_directions(void **state)
{
    float deviations[DIM];
    double covariance[DIM * DIM] = {0}, values[OUT], vectors[OUT * DIM];
    struct sosie_error err;
    struct problem *p;
    (void)state;
    for (size_t d = 0; d < DIM; d++)
        deviations[d] = powf(1.3F, (float)d);
    p = make_problem(deviations, deviations);
    fit(p, 0, OUT);
    for (size_t i = 0; i < N; i++)
        for (size_t a = 0; a < DIM; a++)
            for (size_t b = 0; b < DIM; b++)
                covariance[a * DIM + b] +=
                    (double)(p->samples[i * DIM + a] - p->mean[a]) *
                    (double)(p->samples[i * DIM + b] - p->mean[b]) / (double)N;
    check_ok(sosie_eigen_symmetric(covariance, DIM, OUT, values, vectors, &err),
             &err);
    for (size_t j = 0; j < OUT; j++) {
        double dot = 0, length = 0;
        for (size_t d = 0; d < DIM; d++) {
            dot += (double)p->matrix[j * DIM + d] * vectors[j * DIM + d];
            length += pow((double)p->matrix[j * DIM + d], 2);
        }
        assert_true(fabs(dot) > 0.9999 * sqrt(length));
    }
    free(p);
}

/* As many directions as dimensions, and data that varies in fewer. */
static void flat_data_has_directions_of_nothing(void **state)
{
    float deviations[DIM] = {1, 2, 3};
    struct problem *p = make_problem(deviations, deviations);
    (void)state;
    fit(p, M, DIM);
    for (size_t i = 0; i < DIM * DIM; i++)
        assert_true(isfinite(p->matrix[i]));
    for (size_t j = 3; j < DIM; j++)
        for (size_t d = 0; d < 3; d++)
            assert_true(fabsf(p->matrix[j * DIM + d]) < 1e-2F);
    free(p);
}

static void what_does_not_do_is_refused(void **state)
{
    float deviations[DIM] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct problem *p = make_problem(deviations, deviations);
    struct sosie_discriminant_data data = {p->samples, N, p->differences, M,
                                           DIM};
    struct sosie_error err;
    (void)state;
    check_fails(
        sosie_discriminant_fit(&data, DIM + 1, 1, p->matrix, p->mean, &err),
        SOSIE_BAD_INPUT, &err, "13 directions of 600 samples of 12");
    data.n = 2;
    check_fails(sosie_discriminant_fit(&data, OUT, 1, p->matrix, p->mean, &err),
                SOSIE_BAD_INPUT, &err, "3 directions of 2 samples");
    data.n = N;
    p->differences[7] = NAN;
    check_fails(sosie_discriminant_fit(&data, OUT, 1, p->matrix, p->mean, &err),
                SOSIE_BAD_INPUT, &err, "not all numbers");
    p->differences[7] = 0;
    p->samples[7] = INFINITY;
    check_fails(sosie_discriminant_fit(&data, OUT, 1, p->matrix, p->mean, &err),
                SOSIE_BAD_INPUT, &err, "");
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_within_a_thing_counts_little),
        cmocka_unit_test(nothing_alike_leaves_principal_directions),
        cmocka_unit_test(flat_data_has_directions_of_nothing),
        cmocka_unit_test(what_does_not_do_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
