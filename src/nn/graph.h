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

#include <string.h>

/* Names as in ONNX, in alphabetical order; Swish is x * Sigmoid(x). What only
 * moves or counts sizes in ONNX (Shape, Squeeze, Split, ...) is resolved by the
 * reader and has no op here. */
#define SOSIE_OP_LIST(X)                                                       \
    X(ADD, "Add")                                                              \
    X(AVERAGE_POOL, "AveragePool")                                             \
    X(BATCH_NORM, "BatchNormalization")                                        \
    X(CLIP, "Clip")                                                            \
    X(CONCAT, "Concat")                                                        \
    X(CONV, "Conv")                                                            \
    X(DEQUANTIZE, "DequantizeLinear")                                          \
    X(DIV, "Div")                                                              \
    X(ELU, "Elu")                                                              \
    X(ERF, "Erf")                                                              \
    X(EXP, "Exp")                                                              \
    X(EXPAND, "Expand")                                                        \
    X(FLATTEN, "Flatten")                                                      \
    X(GATHER, "Gather")                                                        \
    X(GELU, "Gelu")                                                            \
    X(GEMM, "Gemm")                                                            \
    X(GLOBAL_AVERAGE_POOL, "GlobalAveragePool")                                \
    X(GLOBAL_MAX_POOL, "GlobalMaxPool")                                        \
    X(HARD_SIGMOID, "HardSigmoid")                                             \
    X(HARD_SWISH, "HardSwish")                                                 \
    X(IDENTITY, "Identity")                                                    \
    X(LAYER_NORM, "LayerNormalization")                                        \
    X(LEAKY_RELU, "LeakyRelu")                                                 \
    X(LP_NORM, "LpNormalization")                                              \
    X(MATMUL, "MatMul")                                                        \
    X(MAX, "Max")                                                              \
    X(MAX_POOL, "MaxPool")                                                     \
    X(MIN, "Min")                                                              \
    X(MUL, "Mul")                                                              \
    X(PAD, "Pad")                                                              \
    X(POW, "Pow")                                                              \
    X(PRELU, "PRelu")                                                          \
    X(QUANTIZE, "QuantizeLinear")                                              \
    X(REDUCE_L2, "ReduceL2")                                                   \
    X(REDUCE_MEAN, "ReduceMean")                                               \
    X(REDUCE_SUM, "ReduceSum")                                                 \
    X(RELU, "Relu")                                                            \
    X(RESHAPE, "Reshape")                                                      \
    X(RESIZE, "Resize")                                                        \
    X(SIGMOID, "Sigmoid")                                                      \
    X(SLICE, "Slice")                                                          \
    X(SOFTMAX, "Softmax")                                                      \
    X(SQRT, "Sqrt")                                                            \
    X(SUB, "Sub")                                                              \
    X(SWISH, "Swish")                                                          \
    X(TANH, "Tanh")                                                            \
    X(TRANSPOSE, "Transpose")

enum sosie_op {
#define SOSIE_OP_ENUM(name, text) SOSIE_OP_##name,
    SOSIE_OP_LIST(SOSIE_OP_ENUM)
#undef SOSIE_OP_ENUM
        SOSIE_N_OPS
};

/* "Conv", ... */
const char *sosie_op_name(enum sosie_op op);

/* ---- values -------------------------------------------------------------- */

/* An index into a graph's values; SOSIE_NO_VALUE: an optional input that is
 * not given. */
typedef uint32_t sosie_value_id;
#define SOSIE_NO_VALUE UINT32_MAX

/* What the whole numbers of a quantised tensor mean: element q of part i along
 * `axis` stands for (q - zero_points[i]) * scales[i]. */
struct sosie_quant {
    size_t axis; /* meaningless if n is 1 */
    size_t n;    /* 1: the same for the whole tensor */
    const float *scales;
    const int32_t *zero_points;
};

/* The values that nodes read are F32 or quantised (U8, I8; I32 for biases).
 * I64 is for the sizes and indices that the reader works with. */
struct sosie_value {
    const char *name;
    enum sosie_dtype dtype;
    struct sosie_shape shape;
    /* A constant's elements; NULL if it is computed. Floats that are used only
     * as weights, input 1 of CONV, GEMM and MATMUL, may stand unaligned, as a
     * file has them: sosie_float_at reads them. */
    const void *data;
    /* Set by the int8 pass on values that stay quantised between two ops, or
     * NULL: the meaning of their elements. In the graph's arena. */
    const struct sosie_quant *quant;
};

