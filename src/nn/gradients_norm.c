/* gradients_norm.c: batch normalisation as it is trained, and backward through
 * all normalisations.
 *
 * Means and variances are computed again from the input, as forward did: they
 * are few sums, and nothing has to be kept for them. */
#include "nn/gradients_impl.h"
#include "nn/walk.h"

#include <math.h>
#include <string.h>

struct moments {
    double mean, variance;
    double factor; /* 1 / sqrt(variance + epsilon) */
};

/* ---- BatchNormalization -------------------------------------------------- */

/* S. Ioffe and C. Szegedy, "Batch Normalization" (2015), algorithm 1. A channel
 * is `n` photos' planes of `inner` elements, `step` apart. */
struct channel {
    size_t first, n, inner, step;
};

static struct channel channel_of(const struct sosie_shape *shape, size_t c)
{
    size_t inner = sosie_shape_product(shape, 2, shape->rank);
    return (struct channel){c * inner, shape->dims[0], inner,
                            shape->dims[1] * inner};
}

static struct moments batch_moments(const struct channel *channel,
                                    const float *x, float epsilon)
{
    double count = (double)(channel->n * channel->inner), sum = 0.0;
    struct moments moments;
    for (size_t i = 0; i < channel->n; i++)
        for (size_t k = 0; k < channel->inner; k++)
            sum += (double)x[channel->first + i * channel->step + k];
    moments.mean = sum / count;
    sum = 0.0;
    for (size_t i = 0; i < channel->n; i++)
        for (size_t k = 0; k < channel->inner; k++) {
            double v = (double)x[channel->first + i * channel->step + k] -
                       moments.mean;
            sum += v * v;
        }
    moments.variance = sum / count;
    moments.factor = 1.0 / sqrt(moments.variance + (double)epsilon);
    return moments;
}

void sosie_forward_batch_norm(const struct sosie_gradient_call *call)
{
    const float *x = call->inputs[SOSIE_BN_X];
    for (size_t c = 0; c < call->out_shape.dims[1]; c++) {
        struct channel ch = channel_of(&call->out_shape, c);
        struct moments moments = batch_moments(&ch, x, call->node->epsilon);
        double scale = (double)call->inputs[SOSIE_BN_SCALE][c];
        double shift = (double)call->inputs[SOSIE_BN_SHIFT][c];
        for (size_t i = 0; i < ch.n; i++)
            for (size_t k = ch.first + i * ch.step, n = 0; n < ch.inner;
                 n++, k++)
                call->output[k] = (float)(((double)x[k] - moments.mean) *
                                              moments.factor * scale +
                                          shift);
    }
}

static void put(const struct sosie_gradient_call *call, size_t input, size_t c,
                double value)
{
    if (call->input_grads[input])
        call->input_grads[input][c] = (float)value;
}

/* With z the normalised x, G the gradient of the output and means over the
 * channel: dL/dx = scale * factor * (G - mean(G) - z * mean(G z)). */
static void batch_norm_channel(const struct sosie_gradient_call *call, size_t c)
{
    const float *x = call->inputs[SOSIE_BN_X], *grad = call->output_grad;
    float *to = call->input_grads[SOSIE_BN_X];
    struct channel ch = channel_of(&call->out_shape, c);
    struct moments moments = batch_moments(&ch, x, call->node->epsilon);
    double scale = (double)call->inputs[SOSIE_BN_SCALE][c];
    double count = (double)(ch.n * ch.inner), sum = 0.0, sum_z = 0.0;

    for (size_t i = 0; i < ch.n; i++)
        for (size_t k = ch.first + i * ch.step, n = 0; n < ch.inner; n++, k++) {
            sum += (double)grad[k];
            sum_z += (double)grad[k] * ((double)x[k] - moments.mean) *
                     moments.factor;
        }
    for (size_t i = 0; to && i < ch.n; i++)
        for (size_t k = ch.first + i * ch.step, n = 0; n < ch.inner; n++, k++) {
            double z = ((double)x[k] - moments.mean) * moments.factor;
            to[k] =
                (float)(scale * moments.factor *
                        ((double)grad[k] - sum / count - z * sum_z / count));
        }
    put(call, SOSIE_BN_SCALE, c, sum_z);
    put(call, SOSIE_BN_SHIFT, c, sum);
    put(call, SOSIE_BN_MEAN, c, moments.mean);
    put(call, SOSIE_BN_VARIANCE, c, moments.variance);
}

