/* dnnl_3.h: dnnl.h for oneDNN 3.x. Memory descriptors are handles, which are
 * destroyed together; one call makes a primitive descriptor. */
#ifndef SOSIE_NN_DNNL_3_H
#define SOSIE_NN_DNNL_3_H

#include "nn/dnnl.h"

/* ---- memory descriptors -------------------------------------------------- */

typedef const_dnnl_memory_desc_t sosie_md;

struct sosie_mds {
    struct sosie_arena *arena;
    dnnl_memory_desc_t *all;
    size_t n, room;
};

static inline void sosie_mds_release(struct sosie_mds *mds)
{
    for (size_t i = 0; i < mds->n; i++)
        dnnl_memory_desc_destroy(mds->all[i]);
    free(mds->all);
    mds->all = NULL;
    mds->n = mds->room = 0;
}

/* Takes the descriptor over, whatever happens. */
static inline dnnl_status_t sosie_md_keep(struct sosie_mds *mds,
                                          dnnl_memory_desc_t md, sosie_md *out)
{
    if (mds->n == mds->room) {
        size_t room = mds->room ? 2 * mds->room : 256;
        void *larger = realloc(mds->all, room * sizeof(*mds->all));
        if (!larger) {
            dnnl_memory_desc_destroy(md);
            return dnnl_out_of_memory;
        }
        mds->all = larger;
        mds->room = room;
    }
    mds->all[mds->n++] = md;
    *out = md;
    return dnnl_success;
}

static inline dnnl_status_t
sosie_md_typed(struct sosie_mds *mds, int rank, const dnnl_dims_t dims,
               dnnl_data_type_t type, const dnnl_dims_t strides, sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st =
        dnnl_memory_desc_create_with_strides(&md, rank, dims, type, strides);
    return st ? st : sosie_md_keep(mds, md, out);
}

/* Floats of the given sizes, `strides` elements apart. */
static inline dnnl_status_t sosie_md_strided(struct sosie_mds *mds, int rank,
                                             const dnnl_dims_t dims,
                                             const dnnl_dims_t strides,
                                             sosie_md *out)
{
    return sosie_md_typed(mds, rank, dims, dnnl_f32, strides, out);
}

/* Numbers of the given sizes in a layout that has a name. */
static inline dnnl_status_t
sosie_md_tagged(struct sosie_mds *mds, int rank, const dnnl_dims_t dims,
                dnnl_data_type_t type, dnnl_format_tag_t layout, sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st =
        dnnl_memory_desc_create_with_tag(&md, rank, dims, type, layout);
    return st ? st : sosie_md_keep(mds, md, out);
}

static inline dnnl_data_type_t sosie_md_type(sosie_md md)
{
    dnnl_data_type_t type = dnnl_data_type_undef;
    dnnl_memory_desc_query(md, dnnl_query_data_type, &type);
    return type;
}

static inline size_t sosie_md_size(sosie_md md)
{
    return dnnl_memory_desc_get_size(md);
}

static inline bool sosie_md_equal(sosie_md a, sosie_md b)
{
    return dnnl_memory_desc_equal(a, b) != 0;
}

/* False if the layout is more than strides: blocked, padded, or opaque. */
static inline bool sosie_md_strides(sosie_md md, int *rank, dnnl_dims_t dims,
                                    dnnl_dims_t strides)
{
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    dnnl_dims_t *sizes, *padded, *steps;
    int32_t n_blocks = 0, n = 0;
    dnnl_dim_t offset = 0;
    if (dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) ||
        kind != dnnl_blocked ||
        dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &n_blocks) ||
        n_blocks ||
        dnnl_memory_desc_query(md, dnnl_query_submemory_offset_s64, &offset) ||
        offset || dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &n) ||
        dnnl_memory_desc_query(md, dnnl_query_dims, &sizes) ||
        dnnl_memory_desc_query(md, dnnl_query_padded_dims, &padded) ||
        dnnl_memory_desc_query(md, dnnl_query_strides, &steps))
        return false;
    for (int i = 0; i < n; i++) {
        if ((*padded)[i] != (*sizes)[i])
            return false;
        dims[i] = (*sizes)[i];
        strides[i] = (*steps)[i];
    }
    *rank = n;
    return true;
}

