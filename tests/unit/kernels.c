/* Every path of the kernels against plain C. */
#include "kernels/kernels.h"

#include "base/random.h"
#include "check.h"

#include <math.h>

/* The tables this machine can run, plain C left out. */
struct paths {
    struct sosie_kernels c, fast[2];
    size_t n_fast;
    struct sosie_random random;
};

static int set_up(void **state)
{
    static const unsigned levels[] = {SOSIE_CPU_AVX2, SOSIE_CPU_AVX512VNNI};
    static struct paths paths;
    memset(&paths, 0, sizeof(paths));
    sosie_kernels_init(&paths.c, 0);
    for (size_t i = 0; i < 2; i++)
        if (sosie_cpu_flags() & levels[i])
            sosie_kernels_init(&paths.fast[paths.n_fast++], levels[i]);
    sosie_random_seed(&paths.random, 7);
    *state = &paths;
    return 0;
}

static void fill(struct sosie_random *random, int8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (int8_t)((int)sosie_random_below(random, 255) - 127);
}

static void fill_f32(struct sosie_random *random, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (float)sosie_random_normal(random);
}

/* A block of its own for each vector, so that a sanitizer sees a read past the
 * end. */
static void *block(size_t size)
{
    void *at = malloc(size ? size : 1);
    assert_non_null(at);
    return at;
}

static void dot_i8_is_the_same_for_all_tails_and_alignments(void **state)
{
    struct paths *p = *state;
    for (size_t n = 0; n <= 200; n++)
        for (size_t shift = 0; shift < 4; shift++) {
            int8_t *a = block(n + shift), *b = block(n + 3 * shift);
            fill(&p->random, a, n + shift);
            fill(&p->random, b, n + 3 * shift);
            for (size_t i = 0; i < p->n_fast; i++)
                assert_int_equal(p->fast[i].dot_i8(a + shift, b + 3 * shift, n),
                                 p->c.dot_i8(a + shift, b + 3 * shift, n));
            free(a);
            free(b);
        }
}

static void dot_i8_of_the_largest_values_does_not_overflow(void **state)
{
    static const int8_t extremes[] = {-127, 127, 0, 1, -1};
    enum { N = 65536 };
    struct paths *p = *state;
    int8_t *a = block(N), *b = block(N);
    for (size_t x = 0; x < sizeof(extremes); x++)
        for (size_t y = 0; y < sizeof(extremes); y++) {
            int32_t expected = extremes[x] * extremes[y] * N;
            memset(a, extremes[x], N);
            memset(b, extremes[y], N);
            assert_int_equal(p->c.dot_i8(a, b, N), expected);
            for (size_t i = 0; i < p->n_fast; i++)
                assert_int_equal(p->fast[i].dot_i8(a, b, N), expected);
        }
    free(a);
    free(b);
}

/* `gap` bytes between the rows are not the scan's: they hold noise. */
static void check_scan(struct paths *p, const size_t *sizes, size_t n_aspects,
                       size_t gap, size_t n_rows)
{
    size_t stride = gap, n_dots = n_rows * n_aspects;
    int32_t *expected = block(n_dots * sizeof(*expected));
    int32_t *got = block(n_dots * sizeof(*got));
    int8_t *query, *rows;
    for (size_t j = 0; j < n_aspects; j++)
        stride += sizes[j];
    query = aligned_alloc(64, stride);
    rows = aligned_alloc(64, stride * (n_rows + 1));
    assert_true(query && rows);
    fill(&p->random, query, stride);
    fill(&p->random, rows, stride * n_rows);

    p->c.scan_i8(query, rows, stride, sizes, n_aspects, n_rows, expected);
    for (size_t i = 0; i < p->n_fast; i++) {
        memset(got, 0x55, n_dots * sizeof(*got));
        p->fast[i].scan_i8(query, rows, stride, sizes, n_aspects, n_rows, got);
        assert_memory_equal(got, expected, n_dots * sizeof(*got));
    }
    free(expected);
    free(got);
    free(query);
    free(rows);
}

