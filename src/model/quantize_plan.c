/* quantize_plan.c: which tensors are kept in 8 bits.
 *
 * Convolutions and matrix products with constant weights always read bytes.
 * What lies between them (sums, pools, gates, ...) works on bytes where its
 * inputs come from bytes and its result goes to bytes; a function that follows
 * a convolution is part of it. So a backbone stays in 8 bits from end to end,
 * while a transformer's residual stream, or what makes the embedding, stays in
 * float32: nobody wants it in bytes. */
#include "model/quantize_private.h"

#include <string.h>

#define NO_NODE UINT32_MAX

size_t sosie_q_channel_axis(const struct sosie_shape *shape)
{
    return shape->rank == 4 ? 1 : shape->rank - 1;
}

size_t sosie_q_weights_axis(const struct sosie_node *node)
{
    if (node->op == SOSIE_OP_CONV)
        return 0;
    return node->op == SOSIE_OP_GEMM ? !node->gemm.trans_b : 1;
}

/* ---- what a node can do -------------------------------------------------- */

static bool is_constant(const struct sosie_value *value)
{
    return value && value->data;
}

static bool is_one(float x)
{
    return !(x < 1.0F) && !(x > 1.0F);
}

/* Constant float32 weights that have channels, and a bias of one number a
 * channel or none. */
static bool has_weights(const struct sosie_graph *graph,
                        const struct sosie_node *node)
{
    const struct sosie_value *x, *w, *b;
    if (node->op != SOSIE_OP_CONV && node->op != SOSIE_OP_GEMM &&
        node->op != SOSIE_OP_MATMUL)
        return false;
    x = sosie_node_input(graph, node, 0);
    w = sosie_node_input(graph, node, 1);
    b = sosie_node_input(graph, node, 2);
    if (is_constant(x) || !is_constant(w) || w->dtype != SOSIE_F32 ||
        w->shape.rank != (node->op == SOSIE_OP_CONV ? 4 : 2))
        return false;
    if (node->op == SOSIE_OP_GEMM &&
        (node->gemm.trans_a || !is_one(node->gemm.alpha) ||
         (b && !is_one(node->gemm.beta))))
        return false;
    return !b ||
           (is_constant(b) && b->shape.rank == 1 &&
            b->shape.dims[0] == w->shape.dims[sosie_q_weights_axis(node)]);
}

/* A sum or product of two tensors of one shape; a product also with one number
 * a channel. */
static bool is_plain_binary(const struct sosie_graph *graph,
                            const struct sosie_node *node)
{
    const struct sosie_shape *out = &graph->values[node->output].shape;
    const struct sosie_shape *a = &sosie_node_input(graph, node, 0)->shape;
    const struct sosie_shape *b = &sosie_node_input(graph, node, 1)->shape;
    const struct sosie_shape *small = sosie_shape_equal(a, out) ? b : a;
    if (sosie_shape_equal(a, out) && sosie_shape_equal(b, out))
        return true;
    if (node->op != SOSIE_OP_MUL || out->rank != 4 || small->rank != 4)
        return false;
    return (sosie_shape_equal(a, out) || sosie_shape_equal(b, out)) &&
           sosie_shape_count(small) == out->dims[1] &&
           small->dims[1] == out->dims[1];
}

static bool is_spatial_mean(const struct sosie_graph *graph,
                            const struct sosie_node *node)
{
    if (sosie_node_input(graph, node, 0)->shape.rank != 4)
        return false;
    return node->op == SOSIE_OP_GLOBAL_AVERAGE_POOL ||
           (node->op == SOSIE_OP_REDUCE_MEAN && !node->reduce.axes[0] &&
            !node->reduce.axes[1] && node->reduce.axes[2] &&
            node->reduce.axes[3]);
}

/* Moves elements and changes none. */
static bool is_move(enum sosie_op op)
{
    return op == SOSIE_OP_MAX_POOL || op == SOSIE_OP_GLOBAL_MAX_POOL ||
           op == SOSIE_OP_CONCAT || op == SOSIE_OP_FLATTEN ||
           op == SOSIE_OP_RESHAPE || op == SOSIE_OP_SLICE ||
           op == SOSIE_OP_TRANSPOSE;
}

