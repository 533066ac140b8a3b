/* onednn_lower_conv.c: convolutions and pools on oneDNN.
 *
 * Convolutions choose the layouts that they are fastest in; pools take that of
 * their input. */
#include "nn/onednn_lowering.h"

#include <string.h>

/* ---- convolutions -------------------------------------------------------- */

/* Fills lo->conv_attr from the node's post-ops. */
static dnnl_status_t conv_posts(struct sosie_lowering *lo,
                                const struct sosie_node *node)
{
    dnnl_status_t dnn = dnnl_primitive_attr_clone(&lo->conv_attr, lo->attr);
    if (!dnn)
        dnn = dnnl_post_ops_create(&lo->posts);
    for (size_t p = 0; p < node->n_posts && !dnn; p++) {
        const struct sosie_post *post = &node->posts[p];
        if (post->op == SOSIE_OP_ADD)
            dnn = sosie_post_sum(lo->posts);
        else
            dnn = sosie_lowering_post_function(lo->posts, post);
    }
    return dnn ? dnn
               : dnnl_primitive_attr_set_post_ops(lo->conv_attr, lo->posts);
}

/* The layouts of a convolution: as given for weights, as chosen for all. */
struct conv_layouts {
    sosie_md given, src, weights, dst;
};

/* Makes lo->pd with free choice of layouts and tells what it chose. Weights of
 * groups have a dimension more in oneDNN: group, filters / group, ... */
static dnnl_status_t choose_conv(struct sosie_lowering *lo,
                                 const struct sosie_node *node, sosie_md bias,
                                 const struct sosie_conv_window *window,
                                 struct conv_layouts *layouts)
{
    const struct sosie_shape *w =
        sosie_lowering_shape(lo, node->inputs[SOSIE_CONV_W]);
    const struct sosie_shape *x =
        sosie_lowering_shape(lo, node->inputs[SOSIE_CONV_X]);
    int64_t group = (int64_t)node->conv.group;
    dnnl_dims_t dims = {0};
    int rank = 0;
    sosie_md src, weights, dst;
    dnnl_status_t dnn;

    if (group > 1)
        dims[rank++] = group;
    for (size_t i = 0; i < 4; i++)
        dims[rank++] = (int64_t)w->dims[i];
    dims[rank - 4] /= group;
    if ((dnn = sosie_lowering_dense_md(lo->mds, rank, dims, &layouts->given)) ||
        (dnn = sosie_md_any(lo->mds, rank, dims, lo->type, &weights)) ||
        (dnn = sosie_lowering_any_md(lo->mds, x, lo->type, &src)) ||
        (dnn = sosie_lowering_any_md(lo->mds,
                                     sosie_lowering_shape(lo, node->output),
                                     lo->type, &dst)) ||
        (dnn = conv_posts(lo, node)) ||
        (dnn = sosie_conv_pd(lo->engine, src, weights, bias, dst, window,
                             lo->conv_attr, &lo->pd)))
        return dnn;
    if ((dnn =
             sosie_pd_md(lo->mds, lo->pd, dnnl_query_src_md, &layouts->src)) ||
        (dnn = sosie_pd_md(lo->mds, lo->pd, dnnl_query_weights_md,
                           &layouts->weights)))
        return dnn;
    return sosie_pd_md(lo->mds, lo->pd, dnnl_query_dst_md, &layouts->dst);
}

/* A sum is written over the residual, so the output takes its buffer (or that
 * of its copy in the right layout); otherwise it gets a new one. */
static enum sosie_status conv_output(struct sosie_lowering *lo,
                                     const struct sosie_node *node, sosie_md md,
                                     struct sosie_error *err)
{
    struct sosie_lowering_tensor *out = &lo->tensors[node->output];
    if (node->n_inputs > SOSIE_CONV_RESIDUAL)
        return sosie_lowering_in_layout(lo, node->inputs[SOSIE_CONV_RESIDUAL],
                                        md, out, err);
    return sosie_lowering_new_tensor(lo, md, out, err);
}

