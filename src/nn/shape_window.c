/* shape_window.c: the shapes of convolutions and pools. */
#include "nn/shape.h"

/* Larger strides, dilations and paddings than this belong to no network, and
 * the arithmetic below stays far from overflow. */
enum { MAX_STEP = 1 << 15 };

/* ---- Conv ---------------------------------------------------------------- */

static enum sosie_status check_steps(const struct sosie_window *w,
                                     struct sosie_error *err)
{
    bool good = true;
    for (size_t i = 0; i < 2; i++)
        good = good && w->strides[i] >= 1 && w->strides[i] <= MAX_STEP &&
               w->dilations[i] >= 1 && w->dilations[i] <= MAX_STEP;
    for (size_t i = 0; i < 4; i++)
        good = good && w->pads[i] <= MAX_STEP;
    if (good)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "strides and dilations of 1 to %d and pads of 0 to %d "
                      "are supported",
                      MAX_STEP, MAX_STEP);
}

/* One spatial dimension: sets the paddings and returns the output's size; 0 if
 * the kernel does not fit. `axis` 0: height, 1: width. */
static size_t window_axis(struct sosie_window *w, size_t axis, size_t in)
{
    size_t stride = w->strides[axis], total = 0, begin = 0, out;
    size_t reach = (w->kernel[axis] - 1) * w->dilations[axis] + 1;

    if (w->auto_pad == SOSIE_PAD_SAME_UPPER ||
        w->auto_pad == SOSIE_PAD_SAME_LOWER) {
        out = (in + stride - 1) / stride;
        if ((out - 1) * stride + reach > in)
            total = (out - 1) * stride + reach - in;
        begin =
            w->auto_pad == SOSIE_PAD_SAME_UPPER ? total / 2 : total - total / 2;
    }
    if (w->auto_pad != SOSIE_PAD_EXPLICIT) {
        w->pads[axis] = begin;
        w->pads[axis + 2] = total - begin;
    }
    in += w->pads[axis] + w->pads[axis + 2];
    return in < reach ? 0 : (in - reach) / stride + 1;
}

static enum sosie_status check_weights(const struct sosie_conv *conv,
                                       const struct sosie_value *x,
                                       const struct sosie_value *w,
                                       struct sosie_error *err)
{
    size_t channels = x->shape.dims[1], filters = w->shape.dims[0];
    if (!conv->group || filters % conv->group || channels % conv->group ||
        channels / conv->group != w->shape.dims[1])
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "weights %s do not fit an input of %s in %zu groups",
                          sosie_shape_text(&w->shape).text,
                          sosie_shape_text(&x->shape).text, conv->group);
    for (size_t i = 0; i < 2; i++)
        if (conv->window.kernel[i] &&
            conv->window.kernel[i] != w->shape.dims[2 + i])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "kernel_shape is %zux%zu but the weights are %s",
                              conv->window.kernel[0], conv->window.kernel[1],
                              sosie_shape_text(&w->shape).text);
    return SOSIE_OK;
}

enum sosie_status sosie_infer_conv(const struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    const struct sosie_value *x = sosie_node_input(graph, node, SOSIE_CONV_X);
    const struct sosie_value *w = sosie_node_input(graph, node, SOSIE_CONV_W);
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_CONV_B);
    struct sosie_conv *conv = &node->conv;
    enum sosie_status st;

    if ((st = sosie_need_rank(x, 4, err)) ||
        (st = sosie_need_rank(w, 4, err)) ||
        (st = sosie_need_constant(graph, node, SOSIE_CONV_W, err)) ||
        (st = check_steps(&conv->window, err)) ||
        (st = check_weights(conv, x, w, err)))
        return st;
    if (b && (st = sosie_need_vector(graph, node, SOSIE_CONV_B,
                                     w->shape.dims[0], err)))
        return st;
    *shape = x->shape;
    shape->dims[1] = w->shape.dims[0];
    for (size_t i = 0; i < 2; i++) {
        conv->window.kernel[i] = w->shape.dims[2 + i];
        shape->dims[2 + i] =
            window_axis(&conv->window, i, x->shape.dims[2 + i]);
        if (!shape->dims[2 + i])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "a kernel of %zux%zu does not fit an input of %s",
                              w->shape.dims[2], w->shape.dims[3],
                              sosie_shape_text(&x->shape).text);
    }
    return SOSIE_OK;
}

/* ---- pools --------------------------------------------------------------- */

/* With ceil_mode a last window may reach beyond the padding, but has to start
 * before its end. */
static size_t pool_axis(struct sosie_pool *pool, size_t axis, size_t in)
{
    struct sosie_window *w = &pool->window;
    size_t stride = w->strides[axis], out = window_axis(w, axis, in);
    size_t reach = (w->kernel[axis] - 1) * w->dilations[axis] + 1;
    size_t all = in + w->pads[axis] + w->pads[axis + 2];
    if (!out || !pool->ceil_mode || w->auto_pad != SOSIE_PAD_EXPLICIT ||
        (all - reach) % stride == 0)
        return out;
    return out * stride < in + w->pads[axis] ? out + 1 : out;
}

enum sosie_status sosie_infer_pool(const struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    const struct sosie_value *x = sosie_node_input(graph, node, 0);
    struct sosie_window *w = &node->pool.window;
    enum sosie_status st = sosie_need_rank(x, 4, err);
    if (!st)
        st = check_steps(w, err);
    if (st)
        return st;
    *shape = x->shape;
    for (size_t i = 0; i < 2; i++) {
        if (w->kernel[i] < 1 || w->kernel[i] > MAX_STEP)
            return sosie_fail(err, SOSIE_REFUSED,
                              "a kernel of %zux%zu; 1 to %d are supported",
                              w->kernel[0], w->kernel[1], MAX_STEP);
        shape->dims[2 + i] = pool_axis(&node->pool, i, x->shape.dims[2 + i]);
        if (!shape->dims[2 + i])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "a kernel of %zux%zu does not fit an input of %s",
                              w->kernel[0], w->kernel[1],
                              sosie_shape_text(&x->shape).text);
        if (w->pads[i] >= (w->kernel[i] - 1) * w->dilations[i] + 1)
            return sosie_fail(err, SOSIE_REFUSED,
                              "pads of %zu for a kernel of %zu; less than the "
                              "kernel is supported",
                              w->pads[i], w->kernel[i]);
    }
    return SOSIE_OK;
}

enum sosie_status sosie_infer_global_pool(const struct sosie_graph *graph,
                                          struct sosie_node *node,
                                          struct sosie_shape *shape,
                                          struct sosie_error *err)
{
    *shape = sosie_node_input(graph, node, 0)->shape;
    if (shape->rank < 3)
        return sosie_need_rank(sosie_node_input(graph, node, 0), 4, err);
    for (size_t i = 2; i < shape->rank; i++)
        shape->dims[i] = 1;
    return SOSIE_OK;
}
