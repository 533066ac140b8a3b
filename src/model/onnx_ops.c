/* onnx_ops.c: the table of ops that are read, and how a node becomes one of
 * ours, or several, or a constant. */
#include "model/onnx_private.h"

#include <stdio.h>
#include <string.h>

/* ---- what a node becomes ------------------------------------------------- */

static bool is_empty(const struct sosie_node *slice, size_t rank)
{
    for (size_t d = 0; d < rank; d++)
        if (!slice->slice.count[d])
            return true;
    return false;
}

static enum sosie_status add(struct sosie_onnx_source *source,
                             struct sosie_node *node, const char *name,
                             sosie_value_id *id, struct sosie_error *err)
{
    const struct sosie_value *first = sosie_node_input(source->graph, node, 0);
    struct sosie_value folded;
    bool done;
    enum sosie_status st;
    node->name = source->name;
    if (node->op == SOSIE_OP_IDENTITY && first->data) {
        *id = node->inputs[0];
        return SOSIE_OK;
    }
    st = sosie_onnx_fold(source->graph, node, source->store, &folded, &done,
                         err);
    if (st)
        return st;
    if (done) {
        folded.name = name;
        return sosie_graph_add_value(source->graph, &folded, id, err);
    }
    if (node->op == SOSIE_OP_SLICE && is_empty(node, first->shape.rank))
        return sosie_fail(err, SOSIE_REFUSED,
                          "nothing is left of '%.80s'; at least one element "
                          "is supported",
                          first->name);
    st = sosie_graph_add_node(source->graph, node, name, id, err);
    /* of another name than the file's: that one is said as well */
    source->is_named = !strcmp(sosie_op_name(node->op),
                               sosie_onnx_text(source->proto->op_type));
    return st;
}

static const char *output_name(const struct sosie_onnx_source *source, size_t k)
{
    return sosie_onnx_text(source->proto->output[k]);
}

/* "NAME.1", ...; NULL when out of memory. */
static const char *inner_name(struct sosie_onnx_source *source)
{
    return sosie_arena_printf(&source->graph->arena, "%.200s.%zu", source->name,
                              ++source->n_emitted);
}

enum sosie_status sosie_onnx_emit(struct sosie_onnx_source *source,
                                  struct sosie_node *node, sosie_value_id *id,
                                  struct sosie_error *err)
{
    const char *name = inner_name(source);
    if (!name)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's names");
    return add(source, node, name, id, err);
}

enum sosie_status sosie_onnx_finish(struct sosie_onnx_source *source,
                                    struct sosie_node *node, size_t k,
                                    struct sosie_error *err)
{
    return add(source, node, output_name(source, k), &source->outputs[k], err);
}

enum sosie_status sosie_onnx_emit_constant(struct sosie_onnx_source *source,
                                           struct sosie_value *value,
                                           sosie_value_id *id,
                                           struct sosie_error *err)
{
    value->name = inner_name(source);
    if (!value->name)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's names");
    return sosie_graph_add_value(source->graph, value, id, err);
}

enum sosie_status sosie_onnx_finish_constant(struct sosie_onnx_source *source,
                                             struct sosie_value *value,
                                             struct sosie_error *err)
{
    value->name = output_name(source, 0);
    return sosie_graph_add_value(source->graph, value, &source->outputs[0],
                                 err);
}

/* ---- the table ----------------------------------------------------------- */

/* A node that becomes one of ours has a reader; what becomes several, or a
 * constant, has a builder. */
struct op {
    const char *name;
    size_t min_inputs, max_inputs;
    size_t max_outputs; /* in the format; ours is the first, or all of ANY */
    const char *attributes; /* those that are known, separated by spaces */
    sosie_onnx_reader *read;
    enum sosie_op op; /* with a reader */
    sosie_onnx_builder *build;
};

#define NODE_OF(name, min, max, outputs, attributes, how, op)                  \
    {                                                                          \
        name, min, max, outputs, attributes, sosie_onnx_##how, SOSIE_OP_##op,  \
            NULL                                                               \
    }
#define BUILD_OF(name, min, max, outputs, attributes, how)                     \
    {                                                                          \
        name, min, max, outputs, attributes, NULL, SOSIE_N_OPS,                \
            sosie_onnx_##how                                                   \
    }
#define NODE(name, min, max, attributes, how, op)                              \
    NODE_OF(name, min, max, 1, attributes, how, op)
#define BUILD(name, min, max, attributes, how)                                 \
    BUILD_OF(name, min, max, 1, attributes, how)
#define WINDOW "auto_pad dilations kernel_shape pads strides"
#define REDUCE "axes keepdims noop_with_empty_axes"
enum { ANY = SOSIE_MAX_INPUTS };

