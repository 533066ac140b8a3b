/* onnx_write_batch.c: a network for one photo -> for any batch.
 *
 * Our graphs have a batch of 1 in their shapes. Here all shapes are inferred
 * once more for a batch of 2; a dimension that differs then holds the batch.
 * What says a whole shape (Reshape, a Slice of everything along a dimension,
 * Resize) follows. Where the batch stands with another dimension in one, it is
 * the outer of the two: anything else is given up, and the network then written
 * for a batch of 1. */
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

/* The dimension of `out` that the batch goes to: it has as many elements before
 * it as the batch's has in `in`. out->rank if there is none. */
static size_t batch_goes_to(const struct sosie_shape *in, size_t axis,
                            const struct sosie_shape *out)
{
    size_t before = sosie_shape_product(in, 0, axis), best = out->rank;
    for (size_t d = out->rank; d-- > 0;)
        if (sosie_shape_product(out, 0, d) == before &&
            (best == out->rank || out->dims[d] == 1) && best != axis)
            best = d;
    return best;
}

/* Sets dims for a Reshape of `once`, which is `twice` for a batch of 2; false
 * if that cannot be said. */
static bool reshape_dims(const struct sosie_shape *once,
                         const struct sosie_shape *twice,
                         const struct sosie_shape *out,
                         int64_t dims[SOSIE_MAX_RANK])
{
    size_t axis = axis_of(once, twice), to;
    for (size_t d = 0; d < out->rank; d++)
        dims[d] = (int64_t)out->dims[d];
    if (axis == once->rank)
        return true;
    to = batch_goes_to(once, axis, out);
    if (to == out->rank)
        return false;
    dims[to] = to < once->rank && axis == to && once->dims[to] == out->dims[to]
                   ? 0
                   : -1;
    return true;
}

void sosie_onnx_batch_dims(const struct sosie_onnx_batch *batch,
                           const struct sosie_graph *graph, sosie_value_id from,
                           sosie_value_id to, int64_t dims[SOSIE_MAX_RANK])
{
    const struct sosie_shape *once = shape_of(graph, from);
    const struct sosie_shape *twice =
        batch->is_open ? shape_of(&batch->twice, from) : once;
    (void)reshape_dims(once, twice, shape_of(graph, to), dims);
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

/* Sets parameters that say a whole shape. False if the photos of a batch would
 * not stay apart. */
static bool adapt(const struct sosie_graph *graph,
                  const struct sosie_graph *twice, struct sosie_node *node)
{
    const struct sosie_shape *once = shape_of(graph, node->inputs[0]);
    const struct sosie_shape *now = shape_of(twice, node->inputs[0]);
    const struct sosie_shape *out = shape_of(graph, node->output);
    size_t axis = axis_of(once, now);
    if (node->op == SOSIE_OP_RESHAPE) {
        node->reshape.rank = out->rank;
        node->reshape.allow_zero = false;
        return reshape_dims(once, now, out, node->reshape.dims);
    }
    if (axis < once->rank) {
        if (mixes(node, once, axis))
            return false;
        if (node->op == SOSIE_OP_SLICE)
            node->slice.count[axis] = now->dims[axis];
        if (node->op == SOSIE_OP_RESIZE)
            node->resize.sizes[axis] = now->dims[axis];
    }
    if (node->op != SOSIE_OP_MATMUL && node->op != SOSIE_OP_GEMM)
        return true;
    once = shape_of(graph, node->inputs[1]);
    axis = axis_of(once, shape_of(twice, node->inputs[1]));
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
                                   struct sosie_graph *twice,
                                   struct sosie_error *err)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node node = graph->nodes[i];
        struct sosie_shape shape;
        enum sosie_status st = SOSIE_OK;
        if (!adapt(graph, twice, &node))
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

/* Is the batch outermost in everything that is given? */
static bool is_well_formed(const struct sosie_graph *graph,
                           const struct sosie_onnx_names *names,
                           const struct sosie_graph *twice)
{
    for (size_t k = 0; k < names->n_outputs; k++) {
        sosie_value_id id = names->outputs[k].value;
        size_t rank = graph->values[id].shape.rank;
        size_t axis = axis_of(shape_of(graph, id), shape_of(twice, id));
        if (axis < rank && axis > 0)
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
    for (size_t i = 0; i < graph->n_values && !st; i++)
        st = sosie_graph_add_value(&batch->twice, &graph->values[i], &id, err);
    if (st)
        return st;
    for (size_t k = 0; k < graph->n_inputs; k++) {
        struct sosie_shape *shape =
            &batch->twice.values[graph->inputs[k]].shape;
        if (shape->rank && shape->dims[0] == 1)
            shape->dims[0] = 2;
    }
    st = add_nodes(graph, &batch->twice, &why);
    if (st == SOSIE_NO_MEMORY)
        return sosie_fail(err, st, "the network for a batch");
    batch->is_open = !st && is_well_formed(graph, names, &batch->twice);
    return SOSIE_OK;
}

void sosie_onnx_batch_release(struct sosie_onnx_batch *batch)
{
    sosie_graph_release(&batch->twice);
    batch->is_open = false;
}
