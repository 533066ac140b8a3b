/* network.c: bytes -> graph -> net.
 *
 * The graph's weights stay where the file is mapped until they are packed, so
 * that each is read once. When more than one precision comes into question, the
 * file is parsed once for each that is tried, since a net takes its graph over.
 */
#include "model/network.h"

#include "base/file.h"
#include "base/log.h"
#include "model/choose.h"

#include <stdlib.h>
#include <string.h>

/* What protobuf can hold. */
static const size_t MAX_FILE_BYTES = ((size_t)1 << 31) - 1;

/* ---- read ---------------------------------------------------------------- */

static bool is_candidate(const struct sosie_network *network,
                         enum sosie_precision precision)
{
    return precision == SOSIE_PRECISION_F32 ||
           (precision == SOSIE_PRECISION_BF16 && sosie_cpu_has_bf16()) ||
           (precision == SOSIE_PRECISION_INT8 &&
            sosie_graph_is_quantized(&network->onnx.graph));
}

/* Settles what AUTO means, if that needs no timing. The plain ops are the
 * reference, never chosen for their speed. */
static void settle(struct sosie_network *network)
{
    enum sosie_precision remembered = SOSIE_PRECISION_F32;
    bool choice = false;
    for (int p = SOSIE_PRECISION_F32 + 1; p < SOSIE_N_PRECISIONS; p++)
        choice = choice || is_candidate(network, (enum sosie_precision)p);
    if (!choice || network->options.ops == &sosie_ops_plain)
        network->options.precision = SOSIE_PRECISION_F32;
    else if (sosie_choice_recall(&network->digest, &remembered) &&
             is_candidate(network, remembered))
        network->options.precision = remembered;
}

static enum sosie_status read_bytes(const void *bytes, size_t size,
                                    const struct sosie_net_options *options,
                                    struct sosie_network *network,
                                    struct sosie_error *err)
{
    enum sosie_status st;
    network->digest = sosie_digest_of(bytes, size);
    network->options = *options;
    network->bytes = bytes;
    network->size = size;
    st = sosie_onnx_read(bytes, size, network->folder, &network->onnx, err);
    if (st)
        return st;
    if (options->precision == SOSIE_PRECISION_AUTO)
        settle(network);
    return SOSIE_OK;
}

enum sosie_status
sosie_network_read_bytes(const void *bytes, size_t size,
                         const struct sosie_net_options *options,
                         struct sosie_network *network, struct sosie_error *err)
{
    *network = (struct sosie_network){0};
    return read_bytes(bytes, size, options, network, err);
}

/* The folder that a file is in; NULL when out of memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

enum sosie_status sosie_network_read(const char *path,
                                     const struct sosie_net_options *options,
                                     struct sosie_network *network,
                                     struct sosie_error *err)
{
    struct sosie_file_view view;
    enum sosie_status st =
        sosie_file_view_open(path, MAX_FILE_BYTES, &view, err);
    if (st)
        return st;
    *network = (struct sosie_network){.view = view, .folder = folder_of(path)};
    st = network->folder
             ? read_bytes(view.bytes, view.size, options, network, err)
             : sosie_fail(err, SOSIE_NO_MEMORY, "the name of a folder");
    if (st) {
        sosie_error_prefix(err, "%s", path);
        sosie_file_view_close(&network->view);
    }
    return st;
}

/* The file's bytes may go. */
static void let_go(struct sosie_network *network)
{
    sosie_file_view_close(&network->view);
    network->bytes = NULL;
    network->size = 0;
}

enum sosie_status sosie_network_own(struct sosie_network *network,
                                    struct sosie_error *err)
{
    struct sosie_graph *graph = &network->onnx.graph;
    enum sosie_status st = SOSIE_OK;
    for (size_t v = 0; v < graph->n_values && !st; v++)
        if (sosie_onnx_borrows(&network->onnx, graph->values[v].data))
            st = sosie_graph_own(graph, (sosie_value_id)v, err);
    if (!st)
        let_go(network);
    return st;
}

enum sosie_status sosie_network_add_output(struct sosie_network *network,
                                           size_t i, struct sosie_error *err)
{
    struct sosie_graph *graph = &network->onnx.graph;
    if (graph->n_outputs == SOSIE_MAX_OUTPUTS)
        return sosie_fail(err, SOSIE_REFUSED,
                          "more than %d outputs; so many are supported",
                          SOSIE_MAX_OUTPUTS);
    graph->outputs[graph->n_outputs++] = network->onnx.outputs[i].value;
    return SOSIE_OK;
}

