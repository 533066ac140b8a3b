/* plain.h: the inside of the ops in plain C.
 *
 * Every value is an array of floats, dense and row-major, NCHW for images; a
 * quantised tensor holds whole numbers. This is the specification of what each
 * op computes: the ops on oneDNN are checked against it and borrow from it what
 * oneDNN does not have. */
#ifndef SOSIE_NN_PLAIN_H
#define SOSIE_NN_PLAIN_H

#include "nn/net_impl.h"

sosie_plain_op sosie_plain_act;
sosie_plain_op sosie_plain_conv, sosie_plain_max_pool, sosie_plain_average_pool;
sosie_plain_op sosie_plain_binary, sosie_plain_reduce, sosie_plain_global_pool;
sosie_plain_op sosie_plain_gemm, sosie_plain_matmul;
sosie_plain_op sosie_plain_batch_norm, sosie_plain_layer_norm,
    sosie_plain_lp_norm, sosie_plain_softmax;
sosie_plain_op sosie_plain_concat, sosie_plain_expand, sosie_plain_gather,
    sosie_plain_pad, sosie_plain_resize, sosie_plain_slice,
    sosie_plain_transpose;
sosie_plain_op sosie_plain_quantize, sosie_plain_dequantize;

/* Of input k, and of the output. */
const struct sosie_shape *sosie_plain_input(const struct sosie_graph *graph,
                                            const struct sosie_node *node,
                                            size_t k);
const struct sosie_shape *sosie_plain_output(const struct sosie_graph *graph,
                                             const struct sosie_node *node);

/* What is done to a result before it is written: node->posts. */
void sosie_plain_posts(const struct sosie_node *node, const float *residual,
                       float *out, size_t n);

/* The sum of a tensor's offsets along all dimensions of element i of a tensor
 * of `shape`. */
size_t sosie_plain_offset(const struct sosie_shape *shape, size_t i,
                          const size_t strides[SOSIE_MAX_RANK]);

/* Where the element at `at` along a padded dimension comes from, counted from
 * the first of the n that are padded; -1: from nowhere. */
int64_t sosie_plain_padded_from(enum sosie_pad_mode mode, int64_t at,
                                int64_t n);

#endif
