/* passes.c: making a graph smaller without changing what its outputs are.
 *
 * Each pass walks the nodes once, in order. A node that has been folded into
 * another is marked dead (its output is SOSIE_NO_VALUE) and swept at the end.
 */
#include "nn/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a pass knows of the graph around a node. */
struct links {
    uint32_t *producer; /* of each value: a node, or NO_NODE */
    uint32_t *n_uses;   /* of each value, by nodes and as a graph's output */
};
#define NO_NODE UINT32_MAX

static void links_release(struct links *links)
{
    free(links->producer);
    free(links->n_uses);
}

static enum sosie_status links_init(struct links *links,
                                    const struct sosie_graph *graph,
                                    struct sosie_error *err)
{
    links->producer = malloc((graph->n_values + 1) * sizeof(uint32_t));
    links->n_uses = calloc(graph->n_values + 1, sizeof(uint32_t));
    if (!links->producer || !links->n_uses) {
        links_release(links);
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    }
    memset(links->producer, 0xff, graph->n_values * sizeof(uint32_t));
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        links->producer[node->output] = i;
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                links->n_uses[node->inputs[k]]++;
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        links->n_uses[graph->outputs[k]]++;
    return SOSIE_OK;
}

/* The convolution that makes a value for one reader only, or NULL. */
static struct sosie_node *lone_conv(const struct sosie_graph *graph,
                                    const struct links *links,
                                    sosie_value_id id)
{
    uint32_t producer = links->producer[id];
    if (producer == NO_NODE || links->n_uses[id] != 1 ||
        graph->nodes[producer].op != SOSIE_OP_CONV)
        return NULL;
    return &graph->nodes[producer];
}

/* `conv` now makes what `node`, which is dropped, made. */
static void take_over(const struct sosie_graph *graph, struct links *links,
                      struct sosie_node *conv, struct sosie_node *node)
{
    conv->output = node->output;
    links->producer[node->output] = (uint32_t)(conv - graph->nodes);
    node->output = SOSIE_NO_VALUE;
    node->n_inputs = 0;
}

/* A new constant of the given shape; *data is its memory, to be filled. */
static enum sosie_status add_constant(struct sosie_graph *graph,
                                      const char *name,
                                      const struct sosie_shape *shape,
                                      float **data, sosie_value_id *id,
                                      struct sosie_error *err)
{
    struct sosie_value value = {.name = name, .shape = *shape};
    *data = sosie_arena_alloc(&graph->arena, sosie_shape_count(shape),
                              sizeof(float));
    if (!*data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "weights of '%.80s'", name);
    value.data = *data;
    return sosie_graph_add_value(graph, &value, id, err);
}

/* ---- sweep --------------------------------------------------------------- */

/* Drops dead nodes and those that no output needs. */
static enum sosie_status sweep(struct sosie_graph *graph,
                               struct sosie_error *err)
{
    bool *needed = calloc(graph->n_values + 1, sizeof(*needed));
    size_t kept = 0;
    if (!needed)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    for (size_t k = 0; k < graph->n_outputs; k++)
        needed[graph->outputs[k]] = true;
    for (size_t i = graph->n_nodes; i-- > 0;) {
        struct sosie_node *node = &graph->nodes[i];
        if (node->output != SOSIE_NO_VALUE && !needed[node->output])
            node->output = SOSIE_NO_VALUE;
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->output != SOSIE_NO_VALUE &&
                node->inputs[k] != SOSIE_NO_VALUE)
                needed[node->inputs[k]] = true;
    }
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].output != SOSIE_NO_VALUE)
            graph->nodes[kept++] = graph->nodes[i];
    graph->n_nodes = kept;
    free(needed);
    return SOSIE_OK;
}

/* ---- Identity ------------------------------------------------------------ */

static enum sosie_status drop_identities(struct sosie_graph *graph,
                                         struct sosie_error *err)
{
    sosie_value_id *same = malloc((graph->n_values + 1) * sizeof(*same));
    if (!same)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    for (size_t v = 0; v < graph->n_values; v++)
        same[v] = (sosie_value_id)v;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE)
                node->inputs[k] = same[node->inputs[k]];
        if (node->op == SOSIE_OP_IDENTITY) {
            same[node->output] = node->inputs[0];
            node->output = SOSIE_NO_VALUE;
        }
    }
    for (size_t k = 0; k < graph->n_outputs; k++)
        graph->outputs[k] = same[graph->outputs[k]];
    free(same);
    return sweep(graph, err);
}

