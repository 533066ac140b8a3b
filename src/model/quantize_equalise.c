/* quantize_equalise.c: channels of a tensor are brought to one range.
 *
 * A tensor has one scale, so a channel whose numbers stay small is left with
 * few of the 256 steps; depthwise networks lose most of their precision there.
 * But what makes a channel may multiply it, and what reads it divide it again,
 * without the network changing: for weights that costs little or nothing,
 * since they have a scale a channel. That is cross-layer equalisation (Nagel et
 * al., "Data-Free Quantization Through Weight Equalization and Bias
 * Correction", 2019), with two differences:
 *
 * - the ranges are those of activations on photos, as SmoothQuant (Xiao et al.,
 *   2022) has them, so that a Clip's bound can be kept: no channel is raised
 *   beyond it;
 * - a *stream* is equalised as a whole: all tensors that share their channels
 *   through sums, pools and Relu, a residual stream for example.
 *
 * Every maker of a stream is a convolution or Gemm, and so is every reader that
 * is not part of it. */
#include "model/quantize_private.h"

#include <math.h>
#include <string.h>

/* Channels are raised by no more than this: one that was almost silent on these
 * photos may speak up on others. */
static const float MAX_FACTOR = 16.0F;
/* How far towards the full range, for readers that mix channels: the weights'
 * own rounding grows with what the activations' shrinks. */
static const float SHARE = 0.25F;

struct streams {
    struct sosie_qplan *plan;
    sosie_value_id *stream; /* of each value: one that stands for it */
    bool *is_fixed;         /* of each stream: it can't be changed */
    bool *is_mixed;         /* of each stream: a reader mixes its channels */
    float **factors;        /* of each stream, then of each value */
};

static sosie_value_id stream_of(const struct streams *streams,
                                sosie_value_id id)
{
    while (streams->stream[id] != id)
        id = streams->stream[id];
    return id;
}

/* ---- which values are one stream ----------------------------------------- */

static size_t channels_of(const struct sosie_graph *graph, sosie_value_id id)
{
    const struct sosie_shape *shape = &graph->values[id].shape;
    return shape->rank ? shape->dims[sosie_q_channel_axis(shape)] : 0;
}

/* One pixel: its channels are all there is, whatever the shape. */
static bool is_view_of_channels(const struct sosie_graph *graph,
                                const struct sosie_node *node)
{
    size_t channels = channels_of(graph, node->inputs[0]);
    return (node->op == SOSIE_OP_FLATTEN || node->op == SOSIE_OP_RESHAPE) &&
           channels == channels_of(graph, node->output) &&
           channels == sosie_shape_count(&graph->values[node->output].shape);
}

/* f(a * x) = a * f(x) for a > 0, channel by channel. A Clip's upper bound does
 * not matter as long as no channel is raised beyond what its tensor held; so it
 * must be known what that is. */
static bool passes_channels(const struct sosie_qplan *plan,
                            const struct sosie_node *node)
{
    const struct sosie_graph *graph = plan->graph;
    const struct sosie_value *x = sosie_node_input(graph, node, 0);
    switch ((int)node->op) {
    case SOSIE_OP_RELU:
    case SOSIE_OP_LEAKY_RELU:
        return x->shape.rank == 4 || x->shape.rank == 2;
    case SOSIE_OP_CLIP:
        return !(node->act.a < 0.0F) && !(node->act.a > 0.0F) &&
               plan->is_quantised[node->output];
    case SOSIE_OP_MAX_POOL:
    case SOSIE_OP_AVERAGE_POOL:
    case SOSIE_OP_GLOBAL_AVERAGE_POOL:
    case SOSIE_OP_GLOBAL_MAX_POOL:
        return x->shape.rank == 4;
    case SOSIE_OP_ADD:
        return sosie_shape_equal(&x->shape,
                                 &sosie_node_input(graph, node, 1)->shape);
    default:
        return is_view_of_channels(graph, node);
    }
}

static void join(struct streams *streams, sosie_value_id a, sosie_value_id b)
{
    a = stream_of(streams, a);
    b = stream_of(streams, b);
    streams->is_fixed[b] = streams->is_fixed[b] || streams->is_fixed[a];
    streams->is_mixed[b] = streams->is_mixed[b] || streams->is_mixed[a];
    streams->stream[a] = b;
}

static void fix(struct streams *streams, sosie_value_id id)
{
    if (id != SOSIE_NO_VALUE)
        streams->is_fixed[stream_of(streams, id)] = true;
}

