/* graph.c: building a graph, one value and one node at a time. */
#include "nn/graph.h"

#include "base/size.h"
#include "nn/net_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *sosie_op_name(enum sosie_op op)
{
    static const char *const names[] = {
#define SOSIE_OP_TEXT(name, text) text,
        SOSIE_OP_LIST(SOSIE_OP_TEXT)
#undef SOSIE_OP_TEXT
    };
    assert(op < SOSIE_N_OPS);
    return names[op];
}

void sosie_graph_release(struct sosie_graph *graph)
{
    sosie_arena_release(&graph->arena);
    free(graph->values);
    free(graph->nodes);
    memset(graph, 0, sizeof(*graph));
}

/* Makes room for one more element in a growing array. */
static void *grown(void *array, size_t n, size_t *room, size_t size)
{
    size_t wanted = *room ? *room : 64, bytes;
    void *larger;
    if (n < *room)
        return array;
    if (!sosie_size_mul(wanted, 2, &wanted) ||
        !sosie_size_mul(wanted, size, &bytes))
        return NULL;
    larger = realloc(array, bytes);
    if (larger)
        *room = wanted;
    return larger;
}

enum sosie_status sosie_graph_add_value(struct sosie_graph *graph,
                                        const struct sosie_value *value,
                                        sosie_value_id *id,
                                        struct sosie_error *err)
{
    struct sosie_value *values;
    char *name = sosie_arena_strdup(&graph->arena, value->name);
    enum sosie_status st = sosie_shape_check(&value->shape, err);
    if (st) {
        sosie_error_prefix(err, "tensor '%.80s'", value->name);
        return st;
    }
    values = grown(graph->values, graph->n_values, &graph->values_room,
                   sizeof(*values));
    if (values)
        graph->values = values;
    if (!name || !values || graph->n_values >= SOSIE_NO_VALUE)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's tensors");
    values[graph->n_values] = *value;
    values[graph->n_values].name = name;
    *id = (sosie_value_id)graph->n_values++;
    return SOSIE_OK;
}

/* Ops that take quantised tensors as they take numbers, and keep their type. */
static bool moves_any_type(enum sosie_op op)
{
    return op == SOSIE_OP_CONCAT || op == SOSIE_OP_FLATTEN ||
           op == SOSIE_OP_GATHER || op == SOSIE_OP_MAX_POOL ||
           op == SOSIE_OP_RESHAPE || op == SOSIE_OP_SLICE ||
           op == SOSIE_OP_TRANSPOSE || op == SOSIE_OP_IDENTITY;
}

static bool takes(enum sosie_op op, enum sosie_dtype dtype)
{
    bool is_byte = dtype == SOSIE_U8 || dtype == SOSIE_I8;
    if (op == SOSIE_OP_IDENTITY)
        return true;
    if (op == SOSIE_OP_DEQUANTIZE)
        return is_byte || dtype == SOSIE_I32;
    return dtype == SOSIE_F32 || (is_byte && moves_any_type(op));
}

static enum sosie_status check_inputs(const struct sosie_graph *graph,
                                      const struct sosie_node *node,
                                      struct sosie_error *err)
{
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct sosie_value *value = sosie_node_input(graph, node, i);
        if (!value)
            continue;
        if (!takes(node->op, value->dtype))
            return sosie_fail(
                err, SOSIE_REFUSED, "input '%.80s' holds %s; %s supported here",
                value->name, sosie_dtype_name(value->dtype),
                node->op == SOSIE_OP_DEQUANTIZE ? "uint8, int8 and int32 are"
                                                : "float32 is");
        if (!sosie_shape_count(&value->shape))
            return sosie_fail(
                err, SOSIE_REFUSED,
                "input '%.80s' has no elements; one at least is supported",
                value->name);
    }
    return SOSIE_OK;
}

static enum sosie_dtype output_dtype(const struct sosie_graph *graph,
                                     const struct sosie_node *node)
{
    if (node->op == SOSIE_OP_QUANTIZE)
        return node->quantize.dtype;
    return moves_any_type(node->op) ? sosie_node_input(graph, node, 0)->dtype
                                    : SOSIE_F32;
}

/* ---- where constants stand ----------------------------------------------- */

size_t sosie_value_size(const struct sosie_value *value)
{
    return sosie_shape_count(&value->shape) * sosie_dtype_size(value->dtype);
}

