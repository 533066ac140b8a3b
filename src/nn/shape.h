/* shape.h: the inside of shape inference: what the files that know some ops
 * each share. */
#ifndef SOSIE_NN_SHAPE_H
#define SOSIE_NN_SHAPE_H

#include "nn/graph.h"

/* Infers *shape, the output's, from a node's inputs and parameters, all of
 * which it checks and may complete. */
typedef enum sosie_status sosie_infer(const struct sosie_graph *graph,
                                      struct sosie_node *node,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err);

sosie_infer sosie_infer_conv, sosie_infer_pool, sosie_infer_global_pool;
sosie_infer sosie_infer_concat, sosie_infer_expand, sosie_infer_flatten,
    sosie_infer_gather, sosie_infer_pad, sosie_infer_reshape,
    sosie_infer_resize, sosie_infer_slice, sosie_infer_transpose;

SOSIE_MUST_CHECK enum sosie_status
sosie_need_rank(const struct sosie_value *value, size_t rank,
                struct sosie_error *err);

/* A constant, perhaps behind a DequantizeLinear. */
SOSIE_MUST_CHECK enum sosie_status
sosie_need_constant(const struct sosie_graph *graph,
                    const struct sosie_node *node, size_t input,
                    struct sosie_error *err);

/* A constant of n elements, one a channel. */
SOSIE_MUST_CHECK enum sosie_status
sosie_need_vector(const struct sosie_graph *graph,
                  const struct sosie_node *node, size_t input, size_t n,
                  struct sosie_error *err);

/* Puts an axis, which may count from the end, into 0 .. rank - 1 (or rank). */
SOSIE_MUST_CHECK enum sosie_status sosie_wrap_axis(int64_t *axis, size_t rank,
                                                   bool may_be_rank,
                                                   struct sosie_error *err);

/* The shape that a and b have when each dimension of 1 repeats; they are lined
 * up at their last dimensions. */
SOSIE_MUST_CHECK enum sosie_status
sosie_broadcast_shape(const struct sosie_shape *a, const struct sosie_shape *b,
                      struct sosie_shape *out, struct sosie_error *err);

#endif
