/* dnnl.h: the part of oneDNN that the engine uses, in one shape for every
 * version of it. This is the only file that includes oneDNN's headers and knows
 * which version it is; today 2.x (Debian 12 has 2.6). What 3.x does differently
 * stays below the same functions: there one call makes a primitive descriptor,
 * memory descriptors are handles, and eltwise post-ops have no scale.
 *
 * A memory descriptor is a `sosie_md`, a pointer that is valid as long as the
 * arena it was made in. */
#ifndef SOSIE_NN_DNNL_H
#define SOSIE_NN_DNNL_H

#include "base/arena.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdbool.h>
#include <stdint.h>

#if DNNL_VERSION_MAJOR != 2
#error "this file knows oneDNN 2.x"
#endif

/* oneDNN runs on as many threads as its OpenMP would; there is no other way to
 * tell it. Declared here because clang finds <omp.h> only for an OpenMP that is
 * not the one that oneDNN uses. The setting is the calling thread's own. */
void omp_set_num_threads(int n);

/* ---- memory descriptors -------------------------------------------------- */

typedef const dnnl_memory_desc_t *sosie_md;

static inline dnnl_status_t sosie_md_keep(struct sosie_arena *arena,
                                          const dnnl_memory_desc_t *md,
                                          sosie_md *out)
{
    dnnl_memory_desc_t *kept = sosie_arena_alloc(arena, 1, sizeof(*kept));
    if (!kept)
        return dnnl_out_of_memory;
    *kept = *md;
    *out = kept;
    return dnnl_success;
}

/* Floats of the given sizes, `strides` elements apart. */
static inline dnnl_status_t sosie_md_strided(struct sosie_arena *arena,
                                             int rank, const dnnl_dims_t dims,
                                             const dnnl_dims_t strides,
                                             sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st =
        dnnl_memory_desc_init_by_strides(&md, rank, dims, dnnl_f32, strides);
    return st ? st : sosie_md_keep(arena, &md, out);
}

/* Numbers of the given sizes in whatever layout the primitive likes best. */
static inline dnnl_status_t sosie_md_any(struct sosie_arena *arena, int rank,
                                         const dnnl_dims_t dims,
                                         dnnl_data_type_t type, sosie_md *out)
{
    dnnl_memory_desc_t md;
    dnnl_status_t st = dnnl_memory_desc_init_by_tag(&md, rank, dims, type,
                                                    dnnl_format_tag_any);
    return st ? st : sosie_md_keep(arena, &md, out);
}

static inline dnnl_data_type_t sosie_md_type(sosie_md md)
{
    return md->data_type;
}

/* The same places for elements of another type; strided layouts only. */
static inline dnnl_status_t sosie_md_as(struct sosie_arena *arena, sosie_md md,
                                        dnnl_data_type_t type, sosie_md *out)
{
    dnnl_memory_desc_t as = *md;
    as.data_type = type;
    return sosie_md_keep(arena, &as, out);
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

/* Floats of sizes (1, C, 1, 1) whose channels stand as those of `like`, in the
 * blocks that convolutions without AVX-512 choose; false if `like` has none. */
static inline bool sosie_md_channels_like(struct sosie_arena *arena,
                                          sosie_md like, const dnnl_dims_t dims,
                                          sosie_md *out)
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
    return !sosie_md_keep(arena, &md, out);
}

/* What a primitive chose; `what` as dnnl_query_src_md. */
static inline dnnl_status_t sosie_pd_md(struct sosie_arena *arena,
                                        const_dnnl_primitive_desc_t pd,
                                        dnnl_query_t what, sosie_md *out)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, what, 0);
    return md ? sosie_md_keep(arena, md, out) : dnnl_runtime_error;
}

/* "brgconv:avx512_core"; valid as long as pd. */
static inline const char *
sosie_pd_implementation(const_dnnl_primitive_desc_t pd)
{
    const char *name = NULL;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) ||
        !name)
        return "unknown";
    return name;
}

/* ---- post-ops ------------------------------------------------------------ */

static inline dnnl_status_t sosie_post_clip(dnnl_post_ops_t ops, float low,
                                            float high)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_clip, low,
                                        high);
}

static inline dnnl_status_t sosie_post_relu(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_relu, 0.0F,
                                        0.0F);
}

/* Adds what the destination held before. */
static inline dnnl_status_t sosie_post_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F);
}

/* ---- primitive descriptors ----------------------------------------------- */

struct sosie_conv_window {
    dnnl_dims_t strides, dilations; /* dilations as in ONNX: 1 is dense */
    dnnl_dims_t pads_begin, pads_end;
};

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
                                            const dnnl_memory_desc_t *parts,
                                            dnnl_primitive_attr_t attr,
                                            dnnl_primitive_desc_t *out)
{
    return dnnl_concat_primitive_desc_create(out, dst, n, axis, parts, attr,
                                             engine);
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

static inline dnnl_status_t sosie_reorder_pd(dnnl_engine_t engine,
                                             sosie_md from, sosie_md to,
                                             dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t *out)
{
    return dnnl_reorder_primitive_desc_create(out, from, engine, to, engine,
                                              attr);
}

#endif
