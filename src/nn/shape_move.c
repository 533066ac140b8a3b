/* shape_move.c: the shapes of what only moves, repeats or drops elements. */
#include "nn/shape.h"

#include <math.h>
#include <string.h>

static const struct sosie_shape *input_shape(const struct sosie_graph *graph,
                                             const struct sosie_node *node)
{
    return &sosie_node_input(graph, node, 0)->shape;
}

/* ---- the same elements in another shape ---------------------------------- */

enum sosie_status sosie_infer_flatten(const struct sosie_graph *graph,
                                      struct sosie_node *node,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    enum sosie_status st = sosie_wrap_axis(&node->axis, in->rank, true, err);
    size_t axis = (size_t)node->axis;
    if (st)
        return st;
    shape->rank = 2;
    shape->dims[0] = sosie_shape_product(in, 0, axis);
    shape->dims[1] = sosie_shape_product(in, axis, in->rank);
    return SOSIE_OK;
}

/* The dimension that stands for what is left over, if there is one. */
static enum sosie_status reshape_rest(const struct sosie_reshape *reshape,
                                      const struct sosie_shape *in,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    size_t rest = SOSIE_MAX_RANK;
    enum sosie_status st;
    for (size_t i = 0; i < reshape->rank; i++) {
        if (reshape->dims[i] == -1 && rest == SOSIE_MAX_RANK)
            rest = i;
        else if (reshape->dims[i] < 0)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu of the shape is %lld; expected "
                              "sizes and at most one -1",
                              i, (long long)reshape->dims[i]);
    }
    st = sosie_shape_check(shape, err); /* the rest counts as 1 */
    if (!st && rest < SOSIE_MAX_RANK && sosie_shape_count(shape))
        shape->dims[rest] = sosie_shape_count(in) / sosie_shape_count(shape);
    return st;
}

enum sosie_status sosie_infer_reshape(const struct sosie_graph *graph,
                                      struct sosie_node *node,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    const struct sosie_reshape *reshape = &node->reshape;
    enum sosie_status st;

    shape->rank = reshape->rank;
    for (size_t i = 0; i < reshape->rank; i++) {
        shape->dims[i] = reshape->dims[i] < 0 ? 1 : (size_t)reshape->dims[i];
        if (reshape->dims[i] || reshape->allow_zero)
            continue;
        if (i >= in->rank)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu is 0 (as in the input), but the "
                              "input is %s",
                              i, sosie_shape_text(in).text);
        shape->dims[i] = in->dims[i];
    }
    st = reshape_rest(reshape, in, shape, err);
    if (!st && sosie_shape_count(shape) != sosie_shape_count(in))
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "%s cannot become %s: their sizes differ",
            sosie_shape_text(in).text, sosie_shape_text(shape).text);
    return st;
}

enum sosie_status sosie_infer_transpose(const struct sosie_graph *graph,
                                        struct sosie_node *node,
                                        struct sosie_shape *shape,
                                        struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(graph, node);
    bool seen[SOSIE_MAX_RANK] = {false};
    *shape = *in;
    for (size_t d = 0; d < in->rank; d++) {
        size_t from = node->permutation[d];
        if (from >= in->rank || seen[from])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "perm holds %zu at %zu; expected each of 0 to "
                              "%zu once",
                              from, d, in->rank - 1);
        seen[from] = true;
        shape->dims[d] = in->dims[from];
    }
    return SOSIE_OK;
}

/* ---- parts and wholes ---------------------------------------------------- */

enum sosie_status sosie_infer_concat(const struct sosie_graph *graph,
                                     struct sosie_node *node,
                                     struct sosie_shape *shape,
                                     struct sosie_error *err)
{
    enum sosie_status st;
    *shape = *input_shape(graph, node);
    st = sosie_wrap_axis(&node->axis, shape->rank, false, err);
    for (size_t k = 1; k < node->n_inputs && !st; k++) {
        const struct sosie_value *part = sosie_node_input(graph, node, k);
        bool fits = part && part->shape.rank == shape->rank &&
                    part->dtype == sosie_node_input(graph, node, 0)->dtype;
        for (size_t d = 0; d < shape->rank && fits; d++)
            fits = d == (size_t)node->axis ||
                   part->shape.dims[d] == shape->dims[d];
        if (!fits)
            return sosie_fail(
                err, SOSIE_BAD_INPUT,
                "input %zu is %s, which does not fit %s along "
                "axis %lld",
                k, part ? sosie_shape_text(&part->shape).text : "not given",
                sosie_shape_text(shape).text, (long long)node->axis);
        shape->dims[node->axis] += part->shape.dims[node->axis];
    }
    return st;
}

