/* onednn_lower_product.c: Gemm and MatMul on oneDNN.
 *
 * With a constant matrix, packed at load, they are inner products, or
 * convolutions where those are faster; others are products of two tensors. */
#include "nn/onednn_lowering.h"

#include <string.h>

/* ---- times a constant matrix --------------------------------------------- */

/* x * W + bias with constant W: rows x inner times inner x columns. */
struct product {
    sosie_value_id x, w, bias; /* bias may be SOSIE_NO_VALUE */
    int64_t rows, inner, columns;
    bool is_transposed; /* W is given as columns x inner */
};

/* Where the matrices stand: W as given and as packed. */
struct product_layouts {
    sosie_md src, given, weights, dst;
};

/* Makes lo->pd for sizes and strides of the three in `rank` dimensions. */
static dnnl_status_t product_layouts(struct sosie_lowering *lo, int rank,
                                     const dnnl_dims_t sizes[3],
                                     const dnnl_dims_t strides[3],
                                     struct product_layouts *layouts)
{
    dnnl_status_t dnn;
    if ((dnn = sosie_md_strided(lo->mds, rank, sizes[0], strides[0],
                                &layouts->src)) ||
        (dnn = sosie_md_as(lo->mds, layouts->src, lo->type, &layouts->src)) ||
        (dnn = sosie_md_strided(lo->mds, rank, sizes[1], strides[1],
                                &layouts->given)) ||
        (dnn = sosie_md_any(lo->mds, rank, sizes[1], lo->type,
                            &layouts->weights)))
        return dnn;
    return sosie_md_strided(lo->mds, rank, sizes[2], strides[2], &layouts->dst);
}

static dnnl_status_t as_inner_product(struct sosie_lowering *lo,
                                      const struct product *p, sosie_md bias,
                                      struct product_layouts *layouts)
{
    const dnnl_dims_t sizes[3] = {
        {p->rows, p->inner}, {p->columns, p->inner}, {p->rows, p->columns}};
    const dnnl_dims_t strides[3] = {
        {p->inner, 1},
        {p->is_transposed ? p->inner : 1, p->is_transposed ? 1 : p->columns},
        {p->columns, 1}};
    dnnl_status_t dnn = product_layouts(lo, 2, sizes, strides, layouts);
    return dnn ? dnn
               : sosie_inner_product_pd(lo->engine, layouts->src,
                                        layouts->weights, bias, layouts->dst,
                                        lo->attr, &lo->pd);
}

/* The rows as the pixels of a picture whose channels are the columns. */
static dnnl_status_t as_convolution(struct sosie_lowering *lo,
                                    const struct product *p, sosie_md bias,
                                    struct product_layouts *layouts)
{
    const struct sosie_conv_window window = {.strides = {1, 1},
                                             .dilations = {1, 1}};
    const dnnl_dims_t sizes[3] = {{1, p->inner, p->rows, 1},
                                  {p->columns, p->inner, 1, 1},
                                  {1, p->columns, p->rows, 1}};
    const dnnl_dims_t strides[3] = {
        {p->rows * p->inner, 1, p->inner, p->inner},
        {p->is_transposed ? p->inner : 1, p->is_transposed ? 1 : p->columns, 1,
         1},
        {p->rows * p->columns, 1, p->columns, p->columns}};
    dnnl_status_t dnn = product_layouts(lo, 4, sizes, strides, layouts);
    return dnn ? dnn
               : sosie_conv_pd(lo->engine, layouts->src, layouts->weights, bias,
                               layouts->dst, &window, lo->attr, &lo->pd);
}

/* Without AVX-512, oneDNN's inner product is a gemm that packs the weights in
 * each pass; its convolutions have them packed before. */
static dnnl_status_t choose_product(struct sosie_lowering *lo,
                                    const struct product *p, sosie_md bias,
                                    struct product_layouts *layouts)
{
    dnnl_status_t dnn = as_inner_product(lo, p, bias, layouts);
    if (!dnn && p->rows > 1 &&
        strstr(sosie_pd_implementation(lo->pd), "gemm:jit")) {
        dnnl_primitive_desc_t gemm = lo->pd;
        struct product_layouts better;
        lo->pd = NULL;
        if (as_convolution(lo, p, bias, &better) ||
            sosie_lowering_is_reference(lo) ||
            strstr(sosie_pd_implementation(lo->pd), "gemm")) {
            dnnl_primitive_desc_destroy(lo->pd);
            lo->pd = gemm;
        } else {
            dnnl_primitive_desc_destroy(gemm);
            *layouts = better;
        }
    }
    return dnn ? dnn
               : sosie_pd_md(lo->mds, lo->pd, dnnl_query_weights_md,
                             &layouts->weights);
}

