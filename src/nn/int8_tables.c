/* int8_tables.c: chains of functions between bytes and bytes as one table.
 *
 *   bytes -> DQ -> Div -> Erf -> Q -> DQ -> Add -> Q -> DQ -> Mul ... -> Q
 *
 * Whatever is computed element by element from bytes of one tensor, and from
 * constant numbers, is a function of 256 numbers; where it ends in bytes again,
 * those are looked up. A Gelu as exporters spell it, and its quantisers wrap
 * it, ends as one step. Each table is filled literally, op by op.
 *
 * Only the QuantizeLinear at the end of a chain is changed. What no one reads
 * after that is swept away. */
#include "nn/int8.h"
#include "nn/passes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A value as a function of bytes. */
struct function {
    sosie_value_id root; /* the bytes, or SOSIE_NO_VALUE: it is none */
    size_t length;       /* ops since then */
    float of[256];       /* by the byte as it is kept: signed ones with 128
                            added */
};

struct tables {
    struct sosie_graph *graph;
    struct sosie_links links;
    struct function **functions; /* of each value; NULL: none */
};

static int32_t kept_zero(const struct sosie_quant *quant,
                         enum sosie_dtype dtype)
{
    return quant->zero_points[0] + (dtype == SOSIE_I8 ? 128 : 0);
}

/* A constant number, perhaps behind a DequantizeLinear. */
static bool is_number(const struct tables *t, sosie_value_id id, float *number)
{
    const struct sosie_value *value = &t->graph->values[id];
    const struct sosie_node *dq;
    if (value->data) {
        if (value->dtype != SOSIE_F32 || sosie_shape_count(&value->shape) != 1)
            return false;
        *number = *(const float *)value->data;
        return true;
    }
    dq = sosie_producer(t->graph, &t->links, id);
    if (!dq || dq->op != SOSIE_OP_DEQUANTIZE || dq->quantize.quant.n != 1)
        return false;
    value = &t->graph->values[dq->inputs[0]];
    if (!value->data || sosie_shape_count(&value->shape) != 1)
        return false;
    sosie_plain_floats(value, number);
    *number = (*number - (float)dq->quantize.quant.zero_points[0]) *
              dq->quantize.quant.scales[0];
    return true;
}

/* Rounds to the nearest byte as it is kept. */
static float to_byte(float x, const struct sosie_node *q)
{
    float zero = (float)kept_zero(&q->quantize.quant, q->quantize.dtype);
    x = rintf(x / q->quantize.quant.scales[0]) + zero;
    return x > 0.0F ? (x < 255.0F ? x : 255.0F) : 0.0F;
}

/* ---- functions of values ------------------------------------------------- */

/* The function of `id`, which is new; NULL: out of memory. */
static struct function *start(struct tables *t, sosie_value_id id,
                              sosie_value_id root, size_t length)
{
    struct function *f = malloc(sizeof(*f));
    t->functions[id] = f;
    if (f) {
        f->root = root;
        f->length = length;
    }
    return f;
}

/* Bytes that are computed begin a chain; bytes that a chain ended in go on with
 * it. */
static bool after_dequantize(struct tables *t, const struct sosie_node *node)
{
    const struct sosie_value *bytes = &t->graph->values[node->inputs[0]];
    const struct sosie_quant *quant = &node->quantize.quant;
    const struct function *chain = t->functions[node->inputs[0]];
    struct function *f;
    if (bytes->data || quant->n != 1 ||
        (bytes->dtype != SOSIE_U8 && bytes->dtype != SOSIE_I8))
        return true;
    f = start(t, node->output, chain ? chain->root : node->inputs[0],
              chain ? chain->length : 0);
    for (size_t q = 0; f && q < 256; q++)
        f->of[q] = ((chain ? chain->of[q] : (float)q) -
                    (float)kept_zero(quant, bytes->dtype)) *
                   quant->scales[0];
    return f;
}

static bool after_act(struct tables *t, const struct sosie_node *node)
{
    const struct function *x = t->functions[node->inputs[0]];
    struct function *f;
    if (!x)
        return true;
    f = start(t, node->output, x->root, x->length + 1);
    for (size_t q = 0; f && q < 256; q++)
        f->of[q] = sosie_act_apply(node->op, node->act, x->of[q]);
    return f;
}

/* Of two functions of the same bytes, or of one and a number. */
static bool after_binary(struct tables *t, const struct sosie_node *node)
{
    const struct function *in[2] = {t->functions[node->inputs[0]],
                                    t->functions[node->inputs[1]]};
    const struct function *x = in[0] ? in[0] : in[1];
    const struct sosie_value *out = &t->graph->values[node->output];
    float number = 0.0F;
    struct function *f;
    if (!x || node->n_inputs != 2)
        return true;
    for (size_t k = 0; k < 2; k++)
        if (in[k]
                ? in[k]->root != x->root ||
                      !sosie_shape_equal(
                          &t->graph->values[node->inputs[k]].shape, &out->shape)
                : !is_number(t, node->inputs[k], &number))
            return true;
    f = start(t, node->output, x->root, x->length + 1);
    for (size_t q = 0; f && q < 256; q++)
        f->of[q] = sosie_binary_apply(node->op, in[0] ? in[0]->of[q] : number,
                                      in[1] ? in[1]->of[q] : number);
    return f;
}

/* The end of a chain of more than nothing becomes a table. */
static bool after_quantize(struct tables *t, struct sosie_node *node)
{
    const struct function *x = t->functions[node->inputs[0]];
    struct function *f;
    uint8_t *table;
    if (!x || node->quantize.quant.n != 1)
        return true;
    f = start(t, node->output, x->root, x->length);
    table = sosie_arena_alloc(&t->graph->arena, 256, 1);
    if (!f || !table)
        return false;
    for (size_t q = 0; q < 256; q++) {
        f->of[q] = to_byte(x->of[q], node);
        table[q] = (uint8_t)f->of[q];
    }
    if (!x->length)
        return true;
    node->quantize.table = table;
    node->inputs[0] = x->root;
    return true;
}

static bool after(struct tables *t, struct sosie_node *node)
{
    if (node->op == SOSIE_OP_DEQUANTIZE)
        return after_dequantize(t, node);
    if (node->op == SOSIE_OP_QUANTIZE)
        return after_quantize(t, node);
    if (sosie_op_is_act(node->op))
        return after_act(t, node);
    return !sosie_op_is_binary(node->op) || after_binary(t, node);
}

enum sosie_status sosie_int8_tables(struct sosie_graph *graph,
                                    struct sosie_error *err)
{
    struct tables t = {.graph = graph};
    bool good;
    enum sosie_status st = sosie_links_init(&t.links, graph, err);
    if (st)
        return st;
    t.functions = calloc(graph->n_values + 1, sizeof(*t.functions));
    good = t.functions;
    for (size_t i = 0; i < graph->n_nodes && good; i++)
        good = after(&t, &graph->nodes[i]);
    for (size_t v = 0; t.functions && v < graph->n_values; v++)
        free(t.functions[v]);
    free(t.functions);
    sosie_links_release(&t.links);
    return good ? sosie_sweep(graph, err)
                : sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
}
