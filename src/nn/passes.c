/* passes.c: making a graph smaller without changing what its outputs are. */
#include "nn/passes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- links --------------------------------------------------------------- */

void sosie_links_release(struct sosie_links *links)
{
    free(links->producer);
    free(links->n_uses);
}

enum sosie_status sosie_links_init(struct sosie_links *links,
                                   const struct sosie_graph *graph,
                                   struct sosie_error *err)
{
    /* passes add constants: room for them */
    size_t n = graph->n_values + 4 * graph->n_nodes + 1;
    links->producer = malloc(n * sizeof(*links->producer));
    links->n_uses = calloc(n, sizeof(*links->n_uses));
    if (!links->producer || !links->n_uses) {
        sosie_links_release(links);
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    }
    memset(links->producer, 0xff, n * sizeof(*links->producer));
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

struct sosie_node *sosie_producer(const struct sosie_graph *graph,
                                  const struct sosie_links *links,
                                  sosie_value_id id)
{
    if (id == SOSIE_NO_VALUE || links->producer[id] == SOSIE_NO_NODE)
        return NULL;
    return &graph->nodes[links->producer[id]];
}

struct sosie_node *sosie_lone(const struct sosie_graph *graph,
                              const struct sosie_links *links,
                              sosie_value_id id, enum sosie_op op)
{
    struct sosie_node *node = sosie_producer(graph, links, id);
    return node && node->op == op && links->n_uses[id] == 1 ? node : NULL;
}

void sosie_node_kill(struct sosie_links *links, struct sosie_node *node)
{
    for (size_t k = 0; k < node->n_inputs; k++)
        if (node->inputs[k] != SOSIE_NO_VALUE)
            links->n_uses[node->inputs[k]]--;
    node->output = SOSIE_NO_VALUE;
    node->n_inputs = 0;
}

void sosie_take_over(const struct sosie_graph *graph, struct sosie_links *links,
                     struct sosie_node *node, struct sosie_node *last)
{
    node->output = last->output;
    links->producer[last->output] = (uint32_t)(node - graph->nodes);
    sosie_node_kill(links, last);
}

enum sosie_status sosie_add_constant(struct sosie_graph *graph,
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

enum sosie_status sosie_sweep(struct sosie_graph *graph,
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
    return sosie_sweep(graph, err);
}

/* ---- scales and shifts into Conv and Gemm -------------------------------- */

/* y = x * scale[c] + shift[c], for the n channels of what a node made. */
struct line {
    size_t n;
    double *scale, *shift;
};

/* True if a constant is one number, or one for each of the n channels of a
 * result of `shape` (dimension 1); *step: from one to the next. */
static bool is_per_channel(const struct sosie_value *value,
                           const struct sosie_shape *shape, size_t *step)
{
    size_t n = shape->dims[1], count = sosie_shape_count(&value->shape);
    size_t after = shape->rank - 2; /* dimensions behind the channels */
    *step = count > 1;
    if (!value->data || value->dtype != SOSIE_F32 ||
        value->shape.rank > shape->rank)
        return false;
    return count == 1 ||
           (count == n && value->shape.rank > after &&
            value->shape.dims[value->shape.rank - 1 - after] == n);
}

static bool batch_norm_line(const struct sosie_graph *graph,
                            const struct sosie_node *bn, struct line *line)
{
    const float *in[SOSIE_BN_VARIANCE + 1];
    for (size_t k = SOSIE_BN_SCALE; k <= SOSIE_BN_VARIANCE; k++)
        if (!(in[k] = sosie_node_input(graph, bn, k)->data))
            return false;
    for (size_t c = 0; c < line->n; c++) {
        line->scale[c] =
            (double)in[SOSIE_BN_SCALE][c] /
            sqrt((double)in[SOSIE_BN_VARIANCE][c] + (double)bn->epsilon);
        line->shift[c] = (double)in[SOSIE_BN_SHIFT][c] -
                         (double)in[SOSIE_BN_MEAN][c] * line->scale[c];
    }
    return true;
}

/* Arithmetic with constants: x * c, x + c, x - c, c - x, x / c. */
static bool arithmetic_line(const struct sosie_graph *graph,
                            const struct sosie_node *node, size_t x,
                            struct line *line)
{
    const struct sosie_value *other = sosie_node_input(graph, node, !x);
    const float *data = other->data;
    size_t step;
    if (!is_per_channel(other, &sosie_node_input(graph, node, x)->shape,
                        &step) ||
        !sosie_shape_equal(&sosie_node_input(graph, node, x)->shape,
                           &graph->values[node->output].shape) ||
        (node->op == SOSIE_OP_DIV && x == 1))
        return false;
    for (size_t c = 0; c < line->n; c++) {
        double v = (double)data[c * step];
        bool scales = node->op == SOSIE_OP_MUL || node->op == SOSIE_OP_DIV;
        line->scale[c] = node->op == SOSIE_OP_MUL   ? v
                         : node->op == SOSIE_OP_DIV ? 1.0 / v
                                                    : 1.0;
        line->shift[c] = scales ? 0.0 : v;
        if (node->op == SOSIE_OP_SUB && x == 0)
            line->shift[c] = -v;
        if (node->op == SOSIE_OP_SUB && x == 1)
            line->scale[c] = -1.0;
        if (!isfinite(line->scale[c]) || !isfinite(line->shift[c]))
            return false;
    }
    return true;
}

/* The convolution or matrix product whose weights can take a line: they are
 * constant and nothing else reads its result. */
static struct sosie_node *scalable(const struct sosie_graph *graph,
                                   const struct sosie_links *links,
                                   sosie_value_id id)
{
    struct sosie_node *node = sosie_producer(graph, links, id);
    const struct sosie_value *w, *b;
    if (!node || links->n_uses[id] != 1 || node->n_posts ||
        (node->op != SOSIE_OP_CONV && node->op != SOSIE_OP_GEMM))
        return NULL;
    w = sosie_node_input(graph, node, SOSIE_CONV_W);
    b = sosie_node_input(graph, node, SOSIE_CONV_B);
    if (!w->data || w->dtype != SOSIE_F32 || (b && !b->data))
        return NULL;
    if (node->op == SOSIE_OP_GEMM && b &&
        (b->shape.rank != 1 ||
         b->shape.dims[0] != graph->values[id].shape.dims[1]))
        return NULL;
    return node;
}

/* conv(x, W) + b, scaled and shifted, is a convolution with weights W * scale
 * and bias b * scale + shift; likewise Gemm. */
static enum sosie_status fold_line(struct sosie_graph *graph,
                                   struct sosie_node *node, const char *name,
                                   const struct line *line,
                                   struct sosie_error *err)
{
    const struct sosie_value *bias =
        sosie_node_input(graph, node, SOSIE_CONV_B);
    const struct sosie_value *old = sosie_node_input(graph, node, SOSIE_CONV_W);
    const void *old_w = old->data;
    const float *old_b = bias ? bias->data : NULL;
    struct sosie_shape channels = {1, {line->n}}, shape = old->shape;
    size_t n = sosie_shape_count(&shape), inner = n / line->n;
    bool is_gemm = node->op == SOSIE_OP_GEMM;
    float alpha = is_gemm ? node->gemm.alpha : 1.0F, *w, *b;
    float beta = is_gemm ? node->gemm.beta : 1.0F;
    enum sosie_status st = sosie_add_constant(graph, name, &shape, &w,
                                              &node->inputs[SOSIE_CONV_W], err);
    if (!st)
        st = sosie_add_constant(graph, name, &channels, &b,
                                &node->inputs[SOSIE_CONV_B], err);
    if (st)
        return st;
    node->n_inputs = SOSIE_CONV_B + 1;
    for (size_t i = 0; i < n; i++) {
        size_t c = is_gemm && !node->gemm.trans_b ? i % line->n : i / inner;
        w[i] = (float)((double)sosie_float_at(old_w, i) * (double)alpha *
                       line->scale[c]);
    }
    for (size_t c = 0; c < line->n; c++)
        b[c] =
            (float)((old_b ? (double)(old_b[c] * beta) : 0.0) * line->scale[c] +
                    line->shift[c]);
    if (is_gemm)
        node->gemm.alpha = node->gemm.beta = 1.0F;
    return SOSIE_OK;
}

/* Folds `node` into what makes its input x, if that can take it. */
static enum sosie_status fold_if_line(struct sosie_graph *graph,
                                      struct sosie_links *links,
                                      struct sosie_node *node, size_t x,
                                      bool *is_folded, struct sosie_error *err)
{
    struct sosie_node *conv = scalable(graph, links, node->inputs[x]);
    struct line line = {0};
    enum sosie_status st = SOSIE_OK;
    *is_folded = false;
    if (!conv)
        return SOSIE_OK;
    line.n = graph->values[conv->output].shape.dims[1];
    line.scale = calloc(2 * line.n, sizeof(*line.scale));
    if (!line.scale)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's passes");
    line.shift = line.scale + line.n;
    *is_folded = node->op == SOSIE_OP_BATCH_NORM
                     ? batch_norm_line(graph, node, &line)
                     : arithmetic_line(graph, node, x, &line);
    if (*is_folded)
        st = fold_line(graph, conv, node->name, &line, err);
    if (*is_folded && !st)
        sosie_take_over(graph, links, conv, node);
    free(line.scale);
    return st;
}

static enum sosie_status fold_lines(struct sosie_graph *graph,
                                    struct sosie_error *err)
{
    struct sosie_links links;
    enum sosie_status st = sosie_links_init(&links, graph, err);
    if (st)
        return st;
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        struct sosie_node *node = &graph->nodes[i];
        bool is_folded = false;
        if (node->op == SOSIE_OP_BATCH_NORM) {
            st = fold_if_line(graph, &links, node, 0, &is_folded, err);
        } else if (node->op == SOSIE_OP_MUL || node->op == SOSIE_OP_ADD ||
                   node->op == SOSIE_OP_SUB || node->op == SOSIE_OP_DIV) {
            st = fold_if_line(graph, &links, node, 0, &is_folded, err);
            if (!st && !is_folded)
                st = fold_if_line(graph, &links, node, 1, &is_folded, err);
        }
    }
    sosie_links_release(&links);
    return st ? st : sosie_sweep(graph, err);
}

/* ---- alpha and beta into the constants of Gemm --------------------------- */

/* Gemm's B, scaled by alpha. */
static enum sosie_status fold_alpha(struct sosie_graph *graph,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_GEMM_B);
    struct sosie_shape shape = b->shape;
    const void *old = b->data;
    float *scaled;
    enum sosie_status st;