/* ---- BatchNormalization into Conv ---------------------------------------- */

/* y = (conv(x, W) + b - mean) * f + shift, f = scale / sqrt(variance + epsilon)
 * is a convolution with weights W * f and bias (b - mean) * f + shift. */
static enum sosie_status fold_batch_norm(struct sosie_graph *graph,
                                         struct sosie_node *conv,
                                         const struct sosie_node *bn,
                                         struct sosie_error *err)
{
    const struct sosie_value *old = sosie_node_input(graph, conv, SOSIE_CONV_W);
    const struct sosie_value *bias =
        sosie_node_input(graph, conv, SOSIE_CONV_B);
    const float *old_w = old->data, *old_b = bias ? bias->data : NULL;
    const float *scale = sosie_node_input(graph, bn, SOSIE_BN_SCALE)->data;
    const float *shift = sosie_node_input(graph, bn, SOSIE_BN_SHIFT)->data;
    const float *mean = sosie_node_input(graph, bn, SOSIE_BN_MEAN)->data;
    const float *var = sosie_node_input(graph, bn, SOSIE_BN_VARIANCE)->data;
    struct sosie_shape filters = {1, {old->shape.dims[0]}}, shape = old->shape;
    size_t per_filter = sosie_shape_product(&shape, 1, shape.rank);
    float *w, *b;
    enum sosie_status st;

    st = add_constant(graph, bn->name, &shape, &w, &conv->inputs[SOSIE_CONV_W],
                      err);
    if (!st)
        st = add_constant(graph, bn->name, &filters, &b,
                          &conv->inputs[SOSIE_CONV_B], err);
    if (st)
        return st;
    conv->n_inputs = SOSIE_CONV_B + 1;
    for (size_t m = 0; m < filters.dims[0]; m++) {
        double f =
            (double)scale[m] / sqrt((double)var[m] + (double)bn->epsilon);
        double before = old_b ? (double)old_b[m] : 0.0;
        for (size_t i = 0; i < per_filter; i++)
            w[m * per_filter + i] =
                (float)((double)old_w[m * per_filter + i] * f);
        b[m] = (float)((before - (double)mean[m]) * f + (double)shift[m]);
    }
    return SOSIE_OK;
}

static enum sosie_status fold_batch_norms(struct sosie_graph *graph,
                                          struct sosie_error *err)
{
    struct links links;
    enum sosie_status st = links_init(&links, graph, err);
    if (st)
        return st;
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        struct sosie_node *node = &graph->nodes[i], *conv;
        if (node->op != SOSIE_OP_BATCH_NORM)
            continue;
        conv = lone_conv(graph, &links, node->inputs[SOSIE_BN_X]);
        if (!conv)
            continue;
        st = fold_batch_norm(graph, conv, node, err);
        take_over(graph, &links, conv, node);
    }
    links_release(&links);
    return st ? st : sweep(graph, err);
}

/* ---- alpha and beta into the constants of Gemm --------------------------- */

/* Gemm's B, scaled by alpha. */
static enum sosie_status fold_alpha(struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_GEMM_B);
    struct sosie_shape shape = b->shape;
    const float *old = b->data;
    float *scaled;
    enum sosie_status st;

    if (!old || !(node->gemm.alpha < 1.0F || node->gemm.alpha > 1.0F))
        return SOSIE_OK;
    st = add_constant(graph, b->name, &shape, &scaled,
                      &node->inputs[SOSIE_GEMM_B], err);
    if (st)
        return st;
    for (size_t i = 0; i < sosie_shape_count(&shape); i++)
        scaled[i] = old[i] * node->gemm.alpha;
    node->gemm.alpha = 1.0F;
    return SOSIE_OK;
}

/* Gemm's C, if it is the same for every row, as one number a column, scaled by
 * beta. */
static enum sosie_status fold_beta(struct sosie_graph *graph,
                                   struct sosie_node *node,
                                   struct sosie_error *err)
{
    const struct sosie_value *c = sosie_node_input(graph, node, SOSIE_GEMM_C);
    struct sosie_shape columns = {1,
                                  {graph->values[node->output].shape.dims[1]}};
    const float *old = c ? c->data : NULL;
    size_t n;
    float *scaled;
    enum sosie_status st;

