/* tensor.h: what the elements of a tensor are, and how many.
 *
 * Tensors are dense, row-major, at most 6-dimensional. Every shape inside a
 * graph has passed sosie_shape_check, so its products cannot overflow. */
#ifndef SOSIE_NN_TENSOR_H
#define SOSIE_NN_TENSOR_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOSIE_MAX_RANK = 6 };

/* 1 GiB of floats: far above any network for photos, and small enough that
 * sums over a graph's tensors stay far from overflow. */
#define SOSIE_MAX_ELEMENTS ((size_t)1 << 28)

enum sosie_dtype { SOSIE_F32, SOSIE_I64, SOSIE_U8, SOSIE_I8, SOSIE_I32 };

struct sosie_shape {
    size_t rank;
    size_t dims[SOSIE_MAX_RANK];
};

/* REFUSED if there are more than SOSIE_MAX_RANK dimensions or more than
 * SOSIE_MAX_ELEMENTS elements (an empty dimension counts as 1 here). */
SOSIE_MUST_CHECK enum sosie_status
sosie_shape_check(const struct sosie_shape *shape, struct sosie_error *err);

/* Product of dims[from .. to-1]; 1 if there are none. */
size_t sosie_shape_product(const struct sosie_shape *shape, size_t from,
                           size_t to);
size_t sosie_shape_count(const struct sosie_shape *shape);

bool sosie_shape_equal(const struct sosie_shape *a,
                       const struct sosie_shape *b);

/* "1x3x224x224", for messages. */
struct sosie_shape_text {
    char text[80];
};
struct sosie_shape_text sosie_shape_text(const struct sosie_shape *shape);

/* "float32", ... */
const char *sosie_dtype_name(enum sosie_dtype dtype);

size_t sosie_dtype_size(enum sosie_dtype dtype);

#endif
