/* onnx_ops_whole.c: reading ops that networks use on sizes and indices only:
 * they are computed from constants, and refused on anything else. */
#include "model/onnx_private.h"

#include <math.h>
#include <string.h>

/* Every input a constant, of whole numbers or floats. */
static enum sosie_status need_constants(const struct sosie_onnx_source *source,
                                        struct sosie_error *err)
{
    for (size_t k = 0; k < source->n_inputs; k++) {
        const struct sosie_value *value = sosie_onnx_input(source, k);
        if (value && (!value->data ||
                      (value->dtype != SOSIE_F32 && value->dtype != SOSIE_I64)))
            return sosie_fail(err, SOSIE_REFUSED,
                              "input '%.80s' is not a constant of numbers; "
                              "this op is supported on such only",
                              value->name);
    }
    return SOSIE_OK;
}

static enum sosie_status not_alike(const struct sosie_value *a,
                                   const struct sosie_value *b,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "'%.80s' is %s, '%.80s' is %s: they do not fit each "
                      "other",
                      a->name, sosie_shape_text(&a->shape).text, b->name,
                      sosie_shape_text(&b->shape).text);
}

/* The shape that a and b are both repeated to; false if there is none. */
static bool broadcast(const struct sosie_shape *a, const struct sosie_shape *b,
                      struct sosie_shape *out)
{
    struct sosie_shape shape = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (size_t i = 0; i < shape.rank; i++) {
        size_t m = i < a->rank ? a->dims[a->rank - 1 - i] : 1;
        size_t n = i < b->rank ? b->dims[b->rank - 1 - i] : 1;
        if (m != n && m != 1 && n != 1)
            return false;
        shape.dims[shape.rank - 1 - i] = m == 1 ? n : m;
    }
    *out = shape;
    return true;
}

/* ---- element by element -------------------------------------------------- */

static bool is_equal(const struct sosie_value *a, size_t i,
                     const struct sosie_value *b, size_t j)
{
    if (a->dtype == SOSIE_I64)
        return ((const int64_t *)a->data)[i] == ((const int64_t *)b->data)[j];
    return ((const float *)a->data)[i] == ((const float *)b->data)[j];
}

enum sosie_status sosie_onnx_equal(struct sosie_onnx_source *source,
                                   struct sosie_error *err)
{
    const struct sosie_value *a = sosie_onnx_input(source, 0);
    const struct sosie_value *b = sosie_onnx_input(source, 1);
    struct sosie_value value = {.dtype = SOSIE_I64};
    size_t sa[SOSIE_MAX_RANK], sb[SOSIE_MAX_RANK];
    void *room;
    enum sosie_status st = need_constants(source, err);
    if (!st && (a->dtype != b->dtype ||
                !broadcast(&a->shape, &b->shape, &value.shape)))
        return not_alike(a, b, err);
    if (!st)
        st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    sosie_broadcast_strides(&a->shape, &value.shape, sa);
    sosie_broadcast_strides(&b->shape, &value.shape, sb);
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++)
        ((int64_t *)room)[i] =
            is_equal(a, sosie_onnx_place(&value.shape, sa, i), b,
                     sosie_onnx_place(&value.shape, sb, i));
    return sosie_onnx_finish_constant(source, &value, err);
}

/* condition, what to take where it is true, and where it is false */
enum sosie_status sosie_onnx_where(struct sosie_onnx_source *source,
                                   struct sosie_error *err)
{
    const struct sosie_value *in[3];
    size_t strides[3][SOSIE_MAX_RANK], size;
    struct sosie_value value = {0};
    void *room;
    enum sosie_status st = need_constants(source, err);
    if (st)
        return st;
    for (size_t k = 0; k < 3; k++)
        in[k] = sosie_onnx_input(source, k);
    value.dtype = in[1]->dtype;
    if (in[0]->dtype != SOSIE_I64 || in[1]->dtype != in[2]->dtype ||
        !broadcast(&in[1]->shape, &in[2]->shape, &value.shape) ||
        !broadcast(&in[0]->shape, &value.shape, &value.shape))
        return not_alike(in[1], in[2], err);
    st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t k = 0; k < 3; k++)
        sosie_broadcast_strides(&in[k]->shape, &value.shape, strides[k]);
    size = sosie_dtype_size(value.dtype);
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++) {
        size_t at = sosie_onnx_place(&value.shape, strides[0], i);
        size_t k = ((const int64_t *)in[0]->data)[at] ? 1 : 2;
        at = sosie_onnx_place(&value.shape, strides[k], i);
        memcpy((char *)room + i * size, (const char *)in[k]->data + at * size,
               size);
    }
    return sosie_onnx_finish_constant(source, &value, err);
}

