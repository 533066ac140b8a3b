/* quantize_calibrate.c: what the tensors of a network hold, photo by photo.
 *
 * The graph is run in float32 with the tensors as its outputs. The first time
 * the range of every channel is found; the second time, when the range of the
 * whole tensor is known, histograms are filled. */
#include "model/quantize_private.h"

#include "base/size.h"
#include "nn/net.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum sosie_status init_one(struct sosie_arena *arena,
                                  const struct sosie_shape *shape,
                                  struct sosie_qstats *stats,
                                  struct sosie_error *err)
{
    size_t axis = sosie_q_channel_axis(shape);
    stats->n_channels = shape->dims[axis];
    stats->inner = sosie_shape_product(shape, axis + 1, shape->rank);
    stats->lows = sosie_arena_alloc(arena, stats->n_channels, sizeof(float));
    stats->highs = sosie_arena_alloc(arena, stats->n_channels, sizeof(float));
    stats->means = sosie_arena_alloc(arena, stats->n_channels, sizeof(float));
    stats->bins = sosie_arena_alloc(arena, SOSIE_Q_BINS, sizeof(uint64_t));
    return stats->lows && stats->highs && stats->means && stats->bins
               ? SOSIE_OK
               : sosie_fail(err, SOSIE_NO_MEMORY, "histograms");
}

enum sosie_status sosie_qstats_create(struct sosie_qplan *plan,
                                      struct sosie_qstats **stats,
                                      struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    *stats = sosie_arena_alloc(&plan->arena, plan->n_values, sizeof(**stats));
    if (!*stats)
        return sosie_fail(err, SOSIE_NO_MEMORY, "histograms");
    for (size_t i = 0; i < plan->n_values && !st; i++)
        st = init_one(&plan->arena, &plan->graph->values[plan->values[i]].shape,
                      &(*stats)[i], err);
    return st;
}

void sosie_qstats_clear(struct sosie_qstats *stats)
{
    stats->low = stats->high = 0.0F;
    stats->n_zeros = 0;
    memset(stats->bins, 0, SOSIE_Q_BINS * sizeof(*stats->bins));
    for (size_t c = 0; c < stats->n_channels; c++) {
        stats->means[c] = 0.0F;
        stats->low = fminf(stats->low, stats->lows[c]);
        stats->high = fmaxf(stats->high, stats->highs[c]);
    }
}

/* ---- one tensor ---------------------------------------------------------- */

static void widen(struct sosie_qstats *stats, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += stats->inner) {
        size_t c = i / stats->inner % stats->n_channels;
        float low = stats->lows[c], high = stats->highs[c];
        for (size_t k = i; k < i + stats->inner; k++) {
            low = x[k] < low ? x[k] : low;
            high = x[k] > high ? x[k] : high;
        }
        stats->lows[c] = low;
        stats->highs[c] = high;
    }
}

/* `share`: what one element adds to the mean of its channel. */
static void count(struct sosie_qstats *stats, const float *x, size_t n,
                  double share)
{
    float width = stats->high - stats->low;
    float per_bin = width > 1e-30F ? (float)SOSIE_Q_BINS / width : 0.0F;
    for (size_t i = 0; i < n; i += stats->inner) {
        size_t c = i / stats->inner % stats->n_channels;
        double sum = 0.0;
        for (size_t k = i; k < i + stats->inner; k++) {
            float at = (x[k] - stats->low) * per_bin;
            int bin = (int)(at > 0.0F ? at : 0.0F);
            sum += (double)x[k];
            if (x[k] < 0.0F || x[k] > 0.0F)
                stats->bins[bin < SOSIE_Q_BINS ? bin : SOSIE_Q_BINS - 1]++;
            else
                stats->n_zeros++;
        }
        stats->means[c] += (float)(sum * share);
    }
}

/* A sum of infinities and numbers that are none would be no range. */
static enum sosie_status check_finite(const struct sosie_qplan *plan, size_t i,
                                      const float *x, size_t n,
                                      struct sosie_error *err)
{
    float sum = 0.0F;
    for (size_t k = 0; k < n; k++)
        sum += x[k] * 0.0F;
    if (isfinite(sum))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "tensor '%.80s' holds infinities or NaNs in float32",
                      plan->graph->values[plan->values[i]].name);
}

