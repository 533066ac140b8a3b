/* net.c: what the two sets of ops share: passes, memory, runs. */
#include "nn/net.h"

#include "base/block.h"
#include "base/clock.h"
#include "base/size.h"
#include "nn/int8.h"
#include "nn/net_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- lowering's vocabulary ----------------------------------------------- */

enum sosie_status sosie_net_add_buffer(struct sosie_net *net, size_t size,
                                       sosie_value_id constant,
                                       const void *packing, uint32_t *id,
                                       struct sosie_error *err)
{
    struct sosie_buffer buffer = {
        {.size = size, .first = SIZE_MAX}, constant, packing, NULL};
    if (net->n_buffers == net->buffers_room) {
        size_t room = net->buffers_room ? 2 * net->buffers_room : 64;
        void *larger = realloc(net->buffers, room * sizeof(*net->buffers));
        if (!larger)
            return sosie_fail(err, SOSIE_NO_MEMORY, "the network's buffers");
        net->buffers = larger;
        net->buffers_room = room;
    }
    *id = (uint32_t)net->n_buffers;
    net->buffers[net->n_buffers++] = buffer;
    return SOSIE_OK;
}

enum sosie_status sosie_net_add_step(struct sosie_net *net,
                                     const struct sosie_step *step,
                                     struct sosie_error *err)
{
    if (net->n_steps == net->steps_room) {
        size_t room = net->steps_room ? 2 * net->steps_room : 64;
        void *larger = realloc(net->steps, room * sizeof(*net->steps));
        if (!larger)
            return sosie_fail(err, SOSIE_NO_MEMORY, "the network's steps");
        net->steps = larger;
        net->steps_room = room;
    }
    for (size_t i = 0; i < step->n_args; i++) {
        struct sosie_extent *extent;
        if (step->args[i] == SOSIE_NO_BUFFER)
            continue;
        extent = &net->buffers[step->args[i]].extent;
        if (extent->first == SIZE_MAX)
            extent->first = net->n_steps;
        extent->last = net->n_steps;
    }
    net->steps[net->n_steps] = *step;
    net->steps[net->n_steps++].wanted = net->wanted[step->node];
    return SOSIE_OK;
}

void *sosie_run_buffer(const struct sosie_net_run *run, uint32_t id)
{
    const struct sosie_buffer *buffer;
    if (id == SOSIE_NO_BUFFER)
        return NULL;
    buffer = &run->net->buffers[id];
    return (buffer->constant == SOSIE_NO_VALUE ? run->arena
                                               : run->net->parameters) +
           buffer->extent.offset;
}

/* ---- create -------------------------------------------------------------- */

/* Which outputs depend on each node. */
static enum sosie_status find_wanted(struct sosie_net *net,
                                     struct sosie_error *err)
{
    const struct sosie_graph *graph = &net->graph;
    unsigned *of_value = calloc(graph->n_values + 1, sizeof(*of_value));
    net->wanted =
        sosie_arena_alloc(&net->graph.arena, graph->n_nodes, sizeof(unsigned));
    if (!of_value || !net->wanted) {
        free(of_value);
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network");
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        of_value[graph->outputs[k]] |= 1U << (k < 31 ? k : 31);
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const struct sosie_node *node = &graph->nodes[i];
        net->wanted[i] = of_value[node->output];
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                of_value[node->inputs[k]] |= net->wanted[i];
    }
    free(of_value);
    return SOSIE_OK;
}

/* Inputs are filled before the first step, outputs read after the last. */
static enum sosie_status plan_arena(struct sosie_net *net,
                                    struct sosie_error *err)
{
    struct sosie_extent *extents = calloc(net->n_buffers + 1, sizeof(*extents));
    size_t n = 0;
    enum sosie_status st;
    if (!extents)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's memory plan");
    for (size_t k = 0; k < net->graph.n_inputs; k++)
        net->buffers[net->inputs[k]].extent.first = 0;
    for (size_t k = 0; k < net->graph.n_outputs; k++)
        net->buffers[net->outputs[k]].extent.last = net->n_steps;
    for (size_t i = 0; i < net->n_buffers; i++)
        if (net->buffers[i].constant == SOSIE_NO_VALUE)
            extents[n++] = net->buffers[i].extent;
    st = sosie_plan(extents, n, &net->arena_size, err);
    n = 0;
    for (size_t i = 0; i < net->n_buffers && !st; i++)
        if (net->buffers[i].constant == SOSIE_NO_VALUE)
            net->buffers[i].extent = extents[n++];
    free(extents);
    return st;
}

static bool is_aligned(const struct sosie_value *value)
{
    return (uintptr_t)value->data % sosie_dtype_size(value->dtype) == 0;
}

