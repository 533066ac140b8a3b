/* onnx_nodes.c: the node tests that ONNX itself publishes, on both sets of ops.
 *
 * Debian's libonnx-testdata has a folder a case: model.onnx and, in
 * test_data_set_0, its inputs and outputs. Sosie runs what is float32; other
 * inputs, and those that have to be known when a network is read, are made
 * constants of the model first. What is then refused is refused by design, and
 * has to be in the table below with its reason. */
#include "check.h"

#include "base/file.h"
#include "model/onnx_private.h"
#include "model/onnx_write.h"
#include "nn/net.h"

#include <dirent.h>
#include <math.h>

static const char default_folder[] = "/usr/share/libonnx-testdata/data/node";

/* The ops that Sosie has; cases of others are left out. */
static const char *const our_ops[] = {
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "LpNormalization",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QuantizeLinear",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
};
enum { N_OPS = sizeof(our_ops) / sizeof(*our_ops) };

/* What is refused, and in what words; by the case's last op, "" for any. */
static const struct {
    const char *op, *reason;
} refusals[] = {
    {"", "is not supported; supported: 7 to 21"}, /* newer opsets */
    {"", "data type 4 is not supported"},         /* uint16 */
    {"", "data type 5 is not supported"},         /* int16 */
    {"", "data type 8 is not supported"},         /* strings */
    {"", "data type 12 is not supported"},        /* uint32 */
    {"", "data type 13 is not supported"},        /* uint64 */
    {"", "holds int8; float32 is supported here"},
    {"", "holds uint8; float32 is supported here"},
    /* of newer packages: float8 and int4 */
    {"", "data type 17 is not supported"},
    {"", "data type 18 is not supported"},
    {"", "data type 19 is not supported"},
    {"", "data type 20 is not supported"},
    {"", "data type 21 is not supported"},
    {"", "data type 22 is not supported"},
    {"Cast", "becomes data type 17"},
    {"Cast", "becomes data type 18"},
    {"Cast", "becomes data type 19"},
    {"Cast", "becomes data type 20"},
    {"Cast", "becomes data type 21"},
    {"Cast", "becomes data type 22"},
    {"DequantizeLinear", "attribute 'block_size' is"},
    {"QuantizeLinear", "attribute 'block_size' is"},
    {"Pad", "attribute 'mode' is \"wrap\""},
    {"ReduceL2", "has no elements"},
    {"Resize", "attribute 'antialias' is 1"},
    {"Resize", "attribute 'coordinate_transformation_mode' is \"half_pixel_s"},
    {"Resize", "attribute 'keep_aspect_ratio_policy' is \"not_"},
    {"AveragePool", "attribute 'kernel_shape' has"}, /* 1 or 3 dimensions */
    {"BatchNormalization", "attribute 'training_mode' is 1"},
    {"Cast", "becomes data type 8"},
    {"Clip", "is not a constant float32"}, /* bounds of int8 */
    {"Dropout", "of which only the first output is supported"},
    {"Dropout", "training_mode is true"},
    {"LayerNormalization", "of which only the first output is supported"},
    {"MaxPool", "attribute 'kernel_shape' has"},
    {"MaxPool", "of which only the first output is supported"},
    {"Pad", "holds int64; float32 is supported here"},
    {"Pow", "holds int64; float32 is supported here"},
    {"Resize", "attribute 'coordinate_transformation_mode' is \"tf_"},
    {"Resize", "attribute 'exclude_outside' is 1"},
    {"Resize", "attribute 'mode' is \"cubic\""},
    {"Resize", "align_corners is supported for sizes that are whole"},
    {"Slice", "nothing is left"},
};
enum { N_REFUSALS = sizeof(refusals) / sizeof(*refusals) };

/* How many cases pass, at least, of the versions of the package: by the cases
 * that it has in all. */
static const struct {
    size_t n_cases, n_passed;
} expected_counts[] = {{932, 270}};

