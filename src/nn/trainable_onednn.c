/* trainable_onednn.c: the ops that are trained on oneDNN.
 *
 * A convolution takes its input as it comes and chooses the layout of its
 * result ("any"), which on most CPUs is in blocks of channels; all that follows
 * keeps it. Weights are packed once a step, for the forward pass and, where
 * that likes another layout, for the gradient of the input. A Relu or Clip that
 * alone reads a convolution is done by it, and a Relu behind a batch
 * normalisation likewise; what they let through is seen from the result. */
#include "nn/onednn.h"
#include "nn/trainable_impl.h"

#include <string.h>

enum { MAX_ARGS = 10 };

/* The arguments of a primitive, gathered one by one. */
struct args {
    struct sosie_spot spots[MAX_ARGS];
    int ids[MAX_ARGS];
    size_t n;
};

static void put(struct args *args, int id, struct sosie_spot spot)
{
    args->ids[args->n] = id;
    args->spots[args->n++] = spot;
}

/* Adds the primitive and frees its descriptor. */
static enum sosie_status emit(struct sosie_trainable_walk *walk,
                              dnnl_primitive_desc_t pd, const struct args *args,
                              struct sosie_error *err)
{
    enum sosie_status st = sosie_training_primitive(walk, pd, args->spots,
                                                    args->ids, args->n, err);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

static enum sosie_status fail(const struct sosie_trainable_walk *walk,
                              dnnl_status_t dnn, struct sosie_error *err)
{
    enum sosie_status st = sosie_onednn_fail(err, dnn, "training");
    sosie_error_prefix(err, "node '%.80s' (%s)", walk->node->name,
                       sosie_op_name(walk->node->op));
    return st;
}

static dnnl_data_type_t element(const struct sosie_trainable_walk *walk)
{
    return walk->t->options.bf16 ? dnnl_bf16 : dnnl_f32;
}

static size_t number(const struct sosie_trainable_walk *walk)
{
    return (size_t)(walk->node - walk->t->graph.nodes);
}

static bool is_reference(const_dnnl_primitive_desc_t pd)
{
    return !strncmp(sosie_pd_implementation(pd), "ref", 3);
}

/* Notes what goes forward or backward how. */
static void note(struct sosie_trainable_walk *walk,
                 const_dnnl_primitive_desc_t pd, bool backward)
{
    walk->t->names[number(walk)][backward] =
        sosie_arena_strdup(&walk->t->arena, sosie_pd_implementation(pd));
}

/* The descriptor of the forward primitive is the backward one's hint. */
static enum sosie_status emit_hinted(struct sosie_trainable_walk *walk,
                                     dnnl_primitive_desc_t pd,
                                     const struct args *args,
                                     struct sosie_error *err)
{
    walk->hints[number(walk)] = pd;
    note(walk, pd, false);
    return sosie_training_primitive(walk, pd, args->spots, args->ids, args->n,
                                    err);
}

/* Parameter k of the node, in its own dense layout. */
static struct sosie_spot param(const struct sosie_trainable_walk *walk,
                               size_t k, bool grad, sosie_md md)
{
    const struct sosie_trainable *t = walk->t;
    size_t i = t->param_of[walk->node->inputs[k]];
    return (struct sosie_spot){grad ? SOSIE_AT_PARAM_GRAD : SOSIE_AT_PARAM,
                               t->params[i].offset, md};
}

static bool is_param(const struct sosie_trainable_walk *walk, size_t k)
{
    const struct sosie_node *node = walk->node;
    return k < node->n_inputs && node->inputs[k] != SOSIE_NO_VALUE &&
           walk->t->param_of[node->inputs[k]] != UINT32_MAX;
}

static dnnl_status_t vector_md(struct sosie_trainable_walk *walk, size_t n,
                               sosie_md *md)
{
    dnnl_dims_t dims = {(int64_t)n}, strides = {1};
    return sosie_md_strided(&walk->t->mds, 1, dims, strides, md);
}

static dnnl_status_t any_md(struct sosie_trainable_walk *walk,
                            const struct sosie_shape *shape,
                            dnnl_data_type_t type, sosie_md *md)
{
    dnnl_dims_t dims;
    for (size_t i = 0; i < shape->rank; i++)
        dims[i] = (int64_t)shape->dims[i];
    return sosie_md_any(&walk->t->mds, (int)shape->rank, dims, type, md);
}

static dnnl_status_t dense_md(struct sosie_trainable_walk *walk,
                              const struct sosie_shape *shape, sosie_md *md)
{
    dnnl_dims_t dims, strides;
    int64_t stride = 1;
    for (size_t i = shape->rank; i-- > 0; stride *= dims[i]) {
        dims[i] = (int64_t)shape->dims[i];
        strides[i] = stride;
    }
    return sosie_md_typed(&walk->t->mds, (int)shape->rank, dims, element(walk),
                          strides, md);
}

/* `md` in the type that activations have here, where strides can say it. */
static dnnl_status_t typed_md(struct sosie_trainable_walk *walk, sosie_md md,
                              sosie_md *out)
{
    dnnl_dims_t dims, strides;
    int rank;
    *out = md;
    if (sosie_md_type(md) == element(walk) ||
        !sosie_md_strides(md, &rank, dims, strides))
        return dnnl_success;
    return sosie_md_typed(&walk->t->mds, rank, dims, element(walk), strides,
                          out);
}

/* A parameter in layout `md`: as it is, or packed once a step. */
static enum sosie_status packed(struct sosie_trainable_walk *walk,
                                struct sosie_spot given, sosie_md md,
                                struct sosie_spot *out, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    struct sosie_actions *actions = walk->actions;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    *out = given;
    if (sosie_md_equal(given.md, md))
        return SOSIE_OK;
    *out = (struct sosie_spot){SOSIE_AT_PACKED, t->packed_size, md};
    t->packed_size += (sosie_md_size(md) + SOSIE_ALIGNMENT - 1) /
                      SOSIE_ALIGNMENT * SOSIE_ALIGNMENT;
    dnn = sosie_reorder_pd(t->engine, given.md, md, NULL, &pd);
    if (dnn)
        return fail(walk, dnn, err);
    put(&args, DNNL_ARG_FROM, given);
    put(&args, DNNL_ARG_TO, *out);
    walk->actions = &t->pack;
    st = emit(walk, pd, &args, err);
    walk->actions = actions;
    return st;
}

/* Runs `pd`, which makes the gradient of parameter k in layout `md`, with these
 * arguments and that, and brings it to where it belongs. */
static enum sosie_status emit_param_grad(struct sosie_trainable_walk *walk,
                                         dnnl_primitive_desc_t pd,
                                         struct args *args,
                                         struct sosie_spot grad, sosie_md md,
                                         struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    bool is_there = sosie_md_equal(grad.md, md);
    struct sosie_spot made = is_there ? grad : sosie_training_temp(walk, md);
    dnnl_primitive_desc_t reorder = NULL;
    struct args copy = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    put(args, DNNL_ARG_DIFF_WEIGHTS, made);
    if (!t->names[number(walk)][1] || is_reference(pd))
        note(walk, pd, true);
    st = emit(walk, pd, args, err);
    if (st || is_there)
        return st;
    dnn = sosie_reorder_pd(t->engine, md, grad.md, t->attr, &reorder);
    if (dnn)
        return fail(walk, dnn, err);
    put(&copy, DNNL_ARG_FROM, made);
    put(&copy, DNNL_ARG_TO, grad);
    return emit(walk, reorder, &copy, err);
}

/* ---- functions of one number --------------------------------------------- */

struct function {
    dnnl_alg_kind_t kind;
    float a, b;
    bool by_result; /* the gradient is found from the result */
};

/* Those that the gradient of is found from the result come first: they may be
 * done in place. */
static bool find_function(const struct sosie_node *node, struct function *f)
{
    *f = (struct function){
        .a = node->act.a, .b = node->act.b, .by_result = true};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (node->op) {
    case SOSIE_OP_RELU:
        f->kind = dnnl_eltwise_relu_use_dst_for_bwd;
        f->a = 0;
        return true;
    case SOSIE_OP_CLIP:
        f->kind = dnnl_eltwise_clip_v2_use_dst_for_bwd;
        return true;
    case SOSIE_OP_SIGMOID:
        f->kind = dnnl_eltwise_logistic_use_dst_for_bwd;
        return true;
    case SOSIE_OP_TANH:
        f->kind = dnnl_eltwise_tanh_use_dst_for_bwd;
        return true;
    case SOSIE_OP_LEAKY_RELU:
        f->kind = dnnl_eltwise_relu;
        break;
    case SOSIE_OP_ELU:
        f->kind = dnnl_eltwise_elu;
        break;
    case SOSIE_OP_SWISH:
        f->kind = dnnl_eltwise_swish;
        f->a = 1;
        break;
    case SOSIE_OP_HARD_SWISH:
        f->kind = dnnl_eltwise_hardswish;
        f->a = 1.0F / 6;
        f->b = 0.5F;
        break;
    case SOSIE_OP_GELU:
        f->kind =
            node->act.a != 0 ? dnnl_eltwise_gelu_tanh : dnnl_eltwise_gelu_erf;
        break;
    default:
        return false;
    }
#pragma GCC diagnostic pop
    f->by_result = false;
    return true;
}

static enum sosie_status act_forward(struct sosie_trainable_walk *walk,
                                     const struct function *f,
                                     struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]);
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    dnnl_status_t dnn = sosie_eltwise_training_pd(t->engine, f->kind, x.md,
                                                  f->a, f->b, t->attr, &pd);
    if (dnn)
        return fail(walk, dnn, err);
    t->values[node->output].md = x.md;
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_DST, sosie_training_value(walk, node->output));
    return emit_hinted(walk, pd, &args, err);
}

