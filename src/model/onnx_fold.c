/* onnx_fold.c: our ops on constants of whole numbers, and on a few floats.
 *
 * Exporters compute shapes, indices and scales with the same ops as the network
 * itself, from the shapes of tensors; since those are fixed, all of that is
 * done here, one element at a time. Large float constants are left to
 * sosie_graph_simplify. */
#include "model/onnx_private.h"

#include <math.h>
#include <string.h>

/* Shapes, scales and the like have no more floats than this. */
enum { MAX_FLOATS = 1024 };

size_t sosie_onnx_place(const struct sosie_shape *shape,
                        const size_t strides[SOSIE_MAX_RANK], size_t i)
{
    size_t place = 0;
    for (size_t d = shape->rank; d-- > 0; i /= shape->dims[d])
        place += i % shape->dims[d] * strides[d];
    return place;
}

/* ---- two numbers --------------------------------------------------------- */

/* False if the result is none. */
static bool of_wholes(enum sosie_op op, int64_t a, int64_t b, int64_t *out)
{
    if (op == SOSIE_OP_ADD)
        return !__builtin_add_overflow(a, b, out);
    if (op == SOSIE_OP_SUB)
        return !__builtin_sub_overflow(a, b, out);
    if (op == SOSIE_OP_MUL)
        return !__builtin_mul_overflow(a, b, out);
    if (op == SOSIE_OP_DIV) {
        if (b == 0 || (b == -1 && a == INT64_MIN))
            return false;
        *out = a / b;
        return true;
    }
    *out = (op == SOSIE_OP_MIN) == (a < b) ? a : b;
    return op == SOSIE_OP_MIN || op == SOSIE_OP_MAX;
}

static float of_floats(enum sosie_op op, float a, float b)
{
    if (op == SOSIE_OP_ADD)
        return a + b;
    if (op == SOSIE_OP_SUB)
        return a - b;
    if (op == SOSIE_OP_MUL)
        return a * b;
    if (op == SOSIE_OP_DIV)
        return a / b;
    if (op == SOSIE_OP_POW)
        return powf(a, b);
    return op == SOSIE_OP_MIN ? fminf(a, b) : fmaxf(a, b);
}

/* Element k of the room becomes op(a[i], b[j]); all of the same type. */
static enum sosie_status combine(enum sosie_op op, enum sosie_dtype dtype,
                                 const void *a, size_t i, const void *b,
                                 size_t j, void *room, size_t k,
                                 struct sosie_error *err)
{
    if (dtype == SOSIE_F32) {
        ((float *)room)[k] =
            of_floats(op, ((const float *)a)[i], ((const float *)b)[j]);
        return SOSIE_OK;
    }
    if (of_wholes(op, ((const int64_t *)a)[i], ((const int64_t *)b)[j],
                  &((int64_t *)room)[k]))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "%s of the constants %lld and %lld is no number of 64 "
                      "bits",
                      sosie_op_name(op), (long long)((const int64_t *)a)[i],
                      (long long)((const int64_t *)b)[j]);
}

static enum sosie_status binary(enum sosie_op op, const struct sosie_value *a,
                                const struct sosie_value *b,
                                const struct sosie_value *out, void *room,
                                struct sosie_error *err)
{
    size_t sa[SOSIE_MAX_RANK], sb[SOSIE_MAX_RANK];
    enum sosie_status st = SOSIE_OK;
    sosie_broadcast_strides(&a->shape, &out->shape, sa);
    sosie_broadcast_strides(&b->shape, &out->shape, sb);
    for (size_t i = 0; i < sosie_shape_count(&out->shape) && !st; i++)
        st = combine(op, out->dtype, a->data,
                     sosie_onnx_place(&out->shape, sa, i), b->data,
                     sosie_onnx_place(&out->shape, sb, i), room, i, err);
    return st;
}

/* ---- reductions ---------------------------------------------------------- */

static void divide(const struct sosie_value *out, void *room, size_t n)
{
    for (size_t i = 0; i < sosie_shape_count(&out->shape); i++) {
        if (out->dtype == SOSIE_F32)
            ((float *)room)[i] /= (float)n;
        else
            ((int64_t *)room)[i] /= (int64_t)n;
    }
}

/* Is element i the first of those that become one? */
static bool is_first(const struct sosie_shape *shape,
                     const struct sosie_reduce *reduce, size_t i)
{
    for (size_t d = shape->rank; d-- > 0; i /= shape->dims[d])
        if (reduce->axes[d] && i % shape->dims[d])
            return false;
    return true;
}