static bool is_depthwise(const struct sosie_graph *graph,
                         const struct sosie_node *node)
{
    return node->op == SOSIE_OP_CONV &&
           node->conv.group == channels_of(graph, node->inputs[0]);
}

/* A MatMul's weights are not a stream's: what comes with them (sums with
 * constants) is not known here. */
static void find_streams(struct streams *streams)
{
    const struct sosie_qplan *plan = streams->plan;
    const struct sosie_graph *graph = plan->graph;
    for (size_t v = 0; v < graph->n_values; v++) {
        streams->stream[v] = (sosie_value_id)v;
        streams->is_fixed[v] = graph->values[v].data || plan->is_output[v];
    }
    for (size_t k = 0; k < graph->n_inputs; k++)
        streams->is_fixed[graph->inputs[k]] = true;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        if (plan->roles[i] == SOSIE_Q_WEIGHTS && node->op != SOSIE_OP_MATMUL) {
            if (!is_depthwise(graph, node))
                streams->is_mixed[stream_of(streams, node->inputs[0])] = true;
        } else if (passes_channels(plan, node)) {
            size_t n = node->op == SOSIE_OP_ADD ? 2 : 1;
            for (size_t k = 0; k < n; k++)
                join(streams, node->inputs[k], node->output);
        } else {
            for (size_t k = 0; k < node->n_inputs; k++)
                fix(streams, node->inputs[k]);
            fix(streams, node->output);
        }
    }
}

/* ---- factors ------------------------------------------------------------- */

/* How far a channel of these statistics may be raised. */
static float room(const struct sosie_qstats *stats, size_t c)
{
    float factor = MAX_FACTOR;
    if (stats->highs[c] > 0.0F)
        factor = fminf(factor, stats->high / stats->highs[c]);
    if (stats->lows[c] < 0.0F)
        factor = fminf(factor, stats->low / stats->lows[c]);
    return factor;
}

/* A channel is raised until it, in one of the tensors of the stream, has the
 * range of the whole tensor. */
static enum sosie_status find_factors(struct streams *streams,
                                      const struct sosie_qstats *stats,
                                      size_t *n_streams,
                                      struct sosie_error *err)
{
    struct sosie_qplan *plan = streams->plan;
    for (size_t i = 0; i < plan->n_values; i++) {
        sosie_value_id stream = stream_of(streams, plan->values[i]);
        size_t n = stats[i].n_channels;
        float *factors = streams->factors[stream];
        if (streams->is_fixed[stream])
            continue;
        if (!factors) {
            factors = sosie_arena_alloc(&plan->arena, n, sizeof(*factors));
            if (!factors)
                return sosie_fail(err, SOSIE_NO_MEMORY, "factors of channels");
            for (size_t c = 0; c < n; c++)
                factors[c] = MAX_FACTOR;
            streams->factors[stream] = factors;
            ++*n_streams;
        }
        for (size_t c = 0; c < n; c++)
            factors[c] = fminf(factors[c], room(&stats[i], c));
    }
    return SOSIE_OK;
}

/* Gives each value the factors of its stream. */
static void spread_factors(struct streams *streams)
{
    const struct sosie_graph *graph = streams->plan->graph;
    for (size_t v = 0; v < graph->n_values; v++) {
        float *factors = streams->factors[v];
        if (streams->stream[v] != v || !factors || !streams->is_mixed[v])
            continue;
        for (size_t c = 0; c < channels_of(graph, (sosie_value_id)v); c++)
            factors[c] = powf(factors[c], SHARE);
    }
    for (size_t v = 0; v < graph->n_values; v++)
        streams->factors[v] =
            streams->factors[stream_of(streams, (sosie_value_id)v)];
}

static void raise_ranges(const struct sosie_qplan *plan, float *const *factors,
                         struct sosie_qstats *stats)
{
    for (size_t i = 0; i < plan->n_values; i++) {
        const float *f = factors[plan->values[i]];
        for (size_t c = 0; f && c < stats[i].n_channels; c++) {
            stats[i].lows[c] *= f[c];
            stats[i].highs[c] *= f[c];
        }
    }
}