static const struct op ops[] = {
    BUILD("Abs", 1, 1, "", abs),
    NODE("Add", 2, 2, "", plain_op, ADD),
    NODE("AveragePool", 1, 1, WINDOW " ceil_mode count_include_pad",
         average_pool, AVERAGE_POOL),
    NODE_OF("BatchNormalization", 5, 5, 5,
            "epsilon momentum spatial training_mode", batch_norm, BATCH_NORM),
    BUILD("Cast", 1, 1, "to saturate", cast),
    BUILD("Ceil", 1, 1, "", ceil),
    NODE("Clip", 1, 3, "max min", clip, CLIP),
    NODE("Concat", 1, ANY, "axis", concat, CONCAT),
    BUILD("Constant", 0, 0, NULL, constant),
    BUILD("ConstantOfShape", 1, 1, "value", constant_of_shape),
    NODE("Conv", 2, 3, WINDOW " group", conv, CONV),
    BUILD("DepthToSpace", 1, 1, "blocksize mode", depth_to_space),
    NODE("DequantizeLinear", 2, 3, "axis block_size", dequantize, DEQUANTIZE),
    NODE("Div", 2, 2, "", plain_op, DIV),
    NODE_OF("Dropout", 1, 3, 2, "ratio seed", dropout, IDENTITY),
    NODE("Elu", 1, 1, "alpha", alpha, ELU),
    BUILD("Equal", 2, 2, "", equal),
    NODE("Erf", 1, 1, "", plain_op, ERF),
    NODE("Exp", 1, 1, "", plain_op, EXP),
    NODE("Expand", 2, 2, "", expand, EXPAND),
    NODE("Flatten", 1, 1, "axis", flatten, FLATTEN),
    BUILD("Floor", 1, 1, "", floor),
    NODE("Gather", 2, 2, "axis", gather, GATHER),
    NODE("Gelu", 1, 1, "approximate", gelu, GELU),
    NODE("Gemm", 2, 3, "alpha beta transA transB", gemm, GEMM),
    NODE("GlobalAveragePool", 1, 1, "", plain_op, GLOBAL_AVERAGE_POOL),
    NODE("GlobalMaxPool", 1, 1, "", plain_op, GLOBAL_MAX_POOL),
    NODE("HardSigmoid", 1, 1, "alpha beta", hard_sigmoid, HARD_SIGMOID),
    NODE("HardSwish", 1, 1, "", plain_op, HARD_SWISH),
    NODE("Identity", 1, 1, "", plain_op, IDENTITY),
    NODE_OF("LayerNormalization", 2, 3, 3, "axis epsilon stash_type",
            layer_norm, LAYER_NORM),
    NODE("LeakyRelu", 1, 1, "alpha", alpha, LEAKY_RELU),
    NODE("LpNormalization", 1, 1, "axis p", lp_norm, LP_NORM),
    NODE("MatMul", 2, 2, "", plain_op, MATMUL),
    BUILD("Max", 1, ANY, "", max),
    NODE_OF("MaxPool", 1, 1, 2, WINDOW " ceil_mode storage_order", max_pool,
            MAX_POOL),
    BUILD("Min", 1, ANY, "", min),
    NODE("Mul", 2, 2, "", plain_op, MUL),
    BUILD("Neg", 1, 1, "", neg),
    NODE("PRelu", 2, 2, "", plain_op, PRELU),
    NODE("Pad", 1, 4, "mode pads value", pad, PAD),
    NODE("Pow", 2, 2, "", pow, POW),
    BUILD("QLinearConv", 8, 9, WINDOW " group", qlinear_conv),
    NODE("QuantizeLinear", 2, 3, "axis block_size output_dtype saturate",
         quantize, QUANTIZE),
    BUILD("Range", 3, 3, "", range),
    NODE("ReduceL2", 1, 2, REDUCE, reduce, REDUCE_L2),
    BUILD("ReduceMax", 1, 2, REDUCE, reduce_max),
    NODE("ReduceMean", 1, 2, REDUCE, reduce, REDUCE_MEAN),
    BUILD("ReduceMin", 1, 2, REDUCE, reduce_min),
    BUILD("ReduceProd", 1, 2, REDUCE, reduce_prod),
    NODE("ReduceSum", 1, 2, REDUCE, reduce, REDUCE_SUM),
    NODE("Relu", 1, 1, "", plain_op, RELU),
    NODE("Reshape", 2, 2, "allowzero", reshape, RESHAPE),
    NODE("Resize", 1, 4,
         "antialias axes coordinate_transformation_mode cubic_coeff_a "
         "exclude_outside extrapolation_value keep_aspect_ratio_policy mode "
         "nearest_mode",
         resize, RESIZE),
    BUILD("Shape", 1, 1, "end start", shape),
    NODE("Sigmoid", 1, 1, "", plain_op, SIGMOID),
    BUILD("Size", 1, 1, "", size),
    NODE("Slice", 1, 5, "axes ends starts", slice, SLICE),
    NODE("Softmax", 1, 1, "axis", softmax, SOFTMAX),
    BUILD("SpaceToDepth", 1, 1, "blocksize", space_to_depth),
    BUILD_OF("Split", 1, 2, ANY, "axis num_outputs split", split),
    NODE("Sqrt", 1, 1, "", plain_op, SQRT),
    NODE("Squeeze", 1, 2, "axes", squeeze, RESHAPE),
    NODE("Sub", 2, 2, "", plain_op, SUB),
    BUILD("Sum", 1, ANY, "", sum),
    NODE("Tanh", 1, 1, "", plain_op, TANH),
    NODE("Transpose", 1, 1, "perm", transpose, TRANSPOSE),
    NODE("Unsqueeze", 1, 2, "axes", unsqueeze, RESHAPE),
    BUILD("Where", 3, 3, "", where),
};

