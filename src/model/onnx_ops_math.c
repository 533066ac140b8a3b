/* onnx_ops_math.c: reading functions of one number, arithmetic, reductions and
 * matrix products. */
#include "model/onnx_private.h"

#include <math.h>
#include <string.h>

enum sosie_status sosie_onnx_plain_op(struct sosie_onnx_source *source,
                                      struct sosie_node *node,
                                      struct sosie_error *err)
{
    (void)source, (void)node, (void)err;
    return SOSIE_OK;
}

/* ---- functions of one number --------------------------------------------- */

/* LeakyRelu and Elu */
enum sosie_status sosie_onnx_alpha(struct sosie_onnx_source *source,
                                   struct sosie_node *node,
                                   struct sosie_error *err)
{
    node->act.a = node->op == SOSIE_OP_ELU ? 1.0F : 0.01F;
    return sosie_onnx_float(source->proto, "alpha", &node->act.a, err);
}

enum sosie_status sosie_onnx_hard_sigmoid(struct sosie_onnx_source *source,
                                          struct sosie_node *node,
                                          struct sosie_error *err)
{
    enum sosie_status st;
    node->act = (struct sosie_act){0.2F, 0.5F};
    st = sosie_onnx_float(source->proto, "alpha", &node->act.a, err);
    return st ? st : sosie_onnx_float(source->proto, "beta", &node->act.b, err);
}

enum sosie_status sosie_onnx_gelu(struct sosie_onnx_source *source,
                                  struct sosie_node *node,
                                  struct sosie_error *err)
{
    static const char *const forms[] = {"none", "tanh", NULL};
    unsigned form = 0;
    enum sosie_status st =
        sosie_onnx_word(source->proto, "approximate", forms, &form, err);
    node->act.a = (float)form;
    return st;
}

/* A bound that is an input since opset 11: one constant number. */
static enum sosie_status read_bound(const struct sosie_onnx_source *source,
                                    size_t k, float *bound,
                                    struct sosie_error *err)
{
    const float *values;
    size_t n;
    enum sosie_status st = sosie_onnx_input_floats(source, k, &values, &n, err);
    if (st || !values)
        return st;
    if (n != 1)
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "input '%.80s' is %s; expected one number",
            sosie_onnx_input(source, k)->name,
            sosie_shape_text(&sosie_onnx_input(source, k)->shape).text);
    *bound = *values;
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_clip(struct sosie_onnx_source *source,
                                  struct sosie_node *node,
                                  struct sosie_error *err)
{
    enum sosie_status st;
    bool as_inputs = source->opset >= 11;
    if (as_inputs ? source->proto->n_attribute : node->n_inputs > 1)
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "min and max are %s in opset %lld",
            as_inputs ? "inputs" : "attributes", (long long)source->opset);
    node->act = (struct sosie_act){-INFINITY, INFINITY};
    if (!as_inputs) {
        st = sosie_onnx_float(source->proto, "min", &node->act.a, err);
        return st ? st
                  : sosie_onnx_float(source->proto, "max", &node->act.b, err);
    }
    st = read_bound(source, 1, &node->act.a, err);
    if (!st)
        st = read_bound(source, 2, &node->act.b, err);
    node->n_inputs = 1;
    return st;
}

/* ---- arithmetic ---------------------------------------------------------- */

/* The exponent may be a whole number. */
enum sosie_status sosie_onnx_pow(struct sosie_onnx_source *source,
                                 struct sosie_node *node,
                                 struct sosie_error *err)
{
    const struct sosie_value *exponent = sosie_onnx_input(source, 1);
    struct sosie_value value = {.dtype = SOSIE_F32, .shape = exponent->shape};
    const int64_t *from = exponent->data;
    void *room;
    enum sosie_status st;
    if (exponent->dtype != SOSIE_I64 ||
        sosie_onnx_input(source, 0)->dtype == SOSIE_I64)
        return SOSIE_OK;
    st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++)
        ((float *)room)[i] = (float)from[i];
    return sosie_onnx_emit_constant(source, &value, &node->inputs[1], err);
}