/* The gradient of what an activation reads; `to` may be `from`. `kept` is the
 * activation's result or, if that does not do, its input. */
static enum sosie_status
act_grad(struct sosie_trainable_walk *walk, const struct function *f,
         struct sosie_spot kept, struct sosie_spot from, struct sosie_spot to,
         const_dnnl_primitive_desc_t hint, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    dnnl_primitive_desc_t pd = NULL, own = NULL;
    struct args args = {.n = 0};
    dnnl_status_t dnn = dnnl_success;
    enum sosie_status st;
    if (!hint) {
        dnn = sosie_eltwise_training_pd(t->engine, f->kind, from.md, f->a, f->b,
                                        t->attr, &own);
        hint = own;
    }
    if (!dnn)
        dnn = sosie_eltwise_grad_pd(t->engine, f->kind, from.md, f->a, f->b,
                                    hint, t->attr, &pd);
    dnnl_primitive_desc_destroy(own);
    if (dnn)
        return fail(walk, dnn, err);
    put(&args, f->by_result ? DNNL_ARG_DST : DNNL_ARG_SRC, kept);
    put(&args, DNNL_ARG_DIFF_DST, from);
    put(&args, DNNL_ARG_DIFF_SRC, to);
    if (!walk->t->names[number(walk)][1])
        note(walk, pd, true);
    st = emit(walk, pd, &args, err);
    return st;
}

