/* trainable.c: what is trained, where everything stands, and runs of it. */
#include "nn/trainable_impl.h"

#include "base/size.h"
#include "nn/net.h"
#include "nn/onednn.h"
#include "nn/passes.h"

#include <stdlib.h>
#include <string.h>

/* ---- parameters ---------------------------------------------------------- */

/* Of which kind input k of a node is, if it is a constant; false: it is none
 * that is trained. */
static bool param_kind(const struct sosie_node *node, size_t k,
                       enum sosie_param_kind *kind)
{
    static const enum sosie_param_kind of_norm[] = {
        SOSIE_PARAM_WEIGHT, SOSIE_PARAM_SCALE, SOSIE_PARAM_BIAS,
        SOSIE_PARAM_MEAN, SOSIE_PARAM_VARIANCE};
    bool is_norm =
        node->op == SOSIE_OP_BATCH_NORM || node->op == SOSIE_OP_LAYER_NORM;
    if (!k || k >= sizeof(of_norm) / sizeof(*of_norm) ||
        !(is_norm || node->op == SOSIE_OP_CONV || node->op == SOSIE_OP_GEMM ||
          node->op == SOSIE_OP_MATMUL))
        return false;
    *kind = is_norm  ? of_norm[k]
            : k == 1 ? SOSIE_PARAM_WEIGHT
                     : SOSIE_PARAM_BIAS;
    return true;
}

static enum sosie_status add_param(struct sosie_trainable *t,
                                   const struct sosie_node *node,
                                   sosie_value_id id,
                                   enum sosie_param_kind kind,
                                   struct sosie_error *err)
{
    const struct sosie_value *value = &t->graph.values[id];
    size_t n = sosie_shape_count(&value->shape);
    if (t->param_of[id] != UINT32_MAX)
        return sosie_fail(err, SOSIE_REFUSED,
                          "node '%.80s' (%s) shares its weights '%.80s' with "
                          "another: that can't be trained",
                          node->name, sosie_op_name(node->op), value->name);
    t->param_of[id] = (uint32_t)t->n_params;
    t->params[t->n_params++] = (struct sosie_param){
        id, kind, !t->options.frozen || !t->options.frozen[id], t->n_floats, n};
    t->n_floats += (n + 15) / 16 * 16; /* each starts on a cache line */
    return SOSIE_OK;
}

static enum sosie_status find_params(struct sosie_trainable *t,
                                     struct sosie_error *err)
{
    const struct sosie_graph *graph = &t->graph;
    enum sosie_param_kind kind;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++) {
            sosie_value_id id = node->inputs[k];
            enum sosie_status st;
            if (id == SOSIE_NO_VALUE || !graph->values[id].data ||
                !param_kind(node, k, &kind))
                continue;
            if (graph->values[id].dtype != SOSIE_F32)
                return sosie_fail(err, SOSIE_REFUSED,
                                  "node '%.80s' (%s) has weights of %s, "
                                  "expected float32",
                                  node->name, sosie_op_name(node->op),
                                  sosie_dtype_name(graph->values[id].dtype));
            st = add_param(t, node, id, kind, err);
            if (st)
                return st;
        }
    }
    return SOSIE_OK;
}

static enum sosie_status fill_params(struct sosie_trainable *t,
                                     struct sosie_error *err)
{
    t->block = aligned_alloc(SOSIE_ALIGNMENT, (t->n_floats + 16) * 4);
    if (!t->block)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu parameters", t->n_floats);
    memset(t->block, 0, (t->n_floats + 16) * sizeof(float));
    for (size_t i = 0; i < t->n_params; i++)
        memcpy(t->block + t->params[i].offset,
               t->graph.values[t->params[i].value].data,
               t->params[i].n * sizeof(float));
    return SOSIE_OK;
}

/* ---- values -------------------------------------------------------------- */

/* Operands of a function of two numbers, or of a matrix product, that hold the
 * batch: constants must leave dimension 0 to it. */
static bool operands_mix(const struct sosie_trainable *t,
                         const struct sosie_node *node)
{
    size_t rank = t->graph.values[node->output].shape.rank, n_computed = 0;
    for (size_t k = 0; k < 2; k++) {
        const struct sosie_value *value = &t->graph.values[node->inputs[k]];
        if (!value->data && value->shape.rank != rank)
            return true;
        n_computed += !value->data;
    }
    return node->op == SOSIE_OP_MATMUL && rank == 2 &&
           (n_computed != 1 || t->graph.values[node->inputs[0]].data);
}

