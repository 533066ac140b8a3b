/* onnx_ops_constant.c: reading what makes constants: numbers in the file, sizes
 * of tensors, and casts. */
#include "model/onnx_private.h"

#include <math.h>
#include <string.h>

/* ---- constants in the file ----------------------------------------------- */

enum sosie_status sosie_onnx_constant(struct sosie_onnx_source *source,
                                      struct sosie_error *err)
{
    const Onnx__NodeProto *proto = source->proto;
    const Onnx__AttributeProto *a =
        proto->n_attribute == 1 ? proto->attribute[0] : NULL;
    const char *name = a ? sosie_onnx_text(a->name) : "";
    struct sosie_value value = {.dtype = SOSIE_F32};
    enum sosie_status st = SOSIE_OK;

    if (!strcmp(name, "value") && a->type == ONNX_ATTRIBUTE_TENSOR && a->t) {
        st = sosie_onnx_read_tensor(source->store, a->t, &value, err);
    } else if (!strcmp(name, "value_float") &&
               a->type == ONNX_ATTRIBUTE_FLOAT) {
        value.data = &a->f;
    } else if (!strcmp(name, "value_int") && a->type == ONNX_ATTRIBUTE_INT) {
        value.dtype = SOSIE_I64;
        value.data = &a->i;
    } else if (!strcmp(name, "value_floats") &&
               a->type == ONNX_ATTRIBUTE_FLOATS) {
        value.shape = (struct sosie_shape){1, {a->n_floats}};
        value.data = a->n_floats ? (const void *)a->floats : "";
    } else if (!strcmp(name, "value_ints") && a->type == ONNX_ATTRIBUTE_INTS) {
        value.dtype = SOSIE_I64;
        value.shape = (struct sosie_shape){1, {a->n_ints}};
        value.data = a->n_ints ? (const void *)a->ints : "";
    } else {
        return sosie_fail(err, SOSIE_REFUSED,
                          "attribute '%.80s' is not supported; supported: one "
                          "of value, value_float, value_floats, value_int, "
                          "value_ints",
                          name);
    }
    return st ? st : sosie_onnx_finish_constant(source, &value, err);
}

/* The shape that input 0 holds. */
static enum sosie_status wanted_shape(const struct sosie_onnx_source *source,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    struct sosie_onnx_ints ints;
    enum sosie_status st = sosie_onnx_input_ints(source, 0, &ints, err);
    if (st)
        return st;
    shape->rank = ints.n;
    for (size_t d = 0; d < ints.n && d < SOSIE_MAX_RANK; d++) {
        if (ints.values[d] < 0)
            return sosie_fail(err, SOSIE_BAD_INPUT, "dimension %zu is %lld", d,
                              (long long)ints.values[d]);
        shape->dims[d] = (size_t)ints.values[d];
    }
    return sosie_shape_check(shape, err);
}

enum sosie_status sosie_onnx_constant_of_shape(struct sosie_onnx_source *source,
                                               struct sosie_error *err)
{
    static const float zero = 0.0F;
    struct sosie_value value, one = {.dtype = SOSIE_F32, .data = &zero};
    const Onnx__AttributeProto *attribute;
    size_t size;
    void *room;
    enum sosie_status st = sosie_onnx_find(
        source->proto, "value", ONNX_ATTRIBUTE_TENSOR, &attribute, err);
    if (!st && attribute && attribute->t)
        st = sosie_onnx_read_tensor(source->store, attribute->t, &one, err);
    if (st)
        return st;
    if (sosie_shape_count(&one.shape) != 1)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "attribute 'value' is %s; expected one number",
                          sosie_shape_text(&one.shape).text);
    value = (struct sosie_value){.dtype = one.dtype};
    st = wanted_shape(source, &value.shape, err);
    if (!st)
        st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    size = sosie_dtype_size(value.dtype);
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++)
        memcpy((char *)room + i * size, one.data, size);
    return sosie_onnx_finish_constant(source, &value, err);
}

/* start, limit, delta: each one number, of the same type. */
enum sosie_status sosie_onnx_range(struct sosie_onnx_source *source,
                                   struct sosie_error *err)
{
    struct sosie_value value = {.dtype = sosie_onnx_input(source, 0)->dtype,
                                .shape = {1, {0}}};
    double bounds[3], n;
    void *room;
    enum sosie_status st;
    for (size_t k = 0; k < 3; k++) {
        const struct sosie_value *x = sosie_onnx_input(source, k);
        if (!x->data || sosie_shape_count(&x->shape) != 1 ||
            x->dtype != value.dtype ||
            (x->dtype != SOSIE_I64 && x->dtype != SOSIE_F32))
            return sosie_fail(err, SOSIE_REFUSED,
                              "input '%.80s' is not a constant number like the "
                              "others; only such are supported here",
                              x->name);
        bounds[k] = x->dtype == SOSIE_I64 ? (double)*(const int64_t *)x->data
                                          : (double)*(const float *)x->data;
    }
    n = ceil((bounds[1] - bounds[0]) / bounds[2]);
    if (!(n <= (double)SOSIE_MAX_ELEMENTS) || bounds[2] == 0.0)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "from %g to %g in steps of %g is no range", bounds[0],
                          bounds[1], bounds[2]);
    value.shape.dims[0] = n > 0.0 ? (size_t)n : 0;
    st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t i = 0; i < value.shape.dims[0]; i++) {
        double x = bounds[0] + (double)i * bounds[2];
        if (value.dtype == SOSIE_F32)
            ((float *)room)[i] = (float)x;
        else if (fabs(x) < 0x1p53)
            ((int64_t *)room)[i] = (int64_t)x;
    }
    return sosie_onnx_finish_constant(source, &value, err);
}

