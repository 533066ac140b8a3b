/* int8_lower.c: from nodes on bytes to steps.
 *
 * Functions of one byte are tables. They are not run where they stand but
 * composed, and looked up when something needs the result: x * HardSigmoid(x)
 * over bytes ends as one table over x.
 *
 * The ops that compute more than that are in int8_lower_*.c. */
#include "nn/int8_lowering.h"

#include <math.h>
#include <string.h>

enum sosie_status sosie_int8_no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "the network's steps");
}

/* ---- what bytes mean ----------------------------------------------------- */

static struct sosie_int8_meaning meaning_of(const struct sosie_quant *quant,
                                            enum sosie_dtype dtype)
{
    return (struct sosie_int8_meaning){quant->scales[0],
                                       quant->zero_points[0] +
                                           (dtype == SOSIE_I8 ? 128 : 0)};
}

static bool is_byte(enum sosie_dtype dtype)
{
    return dtype == SOSIE_U8 || dtype == SOSIE_I8;
}

enum sosie_status sosie_int8_read_meaning(const struct sosie_int8 *int8,
                                          sosie_value_id id,
                                          struct sosie_int8_meaning *out,
                                          struct sosie_error *err)
{
    const struct sosie_value *value = sosie_int8_value(int8, id);
    const struct sosie_node *node = &int8->net->graph.nodes[int8->node];
    const struct sosie_quant *quant = value->quant;
    if (!quant &&
        (node->op == SOSIE_OP_QUANTIZE || node->op == SOSIE_OP_DEQUANTIZE))
        quant = &node->quantize.quant;
    if (!quant || quant->n != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "tensor '%.80s' is quantised in a way that is not "
                          "supported; one scale and zero point are",
                          value->name);
    *out = meaning_of(quant, value->dtype);
    if (!(out->scale > 0.0F) || !isfinite(out->scale))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "tensor '%.80s' has a scale of %g; expected a "
                          "positive number",
                          value->name, (double)out->scale);
    return SOSIE_OK;
}

/* ---- steps and tensors --------------------------------------------------- */

enum sosie_status sosie_int8_add_step(struct sosie_int8 *int8, size_t node,
                                      const struct sosie_qcode *code,
                                      const uint32_t *args, size_t n_args,
                                      struct sosie_error *err)
{
    struct sosie_step step = {.node = node,
                              .implementation = sosie_qkind_name(code->kind),
                              .run = sosie_int8_run,
                              .n_args = n_args};
    struct sosie_qcode *kept = sosie_arena_alloc(int8->arena, 1, sizeof(*kept));
    if (!kept)
        return sosie_int8_no_memory(err);
    *kept = *code;
    step.code = kept;
    memcpy(step.args, args, n_args * sizeof(*args));
    return sosie_net_add_step(int8->net, &step, err);
}

enum sosie_status sosie_int8_new_tensor(struct sosie_int8 *int8,
                                        sosie_value_id id,
                                        struct sosie_int8_tensor *tensor,
                                        struct sosie_error *err)
{
    struct sosie_int8_meaning meaning;
    enum sosie_status st = sosie_int8_read_meaning(int8, id, &meaning, err);
    if (st)
        return st;
    tensor->layout = sosie_qlayout_widen(
        sosie_qlayout_of(&sosie_int8_value(int8, id)->shape,
                         sosie_int8_to_byte((double)meaning.zero)),
        int8->margins[id].of);
    tensor->is_there = true;
    tensor->root = id;
    tensor->node = int8->node;
    for (size_t q = 0; q < 256; q++)
        tensor->table[q] = (uint8_t)q;
    return sosie_net_add_buffer(int8->net, tensor->layout.size, SOSIE_NO_VALUE,
                                NULL, &tensor->buffer, err);
}

const uint8_t (*sosie_int8_keep_table(struct sosie_int8 *int8,
                                      const uint8_t table[256]))[256]
{
    uint8_t(*kept)[256] = sosie_arena_alloc(int8->arena, 1, sizeof(*kept));
    if (kept)
        memcpy(kept, table, sizeof(*kept));
    return (const uint8_t(*)[256])kept;
}

