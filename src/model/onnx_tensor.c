/* onnx_tensor.c: tensors of an ONNX file as values: elements of the types that
 * we compute with stay where the message has them, others are converted. */
#include "model/onnx_private.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian and is used as it stands"
#endif

enum sosie_status sosie_onnx_spend(struct sosie_onnx_store *store, size_t n,
                                   struct sosie_error *err)
{
    if (n > store->elements_left)
        return sosie_fail(err, SOSIE_REFUSED,
                          "constants computed from constants grow too large "
                          "(%zu elements here)",
                          n);
    store->elements_left -= n;
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_room(struct sosie_onnx_store *store,
                                  struct sosie_value *value, void **room,
                                  struct sosie_error *err)
{
    size_t n;
    enum sosie_status st = sosie_shape_check(&value->shape, err);
    if (st)
        return st;
    n = sosie_shape_count(&value->shape);
    st = sosie_onnx_spend(store, n, err);
    if (st)
        return st;
    *room = sosie_arena_alloc(store->arena, n + 1, /* one more: not NULL */
                              sosie_dtype_size(value->dtype));
    if (!*room)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's constants");
    value->data = *room;
    return SOSIE_OK;
}

/* ---- types --------------------------------------------------------------- */

/* Element i of those that a file has, wherever it has them. */
#define ELEMENT(type, from, i)                                                 \
    (*(const type *)memcpy(                                                    \
        &(type){0}, (const char *)(from) + (i) * sizeof(type), sizeof(type)))

static void from_int32(const void *from, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++)
        ((int64_t *)to)[i] = ELEMENT(int32_t, from, i);
}

static void from_bool(const void *from, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++)
        ((int64_t *)to)[i] = ((const uint8_t *)from)[i] != 0;
}

static void from_double(const void *from, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++)
        ((float *)to)[i] = (float)ELEMENT(double, from, i);
}

static void from_bfloat16(const void *from, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++)
        ((uint32_t *)to)[i] = (uint32_t)ELEMENT(uint16_t, from, i) << 16;
}

/* IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of mantissa. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, bits;
    uint32_t exponent = (half >> 10) & 31, mantissa = half & 1023U;
    float value;

    if (exponent == 0) { /* mantissa * 2^-24 */
        value = (float)mantissa * 0x1p-24F;
        return sign ? -value : value;
    }
    exponent = exponent == 31 ? 255 : exponent - 15 + 127;
    bits = sign | exponent << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void from_float16(const void *from, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++)
        ((float *)to)[i] = half_to_float(ELEMENT(uint16_t, from, i));
}

/* How a type of the format stands in raw_data and what becomes of it. Outside
 * of raw_data all but the first three and DOUBLE stand in int32_data. */
struct type {
    int32_t number;
    size_t size;
    enum sosie_dtype dtype;
    void (*convert)(const void *from, size_t n, void *to); /* NULL: as it is */
};

static const struct type types[] = {
    {ONNX_FLOAT, 4, SOSIE_F32, NULL},
    {ONNX_INT64, 8, SOSIE_I64, NULL},
    {ONNX_DOUBLE, 8, SOSIE_F32, from_double},
    {ONNX_UINT8, 1, SOSIE_U8, NULL},
    {ONNX_INT8, 1, SOSIE_I8, NULL},
    {ONNX_INT32, 4, SOSIE_I64, from_int32},
    {ONNX_BOOL, 1, SOSIE_I64, from_bool},
    {ONNX_FLOAT16, 2, SOSIE_F32, from_float16},
    {ONNX_BFLOAT16, 2, SOSIE_F32, from_bfloat16},
};

static enum sosie_status find_type(int32_t number, const struct type **found,
                                   struct sosie_error *err)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (types[i].number == number) {
            *found = &types[i];
            return SOSIE_OK;
        }
    return sosie_fail(err, SOSIE_REFUSED,
                      "data type %d is not supported; supported: float32 (1), "
                      "uint8 (2), int8 (3), int32 (6), int64 (7), bool (9), "
                      "float16 (10), float64 (11), bfloat16 (16)",
                      (int)number);
}

