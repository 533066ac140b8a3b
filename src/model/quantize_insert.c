/* quantize_insert.c: the graph again, with weights in int8 and pairs of
 * QuantizeLinear and DequantizeLinear where the plan wants them.
 *
 *   x -> Q -> DQ -> Conv -> Relu -> Q -> DQ -> ...
 *                    ^ weights: int8 -> DQ, bias: int32 -> DQ
 *
 * One pair serves all readers of a tensor. */
#include "model/quantize_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct insertion {
    const struct sosie_qplan *plan;
    const struct sosie_qstats *stats;
    const struct sosie_qscale *scales;
    struct sosie_graph *out;
    sosie_value_id *plain; /* of each value of the old graph: the same value */
    sosie_value_id *pair;  /* what stands behind its pair */
};

/* ---- pieces -------------------------------------------------------------- */

static void *alloc(struct insertion *in, size_t n, size_t size)
{
    return sosie_arena_alloc(&in->out->arena, n ? n : 1, size);
}

static enum sosie_status no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "the quantised network");
}

/* "<name>/<what>" */
static const char *derived(struct insertion *in, const char *name,
                           const char *what)
{
    return sosie_arena_printf(&in->out->arena, "%s/%s", name, what);
}

/* QUANTIZE or DEQUANTIZE of `from`, all of one scale. */
static enum sosie_status add_step(struct insertion *in, enum sosie_op op,
                                  const char *name,
                                  const struct sosie_qscale *scale,
                                  sosie_value_id from, sosie_value_id *to,
                                  struct sosie_error *err)
{
    struct sosie_node node = {
        .name = name, .op = op, .n_inputs = 1, .inputs = {from}};
    float *scales = alloc(in, 1, sizeof(*scales));
    int32_t *zeros = alloc(in, 1, sizeof(*zeros));
    if (!name || !scales || !zeros)
        return no_memory(err);
    *scales = scale->scale;
    *zeros = scale->zero;
    node.quantize.quant = (struct sosie_quant){0, 1, scales, zeros};
    node.quantize.dtype = SOSIE_U8;
    return sosie_graph_add_node(in->out, &node, name, to, err);
}

static enum sosie_status add_pair(struct insertion *in, sosie_value_id old,
                                  struct sosie_error *err)
{
    const char *name = in->plan->graph->values[old].name;
    const struct sosie_qscale *scale = &in->scales[in->plan->place[old]];
    sosie_value_id bytes;
    enum sosie_status st =
        add_step(in, SOSIE_OP_QUANTIZE, derived(in, name, "quantized"), scale,
                 in->plain[old], &bytes, err);
    return st ? st
              : add_step(in, SOSIE_OP_DEQUANTIZE,
                         derived(in, name, "dequantized"), scale, bytes,
                         &in->pair[old], err);
}

/* Integers behind a DequantizeLinear with n scales along `axis`. */
static enum sosie_status add_constant(struct insertion *in, const char *name,
                                      const struct sosie_value *value,
                                      size_t axis, size_t n,
                                      const float *scales, sosie_value_id *id,
                                      struct sosie_error *err)
{
    struct sosie_value constant = *value;
    struct sosie_node node = {
        .op = SOSIE_OP_DEQUANTIZE, .n_inputs = 1, .name = name};
    int32_t *zeros = alloc(in, n, sizeof(*zeros));
    enum sosie_status st;
    constant.name = name ? derived(in, name, "integers") : NULL;
    if (!constant.name || !zeros)
        return no_memory(err);
    st = sosie_graph_add_value(in->out, &constant, &node.inputs[0], err);
    node.quantize.quant = (struct sosie_quant){axis, n, scales, zeros};
    node.quantize.dtype = value->dtype;
    return st ? st : sosie_graph_add_node(in->out, &node, name, id, err);
}

/* ---- weights ------------------------------------------------------------- */

/* Weights of one node: element (channel, i) of the matrix they are, whose rows
 * are the channels of the result, stands at channel * row + i * step. */
struct weights {
    const float *w, *bias; /* bias may be NULL */
    size_t n_channels, length, row, step;
    int8_t *q;
    float *scales; /* of the weights */
    float *sums;   /* of the biases: scale of the input * that of the weights */
    int32_t *biases;
};

