/* trainable_onednn_conv.c: convolutions and pools, trained on oneDNN.
 *
 * A convolution takes its input as it comes and chooses the layout of its
 * result ("any"), which on most CPUs is in blocks of channels; all that follows
 * keeps it. A Relu or Clip that alone reads it is done by it; what that lets
 * through is seen from the result. */
#include "nn/trainable_onednn.h"

/* ---- convolutions -------------------------------------------------------- */

/* Weights as given (dense, float32), and of `type` in a free layout. Groups are
 * a dimension more in oneDNN. */
static dnnl_status_t conv_weights(struct sosie_trainable_walk *walk,
                                  dnnl_data_type_t type, sosie_md *given,
                                  sosie_md *any)
{
    const struct sosie_node *node = walk->node;
    const struct sosie_shape *w =
        &walk->t->graph.values[node->inputs[SOSIE_CONV_W]].shape;
    int64_t group = (int64_t)node->conv.group, stride = 1;
    dnnl_dims_t dims = {0}, strides;
    int rank = 0;
    dnnl_status_t dnn;
    if (group > 1)
        dims[rank++] = group;
    for (size_t i = 0; i < 4; i++)
        dims[rank++] = (int64_t)w->dims[i];
    dims[rank - 4] /= group;
    for (int i = rank; i-- > 0; stride *= dims[i])
        strides[i] = stride;
    dnn = sosie_md_strided(&walk->t->mds, rank, dims, strides, given);
    return dnn ? dnn : sosie_md_any(&walk->t->mds, rank, dims, type, any);
}

static dnnl_status_t conv_attr(const struct sosie_trainable_walk *walk,
                               const struct sosie_node *act,
                               dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t posts = NULL;
    dnnl_status_t dnn = dnnl_primitive_attr_clone(attr, walk->t->attr);
    if (!dnn && act) {
        dnn = dnnl_post_ops_create(&posts);
        if (!dnn)
            dnn = act->op == SOSIE_OP_RELU
                      ? sosie_post_function(posts, dnnl_eltwise_relu, 0, 0)
                      : sosie_post_function(posts, dnnl_eltwise_clip,
                                            act->act.a, act->act.b);
        if (!dnn)
            dnn = dnnl_primitive_attr_set_post_ops(*attr, posts);
        dnnl_post_ops_destroy(posts);
    }
    return dnn;
}

/* What a convolution's primitives have in common. */
struct convolution {
    struct sosie_conv_window window;
    sosie_md given, any; /* weights: as they stand, and as is liked */
    sosie_md bias;       /* NULL: none */
    dnnl_primitive_attr_t attr;
};

enum pass { FORWARD, DATA_GRAD, WEIGHTS_GRAD };

static dnnl_status_t conv_pd(struct sosie_trainable_walk *walk, enum pass pass,
                             const struct convolution *c, sosie_md src,
                             sosie_md dst, dnnl_primitive_desc_t *pd)
{
    struct sosie_trainable *t = walk->t;
    dnnl_primitive_desc_t hint = sosie_training_hint(walk);
    switch (pass) {
    case FORWARD:
        return sosie_conv_pd(t->engine, src, c->any, c->bias, dst, &c->window,
                             c->attr, pd);
    case DATA_GRAD:
        return sosie_conv_data_grad_pd(t->engine, src, c->any, dst, &c->window,
                                       hint, c->attr, pd);
    case WEIGHTS_GRAD:
        break;
    }
    return sosie_conv_weights_grad_pd(t->engine, src, c->any, c->bias, dst,
                                      &c->window, hint, c->attr, pd);
}

/* Layouts that are tried when oneDNN has only its reference for those given
 * (odd numbers of channels, small planes, dilation, a depthwise convolution
 * that would change blocks into channels last): both images in blocks, both
 * with channels last, or dense, which is a product of matrices at least. */
static const dnnl_format_tag_t LAYOUTS[] = {dnnl_nChw16c, dnnl_nChw8c,
                                            dnnl_nhwc, dnnl_nchw};

