/* onnx_write.c: a graph -> a message -> the bytes of an ONNX file.
 *
 * The message lives in an arena and borrows the graph's constants; protobuf-c
 * turns it into bytes at the end. */
#include "model/onnx_write_private.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The first opset with all of our ops, and the version of the format that came
 * with it. */
enum { OPSET = 20, IR_VERSION = 9 };

/* What protobuf allows. */
static const size_t MAX_FILE_BYTES = ((size_t)1 << 31) - 1;

/* ---- memory -------------------------------------------------------------- */

static void *room_for(struct sosie_onnx_writer *writer, size_t n, size_t size)
{
    void *room = sosie_arena_alloc(&writer->arena, n, size);
    writer->out_of_memory = writer->out_of_memory || !room;
    return room;
}

/* protobuf-c's strings are not const, but it leaves them alone. */
static char *borrowed(const char *text)
{
    return (char *)(uintptr_t)text;
}

static char *copied(struct sosie_onnx_writer *writer, const char *text)
{
    char *copy = sosie_arena_strdup(&writer->arena, text);
    writer->out_of_memory = writer->out_of_memory || !copy;
    return copy ? copy : borrowed("");
}

/* Appends to an array of pointers, which is at `array`. It has room for 4, or
 * for the next power of two. */
static void append(struct sosie_onnx_writer *writer, void *array, size_t *n,
                   void *item)
{
    void **items;
    memcpy(&items, array, sizeof(items));
    if (*n == 0 || (*n >= 4 && (*n & (*n - 1)) == 0)) {
        size_t room = *n ? 2 * *n : 4;
        void **larger = room_for(writer, room, sizeof(*larger));
        if (!larger)
            return;
        if (*n)
            memcpy(larger, items, *n * sizeof(*larger));
        memcpy(array, &larger, sizeof(larger));
        items = larger;
    }
    items[(*n)++] = item;
}

/* ---- names --------------------------------------------------------------- */

static char **find_slot(const struct sosie_onnx_taken *taken, const char *name)
{
    size_t mask = taken->room - 1;
    size_t i = (size_t)sosie_checksum(name, strlen(name)) & mask;
    while (taken->names[i] && strcmp(taken->names[i], name))
        i = (i + 1) & mask;
    return &taken->names[i];
}

/* False when out of memory. */
static bool make_room(struct sosie_onnx_writer *writer,
                      struct sosie_onnx_taken *taken)
{
    struct sosie_onnx_taken larger = {NULL, taken->n,
                                      taken->room ? 2 * taken->room : 256};
    if (2 * (taken->n + 1) <= taken->room)
        return true;
    larger.names = room_for(writer, larger.room, sizeof(*larger.names));
    if (!larger.names)
        return false;
    for (size_t i = 0; i < taken->room; i++)
        if (taken->names[i])
            *find_slot(&larger, taken->names[i]) = taken->names[i];
    *taken = larger;
    return true;
}

/* `wanted`, or that with a number behind it: what is not taken yet. */
static char *take_name(struct sosie_onnx_writer *writer,
                       struct sosie_onnx_taken *taken, const char *wanted)
{
    char *name = copied(writer, *wanted ? wanted : "value");
    if (!make_room(writer, taken))
        return borrowed("");
    for (size_t n = taken->n; *find_slot(taken, name); n++) {
        name = sosie_arena_printf(&writer->arena, "%s.%zu", wanted, n);
        if (!name) {
            writer->out_of_memory = true;
            return borrowed("");
        }
    }
    *find_slot(taken, name) = name;
    taken->n++;
    return name;
}

char *sosie_onnx_new_name(struct sosie_onnx_writer *writer, const char *wanted)
{
    return take_name(writer, &writer->values, wanted);
}

/* ---- tensors ------------------------------------------------------------- */

static int32_t type_of(enum sosie_dtype dtype)
{
    switch (dtype) {
    case SOSIE_F32:
        return ONNX_FLOAT;
    case SOSIE_I64:
        return ONNX_INT64;
    case SOSIE_U8:
        return ONNX_UINT8;
    case SOSIE_I8:
        return ONNX_INT8;
    case SOSIE_I32:
        return ONNX_INT32;
    }
    return 0;
}