/* Looks `from` up in a table, into `to`, whose buffer is there. */
static enum sosie_status add_map(struct sosie_int8 *int8, size_t node,
                                 const struct sosie_int8_tensor *from,
                                 const uint8_t table[256],
                                 const struct sosie_int8_tensor *to,
                                 struct sosie_error *err)
{
    struct sosie_qcode code = {.kind = SOSIE_Q_MAP,
                               .in = {from->layout},
                               .out = to->layout,
                               .tables = sosie_int8_keep_table(int8, table)};
    const uint32_t args[] = {from->buffer, to->buffer};
    if (!code.tables)
        return sosie_int8_no_memory(err);
    return sosie_int8_add_step(int8, node, &code, args, 2, err);
}

enum sosie_status sosie_int8_bytes_of(struct sosie_int8 *int8,
                                      sosie_value_id id,
                                      struct sosie_int8_tensor **out,
                                      struct sosie_error *err)
{
    struct sosie_int8_tensor *tensor = &int8->tensors[id], *root;
    enum sosie_status st = SOSIE_OK;
    *out = tensor;
    if (tensor->is_there)
        return SOSIE_OK;
    if (tensor->root == SOSIE_NO_VALUE)
        return sosie_fail(err, SOSIE_REFUSED,
                          "tensor '%.80s' holds bytes that nothing computes "
                          "here",
                          sosie_int8_value(int8, id)->name);
    root = &int8->tensors[tensor->root];
    st = sosie_net_add_buffer(int8->net, tensor->layout.size, SOSIE_NO_VALUE,
                              NULL, &tensor->buffer, err);
    if (!st)
        st = add_map(int8, tensor->node, root, tensor->table, tensor, err);
    tensor->is_there = !st;
    return st;
}

enum sosie_status sosie_int8_bytes_with(struct sosie_int8 *int8,
                                        sosie_value_id id,
                                        const size_t margins[4],
                                        struct sosie_int8_tensor *out,
                                        struct sosie_error *err)
{
    struct sosie_int8_tensor *tensor;
    enum sosie_status st = sosie_int8_bytes_of(int8, id, &tensor, err);
    if (st)
        return st;
    *out = *tensor;
    if (out->layout.top >= margins[0] && out->layout.left >= margins[1] &&
        out->layout.bottom >= margins[2] && out->layout.right >= margins[3])
        return SOSIE_OK;
    out->layout = sosie_qlayout_widen(out->layout, margins);
    for (size_t q = 0; q < 256; q++)
        out->table[q] = (uint8_t)q;
    st = sosie_net_add_buffer(int8->net, out->layout.size, SOSIE_NO_VALUE, NULL,
                              &out->buffer, err);
    return st ? st : add_map(int8, int8->node, tensor, out->table, out, err);
}

/* ---- functions of one byte ----------------------------------------------- */

enum sosie_status sosie_int8_set_table(struct sosie_int8 *int8,
                                       sosie_value_id from,
                                       const uint8_t f[256], sosie_value_id to,
                                       struct sosie_error *err)
{
    const struct sosie_int8_tensor *source = &int8->tensors[from];
    struct sosie_int8_tensor *tensor = &int8->tensors[to];
    struct sosie_int8_meaning meaning;
    enum sosie_status st = sosie_int8_read_meaning(int8, to, &meaning, err);
    if (st)
        return st;
    if (source->root == SOSIE_NO_VALUE)
        return sosie_fail(err, SOSIE_REFUSED,
                          "its bytes are not computed here");
    tensor->layout = sosie_qlayout_widen(
        sosie_qlayout_of(&sosie_int8_value(int8, to)->shape,
                         sosie_int8_to_byte((double)meaning.zero)),
        int8->margins[to].of);
    tensor->root = source->root;
    tensor->node = int8->node;
    for (size_t q = 0; q < 256; q++)
        tensor->table[q] = f[source->table[q]];
    return SOSIE_OK;
}

void sosie_int8_make_table(struct sosie_int8_meaning from,
                           struct sosie_int8_meaning to,
                           const struct sosie_node *act, uint8_t table[256])
{
    for (int32_t q = 0; q < 256; q++) {
        float x = (float)(q - from.zero) * from.scale;
        if (act)
            x = sosie_act_apply(act->op, act->act, x);
        table[q] =
            sosie_int8_to_byte((double)x / (double)to.scale + (double)to.zero);
    }
}

static enum sosie_status lower_map(struct sosie_int8 *int8,
                                   const struct sosie_node *node,
                                   struct sosie_error *err)
{
    struct sosie_int8_meaning x, y;
    uint8_t table[256];
    enum sosie_status st =
        sosie_int8_read_meaning(int8, node->inputs[0], &x, err);
    if (!st)
        st = sosie_int8_read_meaning(int8, node->output, &y, err);
    if (st)
        return st;
    sosie_int8_make_table(x, y, sosie_op_is_act(node->op) ? node : NULL, table);
    return sosie_int8_set_table(int8, node->inputs[0], table, node->output,
                                err);
}

