/* optimiser.h: gradients -> parameters, and how fast.
 *
 * Parameters, gradients and the optimiser's state are blocks of floats of one
 * layout, parted into *slices* that differ in rate and decay. Everything but
 * the norm for clipping is elementwise and in float32, and the state is all
 * that is remembered, so that a resumed training goes on bit for bit. Unshared
 * (a step clips by the norm of the whole gradient, and its memory is the
 * bottleneck). */
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
    float weight_decay; /* decoupled in both: p -= rate * decay * p, first */
    float clip_norm;    /* of the whole gradient; 0: none */
    float ema;          /* of the averaged parameters, per step; 0: none */
};
/* momentum 0.9, decay 1e-4; or betas 0.9 and 0.999, epsilon 1e-8, decay 0.01.
 * No clipping, no average. */
struct sosie_optimiser_options
sosie_optimiser_options_defaults(enum sosie_optimiser_kind kind);

struct sosie_slice_options {
    size_t offset, n; /* floats; slices don't overlap */
    /* Multiplies the step's rate. 0: frozen; its gradient, which may be
     * anything, is not looked at, and its parameters and moments stay as they
     * are. */
    float rate;
    bool decays;
};

/* A copy of this and of its blocks is all that it takes to go on. */
struct sosie_optimiser {
    struct sosie_optimiser_options options;
    size_t n; /* floats of a block */
    uint64_t n_steps;
    float *first, *second; /* moments; SGD has no second: NULL */
    float *average;        /* EMA of the parameters; NULL: none */
};

/* The average starts as a copy of `params`. Errors: BAD_INPUT if an option is
 * out of its range (which is said), NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_optimiser_init(struct sosie_optimiser *optimiser,
                     const struct sosie_optimiser_options *options,
                     const float *params, size_t n, struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_optimiser_release(struct sosie_optimiser *optimiser);

/* One step of every slice; what is in none stays as it is. `rate` is finite and
 * not negative. BAD_INPUT if the gradient is not finite: nothing is changed
 * then. *norm, which may be NULL: the gradient's (frozen slices aside), before
 * clipping. The EMA is of frozen slices too, which others may write to. It
 * warms up: min(ema, (1 + n_steps) / (10 + n_steps)) of it are kept. */
SOSIE_MUST_CHECK enum sosie_status
sosie_optimiser_step(struct sosie_optimiser *optimiser, float *params,
                     const float *grads,
                     const struct sosie_slice_options *slices, size_t n_slices,
                     float rate, double *norm, struct sosie_error *err);

/* Linear from 0 over the first `warm_up` steps, then a cosine from `peak` down
 * to `last` at step n, and `last` from there on. Step 0 is the first: with a
 * warm-up its rate is 0. */
float sosie_rate_at(uint64_t step, uint64_t n, uint64_t warm_up, float peak,
                    float last);

#endif
