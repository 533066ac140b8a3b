/* int8_pass.c: from pairs of QuantizeLinear and DequantizeLinear to ops on
 * bytes.
 *
 *   x -> DQ -> Conv (weights behind a DQ) -> Relu -> Q -> y
 *
 * becomes one Conv that reads x and writes y, where that is in our power: the
 * ops below, one scale and zero point for a whole activation, signed symmetric
 * weights. All else is left as it is. */
#include "nn/int8.h"
#include "nn/passes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_NODE = -1 };

struct pass {
    struct sosie_graph *graph;
    int32_t *producer; /* of each value */
    int32_t *reader;   /* of each value: one of them */
    uint32_t *n_uses;  /* of each value, also as the graph's output */
};

static void pass_release(struct pass *pass)
{
    free(pass->producer);
    free(pass->reader);
    free(pass->n_uses);
}

static enum sosie_status pass_init(struct pass *pass, struct sosie_graph *graph,
                                   struct sosie_error *err)
{
    size_t n = graph->n_values + 1;
    pass->graph = graph;
    pass->producer = malloc(n * sizeof(*pass->producer));
    pass->reader = malloc(n * sizeof(*pass->reader));
    pass->n_uses = calloc(n, sizeof(*pass->n_uses));
    if (!pass->producer || !pass->reader || !pass->n_uses)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    memset(pass->producer, 0xff, n * sizeof(*pass->producer));
    memset(pass->reader, 0xff, n * sizeof(*pass->reader));
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        pass->producer[node->output] = (int32_t)i;
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE) {
                pass->n_uses[node->inputs[k]]++;
                pass->reader[node->inputs[k]] = (int32_t)i;
            }
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        pass->n_uses[graph->outputs[k]]++;
    return SOSIE_OK;
}

/* ---- what stands around a node ------------------------------------------- */

static bool is_byte(enum sosie_dtype dtype)
{
    return dtype == SOSIE_U8 || dtype == SOSIE_I8;
}

static bool is_sound(const struct sosie_quant *quant)
{
    for (size_t i = 0; i < quant->n; i++)
        if (!(quant->scales[i] > 0.0F) || !isfinite(quant->scales[i]))
            return false;
    return true;
}

/* The DequantizeLinear that makes a value, of bytes that are computed with one
 * scale, or NULL. */
static struct sosie_node *dequantizer(const struct pass *pass,
                                      sosie_value_id id)
{
    struct sosie_graph *graph = pass->graph;
    struct sosie_node *node;
    const struct sosie_value *bytes;
    if (id == SOSIE_NO_VALUE || pass->producer[id] == NO_NODE)
        return NULL;
    node = &graph->nodes[pass->producer[id]];
    if (node->op != SOSIE_OP_DEQUANTIZE || node->quantize.quant.n != 1 ||
        !is_sound(&node->quantize.quant))
        return NULL;
    bytes = &graph->values[node->inputs[0]];
    return is_byte(bytes->dtype) && !bytes->data ? node : NULL;
}

/* The same of bytes that are constant, with any number of scales. */
static const struct sosie_node *constant_dequantizer(const struct pass *pass,
                                                     sosie_value_id id)
{
    const struct sosie_node *node;
    if (id == SOSIE_NO_VALUE || pass->producer[id] == NO_NODE)
        return NULL;
    node = &pass->graph->nodes[pass->producer[id]];
    return node->op == SOSIE_OP_DEQUANTIZE &&
                   pass->graph->values[node->inputs[0]].data
               ? node
               : NULL;
}

/* The only reader of a value, or NULL. */
static struct sosie_node *only_reader(const struct pass *pass,
                                      sosie_value_id id)
{
    if (pass->n_uses[id] != 1 || pass->reader[id] == NO_NODE)
        return NULL;
    return &pass->graph->nodes[pass->reader[id]];
}

/* A QuantizeLinear of floats with one scale. */
static bool is_plain_quantizer(const struct sosie_node *node)
{
    return node->op == SOSIE_OP_QUANTIZE && !node->quantize.table &&
           node->quantize.quant.n == 1 && is_sound(&node->quantize.quant);
}

/* The QuantizeLinear that alone reads a value, or NULL. */
static struct sosie_node *quantizer(const struct pass *pass, sosie_value_id id)
{
    struct sosie_node *node = only_reader(pass, id);
    return node && is_plain_quantizer(node) ? node : NULL;
}