static enum sosie_status act_backward(struct sosie_trainable_walk *walk,
                                      const struct function *f,
                                      struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct sosie_spot from = sosie_training_grad(walk, node->output);
    struct sosie_spot to = sosie_training_take(walk, in, from.md);
    enum sosie_status st = act_grad(
        walk, f, sosie_training_value(walk, f->by_result ? node->output : in),
        from, to, walk->hints[number(walk)], err);
    return st ? st : sosie_training_give(walk, in, to, err);
}

/* The activation that alone reads what this node makes, and that it can do as
 * well; NULL: none. */
static const struct sosie_node *fusable(const struct sosie_trainable_walk *walk,
                                        bool relu_only)
{
    sosie_value_id id = walk->node->output;
    const struct sosie_node *user = &walk->t->graph.nodes[walk->only_user[id]];
    if (walk->n_uses[id] != 1)
        return NULL;
    return user->op == SOSIE_OP_RELU ||
                   (!relu_only && user->op == SOSIE_OP_CLIP)
               ? user
               : NULL;
}

/* ---- convolutions -------------------------------------------------------- */

/* False where a window may lie wholly in the padding, which not all of
 * oneDNN's kernels foresee. */
static bool find_window(const struct sosie_window *from,
                        struct sosie_conv_window *window)
{
    for (size_t i = 0; i < 2; i++) {
        size_t reach = (from->kernel[i] - 1) * from->dilations[i] + 1;
        window->strides[i] = (int64_t)from->strides[i];
        window->dilations[i] = (int64_t)from->dilations[i];
        window->pads_begin[i] = (int64_t)from->pads[i];
        window->pads_end[i] = (int64_t)from->pads[i + 2];
        if (from->pads[i] >= reach || from->pads[i + 2] >= reach)
            return false;
    }
    return true;
}

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
    dnnl_primitive_desc_t hint = walk->hints[number(walk)];
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

