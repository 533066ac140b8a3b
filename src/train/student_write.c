/* student_write.c: a trained student -> an ONNX file that says what it is. */
#include "train/student.h"

#include "nn/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* embedding, features, the aspects; the heads */
    MAX_OUTPUTS = 2 + SOSIE_STUDENT_ASPECTS + SOSIE_DATASET_MAX_COLUMNS,
    MAX_METADATA = 32
};

/* What is gathered for sosie_onnx_write. */
struct writing {
    const struct sosie_student_options *options;
    struct sosie_student student;
    struct sosie_arena arena;
    struct sosie_onnx_output outputs[MAX_OUTPUTS];
    struct sosie_onnx_property metadata[MAX_METADATA];
    struct sosie_onnx_names names;
};

static void add_output(struct writing *w, const char *name, sosie_value_id id)
{
    w->outputs[w->names.n_outputs++] = (struct sosie_onnx_output){name, id};
}

static void add_property(struct writing *w, const char *key, const char *value)
{
    if (w->names.n_metadata < MAX_METADATA)
        w->metadata[w->names.n_metadata++] =
            (struct sosie_onnx_property){key, value};
}

static char *joined_labels(struct sosie_arena *arena,
                           const struct sosie_student_head *head)
{
    size_t size = 1;
    char *text, *at;
    for (size_t i = 0; i < head->n_labels; i++)
        size += strlen(head->labels[i]) + 1;
    at = text = sosie_arena_alloc(arena, size, 1);
    for (size_t i = 0; text && i < head->n_labels; i++)
        at += sprintf(at, "%s%s", i ? "\n" : "", head->labels[i]);
    return text;
}

static enum sosie_status add_labels(struct writing *w, struct sosie_error *err)
{
    const struct sosie_student_options *o = w->options;
    size_t first = sosie_student_n_aspects(o);
    for (size_t i = 0; i < o->n_heads; i++) {
        char text[96];
        char *labels = joined_labels(&w->arena, &o->heads[i]);
        char *output = sosie_arena_strdup(
            &w->arena, sosie_student_head_name(o, i, "logits", text));
        char *key = sosie_arena_strdup(
            &w->arena, sosie_student_head_name(o, i, "labels", text));
        if (!labels || !output || !key)
            return sosie_fail(err, SOSIE_NO_MEMORY, "labels");
        add_property(w, key, labels);
        add_output(w, output, w->student.graph.outputs[first + i]);
    }
    return SOSIE_OK;
}

/* The probabilities of the labels of the heads that read this aspect, one head
 * after the other; the aspect itself, if none does. */
static enum sosie_status add_parts(struct writing *w,
                                   enum sosie_student_aspect aspect,
                                   struct sosie_node *embedding,
                                   struct sosie_error *err)
{
    const struct sosie_student_options *o = w->options;
    struct sosie_graph *graph = &w->student.graph;
    size_t first = sosie_student_n_aspects(o), n = embedding->n_inputs;
    for (size_t h = 0; h < o->n_heads; h++) {
        struct sosie_node softmax = {.op = SOSIE_OP_SOFTMAX,
                                     .n_inputs = 1,
                                     .inputs = {graph->outputs[first + h]},
                                     .softmax = {.axis = 1}};
        if (aspect == SOSIE_STUDENT_SHAPE || o->heads[h].aspect != aspect)
            continue;
        softmax.name = sosie_arena_printf(&w->arena, "%.80s_probabilities",
                                          o->heads[h].name);
        if (!softmax.name)
            return sosie_fail(err, SOSIE_NO_MEMORY, "an embedding");
        if (sosie_graph_add_node(graph, &softmax, softmax.name,
                                 &embedding->inputs[embedding->n_inputs++],
                                 err))
            return err->status;
    }
    if (embedding->n_inputs == n)
        embedding->inputs[embedding->n_inputs++] =
            graph->outputs[sosie_student_output(o, aspect)];
    return SOSIE_OK;
}

static size_t dim_of(const struct sosie_graph *graph, const sosie_value_id *ids,
                     size_t n)
{
    size_t dim = 0;
    for (size_t i = 0; i < n; i++)
        dim += graph->values[ids[i]].shape.dims[1];
    return dim;
}

static enum sosie_status add_embedding(struct writing *w,
                                       struct sosie_error *err)
{
    struct sosie_graph *graph = &w->student.graph;
    const struct sosie_student_options *o = w->options;
    struct sosie_node node = {
        .name = "embedding", .op = SOSIE_OP_CONCAT, .axis = 1};
    sosie_value_id id = graph->outputs[0];
    char aspects[256] = "", weights[256] = "", degrees[256] = "";
    size_t n = 0, m = 0, k = 0;
    enum sosie_status st = SOSIE_OK;