void sosie_backward_batch_norm(const struct sosie_gradient_call *call)
{
    for (size_t c = 0; c < call->out_shape.dims[1]; c++)
        batch_norm_channel(call, c);
}

/* ---- LayerNormalization -------------------------------------------------- */

/* Sums for parameters are held in double for this many at a time. */
enum { BLOCK = 256 };

/* What is normalised: `rows` times the dimensions from the axis on. */
struct layer {
    size_t rows, n;
    struct sosie_shape tail;
};

static struct layer layer_of(const struct sosie_gradient_call *call)
{
    const struct sosie_shape *shape = &call->out_shape;
    size_t axis = (size_t)call->node->layer_norm.axis;
    struct layer layer = {.rows = sosie_shape_product(shape, 0, axis),
                          .n = sosie_shape_product(shape, axis, shape->rank),
                          .tail = {.rank = shape->rank - axis}};
    memcpy(layer.tail.dims, shape->dims + axis,
           layer.tail.rank * sizeof(*shape->dims));
    return layer;
}

static struct moments row_moments(const float *x, size_t n, float epsilon)
{
    return batch_moments(&(struct channel){0, 1, n, n}, x, epsilon);
}

/* Through one row; tensor 0 is the parameter `input`. */
static struct sosie_walk walk_parameter(const struct sosie_gradient_call *call,
                                        const struct layer *layer, size_t input)
{
    struct sosie_walk walk = sosie_walk_begin(&layer->tail);
    if (input < call->node->n_inputs && call->inputs[input])
        sosie_walk_broadcast(&walk, 0, &call->in_shapes[input]);
    return walk;
}

/* As in a channel of batch normalisation, over a row, but the scale belongs to
 * the elements, and so into the means. */
static void layer_norm_row(const struct sosie_gradient_call *call,
                           const struct layer *layer, size_t row)
{
    const float *x = call->inputs[SOSIE_LN_X] + row * layer->n;
    const float *grad = call->output_grad + row * layer->n;
    const float one = 1.0F, *scale = &one;
    float *to = call->input_grads[SOSIE_LN_X] + row * layer->n;
    struct moments moments =
        row_moments(x, layer->n, call->node->layer_norm.epsilon);
    struct sosie_walk walk = walk_parameter(call, layer, SOSIE_LN_SCALE);
    double sum = 0.0, sum_z = 0.0, n = (double)layer->n;

    if (call->node->n_inputs > SOSIE_LN_SCALE && call->inputs[SOSIE_LN_SCALE])
        scale = call->inputs[SOSIE_LN_SCALE];
    for (size_t k = 0; k < layer->n; k++, sosie_walk_next(&walk)) {
        double g = (double)grad[k] * (double)scale[walk.offsets[0]];
        sum += g;
        sum_z += g * ((double)x[k] - moments.mean) * moments.factor;
    }
    for (size_t k = 0; k < layer->n; k++, sosie_walk_next(&walk)) {
        double g = (double)grad[k] * (double)scale[walk.offsets[0]];
        double z = ((double)x[k] - moments.mean) * moments.factor;
        to[k] = (float)(moments.factor * (g - sum / n - z * sum_z / n));
    }
}

/* Scale (each element's share: G z) or shift (G), summed over the rows and over
 * what the parameter is repeated for. */