enum sosie_status sosie_onnx_fold_reduce(enum sosie_op op,
                                         const struct sosie_value *in,
                                         const struct sosie_reduce *reduce,
                                         void *room, struct sosie_error *err)
{
    size_t strides[SOSIE_MAX_RANK] = {0}, stride = 1;
    size_t size = sosie_dtype_size(in->dtype);
    enum sosie_status st = SOSIE_OK;
    for (size_t d = in->shape.rank; d-- > 0;)
        if (!reduce->axes[d]) {
            strides[d] = stride;
            stride *= in->shape.dims[d];
        }
    for (size_t i = 0; i < sosie_shape_count(&in->shape) && !st; i++) {
        size_t k = sosie_onnx_place(&in->shape, strides, i);
        if (is_first(&in->shape, reduce, i))
            memcpy((char *)room + k * size, (const char *)in->data + i * size,
                   size);
        else
            st = combine(op, in->dtype, room, k, in->data, i, room, k, err);
    }
    return st;
}

/* ---- moves --------------------------------------------------------------- */

/* Element (i0, i1, ...) of the result is the one at offset + i0 * strides[0] +
 * ... of the input. */
struct view {
    int64_t offset, strides[SOSIE_MAX_RANK];
};

static struct view view_of(const struct sosie_node *node,
                           const struct sosie_shape *in,
                           const struct sosie_shape *out)
{
    struct view view = {0, {0}};
    size_t repeated[SOSIE_MAX_RANK];
    if (node->op == SOSIE_OP_EXPAND) {
        sosie_broadcast_strides(in, out, repeated);
        for (size_t d = 0; d < out->rank; d++)
            view.strides[d] = (int64_t)repeated[d];
        return view;
    }
    for (size_t d = 0; d < in->rank; d++) {
        size_t from = node->op == SOSIE_OP_TRANSPOSE ? node->permutation[d] : d;
        int64_t stride = (int64_t)sosie_shape_product(in, from + 1, in->rank);
        view.strides[d] = stride;
        if (node->op == SOSIE_OP_SLICE) {
            view.offset += stride * (int64_t)node->slice.start[d];
            /* a step may be larger than any tensor, if it is never taken */
            view.strides[d] =
                out->dims[d] > 1 ? stride * node->slice.step[d] : 0;
        }
    }
    return view;
}

static void copy_view(const struct view *view, const struct sosie_value *in,
                      const struct sosie_value *out, void *room)
{
    const struct sosie_shape *shape = &out->shape;
    size_t size = sosie_dtype_size(out->dtype);
    for (size_t i = 0; i < sosie_shape_count(shape); i++) {
        int64_t from = view->offset;
        for (size_t d = shape->rank, rest = i; d-- > 0; rest /= shape->dims[d])
            from += (int64_t)(rest % shape->dims[d]) * view->strides[d];
        memcpy((char *)room + i * size,
               (const char *)in->data + (size_t)from * size, size);
    }
}

static void concat(const struct sosie_graph *graph,
                   const struct sosie_node *node, const struct sosie_value *out,
                   char *room)
{
    size_t axis = (size_t)node->axis, rank = out->shape.rank;
    size_t outer = sosie_shape_product(&out->shape, 0, axis);
    for (size_t i = 0; i < outer; i++)
        for (size_t k = 0; k < node->n_inputs; k++) {
            const struct sosie_value *in = sosie_node_input(graph, node, k);
            size_t bytes = sosie_shape_product(&in->shape, axis, rank) *
                           sosie_dtype_size(in->dtype);
            memcpy(room, (const char *)in->data + i * bytes, bytes);
            room += bytes;
        }
}

static void gather(const struct sosie_node *node, const struct sosie_value *in,
                   char *room)
{
    size_t axis = (size_t)node->gather.axis;
    size_t outer = sosie_shape_product(&in->shape, 0, axis);
    size_t bytes = sosie_shape_product(&in->shape, axis + 1, in->shape.rank) *
                   sosie_dtype_size(in->dtype);
    for (size_t i = 0; i < outer; i++)
        for (size_t k = 0; k < sosie_shape_count(&node->gather.shape); k++) {
            size_t part = (size_t)node->gather.indices[k];
            memcpy(room,
                   (const char *)in->data +
                       (i * in->shape.dims[axis] + part) * bytes,
                   bytes);
            room += bytes;
        }
}

/* ---- any op -------------------------------------------------------------- */

enum kind { NOTHING, BINARY, REDUCE, VIEW, CONCAT, GATHER, FUNCTION };