    for (int a = 0; a < SOSIE_STUDENT_ASPECTS && !st; a++) {
        enum sosie_student_aspect aspect = (enum sosie_student_aspect)a;
        const char *name = sosie_student_aspect_name(aspect);
        size_t first = node.n_inputs;
        if (!o->dims[a])
            continue;
        st = add_parts(w, aspect, &node, err);
        if (st)
            break;
        n += (size_t)snprintf(
            aspects + n, sizeof(aspects) - n, "%s%s=%zu", n ? "," : "", name,
            dim_of(graph, node.inputs + first, node.n_inputs - first));
        m += (size_t)snprintf(weights + m, sizeof(weights) - m, "%s%s=%.3g",
                              m ? "," : "", name, (double)o->weights[a]);
        if (o->degrees[a] > 1)
            k += (size_t)snprintf(degrees + k, sizeof(degrees) - k, "%s%s=%u",
                                  k ? "," : "", name, o->degrees[a]);
    }
    if (!st && node.n_inputs > 1)
        st = sosie_graph_add_node(graph, &node, "embedding", &id, err);
    if (st)
        return st;
    add_output(w, "embedding", id);
    add_property(w, "embedding.aspects",
                 sosie_arena_strdup(&w->arena, aspects));
    add_property(w, "embedding.weights",
                 sosie_arena_strdup(&w->arena, weights));
    if (k)
        add_property(w, "embedding.degrees",
                     sosie_arena_strdup(&w->arena, degrees));
    return SOSIE_OK;
}

/* What the file says of itself: outputs and metadata. */
static enum sosie_status describe(struct writing *w, struct sosie_error *err)
{
    struct sosie_student *student = &w->student;
    struct sosie_graph *graph = &student->graph;
    enum sosie_status st = add_embedding(w, err);
    if (!st)
        st = add_labels(w, err);
    if (st)
        return st;
    add_output(w, "features", student->features);
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS;
         a++) /* alone it is the embedding */
        if (w->options->dims[a] && sosie_student_n_aspects(w->options) > 1)
            add_output(w,
                       sosie_student_aspect_name((enum sosie_student_aspect)a),
                       graph->outputs[sosie_student_output(
                           w->options, (enum sosie_student_aspect)a)]);
    add_property(w, "input.scale", student->scale);
    add_property(w, "input.bias", student->bias);
    add_property(w, "input.fit",
                 student->input.fit == SOSIE_FIT_SQUASH ? "squash"
                                                        : "letterbox");
    if (student->input.channels_last)
        add_property(w, "input.layout", "NHWC");
    if (student->bgr)
        add_property(w, "input.color", "BGR");
    return SOSIE_OK;
}

static enum sosie_status set_params(struct sosie_graph *graph,
                                    const struct sosie_student_params *params,
                                    struct sosie_error *err)
{
    for (size_t i = 0; i < params->n; i++) {
        struct sosie_value *value = &graph->values[params->all[i].value];
        if (!value->data ||
            sosie_shape_count(&value->shape) != params->all[i].n)
            return sosie_fail(err, SOSIE_CORRUPT,
                              "parameters of another network");
        value->data = params->block + params->all[i].offset;
    }
    return SOSIE_OK;
}

enum sosie_status
sosie_student_write(const struct sosie_student_options *options,
                    const struct sosie_student_params *params,
                    const struct sosie_onnx_property *metadata,
                    size_t n_metadata, unsigned char **bytes, size_t *size,
                    struct sosie_error *err)
{
    struct writing w = {.options = options};
    struct sosie_graph *graph = &w.student.graph;
    enum sosie_status st = sosie_student_init(options, &w.student, err);
    if (!st)
        st = set_params(graph, params, err);
    if (!st)
        st = describe(&w, err);
    if (st)
        goto out;
    for (size_t i = 0; i < n_metadata; i++)
        add_property(&w, metadata[i].key, metadata[i].value);
    graph->n_outputs = 0;
    for (size_t i = 0; i < w.names.n_outputs; i++)
        graph->outputs[graph->n_outputs++] = w.outputs[i].value;
    w.names.outputs = w.outputs;
    w.names.metadata = w.metadata;
    st = sosie_graph_simplify(graph, err);
    for (size_t i = 0; i < w.names.n_outputs; i++)
        w.outputs[i].value = graph->outputs[i];
    if (!st)
        st = sosie_onnx_write(graph, &w.names, bytes, size, err);
out:
    sosie_student_release(&w.student);
    sosie_arena_release(&w.arena);
    return st;
}