    if (!old || !(node->gemm.alpha < 1.0F || node->gemm.alpha > 1.0F))
        return SOSIE_OK;
    st = sosie_add_constant(graph, b->name, &shape, &scaled,
                            &node->inputs[SOSIE_GEMM_B], err);
    if (st)
        return st;
    for (size_t i = 0; i < sosie_shape_count(&shape); i++)
        scaled[i] = sosie_float_at(old, i) * node->gemm.alpha;
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
    st = sosie_add_constant(graph, c->name, &columns, &scaled,
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

static bool is_post(enum sosie_op op)
{
    return sosie_op_is_act(op) && op != SOSIE_OP_ERF && op != SOSIE_OP_EXP &&
           op != SOSIE_OP_SQRT;
}

static bool takes_function(const struct sosie_node *conv)
{
    return conv->n_posts < 2;
}

/* What reads bytes has been given its functions by the int8 pass. */
static bool reads_floats(const struct sosie_graph *graph,
                         const struct sosie_node *conv)
{
    return graph->values[conv->inputs[SOSIE_CONV_X]].dtype == SOSIE_F32;
}

static bool fold_activation(const struct sosie_graph *graph,
                            struct sosie_links *links, struct sosie_node *node)
{
    struct sosie_node *conv =
        sosie_lone(graph, links, node->inputs[0], SOSIE_OP_CONV);
    if (!conv || !takes_function(conv) || !reads_floats(graph, conv))
        return false;
    conv->posts[conv->n_posts++] = (struct sosie_post){node->op, node->act};
    sosie_take_over(graph, links, conv, node);
    return true;
}

static bool is_view(const struct sosie_node *node)
{
    return node->op == SOSIE_OP_FLATTEN || node->op == SOSIE_OP_RESHAPE ||
           node->op == SOSIE_OP_TRANSPOSE;
}

/* The sum is written over the residual (oneDNN's sum post-op), so this must be
 * the residual's last use: nothing but the Add may read it from `conv` on, no
 * view may share its memory, and it is not the caller's. */
static bool may_overwrite(const struct sosie_graph *graph,
                          const struct sosie_links *links,
                          sosie_value_id residual,
                          const struct sosie_node *conv)
{
    uint32_t producer = links->producer[residual];
    uint32_t n_uses = 1; /* by the Add */
    const struct sosie_node *node = graph->nodes;
    if (producer == SOSIE_NO_NODE || &graph->nodes[producer] >= conv ||
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

/* Only of a convolution without functions: after one, oneDNN does not have a
 * sum on all CPUs, and its reference takes a thousand times as long. */
static bool fold_sum(struct sosie_graph *graph, struct sosie_links *links,
                     struct sosie_node *add, size_t side)
{
    struct sosie_node *conv =
        sosie_lone(graph, links, add->inputs[side], SOSIE_OP_CONV);
    sosie_value_id residual = add->inputs[!side];

    if (!conv || has_residual(conv) || conv->n_posts ||
        !reads_floats(graph, conv) ||
        !sosie_shape_equal(&graph->values[residual].shape,
                           &graph->values[conv->output].shape) ||
        !may_overwrite(graph, links, residual, conv))
        return false;
    if (conv->n_inputs <= SOSIE_CONV_B)
        conv->inputs[SOSIE_CONV_B] = SOSIE_NO_VALUE;
    conv->inputs[SOSIE_CONV_RESIDUAL] = residual;
    conv->n_inputs = SOSIE_CONV_RESIDUAL + 1;
    conv->posts[conv->n_posts++] = (struct sosie_post){.op = SOSIE_OP_ADD};
    links->n_uses[residual]++;
    sosie_take_over(graph, links, conv, add);
    return true;
}

enum sosie_status sosie_graph_fuse(struct sosie_graph *graph,
                                   struct sosie_error *err)
{
    struct sosie_links links;
    enum sosie_status st = sosie_links_init(&links, graph, err);
    if (st)
        return st;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *node = &graph->nodes[i];
        if (node->output == SOSIE_NO_VALUE ||
            graph->values[node->output].dtype != SOSIE_F32)
            continue;
        if (is_post(node->op))
            fold_activation(graph, &links, node);
        else if (node->op == SOSIE_OP_ADD && !fold_sum(graph, &links, node, 0))
            fold_sum(graph, &links, node, 1);
    }
    sosie_links_release(&links);
    return sosie_sweep(graph, err);
}

enum sosie_status sosie_graph_tidy(struct sosie_graph *graph,
                                   struct sosie_error *err)
{
    enum sosie_status st = sosie_sweep(graph, err);
    if (!st)
        st = drop_identities(graph, err);
    return st ? st : sosie_pass_recognise(graph, err);
}

enum sosie_status sosie_graph_simplify(struct sosie_graph *graph,
                                       struct sosie_error *err)
{
    enum sosie_status st = sosie_graph_tidy(graph, err);
    if (!st)
        st = fold_lines(graph, err);
    if (!st)
        st = fold_gemm_factors(graph, err);
    return st;
}
