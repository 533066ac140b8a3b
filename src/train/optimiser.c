/* optimiser.c: SGD and AdamW, the average of their parameters, the schedule.
 *
 * A step reads the gradient once for its norm, which also tells whether it is
 * finite, and then everything once more. Its few operations cost less than the
 * memory that they pass over; so each slice is treated in strips that stay in
 * the innermost cache from the update of the parameters to that of their
 * average. */
#include "train/optimiser.h"

#include "base/size.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STRIP = 1024 }; /* floats; five arrays of them are 20 KB */

struct sosie_optimiser_options
sosie_optimiser_options_defaults(enum sosie_optimiser_kind kind)
{
    struct sosie_optimiser_options options = {.kind = kind,
                                              .momentum = 0.9F,
                                              .beta1 = 0.9F,
                                              .beta2 = 0.999F,
                                              .epsilon = 1e-8F,
                                              .weight_decay = 0.01F};
    if (kind == SOSIE_SGD)
        options.weight_decay = 1e-4F;
    return options;
}

/* ---- life ---------------------------------------------------------------- */

static enum sosie_status
check_options(const struct sosie_optimiser_options *options,
              struct sosie_error *err)
{
    const struct {
        const char *name;
        float value, end; /* 0 <= value < end */
    } ranges[] = {{"momentum", options->momentum, 1},
                  {"beta1", options->beta1, 1},
                  {"beta2", options->beta2, 1},
                  {"epsilon", options->epsilon, INFINITY},
                  {"weight decay", options->weight_decay, INFINITY},
                  {"clip norm", options->clip_norm, INFINITY},
                  {"ema", options->ema, 1}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (!(ranges[i].value >= 0 && ranges[i].value < ranges[i].end))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "%s is %g, expected at least 0 and below %g",
                              ranges[i].name, (double)ranges[i].value,
                              (double)ranges[i].end);
    if (options->kind == SOSIE_ADAMW && options->epsilon == 0)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "epsilon is 0, expected more than that for AdamW");
    return SOSIE_OK;
}

enum sosie_status
sosie_optimiser_init(struct sosie_optimiser *optimiser,
                     const struct sosie_optimiser_options *options,
                     const float *params, size_t n, struct sosie_error *err)
{
    struct sosie_optimiser made = {.options = *options, .n = n};
    bool has_second = options->kind == SOSIE_ADAMW;
    bool has_average = options->ema > 0;
    enum sosie_status st = check_options(options, err);
    size_t bytes;

    if (st)
        return st;
    if (!sosie_size_mul(n, sizeof(float), &bytes))
        return sosie_fail(err, SOSIE_NO_MEMORY, "an optimiser of %zu floats",
                          n);
    bytes += bytes == 0; /* NULL means none, also of nothing */
    made.first = calloc(1, bytes);
    if (has_second)
        made.second = calloc(1, bytes);
    if (has_average)
        made.average = calloc(1, bytes);
    if (!made.first || (has_second && !made.second) ||
        (has_average && !made.average)) {
        sosie_optimiser_release(&made);
        return sosie_fail(err, SOSIE_NO_MEMORY, "an optimiser of %zu floats",
                          n);
    }
    if (has_average && n)
        memcpy(made.average, params, n * sizeof(float));
    *optimiser = made;
    return SOSIE_OK;
}

void sosie_optimiser_release(struct sosie_optimiser *optimiser)
{
    free(optimiser->first);
    free(optimiser->second);
    free(optimiser->average);
    *optimiser = (struct sosie_optimiser){0};
}

/* ---- the gradient's norm ------------------------------------------------- */

/* In lanes, so that the compiler may do several at once. Squares of finite
 * floats, and any number of them, are finite in double. */
static double sum_of_squares(const float *x, size_t n)
{
    enum { LANES = 8 };
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sums[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++)
        sums[0] += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < LANES; j++)
        sum += sums[j];
    return sum;
}

/* Of the slices that are not frozen: what the others hold may be anything. */
static double gradient_norm(const float *grads,
                            const struct sosie_slice_options *slices,
                            size_t n_slices)
{
    double sum = 0;
    for (size_t s = 0; s < n_slices; s++)
        if (slices[s].rate != 0)
            sum += sum_of_squares(grads + slices[s].offset, slices[s].n);
    return sqrt(sum);
}

/* ---- one strip ----------------------------------------------------------- */

/* What is the same for all floats of a slice. */
struct factors {
    float scale; /* of the gradient */
    float keep;  /* of the parameter: 1 - rate * decay */
    float rate;
    float beta1, beta2;
    float correction; /* of the second moment's root */
    float epsilon;
};