static size_t place_of(const struct weights *w, size_t channel, size_t i)
{
    /* A column of a (K, N) matrix, or a row of anything else. */
    return channel * w->row + i * w->step;
}

/* The scale with which the largest weight becomes 127; and large enough for
 * the bias, in units of it and the input's, to be an int32. */
static float weight_scale(const struct weights *w, size_t channel,
                          float x_scale)
{
    float most = 0.0F, least = 0x1p-24F;
    for (size_t i = 0; i < w->length; i++)
        most = fmaxf(most, fabsf(w->w[place_of(w, channel, i)]));
    if (w->bias)
        least = fmaxf(least, fabsf(w->bias[channel]) / x_scale * 0x1p-30F);
    return fmaxf(most / 127.0F, least);
}

static int8_t to_int8(float x)
{
    long q = lrintf(x);
    return (int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
}

/* What rounding the weights of a channel takes from the mean of its result. */
static double lost_mean(const struct sosie_node *node, const struct weights *w,
                        size_t channel, const float *means)
{
    size_t inner = 1, first = 0;
    double lost = 0.0;
    if (node->op == SOSIE_OP_CONV) {
        size_t per_group = w->n_channels / node->conv.group;
        inner = node->conv.window.kernel[0] * node->conv.window.kernel[1];
        first = channel / per_group * (w->length / inner);
    }
    for (size_t i = 0; i < w->length; i++) {
        size_t at = place_of(w, channel, i);
        float kept = (float)w->q[at] * w->scales[channel];
        lost += ((double)w->w[at] - (double)kept) *
                (double)means[first + i / inner];
    }
    return lost;
}

static void round_weights(const struct insertion *in,
                          const struct sosie_node *node, struct weights *w)
{
    uint32_t x = in->plan->place[node->inputs[0]];
    float x_scale = in->scales[x].scale;
    for (size_t c = 0; c < w->n_channels; c++) {
        double bias = w->bias ? (double)w->bias[c] : 0.0;
        w->scales[c] = weight_scale(w, c, x_scale);
        for (size_t i = 0; i < w->length; i++) {
            size_t at = place_of(w, c, i);
            w->q[at] = to_int8(w->w[at] / w->scales[c]);
        }
        if (node->op != SOSIE_OP_MATMUL) /* which has no bias to mend */
            bias += lost_mean(node, w, c, in->stats[x].means);
        w->sums[c] = w->scales[c] * x_scale;
        bias = fmax(fmin(bias / (double)w->sums[c], 0x1p30), -0x1p30);
        w->biases[c] = (int32_t)lrint(bias);
    }
}

static enum sosie_status weights_of(struct insertion *in,
                                    const struct sosie_node *node,
                                    struct weights *w, struct sosie_error *err)
{
    const struct sosie_graph *graph = in->plan->graph;
    const struct sosie_value *value = sosie_node_input(graph, node, 1);
    const struct sosie_value *bias = sosie_node_input(graph, node, 2);
    size_t axis = sosie_q_weights_axis(node);
    size_t n = sosie_shape_count(&value->shape);
    *w = (struct weights){.w = value->data,
                          .bias = bias ? bias->data : NULL,
                          .n_channels = value->shape.dims[axis]};
    w->length = n / w->n_channels;
    w->row = axis ? 1 : w->length;
    w->step = axis ? w->n_channels : 1;
    w->q = alloc(in, n, sizeof(*w->q));
    w->scales = alloc(in, w->n_channels, sizeof(*w->scales));
    w->sums = alloc(in, w->n_channels, sizeof(*w->sums));
    w->biases = alloc(in, w->n_channels, sizeof(*w->biases));
    if (!w->q || !w->scales || !w->sums || !w->biases)
        return no_memory(err);
    round_weights(in, node, w);
    return SOSIE_OK;
}

/* Replaces the constants of `node`, whose input 0 is mapped already. */
static enum sosie_status quantise_weights(struct insertion *in,
                                          const struct sosie_node *old,
                                          struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_graph *graph = in->plan->graph;
    const char *name = graph->values[old->output].name;
    struct sosie_value value = *sosie_node_input(graph, old, 1);
    struct weights w;
    enum sosie_status st = weights_of(in, old, &w, err);
    if (st)
        return st;
    value.dtype = SOSIE_I8;
    value.data = w.q;
    st = add_constant(in, derived(in, name, "weights"), &value,
                      sosie_q_weights_axis(old), w.n_channels, w.scales,
                      &node->inputs[1], err);
    if (st || (!w.bias && old->op == SOSIE_OP_MATMUL))
        return st;
    value = (struct sosie_value){
        .dtype = SOSIE_I32, .shape = {1, {w.n_channels}}, .data = w.biases};
    node->n_inputs = 3;
    if (node->op == SOSIE_OP_GEMM)
        node->gemm.beta = 1.0F;
    return add_constant(in, derived(in, name, "bias"), &value, 0, w.n_channels,
                        w.sums, &node->inputs[2], err);
}

/* ---- the graph ----------------------------------------------------------- */

/* A constant that stays float32. */
static enum sosie_status copy_constant(struct insertion *in, sosie_value_id old,
                                       struct sosie_error *err)
{
    return sosie_graph_add_value(in->out, &in->plan->graph->values[old],
                                 &in->plain[old], err);
}

/* Does this node take value `id` from behind the pair? */
static bool reads_pair(const struct insertion *in, size_t node,
                       sosie_value_id id)
{
    const struct sosie_qplan *plan = in->plan;
    enum sosie_qrole role = plan->roles[node];
    return plan->is_quantised[id] &&
           (plan->is_bytes[id] || role == SOSIE_Q_WEIGHTS ||
            role == SOSIE_Q_BYTES);
}

static enum sosie_status copy_node(struct insertion *in, size_t index,
                                   struct sosie_error *err)
{
    const struct sosie_qplan *plan = in->plan;
    const struct sosie_node *old = &plan->graph->nodes[index];
    const char *name = plan->graph->values[old->output].name;
    struct sosie_node node = *old;
    bool has_weights = plan->roles[index] == SOSIE_Q_WEIGHTS;
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < (has_weights ? 1 : old->n_inputs) && !st; k++) {
        sosie_value_id id = old->inputs[k];
        if (id == SOSIE_NO_VALUE)
            continue;
        if (in->plain[id] == SOSIE_NO_VALUE)
            st = copy_constant(in, id, err);
        node.inputs[k] =
            reads_pair(in, index, id) ? in->pair[id] : in->plain[id];
    }
    if (!st && has_weights)
        st = quantise_weights(in, old, &node, err);
    if (!st)
        st = sosie_graph_add_node(in->out, &node, name, &in->plain[old->output],
                                  err);
    if (!st && plan->is_quantised[old->output])
        st = add_pair(in, old->output, err);
    return st;
}