/* Weights that the kernels take: signed bytes, zero at 0, a scale for all or
 * one for each channel of the result. */
static bool weights_are_ours(const struct pass *pass, sosie_value_id id,
                             size_t rank, size_t channel_axis)
{
    const struct sosie_node *dq = constant_dequantizer(pass, id);
    const struct sosie_value *w;
    if (!dq)
        return false;
    w = &pass->graph->values[dq->inputs[0]];
    if (w->dtype != SOSIE_I8 || w->shape.rank != rank ||
        !is_sound(&dq->quantize.quant))
        return false;
    for (size_t i = 0; i < dq->quantize.quant.n; i++)
        if (dq->quantize.quant.zero_points[i])
            return false;
    return dq->quantize.quant.n == 1 || dq->quantize.quant.axis == channel_axis;
}

/* ---- rewriting ----------------------------------------------------------- */

/* The value keeps its bytes between two ops of ours. */
static enum sosie_status set_quant(struct pass *pass, sosie_value_id id,
                                   const struct sosie_quant *quant,
                                   struct sosie_error *err)
{
    struct sosie_quant *kept =
        sosie_arena_alloc(&pass->graph->arena, 1, sizeof(*kept));
    if (!kept)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    *kept = *quant;
    pass->graph->values[id].quant = kept;
    return SOSIE_OK;
}

/* Whether both have one meaning; of one scale each. */
static bool same_quant(const struct sosie_quant *a, const struct sosie_quant *b)
{
    return !memcmp(a->scales, b->scales, sizeof(float)) &&
           a->zero_points[0] == b->zero_points[0];
}

static bool may_have_meaning(const struct pass *pass, sosie_value_id bytes,
                             const struct sosie_quant *quant)
{
    const struct sosie_quant *known = pass->graph->values[bytes].quant;
    return !known || same_quant(known, quant);
}

static bool may_read_bytes(const struct pass *pass, const struct sosie_node *dq)
{
    return may_have_meaning(pass, dq->inputs[0], &dq->quantize.quant);
}

/* Input k of `node` stands behind a DequantizeLinear that may_read_bytes: it
 * reads the bytes instead. */
static enum sosie_status read_bytes(struct pass *pass, struct sosie_node *node,
                                    size_t k, struct sosie_error *err)
{
    const struct sosie_node *dq = dequantizer(pass, node->inputs[k]);
    sosie_value_id bytes = dq->inputs[0];
    pass->n_uses[node->inputs[k]]--;
    pass->n_uses[bytes]++;
    node->inputs[k] = bytes;
    return pass->graph->values[bytes].quant
               ? SOSIE_OK
               : set_quant(pass, bytes, &dq->quantize.quant, err);
}

static void kill(struct sosie_node *node)
{
    node->output = SOSIE_NO_VALUE;
    node->n_inputs = 0;
}

/* `node` makes what `last`, in whose place it goes, made. */
static struct sosie_node *take_place(struct pass *pass, struct sosie_node *node,
                                     struct sosie_node *last)
{
    sosie_value_id output = last->output;
    if (last != node) {
        *last = *node;
        kill(node);
    }
    last->output = output;
    pass->producer[output] = (int32_t)(last - pass->graph->nodes);
    return last;
}

/* If a QuantizeLinear alone reads the result, the node writes its bytes. */
static enum sosie_status write_bytes(struct pass *pass, struct sosie_node *node,
                                     struct sosie_error *err)
{
    struct sosie_node *q = quantizer(pass, node->output);
    struct sosie_quant quant;
    if (!q || !may_have_meaning(pass, q->output, &q->quantize.quant))
        return SOSIE_OK;
    quant = q->quantize.quant;
    node = take_place(pass, node, q);
    return set_quant(pass, node->output, &quant, err);
}

/* ---- convolutions and matrix products ------------------------------------ */

/* That are summed for one number; the kernels' sums have room for 2^16. */
static size_t n_products(const struct sosie_graph *graph,
                         const struct sosie_node *node)
{
    const struct sosie_shape *w = &sosie_node_input(graph, node, 1)->shape;
    if (node->op == SOSIE_OP_CONV)
        return sosie_shape_product(w, 1, w->rank);
    return w->dims[node->op == SOSIE_OP_GEMM && node->gemm.trans_b];
}

