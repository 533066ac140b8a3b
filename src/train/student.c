/* student.c: a body of a file or of our own -> aspects and heads.
 *
 * A file's graph is built anew with the size of input that is wanted: shapes
 * are fixed when nodes are added. */
#include "train/student.h"

#include "base/file.h"
#include "base/random.h"
#include "nn/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)1 << 31)

enum sosie_status sosie_add_weights(struct sosie_graph *graph, const char *name,
                                    const struct sosie_shape *shape,
                                    struct sosie_random *random,
                                    float deviation, sosie_value_id *id,
                                    struct sosie_error *err)
{
    struct sosie_value value = {.name = name, .shape = *shape};
    size_t n = sosie_shape_count(shape);
    float *data = sosie_arena_alloc(&graph->arena, n, sizeof(*data));
    if (!data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "weights");
    for (size_t i = 0; i < n; i++)
        data[i] =
            random ? deviation * (float)sosie_random_normal(random) : deviation;
    value.data = data;
    return sosie_graph_add_value(graph, &value, id, err);
}

/* ---- the body ------------------------------------------------------------ */

static const struct sosie_onnx_output *
find_output(const struct sosie_onnx *onnx, const char *name)
{
    for (size_t i = 0; i < onnx->n_outputs; i++)
        if (!strcmp(onnx->outputs[i].name, name))
            return &onnx->outputs[i];
    return NULL;
}

/* What a file's features are: what it calls so, or its embedding. */
static enum sosie_status find_features(const struct sosie_onnx *onnx,
                                       sosie_value_id *features,
                                       struct sosie_error *err)
{
    static const char *const names[] = {"features", "embedding"};
    const struct sosie_onnx_output *found = NULL;
    for (size_t i = 0; i < 2 && !found; i++)
        found = find_output(onnx, names[i]);
    for (size_t i = 0; i < onnx->n_outputs && !found; i++)
        if (onnx->graph.values[onnx->outputs[i].value].shape.rank == 2)
            found = &onnx->outputs[i];
    if (!found)
        return sosie_fail(err, SOSIE_REFUSED,
                          "no output is named features or embedding, or has 2 "
                          "dimensions");
    *features = found->value;
    return SOSIE_OK;
}

/* Copies all values and nodes of `from` to `to`, whose input has the size
 * wanted; map: what each value has become. */
static enum sosie_status resize(const struct sosie_graph *from,
                                const struct sosie_input *input, uint32_t side,
                                struct sosie_graph *to, sosie_value_id *map,
                                struct sosie_error *err)
{
    size_t y = input->channels_last ? 1 : 2;
    for (size_t i = 0; i < from->n_values; i++)
        map[i] = SOSIE_NO_VALUE;
    for (sosie_value_id i = 0; i < from->n_values; i++) {
        struct sosie_value value = from->values[i];
        bool is_input = i == from->inputs[0];
        if (!value.data && !is_input)
            continue;
        if (is_input && side)
            value.shape.dims[y] = value.shape.dims[y + 1] = side;
        if (sosie_graph_add_value(to, &value, &map[i], err))
            return err->status;
    }
    to->n_inputs = 1;
    to->inputs[0] = map[from->inputs[0]];
    for (size_t i = 0; i < from->n_nodes; i++) {
        struct sosie_node node = from->nodes[i];
        for (size_t k = 0; k < node.n_inputs; k++)
            if (node.inputs[k] != SOSIE_NO_VALUE)
                node.inputs[k] = map[node.inputs[k]];
        if (sosie_graph_add_node(to, &node,
                                 from->values[from->nodes[i].output].name,
                                 &map[from->nodes[i].output], err))
            return err->status;
    }
    return SOSIE_OK;
}

/* The output of so many numbers that a file has already, or SOSIE_NO_VALUE. */
static sosie_value_id find_output_of(const struct sosie_onnx *onnx,
                                     const sosie_value_id *map,
                                     const char *name, size_t dim)
{
    const struct sosie_onnx_output *output = find_output(onnx, name);
    if (!output || onnx->graph.values[output->value].data ||
        onnx->graph.values[output->value].shape.rank != 2 ||
        onnx->graph.values[output->value].shape.dims[1] != dim)
        return SOSIE_NO_VALUE;
    return map[output->value];
}