/* ---- to and from floats -------------------------------------------------- */

/* Strides by dimension as those of channel, row and pixel. */
static struct sosie_qfloats floats_of(const struct sosie_shape *shape,
                                      const size_t *strides)
{
    size_t last = shape->rank - 1;
    if (sosie_is_picture(shape))
        return (struct sosie_qfloats){strides[1], strides[2], strides[3]};
    return (struct sosie_qfloats){strides[last], 0,
                                  shape->rank > 1 ? strides[last - 1] : 0};
}

enum sosie_status sosie_int8_floats_out(struct sosie_int8 *int8,
                                        sosie_value_id id, uint32_t *buffer,
                                        struct sosie_error *err)
{
    const struct sosie_shape *shape = &sosie_int8_value(int8, id)->shape;
    size_t strides[SOSIE_MAX_RANK];
    for (size_t d = 0; d < shape->rank; d++)
        strides[d] = sosie_shape_product(shape, d + 1, shape->rank);
    if (sosie_is_picture(shape)) {
        strides[1] = 1;
        strides[3] = shape->dims[1];
        strides[2] = shape->dims[3] * strides[3];
    }
    return int8->sides->floats_out(int8->sides->lowering, id, strides, buffer,
                                   err);
}

/* To bytes and back. */
static enum sosie_status lower_round(struct sosie_int8 *int8,
                                     const struct sosie_node *node,
                                     struct sosie_error *err)
{
    struct sosie_int8_meaning meaning =
        meaning_of(&node->quantize.quant, node->quantize.dtype);
    struct sosie_qcode code = {.kind = SOSIE_Q_ROUND,
                               .gain = 1.0F / meaning.scale,
                               .shift = (float)meaning.zero,
                               .back_scale = meaning.scale,
                               .back_zero = (float)meaning.zero};
    uint32_t args[2];
    enum sosie_status st =
        int8->sides->floats_through(int8->sides->lowering, node->inputs[0],
                                    node->output, args, &code.n, err);
    return st ? st : sosie_int8_add_step(int8, int8->node, &code, args, 2, err);
}

static enum sosie_status lower_quantize(struct sosie_int8 *int8,
                                        const struct sosie_node *node,
                                        struct sosie_error *err)
{
    const struct sosie_shape *shape =
        &sosie_int8_value(int8, node->output)->shape;
    struct sosie_int8_tensor *out = &int8->tensors[node->output];
    struct sosie_qcode code = {.kind = SOSIE_Q_QUANTISE};
    size_t wish[SOSIE_MAX_RANK] = {0}, strides[SOSIE_MAX_RANK] = {0};
    struct sosie_int8_meaning meaning;
    uint32_t args[2];
    enum sosie_status st;

    if (!shape->rank)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a single number; tensors with "
                          "dimensions are supported");
    /* what reads the bytes may take them for other numbers */
    meaning = meaning_of(&node->quantize.quant, node->quantize.dtype);
    if (node->quantize.quant.n != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a scale for each channel of an activation; one for "
                          "all is supported");
    if ((st = sosie_int8_new_tensor(int8, node->output, out, err)))
        return st;
    for (size_t d = 0; d < shape->rank; d++)
        wish[d] = sosie_shape_product(shape, d + 1, shape->rank);
    if (sosie_is_picture(shape)) { /* as the bytes will stand */
        wish[3] = shape->dims[1];
        wish[2] = shape->dims[3] * wish[3];
        wish[1] = 1;
        wish[0] = shape->dims[2] * wish[2];
    }
    st = int8->sides->floats_in(int8->sides->lowering, node->inputs[0], wish,
                                &args[0], strides, err);
    if (st)
        return st;
    code.floats = floats_of(shape, strides);
    code.gain = 1.0F / meaning.scale;
    code.shift = (float)meaning.zero;
    code.out = out->layout;
    args[1] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 2, err);
}

