/* onednn_lower_math.c: functions of one number, arithmetic with two tensors,
 * softmax and norms on oneDNN, in the layout in which their input stands if
 * they can. */
#include "nn/onednn_lowering.h"

/* ---- functions of one number --------------------------------------------- */

/* A function of one number as oneDNN names it, which may be followed by a clip
 * to 0..1. */
struct function {
    dnnl_alg_kind_t kind;
    float a, b;
    bool is_clipped;
};

static bool find_function(enum sosie_op op, struct sosie_act act,
                          struct function *f)
{
    *f = (struct function){dnnl_eltwise_relu, act.a, act.b, false};
    switch ((int)op) {
    case SOSIE_OP_RELU:
    case SOSIE_OP_LEAKY_RELU:
        f->a = op == SOSIE_OP_RELU ? 0.0F : act.a;
        return true;
    case SOSIE_OP_CLIP:
        f->kind = dnnl_eltwise_clip;
        return true;
    case SOSIE_OP_ELU:
        f->kind = dnnl_eltwise_elu;
        return true;
    case SOSIE_OP_EXP:
        f->kind = dnnl_eltwise_exp;
        return true;
    case SOSIE_OP_GELU:
        f->kind = act.a > 0.0F ? dnnl_eltwise_gelu_tanh : dnnl_eltwise_gelu_erf;
        return true;
    case SOSIE_OP_HARD_SIGMOID:
        f->kind = dnnl_eltwise_linear;
        f->is_clipped = true;
        return true;
    case SOSIE_OP_HARD_SWISH:
        f->kind = dnnl_eltwise_hardswish;
        return true;
    case SOSIE_OP_SIGMOID:
        f->kind = dnnl_eltwise_logistic;
        return true;
    case SOSIE_OP_SQRT:
        f->kind = dnnl_eltwise_sqrt;
        return true;
    case SOSIE_OP_SWISH:
        f->kind = dnnl_eltwise_swish;
        f->a = 1.0F;
        return true;
    case SOSIE_OP_TANH:
        f->kind = dnnl_eltwise_tanh;
        return true;
    default:
        return false;
    }
}

dnnl_status_t sosie_lowering_post_function(dnnl_post_ops_t posts,
                                           const struct sosie_post *post)
{
    struct function f;
    dnnl_status_t dnn = dnnl_unimplemented;
    if (find_function(post->op, post->act, &f))
        dnn = sosie_post_function(posts, f.kind, f.a, f.b);
    if (!dnn && f.is_clipped)
        dnn = sosie_post_function(posts, dnnl_eltwise_clip, 0.0F, 1.0F);
    return dnn;
}

/* Clips the output of the node to 0..1, in place. */
static enum sosie_status clip_output(struct sosie_lowering *lo,
                                     const struct sosie_node *node,
                                     struct sosie_error *err)
{
    struct sosie_lowering_tensor out = lo->tensors[node->output];
    struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, out},
                                        {DNNL_ARG_DST, out}};
    dnnl_primitive_desc_t pd;
    dnnl_status_t dnn = sosie_eltwise_pd(lo->engine, dnnl_eltwise_clip, out.md,
                                         0.0F, 1.0F, lo->attr, &pd);
    enum sosie_status st;
    if (dnn)
        return sosie_onednn_fail(err, dnn, "a clip");
    st = sosie_lowering_emit(lo, pd, args, 2, err);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

