/* loss_private.h: what the losses' files share. */
#ifndef SOSIE_TRAIN_LOSS_PRIVATE_H
#define SOSIE_TRAIN_LOSS_PRIVATE_H

#include "train/loss.h"

/* The logarithm of the sum of exp(scale * z[j]), safe for any finite z; scale >
 * 0. A z of -INFINITY takes no part; nothing that does: -INFINITY. */
double sosie_log_sum_exp(const float *z, size_t n, double scale);

#endif
