/* onnx_private.h: what the parts of the ONNX reader share.
 *
 *   onnx_parse.c       bytes to protobuf-c's message
 *   onnx.c             the file: names, inputs, nodes in their order, outputs
 *   onnx_tensor.c      tensors of the file as values of ours
 *   onnx_external.c    tensors whose data is in another file
 *   onnx_attr.c        a node's attributes, and inputs that are parameters
 *   onnx_ops.c         the table of ops
 *   onnx_ops_*.c       how each is read, by kind
 *   onnx_fold.c        our ops on constants: sizes, indices, scales
 *
 * Whole numbers of any type become constants of I64 as soon as they are read,
 * and stay constants: shapes are fixed, so all that is computed from them can
 * be computed here. bool is 0 or 1 of I64. 8-bit numbers stay as they are. */
#ifndef SOSIE_MODEL_ONNX_PRIVATE_H
#define SOSIE_MODEL_ONNX_PRIVATE_H

#include "model/onnx.h"
#include "model/onnx.pb-c.h"

/* AttributeProto.type and TensorProto.data_type, as far as we read them. */
enum {
    ONNX_ATTRIBUTE_FLOAT = 1,
    ONNX_ATTRIBUTE_INT = 2,
    ONNX_ATTRIBUTE_STRING = 3,
    ONNX_ATTRIBUTE_TENSOR = 4,
    ONNX_ATTRIBUTE_FLOATS = 6,
    ONNX_ATTRIBUTE_INTS = 7
};
enum {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_BFLOAT16 = 16
};

/* ---- the message --------------------------------------------------------- */

/* Parses a file's bytes, which must stay: raw_data of initializers that are
 * large points into them. sosie_onnx_free_message frees it.
 * Errors: BAD_INPUT if it is not ONNX, REFUSED, NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status sosie_onnx_parse(const void *bytes,
                                                    size_t size,
                                                    Onnx__ModelProto **message,
                                                    struct sosie_error *err);
void sosie_onnx_free_message(struct sosie_onnx *onnx);

/* protobuf-c leaves strings that are not there NULL. */
static inline const char *sosie_onnx_text(const char *string)
{
    return string ? string : "";
}

/* ---- tensors ------------------------------------------------------------- */

/* Where tensors come from, and what may still be spent on them. */
struct sosie_onnx_store {
    struct sosie_arena *arena; /* of the graph */
    const char *folder;        /* of the file; NULL: no data in other files */
    struct sosie_onnx_external *externals; /* those that have been read */
    /* Elements that may still be computed or copied here: a file of a few
     * bytes can ask for gigabytes of zeros. */
    size_t elements_left;
};

/* Reads type, shape and elements, which stay borrowed from the message or the
 * file where they can: floats also where they are not aligned. The name is left
 * alone. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_read_tensor(struct sosie_onnx_store *store,
                       const Onnx__TensorProto *proto,
                       struct sosie_value *value, struct sosie_error *err);

/* The n elements, of `element` bytes each, of a tensor whose data is in another
 * file of the folder. */
SOSIE_MUST_CHECK enum sosie_status sosie_onnx_read_external(
    struct sosie_onnx_store *store, const Onnx__TensorProto *proto, size_t n,
    size_t element, const void **bytes, struct sosie_error *err);

/* Takes n elements off what may be spent; REFUSED if there are not so many. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_spend(struct sosie_onnx_store *store, size_t n,
                 struct sosie_error *err);

/* Room for a constant's elements, of its dtype and shape, in the arena. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_room(struct sosie_onnx_store *store, struct sosie_value *value,
                void **room, struct sosie_error *err);

/* ---- a node -------------------------------------------------------------- */

/* A node of the file while it is read. */
struct sosie_onnx_source {
    const Onnx__NodeProto *proto;
    int64_t opset;
    struct sosie_graph *graph;
    struct sosie_onnx_store *store;
    const char *name;
    size_t n_inputs, n_outputs; /* up to the last that is given */
    sosie_value_id inputs[SOSIE_MAX_INPUTS];
    sosie_value_id outputs[SOSIE_MAX_INPUTS]; /* to be filled */
    size_t n_emitted;
    bool is_named; /* the error's text names node and op already */
};

/* Reads the node: adds what it stands for to the graph, and sets `outputs`.
 * The caller adds the node's name to errors that don't have it. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_read_op(struct sosie_onnx_source *source, struct sosie_error *err);

/* Input k, or NULL if it is not given. */
const struct sosie_value *
sosie_onnx_input(const struct sosie_onnx_source *source, size_t k);

/* Adds a node, whose inputs are set, or computes it if it depends on constants
 * that belong here. sosie_onnx_finish makes it output k of the file's node;
 * sosie_onnx_emit gives it a name of its own. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_emit(struct sosie_onnx_source *source, struct sosie_node *node,
                sosie_value_id *id, struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_finish(struct sosie_onnx_source *source, struct sosie_node *node,
                  size_t k, struct sosie_error *err);

/* Adds a constant; sosie_onnx_finish_constant makes it the node's output. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_emit_constant(struct sosie_onnx_source *source,
                         struct sosie_value *value, sosie_value_id *id,
                         struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_finish_constant(struct sosie_onnx_source *source,
                           struct sosie_value *value, struct sosie_error *err);

/* ---- attributes ---------------------------------------------------------- */