static enum sosie_status lower_dequantize(struct sosie_int8 *int8,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_value *x = sosie_int8_value(int8, node->inputs[0]);
    const struct sosie_shape *shape = &x->shape;
    struct sosie_qcode code = {.kind = SOSIE_Q_DEQUANTISE};
    struct sosie_int8_meaning meaning =
        meaning_of(&node->quantize.quant, x->dtype);
    struct sosie_int8_tensor *in;
    uint32_t args[2];
    enum sosie_status st;

    if (node->quantize.quant.n != 1 || !shape->rank)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a scale for each channel of an activation; one for "
                          "all is supported");
    if ((st = sosie_int8_bytes_of(int8, node->inputs[0], &in, err)) ||
        (st = sosie_int8_floats_out(int8, node->output, &args[1], err)))
        return st;
    code.in[0] = in->layout;
    code.floats = (struct sosie_qfloats){
        1, in->layout.width * in->layout.channels, in->layout.channels};
    code.back_scale = meaning.scale;
    code.back_zero = (float)meaning.zero;
    args[0] = in->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 2, err);
}

/* ---- any node ------------------------------------------------------------ */

enum sosie_status sosie_int8_start(struct sosie_net *net,
                                   const struct sosie_int8_sides *sides,
                                   struct sosie_int8 **out,
                                   struct sosie_error *err)
{
    struct sosie_graph *graph = &net->graph;
    struct sosie_arena *arena = &graph->arena;
    struct sosie_int8 *int8 = sosie_arena_alloc(arena, 1, sizeof(*int8));
    struct sosie_int8_tensor *tensors =
        sosie_arena_alloc(arena, graph->n_values, sizeof(*tensors));
    struct sosie_int8_margins *margins =
        sosie_arena_alloc(arena, graph->n_values, sizeof(*margins));
    uint32_t *n_uses =
        sosie_arena_alloc(arena, graph->n_values, sizeof(*n_uses));
    if (!int8 || !tensors || !margins || !n_uses)
        return sosie_int8_no_memory(err);
    memset(n_uses, 0, graph->n_values * sizeof(*n_uses));
    for (size_t k = 0; k < graph->n_outputs; k++)
        n_uses[graph->outputs[k]]++;
    for (size_t v = 0; v < graph->n_values; v++) {
        tensors[v] = (struct sosie_int8_tensor){.root = SOSIE_NO_VALUE};
        margins[v] = (struct sosie_int8_margins){{0}};
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                n_uses[node->inputs[k]]++;
        if (node->op != SOSIE_OP_CONV || !sosie_int8_node(graph, node))
            continue;
        for (size_t k = 0; k < 4; k++) {
            size_t *most = &margins[node->inputs[0]].of[k];
            if (node->conv.window.pads[k] > *most)
                *most = node->conv.window.pads[k];
        }
    }
    *int8 = (struct sosie_int8){net, arena, sides, tensors, margins, 0, n_uses};
    *out = int8;
    return SOSIE_OK;
}

enum sosie_status sosie_int8_lower(struct sosie_int8 *int8, size_t index,
                                   struct sosie_error *err)
{
    const struct sosie_node *node = &int8->net->graph.nodes[index];
    int8->node = index;
    switch ((int)node->op) {
    case SOSIE_OP_CONV:
    case SOSIE_OP_GEMM:
    case SOSIE_OP_MATMUL:
        return sosie_int8_lower_conv(int8, node, err);
    case SOSIE_OP_ADD:
    case SOSIE_OP_MUL:
        return sosie_int8_lower_binary(int8, node, err);
    case SOSIE_OP_GLOBAL_AVERAGE_POOL:
    case SOSIE_OP_REDUCE_MEAN:
        return sosie_int8_lower_mean(int8, node, err);
    case SOSIE_OP_MAX_POOL:
        return sosie_int8_lower_max_pool(int8, node, err);
    case SOSIE_OP_CONCAT:
        return sosie_int8_lower_concat(int8, node, err);
    case SOSIE_OP_FLATTEN:
    case SOSIE_OP_RESHAPE:
        return lower_map(int8, node, err);
    case SOSIE_OP_QUANTIZE:
        if (node->quantize.table)
            return sosie_int8_set_table(
                int8, node->inputs[0], node->quantize.table, node->output, err);
        if (!is_byte(sosie_int8_value(int8, node->output)->dtype))
            return lower_round(int8, node, err);
        return lower_quantize(int8, node, err);
    case SOSIE_OP_DEQUANTIZE:
        return lower_dequantize(int8, node, err);
    default:
        break;
    }
    if (sosie_op_is_act(node->op))
        return lower_map(int8, node, err);
    return sosie_fail(err, SOSIE_REFUSED,
                      "this op does not read bytes here; DequantizeLinear "
                      "before it makes them numbers");
}