/* Whether a photo's result would depend on the other photos of its shard, or
 * not come out in its place: dimension 0 is the batch. */
static bool mixes_photos(const struct sosie_trainable *t,
                         const struct sosie_node *node)
{
    if (sosie_op_is_binary(node->op) || node->op == SOSIE_OP_MATMUL)
        return operands_mix(t, node);
    for (size_t k = 0; k < node->n_inputs; k++)
        if ((k == 0 || node->op == SOSIE_OP_CONCAT) &&
            t->graph.values[node->inputs[k]].data)
            return true; /* one for all photos */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (node->op) {
    case SOSIE_OP_CONCAT:
    case SOSIE_OP_FLATTEN:
        return node->axis == 0;
    case SOSIE_OP_SOFTMAX:
        return node->softmax.axis == 0;
    case SOSIE_OP_LAYER_NORM:
        return node->layer_norm.axis == 0;
    case SOSIE_OP_LP_NORM:
        return node->lp_norm.axis == 0;
    case SOSIE_OP_REDUCE_MEAN:
    case SOSIE_OP_REDUCE_SUM:
    case SOSIE_OP_REDUCE_L2:
        return node->reduce.axes[0];
    case SOSIE_OP_TRANSPOSE:
        return node->permutation[0] != 0;
    case SOSIE_OP_CONV:
        return !t->graph.values[node->inputs[SOSIE_CONV_W]].data;
    case SOSIE_OP_GEMM:
        return node->gemm.trans_a ||
               !t->graph.values[node->inputs[SOSIE_GEMM_B]].data;
    case SOSIE_OP_PAD:
        return node->pad.begin[0] || node->pad.end[0];
    default:
        return false;
    }
#pragma GCC diagnostic pop
}

static bool wants_grad(const struct sosie_trainable *t, sosie_value_id id)
{
    return id != SOSIE_NO_VALUE && (t->values[id].wants_grad ||
                                    (t->param_of[id] != UINT32_MAX &&
                                     t->params[t->param_of[id]].is_trained));
}

/* With the batch; and whether a parameter that is trained is upstream. */
static enum sosie_status find_values(struct sosie_trainable *t,
                                     struct sosie_error *err)
{
    struct sosie_graph *graph = &t->graph;
    for (size_t k = 0; k < graph->n_inputs; k++) {
        struct sosie_shape *shape = &t->values[graph->inputs[k]].shape;
        *shape = graph->values[graph->inputs[k]].shape;
        shape->dims[0] = t->options.n;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        struct sosie_trainable_value *out = &t->values[node->output];
        out->shape = graph->values[node->output].shape;
        if (!sosie_gradient_op(node->op) || node->n_posts)
            return sosie_fail(err, SOSIE_REFUSED,
                              "node '%.80s' (%s) can't be trained: there is no "
                              "gradient for it",
                              node->name, sosie_op_name(node->op));
        if (!out->shape.rank || out->shape.dims[0] != 1 ||
            mixes_photos(t, node))
            return sosie_fail(err, SOSIE_REFUSED,
                              "node '%.80s' (%s) can't be trained: it works "
                              "along the batch",
                              node->name, sosie_op_name(node->op));
        out->shape.dims[0] = t->options.n;
        if (sosie_shape_check(&out->shape, err))
            return SOSIE_REFUSED;
        for (size_t k = 0; k < node->n_inputs; k++)
            out->wants_grad |= wants_grad(t, node->inputs[k]);
    }
    return SOSIE_OK;
}