/* ---- make ---------------------------------------------------------------- */

/* A net in one of the precisions; `outputs`: those of the graph. */
static enum sosie_status make_one(struct sosie_network *network,
                                  const struct sosie_graph *outputs,
                                  struct sosie_candidate *candidate,
                                  struct sosie_error *err)
{
    struct sosie_net_options options = network->options;
    struct sosie_onnx again = {0};
    enum sosie_status st = sosie_onnx_read(network->bytes, network->size,
                                           network->folder, &again, err);
    options.precision = candidate->precision;
    if (!st) {
        again.graph.n_outputs = outputs->n_outputs;
        memcpy(again.graph.outputs, outputs->outputs,
               sizeof(again.graph.outputs));
        st = sosie_net_create(&again.graph, &options, &candidate->net, err);
    }
    sosie_onnx_release(&again);
    return st;
}

static void tell(const struct sosie_candidate *candidates, size_t n,
                 size_t best)
{
    for (size_t i = 0; i < n; i++)
        sosie_log(SOSIE_LOG_DEBUG, "model", "%s: %.3f ms a pass%s",
                  sosie_precision_name(candidates[i].precision),
                  candidates[i].ms, i == best ? ", taken" : "");
}

/* A precision that the network can't be had in is none that can be chosen. */
static enum sosie_status make_fastest(struct sosie_network *network,
                                      struct sosie_net **net,
                                      struct sosie_error *err)
{
    struct sosie_candidate candidates[SOSIE_N_PRECISIONS] = {{0}};
    size_t n = 0, best = 0;
    enum sosie_status st = SOSIE_OK;
    for (int p = 0; p < SOSIE_N_PRECISIONS && (!st || st == SOSIE_REFUSED);
         p++) {
        candidates[n].precision = (enum sosie_precision)p;
        if (!is_candidate(network, candidates[n].precision))
            continue;
        st = make_one(network, &network->onnx.graph, &candidates[n], err);
        n += !st;
    }
    if (n && (!st || st == SOSIE_REFUSED))
        st = sosie_choice_time(candidates, n, &best, err);
    if (!st) {
        network->options.precision = candidates[best].precision;
        *net = candidates[best].net;
        candidates[best].net = NULL;
        tell(candidates, n, best);
        sosie_choice_remember(&network->digest, network->options.precision);
    }
    for (size_t i = 0; i < n; i++)
        sosie_net_destroy(candidates[i].net);
    return st;
}

enum sosie_status sosie_network_make(struct sosie_network *network,
                                     struct sosie_net **net,
                                     struct sosie_error *err)
{
    enum sosie_status st = network->options.precision == SOSIE_PRECISION_AUTO
                               ? make_fastest(network, net, err)
                               : sosie_net_create(&network->onnx.graph,
                                                  &network->options, net, err);
    let_go(network);
    return st;
}

void sosie_network_release(struct sosie_network *network)
{
    sosie_onnx_release(&network->onnx);
    let_go(network);
    free(network->folder);
    network->folder = NULL;
}

/* ---- inputs -------------------------------------------------------------- */

struct filling {
    const struct sosie_shape *shape;
    size_t strides[SOSIE_MAX_RANK];
    const float *x; /* NULL: numbers for a trial */
    size_t i;       /* elements done */
};

/* Dimension d and those below it. */
static void fill(struct filling *filling, size_t d, float *to)
{
    if (d == filling->shape->rank) {
        size_t i = filling->i++;
        *to = filling->x ? filling->x[i]
                         : (float)((i * 37 + 11) % 101) / 50.0F - 1.0F;
        return;
    }
    for (size_t k = 0; k < filling->shape->dims[d]; k++)
        fill(filling, d + 1, to + k * filling->strides[d]);
}

void sosie_network_fill(const struct sosie_net *net, struct sosie_net_run *run,
                        size_t k, const float *x)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    struct filling filling = {.shape = &graph->values[graph->inputs[k]].shape,
                              .x = x};
    sosie_net_input_strides(net, k, filling.strides);
    fill(&filling, 0, sosie_net_run_input(run, k));
}