static void scan_i8_is_the_same_for_all_layouts_and_row_counts(void **state)
{
    static const size_t sizes[][3] = {
        {256, 64}, {64}, {64, 128, 64}, {1024, 64, 320}};
    static const size_t n_aspects[] = {2, 1, 3, 3};
    for (size_t i = 0; i < 4; i++)
        for (size_t n_rows = 0; n_rows <= 13; n_rows++)
            for (size_t gap = 0; gap <= 128; gap += 64)
                check_scan(*state, sizes[i], n_aspects[i], gap, n_rows);
}

static void scan_i8_is_one_dot_product_for_each_row_and_aspect(void **state)
{
    static const size_t sizes[] = {64, 128};
    struct paths *p = *state;
    int8_t query[192], rows[3 * 192];
    int32_t dots[6];
    fill(&p->random, query, sizeof(query));
    fill(&p->random, rows, sizeof(rows));
    p->c.scan_i8(query, rows, 192, sizes, 2, 3, dots);
    for (size_t r = 0; r < 3; r++) {
        assert_int_equal(dots[2 * r], p->c.dot_i8(query, rows + r * 192, 64));
        assert_int_equal(dots[2 * r + 1],
                         p->c.dot_i8(query + 64, rows + r * 192 + 64, 128));
    }
}

static const double u = 0x1p-24; /* rounding error of a float */

static void dot_f32_is_within_its_bound_for_all_tails(void **state)
{
    struct paths *p = *state;
    for (size_t n = 0; n <= 200; n++) {
        float *a = block(n * sizeof(*a)), *b = block(n * sizeof(*b));
        double exact = 0, absolute = 0, bound;
        fill_f32(&p->random, a, n);
        fill_f32(&p->random, b, n);
        for (size_t i = 0; i < n; i++) {
            exact += (double)a[i] * b[i];
            absolute += fabs((double)a[i] * b[i]);
        }
        bound = 1.01 * (double)n * u * absolute;
        assert_true(fabs((double)p->c.dot_f32(a, b, n) - exact) <= bound);
        for (size_t i = 0; i < p->n_fast; i++)
            assert_true(fabs((double)p->fast[i].dot_f32(a, b, n) - exact) <=
                        bound);
        free(a);
        free(b);
    }
}

static void check_axpy(sosie_axpy_f32 *axpy, float alpha, const float *x,
                       const float *y, size_t n)
{
    float *got = block(n * sizeof(*got));
    memcpy(got, y, n * sizeof(*got));
    axpy(alpha, x, got, n);
    for (size_t i = 0; i < n; i++) {
        double product = (double)alpha * x[i], exact = y[i] + product;
        assert_true(fabs(got[i] - exact) <=
                    1.01 * u * (fabs(product) + fabs(exact)));
    }
    free(got);
}

static void axpy_f32_is_within_its_bound_for_all_tails(void **state)
{
    struct paths *p = *state;
    for (size_t n = 0; n <= 200; n++) {
        float *x = block(n * sizeof(*x)), *y = block(n * sizeof(*y));
        float alpha = (float)sosie_random_normal(&p->random);
        fill_f32(&p->random, x, n);
        fill_f32(&p->random, y, n);
        check_axpy(p->c.axpy_f32, alpha, x, y, n);
        for (size_t i = 0; i < p->n_fast; i++)
            check_axpy(p->fast[i].axpy_f32, alpha, x, y, n);
        free(x);
        free(y);
    }
}

static void flags_choose_the_path(void **state)
{
    struct sosie_kernels kernels;
    (void)state;
    sosie_kernels_init(&kernels, 0);
    assert_string_equal(kernels.name, "c");
    sosie_kernels_init(&kernels, sosie_cpu_flags());
    assert_string_equal(kernels.name, sosie_kernels()->name);
    assert_ptr_equal(kernels.scan_i8, sosie_kernels()->scan_i8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dot_i8_is_the_same_for_all_tails_and_alignments),
        cmocka_unit_test(dot_i8_of_the_largest_values_does_not_overflow),
        cmocka_unit_test(scan_i8_is_the_same_for_all_layouts_and_row_counts),
        cmocka_unit_test(scan_i8_is_one_dot_product_for_each_row_and_aspect),
        cmocka_unit_test(dot_f32_is_within_its_bound_for_all_tails),
        cmocka_unit_test(axpy_f32_is_within_its_bound_for_all_tails),
        cmocka_unit_test(flags_choose_the_path),
    };
    return cmocka_run_group_tests_name("kernels", tests, set_up, NULL);
}
