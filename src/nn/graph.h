/* graph.h: a network as values and the nodes that make them from one another.
 *
 * A *value* is a tensor: a constant (weights), an input, or the output of
 * exactly one node. A *node* applies an *op* to values. Nodes stand in an order
 * in which each uses only what was made before it, so there are no cycles.
 * Shapes are those of one photo: the batch, dimension 0 of what is computed, is
 * 1 here, and a batch is run photo by photo (net.h says why).
 *
 * The shape of a node's output is inferred, and everything about the node
 * checked, when it is added: a graph that exists can be run.
 * Unshared: one thread at a time. */
#ifndef SOSIE_NN_GRAPH_H
#define SOSIE_NN_GRAPH_H

#include "base/arena.h"
#include "nn/tensor.h"

/* Names as in ONNX, in alphabetical order. */
#define SOSIE_OP_LIST(X)                                                       \
    X(ADD, "Add")                                                              \
    X(BATCH_NORM, "BatchNormalization")                                        \
    X(CLIP, "Clip")                                                            \
    X(CONV, "Conv")                                                            \
    X(FLATTEN, "Flatten")                                                      \
    X(GEMM, "Gemm")                                                            \
    X(GLOBAL_AVERAGE_POOL, "GlobalAveragePool")                                \
    X(IDENTITY, "Identity")                                                    \
    X(RELU, "Relu")                                                            \
    X(RESHAPE, "Reshape")                                                      \
    X(SOFTMAX, "Softmax")

enum sosie_op {
#define SOSIE_OP_ENUM(name, text) SOSIE_OP_##name,
    SOSIE_OP_LIST(SOSIE_OP_ENUM)
#undef SOSIE_OP_ENUM
        SOSIE_N_OPS
};

/* "Conv", ... */
const char *sosie_op_name(enum sosie_op op);

/* "Add, BatchNormalization, ...", for messages. */
struct sosie_op_names {
    char text[256];
};
struct sosie_op_names sosie_op_names(void);

/* ---- values -------------------------------------------------------------- */

/* An index into a graph's values; SOSIE_NO_VALUE: an optional input that is
 * not given. */
typedef uint32_t sosie_value_id;
#define SOSIE_NO_VALUE UINT32_MAX

struct sosie_value {
    const char *name;
    enum sosie_dtype dtype;
    struct sosie_shape shape;
    const void *data; /* a constant's elements; NULL if it is computed */
};

/* ---- nodes --------------------------------------------------------------- */

enum {
    SOSIE_MAX_INPUTS = 5,
    SOSIE_MAX_POSTS = 3,
    SOSIE_MAX_ENDS = 8, /* inputs, and outputs, of a graph */
    SOSIE_MAX_NODES = 1 << 14
};

/* Where each op's inputs stand. */
enum { SOSIE_CONV_X, SOSIE_CONV_W, SOSIE_CONV_B, SOSIE_CONV_RESIDUAL };
enum { SOSIE_GEMM_A, SOSIE_GEMM_B, SOSIE_GEMM_C };
enum {
    SOSIE_BN_X,
    SOSIE_BN_SCALE,
    SOSIE_BN_SHIFT,
    SOSIE_BN_MEAN,
    SOSIE_BN_VARIANCE
};

enum sosie_auto_pad {
    SOSIE_PAD_EXPLICIT, /* as in `pads` */
    SOSIE_PAD_VALID,
    SOSIE_PAD_SAME_UPPER, /* the odd one at the end */
    SOSIE_PAD_SAME_LOWER
};

struct sosie_conv {
    size_t group;
    size_t kernel[2]; /* height, width; 0: as the weights say */
    size_t strides[2], dilations[2];
    size_t pads[4];               /* top, left, bottom, right */
    enum sosie_auto_pad auto_pad; /* resolved into pads when it is added */
};

struct sosie_gemm {
    bool trans_a, trans_b;
    float alpha, beta; /* alpha * A' * B' + beta * C */
};

struct sosie_range {
    float low, high;
};

