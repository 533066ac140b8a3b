/* onnx.c: reading an ONNX file: bytes -> message -> values and nodes.
 *
 * The graph's constants point into the message, or into the file's bytes
 * (onnx_parse.c).
 * The format demands that nodes stand in an order in which each uses only what
 * was made before it; holding files to that refuses cycles, too. */
#include "model/onnx.h"

#include "base/hash.h"
#include "model/onnx_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- names --------------------------------------------------------------- */

/* Values by name: open addressing in a table at most half full. */
struct name {
    const char *name; /* NULL: free */
    sosie_value_id value;
    /* An output that we don't make, of this node; NULL: there is a value. */
    const Onnx__NodeProto *refused;
};

struct reader {
    const Onnx__GraphProto *proto;
    int64_t opset;
    struct sosie_graph *graph;
    struct sosie_onnx_store store;
    struct name *names;
    size_t mask;
};

static enum sosie_status names_init(struct reader *reader,
                                    struct sosie_error *err)
{
    const Onnx__GraphProto *proto = reader->proto;
    size_t n = proto->n_initializer + proto->n_input, room = 64;
    for (size_t i = 0; i < proto->n_node; i++)
        n += proto->node[i]->n_output;
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
    *find_name(reader, name) = (struct name){name, value, NULL};
}

/* ---- constants and inputs ----------------------------------------------- */

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
        struct sosie_value value = {.name = sosie_onnx_text(proto->name)};
        enum sosie_status st =
            sosie_onnx_read_tensor(&reader->store, proto, &value, err);
        if (st)
            sosie_error_prefix(err, "tensor '%.80s'", value.name);
        else
            st = add_value(reader, &value, err);
        if (st)
            return st;
    }
    return SOSIE_OK;
}

/* One dimension of an input. The first may be open: the batch, which is 1. */
static enum sosie_status
read_dimension(const Onnx__TensorShapeProto__Dimension *proto, size_t i,
               size_t *dim, struct sosie_error *err)
{
    bool fixed = proto->value_case ==
                 ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    int64_t value = fixed ? proto->dim_value : 0;
    if (i == 0 && value <= 0)
        value = 1;
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
        struct sosie_value value = {.name = sosie_onnx_text(proto->name)};
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

/* Is `name` made by this node or one after it? */
static bool is_made_later(const struct reader *reader, size_t node,
                          const char *name)
{
    for (; node < reader->proto->n_node; node++)
        for (size_t k = 0; k < reader->proto->node[node]->n_output; k++)
            if (!strcmp(sosie_onnx_text(reader->proto->node[node]->output[k]),
                        name))
                return true;
    return false;
}

/* The value of a name that a node or an output of the graph asks for. */
static enum sosie_status find_value(const struct reader *reader, size_t node,
                                    const char *what, const char *name,
                                    sosie_value_id *value,
                                    struct sosie_error *err)
{
    const struct name *known = find_name(reader, name);
    if (!known->name)
        return sosie_fail(
            err, SOSIE_BAD_INPUT,
            is_made_later(reader, node, name)
                ? "%s '%.80s' is made by this node or a later one; nodes must "
                  "be in order, without cycles"
                : "%s '%.80s' is not there",
            what, name);
    if (known->refused)
        return sosie_fail(
            err, SOSIE_REFUSED,
            "%s '%.80s' is made by node '%.80s' (%.80s), of which only the "
            "first output is supported",
            what, name, sosie_onnx_text(known->refused->name),
            sosie_onnx_text(known->refused->op_type));
    *value = known->value;
    return SOSIE_OK;
}

/* How many of a list of names there are; empty ones at the end do not count. */
static size_t count_names(char *const *names, size_t n)
{
    while (n && !*sosie_onnx_text(names[n - 1]))
        n--;
    return n;
}

/* Weights: their readers know. */
static bool may_be_unaligned(const Onnx__NodeProto *proto, size_t input)
{
    const char *op = sosie_onnx_text(proto->op_type);
    return input == 1 && (!strcmp(op, "Conv") || !strcmp(op, "Gemm") ||
                          !strcmp(op, "MatMul"));
}

static enum sosie_status resolve_ends(const struct reader *reader, size_t index,
                                      struct sosie_onnx_source *source,
                                      struct sosie_error *err)
{
    const Onnx__NodeProto *proto = source->proto;
    enum sosie_status st = SOSIE_OK;
    source->n_inputs = count_names(proto->input, proto->n_input);
    source->n_outputs = count_names(proto->output, proto->n_output);
    if (source->n_inputs > SOSIE_MAX_INPUTS ||
        proto->n_output > SOSIE_MAX_INPUTS)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu inputs and %zu outputs; at most %d of each are "
                          "supported",
                          source->n_inputs, proto->n_output, SOSIE_MAX_INPUTS);
    for (size_t k = 0; k < source->n_outputs && !st; k++)
        if (k == 0 || *sosie_onnx_text(proto->output[k]))
            st = check_new_name(reader, sosie_onnx_text(proto->output[k]), err);
    for (size_t k = 0; k < source->n_inputs && !st; k++) {
        const char *name = sosie_onnx_text(proto->input[k]);
        source->inputs[k] = SOSIE_NO_VALUE;
        if (*name)
            st = find_value(reader, index, "input", name, &source->inputs[k],
                            err);
        if (*name && !st && !may_be_unaligned(proto, k))
            st = sosie_graph_align(reader->graph, source->inputs[k], err);
    }
    return st;
}