static enum sosie_status take(const struct sosie_qplan *plan, size_t i,
                              const float *x,
                              const struct sosie_qphotos *photos,
                              bool histograms, struct sosie_qstats *stats,
                              struct sosie_error *err)
{
    size_t n = sosie_shape_count(&plan->graph->values[plan->values[i]].shape);
    double per_channel = (double)n / (double)stats->n_channels;
    enum sosie_status st = check_finite(plan, i, x, n, err);
    if (st)
        return st;
    if (histograms)
        count(stats, x, n, 1.0 / (per_channel * (double)photos->n));
    else
        widen(stats, x, n);
    return SOSIE_OK;
}

/* ---- all tensors --------------------------------------------------------- */

struct calibration {
    const struct sosie_qplan *plan;
    struct sosie_net *net;
    struct sosie_net_run *run;
    struct sosie_input input; /* with the strides of the net */
    struct sosie_input dense;
    float *x; /* the input, dense */
};

static enum sosie_status start(struct calibration *c, struct sosie_graph *graph,
                               const struct sosie_input *input,
                               struct sosie_error *err)
{
    const struct sosie_net_options net_options = {
        .ops = &sosie_ops_onednn, .precision = SOSIE_PRECISION_F32};
    const struct sosie_shape *shape = &graph->values[graph->inputs[0]].shape;
    size_t strides[SOSIE_MAX_RANK], n = sosie_shape_count(shape);
    enum sosie_status st;

    c->input = c->dense = *input;
    for (size_t d = 0; d < shape->rank; d++)
        strides[d] = sosie_shape_product(shape, d + 1, shape->rank);
    sosie_input_set_strides(&c->dense, strides);
    c->x = calloc(n, sizeof(float));
    if (!c->x)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network's input");
    graph->n_outputs = 0;
    for (size_t i = 0; i < c->plan->n_values; i++)
        graph->outputs[graph->n_outputs++] = c->plan->values[i];
    st = sosie_net_create(graph, &net_options, &c->net, err);
    if (st)
        return st;
    sosie_net_input_strides(c->net, 0, strides);
    sosie_input_set_strides(&c->input, strides);
    return sosie_net_run_create(c->net, &c->run, err);
}

static void finish(struct calibration *c)
{
    sosie_net_run_destroy(c->run);
    sosie_net_destroy(c->net);
    free(c->x);
}

/* One photo. The input is looked at before the pass, which may overwrite it. */
static enum sosie_status run_photo(struct calibration *c, const uint8_t *rgb,
                                   const struct sosie_qphotos *photos,
                                   bool histograms, struct sosie_qstats *stats,
                                   struct sosie_error *err)
{
    const struct sosie_qplan *plan = c->plan;
    enum sosie_status st;
    sosie_input_fill(&c->dense, rgb, c->x);
    sosie_input_fill(&c->input, rgb, sosie_net_run_input(c->run, 0));
    st = sosie_net_run_forward(c->run, UINT_MAX, err);
    for (size_t i = 0; i < plan->n_values && !st; i++) {
        bool is_input = plan->values[i] == plan->graph->inputs[0];
        st = take(plan, i, is_input ? c->x : sosie_net_run_output(c->run, i),
                  photos, histograms, &stats[i], err);
    }
    return st;
}

enum sosie_status
sosie_qstats_collect(const struct sosie_qplan *plan, struct sosie_graph *graph,
                     const struct sosie_qphotos *photos, bool histograms,
                     const struct sosie_quantizer_options *options,
                     struct sosie_qstats *stats, struct sosie_error *err)
{
    struct calibration calibration = {.plan = plan};
    enum sosie_status st = start(&calibration, graph, photos->input, err);
    for (size_t i = 0; i < photos->n && !st; i++) {
        if (options->progress &&
            !options->progress(options->context, i, photos->n)) {
            st = sosie_fail(err, SOSIE_CANCELLED, "stopped while calibrating");
            break;
        }
        st = run_photo(&calibration, photos->rgb[i], photos, histograms, stats,
                       err);
    }
    finish(&calibration);
    return st;
}
