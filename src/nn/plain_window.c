/* plain_window.c: what slides over height and width, in plain C. */
#include "nn/plain.h"

#include <math.h>

/* ---- Conv ---------------------------------------------------------------- */

/* Along one axis, output o reads input o * stride + shift. Gives the outputs
 * whose input exists, from *begin to before *end. */
static void inside(size_t n_out, size_t n_in, size_t stride, ptrdiff_t shift,
                   size_t *begin, size_t *end)
{
    ptrdiff_t in = (ptrdiff_t)n_in, step = (ptrdiff_t)stride;
    size_t first = shift < 0 ? (size_t)((-shift + step - 1) / step) : 0;
    size_t past = shift < in ? (size_t)((in - shift + step - 1) / step) : 0;
    *end = past < n_out ? past : n_out;
    *begin = first < *end ? first : *end;
}

/* Adds to an output plane an input plane under one weight of the kernel, the
 * one at (ky, kx). */
static void add_tap(const struct sosie_window *conv, size_t ky, size_t kx,
                    float weight, const float *in, const size_t in_size[2],
                    float *out, const size_t out_size[2])
{
    ptrdiff_t dy =
        (ptrdiff_t)(ky * conv->dilations[0]) - (ptrdiff_t)conv->pads[0];
    ptrdiff_t dx =
        (ptrdiff_t)(kx * conv->dilations[1]) - (ptrdiff_t)conv->pads[1];
    size_t y, y_end, x_begin, x_end;

    inside(out_size[0], in_size[0], conv->strides[0], dy, &y, &y_end);
    inside(out_size[1], in_size[1], conv->strides[1], dx, &x_begin, &x_end);
    for (; y < y_end; y++) {
        ptrdiff_t row = (ptrdiff_t)(y * conv->strides[0]) + dy;
        const float *from = in + row * (ptrdiff_t)in_size[1];
        float *to = out + y * out_size[1];
        for (size_t x = x_begin; x < x_end; x++)
            to[x] += weight * from[(ptrdiff_t)(x * conv->strides[1]) + dx];
    }
}

void sosie_plain_conv(const struct sosie_graph *graph,
                      const struct sosie_node *node, const float *const *in,
                      float *out)
{
    const struct sosie_shape *xs = sosie_plain_input(graph, node, SOSIE_CONV_X);
    const struct sosie_shape *ws = sosie_plain_input(graph, node, SOSIE_CONV_W);
    const struct sosie_shape *ys = sosie_plain_output(graph, node);
    const struct sosie_conv *conv = &node->conv;
    const float *w = in[SOSIE_CONV_W];
    const float *bias = node->n_inputs > SOSIE_CONV_B ? in[SOSIE_CONV_B] : NULL;
    size_t filters = ws->dims[0], channels = ws->dims[1];
    size_t in_plane = xs->dims[2] * xs->dims[3];
    size_t out_plane = ys->dims[2] * ys->dims[3];

    for (size_t i = 0; i < ys->dims[0] * filters; i++) {
        size_t m = i % filters, group = m / (filters / conv->group);
        const float *x =
            in[SOSIE_CONV_X] +
            (i / filters * xs->dims[1] + group * channels) * in_plane;
        const float *tap = w + m * channels * ws->dims[2] * ws->dims[3];
        float *y = out + i * out_plane;
        for (size_t k = 0; k < out_plane; k++)
            y[k] = bias ? bias[m] : 0.0F;
        for (size_t c = 0; c < channels; c++)
            for (size_t ky = 0; ky < ws->dims[2]; ky++)
                for (size_t kx = 0; kx < ws->dims[3]; kx++)
                    add_tap(&conv->window, ky, kx, *tap++, x + c * in_plane,
                            &xs->dims[2], y, &ys->dims[2]);
    }
    if (node->n_posts)
        sosie_plain_posts(node,
                          node->n_inputs > SOSIE_CONV_RESIDUAL
                              ? in[SOSIE_CONV_RESIDUAL]
                              : NULL,
                          out, sosie_shape_count(ys));
}

/* ---- pools --------------------------------------------------------------- */

/* Taps of a window along one axis that lie in the input: *first .. *last - 1;
 * and, *n_padded, how many lie in it or its padding. */
static void taps_inside(const struct sosie_window *w, size_t axis, size_t n_in,
                        size_t at, size_t *first, size_t *last,
                        size_t *n_padded)
{
    ptrdiff_t pad = (ptrdiff_t)w->pads[axis], n = (ptrdiff_t)n_in;
    ptrdiff_t end = n + (ptrdiff_t)w->pads[axis + 2];
    *first = *last = *n_padded = 0;
    for (size_t k = 0; k < w->kernel[axis]; k++) {
        ptrdiff_t i =
            (ptrdiff_t)(at * w->strides[axis] + k * w->dilations[axis]) - pad;
        *first += i < 0;
        *last += i < n;
        *n_padded += i < end;
    }
}

static void pool(const struct sosie_graph *graph, const struct sosie_node *node,
                 const float *in, float *out, bool is_max)
{
    const struct sosie_shape *xs = sosie_plain_input(graph, node, 0);
    const struct sosie_shape *ys = sosie_plain_output(graph, node);
    const struct sosie_window *w = &node->pool.window;
    size_t plane = xs->dims[2] * xs->dims[3];

    for (size_t i = 0; i < sosie_shape_count(ys); i++) {
        size_t ox = i % ys->dims[3], oy = i / ys->dims[3] % ys->dims[2];
        const float *x = in + i / (ys->dims[2] * ys->dims[3]) * plane;
        size_t ky, ky_end, ny, kx, kx_end, nx, first_x;
        double sum = 0.0;
        float most = -INFINITY;
        taps_inside(w, 0, xs->dims[2], oy, &ky, &ky_end, &ny);
        taps_inside(w, 1, xs->dims[3], ox, &first_x, &kx_end, &nx);
        if (!node->pool.counts_padding) {
            ny = ky_end - ky;
            nx = kx_end - first_x;
        }
        for (; ky < ky_end; ky++)
            for (kx = first_x; kx < kx_end; kx++) {
                size_t y = oy * w->strides[0] + ky * w->dilations[0];
                size_t column = ox * w->strides[1] + kx * w->dilations[1];
                float v =
                    x[(y - w->pads[0]) * xs->dims[3] + column - w->pads[1]];
                most = v > most ? v : most;
                sum += (double)v;
            }
        out[i] = is_max ? most : (float)(sum / (double)(ny * nx));
    }
}

void sosie_plain_max_pool(const struct sosie_graph *graph,
                          const struct sosie_node *node, const float *const *in,
                          float *out)
{
    pool(graph, node, in[0], out, true);
}

void sosie_plain_average_pool(const struct sosie_graph *graph,
                              const struct sosie_node *node,
                              const float *const *in, float *out)
{
    pool(graph, node, in[0], out, false);
}
