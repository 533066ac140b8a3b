/* onnx.c: reading an ONNX file: bytes -> message -> values and nodes.
 *
 * The message is parsed by protobuf-c into memory that a budget limits. Large
 * tensors are then not copied: the graph's constants point into the message.
 * The format demands that nodes stand in an order in which each uses only what
 * was made before it; holding files to that refuses cycles, too. */
#include "model/onnx.h"

#include "base/hash.h"
#include "base/size.h"
#include "model/onnx_ops.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian and is used as it stands"
#endif

/* protobuf-c leaves strings that are not there NULL. */
static const char *text(const char *string)
{
    return string ? string : "";
}

/* ---- parsing ------------------------------------------------------------- */

/* Two bytes of a file can become a whole struct, so what parsing may take in
 * all is limited to a multiple of the file's size. */
struct budget {
    size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left)
        return NULL;
    budget->left -= size;
    return malloc(size ? size : 1);
}

static void budget_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

static enum sosie_status parse(const void *bytes, size_t size,
                               Onnx__ModelProto **message,
                               struct sosie_error *err)
{
    struct budget budget = {0};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    if (!sosie_size_mul(size, 16, &budget.left) ||
        !sosie_size_add(budget.left, (size_t)1 << 20, &budget.left))
        return sosie_fail(err, SOSIE_REFUSED, "the file is too large");
    *message = onnx__model_proto__unpack(&allocator, size, bytes);
    if (*message && (*message)->graph)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "not an ONNX file, or a damaged one (%zu bytes)", size);
}

/* ---- names --------------------------------------------------------------- */

/* Values by name: open addressing in a table at most half full. */
struct name {
    const char *name; /* NULL: free */
    sosie_value_id value;
};

struct reader {
    const Onnx__GraphProto *proto;
    int64_t opset;
    struct sosie_graph *graph;
    struct name *names;
    size_t mask;
};

static enum sosie_status names_init(struct reader *reader,
                                    struct sosie_error *err)
{
    const Onnx__GraphProto *proto = reader->proto;
    size_t n = proto->n_initializer + proto->n_input + proto->n_node, room = 64;
    while (room < 2 * n)
        room *= 2;
    reader->names = calloc(room, sizeof(*reader->names));
    reader->mask = room - 1;
    if (!reader->names)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's names");
    return SOSIE_OK;
}

/* The slot of a name, or the free one where it belongs. */
static struct name *find_name(const struct reader *reader, const char *name)
{
    size_t i = (size_t)sosie_checksum(name, strlen(name)) & reader->mask;
    while (reader->names[i].name && strcmp(reader->names[i].name, name))
        i = (i + 1) & reader->mask;
    return &reader->names[i];
}

static enum sosie_status check_new_name(const struct reader *reader,
                                        const char *name,
                                        struct sosie_error *err)
{
    if (!*name)
        return sosie_fail(err, SOSIE_BAD_INPUT, "a tensor without a name");
    if (find_name(reader, name)->name)
        return sosie_fail(err, SOSIE_BAD_INPUT, "tensor '%.80s' is made twice",
                          name);
    return SOSIE_OK;
}

static void add_name(struct reader *reader, const char *name,
                     sosie_value_id value)
{
    *find_name(reader, name) = (struct name){name, value};
}

/* ---- tensors ------------------------------------------------------------- */

static enum sosie_status read_dims(const Onnx__TensorProto *proto,
                                   struct sosie_shape *shape,
                                   struct sosie_error *err)
{
    shape->rank = proto->n_dims;
    for (size_t i = 0; i < proto->n_dims && i < SOSIE_MAX_RANK; i++) {
        if (proto->dims[i] < 0)
            return sosie_fail(err, SOSIE_BAD_INPUT, "dimension %zu is %lld", i,
                              (long long)proto->dims[i]);
        shape->dims[i] = (size_t)proto->dims[i];
    }
    return sosie_shape_check(shape, err);
}

/* Points value->data at the elements in the message. */
static enum sosie_status read_elements(const Onnx__TensorProto *proto,
                                       struct sosie_value *value,
                                       struct sosie_error *err)
{
    size_t expected = sosie_shape_count(&value->shape), found;
    size_t size = sosie_dtype_size(value->dtype);

