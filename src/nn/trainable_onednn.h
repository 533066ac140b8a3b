/* trainable_onednn.h: what the ops that are trained on oneDNN share.
 *
 *   trainable_onednn.c           which op goes which way; what they are made of
 *   trainable_onednn_conv.c      convolutions, pools
 *   trainable_onednn_math.c      functions of one number, batch normalisation,
 *                                sums
 *   trainable_onednn_product.c   products of matrices */
#ifndef SOSIE_NN_TRAINABLE_ONEDNN_H
#define SOSIE_NN_TRAINABLE_ONEDNN_H

#include "nn/onednn.h"
#include "nn/trainable_impl.h"

/* ---- primitives ---------------------------------------------------------- */

enum { SOSIE_TRAINING_MAX_ARGS = 10 };

/* The arguments of a primitive, gathered one by one. */
struct sosie_training_args {
    struct sosie_spot spots[SOSIE_TRAINING_MAX_ARGS];
    int ids[SOSIE_TRAINING_MAX_ARGS];
    size_t n;
};

void sosie_training_put(struct sosie_training_args *args, int id,
                        struct sosie_spot spot);

/* Adds the primitive and frees its descriptor. */
SOSIE_MUST_CHECK enum sosie_status sosie_training_emit_pd(
    struct sosie_trainable_walk *walk, dnnl_primitive_desc_t pd,
    const struct sosie_training_args *args, struct sosie_error *err);
/* The same for a forward pass, whose descriptor is kept: it is the backward
 * one's hint. */
SOSIE_MUST_CHECK enum sosie_status sosie_training_emit_hinted(
    struct sosie_trainable_walk *walk, dnnl_primitive_desc_t pd,
    const struct sosie_training_args *args, struct sosie_error *err);
/* Adds `pd`, which makes the gradient of input 0 in layout `md` from that of
 * the result and from weights: parameter 1, which stands as `given` says and is
 * wanted as `any`. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_emit_data_grad(struct sosie_trainable_walk *walk,
                              dnnl_primitive_desc_t pd, struct sosie_spot from,
                              sosie_md given, sosie_md any, sosie_md md,
                              struct sosie_error *err);
/* Adds `pd`, which makes the gradient of weights in layout `any` from input 0
 * and the gradient of the result, and of a bias (parameter 2) unless that is
 * NULL, and brings it to where it belongs. */
SOSIE_MUST_CHECK enum sosie_status sosie_training_emit_weights_grad(
    struct sosie_trainable_walk *walk, dnnl_primitive_desc_t pd,
    struct sosie_spot x, struct sosie_spot from, sosie_md given, sosie_md any,
    sosie_md bias, struct sosie_error *err);

enum sosie_status sosie_training_fail(const struct sosie_trainable_walk *walk,
                                      dnnl_status_t dnn,
                                      struct sosie_error *err);

/* Notes what goes forward or backward how. */
void sosie_training_note(struct sosie_trainable_walk *walk,
                         const_dnnl_primitive_desc_t pd, bool backward);
bool sosie_training_is_reference(const_dnnl_primitive_desc_t pd);

/* The node's number, and its forward primitive's descriptor. */
size_t sosie_training_number(const struct sosie_trainable_walk *walk);
dnnl_primitive_desc_t
sosie_training_hint(const struct sosie_trainable_walk *walk);

/* What this node keeps from its forward to its backward pass. */
struct sosie_spot sosie_training_kept(const struct sosie_trainable_walk *walk,
                                      sosie_md md);

/* ---- parameters ---------------------------------------------------------- */

/* Parameter k of the node, or its gradient, in its own dense layout. */
struct sosie_spot sosie_training_param(const struct sosie_trainable_walk *walk,
                                       size_t k, bool grad, sosie_md md);
bool sosie_training_is_param(const struct sosie_trainable_walk *walk, size_t k);
/* A parameter in layout `md`: as it is, or packed once a step. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_packed(struct sosie_trainable_walk *walk,
                      struct sosie_spot given, sosie_md md,
                      struct sosie_spot *out, struct sosie_error *err);

/* ---- layouts ------------------------------------------------------------- */

/* The type that activations have here. */
dnnl_data_type_t
sosie_training_element(const struct sosie_trainable_walk *walk);
dnnl_status_t sosie_training_vector_md(struct sosie_trainable_walk *walk,
                                       size_t n, sosie_md *md);
/* Layout `dnnl_format_tag_any`: what the primitive likes best. */
dnnl_status_t sosie_training_tagged_md(struct sosie_trainable_walk *walk,
                                       const struct sosie_shape *shape,
                                       dnnl_data_type_t type,
                                       dnnl_format_tag_t layout, sosie_md *md);
/* `md` in the type of activations, where strides can say it. */
dnnl_status_t sosie_training_typed_md(struct sosie_trainable_walk *walk,
                                      sosie_md md, sosie_md *out);

/* ---- ops ----------------------------------------------------------------- */

/* *done stays false if oneDNN has no way of the node. */
typedef enum sosie_status sosie_training_forward(struct sosie_trainable_walk *,
                                                 bool *done,
                                                 struct sosie_error *);
typedef enum sosie_status sosie_training_backward(struct sosie_trainable_walk *,
                                                  struct sosie_error *);

sosie_training_forward sosie_training_conv_forward, sosie_training_pool_forward,
    sosie_training_act_forward, sosie_training_norm_forward,
    sosie_training_sum_forward, sosie_training_product_forward;
sosie_training_backward sosie_training_conv_backward,
    sosie_training_pool_backward, sosie_training_act_backward,
    sosie_training_norm_backward, sosie_training_sum_backward,
    sosie_training_product_backward;

/* The activation that alone reads what this node makes, and that it can do as
 * well; NULL: none. */
const struct sosie_node *
sosie_training_fusable(const struct sosie_trainable_walk *walk, bool relu_only);
/* The gradient of what `act`, which this node does as well, reads: in place,
 * from its result. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_fused_grad(struct sosie_trainable_walk *walk,
                          const struct sosie_node *act,
                          struct sosie_error *err);

#endif