/* The same places for elements of another type; strided layouts only. */
static inline dnnl_status_t sosie_md_as(struct sosie_mds *mds, sosie_md md,
                                        dnnl_data_type_t type, sosie_md *out)
{
    dnnl_dims_t dims, strides;
    int rank;
    if (!sosie_md_strides(md, &rank, dims, strides))
        return dnnl_unimplemented;
    return sosie_md_typed(mds, rank, dims, type, strides, out);
}

/* Floats of sizes (1, C, 1, 1) whose channels stand in blocks of 8 or 16, as
 * those of `like`; false if it has none. */
static inline bool sosie_md_channels_like(struct sosie_mds *mds, sosie_md like,
                                          const dnnl_dims_t dims, sosie_md *out)
{
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    dnnl_dims_t *sizes, *places;
    int32_t n_blocks = 0, n = 0;
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_query(like, dnnl_query_format_kind, &kind) ||
        kind != dnnl_blocked ||
        dnnl_memory_desc_query(like, dnnl_query_ndims_s32, &n) || n != 4 ||
        dnnl_memory_desc_query(like, dnnl_query_inner_nblks_s32, &n_blocks) ||
        n_blocks != 1 ||
        dnnl_memory_desc_query(like, dnnl_query_inner_blks, &sizes) ||
        dnnl_memory_desc_query(like, dnnl_query_inner_idxs, &places) ||
        (*places)[0] != 1 || ((*sizes)[0] != 8 && (*sizes)[0] != 16) ||
        dnnl_memory_desc_create_with_tag(&md, 4, dims, dnnl_f32,
                                         (*sizes)[0] == 8 ? dnnl_aBcd8b
                                                          : dnnl_aBcd16b))
        return false;
    return !sosie_md_keep(mds, md, out);
}

/* What a primitive chose; `what` as dnnl_query_src_md. */
static inline dnnl_status_t sosie_pd_md(struct sosie_mds *mds,
                                        const_dnnl_primitive_desc_t pd,
                                        dnnl_query_t what, sosie_md *out)
{
    const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(pd, what, 0);
    dnnl_memory_desc_t copy;
    dnnl_status_t st =
        md ? dnnl_memory_desc_clone(&copy, md) : dnnl_runtime_error;
    return st ? st : sosie_md_keep(mds, copy, out);
}

/* ---- post-ops ------------------------------------------------------------ */

/* HardSwish is x * clip(a * x + b, 0, 1), for any a and b. */
static inline void sosie_function_numbers(dnnl_alg_kind_t kind, float *a,
                                          float *b)
{
    if (kind == dnnl_eltwise_hardswish) {
        *a = 1.0F / 6.0F;
        *b = 0.5F;
    }
}

static inline dnnl_status_t
sosie_post_function(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    sosie_function_numbers(kind, &a, &b);
    return dnnl_post_ops_append_eltwise(ops, kind, a, b);
}

/* Adds what the destination held before. */
static inline dnnl_status_t sosie_post_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F, 0, dnnl_data_type_undef);
}

/* ---- primitive descriptors ----------------------------------------------- */

/* bias may be NULL. */
static inline dnnl_status_t
sosie_conv_pd(dnnl_engine_t engine, sosie_md src, sosie_md weights,
              sosie_md bias, sosie_md dst, const struct sosie_conv_window *w,
              dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_dims_t dilations = {w->dilations[0] - 1, w->dilations[1] - 1};
    return dnnl_convolution_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, dnnl_convolution_direct, src,
        weights, bias, dst, w->strides, dilations, w->pads_begin, w->pads_end,
        attr);
}

/* bias may be NULL. */
static inline dnnl_status_t
sosie_inner_product_pd(dnnl_engine_t engine, sosie_md src, sosie_md weights,
                       sosie_md bias, sosie_md dst, dnnl_primitive_attr_t attr,
                       dnnl_primitive_desc_t *out)
{
    return dnnl_inner_product_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, src, weights, bias, dst, attr);
}

