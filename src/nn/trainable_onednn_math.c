/* trainable_onednn_math.c: functions of one number, batch normalisation and
 * sums, trained on oneDNN. They keep the layout of what they read. */
#include "nn/trainable_onednn.h"

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

/* The numbers of `md` and what its blocks are filled up with, zeros, as they
 * stand in memory: to do those as well is quicker, and blocks that are not full
 * have only oneDNN's reference otherwise. */
static dnnl_status_t as_they_stand(struct sosie_trainable_walk *walk,
                                   sosie_md md, sosie_md *flat)
{
    dnnl_data_type_t type = sosie_md_type(md);
    size_t bytes = type == dnnl_bf16 ? 2 : sizeof(float);
    dnnl_dims_t n = {(int64_t)(sosie_md_size(md) / bytes)};
    return sosie_md_tagged(&walk->t->mds, 1, n, type, dnnl_a, flat);
}

/* Zeros that fill blocks up have to stay zeros. */
static bool keeps_zero(const struct sosie_node *node, const struct function *f)
{
    return node->op == SOSIE_OP_CLIP ? f->a <= 0 && f->b >= 0
                                     : node->op != SOSIE_OP_SIGMOID;
}

enum sosie_status sosie_training_act_forward(struct sosie_trainable_walk *walk,
                                             bool *done,
                                             struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]), y;
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
    struct function f;
    dnnl_status_t dnn = dnnl_success;
    if (!find_function(node, &f))
        return SOSIE_OK;
    *done = true;
    t->values[node->output].md = x.md;
    y = sosie_training_value(walk, node->output);
    if (keeps_zero(node, &f))
        dnn = as_they_stand(walk, x.md, &x.md);
    if (!dnn)
        dnn = sosie_eltwise_training_pd(t->engine, f.kind, x.md, f.a, f.b,
                                        t->attr, &pd);
    if (dnn)
        return sosie_training_fail(walk, dnn, err);
    y.md = x.md;
    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(&args, DNNL_ARG_DST, y);
    return sosie_training_emit_hinted(walk, pd, &args, err);
}

/* The gradient of what an activation reads; `to` may be `from`. `kept` is the
 * activation's result or, if that does not do, its input. */
static enum sosie_status act_grad(struct sosie_trainable_walk *walk,
                                  const struct function *f,
                                  struct sosie_spot kept,
                                  struct sosie_spot from, struct sosie_spot to,
                                  struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    dnnl_primitive_desc_t pd = NULL, forward = NULL;
    struct sosie_training_args args = {.n = 0};
    sosie_md flat;
    dnnl_status_t dnn = as_they_stand(walk, from.md, &flat);
    if (!dnn)
        dnn = sosie_eltwise_training_pd(t->engine, f->kind, flat, f->a, f->b,
                                        t->attr, &forward);
    if (!dnn)
        dnn = sosie_eltwise_grad_pd(t->engine, f->kind, flat, f->a, f->b,
                                    forward, t->attr, &pd);
    dnnl_primitive_desc_destroy(forward);
    if (dnn)
        return sosie_training_fail(walk, dnn, err);
    kept.md = from.md = to.md = flat;
    sosie_training_put(&args, f->by_result ? DNNL_ARG_DST : DNNL_ARG_SRC, kept);
    sosie_training_put(&args, DNNL_ARG_DIFF_DST, from);
    sosie_training_put(&args, DNNL_ARG_DIFF_SRC, to);
    if (!walk->t->names[sosie_training_number(walk)][1])
        sosie_training_note(walk, pd, true);
    return sosie_training_emit_pd(walk, pd, &args, err);
}

enum sosie_status sosie_training_act_backward(struct sosie_trainable_walk *walk,
                                              struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct sosie_spot from = sosie_training_grad(walk, node->output);
    struct sosie_spot to = sosie_training_take(walk, in, from.md);
    struct function f;
    enum sosie_status st;
    (void)find_function(node, &f); /* it was found for the forward pass */
    st = act_grad(walk, &f,
                  sosie_training_value(walk, f.by_result ? node->output : in),
                  from, to, err);
    return st ? st : sosie_training_give(walk, in, to, err);
}

enum sosie_status sosie_training_fused_grad(struct sosie_trainable_walk *walk,
                                            const struct sosie_node *act,
                                            struct sosie_error *err)
{
    struct sosie_spot grad = sosie_training_grad(walk, act->output);
    struct function f;
    (void)find_function(act, &f); /* Relu or Clip */
    return act_grad(walk, &f, sosie_training_value(walk, act->output), grad,
                    grad, err);
}

const struct sosie_node *
sosie_training_fusable(const struct sosie_trainable_walk *walk, bool relu_only)
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

/* ---- batch normalisation ------------------------------------------------- */

