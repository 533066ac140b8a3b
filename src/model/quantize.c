/* quantize.c: the steps of quantisation, in their order.
 *
 * The file is read anew for each pass over the photos, since a net takes its
 * graph over; reading and simplifying it gives the same values under the same
 * numbers each time. */
#include "model/quantize_private.h"

#include "model/network.h"
#include "model/onnx.pb-c.h"
#include "model/onnx_write.h"

#include <stdlib.h>
#include <string.h>

struct sosie_quantizer {
    char *path;
    struct sosie_quantizer_options options;
    struct sosie_network network; /* as it is quantised */
    size_t n_values; /* of it when it was read; equalising adds some */
    struct sosie_input input;
    struct sosie_qphotos photos;
    struct sosie_qplan plan;
    struct sosie_qstats *stats;  /* of the plan's values */
    const float *const *factors; /* NULL: not equalised */
    struct sosie_quantizer_info info;
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
    st = sosie_network_own(network, err);
    if (!st && sosie_graph_is_quantized(&network->onnx.graph))
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
static enum sosie_status read_again(const struct sosie_quantizer *q,
                                    struct sosie_network *network,
                                    struct sosie_error *err)
{
    const struct sosie_graph *first = &q->network.onnx.graph;
    enum sosie_status st = read_graph(q->path, network, err);
    if (st)
        return st;
    if (memcmp(&network->digest, &q->network.digest, sizeof(network->digest)) !=
            0 ||
        network->onnx.graph.n_nodes != first->n_nodes ||
        network->onnx.graph.n_values != q->n_values)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "%s: the file changed while it was quantised",
                          q->path);
    return SOSIE_OK;
}

/* ---- calibration --------------------------------------------------------- */

static enum sosie_status collect(struct sosie_quantizer *q, bool histograms,
                                 struct sosie_error *err)
{
    struct sosie_network network = {0};
    struct sosie_graph *graph = &network.onnx.graph;
    enum sosie_status st = read_again(q, &network, err);
    if (!st && q->factors)
        st = sosie_q_apply_factors(graph, q->factors, err);
    if (!st)
        st = sosie_qstats_collect(&q->plan, graph, &q->photos, histograms,
                                  &q->options, q->stats, err);
    sosie_network_release(&network);
    return st;
}

static enum sosie_status equalise(struct sosie_quantizer *q,
                                  struct sosie_error *err)
{
    enum sosie_status st = sosie_q_equalise(&q->plan, q->stats, &q->factors,
                                            &q->info.n_equalised, err);
    return st ? st
              : sosie_q_apply_factors(&q->network.onnx.graph, q->factors, err);
}

enum sosie_status sosie_quantizer_calibrate(struct sosie_quantizer *q,
                                            bool equalised,
                                            struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    if (equalised && !q->factors)
        st = equalise(q, err);
    for (size_t i = 0; i < q->plan.n_values && !st; i++)
        sosie_qstats_clear(&q->stats[i]);
    return st ? st : collect(q, true, err);
}

/* ---- scales -------------------------------------------------------------- */

/* One scale for each group of tensors. */
static enum sosie_status find_scales(struct sosie_quantizer *q,
                                     enum sosie_range_method method,
                                     struct sosie_qscale **scales,
                                     struct sosie_error *err)
{
    struct sosie_qplan *plan = &q->plan;
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
                members[n++] = &q->stats[k];
        (*scales)[i] = sosie_q_scale(members, n, method);
        for (size_t k = i + 1; k < plan->n_values; k++)
            if (plan->group[plan->values[k]] == group)
                (*scales)[k] = (*scales)[i];
    }
    return SOSIE_OK;
}

/* ---- the file ------------------------------------------------------------ */

