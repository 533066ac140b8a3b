/* onednn_lower.h: the inside of lowering to oneDNN, for the files that each
 * lower some of the ops.
 *
 * The nodes are walked in order, and for each value it is known where it
 * stands: in which buffer, at which strides. All our layouts are strides;
 * pictures stand with their channels side by side (NHWC), which is what
 * oneDNN's kernels like best or nearly so on every CPU, so that a network stays
 * in one layout from its input to its head. Transposing, slicing and reshaping
 * then only change how a buffer is looked at, until something needs the
 * elements in other places: a reorder moves them. Weights are packed once, at
 * load, in whatever way the primitive likes.
 *
 *   onednn_lower.c   values, buffers and steps; inputs and outputs
 *   onednn_layout.c  arithmetic of strides
 *   onednn_conv.c    Conv
 *   onednn_matmul.c  Gemm, MatMul
 *   onednn_math.c    functions of one number, arithmetic of two tensors
 *   onednn_norm.c    Softmax and normalisations
 *   onednn_pool.c    pools, reductions, Resize
 *   onednn_move.c    what only moves elements
 *
 * What oneDNN does not have, or only as reference code, runs in plain C on
 * row-major tensors. */
#ifndef SOSIE_NN_ONEDNN_LOWER_H
#define SOSIE_NN_ONEDNN_LOWER_H

#include "nn/onednn.h"

/* ---- layouts (onednn_layout.c) ------------------------------------------- */

/* How the elements of a tensor stand: (i0, i1, ...) is i0 * strides[0] + ...
 * elements after the first. A scalar has one dimension, of 1. */
struct layout {
    dnnl_data_type_t type;
    int rank;
    dnnl_dims_t dims, strides;
};

/* Row-major, as ONNX sees the tensor. */
struct layout sosie_layout_rows(const struct sosie_shape *shape,
                                dnnl_data_type_t type);
/* The channels (dimension 1) of a pixel side by side. */
struct layout sosie_layout_pixels(const struct sosie_shape *shape,
                                  dnnl_data_type_t type);
/* The same order of dimensions in memory, without gaps. */
struct layout sosie_layout_compact(const struct layout *layout);
/* The layout of a tensor of `shape`, of the same rank, whose dimensions stand
 * in memory in the order of those of `like`, without gaps. */
struct layout sosie_layout_like(const struct layout *like,
                                const struct sosie_shape *shape);
struct layout sosie_layout_transpose(const struct layout *layout,
                                     const size_t *permutation);
/* Tells how the same elements, in the same order, are a tensor of `shape`.
 * False if strides cannot say it. */
bool sosie_layout_reshape(const struct layout *layout,
                          const struct sosie_shape *shape, struct layout *out);

/* True if the elements stand in the same places, as the same type: strides
 * along dimensions of size 1 do not matter. */
bool sosie_layout_same(const struct layout *a, const struct layout *b);
/* True if there are no gaps between the elements. */
bool sosie_layout_is_dense(const struct layout *layout);
/* True if they stand row-major, without gaps. */
bool sosie_layout_is_rows(const struct layout *layout);

int64_t sosie_layout_count(const struct layout *layout);
/* The dimensions of more than one element, as they stand in memory, the widest
 * stride first. Returns how many there are. */
int sosie_layout_order(const struct layout *layout, int order[SOSIE_MAX_RANK]);

/* ---- lowering ------------------------------------------------------------ */

/* Elements in memory. */
struct tensor {
    uint32_t buffer;
    size_t offset; /* of the first, in bytes */
    struct layout layout;
};

/* What a primitive is given. */
struct arg {
    int id; /* DNNL_ARG_SRC, ... */
    uint32_t buffer;
    size_t offset;
    sosie_md md;
};

/* A value that is not a constant. */
struct place {
    struct tensor tensor;
    struct tensor copy; /* if has_copy: the same in another layout */
    bool is_there, has_copy;
    bool is_read;  /* something relies on its layout */
    uint32_t uses; /* by nodes that are not lowered yet, or as an output */
};

struct lowering {
    struct sosie_net *net;
    struct sosie_arena *arena;
    struct sosie_mds *mds;
    dnnl_engine_t engine;
    dnnl_data_type_t type; /* of activations: f32 or bf16 */
    struct place *places;  /* of each value */
    uint32_t *reader;      /* of each value: its only one; SOSIE_NO_READER */
    bool *is_done;         /* of each node: lowered along with another */
    uint32_t *readers;     /* of each buffer: uses of the values in it */
    size_t readers_room;
    dnnl_primitive_attr_t bare; /* scratchpad from us, no post-ops */
    struct sosie_int8 *int8;    /* NULL: not quantised */
    /* of the node at work; released after it */
    size_t node;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t posts;
};
#define SOSIE_NO_READER UINT32_MAX