/* Room for any of the constants that stand unaligned. */
static size_t staging_size(const struct sosie_net *net)
{
    size_t most = 0;
    for (size_t i = 0; i < net->n_buffers; i++) {
        const struct sosie_value *value;
        size_t size;
        if (net->buffers[i].constant == SOSIE_NO_VALUE)
            continue;
        value = &net->graph.values[net->buffers[i].constant];
        size = sosie_value_size(value);
        if (!is_aligned(value) && size > most)
            most = size;
    }
    return most;
}

/* A constant's elements, or their copy in `staging`. */
static const void *aligned(const struct sosie_value *value, void *staging)
{
    return is_aligned(value)
               ? value->data
               : memcpy(staging, value->data, sosie_value_size(value));
}

static enum sosie_status pack_parameters(struct sosie_net *net,
                                         struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    void *staging;
    for (size_t i = 0; i < net->n_buffers; i++) {
        struct sosie_extent *extent = &net->buffers[i].extent;
        if (net->buffers[i].constant == SOSIE_NO_VALUE)
            continue;
        extent->offset = net->parameters_size;
        if (!sosie_size_add(net->parameters_size, extent->size,
                            &net->parameters_size) ||
            !sosie_size_align(net->parameters_size, SOSIE_ALIGNMENT,
                              &net->parameters_size))
            return sosie_fail(err, SOSIE_REFUSED, "the weights are too large");
    }
    net->parameters = sosie_block_create(net->parameters_size);
    if (!net->parameters)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu bytes of weights",
                          net->parameters_size);
    staging = sosie_block_create(staging_size(net));
    if (!staging)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the largest weights");
    for (size_t i = 0; i < net->n_buffers && !st; i++) {
        const struct sosie_buffer *buffer = &net->buffers[i];
        void *to = net->parameters + buffer->extent.offset;
        const void *data;
        if (buffer->constant == SOSIE_NO_VALUE)
            continue;
        data = aligned(&net->graph.values[buffer->constant], staging);
        st = buffer->fill ? buffer->fill(buffer->packing, data, to, err)
                          : net->ops->pack(net, buffer, data, to, err);
    }
    free(staging);
    return st;
}

/* From the first of these steps on, a batch goes step by step, all photos in
 * each, so that weights are read once; the steps before it go photo by photo,
 * so that activations stay in the cache: where weights outweigh activations. */
static size_t batch_split(const struct sosie_net *net)
{
    size_t split = net->n_steps;
    while (split > 0) {
        const struct sosie_step *step = &net->steps[split - 1];
        size_t weights = 0, activations = 0;
        for (size_t k = 0; k < step->n_args; k++) {
            const struct sosie_buffer *buffer;
            if (step->args[k] == SOSIE_NO_BUFFER)
                continue;
            buffer = &net->buffers[step->args[k]];
            *(buffer->constant == SOSIE_NO_VALUE ? &activations : &weights) +=
                buffer->extent.size;
        }
        if (weights && weights < activations)
            break;
        split--;
    }
    return split;
}

bool sosie_graph_is_quantized(const struct sosie_graph *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == SOSIE_OP_QUANTIZE)
            return true;
    return false;
}

static enum sosie_status check_precision(const struct sosie_net *net,
                                         struct sosie_error *err)
{
    enum sosie_precision precision = net->options.precision;
    if (precision == SOSIE_PRECISION_INT8 &&
        !sosie_graph_is_quantized(&net->graph))
        return sosie_fail(err, SOSIE_REFUSED,
                          "int8 needs a quantised model; this one has no "
                          "QuantizeLinear nodes ('sosie model quantize' makes "
                          "them)");
    if (precision == SOSIE_PRECISION_BF16 && !net->options.may_emulate &&
        !sosie_cpu_has_bf16())
        return sosie_fail(err, SOSIE_REFUSED,
                          "this CPU has no bfloat16 instructions");
    return SOSIE_OK;
}

enum sosie_status sosie_net_create(struct sosie_graph *graph,
                                   const struct sosie_net_options *options,
                                   struct sosie_net **out,
                                   struct sosie_error *err)
{
    enum sosie_status st;
    struct sosie_net *net = calloc(1, sizeof(*net));
    if (!net)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network");
    net->ops = options->ops;
    net->options = *options;
    net->graph = *graph;
    memset(graph, 0, sizeof(*graph));

