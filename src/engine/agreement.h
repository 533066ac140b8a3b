/* agreement.h: how well two networks agree on what looks alike.
 *
 * The second is meant to be the first in another form (quantised, say). Both
 * have embedded the same photos; compared are the embeddings, and what a search
 * among the photos would find with each. */
#ifndef SOSIE_ENGINE_AGREEMENT_H
#define SOSIE_ENGINE_AGREEMENT_H

#include "sosie/error.h"

#include <stddef.h>
#include <stdint.h>

enum { SOSIE_AGREEMENT_K = 12 }; /* hits of a search */

/* n photos' embeddings (n, dim) by either network, and what the photos are:
 * labels[l][i] is a number for label l of photo i; equal numbers are equal
 * labels, and -1 is none. Photos of one group (-1: of none) are not compared:
 * they show the same product. */
struct sosie_agreement_photos {
    size_t n, dim, n_labels;
    float *before, *after; /* are made unit length */
    const int32_t *const *labels;
    const int32_t *groups;
};

/* precision@12: the share of a photo's 12 nearest that have its label, in the
 * mean over all photos that have one. */
struct sosie_agreement {
    double cosine_mean, cosine_p1, cosine_min; /* p1: of the worst hundredth */
    double same_hits;       /* share of the 12 nearest that both find */
    double (*precision)[2]; /* before, after: room for n_labels, and one more:
                               all labels at once */
};

/* agreement->precision is the caller's. NO_MEMORY. Threads: any number. */
SOSIE_MUST_CHECK enum sosie_status
sosie_agreement_measure(const struct sosie_agreement_photos *photos,
                        struct sosie_agreement *agreement,
                        struct sosie_error *err);

/* The mean cosine between n pairs of embeddings, (n, dim) each, of any length.
 */
double sosie_cosine_mean(const float *before, const float *after, size_t n,
                         size_t dim);

#endif
