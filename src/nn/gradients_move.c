/* gradients_move.c: backward through what only moves, repeats or drops
 * elements: the gradient goes back the way that they came. */
#include "nn/gradients_impl.h"
#include "nn/plain.h"
#include "nn/walk.h"

#include <string.h>

/* The same elements in another shape, or the same. */
void sosie_backward_same(const struct sosie_gradient_call *call)
{
    if (call->input_grads[0])
        memcpy(call->input_grads[0], call->output_grad,
               sosie_shape_count(&call->out_shape) *
                   sizeof(*call->output_grad));
}

void sosie_backward_transpose(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = sosie_walk_begin(&call->out_shape);
    const struct sosie_shape *in = &call->in_shapes[0];
    size_t n = sosie_shape_count(&call->out_shape);
    if (!call->input_grads[0])
        return;
    for (size_t d = 0; d < in->rank; d++)
        walk.strides[0][d] =
            sosie_shape_product(in, call->node->permutation[d] + 1, in->rank);
    for (size_t i = 0; i < n; i++, sosie_walk_next(&walk))
        call->input_grads[0][walk.offsets[0]] = call->output_grad[i];
}

void sosie_backward_concat(const struct sosie_gradient_call *call)
{
    const struct sosie_node *node = call->node;
    size_t axis = (size_t)node->axis, before = 0;
    size_t outer = sosie_shape_product(&call->out_shape, 0, axis);
    size_t whole =
        sosie_shape_product(&call->out_shape, axis, call->out_shape.rank);
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct sosie_shape *part = &call->in_shapes[k];
        size_t n = sosie_shape_product(part, axis, part->rank);
        float *to = call->input_grads[k];
        for (size_t i = 0; to && i < outer; i++)
            memcpy(to + i * n, call->output_grad + i * whole + before,
                   n * sizeof(*to));
        before += n;
    }
}

/* ---- Slice --------------------------------------------------------------- */

/* Through the slice; tensor 0 is what it is cut from. Photos are not cut: the
 * node says 1, of the one that a graph knows. */
static struct sosie_walk walk_slice(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = sosie_walk_begin(&call->out_shape);
    const struct sosie_shape *in = &call->in_shapes[0];
    const struct sosie_slice *slice = &call->node->slice;
    for (size_t d = 0; d < in->rank; d++) {
        size_t stride = sosie_shape_product(in, d + 1, in->rank);
        walk.strides[0][d] = d ? (size_t)slice->step[d] * stride : stride;
        walk.offsets[0] += d ? slice->start[d] * stride : 0;
    }
    return walk;
}

void sosie_forward_slice(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = walk_slice(call);
    size_t n = sosie_shape_count(&call->out_shape);
    for (size_t i = 0; i < n; i++, sosie_walk_next(&walk))
        call->output[i] = call->inputs[0][walk.offsets[0]];
}

void sosie_backward_slice(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = walk_slice(call);
    size_t n = sosie_shape_count(&call->out_shape);
    float *to = call->input_grads[0];
    if (!to)
        return;
    memset(to, 0, sosie_shape_count(&call->in_shapes[0]) * sizeof(*to));
    for (size_t i = 0; i < n; i++, sosie_walk_next(&walk))
        to[walk.offsets[0]] = call->output_grad[i];
}

/* ---- Pad ----------------------------------------------------------------- */

/* Where the element that the walk is at comes from; false: from nowhere. */
static bool pad_source(const struct sosie_walk *walk,
                       const struct sosie_pad *pad,
                       const struct sosie_shape *in, size_t *source)
{
    *source = 0;
    for (size_t d = 0; d < in->rank; d++) {
        int64_t at = sosie_plain_padded_from(
            pad->mode, (int64_t)walk->at[d] - pad->begin[d],
            (int64_t)in->dims[d]);
        if (at < 0)
            return false;
        *source = *source * in->dims[d] + (size_t)at;
    }
    return true;
}

/* Reflected and repeated elements come several times: these few add up in the
 * gradient itself. */
void sosie_backward_pad(const struct sosie_gradient_call *call)
{
    struct sosie_walk walk = sosie_walk_begin(&call->out_shape);
    const struct sosie_shape *in = &call->in_shapes[0];
    size_t n = sosie_shape_count(&call->out_shape), source;
    float *to = call->input_grads[0];
    if (!to)
        return;
    memset(to, 0, sosie_shape_count(in) * sizeof(*to));
    for (size_t i = 0; i < n; i++, sosie_walk_next(&walk))
        if (pad_source(&walk, &call->node->pad, in, &source))
            to[source] += call->output_grad[i];
}
