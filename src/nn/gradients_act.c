/* gradients_act.c: backward through functions of one number, and of two. */
#include "nn/gradients_impl.h"
#include "nn/walk.h"

#include <assert.h>
#include <math.h>

/* ---- of one number ------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double gelu_slope(struct sosie_act act, double x)
{
    const double sqrt_half = 0.70710678118654752;
    const double sqrt_2_by_pi = 0.79788456080286536;
    if (act.a > 0.0F) {
        double t = tanh(sqrt_2_by_pi * (x + 0.044715 * x * x * x));
        double inner = sqrt_2_by_pi * (1.0 + 3.0 * 0.044715 * x * x);
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
    }
    return 0.5 * (1.0 + erf(x * sqrt_half)) +
           0.5 * x * sqrt_2_by_pi * exp(-0.5 * x * x);
}

/* The derivative at x, and the same from y, what the op makes of x: the table
 * in gradients.c says which of the two an op reads. At a kink it is the one of
 * the flatter side. */
static double slope_at(enum sosie_op op, struct sosie_act act, double x)
{
    switch ((int)op) {
    case SOSIE_OP_ELU:
        return x > 0.0 ? 1.0 : (double)act.a * exp(x);
    case SOSIE_OP_GELU:
        return gelu_slope(act, x);
    case SOSIE_OP_HARD_SWISH:
        return x <= -3.0 ? 0.0 : x < 3.0 ? x / 3.0 + 0.5 : 1.0;
    case SOSIE_OP_LEAKY_RELU:
        return x > 0.0 ? 1.0 : (double)act.a;
    default:
        assert(op == SOSIE_OP_SWISH);
        return sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)));
    }
}

static double slope_from(enum sosie_op op, struct sosie_act act, double y)
{
    switch ((int)op) {
    case SOSIE_OP_CLIP:
        return y > (double)act.a && y < (double)act.b ? 1.0 : 0.0;
    case SOSIE_OP_HARD_SIGMOID:
        return y > 0.0 && y < 1.0 ? (double)act.a : 0.0;
    case SOSIE_OP_RELU:
        return y > 0.0 ? 1.0 : 0.0;
    case SOSIE_OP_SIGMOID:
        return y * (1.0 - y);
    default:
        assert(op == SOSIE_OP_TANH);
        return 1.0 - y * y;
    }
}

void sosie_backward_act(const struct sosie_gradient_call *call)
{
    const struct sosie_node *node = call->node;
    bool reads_input = sosie_gradient_op(node->op)->reads_inputs;
    size_t n = sosie_shape_count(&call->out_shape);
    for (size_t i = 0; call->input_grads[0] && i < n; i++)
        call->input_grads[0][i] =
            (float)((double)call->output_grad[i] *
                    (reads_input ? slope_at(node->op, node->act,
                                            (double)call->inputs[0][i])
                                 : slope_from(node->op, node->act,
                                              (double)call->output[i])));
}

/* ---- of two numbers ------------------------------------------------------ */

/* The derivative of a (op) b by the first (k = 0) or second operand. */
static double binary_slope(enum sosie_op op, size_t k, double a, double b)
{
    switch ((int)op) {
    case SOSIE_OP_ADD:
        return 1.0;
    case SOSIE_OP_SUB:
        return k ? -1.0 : 1.0;
    case SOSIE_OP_MUL:
        return k ? a : b;
    default:
        assert(op == SOSIE_OP_DIV);
        return k ? -a / (b * b) : 1.0 / b;
    }
}

/* Each element of an operand gets a share of every element of the output that
 * it was repeated for. */
static void operand(const struct sosie_gradient_call *call, size_t k)
{
    enum sosie_op op = call->node->op;
    bool reads_inputs = sosie_gradient_op(op)->reads_inputs;
    const float *a = call->inputs[0], *b = call->inputs[1];
    struct sosie_walk walk = sosie_walk_begin(&call->out_shape);
    size_t n = sosie_shape_count(&call->in_shapes[k]), repeats;

    sosie_walk_broadcast(&walk, 0, &call->in_shapes[0]);
    sosie_walk_broadcast(&walk, 1, &call->in_shapes[1]);
    sosie_walk_dense(&walk, 2);
    repeats = sosie_walk_repeats_last(&walk, k);
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t r = 0; r < repeats; r++, sosie_walk_next(&walk)) {
            double x = reads_inputs ? (double)a[walk.offsets[0]] : 0.0;
            double y = reads_inputs ? (double)b[walk.offsets[1]] : 0.0;
            sum += (double)call->output_grad[walk.offsets[2]] *
                   binary_slope(op, k, x, y);
        }
        call->input_grads[k][i] = (float)sum;
    }
}

void sosie_backward_binary(const struct sosie_gradient_call *call)
{
    for (size_t k = 0; k < 2; k++)
        if (call->input_grads[k])
            operand(call, k);
}