const char *sosie_student_aspect_name(enum sosie_student_aspect aspect)
{
    static const char *const names[SOSIE_STUDENT_ASPECTS] = {"shape", "colour",
                                                             "kind"};
    return names[aspect];
}

size_t sosie_student_output(const struct sosie_student_options *options,
                            enum sosie_student_aspect aspect)
{
    size_t n = 0;
    for (int a = 0; options->dims[aspect] && a < (int)aspect; a++)
        n += options->dims[a] > 0;
    return n;
}

size_t sosie_student_n_aspects(const struct sosie_student_options *options)
{
    size_t n = 0;
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        n += options->dims[a] > 0;
    return n;
}

/* What the file has had already, or SOSIE_NO_VALUE. */
struct taken {
    sosie_value_id aspects[SOSIE_STUDENT_ASPECTS];
    sosie_value_id heads[SOSIE_DATASET_MAX_COLUMNS];
};

const char *sosie_student_head_name(const struct sosie_student_options *options,
                                    size_t i, const char *what, char text[96])
{
    if (i)
        snprintf(text, 96, "%.80s_%s", options->heads[i].name, what);
    else
        snprintf(text, 96, "%s", what);
    return text;
}

/* Are these, a line each, the head's labels? */
static bool has_labels(const struct sosie_student_head *head, const char *text)
{
    for (size_t i = 0; i < head->n_labels && text; i++) {
        size_t n = strlen(head->labels[i]);
        bool is_last = i + 1 == head->n_labels;
        if (strncmp(text, head->labels[i], n) ||
            text[n] != (is_last ? 0 : '\n'))
            return false;
        text += n + !is_last;
    }
    return text;
}

static void take_up(const struct sosie_student_options *options,
                    const struct sosie_onnx *onnx, const sosie_value_id *map,
                    struct taken *taken)
{
    char text[96];
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        if (!options->anew[a])
            taken->aspects[a] = find_output_of(
                onnx, map,
                sosie_student_aspect_name((enum sosie_student_aspect)a),
                options->dims[a]);
    for (size_t i = 0; i < options->n_heads; i++) {
        const struct sosie_student_head *head = &options->heads[i];
        if (taken->aspects[head->aspect] != SOSIE_NO_VALUE &&
            has_labels(head, sosie_onnx_metadata(
                                 onnx, sosie_student_head_name(
                                           options, i, "labels", text))))
            taken->heads[i] = find_output_of(
                onnx, map, sosie_student_head_name(options, i, "logits", text),
                head->n_labels);
    }
}

/* ---- residual sums --------------------------------------------------------
 */

enum { MAX_TAPS = 32 };

/* The value that goes on from node i if that is a residual sum of planes: the
 * sum or, if it alone reads it, the activation of it. Else SOSIE_NO_VALUE. */
static sosie_value_id residual_sum(const struct sosie_graph *graph, size_t i)
{
    const struct sosie_node *node = &graph->nodes[i], *user = NULL;
    const struct sosie_shape *shape = &graph->values[node->output].shape;
    size_t n_users = 0;
    if (node->op != SOSIE_OP_ADD || node->n_inputs != 2 || shape->rank != 4 ||
        graph->values[node->inputs[0]].data ||
        graph->values[node->inputs[1]].data)
        return SOSIE_NO_VALUE;
    for (size_t k = i + 1; k < graph->n_nodes; k++)
        for (size_t j = 0; j < graph->nodes[k].n_inputs; j++)
            if (graph->nodes[k].inputs[j] == node->output) {
                user = &graph->nodes[k];
                n_users++;
            }
    return n_users == 1 &&
                   (user->op == SOSIE_OP_RELU || user->op == SOSIE_OP_CLIP)
               ? user->output
               : node->output;
}