static void add_initializer(struct sosie_onnx_writer *writer, char *name,
                            int32_t type, const struct sosie_shape *shape,
                            const void *data, size_t size)
{
    Onnx__TensorProto *tensor = room_for(writer, 1, sizeof(*tensor));
    int64_t *dims = room_for(writer, SOSIE_MAX_RANK, sizeof(*dims));
    if (!tensor || !dims)
        return;
    onnx__tensor_proto__init(tensor);
    for (size_t d = 0; d < shape->rank; d++)
        dims[d] = (int64_t)shape->dims[d];
    tensor->name = name;
    tensor->dims = dims;
    tensor->n_dims = shape->rank;
    tensor->has_data_type = 1;
    tensor->data_type = type;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)data;
    tensor->raw_data.len = size;
    append(writer, &writer->proto.initializer, &writer->proto.n_initializer,
           tensor);
}

char *sosie_onnx_add_tensor(struct sosie_onnx_writer *writer,
                            const char *wanted, int32_t type,
                            const struct sosie_shape *shape, const void *data,
                            size_t size)
{
    char *name = sosie_onnx_new_name(writer, wanted);
    void *copy = room_for(writer, size + 1, sizeof(char));
    if (copy) {
        memcpy(copy, data, size);
        add_initializer(writer, name, type, shape, copy, size);
    }
    return name;
}

char *sosie_onnx_add_list(struct sosie_onnx_writer *writer, const char *wanted,
                          const int64_t *values, size_t n)
{
    struct sosie_shape shape = {1, {n}};
    return sosie_onnx_add_tensor(writer, wanted, ONNX_INT64, &shape, values,
                                 n * sizeof(*values));
}

char *sosie_onnx_name_of(struct sosie_onnx_writer *writer, sosie_value_id id)
{
    const struct sosie_value *value = &writer->graph->values[id];
    if (writer->names[id])
        return writer->names[id];
    writer->names[id] = sosie_onnx_new_name(writer, value->name);
    if (value->data)
        add_initializer(writer, writer->names[id], type_of(value->dtype),
                        &value->shape, value->data,
                        sosie_shape_count(&value->shape) *
                            sosie_dtype_size(value->dtype));
    return writer->names[id];
}

/* ---- nodes --------------------------------------------------------------- */

Onnx__NodeProto *sosie_onnx_add_node(struct sosie_onnx_writer *writer,
                                     const char *op, const char *name,
                                     char *output)
{
    Onnx__NodeProto *node = room_for(writer, 1, sizeof(*node));
    if (!node)
        return NULL;
    onnx__node_proto__init(node);
    node->op_type = borrowed(op);
    node->name = take_name(writer, &writer->nodes, name);
    append(writer, &node->output, &node->n_output, output);
    append(writer, &writer->proto.node, &writer->proto.n_node, node);
    return node;
}

void sosie_onnx_add_input(struct sosie_onnx_writer *writer,
                          Onnx__NodeProto *node, char *name)
{
    if (node)
        append(writer, &node->input, &node->n_input, name);
}

/* NULL when out of memory. */
static Onnx__AttributeProto *add_attribute(struct sosie_onnx_writer *writer,
                                           Onnx__NodeProto *node,
                                           const char *name, int32_t type)
{
    Onnx__AttributeProto *attribute =
        node ? room_for(writer, 1, sizeof(*attribute)) : NULL;
    if (!attribute)
        return NULL;
    onnx__attribute_proto__init(attribute);
    attribute->name = borrowed(name);
    attribute->has_type = 1;
    attribute->type = type;
    append(writer, &node->attribute, &node->n_attribute, attribute);
    return attribute;
}

void sosie_onnx_add_int(struct sosie_onnx_writer *writer, Onnx__NodeProto *node,
                        const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(writer, node, name, ONNX_ATTRIBUTE_INT);
    if (attribute) {
        attribute->has_i = 1;
        attribute->i = value;
    }
}

void sosie_onnx_add_float(struct sosie_onnx_writer *writer,
                          Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(writer, node, name, ONNX_ATTRIBUTE_FLOAT);
    if (attribute) {
        attribute->has_f = 1;
        attribute->f = value;
    }
}

void sosie_onnx_add_string(struct sosie_onnx_writer *writer,
                           Onnx__NodeProto *node, const char *name,
                           const char *value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(writer, node, name, ONNX_ATTRIBUTE_STRING);
    if (attribute) {
        attribute->has_s = 1;
        attribute->s.data = (uint8_t *)borrowed(value);
        attribute->s.len = strlen(value);
    }
}

