/* bench_train.c: views a second that a network is trained with.
 *
 *   bench_train ARCH|FILE.onnx [SIZE [SHARD [THREADS [SECONDS [f32|bf16]]]]]
 *
 * Each thread takes a shard of SHARD views forward and backward, over and over
 * (128 pixels, 16 views, 2 threads, 5 seconds, f32 if not given): what training
 * does but for decoding, views, losses and the optimiser's step, with kinds
 * alone to learn: no body of colours is added. Prints views a second, and bytes
 * of a run. bench/training.py times PyTorch beside it. */
#include "base/clock.h"
#include "train/student.h"

#include "nn/trainable.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 64 };

struct worker {
    pthread_t thread;
    struct sosie_trainable_run *run;
    double until_ms;
    size_t n;
    struct sosie_error err;
    enum sosie_status status;
};

static void *work(void *argument)
{
    struct worker *w = argument;
    while (!w->status && sosie_clock_ms() < w->until_ms) {
        w->status = sosie_trainable_run_forward(w->run, &w->err);
        if (!w->status)
            w->status = sosie_trainable_run_backward(w->run, &w->err);
        w->n++;
    }
    return NULL;
}

static long number(int argc, char **argv, int i, long usual)
{
    long n = i < argc ? strtol(argv[i], NULL, 10) : usual;
    return n > 0 ? n : usual;
}

static enum sosie_status make(const char *what, long size, long shard,
                              bool bf16, struct sosie_trainable **out,
                              struct sosie_error *err)
{
    static const char *const labels[] = {"a", "b", "c", "d", "e",
                                         "f", "g", "h", "i", "j"};
    bool is_file = strstr(what, ".onnx") != NULL;
    const struct sosie_student_options options = {
        .init = is_file ? what : NULL,
        .arch = is_file ? NULL : what,
        .size = (uint32_t)size,
        .dims = {192, 0, 64},
        .n_heads = 1,
        .heads = {{"class", 10, labels, SOSIE_STUDENT_KIND}},
        .seed = 1};
    struct sosie_student student;
    enum sosie_status st = sosie_student_init(&options, &student, err);
    if (!st)
        st = sosie_trainable_create(
            &student.graph,
            &(struct sosie_trainable_options){.n = (size_t)shard, .bf16 = bf16},
            out, err);
    return st;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "sosie-m";
    long size = number(argc, argv, 2, 128), shard = number(argc, argv, 3, 16);
    long n_threads = number(argc, argv, 4, 2), s = number(argc, argv, 5, 5);
    bool bf16 = argc > 6 && !strcmp(argv[6], "bf16");
    struct sosie_trainable *trainable = NULL;
    struct worker workers[MAX_THREADS] = {{.n = 0}};
    struct sosie_error err;
    enum sosie_status st = make(what, size, shard, bf16, &trainable, &err);
    double start, views = 0;

    n_threads = n_threads < MAX_THREADS ? n_threads : MAX_THREADS;
    for (long i = 0; i < n_threads && !st; i++) {
        st = sosie_trainable_run_create(trainable, &workers[i].run, &err);
        if (!st)
            memset(sosie_trainable_run_input(workers[i].run), 0,
                   (size_t)(3 * size * size * shard) * sizeof(float));
    }
    start = sosie_clock_ms();
    for (long i = 0; i < n_threads && !st; i++) {
        workers[i].until_ms = start + (double)s * 1e3;
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (long i = 0; i < n_threads && !st; i++) {
        pthread_join(workers[i].thread, NULL);
        views += (double)workers[i].n * (double)shard;
    }
    if (!st)
        printf(
            "%s @%ld %s: %.1f views/s, %ld threads, shards of %ld, %zu MiB a "
            "run\n",
            what, size, bf16 ? "bf16" : "f32",
            views / (sosie_clock_ms() - start) * 1e3, n_threads, shard,
            sosie_trainable_run_size(trainable) >> 20);
    else
        fprintf(stderr, "bench_train: %s\n", err.text);
    return st ? 1 : 0;
}
