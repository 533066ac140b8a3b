/* whiten.h: the shape aspect's reduction: a PCA, whitened.
 *
 * y = M (x - mean): M's rows are the largest principal directions of a sample
 * of the catalog's own photos, each divided by a power of its variance (H.
 * Jegou and O. Chum, "Negative evidences and co-occurrences in image retrieval:
 * the benefit of PCA and whitening", ECCV 2012). Directions in which all photos
 * of a shop vary count less, those that tell products apart count more.
 * Threads: immutable; any number. */
#ifndef SOSIE_ENGINE_WHITEN_H
#define SOSIE_ENGINE_WHITEN_H

#include "sosie/error.h"

#include <stddef.h>

enum {
    SOSIE_WHITEN_DIM = 256,         /* elements afterwards */
    SOSIE_WHITEN_MIN_PHOTOS = 2000, /* fewer: no whitening */
    SOSIE_WHITEN_SAMPLE = 4096      /* photos that it is fitted on, at most */
};

struct sosie_whitening;

/* Fits on n samples (n, dim). */
SOSIE_MUST_CHECK enum sosie_status
sosie_whitening_fit(const float *samples, size_t n, size_t dim, size_t out_dim,
                    struct sosie_whitening **out, struct sosie_error *err);

/* From and to bytes: uint32 dim, uint32 out_dim, float mean[dim], float
 * matrix[out_dim][dim], little-endian. CORRUPT if they are not such. */
SOSIE_MUST_CHECK enum sosie_status
sosie_whitening_load(const void *bytes, size_t size,
                     struct sosie_whitening **out, struct sosie_error *err);
const void *sosie_whitening_bytes(const struct sosie_whitening *whitening,
                                  size_t *size);

/* NULL is allowed. */
void sosie_whitening_destroy(struct sosie_whitening *whitening);

size_t sosie_whitening_in(const struct sosie_whitening *whitening);
size_t sosie_whitening_out(const struct sosie_whitening *whitening);

/* x: (dim), loses its mean; y: (out_dim). */
void sosie_whitening_apply(const struct sosie_whitening *whitening, float *x,
                           float *y);

#endif
