/* cmd_model_info.c: `sosie model info FILE`. */
#include "base/clock.h"
#include "cli/cli.h"
#include "model/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "sosie model info FILE [options]\n"
    "\n"
    "Says what an ONNX file holds and how it is run: inputs and outputs, ops, "
    "the\nwork that one photo is, memory, how many nodes of each op there are "
    "and "
    "in how\nmany steps they run, what was fused into convolutions, and the "
    "precision that is\nthe fastest on this machine.\n"
    "\n"
    "  --precision P   f32, bf16, int8 or auto, the fastest (default auto)\n"
    "  --cpu LIMIT     use no newer instructions than c, avx2 or avx512; c is\n"
    "                  plain C, the reference\n"
    "  --profile       run it, and list the time of each step\n"
    "  --json          one JSON object\n"
    "\n"
    "Examples:\n"
    "  sosie model info model.onnx\n"
    "  sosie model info model.onnx --precision f32 --profile\n";

/* How often an op stands in the file, and in how many steps it is run. */
struct kind {
    const char *op;
    size_t n_nodes, n_steps;
};

/* Times are medians; none if n_passes is 0. */
struct profile {
    size_t n_passes;
    double pass_ms;  /* of a whole pass */
    double *step_ms; /* by step */
};

struct info {
    const char *path;
    bool automatic;
    struct sosie_arena arena;
    struct sosie_network network;
    struct sosie_summary summary;
    struct sosie_net *net;
    size_t n_steps;
    uint64_t *macs; /* by step */
    struct kind *kinds;
    size_t n_kinds;
    struct profile profile;
};

/* ---- profile ------------------------------------------------------------- */

enum { MIN_PASSES = 5, MAX_PASSES = 50, PROFILE_MS = 1000 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), by_size);
    return values[n / 2];
}

static void fill_inputs(const struct sosie_net *net, struct sosie_net_run *run)
{
    for (size_t k = 0; k < sosie_net_graph(net)->n_inputs; k++)
        sosie_network_fill(net, run, k, NULL);
}

/* One whole pass and one in steps; the clock between the steps costs little,
 * but not nothing. */
static enum sosie_status time_once(const struct sosie_net *net,
                                   struct sosie_net_run *run, double *pass_ms,
                                   double *step_ms, struct sosie_error *err)
{
    double start;
    enum sosie_status st;
    fill_inputs(net, run);
    start = sosie_clock_ms();
    st = sosie_net_run_forward(run, ~0U, err);
    *pass_ms = sosie_clock_ms() - start;
    fill_inputs(net, run);
    return st ? st : sosie_net_run_profile(run, ~0U, step_ms, err);
}

static enum sosie_status profile(struct info *info, struct sosie_error *err)
{
    struct profile *p = &info->profile;
    struct sosie_net_run *run = NULL;
    double passes[MAX_PASSES], column[MAX_PASSES], begin;
    double *steps = calloc(MAX_PASSES * (info->n_steps + 1), sizeof(*steps));
    enum sosie_status st;
    p->step_ms =
        sosie_arena_alloc(&info->arena, info->n_steps + 1, sizeof(double));
    st = steps && p->step_ms ? sosie_net_run_create(info->net, &run, err)
                             : sosie_fail(err, SOSIE_NO_MEMORY, "a profile");
    if (!st) /* the first pass warms up */
        st = time_once(info->net, run, passes, steps, err);
    begin = sosie_clock_ms();
    while (!st && p->n_passes < MAX_PASSES &&
           (p->n_passes < MIN_PASSES ||
            sosie_clock_ms() - begin < (double)PROFILE_MS)) {
        st = time_once(info->net, run, &passes[p->n_passes],
                       steps + p->n_passes * info->n_steps, err);
        p->n_passes++;
    }
    for (size_t i = 0; !st && i < info->n_steps; i++) {
        for (size_t k = 0; k < p->n_passes; k++)
            column[k] = steps[k * info->n_steps + i];
        p->step_ms[i] = median(column, p->n_passes);
    }
    if (!st)
        p->pass_ms = median(passes, p->n_passes);
    sosie_net_run_destroy(run);
    free(steps);
    return st;
}