/* The primitive for the layouts given or, if that is the reference, many times
 * slower, for the first of the others that is not: *src and *dst are then of
 * that. */
static dnnl_status_t quick_conv_pd(struct sosie_trainable_walk *walk,
                                   enum pass pass, const struct convolution *c,
                                   sosie_md *src, sosie_md *dst,
                                   dnnl_primitive_desc_t *pd)
{
    const struct sosie_trainable_value *values = walk->t->values;
    const struct sosie_shape *in = &values[walk->node->inputs[0]].shape;
    const struct sosie_shape *out = &values[walk->node->output].shape;
    dnnl_data_type_t type = sosie_training_element(walk);
    dnnl_status_t dnn = conv_pd(walk, pass, c, *src, *dst, pd);
    for (size_t i = 0; !dnn && sosie_training_is_reference(*pd) &&
                       i < sizeof(LAYOUTS) / sizeof(*LAYOUTS);
         i++) {
        dnnl_primitive_desc_t other = NULL;
        sosie_md from, to;
        if ((dnn =
                 sosie_training_tagged_md(walk, in, type, LAYOUTS[i], &from)) ||
            (dnn = sosie_training_tagged_md(walk, out, type, LAYOUTS[i], &to)))
            break;
        if (conv_pd(walk, pass, c, from, to, &other) ||
            sosie_training_is_reference(other)) {
            dnnl_primitive_desc_destroy(other);
            continue;
        }
        dnnl_primitive_desc_destroy(*pd);
        *pd = other;
        *src = from;
        *dst = to;
    }
    return dnn;
}

/* What a convolution reads. An image that becomes bfloat16 first is put
 * channels last by that, which AMX likes, and all that follows keeps it. */
static dnnl_status_t conv_src_md(struct sosie_trainable_walk *walk, sosie_md x,
                                 sosie_md *src)
{
    dnnl_data_type_t type = sosie_training_element(walk);
    *src = x;
    return sosie_md_type(x) == type
               ? dnnl_success
               : sosie_training_tagged_md(
                     walk, &walk->t->values[walk->node->inputs[0]].shape, type,
                     dnnl_nhwc, src);
}

/* Of what a convolution makes. oneDNN would take bfloat16 channels last, as AMX
 * likes it; without AMX blocks are quicker, by 1.13 to 1.28 times for all of
 * MobileNetV2 (Zen 4, oneDNN 2.6). */
static dnnl_format_tag_t layout(const struct sosie_trainable_walk *walk)
{
    return sosie_training_element(walk) == dnnl_bf16 && !sosie_cpu_has_amx()
               ? dnnl_nChw16c
               : dnnl_format_tag_any;
}

enum sosie_status sosie_training_conv_forward(struct sosie_trainable_walk *walk,
                                              bool *done,
                                              struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_node *act = sosie_training_fusable(walk, false);
    sosie_value_id out = act ? act->output : node->output;
    bool has_bias = sosie_training_is_param(walk, SOSIE_CONV_B);
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]), w;
    struct convolution c = {.bias = NULL};
    sosie_md src, dst;
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
    dnnl_status_t dnn;
    enum sosie_status st;

    if (!sosie_training_is_param(walk, SOSIE_CONV_W) ||
        !sosie_onednn_window(&node->conv.window, &c.window) ||
        (node->n_inputs > SOSIE_CONV_B && !has_bias &&
         node->inputs[SOSIE_CONV_B] != SOSIE_NO_VALUE))
        return SOSIE_OK;
    if ((dnn = conv_src_md(walk, x.md, &src)) ||
        (dnn = conv_weights(walk, sosie_training_element(walk), &c.given,
                            &c.any)) ||
        (dnn = sosie_training_tagged_md(walk, &t->values[out].shape,
                                        sosie_training_element(walk),
                                        layout(walk), &dst)) ||
        (has_bias && (dnn = sosie_training_vector_md(
                          walk, t->values[out].shape.dims[1], &c.bias))) ||
        (dnn = conv_attr(walk, act, &c.attr)) ||
        (dnn = quick_conv_pd(walk, FORWARD, &c, &src, &dst, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &c.any)) ||
        (dnn =
             sosie_pd_md(&t->mds, pd, dnnl_query_dst_md, &t->values[out].md))) {
        dnnl_primitive_desc_destroy(pd);
        dnnl_primitive_attr_destroy(c.attr);
        return sosie_training_fail(walk, dnn, err);
    }
    dnnl_primitive_attr_destroy(c.attr);
    *done = true;
    if (act)
        walk->done[act - t->graph.nodes] = true;
    walk->hints[sosie_training_number(walk)] = pd;
    st = sosie_training_as(walk, x, src, &x, err);
    if (!st)
        st = sosie_training_packed(
            walk, sosie_training_param(walk, SOSIE_CONV_W, false, c.given),
            c.any, &w, err);
    if (st)
        return st;
    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(&args, DNNL_ARG_WEIGHTS, w);
    if (c.bias)
        sosie_training_put(
            &args, DNNL_ARG_BIAS,
            sosie_training_param(walk, SOSIE_CONV_B, false, c.bias));
    sosie_training_put(&args, DNNL_ARG_DST, sosie_training_value(walk, out));
    return sosie_training_emit_hinted(walk, pd, &args, err);
}