    st = check_precision(net, err);
    if (!st && net->options.precision != SOSIE_PRECISION_INT8)
        st = sosie_graph_dequantize(&net->graph, err);
    if (!st)
        st = sosie_graph_simplify(&net->graph, err);
    if (!st && net->options.precision == SOSIE_PRECISION_INT8 &&
        net->ops->has_int8)
        st = sosie_int8_pass(&net->graph, err);
    if (!st)
        st = sosie_graph_fuse(&net->graph, err);
    if (!st)
        st = find_wanted(net, err);
    if (!st)
        st = net->ops->lower(net, err);
    if (!st)
        st = plan_arena(net, err);
    if (!st)
        st = pack_parameters(net, err);
    if (st)
        goto out;
    for (size_t v = 0; v < net->graph.n_values; v++)
        net->graph.values[v].data = NULL; /* it was borrowed */
    net->batch_split = batch_split(net);
    *out = net;
    net = NULL;
out:
    sosie_net_destroy(net);
    return st;
}

void sosie_net_destroy(struct sosie_net *net)
{
    if (!net)
        return;
    net->ops->release(net);
    sosie_graph_release(&net->graph);
    free(net->buffers);
    free(net->steps);
    free(net->parameters);
    free(net);
}

/* ---- what a net is ------------------------------------------------------- */

const struct sosie_graph *sosie_net_graph(const struct sosie_net *net)
{
    return &net->graph;
}

void sosie_net_input_strides(const struct sosie_net *net, size_t k,
                             size_t strides[SOSIE_MAX_RANK])
{
    assert(k < net->graph.n_inputs);
    memcpy(strides, net->input_strides[k], sizeof(net->input_strides[k]));
}

size_t sosie_net_n_steps(const struct sosie_net *net)
{
    return net->n_steps;
}

struct sosie_net_step_info sosie_net_step_info(const struct sosie_net *net,
                                               size_t step)
{
    const struct sosie_node *node;
    assert(step < net->n_steps);
    node = &net->graph.nodes[net->steps[step].node];
    return (struct sosie_net_step_info){node->name, node->op,
                                        net->steps[step].implementation,
                                        net->steps[step].node};
}

size_t sosie_net_arena_size(const struct sosie_net *net)
{
    return net->arena_size;
}

size_t sosie_net_parameters_size(const struct sosie_net *net)
{
    return net->parameters_size;
}

/* ---- runs ---------------------------------------------------------------- */

enum sosie_status sosie_net_run_create(const struct sosie_net *net,
                                       struct sosie_net_run **out,
                                       struct sosie_error *err)
{
    enum sosie_status st;
    struct sosie_net_run *run = calloc(1, sizeof(*run));
    if (!run)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a run of the network");
    run->net = net;
    run->arena = sosie_block_create(net->arena_size);
    if (!run->arena)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "%zu bytes for a run",
                        net->arena_size);
    else
        st = net->ops->bind(run, err);
    if (st) {
        sosie_net_run_destroy(run);
        return st;
    }
    *out = run;
    return SOSIE_OK;
}

void sosie_net_run_destroy(struct sosie_net_run *run)
{
    if (!run)
        return;
    run->net->ops->unbind(run);
    free(run->arena);
    free(run);
}

float *sosie_net_run_input(struct sosie_net_run *run, size_t k)
{
    assert(k < run->net->graph.n_inputs);
    return sosie_run_buffer(run, run->net->inputs[k]);
}

enum sosie_status sosie_net_run_forward(struct sosie_net_run *run,
                                        unsigned wanted,
                                        struct sosie_error *err)
{
    return run->net->ops->forward(run, 0, run->net->n_steps, wanted, err);
}

enum sosie_status sosie_net_run_profile(struct sosie_net_run *run,
                                        unsigned wanted, double *ms,
                                        struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < run->net->n_steps && !st; i++) {
        double start = sosie_clock_ms();
        st = run->net->ops->forward(run, i, i + 1, wanted, err);
        ms[i] = sosie_clock_ms() - start;
    }
    return st;
}

enum sosie_status sosie_net_run_batch(struct sosie_net_run *const *runs,
                                      size_t n, unsigned wanted,
                                      struct sosie_error *err)
{
    const struct sosie_net *net = runs[0]->net;
    size_t split = n > 1 ? net->batch_split : net->n_steps;
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < n && !st; k++)
        st = net->ops->forward(runs[k], 0, split, wanted, err);
    for (size_t i = split; i < net->n_steps; i++)
        for (size_t k = 0; k < n && !st; k++)
            st = net->ops->forward(runs[k], i, i + 1, wanted, err);
    return st;
}

const float *sosie_net_run_output(const struct sosie_net_run *run, size_t k)
{
    assert(k < run->net->graph.n_outputs);
    return sosie_run_buffer(run, run->net->outputs[k]);
}
