/* gradients_window.c: backward through what slides over height and width.
 *
 * Along each axis, output `out` reads input `in` under tap k of the kernel if
 * in + pad = out * stride + k * dilation. Everything here is written as the sum
 * that one element of a gradient is, so that it can be held in a double. */
#include "nn/gradients_impl.h"

/* The input that an output reads under a tap; false if that is padding. */
static bool tap_input(const struct sosie_window *w, size_t axis, size_t out,
                      size_t tap, size_t n_in, size_t *in)
{
    size_t at = out * w->strides[axis] + tap * w->dilations[axis];
    *in = at - w->pads[axis];
    return at >= w->pads[axis] && *in < n_in;
}

/* The output that reads an input under a tap; false if none does. */
static bool tap_output(const struct sosie_window *w, size_t axis, size_t in,
                       size_t tap, size_t n_out, size_t *out)
{
    size_t at = in + w->pads[axis], shift = tap * w->dilations[axis];
    *out = (at - shift) / w->strides[axis];
    return at >= shift && (at - shift) % w->strides[axis] == 0 && *out < n_out;
}

/* ---- Conv ---------------------------------------------------------------- */

/* By element `at` (photo, channel, y, x) of the input: over the taps, and the
 * filters of the channel's group. */
static double conv_by_input(const struct sosie_gradient_call *call,
                            const size_t at[4])
{
    const struct sosie_conv *conv = &call->node->conv;
    const size_t *ws = call->in_shapes[SOSIE_CONV_W].dims;
    const size_t *ys = call->out_shape.dims;
    size_t filters = ws[0] / conv->group, first = at[1] / ws[1] * filters;
    size_t taps = ws[2] * ws[3], plane = ys[2] * ys[3];
    const float *w =
        call->inputs[SOSIE_CONV_W] + (first * ws[1] + at[1] % ws[1]) * taps;
    const float *grad = call->output_grad + (at[0] * ys[1] + first) * plane;
    double sum = 0.0;

    for (size_t ky = 0, y = 0; ky < ws[2]; ky++) {
        if (!tap_output(&conv->window, 0, at[2], ky, ys[2], &y))
            continue;
        for (size_t kx = 0, x = 0; kx < ws[3]; kx++) {
            if (!tap_output(&conv->window, 1, at[3], kx, ys[3], &x))
                continue;
            for (size_t m = 0; m < filters; m++)
                sum += (double)w[m * ws[1] * taps + ky * ws[3] + kx] *
                       (double)grad[m * plane + y * ys[3] + x];
        }
    }
    return sum;
}

/* By element `at` (filter, channel of its group, ky, kx) of the weights: over
 * all photos and places. */
static double conv_by_weight(const struct sosie_gradient_call *call,
                             const size_t at[4])
{
    const struct sosie_conv *conv = &call->node->conv;
    const size_t *xs = call->in_shapes[SOSIE_CONV_X].dims;
    const size_t *ws = call->in_shapes[SOSIE_CONV_W].dims;
    const size_t *ys = call->out_shape.dims;
    size_t channel = at[0] / (ws[0] / conv->group) * ws[1] + at[1];
    double sum = 0.0;

    for (size_t n = 0; n < ys[0]; n++) {
        const float *in =
            call->inputs[SOSIE_CONV_X] + (n * xs[1] + channel) * xs[2] * xs[3];
        const float *grad =
            call->output_grad + (n * ys[1] + at[0]) * ys[2] * ys[3];
        for (size_t oy = 0, y = 0; oy < ys[2]; oy++) {
            if (!tap_input(&conv->window, 0, oy, at[2], xs[2], &y))
                continue;
            for (size_t ox = 0, x = 0; ox < ys[3]; ox++)
                if (tap_input(&conv->window, 1, ox, at[3], xs[3], &x))
                    sum += (double)grad[oy * ys[3] + ox] *
                           (double)in[y * xs[3] + x];
        }
    }
    return sum;
}

static double conv_by_bias(const struct sosie_gradient_call *call,
                           size_t filter)
{
    const size_t *ys = call->out_shape.dims;
    size_t plane = ys[2] * ys[3];
    double sum = 0.0;
    for (size_t n = 0; n < ys[0]; n++)
        for (size_t i = 0; i < plane; i++)
            sum += (double)call->output_grad[(n * ys[1] + filter) * plane + i];
    return sum;
}

/* Writes a gradient of four dimensions, element by element. */
static void write_all(const struct sosie_gradient_call *call, size_t input,
                      double (*by)(const struct sosie_gradient_call *call,
                                   const size_t at[4]))
{
    const size_t *dims = call->in_shapes[input].dims;
    float *to = call->input_grads[input];
    size_t at[4];
    if (!to)
        return;
    for (at[0] = 0; at[0] < dims[0]; at[0]++)
        for (at[1] = 0; at[1] < dims[1]; at[1]++)
            for (at[2] = 0; at[2] < dims[2]; at[2]++)
                for (at[3] = 0; at[3] < dims[3]; at[3]++)
                    *to++ = (float)by(call, at);
}

void sosie_backward_conv(const struct sosie_gradient_call *call)
{
    float *bias = call->node->n_inputs > SOSIE_CONV_B
                      ? call->input_grads[SOSIE_CONV_B]
                      : NULL;
    write_all(call, SOSIE_CONV_X, conv_by_input);
    write_all(call, SOSIE_CONV_W, conv_by_weight);
    for (size_t m = 0; bias && m < call->out_shape.dims[1]; m++)
        bias[m] = (float)conv_by_bias(call, m);
}