/* ---- elements ------------------------------------------------------------ */

/* Elements as the file has them: `n` of `size` bytes each. */
struct elements {
    const void *data;
    size_t n, size;
};

/* The elements of int32_data, narrowed to what raw_data would hold. */
static enum sosie_status narrow(struct sosie_onnx_store *store,
                                const Onnx__TensorProto *proto,
                                const struct type *type,
                                struct elements *elements,
                                struct sosie_error *err)
{
    size_t n = proto->n_int32_data;
    unsigned char *to;
    *elements = (struct elements){proto->int32_data, n, type->size};
    if (type->size == sizeof(int32_t))
        return SOSIE_OK;
    to = sosie_arena_alloc(store->arena, n + 1, type->size);
    if (!to)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's constants");
    for (size_t i = 0; i < n; i++) /* the low bytes come first */
        memcpy(to + i * type->size, &proto->int32_data[i], type->size);
    elements->data = to;
    return SOSIE_OK;
}

static enum sosie_status find_elements(struct sosie_onnx_store *store,
                                       const Onnx__TensorProto *proto,
                                       const struct type *type, size_t expected,
                                       struct elements *elements,
                                       struct sosie_error *err)
{
    if (proto->data_location || proto->n_external_data) {
        *elements = (struct elements){NULL, expected, type->size};
        return sosie_onnx_read_external(store, proto, expected, type->size,
                                        &elements->data, err);
    }
    if (proto->has_raw_data)
        *elements = (struct elements){
            proto->raw_data.data, proto->raw_data.len / type->size, type->size};
    else if (type->number == ONNX_FLOAT)
        *elements = (struct elements){proto->float_data, proto->n_float_data,
                                      type->size};
    else if (type->number == ONNX_INT64)
        *elements = (struct elements){proto->int64_data, proto->n_int64_data,
                                      type->size};
    else if (type->number == ONNX_DOUBLE)
        *elements = (struct elements){proto->double_data, proto->n_double_data,
                                      type->size};
    else
        return narrow(store, proto, type, elements, err);
    return SOSIE_OK;
}

static enum sosie_status read_dims(const Onnx__TensorProto *proto,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    shape->rank = proto->n_dims;
    for (size_t i = 0; i < proto->n_dims && i < SOSIE_MAX_RANK; i++) {
        if (proto->dims[i] < 0)
            return sosie_fail(err, SOSIE_BAD_INPUT, "dimension %zu is %lld", i,
                              (long long)proto->dims[i]);
        shape->dims[i] = (size_t)proto->dims[i];
    }
    return sosie_shape_check(shape, err);
}

enum sosie_status sosie_onnx_read_tensor(struct sosie_onnx_store *store,
                                         const Onnx__TensorProto *proto,
                                         struct sosie_value *value,
                                         struct sosie_error *err)
{
    struct elements elements;
    const struct type *type = NULL;
    size_t expected, bytes;
    void *converted;
    enum sosie_status st = find_type(proto->data_type, &type, err);
    if (!st)
        st = read_dims(proto, &value->shape, err);
    if (st)
        return st;
    expected = sosie_shape_count(&value->shape);
    st = find_elements(store, proto, type, expected, &elements, err);
    if (st)
        return st;
    bytes =
        proto->has_raw_data ? proto->raw_data.len : elements.n * elements.size;
    if (elements.n != expected || bytes != expected * type->size)
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "%zu bytes of data; a tensor of %s has %zu",
            bytes, sosie_shape_text(&value->shape).text, expected * type->size);
    value->dtype = type->dtype;
    value->data = expected ? elements.data : ""; /* empty, but a constant */
    if (!expected ||
        (!type->convert && (type->dtype == SOSIE_F32 ||
                            (uintptr_t)elements.data % type->size == 0)))
        return SOSIE_OK;
    converted = sosie_arena_alloc(store->arena, expected,
                                  sosie_dtype_size(type->dtype));
    if (!converted)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's constants");
    if (type->convert)
        type->convert(elements.data, expected, converted);
    else
        memcpy(converted, elements.data, bytes);
    value->data = converted;
    return SOSIE_OK;
}
