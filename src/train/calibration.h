/* calibration.h: honest probabilities of classes.
 *
 * Logits that are right most often may still be too sure, or not sure enough.
 * One number puts that right without a change in what comes first:
 * probabilities are softmax(logits / T), with the temperature T under which
 * photos that were not trained on are the likeliest (C. Guo et al., "On
 * calibration of modern neural networks", ICML 2017). Threads: any number. */
#ifndef SOSIE_TRAIN_CALIBRATION_H
#define SOSIE_TRAIN_CALIBRATION_H

#include <stddef.h>
#include <stdint.h>

/* Logits (n, k) of photos, and which of the k each should be. */
struct sosie_logits {
    size_t n, k;
    const float *values;
    const uint32_t *labels;
};

/* The share that is right by the largest logit; equal ones: the first. */
double sosie_logits_accuracy(const struct sosie_logits *logits);

/* -log of the right one's probability, in the mean. */
double sosie_logits_loss(const struct sosie_logits *logits, double temperature);

/* The temperature of the least loss, 0.01 .. 100; a little warmer, the fewer
 * photos there are to tell. */
double sosie_logits_temperature(const struct sosie_logits *logits);

/* The expected calibration error: by how much the largest probability and the
 * share that is right differ, in the mean over photos, in 15 equal bins of the
 * probability. */
double sosie_logits_calibration_error(const struct sosie_logits *logits,
                                      double temperature);

#endif