/* ---- a case -------------------------------------------------------------- */

enum { MAX_ENDS = 16 };

struct node_case {
    const char *name;
    Onnx__ModelProto *model;
    Onnx__TensorProto *inputs[MAX_ENDS], *outputs[MAX_ENDS];
    size_t n_inputs, n_outputs;
};

static void *read_message(const ProtobufCMessageDescriptor *descriptor,
                          const char *path)
{
    struct sosie_error err;
    unsigned char *bytes;
    size_t size;
    void *message;
    if (sosie_file_read(path, (size_t)1 << 28, &bytes, &size, &err))
        return NULL;
    message = protobuf_c_message_unpack(descriptor, NULL, size, bytes);
    free(bytes);
    return message;
}

/* "<folder>/<name>/test_data_set_0/<what>_0.pb", ... */
static size_t read_tensors(const char *folder, const char *name,
                           const char *what, Onnx__TensorProto **tensors)
{
    size_t n = 0;
    for (; n < MAX_ENDS; n++) {
        char path[600];
        snprintf(path, sizeof(path), "%s/%s/test_data_set_0/%s_%zu.pb", folder,
                 name, what, n);
        tensors[n] = read_message(&onnx__tensor_proto__descriptor, path);
        if (!tensors[n])
            break;
    }
    return n;
}

static void close_case(struct node_case *c)
{
    for (size_t i = 0; i < c->n_inputs; i++)
        onnx__tensor_proto__free_unpacked(c->inputs[i], NULL);
    for (size_t i = 0; i < c->n_outputs; i++)
        onnx__tensor_proto__free_unpacked(c->outputs[i], NULL);
    if (c->model)
        onnx__model_proto__free_unpacked(c->model, NULL);
    memset(c, 0, sizeof(*c));
}

static size_t find_op(const char *type)
{
    size_t i = 0;
    while (i < N_OPS && strcmp(our_ops[i], type))
        i++;
    return i;
}

/* False if it is no case for us: of other ops, or not of tensors. */
static bool open_case(const char *folder, const char *name, struct node_case *c)
{
    char path[600];
    bool good;
    *c = (struct node_case){.name = name};
    snprintf(path, sizeof(path), "%s/%s/model.onnx", folder, name);
    c->model = read_message(&onnx__model_proto__descriptor, path);
    if (!c->model)
        return false;
    /* some cases name the oldest opset that has their op; ours are as in 7 */
    if (c->model->opset_import[0]->version < SOSIE_OPSET_MIN)
        c->model->opset_import[0]->version = SOSIE_OPSET_MIN;
    good = c->model->graph->n_node > 0;
    for (size_t i = 0; i < c->model->graph->n_input; i++)
        good = good && c->model->graph->input[i]->type->value_case ==
                           ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    for (size_t i = 0; i < c->model->graph->n_node; i++)
        good = good && find_op(c->model->graph->node[i]->op_type) < N_OPS;
    if (good) {
        c->n_inputs = read_tensors(folder, name, "input", c->inputs);
        c->n_outputs = read_tensors(folder, name, "output", c->outputs);
    }
    return good && c->n_inputs == c->model->graph->n_input &&
           c->n_outputs == c->model->graph->n_output;
}

/* ---- making inputs constants --------------------------------------------- */

/* The bytes of a model. A network has an input, even if nothing depends on it:
 * one is added. */
