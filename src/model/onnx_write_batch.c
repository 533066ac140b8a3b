/* onnx_write_batch.c: a network for one photo -> for any batch.
 *
 * Our graphs have a batch of 1 in their shapes. Here all shapes are inferred
 * once more for a batch of 2; the dimension that differs then holds the batch,
 * perhaps in one with others: of it, `outer` elements come before the batch's.
 * What says a whole shape (Reshape, a Slice of everything along a dimension,
 * Resize) follows. Where photos would not stay apart, or a Reshape leaves no
 * place for the batch, the network is written for a batch of 1. */
#include "model/onnx_write_private.h"

#include <string.h>

static const struct sosie_shape *shape_of(const struct sosie_graph *graph,
                                          sosie_value_id id)
{
    return &graph->values[id].shape;
}

/* The first dimension that differs; the rank if none does. */
static size_t axis_of(const struct sosie_shape *once,
                      const struct sosie_shape *twice)
{
    size_t d = 0;
    while (d < once->rank && once->dims[d] == twice->dims[d])
        d++;
    return d;
}

size_t sosie_onnx_batch_axis(const struct sosie_onnx_batch *batch,
                             const struct sosie_graph *graph,
                             sosie_value_id value)
{
    const struct sosie_shape *once = shape_of(graph, value);
    return batch->is_open ? axis_of(once, shape_of(&batch->twice, value))
                          : once->rank;
}

/* ---- Reshape ------------------------------------------------------------- */

/* Where the batch is in a shape. */
struct place {
    size_t axis, outer;
};

/* Is there a dimension of 1 for the batch? If it may choose, the `usual` one.
 */
static bool find_one(const struct sosie_shape *out, size_t before, size_t usual,
                     struct place *place)
{
    bool found = false;
    for (size_t d = 0; d < out->rank; d++)
        if (out->dims[d] == 1 && sosie_shape_product(out, 0, d) == before &&
            (!found || d == usual)) {
            *place = (struct place){d, 1};
            found = true;
        }
    return found;
}

/* Where a batch that has `before` elements before it goes in `out`. Between two
 * dimensions it is joined to the second; but not to the last one: those are
 * features, which a matrix product takes as they are. False if there is no
 * place. */
static bool find_place(const struct sosie_shape *out, size_t before,
                       size_t usual, struct place *place)
{
    if (find_one(out, before, usual, place))
        return true;
    for (size_t d = 0, first = 1; d < out->rank; first *= out->dims[d++]) {
        bool is_last = d + 1 == out->rank;
        size_t outer = before / first;
        if (before % first || outer >= out->dims[d] || out->dims[d] % outer)
            continue;
        *place = outer == 1 && is_last && d > 0
                     ? (struct place){d - 1, out->dims[d - 1]}
                     : (struct place){d, outer};
        return true;
    }
    return false;
}

/* Sets dims for a Reshape of value `from` to the shape `out`, and where the
 * batch then is; false if there is no place for it. */
static bool reshape_dims(const struct sosie_onnx_batch *batch,
                         const struct sosie_graph *graph, sosie_value_id from,
                         const struct sosie_shape *out,
                         int64_t dims[SOSIE_MAX_RANK], size_t *outer)
{
    const struct sosie_shape *once = shape_of(graph, from);
    size_t axis = axis_of(once, shape_of(&batch->twice, from));
    struct place to;
    for (size_t d = 0; d < out->rank; d++)
        dims[d] = (int64_t)out->dims[d];
    if (axis == once->rank)
        return true;
    if (!find_place(out,
                    sosie_shape_product(once, 0, axis) * batch->outer[from],
                    axis, &to))
        return false;
    dims[to.axis] =
        axis == to.axis && once->dims[axis] == out->dims[axis] ? 0 : -1;
    *outer = to.outer;
    return true;
}

void sosie_onnx_batch_dims(const struct sosie_onnx_batch *batch,
                           const struct sosie_graph *graph, sosie_value_id from,
                           sosie_value_id to, int64_t dims[SOSIE_MAX_RANK])
{
    const struct sosie_shape *out = shape_of(graph, to);
    size_t outer;
    for (size_t d = 0; d < out->rank; d++)
        dims[d] = (int64_t)out->dims[d];
    if (batch->is_open)
        (void)reshape_dims(batch, graph, from, out, dims, &outer);
}

/* ---- Concat -------------------------------------------------------------- */

static bool is_batched(const struct sosie_graph *graph,
                       const struct sosie_graph *twice, sosie_value_id id)
{
    const struct sosie_shape *once = shape_of(graph, id);
    return once->rank && once->dims[0] == 1 &&
           shape_of(twice, id)->dims[0] == 2;
}