    if (proto->has_raw_data) {
        value->data = proto->raw_data.data;
        found = proto->raw_data.len / size;
        if (proto->raw_data.len % size)
            found = SIZE_MAX;
    } else if (value->dtype == SOSIE_F32) {
        value->data = proto->float_data;
        found = proto->n_float_data;
    } else {
        value->data = proto->int64_data;
        found = proto->n_int64_data;
    }
    if (found != expected)
        return sosie_fail(
            err, SOSIE_BAD_INPUT, "%zu bytes of data; a tensor of %s has %zu",
            found == SIZE_MAX ? proto->raw_data.len : found * size,
            sosie_shape_text(&value->shape).text, expected * size);
    if (!expected)
        value->data = ""; /* no elements, but a constant */
    return SOSIE_OK;
}

static enum sosie_status read_tensor(const Onnx__TensorProto *proto,
                                     struct sosie_value *value,
                                     struct sosie_error *err)
{
    enum sosie_status st;
    if (proto->data_location || proto->n_external_data)
        return sosie_fail(err, SOSIE_REFUSED,
                          "its data is in another file; only data inside the "
                          "ONNX file is supported");
    if (proto->data_type != ONNX_FLOAT && proto->data_type != ONNX_INT64)
        return sosie_fail(err, SOSIE_REFUSED,
                          "data type %d is not supported; supported: float32 "
                          "(1), int64 (7)",
                          (int)proto->data_type);
    value->dtype = proto->data_type == ONNX_FLOAT ? SOSIE_F32 : SOSIE_I64;
    st = read_dims(proto, &value->shape, err);
    return st ? st : read_elements(proto, value, err);
}

static enum sosie_status add_value(struct reader *reader,
                                   const struct sosie_value *value,
                                   struct sosie_error *err)
{
    sosie_value_id id;
    enum sosie_status st = check_new_name(reader, value->name, err);
    if (!st)
        st = sosie_graph_add_value(reader->graph, value, &id, err);
    if (!st)
        add_name(reader, value->name, id);
    return st;
}

static enum sosie_status read_initializers(struct reader *reader,
                                           struct sosie_error *err)
{
    for (size_t i = 0; i < reader->proto->n_initializer; i++) {
        const Onnx__TensorProto *proto = reader->proto->initializer[i];
        struct sosie_value value = {.name = text(proto->name)};
        enum sosie_status st = read_tensor(proto, &value, err);
        if (st)
            sosie_error_prefix(err, "tensor '%.80s'", value.name);
        else
            st = add_value(reader, &value, err);
        if (st)
            return st;
    }
    return SOSIE_OK;
}

/* ---- inputs -------------------------------------------------------------- */

/* One dimension of an input. The first is the batch: a name, nothing, or 1. */
static enum sosie_status
read_dimension(const Onnx__TensorShapeProto__Dimension *proto, size_t i,
               size_t *dim, struct sosie_error *err)
{
    bool fixed = proto->value_case ==
                 ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    int64_t value = fixed ? proto->dim_value : 0;
    if (i == 0 && value <= 0)
        value = 1;
    if (i == 0 && value != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "its batch is fixed at %lld; a name or 1 is "
                          "supported",
                          (long long)value);
    if (value <= 0)
        return sosie_fail(err, SOSIE_REFUSED,
                          "dimension %zu is not fixed; only the first may vary",
                          i);
    *dim = (size_t)value;
    return SOSIE_OK;
}