/* ---- pools --------------------------------------------------------------- */

/* Taps of an output's window along one axis that count. */
static size_t n_taps(const struct sosie_pool *pool, size_t axis, size_t out,
                     size_t n_in)
{
    const struct sosie_window *w = &pool->window;
    size_t n = 0, end = n_in + w->pads[axis];
    for (size_t k = 0; k < w->kernel[axis]; k++) {
        size_t at = out * w->strides[axis] + k * w->dilations[axis];
        n += pool->counts_padding ? at < end + w->pads[axis + 2]
                                  : at >= w->pads[axis] && at < end;
    }
    return n;
}

/* What output (y, x) of a plane hands to the input that it reads under tap
 * (ky, kx): the share of its gradient. `in` is the input's plane. */
typedef double share(const struct sosie_gradient_call *call, const float *in,
                     const size_t out[2], const size_t tap[2]);

static double average_share(const struct sosie_gradient_call *call,
                            const float *in, const size_t out[2],
                            const size_t tap[2])
{
    const struct sosie_pool *pool = &call->node->pool;
    const size_t *xs = call->in_shapes[0].dims;
    (void)in;
    (void)tap;
    return 1.0 / (double)(n_taps(pool, 0, out[0], xs[2]) *
                          n_taps(pool, 1, out[1], xs[3]));
}

/* 1 for the first of the largest inputs in the window, 0 for all others. */
static double max_share(const struct sosie_gradient_call *call, const float *in,
                        const size_t out[2], const size_t tap[2])
{
    const struct sosie_window *w = &call->node->pool.window;
    const size_t *xs = call->in_shapes[0].dims;
    size_t y = 0, x = 0;
    float own;
    tap_input(w, 0, out[0], tap[0], xs[2], &y);
    tap_input(w, 1, out[1], tap[1], xs[3], &x);
    own = in[y * xs[3] + x];
    for (size_t ky = 0; ky < w->kernel[0]; ky++) {
        if (!tap_input(w, 0, out[0], ky, xs[2], &y))
            continue;
        for (size_t kx = 0; kx < w->kernel[1]; kx++) {
            bool is_before = ky < tap[0] || (ky == tap[0] && kx < tap[1]);
            float other;
            if (!tap_input(w, 1, out[1], kx, xs[3], &x))
                continue;
            other = in[y * xs[3] + x];
            if (is_before ? other >= own : other > own)
                return 0.0;
        }
    }
    return 1.0;
}

/* By the input at (y, x) of a plane: over the outputs whose windows hold it. */
static double pool_by_input(const struct sosie_gradient_call *call,
                            share *share_of, const float *in, const float *grad,
                            const size_t at[2])
{
    const struct sosie_window *w = &call->node->pool.window;
    const size_t *ys = call->out_shape.dims;
    size_t tap[2], out[2];
    double sum = 0.0;
    for (tap[0] = 0; tap[0] < w->kernel[0]; tap[0]++) {
        if (!tap_output(w, 0, at[0], tap[0], ys[2], &out[0]))
            continue;
        for (tap[1] = 0; tap[1] < w->kernel[1]; tap[1]++)
            if (tap_output(w, 1, at[1], tap[1], ys[3], &out[1]))
                sum += share_of(call, in, out, tap) *
                       (double)grad[out[0] * ys[3] + out[1]];
    }
    return sum;
}

static void backward_pool(const struct sosie_gradient_call *call,
                          share *share_of, bool reads_input)
{
    const size_t *xs = call->in_shapes[0].dims, *ys = call->out_shape.dims;
    float *to = call->input_grads[0];
    size_t at[2];
    if (!to)
        return;
    for (size_t i = 0; i < xs[0] * xs[1]; i++) {
        const float *in =
            reads_input ? call->inputs[0] + i * xs[2] * xs[3] : NULL;
        const float *grad = call->output_grad + i * ys[2] * ys[3];
        for (at[0] = 0; at[0] < xs[2]; at[0]++)
            for (at[1] = 0; at[1] < xs[3]; at[1]++)
                *to++ = (float)pool_by_input(call, share_of, in, grad, at);
    }
}

void sosie_backward_max_pool(const struct sosie_gradient_call *call)
{
    backward_pool(call, max_share, true);
}

void sosie_backward_average_pool(const struct sosie_gradient_call *call)
{
    backward_pool(call, average_share, false);
}

void sosie_backward_global_average_pool(const struct sosie_gradient_call *call)
{
    const struct sosie_shape *shape = &call->in_shapes[0];
    size_t n = sosie_shape_count(shape);
    size_t inner = sosie_shape_product(shape, 2, shape->rank);
    for (size_t i = 0; call->input_grads[0] && i < n; i++)
        call->input_grads[0][i] =
            (float)((double)call->output_grad[i / inner] / (double)inner);
}

void sosie_backward_global_max_pool(const struct sosie_gradient_call *call)
{
    const struct sosie_shape *shape = &call->in_shapes[0];
    size_t n = sosie_shape_count(shape);
    size_t inner = sosie_shape_product(shape, 2, shape->rank);
    for (size_t i = 0; call->input_grads[0] && i < n; i += inner) {
        const float *in = call->inputs[0] + i;
        float *to = call->input_grads[0] + i;
        size_t first = 0;
        for (size_t k = 0; k < inner; k++) {
            first = in[k] > in[first] ? k : first;
            to[k] = 0.0F;
        }
        to[first] = call->output_grad[i / inner];
    }
}