static enum sosie_status conv_data_grad(struct sosie_trainable_walk *walk,
                                        struct sosie_spot from,
                                        const struct sosie_conv_window *window,
                                        struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct convolution c = {.window = *window, .attr = t->attr};
    sosie_md src, dst = from.md;
    dnnl_primitive_desc_t pd = NULL;
    enum sosie_status st;
    dnnl_status_t dnn;

    if (!t->values[in].wants_grad)
        return SOSIE_OK;
    if ((dnn = conv_weights(walk, sosie_training_element(walk), &c.given,
                            &c.any)) ||
        (dnn = sosie_training_typed_md(walk, t->values[in].md, &src)) ||
        (dnn = quick_conv_pd(walk, DATA_GRAD, &c, &src, &dst, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &c.any))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    st = sosie_training_as(walk, from, dst, &from, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    return sosie_training_emit_data_grad(walk, pd, from, c.given, c.any, src,
                                         err);
}

static enum sosie_status
conv_weights_grad(struct sosie_trainable_walk *walk, struct sosie_spot from,
                  const struct sosie_conv_window *window,
                  struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct convolution c = {.window = *window, .attr = t->attr};
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]);
    sosie_md src, dst = from.md;
    dnnl_primitive_desc_t pd = NULL;
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = conv_weights(walk, dnnl_f32, &c.given, &c.any)) ||
        (dnn = conv_src_md(walk, x.md, &src)) ||
        (sosie_training_is_param(walk, SOSIE_CONV_B) &&
         (dnn = sosie_training_vector_md(
              walk, t->graph.values[node->inputs[SOSIE_CONV_B]].shape.dims[0],
              &c.bias))) ||
        (dnn = quick_conv_pd(walk, WEIGHTS_GRAD, &c, &src, &dst, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_diff_weights_md, &c.any))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    st = sosie_training_as(walk, x, src, &x, err);
    if (!st)
        st = sosie_training_as(walk, from, dst, &from, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    return sosie_training_emit_weights_grad(walk, pd, x, from, c.given, c.any,
                                            c.bias, err);
}

enum sosie_status
sosie_training_conv_backward(struct sosie_trainable_walk *walk,
                             struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    const struct sosie_node *act = sosie_training_fusable(walk, false);
    sosie_value_id out = act ? act->output : node->output;
    struct sosie_spot from = sosie_training_grad(walk, out);
    struct sosie_conv_window window;
    enum sosie_status st = SOSIE_OK;

    (void)sosie_onednn_window(&node->conv.window, &window); /* it did before */
    if (act)
        st = sosie_training_fused_grad(walk, act, err);
    if (!st)
        st = conv_data_grad(walk, from, &window, err);
    return st ? st : conv_weights_grad(walk, from, &window, err);
}

/* ---- pools --------------------------------------------------------------- */