struct sosie_reshape {
    size_t rank;
    int64_t dims[SOSIE_MAX_RANK]; /* -1: what is left over */
    bool allow_zero;              /* otherwise 0 means: as in the input */
};

struct sosie_softmax {
    int64_t axis;
    bool flatten; /* over all dimensions from axis on (opset < 13) */
};

/* What is done to each element of a convolution's result, in order, before it
 * is written. ADD adds the value SOSIE_CONV_RESIDUAL. */
enum sosie_post_kind { SOSIE_POST_CLIP, SOSIE_POST_ADD };
struct sosie_post {
    enum sosie_post_kind kind;
    struct sosie_range range; /* of CLIP */
};

struct sosie_node {
    const char *name;
    enum sosie_op op;
    size_t n_inputs;
    sosie_value_id inputs[SOSIE_MAX_INPUTS];
    sosie_value_id output;
    size_t n_posts;
    struct sosie_post posts[SOSIE_MAX_POSTS]; /* of CONV */
    union {
        struct sosie_conv conv;
        struct sosie_gemm gemm;
        struct sosie_range clip;
        struct sosie_reshape reshape;
        struct sosie_softmax softmax;
        int64_t flatten_axis;
        float epsilon; /* of BATCH_NORM */
    };
};

/* ---- graph --------------------------------------------------------------- */

struct sosie_graph {
    struct sosie_arena arena; /* names, and constants made by passes */
    struct sosie_value *values;
    size_t n_values, values_room;
    struct sosie_node *nodes;
    size_t n_nodes, nodes_room;
    size_t n_inputs, n_outputs;
    sosie_value_id inputs[SOSIE_MAX_ENDS], outputs[SOSIE_MAX_ENDS];
};

/* A graph that is all zero bytes is an empty one. */
void sosie_graph_release(struct sosie_graph *graph);

/* Adds a value, whose name is copied and whose data is borrowed for the life
 * of the graph. REFUSED if its shape is too large. */
SOSIE_MUST_CHECK enum sosie_status
sosie_graph_add_value(struct sosie_graph *graph,
                      const struct sosie_value *value, sosie_value_id *id,
                      struct sosie_error *err);

/* Adds a node and the value `output` that it makes. The node's name is copied;
 * its inputs are values of this graph.
 * Errors: BAD_INPUT if it contradicts itself or its inputs, REFUSED if it is
 * more than we support; the message names node and op. */
SOSIE_MUST_CHECK enum sosie_status
sosie_graph_add_node(struct sosie_graph *graph, const struct sosie_node *node,
                     const char *output, sosie_value_id *id,
                     struct sosie_error *err);

/* Input k of a node, or NULL if it is not given. */
const struct sosie_value *sosie_node_input(const struct sosie_graph *graph,
                                           const struct sosie_node *node,
                                           size_t k);

/* The sizes that a Softmax has: it works on `length` elements, `inner` apart,
 * in `outer` * `inner` places. */
struct sosie_softmax_sizes {
    size_t outer, length, inner;
};
struct sosie_softmax_sizes
sosie_softmax_sizes(const struct sosie_softmax *softmax,
                    const struct sosie_shape *shape);

/* Element strides with which a tensor of `shape` is read as one of `out`, to
 * which it is broadcast: 0 along dimensions that it repeats in. */
void sosie_broadcast_strides(const struct sosie_shape *shape,
                             const struct sosie_shape *out,
                             size_t strides[SOSIE_MAX_RANK]);

/* Infers the output's dtype and shape, and completes the node (auto_pad).
 * graph.c calls it. */
SOSIE_MUST_CHECK enum sosie_status
sosie_node_infer(const struct sosie_graph *graph, struct sosie_node *node,
                 struct sosie_shape *shape, struct sosie_error *err);

/* Makes the graph smaller without changing what its outputs are: drops nodes
 * that no output needs and Identity, folds batch normalisation into the
 * weights of convolutions, activations and residual sums into what a
 * convolution does before it writes, and factors into the weights of Gemm. */
SOSIE_MUST_CHECK enum sosie_status
sosie_graph_simplify(struct sosie_graph *graph, struct sosie_error *err);

#endif
