/* discriminant.h: the directions that tell things apart.
 *
 * Fisher's linear discriminant (R. A. Fisher, 1936) for more than two classes,
 * from samples and from differences between samples of one thing: directions w
 * whose variance over all samples is largest for the variance of the
 * differences, w' C w / w' (S + ridge) w. The ridge, a part of S's mean
 * variance, keeps directions that few differences were seen in from counting
 * too much (J. Friedman, "Regularized discriminant analysis", 1989).
 * Threads: any number. */
#ifndef SOSIE_TRAIN_DISCRIMINANT_H
#define SOSIE_TRAIN_DISCRIMINANT_H

#include "sosie/error.h"

#include <stddef.h>
#include <stdint.h>

struct sosie_discriminant_data {
    const float *samples; /* (n, dim) */
    size_t n;
    const float
        *differences; /* (m, dim): of two samples of one thing, divided
                         by the root of 2; m = 0: principal directions */
    size_t m;
    size_t dim;
};

/* y = matrix (x - mean): matrix (n_out, dim), mean (dim), best direction first.
 * The directions are found by subspace iteration from random ones drawn by
 * `seed` (Halko, Martinsson, Tropp 2011).
 * Errors: BAD_INPUT for fewer samples or dimensions than n_out, or samples that
 * are no numbers; NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_discriminant_fit(const struct sosie_discriminant_data *data, size_t n_out,
                       uint64_t seed, float *matrix, float *mean,
                       struct sosie_error *err);

#endif