static void layer_norm_parameter(const struct sosie_gradient_call *call,
                                 const struct layer *layer, size_t input)
{
    size_t count = sosie_shape_count(&call->in_shapes[input]);
    double sums[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t n = count - first < BLOCK ? count - first : BLOCK;
        memset(sums, 0, sizeof(sums));
        for (size_t row = 0; row < layer->rows; row++) {
            const float *x = call->inputs[SOSIE_LN_X] + row * layer->n;
            const float *grad = call->output_grad + row * layer->n;
            struct moments moments =
                row_moments(x, layer->n, call->node->layer_norm.epsilon);
            struct sosie_walk walk = walk_parameter(call, layer, input);
            for (size_t k = 0; k < layer->n; k++, sosie_walk_next(&walk)) {
                double z = ((double)x[k] - moments.mean) * moments.factor;
                size_t at = walk.offsets[0] - first; /* wraps before it */
                if (at < n)
                    sums[at] +=
                        (double)grad[k] * (input == SOSIE_LN_SCALE ? z : 1.0);
            }
        }
        for (size_t i = 0; i < n; i++)
            call->input_grads[input][first + i] = (float)sums[i];
    }
}

void sosie_backward_layer_norm(const struct sosie_gradient_call *call)
{
    struct layer layer = layer_of(call);
    for (size_t row = 0; call->input_grads[SOSIE_LN_X] && row < layer.rows;
         row++)
        layer_norm_row(call, &layer, row);
    for (size_t k = SOSIE_LN_SCALE; k < call->node->n_inputs; k++)
        if (call->inputs[k] && call->input_grads[k])
            layer_norm_parameter(call, &layer, k);
}

/* ---- LpNormalization and Softmax ----------------------------------------- */

/* y = x / |x|, so dL/dx = (G - dy sum(G y)) / |x|, with dy the derivative of
 * the norm: y for the length (p = 2), the sign for the sum of magnitudes. A
 * vector of zeros stays one, whatever its neighbours become. */
static void lp_norm_vector(const float *x, const float *grad, size_t n,
                           size_t step, int p, float *to)
{
    double norm = 0.0, sum = 0.0;
    for (size_t k = 0; k < n * step; k += step)
        norm += p == 2 ? (double)x[k] * (double)x[k] : fabs((double)x[k]);
    if (p == 2)
        norm = sqrt(norm);
    for (size_t k = 0; k < n * step; k += step)
        sum += norm > 0.0 ? (double)grad[k] * (double)x[k] / norm : 0.0;
    for (size_t k = 0; k < n * step; k += step) {
        double y = norm > 0.0 ? (double)x[k] / norm : 0.0;
        double slope = p == 2 ? y : (double)((y > 0.0) - (y < 0.0));
        to[k] =
            norm > 0.0 ? (float)(((double)grad[k] - slope * sum) / norm) : 0.0F;
    }
}

void sosie_backward_lp_norm(const struct sosie_gradient_call *call)
{
    const struct sosie_lp_norm *norm = &call->node->lp_norm;
    const struct sosie_shape *shape = &call->out_shape;
    size_t axis = (size_t)norm->axis, n = shape->dims[axis];
    size_t inner = sosie_shape_product(shape, axis + 1, shape->rank);
    size_t vectors = sosie_shape_count(shape) / n;
    for (size_t i = 0; call->input_grads[0] && i < vectors; i++) {
        size_t first = i / inner * n * inner + i % inner;
        lp_norm_vector(call->inputs[0] + first, call->output_grad + first, n,
                       inner, norm->p, call->input_grads[0] + first);
    }
}

/* dL/dx = y (G - sum(G y)) */
void sosie_backward_softmax(const struct sosie_gradient_call *call)
{
    struct sosie_softmax_sizes s =
        sosie_softmax_sizes(&call->node->softmax, &call->out_shape);
    for (size_t i = 0; call->input_grads[0] && i < s.outer * s.inner; i++) {
        size_t first = i / s.inner * s.length * s.inner + i % s.inner;
        const float *y = call->output + first;
        const float *grad = call->output_grad + first;
        float *to = call->input_grads[0] + first;
        double sum = 0.0;
        for (size_t k = 0; k < s.length * s.inner; k += s.inner)
            sum += (double)grad[k] * (double)y[k];
        for (size_t k = 0; k < s.length * s.inner; k += s.inner)
            to[k] = (float)((double)y[k] * ((double)grad[k] - sum));
    }
}