/* For the layouts given or, where oneDNN has only its reference for them (odd
 * numbers of channels, small planes, dilation), dense, which is a product of
 * matrices at least and many times faster: *src and *dst are then dense. */
static dnnl_status_t quick_conv_pd(struct sosie_trainable_walk *walk,
                                   enum pass pass, const struct convolution *c,
                                   sosie_md *src, sosie_md *dst,
                                   dnnl_primitive_desc_t *pd)
{
    const struct sosie_trainable_value *values = walk->t->values;
    dnnl_primitive_desc_t dense = NULL;
    sosie_md dense_src, dense_dst;
    dnnl_status_t dnn = conv_pd(walk, pass, c, *src, *dst, pd);
    if (dnn || !is_reference(*pd))
        return dnn;
    if ((dnn = dense_md(walk, &values[walk->node->inputs[0]].shape,
                        &dense_src)) ||
        (dnn = dense_md(walk, &values[walk->node->output].shape, &dense_dst)))
        return dnn;
    if (conv_pd(walk, pass, c, dense_src, dense_dst, &dense) ||
        is_reference(dense)) {
        dnnl_primitive_desc_destroy(dense);
        return dnnl_success;
    }
    dnnl_primitive_desc_destroy(*pd);
    *pd = dense;
    *src = dense_src;
    *dst = dense_dst;
    return dnnl_success;
}

static enum sosie_status conv_forward(struct sosie_trainable_walk *walk,
                                      bool *done, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_node *act = fusable(walk, false);
    sosie_value_id out = act ? act->output : node->output;
    bool has_bias = is_param(walk, SOSIE_CONV_B);
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]), w;
    struct convolution c = {.bias = NULL};
    sosie_md src, dst;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    dnnl_status_t dnn;
    enum sosie_status st;

    if (!is_param(walk, SOSIE_CONV_W) ||
        !find_window(&node->conv.window, &c.window) ||
        (node->n_inputs > SOSIE_CONV_B && !has_bias &&
         node->inputs[SOSIE_CONV_B] != SOSIE_NO_VALUE))
        return SOSIE_OK;
    if ((dnn = typed_md(walk, x.md, &src)) ||
        (dnn = conv_weights(walk, element(walk), &c.given, &c.any)) ||
        (dnn = any_md(walk, &t->values[out].shape, element(walk), &dst)) ||
        (has_bias &&
         (dnn = vector_md(walk, t->values[out].shape.dims[1], &c.bias))) ||
        (dnn = conv_attr(walk, act, &c.attr)) ||
        (dnn = quick_conv_pd(walk, FORWARD, &c, &src, &dst, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &c.any)) ||
        (dnn =
             sosie_pd_md(&t->mds, pd, dnnl_query_dst_md, &t->values[out].md))) {
        dnnl_primitive_desc_destroy(pd);
        dnnl_primitive_attr_destroy(c.attr);
        return fail(walk, dnn, err);
    }
    dnnl_primitive_attr_destroy(c.attr);
    *done = true;
    if (act)
        walk->done[act - t->graph.nodes] = true;
    walk->hints[number(walk)] = pd;
    st = sosie_training_as(walk, x, src, &x, err);
    if (!st)
        st = packed(walk, param(walk, SOSIE_CONV_W, false, c.given), c.any, &w,
                    err);
    if (st)
        return st;
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_WEIGHTS, w);
    if (c.bias)
        put(&args, DNNL_ARG_BIAS, param(walk, SOSIE_CONV_B, false, c.bias));
    put(&args, DNNL_ARG_DST, sosie_training_value(walk, out));
    return emit_hinted(walk, pd, &args, err);
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
    struct sosie_spot w, to;
    sosie_md src, dst = from.md;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if (!t->values[in].wants_grad)
        return SOSIE_OK;
    if ((dnn = conv_weights(walk, element(walk), &c.given, &c.any)) ||
        (dnn = typed_md(walk, t->values[in].md, &src)) ||
        (dnn = quick_conv_pd(walk, DATA_GRAD, &c, &src, &dst, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &c.any))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    note(walk, pd, true);
    st =
        packed(walk, param(walk, SOSIE_CONV_W, false, c.given), c.any, &w, err);
    if (!st)
        st = sosie_training_as(walk, from, dst, &from, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    to = sosie_training_take(walk, in, src);
    put(&args, DNNL_ARG_DIFF_DST, from);
    put(&args, DNNL_ARG_WEIGHTS, w);
    put(&args, DNNL_ARG_DIFF_SRC, to);
    st = emit(walk, pd, &args, err);
    return st ? st : sosie_training_give(walk, in, to, err);
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
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = conv_weights(walk, dnnl_f32, &c.given, &c.any)) ||
        (dnn = typed_md(walk, x.md, &src)) ||
        (is_param(walk, SOSIE_CONV_B) &&
         (dnn = vector_md(
              walk, t->graph.values[node->inputs[SOSIE_CONV_B]].shape.dims[0],
              &c.bias))) ||
        (dnn = quick_conv_pd(walk, WEIGHTS_GRAD, &c, &src, &dst, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_diff_weights_md, &c.any))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    st = sosie_training_as(walk, x, src, &x, err);
    if (!st)
        st = sosie_training_as(walk, from, dst, &from, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_DIFF_DST, from);
    if (c.bias)
        put(&args, DNNL_ARG_DIFF_BIAS, param(walk, SOSIE_CONV_B, true, c.bias));
    return emit_param_grad(
        walk, pd, &args, param(walk, SOSIE_CONV_W, true, c.given), c.any, err);
}

