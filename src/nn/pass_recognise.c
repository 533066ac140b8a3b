/* pass_recognise.c: functions that a file spells with several ops, as one. */
#include "nn/passes.h"

#include <math.h>
#include <string.h>

struct view {
    struct sosie_graph *graph;
    struct sosie_links *links;
};

/* The node that makes a value, if it is an `op`. */
static struct sosie_node *made_by(const struct view *v, sosie_value_id id,
                                  enum sosie_op op)
{
    struct sosie_node *node = sosie_producer(v->graph, v->links, id);
    return node && node->op == op ? node : NULL;
}

/* True if the value is a constant number, whatever its shape. */
static bool number(const struct view *v, sosie_value_id id, double *x)
{
    const struct sosie_value *value;
    if (id == SOSIE_NO_VALUE)
        return false;
    value = &v->graph->values[id];
    if (!value->data || value->dtype != SOSIE_F32 ||
        sosie_shape_count(&value->shape) != 1)
        return false;
    *x = (double)*(const float *)value->data;
    return true;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-4 * fabs(b);
}

/* If the value is `other` (op) number, in either order where that is the same:
 * tells both. x / c counts as x * (1 / c), x - c as x + -c. */
static bool with_number(const struct view *v, sosie_value_id id,
                        enum sosie_op op, sosie_value_id *other, double *x)
{
    enum sosie_op inverse = op == SOSIE_OP_MUL ? SOSIE_OP_DIV : SOSIE_OP_SUB;
    const struct sosie_node *node = made_by(v, id, op);
    if (node) {
        for (size_t k = 0; k < 2; k++)
            if (number(v, node->inputs[k], x)) {
                *other = node->inputs[!k];
                return true;
            }
        return false;
    }
    node = made_by(v, id, inverse);
    if (!node || !number(v, node->inputs[1], x))
        return false;
    *other = node->inputs[0];
    *x = op == SOSIE_OP_MUL ? 1.0 / *x : -*x;
    return true;
}

/* `node` becomes the function `op` of x; what it was made of is swept away if
 * nothing else reads it. */
static void become(const struct view *v, struct sosie_node *node,
                   enum sosie_op op, struct sosie_act act, sosie_value_id x)
{
    for (size_t k = 0; k < node->n_inputs; k++)
        if (node->inputs[k] != SOSIE_NO_VALUE)
            v->links->n_uses[node->inputs[k]]--;
    node->op = op;
    node->act = act;
    node->n_inputs = 1;
    node->inputs[0] = x;
    v->links->n_uses[x]++;
}

/* A factor of 1 dimension more than x would make the result larger. */
static bool keeps_shape(const struct view *v, const struct sosie_node *node,
                        sosie_value_id x)
{
    return sosie_shape_equal(&v->graph->values[x].shape,
                             &v->graph->values[node->output].shape);
}

/* ---- Swish and HardSwish ------------------------------------------------- */

/* clip(x + 3, 0, 6) */
static bool is_shifted_relu6(const struct view *v, sosie_value_id id,
                             sosie_value_id *x)
{
    const struct sosie_node *clip = made_by(v, id, SOSIE_OP_CLIP);
    double three;
    return clip && fabsf(clip->act.a) <= 0.0F &&
           is_near((double)clip->act.b, 6.0) &&
           with_number(v, clip->inputs[0], SOSIE_OP_ADD, x, &three) &&
           is_near(three, 3.0);
}

/* clip(x + 3, 0, 6) / 6 */
static bool recognise_hard_sigmoid(const struct view *v,
                                   struct sosie_node *node)
{
    sosie_value_id relu6, x;
    double sixth;
    if (!with_number(v, node->output, SOSIE_OP_MUL, &relu6, &sixth) ||
        !is_near(sixth, 1.0 / 6.0) || !is_shifted_relu6(v, relu6, &x) ||
        !keeps_shape(v, node, x))
        return false;
    become(v, node, SOSIE_OP_HARD_SIGMOID,
           (struct sosie_act){1.0F / 6.0F, 0.5F}, x);
    return true;
}