/* Any number of inputs, two at a time. */
static enum sosie_status chain(struct sosie_onnx_source *source,
                               enum sosie_op op, struct sosie_error *err)
{
    struct sosie_node node = {.op = SOSIE_OP_IDENTITY, .n_inputs = 1};
    enum sosie_status st = SOSIE_OK;
    node.inputs[0] = source->inputs[0];
    for (size_t k = 1; k < source->n_inputs && !st; k++) {
        node.op = op;
        node.n_inputs = 2;
        node.inputs[1] = source->inputs[k];
        if (k + 1 < source->n_inputs)
            st = sosie_onnx_emit(source, &node, &node.inputs[0], err);
    }
    return st ? st : sosie_onnx_finish(source, &node, 0, err);
}

enum sosie_status sosie_onnx_max(struct sosie_onnx_source *source,
                                 struct sosie_error *err)
{
    return chain(source, SOSIE_OP_MAX, err);
}

enum sosie_status sosie_onnx_min(struct sosie_onnx_source *source,
                                 struct sosie_error *err)
{
    return chain(source, SOSIE_OP_MIN, err);
}

enum sosie_status sosie_onnx_sum(struct sosie_onnx_source *source,
                                 struct sosie_error *err)
{
    return chain(source, SOSIE_OP_ADD, err);
}

/* ---- reductions ---------------------------------------------------------- */

/* ReduceMean, ReduceSum, ReduceL2. No axes mean all, or, if the node says so,
 * none. */
enum sosie_status sosie_onnx_reduce(struct sosie_onnx_source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    size_t rank = sosie_onnx_input(source, 0)->shape.rank, axis;
    struct sosie_onnx_ints axes;
    bool none = false;
    enum sosie_status st =
        sosie_onnx_list(source, "axes", 1,
                        node->op == SOSIE_OP_REDUCE_SUM ? 13 : 18, &axes, err);
    node->reduce = (struct sosie_reduce){.keep_dims = true};
    if (!st)
        st = sosie_onnx_flag(source->proto, "keepdims", &node->reduce.keep_dims,
                             err);
    if (!st)
        st = sosie_onnx_flag(source->proto, "noop_with_empty_axes", &none, err);
    for (size_t i = 0; i < axes.n && !st; i++) {
        st = sosie_onnx_axis(axes.values[i], rank, &axis, err);
        if (!st)
            node->reduce.axes[axis] = true;
    }
    node->n_inputs = 1;
    if (!st && !axes.n && (none || !rank))
        node->op = SOSIE_OP_IDENTITY;
    else if (!axes.n)
        memset(node->reduce.axes, true, rank * sizeof(*node->reduce.axes));
    return st;
}

enum sosie_status sosie_onnx_softmax(struct sosie_onnx_source *source,
                                     struct sosie_node *node,
                                     struct sosie_error *err)
{
    node->softmax.flatten = source->opset < 13;
    node->softmax.axis = node->softmax.flatten ? 1 : -1;
    return sosie_onnx_int(source->proto, "axis", &node->softmax.axis, err);
}

/* ---- matrix products ----------------------------------------------------- */

enum sosie_status sosie_onnx_gemm(struct sosie_onnx_source *source,
                                  struct sosie_node *node,
                                  struct sosie_error *err)
{
    const Onnx__NodeProto *proto = source->proto;
    struct sosie_gemm *g = &node->gemm;
    enum sosie_status st;

    *g = (struct sosie_gemm){.alpha = 1.0F, .beta = 1.0F};
    if ((st = sosie_onnx_float(proto, "alpha", &g->alpha, err)) ||
        (st = sosie_onnx_float(proto, "beta", &g->beta, err)) ||
        (st = sosie_onnx_flag(proto, "transA", &g->trans_a, err)))
        return st;
    return sosie_onnx_flag(proto, "transB", &g->trans_b, err);
}