static enum sosie_status conv_backward(struct sosie_trainable_walk *walk,
                                       struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    const struct sosie_node *act = fusable(walk, false);
    sosie_value_id out = act ? act->output : node->output;
    struct sosie_spot from = sosie_training_grad(walk, out);
    struct sosie_conv_window window;
    struct function f;
    enum sosie_status st = SOSIE_OK;

    if (!find_window(&node->conv.window, &window))
        return sosie_fail(err, SOSIE_BAD_INPUT, "window"); /* not here */
    if (act && find_function(act, &f))
        st = act_grad(walk, &f, sosie_training_value(walk, out), from, from,
                      NULL, err);
    if (!st)
        st = conv_data_grad(walk, from, &window, err);
    return st ? st : conv_weights_grad(walk, from, &window, err);
}

/* ---- batch normalisation ------------------------------------------------- */

static enum sosie_status norm_forward(struct sosie_trainable_walk *walk,
                                      bool *done, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_node *relu = fusable(walk, true);
    sosie_value_id out = relu ? relu->output : node->output;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[SOSIE_BN_X]);
    sosie_md vector, kept = NULL;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    dnnl_status_t dnn;

    for (size_t k = SOSIE_BN_SCALE; k <= SOSIE_BN_VARIANCE; k++)
        if (!is_param(walk, k))
            return SOSIE_OK;
    if (t->values[out].shape.rank != 4)
        return SOSIE_OK;
    if ((dnn = vector_md(walk, t->values[out].shape.dims[1], &vector)) ||
        (dnn = sosie_batch_norm_training_pd(t->engine, x.md, node->epsilon,
                                            relu != NULL, t->attr, &pd)) ||
        (relu &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    *done = true;
    if (relu)
        walk->done[relu - t->graph.nodes] = true;
    t->values[out].md = x.md;
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_SCALE, param(walk, SOSIE_BN_SCALE, false, vector));
    put(&args, DNNL_ARG_SHIFT, param(walk, SOSIE_BN_SHIFT, false, vector));
    put(&args, DNNL_ARG_MEAN, param(walk, SOSIE_BN_MEAN, true, vector));
    put(&args, DNNL_ARG_VARIANCE, param(walk, SOSIE_BN_VARIANCE, true, vector));
    if (kept)
        put(&args, DNNL_ARG_WORKSPACE,
            (struct sosie_spot){SOSIE_AT_KEPT, number(walk), kept});
    put(&args, DNNL_ARG_DST, sosie_training_value(walk, out));
    return emit_hinted(walk, pd, &args, err);
}

