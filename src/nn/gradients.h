/* gradients.h: every op that can be trained, forward and backward, in plain C.
 *
 * Tensors are dense, row-major floats (NCHW for images) of a whole batch:
 * dimension 0 of everything that is computed counts photos (a graph, which
 * knows one, says 1 there), and no op may mix them: who trains refuses a node
 * that reduces, normalises or joins along it. This is the specification of the
 * backward pass: the ops on oneDNN are checked against it and borrow from it
 * what oneDNN does not have.
 *
 * Backward gets the gradient of the output and *writes* the gradient of each
 * input that wants one, be it computed or a weight. Its sums run in a fixed
 * order (in double), so results depend on nothing but their input.
 *
 * BatchNormalization is in training mode: it normalises by the mean and the
 * (biased) variance of the batch; these are "the gradients" of its inputs mean
 * and variance, whose own values are not read: who trains keeps running
 * averages of them. Dropout does not exist here.
 *
 * Threads: any number, on different memory. */
#ifndef SOSIE_NN_GRADIENTS_H
#define SOSIE_NN_GRADIENTS_H

#include "nn/graph.h"

/* One op on one batch. Inputs stand as in the node. */
struct sosie_gradient_call {
    const struct sosie_node *node; /* without posts */
    struct sosie_shape in_shapes[SOSIE_MAX_INPUTS];
    const float *inputs[SOSIE_MAX_INPUTS]; /* NULL: not given */
    struct sosie_shape out_shape;
    float *output; /* written by forward, read by backward */
    /* For backward: */
    const float *output_grad;
    float *input_grads[SOSIE_MAX_INPUTS]; /* NULL: not wanted. None is
                                             output_grad's memory */
};

typedef void sosie_gradient_function(const struct sosie_gradient_call *call);

/* What an op has. An op without is not trained. */
struct sosie_gradient_op {
    sosie_gradient_function *forward, *backward;
    /* Whether backward reads the inputs, the output. */
    bool reads_inputs, reads_output;
};

/* NULL for an op that has no gradient here. */
const struct sosie_gradient_op *sosie_gradient_op(enum sosie_op op);

#endif