/* A function of one number; `of_whole` NULL: of floats only. */
static enum sosie_status of_each(struct sosie_onnx_source *source,
                                 float (*of_float)(float),
                                 int64_t (*of_whole)(int64_t),
                                 struct sosie_error *err)
{
    const struct sosie_value *in = sosie_onnx_input(source, 0);
    struct sosie_value value = {.dtype = in->dtype, .shape = in->shape};
    void *room;
    enum sosie_status st = need_constants(source, err);
    if (!st && in->dtype != SOSIE_F32 && !of_whole)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "input '%.80s' holds whole numbers", in->name);
    if (!st)
        st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++) {
        if (in->dtype == SOSIE_F32)
            ((float *)room)[i] = of_float(((const float *)in->data)[i]);
        else
            ((int64_t *)room)[i] = of_whole(((const int64_t *)in->data)[i]);
    }
    return sosie_onnx_finish_constant(source, &value, err);
}

/* The lowest number has no opposite and stays. */
static int64_t opposite(int64_t x)
{
    return x == INT64_MIN ? x : -x;
}

static int64_t absolute(int64_t x)
{
    return x < 0 ? opposite(x) : x;
}

static float opposite_float(float x)
{
    return -x;
}

enum sosie_status sosie_onnx_abs(struct sosie_onnx_source *source,
                                 struct sosie_error *err)
{
    return of_each(source, fabsf, absolute, err);
}

enum sosie_status sosie_onnx_neg(struct sosie_onnx_source *source,
                                 struct sosie_error *err)
{
    return of_each(source, opposite_float, opposite, err);
}

enum sosie_status sosie_onnx_floor(struct sosie_onnx_source *source,
                                   struct sosie_error *err)
{
    return of_each(source, floorf, NULL, err);
}

enum sosie_status sosie_onnx_ceil(struct sosie_onnx_source *source,
                                  struct sosie_error *err)
{
    return of_each(source, ceilf, NULL, err);
}

/* ---- reductions ---------------------------------------------------------- */

static enum sosie_status reduced(struct sosie_onnx_source *source,
                                 enum sosie_op op, struct sosie_error *err)
{
    /* read as ReduceMean, whose rules about axes are the same */
    struct sosie_node node = {.op = SOSIE_OP_REDUCE_MEAN,
                              .inputs = {source->inputs[0]}};
    const struct sosie_value in = *sosie_onnx_input(source, 0);
    struct sosie_value value = {.dtype = in.dtype};
    void *room;
    enum sosie_status st = need_constants(source, err);
    if (!st)
        st = sosie_onnx_reduce(source, &node, err);
    if (!st && node.op == SOSIE_OP_IDENTITY)
        return sosie_onnx_finish(source, &node, 0, err);
    if (!st)
        st = sosie_node_infer(source->graph, &node, &value.shape, err);
    if (!st && !sosie_shape_count(&in.shape))
        return sosie_fail(err, SOSIE_BAD_INPUT, "input '%.80s' is empty",
                          in.name);
    if (!st)
        st = sosie_onnx_spend(source->store, sosie_shape_count(&in.shape), err);
    if (!st)
        st = sosie_onnx_room(source->store, &value, &room, err);
    if (!st)
        st = sosie_onnx_fold_reduce(op, &in, &node.reduce, room, err);
    return st ? st : sosie_onnx_finish_constant(source, &value, err);
}

enum sosie_status sosie_onnx_reduce_max(struct sosie_onnx_source *source,
                                        struct sosie_error *err)
{
    return reduced(source, SOSIE_OP_MAX, err);
}

enum sosie_status sosie_onnx_reduce_min(struct sosie_onnx_source *source,
                                        struct sosie_error *err)
{
    return reduced(source, SOSIE_OP_MIN, err);
}

enum sosie_status sosie_onnx_reduce_prod(struct sosie_onnx_source *source,
                                         struct sosie_error *err)
{
    return reduced(source, SOSIE_OP_MUL, err);
}