static enum sosie_status add_mean(struct sosie_graph *graph, sosie_value_id x,
                                  sosie_value_id *out, struct sosie_error *err)
{
    struct sosie_node pool = {.name = graph->values[x].name,
                              .op = SOSIE_OP_GLOBAL_AVERAGE_POOL,
                              .n_inputs = 1,
                              .inputs = {x}};
    struct sosie_node flatten = {.name = graph->values[x].name,
                                 .op = SOSIE_OP_FLATTEN,
                                 .n_inputs = 1,
                                 .axis = 1};
    char name[160];
    enum sosie_status st;
    snprintf(name, sizeof(name), "%.120s.planes", graph->values[x].name);
    st = sosie_graph_add_node(graph, &pool, name, &flatten.inputs[0], err);
    snprintf(name, sizeof(name), "%.120s.mean", graph->values[x].name);
    return st ? st : sosie_graph_add_node(graph, &flatten, name, out, err);
}

/* *features: with the means of residual sums before them, the last MAX_TAPS.
 * What a network knows halfway tells products apart that its end, which was
 * made to name them, takes for one. A network without residual sums keeps its
 * features. */
static enum sosie_status add_residual_sums(struct sosie_graph *graph,
                                           sosie_value_id *features,
                                           struct sosie_error *err)
{
    struct sosie_node concat = {
        .name = "features", .op = SOSIE_OP_CONCAT, .axis = 1};
    sosie_value_id taps[MAX_TAPS];
    size_t n = 0;
    for (size_t i = graph->n_nodes; i-- > 0 && n < MAX_TAPS;)
        if ((taps[n] = residual_sum(graph, i)) != SOSIE_NO_VALUE)
            n++;
    if (!n || graph->values[*features].shape.rank != 2)
        return SOSIE_OK;
    while (n-- > 0)
        if (add_mean(graph, taps[n], &concat.inputs[concat.n_inputs++], err))
            return err->status;
    concat.inputs[concat.n_inputs++] = *features;
    return sosie_graph_add_node(graph, &concat, "features", features, err);
}

/* ---- a file -------------------------------------------------------------- */

static void copy_metadata(const struct sosie_onnx *onnx, const char *key,
                          const char *usual, char *to, size_t room)
{
    const char *text = sosie_onnx_metadata(onnx, key);
    snprintf(to, room, "%s", text ? text : usual);
}

/* In floats and, to be frozen, with its normalisations folded. A reader's graph
 * has no outputs of its own yet: what they need is kept. */
static enum sosie_status prepare(const struct sosie_student_options *options,
                                 struct sosie_onnx *onnx,
                                 struct sosie_error *err)
{
    struct sosie_graph *graph = &onnx->graph;
    bool is_quantized = sosie_graph_is_quantized(graph);
    enum sosie_status st = SOSIE_OK;
    if (!is_quantized && !options->freeze)
        return SOSIE_OK;
    if (onnx->n_outputs > SOSIE_MAX_OUTPUTS)
        return sosie_fail(err, SOSIE_REFUSED, "%zu outputs, expected up to %d",
                          onnx->n_outputs, SOSIE_MAX_OUTPUTS);
    for (size_t i = 0; i < onnx->n_outputs; i++)
        graph->outputs[graph->n_outputs++] = onnx->outputs[i].value;
    if (is_quantized)
        st = sosie_graph_dequantize(graph, err);
    if (!st && options->freeze)
        st = sosie_graph_simplify(graph, err);
    for (size_t i = 0; i < onnx->n_outputs && !st; i++)
        onnx->outputs[i].value = graph->outputs[i];
    return st;
}

