/* passes.h: what the passes over a graph share.
 *
 * Each pass walks the nodes once, in order. A node that has been folded into
 * another is dead: its output is SOSIE_NO_VALUE, and the next sweep drops it.
 */
#ifndef SOSIE_NN_PASSES_H
#define SOSIE_NN_PASSES_H

#include "nn/graph.h"

/* What a pass knows of the graph around a node. */
struct sosie_links {
    uint32_t *producer; /* of each value: a node, or SOSIE_NO_NODE */
    uint32_t *n_uses;   /* of each value, by nodes and as a graph's output */
};
#define SOSIE_NO_NODE UINT32_MAX

SOSIE_MUST_CHECK enum sosie_status
sosie_links_init(struct sosie_links *links, const struct sosie_graph *graph,
                 struct sosie_error *err);
void sosie_links_release(struct sosie_links *links);

/* The node that makes a value, or NULL. */
struct sosie_node *sosie_producer(const struct sosie_graph *graph,
                                  const struct sosie_links *links,
                                  sosie_value_id id);
/* The same if it is an `op` and nothing else reads the value. */
struct sosie_node *sosie_lone(const struct sosie_graph *graph,
                              const struct sosie_links *links,
                              sosie_value_id id, enum sosie_op op);

/* Kills a node, whose inputs are then read once less. */
void sosie_node_kill(struct sosie_links *links, struct sosie_node *node);

/* `node` now makes what `last`, which comes later and is killed, made. */
void sosie_take_over(const struct sosie_graph *graph, struct sosie_links *links,
                     struct sosie_node *node, struct sosie_node *last);

/* A new constant of the given shape; *data is its memory, to be filled. */
SOSIE_MUST_CHECK enum sosie_status
sosie_add_constant(struct sosie_graph *graph, const char *name,
                   const struct sosie_shape *shape, float **data,
                   sosie_value_id *id, struct sosie_error *err);

/* Drops dead nodes and those that no output needs. */
SOSIE_MUST_CHECK enum sosie_status sosie_sweep(struct sosie_graph *graph,
                                               struct sosie_error *err);

/* Gives the output of a DequantizeLinear of constants its elements. */
SOSIE_MUST_CHECK enum sosie_status
sosie_dequantize_constant(struct sosie_graph *graph,
                          const struct sosie_node *node,
                          struct sosie_error *err);

/* The passes that sosie_graph_simplify runs. */
SOSIE_MUST_CHECK enum sosie_status
sosie_pass_recognise(struct sosie_graph *graph, struct sosie_error *err);

#endif