/* ---- nodes --------------------------------------------------------------- */

enum {
    SOSIE_MAX_INPUTS = 64, /* of a node */
    SOSIE_MAX_POSTS = 3,
    SOSIE_MAX_ENDS = 8,       /* inputs of a graph */
    SOSIE_MAX_OUTPUTS = 1024, /* of a graph */
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
enum { SOSIE_LN_X, SOSIE_LN_SCALE, SOSIE_LN_SHIFT };

enum sosie_auto_pad {
    SOSIE_PAD_EXPLICIT, /* as in `pads` */
    SOSIE_PAD_VALID,
    SOSIE_PAD_SAME_UPPER, /* the odd one at the end */
    SOSIE_PAD_SAME_LOWER
};

/* How a convolution or a pool slides over height and width. */
struct sosie_window {
    size_t kernel[2]; /* height, width; 0: as a convolution's weights say */
    size_t strides[2], dilations[2];
    size_t pads[4];               /* top, left, bottom, right */
    enum sosie_auto_pad auto_pad; /* resolved into pads when it is added */
};

struct sosie_conv {
    size_t group;
    struct sosie_window window;
};

struct sosie_pool {
    struct sosie_window window;
    bool ceil_mode;      /* a last window may reach beyond the padding */
    bool counts_padding; /* AveragePool: the padding counts as zeros */
};

struct sosie_gemm {
    bool trans_a, trans_b;
    float alpha, beta; /* alpha * A' * B' + beta * C */
};

/* The parameters of a function of one number:
 *   Clip         a: low, b: high
 *   LeakyRelu    a: slope below 0
 *   Elu          a: alpha
 *   HardSigmoid  a: alpha, b: beta: clip(a * x + b, 0, 1)
 *   Gelu         a: 0 exact (erf), 1 by tanh */
struct sosie_act {
    float a, b;
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

struct sosie_reduce {
    bool axes[SOSIE_MAX_RANK];
    bool keep_dims;
};

/* Element i along dimension d is element start[d] + i * step[d] of the input's,
 * 0 <= i < count[d]. */
struct sosie_slice {
    size_t start[SOSIE_MAX_RANK], count[SOSIE_MAX_RANK];
    int64_t step[SOSIE_MAX_RANK];
};

enum sosie_pad_mode { SOSIE_PAD_CONSTANT, SOSIE_PAD_REFLECT, SOSIE_PAD_EDGE };
struct sosie_pad {
    int64_t begin[SOSIE_MAX_RANK], end[SOSIE_MAX_RANK]; /* negative: cut */
    enum sosie_pad_mode mode;
    float value; /* of CONSTANT */
};

/* Takes the parts `indices` (n of them, each within the input's size) along
 * `axis`; their shape stands in that dimension's place. */
struct sosie_gather {
    int64_t axis;
    const int64_t *indices; /* in the graph's arena */
    struct sosie_shape shape;
};

/* The names are those of ONNX's coordinate_transformation_mode. */
enum sosie_resize_coordinates {
    SOSIE_RESIZE_HALF_PIXEL,
    SOSIE_RESIZE_PYTORCH_HALF_PIXEL,
    SOSIE_RESIZE_ALIGN_CORNERS,
    SOSIE_RESIZE_ASYMMETRIC
};
enum sosie_resize_rounding {
    SOSIE_ROUND_PREFER_FLOOR,
    SOSIE_ROUND_PREFER_CEIL,
    SOSIE_ROUND_FLOOR,
    SOSIE_ROUND_CEIL
};
struct sosie_resize {
    bool linear; /* otherwise: the nearest */
    enum sosie_resize_coordinates coordinates;
    enum sosie_resize_rounding rounding; /* of the nearest */
    size_t sizes[SOSIE_MAX_RANK];        /* of the output */
    float scales[SOSIE_MAX_RANK];        /* output's size / input's, as given */
};

struct sosie_layer_norm {
    int64_t axis; /* over all dimensions from this on */
    float epsilon;
};

struct sosie_lp_norm {
    int64_t axis;
    int p; /* 1 or 2 */
};

/* What is done to each element of a convolution's result, in order, before it
 * is written: the function `op` of one number, or, if that is SOSIE_OP_ADD, the
 * value SOSIE_CONV_RESIDUAL is added. */
struct sosie_post {
    enum sosie_op op;
    struct sosie_act act;
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
        struct sosie_act act; /* of the functions of one number */
        struct sosie_conv conv;
        struct sosie_gather gather;
        struct sosie_gemm gemm;
        struct sosie_layer_norm layer_norm;
        struct sosie_lp_norm lp_norm;
        struct sosie_pad pad;
        struct sosie_pool pool; /* of MAX_POOL and AVERAGE_POOL */
        struct sosie_reduce reduce;
        struct sosie_reshape reshape; /* of EXPAND, too: the shape given */
        struct sosie_resize resize;
        struct sosie_slice slice;
        struct sosie_softmax softmax;
        int64_t axis;                       /* of CONCAT and FLATTEN */
        float epsilon;                      /* of BATCH_NORM */
        size_t permutation[SOSIE_MAX_RANK]; /* of TRANSPOSE: dimension d of the
                                               output is the input's p[d] */
        struct {
            struct sosie_quant quant; /* in the graph's arena */
            enum sosie_dtype dtype;   /* of QUANTIZE's result: U8 or I8 */
            /* Set by the int8 pass: QUANTIZE reads bytes, and looks its result
             * up in this; NULL: it reads floats. In the graph's arena. */
            const uint8_t *table;
        } quantize; /* of QUANTIZE and DEQUANTIZE */
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
    sosie_value_id inputs[SOSIE_MAX_ENDS], outputs[SOSIE_MAX_OUTPUTS];
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

/* Bytes of a constant's elements. */
size_t sosie_value_size(const struct sosie_value *value);

/* Element i of floats that may stand unaligned. */
static inline float sosie_float_at(const void *data, size_t i)
{
    float x;
    memcpy(&x, (const char *)data + i * sizeof(x), sizeof(x));
    return x;
}

/* Copies a constant's elements if they stand unaligned. */
SOSIE_MUST_CHECK enum sosie_status sosie_graph_align(struct sosie_graph *graph,
                                                     sosie_value_id id,
                                                     struct sosie_error *err);
/* Copies a constant's elements, so that the graph has its own. */
SOSIE_MUST_CHECK enum sosie_status sosie_graph_own(struct sosie_graph *graph,
                                                   sosie_value_id id,
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

/* True for the functions of one number: Relu, Clip, Sigmoid, Swish, ... */
bool sosie_op_is_act(enum sosie_op op);

/* The function `op` of x: the specification of them all. */
float sosie_act_apply(enum sosie_op op, struct sosie_act act, float x);

/* True for Add, Sub, Mul, Div, Pow, Max, Min and PRelu, and what they make of
 * two numbers. */
bool sosie_op_is_binary(enum sosie_op op);
float sosie_binary_apply(enum sosie_op op, float a, float b);

/* Makes the graph smaller without changing what its outputs are. What it leaves
 * is still a network of ONNX's ops (and Swish): nodes that no output needs and
 * Identity are dropped; HardSwish, Swish, Gelu and LayerNormalization are
 * recognised in the ops that they were spelled with; zeros padded around a
 * convolution's input become its own; batch normalisation, scales and shifts
 * are folded into the weights of convolutions and Gemm. */
SOSIE_MUST_CHECK enum sosie_status
sosie_graph_simplify(struct sosie_graph *graph, struct sosie_error *err);

/* The first part of that, for a network that is trained: nothing is folded into
 * weights. */
SOSIE_MUST_CHECK enum sosie_status sosie_graph_tidy(struct sosie_graph *graph,
                                                    struct sosie_error *err);

/* Quantised networks in floating point: pairs of QuantizeLinear and
 * DequantizeLinear between two ops no longer round, they only clip, and weights
 * that stand behind a DequantizeLinear are computed. */
SOSIE_MUST_CHECK enum sosie_status
sosie_graph_dequantize(struct sosie_graph *graph, struct sosie_error *err);

/* Folds activations and residual sums into what a convolution does before it
 * writes (posts). The last pass: its result is for running only. */
SOSIE_MUST_CHECK enum sosie_status sosie_graph_fuse(struct sosie_graph *graph,
                                                    struct sosie_error *err);

#endif