/* A function of one number. */
static inline dnnl_status_t sosie_eltwise_pd(dnnl_engine_t engine,
                                             dnnl_alg_kind_t kind, sosie_md md,
                                             float a, float b,
                                             dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t *out)
{
    sosie_function_numbers(kind, &a, &b);
    return dnnl_eltwise_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, kind, md, md, a, b, attr);
}

/* Arithmetic of `a` and of `b`, which repeats along dimensions of 1. */
static inline dnnl_status_t sosie_binary_pd(dnnl_engine_t engine,
                                            dnnl_alg_kind_t kind, sosie_md a,
                                            sosie_md b, sosie_md dst,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    return dnnl_binary_primitive_desc_create(out, engine, kind, a, b, dst,
                                             attr);
}

/* Windows as those of convolutions. */
static inline dnnl_status_t
sosie_pool_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md src,
              sosie_md dst, const dnnl_dims_t kernel,
              const struct sosie_conv_window *w, dnnl_primitive_attr_t attr,
              dnnl_primitive_desc_t *out)
{
    static const dnnl_dims_t dense = {0, 0};
    return dnnl_pooling_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, kind, src, dst, w->strides, kernel,
        dense, w->pads_begin, w->pads_end, attr);
}

/* bias may be NULL. */
static inline dnnl_status_t sosie_matmul_pd(dnnl_engine_t engine, sosie_md src,
                                            sosie_md weights, sosie_md bias,
                                            sosie_md dst,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    return dnnl_matmul_primitive_desc_create(out, engine, src, weights, bias,
                                             dst, attr);
}

/* Over the last dimension. */
static inline dnnl_status_t sosie_layer_norm_pd(dnnl_engine_t engine,
                                                sosie_md md, float epsilon,
                                                dnnl_primitive_attr_t attr,
                                                dnnl_primitive_desc_t *out)
{
    return dnnl_layer_normalization_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, md, md, NULL, epsilon,
        dnnl_use_scale | dnnl_use_shift, attr);
}

static inline dnnl_status_t sosie_concat_pd(dnnl_engine_t engine, sosie_md dst,
                                            int n, int axis,
                                            const sosie_md *parts,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    return dnnl_concat_primitive_desc_create(out, engine, dst, n, axis, parts,
                                             attr);
}

/* With given mean, variance, scale and shift. */
static inline dnnl_status_t sosie_batch_norm_pd(dnnl_engine_t engine,
                                                sosie_md md, float epsilon,
                                                dnnl_primitive_attr_t attr,
                                                dnnl_primitive_desc_t *out)
{
    return dnnl_batch_normalization_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, md, md, epsilon,
        dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift, attr);
}

static inline dnnl_status_t sosie_softmax_pd(dnnl_engine_t engine, sosie_md md,
                                             int axis,
                                             dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t *out)
{
    return dnnl_softmax_forward_primitive_desc_create(
        out, engine, dnnl_forward_inference, dnnl_softmax_accurate, md, md,
        axis, attr);
}

/* ---- training ------------------------------------------------------------ */

/* Whether the gradient of a batch normalisation must be given its shift. */
enum { SOSIE_NORM_GRAD_READS_SHIFT = 0 };

/* `forward` is the descriptor of the forward primitive, here and below. */
static inline dnnl_status_t
sosie_conv_data_grad_pd(dnnl_engine_t engine, sosie_md src_grad,
                        sosie_md weights, sosie_md dst_grad,
                        const struct sosie_conv_window *w,
                        const_dnnl_primitive_desc_t forward,
                        dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_dims_t dilations = {w->dilations[0] - 1, w->dilations[1] - 1};
    return dnnl_convolution_backward_data_primitive_desc_create(
        out, engine, dnnl_convolution_direct, src_grad, weights, dst_grad,
        w->strides, dilations, w->pads_begin, w->pads_end, forward, attr);
}

