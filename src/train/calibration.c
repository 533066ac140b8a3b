/* calibration.c: sums over photos. */
#include "train/calibration.h"

#include <math.h>

enum { BINS = 15, HALVINGS = 40 };
static const double COLDEST = 0.01, HOTTEST = 100;

static size_t largest(const float *logits, size_t k)
{
    size_t best = 0;
    for (size_t c = 1; c < k; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

/* The sum of exp(beta * (logits - the largest of them)); its derivative by beta
 * in *slope. */
static double sum_exp(const float *logits, size_t k, double beta, double *slope)
{
    double most = (double)logits[largest(logits, k)], sum = 0;
    *slope = 0;
    for (size_t c = 0; c < k; c++) {
        double below = (double)logits[c] - most, e = exp(beta * below);
        sum += e;
        *slope += below * e;
    }
    return sum;
}

double sosie_logits_accuracy(const struct sosie_logits *logits)
{
    size_t right = 0;
    for (size_t i = 0; i < logits->n; i++)
        right += largest(logits->values + i * logits->k, logits->k) ==
                 logits->labels[i];
    return logits->n ? (double)right / (double)logits->n : 0;
}

double sosie_logits_loss(const struct sosie_logits *logits, double temperature)
{
    double loss = 0, slope;
    for (size_t i = 0; i < logits->n; i++) {
        const float *z = logits->values + i * logits->k;
        double below =
            (double)z[logits->labels[i]] - (double)z[largest(z, logits->k)];
        loss += log(sum_exp(z, logits->k, 1 / temperature, &slope)) -
                below / temperature;
    }
    return logits->n ? loss / (double)logits->n : 0;
}

static double mean(const float *logits, size_t k)
{
    double sum = 0;
    for (size_t c = 0; c < k; c++)
        sum += (double)logits[c];
    return sum / (double)k;
}

/* The derivative of the loss by beta = 1 / temperature, which never falls. Of
 * each photo, a share of 1 / (n + 2) is taken to be any class: else, where all
 * are right, nothing would be too sure (J. Platt, "Probabilistic outputs for
 * support vector machines", 1999). */
static double slope_of(const struct sosie_logits *logits, double beta)
{
    double sum = 0, any = 1 / ((double)logits->n + 2);
    for (size_t i = 0; i < logits->n; i++) {
        const float *z = logits->values + i * logits->k;
        double slope, all = sum_exp(z, logits->k, beta, &slope);
        double most = (double)z[largest(z, logits->k)];
        double wanted =
            (1 - any) * (double)z[logits->labels[i]] + any * mean(z, logits->k);
        sum += slope / all - (wanted - most);
    }
    return sum;
}

/* The loss is convex in beta: its slope's zero, by bisection of log beta. */
double sosie_logits_temperature(const struct sosie_logits *logits)
{
    double low = log(1 / HOTTEST), high = log(1 / COLDEST);
    for (size_t i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (slope_of(logits, exp(middle)) < 0)
            low = middle;
        else
            high = middle;
    }
    return exp(-(low + high) / 2);
}

double sosie_logits_calibration_error(const struct sosie_logits *logits,
                                      double temperature)
{
    double sure[BINS] = {0}, right[BINS] = {0}, error = 0;
    for (size_t i = 0; i < logits->n; i++) {
        const float *z = logits->values + i * logits->k;
        double slope;
        double p = 1 / sum_exp(z, logits->k, 1 / temperature, &slope);
        size_t bin = p < 1 ? (size_t)(p * (double)BINS) : BINS - 1;
        sure[bin] += p;
        right[bin] += largest(z, logits->k) == logits->labels[i];
    }
    for (size_t b = 0; b < BINS; b++)
        error += fabs(sure[b] - right[b]);
    return logits->n ? error / (double)logits->n : 0;
}