static enum sosie_status add_file(const struct sosie_student_options *options,
                                  struct sosie_student *student,
                                  struct taken *taken, struct sosie_error *err)
{
    sosie_value_id *map = NULL;
    const char *color;
    size_t size;
    enum sosie_status st = sosie_file_read(options->init, MAX_FILE_BYTES,
                                           &student->bytes, &size, err);
    if (st)
        return st;
    st = sosie_onnx_read(student->bytes, size, NULL, &student->onnx, err);
    if (!st)
        st = sosie_input_read(&student->onnx, &student->input, err);
    if (!st)
        st = prepare(options, &student->onnx, err);
    if (!st)
        st = find_features(&student->onnx, &student->features, err);
    if (!st) {
        map = calloc(student->onnx.graph.n_values + 1, sizeof(*map));
        if (!map)
            st = sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    }
    if (!st)
        st = resize(&student->onnx.graph, &student->input, options->size,
                    &student->graph, map, err);
    if (!st) {
        student->features = map[student->features];
        take_up(options, &student->onnx, map, taken);
        copy_metadata(&student->onnx, "input.scale", "0.00392156862745098",
                      student->scale, sizeof(student->scale));
        copy_metadata(&student->onnx, "input.bias", "0", student->bias,
                      sizeof(student->bias));
        color = sosie_onnx_metadata(&student->onnx, "input.color");
        student->bgr = color && !strcmp(color, "BGR");
        if (options->size)
            student->input.width = student->input.height = options->size;
    }
    if (!st && taken->aspects[SOSIE_STUDENT_SHAPE] == SOSIE_NO_VALUE)
        st = add_residual_sums(&student->graph, &student->features, err);
    free(map);
    if (st)
        sosie_error_prefix(err, "%s", options->init);
    return st;
}

static enum sosie_status add_arch(const struct sosie_student_options *options,
                                  struct sosie_student *student,
                                  struct sosie_error *err)
{
    struct sosie_graph *graph = &student->graph;
    struct sosie_value image = {
        .name = "image", .shape = {4, {1, 3, options->size, options->size}}};
    enum sosie_status st;
    if (!options->arch || !options->size)
        return sosie_fail(
            err, SOSIE_BAD_INPUT,
            "nothing to start from, expected an ONNX file, or one "
            "of %s and the size of its input",
            sosie_arch_names());
    st = sosie_graph_add_value(graph, &image, &graph->inputs[0], err);
    if (st)
        return st;
    graph->n_inputs = 1;
    snprintf(student->scale, sizeof(student->scale), "0.0078431372549");
    snprintf(student->bias, sizeof(student->bias), "-1");
    student->input = (struct sosie_input){.width = options->size,
                                          .height = options->size,
                                          .fit = SOSIE_FIT_SQUASH,
                                          .from = {0, 1, 2}};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 256; i++)
            student->input.table[c][i] = (float)i * 0.0078431372549F - 1.0F;
    return sosie_arch_add(graph, options->arch, graph->inputs[0], options->seed,
                          &student->features, err);
}

/* ---- aspects and heads --------------------------------------------------- */

enum { HIDDEN = 384 }; /* numbers of a perceptron's hidden layer */

/* n linear functions of x: random ones, or 0. */
static enum sosie_status add_linear(struct sosie_graph *graph, const char *name,
                                    sosie_value_id x, size_t n,
                                    struct sosie_random *random,
                                    sosie_value_id *out,
                                    struct sosie_error *err)
{
    size_t in = graph->values[x].shape.dims[1];
    struct sosie_node node = {.name = name,
                              .op = SOSIE_OP_GEMM,
                              .n_inputs = 3,
                              .gemm = {.trans_b = true, .alpha = 1, .beta = 1}};
    char text[160];
    enum sosie_status st;
    node.inputs[SOSIE_GEMM_A] = x;
    snprintf(text, sizeof(text), "%s.weights", name);
    st = sosie_add_weights(graph, text, &(struct sosie_shape){2, {n, in}},
                           random, random ? 1.0F / sqrtf((float)in) : 0,
                           &node.inputs[SOSIE_GEMM_B], err);
    snprintf(text, sizeof(text), "%s.bias", name);
    if (!st)
        st = sosie_add_weights(graph, text, &(struct sosie_shape){1, {n}}, NULL,
                               0, &node.inputs[SOSIE_GEMM_C], err);
    return st ? st : sosie_graph_add_node(graph, &node, name, out, err);
}

