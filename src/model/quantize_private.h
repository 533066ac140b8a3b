/* quantize_private.h: what the steps of quantisation hand to one another.
 *
 *   quantize.c            the steps in their order
 *   quantize_plan.c       which tensors are kept in 8 bits
 *   quantize_calibrate.c  what they hold, photo by photo
 *   quantize_equalise.c   channels brought to one range
 *   quantize_range.c      histogram -> scale and zero point
 *   quantize_insert.c     the graph with quantised weights and pairs */
#ifndef SOSIE_MODEL_QUANTIZE_PRIVATE_H
#define SOSIE_MODEL_QUANTIZE_PRIVATE_H

#include "model/input.h"
#include "model/onnx.h"
#include "model/quantize.h"

/* ---- plan ---------------------------------------------------------------- */

/* How a node is run. */
enum sosie_qrole {
    SOSIE_Q_FLOAT,   /* as it is */
    SOSIE_Q_WEIGHTS, /* convolution or matrix product with quantised weights */
    SOSIE_Q_FUSED,   /* a function of the result of such a node, or of a sum;
                        nothing is rounded between the two */
    SOSIE_Q_BYTES    /* its inputs are quantised; its result, too, if wanted */
};

struct sosie_qplan {
    const struct sosie_graph *graph;
    struct sosie_arena arena;
    enum sosie_qrole *roles; /* of each node */
    uint32_t *producer;      /* of each value: a node, or UINT32_MAX */
    uint32_t *n_uses;        /* of each value, by nodes and as output */
    bool *is_output;         /* of each value */
    bool *is_wanted;         /* of each value: somebody reads it in bytes */
    bool *is_quantised;      /* of each value: a pair stands behind it */
    /* Of each value: it is made by what may write bytes, so that all its
     * readers take it from behind the pair. */
    bool *is_bytes;
    sosie_value_id *group; /* of each value: values of a group share a scale */
    /* The quantised values, in order, and the place of each there. */
    sosie_value_id *values;
    uint32_t *place;
    size_t n_values;
};

/* `graph`, which has been simplified, is borrowed. REFUSED if there is nothing
 * to quantise. */
SOSIE_MUST_CHECK enum sosie_status
sosie_qplan_make(const struct sosie_graph *graph, struct sosie_qplan *plan,
                 struct sosie_error *err);
void sosie_qplan_release(struct sosie_qplan *plan);

/* The dimension of a tensor that its channels are in. */
size_t sosie_q_channel_axis(const struct sosie_shape *shape);

/* The dimension of a WEIGHTS node's weights that the channels of its result
 * are in. */
size_t sosie_q_weights_axis(const struct sosie_node *node);

/* ---- calibration --------------------------------------------------------- */

enum { SOSIE_Q_BINS = 4096 };

/* What a tensor held. */
struct sosie_qstats {
    size_t n_channels, inner; /* elements of a channel that stand together */
    float *lows, *highs;      /* of each channel, and 0 */
    float *means;             /* of each channel */
    float low, high;          /* of the histogram */
    uint64_t *bins;           /* SOSIE_Q_BINS; exact zeros are left out */
    uint64_t n_zeros;
};

/* Photos ready for the network. */
struct sosie_qphotos {
    const struct sosie_input *input;
    const uint8_t *const *rgb;
    size_t n;
};

/* Room for the statistics of the plan's values, in its arena. */
SOSIE_MUST_CHECK enum sosie_status
sosie_qstats_create(struct sosie_qplan *plan, struct sosie_qstats **stats,
                    struct sosie_error *err);

/* Runs the photos through the graph, which is as the plan's and is taken over,
 * and fills lows and highs; or, with `histograms`, bins and means: then low and
 * high must be there. */
SOSIE_MUST_CHECK enum sosie_status
sosie_qstats_collect(const struct sosie_qplan *plan, struct sosie_graph *graph,
                     const struct sosie_qphotos *photos, bool histograms,
                     const struct sosie_quantizer_options *options,
                     struct sosie_qstats *stats, struct sosie_error *err);

/* Empties bins and means, and sets low and high from those of the channels. */
void sosie_qstats_clear(struct sosie_qstats *stats);

/* ---- equalisation -------------------------------------------------------- */

/* Finds factors for the channels of the plan's tensors; lows and highs of the
 * statistics are then those after equalisation. factors[v] is for the channels
 * of value v of the graph, or NULL; in the plan's arena. */
SOSIE_MUST_CHECK enum sosie_status
sosie_q_equalise(struct sosie_qplan *plan, struct sosie_qstats *stats,
                 const float *const **factors, size_t *n_streams,
                 struct sosie_error *err);

/* Multiplies weights so that the values of the graph become what the factors
 * say, and its outputs stay as they are. */
SOSIE_MUST_CHECK enum sosie_status
sosie_q_apply_factors(struct sosie_graph *graph, const float *const *factors,
                      struct sosie_error *err);

/* ---- ranges -------------------------------------------------------------- */

struct sosie_qscale {
    float scale;
    int32_t zero; /* 0..255 */
};

/* The scale of tensors that share one: n statistics. */
struct sosie_qscale sosie_q_scale(const struct sosie_qstats *const *stats,
                                  size_t n, enum sosie_range_method method);

/* ---- the quantised graph ------------------------------------------------- */

/* Builds it in `out`, which borrows constants and names of the plan's graph.
 * scales: of the plan's values. */
SOSIE_MUST_CHECK enum sosie_status
sosie_q_insert(const struct sosie_qplan *plan, const struct sosie_qstats *stats,
               const struct sosie_qscale *scales, struct sosie_graph *out,
               struct sosie_error *err);

#endif
