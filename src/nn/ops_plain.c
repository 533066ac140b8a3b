/* ops_plain.c: the ops in plain C as a set of ops; plain.h tells of them. */
#include "nn/plain.h"

#include <assert.h>
#include <string.h>

const struct sosie_shape *sosie_plain_input(const struct sosie_graph *graph,
                                            const struct sosie_node *node,
                                            size_t k)
{
    return &sosie_node_input(graph, node, k)->shape;
}

const struct sosie_shape *sosie_plain_output(const struct sosie_graph *graph,
                                             const struct sosie_node *node)
{
    return &graph->values[node->output].shape;
}

size_t sosie_plain_offset(const struct sosie_shape *shape, size_t i,
                          const size_t strides[SOSIE_MAX_RANK])
{
    size_t at = 0;
    for (size_t d = shape->rank; d-- > 0; i /= shape->dims[d])
        at += i % shape->dims[d] * strides[d];
    return at;
}

void sosie_plain_floats(const struct sosie_value *value, float *out)
{
    size_t n = sosie_shape_count(&value->shape);
    if (value->dtype == SOSIE_F32) {
        memcpy(out, value->data, n * sizeof(*out));
        return;
    }
    for (size_t i = 0; i < n; i++)
        switch ((int)value->dtype) {
        case SOSIE_U8:
            out[i] = (float)((const uint8_t *)value->data)[i];
            break;
        case SOSIE_I8:
            out[i] = (float)((const int8_t *)value->data)[i];
            break;
        case SOSIE_I32:
            out[i] = (float)((const int32_t *)value->data)[i];
            break;
        default:
            out[i] = (float)((const int64_t *)value->data)[i];
        }
}

sosie_plain_op *sosie_plain_op_of(enum sosie_op op)
{
    static sosie_plain_op *const ops[SOSIE_N_OPS] = {
        [SOSIE_OP_ADD] = sosie_plain_binary,
        [SOSIE_OP_AVERAGE_POOL] = sosie_plain_average_pool,
        [SOSIE_OP_BATCH_NORM] = sosie_plain_batch_norm,
        [SOSIE_OP_CONCAT] = sosie_plain_concat,
        [SOSIE_OP_CONV] = sosie_plain_conv,
        [SOSIE_OP_DEQUANTIZE] = sosie_plain_dequantize,
        [SOSIE_OP_DIV] = sosie_plain_binary,
        [SOSIE_OP_EXPAND] = sosie_plain_expand,
        [SOSIE_OP_GATHER] = sosie_plain_gather,
        [SOSIE_OP_GEMM] = sosie_plain_gemm,
        [SOSIE_OP_GLOBAL_AVERAGE_POOL] = sosie_plain_global_pool,
        [SOSIE_OP_GLOBAL_MAX_POOL] = sosie_plain_global_pool,
        [SOSIE_OP_LAYER_NORM] = sosie_plain_layer_norm,
        [SOSIE_OP_LP_NORM] = sosie_plain_lp_norm,
        [SOSIE_OP_MATMUL] = sosie_plain_matmul,
        [SOSIE_OP_MAX] = sosie_plain_binary,
        [SOSIE_OP_MAX_POOL] = sosie_plain_max_pool,
        [SOSIE_OP_MIN] = sosie_plain_binary,
        [SOSIE_OP_MUL] = sosie_plain_binary,
        [SOSIE_OP_PAD] = sosie_plain_pad,
        [SOSIE_OP_POW] = sosie_plain_binary,
        [SOSIE_OP_PRELU] = sosie_plain_binary,
        [SOSIE_OP_QUANTIZE] = sosie_plain_quantize,
        [SOSIE_OP_REDUCE_L2] = sosie_plain_reduce,
        [SOSIE_OP_REDUCE_MEAN] = sosie_plain_reduce,
        [SOSIE_OP_REDUCE_SUM] = sosie_plain_reduce,
        [SOSIE_OP_RESIZE] = sosie_plain_resize,
        [SOSIE_OP_SLICE] = sosie_plain_slice,
        [SOSIE_OP_SOFTMAX] = sosie_plain_softmax,
        [SOSIE_OP_SUB] = sosie_plain_binary,
        [SOSIE_OP_TRANSPOSE] = sosie_plain_transpose,
    };
    return sosie_op_is_act(op) ? sosie_plain_act : ops[op];
}

/* ---- the set of ops ------------------------------------------------------ */

/* To the nearest bfloat16, halves to even: the upper half of a float. */
static void round_to_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof(bits));
        if ((bits & 0x7fffffff) > 0x7f800000)
            continue; /* not a number */
        bits += 0x7fff + (bits >> 16 & 1);
        bits &= 0xffff0000;
        memcpy(&x[i], &bits, sizeof(bits));
    }
}