enum sosie_status sosie_training_norm_forward(struct sosie_trainable_walk *walk,
                                              bool *done,
                                              struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_node *relu = sosie_training_fusable(walk, true);
    sosie_value_id out = relu ? relu->output : node->output;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[SOSIE_BN_X]);
    sosie_md vector, kept = NULL;
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
    dnnl_status_t dnn;

    for (size_t k = SOSIE_BN_SCALE; k <= SOSIE_BN_VARIANCE; k++)
        if (!sosie_training_is_param(walk, k))
            return SOSIE_OK;
    if (t->values[out].shape.rank != 4)
        return SOSIE_OK;
    if ((dnn = sosie_training_vector_md(walk, t->values[out].shape.dims[1],
                                        &vector)) ||
        (dnn = sosie_batch_norm_training_pd(t->engine, x.md, node->epsilon,
                                            relu != NULL, t->attr, &pd)) ||
        (relu &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    *done = true;
    if (relu)
        walk->done[relu - t->graph.nodes] = true;
    t->values[out].md = x.md;
    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(
        &args, DNNL_ARG_SCALE,
        sosie_training_param(walk, SOSIE_BN_SCALE, false, vector));
    sosie_training_put(
        &args, DNNL_ARG_SHIFT,
        sosie_training_param(walk, SOSIE_BN_SHIFT, false, vector));
    sosie_training_put(&args, DNNL_ARG_MEAN,
                       sosie_training_param(walk, SOSIE_BN_MEAN, true, vector));
    sosie_training_put(
        &args, DNNL_ARG_VARIANCE,
        sosie_training_param(walk, SOSIE_BN_VARIANCE, true, vector));
    if (kept)
        sosie_training_put(&args, DNNL_ARG_WORKSPACE,
                           sosie_training_kept(walk, kept));
    sosie_training_put(&args, DNNL_ARG_DST, sosie_training_value(walk, out));
    return sosie_training_emit_hinted(walk, pd, &args, err);
}

enum sosie_status
sosie_training_norm_backward(struct sosie_trainable_walk *walk,
                             struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_node *relu = sosie_training_fusable(walk, true);
    sosie_value_id in = node->inputs[SOSIE_BN_X];
    struct sosie_spot x = sosie_training_value(walk, in), to;
    struct sosie_spot from =
        sosie_training_grad(walk, relu ? relu->output : node->output);
    sosie_md vector, kept = NULL;
    dnnl_primitive_desc_t pd = NULL, hint = sosie_training_hint(walk);
    struct sosie_training_args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = sosie_training_vector_md(walk, t->values[in].shape.dims[1],
                                        &vector)) ||
        (dnn = sosie_batch_norm_grad_pd(t->engine, x.md, node->epsilon,
                                        relu != NULL, hint, t->attr, &pd)) ||
        (relu &&
         (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_workspace_md, &kept)))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    sosie_training_note(walk, pd, true);
    to = t->values[in].wants_grad ? sosie_training_take(walk, in, x.md)
                                  : sosie_training_temp(walk, x.md);
    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(
        &args, DNNL_ARG_SCALE,
        sosie_training_param(walk, SOSIE_BN_SCALE, false, vector));
    if (SOSIE_NORM_GRAD_READS_SHIFT)
        sosie_training_put(
            &args, DNNL_ARG_SHIFT,
            sosie_training_param(walk, SOSIE_BN_SHIFT, false, vector));
    sosie_training_put(&args, DNNL_ARG_MEAN,
                       sosie_training_param(walk, SOSIE_BN_MEAN, true, vector));
    sosie_training_put(
        &args, DNNL_ARG_VARIANCE,
        sosie_training_param(walk, SOSIE_BN_VARIANCE, true, vector));
    sosie_training_put(&args, DNNL_ARG_DIFF_DST, from);
    sosie_training_put(&args, DNNL_ARG_DIFF_SRC, to);
    sosie_training_put(
        &args, DNNL_ARG_DIFF_SCALE,
        sosie_training_param(walk, SOSIE_BN_SCALE, true, vector));
    sosie_training_put(
        &args, DNNL_ARG_DIFF_SHIFT,
        sosie_training_param(walk, SOSIE_BN_SHIFT, true, vector));
    if (kept)
        sosie_training_put(&args, DNNL_ARG_WORKSPACE,
                           sosie_training_kept(walk, kept));
    st = sosie_training_emit_pd(walk, pd, &args, err);
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

enum sosie_status sosie_training_sum_forward(struct sosie_trainable_walk *walk,
                                             bool *done,
                                             struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot a = sosie_training_value(walk, node->inputs[0]);
    struct sosie_spot b = sosie_training_value(walk, node->inputs[1]);
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;
    if (!is_plain_sum(walk))
        return SOSIE_OK;
    *done = true;
    st = sosie_training_as(walk, b, a.md, &b, err);
    if (st)
        return st;
    dnn = sosie_binary_pd(t->engine, dnnl_binary_add, a.md, a.md, a.md, t->attr,
                          &pd);
    if (dnn)
        return sosie_training_fail(walk, dnn, err);
    t->values[node->output].md = a.md;
    sosie_training_put(&args, DNNL_ARG_SRC_0, a);
    sosie_training_put(&args, DNNL_ARG_SRC_1, b);
    sosie_training_put(&args, DNNL_ARG_DST,
                       sosie_training_value(walk, node->output));
    sosie_training_note(walk, pd, false);
    return sosie_training_emit_pd(walk, pd, &args, err);
}

enum sosie_status sosie_training_sum_backward(struct sosie_trainable_walk *walk,
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