static enum sosie_status norm_backward(struct sosie_trainable_walk *walk,
                                       struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_node *relu = fusable(walk, true);
    sosie_value_id in = node->inputs[SOSIE_BN_X];
    struct sosie_spot x = sosie_training_value(walk, in), to;
    struct sosie_spot from =
        sosie_training_grad(walk, relu ? relu->output : node->output);
    sosie_md vector, kept = NULL;
    dnnl_primitive_desc_t pd = NULL, hint = walk->hints[number(walk)];
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = vector_md(walk, t->values[in].shape.dims[1], &vector)) ||
        (dnn = sosie_batch_norm_grad_pd(t->engine, x.md, node->epsilon,
                                        relu != NULL, hint, t->attr, &pd)) ||
        (relu &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    note(walk, pd, true);
    if (t->values[in].wants_grad) {
        to = sosie_training_take(walk, in, x.md);
    } else {
        to = sosie_training_temp(walk, x.md);
    }
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_SCALE, param(walk, SOSIE_BN_SCALE, false, vector));
    if (SOSIE_NORM_GRAD_READS_SHIFT)
        put(&args, DNNL_ARG_SHIFT, param(walk, SOSIE_BN_SHIFT, false, vector));
    put(&args, DNNL_ARG_MEAN, param(walk, SOSIE_BN_MEAN, true, vector));
    put(&args, DNNL_ARG_VARIANCE, param(walk, SOSIE_BN_VARIANCE, true, vector));
    put(&args, DNNL_ARG_DIFF_DST, from);
    put(&args, DNNL_ARG_DIFF_SRC, to);
    put(&args, DNNL_ARG_DIFF_SCALE, param(walk, SOSIE_BN_SCALE, true, vector));
    put(&args, DNNL_ARG_DIFF_SHIFT, param(walk, SOSIE_BN_SHIFT, true, vector));
    if (kept)
        put(&args, DNNL_ARG_WORKSPACE,
            (struct sosie_spot){SOSIE_AT_KEPT, number(walk), kept});
    st = emit(walk, pd, &args, err);
    if (st || !t->values[in].wants_grad)
        return st;
    return sosie_training_give(walk, in, to, err);
}

/* ---- sums ---------------------------------------------------------------- */

/* Of two computed values of one shape. */
static bool is_plain_sum(const struct sosie_trainable_walk *walk)
{
    const struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    for (size_t k = 0; k < 2; k++)
        if (t->graph.values[node->inputs[k]].data ||
            !sosie_shape_equal(&t->values[node->inputs[k]].shape,
                               &t->values[node->output].shape))
            return false;
    return true;
}

static enum sosie_status sum_forward(struct sosie_trainable_walk *walk,
                                     struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot a = sosie_training_value(walk, node->inputs[0]);
    struct sosie_spot b = sosie_training_value(walk, node->inputs[1]);
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    enum sosie_status st = sosie_training_as(walk, b, a.md, &b, err);
    dnnl_status_t dnn;
    if (st)
        return st;
    dnn = sosie_binary_pd(t->engine, dnnl_binary_add, a.md, a.md, a.md, t->attr,
                          &pd);
    if (dnn)
        return fail(walk, dnn, err);
    t->values[node->output].md = a.md;
    put(&args, DNNL_ARG_SRC_0, a);
    put(&args, DNNL_ARG_SRC_1, b);
    put(&args, DNNL_ARG_DST, sosie_training_value(walk, node->output));
    note(walk, pd, false);
    return emit(walk, pd, &args, err);
}

static enum sosie_status sum_backward(struct sosie_trainable_walk *walk,
                                      struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    struct sosie_spot from = sosie_training_grad(walk, node->output);
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < 2 && !st; k++)
        if (walk->t->values[node->inputs[k]].wants_grad)
            st = sosie_training_give(walk, node->inputs[k], from, err);
    return st;
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
    return find_window(window, &pool->window);
}

static enum sosie_status pool_forward(struct sosie_trainable_walk *walk,
                                      const struct pool *pool,
                                      struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]);
    struct sosie_trainable_value *out = &t->values[node->output];
    bool is_max = pool->kind == dnnl_pooling_max;
    sosie_md dst, kept = NULL;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    dnnl_status_t dnn;

    if ((dnn = any_md(walk, &out->shape, sosie_md_type(x.md), &dst)) ||
        (dnn = sosie_pool_training_pd(t->engine, pool->kind, x.md, dst,
                                      pool->kernel, &pool->window, t->attr,
                                      &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_dst_md, &out->md)) ||
        (is_max &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_DST, sosie_training_value(walk, node->output));
    if (kept)
        put(&args, DNNL_ARG_WORKSPACE,
            (struct sosie_spot){SOSIE_AT_KEPT, number(walk), kept});
    return emit_hinted(walk, pd, &args, err);
}

