/* bench_net.c: our side of bench/engines.py, which explains what is compared.
 *
 *   bench_net MODEL.onnx [--precision f32|bf16|int8|auto] [--threads 1]
 *             [--batch 1] [--plain]
 *
 * Loads a network, makes one forward pass and prints what that took. Then, a
 * line of JSON each, it answers the lines of standard input: `run N` with the
 * milliseconds of N passes over a batch, `memory` with what is resident.
 *
 * A batch is cut into one part a thread. The time of a pass includes copying
 * the pictures, as numbers in the network's own layout, into its input. */
#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/random.h"
#include "model/network.h"
#include "nn/net.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BATCH = 64 };

struct options {
    const char *path;
    struct sosie_net_options net;
    size_t threads, batch;
};

/* What one thread does of a batch. */
struct part {
    struct sosie_net_run *const *runs;
    size_t n;
    const float *picture;
    size_t picture_size;
    enum sosie_status status; /* of the last pass */
    struct sosie_error err;
};

struct bench {
    struct sosie_net *net;
    enum sosie_precision precision; /* of the net */
    struct sosie_net_run *runs[MAX_BATCH];
    struct sosie_pool *pool; /* NULL: one thread, this one */
    struct part parts[MAX_BATCH];
    size_t n_runs, n_parts;
    float *picture;
};

/* ---- loading ------------------------------------------------------------- */

/* As the program does it. */
static enum sosie_status load_fastest(const struct options *options,
                                      struct bench *bench,
                                      struct sosie_error *err)
{
    struct sosie_network network = {0};
    enum sosie_status st =
        sosie_network_read(options->path, &options->net, &network, err);
    if (!st)
        st = sosie_network_add_output(&network, 0, err);
    if (!st)
        st = sosie_network_make(&network, &bench->net, err);
    bench->precision = network.options.precision;
    sosie_network_release(&network);
    return st;
}

static enum sosie_status load_net(const struct options *options,
                                  struct sosie_net **net,
                                  struct sosie_error *err)
{
    struct sosie_onnx onnx = {0};
    struct sosie_file_view view = {0};
    enum sosie_status st =
        sosie_file_view_open(options->path, (size_t)1 << 31, &view, err);
    if (!st)
        st = sosie_onnx_read(view.bytes, view.size, NULL, &onnx, err);
    if (!st) {
        onnx.graph.outputs[0] = onnx.outputs[0].value;
        onnx.graph.n_outputs = 1;
        st = sosie_net_create(&onnx.graph, &options->net, net, err);
    }
    sosie_onnx_release(&onnx);
    sosie_file_view_close(&view);
    return st;
}

/* A picture of noise as the input's memory holds it: bytes, and the numbers. */
static size_t make_picture(const struct sosie_net *net, float **picture)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    const struct sosie_shape *shape = &graph->values[graph->inputs[0]].shape;
    struct sosie_random random;
    size_t strides[SOSIE_MAX_RANK], n = 1;

    sosie_net_input_strides(net, 0, strides);
    for (size_t d = 0; d < shape->rank; d++)
        n += (shape->dims[d] - 1) * strides[d];
    *picture = malloc(n * sizeof(**picture));
    sosie_random_seed(&random, 1);
    for (size_t i = 0; i < n && *picture; i++)
        (*picture)[i] = (float)sosie_random_unit(&random) - 0.5F;
    return n * sizeof(**picture);
}

static enum sosie_status load(const struct options *options,
                              struct bench *bench, struct sosie_error *err)
{
    size_t size, taken = 0;
    bench->precision = options->net.precision;
    enum sosie_status st = options->net.precision == SOSIE_PRECISION_AUTO
                               ? load_fastest(options, bench, err)
                               : load_net(options, &bench->net, err);
    if (st)
        return st;
    size = make_picture(bench->net, &bench->picture);
    if (!bench->picture)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the picture");
    for (; bench->n_runs < options->batch && !st; bench->n_runs += !st)
        st = sosie_net_run_create(bench->net, &bench->runs[bench->n_runs], err);
    bench->n_parts =
        options->threads < options->batch ? options->threads : options->batch;
    if (!st && bench->n_parts > 1)
        st = sosie_pool_create(bench->n_parts, bench->n_parts, &bench->pool,
                               err);
    for (size_t i = 0; i < bench->n_parts; i++) {
        size_t n = (options->batch - taken) / (bench->n_parts - i);
        bench->parts[i] = (struct part){.runs = bench->runs + taken,
                                        .n = n,
                                        .picture = bench->picture,
                                        .picture_size = size};
        taken += n;
    }
    return st;
}

