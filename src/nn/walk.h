/* walk.h: going through the elements of one tensor in row-major order, and
 * where a few others hold what belongs to each: dense, broadcast, transposed,
 * sliced, whatever strides can say.
 *
 * Offsets and strides count elements. A stride may be negative: it wraps, and
 * the sum of offsets wraps back. */
#ifndef SOSIE_NN_WALK_H
#define SOSIE_NN_WALK_H

#include "nn/tensor.h"

enum { SOSIE_WALK_TENSORS = 3 };

struct sosie_walk {
    struct sosie_shape shape;                           /* gone through */
    size_t strides[SOSIE_WALK_TENSORS][SOSIE_MAX_RANK]; /* 0 at first */
    size_t offsets[SOSIE_WALK_TENSORS];                 /* of this element */
    size_t at[SOSIE_MAX_RANK];                          /* its indices */
};

/* At element 0; all strides and offsets are 0. */
struct sosie_walk sosie_walk_begin(const struct sosie_shape *shape);

/* Tensor t has the walk's shape. */
void sosie_walk_dense(struct sosie_walk *walk, size_t t);

/* Tensor t, of `shape`, is broadcast to the walk's. */
void sosie_walk_broadcast(struct sosie_walk *walk, size_t t,
                          const struct sosie_shape *shape);

/* Before the first step: lets the dimensions that tensor t does not have (its
 * strides there are 0) run fastest, so that all that belongs to one element of
 * it comes in a row. Gives how long such a row is. */
size_t sosie_walk_repeats_last(struct sosie_walk *walk, size_t t);

/* To the next element; after the last comes the first. */
static inline void sosie_walk_next(struct sosie_walk *walk)
{
    for (size_t d = walk->shape.rank; d-- > 0;) {
        for (size_t t = 0; t < SOSIE_WALK_TENSORS; t++)
            walk->offsets[t] += walk->strides[t][d];
        if (++walk->at[d] < walk->shape.dims[d])
            return;
        for (size_t t = 0; t < SOSIE_WALK_TENSORS; t++)
            walk->offsets[t] -= walk->strides[t][d] * walk->shape.dims[d];
        walk->at[d] = 0;
    }
}

#endif
