/* onnx.c: any bytes as a model file. What the reader lets through must become a
 * network on both sets of ops, in float32 and, if it is quantised, on bytes, or
 * be refused in order; small ones are run. Corpus: tests/golden, its op/
 * and its bad/. */
#include "model/model.h"
#include "model/network.h"
#include "model/summary.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_MACS = 1 << 20, MOST_BYTES = 1 << 20 };

static void run_once(const struct sosie_net *net)
{
    struct sosie_net_run *run;
    struct sosie_error err;
    if (sosie_net_run_create(net, &run, &err))
        return;
    for (size_t k = 0; k < sosie_net_graph(net)->n_inputs; k++)
        sosie_network_fill(net, run, k, NULL);
    if (sosie_net_run_forward(run, ~0U, &err))
        abort(); /* what was made can be run */
    sosie_net_run_destroy(run);
}

static void make(const uint8_t *data, size_t size, const struct sosie_ops *ops,
                 enum sosie_precision precision)
{
    struct sosie_net_options options = {.ops = ops, .precision = precision};
    struct sosie_network network;
    struct sosie_net *net;
    struct sosie_error err;
    uint64_t macs = 0;
    if (sosie_network_read_bytes(data, size, &options, &network, &err))
        return;
    for (size_t i = 0; i < network.onnx.n_outputs; i++)
        if (sosie_network_add_output(&network, i, &err))
            break;
    for (size_t i = 0; i < network.onnx.graph.n_nodes; i++)
        macs +=
            sosie_node_macs(&network.onnx.graph, &network.onnx.graph.nodes[i]);
    if (!sosie_network_make(&network, &net, &err)) {
        if (macs <= MOST_MACS && sosie_net_arena_size(net) <= MOST_BYTES)
            run_once(net);
        sosie_net_destroy(net);
    }
    sosie_network_release(&network);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct sosie_model *model;
    struct sosie_error err;

    options.backend = SOSIE_BACKEND_ONEDNN;
    if (!sosie_model_open_bytes(data, size, &options, &model, &err))
        sosie_model_close(model);
    make(data, size, &sosie_ops_plain, SOSIE_PRECISION_F32);
    make(data, size, &sosie_ops_onednn, SOSIE_PRECISION_F32);
    make(data, size, &sosie_ops_onednn, SOSIE_PRECISION_INT8);
    return 0;
}