static unsigned char *pack(Onnx__ModelProto *model, bool has_input,
                           size_t *size)
{
    Onnx__TensorShapeProto__Dimension dim =
        ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT;
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
    Onnx__ValueInfoProto unused = ONNX__VALUE_INFO_PROTO__INIT;
    Onnx__TensorShapeProto__Dimension *dims = &dim;
    Onnx__GraphProto *graph = model->graph;
    Onnx__ValueInfoProto **before = graph->input, *all[MAX_ENDS + 1];
    unsigned char *bytes;

    shape.dim = &dims;
    shape.n_dim = 1;
    tensor.has_elem_type = 1;
    tensor.elem_type = ONNX_FLOAT;
    tensor.shape = &shape;
    type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type.tensor_type = &tensor;
    unused.name = (char *)(uintptr_t) "unused";
    unused.type = &type;
    if (graph->n_input)
        memcpy(all, before, graph->n_input * sizeof(*all));
    all[graph->n_input] = &unused;
    graph->input = all;
    graph->n_input += !has_input;
    *size = onnx__model_proto__get_packed_size(model);
    bytes = malloc(*size);
    assert_non_null(bytes);
    onnx__model_proto__pack(model, bytes);
    graph->input = before;
    graph->n_input -= !has_input;
    return bytes;
}

static bool is_empty(const Onnx__TensorProto *tensor)
{
    for (size_t d = 0; d < tensor->n_dims; d++)
        if (!tensor->dims[d])
            return true;
    return false;
}

/* The bytes of the case's model with some inputs as initializers: those that
 * aren't float32 or are empty or, with `few`, all but the first. is_run[i]:
 * input i is still one. */
static unsigned char *with_constants(struct node_case *c, bool few,
                                     bool *is_run, size_t *size)
{
    Onnx__GraphProto *graph = c->model->graph;
    size_t n_before = graph->n_initializer, n_run = 0;
    Onnx__TensorProto **before = graph->initializer;
    Onnx__TensorProto *all[64 + MAX_ENDS];
    unsigned char *bytes;

    assert_in_range(n_before, 0, 64);
    if (n_before)
        memcpy(all, before, n_before * sizeof(*all));
    for (size_t i = 0; i < c->n_inputs; i++) {
        is_run[i] = c->inputs[i]->data_type == ONNX_FLOAT &&
                    !is_empty(c->inputs[i]) && !(few && i);
        n_run += is_run[i];
        if (is_run[i])
            continue;
        free(c->inputs[i]->name);
        c->inputs[i]->name = strdup(graph->input[i]->name);
        all[graph->n_initializer++] = c->inputs[i];
    }
    graph->initializer = all;
    bytes = pack(c->model, n_run > 0, size);
    graph->initializer = before;
    graph->n_initializer = n_before;
    return bytes;
}

/* ---- running ------------------------------------------------------------- */

/* A tensor of the case as the reader has it; its data is in the arena or in the
 * tensor. */
static enum sosie_status value_of(const Onnx__TensorProto *tensor,
                                  struct sosie_arena *arena,
                                  struct sosie_value *value,
                                  struct sosie_error *err)
{
    struct sosie_onnx_store store = {.arena = arena,
                                     .elements_left = (size_t)1 << 24};
    *value = (struct sosie_value){.name = "expected"};
    return sosie_onnx_read_tensor(&store, tensor, value, err);
}

static void fill(const struct sosie_net *net, struct sosie_net_run *run,
                 size_t k, const float *data)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    const struct sosie_shape *shape = &graph->values[graph->inputs[k]].shape;
    float *input = sosie_net_run_input(run, k);
    size_t strides[SOSIE_MAX_RANK];
    sosie_net_input_strides(net, k, strides);
    for (size_t i = 0; i < sosie_shape_count(shape); i++)
        input[sosie_onnx_place(shape, strides, i)] = data[i];
}

static double element(const struct sosie_value *value, size_t i)
{
    switch (value->dtype) {
    case SOSIE_F32:
        return (double)((const float *)value->data)[i];
    case SOSIE_I64:
        return (double)((const int64_t *)value->data)[i];
    case SOSIE_U8:
        return (double)((const uint8_t *)value->data)[i];
    case SOSIE_I8:
        return (double)((const int8_t *)value->data)[i];
    case SOSIE_I32:
        break;
    }
    return NAN;
}