static bool is_function(enum sosie_op op)
{
    return sosie_op_is_act(op) && op != SOSIE_OP_ERF && op != SOSIE_OP_EXP &&
           op != SOSIE_OP_SQRT;
}

static bool is_clip(enum sosie_op op)
{
    return op == SOSIE_OP_RELU || op == SOSIE_OP_CLIP;
}

/* Could it work on bytes, given that its inputs are? */
static bool may_be_bytes(const struct sosie_graph *graph,
                         const struct sosie_node *node)
{
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct sosie_value *value = sosie_node_input(graph, node, k);
        if (!value || value->data || value->dtype != SOSIE_F32 ||
            !value->shape.rank)
            return false;
    }
    if (node->op == SOSIE_OP_ADD || node->op == SOSIE_OP_MUL)
        return is_plain_binary(graph, node);
    return is_move(node->op) || is_function(node->op) ||
           node->op == SOSIE_OP_AVERAGE_POOL || is_spatial_mean(graph, node);
}

/* ---- roles --------------------------------------------------------------- */

static enum sosie_status make_tables(struct sosie_qplan *plan,
                                     struct sosie_error *err)
{
    const struct sosie_graph *graph = plan->graph;
    struct sosie_arena *arena = &plan->arena;
    size_t n = graph->n_values;
    plan->roles =
        sosie_arena_alloc(arena, graph->n_nodes + 1, sizeof(*plan->roles));
    plan->producer = sosie_arena_alloc(arena, n, sizeof(*plan->producer));
    plan->n_uses = sosie_arena_alloc(arena, n, sizeof(*plan->n_uses));
    plan->is_output = sosie_arena_alloc(arena, n, sizeof(*plan->is_output));
    plan->is_wanted = sosie_arena_alloc(arena, n, sizeof(*plan->is_wanted));
    plan->is_quantised =
        sosie_arena_alloc(arena, n, sizeof(*plan->is_quantised));
    plan->is_bytes = sosie_arena_alloc(arena, n, sizeof(*plan->is_bytes));
    plan->group = sosie_arena_alloc(arena, n, sizeof(*plan->group));
    plan->values = sosie_arena_alloc(arena, n, sizeof(*plan->values));
    plan->place = sosie_arena_alloc(arena, n, sizeof(*plan->place));
    if (!plan->roles || !plan->producer || !plan->n_uses || !plan->is_output ||
        !plan->is_wanted || !plan->is_quantised || !plan->is_bytes ||
        !plan->group || !plan->values || !plan->place)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a plan to quantise by");
    memset(plan->producer, 0xff, n * sizeof(*plan->producer));
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        plan->producer[node->output] = i;
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                plan->n_uses[node->inputs[k]]++;
    }
    for (size_t k = 0; k < graph->n_outputs; k++) {
        plan->is_output[graph->outputs[k]] = true;
        plan->n_uses[graph->outputs[k]]++;
    }
    return SOSIE_OK;
}

/* Is the function `node` part of what makes its input? Sums take only what
 * clips. */
static bool is_fused(const struct sosie_qplan *plan,
                     const struct sosie_node *node)
{
    sosie_value_id in = node->inputs[0];
    uint32_t producer = plan->producer[in];
    if (!is_function(node->op) || producer == NO_NODE || plan->n_uses[in] != 1)
        return false;
    if (plan->graph->nodes[producer].op == SOSIE_OP_ADD)
        return is_clip(node->op) && plan->roles[producer] == SOSIE_Q_BYTES;
    return plan->roles[producer] == SOSIE_Q_WEIGHTS;
}

/* Forwards: what can be, given where its inputs come from. */
static void find_bytes(struct sosie_qplan *plan)
{
    const struct sosie_graph *graph = plan->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        bool from_bytes = may_be_bytes(graph, node);
        for (size_t k = 0; k < node->n_inputs && from_bytes; k++)
            from_bytes = plan->is_bytes[node->inputs[k]];
        if (has_weights(graph, node))
            plan->roles[i] = SOSIE_Q_WEIGHTS;
        else if (is_fused(plan, node))
            plan->roles[i] = SOSIE_Q_FUSED;
        else if (from_bytes)
            plan->roles[i] = SOSIE_Q_BYTES;
        plan->is_bytes[node->output] = plan->roles[i] != SOSIE_Q_FLOAT;
    }
}