/* (x * clip(x + 3, 0, 6)) / 6 */
static bool recognise_hard_swish(const struct view *v, struct sosie_node *node)
{
    sosie_value_id product, x;
    const struct sosie_node *mul;
    double sixth;
    if (!with_number(v, node->output, SOSIE_OP_MUL, &product, &sixth) ||
        !is_near(sixth, 1.0 / 6.0) ||
        !(mul = made_by(v, product, SOSIE_OP_MUL)))
        return false;
    for (size_t k = 0; k < 2; k++)
        if (is_shifted_relu6(v, mul->inputs[k], &x) && mul->inputs[!k] == x &&
            keeps_shape(v, node, x)) {
            become(v, node, SOSIE_OP_HARD_SWISH, (struct sosie_act){0}, x);
            return true;
        }
    return false;
}

/* x * Sigmoid(x), x * HardSigmoid(x) */
static bool recognise_swish(const struct view *v, struct sosie_node *node)
{
    for (size_t k = 0; k < 2; k++) {
        sosie_value_id x = node->inputs[!k];
        const struct sosie_node *gate =
            made_by(v, node->inputs[k], SOSIE_OP_SIGMOID);
        if (gate && gate->inputs[0] == x) {
            become(v, node, SOSIE_OP_SWISH, (struct sosie_act){0}, x);
            return true;
        }
        gate = made_by(v, node->inputs[k], SOSIE_OP_HARD_SIGMOID);
        if (gate && gate->inputs[0] == x &&
            is_near((double)gate->act.a, 1.0 / 6.0) &&
            is_near((double)gate->act.b, 0.5)) {
            become(v, node, SOSIE_OP_HARD_SWISH, (struct sosie_act){0}, x);
            return true;
        }
    }
    return false;
}

/* ---- Gelu ---------------------------------------------------------------- */

/* The factors of a product: numbers are multiplied up. */
struct factors {
    double number;
    sosie_value_id other[3];
    size_t n;
};

static bool find_factors(const struct view *v, sosie_value_id id, size_t depth,
                         struct factors *f)
{
    const struct sosie_node *mul = made_by(v, id, SOSIE_OP_MUL);
    sosie_value_id rest;
    double x;
    if (number(v, id, &x)) {
        f->number *= x;
        return true;
    }
    if (depth && with_number(v, id, SOSIE_OP_MUL, &rest, &x)) {
        f->number *= x;
        return find_factors(v, rest, depth - 1, f);
    }
    if (depth && mul)
        return find_factors(v, mul->inputs[0], depth - 1, f) &&
               find_factors(v, mul->inputs[1], depth - 1, f);
    if (f->n == 3)
        return false;
    f->other[f->n++] = id;
    return true;
}

/* x * x * x */
static bool is_cube(const struct view *v, sosie_value_id id, sosie_value_id x)
{
    const struct sosie_node *pow = made_by(v, id, SOSIE_OP_POW);
    struct factors f = {.number = 1.0};
    double three;
    if (pow)
        return pow->inputs[0] == x && number(v, pow->inputs[1], &three) &&
               is_near(three, 3.0);
    return find_factors(v, id, 2, &f) && f.n == 3 && is_near(f.number, 1.0) &&
           f.other[0] == x && f.other[1] == x && f.other[2] == x;
}

/* sqrt(2 / pi) * (x + 0.044715 * x^3) */
static bool is_gelu_inner(const struct view *v, sosie_value_id id,
                          sosie_value_id x)
{
    sosie_value_id sum, cube;
    const struct sosie_node *add;
    double c;
    if (!with_number(v, id, SOSIE_OP_MUL, &sum, &c) ||
        !is_near(c, 0.7978845608) || !(add = made_by(v, sum, SOSIE_OP_ADD)))
        return false;
    for (size_t k = 0; k < 2; k++)
        if (add->inputs[k] == x &&
            with_number(v, add->inputs[!k], SOSIE_OP_MUL, &cube, &c) &&
            is_near(c, 0.044715) && is_cube(v, cube, x))
            return true;
    return false;
}

