/* shape.c: what each op makes of its inputs' shapes, and whether it may. */
#include "nn/shape.h"

#include <math.h>
#include <string.h>

/* ---- what is asked of inputs --------------------------------------------- */

enum sosie_status sosie_need_rank(const struct sosie_value *value, size_t rank,
                                  struct sosie_error *err)
{
    if (value->shape.rank == rank)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "input '%.80s' is %s; %zu dimensions are supported",
                      value->name, sosie_shape_text(&value->shape).text, rank);
}

/* Is it made by a DequantizeLinear of a constant? */
static bool is_dequantized(const struct sosie_graph *graph, sosie_value_id id)
{
    for (size_t i = graph->n_nodes; i-- > 0;)
        if (graph->nodes[i].output == id)
            return graph->nodes[i].op == SOSIE_OP_DEQUANTIZE &&
                   graph->values[graph->nodes[i].inputs[0]].data;
    return false;
}

enum sosie_status sosie_need_constant(const struct sosie_graph *graph,
                                      const struct sosie_node *node,
                                      size_t input, struct sosie_error *err)
{
    const struct sosie_value *value = sosie_node_input(graph, node, input);
    if (value->data || is_dequantized(graph, node->inputs[input]))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "input '%.80s' is computed; constants are supported here",
                      value->name);
}

enum sosie_status sosie_need_vector(const struct sosie_graph *graph,
                                    const struct sosie_node *node, size_t input,
                                    size_t n, struct sosie_error *err)
{
    const struct sosie_value *value = sosie_node_input(graph, node, input);
    if (value->shape.rank != 1 || value->shape.dims[0] != n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "input '%.80s' is %s; expected %zu", value->name,
                          sosie_shape_text(&value->shape).text, n);
    return sosie_need_constant(graph, node, input, err);
}

enum sosie_status sosie_wrap_axis(int64_t *axis, size_t rank, bool may_be_rank,
                                  struct sosie_error *err)
{
    int64_t n = (int64_t)rank;
    if (*axis < -n || *axis > n || (*axis == n && !may_be_rank))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "axis is %lld but the input has %zu dimensions",
                          (long long)*axis, rank);
    if (*axis < 0)
        *axis += n;
    return SOSIE_OK;
}

/* ---- element by element -------------------------------------------------- */

static enum sosie_status same_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    (void)err;
    *shape = sosie_node_input(graph, node, 0)->shape;
    return SOSIE_OK;
}

static enum sosie_status act_shape(const struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    if (isnan(node->act.a) || isnan(node->act.b))
        return sosie_fail(err, SOSIE_REFUSED, "a parameter is not a number");
    return same_shape(graph, node, shape, err);
}

static enum sosie_status clip_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    if (!(node->act.a <= node->act.b)) /* NaN, too */
        return sosie_fail(err, SOSIE_REFUSED,
                          "min %g and max %g; min <= max is supported",
                          (double)node->act.a, (double)node->act.b);
    return same_shape(graph, node, shape, err);
}

enum sosie_status sosie_broadcast_shape(const struct sosie_shape *a,
                                        const struct sosie_shape *b,
                                        struct sosie_shape *out,
                                        struct sosie_error *err)
{
    size_t rank = a->rank > b->rank ? a->rank : b->rank;

    out->rank = rank;
    for (size_t i = 0; i < rank; i++) {
        size_t m = i + a->rank < rank ? 1 : a->dims[i + a->rank - rank];
        size_t n = i + b->rank < rank ? 1 : b->dims[i + b->rank - rank];
        if (m != n && m != 1 && n != 1)
            return sosie_fail(
                err, SOSIE_BAD_INPUT, "shapes %s and %s do not fit each other",
                sosie_shape_text(a).text, sosie_shape_text(b).text);
        out->dims[i] = m > n ? m : n;
    }
    return SOSIE_OK;
}

static enum sosie_status binary_shape(const struct sosie_graph *graph,
                                      struct sosie_node *node,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    return sosie_broadcast_shape(&sosie_node_input(graph, node, 0)->shape,
                                 &sosie_node_input(graph, node, 1)->shape,
                                 shape, err);
}

