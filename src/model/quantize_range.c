/* quantize_range.c: histogram -> scale and zero point.
 *
 * The 256 numbers span a range that holds 0, since zero must be exact (padding,
 * Relu). What lies outside is clipped to its ends; what lies inside is off by
 * up to half a step, step^2 / 12 in the mean of squares. */
#include "model/quantize_private.h"

#include <math.h>
#include <string.h>

/* Elements that PERCENTILE clips at either end. */
static const double CLIPPED = 1e-5;
/* A layer that is all but dead would have a scale so small that its biases,
 * counted in it, leave int32. */
#define LEAST_SCALE 1e-7F
/* MSE tries this many ends on either side of 0. */
enum { N_TRIALS = 128 };

const char *sosie_range_method_name(enum sosie_range_method method)
{
    static const char *const names[SOSIE_N_RANGE_METHODS] = {
        "mse", "percentile", "minmax"};
    return names[method];
}

/* Sums over the elements below the lower edge of each bin, and over all. */
struct sums {
    double low, width; /* of a bin */
    double n[SOSIE_Q_BINS + 1], x[SOSIE_Q_BINS + 1], squares[SOSIE_Q_BINS + 1];
    double n_zeros;
};

static double edge(const struct sums *sums, size_t bin)
{
    return sums->low + (double)bin * sums->width;
}

/* Tensors that share a scale are counted together. */
static void sum_up(const struct sosie_qstats *const *stats, size_t n, float low,
                   float high, struct sums *sums)
{
    uint64_t bins[SOSIE_Q_BINS] = {0};
    sums->low = (double)low;
    sums->width = ((double)high - (double)low) / (double)SOSIE_Q_BINS;
    sums->n_zeros = 0.0;
    for (size_t i = 0; i < n; i++) {
        double step = ((double)stats[i]->high - (double)stats[i]->low) /
                      (double)SOSIE_Q_BINS;
        sums->n_zeros += (double)stats[i]->n_zeros;
        for (size_t b = 0; b < SOSIE_Q_BINS; b++) {
            double x = (double)stats[i]->low + ((double)b + 0.5) * step;
            size_t to = (size_t)((x - sums->low) / sums->width);
            bins[to < SOSIE_Q_BINS ? to : SOSIE_Q_BINS - 1] +=
                stats[i]->bins[b];
        }
    }
    sums->n[0] = sums->x[0] = sums->squares[0] = 0.0;
    for (size_t b = 0; b < SOSIE_Q_BINS; b++) {
        double count = (double)bins[b], x = edge(sums, b) + sums->width / 2;
        sums->n[b + 1] = sums->n[b] + count;
        sums->x[b + 1] = sums->x[b] + count * x;
        sums->squares[b + 1] = sums->squares[b] + count * x * x;
    }
}

/* The squared error if the range is from the lower edge of bin `first` to that
 * of `last`. */
static double error_of(const struct sums *sums, size_t first, size_t last)
{
    double low = edge(sums, first), high = edge(sums, last);
    double step = (high - low) / 255.0;
    size_t end = SOSIE_Q_BINS;
    double below = sums->squares[first] - 2.0 * low * sums->x[first] +
                   low * low * sums->n[first];
    double above = sums->squares[end] - sums->squares[last] -
                   2.0 * high * (sums->x[end] - sums->x[last]) +
                   high * high * (sums->n[end] - sums->n[last]);
    return below + above +
           (sums->n[last] - sums->n[first]) * step * step / 12.0;
}

/* Of the bins, that whose lower edge is nearest to 0. */
static size_t zero_bin(const struct sums *sums)
{
    return (size_t)(0.5 - sums->low / sums->width);
}

static void least_squares(const struct sums *sums, double *low, double *high)
{
    size_t zero = zero_bin(sums), first = 0, last = SOSIE_Q_BINS;
    double least = error_of(sums, 0, SOSIE_Q_BINS);
    for (size_t i = 0; i < N_TRIALS; i++) {
        size_t from = zero * i / N_TRIALS;
        for (size_t k = 0; k < N_TRIALS; k++) {
            size_t to = SOSIE_Q_BINS - (SOSIE_Q_BINS - zero) * k / N_TRIALS;
            double error = error_of(sums, from, to);
            if (to > from && error < least) {
                least = error;
                first = from;
                last = to;
            }
            if (zero == SOSIE_Q_BINS)
                break;
        }
        if (!zero)
            break;
    }
    *low = edge(sums, first);
    *high = edge(sums, last);
}

static void percentile(const struct sums *sums, double *low, double *high)
{
    size_t zero = zero_bin(sums), first = 0, last = SOSIE_Q_BINS;
    double cut = CLIPPED * (sums->n[SOSIE_Q_BINS] + sums->n_zeros);
    while (first < zero && sums->n[first + 1] <= cut)
        first++;
    while (last > zero && sums->n[SOSIE_Q_BINS] - sums->n[last - 1] <= cut)
        last--;
    *low = edge(sums, first);
    *high = edge(sums, last);
}

/* A range without negative numbers ends at or below `high`: a Clip there then
 * has nothing left to do. */
static struct sosie_qscale scale_of(double low, double high)
{
    struct sosie_qscale made = {1.0F, 0};
    low = fmin(low, 0.0);
    high = fmax(high, 0.0);
    if (!(high - low >= 255.0 * 1e-30)) /* nothing but zeros */
        return made;
    if (high - low < 255.0 * LEAST_SCALE) {
        made.scale = LEAST_SCALE;
        made.zero = (int32_t)lrint(-low / (double)LEAST_SCALE);
        return made;
    }
    made.scale = (float)((high - low) / 255.0);
    while ((double)(made.scale * 255.0F) > high - low)
        made.scale = nextafterf(made.scale, 0.0F);
    made.zero = (int32_t)lrint(-low / (double)made.scale);
    made.zero = made.zero > 255 ? 255 : made.zero;
    return made;
}

struct sosie_qscale sosie_q_scale(const struct sosie_qstats *const *stats,
                                  size_t n, enum sosie_range_method method)
{
    float least = 0.0F, most = 0.0F;
    double low, high;
    struct sums sums;
    for (size_t i = 0; i < n; i++) {
        least = fminf(least, stats[i]->low);
        most = fmaxf(most, stats[i]->high);
    }
    low = (double)least;
    high = (double)most;
    if (method != SOSIE_RANGE_MINMAX && most - least > 1e-30F) {
        sum_up(stats, n, least, most, &sums);
        if (method == SOSIE_RANGE_MSE)
            least_squares(&sums, &low, &high);
        else
            percentile(&sums, &low, &high);
        low = fmax(low, (double)least);
        high = fmin(high, (double)most);
    }
    return scale_of(low, high);
}
