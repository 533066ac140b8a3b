/* ops_plain.c: every op in plain C. This is the specification of what each op
 * computes; ops_onednn.c is checked against it and borrows from it what oneDNN
 * does not have.
 *
 * Tensors are dense and row-major, NCHW for images. A value's buffer holds its
 * elements; ops that only see their input in another shape share its buffer. */
#include "nn/net_impl.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct sosie_shape *shape_of(const struct sosie_graph *graph,
                                          const struct sosie_node *node,
                                          size_t k)
{
    return &sosie_node_input(graph, node, k)->shape;
}

static const struct sosie_shape *output_shape(const struct sosie_graph *graph,
                                              const struct sosie_node *node)
{
    return &graph->values[node->output].shape;
}

bool sosie_op_is_act(enum sosie_op op)
{
    return op == SOSIE_OP_CLIP || op == SOSIE_OP_RELU;
}

float sosie_act_apply(enum sosie_op op, struct sosie_act act, float x)
{
    if (op == SOSIE_OP_RELU)
        return x > 0.0F ? x : 0.0F;
    assert(op == SOSIE_OP_CLIP);
    x = x > act.a ? x : act.a;
    return x < act.b ? x : act.b;
}

/* ---- Conv ---------------------------------------------------------------- */

/* Along one axis, output o reads input o * stride + shift. Gives the outputs
 * whose input exists, from *begin to before *end. */
static void inside(size_t n_out, size_t n_in, size_t stride, ptrdiff_t shift,
                   size_t *begin, size_t *end)
{
    ptrdiff_t in = (ptrdiff_t)n_in, step = (ptrdiff_t)stride;
    size_t first = shift < 0 ? (size_t)((-shift + step - 1) / step) : 0;
    size_t past = shift < in ? (size_t)((in - shift + step - 1) / step) : 0;
    *end = past < n_out ? past : n_out;
    *begin = first < *end ? first : *end;
}

/* Adds to an output plane an input plane under one weight of the kernel, the
 * one at (ky, kx). */
static void add_tap(const struct sosie_window *conv, size_t ky, size_t kx,
                    float weight, const float *in, const size_t in_size[2],
                    float *out, const size_t out_size[2])
{
    ptrdiff_t dy =
        (ptrdiff_t)(ky * conv->dilations[0]) - (ptrdiff_t)conv->pads[0];
    ptrdiff_t dx =
        (ptrdiff_t)(kx * conv->dilations[1]) - (ptrdiff_t)conv->pads[1];
    size_t y, y_end, x_begin, x_end;

    inside(out_size[0], in_size[0], conv->strides[0], dy, &y, &y_end);
    inside(out_size[1], in_size[1], conv->strides[1], dx, &x_begin, &x_end);
    for (; y < y_end; y++) {
        ptrdiff_t row = (ptrdiff_t)(y * conv->strides[0]) + dy;
        const float *from = in + row * (ptrdiff_t)in_size[1];
        float *to = out + y * out_size[1];
        for (size_t x = x_begin; x < x_end; x++)
            to[x] += weight * from[(ptrdiff_t)(x * conv->strides[1]) + dx];
    }
}

static void apply_posts(const struct sosie_node *node, const float *residual,
                        float *out, size_t n)
{
    for (size_t p = 0; p < node->n_posts; p++) {
        const struct sosie_post *post = &node->posts[p];
        for (size_t i = 0; i < n; i++)
            out[i] = post->op == SOSIE_OP_ADD
                         ? out[i] + residual[i]
                         : sosie_act_apply(post->op, post->act, out[i]);
    }
}

