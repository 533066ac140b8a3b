/* trainable_lower.c: from nodes to what is done forward and backward.
 *
 * The nodes are walked in order for the forward pass, then in reverse for the
 * backward pass. A value keeps the layout that the op making it chose, and its
 * gradient has the same. What oneDNN does not have runs in plain C, between
 * reorders to the dense layout and back. */
#include "nn/trainable_impl.h"

#include "nn/onednn.h"

#include <stdlib.h>
#include <string.h>

/* ---- actions ------------------------------------------------------------- */

static void extend(struct sosie_extent *extent, size_t size, size_t time)
{
    if (!extent->size) {
        extent->first = time;
        extent->size = size;
    }
    extent->last = time;
}

/* Notes that a tensor is in use now. */
static void touch(struct sosie_trainable_walk *walk,
                  const struct sosie_spot *spot)
{
    struct sosie_trainable *t = walk->t;
    size_t size = spot->md ? sosie_md_size(spot->md) : 0;
    if (spot->place == SOSIE_AT_VALUE)
        extend(&t->values[spot->index].extent, size, walk->time);
    else if (spot->place == SOSIE_AT_GRAD)
        extend(&t->values[spot->index].grad_extent, size, walk->time);
    else if (spot->place == SOSIE_AT_KEPT)
        extend(&t->kept[spot->index], size, walk->time);
    else if (spot->place == SOSIE_AT_SCRATCH && size > t->scratch_size)
        t->scratch_size =
            (size + SOSIE_ALIGNMENT - 1) / SOSIE_ALIGNMENT * SOSIE_ALIGNMENT;
}

static struct sosie_action *add_action(struct sosie_actions *actions)
{
    if (actions->n == actions->room) {
        size_t room = actions->room ? 2 * actions->room : 256;
        void *larger = realloc(actions->all, room * sizeof(*actions->all));
        if (!larger)
            return NULL;
        actions->all = larger;
        actions->room = room;
    }
    return &actions->all[actions->n++];
}

enum sosie_status sosie_training_emit(struct sosie_trainable_walk *walk,
                                      const struct sosie_action *action,
                                      struct sosie_error *err)
{
    struct sosie_arena *arena = &walk->t->arena;
    size_t n = action->n_spots;
    struct sosie_spot *spots = sosie_arena_alloc(arena, n, sizeof(*spots));
    int *ids = sosie_arena_alloc(arena, n, sizeof(*ids));
    struct sosie_action *added =
        spots && ids ? add_action(walk->actions) : NULL;
    if (!added) {
        dnnl_primitive_destroy(action->primitive);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    }
    *added = *action;
    memcpy(spots, action->spots, n * sizeof(*spots));
    if (action->ids)
        memcpy(ids, action->ids, n * sizeof(*ids));
    added->spots = spots;
    added->ids = ids;
    for (size_t k = 0; k < n; k++)
        touch(walk, &spots[k]);
    return SOSIE_OK;
}

enum { MAX_SPOTS = 12 };

enum sosie_status sosie_training_primitive(struct sosie_trainable_walk *walk,
                                           const_dnnl_primitive_desc_t pd,
                                           const struct sosie_spot *spots,
                                           const int *ids, size_t n,
                                           struct sosie_error *err)
{
    struct sosie_spot all[MAX_SPOTS];
    int all_ids[MAX_SPOTS];
    struct sosie_action action = {
        .kind = SOSIE_DO_PRIMITIVE, .n_spots = n, .spots = all, .ids = all_ids};
    sosie_md scratch;
    dnnl_status_t dnn =
        sosie_pd_md(&walk->t->mds, pd, dnnl_query_scratchpad_md, &scratch);
    if (!dnn)
        dnn = dnnl_primitive_create(&action.primitive, pd);
    if (dnn)
        return sosie_onednn_fail(err, dnn, "making a primitive");
    memcpy(all, spots, n * sizeof(*spots));
    memcpy(all_ids, ids, n * sizeof(*ids));
    if (sosie_md_size(scratch)) {
        all[n] = (struct sosie_spot){SOSIE_AT_SCRATCH, 0, scratch};
        all_ids[n] = DNNL_ARG_SCRATCHPAD;
        action.n_spots++;
    }
    return sosie_training_emit(walk, &action, err);
}

