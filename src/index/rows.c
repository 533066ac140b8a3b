/* rows.c: quantisation, and rows in memory. */
#include "index/rows.h"

#include "base/size.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

size_t sosie_row_aspect_size(const struct sosie_row_shape *shape, size_t j)
{
    return (shape->dims[j] + LINE - 1) / LINE * LINE;
}

size_t sosie_row_stride(const struct sosie_row_shape *shape)
{
    size_t stride = 0;
    for (size_t j = 0; j < shape->n_aspects; j++)
        stride += sosie_row_aspect_size(shape, j);
    return stride;
}

size_t sosie_row_packed_size(const struct sosie_row_shape *shape)
{
    size_t size = 0;
    for (size_t j = 0; j < shape->n_aspects; j++)
        size += shape->dims[j];
    return size;
}

float sosie_codes_scale(const int8_t *codes, size_t n)
{
    int32_t squares = sosie_kernels()->dot_i8(codes, codes, n);
    return squares ? 1.0f / sqrtf((float)squares) : 0.0f;
}

float sosie_quantise(const float *vector, size_t n, int8_t *codes)
{
    float largest = 0, factor;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(vector[i]);
        largest = fmaxf(largest, fabsf(vector[i]));
    }
    factor = 127.0f / largest;
    if (!finite || !isfinite(factor)) {
        memset(codes, 0, n);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        codes[i] = (int8_t)lrintf(vector[i] * factor);
    return sosie_codes_scale(codes, n);
}

/* ---- rows in memory ------------------------------------------------------ */

static bool resize(void **memory, size_t n, size_t size)
{
    void *more;
    if (!sosie_size_mul(n, size, &size))
        return false;
    more = realloc(*memory, size);
    if (more)
        *memory = more;
    return more;
}

/* realloc keeps no alignment, so the codes are moved by hand. */
static bool resize_codes(struct sosie_rows *rows, size_t room)
{
    size_t stride = sosie_row_stride(&rows->shape), size;
    int8_t *more;
    if (!sosie_size_mul(room, stride, &size))
        return false;
    more = aligned_alloc(LINE, size);
    if (!more)
        return false;
    if (rows->n)
        memcpy(more, rows->codes, rows->n * stride);
    free(rows->codes);
    rows->codes = more;
    return true;
}

static bool grow(struct sosie_rows *rows)
{
    size_t room = rows->room ? rows->room + rows->room / 2 : 256;
    if (rows->n < rows->room)
        return true;
    if (!resize((void **)&rows->numbers, room, sizeof(*rows->numbers)) ||
        !resize((void **)&rows->classes, room, sizeof(*rows->classes)) ||
        !resize((void **)&rows->scales, room,
                sizeof(*rows->scales) * rows->shape.n_aspects) ||
        !resize_codes(rows, room))
        return false;
    rows->room = room;
    return true;
}

enum sosie_status sosie_rows_add(struct sosie_rows *rows, uint64_t number,
                                 uint32_t class_id, const int8_t *packed,
                                 struct sosie_error *err)
{
    size_t stride = sosie_row_stride(&rows->shape);
    int8_t *to;
    if (rows->n && number <= rows->numbers[rows->n - 1])
        return sosie_fail(err, SOSIE_CORRUPT,
                          "row %" PRIu64 " follows row %" PRIu64, number,
                          rows->numbers[rows->n - 1]);
    if (!grow(rows))
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu embeddings", rows->n + 1);
    rows->numbers[rows->n] = number;
    rows->classes[rows->n] = class_id;
    to = rows->codes + rows->n * stride;
    memset(to, 0, stride);
    for (size_t j = 0; j < rows->shape.n_aspects; j++) {
        size_t dim = rows->shape.dims[j];
        memcpy(to, packed, dim);
        rows->scales[rows->n * rows->shape.n_aspects + j] =
            sosie_codes_scale(packed, dim);
        packed += dim;
        to += sosie_row_aspect_size(&rows->shape, j);
    }
    rows->n++;
    return SOSIE_OK;
}

void sosie_rows_release(struct sosie_rows *rows)
{
    free(rows->numbers);
    free(rows->classes);
    free(rows->scales);
    free(rows->codes);
    *rows = (struct sosie_rows){.shape = rows->shape};
}
