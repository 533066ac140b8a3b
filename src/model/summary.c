/* summary.c: counts over a file and its graph. */
#include "model/summary.h"

#include "model/onnx.pb-c.h"

#include <string.h>

size_t sosie_graph_parameters(const struct sosie_graph *graph)
{
    size_t n = 0;
    for (size_t i = 0; i < graph->n_values; i++)
        if (graph->values[i].data && graph->values[i].dtype != SOSIE_I64)
            n += sosie_shape_count(&graph->values[i].shape);
    return n;
}

/* How many products each element of the result is a sum of. */
static size_t products(const struct sosie_graph *graph,
                       const struct sosie_node *node)
{
    const struct sosie_shape *a = &graph->values[node->inputs[0]].shape;
    const struct sosie_shape *b = &graph->values[node->inputs[1]].shape;
    if (node->op == SOSIE_OP_CONV) /* weights (out, in / group, h, w) */
        return sosie_shape_product(b, 1, b->rank);
    if (node->op == SOSIE_OP_GEMM)
        return a->dims[node->gemm.trans_a ? 0 : 1];
    return a->rank ? a->dims[a->rank - 1] : 1;
}

uint64_t sosie_node_macs(const struct sosie_graph *graph,
                         const struct sosie_node *node)
{
    if (node->op != SOSIE_OP_CONV && node->op != SOSIE_OP_GEMM &&
        node->op != SOSIE_OP_MATMUL)
        return 0;
    return (uint64_t)sosie_shape_count(&graph->values[node->output].shape) *
           products(graph, node);
}

/* A few dozen kinds at most: a look through the list is quick. */
static void count_op(struct sosie_summary *summary, const char *op)
{
    size_t i = 0;
    while (i < summary->n_ops && strcmp(summary->ops[i].op, op) < 0)
        i++;
    if (i == summary->n_ops || strcmp(summary->ops[i].op, op)) {
        memmove(&summary->ops[i + 1], &summary->ops[i],
                (summary->n_ops - i) * sizeof(*summary->ops));
        summary->ops[i] = (struct sosie_op_count){op, 0};
        summary->n_ops++;
    }
    summary->ops[i].n++;
}

static int64_t opset_of(const Onnx__ModelProto *message)
{
    for (size_t i = 0; i < message->n_opset_import; i++) {
        const char *domain = message->opset_import[i]->domain;
        if (!domain || !*domain || !strcmp(domain, "ai.onnx"))
            return message->opset_import[i]->version;
    }
    return 0;
}

enum sosie_status sosie_summary_of(const struct sosie_network *network,
                                   struct sosie_arena *arena,
                                   struct sosie_summary *summary,
                                   struct sosie_error *err)
{
    const Onnx__GraphProto *proto = network->onnx.message->graph;
    const struct sosie_graph *graph = &network->onnx.graph;
    *summary = (struct sosie_summary){
        .opset = opset_of(network->onnx.message),
        .ops =
            sosie_arena_alloc(arena, proto->n_node + 1, sizeof(*summary->ops)),
        .n_nodes = proto->n_node,
        .n_parameters = sosie_graph_parameters(graph)};
    if (!summary->ops)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a summary");
    for (size_t i = 0; i < proto->n_node; i++)
        count_op(summary,
                 proto->node[i]->op_type ? proto->node[i]->op_type : "");
    for (size_t i = 0; i < graph->n_nodes; i++)
        summary->macs += sosie_node_macs(graph, &graph->nodes[i]);
    return SOSIE_OK;
}