void sosie_onnx_add_ints(struct sosie_onnx_writer *writer,
                         Onnx__NodeProto *node, const char *name,
                         const int64_t *values, size_t n)
{
    Onnx__AttributeProto *attribute =
        add_attribute(writer, node, name, ONNX_ATTRIBUTE_INTS);
    int64_t *copy = room_for(writer, n + 1, sizeof(*copy));
    if (attribute && copy) {
        memcpy(copy, values, n * sizeof(*copy));
        attribute->ints = copy;
        attribute->n_ints = n;
    }
}

/* ---- inputs and outputs -------------------------------------------------- */

static void set_dim(const struct sosie_onnx_writer *writer, sosie_value_id id,
                    size_t d, Onnx__TensorShapeProto__Dimension *dim)
{
    const struct sosie_shape *shape = &writer->graph->values[id].shape;
    onnx__tensor_shape_proto__dimension__init(dim);
    if (d != sosie_onnx_batch_axis(&writer->batch, writer->graph, id)) {
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = (int64_t)shape->dims[d];
    } else if (shape->dims[d] == 1) {
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dim->dim_param = borrowed("N");
    }
}

/* One allocation for what a tensor's type is made of. */
struct described {
    Onnx__ValueInfoProto info;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dims[SOSIE_MAX_RANK];
    Onnx__TensorShapeProto__Dimension *places[SOSIE_MAX_RANK];
};

/* NULL when out of memory. */
static Onnx__ValueInfoProto *describe(struct sosie_onnx_writer *writer,
                                      sosie_value_id id, char *name)
{
    const struct sosie_value *value = &writer->graph->values[id];
    struct described *d = room_for(writer, 1, sizeof(*d));
    if (!d)
        return NULL;
    onnx__value_info_proto__init(&d->info);
    onnx__type_proto__init(&d->type);
    onnx__type_proto__tensor__init(&d->tensor);
    onnx__tensor_shape_proto__init(&d->shape);
    for (size_t i = 0; i < value->shape.rank; i++) {
        set_dim(writer, id, i, &d->dims[i]);
        d->places[i] = &d->dims[i];
    }
    d->shape.n_dim = value->shape.rank;
    d->shape.dim = d->places;
    d->tensor.has_elem_type = 1;
    d->tensor.elem_type = type_of(value->dtype);
    d->tensor.shape = &d->shape;
    d->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    d->type.tensor_type = &d->tensor;
    d->info.type = &d->type;
    d->info.name = name;
    return &d->info;
}

static enum sosie_status take_exactly(struct sosie_onnx_writer *writer,
                                      const char *wanted, char **name,
                                      struct sosie_error *err)
{
    *name = sosie_onnx_new_name(writer, wanted);
    if (writer->out_of_memory || !strcmp(*name, wanted))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "'%.80s' is the name of two inputs or outputs, or none",
                      wanted);
}

static enum sosie_status name_inputs(struct sosie_onnx_writer *writer,
                                     struct sosie_error *err)
{
    const struct sosie_graph *graph = writer->graph;
    for (size_t k = 0; k < graph->n_inputs; k++) {
        sosie_value_id id = graph->inputs[k];
        Onnx__ValueInfoProto *info;
        enum sosie_status st = take_exactly(writer, graph->values[id].name,
                                            &writer->names[id], err);
        if (st)
            return st;
        info = describe(writer, id, writer->names[id]);
        if (info)
            append(writer, &writer->proto.input, &writer->proto.n_input, info);
    }
    return SOSIE_OK;
}

/* A value that a node makes has the output's name; inputs, constants and what
 * is an output already are copied to it (copies). */
static enum sosie_status name_outputs(struct sosie_onnx_writer *writer,
                                      const struct sosie_onnx_names *names,
                                      char **copies, struct sosie_error *err)
{
    for (size_t k = 0; k < names->n_outputs; k++) {
        sosie_value_id id = names->outputs[k].value;
        Onnx__ValueInfoProto *info;
        enum sosie_status st =
            take_exactly(writer, names->outputs[k].name, &copies[k], err);
        if (st)
            return st;
        info = describe(writer, id, copies[k]);
        if (info)
            append(writer, &writer->proto.output, &writer->proto.n_output,
                   info);
        if (!writer->names[id] && !writer->graph->values[id].data) {
            writer->names[id] = copies[k];
            copies[k] = NULL;
        }
    }
    return SOSIE_OK;
}

