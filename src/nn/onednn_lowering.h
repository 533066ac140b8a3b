/* onednn_lowering.h: what the files that lower nodes to oneDNN share.
 *
 *   onednn_lower.c           the walk over the nodes; layouts, tensors, steps
 *   onednn_lower_conv.c      convolutions and pools
 *   onednn_lower_math.c      functions of one number, arithmetic, norms
 *   onednn_lower_move.c      what only moves elements, or not even that
 *   onednn_lower_product.c   matrix products
 *
 * All memory is the net's: tensors are buffers of its plan, and what steps and
 * packings hold lives in its arena and among its descriptors. */
#ifndef SOSIE_NN_ONEDNN_LOWERING_H
#define SOSIE_NN_ONEDNN_LOWERING_H

#include "nn/onednn.h"

/* A value as it stands in memory. */
struct sosie_lowering_tensor {
    uint32_t buffer;
    sosie_md md;  /* NULL: nowhere yet */
    bool is_read; /* something relies on its layout */
};

/* What a step reads or writes. */
struct sosie_lowering_arg {
    int id; /* DNNL_ARG_SRC, ... */
    struct sosie_lowering_tensor tensor;
};

struct sosie_lowering {
    struct sosie_net *net;
    struct sosie_arena *arena;
    struct sosie_mds *mds;
    dnnl_engine_t engine;
    struct sosie_lowering_tensor *tensors; /* of each value */
    dnnl_primitive_attr_t attr; /* scratchpad from the caller, no post-ops */
    dnnl_data_type_t type;      /* of what convolutions and products multiply */
    struct sosie_int8 *int8;
    /* of the node at work; released after it */
    size_t node;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_attr_t conv_attr;
    dnnl_post_ops_t posts;
};

/* ---- layouts ------------------------------------------------------------- */

static inline const struct sosie_shape *
sosie_lowering_shape(const struct sosie_lowering *lo, sosie_value_id id)
{
    return &lo->net->graph.values[id].shape;
}

/* The sizes of a shape as oneDNN counts them: a scalar has one dimension.
 * Returns how many there are. */
int sosie_lowering_dims_of(const struct sosie_shape *shape, dnnl_dims_t dims);

/* A tensor's shape with as many dimensions as `rank`, 1s in front. */
struct sosie_shape sosie_lowering_widened(const struct sosie_shape *shape,
                                          size_t rank);

/* Floats, the last dimension dense and the others around it. */
dnnl_status_t sosie_lowering_dense_md(struct sosie_mds *mds, int rank,
                                      const dnnl_dims_t dims, sosie_md *md);

/* Row-major floats, as ONNX sees the tensor. */
dnnl_status_t sosie_lowering_plain_md(struct sosie_mds *mds,
                                      const struct sosie_shape *shape,
                                      sosie_md *md);

/* Whatever layout a primitive likes best. */
dnnl_status_t sosie_lowering_any_md(struct sosie_mds *mds,
                                    const struct sosie_shape *shape,
                                    dnnl_data_type_t type, sosie_md *md);

/* ---- tensors and steps --------------------------------------------------- */

/* Room for a tensor that stands as `md` says. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_new_tensor(struct sosie_lowering *lo, sosie_md md,
                          struct sosie_lowering_tensor *tensor,
                          struct sosie_error *err);

/* A constant, whose elements stand as `from` says, packed as `to` says. */
SOSIE_MUST_CHECK enum sosie_status sosie_lowering_packed(
    struct sosie_lowering *lo, sosie_value_id id, sosie_md from, sosie_md to,
    struct sosie_lowering_tensor *tensor, struct sosie_error *err);

/* A value in the layout `md`, moved there if it stands in another. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_in_layout(struct sosie_lowering *lo, sosie_value_id id,
                         sosie_md md, struct sosie_lowering_tensor *tensor,
                         struct sosie_error *err);

/* A value, row-major. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_in_plain(struct sosie_lowering *lo, sosie_value_id id,
                        struct sosie_lowering_tensor *tensor,
                        struct sosie_error *err);

/* The same as numbers of a type. */
SOSIE_MUST_CHECK enum sosie_status sosie_lowering_in_plain_as(
    struct sosie_lowering *lo, sosie_value_id id, dnnl_data_type_t type,
    struct sosie_lowering_tensor *tensor, struct sosie_error *err);

/* A value in the layout it stands in. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_as_it_is(struct sosie_lowering *lo, sosie_value_id id,
                        struct sosie_lowering_tensor *tensor,
                        struct sosie_error *err);

/* Adds a step that runs `pd` on `args`, and room for its scratchpad. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_emit(struct sosie_lowering *lo, const_dnnl_primitive_desc_t pd,
                    const struct sosie_lowering_arg *args, size_t n_args,
                    struct sosie_error *err);

/* ---- primitives ---------------------------------------------------------- */

/* True if lo->pd is oneDNN's reference implementation, which is slow. */
bool sosie_lowering_is_reference(const struct sosie_lowering *lo);

/* `pd` could not be made: if oneDNN just does not have it, plain C does. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_without_pd(struct sosie_lowering *lo,
                          const struct sosie_node *node, dnnl_status_t dnn,
                          struct sosie_error *err);

/* Runs lo->pd, which has one input and nothing else, for the node; its output
 * stands as `md` says. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lowering_unary(struct sosie_lowering *lo, const struct sosie_node *node,
                     struct sosie_lowering_tensor in, sosie_md md,
                     struct sosie_error *err);

/* Adds a function of one number to what is done to a primitive's results. */
dnnl_status_t sosie_lowering_post_function(dnnl_post_ops_t posts,
                                           const struct sosie_post *post);

/* ---- ops ----------------------------------------------------------------- */

/* Each adds the steps of one node and notes where its output stands. */
typedef enum sosie_status sosie_onednn_lower_op(struct sosie_lowering *lo,
                                                const struct sosie_node *node,
                                                struct sosie_error *err);

/* Any op, in plain C. */
sosie_onednn_lower_op sosie_onednn_lower_plain;

/* Those that oneDNN has; what it does not have of them is left to plain C. */
sosie_onednn_lower_op sosie_onednn_lower_conv, sosie_onednn_lower_pool,
    sosie_onednn_lower_global_pool;
sosie_onednn_lower_op sosie_onednn_lower_act, sosie_onednn_lower_binary,
    sosie_onednn_lower_softmax, sosie_onednn_lower_batch_norm,
    sosie_onednn_lower_layer_norm;
sosie_onednn_lower_op sosie_onednn_lower_view, sosie_onednn_lower_transpose,
    sosie_onednn_lower_concat;
sosie_onednn_lower_op sosie_onednn_lower_gemm, sosie_onednn_lower_matmul;

#endif