enum sosie_status sosie_infer_slice(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(graph, node);
    const struct sosie_slice *slice = &node->slice;
    *shape = *in;
    for (size_t d = 0; d < in->rank; d++) {
        int64_t first = (int64_t)slice->start[d], last = first;
        if (slice->count[d] > 1 &&
            slice->step[d] > -(int64_t)SOSIE_MAX_ELEMENTS &&
            slice->step[d] < (int64_t)SOSIE_MAX_ELEMENTS &&
            slice->count[d] <= in->dims[d])
            last += ((int64_t)slice->count[d] - 1) * slice->step[d];
        else if (slice->count[d] != 1)
            last = -1;
        if (slice->start[d] >= in->dims[d] || last < 0 ||
            last >= (int64_t)in->dims[d])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "%zu elements from %zu on in steps of %lld are "
                              "not all in dimension %zu of %s",
                              slice->count[d], slice->start[d],
                              (long long)slice->step[d], d,
                              sosie_shape_text(in).text);
        shape->dims[d] = slice->count[d];
    }
    return SOSIE_OK;
}

enum sosie_status sosie_infer_gather(const struct sosie_graph *graph,
                                     struct sosie_node *node,
                                     struct sosie_shape *shape,
                                     struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(graph, node);
    struct sosie_gather *gather = &node->gather;
    const struct sosie_shape *parts = &gather->shape;
    size_t n = 0, axis;
    enum sosie_status st = sosie_wrap_axis(&gather->axis, in->rank, false, err);
    if (!st)
        st = sosie_shape_check(parts, err);
    if (st)
        return st;
    axis = (size_t)gather->axis;
    for (size_t i = 0; i < sosie_shape_count(parts); i++)
        if (gather->indices[i] < 0 ||
            (size_t)gather->indices[i] >= in->dims[axis])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "index %lld; axis %zu of %s has none such",
                              (long long)gather->indices[i], axis,
                              sosie_shape_text(in).text);
    if (in->rank - 1 + parts->rank > SOSIE_MAX_RANK)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a result of %zu dimensions; %d are supported",
                          in->rank - 1 + parts->rank, SOSIE_MAX_RANK);
    for (size_t d = 0; d < axis; d++)
        shape->dims[n++] = in->dims[d];
    for (size_t d = 0; d < parts->rank; d++)
        shape->dims[n++] = parts->dims[d];
    for (size_t d = axis + 1; d < in->rank; d++)
        shape->dims[n++] = in->dims[d];
    shape->rank = n;
    return SOSIE_OK;
}

enum sosie_status sosie_infer_expand(const struct sosie_graph *graph,
                                     struct sosie_node *node,
                                     struct sosie_shape *shape,
                                     struct sosie_error *err)
{
    const struct sosie_reshape *given = &node->reshape;
    struct sosie_shape wanted = {.rank = given->rank};
    for (size_t d = 0; d < given->rank; d++) {
        if (given->dims[d] < 1)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu of the shape is %lld", d,
                              (long long)given->dims[d]);
        wanted.dims[d] = (size_t)given->dims[d];
    }
    return sosie_broadcast_shape(input_shape(graph, node), &wanted, shape, err);
}

/* ---- more elements, or fewer --------------------------------------------- */

/* How many elements reflection can add on a side. */
static int64_t most_padding(const struct sosie_pad *pad, size_t dim)
{
    return pad->mode == SOSIE_PAD_REFLECT ? (int64_t)dim - 1
                                          : (int64_t)SOSIE_MAX_ELEMENTS;
}

enum sosie_status sosie_infer_pad(const struct sosie_graph *graph,
                                  struct sosie_node *node,
                                  struct sosie_shape *shape,
                                  struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(graph, node);
    const struct sosie_pad *pad = &node->pad;
    *shape = *in;
    for (size_t d = 0; d < in->rank; d++) {
        int64_t dim = (int64_t)in->dims[d],
                most = most_padding(pad, in->dims[d]);
        if (pad->begin[d] > most || pad->end[d] > most ||
            pad->begin[d] <= -dim || pad->end[d] <= -dim ||
            dim + pad->begin[d] + pad->end[d] < 1)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "pads of %lld and %lld do not fit dimension %zu "
                              "of %s",
                              (long long)pad->begin[d], (long long)pad->end[d],
                              d, sosie_shape_text(in).text);
        shape->dims[d] = (size_t)(dim + pad->begin[d] + pad->end[d]);
    }
    return SOSIE_OK;
}

enum sosie_status sosie_infer_resize(const struct sosie_graph *graph,
                                     struct sosie_node *node,
                                     struct sosie_shape *shape,
                                     struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(graph, node);
    const struct sosie_resize *resize = &node->resize;
    *shape = *in;
    for (size_t d = 0; d < in->rank; d++) {
        if (!resize->sizes[d] || !(resize->scales[d] > 0.0F) ||
            !isfinite(resize->scales[d]))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "dimension %zu becomes %zu, scaled by %g", d,
                              resize->sizes[d], (double)resize->scales[d]);
        shape->dims[d] = resize->sizes[d];
    }
    return SOSIE_OK;
}
