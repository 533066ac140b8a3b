/* pass_dequantize.c: a quantised network as the one it was made from, nearly:
 * what rounds is dropped, and weights become numbers again. */
#include "nn/net_impl.h"
#include "nn/passes.h"

#include <string.h>

/* Reads of a pair's result become reads of what went in. */
static void skip_pairs(struct sosie_graph *graph, struct sosie_links *links)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++) {
            const struct sosie_node *dq =
                sosie_producer(graph, links, node->inputs[k]);
            const struct sosie_node *q = NULL;
            if (dq && dq->op == SOSIE_OP_DEQUANTIZE)
                q = sosie_producer(graph, links, dq->inputs[0]);
            if (q && q->op == SOSIE_OP_QUANTIZE)
                node->inputs[k] = q->inputs[0];
        }
    }
    for (size_t k = 0; k < graph->n_outputs; k++) {
        const struct sosie_node *dq =
            sosie_producer(graph, links, graph->outputs[k]);
        const struct sosie_node *q = NULL;
        if (dq && dq->op == SOSIE_OP_DEQUANTIZE)
            q = sosie_producer(graph, links, dq->inputs[0]);
        if (q && q->op == SOSIE_OP_QUANTIZE)
            graph->outputs[k] = q->inputs[0];
    }
}

enum sosie_status sosie_dequantize_constant(struct sosie_graph *graph,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    const struct sosie_value *from = &graph->values[node->inputs[0]];
    size_t n = sosie_shape_count(&from->shape);
    const float *in[1];
    float *data = sosie_arena_alloc(&graph->arena, 2 * n, sizeof(*data));
    if (!data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "weights of '%.80s'",
                          from->name);
    sosie_plain_floats(from, data + n);
    in[0] = data + n;
    sosie_plain_op_of(SOSIE_OP_DEQUANTIZE)(graph, node, in, data);
    graph->values[node->output].data = data;
    return SOSIE_OK;
}

enum sosie_status sosie_graph_dequantize(struct sosie_graph *graph,
                                         struct sosie_error *err)
{
    struct sosie_links links;
    enum sosie_status st = sosie_links_init(&links, graph, err);
    if (st)
        return st;
    skip_pairs(graph, &links);
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        struct sosie_node *node = &graph->nodes[i];
        if (node->op != SOSIE_OP_DEQUANTIZE ||
            !graph->values[node->inputs[0]].data)
            continue;
        st = sosie_dequantize_constant(graph, node, err);
        node->output = SOSIE_NO_VALUE;
    }
    sosie_links_release(&links);
    return st ? st : sosie_sweep(graph, err);
}