static bool conv_fits(const struct pass *pass, const struct sosie_node *node)
{
    const struct sosie_graph *graph = pass->graph;
    const struct sosie_value *b = NULL;
    size_t weights = SOSIE_CONV_W, rank = 4, axis = 0;
    if (sosie_is_picture(&sosie_node_input(graph, node, 0)->shape) !=
        (node->op == SOSIE_OP_CONV))
        return false;
    if (node->op == SOSIE_OP_GEMM) {
        if (node->gemm.trans_a || fabsf(node->gemm.alpha - 1.0F) > 0.0F ||
            fabsf(node->gemm.beta - 1.0F) > 0.0F)
            return false;
        rank = 2;
        axis = !node->gemm.trans_b;
    } else if (node->op == SOSIE_OP_MATMUL) {
        rank = 2;
        axis = 1;
    }
    if (node->n_inputs > 2)
        b = sosie_node_input(graph, node, 2);
    if (b && !b->data && !constant_dequantizer(pass, node->inputs[2]))
        return false;
    if (b &&
        (b->shape.rank != 1 ||
         b->shape.dims[0] !=
             graph->values[node->output]
                 .shape.dims[node->op == SOSIE_OP_CONV
                                 ? 1
                                 : graph->values[node->output].shape.rank - 1]))
        return false;
    return node->n_inputs <= 3 && node->n_posts == 0 &&
           n_products(graph, node) < 1 << 16 &&
           weights_are_ours(pass, node->inputs[weights], rank, axis);
}

static bool is_clip(const struct sosie_node *node)
{
    return node->op == SOSIE_OP_CLIP || node->op == SOSIE_OP_RELU;
}

static bool is_multiple_of_half(float x)
{
    return fabsf(2.0F * x - rintf(2.0F * x)) < 1e-4F && fabsf(x) < 7.0F;
}

/* The function that may follow: Clip and Relu, or one that quadratics in
 * segments come close to (int8_act.c). */
static bool act_fits(const struct sosie_node *node)
{
    if (node->op == SOSIE_OP_HARD_SIGMOID) /* its kinks must be ends of them */
        return is_multiple_of_half(node->act.b / node->act.a) &&
               is_multiple_of_half((1.0F - node->act.b) / node->act.a);
    return sosie_op_is_act(node->op) && node->op != SOSIE_OP_ERF &&
           node->op != SOSIE_OP_EXP && node->op != SOSIE_OP_SQRT;
}

/* Folds the function that alone reads the result; one that is only nearly so
 * good on the way to bytes. */
static struct sosie_node *fold_act(struct pass *pass, struct sosie_node *node)
{
    struct sosie_node *act = only_reader(pass, node->output);
    if (!act || !act_fits(act) || node->n_posts == SOSIE_MAX_POSTS ||
        (!is_clip(act) && !quantizer(pass, act->output)))
        return node;
    node->posts[node->n_posts++] = (struct sosie_post){act->op, act->act};
    return take_place(pass, node, act);
}

/* True if the result becomes bytes, perhaps after a Clip or Relu. */
static bool is_quantized_after(const struct pass *pass,
                               const struct sosie_node *node)
{
    const struct sosie_node *act = only_reader(pass, node->output);
    if (act && is_clip(act))
        node = act;
    return quantizer(pass, node->output);
}

/* Rounding to bytes and back, half-way. */
static struct sosie_post rounding_of(const struct pass *pass,
                                     const struct sosie_node *q)
{
    const struct sosie_quant *quant = &q->quantize.quant;
    bool is_signed = pass->graph->values[q->output].dtype == SOSIE_I8;
    return (struct sosie_post){
        SOSIE_OP_QUANTIZE,
        {quant->scales[0],
         (float)(quant->zero_points[0] + (is_signed ? 128 : 0))}};
}

/* The sum that alone reads the result, at once or after it was quantised; then
 * *q is what quantises it. */
static struct sosie_node *sum_after(const struct pass *pass,
                                    const struct sosie_node *conv,
                                    const struct sosie_node **q,
                                    sosie_value_id *term)
{
    struct sosie_node *next = only_reader(pass, conv->output);
    *q = quantizer(pass, conv->output);
    *term = conv->output;
    if (*q) {
        const struct sosie_node *dq = only_reader(pass, (*q)->output);
        if (!dq || !dequantizer(pass, dq->output) ||
            !same_quant(&(*q)->quantize.quant, &dq->quantize.quant))
            return NULL;
        *term = dq->output;
        next = only_reader(pass, dq->output);
    }
    return next && next->op == SOSIE_OP_ADD &&
                   next->inputs[0] != next->inputs[1]
               ? next
               : NULL;
}