void sosie_plain_step(const struct sosie_net_run *run,
                      const struct sosie_step *step)
{
    const struct sosie_graph *graph = &run->net->graph;
    const struct sosie_node *node = &graph->nodes[step->node];
    const float *in[SOSIE_MAX_INPUTS] = {NULL};
    float *out = sosie_run_buffer(run, step->args[node->n_inputs]);
    assert(step->n_args == node->n_inputs + 1);
    for (size_t k = 0; k < node->n_inputs; k++)
        in[k] = sosie_run_buffer(run, step->args[k]);
    sosie_plain_op_of(node->op)(graph, node, in, out);
    if (run->net->options.precision == SOSIE_PRECISION_BF16)
        round_to_bf16(out,
                      sosie_shape_count(&graph->values[node->output].shape));
}

static enum sosie_status add_value_buffer(struct sosie_net *net,
                                          sosie_value_id id, uint32_t *buffers,
                                          struct sosie_error *err)
{
    const struct sosie_value *value = &net->graph.values[id];
    size_t size = sosie_shape_count(&value->shape) * sizeof(float);
    return sosie_net_add_buffer(net, size, value->data ? id : SOSIE_NO_VALUE,
                                NULL, &buffers[id], err);
}

static enum sosie_status lower_node(struct sosie_net *net, size_t index,
                                    uint32_t *buffers, struct sosie_error *err)
{
    const struct sosie_node *node = &net->graph.nodes[index];
    struct sosie_step step = {
        .node = index, .implementation = "plain", .run = sosie_plain_step};
    enum sosie_status st = SOSIE_OK;

    for (size_t k = 0; k < node->n_inputs && !st; k++) {
        sosie_value_id id = node->inputs[k];
        step.args[step.n_args] = SOSIE_NO_BUFFER;
        if (id != SOSIE_NO_VALUE && buffers[id] == SOSIE_NO_BUFFER)
            st = add_value_buffer(net, id, buffers, err);
        if (id != SOSIE_NO_VALUE)
            step.args[step.n_args] = buffers[id];
        step.n_args++;
    }
    if (st)
        return st;
    if (!sosie_plain_op_of(node->op)) {
        buffers[node->output] = step.args[0];
        return SOSIE_OK;
    }
    st = add_value_buffer(net, node->output, buffers, err);
    step.args[step.n_args++] = buffers[node->output];
    return st ? st : sosie_net_add_step(net, &step, err);
}

static enum sosie_status plain_lower(struct sosie_net *net,
                                     struct sosie_error *err)
{
    struct sosie_graph *graph = &net->graph;
    uint32_t *buffers =
        sosie_arena_alloc(&graph->arena, graph->n_values, sizeof(*buffers));
    enum sosie_status st = SOSIE_OK;
    if (!buffers)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's buffers");
    memset(buffers, 0xff, graph->n_values * sizeof(*buffers));

    for (size_t k = 0; k < graph->n_inputs && !st; k++) {
        const struct sosie_shape *shape =
            &graph->values[graph->inputs[k]].shape;
        st = add_value_buffer(net, graph->inputs[k], buffers, err);
        net->inputs[k] = buffers[graph->inputs[k]];
        for (size_t d = 0; d < shape->rank; d++)
            net->input_strides[k][d] =
                sosie_shape_product(shape, d + 1, shape->rank);
    }
    for (size_t i = 0; i < graph->n_nodes && !st; i++)
        st = lower_node(net, i, buffers, err);
    for (size_t k = 0; k < graph->n_outputs && !st; k++) {
        sosie_value_id id = graph->outputs[k];
        if (buffers[id] == SOSIE_NO_BUFFER)
            st = add_value_buffer(net, id, buffers, err);
        net->outputs[k] = buffers[id];
    }
    return st;
}

static void plain_release(struct sosie_net *net)
{
    (void)net;
}

/* Constants become floats, whatever they were. In bfloat16, weights and the
 * result of every op are rounded to it; biases and sums are not. */
static enum sosie_status plain_pack(const struct sosie_net *net,
                                    const struct sosie_buffer *buffer,
                                    const void *data, void *memory,
                                    struct sosie_error *err)
{
    struct sosie_value value = net->graph.values[buffer->constant];
    (void)err;
    value.data = data;
    sosie_plain_floats(&value, memory);
    if (net->options.precision == SOSIE_PRECISION_BF16 && value.shape.rank > 1)
        round_to_bf16(memory, sosie_shape_count(&value.shape));
    return SOSIE_OK;
}

static enum sosie_status plain_bind(struct sosie_net_run *run,
                                    struct sosie_error *err)
{
    (void)run, (void)err;
    return SOSIE_OK;
}

static void plain_unbind(struct sosie_net_run *run)
{
    (void)run;
}

static enum sosie_status plain_forward(struct sosie_net_run *run, size_t first,
                                       size_t last, unsigned wanted,
                                       struct sosie_error *err)
{
    (void)err;
    for (size_t i = first; i < last; i++)
        if (run->net->steps[i].wanted & wanted)
            run->net->steps[i].run(run, &run->net->steps[i]);
    return SOSIE_OK;
}

const struct sosie_ops sosie_ops_plain = {
    plain_lower,  plain_release, plain_pack, plain_bind,
    plain_unbind, plain_forward, false,
};
