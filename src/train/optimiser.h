/* optimiser.h: gradients -> parameters, and how fast.
 *
 * Parameters, gradients and the optimiser's state are blocks of floats of one
 * layout, parted into *slices* that differ in rate and decay. Everything is
 * elementwise and in float32, so that a resumed training goes on bit for bit.
 * Unshared, except that sosie_optimiser_step may be given disjoint ranges of
 * slices from several threads. */
#ifndef SOSIE_TRAIN_OPTIMISER_H
#define SOSIE_TRAIN_OPTIMISER_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sosie_optimiser_kind {
    SOSIE_SGD,  /* momentum, as in PyTorch: v = m v + g; p -= rate * v */
    SOSIE_ADAMW /* Loshchilov and Hutter 2019 */
};

struct sosie_optimiser_options {
    enum sosie_optimiser_kind kind;
    float momentum;     /* of SGD */
    float beta1, beta2; /* of AdamW */
    float epsilon;
    float weight_decay; /* decoupled in both: p -= rate * decay * p */
    float clip_norm;    /* of the whole gradient; 0: none */
    float ema;          /* of the averaged parameters, per step; 0: none */
};
struct sosie_optimiser_options
sosie_optimiser_options_defaults(enum sosie_optimiser_kind kind);

struct sosie_slice_options {
    size_t offset, n; /* floats */
    float rate;       /* multiplies the step's rate; 0: frozen */
    bool decays;
};

struct sosie_optimiser {
    struct sosie_optimiser_options options;
    size_t n; /* floats of a block */
    uint64_t n_steps;
    float *first, *second; /* moments; SGD has no second: NULL */
    float *average;        /* EMA of the parameters; NULL: none */
};

/* The average starts as a copy of `params`. */
SOSIE_MUST_CHECK enum sosie_status
sosie_optimiser_init(struct sosie_optimiser *optimiser,
                     const struct sosie_optimiser_options *options,
                     const float *params, size_t n, struct sosie_error *err);
void sosie_optimiser_release(struct sosie_optimiser *optimiser);

/* One step of every slice. BAD_INPUT if the gradient is not finite: nothing is
 * changed then. *norm, which may be NULL: the gradient's, before clipping.
 * The EMA warms up: min(ema, (1 + step) / (10 + step)). */
SOSIE_MUST_CHECK enum sosie_status
sosie_optimiser_step(struct sosie_optimiser *optimiser, float *params,
                     const float *grads,
                     const struct sosie_slice_options *slices, size_t n_slices,
                     float rate, double *norm, struct sosie_error *err);

/* Linear from 0 over the first `warm_up` steps, then a cosine from `peak` down
 * to `last` at step n. */
float sosie_rate_at(uint64_t step, uint64_t n, uint64_t warm_up, float peak,
                    float last);

#endif