enum sosie_status sosie_q_equalise(struct sosie_qplan *plan,
                                   struct sosie_qstats *stats,
                                   const float *const **factors,
                                   size_t *n_streams, struct sosie_error *err)
{
    size_t n = plan->graph->n_values;
    struct streams streams = {
        .plan = plan,
        .stream = sosie_arena_alloc(&plan->arena, n, sizeof(sosie_value_id)),
        .is_fixed = sosie_arena_alloc(&plan->arena, n, sizeof(bool)),
        .is_mixed = sosie_arena_alloc(&plan->arena, n, sizeof(bool)),
        .factors = sosie_arena_alloc(&plan->arena, n, sizeof(float *))};
    enum sosie_status st;
    if (!streams.stream || !streams.is_fixed || !streams.is_mixed ||
        !streams.factors)
        return sosie_fail(err, SOSIE_NO_MEMORY, "streams of channels");
    *n_streams = 0;
    find_streams(&streams);
    st = find_factors(&streams, stats, n_streams, err);
    if (st)
        return st;
    spread_factors(&streams);
    raise_ranges(plan, streams.factors, stats);
    *factors = (const float *const *)streams.factors;
    return SOSIE_OK;
}

/* ---- weights ------------------------------------------------------------- */

/* A copy of a constant that may be changed. */
static enum sosie_status own(struct sosie_graph *graph, sosie_value_id *id,
                             float **data, struct sosie_error *err)
{
    struct sosie_value value = graph->values[*id];
    size_t n = sosie_shape_count(&value.shape);
    *data = sosie_arena_alloc(&graph->arena, n, sizeof(float));
    if (!*data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "equalised weights");
    memcpy(*data, value.data, n * sizeof(float));
    value.data = *data;
    return sosie_graph_add_value(graph, &value, id, err);
}

/* Channel o of the result is made `made[o]` times, from channels of the input
 * that are `read[i]` times what they were. */
static enum sosie_status scale_conv(struct sosie_graph *graph,
                                    struct sosie_node *node, const float *made,
                                    const float *read, struct sosie_error *err)
{
    const struct sosie_shape w_shape =
        sosie_node_input(graph, node, SOSIE_CONV_W)->shape;
    size_t filters = w_shape.dims[0], depth = w_shape.dims[1];
    size_t inner = sosie_shape_product(&w_shape, 2, w_shape.rank);
    size_t per_group = filters / node->conv.group;
    float *w;
    enum sosie_status st = own(graph, &node->inputs[SOSIE_CONV_W], &w, err);
    for (size_t o = 0; o < filters && !st; o++)
        for (size_t i = 0; i < depth; i++) {
            float f = made ? made[o] : 1.0F;
            if (read)
                f /= read[o / per_group * depth + i];
            for (size_t k = 0; k < inner; k++)
                w[(o * depth + i) * inner + k] *= f;
        }
    return st;
}

static enum sosie_status scale_gemm(struct sosie_graph *graph,
                                    struct sosie_node *node, const float *made,
                                    const float *read, struct sosie_error *err)
{
    const struct sosie_shape shape =
        sosie_node_input(graph, node, SOSIE_GEMM_B)->shape;
    float *w;
    enum sosie_status st = own(graph, &node->inputs[SOSIE_GEMM_B], &w, err);
    for (size_t r = 0; r < shape.dims[0] && !st; r++)
        for (size_t c = 0; c < shape.dims[1]; c++) {
            size_t o = node->gemm.trans_b ? r : c;
            size_t i = node->gemm.trans_b ? c : r;
            w[r * shape.dims[1] + c] *=
                (made ? made[o] : 1.0F) / (read ? read[i] : 1.0F);
        }
    return st;
}

static enum sosie_status scale_bias(struct sosie_graph *graph,
                                    struct sosie_node *node, const float *made,
                                    struct sosie_error *err)
{
    const struct sosie_value *b = sosie_node_input(graph, node, 2);
    size_t n = b ? sosie_shape_count(&b->shape) : 0;
    float *data = NULL;
    enum sosie_status st = SOSIE_OK;
    if (b && made)
        st = own(graph, &node->inputs[2], &data, err);
    for (size_t o = 0; o < n && data && !st; o++)
        data[o] *= made[o];
    return st;
}

enum sosie_status sosie_q_apply_factors(struct sosie_graph *graph,
                                        const float *const *factors,
                                        struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        struct sosie_node *node = &graph->nodes[i];
        const float *made = factors[node->output];
        const float *read = factors[node->inputs[0]];
        if ((!made && !read) ||
            (node->op != SOSIE_OP_CONV && node->op != SOSIE_OP_GEMM))
            continue;
        st = node->op == SOSIE_OP_CONV
                 ? scale_conv(graph, node, made, read, err)
                 : scale_gemm(graph, node, made, read, err);
        if (!st)
            st = scale_bias(graph, node, made, err);
    }
    return st;
}