static enum sosie_status pool_backward(struct sosie_trainable_walk *walk,
                                       const struct pool *pool,
                                       struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct sosie_spot from = sosie_training_grad(walk, node->output), to;
    sosie_md kept = NULL;
    dnnl_primitive_desc_t pd = NULL, hint = walk->hints[number(walk)];
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if (!t->values[in].wants_grad)
        return SOSIE_OK;
    if ((dnn = sosie_pool_grad_pd(t->engine, pool->kind, t->values[in].md,
                                  from.md, pool->kernel, &pool->window, hint,
                                  t->attr, &pd)) ||
        (pool->kind == dnnl_pooling_max &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    note(walk, pd, true);
    to = sosie_training_take(walk, in, t->values[in].md);
    put(&args, DNNL_ARG_DIFF_DST, from);
    put(&args, DNNL_ARG_DIFF_SRC, to);
    if (kept)
        put(&args, DNNL_ARG_WORKSPACE,
            (struct sosie_spot){SOSIE_AT_KEPT, number(walk), kept});
    st = emit(walk, pd, &args, err);
    return st ? st : sosie_training_give(walk, in, to, err);
}

/* ---- products ------------------------------------------------------------ */

/* x (N, K) times weights, plus a bias: an inner product. `given`: the weights
 * as (M, K), wherever they stand. */
struct product {
    size_t n, k, m;
    bool has_bias;
    sosie_md given, bias;
};

static bool find_product(struct sosie_trainable_walk *walk,
                         struct product *product, dnnl_status_t *dnn)
{
    const struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_shape *x = &t->values[node->inputs[0]].shape;
    const struct sosie_gemm *gemm = &node->gemm;
    bool is_gemm = node->op == SOSIE_OP_GEMM;
    bool turned = is_gemm && gemm->trans_b;
    const struct sosie_shape *w;
    dnnl_dims_t dims, strides;

    if (t->graph.values[node->inputs[0]].data || !is_param(walk, 1) ||
        x->rank != 2 ||
        (is_gemm && (gemm->trans_a || gemm->alpha != 1 || gemm->beta != 1)))
        return false;
    w = &t->graph.values[node->inputs[1]].shape;
    if (w->rank != 2)
        return false;
    product->n = x->dims[0];
    product->k = x->dims[1];
    product->m = w->dims[turned ? 0 : 1];
    product->has_bias = node->n_inputs > 2 && node->inputs[2] != SOSIE_NO_VALUE;
    if (product->has_bias &&
        (!is_param(walk, 2) ||
         sosie_shape_count(&t->graph.values[node->inputs[2]].shape) !=
             product->m))
        return false;
    dims[0] = (int64_t)product->m;
    dims[1] = (int64_t)product->k;
    strides[0] = turned ? dims[1] : 1;
    strides[1] = turned ? 1 : dims[0];
    *dnn = sosie_md_strided(&walk->t->mds, 2, dims, strides, &product->given);
    product->bias = NULL;
    if (!*dnn && product->has_bias)
        *dnn = vector_md(walk, product->m, &product->bias);
    return true;
}

static dnnl_status_t any_weights(struct sosie_trainable_walk *walk,
                                 const struct product *product,
                                 dnnl_data_type_t type, sosie_md *any)
{
    dnnl_dims_t dims = {(int64_t)product->m, (int64_t)product->k};
    return sosie_md_any(&walk->t->mds, 2, dims, type, any);
}

static enum sosie_status product_forward(struct sosie_trainable_walk *walk,
                                         const struct product *product,
                                         struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_trainable_value *out = &t->values[node->output];
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]), w;
    sosie_md src, any, dst;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = typed_md(walk, x.md, &src)) ||
        (dnn = any_weights(walk, product, element(walk), &any)) ||
        (dnn = any_md(walk, &out->shape, element(walk), &dst)) ||
        (dnn = sosie_inner_product_pd(t->engine, src, any, product->bias, dst,
                                      t->attr, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &any)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_dst_md, &out->md))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    walk->hints[number(walk)] = pd;
    st = sosie_training_as(walk, x, src, &x, err);
    if (!st)
        st = packed(walk, param(walk, 1, false, product->given), any, &w, err);
    if (st)
        return st;
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_WEIGHTS, w);
    if (product->has_bias)
        put(&args, DNNL_ARG_BIAS, param(walk, 2, false, product->bias));
    put(&args, DNNL_ARG_DST, sosie_training_value(walk, node->output));
    return emit_hinted(walk, pd, &args, err);
}

