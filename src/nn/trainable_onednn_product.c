/* trainable_onednn_product.c: products with a matrix of weights, trained on
 * oneDNN as inner products. */
#include "nn/trainable_onednn.h"

/* ---- products ------------------------------------------------------------ */

/* x (N, K) times weights, plus a bias: an inner product. `given`: the weights
 * as (M, K), wherever they stand. */
struct product {
    size_t n, k, m;
    bool has_bias;
    sosie_md given, bias;
};

static bool find_product(struct sosie_trainable_walk *walk,
                         struct product *product, dnnl_status_t *dnn)
{
    const struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    const struct sosie_shape *x = &t->values[node->inputs[0]].shape;
    const struct sosie_gemm *gemm = &node->gemm;
    bool is_gemm = node->op == SOSIE_OP_GEMM;
    bool turned = is_gemm && gemm->trans_b;
    const struct sosie_shape *w;
    dnnl_dims_t dims, strides;

    if (t->graph.values[node->inputs[0]].data ||
        !sosie_training_is_param(walk, 1) || x->rank != 2 ||
        (is_gemm && (gemm->trans_a || gemm->alpha != 1 || gemm->beta != 1)))
        return false;
    w = &t->graph.values[node->inputs[1]].shape;
    if (w->rank != 2)
        return false;
    product->n = x->dims[0];
    product->k = x->dims[1];
    product->m = w->dims[turned ? 0 : 1];
    product->has_bias = node->n_inputs > 2 && node->inputs[2] != SOSIE_NO_VALUE;
    if (product->has_bias &&
        (!sosie_training_is_param(walk, 2) ||
         sosie_shape_count(&t->graph.values[node->inputs[2]].shape) !=
             product->m))
        return false;
    dims[0] = (int64_t)product->m;
    dims[1] = (int64_t)product->k;
    strides[0] = turned ? dims[1] : 1;
    strides[1] = turned ? 1 : dims[0];
    *dnn = sosie_md_strided(&walk->t->mds, 2, dims, strides, &product->given);
    product->bias = NULL;
    if (!*dnn && product->has_bias)
        *dnn = sosie_training_vector_md(walk, product->m, &product->bias);
    return true;
}

static dnnl_status_t any_weights(struct sosie_trainable_walk *walk,
                                 const struct product *product,
                                 dnnl_data_type_t type, sosie_md *any)
{
    dnnl_dims_t dims = {(int64_t)product->m, (int64_t)product->k};
    return sosie_md_any(&walk->t->mds, 2, dims, type, any);
}

enum sosie_status
sosie_training_product_forward(struct sosie_trainable_walk *walk, bool *done,
                               struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_trainable_value *out = &t->values[node->output];
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]), w;
    sosie_md src, any, dst;
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_training_args args = {.n = 0};
    struct product product;
    enum sosie_status st;
    dnnl_status_t dnn = dnnl_success;

    if (!find_product(walk, &product, &dnn))
        return SOSIE_OK;
    *done = true;
    if (dnn || (dnn = sosie_training_typed_md(walk, x.md, &src)) ||
        (dnn =
             any_weights(walk, &product, sosie_training_element(walk), &any)) ||
        (dnn = sosie_training_tagged_md(walk, &out->shape,
                                        sosie_training_element(walk),
                                        dnnl_format_tag_any, &dst)) ||
        (dnn = sosie_inner_product_pd(t->engine, src, any, product.bias, dst,
                                      t->attr, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &any)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_dst_md, &out->md))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    walk->hints[sosie_training_number(walk)] = pd;
    st = sosie_training_as(walk, x, src, &x, err);
    if (!st)
        st = sosie_training_packed(
            walk, sosie_training_param(walk, 1, false, product.given), any, &w,
            err);
    if (st)
        return st;
    sosie_training_put(&args, DNNL_ARG_SRC, x);
    sosie_training_put(&args, DNNL_ARG_WEIGHTS, w);
    if (product.has_bias)
        sosie_training_put(&args, DNNL_ARG_BIAS,
                           sosie_training_param(walk, 2, false, product.bias));
    sosie_training_put(&args, DNNL_ARG_DST,
                       sosie_training_value(walk, node->output));
    return sosie_training_emit_hinted(walk, pd, &args, err);
}

static enum sosie_status product_data_grad(struct sosie_trainable_walk *walk,
                                           const struct product *product,
                                           struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    sosie_value_id in = node->inputs[0];
    struct sosie_spot from = sosie_training_grad(walk, node->output);
    sosie_md src, any;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t dnn;

    if (!t->values[in].wants_grad)
        return SOSIE_OK;
    if ((dnn = sosie_training_typed_md(walk, t->values[in].md, &src)) ||
        (dnn =
             any_weights(walk, product, sosie_training_element(walk), &any)) ||
        (dnn = sosie_inner_data_grad_pd(t->engine, src, any, from.md,
                                        sosie_training_hint(walk), t->attr,
                                        &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_weights_md, &any))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    return sosie_training_emit_data_grad(walk, pd, from, product->given, any,
                                         src, err);
}

static enum sosie_status product_weights_grad(struct sosie_trainable_walk *walk,
                                              const struct product *product,
                                              struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_spot x = sosie_training_value(walk, node->inputs[0]);
    struct sosie_spot from = sosie_training_grad(walk, node->output);
    sosie_md src, any;
    dnnl_primitive_desc_t pd = NULL;
    enum sosie_status st;
    dnnl_status_t dnn;

    if ((dnn = sosie_training_typed_md(walk, x.md, &src)) ||
        (dnn = any_weights(walk, product, dnnl_f32, &any)) ||
        (dnn = sosie_inner_weights_grad_pd(t->engine, src, any, product->bias,
                                           from.md, sosie_training_hint(walk),
                                           t->attr, &pd)) ||
        (dnn = sosie_pd_md(&t->mds, pd, dnnl_query_diff_weights_md, &any))) {
        dnnl_primitive_desc_destroy(pd);
        return sosie_training_fail(walk, dnn, err);
    }
    st = sosie_training_as(walk, x, src, &x, err);
    if (st) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    return sosie_training_emit_weights_grad(walk, pd, x, from, product->given,
                                            any, product->bias, err);
}

enum sosie_status
sosie_training_product_backward(struct sosie_trainable_walk *walk,
                                struct sosie_error *err)
{
    struct product product;
    dnnl_status_t dnn = dnnl_success;
    enum sosie_status st;
    if (!find_product(walk, &product, &dnn) || dnn)
        return sosie_training_fail(walk, dnn, err);
    st = product_data_grad(walk, &product, err);
    return st ? st : product_weights_grad(walk, &product, err);
}
