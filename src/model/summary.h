/* summary.h: what a network is, for people: what its file holds, and how much
 * work a pass is. */
#ifndef SOSIE_MODEL_SUMMARY_H
#define SOSIE_MODEL_SUMMARY_H

#include "model/network.h"

struct sosie_op_count {
    const char *op;
    size_t n;
};

struct sosie_summary {
    int64_t opset;
    struct sosie_op_count *ops; /* nodes of the file, by kind and name */
    size_t n_ops, n_nodes;
    size_t n_parameters;
    uint64_t macs; /* multiplications and additions in pairs, one photo */
};

/* Before sosie_network_make, which takes the graph. What it holds is in the
 * arena, or lives as long as the network. */
SOSIE_MUST_CHECK enum sosie_status
sosie_summary_of(const struct sosie_network *network, struct sosie_arena *arena,
                 struct sosie_summary *summary, struct sosie_error *err);

/* Elements of the weights that a graph has, of any type but sizes. */
size_t sosie_graph_parameters(const struct sosie_graph *graph);

/* Those of one node; 0 for what is no convolution or matrix product. */
uint64_t sosie_node_macs(const struct sosie_graph *graph,
                         const struct sosie_node *node);

#endif