    if (!old || (c->shape.rank == 2 && c->shape.dims[0] > 1))
        return SOSIE_OK;
    n = sosie_shape_count(&c->shape);
    st = add_constant(graph, c->name, &columns, &scaled,
                      &node->inputs[SOSIE_GEMM_C], err);
    if (st)
        return st;
    for (size_t i = 0; i < columns.dims[0]; i++)
        scaled[i] = old[n == 1 ? 0 : i] * node->gemm.beta;
    node->gemm.beta = 1.0F;
    return SOSIE_OK;
}

static enum sosie_status fold_gemm_factors(struct sosie_graph *graph,
                                           struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        if (graph->nodes[i].op != SOSIE_OP_GEMM)
            continue;
        st = fold_alpha(graph, &graph->nodes[i], err);
        if (!st)
            st = fold_beta(graph, &graph->nodes[i], err);
    }
    return st;
}

/* ---- activations and residual sums into Conv ----------------------------- */

static bool has_residual(const struct sosie_node *conv)
{
    return conv->n_inputs > SOSIE_CONV_RESIDUAL;
}

static bool fold_activation(const struct sosie_graph *graph,
                            struct links *links, struct sosie_node *node)
{
    struct sosie_node *conv = lone_conv(graph, links, node->inputs[0]);
    if (!conv || conv->n_posts == SOSIE_MAX_POSTS)
        return false;
    conv->posts[conv->n_posts++] = (struct sosie_post){node->op, node->act};
    take_over(graph, links, conv, node);
    return true;
}

static bool is_view(const struct sosie_node *node)
{
    return node->op == SOSIE_OP_FLATTEN || node->op == SOSIE_OP_RESHAPE;
}

/* The sum is written over the residual (oneDNN's sum post-op), so this must be
 * the residual's last use: nothing but the Add may read it from `conv` on, no
 * view may share its memory, and it is not the caller's. */
static bool may_overwrite(const struct sosie_graph *graph,
                          const struct links *links, sosie_value_id residual,
                          const struct sosie_node *conv)
{
    uint32_t producer = links->producer[residual];
    uint32_t n_uses = 1; /* by the Add */
    const struct sosie_node *node = graph->nodes;
    if (producer == NO_NODE || &graph->nodes[producer] >= conv ||
        is_view(&graph->nodes[producer]))
        return false;
    for (; node < conv; node++)
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] == residual) {
                if (is_view(node))
                    return false;
                n_uses++;
            }
    return n_uses == links->n_uses[residual];
}

static bool fold_sum(struct sosie_graph *graph, struct links *links,
                     struct sosie_node *add, size_t side)
{
    struct sosie_node *conv = lone_conv(graph, links, add->inputs[side]);
    sosie_value_id residual = add->inputs[!side];

    if (!conv || has_residual(conv) || conv->n_posts == SOSIE_MAX_POSTS ||
        !sosie_shape_equal(&graph->values[residual].shape,
                           &graph->values[conv->output].shape) ||
        !may_overwrite(graph, links, residual, conv))
        return false;
    if (conv->n_inputs <= SOSIE_CONV_B)
        conv->inputs[SOSIE_CONV_B] = SOSIE_NO_VALUE;
    conv->inputs[SOSIE_CONV_RESIDUAL] = residual;
    conv->n_inputs = SOSIE_CONV_RESIDUAL + 1;
    conv->posts[conv->n_posts++] = (struct sosie_post){.op = SOSIE_OP_ADD};
    take_over(graph, links, conv, add);
    return true;
}

enum sosie_status sosie_graph_fuse(struct sosie_graph *graph,
                                   struct sosie_error *err)
{
    struct links links;
    enum sosie_status st = links_init(&links, graph, err);
    if (st)
        return st;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *node = &graph->nodes[i];
        if (node->op == SOSIE_OP_RELU || node->op == SOSIE_OP_CLIP)
            fold_activation(graph, &links, node);
        else if (node->op == SOSIE_OP_ADD && !fold_sum(graph, &links, node, 0))
            fold_sum(graph, &links, node, 1);
    }
    links_release(&links);
    return sweep(graph, err);
}

enum sosie_status sosie_graph_simplify(struct sosie_graph *graph,
                                       struct sosie_error *err)
{
    enum sosie_status st = sweep(graph, err);
    if (!st)
        st = drop_identities(graph, err);
    if (!st)
        st = fold_batch_norms(graph, err);
    if (!st)
        st = fold_gemm_factors(graph, err);
    return st;
}

enum sosie_status sosie_graph_dequantize(struct sosie_graph *graph,
                                         struct sosie_error *err)
{
    (void)graph, (void)err;
    return SOSIE_OK;
}