/* Folds a residual sum with other bytes. Only convolutions have a place for
 * it. */
static enum sosie_status fold_sum(struct pass *pass, struct sosie_node **node,
                                  struct sosie_error *err)
{
    struct sosie_graph *graph = pass->graph;
    const struct sosie_node *q, *dq;
    sosie_value_id other, term;
    struct sosie_node *conv = *node, *add = sum_after(pass, conv, &q, &term);
    if (!add || conv->op != SOSIE_OP_CONV || conv->n_posts ||
        conv->conv.group > 1)
        return SOSIE_OK;
    other = add->inputs[add->inputs[0] == term];
    dq = dequantizer(pass, other);
    if (!dq || !may_read_bytes(pass, dq) || !is_quantized_after(pass, add) ||
        !sosie_shape_equal(&graph->values[other].shape,
                           &graph->values[conv->output].shape))
        return SOSIE_OK;
    if (q)
        conv->posts[conv->n_posts++] = rounding_of(pass, q);
    if (conv->n_inputs <= SOSIE_CONV_B)
        conv->inputs[SOSIE_CONV_B] = SOSIE_NO_VALUE;
    conv->inputs[SOSIE_CONV_RESIDUAL] = other;
    conv->n_inputs = SOSIE_CONV_RESIDUAL + 1;
    conv->posts[conv->n_posts++] = (struct sosie_post){.op = SOSIE_OP_ADD};
    *node = take_place(pass, conv, add);
    return read_bytes(pass, *node, SOSIE_CONV_RESIDUAL, err);
}

/* Only Clip and Relu may follow a sum. */
static bool next_act_is_clip(const struct pass *pass,
                             const struct sosie_node *node)
{
    const struct sosie_node *act = only_reader(pass, node->output);
    return act && is_clip(act);
}

static enum sosie_status rewrite_conv(struct pass *pass,
                                      struct sosie_node *node,
                                      struct sosie_error *err)
{
    const struct sosie_node *dq = dequantizer(pass, node->inputs[0]);
    enum sosie_status st;
    if (!dq || !may_read_bytes(pass, dq) || !conv_fits(pass, node))
        return SOSIE_OK;
    st = read_bytes(pass, node, 0, err);
    if (!st)
        st = fold_sum(pass, &node, err);
    if (!st && (!node->n_posts || next_act_is_clip(pass, node)))
        node = fold_act(pass, node);
    return st ? st : write_bytes(pass, node, err);
}

/* ---- the other ops ------------------------------------------------------- */

/* All inputs are bytes, or constants where the op takes those, and so is the
 * result. */
static enum sosie_status rewrite_bytes(struct pass *pass,
                                       struct sosie_node *node,
                                       struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    if (!quantizer(pass, node->output))
        return SOSIE_OK;
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct sosie_node *dq = dequantizer(pass, node->inputs[k]);
        if (!dq || !may_read_bytes(pass, dq))
            return SOSIE_OK;
        for (size_t i = 0; i < k; i++) { /* the same bytes, another meaning */
            const struct sosie_node *other = dequantizer(pass, node->inputs[i]);
            if (other->inputs[0] == dq->inputs[0] &&
                !same_quant(&other->quantize.quant, &dq->quantize.quant))
                return SOSIE_OK;
        }
    }
    for (size_t k = 0; k < node->n_inputs && !st; k++)
        st = read_bytes(pass, node, k, err);
    return st ? st : write_bytes(pass, node, err);
}

/* Sums and products of two tensors of one shape, or with one number a channel.
 */
static bool binary_fits(const struct pass *pass, const struct sosie_node *node)
{
    const struct sosie_shape *out = &pass->graph->values[node->output].shape;
    const struct sosie_shape *a =
        &sosie_node_input(pass->graph, node, 0)->shape;
    const struct sosie_shape *b =
        &sosie_node_input(pass->graph, node, 1)->shape;
    if (!out->rank || (sosie_shape_equal(a, out) && sosie_shape_equal(b, out)))
        return out->rank;
    if (node->op != SOSIE_OP_MUL || !sosie_is_picture(out))
        return false;
    if (!sosie_shape_equal(a, out)) {
        const struct sosie_shape *swap = a;
        a = b;
        b = swap;
    }
    return sosie_shape_equal(a, out) && b->rank == 4 &&
           b->dims[1] == out->dims[1] && sosie_shape_count(b) == out->dims[1];
}