/* As the official runner compares; whole numbers must be equal. */
static enum sosie_status compare(const struct sosie_value *found,
                                 const struct sosie_value *expected,
                                 struct sosie_error *err)
{
    bool whole = expected->dtype != SOSIE_F32;
    if (!sosie_shape_equal(&found->shape, &expected->shape))
        return sosie_fail(err, SOSIE_CORRUPT, "the result is %s; expected %s",
                          sosie_shape_text(&found->shape).text,
                          sosie_shape_text(&expected->shape).text);
    for (size_t i = 0; i < sosie_shape_count(&found->shape); i++) {
        double x = element(found, i), y = element(expected, i);
        double most = whole ? 0.0 : 1e-7 + 1e-3 * fabs(y);
        if (!(fabs(x - y) <= most) && !(isnan(x) && isnan(y)) && x != y)
            return sosie_fail(err, SOSIE_CORRUPT,
                              "element %zu of %s is %.9g; expected %.9g", i,
                              sosie_shape_text(&found->shape).text, x, y);
    }
    return SOSIE_OK;
}

/* Turns bytes into floats of the same value, which a net can give. What stands
 * between keeps the two from being taken for a pair that may be dropped. */
static enum sosie_status to_floats(struct sosie_graph *graph,
                                   sosie_value_id *id, struct sosie_error *err)
{
    static const float one = 1.0F;
    static const int32_t none = 0;
    const struct sosie_shape *shape = &graph->values[*id].shape;
    struct sosie_node node = {
        .name = "as it is", .op = SOSIE_OP_RESHAPE, .n_inputs = 1};
    enum sosie_status st;
    node.inputs[0] = *id;
    node.reshape.rank = shape->rank;
    for (size_t d = 0; d < shape->rank; d++)
        node.reshape.dims[d] = (int64_t)shape->dims[d];
    st = sosie_graph_add_node(graph, &node, "bytes", &node.inputs[0], err);
    if (st)
        return st;
    node.name = "to float";
    node.op = SOSIE_OP_DEQUANTIZE;
    node.quantize.quant = (struct sosie_quant){0, 1, &one, &none};
    return sosie_graph_add_node(graph, &node, "floats", id, err);
}

/* What the network is asked for: those outputs that are computed. */
static enum sosie_status pick_outputs(struct sosie_onnx *onnx,
                                      struct sosie_error *err)
{
    struct sosie_graph *graph = &onnx->graph;
    for (size_t k = 0; k < onnx->n_outputs; k++) {
        sosie_value_id id = onnx->outputs[k].value;
        enum sosie_status st = SOSIE_OK;
        if (graph->values[id].data)
            continue;
        if (graph->values[id].dtype != SOSIE_F32)
            st = to_floats(graph, &id, err);
        if (st)
            return st;
        graph->outputs[graph->n_outputs++] = id;
    }
    return SOSIE_OK;
}

/* Compares all outputs with those of the case. */
static enum sosie_status
check_outputs(const struct node_case *c, const struct sosie_value *constants,
              const struct sosie_net *net, const struct sosie_net_run *run,
              struct sosie_arena *arena, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    size_t n_run = 0;
    for (size_t k = 0; k < c->n_outputs && !st; k++) {
        struct sosie_value expected, found = constants[k];
        if (!found.data) {
            const struct sosie_graph *graph = sosie_net_graph(net);
            found = graph->values[graph->outputs[n_run]];
            found.dtype = SOSIE_F32;
            found.data = sosie_net_run_output(run, n_run++);
        }
        st = value_of(c->outputs[k], arena, &expected, err);
        if (!st)
            st = compare(&found, &expected, err);
    }
    return st;
}

static enum sosie_status run_net(const struct node_case *c, const bool *is_run,
                                 const struct sosie_value *constants,
                                 struct sosie_onnx *onnx,
                                 const struct sosie_ops *ops,
                                 struct sosie_arena *arena,
                                 struct sosie_error *err)
{
    struct sosie_net_options options = {.ops = ops};
    struct sosie_net *net = NULL;
    struct sosie_net_run *run = NULL;
    enum sosie_status st;