struct pool {
    dnnl_alg_kind_t kind;
    dnnl_dims_t kernel;
    struct sosie_conv_window window;
};

static bool find_pool(const struct sosie_trainable_walk *walk,
                      struct pool *pool)
{
    const struct sosie_node *node = walk->node;
    const struct sosie_shape *x = &walk->t->values[node->inputs[0]].shape;
    const struct sosie_window *window = &node->pool.window;
    const struct sosie_window whole = {.kernel = {x->dims[2], x->dims[3]},
                                       .strides = {1, 1},
                                       .dilations = {1, 1}};
    if (x->rank != 4)
        return false;
    if (node->op == SOSIE_OP_GLOBAL_AVERAGE_POOL) {
        pool->kind = dnnl_pooling_avg_exclude_padding;
        window = &whole;
    } else if (node->op == SOSIE_OP_MAX_POOL) {
        pool->kind = dnnl_pooling_max;
    } else {
        pool->kind = node->pool.counts_padding
                         ? dnnl_pooling_avg_include_padding
                         : dnnl_pooling_avg_exclude_padding;
    }
    if (window != &whole &&
        (node->pool.ceil_mode || window->dilations[0] != 1 ||
         window->dilations[1] != 1))
        return false;
    pool->kernel[0] = (int64_t)window->kernel[0];
    pool->kernel[1] = (int64_t)window->kernel[1];
    return sosie_onednn_window(window, &pool->window);
}

enum sosie_status sosie_training_pool_forward(struct sosie_trainable_walk *walk,
                                              bool *done,
                                              struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]);
    struct sosie_trainable_value *out = &t->values[node->output];
    sosie_md src = x.md, dst, kept = NULL;
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
    struct pool pool;
    enum sosie_status st;
    dnnl_status_t dnn;

    if (!find_pool(walk, &pool))
        return SOSIE_OK;
    *done = true;
    if ((!t->values[node->inputs[0]].wants_grad && /* the photo: floats */
         (dnn = conv_src_md(walk, x.md, &src))) ||
        (dnn = sosie_training_tagged_md(walk, &out->shape, sosie_md_type(src),
                                        dnnl_format_tag_any, &dst)) ||
        (dnn =
             sosie_pool_training_pd(t->engine, pool.kind, src, dst, pool.kernel,
                                    &pool.window, t->attr, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_dst_md, &out->md)) ||
        (pool.kind == dnnl_pooling_max &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    st = sosie_training_as(walk, x, src, &x, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(&args, DNNL_ARG_DST,
                       sosie_training_value(walk, node->output));
    if (kept)
        sosie_training_put(&args, DNNL_ARG_WORKSPACE,
                           sosie_training_kept(walk, kept));
    return sosie_training_emit_hinted(walk, pd, &args, err);
}

enum sosie_status
sosie_training_pool_backward(struct sosie_trainable_walk *walk,
                             struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct sosie_spot from = sosie_training_grad(walk, node->output), to;
    sosie_md kept = NULL;
    dnnl_primitive_desc_t pd = NULL, hint = sosie_training_hint(walk);
    struct sosie_training_args args = {.n = 0};
    enum sosie_status st;
    struct pool pool;
    dnnl_status_t dnn;

    if (!t->values[in].wants_grad || !find_pool(walk, &pool))
        return SOSIE_OK;
    if ((dnn = sosie_pool_grad_pd(t->engine, pool.kind, t->values[in].md,
                                  from.md, pool.kernel, &pool.window, hint,
                                  t->attr, &pd)) ||
        (pool.kind == dnnl_pooling_max &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    sosie_training_note(walk, pd, true);
    to = sosie_training_take(walk, in, t->values[in].md);
    sosie_training_put(&args, DNNL_ARG_DIFF_DST, from);
    sosie_training_put(&args, DNNL_ARG_DIFF_SRC, to);
    if (kept)
        sosie_training_put(&args, DNNL_ARG_WORKSPACE,
                           sosie_training_kept(walk, kept));
    st = sosie_training_emit_pd(walk, pd, &args, err);
    return st ? st : sosie_training_give(walk, in, to, err);
}