static bool mean_fits(const struct pass *pass, const struct sosie_node *node)
{
    const struct sosie_shape *in =
        &sosie_node_input(pass->graph, node, 0)->shape;
    if (!sosie_is_picture(in))
        return false;
    if (node->op == SOSIE_OP_GLOBAL_AVERAGE_POOL)
        return true;
    return !node->reduce.axes[0] && !node->reduce.axes[1] &&
           node->reduce.axes[2] && node->reduce.axes[3];
}

static bool reads_picture(const struct pass *pass,
                          const struct sosie_node *node)
{
    return sosie_is_picture(&sosie_node_input(pass->graph, node, 0)->shape);
}

/* Channels after channels, nothing else. */
static bool concat_fits(const struct pass *pass, const struct sosie_node *node)
{
    return reads_picture(pass, node) && node->axis == 1;
}

/* A tensor of one pixel: its channels stay side by side whatever its shape. */
static bool view_fits(const struct pass *pass, const struct sosie_node *node)
{
    const struct sosie_shape *in =
        &sosie_node_input(pass->graph, node, 0)->shape;
    const struct sosie_shape *out = &pass->graph->values[node->output].shape;
    size_t channels = sosie_channels(in);
    return channels && channels == sosie_shape_count(in) &&
           sosie_channels(out) == channels;
}

static enum sosie_status rewrite(struct pass *pass, struct sosie_node *node,
                                 struct sosie_error *err)
{
    bool fits = sosie_op_is_act(node->op);
    if (node->op == SOSIE_OP_CONV || node->op == SOSIE_OP_GEMM ||
        node->op == SOSIE_OP_MATMUL)
        return rewrite_conv(pass, node, err);
    if (node->op == SOSIE_OP_ADD || node->op == SOSIE_OP_MUL)
        fits = binary_fits(pass, node);
    else if (node->op == SOSIE_OP_GLOBAL_AVERAGE_POOL ||
             node->op == SOSIE_OP_REDUCE_MEAN)
        fits = mean_fits(pass, node);
    else if (node->op == SOSIE_OP_MAX_POOL)
        fits = reads_picture(pass, node);
    else if (node->op == SOSIE_OP_CONCAT)
        fits = concat_fits(pass, node);
    else if (node->op == SOSIE_OP_FLATTEN || node->op == SOSIE_OP_RESHAPE)
        fits = view_fits(pass, node);
    return fits ? rewrite_bytes(pass, node, err) : SOSIE_OK;
}

/* ---- what is left -------------------------------------------------------- */

/* Nodes of ours read the quantised weights themselves. */
static enum sosie_status read_weights(struct pass *pass,
                                      struct sosie_node *node,
                                      struct sosie_error *err)
{
    const struct sosie_node *dq;
    if ((node->op != SOSIE_OP_CONV && node->op != SOSIE_OP_GEMM &&
         node->op != SOSIE_OP_MATMUL) ||
        !is_byte(pass->graph->values[node->inputs[0]].dtype))
        return SOSIE_OK;
    dq = constant_dequantizer(pass, node->inputs[1]);
    node->inputs[1] = dq->inputs[0];
    if (pass->graph->values[dq->inputs[0]].quant) { /* another node's, too */
        struct sosie_value own = pass->graph->values[dq->inputs[0]];
        enum sosie_status st =
            sosie_graph_add_value(pass->graph, &own, &node->inputs[1], err);
        if (st)
            return st;
    }
    return set_quant(pass, node->inputs[1], &dq->quantize.quant, err);
}

/* Bytes may stand only between a QuantizeLinear and a DequantizeLinear: ops
 * that work on them as they are would need layouts and meanings of their own.
 */
static enum sosie_status refuse_bare_bytes(const struct sosie_graph *graph,
                                           struct sosie_error *err)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        if (node->op != SOSIE_OP_QUANTIZE && node->op != SOSIE_OP_DEQUANTIZE &&
            is_byte(graph->values[node->output].dtype))
            return sosie_fail(err, SOSIE_REFUSED,
                              "node '%.80s' (%s) works on bytes as they are; "
                              "in int8, they are supported between "
                              "QuantizeLinear and DequantizeLinear",
                              node->name, sosie_op_name(node->op));
    }
    for (size_t k = 0; k < graph->n_outputs; k++) {
        const struct sosie_value *value = &graph->values[graph->outputs[k]];
        if (is_byte(value->dtype) && !value->data)
            return sosie_fail(err, SOSIE_REFUSED,
                              "output '%.80s' is bytes; in int8, outputs of "
                              "float32 are supported",
                              value->name);
    }
    return SOSIE_OK;
}