void sosie_broadcast_strides(const struct sosie_shape *shape,
                             const struct sosie_shape *out,
                             size_t strides[SOSIE_MAX_RANK])
{
    size_t stride = 1;
    memset(strides, 0, SOSIE_MAX_RANK * sizeof(*strides));
    for (size_t i = 0; i < shape->rank; i++) {
        size_t dim = shape->dims[shape->rank - 1 - i];
        strides[out->rank - 1 - i] = dim == 1 ? 0 : stride;
        stride *= dim;
    }
}

/* The slope repeats, the input does not. */
static enum sosie_status prelu_shape(const struct sosie_graph *graph,
                                     struct sosie_node *node,
                                     struct sosie_shape *shape,
                                     struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    enum sosie_status st = binary_shape(graph, node, shape, err);
    if (!st && !sosie_shape_equal(in, shape))
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "a slope of %s for an input of %s",
            sosie_shape_text(&sosie_node_input(graph, node, 1)->shape).text,
            sosie_shape_text(in).text);
    return st;
}

/* ---- quantisation -------------------------------------------------------- */

static enum sosie_status quantize_shape(const struct sosie_graph *graph,
                                        struct sosie_node *node,
                                        struct sosie_shape *shape,
                                        struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    const struct sosie_quant *quant = &node->quantize.quant;
    if (quant->n != 1 &&
        (quant->axis >= in->rank || in->dims[quant->axis] != quant->n))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu scales along axis %zu of %s", quant->n,
                          quant->axis, sosie_shape_text(in).text);
    for (size_t i = 0; i < quant->n; i++)
        if (!(quant->scales[i] > 0.0F) || !isfinite(quant->scales[i]))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "scale %zu is %g; expected a positive number", i,
                              (double)quant->scales[i]);
    if (node->op == SOSIE_OP_QUANTIZE && node->quantize.dtype != SOSIE_U8 &&
        node->quantize.dtype != SOSIE_I8)
        return sosie_fail(err, SOSIE_REFUSED,
                          "it makes neither uint8 nor int8; those are "
                          "supported");
    return same_shape(graph, node, shape, err);
}

/* ---- normalisation ------------------------------------------------------- */

static enum sosie_status batch_norm_shape(const struct sosie_graph *graph,
                                          struct sosie_node *node,
                                          struct sosie_shape *shape,
                                          struct sosie_error *err)
{
    const struct sosie_value *x = sosie_node_input(graph, node, SOSIE_BN_X);
    if (x->shape.rank < 2)
        return sosie_need_rank(x, 4, err);
    for (size_t k = SOSIE_BN_SCALE; k <= SOSIE_BN_VARIANCE; k++) {
        enum sosie_status st =
            sosie_need_vector(graph, node, k, x->shape.dims[1], err);
        if (st)
            return st;
    }
    return same_shape(graph, node, shape, err);
}

static enum sosie_status softmax_shape(const struct sosie_graph *graph,
                                       struct sosie_node *node,
                                       struct sosie_shape *shape,
                                       struct sosie_error *err)
{
    enum sosie_status st;
    *shape = sosie_node_input(graph, node, 0)->shape;
    st = sosie_wrap_axis(&node->softmax.axis, shape->rank, false, err);
    return st;
}

struct sosie_softmax_sizes
sosie_softmax_sizes(const struct sosie_softmax *softmax,
                    const struct sosie_shape *shape)
{
    size_t axis = (size_t)softmax->axis;
    size_t end = softmax->flatten ? shape->rank : axis + 1;
    return (struct sosie_softmax_sizes){
        sosie_shape_product(shape, 0, axis),
        sosie_shape_product(shape, axis, end),
        sosie_shape_product(shape, end, shape->rank)};
}