static void conv_op(const struct sosie_graph *graph,
                    const struct sosie_node *node, const float *const *in,
                    float *out)
{
    const struct sosie_shape *xs = shape_of(graph, node, SOSIE_CONV_X);
    const struct sosie_shape *ws = shape_of(graph, node, SOSIE_CONV_W);
    const struct sosie_shape *ys = output_shape(graph, node);
    const struct sosie_conv *conv = &node->conv;
    const float *w = in[SOSIE_CONV_W];
    const float *bias = node->n_inputs > SOSIE_CONV_B ? in[SOSIE_CONV_B] : NULL;
    size_t filters = ws->dims[0], channels = ws->dims[1];
    size_t in_plane = xs->dims[2] * xs->dims[3];
    size_t out_plane = ys->dims[2] * ys->dims[3];

    for (size_t i = 0; i < ys->dims[0] * filters; i++) {
        size_t m = i % filters, group = m / (filters / conv->group);
        const float *x =
            in[SOSIE_CONV_X] +
            (i / filters * xs->dims[1] + group * channels) * in_plane;
        const float *tap = w + m * channels * ws->dims[2] * ws->dims[3];
        float *y = out + i * out_plane;
        for (size_t k = 0; k < out_plane; k++)
            y[k] = bias ? bias[m] : 0.0F;
        for (size_t c = 0; c < channels; c++)
            for (size_t ky = 0; ky < ws->dims[2]; ky++)
                for (size_t kx = 0; kx < ws->dims[3]; kx++)
                    add_tap(&conv->window, ky, kx, *tap++, x + c * in_plane,
                            &xs->dims[2], y, &ys->dims[2]);
    }
    if (node->n_posts)
        apply_posts(node,
                    node->n_inputs > SOSIE_CONV_RESIDUAL
                        ? in[SOSIE_CONV_RESIDUAL]
                        : NULL,
                    out, sosie_shape_count(ys));
}

/* ---- element by element -------------------------------------------------- */

static void act_op(const struct sosie_graph *graph,
                   const struct sosie_node *node, const float *const *in,
                   float *out)
{
    size_t n = sosie_shape_count(output_shape(graph, node));
    for (size_t i = 0; i < n; i++)
        out[i] = sosie_act_apply(node->op, node->act, in[0][i]);
}

static void add_op(const struct sosie_graph *graph,
                   const struct sosie_node *node, const float *const *in,
                   float *out)
{
    const struct sosie_shape *shape = output_shape(graph, node);
    size_t a_strides[SOSIE_MAX_RANK], b_strides[SOSIE_MAX_RANK];
    size_t n = sosie_shape_count(shape);

    sosie_broadcast_strides(shape_of(graph, node, 0), shape, a_strides);
    sosie_broadcast_strides(shape_of(graph, node, 1), shape, b_strides);
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, a = 0, b = 0;
        for (size_t d = shape->rank; d-- > 0; rest /= shape->dims[d]) {
            a += rest % shape->dims[d] * a_strides[d];
            b += rest % shape->dims[d] * b_strides[d];
        }
        out[i] = in[0][a] + in[1][b];
    }
}

static void batch_norm_op(const struct sosie_graph *graph,
                          const struct sosie_node *node, const float *const *in,
                          float *out)
{
    const struct sosie_shape *shape = output_shape(graph, node);
    size_t channels = shape->dims[1];
    size_t inner = sosie_shape_product(shape, 2, shape->rank);

    for (size_t i = 0; i < shape->dims[0] * channels; i++) {
        size_t c = i % channels;
        float f = in[SOSIE_BN_SCALE][c] /
                  sqrtf(in[SOSIE_BN_VARIANCE][c] + node->epsilon);
        for (size_t k = i * inner; k < (i + 1) * inner; k++)
            out[k] = (in[SOSIE_BN_X][k] - in[SOSIE_BN_MEAN][c]) * f +
                     in[SOSIE_BN_SHIFT][c];
    }
}

/* ---- over several elements ----------------------------------------------- */

static void pool_op(const struct sosie_graph *graph,
                    const struct sosie_node *node, const float *const *in,
                    float *out)
{
    const struct sosie_shape *shape = shape_of(graph, node, 0);
    size_t n = shape->dims[0] * shape->dims[1];
    size_t inner = sosie_shape_product(shape, 2, shape->rank);

    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t k = i * inner; k < (i + 1) * inner; k++)
            sum += (double)in[0][k];
        out[i] = (float)(sum / (double)inner);
    }
}