enum sosie_status sosie_onednn_lower_act(struct sosie_lowering *lo,
                                         const struct sosie_node *node,
                                         struct sosie_error *err)
{
    struct function f;
    struct sosie_lowering_tensor in;
    dnnl_status_t dnn;
    enum sosie_status st;
    if (!find_function(node->op, node->act, &f))
        return sosie_onednn_lower_plain(lo, node, err);
    st = sosie_lowering_as_it_is(lo, node->inputs[0], &in, err);
    if (st)
        return st;
    dnn = sosie_eltwise_pd(lo->engine, f.kind, in.md, f.a, f.b, lo->attr,
                           &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_unary(lo, node, in, in.md, err);
    return st || !f.is_clipped ? st : clip_output(lo, node, err);
}

/* ---- arithmetic with two tensors ----------------------------------------- */

/* oneDNN repeats only its second operand. If the first has the sum's shape,
 * and the second fewer dimensions, that one gets leading ones. */

static bool find_binary(enum sosie_op op, dnnl_alg_kind_t *kind)
{
    switch ((int)op) {
    case SOSIE_OP_ADD:
        *kind = dnnl_binary_add;
        return true;
    case SOSIE_OP_SUB:
        *kind = dnnl_binary_sub;
        return true;
    case SOSIE_OP_MUL:
        *kind = dnnl_binary_mul;
        return true;
    case SOSIE_OP_DIV:
        *kind = dnnl_binary_div;
        return true;
    case SOSIE_OP_MAX:
        *kind = dnnl_binary_max;
        return true;
    case SOSIE_OP_MIN:
        *kind = dnnl_binary_min;
        return true;
    default:
        return false;
    }
}

/* The second of two inputs, for a result that stands as `like`: in that layout
 * if it is as large or one number a channel, otherwise row-major with as many
 * dimensions. */
static enum sosie_status
second_input(struct sosie_lowering *lo, sosie_value_id id,
             const struct sosie_shape *shape, sosie_md like,
             struct sosie_lowering_tensor *b, struct sosie_error *err)
{
    const struct sosie_shape *small = sosie_lowering_shape(lo, id);
    struct sosie_shape wide = sosie_lowering_widened(small, shape->rank);
    sosie_md md;
    dnnl_dims_t dims;
    enum sosie_status st;
    dnnl_status_t dnn;
    if (sosie_shape_equal(small, shape))
        return sosie_lowering_in_layout(lo, id, like, b, err);
    if (small->rank == 4 && shape->rank == 4 &&
        sosie_shape_count(small) == shape->dims[1] &&
        small->dims[1] == shape->dims[1]) {
        (void)sosie_lowering_dims_of(small, dims);
        if (sosie_md_channels_like(lo->mds, like, dims, &md))
            return sosie_lowering_in_layout(lo, id, md, b, err);
    }
    st = sosie_lowering_in_plain(lo, id, b, err);
    dnn = sosie_lowering_plain_md(lo->mds, &wide, &b->md);
    if (!st && dnn)
        return sosie_onednn_fail(err, dnn, "a tensor's layout");
    return st;
}

/* True for arithmetic with one constant number: alpha * x + beta. */
static bool is_line(const struct sosie_lowering *lo,
                    const struct sosie_node *node, bool swap, float *alpha,
                    float *beta)
{
    const struct sosie_value *c = &lo->net->graph.values[node->inputs[!swap]];
    float v;
    if (!c->data || c->dtype != SOSIE_F32 ||
        sosie_shape_count(&c->shape) != 1 ||
        !sosie_shape_equal(sosie_lowering_shape(lo, node->inputs[swap]),
                           sosie_lowering_shape(lo, node->output)))
        return false;
    v = *(const float *)c->data;
    *alpha = node->op == SOSIE_OP_MUL   ? v
             : node->op == SOSIE_OP_DIV ? 1.0F / v
                                        : 1.0F;
    *beta = node->op == SOSIE_OP_ADD ? v : node->op == SOSIE_OP_SUB ? -v : 0.0F;
    return node->op == SOSIE_OP_MUL || node->op == SOSIE_OP_ADD ||
           (!swap && (node->op == SOSIE_OP_SUB || node->op == SOSIE_OP_DIV));
}

static enum sosie_status lower_line(struct sosie_lowering *lo,
                                    const struct sosie_node *node,
                                    sosie_value_id x, float alpha, float beta,
                                    struct sosie_error *err)
{
    struct sosie_lowering_tensor in;
    enum sosie_status st = sosie_lowering_as_it_is(lo, x, &in, err);
    dnnl_status_t dnn;
    if (st)
        return st;
    dnn = sosie_eltwise_pd(lo->engine, dnnl_eltwise_linear, in.md, alpha, beta,
                           lo->attr, &lo->pd);
    return dnn ? sosie_lowering_without_pd(lo, node, dnn, err)
               : sosie_lowering_unary(lo, node, in, in.md, err);
}

/* Makes lo->pd for `second`, which is made to fit `a`. */
static enum sosie_status
choose_binary(struct sosie_lowering *lo, dnnl_alg_kind_t kind,
              struct sosie_lowering_tensor a, sosie_value_id second,
              const struct sosie_shape *shape, struct sosie_lowering_tensor *b,
              dnnl_status_t *dnn, struct sosie_error *err)
{
    enum sosie_status st = second_input(lo, second, shape, a.md, b, err);
    if (!st)
        *dnn = sosie_binary_pd(lo->engine, kind, a.md, b->md, a.md, lo->attr,
                               &lo->pd);
    return st;
}

enum sosie_status sosie_onednn_lower_binary(struct sosie_lowering *lo,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    bool swap =
        !sosie_shape_equal(sosie_lowering_shape(lo, node->inputs[0]), shape);
    sosie_value_id first = node->inputs[swap], second = node->inputs[!swap];
    struct sosie_lowering_tensor a, b, *out = &lo->tensors[node->output];
    dnnl_alg_kind_t kind;
    float alpha, beta;
    enum sosie_status st;
    dnnl_status_t dnn = dnnl_success;

    if (is_line(lo, node, swap, &alpha, &beta))
        return lower_line(lo, node, first, alpha, beta, err);
    if (!find_binary(node->op, &kind) ||
        !sosie_shape_equal(sosie_lowering_shape(lo, first), shape) ||
        (swap && (node->op == SOSIE_OP_SUB || node->op == SOSIE_OP_DIV)))
        return sosie_onednn_lower_plain(lo, node, err);
    st = sosie_lowering_as_it_is(lo, first, &a, err);
    if (!st)
        st = choose_binary(lo, kind, a, second, shape, &b, &dnn, err);
    if (!st && !dnn &&
        sosie_lowering_is_reference(lo)) { /* slow: row-major is worth moving */
        dnnl_primitive_desc_destroy(lo->pd);
        lo->pd = NULL;
        st = sosie_lowering_in_plain(lo, first, &a, err);
        if (!st)
            st = choose_binary(lo, kind, a, second, shape, &b, &dnn, err);
    }
    if (st)
        return st;
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, a.md, out, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {
            {DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, *out}};
        st = sosie_lowering_emit(lo, lo->pd, args, 3, err);
    }
    return st;
}

