/* plain_act.c: functions of one number, and of two. */
#include "nn/plain.h"

#include <assert.h>
#include <math.h>

/* ---- of one number ------------------------------------------------------- */

static float clip(float x, float low, float high)
{
    x = x > low ? x : low;
    return x < high ? x : high;
}

static float sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

/* D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units" (2016). */
static float gelu(struct sosie_act act, float x)
{
    const float sqrt_half = 0.70710678F, sqrt_2_by_pi = 0.79788456F;
    if (act.a > 0.0F)
        return 0.5F * x *
               (1.0F + tanhf(sqrt_2_by_pi * (x + 0.044715F * x * x * x)));
    return 0.5F * x * (1.0F + erff(x * sqrt_half));
}

bool sosie_op_is_act(enum sosie_op op)
{
    switch ((int)op) {
    case SOSIE_OP_CLIP:
    case SOSIE_OP_ELU:
    case SOSIE_OP_ERF:
    case SOSIE_OP_EXP:
    case SOSIE_OP_GELU:
    case SOSIE_OP_HARD_SIGMOID:
    case SOSIE_OP_HARD_SWISH:
    case SOSIE_OP_LEAKY_RELU:
    case SOSIE_OP_RELU:
    case SOSIE_OP_SIGMOID:
    case SOSIE_OP_SQRT:
    case SOSIE_OP_SWISH:
    case SOSIE_OP_TANH:
        return true;
    default:
        return false;
    }
}

float sosie_act_apply(enum sosie_op op, struct sosie_act act, float x)
{
    switch ((int)op) {
    case SOSIE_OP_CLIP:
        return clip(x, act.a, act.b);
    case SOSIE_OP_ELU:
        return x > 0.0F ? x : act.a * expm1f(x);
    case SOSIE_OP_ERF:
        return erff(x);
    case SOSIE_OP_EXP:
        return expf(x);
    case SOSIE_OP_GELU:
        return gelu(act, x);
    case SOSIE_OP_HARD_SIGMOID:
        return clip(act.a * x + act.b, 0.0F, 1.0F);
    case SOSIE_OP_HARD_SWISH:
        return x * clip(x / 6.0F + 0.5F, 0.0F, 1.0F);
    case SOSIE_OP_LEAKY_RELU:
        return x > 0.0F ? x : act.a * x;
    case SOSIE_OP_RELU:
        return x > 0.0F ? x : 0.0F;
    case SOSIE_OP_SIGMOID:
        return sigmoid(x);
    case SOSIE_OP_SQRT:
        return sqrtf(x);
    case SOSIE_OP_SWISH:
        return x * sigmoid(x);
    default:
        assert(op == SOSIE_OP_TANH);
        return tanhf(x);
    }
}

void sosie_plain_act(const struct sosie_graph *graph,
                     const struct sosie_node *node, const float *const *in,
                     float *out)
{
    size_t n = sosie_shape_count(sosie_plain_output(graph, node));
    for (size_t i = 0; i < n; i++)
        out[i] = sosie_act_apply(node->op, node->act, in[0][i]);
}

void sosie_plain_posts(const struct sosie_node *node, const float *residual,
                       float *out, size_t n)
{
    for (size_t p = 0; p < node->n_posts; p++) {
        const struct sosie_post *post = &node->posts[p];
        for (size_t i = 0; i < n; i++)
            out[i] = post->op == SOSIE_OP_ADD
                         ? out[i] + residual[i]
                         : sosie_act_apply(post->op, post->act, out[i]);
    }
}

/* ---- of two numbers ------------------------------------------------------ */

bool sosie_op_is_binary(enum sosie_op op)
{
    return op == SOSIE_OP_ADD || op == SOSIE_OP_SUB || op == SOSIE_OP_MUL ||
           op == SOSIE_OP_DIV || op == SOSIE_OP_POW || op == SOSIE_OP_MAX ||
           op == SOSIE_OP_MIN || op == SOSIE_OP_PRELU;
}

float sosie_binary_apply(enum sosie_op op, float a, float b)
{
    switch ((int)op) {
    case SOSIE_OP_ADD:
        return a + b;
    case SOSIE_OP_SUB:
        return a - b;
    case SOSIE_OP_MUL:
        return a * b;
    case SOSIE_OP_DIV:
        return a / b;
    case SOSIE_OP_POW:
        return powf(a, b);
    case SOSIE_OP_MAX:
        return a > b ? a : b;
    case SOSIE_OP_MIN:
        return a < b ? a : b;
    default:
        assert(op == SOSIE_OP_PRELU);
        return a > 0.0F ? a : a * b;
    }
}

void sosie_plain_binary(const struct sosie_graph *graph,
                        const struct sosie_node *node, const float *const *in,
                        float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    size_t a_strides[SOSIE_MAX_RANK], b_strides[SOSIE_MAX_RANK];

    sosie_broadcast_strides(sosie_plain_input(graph, node, 0), shape,
                            a_strides);
    sosie_broadcast_strides(sosie_plain_input(graph, node, 1), shape,
                            b_strides);
    for (size_t i = 0; i < sosie_shape_count(shape); i++)
        out[i] = sosie_binary_apply(
            node->op, in[0][sosie_plain_offset(shape, i, a_strides)],
            in[1][sosie_plain_offset(shape, i, b_strides)]);
}

/* ---- quantisation -------------------------------------------------------- */

/* The part of the scales that element i has. */
static size_t part_of(const struct sosie_quant *quant,
                      const struct sosie_shape *shape, size_t i)
{
    if (quant->n == 1)
        return 0;
    return i / sosie_shape_product(shape, quant->axis + 1, shape->rank) %
           quant->n;
}

void sosie_plain_quantize(const struct sosie_graph *graph,
                          const struct sosie_node *node, const float *const *in,
                          float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    const struct sosie_quant *quant = &node->quantize.quant;
    bool is_signed = node->quantize.dtype == SOSIE_I8;

    for (size_t i = 0; i < sosie_shape_count(shape); i++) {
        size_t k = part_of(quant, shape, i);
        float q =
            rintf(in[0][i] / quant->scales[k]) + (float)quant->zero_points[k];
        out[i] =
            clip(q, is_signed ? -128.0F : 0.0F, is_signed ? 127.0F : 255.0F);
    }
}

void sosie_plain_dequantize(const struct sosie_graph *graph,
                            const struct sosie_node *node,
                            const float *const *in, float *out)
{
    const struct sosie_shape *shape = sosie_plain_output(graph, node);
    const struct sosie_quant *quant = &node->quantize.quant;
    for (size_t i = 0; i < sosie_shape_count(shape); i++) {
        size_t k = part_of(quant, shape, i);
        out[i] = (in[0][i] - (float)quant->zero_points[k]) * quant->scales[k];
    }
}
