/* trainable_onednn.c: which op is trained on oneDNN how, and what those ways
 * are made of: primitives and their arguments, parameters, layouts.
 *
 * Weights are packed once a step, for the forward pass and, where that likes
 * another layout, for the gradient of the input. */
#include "nn/trainable_onednn.h"

#include <string.h>

/* Where weights and biases stand among a node's inputs. */
enum { WEIGHTS = 1, BIAS = 2 };

/* ---- primitives ---------------------------------------------------------- */

void sosie_training_put(struct sosie_training_args *args, int id,
                        struct sosie_spot spot)
{
    args->ids[args->n] = id;
    args->spots[args->n++] = spot;
}

enum sosie_status sosie_training_emit_pd(struct sosie_trainable_walk *walk,
                                         dnnl_primitive_desc_t pd,
                                         const struct sosie_training_args *args,
                                         struct sosie_error *err)
{
    enum sosie_status st = sosie_training_primitive(walk, pd, args->spots,
                                                    args->ids, args->n, err);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

enum sosie_status sosie_training_fail(const struct sosie_trainable_walk *walk,
                                      dnnl_status_t dnn,
                                      struct sosie_error *err)
{
    enum sosie_status st = sosie_onednn_fail(err, dnn, "training");
    sosie_error_prefix(err, "node '%.80s' (%s)", walk->node->name,
                       sosie_op_name(walk->node->op));
    return st;
}

dnnl_data_type_t sosie_training_element(const struct sosie_trainable_walk *walk)
{
    return walk->t->options.bf16 ? dnnl_bf16 : dnnl_f32;
}

size_t sosie_training_number(const struct sosie_trainable_walk *walk)
{
    return (size_t)(walk->node - walk->t->graph.nodes);
}

bool sosie_training_is_reference(const_dnnl_primitive_desc_t pd)
{
    return !strncmp(sosie_pd_implementation(pd), "ref", 3);
}

void sosie_training_note(struct sosie_trainable_walk *walk,
                         const_dnnl_primitive_desc_t pd, bool backward)
{
    walk->t->names[sosie_training_number(walk)][backward] =
        sosie_arena_strdup(&walk->t->arena, sosie_pd_implementation(pd));
}

dnnl_primitive_desc_t
sosie_training_hint(const struct sosie_trainable_walk *walk)
{
    return walk->hints[sosie_training_number(walk)];
}

struct sosie_spot sosie_training_kept(const struct sosie_trainable_walk *walk,
                                      sosie_md md)
{
    return (struct sosie_spot){SOSIE_AT_KEPT, sosie_training_number(walk), md};
}

enum sosie_status sosie_training_emit_hinted(
    struct sosie_trainable_walk *walk, dnnl_primitive_desc_t pd,
    const struct sosie_training_args *args, struct sosie_error *err)
{
    walk->hints[sosie_training_number(walk)] = pd;
    sosie_training_note(walk, pd, false);
    return sosie_training_primitive(walk, pd, args->spots, args->ids, args->n,
                                    err);
}

/* ---- parameters ---------------------------------------------------------- */

struct sosie_spot sosie_training_param(const struct sosie_trainable_walk *walk,
                                       size_t k, bool grad, sosie_md md)
{
    const struct sosie_trainable *t = walk->t;
    size_t i = t->param_of[walk->node->inputs[k]];
    return (struct sosie_spot){grad ? SOSIE_AT_PARAM_GRAD : SOSIE_AT_PARAM,
                               t->params[i].offset, md};
}

bool sosie_training_is_param(const struct sosie_trainable_walk *walk, size_t k)
{
    const struct sosie_node *node = walk->node;
    return k < node->n_inputs && node->inputs[k] != SOSIE_NO_VALUE &&
           walk->t->param_of[node->inputs[k]] != UINT32_MAX;
}

dnnl_status_t sosie_training_vector_md(struct sosie_trainable_walk *walk,
                                       size_t n, sosie_md *md)
{
    dnnl_dims_t dims = {(int64_t)n}, strides = {1};
    return sosie_md_strided(&walk->t->mds, 1, dims, strides, md);
}

dnnl_status_t sosie_training_tagged_md(struct sosie_trainable_walk *walk,
                                       const struct sosie_shape *shape,
                                       dnnl_data_type_t type,
                                       dnnl_format_tag_t layout, sosie_md *md)
{
    dnnl_dims_t dims;
    for (size_t i = 0; i < shape->rank; i++)
        dims[i] = (int64_t)shape->dims[i];
    return sosie_md_tagged(&walk->t->mds, (int)shape->rank, dims, type, layout,
                           md);
}

dnnl_status_t sosie_training_typed_md(struct sosie_trainable_walk *walk,
                                      sosie_md md, sosie_md *out)
{
    dnnl_dims_t dims, strides;
    int rank;
    *out = md;
    if (sosie_md_type(md) == sosie_training_element(walk) ||
        !sosie_md_strides(md, &rank, dims, strides))
        return dnnl_success;
    return sosie_md_typed(&walk->t->mds, rank, dims,
                          sosie_training_element(walk), strides, out);
}

/* ---- with weights -------------------------------------------------------- */

enum sosie_status sosie_training_packed(struct sosie_trainable_walk *walk,
                                        struct sosie_spot given, sosie_md md,
                                        struct sosie_spot *out,
                                        struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    struct sosie_actions *actions = walk->actions;
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
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
        return sosie_training_fail(walk, dnn, err);
    sosie_training_put(&args, DNNL_ARG_FROM, given);
    sosie_training_put(&args, DNNL_ARG_TO, *out);
    walk->actions = &t->pack;
    st = sosie_training_emit_pd(walk, pd, &args, err);
    walk->actions = actions;
    return st;
}

enum sosie_status
sosie_training_emit_data_grad(struct sosie_trainable_walk *walk,
                              dnnl_primitive_desc_t pd, struct sosie_spot from,
                              sosie_md given, sosie_md any, sosie_md md,
                              struct sosie_error *err)
{
    sosie_value_id in = walk->node->inputs[0];
    struct sosie_training_args args = {.n = 0};
    struct sosie_spot weights, to;
    enum sosie_status st = sosie_training_packed(
        walk, sosie_training_param(walk, WEIGHTS, false, given), any, &weights,
        err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    sosie_training_note(walk, pd, true);
    to = sosie_training_take(walk, in, md);
    sosie_training_put(&args, DNNL_ARG_DIFF_DST, from);
    sosie_training_put(&args, DNNL_ARG_WEIGHTS, weights);
    sosie_training_put(&args, DNNL_ARG_DIFF_SRC, to);
    st = sosie_training_emit_pd(walk, pd, &args, err);
    return st ? st : sosie_training_give(walk, in, to, err);
}

enum sosie_status sosie_training_emit_weights_grad(
    struct sosie_trainable_walk *walk, dnnl_primitive_desc_t pd,
    struct sosie_spot x, struct sosie_spot from, sosie_md given, sosie_md any,
    sosie_md bias, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    struct sosie_spot grad = sosie_training_param(walk, WEIGHTS, true, given);
    bool is_there = sosie_md_equal(given, any);
    struct sosie_spot made = is_there ? grad : sosie_training_temp(walk, any);
    dnnl_primitive_desc_t reorder = NULL;
    struct sosie_training_args args = {.n = 0}, copy = {.n = 0};
    enum sosie_status st;
    dnnl_status_t dnn;

    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(&args, DNNL_ARG_DIFF_DST, from);
    sosie_training_put(&args, DNNL_ARG_DIFF_WEIGHTS, made);
    if (bias)
        sosie_training_put(&args, DNNL_ARG_DIFF_BIAS,
                           sosie_training_param(walk, BIAS, true, bias));
    if (!t->names[sosie_training_number(walk)][1] ||
        sosie_training_is_reference(pd))
        sosie_training_note(walk, pd, true);
    st = sosie_training_emit_pd(walk, pd, &args, err);
    if (st || is_there)
        return st;
    dnn = sosie_reorder_pd(t->engine, any, given, t->attr, &reorder);
    if (dnn)
        return sosie_training_fail(walk, dnn, err);
    sosie_training_put(&copy, DNNL_ARG_FROM, made);
    sosie_training_put(&copy, DNNL_ARG_TO, grad);
    return sosie_training_emit_pd(walk, reorder, &copy, err);
}

/* ---- by op --------------------------------------------------------------- */

struct way {
    sosie_training_forward *forward;
    sosie_training_backward *backward;
};

static struct way way_of(enum sosie_op op)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (op) {
    case SOSIE_OP_CONV:
        return (struct way){sosie_training_conv_forward,
                            sosie_training_conv_backward};
    case SOSIE_OP_BATCH_NORM:
        return (struct way){sosie_training_norm_forward,
                            sosie_training_norm_backward};
    case SOSIE_OP_ADD:
        return (struct way){sosie_training_sum_forward,
                            sosie_training_sum_backward};
    case SOSIE_OP_GLOBAL_AVERAGE_POOL:
    case SOSIE_OP_AVERAGE_POOL:
    case SOSIE_OP_MAX_POOL:
        return (struct way){sosie_training_pool_forward,
                            sosie_training_pool_backward};
    case SOSIE_OP_GEMM:
    case SOSIE_OP_MATMUL:
        return (struct way){sosie_training_product_forward,
                            sosie_training_product_backward};
    default:
        return (struct way){sosie_training_act_forward,
                            sosie_training_act_backward};
    }
#pragma GCC diagnostic pop
}

enum sosie_status
sosie_training_onednn_forward(struct sosie_trainable_walk *walk, bool *done,
                              struct sosie_error *err)
{
    return way_of(walk->node->op).forward(walk, done, err);
}

enum sosie_status
sosie_training_onednn_backward(struct sosie_trainable_walk *walk,
                               struct sosie_error *err)
{
    return way_of(walk->node->op).backward(walk, err);
}
