/* bench_kernels.c: how fast each path of the kernels runs on this machine.
 *
 *   bench_kernels [ROWS]      100000 if not given
 *
 * The scan is timed over rows of 320 bytes (256 + 64) twice: again and again
 * over the same rows, and over rows that were not read for long (a walk through
 * 1 GiB), which is what a search after a pause meets. memchr() for a byte that
 * is not there reads the same bytes and shows what the memory gives. Times are
 * medians. */
#include "base/clock.h"
#include "base/random.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE = 256, COLOUR = 64, STRIDE = SHAPE + COLOUR, RUNS = 101 };

static const size_t aspect_sizes[] = {SHAPE, COLOUR};
enum { N_ASPECTS = sizeof(aspect_sizes) / sizeof(*aspect_sizes) };

static const unsigned levels[] = {0, SOSIE_CPU_AVX2,
                                  SOSIE_CPU_AVX2 | SOSIE_CPU_AVX512VNNI};
enum { N_LEVELS = sizeof(levels) / sizeof(*levels) };

struct bench {
    int8_t *rows, *query;
    size_t n_rows, n_windows; /* n_windows blocks of n_rows in `rows` */
    int32_t *dots;
    long long sink; /* keeps the compiler from dropping the work */
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void read_once(struct bench *b, const struct sosie_kernels *kernels,
                      const int8_t *rows)
{
    if (kernels)
        kernels->scan_i8(b->query, rows, STRIDE, aspect_sizes, N_ASPECTS,
                         b->n_rows, b->dots);
    else
        b->sink += memchr(rows, -128, b->n_rows * STRIDE) != NULL;
    b->sink += b->dots[0];
}

/* Milliseconds to read n_rows; without kernels, by memchr(). */
static double time_scan(struct bench *b, const struct sosie_kernels *kernels,
                        size_t n_windows)
{
    double times[RUNS];
    for (size_t i = 0; i < RUNS; i++) {
        const int8_t *rows = b->rows + (i % n_windows) * b->n_rows * STRIDE;
        double start = sosie_clock_ms();
        read_once(b, kernels, rows);
        times[i] = sosie_clock_ms() - start;
    }
    qsort(times, RUNS, sizeof(*times), by_value);
    return times[RUNS / 2];
}

static void print_scan(struct bench *b, const char *name,
                       const struct sosie_kernels *kernels)
{
    const size_t windows[] = {1, b->n_windows};
    printf("%-12s", name);
    for (size_t i = 0; i < 2; i++) {
        double ms = time_scan(b, kernels, windows[i]);
        printf("  %8.3f ms %7.1f M rows/s %6.1f GB/s", ms,
               (double)b->n_rows / ms / 1e3,
               (double)(b->n_rows * STRIDE) / ms / 1e6);
    }
    putchar('\n');
}

/* Whitening's numbers: the product of a 256 x 1280 matrix and a vector. */
static void print_floats(const struct sosie_kernels *kernels)
{
    enum { M = 256, N = 1280, TIMES = 100 };
    float *matrix = calloc((size_t)M * N, sizeof(*matrix));
    float *x = calloc(N, sizeof(*x)), *y = calloc(M, sizeof(*y));
    if (matrix && x && y) {
        double start = sosie_clock_ms(), dot_ms, axpy_ms;
        for (size_t i = 0; i < (size_t)TIMES * M; i++)
            y[i % M] = kernels->dot_f32(matrix + i % M * N, x, N);
        dot_ms = (sosie_clock_ms() - start) / TIMES;
        start = sosie_clock_ms();
        for (size_t i = 0; i < (size_t)TIMES * M; i++)
            kernels->axpy_f32(y[i % M], x, matrix + i % M * N, N);
        axpy_ms = (sosie_clock_ms() - start) / TIMES;
        printf("%-12s  dot_f32 %7.3f ms  axpy_f32 %7.3f ms\n", kernels->name,
               dot_ms, axpy_ms);
    }
    free(matrix);
    free(x);
    free(y);
}

static int run(struct bench *b)
{
    struct sosie_random random;
    struct sosie_kernels kernels;
    size_t size = b->n_windows * b->n_rows * STRIDE, level;

    sosie_random_seed(&random, 1);
    for (size_t i = 0; i < size; i++) /* a short period, for a quick start */
        b->rows[i] = (int8_t)(i < 65536 ? sosie_random_below(&random, 255)
                                        : (uint64_t)b->rows[i - 65521]);
    for (size_t i = 0; i < size; i++)
        b->rows[i] = (int8_t)(b->rows[i] == -128 ? 0 : b->rows[i]);
    memcpy(b->query, b->rows, STRIDE);

    printf("%zu rows of %d bytes  %-38s  %s\n", b->n_rows, STRIDE,
           "the same rows each time", "rows that were not read for long");
    print_scan(b, "memchr", NULL);
    for (level = 0; level < N_LEVELS; level++) {
        if (levels[level] & ~sosie_cpu_flags())
            continue;
        sosie_kernels_init(&kernels, levels[level]);
        print_scan(b, kernels.name, &kernels);
    }
    printf("\n256 x 1280 matrix\n");
    for (level = 0; level < N_LEVELS - 1; level++) {
        if (levels[level] & ~sosie_cpu_flags())
            continue;
        sosie_kernels_init(&kernels, levels[level]);
        print_floats(&kernels);
    }
    return b->sink == -1 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct bench b = {.n_rows = 100000};
    int code = EXIT_FAILURE;
    if (argc > 1)
        b.n_rows = strtoul(argv[1], NULL, 10);
    if (!b.n_rows || b.n_rows > 10000000) {
        fprintf(stderr, "usage: bench_kernels [ROWS], 1 to 10000000\n");
        return 2;
    }
    b.n_windows = ((size_t)1 << 30) / (b.n_rows * STRIDE) + 1;
    b.rows = aligned_alloc(64, b.n_windows * b.n_rows * STRIDE);
    b.query = aligned_alloc(64, STRIDE);
    b.dots = calloc(b.n_rows * N_ASPECTS, sizeof(*b.dots));
    if (b.rows && b.query && b.dots)
        code = run(&b);
    else
        fprintf(stderr, "bench_kernels: out of memory\n");
    free(b.rows);
    free(b.query);
    free(b.dots);
    return code;
}