static enum sosie_status find_outputs(struct sosie_trainable *t,
                                      struct sosie_error *err)
{
    if (t->graph.n_outputs > SOSIE_TRAINABLE_MAX_OUTPUTS ||
        !t->graph.n_outputs || t->graph.n_inputs != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a network with %zu inputs and %zu outputs can't be "
                          "trained, expected 1 and 1 to %d",
                          t->graph.n_inputs, t->graph.n_outputs,
                          SOSIE_TRAINABLE_MAX_OUTPUTS);
    for (size_t k = 0; k < t->graph.n_outputs; k++) {
        const struct sosie_trainable_value *v = &t->values[t->graph.outputs[k]];
        size_t size = sosie_shape_count(&v->shape) * sizeof(float);
        if (!v->wants_grad && !t->options.frozen)
            return sosie_fail(err, SOSIE_REFUSED,
                              "output '%.80s' depends on nothing that can be "
                              "trained",
                              t->graph.values[t->graph.outputs[k]].name);
        t->output_offsets[k] = t->outputs_size;
        t->outputs_size +=
            (size + SOSIE_ALIGNMENT - 1) / SOSIE_ALIGNMENT * SOSIE_ALIGNMENT;
    }
    return SOSIE_OK;
}

/* ---- memory -------------------------------------------------------------- */

/* Gathers the extents that are used, plans them, and hands the places back. */
static enum sosie_status plan(struct sosie_trainable *t,
                              struct sosie_error *err)
{
    size_t n = t->graph.n_values, total = 2 * n + t->graph.n_nodes, used = 0;
    struct sosie_extent *extents = calloc(total + 1, sizeof(*extents));
    struct sosie_extent **owners =
        calloc(total + 1, sizeof(struct sosie_extent *));
    enum sosie_status st = SOSIE_OK;

    if (!extents || !owners)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "planning memory");
    for (size_t i = 0; i < total && !st; i++) {
        struct sosie_extent *owner = i < n       ? &t->values[i].extent
                                     : i < 2 * n ? &t->values[i - n].grad_extent
                                                 : &t->kept[i - 2 * n];
        if (!owner->size)
            continue;
        owners[used] = owner;
        extents[used++] = *owner;
    }
    if (!st)
        st = sosie_plan(extents, used, &t->planned_size, err);
    for (size_t i = 0; i < used && !st; i++)
        owners[i]->offset = extents[i].offset;
    free(owners);
    free(extents);
    return st;
}

/* ---- executing ----------------------------------------------------------- */

/* An action whose places are known. */
struct bound {
    const struct sosie_action *action;
    dnnl_exec_arg_t *args;            /* of PRIMITIVE */
    struct sosie_gradient_call *call; /* of FORWARD and BACKWARD */
    float *to;                        /* of ADD and COPY */
    const float *from;
};

struct bound_list {
    struct bound *all;
    size_t n;
};

struct sosie_trainable_run {
    const struct sosie_trainable *t;
    dnnl_stream_t stream;
    unsigned char *memory; /* planned, temporaries, scratch, outputs and their
                              gradients, in this order */
    float *grads;
    struct bound_list forward, backward;
};

static void *place(const struct sosie_trainable *t,
                   const struct sosie_trainable_run *run,
                   const struct sosie_spot *spot)
{
    unsigned char *memory = run ? run->memory : NULL;
    size_t temp = t->planned_size, scratch = temp + t->temp_size,
           outputs = scratch + t->scratch_size;
    switch (spot->place) {
    case SOSIE_AT_VALUE:
        return memory + t->values[spot->index].extent.offset;
    case SOSIE_AT_GRAD:
        return memory + t->values[spot->index].grad_extent.offset;
    case SOSIE_AT_KEPT:
        return memory + t->kept[spot->index].offset;
    case SOSIE_AT_TEMP:
        return memory + temp + spot->index;
    case SOSIE_AT_SCRATCH:
        return memory + scratch;
    case SOSIE_AT_OUTPUT:
        return memory + outputs + t->output_offsets[spot->index];
    case SOSIE_AT_OUTPUT_GRAD:
        return memory + outputs + t->outputs_size +
               t->output_offsets[spot->index];
    case SOSIE_AT_PARAM:
        return t->block + spot->index;
    case SOSIE_AT_PARAM_GRAD:
        return run->grads + spot->index;
    case SOSIE_AT_PACKED:
        return t->packed + spot->index;
    case SOSIE_AT_CONSTANT:
        return (void *)(uintptr_t)t->graph.values[spot->index].data;
    case SOSIE_AT_NOTHING:
        break;
    }
    return NULL;
}