enum { N_OPS = sizeof(ops) / sizeof(*ops) };

/* "Add, BatchNormalization, ...", for messages. */
struct op_names {
    char text[1024];
};

static struct op_names supported_ops(void)
{
    struct op_names names = {""};
    size_t used = 0;
    for (size_t i = 0; i < N_OPS && used < sizeof(names.text); i++) {
        int n = snprintf(names.text + used, sizeof(names.text) - used, "%s%s",
                         i ? ", " : "", ops[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return names;
}

static enum sosie_status find_op(const Onnx__NodeProto *proto,
                                 const struct op **found,
                                 struct sosie_error *err)
{
    const char *domain = sosie_onnx_text(proto->domain);
    if (*domain && strcmp(domain, "ai.onnx"))
        return sosie_fail(err, SOSIE_REFUSED,
                          "ops of domain '%.80s' are not supported; those of "
                          "ONNX itself are",
                          domain);
    for (size_t i = 0; i < N_OPS; i++)
        if (!strcmp(sosie_onnx_text(proto->op_type), ops[i].name)) {
            *found = &ops[i];
            return SOSIE_OK;
        }
    return sosie_fail(err, SOSIE_REFUSED,
                      "this op is not supported; supported: %s",
                      supported_ops().text);
}

/* ---- any node ------------------------------------------------------------ */

/* True if `name` is one of the words of `list`. */
static bool is_listed(const char *name, const char *list)
{
    size_t n = strlen(name);
    for (const char *word = list; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (length == n && !memcmp(word, name, n))
            return true;
        word += length;
    }
    return false;
}

static enum sosie_status check_attributes(const Onnx__NodeProto *proto,
                                          const char *list,
                                          struct sosie_error *err)
{
    for (size_t i = 0; list && i < proto->n_attribute; i++) {
        const char *name = sosie_onnx_text(proto->attribute[i]->name);
        if (!is_listed(name, list))
            return sosie_fail(err, SOSIE_REFUSED,
                              "attribute '%.80s' is not supported; supported: "
                              "%s",
                              name, *list ? list : "none");
    }
    return SOSIE_OK;
}

static enum sosie_status check_inputs(const struct op *op,
                                      const struct sosie_onnx_source *source,
                                      struct sosie_error *err)
{
    size_t given = 0, needed = op->min_inputs;
    while (given < source->n_inputs && source->inputs[given] != SOSIE_NO_VALUE)
        given++;
    if (op->max_inputs == ANY) /* a list without holes */
        needed = source->n_inputs > needed ? source->n_inputs : needed;
    if (given >= needed && source->n_inputs <= op->max_inputs)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "%zu inputs, the first %zu of them given; expected %zu "
                      "to %zu",
                      source->n_inputs, given, op->min_inputs, op->max_inputs);
}

static enum sosie_status check_outputs(const struct op *op,
                                       const struct sosie_onnx_source *source,
                                       struct sosie_error *err)
{
    bool has_first = source->n_outputs && *output_name(source, 0);
    if (source->n_outputs <= op->max_outputs &&
        (has_first || (source->n_outputs && op->max_outputs == ANY)))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT, "%zu outputs%s; expected 1 to %zu",
                      source->n_outputs,
                      has_first ? "" : ", the first not given",
                      op->max_outputs);
}

enum sosie_status sosie_onnx_read_op(struct sosie_onnx_source *source,
                                     struct sosie_error *err)
{
    struct sosie_node node = {.n_inputs = source->n_inputs};
    const struct op *op = NULL;
    enum sosie_status st;
    if ((st = find_op(source->proto, &op, err)) ||
        (st = check_attributes(source->proto, op->attributes, err)) ||
        (st = check_inputs(op, source, err)) ||
        (st = check_outputs(op, source, err)))
        return st;
    if (op->build)
        return op->build(source, err);
    node.op = op->op;
    memcpy(node.inputs, source->inputs, sizeof(node.inputs));
    st = op->read(source, &node, err);
    return st ? st : sosie_onnx_finish(source, &node, 0, err);
}