    if (!onnx->graph.n_outputs)
        return check_outputs(c, constants, NULL, NULL, arena, err);
    st = sosie_net_create(&onnx->graph, &options, &net, err);
    if (!st)
        st = sosie_net_run_create(net, &run, err);
    for (size_t i = 0, k = 0; i < c->n_inputs && !st; i++) {
        struct sosie_value input;
        if (!is_run[i])
            continue;
        st = value_of(c->inputs[i], arena, &input, err);
        if (!st)
            fill(net, run, k++, input.data);
    }
    if (!st)
        st = sosie_net_run_forward(run, UINT32_MAX, err);
    if (!st)
        st = check_outputs(c, constants, net, run, arena, err);
    sosie_net_run_destroy(run);
    sosie_net_destroy(net);
    return st;
}

/* Writes the network, and reads it again, from *bytes, which must stay. */
static enum sosie_status rewrite(struct sosie_onnx *onnx, unsigned char **bytes,
                                 struct sosie_error *err)
{
    struct sosie_onnx_output outputs[MAX_ENDS];
    char texts[MAX_ENDS][32];
    struct sosie_onnx_names names = {.outputs = outputs,
                                     .n_outputs = onnx->graph.n_outputs};
    size_t size;
    enum sosie_status st = sosie_graph_simplify(&onnx->graph, err);
    for (size_t k = 0; k < names.n_outputs; k++) {
        snprintf(texts[k], sizeof(texts[k]), "output.%zu", k);
        outputs[k] =
            (struct sosie_onnx_output){texts[k], onnx->graph.outputs[k]};
    }
    if (!st)
        st = sosie_onnx_write(&onnx->graph, &names, bytes, &size, err);
    if (st)
        return st;
    sosie_onnx_release(onnx);
    st = sosie_onnx_read(*bytes, size, NULL, onnx, err);
    if (st)
        return st;
    for (size_t k = 0; k < onnx->n_outputs; k++)
        onnx->graph.outputs[k] = onnx->outputs[k].value;
    onnx->graph.n_outputs = onnx->n_outputs;
    return SOSIE_OK;
}

/* How cases are run. */
struct way {
    const struct sosie_ops *ops;
    bool rewrites; /* what was written and read again */
};

static enum sosie_status run_case(struct node_case *c, bool few,
                                  const struct way *way,
                                  struct sosie_error *err)
{
    bool is_run[MAX_ENDS];
    size_t size;
    unsigned char *bytes = with_constants(c, few, is_run, &size);
    unsigned char *written = NULL;
    struct sosie_value constants[MAX_ENDS];
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    struct sosie_onnx onnx = {0};
    enum sosie_status st = sosie_onnx_read(bytes, size, NULL, &onnx, err);
    if (!st)
        st = pick_outputs(&onnx, err);
    for (size_t k = 0; k < onnx.n_outputs && !st; k++)
        constants[k] = onnx.graph.values[onnx.outputs[k].value];
    if (!st && way->rewrites && onnx.graph.n_outputs)
        st = rewrite(&onnx, &written, err);
    if (!st)
        st = run_net(c, is_run, constants, &onnx, way->ops, &arena, err);
    sosie_onnx_release(&onnx);
    sosie_arena_release(&arena);
    free(written);
    free(bytes);
    return st;
}

/* ---- all of them --------------------------------------------------------- */

struct table {
    size_t n_cases; /* of any op */
    size_t passed[N_OPS], refused[N_OPS], failed[N_OPS];
    size_t by_reason[N_REFUSALS];
};

/* The reason in the table of refusals; N_REFUSALS if it is not there. */
static size_t find_reason(const char *op, const char *text)
{
    size_t i = 0;
    while (i < N_REFUSALS && ((*refusals[i].op && strcmp(refusals[i].op, op)) ||
                              !strstr(text, refusals[i].reason)))
        i++;
    return i;
}

