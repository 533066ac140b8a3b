/* model.c: a network with its labels and the preparation of its input.
 *
 * The graph's outputs are the embedding and, if the file has them, the logits,
 * in this order; what leads to neither is dropped with the first pass. Both may
 * be one and the same. */
#include "model/model.h"

#include "model/aspects.h"
#include "model/input.h"
#include "model/network.h"
#include "model/summary.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EMBEDDING, LOGITS };

struct sosie_model {
    struct sosie_model_info info;
    struct sosie_input input;
    struct sosie_net *net;
    struct sosie_arena arena; /* names of labels and aspects */
    size_t max_batch;
};

struct sosie_model_run {
    const struct sosie_model *model;
    size_t n;                     /* photos that there are buffers for */
    struct sosie_net_run *nets[]; /* room for max_batch */
};

struct sosie_model_options sosie_model_options_defaults(void)
{
    return (struct sosie_model_options){.backend = SOSIE_BACKEND_ONEDNN,
                                        .max_batch = 4,
                                        .precision = SOSIE_PRECISION_F32};
}

/* ---- open ---------------------------------------------------------------- */

static const struct sosie_onnx_output *
find_output(const struct sosie_onnx *onnx, const char *name)
{
    for (size_t i = 0; i < onnx->n_outputs; i++)
        if (!strcmp(onnx->outputs[i].name, name))
            return &onnx->outputs[i];
    return NULL;
}

static const struct sosie_onnx_output *
first_vector(const struct sosie_onnx *onnx)
{
    for (size_t i = 0; i < onnx->n_outputs; i++)
        if (onnx->graph.values[onnx->outputs[i].value].shape.rank == 2)
            return &onnx->outputs[i];
    return NULL;
}

/* Makes `output` the graph's next output; *size: its elements for one photo. */
static enum sosie_status add_output(struct sosie_onnx *onnx,
                                    const struct sosie_onnx_output *output,
                                    size_t *size, struct sosie_error *err)
{
    struct sosie_graph *graph = &onnx->graph;
    const struct sosie_shape *shape = &graph->values[output->value].shape;
    if (shape->rank != 2 || shape->dims[0] != 1 ||
        graph->values[output->value].data)
        return sosie_fail(
            err, SOSIE_REFUSED,
            "output '%.80s' is %s for one photo; expected 1x(any)",
            output->name, sosie_shape_text(shape).text);
    *size = shape->dims[1];
    graph->outputs[graph->n_outputs++] = output->value;
    return SOSIE_OK;
}

static enum sosie_status pick_outputs(struct sosie_onnx *onnx,
                                      struct sosie_model_info *info,
                                      struct sosie_error *err)
{
    const struct sosie_onnx_output *embedding = find_output(onnx, "embedding");
    const struct sosie_onnx_output *logits = find_output(onnx, "logits");
    enum sosie_status st;
    if (!embedding)
        embedding = first_vector(onnx);
    if (!embedding)
        return sosie_fail(err, SOSIE_REFUSED,
                          "no output is named embedding or has 2 dimensions");
    st = add_output(onnx, embedding, &info->dim, err);
    if (!st && logits)
        st = add_output(onnx, logits, &info->n_logits, err);
    return st;
}

/* One label a line; the last line may end or not. */
static enum sosie_status read_labels(struct sosie_model *model,
                                     const struct sosie_onnx *onnx,
                                     struct sosie_error *err)
{
    const char *text = sosie_onnx_metadata(onnx, "labels");
    size_t expected = model->info.n_logits, n = 0;
    const char **labels;
    if (!text)
        return SOSIE_OK;
    for (const char *at = text; *at; at += *at == '\n') {
        at += strcspn(at, "\n");
        n++;
    }
    if (n != expected || !n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "metadata 'labels' has %zu lines for %zu logits", n,
                          expected);
    labels = sosie_arena_alloc(&model->arena, n, sizeof(*labels));
    for (size_t i = 0; i < n && labels; i++) {
        size_t length = strcspn(text, "\n");
        labels[i] = sosie_arena_strndup(&model->arena, text, length);
        if (!length)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "metadata 'labels': line %zu is empty", i + 1);
        if (!labels[i])
            labels = NULL;
        text += length + (text[length] == '\n');
    }
    if (!labels)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu labels", n);
    model->info.labels = labels;
    model->info.n_labels = n;
    return SOSIE_OK;
}

static enum sosie_status read_temperature(struct sosie_model *model,
                                          const struct sosie_onnx *onnx,
                                          struct sosie_error *err)
{
    const char *text = sosie_onnx_metadata(onnx, "logits.temperature");
    char *end;
    double number;
    model->info.temperature = 1;
    if (!text)
        return SOSIE_OK;
    number = strtod(text, &end);
    if (end == text || *end || !(number > 0 && isfinite(number)))
        return sosie_fail(
            err, SOSIE_BAD_INPUT,
            "metadata 'logits.temperature' is \"%.80s\"; expected "
            "a number above 0",
            text);
    model->info.temperature = number;
    return SOSIE_OK;
}

/* Makes a model of a file that was read. */
static enum sosie_status build(struct sosie_network *network,
                               const struct sosie_model_options *options,
                               struct sosie_model **out,
                               struct sosie_error *err)
{
    struct sosie_onnx *onnx = &network->onnx;
    size_t strides[SOSIE_MAX_RANK];
    enum sosie_status st;
    struct sosie_model *model = calloc(1, sizeof(*model));
    if (!model)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a model");

