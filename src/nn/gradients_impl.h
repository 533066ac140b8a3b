/* gradients_impl.h: the inside of the ops that can be trained: what the files
 * that know some of them each share. */
#ifndef SOSIE_NN_GRADIENTS_IMPL_H
#define SOSIE_NN_GRADIENTS_IMPL_H

#include "nn/gradients.h"

/* Any op's but those below: what plain.h says of one photo holds for a batch
 * in which nothing mixes photos. */
sosie_gradient_function sosie_forward_plain;
sosie_gradient_function sosie_forward_batch_norm, sosie_forward_slice;

sosie_gradient_function sosie_backward_act, sosie_backward_binary;
sosie_gradient_function sosie_backward_conv, sosie_backward_max_pool,
    sosie_backward_average_pool, sosie_backward_global_average_pool,
    sosie_backward_global_max_pool;
sosie_gradient_function sosie_backward_gemm, sosie_backward_matmul;
sosie_gradient_function sosie_backward_batch_norm, sosie_backward_layer_norm,
    sosie_backward_lp_norm, sosie_backward_softmax;
sosie_gradient_function sosie_backward_reduce_l2, sosie_backward_reduce_mean,
    sosie_backward_reduce_sum;
sosie_gradient_function sosie_backward_concat, sosie_backward_pad,
    sosie_backward_same, sosie_backward_slice, sosie_backward_transpose;

#endif
