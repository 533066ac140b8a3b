/* plain_move.c: what only moves, repeats or drops elements, in plain C. */
#include "nn/plain.h"

#include <math.h>
#include <string.h>

/* How far apart the elements of a dense tensor stand along each dimension. */
static void dense_strides(const struct sosie_shape *shape,
                          size_t strides[SOSIE_MAX_RANK])
{
    for (size_t d = 0; d < shape->rank; d++)
        strides[d] = sosie_shape_product(shape, d + 1, shape->rank);
}

void sosie_plain_transpose(const struct sosie_graph *graph,
                           const struct sosie_node *node,
                           const float *const *in, float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t from[SOSIE_MAX_RANK], strides[SOSIE_MAX_RANK];
    dense_strides(sosie_plain_input(graph, node, 0), from);
    for (size_t d = 0; d < shape->rank; d++)
        strides[d] = from[node->permutation[d]];
    for (size_t i = 0; i < sosie_shape_count(shape); i++)
        out[i] = in[0][sosie_plain_offset(shape, i, strides)];
}

void sosie_plain_expand(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t strides[SOSIE_MAX_RANK];
    sosie_broadcast_strides(sosie_plain_input(graph, node, 0), shape, strides);
    for (size_t i = 0; i < sosie_shape_count(shape); i++)
        out[i] = in[0][sosie_plain_offset(shape, i, strides)];
}

void sosie_plain_concat(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t axis = (size_t)node->axis;
    size_t outer = sosie_shape_product(shape, 0, axis);
    for (size_t i = 0; i < outer; i++)
        for (size_t k = 0; k < node->n_inputs; k++) {
            const struct sosie_shape *part = sosie_plain_input(graph, node, k);
            size_t n = sosie_shape_product(part, axis, part->rank);
            memcpy(out, in[k] + i * n, n * sizeof(*out));
            out += n;
        }
}

/* Elements that follow one another in both: whole dimensions, and the part of
 * the one before them. */
static size_t run_length(const struct sosie_slice *slice,
                         const struct sosie_shape *from)
{
    size_t n = 1;
    for (size_t d = from->rank; d-- > 0;) {
        if (slice->step[d] != 1 && slice->count[d] > 1)
            return n;
        n *= slice->count[d];
        if (slice->count[d] != from->dims[d])
            return n;
    }
    return n;
}

void sosie_plain_slice(const struct sosie_graph *graph,
                       const struct sosie_node *node, const float *const *in,
                       float *out)
{
    const struct sosie_shape *from = sosie_plain_input(graph, node, 0);
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    const struct sosie_slice *slice = &node->slice;
    size_t strides[SOSIE_MAX_RANK], run = run_length(slice, from);
    dense_strides(from, strides);
    for (size_t i = 0; i < sosie_shape_count(shape); i += run) {
        size_t rest = i, at = 0;
        for (size_t d = shape->rank; d-- > 0; rest /= shape->dims[d])
            at += (size_t)((int64_t)slice->start[d] +
                           (int64_t)(rest % shape->dims[d]) * slice->step[d]) *
                  strides[d];
        memcpy(out + i, in[0] + at, run * sizeof(*out));
    }
}

void sosie_plain_gather(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    const struct sosie_shape *shape = sosie_plain_input(graph, node, 0);
    const struct sosie_gather *gather = &node->gather;
    size_t axis = (size_t)gather->axis, n = sosie_shape_count(&gather->shape);
    size_t inner = sosie_shape_product(shape, axis + 1, shape->rank);
    for (size_t i = 0; i < sosie_shape_product(shape, 0, axis); i++)
        for (size_t k = 0; k < n; k++, out += inner)
            memcpy(out,
                   in[0] +
                       (i * shape->dims[axis] + (size_t)gather->indices[k]) *
                           inner,
                   inner * sizeof(*out));
}

int64_t sosie_plain_padded_from(enum sosie_pad_mode mode, int64_t at, int64_t n)
{
    if (at >= 0 && at < n)
        return at;
    if (mode == SOSIE_PAD_CONSTANT)
        return -1;
    if (mode == SOSIE_PAD_EDGE)
        return at < 0 ? 0 : n - 1;
    return at < 0 ? -at : 2 * (n - 1) - at;
}