/* ---- counting ------------------------------------------------------------ */

static struct kind *kind_of(struct info *info, const char *op)
{
    size_t i = 0;
    while (i < info->n_kinds && strcmp(info->kinds[i].op, op) != 0)
        i++;
    if (i == info->n_kinds)
        info->kinds[info->n_kinds++] = (struct kind){.op = op};
    return &info->kinds[i];
}

/* A node's work is counted at its last step: what comes before only arranges
 * its inputs. */
static enum sosie_status count_steps(struct info *info, struct sosie_error *err)
{
    const struct sosie_graph *graph = sosie_net_graph(info->net);
    info->n_steps = sosie_net_n_steps(info->net);
    info->macs =
        sosie_arena_alloc(&info->arena, info->n_steps + 1, sizeof(uint64_t));
    info->kinds = sosie_arena_alloc(
        &info->arena, info->summary.n_ops + SOSIE_N_OPS, sizeof(*info->kinds));
    if (!info->macs || !info->kinds)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a summary");
    for (size_t i = 0; i < info->summary.n_ops; i++)
        kind_of(info, info->summary.ops[i].op)->n_nodes =
            info->summary.ops[i].n;
    for (size_t i = 0; i < info->n_steps; i++) {
        struct sosie_net_step_info step = sosie_net_step_info(info->net, i);
        bool last = i + 1 == info->n_steps ||
                    sosie_net_step_info(info->net, i + 1).index != step.index;
        kind_of(info, sosie_op_name(step.op))->n_steps++;
        if (last)
            info->macs[i] = sosie_node_macs(graph, &graph->nodes[step.index]);
    }
    return SOSIE_OK;
}

static double gmacs(uint64_t macs, double ms)
{
    return ms > 0 ? (double)macs / ms / 1e6 : 0;
}

/* ---- output -------------------------------------------------------------- */

/* "N" for the batch, which may be of any size. */
static const char *dim_text(const struct sosie_shape *shape, size_t d,
                            char text[24])
{
    if (!d && shape->dims[0] == 1)
        return "N";
    snprintf(text, 24, "%zu", shape->dims[d]);
    return text;
}

static void print_tensor(const char *what, const char *name,
                         const struct sosie_shape *shape)
{
    char text[24];
    printf("%-10s %s ", what, name);
    for (size_t d = 0; d < shape->rank; d++)
        printf("%s%s", d ? "x" : "", dim_text(shape, d, text));
    printf(" float32\n");
}

static void print_kinds(const struct info *info)
{
    printf("\nop                     nodes  steps\n");
    for (size_t i = 0; i < info->n_kinds; i++)
        printf("%-20s  %6zu %6zu\n", info->kinds[i].op, info->kinds[i].n_nodes,
               info->kinds[i].n_steps);
}

/* What convolutions do beside their own, by kind. */
static void count_fused(const struct info *info, size_t counts[SOSIE_N_OPS])
{
    const struct sosie_graph *graph = sosie_net_graph(info->net);
    memset(counts, 0, SOSIE_N_OPS * sizeof(*counts));
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (size_t p = 0; p < graph->nodes[i].n_posts; p++)
            counts[graph->nodes[i].posts[p].op]++;
}

static void print_fused(const struct info *info)
{
    size_t counts[SOSIE_N_OPS], n = 0;
    count_fused(info, counts);
    for (size_t op = 0; op < SOSIE_N_OPS; op++)
        if (counts[op])
            printf("%s%zu %s",
                   n++ ? ", " : "fused into convolutions: ", counts[op],
                   sosie_op_name((enum sosie_op)op));
    if (n)
        putchar('\n');
}

static json_t *fused_json(const struct info *info)
{
    size_t counts[SOSIE_N_OPS];
    json_t *object = json_object();
    count_fused(info, counts);
    for (size_t op = 0; op < SOSIE_N_OPS; op++)
        if (counts[op])
            json_object_set_new(object, sosie_op_name((enum sosie_op)op),
                                json_integer((json_int_t)counts[op]));
    return object;
}