static bool repeats(const struct sosie_graph *graph,
                    const struct sosie_graph *twice,
                    const struct sosie_node *node, size_t k)
{
    const struct sosie_value *value = &graph->values[node->inputs[k]];
    if (node->op != SOSIE_OP_CONCAT || node->axis == 0 || !value->data ||
        !value->shape.rank || value->shape.dims[0] != 1)
        return false;
    for (size_t i = 0; i < node->n_inputs; i++)
        if (is_batched(graph, twice, node->inputs[i]))
            return true;
    return false;
}

bool sosie_onnx_batch_repeats(const struct sosie_onnx_batch *batch,
                              const struct sosie_graph *graph,
                              const struct sosie_node *node, size_t k)
{
    return batch->is_open && repeats(graph, &batch->twice, node, k);
}

/* ---- the network for a batch of 2 ---------------------------------------- */

/* Does the node compute one from several along dimension d of its input, or add
 * or drop some? Then the photos of a batch would not stay apart. */
static bool mixes(const struct sosie_node *node, const struct sosie_shape *in,
                  size_t d)
{
    switch ((unsigned)node->op) {
    case SOSIE_OP_CONCAT:
        return (size_t)node->axis == d;
    case SOSIE_OP_GATHER:
        return (size_t)node->gather.axis == d;
    case SOSIE_OP_GEMM:
        return (d == 0) == node->gemm.trans_a;
    case SOSIE_OP_LAYER_NORM:
        return d >= (size_t)node->layer_norm.axis;
    case SOSIE_OP_LP_NORM:
        return (size_t)node->lp_norm.axis == d;
    case SOSIE_OP_MATMUL:
        return d + 1 == in->rank;
    case SOSIE_OP_PAD:
        return node->pad.begin[d] || node->pad.end[d];
    case SOSIE_OP_REDUCE_L2:
    case SOSIE_OP_REDUCE_MEAN:
    case SOSIE_OP_REDUCE_SUM:
        return node->reduce.axes[d];
    case SOSIE_OP_RESIZE:
        return node->resize.sizes[d] != in->dims[d];
    case SOSIE_OP_SLICE:
        return node->slice.count[d] != in->dims[d] || node->slice.step[d] != 1;
    case SOSIE_OP_SOFTMAX:
        return node->softmax.flatten ? d >= (size_t)node->softmax.axis
                                     : d == (size_t)node->softmax.axis;
    default:
        return false;
    }
}

/* How many elements of the dimension with the batch come before it, behind a
 * node that does not join or part dimensions: as in its inputs. */
static size_t outer_of_inputs(const struct sosie_onnx_batch *batch,
                              const struct sosie_graph *graph,
                              const struct sosie_node *node)
{
    for (size_t k = 0; k < node->n_inputs; k++) {
        sosie_value_id id = node->inputs[k];
        if (id < graph->n_values &&
            axis_of(shape_of(graph, id), shape_of(&batch->twice, id)) <
                shape_of(graph, id)->rank)
            return batch->outer[id];
    }
    return 1;
}

/* The same behind a Flatten. */
static size_t outer_of_flat(const struct sosie_onnx_batch *batch,
                            const struct sosie_graph *graph,
                            const struct sosie_node *node, size_t axis)
{
    const struct sosie_shape *in = shape_of(graph, node->inputs[0]);
    size_t first = axis < (size_t)node->axis ? 0 : (size_t)node->axis;
    return sosie_shape_product(in, first, axis) * batch->outer[node->inputs[0]];
}

/* Sets parameters that say a whole shape, and where the batch is in the result.
 * False if the photos of a batch would not stay apart. */
static bool adapt(const struct sosie_onnx_batch *batch,
                  const struct sosie_graph *graph, struct sosie_node *node)
{
    const struct sosie_shape *once = shape_of(graph, node->inputs[0]);
    const struct sosie_shape *now = shape_of(&batch->twice, node->inputs[0]);
    size_t axis = axis_of(once, now), *outer = &batch->outer[node->output];

    *outer = outer_of_inputs(batch, graph, node);
    if (node->op == SOSIE_OP_RESHAPE) {
        node->reshape.rank = shape_of(graph, node->output)->rank;
        node->reshape.allow_zero = false;
        return reshape_dims(batch, graph, node->inputs[0],
                            shape_of(graph, node->output), node->reshape.dims,
                            outer);
    }
    if (axis < once->rank) {
        if (mixes(node, once, axis))
            return false;
        if (node->op == SOSIE_OP_FLATTEN)
            *outer = outer_of_flat(batch, graph, node, axis);
        if (node->op == SOSIE_OP_SLICE)
            node->slice.count[axis] = now->dims[axis];
        if (node->op == SOSIE_OP_RESIZE)
            node->resize.sizes[axis] = now->dims[axis];
    }
    if (node->op != SOSIE_OP_MATMUL && node->op != SOSIE_OP_GEMM)
        return true;
    once = shape_of(graph, node->inputs[1]);
    axis = axis_of(once, shape_of(&batch->twice, node->inputs[1]));
    return axis == once->rank || axis + 2 < once->rank;
}

