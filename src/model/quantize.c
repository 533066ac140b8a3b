/* quantize.c: the steps of quantisation, in their order.
 *
 * The file is read anew for each pass over the photos, since a net takes its
 * graph over; reading and simplifying it gives the same values under the same
 * numbers each time. */
#include "model/quantize_private.h"

#include "model/network.h"
#include "model/onnx.pb-c.h"
#include "model/onnx_write.h"

#include <string.h>

struct sosie_quantize_options sosie_quantize_options_defaults(void)
{
    return (struct sosie_quantize_options){.method = SOSIE_RANGE_PERCENTILE,
                                           .equalise = true,
                                           .correct_biases = true,
                                           .n_threads = 1};
}

struct task {
    const char *path;
    const struct sosie_quantize_options *options;
    struct sosie_network network; /* as it is quantised */
    struct sosie_input input;
    struct sosie_qphotos photos;
    size_t n_values; /* of the network as it was read; equalising adds some */
    struct sosie_qplan plan;
    struct sosie_qstats *stats;  /* of the plan's values */
    const float *const *factors; /* NULL: not equalised */
    struct sosie_graph quantised;
};

/* ---- reading ------------------------------------------------------------- */

static enum sosie_status pick_outputs(struct sosie_onnx *onnx,
                                      struct sosie_error *err)
{
    if (onnx->n_outputs > SOSIE_MAX_OUTPUTS)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu outputs; at most %d are supported",
                          onnx->n_outputs, SOSIE_MAX_OUTPUTS);
    for (size_t i = 0; i < onnx->n_outputs; i++)
        onnx->graph.outputs[i] = onnx->outputs[i].value;
    onnx->graph.n_outputs = onnx->n_outputs;
    return SOSIE_OK;
}

static enum sosie_status read_graph(const char *path,
                                    struct sosie_network *network,
                                    struct sosie_error *err)
{
    static const struct sosie_net_options options = {
        .ops = &sosie_ops_onednn, .precision = SOSIE_PRECISION_F32};
    enum sosie_status st = sosie_network_read(path, &options, network, err);
    if (st)
        return st;
    if (sosie_graph_is_quantized(&network->onnx.graph))
        st = sosie_fail(err, SOSIE_REFUSED,
                        "the network is quantised already; the one it was "
                        "made from, in float32, is needed");
    if (!st)
        st = pick_outputs(&network->onnx, err);
    if (!st)
        st = sosie_graph_simplify(&network->onnx.graph, err);
    if (st)
        sosie_error_prefix(err, "%s", path);
    return st;
}

/* The same again: its values must be those of the plan. */
static enum sosie_status read_again(const struct task *task,
                                    struct sosie_network *network,
                                    struct sosie_error *err)
{
    const struct sosie_graph *first = &task->network.onnx.graph;
    enum sosie_status st = read_graph(task->path, network, err);
    if (st)
        return st;
    if (memcmp(&network->digest, &task->network.digest,
               sizeof(network->digest)) != 0 ||
        network->onnx.graph.n_nodes != first->n_nodes ||
        network->onnx.graph.n_values != task->n_values)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "%s: the file changed while it was quantised",
                          task->path);
    return SOSIE_OK;
}

/* ---- calibration --------------------------------------------------------- */

static enum sosie_status collect(struct task *task, bool histograms,
                                 struct sosie_error *err)
{
    struct sosie_network network = {0};
    struct sosie_graph *graph = &network.onnx.graph;
    enum sosie_status st = read_again(task, &network, err);
    if (!st && task->factors)
        st = sosie_q_apply_factors(graph, task->factors, err);
    if (!st)
        st = sosie_qstats_collect(&task->plan, graph, &task->photos, histograms,
                                  task->options, task->stats, err);
    sosie_network_release(&network);
    return st;
}

static enum sosie_status calibrate(struct task *task,
                                   struct sosie_quantize_report *report,
                                   struct sosie_error *err)
{
    enum sosie_status st = sosie_qstats_create(&task->plan, &task->stats, err);
    if (!st)
        st = collect(task, false, err);
    for (size_t i = 0; i < task->plan.n_values && !st; i++)
        sosie_qstats_span(&task->stats[i]);
    if (!st && task->options->equalise)
        st = sosie_q_equalise(&task->plan, task->stats, &task->factors,
                              &report->n_equalised, err);
    if (!st && task->factors)
        st = sosie_q_apply_factors(&task->network.onnx.graph, task->factors,
                                   err);
    for (size_t i = 0; i < task->plan.n_values && !st; i++)
        sosie_qstats_span(&task->stats[i]);
    return st ? st : collect(task, true, err);
}

/* ---- scales -------------------------------------------------------------- */