static enum kind kind_of(const struct sosie_graph *graph,
                         const struct sosie_node *node)
{
    bool is_float = sosie_node_input(graph, node, 0)->dtype == SOSIE_F32;
    switch ((unsigned)node->op) {
    case SOSIE_OP_ADD:
    case SOSIE_OP_SUB:
    case SOSIE_OP_MUL:
    case SOSIE_OP_DIV:
    case SOSIE_OP_MIN:
    case SOSIE_OP_MAX:
        return BINARY;
    case SOSIE_OP_POW:
        return is_float ? BINARY : NOTHING;
    case SOSIE_OP_REDUCE_SUM:
    case SOSIE_OP_REDUCE_MEAN:
        return REDUCE;
    case SOSIE_OP_EXPAND:
    case SOSIE_OP_SLICE:
    case SOSIE_OP_TRANSPOSE:
        return VIEW;
    case SOSIE_OP_CONCAT:
        return CONCAT;
    case SOSIE_OP_GATHER:
        return GATHER;
    default:
        return is_float && sosie_op_is_act(node->op) ? FUNCTION : NOTHING;
    }
}

/* Are all inputs constants of one type that is computed with here? */
static bool are_constants(const struct sosie_graph *graph,
                          const struct sosie_node *node, size_t *n_elements)
{
    enum sosie_dtype dtype = SOSIE_I64;
    *n_elements = 0;
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct sosie_value *value = sosie_node_input(graph, node, k);
        if (!value || !value->data ||
            (value->dtype != SOSIE_I64 && value->dtype != SOSIE_F32) ||
            (k && value->dtype != dtype))
            return false;
        dtype = value->dtype;
        *n_elements += sosie_shape_count(&value->shape);
    }
    return node->n_inputs > 0 &&
           (dtype == SOSIE_I64 || *n_elements <= MAX_FLOATS);
}

static enum sosie_status compute(const struct sosie_graph *graph,
                                 const struct sosie_node *node, enum kind kind,
                                 const struct sosie_value *out, void *room,
                                 struct sosie_error *err)
{
    const struct sosie_value *in = sosie_node_input(graph, node, 0);
    size_t n = sosie_shape_count(&out->shape);
    struct view view;
    enum sosie_status st = SOSIE_OK;
    switch (kind) {
    case BINARY:
        return binary(node->op, in, sosie_node_input(graph, node, 1), out, room,
                      err);
    case REDUCE:
        st = sosie_onnx_fold_reduce(SOSIE_OP_ADD, in, &node->reduce, room, err);
        if (!st && node->op == SOSIE_OP_REDUCE_MEAN && n)
            divide(out, room, sosie_shape_count(&in->shape) / n);
        break;
    case VIEW:
        view = view_of(node, &in->shape, &out->shape);
        copy_view(&view, in, out, room);
        break;
    case CONCAT:
        concat(graph, node, out, room);
        break;
    case GATHER:
        gather(node, in, room);
        break;
    case FUNCTION:
        for (size_t i = 0; i < n; i++)
            ((float *)room)[i] = sosie_act_apply(node->op, node->act,
                                                 ((const float *)in->data)[i]);
        break;
    case NOTHING:
        break;
    }
    return st;
}

/* The shape of the result. A slice of a constant may be empty. */
static enum sosie_status infer(const struct sosie_graph *graph,
                               struct sosie_node *node,
                               struct sosie_shape *shape,
                               struct sosie_error *err)
{
    if (node->op != SOSIE_OP_SLICE)
        return sosie_node_infer(graph, node, shape, err);
    shape->rank = sosie_node_input(graph, node, 0)->shape.rank;
    memcpy(shape->dims, node->slice.count, sizeof(shape->dims));
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_fold(const struct sosie_graph *graph,
                                  struct sosie_node *node,
                                  struct sosie_onnx_store *store,
                                  struct sosie_value *out, bool *done,
                                  struct sosie_error *err)
{
    const struct sosie_value *in = sosie_node_input(graph, node, 0);
    bool is_reshape =
        node->op == SOSIE_OP_RESHAPE || node->op == SOSIE_OP_FLATTEN;
    enum kind kind = kind_of(graph, node);
    size_t n_inputs = 0;
    void *room;
    enum sosie_status st;

    *done = false;
    if (is_reshape ? !in->data
                   : kind == NOTHING || !are_constants(graph, node, &n_inputs))
        return SOSIE_OK;
    *out = (struct sosie_value){.dtype = in->dtype, .data = in->data};
    st = infer(graph, node, &out->shape, err);
    if (!st)
        st = sosie_shape_check(&out->shape, err);
    if (st || (out->dtype == SOSIE_F32 && !is_reshape &&
               sosie_shape_count(&out->shape) > MAX_FLOATS))
        return st;
    *done = true;
    if (is_reshape)
        return SOSIE_OK;
    st = sosie_onnx_spend(store, n_inputs, err); /* it takes time, too */
    if (!st)
        st = sosie_onnx_room(store, out, &room, err);
    return st ? st : compute(graph, node, kind, out, room, err);
}
