/* loss.c: the losses over logits. Their sums and exponentials are in double:
 * beside a network's pass they cost nothing, and the gradients are then as
 * exact as their floats can hold. */
#include "train/loss_private.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

double sosie_log_sum_exp(const float *z, size_t n, double scale)
{
    float most = -INFINITY;
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        if (z[j] > most)
            most = z[j];
    if (most == -INFINITY)
        most = 0; /* all take no part, or are NaN, which the sum will be */
    for (size_t j = 0; j < n; j++)
        sum += exp(scale * ((double)z[j] - (double)most));
    return scale * (double)most + log(sum);
}

/* ---- cross-entropy ------------------------------------------------------- */

static size_t count_labels(const int32_t *labels, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += labels[i] >= 0;
    return count;
}

/* True where an argmax that takes the first of equals would say `label`. */
static bool is_first_largest(const float *logits, size_t k, size_t label)
{
    for (size_t j = 0; j < label; j++)
        if (!(logits[label] > logits[j]))
            return false;
    for (size_t j = label + 1; j < k; j++)
        if (!(logits[label] >= logits[j]))
            return false;
    return true;
}

/* The loss of one row; adds `factor` times its gradient. */
static double row_cross_entropy(const float *logits, size_t k, size_t label,
                                double smoothing, double factor, float *grad)
{
    double log_sum = sosie_log_sum_exp(logits, k, 1);
    double all = 0;
    double share = smoothing / (double)k; /* of the target, on every label */

    for (size_t j = 0; j < k; j++) {
        double log_p = (double)logits[j] - log_sum;
        double target = share + (j == label ? 1 - smoothing : 0);
        all += log_p;
        grad[j] += (float)(factor * (exp(log_p) - target));
    }
    /* Not `share * all` where it is nothing: a logit of -infinity is allowed
     * then. */
    return (1 - smoothing) * (log_sum - (double)logits[label]) -
           (share > 0 ? share * all : 0);
}

double sosie_loss_cross_entropy(const float *logits, const int32_t *labels,
                                size_t n, size_t k, float smoothing,
                                float weight, float *grad, size_t *n_right)
{
    size_t n_labels = count_labels(labels, n), right = 0;
    double sum = 0;

    assert(smoothing >= 0 && smoothing <= 1);
    for (size_t i = 0; i < n; i++) {
        size_t label = (size_t)labels[i];
        if (labels[i] < 0)
            continue;
        assert(label < k);
        sum +=
            row_cross_entropy(logits + i * k, k, label, (double)smoothing,
                              (double)weight / (double)n_labels, grad + i * k);
        right += is_first_largest(logits + i * k, k, label);
    }
    if (n_right)
        *n_right = right;
    return n_labels ? sum / (double)n_labels : 0;
}

/* ---- distillation -------------------------------------------------------- */

/* The divergence of one row's softmax from the teacher's; adds `factor` times
 * the difference of the two. */
static double row_divergence(const float *logits, const float *teacher,
                             size_t k, double scale, double factor, float *grad)
{
    double log_sum = sosie_log_sum_exp(logits, k, scale);
    double teacher_log_sum = sosie_log_sum_exp(teacher, k, scale);
    double sum = 0;

    for (size_t j = 0; j < k; j++) {
        double log_p = scale * (double)logits[j] - log_sum;
        double log_q = scale * (double)teacher[j] - teacher_log_sum;
        double p = exp(log_p), q = exp(log_q);
        if (q != 0) /* 0 log 0 is 0 */
            sum += q * (log_q - log_p);
        grad[j] += (float)(factor * (p - q));
    }
    return sum;
}

double sosie_loss_distil(const float *logits, const float *teacher, size_t n,
                         size_t k, float temperature, float weight, float *grad)
{
    double t = (double)temperature, sum = 0;

    assert(temperature > 0);
    for (size_t i = 0; i < n; i++) /* t^2 for the loss, 1 / t for its slope */
        sum += row_divergence(logits + i * k, teacher + i * k, k, 1 / t,
                              (double)weight * t / (double)n, grad + i * k);
    return n ? t * t * sum / (double)n : 0;
}