/* The attribute, or NULL if it is not there. BAD_INPUT if it is of another
 * type than the format says. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_find(const Onnx__NodeProto *proto, const char *name, int32_t type,
                const Onnx__AttributeProto **out, struct sosie_error *err);

/* Each leaves *value, the default, alone if the attribute is not there. */
SOSIE_MUST_CHECK enum sosie_status sosie_onnx_int(const Onnx__NodeProto *proto,
                                                  const char *name,
                                                  int64_t *value,
                                                  struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_float(const Onnx__NodeProto *proto, const char *name, float *value,
                 struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status sosie_onnx_flag(const Onnx__NodeProto *proto,
                                                   const char *name,
                                                   bool *value,
                                                   struct sosie_error *err);
/* Exactly n sizes. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_sizes(const Onnx__NodeProto *proto, const char *name, size_t n,
                 size_t *sizes, struct sosie_error *err);
/* The place of a word in `words`, which end with NULL; REFUSED for another. */
SOSIE_MUST_CHECK enum sosie_status sosie_onnx_word(const Onnx__NodeProto *proto,
                                                   const char *name,
                                                   const char *const *words,
                                                   unsigned *place,
                                                   struct sosie_error *err);
/* Refuses an attribute that has any but its usual value. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_need_int(const Onnx__NodeProto *proto, const char *name,
                    int64_t usual, struct sosie_error *err);

/* ---- inputs that are parameters ------------------------------------------ */

/* Whole numbers. `given` is false if the optional input or attribute is not
 * there. */
struct sosie_onnx_ints {
    bool given;
    size_t n;
    const int64_t *values;
    struct sosie_shape shape;
};

/* Input k, which must be a constant. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_input_ints(const struct sosie_onnx_source *source, size_t k,
                      struct sosie_onnx_ints *ints, struct sosie_error *err);
/* The same of floats; *values NULL if it is not given. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_input_floats(const struct sosie_onnx_source *source, size_t k,
                        const float **values, size_t *n,
                        struct sosie_error *err);
/* A list that is input k since opset `since`, and an attribute before. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_list(const struct sosie_onnx_source *source, const char *name,
                size_t k, int64_t since, struct sosie_onnx_ints *ints,
                struct sosie_error *err);
/* Puts an axis, which may count from the end, into 0 .. rank - 1. */
SOSIE_MUST_CHECK enum sosie_status sosie_onnx_axis(int64_t axis, size_t rank,
                                                   size_t *out,
                                                   struct sosie_error *err);

/* ---- constants ----------------------------------------------------------- */

/* Computes a node if all its inputs are constants of whole numbers, or of a few
 * floats; *done is false if it is not for here, but for the graph. *out has no
 * name yet. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_fold(const struct sosie_graph *graph, struct sosie_node *node,
                struct sosie_onnx_store *store, struct sosie_value *out,
                bool *done, struct sosie_error *err);

/* Reduces a constant by `op`, of two numbers. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_fold_reduce(enum sosie_op op, const struct sosie_value *in,
                       const struct sosie_reduce *reduce, void *room,
                       struct sosie_error *err);

/* Where element i of a tensor stands in one of other strides. */
size_t sosie_onnx_place(const struct sosie_shape *shape,
                        const size_t strides[SOSIE_MAX_RANK], size_t i);

/* ---- the ops, by kind ---------------------------------------------------- */

/* Fills in the parameters of `node`, whose op and inputs are set. Inputs that
 * are parameters in truth are dropped. */
typedef enum sosie_status sosie_onnx_reader(struct sosie_onnx_source *source,
                                            struct sosie_node *node,
                                            struct sosie_error *err);
/* Emits what the node stands for. */
typedef enum sosie_status sosie_onnx_builder(struct sosie_onnx_source *source,
                                             struct sosie_error *err);

/* onnx_ops_math.c */
sosie_onnx_reader sosie_onnx_plain_op, sosie_onnx_alpha, sosie_onnx_clip,
    sosie_onnx_gelu, sosie_onnx_gemm, sosie_onnx_hard_sigmoid, sosie_onnx_pow,
    sosie_onnx_reduce, sosie_onnx_softmax;
sosie_onnx_builder sosie_onnx_max, sosie_onnx_min, sosie_onnx_sum;

/* onnx_ops_layers.c */
sosie_onnx_reader sosie_onnx_average_pool, sosie_onnx_batch_norm,
    sosie_onnx_conv, sosie_onnx_layer_norm, sosie_onnx_lp_norm,
    sosie_onnx_max_pool;

/* onnx_ops_shape.c */
sosie_onnx_reader sosie_onnx_concat, sosie_onnx_expand, sosie_onnx_flatten,
    sosie_onnx_gather, sosie_onnx_reshape, sosie_onnx_squeeze,
    sosie_onnx_transpose, sosie_onnx_unsqueeze;
sosie_onnx_builder sosie_onnx_depth_to_space, sosie_onnx_space_to_depth;

/* onnx_ops_part.c */
sosie_onnx_reader sosie_onnx_pad, sosie_onnx_slice;
sosie_onnx_builder sosie_onnx_split;

/* onnx_ops_resize.c */
sosie_onnx_reader sosie_onnx_resize;

/* onnx_ops_constant.c */
sosie_onnx_reader sosie_onnx_dropout;
sosie_onnx_builder sosie_onnx_cast, sosie_onnx_constant,
    sosie_onnx_constant_of_shape, sosie_onnx_range, sosie_onnx_shape,
    sosie_onnx_size;

/* onnx_ops_whole.c: ops that are there for constants only */
sosie_onnx_builder sosie_onnx_abs, sosie_onnx_neg, sosie_onnx_ceil,
    sosie_onnx_equal, sosie_onnx_floor, sosie_onnx_reduce_max,
    sosie_onnx_reduce_min, sosie_onnx_reduce_prod, sosie_onnx_where;

/* onnx_ops_quantise.c */
sosie_onnx_reader sosie_onnx_dequantize, sosie_onnx_quantize;
sosie_onnx_builder sosie_onnx_qlinear_conv;

#endif