enum sosie_status sosie_graph_own(struct sosie_graph *graph, sosie_value_id id,
                                  struct sosie_error *err)
{
    struct sosie_value *value = &graph->values[id];
    size_t size = sosie_value_size(value);
    void *data = sosie_arena_alloc(&graph->arena, size, 1);
    if (!data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "constant '%.80s'",
                          value->name);
    memcpy(data, value->data, size);
    value->data = data;
    return SOSIE_OK;
}

enum sosie_status sosie_graph_align(struct sosie_graph *graph,
                                    sosie_value_id id, struct sosie_error *err)
{
    const struct sosie_value *value = &graph->values[id];
    return (uintptr_t)value->data % sosie_dtype_size(value->dtype) &&
                   sosie_value_size(value)
               ? sosie_graph_own(graph, id, err)
               : SOSIE_OK;
}

/* ---- constants from constants -------------------------------------------- */

/* What depends on constants alone is computed at once, so that sizes which a
 * file computes are there when a node needs them. */
static const size_t MAX_FOLDED = (size_t)16 << 20; /* elements */

/* Quantised weights stay what they are: their ops read the bytes. */
static bool is_foldable(const struct sosie_graph *graph,
                        const struct sosie_node *node)
{
    if (node->op == SOSIE_OP_QUANTIZE || node->op == SOSIE_OP_DEQUANTIZE)
        return false;
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct sosie_value *value = sosie_node_input(graph, node, k);
        if (value && (!value->data || (sosie_plain_op_of(node->op) &&
                                       value->dtype != SOSIE_F32)))
            return false;
    }
    return sosie_shape_count(&graph->values[node->output].shape) <= MAX_FOLDED;
}

static enum sosie_status fold(struct sosie_graph *graph,
                              const struct sosie_node *node,
                              struct sosie_error *err)
{
    struct sosie_value *made = &graph->values[node->output];
    const float *in[SOSIE_MAX_INPUTS] = {NULL};
    sosie_plain_op *op = sosie_plain_op_of(node->op);
    float *data;
    for (size_t k = 0; k < node->n_inputs; k++) {
        enum sosie_status st;
        if (!sosie_node_input(graph, node, k))
            continue;
        st = sosie_graph_align(graph, node->inputs[k], err);
        if (st)
            return st;
        in[k] = sosie_node_input(graph, node, k)->data;
    }
    if (!op) { /* the same elements in another shape */
        made->data = in[0];
        return SOSIE_OK;
    }
    data = sosie_arena_alloc(&graph->arena, sosie_shape_count(&made->shape),
                             sizeof(*data));
    if (!data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "constants of '%.80s'",
                          made->name);
    op(graph, node, in, data);
    made->data = data;
    return SOSIE_OK;
}

/* ---- nodes --------------------------------------------------------------- */

enum sosie_status sosie_graph_add_node(struct sosie_graph *graph,
                                       const struct sosie_node *node,
                                       const char *output, sosie_value_id *id,
                                       struct sosie_error *err)
{
    struct sosie_node *nodes, added = *node;
    struct sosie_value made = {.name = output};
    enum sosie_status st;

    if (graph->n_nodes >= SOSIE_MAX_NODES)
        return sosie_fail(err, SOSIE_REFUSED,
                          "more than %d nodes; that is the limit",
                          SOSIE_MAX_NODES);
    st = check_inputs(graph, node, err);
    if (!st)
        st = sosie_node_infer(graph, &added, &made.shape, err);
    made.dtype = output_dtype(graph, node);
    if (!st)
        st = sosie_graph_add_value(graph, &made, &added.output, err);
    if (st) {
        sosie_error_prefix(err, "node '%.80s' (%s)", node->name,
                           sosie_op_name(node->op));
        return st;
    }
    *id = added.output;
    if (is_foldable(graph, &added))
        return fold(graph, &added, err);
    nodes =
        grown(graph->nodes, graph->n_nodes, &graph->nodes_room, sizeof(*nodes));
    if (nodes)
        graph->nodes = nodes;
    added.name = sosie_arena_strdup(&graph->arena, node->name);
    if (!nodes || !added.name)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's nodes");
    nodes[graph->n_nodes++] = added;
    return SOSIE_OK;
}

const struct sosie_value *sosie_node_input(const struct sosie_graph *graph,
                                           const struct sosie_node *node,
                                           size_t k)
{
    if (k >= node->n_inputs || node->inputs[k] == SOSIE_NO_VALUE)
        return NULL;
    assert(node->inputs[k] < graph->n_values);
    return &graph->values[node->inputs[k]];
}