static enum sosie_status layer_norm_shape(const struct sosie_graph *graph,
                                          struct sosie_node *node,
                                          struct sosie_shape *shape,
                                          struct sosie_error *err)
{
    struct sosie_layer_norm *norm = &node->layer_norm;
    enum sosie_status st;
    *shape = sosie_node_input(graph, node, SOSIE_LN_X)->shape;
    st = sosie_wrap_axis(&norm->axis, shape->rank, false, err);
    for (size_t k = SOSIE_LN_SCALE; k < node->n_inputs && !st; k++) {
        const struct sosie_value *v = sosie_node_input(graph, node, k);
        struct sosie_shape tail = {shape->rank - (size_t)norm->axis, {0}};
        struct sosie_shape all;
        memcpy(tail.dims, shape->dims + norm->axis,
               tail.rank * sizeof(*tail.dims));
        if (!v)
            continue;
        st = sosie_broadcast_shape(&v->shape, &tail, &all, err);
        if (!st && !sosie_shape_equal(&all, &tail))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "input '%.80s' is %s; it goes over %s", v->name,
                              sosie_shape_text(&v->shape).text,
                              sosie_shape_text(&tail).text);
    }
    return st;
}

static enum sosie_status lp_norm_shape(const struct sosie_graph *graph,
                                       struct sosie_node *node,
                                       struct sosie_shape *shape,
                                       struct sosie_error *err)
{
    *shape = sosie_node_input(graph, node, 0)->shape;
    if (node->lp_norm.p != 1 && node->lp_norm.p != 2)
        return sosie_fail(err, SOSIE_REFUSED, "p is %d; 1 and 2 are supported",
                          node->lp_norm.p);
    return sosie_wrap_axis(&node->lp_norm.axis, shape->rank, false, err);
}

static enum sosie_status reduce_shape(const struct sosie_graph *graph,
                                      struct sosie_node *node,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    const struct sosie_shape *in = &sosie_node_input(graph, node, 0)->shape;
    (void)err;
    *shape = (struct sosie_shape){0};
    for (size_t d = 0; d < in->rank; d++)
        if (!node->reduce.axes[d])
            shape->dims[shape->rank++] = in->dims[d];
        else if (node->reduce.keep_dims)
            shape->dims[shape->rank++] = 1;
    return SOSIE_OK;
}

/* ---- matrix products ----------------------------------------------------- */

static enum sosie_status gemm_shape(const struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_shape *shape,
                                    struct sosie_error *err)
{
    const struct sosie_value *a = sosie_node_input(graph, node, SOSIE_GEMM_A);
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_GEMM_B);
    const struct sosie_value *c = sosie_node_input(graph, node, SOSIE_GEMM_C);
    bool ta = node->gemm.trans_a, tb = node->gemm.trans_b;
    enum sosie_status st;

    if ((st = sosie_need_rank(a, 2, err)) || (st = sosie_need_rank(b, 2, err)))
        return st;
    if (a->shape.dims[!ta] != b->shape.dims[tb])
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "A is %s and B is %s: their inner sizes differ",
                          sosie_shape_text(&a->shape).text,
                          sosie_shape_text(&b->shape).text);
    *shape = (struct sosie_shape){2, {a->shape.dims[ta], b->shape.dims[!tb]}};
    for (size_t i = 0; c && i < c->shape.rank; i++) {
        size_t dim = c->shape.dims[c->shape.rank - 1 - i];
        if (i >= 2 || (dim != 1 && dim != shape->dims[1 - i]))
            return sosie_fail(err, SOSIE_BAD_INPUT, "C is %s; the result is %s",
                              sosie_shape_text(&c->shape).text,
                              sosie_shape_text(shape).text);
    }
    return SOSIE_OK;
}

/* The last two dimensions are matrices, those before them are broadcast; a
 * vector is a row on the left, a column on the right. */
static enum sosie_status matmul_shape(const struct sosie_graph *graph,
                                      struct sosie_node *node,
                                      struct sosie_shape *shape,
                                      struct sosie_error *err)
{
    const struct sosie_shape *in[2] = {
        &sosie_node_input(graph, node, 0)->shape,
        &sosie_node_input(graph, node, 1)->shape};
    struct sosie_shape a = *in[0], b = *in[1];
    size_t m, n;
    enum sosie_status st;
    if (!a.rank || !b.rank)
        return sosie_fail(err, SOSIE_BAD_INPUT, "a single number is no matrix");
    m = a.rank > 1 ? a.dims[a.rank - 2] : 1;
    n = b.rank > 1 ? b.dims[b.rank - 1] : 1;
    if (a.dims[a.rank - 1] != b.dims[b.rank > 1 ? b.rank - 2 : 0])
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "A is %s and B is %s: their inner sizes differ",
                          sosie_shape_text(&a).text, sosie_shape_text(&b).text);
    a.rank = a.rank > 1 ? a.rank - 2 : 0;
    b.rank = b.rank > 1 ? b.rank - 2 : 0;
    st = sosie_broadcast_shape(&a, &b, shape, err);
    if (!st && in[0]->rank > 1)
        shape->dims[shape->rank++] = m;
    if (!st && in[1]->rank > 1)
        shape->dims[shape->rank++] = n;
    return st;
}