static void print_profile(const struct info *info)
{
    const struct profile *p = &info->profile;
    double sum = 0;
    for (size_t i = 0; i < info->n_steps; i++)
        sum += p->step_ms[i];
    printf("\na pass: %.3f ms, %.1f GMAC/s; medians of %zu\n\n", p->pass_ms,
           gmacs(info->summary.macs, p->pass_ms), p->n_passes);
    printf("share      ms  GMAC/s  op                 implementation        "
           "node\n");
    for (size_t i = 0; i < info->n_steps; i++) {
        struct sosie_net_step_info step = sosie_net_step_info(info->net, i);
        char rate[16] = "";
        if (info->macs[i])
            snprintf(rate, sizeof(rate), "%.1f",
                     gmacs(info->macs[i], p->step_ms[i]));
        printf("%4.1f%% %7.3f %7s  %-18s %-20s  %s\n",
               sum > 0 ? 100 * p->step_ms[i] / sum : 0, p->step_ms[i], rate,
               sosie_op_name(step.op), step.implementation, step.node);
    }
}

static void print_text(const struct info *info)
{
    const struct sosie_graph *graph = sosie_net_graph(info->net);
    const struct sosie_summary *s = &info->summary;
    char number[32];
    for (size_t k = 0; k < graph->n_inputs; k++) {
        const struct sosie_value *value = &graph->values[graph->inputs[k]];
        print_tensor("input", value->name, &value->shape);
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        print_tensor("output", info->network.onnx.outputs[k].name,
                     &graph->values[graph->outputs[k]].shape);
    printf("opset      %" PRId64 "\n", s->opset);
    printf("parameters %s\n", cli_grouped(s->n_parameters, number));
    printf("work       %.1f million multiply-adds a photo\n",
           (double)s->macs / 1e6);
    printf("precision  %s%s\n",
           sosie_precision_name(info->network.options.precision),
           info->automatic ? ", which auto takes here" : "");
    printf("memory     %.1f MB of weights, %.1f MB a worker\n",
           (double)sosie_net_parameters_size(info->net) / 1e6,
           (double)sosie_net_arena_size(info->net) / 1e6);
    printf("nodes      %zu in the file, run in %zu steps\n", s->n_nodes,
           info->n_steps);
    print_kinds(info);
    print_fused(info);
    if (info->profile.n_passes)
        print_profile(info);
}

static json_t *tensor_json(const char *name, const struct sosie_shape *shape)
{
    json_t *dims = json_array();
    for (size_t d = 0; d < shape->rank; d++)
        json_array_append_new(dims,
                              !d && shape->dims[0] == 1
                                  ? json_string("N")
                                  : json_integer((json_int_t)shape->dims[d]));
    return json_pack("{s:s,s:o,s:s}", "name", name, "shape", dims, "type",
                     "float32");
}

static json_t *profile_json(const struct info *info)
{
    const struct profile *p = &info->profile;
    json_t *steps = json_array();
    for (size_t i = 0; i < info->n_steps; i++) {
        struct sosie_net_step_info step = sosie_net_step_info(info->net, i);
        json_array_append_new(
            steps, json_pack("{s:s,s:s,s:s,s:f,s:I}", "node", step.node, "op",
                             sosie_op_name(step.op), "implementation",
                             step.implementation, "ms", p->step_ms[i], "macs",
                             (json_int_t)info->macs[i]));
    }
    return json_pack("{s:f,s:I,s:o}", "ms", p->pass_ms, "passes",
                     (json_int_t)p->n_passes, "steps", steps);
}

static json_t *info_json(const struct info *info)
{
    const struct sosie_graph *graph = sosie_net_graph(info->net);
    const struct sosie_summary *s = &info->summary;
    json_t *inputs = json_array(), *outputs = json_array();
    json_t *ops = json_object(), *all;
    for (size_t k = 0; k < graph->n_inputs; k++) {
        const struct sosie_value *value = &graph->values[graph->inputs[k]];
        json_array_append_new(inputs, tensor_json(value->name, &value->shape));
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        json_array_append_new(
            outputs, tensor_json(info->network.onnx.outputs[k].name,
                                 &graph->values[graph->outputs[k]].shape));
    for (size_t i = 0; i < info->n_kinds; i++)
        json_object_set_new(
            ops, info->kinds[i].op,
            json_pack("{s:I,s:I}", "nodes", (json_int_t)info->kinds[i].n_nodes,
                      "steps", (json_int_t)info->kinds[i].n_steps));
    all = json_pack(
        "{s:o,s:o,s:I,s:I,s:I,s:s,s:b,s:I,s:I,s:I,s:I,s:o,s:o}", "inputs",
        inputs, "outputs", outputs, "opset", (json_int_t)s->opset, "parameters",
        (json_int_t)s->n_parameters, "macs", (json_int_t)s->macs, "precision",
        sosie_precision_name(info->network.options.precision), "auto",
        info->automatic, "weights_bytes",
        (json_int_t)sosie_net_parameters_size(info->net), "arena_bytes",
        (json_int_t)sosie_net_arena_size(info->net), "nodes",
        (json_int_t)s->n_nodes, "steps", (json_int_t)info->n_steps, "ops", ops,
        "fused", fused_json(info));
    if (all && info->profile.n_passes)
        json_object_set_new(all, "profile", profile_json(info));
    return all;
}

/* ---- the command --------------------------------------------------------- */

/* Every output of the file. */
static enum sosie_status load(struct info *info,
                              const struct sosie_net_options *options,
                              struct sosie_error *err)
{
    enum sosie_status st =
        sosie_network_read(info->path, options, &info->network, err);
    if (st)
        return st;
    for (size_t i = 0; i < info->network.onnx.n_outputs && !st; i++)
        st = sosie_network_add_output(&info->network, i, err);
    if (!st)
        st =
            sosie_summary_of(&info->network, &info->arena, &info->summary, err);
    if (!st)
        st = sosie_network_make(&info->network, &info->net, err);
    if (st)
        sosie_error_prefix(err, "%s", info->path);
    return st ? st : count_steps(info, err);
}

static int run(struct info *info, const struct sosie_net_options *options,
               bool profiling, bool json)
{
    struct sosie_error err;
    bool printed = true;
    enum sosie_status st = load(info, options, &err);
    if (!st && profiling)
        st = profile(info, &err);
    if (!st && json)
        printed = cli_print_json(info_json(info));
    else if (!st)
        print_text(info);
    sosie_network_release(&info->network);
    sosie_net_destroy(info->net);
    sosie_arena_release(&info->arena);
    if (st)
        return cli_fail(&err);
    return printed ? cli_finish_output() : EXIT_FAILED;
}

int cli_model_info(int argc, char **argv)
{
    static const struct option longs[] = {
        {"precision", required_argument, NULL, 'p'},
        {"cpu", required_argument, NULL, 'c'},
        {"profile", no_argument, NULL, 'P'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    static const char name[] = "model info";
    struct sosie_net_options options = {.ops = &sosie_ops_onednn,
                                        .precision = SOSIE_PRECISION_AUTO};
    struct info info = {.arena = SOSIE_ARENA_INIT};
    bool profiling = false, json = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (!cli_precision(name, optarg, &options.precision))
                return EXIT_USAGE;
            break;
        case 'c':
            if (!cli_cpu(name, optarg, &options))
                return EXIT_USAGE;
            break;
        case 'P':
            profiling = true;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return cli_finish_output();
        default:
            return cli_bad_option(name, option, argv);
        }
    }
    if (argc - optind != 1)
        return cli_usage(name, "needs one FILE");
    info.path = argv[optind];
    info.automatic = options.precision == SOSIE_PRECISION_AUTO;
    return run(&info, &options, profiling, json);
}