    model->max_batch = options->max_batch;
    model->info.digest = network->digest;
    model->info.n_parameters = sosie_graph_parameters(&onnx->graph);
    if ((st = sosie_input_read(onnx, &model->input, err)) ||
        (st = pick_outputs(onnx, &model->info, err)) ||
        (st = read_labels(model, onnx, err)) ||
        (st = read_temperature(model, onnx, err)) ||
        (st = sosie_aspects_read(sosie_onnx_metadata(onnx, "embedding.aspects"),
                                 sosie_onnx_metadata(onnx, "embedding.weights"),
                                 sosie_onnx_metadata(onnx, "embedding.degrees"),
                                 &model->arena, &model->info, err)) ||
        (st = sosie_network_make(network, &model->net, err)))
        goto out;
    model->info.precision = network->options.precision;
    model->info.width = model->input.width;
    model->info.height = model->input.height;
    model->info.fit = model->input.fit;
    sosie_net_input_strides(model->net, 0, strides);
    sosie_input_set_strides(&model->input, strides);
    *out = model;
    model = NULL;
out:
    sosie_model_close(model);
    return st;
}

static enum sosie_status
check_options(const struct sosie_model_options *options,
              struct sosie_error *err)
{
    if (options->max_batch >= 1 && options->max_batch <= 64)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "a batch of at most %zu photos; expected 1 to 64",
                      options->max_batch);
}

static struct sosie_net_options
net_options(const struct sosie_model_options *options)
{
    return (struct sosie_net_options){
        .ops = options->backend == SOSIE_BACKEND_PLAIN ? &sosie_ops_plain
                                                       : &sosie_ops_onednn,
        .precision = options->precision};
}

enum sosie_status
sosie_model_open_bytes(const void *bytes, size_t size,
                       const struct sosie_model_options *options,
                       struct sosie_model **out, struct sosie_error *err)
{
    const struct sosie_net_options net = net_options(options);
    struct sosie_network network = {0};
    enum sosie_status st = check_options(options, err);
    if (!st)
        st = sosie_network_read_bytes(bytes, size, &net, &network, err);
    if (!st)
        st = build(&network, options, out, err);
    sosie_network_release(&network);
    return st;
}

enum sosie_status sosie_model_open(const char *path,
                                   const struct sosie_model_options *options,
                                   struct sosie_model **out,
                                   struct sosie_error *err)
{
    const struct sosie_net_options net = net_options(options);
    struct sosie_network network = {0};
    enum sosie_status st = check_options(options, err);
    if (!st)
        st = sosie_network_read(path, &net, &network, err);
    if (!st) {
        st = build(&network, options, out, err);
        if (st)
            sosie_error_prefix(err, "%s", path);
    }
    sosie_network_release(&network);
    return st;
}

void sosie_model_close(struct sosie_model *model)
{
    if (!model)
        return;
    sosie_net_destroy(model->net);
    sosie_arena_release(&model->arena);
    free(model);
}

const struct sosie_model_info *sosie_model_info(const struct sosie_model *m)
{
    return &m->info;
}

/* ---- run ----------------------------------------------------------------- */

/* Sees that there are buffers for n photos. */
static enum sosie_status make_room(struct sosie_model_run *run, size_t n,
                                   struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    while (run->n < n && !st) {
        st = sosie_net_run_create(run->model->net, &run->nets[run->n], err);
        run->n += !st;
    }
    return st;
}

enum sosie_status sosie_model_run_create(const struct sosie_model *model,
                                         struct sosie_model_run **out,
                                         struct sosie_error *err)
{
    struct sosie_model_run *run =
        calloc(1, sizeof(*run) + model->max_batch * sizeof(*run->nets));
    enum sosie_status st;
    if (!run)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a run of the model");
    run->model = model;
    st = make_room(run, 1, err);
    if (st) {
        free(run);
        return st;
    }
    *out = run;
    return SOSIE_OK;
}

void sosie_model_run_destroy(struct sosie_model_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->n; i++)
        sosie_net_run_destroy(run->nets[i]);
    free(run);
}

enum sosie_status sosie_model_forward(struct sosie_model_run *run,
                                      const uint8_t *const *rgb, size_t n,
                                      float *embedding, float *logits,
                                      struct sosie_error *err)
{
    const struct sosie_model *model = run->model;
    size_t dim = model->info.dim, n_logits = model->info.n_logits;
    unsigned wanted = 1U << EMBEDDING;
    enum sosie_status st;

    assert(n >= 1 && n <= model->max_batch);
    st = make_room(run, n, err);
    if (!n_logits)
        logits = NULL;
    if (logits)
        wanted |= 1U << LOGITS;
    for (size_t i = 0; i < n && !st; i++)
        sosie_input_fill(&model->input, rgb[i],
                         sosie_net_run_input(run->nets[i], 0));
    if (!st)
        st = sosie_net_run_batch(run->nets, n, wanted, err);
    for (size_t i = 0; i < n && !st; i++) {
        memcpy(embedding + i * dim,
               sosie_net_run_output(run->nets[i], EMBEDDING),
               dim * sizeof(float));
        if (logits)
            memcpy(logits + i * n_logits,
                   sosie_net_run_output(run->nets[i], LOGITS),
                   n_logits * sizeof(float));
    }
    return st;
}