/* One scale for each group of tensors. */
static enum sosie_status find_scales(struct task *task,
                                     struct sosie_qscale **scales,
                                     struct sosie_error *err)
{
    struct sosie_qplan *plan = &task->plan;
    const struct sosie_qstats **members =
        sosie_arena_alloc(&plan->arena, plan->n_values, sizeof(*members));
    *scales = sosie_arena_alloc(&plan->arena, plan->n_values, sizeof(**scales));
    if (!members || !*scales)
        return sosie_fail(err, SOSIE_NO_MEMORY, "scales");
    for (size_t i = 0; i < plan->n_values; i++) {
        sosie_value_id group = plan->group[plan->values[i]];
        size_t n = 0;
        if ((*scales)[i].scale > 0.0F)
            continue;
        for (size_t k = i; k < plan->n_values; k++)
            if (plan->group[plan->values[k]] == group)
                members[n++] = &task->stats[k];
        (*scales)[i] = sosie_q_scale(members, n, task->options->method);
        for (size_t k = i + 1; k < plan->n_values; k++)
            if (plan->group[plan->values[k]] == group)
                (*scales)[k] = (*scales)[i];
    }
    return SOSIE_OK;
}

/* ---- the file ------------------------------------------------------------ */

/* Outputs and metadata as they were. */
static enum sosie_status write_file(struct task *task, unsigned char **out,
                                    size_t *out_size, struct sosie_error *err)
{
    const struct Onnx__ModelProto *message = task->network.onnx.message;
    struct sosie_arena *arena = &task->plan.arena;
    size_t n_outputs = task->network.onnx.n_outputs;
    size_t n_metadata = message->n_metadata_props;
    struct sosie_onnx_output *outputs =
        sosie_arena_alloc(arena, n_outputs, sizeof(*outputs));
    struct sosie_onnx_property *metadata =
        sosie_arena_alloc(arena, n_metadata + 1, sizeof(*metadata));
    struct sosie_onnx_names names = {.outputs = outputs,
                                     .n_outputs = n_outputs,
                                     .metadata = metadata,
                                     .n_metadata = n_metadata};
    if (!outputs || !metadata)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the file's names");
    for (size_t i = 0; i < n_outputs; i++)
        outputs[i] = (struct sosie_onnx_output){
            task->network.onnx.outputs[i].name, task->quantised.outputs[i]};
    for (size_t i = 0; i < n_metadata; i++) {
        const Onnx__StringStringEntryProto *entry = message->metadata_props[i];
        metadata[i].key = entry->key ? entry->key : "";
        metadata[i].value = entry->value ? entry->value : "";
    }
    return sosie_onnx_write(&task->quantised, &names, out, out_size, err);
}

/* ---- the whole ----------------------------------------------------------- */

static void describe(const struct sosie_qplan *plan,
                     struct sosie_quantize_report *report)
{
    report->n_tensors = plan->n_values;
    for (size_t i = 0; i < plan->graph->n_nodes; i++) {
        report->n_weights += plan->roles[i] == SOSIE_Q_WEIGHTS;
        report->n_float += plan->roles[i] == SOSIE_Q_FLOAT;
    }
}

static enum sosie_status check_photos(size_t n, struct sosie_error *err)
{
    if (n >= SOSIE_QUANTIZE_MIN_PHOTOS)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "%zu photos to calibrate on; at least %d are needed", n,
                      SOSIE_QUANTIZE_MIN_PHOTOS);
}

enum sosie_status
sosie_model_quantize(const char *path, const uint8_t *const *rgb, size_t n,
                     const struct sosie_quantize_options *options,
                     unsigned char **out, size_t *out_size,
                     struct sosie_quantize_report *report,
                     struct sosie_error *err)
{
    struct task task = {.path = path, .options = options};
    struct sosie_onnx *onnx = &task.network.onnx;
    struct sosie_quantize_report made = {0};
    struct sosie_qscale *scales = NULL;
    enum sosie_status st = check_photos(n, err);
    if (st || (st = read_graph(path, &task.network, err)) ||
        (st = sosie_input_read(onnx, &task.input, err)) ||
        (st = sosie_qplan_make(&onnx->graph, &task.plan, err)))
        goto out;
    task.n_values = onnx->graph.n_values;
    describe(&task.plan, &made);
    task.photos = (struct sosie_qphotos){
        .input = &task.input, .rgb = rgb, .n = n, .n_all = 2 * n};
    if ((st = calibrate(&task, &made, err)) ||
        (st = find_scales(&task, &scales, err)) ||
        (st = sosie_q_insert(&task.plan, task.stats, scales,
                             options->correct_biases, &task.quantised, err)))
        goto out;
    st = write_file(&task, out, out_size, err);
    if (!st)
        *report = made;
out:
    sosie_graph_release(&task.quantised);
    sosie_qplan_release(&task.plan);
    sosie_network_release(&task.network);
    return st;
}