static void release(struct bench *bench)
{
    sosie_pool_destroy(bench->pool);
    for (size_t i = 0; i < bench->n_runs; i++)
        sosie_net_run_destroy(bench->runs[i]);
    sosie_net_destroy(bench->net);
    free(bench->picture);
}

/* ---- running ------------------------------------------------------------- */

static void run_part(void *argument, size_t worker)
{
    struct part *part = argument;
    (void)worker;
    for (size_t i = 0; i < part->n; i++)
        memcpy(sosie_net_run_input(part->runs[i], 0), part->picture,
               part->picture_size);
    part->status = sosie_net_run_batch(part->runs, part->n, 1, &part->err);
}

/* One pass over the batch; what failed is printed. */
static bool pass(struct bench *bench)
{
    for (size_t i = 0; i < bench->n_parts; i++)
        if (bench->pool)
            sosie_pool_submit(bench->pool, run_part, &bench->parts[i]);
        else
            run_part(&bench->parts[i], 0);
    if (bench->pool)
        sosie_pool_wait(bench->pool);
    for (size_t i = 0; i < bench->n_parts; i++)
        if (bench->parts[i].status) {
            fprintf(stderr, "bench_net: %s\n", bench->parts[i].err.text);
            return false;
        }
    return true;
}

static bool run(struct bench *bench, unsigned long n)
{
    printf("{\"ms\": [");
    for (unsigned long i = 0; i < n; i++) {
        double start = sosie_clock_ms();
        if (!pass(bench))
            return false;
        printf("%s%.4f", i ? ", " : "", sosie_clock_ms() - start);
    }
    printf("]}\n");
    return true;
}

/* MiB of a line of /proc/self/status, 0 if it is not there. */
static double status_mib(const char *key)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;

    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, key, strlen(key)))
            kib = strtod(line + strlen(key) + 1, NULL);
    if (file)
        fclose(file);
    return kib / 1024;
}

/* The process's time on the CPU. */
static double cpu_ms(void)
{
    return 1e3 * (double)clock() / CLOCKS_PER_SEC;
}

static int serve(struct bench *bench)
{
    char line[64];
    while (fgets(line, sizeof(line), stdin)) {
        if (!strncmp(line, "run ", 4)) {
            if (!run(bench, strtoul(line + 4, NULL, 10)))
                return 1;
        } else if (!strcmp(line, "memory\n")) {
            printf("{\"resident_mib\": %.1f, \"peak_mib\": %.1f}\n",
                   status_mib("VmRSS"), status_mib("VmHWM"));
        } else {
            fprintf(stderr, "bench_net: not 'run N' or 'memory': %s", line);
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}

/* ---- the command line ---------------------------------------------------- */

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"precision", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},
        {"plain", no_argument, NULL, 'c'},
        {0}};
    struct sosie_error err;
    int option;

    *options = (struct options){
        .net = {.ops = &sosie_ops_onednn}, .threads = 1, .batch = 1};
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'p') {
            if (sosie_precision_parse(optarg, &options->net.precision, &err)) {
                fprintf(stderr, "bench_net: %s\n", err.text);
                return false;
            }
        } else if (option == 't') {
            options->threads = strtoul(optarg, NULL, 10);
        } else if (option == 'b') {
            options->batch = strtoul(optarg, NULL, 10);
        } else if (option == 'c') {
            options->net.ops = &sosie_ops_plain;
        } else {
            return false;
        }
    }
    options->path = argv[optind];
    return optind + 1 == argc && options->threads && options->batch &&
           options->batch <= MAX_BATCH;
}

int main(int argc, char **argv)
{
    struct options options;
    struct bench bench = {0};
    struct sosie_error err;
    double start = sosie_clock_ms(), cpu = cpu_ms();
    double base = status_mib("VmRSS");
    int code = 1;

    if (!parse_options(argc, argv, &options)) {
        fprintf(stderr, "usage: bench_net MODEL.onnx [--precision P] "
                        "[--threads N] [--batch N] [--plain]\n");
        return 2;
    }
    if (load(&options, &bench, &err)) {
        fprintf(stderr, "bench_net: %s\n", err.text);
    } else if (pass(&bench)) {
        printf("{\"load_ms\": %.1f, \"cpu_ms\": %.1f, \"base_mib\": %.1f, "
               "\"precision\": \"%s\"}\n",
               sosie_clock_ms() - start, cpu_ms() - cpu, base,
               sosie_precision_name(bench.precision));
        fflush(stdout);
        code = serve(&bench);
    }
    release(&bench);
    return code;
}