static enum sosie_status lower_product(struct sosie_lowering *lo,
                                       const struct sosie_node *node,
                                       const struct product *p,
                                       struct sosie_error *err)
{
    struct sosie_lowering_tensor x, w, bias = {0},
                                       *out = &lo->tensors[node->output];
    bool has_bias = p->bias != SOSIE_NO_VALUE;
    struct product_layouts layouts;
    enum sosie_status st =
        sosie_lowering_in_plain_as(lo, p->x, lo->type, &x, err);
    dnnl_status_t dnn;
    if (!st && has_bias)
        st = sosie_lowering_in_plain(lo, p->bias, &bias, err);
    if (st)
        return st;
    dnn = choose_product(lo, p, bias.md, &layouts);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    x.md = layouts.src;
    st = sosie_lowering_packed(lo, p->w, layouts.given, layouts.weights, &w,
                               err);
    if (!st)
        st = sosie_lowering_new_tensor(lo, layouts.dst, out, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, x},
                                            {DNNL_ARG_WEIGHTS, w},
                                            {DNNL_ARG_DST, *out},
                                            {DNNL_ARG_BIAS, bias}};
        st = sosie_lowering_emit(lo, lo->pd, args, has_bias ? 4 : 3, err);
    }
    dnn = sosie_lowering_plain_md(
        lo->mds, sosie_lowering_shape(lo, node->output), &out->md);
    return st || !dnn ? st : sosie_onednn_fail(err, dnn, "a tensor's layout");
}

/* ---- Gemm ---------------------------------------------------------------- */

static bool is_one(float x)
{
    return !(x < 1.0F || x > 1.0F);
}

/* True if it is x * W + bias with constant W and one bias a column, as the
 * passes leave most Gemms. */
static bool is_inner_product(const struct sosie_graph *graph,
                             const struct sosie_node *node)
{
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_GEMM_B);
    const struct sosie_value *c = sosie_node_input(graph, node, SOSIE_GEMM_C);
    return !node->gemm.trans_a && b->data && is_one(node->gemm.alpha) &&
           (!c || (c->data && c->shape.rank == 1 && is_one(node->gemm.beta)));
}

enum sosie_status sosie_onednn_lower_gemm(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_graph *graph = &lo->net->graph;
    const struct sosie_shape *x =
        sosie_lowering_shape(lo, node->inputs[SOSIE_GEMM_A]);
    struct product p = {.x = node->inputs[SOSIE_GEMM_A],
                        .w = node->inputs[SOSIE_GEMM_B],
                        .bias = SOSIE_NO_VALUE,
                        .is_transposed = node->gemm.trans_b};
    if (!is_inner_product(graph, node))
        return sosie_onednn_lower_plain(lo, node, err);
    if (sosie_node_input(graph, node, SOSIE_GEMM_C))
        p.bias = node->inputs[SOSIE_GEMM_C];
    p.rows = (int64_t)x->dims[0];
    p.inner = (int64_t)x->dims[1];
    p.columns = (int64_t)sosie_lowering_shape(lo, node->output)->dims[1];
    return lower_product(lo, node, &p, err);
}

/* ---- MatMul -------------------------------------------------------------- */

/* Rows times a constant matrix: the rows of all batches are one matrix. */
static enum sosie_status lower_matmul_constant(struct sosie_lowering *lo,
                                               const struct sosie_node *node,
                                               struct sosie_error *err)
{
    const struct sosie_shape *b = sosie_lowering_shape(lo, node->inputs[1]);
    size_t n = sosie_shape_count(sosie_lowering_shape(lo, node->output));
    struct product p = {.x = node->inputs[0],
                        .w = node->inputs[1],
                        .bias = SOSIE_NO_VALUE,
                        .rows = (int64_t)(n / b->dims[1]),
                        .inner = (int64_t)b->dims[0],
                        .columns = (int64_t)b->dims[1]};
    return lower_product(lo, node, &p, err);
}

enum sosie_status sosie_onednn_lower_matmul(struct sosie_lowering *lo,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->output);
    const struct sosie_value *b = &lo->net->graph.values[node->inputs[1]];
    struct sosie_shape wide[2];
    struct sosie_lowering_tensor in[2], *out = &lo->tensors[node->output];
    sosie_md dst;
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;
    if (sosie_lowering_shape(lo, node->inputs[0])->rank < 2 ||
        b->shape.rank < 2)
        return sosie_onednn_lower_plain(lo, node, err);
    if (b->data && b->shape.rank == 2)
        return lower_matmul_constant(lo, node, err);
    dnn = sosie_lowering_plain_md(lo->mds, shape, &dst);
    for (size_t k = 0; k < 2 && !st && !dnn; k++) {
        st = sosie_lowering_in_plain(lo, node->inputs[k], &in[k], err);
        wide[k] = sosie_lowering_widened(
            sosie_lowering_shape(lo, node->inputs[k]), shape->rank);
        dnn = sosie_lowering_plain_md(lo->mds, &wide[k], &in[k].md);
    }
    if (st)
        return st;
    if (!dnn)
        dnn = sosie_matmul_pd(lo->engine, in[0].md, in[1].md, NULL, dst,
                              lo->attr, &lo->pd);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_new_tensor(lo, dst, out, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {{DNNL_ARG_SRC, in[0]},
                                            {DNNL_ARG_WEIGHTS, in[1]},
                                            {DNNL_ARG_DST, *out}};
        st = sosie_lowering_emit(lo, lo->pd, args, 3, err);
    }
    return st;
}