/* x with every number of mean 0 and deviation 1: those of a network differ by
 * orders of magnitude, and a perceptron would see the large ones alone. */
static enum sosie_status add_normal(struct sosie_graph *graph,
                                    const char *aspect, sosie_value_id x,
                                    sosie_value_id *out,
                                    struct sosie_error *err)
{
    static const struct {
        const char *name;
        float value;
    } params[] = {{"scale", 1}, {"shift", 0}, {"mean", 0}, {"variance", 1}};
    struct sosie_node norm = {.op = SOSIE_OP_BATCH_NORM,
                              .n_inputs = 5,
                              .inputs = {x},
                              .epsilon = 1e-5F};
    struct sosie_shape vector = {1, {graph->values[x].shape.dims[1]}};
    char name[64];
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < 4 && !st; k++) {
        snprintf(name, sizeof(name), "%s.normal.%s", aspect, params[k].name);
        st = sosie_add_weights(graph, name, &vector, NULL, params[k].value,
                               &norm.inputs[SOSIE_BN_SCALE + k], err);
    }
    snprintf(name, sizeof(name), "%s.normal", aspect);
    norm.name = name;
    return st ? st : sosie_graph_add_node(graph, &norm, name, out, err);
}

/* What a perceptron reads: the features and, for colour, what a small body of
 * its own sees. */
static enum sosie_status
perceptron_input(const struct sosie_student_options *options,
                 struct sosie_student *student,
                 enum sosie_student_aspect aspect, sosie_value_id *x,
                 struct sosie_error *err)
{
    struct sosie_graph *graph = &student->graph;
    struct sosie_node concat = {.name = "colour.features",
                                .op = SOSIE_OP_CONCAT,
                                .n_inputs = 2,
                                .axis = 1};
    enum sosie_status st;
    *x = student->features;
    if (aspect != SOSIE_STUDENT_COLOUR || student->input.channels_last)
        return SOSIE_OK;
    concat.inputs[0] = *x;
    st = sosie_arch_add_colour(graph, graph->inputs[0], options->seed + 2,
                               &concat.inputs[1], err);
    return st ? st
              : sosie_graph_add_node(graph, &concat, "colour.features", x, err);
}

/* *value: an aspect, and added to it a perceptron that starts as nothing. */
static enum sosie_status
add_perceptron(const struct sosie_student_options *options,
               struct sosie_student *student, enum sosie_student_aspect aspect,
               struct sosie_random *random, sosie_value_id *value,
               struct sosie_error *err)
{
    struct sosie_graph *graph = &student->graph;
    const char *prefix = sosie_student_aspect_name(aspect);
    struct sosie_node relu = {.op = SOSIE_OP_RELU, .n_inputs = 1};
    struct sosie_node sum = {
        .op = SOSIE_OP_ADD, .n_inputs = 2, .inputs = {*value}};
    char name[64];
    sosie_value_id x;
    enum sosie_status st = perceptron_input(options, student, aspect, &x, err);
    if (!st)
        st = add_normal(graph, prefix, x, &x, err);
    snprintf(name, sizeof(name), "%s.hidden", prefix);
    if (!st)
        st = add_linear(graph, name, x, HIDDEN, random, &relu.inputs[0], err);
    snprintf(name, sizeof(name), "%s.active", prefix);
    relu.name = name;
    if (!st)
        st = sosie_graph_add_node(graph, &relu, name, &x, err);
    snprintf(name, sizeof(name), "%s.more", prefix);
    if (!st)
        st = add_linear(graph, name, x, options->dims[aspect], NULL,
                        &sum.inputs[1], err);
    snprintf(name, sizeof(name), "%s.sum", prefix);
    sum.name = name;
    return st ? st : sosie_graph_add_node(graph, &sum, name, value, err);
}