static void sgd(const struct factors *f, size_t n, const float *restrict grad,
                float *restrict param, float *restrict first)
{
    for (size_t i = 0; i < n; i++) {
        first[i] = f->beta1 * first[i] + f->scale * grad[i];
        param[i] = f->keep * param[i] - f->rate * first[i];
    }
}

static void adamw(const struct factors *f, size_t n, const float *restrict grad,
                  float *restrict param, float *restrict first,
                  float *restrict second)
{
    for (size_t i = 0; i < n; i++) {
        float g = f->scale * grad[i];
        first[i] = f->beta1 * first[i] + (1 - f->beta1) * g;
        second[i] = f->beta2 * second[i] + (1 - f->beta2) * g * g;
        param[i] = f->keep * param[i] -
                   f->rate * first[i] /
                       (sqrtf(second[i]) * f->correction + f->epsilon);
    }
}

static void follow(float *restrict average, const float *restrict param,
                   size_t n, float share)
{
    for (size_t i = 0; i < n; i++)
        average[i] += share * (param[i] - average[i]);
}

/* ---- a step -------------------------------------------------------------- */

static struct factors factors_of(const struct sosie_optimiser *optimiser,
                                 const struct sosie_slice_options *slice,
                                 float step_rate, float scale)
{
    const struct sosie_optimiser_options *options = &optimiser->options;
    double rate = (double)step_rate * (double)slice->rate;
    double decay = slice->decays ? (double)options->weight_decay : 0;
    struct factors f = {.scale = scale,
                        .keep = (float)(1 - rate * decay),
                        .rate = (float)rate,
                        .beta1 = options->momentum};

    if (options->kind == SOSIE_ADAMW) {
        double step = (double)optimiser->n_steps + 1;
        f.beta1 = options->beta1;
        f.beta2 = options->beta2;
        f.epsilon = options->epsilon;
        f.rate = (float)(rate / (1 - pow((double)f.beta1, step)));
        f.correction = (float)(1 / sqrt(1 - pow((double)f.beta2, step)));
    }
    return f;
}

/* `share` of the parameters goes into the average. */
static void step_slice(struct sosie_optimiser *optimiser, float *params,
                       const float *grads,
                       const struct sosie_slice_options *slice,
                       const struct factors *f, float share)
{
    size_t end = slice->offset + slice->n;
    for (size_t i = slice->offset; i < end; i += STRIP) {
        size_t n = end - i < STRIP ? end - i : STRIP;
        float *first = optimiser->first + i;
        if (slice->rate != 0 && optimiser->second)
            adamw(f, n, grads + i, params + i, first, optimiser->second + i);
        else if (slice->rate != 0)
            sgd(f, n, grads + i, params + i, first);
        if (optimiser->average)
            follow(optimiser->average + i, params + i, n, share);
    }
}

enum sosie_status sosie_optimiser_step(struct sosie_optimiser *optimiser,
                                       float *params, const float *grads,
                                       const struct sosie_slice_options *slices,
                                       size_t n_slices, float rate,
                                       double *norm, struct sosie_error *err)
{
    const struct sosie_optimiser_options *options = &optimiser->options;
    double done = (double)optimiser->n_steps;
    double ema = fmin((double)options->ema, (1 + done) / (10 + done));
    double length = gradient_norm(grads, slices, n_slices);
    float scale = 1;

    assert(isfinite(rate) && rate >= 0);
    if (!isfinite(length))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the gradient is not finite at step %llu",
                          (unsigned long long)optimiser->n_steps);
    if (options->clip_norm > 0 && length > (double)options->clip_norm)
        scale = (float)((double)options->clip_norm / length);
    for (size_t s = 0; s < n_slices; s++) {
        struct factors f = factors_of(optimiser, &slices[s], rate, scale);
        assert(slices[s].offset <= optimiser->n &&
               slices[s].n <= optimiser->n - slices[s].offset);
        step_slice(optimiser, params, grads, &slices[s], &f, (float)(1 - ema));
    }
    optimiser->n_steps++;
    if (norm)
        *norm = length;
    return SOSIE_OK;
}

/* ---- the schedule -------------------------------------------------------- */

float sosie_rate_at(uint64_t step, uint64_t n, uint64_t warm_up, float peak,
                    float last)
{
    static const double pi = 3.14159265358979323846;
    double done;

    if (step >= n)
        return last;
    if (step < warm_up)
        return (float)((double)peak * (double)step / (double)warm_up);
    done = (double)(step - warm_up) / (double)(n - warm_up);
    return (float)((double)last +
                   ((double)peak - (double)last) * (1 + cos(pi * done)) / 2);
}
