/* dnnl_2.h: dnnl.h for oneDNN 2.x. Memory descriptors are plain structs; a
 * primitive descriptor takes an operation descriptor first. */
#ifndef SOSIE_NN_DNNL_2_H
#define SOSIE_NN_DNNL_2_H

#include "nn/dnnl.h"

/* ---- memory descriptors -------------------------------------------------- */

typedef const dnnl_memory_desc_t *sosie_md;

struct sosie_mds {
    struct sosie_arena *arena;
};

static inline void sosie_mds_release(struct sosie_mds *mds)
{
    (void)mds; /* they go with the arena */
}

static inline dnnl_status_t sosie_md_keep(struct sosie_mds *mds,
                                          const dnnl_memory_desc_t *md,
                                          sosie_md *out)
{
    dnnl_memory_desc_t *kept = sosie_arena_alloc(mds->arena, 1, sizeof(*kept));
    if (!kept)
        return dnnl_out_of_memory;
    *kept = *md;
    *out = kept;
    return dnnl_success;
}

/* Floats of the given sizes, `strides` elements apart. */
static inline dnnl_status_t sosie_md_strided(struct sosie_mds *mds, int rank,
                                             const dnnl_dims_t dims,
                                             const dnnl_dims_t strides,
                                             sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st =
        dnnl_memory_desc_init_by_strides(&md, rank, dims, dnnl_f32, strides);
    return st ? st : sosie_md_keep(mds, &md, out);
}

/* Numbers of the given sizes in a layout that has a name. */
static inline dnnl_status_t
sosie_md_tagged(struct sosie_mds *mds, int rank, const dnnl_dims_t dims,
                dnnl_data_type_t type, dnnl_format_tag_t layout, sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st =
        dnnl_memory_desc_init_by_tag(&md, rank, dims, type, layout);
    return st ? st : sosie_md_keep(mds, &md, out);
}

static inline dnnl_data_type_t sosie_md_type(sosie_md md)
{
    return md->data_type;
}

/* The same places for elements of another type; strided layouts only. */
static inline dnnl_status_t sosie_md_as(struct sosie_mds *mds, sosie_md md,
                                        dnnl_data_type_t type, sosie_md *out)
{
    dnnl_memory_desc_t as = *md;
    as.data_type = type;
    return sosie_md_keep(mds, &as, out);
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
    if (md->format_kind != dnnl_blocked ||
        md->format_desc.blocking.inner_nblks || md->offset0)
        return false;
    for (int i = 0; i < md->ndims; i++) {
        if (md->padded_dims[i] != md->dims[i])
            return false;
        dims[i] = md->dims[i];
        strides[i] = md->format_desc.blocking.strides[i];
    }
    *rank = md->ndims;
    return true;
}

/* Floats of sizes (1, C, 1, 1) whose channels stand in blocks of 8 or 16, as
 * those of `like`; false if it has none. */
static inline bool sosie_md_channels_like(struct sosie_mds *mds, sosie_md like,
                                          const dnnl_dims_t dims, sosie_md *out)
{
    const dnnl_blocking_desc_t *blocks = &like->format_desc.blocking;
    dnnl_memory_desc_t md;
    if (like->format_kind != dnnl_blocked || like->ndims != 4 ||
        blocks->inner_nblks != 1 || blocks->inner_idxs[0] != 1 ||
        (blocks->inner_blks[0] != 8 && blocks->inner_blks[0] != 16) ||
        dnnl_memory_desc_init_by_tag(&md, 4, dims, dnnl_f32,
                                     blocks->inner_blks[0] == 8 ? dnnl_aBcd8b
                                                                : dnnl_aBcd16b))
        return false;
    return !sosie_md_keep(mds, &md, out);
}

/* What a primitive chose; `what` as dnnl_query_src_md. */
static inline dnnl_status_t sosie_pd_md(struct sosie_mds *mds,
                                        const_dnnl_primitive_desc_t pd,
                                        dnnl_query_t what, sosie_md *out)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, what, 0);
    return md ? sosie_md_keep(mds, md, out) : dnnl_runtime_error;
}

/* ---- post-ops ------------------------------------------------------------ */

/* oneDNN's HardSwish has its numbers built in here. */
static inline dnnl_status_t
sosie_post_function(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, kind, a, b);
}

/* Adds what the destination held before. */
static inline dnnl_status_t sosie_post_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F);
}

/* ---- primitive descriptors ----------------------------------------------- */