static enum sosie_status add_heads(const struct sosie_student_options *options,
                                   struct sosie_student *student,
                                   struct taken *taken, struct sosie_error *err)
{
    struct sosie_graph *graph = &student->graph;
    struct sosie_random random;
    enum sosie_status st = SOSIE_OK;
    char text[96];

    sosie_random_seed(&random, options->seed + 1);
    if (graph->values[student->features].shape.rank != 2)
        return sosie_fail(err, SOSIE_REFUSED,
                          "the network's features have %zu dimensions, "
                          "expected 2",
                          graph->values[student->features].shape.rank);
    graph->n_outputs = 0;
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS && !st; a++) {
        if (!options->dims[a])
            continue;
        if (taken->aspects[a] == SOSIE_NO_VALUE) {
            st = add_linear(
                graph, sosie_student_aspect_name((enum sosie_student_aspect)a),
                student->features, options->dims[a], &random,
                &taken->aspects[a], err);
            if (!st && options->init && a != SOSIE_STUDENT_SHAPE &&
                !options->untaught[a])
                st = add_perceptron(options, student,
                                    (enum sosie_student_aspect)a, &random,
                                    &taken->aspects[a], err);
        }
        graph->outputs[graph->n_outputs++] = taken->aspects[a];
    }
    for (size_t i = 0; i < options->n_heads && !st; i++) {
        const struct sosie_student_head *head = &options->heads[i];
        size_t reads = sosie_student_output(options, head->aspect);
        if (taken->heads[i] == SOSIE_NO_VALUE)
            st = add_linear(graph,
                            sosie_student_head_name(options, i, "logits", text),
                            graph->outputs[reads], head->n_labels, &random,
                            &taken->heads[i], err);
        graph->outputs[graph->n_outputs++] = taken->heads[i];
    }
    return st;
}

static void set_dense_strides(struct sosie_input *input)
{
    size_t w = input->width, h = input->height;
    if (input->channels_last)
        sosie_input_set_strides(input,
                                (const size_t[4]){3 * w * h, 3 * w, 3, 1});
    else
        sosie_input_set_strides(input,
                                (const size_t[4]){3 * w * h, w * h, w, 1});
}

/* Notes what the features are made of: nodes stand in order, so that one walk
 * back finds it. */
static enum sosie_status find_body(struct sosie_student *student,
                                   struct sosie_error *err)
{
    const struct sosie_graph *graph = &student->graph;
    student->body = calloc(graph->n_values + 1, sizeof(*student->body));
    if (!student->body)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    student->body[student->features] = true;
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs && student->body[node->output];
             k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                student->body[node->inputs[k]] = true;
    }
    return SOSIE_OK;
}

enum sosie_status
sosie_student_init(const struct sosie_student_options *options,
                   struct sosie_student *student, struct sosie_error *err)
{
    struct taken taken;
    enum sosie_status st;
    *student = (struct sosie_student){.features = SOSIE_NO_VALUE};
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        taken.aspects[a] = SOSIE_NO_VALUE;
    for (size_t i = 0; i < options->n_heads; i++)
        taken.heads[i] = SOSIE_NO_VALUE;
    st = options->init ? add_file(options, student, &taken, err)
                       : add_arch(options, student, err);
    student->first_new = (sosie_value_id)student->graph.n_values;
    if (!st)
        st = add_heads(options, student, &taken, err);
    student->end_new = (sosie_value_id)student->graph.n_values;
    if (!st) { /* the features' value may become another */
        student->graph.outputs[student->graph.n_outputs++] = student->features;
        st = sosie_graph_tidy(&student->graph, err);
    }
    if (!st)
        student->features =
            student->graph.outputs[student->graph.n_outputs - 1];
    if (!st)
        st = find_body(student, err);
    set_dense_strides(&student->input);
    if (st)
        sosie_student_release(student);
    return st;
}

void sosie_student_release(struct sosie_student *student)
{
    sosie_graph_release(&student->graph);
    sosie_onnx_release(&student->onnx);
    free(student->body);
    free(student->bytes);
    *student = (struct sosie_student){.features = SOSIE_NO_VALUE};
}