/* 1 + Erf(x / sqrt(2)), or 1 + Tanh(...); tells which. */
static bool is_gelu_gate(const struct view *v, sosie_value_id id,
                         sosie_value_id x, struct sosie_act *act)
{
    sosie_value_id inner, from;
    const struct sosie_node *erf, *tanh;
    double c;
    if (!with_number(v, id, SOSIE_OP_ADD, &inner, &c) || !is_near(c, 1.0))
        return false;
    erf = made_by(v, inner, SOSIE_OP_ERF);
    tanh = made_by(v, inner, SOSIE_OP_TANH);
    *act = (struct sosie_act){tanh ? 1.0F : 0.0F, 0.0F};
    if (erf)
        return with_number(v, erf->inputs[0], SOSIE_OP_MUL, &from, &c) &&
               is_near(c, 0.7071067812) && from == x;
    return tanh && is_gelu_inner(v, tanh->inputs[0], x);
}

/* 0.5 * x * (1 + Erf(x / sqrt(2))), in any order */
static bool recognise_gelu(const struct view *v, struct sosie_node *node)
{
    struct factors f = {.number = 1.0};
    struct sosie_act act;
    if (!find_factors(v, node->output, 3, &f) || f.n != 2 ||
        !is_near(f.number, 0.5))
        return false;
    for (size_t k = 0; k < 2; k++)
        if (is_gelu_gate(v, f.other[k], f.other[!k], &act) &&
            keeps_shape(v, node, f.other[!k])) {
            become(v, node, SOSIE_OP_GELU, act, f.other[!k]);
            return true;
        }
    return false;
}

/* ---- LayerNormalization -------------------------------------------------- */

/* The mean over the last dimensions, from *axis on. */
static const struct sosie_node *mean_of(const struct view *v, sosie_value_id id,
                                        size_t *axis)
{
    const struct sosie_node *mean = made_by(v, id, SOSIE_OP_REDUCE_MEAN);
    size_t rank;
    if (!mean || !mean->reduce.keep_dims)
        return NULL;
    rank = sosie_node_input(v->graph, mean, 0)->shape.rank;
    for (*axis = 0; *axis < rank && !mean->reduce.axes[*axis];)
        ++*axis;
    for (size_t d = *axis; d < rank; d++)
        if (!mean->reduce.axes[d])
            return NULL;
    return *axis < rank ? mean : NULL;
}

/* x - mean(x) */
static bool is_centred(const struct view *v, sosie_value_id id,
                       sosie_value_id *x, size_t *axis)
{
    const struct sosie_node *sub = made_by(v, id, SOSIE_OP_SUB), *mean;
    if (!sub || !(mean = mean_of(v, sub->inputs[1], axis)) ||
        mean->inputs[0] != sub->inputs[0])
        return false;
    *x = sub->inputs[0];
    return true;
}

/* (x - mean(x))^2 */
static bool is_square(const struct view *v, sosie_value_id id, sosie_value_id x)
{
    const struct sosie_node *pow = made_by(v, id, SOSIE_OP_POW);
    const struct sosie_node *mul = made_by(v, id, SOSIE_OP_MUL);
    sosie_value_id other;
    double two;
    size_t axis;
    if (pow && number(v, pow->inputs[1], &two) && is_near(two, 2.0))
        return is_centred(v, pow->inputs[0], &other, &axis) && other == x;
    return mul && mul->inputs[0] == mul->inputs[1] &&
           is_centred(v, mul->inputs[0], &other, &axis) && other == x;
}

/* (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) */
static bool is_normalised(const struct view *v, sosie_value_id id,
                          sosie_value_id *x, size_t *axis, double *epsilon)
{
    const struct sosie_node *div = made_by(v, id, SOSIE_OP_DIV);
    const struct sosie_node *root, *variance;
    sosie_value_id sum;
    size_t other;
    if (!div || !is_centred(v, div->inputs[0], x, axis) ||
        !(root = made_by(v, div->inputs[1], SOSIE_OP_SQRT)) ||
        !with_number(v, root->inputs[0], SOSIE_OP_ADD, &sum, epsilon))
        return false;
    variance = mean_of(v, sum, &other);
    return variance && other == *axis && *epsilon >= 0.0 &&
           is_square(v, variance->inputs[0], *x);
}

/* True if input k of `node` is a constant that goes over the dimensions from
 * `axis` on. */
