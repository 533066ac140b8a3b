/* logistic.h: multinomial logistic regression: vectors -> logits of classes.
 *
 * Minimises, over weights w_c and biases b_c, the mean of
 * -log softmax(w x + b)[label] plus decay / 2 * (the squares of all w). It is
 * convex: where it starts decides how long it takes, not what comes out. By
 * L-BFGS (J. Nocedal and S. Wright, Numerical Optimization, 2nd ed., algorithm
 * 7.5). Deterministic, also in the number of threads. */
#ifndef SOSIE_TRAIN_LOGISTIC_H
#define SOSIE_TRAIN_LOGISTIC_H

#include "base/pool.h"
#include "sosie/error.h"

#include <stddef.h>
#include <stdint.h>

struct sosie_logistic {
    size_t n, dim, n_classes;
    const float *x;         /* (n, dim) */
    const uint32_t *labels; /* (n) below n_classes */
    double decay;
    struct sosie_pool *pool; /* that has nothing else to do */
    /* Asked now and then; false: stop, CANCELLED. May be NULL. */
    bool (*go_on)(void *context);
    void *context;
};

/* weights: (n_classes, dim + 1), the bias last: where it starts, and what comes
 * out. Errors: NO_MEMORY, CANCELLED. */
SOSIE_MUST_CHECK enum sosie_status
sosie_logistic_fit(const struct sosie_logistic *problem, float *weights,
                   struct sosie_error *err);

/* What is minimised, and its gradient (n_classes, dim + 1). NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_logistic_loss(const struct sosie_logistic *problem, const float *weights,
                    double *loss, float *gradient, struct sosie_error *err);

/* logits: (n, n_classes) of n vectors x. */
void sosie_logistic_logits(const float *x, size_t n, size_t dim,
                           const float *weights, size_t n_classes,
                           float *logits);

#endif
