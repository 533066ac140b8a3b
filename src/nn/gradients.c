/* gradients.c: which ops can be trained, and what is common to them. */
#include "nn/gradients_impl.h"

#include "nn/plain.h"

#include <string.h>

/* The op in plain C asks a graph for shapes: it gets one of this node alone,
 * whose values count the photos of the batch. */
void sosie_forward_plain(const struct sosie_gradient_call *call)
{
    struct sosie_value values[SOSIE_MAX_INPUTS + 1];
    struct sosie_node node = *call->node;
    struct sosie_graph graph = {.values = values, .n_values = 1};
    sosie_plain_op *op = sosie_plain_op_of(node.op);

    if (!op) { /* the same elements in another shape */
        memcpy(call->output, call->inputs[0],
               sosie_shape_count(&call->out_shape) * sizeof(*call->output));
        return;
    }
    for (size_t k = 0; k < node.n_inputs; k++) {
        values[k].shape = call->in_shapes[k];
        node.inputs[k] = call->inputs[k] ? (sosie_value_id)k : SOSIE_NO_VALUE;
    }
    node.output = (sosie_value_id)node.n_inputs;
    values[node.output].shape = call->out_shape;
    graph.n_values = node.n_inputs + 1;
    op(&graph, &node, call->inputs, call->output);
}

const struct sosie_gradient_op *sosie_gradient_op(enum sosie_op op)
{
/* What backward reads. */
#define NOTHING false, false
#define INPUTS true, false
#define OUTPUT false, true
#define BOTH true, true
#define PLAIN(backward, reads)                                                 \
    {                                                                          \
        sosie_forward_plain, sosie_backward_##backward, reads                  \
    }
    static const struct sosie_gradient_op ops[SOSIE_N_OPS] = {
        [SOSIE_OP_ADD] = PLAIN(binary, NOTHING),
        [SOSIE_OP_AVERAGE_POOL] = PLAIN(average_pool, NOTHING),
        [SOSIE_OP_BATCH_NORM] = {sosie_forward_batch_norm,
                                 sosie_backward_batch_norm, INPUTS},
        [SOSIE_OP_CLIP] = PLAIN(act, OUTPUT),
        [SOSIE_OP_CONCAT] = PLAIN(concat, NOTHING),
        [SOSIE_OP_CONV] = PLAIN(conv, INPUTS),
        [SOSIE_OP_DIV] = PLAIN(binary, INPUTS),
        [SOSIE_OP_ELU] = PLAIN(act, INPUTS),
        [SOSIE_OP_FLATTEN] = PLAIN(same, NOTHING),
        [SOSIE_OP_GELU] = PLAIN(act, INPUTS),
        [SOSIE_OP_GEMM] = PLAIN(gemm, INPUTS),
        [SOSIE_OP_GLOBAL_AVERAGE_POOL] = PLAIN(global_average_pool, NOTHING),
        [SOSIE_OP_GLOBAL_MAX_POOL] = PLAIN(global_max_pool, INPUTS),
        [SOSIE_OP_HARD_SIGMOID] = PLAIN(act, OUTPUT),
        [SOSIE_OP_HARD_SWISH] = PLAIN(act, INPUTS),
        [SOSIE_OP_IDENTITY] = PLAIN(same, NOTHING),
        [SOSIE_OP_LAYER_NORM] = PLAIN(layer_norm, INPUTS),
        [SOSIE_OP_LEAKY_RELU] = PLAIN(act, INPUTS),
        [SOSIE_OP_LP_NORM] = PLAIN(lp_norm, INPUTS),
        [SOSIE_OP_MATMUL] = PLAIN(matmul, INPUTS),
        [SOSIE_OP_MAX_POOL] = PLAIN(max_pool, INPUTS),
        [SOSIE_OP_MUL] = PLAIN(binary, INPUTS),
        [SOSIE_OP_PAD] = PLAIN(pad, NOTHING),
        [SOSIE_OP_REDUCE_L2] = PLAIN(reduce_l2, BOTH),
        [SOSIE_OP_REDUCE_MEAN] = PLAIN(reduce_mean, NOTHING),
        [SOSIE_OP_REDUCE_SUM] = PLAIN(reduce_sum, NOTHING),
        [SOSIE_OP_RELU] = PLAIN(act, OUTPUT),
        [SOSIE_OP_RESHAPE] = PLAIN(same, NOTHING),
        [SOSIE_OP_SIGMOID] = PLAIN(act, OUTPUT),
        [SOSIE_OP_SLICE] = {sosie_forward_slice, sosie_backward_slice, NOTHING},
        [SOSIE_OP_SOFTMAX] = PLAIN(softmax, OUTPUT),
        [SOSIE_OP_SUB] = PLAIN(binary, NOTHING),
        [SOSIE_OP_SWISH] = PLAIN(act, INPUTS),
        [SOSIE_OP_TANH] = PLAIN(act, OUTPUT),
        [SOSIE_OP_TRANSPOSE] = PLAIN(transpose, NOTHING),
    };
#undef PLAIN
#undef BOTH
#undef OUTPUT
#undef INPUTS
#undef NOTHING
    return ops[op].backward ? &ops[op] : NULL;
}