struct sosie_spot sosie_training_temp(struct sosie_trainable_walk *walk,
                                      sosie_md md)
{
    struct sosie_spot spot = {SOSIE_AT_TEMP, walk->temp, md};
    walk->temp += (sosie_md_size(md) + SOSIE_ALIGNMENT - 1) / SOSIE_ALIGNMENT *
                  SOSIE_ALIGNMENT;
    if (walk->temp > walk->t->temp_size)
        walk->t->temp_size = walk->temp;
    return spot;
}

static enum sosie_status reorder(struct sosie_trainable_walk *walk,
                                 struct sosie_spot from, struct sosie_spot to,
                                 struct sosie_error *err)
{
    dnnl_primitive_desc_t pd = NULL;
    struct sosie_spot spots[] = {from, to};
    int ids[] = {DNNL_ARG_FROM, DNNL_ARG_TO};
    struct sosie_action copy = {.kind = SOSIE_DO_COPY,
                                .n_spots = 2,
                                .spots = (struct sosie_spot[]){to, from}};
    enum sosie_status st;
    dnnl_status_t dnn;

    if (sosie_md_equal(from.md, to.md))
        return sosie_training_emit(walk, &copy, err);
    dnn = sosie_reorder_pd(walk->t->engine, from.md, to.md, walk->t->attr, &pd);
    if (dnn)
        return sosie_onednn_fail(err, dnn, "reorder");
    st = sosie_training_primitive(walk, pd, spots, ids, 2, err);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

enum sosie_status sosie_training_as(struct sosie_trainable_walk *walk,
                                    struct sosie_spot spot, sosie_md md,
                                    struct sosie_spot *out,
                                    struct sosie_error *err)
{
    if (sosie_md_equal(spot.md, md)) {
        *out = spot;
        return SOSIE_OK;
    }
    *out = sosie_training_temp(walk, md);
    return reorder(walk, spot, *out, err);
}

struct sosie_spot sosie_training_value(const struct sosie_trainable_walk *walk,
                                       sosie_value_id id)
{
    return (struct sosie_spot){SOSIE_AT_VALUE, id, walk->t->values[id].md};
}

struct sosie_spot sosie_training_grad(const struct sosie_trainable_walk *walk,
                                      sosie_value_id id)
{
    return (struct sosie_spot){SOSIE_AT_GRAD, id, walk->t->values[id].md};
}

struct sosie_spot sosie_training_take(struct sosie_trainable_walk *walk,
                                      sosie_value_id id, sosie_md md)
{
    const struct sosie_trainable_value *value = &walk->t->values[id];
    if (!value->has_grad && sosie_md_equal(value->md, md))
        return sosie_training_grad(walk, id);
    return sosie_training_temp(walk, md);
}

/* grad += spot, which has its layout */
static enum sosie_status add_grad(struct sosie_trainable_walk *walk,
                                  struct sosie_spot grad,
                                  struct sosie_spot spot,
                                  struct sosie_error *err)
{
    struct sosie_spot both[] = {grad, spot};
    struct sosie_action action = {
        .kind = SOSIE_DO_ADD, .n_spots = 2, .spots = both};
    struct sosie_spot three[] = {grad, spot, grad};
    int ids[] = {DNNL_ARG_SRC_0, DNNL_ARG_SRC_1, DNNL_ARG_DST};
    dnnl_primitive_desc_t pd = NULL;
    enum sosie_status st;
    dnnl_status_t dnn;

