/* tensor.c: shapes, checked once and then trusted. */
#include "nn/tensor.h"

#include "base/size.h"

#include <stdio.h>

enum sosie_status sosie_shape_check(const struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    size_t count = 1;
    if (shape->rank > SOSIE_MAX_RANK)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu dimensions; at most %d are supported",
                          shape->rank, SOSIE_MAX_RANK);
    for (size_t i = 0; i < shape->rank; i++) {
        size_t dim = shape->dims[i] ? shape->dims[i] : 1;
        if (!sosie_size_mul(count, dim, &count) || count > SOSIE_MAX_ELEMENTS)
            return sosie_fail(err, SOSIE_REFUSED,
                              "a tensor of %s has more than %zu elements",
                              sosie_shape_text(shape).text, SOSIE_MAX_ELEMENTS);
    }
    return SOSIE_OK;
}

size_t sosie_shape_product(const struct sosie_shape *shape, size_t from,
                           size_t to)
{
    size_t product = 1;
    for (size_t i = from; i < to; i++)
        product *= shape->dims[i];
    return product;
}

size_t sosie_shape_count(const struct sosie_shape *shape)
{
    return sosie_shape_product(shape, 0, shape->rank);
}

bool sosie_shape_equal(const struct sosie_shape *a, const struct sosie_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (size_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

struct sosie_shape_text sosie_shape_text(const struct sosie_shape *shape)
{
    struct sosie_shape_text out = {"scalar"};
    size_t used = 0;
    for (size_t i = 0; i < shape->rank && used < sizeof(out.text); i++) {
        int n = snprintf(out.text + used, sizeof(out.text) - used, "%s%zu",
                         i ? "x" : "", shape->dims[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

const char *sosie_dtype_name(enum sosie_dtype dtype)
{
    static const char *const names[] = {[SOSIE_F32] = "float32",
                                        [SOSIE_I64] = "int64",
                                        [SOSIE_U8] = "uint8",
                                        [SOSIE_I8] = "int8",
                                        [SOSIE_I32] = "int32"};
    return names[dtype];
}

size_t sosie_dtype_size(enum sosie_dtype dtype)
{
    switch (dtype) {
    case SOSIE_U8:
    case SOSIE_I8:
        return 1;
    case SOSIE_I64:
        return sizeof(int64_t);
    case SOSIE_F32:
    case SOSIE_I32:
        break;
    }
    return 4;
}