static void write_copies(struct sosie_onnx_writer *writer,
                         const struct sosie_onnx_names *names, char **copies)
{
    for (size_t k = 0; k < names->n_outputs; k++)
        if (copies[k]) {
            char *from = sosie_onnx_name_of(writer, names->outputs[k].value);
            Onnx__NodeProto *node =
                sosie_onnx_add_node(writer, "Identity", copies[k], copies[k]);
            sosie_onnx_add_input(writer, node, from);
        }
}

/* ---- the whole ----------------------------------------------------------- */

static enum sosie_status write_graph(struct sosie_onnx_writer *writer,
                                     const struct sosie_onnx_names *names,
                                     struct sosie_error *err)
{
    const struct sosie_graph *graph = writer->graph;
    char **copies = room_for(writer, names->n_outputs + 1, sizeof(*copies));
    enum sosie_status st = SOSIE_OK;

    onnx__graph_proto__init(&writer->proto);
    writer->proto.name = borrowed(names->graph ? names->graph : "sosie");
    writer->names = room_for(writer, graph->n_values + 1, sizeof(char *));
    if (copies && writer->names) {
        st = name_inputs(writer, err);
        if (!st)
            st = name_outputs(writer, names, copies, err);
        for (size_t i = 0; i < graph->n_nodes && !st; i++)
            sosie_onnx_write_node(writer, &graph->nodes[i]);
        if (!st)
            write_copies(writer, names, copies);
    }
    if (!st && writer->out_of_memory)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's file");
    return st;
}

/* Adds metadata to the message. */
static void write_metadata(struct sosie_onnx_writer *writer,
                           const struct sosie_onnx_names *names,
                           Onnx__ModelProto *model)
{
    for (size_t i = 0; i < names->n_metadata; i++) {
        Onnx__StringStringEntryProto *entry =
            room_for(writer, 1, sizeof(*entry));
        if (!entry)
            return;
        onnx__string_string_entry_proto__init(entry);
        entry->key = borrowed(names->metadata[i].key);
        entry->value = borrowed(names->metadata[i].value);
        append(writer, &model->metadata_props, &model->n_metadata_props, entry);
    }
}

static enum sosie_status pack(struct sosie_onnx_writer *writer,
                              const struct sosie_onnx_names *names,
                              unsigned char **bytes, size_t *size,
                              struct sosie_error *err)
{
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT;
    Onnx__OperatorSetIdProto *opsets[] = {&opset};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;

    opset.domain = borrowed("");
    opset.has_version = 1;
    opset.version = OPSET;
    model.has_ir_version = 1;
    model.ir_version = IR_VERSION;
    model.producer_name = borrowed("sosie");
    model.producer_version = borrowed(SOSIE_VERSION);
    model.graph = &writer->proto;
    model.opset_import = opsets;
    model.n_opset_import = 1;
    write_metadata(writer, names, &model);
    *size = onnx__model_proto__get_packed_size(&model);
    if (*size > MAX_FILE_BYTES)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a file of %zu bytes; ONNX allows %zu", *size,
                          MAX_FILE_BYTES);
    *bytes = writer->out_of_memory ? NULL : malloc(*size);
    if (!*bytes)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a file of %zu bytes", *size);
    onnx__model_proto__pack(&model, *bytes);
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_write(const struct sosie_graph *graph,
                                   const struct sosie_onnx_names *names,
                                   unsigned char **bytes, size_t *size,
                                   struct sosie_error *err)
{
    struct sosie_onnx_writer writer = {.graph = graph};
    enum sosie_status st;
    for (size_t k = 0; k < names->n_outputs; k++)
        if (names->outputs[k].value >= graph->n_values)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "output '%.80s' is not in the graph",
                              names->outputs[k].name);
    st = sosie_onnx_batch_init(graph, names, &writer.batch, err);
    if (!st)
        st = write_graph(&writer, names, err);
    if (!st)
        st = pack(&writer, names, bytes, size, err);
    sosie_onnx_batch_release(&writer.batch);
    sosie_arena_release(&writer.arena);
    return st;
}