/* ---- softmax and norms --------------------------------------------------- */

enum sosie_status sosie_onednn_lower_softmax(struct sosie_lowering *lo,
                                             const struct sosie_node *node,
                                             struct sosie_error *err)
{
    struct sosie_softmax_sizes s = sosie_softmax_sizes(
        &node->softmax, sosie_lowering_shape(lo, node->output));
    dnnl_dims_t dims = {(int64_t)s.outer, (int64_t)s.length, (int64_t)s.inner};
    struct sosie_lowering_tensor in;
    sosie_md md, plain;
    enum sosie_status st =
        sosie_lowering_in_plain(lo, node->inputs[0], &in, err);
    dnnl_status_t dnn;
    if (st)
        return st;
    plain = in.md;
    dnn = sosie_lowering_dense_md(lo->mds, 3, dims, &md);
    if (!dnn)
        dnn = sosie_softmax_pd(lo->engine, md, 1, lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    in.md = md;
    st = sosie_lowering_unary(lo, node, in, md, err);
    lo->tensors[node->output].md = plain;
    return st;
}

enum sosie_status sosie_onednn_lower_batch_norm(struct sosie_lowering *lo,
                                                const struct sosie_node *node,
                                                struct sosie_error *err)
{
    static const int ids[] = {DNNL_ARG_SRC, DNNL_ARG_SCALE, DNNL_ARG_SHIFT,
                              DNNL_ARG_MEAN, DNNL_ARG_VARIANCE};
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    struct sosie_lowering_arg args[6];
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;

    for (size_t k = 0; k < 5 && !st; k++) {
        args[k].id = ids[k];
        st = sosie_lowering_as_it_is(lo, node->inputs[k], &args[k].tensor, err);
    }
    if (st)
        return st;
    dnn = sosie_batch_norm_pd(lo->engine, args[0].tensor.md, node->epsilon,
                              lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, args[0].tensor.md, out, err);
    args[5] = (struct sosie_lowering_arg){DNNL_ARG_DST, *out};
    return st ? st : sosie_lowering_emit(lo, lo->pd, args, 6, err);
}

enum sosie_status sosie_onednn_lower_layer_norm(struct sosie_lowering *lo,
                                                const struct sosie_node *node,
                                                struct sosie_error *err)
{
    static const int ids[] = {DNNL_ARG_SRC, DNNL_ARG_SCALE, DNNL_ARG_SHIFT};
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    struct sosie_lowering_arg args[4];
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;
    if (node->n_inputs < 3 || shape->rank < 2 ||
        (size_t)node->layer_norm.axis + 1 != shape->rank)
        return sosie_onednn_lower_plain(lo, node, err);
    for (size_t k = 0; k < 3 && !st; k++) {
        if (k && (node->inputs[k] == SOSIE_NO_VALUE ||
                  sosie_lowering_shape(lo, node->inputs[k])->rank != 1 ||
                  sosie_lowering_shape(lo, node->inputs[k])->dims[0] !=
                      shape->dims[shape->rank - 1]))
            return sosie_onednn_lower_plain(lo, node, err);
        args[k].id = ids[k];
        st = sosie_lowering_in_plain(lo, node->inputs[k], &args[k].tensor, err);
    }
    if (st)
        return st;
    dnn = sosie_layer_norm_pd(lo->engine, args[0].tensor.md,
                              node->layer_norm.epsilon, lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, args[0].tensor.md, out, err);
    args[3] = (struct sosie_lowering_arg){DNNL_ARG_DST, *out};
    return st ? st : sosie_lowering_emit(lo, lo->pd, args, 4, err);
}