/* The outputs that the node was not made to have are remembered, too: who asks
 * for them is told. */
static void add_outputs(struct reader *reader,
                        const struct sosie_onnx_source *source)
{
    for (size_t k = 0; k < source->n_outputs; k++) {
        const char *name = sosie_onnx_text(source->proto->output[k]);
        if (!*name)
            continue;
        add_name(reader, name, source->outputs[k]);
        if (source->outputs[k] == SOSIE_NO_VALUE)
            find_name(reader, name)->refused = source->proto;
    }
}

static enum sosie_status read_node(struct reader *reader, size_t index,
                                   struct sosie_error *err)
{
    const Onnx__NodeProto *proto = reader->proto->node[index];
    struct sosie_onnx_source source = {.proto = proto,
                                       .opset = reader->opset,
                                       .graph = reader->graph,
                                       .store = &reader->store,
                                       .name = sosie_onnx_text(proto->name)};
    enum sosie_status st;
    if (!*source.name && proto->n_output)
        source.name = sosie_onnx_text(proto->output[0]);
    for (size_t k = 0; k < SOSIE_MAX_INPUTS; k++)
        source.outputs[k] = SOSIE_NO_VALUE;
    st = resolve_ends(reader, index, &source, err);
    if (!st)
        st = sosie_onnx_read_op(&source, err);
    if (!st)
        add_outputs(reader, &source);
    else if (!source.is_named)
        sosie_error_prefix(err, "node '%.80s' (%.80s)", source.name,
                           sosie_onnx_text(proto->op_type));
    return st;
}

/* ---- the whole ----------------------------------------------------------- */

static enum sosie_status read_opset(const Onnx__ModelProto *message,
                                    int64_t *opset, struct sosie_error *err)
{
    *opset = 0;
    for (size_t i = 0; i < message->n_opset_import; i++) {
        const char *domain = sosie_onnx_text(message->opset_import[i]->domain);
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
        struct sosie_onnx_output *output = &onnx->outputs[i];
        enum sosie_status st;
        output->name = sosie_onnx_text(reader->proto->output[i]->name);
        st = find_value(reader, reader->proto->n_node, "output", output->name,
                        &output->value, err);
        if (!st)
            st = sosie_graph_align(reader->graph, output->value, err);
        if (st)
            return st;
    }
    onnx->n_outputs = n;
    return SOSIE_OK;
}

/* What may be computed from constants, in elements: what networks need, or as
 * much as the file holds. */
static size_t spendable(size_t file_size)
{
    return ((size_t)1 << 22) + file_size / 2;
}

enum sosie_status sosie_onnx_read(const void *bytes, size_t size,
                                  const char *folder, struct sosie_onnx *onnx,
                                  struct sosie_error *err)
{
    struct sosie_onnx read = {0};
    struct reader reader = {.graph = &read.graph,
                            .store = {.arena = &read.graph.arena,
                                      .folder = folder,
                                      .elements_left = spendable(size)}};
    enum sosie_status st = sosie_onnx_parse(bytes, size, &read.message, err);
    if (st)
        goto out;
    read.bytes = bytes;
    read.size = size;
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
    sosie_onnx_free_message(onnx);
    sosie_graph_release(&onnx->graph);
    memset(onnx, 0, sizeof(*onnx));
}

bool sosie_onnx_borrows(const struct sosie_onnx *onnx, const void *data)
{
    uintptr_t at = (uintptr_t)data, first = (uintptr_t)onnx->bytes;
    return at >= first && at - first < onnx->size;
}

const char *sosie_onnx_metadata(const struct sosie_onnx *onnx, const char *key)
{
    for (size_t i = 0; i < onnx->message->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *entry =
            onnx->message->metadata_props[i];
        if (!strcmp(sosie_onnx_text(entry->key), key))
            return sosie_onnx_text(entry->value);
    }
    return NULL;
}