static void unbind(struct bound_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct bound *b = &list->all[i];
        for (size_t k = 0; b->args && k < b->action->n_spots; k++)
            dnnl_memory_destroy(b->args[k].memory);
        free(b->args);
        free(b->call);
    }
    free(list->all);
    *list = (struct bound_list){0};
}

static dnnl_status_t bind_primitive(const struct sosie_trainable *t,
                                    const struct sosie_trainable_run *run,
                                    struct bound *b)
{
    const struct sosie_action *action = b->action;
    dnnl_status_t dnn = dnnl_success;
    b->args = calloc(action->n_spots + 1, sizeof(*b->args));
    if (!b->args)
        return dnnl_out_of_memory;
    for (size_t k = 0; k < action->n_spots && !dnn; k++) {
        b->args[k].arg = action->ids[k];
        dnn = dnnl_memory_create(&b->args[k].memory, action->spots[k].md,
                                 t->engine, place(t, run, &action->spots[k]));
    }
    return dnn;
}

static dnnl_status_t bind_call(const struct sosie_trainable *t,
                               const struct sosie_trainable_run *run,
                               struct bound *b)
{
    const struct sosie_spot *spot = b->action->spots;
    size_t n = b->action->call->node->n_inputs;
    b->call = malloc(sizeof(*b->call));
    if (!b->call)
        return dnnl_out_of_memory;
    *b->call = *b->action->call;
    for (size_t k = 0; k < n; k++)
        b->call->inputs[k] = place(t, run, spot++);
    b->call->output = place(t, run, spot++);
    if (b->action->kind == SOSIE_DO_BACKWARD) {
        b->call->output_grad = place(t, run, spot++);
        for (size_t k = 0; k < n; k++)
            b->call->input_grads[k] = place(t, run, spot++);
    }
    return dnnl_success;
}

static enum sosie_status bind(const struct sosie_trainable *t,
                              const struct sosie_trainable_run *run,
                              const struct sosie_actions *actions,
                              struct bound_list *list, struct sosie_error *err)
{
    dnnl_status_t dnn = dnnl_success;
    list->all = calloc(actions->n + 1, sizeof(*list->all));
    if (!list->all)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a run of the training");
    for (; list->n < actions->n && !dnn; list->n++) {
        struct bound *b = &list->all[list->n];
        b->action = &actions->all[list->n];
        if (b->action->kind == SOSIE_DO_PRIMITIVE) {
            dnn = bind_primitive(t, run, b);
        } else if (b->action->call) {
            dnn = bind_call(t, run, b);
        } else {
            b->to = place(t, run, &b->action->spots[0]);
            b->from = place(t, run, &b->action->spots[1]);
        }
    }
    return dnn ? sosie_onednn_fail(err, dnn, "making a run") : SOSIE_OK;
}