/* True if the node only makes floats of the bytes that q made of floats. */
static bool is_way_back(const struct sosie_node *node,
                        const struct sosie_node *q)
{
    return node->op == SOSIE_OP_DEQUANTIZE && node->quantize.quant.n == 1 &&
           same_quant(&q->quantize.quant, &node->quantize.quant);
}

/* Marks the values that are read as bytes, or by nodes that we do not see. */
static void mark_read(const struct sosie_graph *graph,
                      const struct sosie_links *links, bool *is_read)
{
    for (size_t k = 0; k < graph->n_outputs; k++)
        is_read[graph->outputs[k]] = true;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++) {
            sosie_value_id id = node->inputs[k];
            const struct sosie_node *q =
                id == SOSIE_NO_VALUE ? NULL : sosie_producer(graph, links, id);
            if (q && is_plain_quantizer(q) && !is_way_back(node, q))
                is_read[id] = true;
        }
    }
}

/* A QuantizeLinear whose bytes are only ever made floats again makes those
 * floats itself: see lower_round. */
static void fold_round_trips(struct sosie_graph *graph, const bool *is_read,
                             sosie_value_id *instead)
{
    for (size_t v = 0; v < graph->n_values; v++)
        instead[v] = (sosie_value_id)v;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                node->inputs[k] = instead[node->inputs[k]];
        if (is_plain_quantizer(node) && !is_read[node->output]) {
            graph->values[node->output].dtype = SOSIE_F32;
        } else if (node->op == SOSIE_OP_DEQUANTIZE &&
                   graph->values[node->inputs[0]].dtype == SOSIE_F32) {
            instead[node->output] = node->inputs[0];
            kill(node);
        }
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        graph->outputs[k] = instead[graph->outputs[k]];
}

static enum sosie_status round_trips(struct sosie_graph *graph,
                                     struct sosie_error *err)
{
    struct sosie_links links;
    sosie_value_id *instead = malloc((graph->n_values + 1) * sizeof(*instead));
    bool *is_read = calloc(graph->n_values + 1, sizeof(*is_read));
    enum sosie_status st;
    if (!instead || !is_read)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    else
        st = sosie_links_init(&links, graph, err);
    if (!st) {
        mark_read(graph, &links, is_read);
        sosie_links_release(&links);
        fold_round_trips(graph, is_read, instead);
    }
    free(instead);
    free(is_read);
    return st ? st : sosie_sweep(graph, err);
}

enum sosie_status sosie_int8_pass(struct sosie_graph *graph,
                                  struct sosie_error *err)
{
    struct pass pass = {0};
    enum sosie_status st = refuse_bare_bytes(graph, err);
    if (!st)
        st = sosie_int8_tables(graph, err);
    if (!st)
        st = pass_init(&pass, graph, err);
    for (size_t i = 0; i < graph->n_nodes && !st; i++)
        if (graph->nodes[i].output != SOSIE_NO_VALUE)
            st = rewrite(&pass, &graph->nodes[i], err);
    for (size_t i = 0; i < graph->n_nodes && !st; i++)
        if (graph->nodes[i].output != SOSIE_NO_VALUE)
            st = read_weights(&pass, &graph->nodes[i], err);
    if (!st)
        st = sosie_sweep(graph, err);
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        struct sosie_node *node = &graph->nodes[i];
        if (node->op != SOSIE_OP_DEQUANTIZE ||
            !graph->values[node->inputs[0]].data)
            continue;
        st = sosie_dequantize_constant(graph, node, err);
        kill(node);
    }
    pass_release(&pass);
    if (!st)
        st = sosie_sweep(graph, err);
    return st ? st : round_trips(graph, err);
}

bool sosie_int8_node(const struct sosie_graph *graph,
                     const struct sosie_node *node)
{
    if (node->op == SOSIE_OP_QUANTIZE || node->op == SOSIE_OP_DEQUANTIZE ||
        is_byte(graph->values[node->output].dtype))
        return true;
    return node->n_inputs && node->inputs[0] != SOSIE_NO_VALUE &&
           is_byte(graph->values[node->inputs[0]].dtype);
}
