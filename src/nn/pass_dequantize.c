/* pass_dequantize.c: a quantised network as the one it was made from, nearly:
 * what rounds is dropped, and weights become numbers again. */
#include "nn/net_impl.h"
#include "nn/passes.h"

#include <math.h>
#include <string.h>

static bool same_quant(const struct sosie_quant *a, const struct sosie_quant *b)
{
    return a->n == 1 && b->n == 1 &&
           !memcmp(a->scales, b->scales, sizeof(*a->scales)) &&
           a->zero_points[0] == b->zero_points[0];
}

/* A Clip right behind another, which nothing else reads, is one Clip. */
static void merge_clips(const struct sosie_graph *graph,
                        const struct sosie_links *links,
                        struct sosie_node *clip)
{
    const struct sosie_node *before =
        sosie_lone(graph, links, clip->inputs[0], SOSIE_OP_CLIP);
    if (!before || before->n_posts)
        return;
    clip->act.a = fmaxf(clip->act.a, before->act.a);
    clip->act.b = fminf(clip->act.b, before->act.b);
    clip->inputs[0] = before->inputs[0];
}

/* To bytes and back is a Clip to what the bytes can say, but for the rounding.
 * Files rely on that: a Relu before it is often left out. */
static void clip_pairs(struct sosie_graph *graph, struct sosie_links *links)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *dq = &graph->nodes[i];
        const struct sosie_node *q;
        const struct sosie_quant *quant = &dq->quantize.quant;
        float low, zero;
        if (dq->op != SOSIE_OP_DEQUANTIZE ||
            !(q = sosie_producer(graph, links, dq->inputs[0])) ||
            q->op != SOSIE_OP_QUANTIZE ||
            !same_quant(&q->quantize.quant, quant))
            continue;
        zero = (float)quant->zero_points[0];
        low = q->quantize.dtype == SOSIE_I8 ? -128.0F : 0.0F;
        dq->inputs[0] = q->inputs[0];
        dq->act = (struct sosie_act){(low - zero) * quant->scales[0],
                                     (low + 255.0F - zero) * quant->scales[0]};
        dq->op = SOSIE_OP_CLIP;
        merge_clips(graph, links, dq);
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
    clip_pairs(graph, &links);
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