/* bias may be NULL. */
static inline dnnl_status_t
sosie_conv_pd(dnnl_engine_t engine, sosie_md src, sosie_md weights,
              sosie_md bias, sosie_md dst, const struct sosie_conv_window *w,
              dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_dims_t dilations = {w->dilations[0] - 1, w->dilations[1] - 1};
    dnnl_convolution_desc_t desc;
    dnnl_status_t st = dnnl_dilated_convolution_forward_desc_init(
        &desc, dnnl_forward_inference, dnnl_convolution_direct, src, weights,
        bias, dst, w->strides, dilations, w->pads_begin, w->pads_end);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* bias may be NULL. */
static inline dnnl_status_t
sosie_inner_product_pd(dnnl_engine_t engine, sosie_md src, sosie_md weights,
                       sosie_md bias, sosie_md dst, dnnl_primitive_attr_t attr,
                       dnnl_primitive_desc_t *out)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t st = dnnl_inner_product_forward_desc_init(
        &desc, dnnl_forward_inference, src, weights, bias, dst);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* A function of one number. */
static inline dnnl_status_t sosie_eltwise_pd(dnnl_engine_t engine,
                                             dnnl_alg_kind_t kind, sosie_md md,
                                             float a, float b,
                                             dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t *out)
{
    dnnl_eltwise_desc_t desc;
    dnnl_status_t st = dnnl_eltwise_forward_desc_init(
        &desc, dnnl_forward_inference, kind, md, a, b);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* Arithmetic of `a` and of `b`, which repeats along dimensions of 1. */
static inline dnnl_status_t sosie_binary_pd(dnnl_engine_t engine,
                                            dnnl_alg_kind_t kind, sosie_md a,
                                            sosie_md b, sosie_md dst,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    dnnl_binary_desc_t desc;
    dnnl_status_t st = dnnl_binary_desc_init(&desc, kind, a, b, dst);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* Windows as those of convolutions. */
static inline dnnl_status_t
sosie_pool_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md src,
              sosie_md dst, const dnnl_dims_t kernel,
              const struct sosie_conv_window *w, dnnl_primitive_attr_t attr,
              dnnl_primitive_desc_t *out)
{
    dnnl_pooling_desc_t desc;
    dnnl_status_t st = dnnl_pooling_forward_desc_init(
        &desc, dnnl_forward_inference, kind, src, dst, w->strides, kernel,
        w->pads_begin, w->pads_end);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* bias may be NULL. */
static inline dnnl_status_t sosie_matmul_pd(dnnl_engine_t engine, sosie_md src,
                                            sosie_md weights, sosie_md bias,
                                            sosie_md dst,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    dnnl_matmul_desc_t desc;
    dnnl_status_t st = dnnl_matmul_desc_init(&desc, src, weights, bias, dst);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* Over the last dimension. */
static inline dnnl_status_t sosie_layer_norm_pd(dnnl_engine_t engine,
                                                sosie_md md, float epsilon,
                                                dnnl_primitive_attr_t attr,
                                                dnnl_primitive_desc_t *out)
{
    dnnl_layer_normalization_desc_t desc;
    dnnl_status_t st = dnnl_layer_normalization_forward_desc_init(
        &desc, dnnl_forward_inference, md, NULL, epsilon,
        dnnl_use_scale | dnnl_use_shift);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

static inline dnnl_status_t sosie_concat_pd(dnnl_engine_t engine, sosie_md dst,
                                            int n, int axis,
                                            const sosie_md *parts,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    dnnl_memory_desc_t *copies = calloc((size_t)n, sizeof(*copies));
    dnnl_status_t st = dnnl_out_of_memory;
    for (int i = 0; copies && i < n; i++)
        copies[i] = *parts[i];
    if (copies)
        st = dnnl_concat_primitive_desc_create(out, dst, n, axis, copies, attr,
                                               engine);
    free(copies);
    return st;
}

/* With given mean, variance, scale and shift. */
static inline dnnl_status_t sosie_batch_norm_pd(dnnl_engine_t engine,
                                                sosie_md md, float epsilon,
                                                dnnl_primitive_attr_t attr,
                                                dnnl_primitive_desc_t *out)
{
    dnnl_batch_normalization_desc_t desc;
    dnnl_status_t st = dnnl_batch_normalization_forward_desc_init(
        &desc, dnnl_forward_inference, md, epsilon,
        dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

static inline dnnl_status_t sosie_softmax_pd(dnnl_engine_t engine, sosie_md md,
                                             int axis,
                                             dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t *out)
{
    dnnl_softmax_v2_desc_t desc;
    dnnl_status_t st = dnnl_softmax_v2_forward_desc_init(
        &desc, dnnl_forward_inference, dnnl_softmax_accurate, md, md, axis);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

/* ---- training ------------------------------------------------------------ */

/* Whether the gradient of a batch normalisation must be given its shift. */
enum { SOSIE_NORM_GRAD_READS_SHIFT = 1 };

/* Numbers of another type than float32, `strides` elements apart. */
static inline dnnl_status_t
sosie_md_typed(struct sosie_mds *mds, int rank, const dnnl_dims_t dims,
               dnnl_data_type_t type, const dnnl_dims_t strides, sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st =
        dnnl_memory_desc_init_by_strides(&md, rank, dims, type, strides);
    return st ? st : sosie_md_keep(mds, &md, out);
}

/* `forward` is the descriptor of the forward primitive, here and below. */
static inline dnnl_status_t
sosie_conv_data_grad_pd(dnnl_engine_t engine, sosie_md src_grad,
                        sosie_md weights, sosie_md dst_grad,
                        const struct sosie_conv_window *w,
                        const_dnnl_primitive_desc_t forward,
                        dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_dims_t dilations = {w->dilations[0] - 1, w->dilations[1] - 1};
    dnnl_convolution_desc_t desc;
    dnnl_status_t st = dnnl_dilated_convolution_backward_data_desc_init(
        &desc, dnnl_convolution_direct, src_grad, weights, dst_grad, w->strides,
        dilations, w->pads_begin, w->pads_end);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

/* bias_grad may be NULL. */
static inline dnnl_status_t sosie_conv_weights_grad_pd(
    dnnl_engine_t engine, sosie_md src, sosie_md weights_grad,
    sosie_md bias_grad, sosie_md dst_grad, const struct sosie_conv_window *w,
    const_dnnl_primitive_desc_t forward, dnnl_primitive_attr_t attr,
    dnnl_primitive_desc_t *out)
{
    dnnl_dims_t dilations = {w->dilations[0] - 1, w->dilations[1] - 1};
    dnnl_convolution_desc_t desc;
    dnnl_status_t st = dnnl_dilated_convolution_backward_weights_desc_init(
        &desc, dnnl_convolution_direct, src, weights_grad, bias_grad, dst_grad,
        w->strides, dilations, w->pads_begin, w->pads_end);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

static inline dnnl_status_t
sosie_inner_data_grad_pd(dnnl_engine_t engine, sosie_md src_grad,
                         sosie_md weights, sosie_md dst_grad,
                         const_dnnl_primitive_desc_t forward,
                         dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t st = dnnl_inner_product_backward_data_desc_init(
        &desc, src_grad, weights, dst_grad);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

/* bias_grad may be NULL. */
static inline dnnl_status_t sosie_inner_weights_grad_pd(
    dnnl_engine_t engine, sosie_md src, sosie_md weights_grad,
    sosie_md bias_grad, sosie_md dst_grad, const_dnnl_primitive_desc_t forward,
    dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_inner_product_desc_t desc;
    dnnl_status_t st = dnnl_inner_product_backward_weights_desc_init(
        &desc, src, weights_grad, bias_grad, dst_grad);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

/* Keeps what its gradient needs. */
static inline dnnl_status_t sosie_eltwise_training_pd(
    dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md md, float a, float b,
    dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_eltwise_desc_t desc;
    dnnl_status_t st = dnnl_eltwise_forward_desc_init(
        &desc, dnnl_forward_training, kind, md, a, b);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

static inline dnnl_status_t
sosie_eltwise_grad_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md md,
                      float a, float b, const_dnnl_primitive_desc_t forward,
                      dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_eltwise_desc_t desc;
    dnnl_status_t st =
        dnnl_eltwise_backward_desc_init(&desc, kind, md, md, a, b);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

/* By the batch's own mean and variance; `relu`: followed by a Relu. */
static inline dnnl_status_t
sosie_batch_norm_training_pd(dnnl_engine_t engine, sosie_md md, float epsilon,
                             bool relu, dnnl_primitive_attr_t attr,
                             dnnl_primitive_desc_t *out)
{
    unsigned flags = dnnl_use_scale | dnnl_use_shift;
    dnnl_batch_normalization_desc_t desc;
    dnnl_status_t st;
    if (relu)
        flags |= dnnl_fuse_norm_relu;
    st = dnnl_batch_normalization_forward_desc_init(
        &desc, dnnl_forward_training, md, epsilon, flags);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

static inline dnnl_status_t
sosie_batch_norm_grad_pd(dnnl_engine_t engine, sosie_md md, float epsilon,
                         bool relu, const_dnnl_primitive_desc_t forward,
                         dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    unsigned flags = dnnl_use_scale | dnnl_use_shift;
    dnnl_batch_normalization_desc_t desc;
    dnnl_status_t st;
    if (relu)
        flags |= dnnl_fuse_norm_relu;
    st = dnnl_batch_normalization_backward_desc_init(&desc, dnnl_backward, md,
                                                     md, epsilon, flags);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

static inline dnnl_status_t
sosie_pool_training_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind, sosie_md src,
                       sosie_md dst, const dnnl_dims_t kernel,
                       const struct sosie_conv_window *w,
                       dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_pooling_desc_t desc;
    dnnl_status_t st = dnnl_pooling_forward_desc_init(
        &desc, dnnl_forward_training, kind, src, dst, w->strides, kernel,
        w->pads_begin, w->pads_end);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

static inline dnnl_status_t
sosie_pool_grad_pd(dnnl_engine_t engine, dnnl_alg_kind_t kind,
                   sosie_md src_grad, sosie_md dst_grad,
                   const dnnl_dims_t kernel, const struct sosie_conv_window *w,
                   const_dnnl_primitive_desc_t forward,
                   dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out)
{
    dnnl_pooling_desc_t desc;
    dnnl_status_t st = dnnl_pooling_backward_desc_init(
        &desc, kind, src_grad, dst_grad, w->strides, kernel, w->pads_begin,
        w->pads_end);
    return st ? st
              : dnnl_primitive_desc_create(out, &desc, attr, engine, forward);
}

#endif