/* Outputs and metadata as they were. */
static enum sosie_status write_graph(struct sosie_quantizer *q,
                                     const struct sosie_graph *graph,
                                     unsigned char **bytes, size_t *size,
                                     struct sosie_error *err)
{
    const struct sosie_onnx *onnx = &q->network.onnx;
    const struct Onnx__ModelProto *message = onnx->message;
    size_t n_metadata = message->n_metadata_props;
    struct sosie_onnx_output *outputs =
        sosie_arena_alloc(&q->plan.arena, onnx->n_outputs, sizeof(*outputs));
    struct sosie_onnx_property *metadata =
        sosie_arena_alloc(&q->plan.arena, n_metadata + 1, sizeof(*metadata));
    struct sosie_onnx_names names = {.outputs = outputs,
                                     .n_outputs = onnx->n_outputs,
                                     .metadata = metadata,
                                     .n_metadata = n_metadata};
    if (!outputs || !metadata)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the file's names");
    for (size_t i = 0; i < onnx->n_outputs; i++)
        outputs[i] = (struct sosie_onnx_output){onnx->outputs[i].name,
                                                graph->outputs[i]};
    for (size_t i = 0; i < n_metadata; i++) {
        const Onnx__StringStringEntryProto *entry = message->metadata_props[i];
        metadata[i].key = entry->key ? entry->key : "";
        metadata[i].value = entry->value ? entry->value : "";
    }
    return sosie_onnx_write(graph, &names, bytes, size, err);
}

enum sosie_status sosie_quantizer_write(struct sosie_quantizer *q,
                                        enum sosie_range_method method,
                                        unsigned char **bytes, size_t *size,
                                        struct sosie_error *err)
{
    struct sosie_graph graph = {0};
    struct sosie_qscale *scales;
    enum sosie_status st = find_scales(q, method, &scales, err);
    if (!st)
        st = sosie_q_insert(&q->plan, q->stats, scales, &graph, err);
    if (!st)
        st = write_graph(q, &graph, bytes, size, err);
    sosie_graph_release(&graph);
    return st;
}

/* ---- create -------------------------------------------------------------- */

static void describe(struct sosie_quantizer *q)
{
    q->info.n_tensors = q->plan.n_values;
    for (size_t i = 0; i < q->plan.graph->n_nodes; i++) {
        q->info.n_weights += q->plan.roles[i] == SOSIE_Q_WEIGHTS;
        q->info.n_float += q->plan.roles[i] == SOSIE_Q_FLOAT;
    }
}

/* Up to the first pass over the photos. */
static enum sosie_status prepare(struct sosie_quantizer *q,
                                 struct sosie_error *err)
{
    struct sosie_onnx *onnx = &q->network.onnx;
    enum sosie_status st;
    if ((st = read_graph(q->path, &q->network, err)) ||
        (st = sosie_input_read(onnx, &q->input, err)) ||
        (st = sosie_qplan_make(&onnx->graph, &q->plan, err)) ||
        (st = sosie_qstats_create(&q->plan, &q->stats, err)))
        return st;
    q->n_values = onnx->graph.n_values;
    q->photos.input = &q->input;
    describe(q);
    return collect(q, false, err);
}

enum sosie_status
sosie_quantizer_create(const char *path, const uint8_t *const *rgb, size_t n,
                       const struct sosie_quantizer_options *options,
                       struct sosie_quantizer **out, struct sosie_error *err)
{
    struct sosie_quantizer *q;
    enum sosie_status st;
    if (n < SOSIE_QUANTIZER_MIN_PHOTOS)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu photos to calibrate on; at least %d are needed",
                          n, SOSIE_QUANTIZER_MIN_PHOTOS);
    q = calloc(1, sizeof(*q));
    if (!q || !(q->path = strdup(path))) {
        free(q);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a quantizer");
    }
    q->options = *options;
    q->photos = (struct sosie_qphotos){.rgb = rgb, .n = n};
    st = prepare(q, err);
    if (st) {
        sosie_quantizer_destroy(q);
        return st;
    }
    *out = q;
    return SOSIE_OK;
}

void sosie_quantizer_destroy(struct sosie_quantizer *q)
{
    if (!q)
        return;
    sosie_qplan_release(&q->plan);
    sosie_network_release(&q->network);
    free(q->path);
    free(q);
}

struct sosie_quantizer_info
sosie_quantizer_info(const struct sosie_quantizer *q)
{
    return q->info;
}