enum sosie_status sosie_onednn_lower_conv(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_graph *graph = &lo->net->graph;
    bool has_bias = sosie_node_input(graph, node, SOSIE_CONV_B) != NULL;
    struct sosie_conv_window window;
    struct conv_layouts layouts;
    struct sosie_lowering_tensor x, w, bias = {0};
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;

    if (!sosie_onednn_window(&node->conv.window, &window))
        return sosie_onednn_lower_plain(lo, node, err);
    if (has_bias)
        st =
            sosie_lowering_in_plain(lo, node->inputs[SOSIE_CONV_B], &bias, err);
    if (st)
        return st;
    dnn = choose_conv(lo, node, bias.md, &window, &layouts);
    if (dnn)
        return sosie_lowering_without_pd(lo, node, dnn, err);
    st = sosie_lowering_in_layout(lo, node->inputs[SOSIE_CONV_X], layouts.src,
                                  &x, err);
    if (!st)
        st = sosie_lowering_packed(lo, node->inputs[SOSIE_CONV_W],
                                   layouts.given, layouts.weights, &w, err);
    if (!st)
        st = conv_output(lo, node, layouts.dst, err);
    if (!st) {
        struct sosie_lowering_arg args[] = {
            {DNNL_ARG_SRC, x},
            {DNNL_ARG_WEIGHTS, w},
            {DNNL_ARG_DST, lo->tensors[node->output]},
            {DNNL_ARG_BIAS, bias}};
        st = sosie_lowering_emit(lo, lo->pd, args, has_bias ? 4 : 3, err);
    }
    return st;
}

/* ---- pools --------------------------------------------------------------- */

/* A pool whose output takes the layout of its input. */
static enum sosie_status
lower_window(struct sosie_lowering *lo, const struct sosie_node *node,
             dnnl_alg_kind_t kind, const dnnl_dims_t kernel,
             const struct sosie_conv_window *window, struct sosie_error *err)
{
    struct sosie_lowering_tensor in;
    sosie_md md;
    dnnl_status_t dnn;
    enum sosie_status st =
        sosie_lowering_as_it_is(lo, node->inputs[0], &in, err);
    if (st)
        return st;
    dnn = sosie_lowering_any_md(lo->mds, sosie_lowering_shape(lo, node->output),
                                sosie_md_type(in.md), &md);
    if (!dnn)
        dnn = sosie_pool_pd(lo->engine, kind, in.md, md, kernel, window,
                            lo->attr, &lo->pd);
    if (!dnn && sosie_lowering_is_reference(lo))
        dnn = dnnl_unimplemented;
    if (!dnn)
        dnn = sosie_pd_md(lo->mds, lo->pd, dnnl_query_dst_md, &md);
    return dnn ? sosie_lowering_without_pd(lo, node, dnn, err)
               : sosie_lowering_unary(lo, node, in, md, err);
}

enum sosie_status sosie_onednn_lower_global_pool(struct sosie_lowering *lo,
                                                 const struct sosie_node *node,
                                                 struct sosie_error *err)
{
    const struct sosie_shape *shape = sosie_lowering_shape(lo, node->inputs[0]);
    struct sosie_conv_window window;
    memset(&window, 0, sizeof window);
    dnnl_dims_t kernel;
    if (shape->rank != 4)
        return sosie_onednn_lower_plain(lo, node, err);
    for (size_t i = 0; i < 2; i++)
        kernel[i] = window.strides[i] = (int64_t)shape->dims[2 + i];
    return lower_window(lo, node,
                        node->op == SOSIE_OP_GLOBAL_MAX_POOL
                            ? dnnl_pooling_max
                            : dnnl_pooling_avg_exclude_padding,
                        kernel, &window, err);
}

/* What an output beyond the padding needs is added to it. */
enum sosie_status sosie_onednn_lower_pool(struct sosie_lowering *lo,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_shape *in = sosie_lowering_shape(lo, node->inputs[0]);
    const struct sosie_shape *out = sosie_lowering_shape(lo, node->output);
    const struct sosie_window *w = &node->pool.window;
    struct sosie_conv_window window;
    memset(&window, 0, sizeof window);
    dnnl_dims_t kernel;
    bool is_max = node->op == SOSIE_OP_MAX_POOL;
    for (size_t i = 0; i < 2; i++) {
        size_t reach = (out->dims[2 + i] - 1) * w->strides[i] + w->kernel[i];
        size_t have = in->dims[2 + i] + w->pads[i];
        kernel[i] = (int64_t)w->kernel[i];
        window.strides[i] = (int64_t)w->strides[i];
        window.pads_begin[i] = (int64_t)w->pads[i];
        window.pads_end[i] = (int64_t)(reach > have ? reach - have : 0);
        if (w->dilations[i] != 1 ||
            (node->pool.counts_padding &&
             (size_t)window.pads_end[i] > w->pads[i + 2]))
            return sosie_onednn_lower_plain(lo, node, err);
    }
    return lower_window(lo, node,
                        is_max ? dnnl_pooling_max
                        : node->pool.counts_padding
                            ? dnnl_pooling_avg_include_padding
                            : dnnl_pooling_avg_exclude_padding,
                        kernel, &window, err);
}
