/* vectors.c: one block of codes, one of scales. */
#include "train/vectors.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum sosie_status sosie_vectors_init(struct sosie_vectors *vectors,
                                     const struct sosie_row_shape *shape,
                                     size_t n, struct sosie_error *err)
{
    struct sosie_vectors made = {.shape = *shape, .n = n};
    size_t stride = sosie_row_stride(shape), size;
    if (sosie_size_mul(n ? n : 1, stride, &size))
        made.codes = aligned_alloc(64, size);
    made.scales = calloc(n ? n : 1, shape->n_aspects * sizeof(*made.scales));
    if (!made.codes || !made.scales) {
        sosie_vectors_release(&made);
        return sosie_fail(err, SOSIE_NO_MEMORY, "embeddings of %zu photos", n);
    }
    memset(made.codes, 0, size);
    *vectors = made;
    return SOSIE_OK;
}

void sosie_vectors_release(struct sosie_vectors *vectors)
{
    free(vectors->codes);
    free(vectors->scales);
    *vectors = (struct sosie_vectors){0};
}

void sosie_vectors_set(struct sosie_vectors *vectors, size_t i, size_t j,
                       const float *values)
{
    const struct sosie_row_shape *shape = &vectors->shape;
    int8_t *codes = vectors->codes + i * sosie_row_stride(shape);
    for (size_t k = 0; k < j; k++)
        codes += sosie_row_aspect_size(shape, k);
    vectors->scales[i * shape->n_aspects + j] =
        sosie_quantise(values, shape->dims[j], codes);
}

void sosie_vectors_copy(struct sosie_vectors *vectors, size_t from, size_t to)
{
    size_t stride = sosie_row_stride(&vectors->shape);
    size_t n_aspects = vectors->shape.n_aspects;
    if (from == to)
        return;
    memcpy(vectors->codes + to * stride, vectors->codes + from * stride,
           stride);
    memcpy(vectors->scales + to * n_aspects, vectors->scales + from * n_aspects,
           n_aspects * sizeof(*vectors->scales));
}
