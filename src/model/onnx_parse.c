/* onnx_parse.c: bytes -> message, without copying what is large.
 *
 * protobuf-c copies every field. Nearly all bytes of a file are raw_data of its
 * initializers, so those of LARGE bytes and more are left out of what it gets
 * to see; then the message's tensors are made to point at them, where they
 * stand in the file. Only such bytes are left out that it would have taken as
 * they are: a file that is not as expected is parsed as it stands. */
#include "model/onnx_private.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

/* ---- protobuf-c ---------------------------------------------------------- */

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

/* ---- fields -------------------------------------------------------------- */

/* Of ModelProto, GraphProto and TensorProto. */
enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, TENSOR_RAW_DATA = 9 };
enum { LARGE = 64 << 10 };
enum { WIRE_NUMBER = 0, WIRE_8_BYTES = 1, WIRE_BYTES = 2, WIRE_4_BYTES = 5 };

struct range {
    const unsigned char *at, *end;
};

struct field {
    uint64_t number;
    unsigned wire;
    struct range whole, content; /* with tag and length; of WIRE_BYTES */
};

static size_t range_size(struct range range)
{
    return (size_t)(range.end - range.at);
}

static bool read_number(struct range *in, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        unsigned char byte = *in->at++;
        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Takes the next field; false at the end, or if it is damaged: then something
 * is left. */
static bool next_field(struct range *in, struct field *field)
{
    struct range rest = *in;
    uint64_t tag, size = 0;
    if (rest.at == rest.end || !read_number(&rest, &tag))
        return false;
    *field = (struct field){.number = tag >> 3, .wire = (unsigned)(tag & 7)};
    if (field->wire == WIRE_8_BYTES)
        size = 8;
    else if (field->wire == WIRE_4_BYTES)
        size = 4;
    else if ((field->wire != WIRE_NUMBER && field->wire != WIRE_BYTES) ||
             !read_number(&rest, &size))
        return false;
    if (field->wire == WIRE_NUMBER)
        size = 0;
    if (size > range_size(rest))
        return false;
    field->content = (struct range){rest.at, rest.at + size};
    field->whole = (struct range){in->at, field->content.end};
    in->at = field->content.end;
    return true;
}

static bool is_bytes(const struct field *field, uint64_t number)
{
    return field->number == number && field->wire == WIRE_BYTES;
}

/* ---- what is left out ---------------------------------------------------- */

/* The raw_data of a tensor, if it is large and there is just one. */
static bool find_large(struct range tensor, struct field *found)
{
    struct field field;
    size_t n = 0;
    while (next_field(&tensor, &field))
        if (field.number == TENSOR_RAW_DATA) {
            *found = field;
            n++;
        }
    return tensor.at == tensor.end && n == 1 && found->wire == WIRE_BYTES &&
           range_size(found->content) >= LARGE;
}

/* What is left out of a file. */
struct left_out {
    struct range graph; /* the only one */
    size_t n, bytes;    /* tensors, and their raw_data */
};

static bool find_graph(struct range model, struct range *graph)
{
    struct field field;
    size_t n = 0;
    while (next_field(&model, &field))
        if (field.number == MODEL_GRAPH) {
            if (field.wire != WIRE_BYTES)
                return false;
            *graph = field.content;
            n++;
        }
    return model.at == model.end && n == 1;
}

/* False if nothing is. */
static bool find_left_out(struct range model, struct left_out *out)
{
    struct field field, large = {0};
    struct range graph;
    *out = (struct left_out){.n = 0};
    if (!find_graph(model, &out->graph))
        return false;
    graph = out->graph;
    while (next_field(&graph, &field))
        if (is_bytes(&field, GRAPH_INITIALIZER) &&
            find_large(field.content, &large)) {
            out->n++;
            out->bytes += range_size(large.whole);
        }
    return graph.at == graph.end && out->n;
}

/* ---- what is left -------------------------------------------------------- */

/* A message whose size is known when it ends has it in five bytes. */
enum { SIZE_BYTES = 5 };

static unsigned char *put(unsigned char *to, struct range from)
{
    memcpy(to, from.at, range_size(from));
    return to + range_size(from);
}

static void put_size(unsigned char *to, size_t size)
{
    for (size_t i = 0; i < SIZE_BYTES; i++)
        to[i] = (unsigned char)((size >> 7 * i & 0x7f) |
                                (i + 1 < SIZE_BYTES ? 0x80 : 0));
}

/* Starts a message; its content goes where this returns. */
static unsigned char *put_start(unsigned char *to, unsigned number)
{
    *to = (unsigned char)(number << 3 | WIRE_BYTES);
    return to + 1 + SIZE_BYTES;
}

static void put_end(unsigned char *content, const unsigned char *end)
{
    put_size(content - SIZE_BYTES, (size_t)(end - content));
}

static unsigned char *put_graph(unsigned char *to, struct range graph)
{
    unsigned char *content = to = put_start(to, MODEL_GRAPH);
    struct field field, large = {0};
    while (next_field(&graph, &field)) {
        unsigned char *tensor;
        if (!is_bytes(&field, GRAPH_INITIALIZER) ||
            !find_large(field.content, &large)) {
            to = put(to, field.whole);
            continue;
        }
        tensor = to = put_start(to, GRAPH_INITIALIZER);
        to = put(to, (struct range){field.content.at, large.whole.at});
        to = put(to, (struct range){large.whole.end, field.content.end});
        put_end(tensor, to);
    }
    put_end(content, to);
    return to;
}

static unsigned char *put_model(unsigned char *to, struct range model)
{
    struct field field;
    while (next_field(&model, &field))
        to = field.number == MODEL_GRAPH ? put_graph(to, field.content)
                                         : put(to, field.whole);
    return to;
}

/* Points the tensors at what was left out of them. */
static bool point(Onnx__GraphProto *proto, struct range graph)
{
    struct field field, large = {0};
    size_t i = 0;
    while (next_field(&graph, &field)) {
        if (!is_bytes(&field, GRAPH_INITIALIZER))
            continue;
        if (i == proto->n_initializer)
            return false;
        if (find_large(field.content, &large)) {
            proto->initializer[i]->has_raw_data = 1;
            proto->initializer[i]->raw_data =
                (ProtobufCBinaryData){range_size(large.content),
                                      (uint8_t *)(uintptr_t)large.content.at};
        }
        i++;
    }
    return i == proto->n_initializer;
}

/* ---- the whole ----------------------------------------------------------- */

static Onnx__ModelProto *unpack(struct range model, size_t budget_bytes)
{
    struct budget budget = {budget_bytes};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    return onnx__model_proto__unpack(&allocator, range_size(model), model.at);
}

/* *message stays NULL if it is damaged. */
static enum sosie_status parse_less(struct range model,
                                    const struct left_out *out, size_t budget,
                                    Onnx__ModelProto **message,
                                    struct sosie_error *err)
{
    size_t room =
        range_size(model) - out->bytes + (out->n + 1) * (1 + SIZE_BYTES);
    unsigned char *less = malloc(room);
    if (!less)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's message");
    *message = unpack((struct range){less, put_model(less, model)}, budget);
    free(less);
    if (*message &&
        !((*message)->graph && point((*message)->graph, out->graph)))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "not as many tensors as there should be");
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_parse(const void *bytes, size_t size,
                                   Onnx__ModelProto **message,
                                   struct sosie_error *err)
{
    struct range model = {bytes, (const unsigned char *)bytes + size};
    struct left_out out;
    size_t budget;
    enum sosie_status st = SOSIE_OK;
    if (!sosie_size_mul(size, 16, &budget) ||
        !sosie_size_add(budget, (size_t)1 << 20, &budget))
        return sosie_fail(err, SOSIE_REFUSED, "the file is too large");
    if (find_left_out(model, &out))
        st = parse_less(model, &out, budget, message, err);
    else
        *message = unpack(model, budget);
    if (st || (*message && (*message)->graph))
        return st;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "not an ONNX file, or a damaged one (%zu bytes)", size);
}

void sosie_onnx_free_message(struct sosie_onnx *onnx)
{
    struct budget budget = {0};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    Onnx__GraphProto *graph = onnx->message ? onnx->message->graph : NULL;
    for (size_t i = 0; graph && i < graph->n_initializer; i++)
        if (sosie_onnx_borrows(onnx, graph->initializer[i]->raw_data.data))
            graph->initializer[i]->raw_data = (ProtobufCBinaryData){0, NULL};
    if (onnx->message)
        onnx__model_proto__free_unpacked(onnx->message, &allocator);
}