static void gemm_op(const struct sosie_graph *graph,
                    const struct sosie_node *node, const float *const *in,
                    float *out)
{
    const struct sosie_shape *a = shape_of(graph, node, SOSIE_GEMM_A);
    const struct sosie_shape *b = shape_of(graph, node, SOSIE_GEMM_B);
    const struct sosie_shape *shape = output_shape(graph, node);
    const struct sosie_gemm *gemm = &node->gemm;
    bool has_c = sosie_node_input(graph, node, SOSIE_GEMM_C) != NULL;
    size_t inner = a->dims[!gemm->trans_a], c_strides[SOSIE_MAX_RANK] = {0};
    /* from one element of a row of A', of a column of B', to the next, and
     * from one row, one column to the next */
    size_t a_step = gemm->trans_a ? a->dims[1] : 1;
    size_t a_row = gemm->trans_a ? 1 : a->dims[1];
    size_t b_step = gemm->trans_b ? 1 : b->dims[1];
    size_t b_column = gemm->trans_b ? b->dims[1] : 1;

    if (has_c)
        sosie_broadcast_strides(shape_of(graph, node, SOSIE_GEMM_C), shape,
                                c_strides);
    for (size_t m = 0; m < shape->dims[0]; m++)
        for (size_t n = 0; n < shape->dims[1]; n++) {
            float sum = 0.0F, c = 0.0F;
            for (size_t k = 0; k < inner; k++)
                sum += in[SOSIE_GEMM_A][m * a_row + k * a_step] *
                       in[SOSIE_GEMM_B][n * b_column + k * b_step];
            if (has_c)
                c = gemm->beta *
                    in[SOSIE_GEMM_C][m * c_strides[0] + n * c_strides[1]];
            out[m * shape->dims[1] + n] = gemm->alpha * sum + c;
        }
}

static void softmax_op(const struct sosie_graph *graph,
                       const struct sosie_node *node, const float *const *in,
                       float *out)
{
    struct sosie_softmax_sizes s =
        sosie_softmax_sizes(&node->softmax, output_shape(graph, node));

    for (size_t i = 0; i < s.outer * s.inner; i++) {
        size_t first = i / s.inner * s.length * s.inner + i % s.inner;
        const float *x = in[0] + first;
        float *y = out + first, most = -INFINITY, sum = 0.0F;
        for (size_t k = 0; k < s.length; k++)
            most = fmaxf(most, x[k * s.inner]);
        for (size_t k = 0; k < s.length; k++) {
            y[k * s.inner] = expf(x[k * s.inner] - most);
            sum += y[k * s.inner];
        }
        for (size_t k = 0; k < s.length; k++)
            y[k * s.inner] /= sum;
    }
}

sosie_plain_op *sosie_plain_op_of(enum sosie_op op)
{
    static sosie_plain_op *const ops[SOSIE_N_OPS] = {
        [SOSIE_OP_ADD] = add_op,   [SOSIE_OP_BATCH_NORM] = batch_norm_op,
        [SOSIE_OP_CLIP] = act_op,  [SOSIE_OP_CONV] = conv_op,
        [SOSIE_OP_GEMM] = gemm_op, [SOSIE_OP_GLOBAL_AVERAGE_POOL] = pool_op,
        [SOSIE_OP_RELU] = act_op,  [SOSIE_OP_SOFTMAX] = softmax_op,
    };
    return ops[op];
}

/* ---- the set of ops ------------------------------------------------------ */

void sosie_plain_step(const struct sosie_net_run *run,
                      const struct sosie_step *step)
{
    const struct sosie_node *node = &run->net->graph.nodes[step->node];
    const float *in[SOSIE_MAX_INPUTS] = {NULL};
    assert(step->n_args == node->n_inputs + 1);
    for (size_t k = 0; k < node->n_inputs; k++)
        in[k] = sosie_run_buffer(run, step->args[k]);
    sosie_plain_op_of(node->op)(
        &run->net->graph, node, in,
        sosie_run_buffer(run, step->args[node->n_inputs]));
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

static enum sosie_status plain_pack(const struct sosie_net *net,
                                    const struct sosie_buffer *buffer,
                                    void *memory, struct sosie_error *err)
{
    (void)err;
    memcpy(memory, net->graph.values[buffer->constant].data,
           buffer->extent.size);
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