static enum sosie_status read_input(const Onnx__ValueInfoProto *proto,
                                    struct sosie_value *value,
                                    struct sosie_error *err)
{
    const Onnx__TypeProto__Tensor *tensor = NULL;
    if (proto->type &&
        proto->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        tensor = proto->type->tensor_type;
    if (!tensor || !tensor->shape || tensor->elem_type != ONNX_FLOAT)
        return sosie_fail(err, SOSIE_REFUSED,
                          "expected a float32 tensor with a shape");
    value->shape.rank = tensor->shape->n_dim;
    for (size_t i = 0; i < value->shape.rank && i < SOSIE_MAX_RANK; i++) {
        enum sosie_status st = read_dimension(tensor->shape->dim[i], i,
                                              &value->shape.dims[i], err);
        if (st)
            return st;
    }
    return SOSIE_OK;
}

/* Older files list their initializers among the inputs, too. */
static enum sosie_status read_inputs(struct reader *reader,
                                     struct sosie_error *err)
{
    struct sosie_graph *graph = reader->graph;
    for (size_t i = 0; i < reader->proto->n_input; i++) {
        const Onnx__ValueInfoProto *proto = reader->proto->input[i];
        struct sosie_value value = {.name = text(proto->name)};
        const struct name *known = find_name(reader, value.name);
        enum sosie_status st;
        if (known->name && graph->values[known->value].data)
            continue;
        if (graph->n_inputs == SOSIE_MAX_ENDS)
            return sosie_fail(err, SOSIE_REFUSED,
                              "more than %d inputs; that is the limit",
                              SOSIE_MAX_ENDS);
        st = read_input(proto, &value, err);
        if (st)
            sosie_error_prefix(err, "input '%.80s'", value.name);
        else
            st = add_value(reader, &value, err);
        if (st)
            return st;
        graph->inputs[graph->n_inputs++] = find_name(reader, value.name)->value;
    }
    return SOSIE_OK;
}

/* ---- nodes --------------------------------------------------------------- */

/* A Constant node is just a value. */
static enum sosie_status read_constant(const Onnx__NodeProto *proto,
                                       struct sosie_value *value,
                                       struct sosie_error *err)
{
    const Onnx__AttributeProto *a =
        proto->n_attribute == 1 ? proto->attribute[0] : NULL;
    const char *name = a ? text(a->name) : "";

    if (!strcmp(name, "value") && a->type == ONNX_ATTRIBUTE_TENSOR && a->t)
        return read_tensor(a->t, value, err);
    if (!strcmp(name, "value_float") && a->type == ONNX_ATTRIBUTE_FLOAT) {
        value->data = &a->f;
    } else if (!strcmp(name, "value_int") && a->type == ONNX_ATTRIBUTE_INT) {
        value->dtype = SOSIE_I64;
        value->data = &a->i;
    } else if (!strcmp(name, "value_floats") &&
               a->type == ONNX_ATTRIBUTE_FLOATS) {
        value->shape = (struct sosie_shape){1, {a->n_floats}};
        value->data = a->n_floats ? (const void *)a->floats : "";
    } else if (!strcmp(name, "value_ints") && a->type == ONNX_ATTRIBUTE_INTS) {
        value->dtype = SOSIE_I64;
        value->shape = (struct sosie_shape){1, {a->n_ints}};
        value->data = a->n_ints ? (const void *)a->ints : "";
    } else {
        return sosie_fail(err, SOSIE_REFUSED,
                          "attribute '%.80s' is not supported; supported: one "
                          "of value, value_float, value_floats, value_int, "
                          "value_ints",
                          name);
    }
    return SOSIE_OK;
}

/* Is `name` made by this node or one after it? */
static bool is_made_later(const struct reader *reader, size_t node,
                          const char *name)
{
    for (; node < reader->proto->n_node; node++)
        for (size_t k = 0; k < reader->proto->node[node]->n_output; k++)
            if (!strcmp(text(reader->proto->node[node]->output[k]), name))
                return true;
    return false;
}

static enum sosie_status resolve_inputs(const struct reader *reader,
                                        size_t index, struct sosie_node *node,
                                        struct sosie_error *err)
{
    const Onnx__NodeProto *proto = reader->proto->node[index];
    size_t n = proto->n_input;
    while (n && !*text(proto->input[n - 1]))
        n--;
    if (n > SOSIE_MAX_INPUTS)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu inputs; at most %d are supported", n,
                          SOSIE_MAX_INPUTS);
    node->n_inputs = n;
    for (size_t k = 0; k < n; k++) {
        const char *name = text(proto->input[k]);
        const struct name *known = find_name(reader, name);
        node->inputs[k] = *name ? known->value : SOSIE_NO_VALUE;
        if (*name && !known->name)
            return sosie_fail(
                err, SOSIE_BAD_INPUT,
                is_made_later(reader, index, name)
                    ? "input '%.80s' is made by this node or a later one; "
                      "nodes must be in order, without cycles"
                    : "input '%.80s' is not there",
                name);
    }
    return SOSIE_OK;
}

/* The name of the node's only output. */
static enum sosie_status read_output(const struct reader *reader,
                                     const Onnx__NodeProto *proto,
                                     const char **name, struct sosie_error *err)
{
    size_t n = proto->n_output;
    while (n && !*text(proto->output[n - 1]))
        n--;
    if (n != 1)
        return sosie_fail(err, SOSIE_REFUSED, "%zu outputs; 1 is supported", n);
    *name = proto->output[0];
    return check_new_name(reader, *name, err);
}

