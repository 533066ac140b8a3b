/* loss.h: what training makes small, and its gradients.
 *
 * All tensors are dense floats, row-major; gradients are *added* to what their
 * memory holds. Each function returns the loss, the mean over what counts; with
 * nothing to count it is 0 and no gradient is added. `weight` multiplies the
 * gradient (not the loss returned). A label is a number below that of labels,
 * or -1: none. A NaN in what counts makes the loss and its gradient NaN, and is
 * no error here: the optimiser refuses it.
 *
 * Where embeddings are normalised, one that is nearly zero (shorter than 1e-12)
 * has a cosine of 0 with all others, and no gradient. Errors: NO_MEMORY alone,
 * with no gradient added then.
 *
 * Deterministic. Threads: any number, on different memory. */
#ifndef SOSIE_TRAIN_LOSS_H
#define SOSIE_TRAIN_LOSS_H

#include "sosie/error.h"

#include <stddef.h>
#include <stdint.h>

/* Cross-entropy of softmax(logits) (n, k) with labels (n, -1: none), smoothed:
 * the target is (1 - smoothing) on the label and smoothing / k on all (Szegedy
 * et al. 2016). *n_right, which may be NULL: labels that have the largest
 * logit, the first of equals. */
double sosie_loss_cross_entropy(const float *logits, const int32_t *labels,
                                size_t n, size_t k, float smoothing,
                                float weight, float *grad, size_t *n_right);

/* Distillation (Hinton et al. 2015): temperature^2 times the divergence of
 * softmax(logits / temperature) from the teacher's. (n, k) */
double sosie_loss_distil(const float *logits, const float *teacher, size_t n,
                         size_t k, float temperature, float weight,
                         float *grad);

/* Relational distillation: the mean squared difference between the cosines of
 * all n * (n - 1) / 2 pairs of the embeddings (n, dim) and those of the
 * teacher's (n, teacher_dim), whose own gradient is not taken. */
SOSIE_MUST_CHECK enum sosie_status
sosie_loss_relations(const float *x, const float *teacher, size_t n, size_t dim,
                     size_t teacher_dim, float weight, float *grad,
                     double *loss, struct sosie_error *err);

/* Supervised contrastive loss (Khosla et al. 2020, L_out): embeddings (n, dim)
 * of any length are normalised; those with equal identities (>= 0; -1: never a
 * positive) attract, all others repel, except pairs for which `exclude` (n
 * group numbers, -1: none; NULL: no groups) is equal and identities are not (or
 * are -1): they are left out of the denominator. The mean is over those that
 * have a positive. Needs n * n floats. */
SOSIE_MUST_CHECK enum sosie_status
sosie_loss_contrastive(const float *x, const int32_t *identities,
                       const int32_t *exclude, size_t n, size_t dim,
                       float temperature, float weight, float *grad,
                       double *loss, struct sosie_error *err);

/* Proxy-Anchor (Kim et al. 2020): n_proxies learned vectors (n_proxies, dim),
 * one a label; embeddings and proxies are normalised. An embedding without a
 * label is neither pulled nor pushed. alpha 32, margin 0.1 in the paper. */
SOSIE_MUST_CHECK enum sosie_status sosie_loss_proxy_anchor(
    const float *x, const float *proxies, const int32_t *labels, size_t n,
    size_t dim, size_t n_proxies, float alpha, float margin, float weight,
    float *grad, float *proxy_grad, double *loss, struct sosie_error *err);

/* ArcFace (Deng et al. 2019): cross-entropy over scale * cos(angle + margin of
 * the label's own), embeddings (n, dim) and centres (n_labels, dim) normalised.
 * Where angle + margin is past pi it is scale * (cos(angle) - margin *
 * sin(margin)), as in the authors' code. scale 64, margin 0.5 in the paper. */
SOSIE_MUST_CHECK enum sosie_status
sosie_loss_arcface(const float *x, const float *centres, const int32_t *labels,
                   size_t n, size_t dim, size_t n_labels, float scale,
                   float margin, float weight, float *grad, float *centre_grad,
                   double *loss, struct sosie_error *err);

#endif
