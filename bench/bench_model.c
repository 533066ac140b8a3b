/* bench_model.c: what a model costs: load time, memory, milliseconds a photo.
 *
 *   bench_model MODEL.onnx [ROUNDS] [--plain]
 *
 * One thread. Prints the least and the median of ROUNDS (default 50) forward
 * passes at batch 1 and 4, with and without logits; the machine may be busy
 * with other things, so the least is what the program costs. */
#include "base/clock.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Peak resident memory, MiB. */
static double peak_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

static int bench_batch(struct sosie_model_run *run,
                       const struct sosie_model_info *info, size_t batch,
                       size_t rounds, int with_logits)
{
    size_t size = (size_t)3 * info->width * info->height;
    uint8_t *pixels = malloc(size);
    const uint8_t *photos[4] = {pixels, pixels, pixels, pixels};
    float *embedding = calloc(batch * info->dim, sizeof(*embedding));
    float *logits = calloc(batch * info->n_logits + 1, sizeof(*logits));
    double *ms = calloc(rounds, sizeof(*ms));
    struct sosie_error err;
    enum sosie_status st = SOSIE_OK;

    if (!pixels || !embedding || !logits || !ms) {
        st = sosie_fail(&err, SOSIE_NO_MEMORY, "the buffers");
        goto out;
    }
    for (size_t i = 0; i < size; i++)
        pixels[i] = (uint8_t)(i * 2654435761U >> 16);
    for (size_t i = 0; i < rounds && !st; i++) {
        double start = sosie_clock_ms();
        st = sosie_model_forward(run, photos, batch, embedding,
                                 with_logits ? logits : NULL, &err);
        ms[i] = (sosie_clock_ms() - start) / (double)batch;
    }
    if (st)
        goto out;
    qsort(ms, rounds, sizeof(*ms), by_value);
    printf("batch %zu%s: %.3f ms a photo at best, %.3f median\n", batch,
           with_logits ? " with logits" : "", ms[0], ms[rounds / 2]);
out:
    if (st)
        fprintf(stderr, "bench_model: %s\n", err.text);
    free(pixels);
    free(embedding);
    free(logits);
    free(ms);
    return st != SOSIE_OK;
}

int main(int argc, char **argv)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct sosie_model *model = NULL;
    struct sosie_model_run *run = NULL;
    const struct sosie_model_info *info;
    struct sosie_error err;
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 50;
    double start = sosie_clock_ms();
    int failed = 0;

    if (argc < 2 || !rounds) {
        fprintf(stderr, "usage: bench_model MODEL.onnx [ROUNDS] [--plain]\n");
        return 2;
    }
    if (!strcmp(argv[argc - 1], "--plain"))
        options.backend = SOSIE_BACKEND_PLAIN;
    if (sosie_model_open(argv[1], &options, &model, &err) ||
        sosie_model_run_create(model, &run, &err)) {
        fprintf(stderr, "bench_model: %s\n", err.text);
        sosie_model_close(model);
        return 1;
    }
    info = sosie_model_info(model);
    printf("loaded in %.1f ms: %ux%u, %zu dimensions, %zu logits, %zu "
           "parameters\n",
           sosie_clock_ms() - start, info->width, info->height, info->dim,
           info->n_logits, info->n_parameters);
    for (size_t batch = 1; batch <= 4 && !failed; batch += 3)
        for (int with_logits = 0; with_logits < 2 && !failed; with_logits++)
            failed = bench_batch(run, info, batch, rounds, with_logits);
    printf("peak memory %.1f MiB\n", peak_mib());
    sosie_model_run_destroy(run);
    sosie_model_close(model);
    return failed;
}
