/* pass_dequantize.c: a quantised network as the one it was made from, nearly:
 * what rounds is dropped, and weights become numbers again. */
#include "nn/net_impl.h"
#include "nn/passes.h"

#include <string.h>

static bool same_quant(const struct sosie_quant *a, const struct sosie_quant *b)
{
    return a->n == 1 && b->n == 1 &&
           !memcmp(a->scales, b->scales, sizeof(*a->scales)) &&
           a->zero_points[0] == b->zero_points[0];
}

/* Whether a value is what a Clip or a Relu made. */
static bool is_clipped(const struct sosie_graph *graph,
                       const struct sosie_links *links, sosie_value_id id)
{
    const struct sosie_node *node = sosie_producer(graph, links, id);
    return node && (node->op == SOSIE_OP_CLIP || node->op == SOSIE_OP_RELU);
}

/* To bytes and back is a Clip to what the bytes can say, but for the rounding.
 * Files rely on that, and leave out a Relu before it: then the least that the
 * bytes say is 0. Elsewhere the ends are those of what was seen when the file
 * was made, which the network itself knows nothing of. */
static void replace_pairs(struct sosie_graph *graph, struct sosie_links *links)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *dq = &graph->nodes[i];
        const struct sosie_node *q;
        const struct sosie_quant *quant = &dq->quantize.quant;
        int least;
        if (dq->op != SOSIE_OP_DEQUANTIZE ||
            !(q = sosie_producer(graph, links, dq->inputs[0])) ||
            q->op != SOSIE_OP_QUANTIZE ||
            !same_quant(&q->quantize.quant, quant))
            continue;
        least = q->quantize.dtype == SOSIE_I8 ? -128 : 0;
        dq->inputs[0] = q->inputs[0];
        dq->n_inputs = 1;
        dq->op = SOSIE_OP_IDENTITY;
        if (quant->zero_points[0] != least ||
            is_clipped(graph, links, q->inputs[0]))
            continue;
        dq->op = SOSIE_OP_CLIP;
        dq->act = (struct sosie_act){0, 255.0F * quant->scales[0]};
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
    replace_pairs(graph, &links);
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
