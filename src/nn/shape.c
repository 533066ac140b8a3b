/* shape.c: what each op makes of its inputs' shapes, and whether it may. */
#include "nn/graph.h"

#include <string.h>

/* Larger strides, dilations and paddings than this belong to no network, and
 * the arithmetic below stays far from overflow. */
enum { MAX_STEP = 1 << 15 };

static enum sosie_status need_rank(const struct sosie_value *value, size_t rank,
                                   struct sosie_error *err)
{
    if (value->shape.rank == rank)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "input '%.80s' is %s; %zu dimensions are supported",
                      value->name, sosie_shape_text(&value->shape).text, rank);
}

static enum sosie_status need_constant(const struct sosie_value *value,
                                       struct sosie_error *err)
{
    if (value->data)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "input '%.80s' is computed; constants are supported here",
                      value->name);
}

/* A constant of n elements, one a channel. */
static enum sosie_status need_vector(const struct sosie_value *value, size_t n,
                                     struct sosie_error *err)
{
    if (value->shape.rank != 1 || value->shape.dims[0] != n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "input '%.80s' is %s; expected %zu", value->name,
                          sosie_shape_text(&value->shape).text, n);
    return need_constant(value, err);
}

static enum sosie_status same_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    (void)err;
    *shape = sosie_node_input(graph, node, 0)->shape;
    return SOSIE_OK;
}

static enum sosie_status clip_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    if (!(node->act.a <= node->act.b)) /* NaN, too */
        return sosie_fail(err, SOSIE_REFUSED,
                          "min %g and max %g; min <= max is supported",
                          (double)node->act.a, (double)node->act.b);
    return same_shape(graph, node, shape, err);
}

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

static enum sosie_status conv_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    const struct sosie_value *x = sosie_node_input(graph, node, SOSIE_CONV_X);
    const struct sosie_value *w = sosie_node_input(graph, node, SOSIE_CONV_W);
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_CONV_B);
    struct sosie_conv *conv = &node->conv;
    enum sosie_status st;

    if ((st = need_rank(x, 4, err)) || (st = need_rank(w, 4, err)) ||
        (st = need_constant(w, err)) ||
        (st = check_steps(&conv->window, err)) ||
        (st = check_weights(conv, x, w, err)))
        return st;
    if (b && (st = need_vector(b, w->shape.dims[0], err)))
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

/* ---- the others ---------------------------------------------------------- */

static enum sosie_status batch_norm_shape(const struct sosie_graph *graph,
                                          struct sosie_node *node,
                                          struct sosie_shape *shape,
                                          struct sosie_error *err)
{
    const struct sosie_value *x = sosie_node_input(graph, node, SOSIE_BN_X);
    if (x->shape.rank < 2)
        return need_rank(x, 4, err);
    for (size_t k = SOSIE_BN_SCALE; k <= SOSIE_BN_VARIANCE; k++) {
        const struct sosie_value *v = sosie_node_input(graph, node, k);
        enum sosie_status st = need_vector(v, x->shape.dims[1], err);
        if (st)
            return st;
    }
    return same_shape(graph, node, shape, err);
}

/* Both are lined up at their last dimensions; a dimension of 1 repeats. */
static enum sosie_status add_shape(const struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    const struct sosie_shape *a = &sosie_node_input(graph, node, 0)->shape;
    const struct sosie_shape *b = &sosie_node_input(graph, node, 1)->shape;
    size_t rank = a->rank > b->rank ? a->rank : b->rank;

    shape->rank = rank;
    for (size_t i = 0; i < rank; i++) {
        size_t m = i + a->rank < rank ? 1 : a->dims[i + a->rank - rank];
        size_t n = i + b->rank < rank ? 1 : b->dims[i + b->rank - rank];
        if (m != n && m != 1 && n != 1)
            return sosie_fail(
                err, SOSIE_BAD_INPUT, "shapes %s and %s do not fit each other",
                sosie_shape_text(a).text, sosie_shape_text(b).text);
        shape->dims[i] = m > n ? m : n;
    }
    return SOSIE_OK;
}

void sosie_broadcast_strides(const struct sosie_shape *shape,
                             const struct sosie_shape *out,
                             size_t strides[SOSIE_MAX_RANK])
{
    size_t stride = 1;
    memset(strides, 0, SOSIE_MAX_RANK * sizeof(*strides));
    for (size_t i = 0; i < shape->rank; i++) {
        size_t dim = shape->dims[shape->rank - 1 - i];
        strides[out->rank - 1 - i] = dim == 1 ? 0 : stride;
        stride *= dim;
    }
}

static enum sosie_status pool_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    *shape = sosie_node_input(graph, node, 0)->shape;
    if (shape->rank < 3)
        return need_rank(sosie_node_input(graph, node, 0), 4, err);
    for (size_t i = 2; i < shape->rank; i++)
        shape->dims[i] = 1;
    return SOSIE_OK;
}

/* Puts an axis, which may count from the end, into 0 .. rank (or rank - 1). */
static enum sosie_status wrap_axis(int64_t *axis, size_t rank, bool may_be_rank,
                                   struct sosie_error *err)
{
    int64_t n = (int64_t)rank;
    if (*axis < -n || *axis > n || (*axis == n && !may_be_rank))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "axis is %lld but the input has %zu dimensions",
                          (long long)*axis, rank);
    if (*axis < 0)
        *axis += n;
    return SOSIE_OK;
}