/* ---- any node ------------------------------------------------------------ */

enum sosie_status sosie_node_infer(const struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    static sosie_infer *const infer[SOSIE_N_OPS] = {
        [SOSIE_OP_ADD] = binary_shape,
        [SOSIE_OP_AVERAGE_POOL] = sosie_infer_pool,
        [SOSIE_OP_BATCH_NORM] = batch_norm_shape,
        [SOSIE_OP_CLIP] = clip_shape,
        [SOSIE_OP_CONCAT] = sosie_infer_concat,
        [SOSIE_OP_CONV] = sosie_infer_conv,
        [SOSIE_OP_DEQUANTIZE] = quantize_shape,
        [SOSIE_OP_DIV] = binary_shape,
        [SOSIE_OP_ELU] = act_shape,
        [SOSIE_OP_ERF] = act_shape,
        [SOSIE_OP_EXP] = act_shape,
        [SOSIE_OP_EXPAND] = sosie_infer_expand,
        [SOSIE_OP_FLATTEN] = sosie_infer_flatten,
        [SOSIE_OP_GATHER] = sosie_infer_gather,
        [SOSIE_OP_GELU] = act_shape,
        [SOSIE_OP_GEMM] = gemm_shape,
        [SOSIE_OP_GLOBAL_AVERAGE_POOL] = sosie_infer_global_pool,
        [SOSIE_OP_GLOBAL_MAX_POOL] = sosie_infer_global_pool,
        [SOSIE_OP_HARD_SIGMOID] = act_shape,
        [SOSIE_OP_HARD_SWISH] = act_shape,
        [SOSIE_OP_IDENTITY] = same_shape,
        [SOSIE_OP_LAYER_NORM] = layer_norm_shape,
        [SOSIE_OP_LEAKY_RELU] = act_shape,
        [SOSIE_OP_LP_NORM] = lp_norm_shape,
        [SOSIE_OP_MATMUL] = matmul_shape,
        [SOSIE_OP_MAX] = binary_shape,
        [SOSIE_OP_MAX_POOL] = sosie_infer_pool,
        [SOSIE_OP_MIN] = binary_shape,
        [SOSIE_OP_MUL] = binary_shape,
        [SOSIE_OP_PAD] = sosie_infer_pad,
        [SOSIE_OP_POW] = binary_shape,
        [SOSIE_OP_PRELU] = prelu_shape,
        [SOSIE_OP_QUANTIZE] = quantize_shape,
        [SOSIE_OP_REDUCE_L2] = reduce_shape,
        [SOSIE_OP_REDUCE_MEAN] = reduce_shape,
        [SOSIE_OP_REDUCE_SUM] = reduce_shape,
        [SOSIE_OP_RELU] = act_shape,
        [SOSIE_OP_RESHAPE] = sosie_infer_reshape,
        [SOSIE_OP_RESIZE] = sosie_infer_resize,
        [SOSIE_OP_SIGMOID] = act_shape,
        [SOSIE_OP_SLICE] = sosie_infer_slice,
        [SOSIE_OP_SOFTMAX] = softmax_shape,
        [SOSIE_OP_SQRT] = act_shape,
        [SOSIE_OP_SUB] = binary_shape,
        [SOSIE_OP_SWISH] = act_shape,
        [SOSIE_OP_TANH] = act_shape,
        [SOSIE_OP_TRANSPOSE] = sosie_infer_transpose,
    };
    return infer[node->op](graph, node, shape, err);
}