static enum sosie_status product_data_grad(struct sosie_trainable_walk *walk,
                                           const struct product *product,
                                           struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct sosie_spot from = sosie_training_grad(walk, node->output), w, to;
    sosie_md src, any;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if (!t->values[in].wants_grad)
        return SOSIE_OK;
    if ((dnn = typed_md(walk, t->values[in].md, &src)) ||
        (dnn = any_weights(walk, product, element(walk), &any)) ||
        (dnn = sosie_inner_data_grad_pd(t->engine, src, any, from.md,
                                        walk->hints[number(walk)], t->attr,
                                        &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &any))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    note(walk, pd, true);
    st = packed(walk, param(walk, 1, false, product->given), any, &w, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    to = sosie_training_take(walk, in, src);
    put(&args, DNNL_ARG_DIFF_DST, from);
    put(&args, DNNL_ARG_WEIGHTS, w);
    put(&args, DNNL_ARG_DIFF_SRC, to);
    st = emit(walk, pd, &args, err);
    return st ? st : sosie_training_give(walk, in, to, err);
}

static enum sosie_status product_weights_grad(struct sosie_trainable_walk *walk,
                                              const struct product *product,
                                              struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]);
    struct sosie_spot from = sosie_training_grad(walk, node->output);
    sosie_md src, any;
    dnnl_primitive_desc_t pd = NULL;
    struct args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = typed_md(walk, x.md, &src)) ||
        (dnn = any_weights(walk, product, dnnl_f32, &any)) ||
        (dnn = sosie_inner_weights_grad_pd(t->engine, src, any, product->bias,
                                           from.md, walk->hints[number(walk)],
                                           t->attr, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_diff_weights_md, &any))) {
        dnnl_primitive_desc_destroy(pd);
        return fail(walk, dnn, err);
    }
    st = sosie_training_as(walk, x, src, &x, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    put(&args, DNNL_ARG_SRC, x);
    put(&args, DNNL_ARG_DIFF_DST, from);
    if (product->has_bias)
        put(&args, DNNL_ARG_DIFF_BIAS, param(walk, 2, true, product->bias));
    return emit_param_grad(walk, pd, &args,
                           param(walk, 1, true, product->given), any, err);
}

/* ---- by op --------------------------------------------------------------- */

static bool is_pool(enum sosie_op op)
{
    return op == SOSIE_OP_GLOBAL_AVERAGE_POOL || op == SOSIE_OP_MAX_POOL ||
           op == SOSIE_OP_AVERAGE_POOL;
}

enum sosie_status
sosie_training_onednn_forward(struct sosie_trainable_walk *walk, bool *done,
                              struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    dnnl_status_t dnn = dnnl_success;
    struct product product;
    struct function f;
    struct pool pool;

    if (node->n_posts)
        return SOSIE_OK;
    if (node->op == SOSIE_OP_CONV)
        return conv_forward(walk, done, err);
    if (node->op == SOSIE_OP_BATCH_NORM)
        return norm_forward(walk, done, err);
    *done = true;
    if (node->op == SOSIE_OP_ADD && is_plain_sum(walk))
        return sum_forward(walk, err);
    if (is_pool(node->op) && find_pool(walk, &pool))
        return pool_forward(walk, &pool, err);
    if ((node->op == SOSIE_OP_GEMM || node->op == SOSIE_OP_MATMUL) &&
        find_product(walk, &product, &dnn))
        return dnn ? fail(walk, dnn, err)
                   : product_forward(walk, &product, err);
    if (find_function(node, &f))
        return act_forward(walk, &f, err);
    *done = false;
    return SOSIE_OK;
}

enum sosie_status
sosie_training_onednn_backward(struct sosie_trainable_walk *walk,
                               struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    dnnl_status_t dnn = dnnl_success;
    enum sosie_status st;
    struct product product;
    struct function f;
    struct pool pool;

    if (node->op == SOSIE_OP_CONV)
        return conv_backward(walk, err);
    if (node->op == SOSIE_OP_BATCH_NORM)
        return norm_backward(walk, err);
    if (node->op == SOSIE_OP_ADD)
        return sum_backward(walk, err);
    if (is_pool(node->op))
        return find_pool(walk, &pool) ? pool_backward(walk, &pool, err)
                                      : SOSIE_OK;
    if (node->op == SOSIE_OP_GEMM || node->op == SOSIE_OP_MATMUL) {
        if (!find_product(walk, &product, &dnn) || dnn)
            return fail(walk, dnn, err);
        st = product_data_grad(walk, &product, err);
        return st ? st : product_weights_grad(walk, &product, err);
    }
    return find_function(node, &f) ? act_backward(walk, &f, err) : SOSIE_OK;
}
