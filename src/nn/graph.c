/* graph.c: building a graph, one value and one node at a time. */
#include "nn/graph.h"

#include "base/size.h"

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

static enum sosie_status check_inputs(const struct sosie_graph *graph,
                                      const struct sosie_node *node,
                                      struct sosie_error *err)
{
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct sosie_value *value = sosie_node_input(graph, node, i);
        if (!value)
            continue;
        if (value->dtype != SOSIE_F32)
            return sosie_fail(err, SOSIE_REFUSED,
                              "input '%.80s' holds integers; float32 is "
                              "supported here",
                              value->name);
        if (!sosie_shape_count(&value->shape))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "input '%.80s' has no elements", value->name);
    }
    return SOSIE_OK;
}

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
    if (node->op == SOSIE_OP_IDENTITY) { /* of a constant: a constant */
        made.dtype = sosie_node_input(graph, node, 0)->dtype;
        made.data = sosie_node_input(graph, node, 0)->data;
        st = SOSIE_OK;
    } else {
        st = check_inputs(graph, node, err);
    }
    if (!st)
        st = sosie_node_infer(graph, &added, &made.shape, err);
    if (!st)
        st = sosie_graph_add_value(graph, &made, &added.output, err);
    if (st) {
        sosie_error_prefix(err, "node '%.80s' (%s)", node->name,
                           sosie_op_name(node->op));
        return st;
    }
    nodes =
        grown(graph->nodes, graph->n_nodes, &graph->nodes_room, sizeof(*nodes));
    if (nodes)
        graph->nodes = nodes;
    added.name = sosie_arena_strdup(&graph->arena, node->name);
    if (!nodes || !added.name)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's nodes");
    nodes[graph->n_nodes++] = added;
    *id = added.output;
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