/* bias_grad may be NULL. */
static inline dnnl_status_t sosie_conv_weights_grad_pd(
    dnnl_engine_t engine, sosie_md src, sosie_md weights_grad,
    sosie_md bias_grad, sosie_md dst_grad, const struct sosie_conv_window *w,
    const_dnnl_primitive_desc_t forward, dnnl_primitive_attr_t attr,
    dnnl_primitive_desc_t *out)
{
    dnnl_dims_t dilations = {w->dilations[0] - 1, w->dilations[1] - 1};
    return dnnl_convolution_backward_weights_primitive_desc_create(
        out, engine, dnnl_convolution_direct, src, weights_grad, bias_grad,
        dst_grad, w->strides, dilations, w->pads_begin, w->pads_end, forward,
        attr);
}

static inline dnnl_status_t
sosie_inner_data_grad_pd(dnnl_engine_t engine, sosie_md src_grad,
                         sosie_md weights, sosie_md dst_grad,
                         const_dnnl_primitive_desc_t forward,
                         dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    return dnnl_inner_product_backward_data_primitive_desc_create(
        out, engine, src_grad, weights, dst_grad, forward, attr);
}

/* bias_grad may be NULL. */
static inline dnnl_status_t sosie_inner_weights_grad_pd(
    dnnl_engine_t engine, sosie_md src, sosie_md weights_grad,
    sosie_md bias_grad, sosie_md dst_grad, const_dnnl_primitive_desc_t forward,
    dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    return dnnl_inner_product_backward_weights_primitive_desc_create(
        out, engine, src, weights_grad, bias_grad, dst_grad, forward, attr);
}

/* Keeps what its gradient needs. */
static inline dnnl_status_t sosie_eltwise_training_pd(
    dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md md, float a, float b,
    dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    return dnnl_eltwise_forward_primitive_desc_create(
        out, engine, dnnl_forward_training, kind, md, md, a, b, attr);
}

static inline dnnl_status_t
sosie_eltwise_grad_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md md,
                      float a, float b, const_dnnl_primitive_desc_t forward,
                      dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    return dnnl_eltwise_backward_primitive_desc_create(
        out, engine, kind, md, md, md, a, b, forward, attr);
}

/* By the batch's own mean and variance; `relu`: followed by a Relu. */
static inline dnnl_status_t
sosie_batch_norm_training_pd(dnnl_engine_t engine, sosie_md md, float epsilon,
                             bool relu, dnnl_primitive_attr_t attr,
                             dnnl_primitive_desc_t *out)
{
    unsigned flags = dnnl_use_scale | dnnl_use_shift;
    if (relu)
        flags |= dnnl_fuse_norm_relu;
    return dnnl_batch_normalization_forward_primitive_desc_create(
        out, engine, dnnl_forward_training, md, md, epsilon, flags, attr);
}

static inline dnnl_status_t
sosie_batch_norm_grad_pd(dnnl_engine_t engine, sosie_md md, float epsilon,
                         bool relu, const_dnnl_primitive_desc_t forward,
                         dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    unsigned flags = dnnl_use_scale | dnnl_use_shift;
    if (relu)
        flags |= dnnl_fuse_norm_relu;
    return dnnl_batch_normalization_backward_primitive_desc_create(
        out, engine, dnnl_backward, md, md, md, epsilon, flags, forward, attr);
}

static inline dnnl_status_t
sosie_pool_training_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md src,
                       sosie_md dst, const dnnl_dims_t kernel,
                       const struct sosie_conv_window *w,
                       dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    const dnnl_dims_t dilations = {0, 0};
    return dnnl_pooling_forward_primitive_desc_create(
        out, engine, dnnl_forward_training, kind, src, dst, w->strides, kernel,
        dilations, w->pads_begin, w->pads_end, attr);
}

static inline dnnl_status_t
sosie_pool_grad_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind,
                   sosie_md src_grad, sosie_md dst_grad,
                   const dnnl_dims_t kernel, const struct sosie_conv_window *w,
                   const_dnnl_primitive_desc_t forward,
                   dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    const dnnl_dims_t dilations = {0, 0};
    return dnnl_pooling_backward_primitive_desc_create(
        out, engine, kind, src_grad, dst_grad, w->strides, kernel, dilations,
        w->pads_begin, w->pads_end, forward, attr);
}

#endif
