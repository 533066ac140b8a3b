/* walk.c: the strides that a walk starts with. */
#include "nn/walk.h"

#include "nn/graph.h"

struct sosie_walk sosie_walk_begin(const struct sosie_shape *shape)
{
    return (struct sosie_walk){.shape = *shape};
}

void sosie_walk_dense(struct sosie_walk *walk, size_t t)
{
    for (size_t d = 0; d < walk->shape.rank; d++)
        walk->strides[t][d] =
            sosie_shape_product(&walk->shape, d + 1, walk->shape.rank);
}

void sosie_walk_broadcast(struct sosie_walk *walk, size_t t,
                          const struct sosie_shape *shape)
{
    sosie_broadcast_strides(shape, &walk->shape, walk->strides[t]);
}

size_t sosie_walk_repeats_last(struct sosie_walk *walk, size_t t)
{
    struct sosie_walk from = *walk;
    size_t n = 0, repeats = 1;
    for (int has_it = 1; has_it >= 0; has_it--)
        for (size_t d = 0; d < from.shape.rank; d++) {
            if ((from.strides[t][d] != 0) != has_it)
                continue;
            walk->shape.dims[n] = from.shape.dims[d];
            for (size_t k = 0; k < SOSIE_WALK_TENSORS; k++)
                walk->strides[k][n] = from.strides[k][d];
            repeats *= has_it ? 1 : from.shape.dims[d];
            n++;
        }
    return repeats;
}