static enum sosie_status read_node(struct reader *reader, size_t index,
                                   struct sosie_error *err)
{
    const Onnx__NodeProto *proto = reader->proto->node[index];
    struct sosie_node node = {.name = text(proto->name)};
    const char *output = "", *op = text(proto->op_type);
    sosie_value_id id;
    enum sosie_status st = read_output(reader, proto, &output, err);
    if (!*node.name)
        node.name = output;

    if (!st && !strcmp(op, "Constant")) {
        struct sosie_value value = {.name = output};
        st = read_constant(proto, &value, err);
        if (!st)
            return add_value(reader, &value, err);
    }
    if (!st)
        st = resolve_inputs(reader, index, &node, err);
    if (!st)
        st = sosie_onnx_op(proto, reader->opset, reader->graph, &node, err);
    if (st) {
        sosie_error_prefix(err, "node '%.80s' (%.80s)", node.name, op);
        return st;
    }
    st = sosie_graph_add_node(reader->graph, &node, output, &id, err);
    if (!st)
        add_name(reader, output, id);
    return st;
}

/* ---- the whole ----------------------------------------------------------- */

static enum sosie_status read_opset(const Onnx__ModelProto *message,
                                    int64_t *opset, struct sosie_error *err)
{
    *opset = 0;
    for (size_t i = 0; i < message->n_opset_import; i++) {
        const char *domain = text(message->opset_import[i]->domain);
        if (!*domain || !strcmp(domain, "ai.onnx"))
            *opset = message->opset_import[i]->version;
    }
    if (*opset < SOSIE_OPSET_MIN || *opset > SOSIE_OPSET_MAX)
        return sosie_fail(err, SOSIE_REFUSED,
                          "opset %lld is not supported; supported: %d to %d",
                          (long long)*opset, SOSIE_OPSET_MIN, SOSIE_OPSET_MAX);
    return SOSIE_OK;
}

static enum sosie_status read_outputs(const struct reader *reader,
                                      struct sosie_onnx *onnx,
                                      struct sosie_error *err)
{
    size_t n = reader->proto->n_output;
    if (!onnx->graph.n_inputs || !n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu inputs and %zu outputs; expected some of each",
                          onnx->graph.n_inputs, n);
    onnx->outputs =
        sosie_arena_alloc(&onnx->graph.arena, n, sizeof(*onnx->outputs));
    if (!onnx->outputs)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's outputs");
    for (size_t i = 0; i < n; i++) {
        const char *name = text(reader->proto->output[i]->name);
        const struct name *known = find_name(reader, name);
        if (!known->name)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "output '%.80s' is not there", name);
        onnx->outputs[i] = (struct sosie_onnx_output){name, known->value};
    }
    onnx->n_outputs = n;
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_read(const void *bytes, size_t size,
                                  struct sosie_onnx *onnx,
                                  struct sosie_error *err)
{
    struct sosie_onnx read = {0};
    struct reader reader = {.graph = &read.graph};
    enum sosie_status st = parse(bytes, size, &read.message, err);
    if (st)
        goto out;
    reader.proto = read.message->graph;
    if ((st = read_opset(read.message, &reader.opset, err)) ||
        (st = names_init(&reader, err)) ||
        (st = read_initializers(&reader, err)) ||
        (st = read_inputs(&reader, err)))
        goto out;
    for (size_t i = 0; i < reader.proto->n_node && !st; i++)
        st = read_node(&reader, i, err);
    if (!st)
        st = read_outputs(&reader, &read, err);
    if (st)
        goto out;
    *onnx = read;
    memset(&read, 0, sizeof(read));
out:
    free(reader.names);
    sosie_onnx_release(&read);
    return st;
}

void sosie_onnx_release(struct sosie_onnx *onnx)
{
    struct budget budget = {0};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    if (onnx->message)
        onnx__model_proto__free_unpacked(onnx->message, &allocator);
    sosie_graph_release(&onnx->graph);
    memset(onnx, 0, sizeof(*onnx));
}

const char *sosie_onnx_metadata(const struct sosie_onnx *onnx, const char *key)
{
    for (size_t i = 0; i < onnx->message->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *entry =
            onnx->message->metadata_props[i];
        if (!strcmp(text(entry->key), key))
            return text(entry->value);
    }
    return NULL;
}