/* Each adds the steps of one node and notes where its output stands. */
typedef enum sosie_status sosie_lower_op(struct lowering *lo,
                                         const struct sosie_node *node,
                                         struct sosie_error *err);

const struct sosie_shape *sosie_lower_shape(const struct lowering *lo,
                                            sosie_value_id id);

/* As oneDNN describes it; NULL if it can't, for which primitives then can't be
 * made either. */
sosie_md sosie_lower_md(struct lowering *lo, const struct layout *layout);

/* How a value stands, or, if it is a constant, would stand row-major. */
struct layout sosie_lower_layout(const struct lowering *lo, sosie_value_id id);
/* The same, but without gaps: what ops that take any dense layout take. */
struct layout sosie_lower_dense(const struct lowering *lo, sosie_value_id id);

/* ---- values -------------------------------------------------------------- */

/* A value in this layout, moved there if it stands in another. The layout's
 * sizes may be another shape of as many elements. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lower_read(struct lowering *lo, sosie_value_id id,
                 const struct layout *layout, struct tensor *tensor,
                 struct sosie_error *err);

/* A constant whose elements stand as `from` says, packed as `to` says. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lower_pack(struct lowering *lo, sosie_value_id id, sosie_md from,
                 sosie_md to, uint32_t *buffer, struct sosie_error *err);

/* Memory that nothing else uses. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lower_new(struct lowering *lo, const struct layout *layout,
                struct tensor *tensor, struct sosie_error *err);

/* True if nothing reads the tensor's buffer after the node at work. */
bool sosie_lower_is_last(const struct lowering *lo,
                         const struct tensor *tensor);

/* Memory for a result that is written where `in`, of the same layout, is read:
 * that of `in` if nothing else needs it, or else new. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lower_over(struct lowering *lo, const struct tensor *in,
                 struct tensor *out, struct sosie_error *err);

/* Where the output of `node` stands. */
void sosie_lower_put(struct lowering *lo, const struct sosie_node *node,
                     const struct tensor *tensor);

/* ---- fusing -------------------------------------------------------------- */

/* The node that alone reads what `node` makes, unless the caller wants it, too;
 * NULL if there is none. */
const struct sosie_node *sosie_lower_reader(const struct lowering *lo,
                                            const struct sosie_node *node);

/* Appends a function of one number to `posts`; unimplemented for those that
 * oneDNN does not have. */
dnnl_status_t sosie_lower_post(dnnl_post_ops_t posts, enum sosie_op op,
                               struct sosie_act act);

/* Appends to lo->posts, which is there, the functions of one number that follow
 * `node`. Returns the last of them, or `node`. */
const struct sosie_node *sosie_lower_chain(struct lowering *lo,
                                           const struct sosie_node *node);

/* Makes lo->attr from lo->posts. */
dnnl_status_t sosie_lower_attr(struct lowering *lo);

/* The readers after `first` up to `last` are lowered along with it. */
void sosie_lower_absorb(struct lowering *lo, const struct sosie_node *first,
                        const struct sosie_node *last);

/* ---- steps --------------------------------------------------------------- */

/* True if lo->pd was made, which `dnn` says, and is more than reference code.
 * If not, the op has to be done in another way. */
bool sosie_lower_has(struct lowering *lo, dnnl_status_t dnn);

/* Releases lo->pd, attr and posts, for a second try. */
void sosie_lower_forget(struct lowering *lo);

struct arg sosie_lower_arg(struct lowering *lo, int id,
                           const struct tensor *tensor);

/* Adds a step that runs lo->pd on `args`, and room for its scratchpad. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lower_emit(struct lowering *lo, const struct arg *args, size_t n_args,
                 struct sosie_error *err);

/* Moves elements. */
SOSIE_MUST_CHECK enum sosie_status
sosie_lower_reorder(struct lowering *lo, const struct tensor *from,
                    const struct tensor *to, struct sosie_error *err);

/* ---- ops ----------------------------------------------------------------- */

sosie_lower_op sosie_lower_plain; /* any op, in plain C */
sosie_lower_op sosie_lower_map;   /* a function of one number, in plain C */
sosie_lower_op sosie_lower_conv;
sosie_lower_op sosie_lower_gemm, sosie_lower_matmul;
sosie_lower_op sosie_lower_act, sosie_lower_binary, sosie_lower_prelu,
    sosie_lower_pow;
sosie_lower_op sosie_lower_softmax, sosie_lower_layer_norm,
    sosie_lower_batch_norm;
sosie_lower_op sosie_lower_pool, sosie_lower_global_pool, sosie_lower_reduce,
    sosie_lower_resize;
sosie_lower_op sosie_lower_view, sosie_lower_transpose, sosie_lower_slice,
    sosie_lower_gather, sosie_lower_concat;

#endif
