/* vectors.h: embeddings of many photos, as a search wants them, all at once.
 *
 * The same numbers as in a catalog (index/rows.h): aspects in int8, each with a
 * scale that makes it unit length. Here their number is known beforehand, and
 * several threads fill them. Threads: see each function. */
#ifndef SOSIE_TRAIN_VECTORS_H
#define SOSIE_TRAIN_VECTORS_H

#include "index/rows.h"

struct sosie_vectors {
    struct sosie_row_shape shape;
    size_t n;
    int8_t *codes; /* (n, stride), aligned to 64 bytes */
    float *scales; /* (n, n_aspects) */
};

/* Room for n, all zeros: like nothing. */
SOSIE_MUST_CHECK enum sosie_status
sosie_vectors_init(struct sosie_vectors *vectors,
                   const struct sosie_row_shape *shape, size_t n,
                   struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_vectors_release(struct sosie_vectors *vectors);

/* Quantises aspect j of vector i from shape.dims[j] floats of any length.
 * Threads: any number, on different i. */
void sosie_vectors_set(struct sosie_vectors *vectors, size_t i, size_t j,
                       const float *values);

/* Writes vector `from` over vector `to`. Unshared. */
void sosie_vectors_copy(struct sosie_vectors *vectors, size_t from, size_t to);

#endif