static void add(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static enum sosie_status execute(const struct bound_list *list,
                                 dnnl_stream_t stream, struct sosie_error *err)
{
    dnnl_status_t dnn = dnnl_success;
    omp_set_num_threads(1); /* this thread's setting: no team is made */
    for (size_t i = 0; i < list->n && !dnn; i++) {
        const struct bound *b = &list->all[i];
        const struct sosie_action *action = b->action;
        const struct sosie_gradient_op *op =
            b->call ? sosie_gradient_op(b->call->node->op) : NULL;
        switch (action->kind) {
        case SOSIE_DO_PRIMITIVE:
            dnn = dnnl_primitive_execute(action->primitive, stream,
                                         (int)action->n_spots, b->args);
            break;
        case SOSIE_DO_FORWARD:
            op->forward(b->call);
            break;
        case SOSIE_DO_BACKWARD:
            op->backward(b->call);
            break;
        case SOSIE_DO_ADD:
            add(b->to, b->from,
                sosie_md_size(action->spots[0].md) / sizeof(float));
            break;
        case SOSIE_DO_COPY:
            memcpy(b->to, b->from, sosie_md_size(action->spots[0].md));
            break;
        }
    }
    if (!dnn)
        dnn = dnnl_stream_wait(stream);
    return dnn ? sosie_onednn_fail(err, dnn, "training") : SOSIE_OK;
}

/* ---- create -------------------------------------------------------------- */

static enum sosie_status start(struct sosie_trainable *t,
                               struct sosie_error *err)
{
    size_t n = t->graph.n_values, n_nodes = t->graph.n_nodes;
    size_t n_inputs = 0;
    dnnl_status_t dnn;
    for (size_t i = 0; i < n_nodes; i++)
        n_inputs += t->graph.nodes[i].n_inputs;
    t->mds.arena = &t->arena;
    t->params = sosie_arena_alloc(&t->arena, n_inputs + 1, sizeof(*t->params));
    t->param_of = sosie_arena_alloc(&t->arena, n + 1, sizeof(*t->param_of));
    t->values = sosie_arena_alloc(&t->arena, n + 1, sizeof(*t->values));
    t->kept = sosie_arena_alloc(&t->arena, n_nodes + 1, sizeof(*t->kept));
    t->names = sosie_arena_alloc(&t->arena, n_nodes + 1, sizeof(*t->names));
    if (!t->params || !t->param_of || !t->values || !t->kept || !t->names)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    memset(t->param_of, 0xff, n * sizeof(*t->param_of));
    omp_set_num_threads(1); /* kernels are made for the threads there are */
    if ((dnn = dnnl_engine_create(&t->engine, dnnl_cpu, 0)) ||
        (dnn = dnnl_stream_create(&t->stream, t->engine,
                                  dnnl_stream_default_flags)) ||
        (dnn = dnnl_primitive_attr_create(&t->attr)) ||
        (dnn = dnnl_primitive_attr_set_scratchpad_mode(
             t->attr, dnnl_scratchpad_mode_user)))
        return sosie_onednn_fail(err, dnn, "starting");
    return SOSIE_OK;
}

static enum sosie_status check_options(const struct sosie_trainable_options *o,
                                       struct sosie_error *err)
{
    if (!o->n || o->n > 4096)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu photos a shard, expected 1 to 4096", o->n);
    if (o->bf16 && (o->plain || !sosie_cpu_has_bf16()))
        return sosie_fail(err, SOSIE_REFUSED,
                          "this CPU has no bfloat16 to train in");
    return SOSIE_OK;
}

enum sosie_status
sosie_trainable_create(struct sosie_graph *graph,
                       const struct sosie_trainable_options *options,
                       struct sosie_trainable **out, struct sosie_error *err)
{
    struct sosie_trainable *t = calloc(1, sizeof(*t));
    enum sosie_status st;

    if (!t) {
        sosie_graph_release(graph);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    }
    t->graph = *graph;
    *graph = (struct sosie_graph){0};
    t->options = *options;
    st = check_options(options, err);
    if (!st)
        st = sosie_sweep(&t->graph, err); /* what no loss reaches */
    if (!st)
        st = start(t, err);
    if (!st)
        st = find_params(t, err);
    if (!st)
        st = find_values(t, err);
    if (!st)
        st = find_outputs(t, err);
    if (!st)
        st = fill_params(t, err);
    if (!st)
        st = sosie_trainable_lower(t, err);
    if (!st)
        st = plan(t, err);
    if (!st) {
        t->packed =
            aligned_alloc(SOSIE_ALIGNMENT, t->packed_size + SOSIE_ALIGNMENT);
        if (!t->packed)
            st = sosie_fail(err, SOSIE_NO_MEMORY, "packed weights");
    }
    t->options.frozen = NULL;
    if (!st)
        st = sosie_trainable_pack(t, err);
    if (st) {
        sosie_trainable_destroy(t);
        return st;
    }
    *out = t;
    return SOSIE_OK;
}

static void release_actions(struct sosie_actions *actions)
{
    for (size_t i = 0; i < actions->n; i++)
        dnnl_primitive_destroy(actions->all[i].primitive);
    free(actions->all);
}

void sosie_trainable_destroy(struct sosie_trainable *t)
{
    if (!t)
        return;
    release_actions(&t->forward);
    release_actions(&t->backward);
    release_actions(&t->pack);
    sosie_mds_release(&t->mds);
    dnnl_primitive_attr_destroy(t->attr);
    dnnl_stream_destroy(t->stream);
    dnnl_engine_destroy(t->engine);
    free(t->packed);
    free(t->block);
    sosie_arena_release(&t->arena);
    sosie_graph_release(&t->graph);
    free(t);
}

const struct sosie_graph *
sosie_trainable_graph(const struct sosie_trainable *trainable)
{
    return &trainable->graph;
}

const struct sosie_param *
sosie_trainable_param_list(const struct sosie_trainable *trainable, size_t *n)
{
    *n = trainable->n_params;
    return trainable->params;
}

float *sosie_trainable_params(struct sosie_trainable *trainable, size_t *n)
{
    *n = trainable->n_floats;
    return trainable->block;
}

enum sosie_status sosie_trainable_pack(struct sosie_trainable *trainable,
                                       struct sosie_error *err)
{
    struct bound_list list = {0};
    enum sosie_status st = bind(trainable, NULL, &trainable->pack, &list, err);
    if (!st)
        st = execute(&list, trainable->stream, err);
    unbind(&list);
    return st;
}

const char *
sosie_trainable_implementation(const struct sosie_trainable *trainable,
                               size_t node, bool backward)
{
    return trainable->names[node][backward];
}

/* ---- runs ---------------------------------------------------------------- */

static size_t memory_size(const struct sosie_trainable *t)
{
    return t->planned_size + t->temp_size + t->scratch_size +
           2 * t->outputs_size;
}

size_t sosie_trainable_run_size(const struct sosie_trainable *trainable)
{
    return memory_size(trainable) + trainable->n_floats * sizeof(float);
}

enum sosie_status
sosie_trainable_run_create(const struct sosie_trainable *trainable,
                           struct sosie_trainable_run **out,
                           struct sosie_error *err)
{
    struct sosie_trainable_run *run = calloc(1, sizeof(*run));
    size_t grads = (trainable->n_floats + 16) * sizeof(float);
    enum sosie_status st = SOSIE_OK;
    dnnl_status_t dnn;

    if (!run)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a run of the training");
    run->t = trainable;
    run->memory = aligned_alloc(SOSIE_ALIGNMENT,
                                memory_size(trainable) + SOSIE_ALIGNMENT);
    run->grads = aligned_alloc(SOSIE_ALIGNMENT, grads);
    if (!run->memory || !run->grads) {
        st = sosie_fail(err, SOSIE_NO_MEMORY,
                        "%zu MiB of activations to train %zu photos at a time",
                        memory_size(trainable) >> 20, trainable->options.n);
        goto out;
    }
    memset(run->grads, 0, grads);
    dnn = dnnl_stream_create(&run->stream, trainable->engine,
                             dnnl_stream_default_flags);
    st = dnn ? sosie_onednn_fail(err, dnn, "making a run")
             : bind(trainable, run, &trainable->forward, &run->forward, err);
    if (!st)
        st = bind(trainable, run, &trainable->backward, &run->backward, err);
out:
    if (st)
        sosie_trainable_run_destroy(run);
    else
        *out = run;
    return st;
}

void sosie_trainable_run_destroy(struct sosie_trainable_run *run)
{
    if (!run)
        return;
    unbind(&run->forward);
    unbind(&run->backward);
    dnnl_stream_destroy(run->stream);
    free(run->grads);
    free(run->memory);
    free(run);
}

float *sosie_trainable_run_input(struct sosie_trainable_run *run)
{
    struct sosie_spot spot = {SOSIE_AT_VALUE, run->t->graph.inputs[0], NULL};
    return place(run->t, run, &spot);
}

const float *sosie_trainable_run_output(const struct sosie_trainable_run *run,
                                        size_t k)
{
    struct sosie_spot spot = {SOSIE_AT_OUTPUT, k, NULL};
    return place(run->t, run, &spot);
}

float *sosie_trainable_run_output_grad(struct sosie_trainable_run *run,
                                       size_t k)
{
    struct sosie_spot spot = {SOSIE_AT_OUTPUT_GRAD, k, NULL};
    return place(run->t, run, &spot);
}

enum sosie_status sosie_trainable_run_forward(struct sosie_trainable_run *run,
                                              struct sosie_error *err)
{
    return execute(&run->forward, run->stream, err);
}

enum sosie_status sosie_trainable_run_backward(struct sosie_trainable_run *run,
                                               struct sosie_error *err)
{
    return execute(&run->backward, run->stream, err);
}

const float *sosie_trainable_run_grads(const struct sosie_trainable_run *run)
{
    return run->grads;
}