/* Is the batch in one dimension, or in none? */
static bool is_doubled_once(const struct sosie_shape *once,
                            const struct sosie_shape *now)
{
    size_t n = 0;
    for (size_t d = 0; d < once->rank; d++) {
        if (now->dims[d] != once->dims[d] && now->dims[d] != 2 * once->dims[d])
            return false;
        n += now->dims[d] != once->dims[d];
    }
    return n <= 1;
}

/* A constant's place, with the shape that it is repeated to. */
static enum sosie_status add_repeated(const struct sosie_graph *graph,
                                      struct sosie_graph *twice,
                                      struct sosie_node *node, size_t k,
                                      struct sosie_error *err)
{
    struct sosie_value value = graph->values[node->inputs[k]];
    value.shape.dims[0] = 2;
    return sosie_graph_add_value(twice, &value, &node->inputs[k], err);
}

/* Nodes stand in order, and each makes a value; those get the same places. The
 * constants that are repeated stand after all others. */
static enum sosie_status add_nodes(const struct sosie_graph *graph,
                                   struct sosie_onnx_batch *batch,
                                   struct sosie_error *err)
{
    struct sosie_graph *twice = &batch->twice;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node node = graph->nodes[i];
        struct sosie_shape shape;
        enum sosie_status st = SOSIE_OK;
        if (!adapt(batch, graph, &node))
            return sosie_fail(err, SOSIE_REFUSED, "for a batch of 1 only");
        for (size_t k = 0; k < node.n_inputs && !st; k++)
            if (repeats(graph, twice, &node, k))
                st = add_repeated(graph, twice, &node, k, err);
        if (!st)
            st = sosie_node_infer(twice, &node, &shape, err);
        if (!st)
            st = sosie_shape_check(&shape, err);
        if (!st && !is_doubled_once(shape_of(graph, node.output), &shape))
            st = sosie_fail(err, SOSIE_REFUSED, "for a batch of 1 only");
        if (st)
            return st;
        twice->values[node.output].shape = shape;
        if (node.op == SOSIE_OP_DEQUANTIZE) /* of weights: constant, too */
            twice->values[node.output].data =
                twice->values[node.inputs[0]].data;
    }
    return SOSIE_OK;
}

/* Is the batch the first dimension of everything that is given? */
static bool is_well_formed(const struct sosie_graph *graph,
                           const struct sosie_onnx_names *names,
                           const struct sosie_onnx_batch *batch)
{
    for (size_t k = 0; k < names->n_outputs; k++) {
        sosie_value_id id = names->outputs[k].value;
        size_t rank = graph->values[id].shape.rank;
        size_t axis = axis_of(shape_of(graph, id), shape_of(&batch->twice, id));
        if (axis < rank && (axis > 0 || batch->outer[id] > 1))
            return false;
    }
    return true;
}

enum sosie_status sosie_onnx_batch_init(const struct sosie_graph *graph,
                                        const struct sosie_onnx_names *names,
                                        struct sosie_onnx_batch *batch,
                                        struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    struct sosie_error why;
    sosie_value_id id;
    batch->outer = sosie_arena_alloc(&batch->twice.arena, graph->n_values + 1,
                                     sizeof(*batch->outer));
    if (!batch->outer)
        st = SOSIE_NO_MEMORY;
    for (size_t i = 0; i < graph->n_values && !st; i++) {
        batch->outer[i] = 1;
        st = sosie_graph_add_value(&batch->twice, &graph->values[i], &id, &why);
    }
    for (size_t k = 0; k < graph->n_inputs && !st; k++) {
        struct sosie_shape *shape =
            &batch->twice.values[graph->inputs[k]].shape;
        if (shape->rank && shape->dims[0] == 1)
            shape->dims[0] = 2;
    }
    if (!st)
        st = add_nodes(graph, batch, &why);
    if (st == SOSIE_NO_MEMORY)
        return sosie_fail(err, st, "the network for a batch");
    batch->is_open = !st && is_well_formed(graph, names, batch);
    return SOSIE_OK;
}

void sosie_onnx_batch_release(struct sosie_onnx_batch *batch)
{
    sosie_graph_release(&batch->twice);
    *batch = (struct sosie_onnx_batch){0};
}