    if (sosie_md_type(grad.md) == dnnl_f32)
        return sosie_training_emit(walk, &action, err);
    dnn = sosie_binary_pd(walk->t->engine, dnnl_binary_add, grad.md, grad.md,
                          grad.md, walk->t->attr, &pd);
    if (dnn)
        return sosie_onednn_fail(err, dnn, "sum of gradients");
    st = sosie_training_primitive(walk, pd, three, ids, 3, err);
    dnnl_primitive_desc_destroy(pd);
    return st;
}

enum sosie_status sosie_training_give(struct sosie_trainable_walk *walk,
                                      sosie_value_id id, struct sosie_spot spot,
                                      struct sosie_error *err)
{
    struct sosie_trainable_value *value = &walk->t->values[id];
    struct sosie_spot grad = sosie_training_grad(walk, id);
    enum sosie_status st;
    bool first = !value->has_grad;

    value->has_grad = true;
    if (spot.place == SOSIE_AT_GRAD && spot.index == id)
        return SOSIE_OK;
    if (first)
        return reorder(walk, spot, grad, err);
    st = sosie_training_as(walk, spot, grad.md, &spot, err);
    return st ? st : add_grad(walk, grad, spot, err);
}

enum sosie_status sosie_training_dense(struct sosie_trainable_walk *walk,
                                       const struct sosie_shape *shape,
                                       sosie_md *md, struct sosie_error *err)
{
    dnnl_dims_t dims = {1}, strides = {1};
    int rank = shape->rank ? (int)shape->rank : 1;
    int64_t stride = 1;
    dnnl_status_t dnn;
    for (size_t i = 0; i < shape->rank; i++)
        dims[i] = (int64_t)shape->dims[i];
    for (int i = rank; i-- > 0; stride *= dims[i])
        strides[i] = stride;
    dnn = sosie_md_strided(&walk->t->mds, rank, dims, strides, md);
    return dnn ? sosie_onednn_fail(err, dnn, "layout") : SOSIE_OK;
}

/* ---- ops in plain C ------------------------------------------------------ */

static struct sosie_spot nothing(void)
{
    return (struct sosie_spot){SOSIE_AT_NOTHING, 0, NULL};
}

/* A node's call without its pointers. */
static struct sosie_gradient_call *new_call(struct sosie_trainable_walk *walk)
{
    struct sosie_trainable *t = walk->t;
    const struct sosie_node *node = walk->node;
    struct sosie_gradient_call *call =
        sosie_arena_alloc(&t->arena, 1, sizeof(*call));
    if (!call)
        return NULL;
    call->node = node;
    call->out_shape = t->values[node->output].shape;
    for (size_t k = 0; k < node->n_inputs; k++)
        if (node->inputs[k] != SOSIE_NO_VALUE)
            call->in_shapes[k] = t->graph.values[node->inputs[k]].data
                                     ? t->graph.values[node->inputs[k]].shape
                                     : t->values[node->inputs[k]].shape;
    return call;
}

/* Input k, dense. */
static enum sosie_status plain_input(struct sosie_trainable_walk *walk,
                                     size_t k, struct sosie_spot *spot,
                                     struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    sosie_value_id id = walk->node->inputs[k];
    enum sosie_status st;
    sosie_md md;
    if (id == SOSIE_NO_VALUE) {
        *spot = nothing();
        return SOSIE_OK;
    }
    if (t->graph.values[id].data) {
        bool is_param = t->param_of[id] != UINT32_MAX;
        *spot = (struct sosie_spot){
            is_param ? SOSIE_AT_PARAM : SOSIE_AT_CONSTANT,
            is_param ? t->params[t->param_of[id]].offset : id, NULL};
        return SOSIE_OK;
    }
    st = sosie_training_dense(walk, &t->values[id].shape, &md, err);
    return st ? st
              : sosie_training_as(walk, sosie_training_value(walk, id), md,
                                  spot, err);
}

static enum sosie_status plain_forward(struct sosie_trainable_walk *walk,
                                       struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    struct sosie_trainable_value *out = &walk->t->values[node->output];
    struct sosie_spot spots[SOSIE_MAX_INPUTS + 1];
    struct sosie_action action = {.kind = SOSIE_DO_FORWARD,
                                  .call = new_call(walk),
                                  .n_spots = node->n_inputs + 1,
                                  .spots = spots};
    enum sosie_status st = SOSIE_OK;

    if (!action.call)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    for (size_t k = 0; k < node->n_inputs && !st; k++)
        st = plain_input(walk, k, &spots[k], err);
    if (!st)
        st = sosie_training_dense(walk, &out->shape, &out->md, err);
    if (st)
        return st;
    spots[node->n_inputs] = sosie_training_value(walk, node->output);
    return sosie_training_emit(walk, &action, err);
}

/* Where the gradient of input k goes, dense. */
static enum sosie_status plain_target(struct sosie_trainable_walk *walk,
                                      size_t k, struct sosie_spot *spot,
                                      struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    sosie_value_id id = walk->node->inputs[k];
    enum sosie_status st;
    sosie_md md;
    *spot = nothing();
    if (id == SOSIE_NO_VALUE)
        return SOSIE_OK;
    if (t->graph.values[id].data) {
        if (t->param_of[id] != UINT32_MAX)
            *spot = (struct sosie_spot){
                SOSIE_AT_PARAM_GRAD, t->params[t->param_of[id]].offset, NULL};
        return SOSIE_OK;
    }
    if (!t->values[id].wants_grad)
        return SOSIE_OK;
    st = sosie_training_dense(walk, &t->values[id].shape, &md, err);
    if (!st)
        *spot = sosie_training_temp(walk, md);
    return st;
}

static enum sosie_status plain_backward(struct sosie_trainable_walk *walk,
                                        struct sosie_error *err)
{
    const struct sosie_node *node = walk->node;
    const struct sosie_gradient_op *op = sosie_gradient_op(node->op);
    size_t n = node->n_inputs;
    struct sosie_spot spots[2 * SOSIE_MAX_INPUTS + 2];
    struct sosie_action action = {.kind = SOSIE_DO_BACKWARD,
                                  .call = new_call(walk),
                                  .n_spots = 2 * n + 2,
                                  .spots = spots};
    enum sosie_status st = SOSIE_OK;
    sosie_md dense;