/* ---- sizes of tensors ---------------------------------------------------- */

/* Where `start` or `end` of Shape points: from the end if negative, and at most
 * to either end. */
static size_t place_of(int64_t at, size_t rank)
{
    int64_t n = (int64_t)rank;
    if (at < 0)
        at = at < -n ? 0 : at + n;
    return at > n ? rank : (size_t)at;
}

enum sosie_status sosie_onnx_shape(struct sosie_onnx_source *source,
                                   struct sosie_error *err)
{
    const struct sosie_shape in = sosie_onnx_input(source, 0)->shape;
    struct sosie_value value = {.dtype = SOSIE_I64, .shape = {1, {0}}};
    int64_t start = 0, end = (int64_t)in.rank;
    size_t from, to;
    void *room;
    enum sosie_status st = sosie_onnx_int(source->proto, "start", &start, err);
    if (!st)
        st = sosie_onnx_int(source->proto, "end", &end, err);
    if (st)
        return st;
    from = place_of(start, in.rank);
    to = place_of(end, in.rank);
    value.shape.dims[0] = to > from ? to - from : 0;
    st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t d = from; d < to; d++)
        ((int64_t *)room)[d - from] = (int64_t)in.dims[d];
    return sosie_onnx_finish_constant(source, &value, err);
}

enum sosie_status sosie_onnx_size(struct sosie_onnx_source *source,
                                  struct sosie_error *err)
{
    struct sosie_value value = {.dtype = SOSIE_I64};
    size_t n = sosie_shape_count(&sosie_onnx_input(source, 0)->shape);
    void *room;
    enum sosie_status st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    *(int64_t *)room = (int64_t)n;
    return sosie_onnx_finish_constant(source, &value, err);
}

/* ---- the same, perhaps as another type ------------------------------------
 */

static enum sosie_status identity(struct sosie_onnx_source *source,
                                  struct sosie_error *err)
{
    struct sosie_node node = {
        .op = SOSIE_OP_IDENTITY, .n_inputs = 1, .inputs = {source->inputs[0]}};
    return sosie_onnx_finish(source, &node, 0, err);
}

/* What is dropped while a network is trained stays when it is used. The mask
 * that says what was dropped is not made; the ratio matters to nobody. */
enum sosie_status sosie_onnx_dropout(struct sosie_onnx_source *source,
                                     struct sosie_node *node,
                                     struct sosie_error *err)
{
    struct sosie_onnx_ints training;
    enum sosie_status st = sosie_onnx_input_ints(source, 2, &training, err);
    if (!st && training.n && training.values[0])
        return sosie_fail(err, SOSIE_REFUSED,
                          "training_mode is true; only false is supported");
    node->op = SOSIE_OP_IDENTITY;
    node->n_inputs = 1;
    return st;
}

/* Which of our types stands for one of the format's; false if none does. Other
 * precisions are computed in float32. */
static bool type_of(int64_t type, enum sosie_dtype *dtype)
{
    switch (type) {
    case ONNX_FLOAT:
    case ONNX_FLOAT16:
    case ONNX_DOUBLE:
    case ONNX_BFLOAT16:
        *dtype = SOSIE_F32;
        return true;
    case ONNX_INT32:
    case ONNX_INT64:
    case ONNX_BOOL:
        *dtype = SOSIE_I64;
        return true;
    default:
        return false;
    }
}

/* One number as a float32 or as a whole number; false if it has no place
 * there. */
static bool cast_one(const struct sosie_value *from, size_t i, int64_t type,
                     enum sosie_dtype dtype, void *to)
{
    int64_t whole = 0;
    double x = 0.0;
    if (from->dtype == SOSIE_F32)
        x = (double)((const float *)from->data)[i];
    else if (from->dtype == SOSIE_I64)
        x = (double)(whole = ((const int64_t *)from->data)[i]);
    else
        x = (double)(whole = from->dtype == SOSIE_U8
                                 ? ((const uint8_t *)from->data)[i]
                                 : ((const int8_t *)from->data)[i]);
    if (dtype == SOSIE_F32) {
        ((float *)to)[i] = (float)x;
        return true;
    }
    if (type == ONNX_BOOL)
        whole = x != 0.0;
    else if (from->dtype == SOSIE_F32 && fabs(x) < 0x1p62)
        whole = (int64_t)x;
    else if (from->dtype == SOSIE_F32)
        return false;
    ((int64_t *)to)[i] = whole;
    return type != ONNX_INT32 || (whole >= INT32_MIN && whole <= INT32_MAX);
}

enum sosie_status sosie_onnx_cast(struct sosie_onnx_source *source,
                                  struct sosie_error *err)
{
    const struct sosie_value from = *sosie_onnx_input(source, 0);
    struct sosie_value value = {.shape = from.shape};
    int64_t type = 0;
    void *room;
    enum sosie_status st = sosie_onnx_int(source->proto, "to", &type, err);
    if (st)
        return st;
    if (!type_of(type, &value.dtype) || from.dtype == SOSIE_I32 ||
        (!from.data && (value.dtype != SOSIE_F32 || from.dtype != SOSIE_F32)))
        return sosie_fail(err, SOSIE_REFUSED,
                          "'%.80s' becomes data type %lld; supported: floats "
                          "to floats (1, 10, 11, 16), and constants, also "
                          "whole ones (6, 7) and bool (9)",
                          from.name, (long long)type);
    if (from.dtype == SOSIE_F32 && value.dtype == SOSIE_F32)
        return identity(source, err);
    st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++)
        if (!cast_one(&from, i, type, value.dtype, room))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "element %zu of '%.80s' has no place in data "
                              "type %lld",
                              i, from.name, (long long)type);
    return sosie_onnx_finish_constant(source, &value, err);
}