void sosie_plain_pad(const struct sosie_graph *graph,
                     const struct sosie_node *node, const float *const *in,
                     float *out)
{
    const struct sosie_shape *from = sosie_plain_input(graph, node, 0);
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t strides[SOSIE_MAX_RANK];
    dense_strides(from, strides);
    for (size_t i = 0; i < sosie_shape_count(shape); i++) {
        size_t rest = i, at = 0;
        bool is_inside = true;
        for (size_t d = shape->rank; d-- > 0; rest /= shape->dims[d]) {
            int64_t k = sosie_plain_padded_from(
                node->pad.mode,
                (int64_t)(rest % shape->dims[d]) - node->pad.begin[d],
                (int64_t)from->dims[d]);
            is_inside = is_inside && k >= 0;
            at += (size_t)(k >= 0 ? k : 0) * strides[d];
        }
        out[i] = is_inside ? in[0][at] : node->pad.value;
    }
}

/* ---- Resize -------------------------------------------------------------- */

/* Where output i of a dimension lies in the input. */
static double resized_from(const struct sosie_resize *resize, size_t d,
                           size_t i, size_t n_in)
{
    double x = (double)i, scale = (double)resize->scales[d];
    size_t n_out = resize->sizes[d];
    switch (resize->coordinates) {
    case SOSIE_RESIZE_ASYMMETRIC:
        return x / scale;
    case SOSIE_RESIZE_ALIGN_CORNERS:
        return n_out > 1 ? x * (double)(n_in - 1) / (double)(n_out - 1) : 0.0;
    case SOSIE_RESIZE_PYTORCH_HALF_PIXEL:
        return n_out > 1 ? (x + 0.5) / scale - 0.5 : 0.0;
    case SOSIE_RESIZE_HALF_PIXEL:
        break;
    }
    return (x + 0.5) / scale - 0.5;
}

static double round_as(enum sosie_resize_rounding rounding, double x)
{
    switch (rounding) {
    case SOSIE_ROUND_FLOOR:
        return floor(x);
    case SOSIE_ROUND_CEIL:
        return ceil(x);
    case SOSIE_ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case SOSIE_ROUND_PREFER_FLOOR:
        break;
    }
    return ceil(x - 0.5);
}

static size_t within(double x, size_t n)
{
    return x <= 0.0 ? 0 : x >= (double)n - 1.0 ? n - 1 : (size_t)x;
}

/* Element i: the sum over the two neighbours along each dimension (one, if it
 * is the nearest) of their values times their shares. */
static float resized(const struct sosie_resize *resize,
                     const struct sosie_shape *from,
                     const struct sosie_shape *to, size_t i, const float *in)
{
    size_t at[2][SOSIE_MAX_RANK], rest = i;
    double share[SOSIE_MAX_RANK], sum = 0.0;
    for (size_t d = to->rank; d-- > 0; rest /= to->dims[d]) {
        size_t stride = sosie_shape_product(from, d + 1, from->rank);
        double x = resized_from(resize, d, rest % to->dims[d], from->dims[d]);
        if (!resize->linear)
            x = round_as(resize->rounding, x);
        x = fmin(fmax(x, 0.0), (double)from->dims[d] - 1.0);
        at[0][d] = within(floor(x), from->dims[d]) * stride;
        at[1][d] = within(floor(x) + 1.0, from->dims[d]) * stride;
        share[d] = x - floor(x);
    }
    for (size_t corner = 0; corner < (size_t)1 << to->rank; corner++) {
        double weight = 1.0;
        size_t offset = 0;
        for (size_t d = 0; d < to->rank; d++) {
            bool upper = corner >> d & 1;
            weight *= upper ? share[d] : 1.0 - share[d];
            offset += at[upper][d];
        }
        if (weight > 0.0)
            sum += weight * (double)in[offset];
    }
    return (float)sum;
}

void sosie_plain_resize(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    const struct sosie_shape *to = sosie_plain_output(graph, node);
    for (size_t i = 0; i < sosie_shape_count(to); i++)
        out[i] = resized(&node->resize, sosie_plain_input(graph, node, 0), to,
                         i, in[0]);
}