static void want(struct sosie_qplan *plan, sosie_value_id id)
{
    plan->is_wanted[id] = true;
    plan->is_quantised[id] = true;
}

/* Backwards: what is worth it. A mean over all pixels may give a float32. */
static void drop_unwanted(struct sosie_qplan *plan)
{
    const struct sosie_graph *graph = plan->graph;
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const struct sosie_node *node = &graph->nodes[i];
        /* The function that is part of a sum passes on that it is wanted. */
        bool is_wanted = plan->is_wanted[node->output];
        if (plan->roles[i] == SOSIE_Q_BYTES && !is_spatial_mean(graph, node) &&
            (!is_wanted || plan->is_output[node->output]))
            plan->roles[i] = SOSIE_Q_FLOAT;
        if (plan->roles[i] == SOSIE_Q_FUSED)
            plan->is_wanted[node->inputs[0]] = is_wanted;
        if (plan->roles[i] == SOSIE_Q_WEIGHTS)
            want(plan, node->inputs[0]);
        if (plan->roles[i] == SOSIE_Q_BYTES)
            for (size_t k = 0; k < node->n_inputs; k++)
                want(plan, node->inputs[k]);
    }
}

/* Forwards again: what is left. The network's outputs are given in float32
 * whoever else reads them. */
static void settle(struct sosie_qplan *plan)
{
    const struct sosie_graph *graph = plan->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        plan->is_bytes[node->output] = plan->roles[i] == SOSIE_Q_WEIGHTS ||
                                       plan->roles[i] == SOSIE_Q_BYTES ||
                                       (plan->roles[i] == SOSIE_Q_FUSED &&
                                        plan->is_bytes[node->inputs[0]]);
    }
    for (size_t v = 0; v < graph->n_values; v++)
        plan->is_bytes[v] =
            plan->is_bytes[v] && plan->is_quantised[v] && !plan->is_output[v];
}

/* ---- groups -------------------------------------------------------------- */

static sosie_value_id group_of(const struct sosie_qplan *plan,
                               sosie_value_id id)
{
    while (plan->group[id] != id)
        id = plan->group[id];
    return id;
}

/* What a node only moves keeps its scale. */
static void find_groups(struct sosie_qplan *plan)
{
    const struct sosie_graph *graph = plan->graph;
    for (size_t v = 0; v < graph->n_values; v++)
        plan->group[v] = (sosie_value_id)v;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        if (plan->roles[i] != SOSIE_Q_BYTES || !is_move(node->op) ||
            !plan->is_quantised[node->output])
            continue;
        for (size_t k = 0; k < node->n_inputs; k++)
            plan->group[group_of(plan, node->inputs[k])] =
                group_of(plan, node->output);
    }
    for (size_t v = 0; v < graph->n_values; v++)
        plan->group[v] = group_of(plan, (sosie_value_id)v);
}

enum sosie_status sosie_qplan_make(const struct sosie_graph *graph,
                                   struct sosie_qplan *plan,
                                   struct sosie_error *err)
{
    enum sosie_status st;
    *plan = (struct sosie_qplan){.graph = graph};
    st = make_tables(plan, err);
    if (st)
        return st;
    find_bytes(plan);
    drop_unwanted(plan);
    settle(plan);
    find_groups(plan);
    for (size_t v = 0; v < graph->n_values; v++)
        if (plan->is_quantised[v]) {
            plan->place[v] = (uint32_t)plan->n_values;
            plan->values[plan->n_values++] = (sosie_value_id)v;
        }
    if (!plan->n_values)
        return sosie_fail(err, SOSIE_REFUSED,
                          "no convolution or matrix product with constant "
                          "weights: nothing to quantise");
    if (plan->n_values > SOSIE_MAX_OUTPUTS)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu tensors to quantise; at most %d are supported",
                          plan->n_values, SOSIE_MAX_OUTPUTS);
    return SOSIE_OK;
}

void sosie_qplan_release(struct sosie_qplan *plan)
{
    sosie_arena_release(&plan->arena);
    *plan = (struct sosie_qplan){0};
}