static bool is_parameter(const struct view *v, const struct sosie_node *node,
                         size_t k, size_t axis)
{
    const struct sosie_value *value = sosie_node_input(v->graph, node, k);
    size_t rank = v->graph->values[node->output].shape.rank;
    return value->data && value->shape.rank <= rank - axis;
}

/* normalised * scale + shift */
static bool recognise_layer_norm(const struct view *v, struct sosie_node *node)
{
    for (size_t k = 0; k < 2; k++) {
        const struct sosie_node *mul =
            made_by(v, node->inputs[k], SOSIE_OP_MUL);
        for (size_t j = 0; mul && j < 2; j++) {
            sosie_value_id x, scale = mul->inputs[!j], shift = node->inputs[!k];
            size_t axis;
            double epsilon;
            if (!is_normalised(v, mul->inputs[j], &x, &axis, &epsilon) ||
                !is_parameter(v, mul, !j, axis) ||
                !is_parameter(v, node, !k, axis) || !keeps_shape(v, node, x))
                continue;
            become(v, node, SOSIE_OP_LAYER_NORM, (struct sosie_act){0}, x);
            node->layer_norm =
                (struct sosie_layer_norm){(int64_t)axis, (float)epsilon};
            node->inputs[SOSIE_LN_SCALE] = scale;
            node->inputs[SOSIE_LN_SHIFT] = shift;
            node->n_inputs = SOSIE_LN_SHIFT + 1;
            v->links->n_uses[scale]++;
            v->links->n_uses[shift]++;
            return true;
        }
    }
    return false;
}

/* ---- pools and paddings -------------------------------------------------- */

/* The mean over height and width. */
static bool recognise_global_pool(const struct view *v, struct sosie_node *node)
{
    const bool *axes = node->reduce.axes;
    if (sosie_node_input(v->graph, node, 0)->shape.rank != 4 || axes[0] ||
        axes[1] || !axes[2] || !axes[3] || !node->reduce.keep_dims)
        return false;
    node->op = SOSIE_OP_GLOBAL_AVERAGE_POOL;
    return true;
}

/* Zeros around a picture are a convolution's own. */
static bool recognise_padding(const struct view *v, struct sosie_node *conv)
{
    const struct sosie_node *pad =
        sosie_lone(v->graph, v->links, conv->inputs[0], SOSIE_OP_PAD);
    struct sosie_window *w = &conv->conv.window;
    if (!pad || pad->pad.mode != SOSIE_PAD_CONSTANT ||
        fabsf(pad->pad.value) > 0.0F || pad->pad.begin[0] || pad->pad.end[0] ||
        pad->pad.begin[1] || pad->pad.end[1])
        return false;
    for (size_t i = 2; i < 4; i++)
        if (pad->pad.begin[i] < 0 || pad->pad.end[i] < 0)
            return false;
    for (size_t i = 0; i < 2; i++) {
        w->pads[i] += (size_t)pad->pad.begin[2 + i];
        w->pads[i + 2] += (size_t)pad->pad.end[2 + i];
    }
    w->auto_pad = SOSIE_PAD_EXPLICIT;
    conv->inputs[0] = pad->inputs[0];
    return true;
}

enum sosie_status sosie_pass_recognise(struct sosie_graph *graph,
                                       struct sosie_error *err)
{
    struct sosie_links links;
    struct view v = {graph, &links};
    enum sosie_status st = sosie_links_init(&links, graph, err);
    if (st)
        return st;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct sosie_node *node = &graph->nodes[i];
        if (node->op == SOSIE_OP_MUL || node->op == SOSIE_OP_DIV)
            (void)(recognise_hard_sigmoid(&v, node) ||
                   recognise_hard_swish(&v, node) || recognise_gelu(&v, node) ||
                   (node->op == SOSIE_OP_MUL && recognise_swish(&v, node)));
        else if (node->op == SOSIE_OP_ADD)
            recognise_layer_norm(&v, node);
        else if (node->op == SOSIE_OP_REDUCE_MEAN)
            recognise_global_pool(&v, node);
        else if (node->op == SOSIE_OP_CONV)
            recognise_padding(&v, node);
    }
    sosie_links_release(&links);
    return sosie_sweep(graph, err);
}