    if (!action.call)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    st = sosie_training_dense(walk, &action.call->out_shape, &dense, err);
    for (size_t k = 0; k < n && !st; k++) {
        spots[k] = nothing();
        if (op->reads_inputs)
            st = plain_input(walk, k, &spots[k], err);
    }
    spots[n] = nothing();
    if (op->reads_output && !st)
        st = sosie_training_as(walk, sosie_training_value(walk, node->output),
                               dense, &spots[n], err);
    if (!st)
        st = sosie_training_as(walk, sosie_training_grad(walk, node->output),
                               dense, &spots[n + 1], err);
    for (size_t k = 0; k < n && !st; k++)
        st = plain_target(walk, k, &spots[n + 2 + k], err);
    if (!st)
        st = sosie_training_emit(walk, &action, err);
    for (size_t k = 0; k < n && !st; k++)
        if (spots[n + 2 + k].place == SOSIE_AT_TEMP)
            st = sosie_training_give(walk, node->inputs[k], spots[n + 2 + k],
                                     err);
    return st;
}

/* ---- the walk ------------------------------------------------------------ */

static enum sosie_status lower_input(struct sosie_trainable_walk *walk,
                                     struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    sosie_value_id id = t->graph.inputs[0];
    struct sosie_trainable_value *value = &t->values[id];
    enum sosie_status st =
        sosie_training_dense(walk, &value->shape, &value->md, err);
    if (!st)
        extend(&value->extent, sosie_md_size(value->md), 0);
    return st;
}

/* Outputs to where they are read; their gradients to where they are needed. */
static enum sosie_status lower_outputs(struct sosie_trainable_walk *walk,
                                       bool backward, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    enum sosie_status st = SOSIE_OK;
    for (size_t k = 0; k < t->graph.n_outputs && !st; k++) {
        sosie_value_id id = t->graph.outputs[k];
        struct sosie_spot spot = {SOSIE_AT_OUTPUT, k, NULL};
        walk->temp = 0;
        if (backward && !t->values[id].wants_grad)
            continue; /* frozen */
        st = sosie_training_dense(walk, &t->values[id].shape, &spot.md, err);
        if (!st && backward) {
            spot.place = SOSIE_AT_OUTPUT_GRAD;
            st = sosie_training_give(walk, id, spot, err);
        } else if (!st) {
            st = reorder(walk, sosie_training_value(walk, id), spot, err);
        }
    }
    return st;
}

static enum sosie_status lower_forward(struct sosie_trainable_walk *walk,
                                       bool *by_onednn, struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    enum sosie_status st = SOSIE_OK;
    walk->actions = &t->forward;
    for (size_t i = 0; i < t->graph.n_nodes && !st; i++) {
        bool done = false;
        walk->node = &t->graph.nodes[i];
        walk->time = i;
        walk->temp = 0;
        if (walk->done[i])
            continue;
        if (!t->options.plain)
            st = sosie_training_onednn_forward(walk, &done, err);
        if (!st && !done) {
            t->names[i][0] = "plain";
            st = plain_forward(walk, err);
        }
        by_onednn[i] = done;
    }
    return st ? st : lower_outputs(walk, false, err);
}

static enum sosie_status lower_backward(struct sosie_trainable_walk *walk,
                                        const bool *by_onednn,
                                        struct sosie_error *err)
{
    struct sosie_trainable *t = walk->t;
    enum sosie_status st;
    walk->actions = &t->backward;
    walk->time = t->graph.n_nodes;
    st = lower_outputs(walk, true, err);
    for (size_t i = t->graph.n_nodes; i-- > 0 && !st;) {
        walk->node = &t->graph.nodes[i];
        walk->time = 2 * t->graph.n_nodes - 1 - i;
        walk->temp = 0;
        if (walk->done[i] || !t->values[walk->node->output].wants_grad)
            continue;
        if (by_onednn[i]) {
            st = sosie_training_onednn_backward(walk, err);
        } else {
            t->names[i][1] = "plain";
            st = plain_backward(walk, err);
        }
    }
    return st;
}

static void count_uses(struct sosie_trainable_walk *walk)
{
    const struct sosie_graph *graph = &walk->t->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        for (size_t k = 0; k < graph->nodes[i].n_inputs; k++)
            if (graph->nodes[i].inputs[k] != SOSIE_NO_VALUE) {
                walk->n_uses[graph->nodes[i].inputs[k]]++;
                walk->only_user[graph->nodes[i].inputs[k]] = i;
            }
    for (size_t k = 0; k < graph->n_outputs; k++)
        walk->n_uses[graph->outputs[k]] += 2; /* nobody's alone */
}

enum sosie_status sosie_trainable_lower(struct sosie_trainable *t,
                                        struct sosie_error *err)
{
    size_t n = t->graph.n_nodes + 1, n_values = t->graph.n_values + 1;
    struct sosie_trainable_walk walk = {
        .t = t,
        .done = calloc(n, sizeof(*walk.done)),
        .n_uses = calloc(n_values, sizeof(*walk.n_uses)),
        .only_user = calloc(n_values, sizeof(*walk.only_user)),
        .hints = calloc(n, sizeof(*walk.hints))};
    bool *by_onednn = calloc(n, sizeof(*by_onednn));
    enum sosie_status st = SOSIE_OK;

    if (!walk.done || !walk.n_uses || !walk.only_user || !walk.hints ||
        !by_onednn)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "a network to train");
    if (!st) {
        count_uses(&walk);
        st = lower_input(&walk, err);
    }
    if (!st)
        st = lower_forward(&walk, by_onednn, err);
    if (!st)
        st = lower_backward(&walk, by_onednn, err);
    for (size_t i = 0; walk.hints && i < n; i++)
        dnnl_primitive_desc_destroy(walk.hints[i]);
    free(by_onednn);
    free(walk.hints);
    free(walk.only_user);
    free(walk.n_uses);
    free(walk.done);
    return st;
}