/* What is refused for its other outputs still has the first. */
static enum sosie_status first_output(struct node_case *c,
                                      const struct way *way,
                                      struct sosie_error *err)
{
    size_t n = c->n_outputs;
    enum sosie_status st;
    c->n_outputs = c->model->graph->n_output = 1;
    st = run_case(c, false, way, err);
    if (st == SOSIE_REFUSED)
        st = run_case(c, true, way, err);
    c->n_outputs = c->model->graph->n_output = n;
    return st;
}

static void try_case(struct node_case *c, const struct way *way,
                     struct table *table)
{
    const Onnx__GraphProto *graph = c->model->graph;
    const char *op = graph->node[graph->n_node - 1]->op_type;
    size_t row = find_op(op), reason = N_REFUSALS;
    struct sosie_error err;
    enum sosie_status st = run_case(c, false, way, &err);
    if (st == SOSIE_REFUSED)
        st = run_case(c, true, way, &err);
    if (st == SOSIE_REFUSED)
        reason = find_reason(op, err.text);
    if (st == SOSIE_REFUSED && strstr(err.text, "only the first output"))
        reason = first_output(c, way, &err) ? N_REFUSALS : reason;
    if (!st) {
        table->passed[row]++;
    } else if (reason < N_REFUSALS) {
        table->refused[row]++;
        table->by_reason[reason]++;
    } else {
        print_error("FAILED: %s (%s): %s\n", c->name, op, err.text);
        table->failed[row]++;
    }
}

static void print_table(const char *title, const struct table *table)
{
    size_t passed = 0, refused = 0, failed = 0;
    print_message("%-20s passed refused failed\n", title);
    for (size_t i = 0; i < N_OPS; i++) {
        print_message("%-20s %6zu %7zu %6zu\n", our_ops[i], table->passed[i],
                      table->refused[i], table->failed[i]);
        passed += table->passed[i];
        refused += table->refused[i];
        failed += table->failed[i];
    }
    print_message("%-20s %6zu %7zu %6zu\nrefused by design:\n", "all", passed,
                  refused, failed);
    for (size_t i = 0; i < N_REFUSALS; i++)
        print_message("%6zu %s: %s\n", table->by_reason[i], refusals[i].op,
                      refusals[i].reason);
    assert_int_equal(failed, 0);
    for (size_t i = 0; i < sizeof(expected_counts) / sizeof(*expected_counts);
         i++)
        if (expected_counts[i].n_cases == table->n_cases)
            assert_in_range(passed, expected_counts[i].n_passed, SIZE_MAX);
}

static void run_all(const char *title, const struct way *way)
{
    const char *folder = getenv("SOSIE_ONNX_NODES");
    struct table table = {0};
    struct dirent **entries;
    int n;
    folder = folder ? folder : default_folder;
    n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0) {
        print_message("%s is not there: install libonnx-testdata\n", folder);
        skip();
    }
    for (int i = 0; i < n; i++) {
        struct node_case c = {0};
        if (!strncmp(entries[i]->d_name, "test_", 5)) {
            table.n_cases++;
            if (open_case(folder, entries[i]->d_name, &c))
                try_case(&c, way, &table);
            close_case(&c);
        }
        free(entries[i]);
    }
    free(entries);
    print_table(title, &table);
}

static void the_official_node_tests_pass_in_plain_c(void **state)
{
    (void)state;
    run_all("plain C", &(struct way){&sosie_ops_plain, false});
}

static void the_official_node_tests_pass_on_onednn(void **state)
{
    (void)state;
    run_all("oneDNN", &(struct way){&sosie_ops_onednn, false});
}

static void they_pass_when_written_and_read_again(void **state)
{
    (void)state;
    run_all("written", &(struct way){&sosie_ops_plain, true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_official_node_tests_pass_in_plain_c),
        cmocka_unit_test(the_official_node_tests_pass_on_onednn),
        cmocka_unit_test(they_pass_when_written_and_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