static enum sosie_status copy_inputs(struct insertion *in,
                                     struct sosie_error *err)
{
    const struct sosie_graph *graph = in->plan->graph;
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < graph->n_inputs && !st; k++) {
        sosie_value_id old = graph->inputs[k];
        st = sosie_graph_add_value(in->out, &graph->values[old],
                                   &in->plain[old], err);
        in->out->inputs[in->out->n_inputs++] = in->plain[old];
        if (!st && in->plan->is_quantised[old])
            st = add_pair(in, old, err);
    }
    return st;
}

enum sosie_status sosie_q_insert(const struct sosie_qplan *plan,
                                 const struct sosie_qstats *stats,
                                 const struct sosie_qscale *scales,
                                 struct sosie_graph *out,
                                 struct sosie_error *err)
{
    const struct sosie_graph *graph = plan->graph;
    struct insertion in = {
        .plan = plan, .stats = stats, .scales = scales, .out = out};
    enum sosie_status st;
    in.plain = alloc(&in, graph->n_values, sizeof(*in.plain));
    in.pair = alloc(&in, graph->n_values, sizeof(*in.pair));
    if (!in.plain || !in.pair)
        return no_memory(err);
    memset(in.plain, 0xff, graph->n_values * sizeof(*in.plain));
    st = copy_inputs(&in, err);
    for (size_t i = 0; i < graph->n_nodes && !st; i++)
        st = copy_node(&in, i, err);
    for (size_t k = 0; k < graph->n_outputs && !st; k++) {
        sosie_value_id old = graph->outputs[k];
        if (in.plain[old] == SOSIE_NO_VALUE)
            st = copy_constant(&in, old, err);
        out->outputs[out->n_outputs++] = in.plain[old];
    }
    return st;
}