static enum sosie_status flatten_shape(const struct sosie_graph *graph,
                                       struct sosie_node *node,
                                       struct sosie_shape *shape,
                                       struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    enum sosie_status st = wrap_axis(&node->axis, in->rank, true, err);
    size_t axis = (size_t)node->axis;
    if (st)
        return st;
    shape->rank = 2;
    shape->dims[0] = sosie_shape_product(in, 0, axis);
    shape->dims[1] = sosie_shape_product(in, axis, in->rank);
    return SOSIE_OK;
}

static enum sosie_status gemm_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    const struct sosie_value *a = sosie_node_input(graph, node, SOSIE_GEMM_A);
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_GEMM_B);
    const struct sosie_value *c = sosie_node_input(graph, node, SOSIE_GEMM_C);
    bool ta = node->gemm.trans_a, tb = node->gemm.trans_b;
    enum sosie_status st;

    if ((st = need_rank(a, 2, err)) || (st = need_rank(b, 2, err)))
        return st;
    if (a->shape.dims[!ta] != b->shape.dims[tb])
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "A is %s and B is %s: their inner sizes differ",
                          sosie_shape_text(&a->shape).text,
                          sosie_shape_text(&b->shape).text);
    *shape = (struct sosie_shape){2, {a->shape.dims[ta], b->shape.dims[!tb]}};
    for (size_t i = 0; c && i < c->shape.rank; i++) {
        size_t dim = c->shape.dims[c->shape.rank - 1 - i];
        if (i >= 2 || (dim != 1 && dim != shape->dims[1 - i]))
            return sosie_fail(err, SOSIE_BAD_INPUT, "C is %s; the result is %s",
                              sosie_shape_text(&c->shape).text,
                              sosie_shape_text(shape).text);
    }
    return SOSIE_OK;
}

/* The dimension that stands for what is left over, if there is one. */
static enum sosie_status reshape_rest(const struct sosie_reshape *reshape,
                                      const struct sosie_shape *in,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    size_t rest = SOSIE_MAX_RANK;
    enum sosie_status st;
    for (size_t i = 0; i < reshape->rank; i++) {
        if (reshape->dims[i] == -1 && rest == SOSIE_MAX_RANK)
            rest = i;
        else if (reshape->dims[i] < 0)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu of the shape is %lld; expected "
                              "sizes and at most one -1",
                              i, (long long)reshape->dims[i]);
    }
    st = sosie_shape_check(shape, err); /* the rest counts as 1 */
    if (!st && rest < SOSIE_MAX_RANK && sosie_shape_count(shape))
        shape->dims[rest] = sosie_shape_count(in) / sosie_shape_count(shape);
    return st;
}

static enum sosie_status reshape_shape(const struct sosie_graph *graph,
                                       struct sosie_node *node,
                                       struct sosie_shape *shape,
                                       struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    const struct sosie_reshape *reshape = &node->reshape;
    enum sosie_status st;

    shape->rank = reshape->rank;
    for (size_t i = 0; i < reshape->rank; i++) {
        shape->dims[i] = reshape->dims[i] < 0 ? 1 : (size_t)reshape->dims[i];
        if (reshape->dims[i] || reshape->allow_zero)
            continue;
        if (i >= in->rank)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu is 0 (as in the input), but the "
                              "input is %s",
                              i, sosie_shape_text(in).text);
        shape->dims[i] = in->dims[i];
    }
    st = reshape_rest(reshape, in, shape, err);
    if (!st && sosie_shape_count(shape) != sosie_shape_count(in))
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "%s cannot become %s: their sizes differ",
            sosie_shape_text(in).text, sosie_shape_text(shape).text);
    return st;
}

static enum sosie_status softmax_shape(const struct sosie_graph *graph,
                                       struct sosie_node *node,
                                       struct sosie_shape *shape,
                                       struct sosie_error *err)
{
    enum sosie_status st;
    *shape = sosie_node_input(graph, node, 0)->shape;
    st = wrap_axis(&node->softmax.axis, shape->rank, false, err);
    return st;
}

struct sosie_softmax_sizes
sosie_softmax_sizes(const struct sosie_softmax *softmax,
                    const struct sosie_shape *shape)
{
    size_t axis = (size_t)softmax->axis;
    size_t end = softmax->flatten ? shape->rank : axis + 1;
    return (struct sosie_softmax_sizes){
        sosie_shape_product(shape, 0, axis),
        sosie_shape_product(shape, axis, end),
        sosie_shape_product(shape, end, shape->rank)};
}

enum sosie_status sosie_node_infer(const struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    static enum sosie_status (*const infer[SOSIE_N_OPS])(
        const struct sosie_graph *, struct sosie_node *, struct sosie_shape *,
        struct sosie_error *) = {
        [SOSIE_OP_ADD] = add_shape,
        [SOSIE_OP_BATCH_NORM] = batch_norm_shape,
        [SOSIE_OP_CLIP] = clip_shape,
        [SOSIE_OP_CONV] = conv_shape,
        [SOSIE_OP_FLATTEN] = flatten_shape,
        [SOSIE_OP_GEMM] = gemm_shape,
        [SOSIE_OP_GLOBAL_AVERAGE_POOL] = pool_shape,
        [SOSIE_OP_IDENTITY] = same_shape,
        [SOSIE_OP_RELU] = same_shape,
        [SOSIE_OP_RESHAPE] = reshape_shape,
        [SOSIE_OP_SOFTMAX] = softmax_shape,
    };
    return infer[node->op](graph, node, shape, err);
}
