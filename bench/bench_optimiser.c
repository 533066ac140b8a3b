/* bench_optimiser.c: how long a step takes beside what the memory gives.
 *
 *   bench_optimiser [FLOATS]      4000000 if not given
 *
 * "memory" does nothing but pass over the same arrays, one after another: it
 * reads the gradient twice (first for its norm) and adds to each array that the
 * step changes. Times are the best of many. */
#include "base/clock.h"
#include "base/random.h"
#include "train/optimiser.h"

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 51 };

struct bench {
    size_t n;
    float *params, *grads;
};

static void fill(struct bench *b)
{
    struct sosie_random random;
    sosie_random_seed(&random, 1);
    for (size_t i = 0; i < b->n; i++) {
        b->params[i] = (float)sosie_random_unit(&random) - 0.5F;
        b->grads[i] = (float)sosie_random_unit(&random) - 0.5F;
    }
}

static enum sosie_status step(struct bench *b,
                              struct sosie_optimiser *optimiser,
                              struct sosie_error *err)
{
    const struct sosie_slice_options all = {0, b->n, 1, true};
    return sosie_optimiser_step(optimiser, b->params, b->grads, &all, 1, 1e-4F,
                                NULL, err);
}

static int read_grads(const struct bench *b)
{
    int n_large = 0;
    for (size_t i = 0; i < b->n; i++)
        n_large += b->grads[i] > 2;
    return n_large;
}

static void touch(const struct bench *b, float *restrict x)
{
    for (size_t i = 0; i < b->n; i++)
        x[i] += 1e-30F;
}

static int pass_over(const struct bench *b,
                     const struct sosie_optimiser *optimiser)
{
    int n_large = read_grads(b) + read_grads(b);
    touch(b, b->params);
    touch(b, optimiser->first);
    if (optimiser->second)
        touch(b, optimiser->second);
    if (optimiser->average)
        touch(b, optimiser->average);
    return n_large;
}

static enum sosie_status time_kind(struct bench *b, const char *name,
                                   enum sosie_optimiser_kind kind, float ema,
                                   struct sosie_error *err)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(kind);
    struct sosie_optimiser optimiser = {0};
    double best = 1e9, best_pass = 1e9;
    int sink = 0;
    enum sosie_status st;

    options.ema = ema;
    st = sosie_optimiser_init(&optimiser, &options, b->params, b->n, err);
    for (int run = 0; !st && run < RUNS; run++) {
        double start = sosie_clock_ms(), took;
        st = step(b, &optimiser, err);
        took = sosie_clock_ms() - start;
        best = took < best ? took : best;
        start = sosie_clock_ms();
        sink += pass_over(b, &optimiser);
        took = sosie_clock_ms() - start;
        best_pass = took < best_pass ? took : best_pass;
    }
    if (!st)
        printf("%-16s %7.2f ms   memory %7.2f ms%s\n", name, best, best_pass,
               sink ? " ?" : "");
    sosie_optimiser_release(&optimiser);
    return st;
}

int main(int argc, char **argv)
{
    struct bench b = {.n = argc > 1 ? strtoul(argv[1], NULL, 10) : 4000000};
    struct sosie_error err;
    enum sosie_status st = SOSIE_NO_MEMORY;

    b.params = malloc(b.n * sizeof(float));
    b.grads = malloc(b.n * sizeof(float));
    if (!b.params || !b.grads) {
        sosie_fail(&err, st, "%zu floats", b.n);
        goto out;
    }
    fill(&b);
    st = time_kind(&b, "SGD", SOSIE_SGD, 0, &err);
    if (!st)
        st = time_kind(&b, "SGD + EMA", SOSIE_SGD, 0.999F, &err);
    if (!st)
        st = time_kind(&b, "AdamW", SOSIE_ADAMW, 0, &err);
    if (!st)
        st = time_kind(&b, "AdamW + EMA", SOSIE_ADAMW, 0.999F, &err);
out:
    if (st)
        fprintf(stderr, "bench_optimiser: %s\n", err.text);
    free(b.params);
    free(b.grads);
    return st != SOSIE_OK;
}
