/* gradients.c: every op that can be trained: its forward pass against the one
 * that the engine runs photo by photo, its backward pass against central
 * differences, and a small network's gradients against PyTorch's. */
#include "golden.h"

#include "base/random.h"
#include "nn/gradients.h"
#include "nn/net.h"

enum { INPUTS = 5 }; /* of a node here, at most */

/* ---- one op, a batch, random numbers --------------------------------------
 */

static struct sosie_random rng;

static size_t up_to(size_t n)
{
    return (size_t)sosie_random_below(&rng, n) + 1;
}

enum numbers {
    NORMAL,
    /* Distinct, 0.05 apart, and none within 0.02 of a multiple of 0.05, where
     * the kinks of the functions below are: no step leaps over one. */
    APART,
    SPREAD,       /* the same, 0.5 apart: the variance of any few is large */
    FAR_FROM_ZERO /* 1 to 2, either sign */
};

static void fill(float *to, size_t n, enum numbers numbers)
{
    const float step = numbers == SPREAD ? 0.5F : 0.05F;
    bool is_shuffled = numbers == APART || numbers == SPREAD;
    for (size_t i = 0; i < n; i++) {
        double u = sosie_random_unit(&rng);
        if (is_shuffled)
            to[i] = step * ((float)i - (float)(n / 2) + 0.5F);
        else if (numbers == FAR_FROM_ZERO)
            to[i] = (float)(u < 0.5 ? 1.0 + 2.0 * u : -2.0 * u);
        else
            to[i] = (float)sosie_random_normal(&rng);
    }
    for (size_t i = is_shuffled ? n : 0; i > 1; i--) {
        size_t k = (size_t)sosie_random_below(&rng, i);
        float other = to[k];
        to[k] = to[i - 1];
        to[i - 1] = other;
    }
}

static float *floats(size_t n)
{
    float *to = malloc((n ? n : 1) * sizeof(*to));
    assert_non_null(to);
    for (size_t i = 0; i < n; i++)
        to[i] = NAN;
    return to;
}

/* An op on a batch. Its inputs are given one by one; a computed one as the
 * graph knows it, with a first dimension of 1. */
struct trial {
    struct sosie_node node;
    size_t photos;
    struct sosie_value values[INPUTS]; /* as the graph knows them */
    float *data[INPUTS];               /* of the whole batch */
    struct sosie_gradient_call call;
    char what[256]; /* for messages */
};

static struct trial begin(enum sosie_op op)
{
    return (struct trial){.node = {.name = "node", .op = op},
                          .photos = 1 + up_to(2)};
}

/* The next input: its shape, with random numbers. */
static void give(struct trial *t, bool is_weight, struct sosie_shape shape,
                 enum numbers numbers)
{
    static const char *const names[INPUTS] = {"in0", "in1", "in2", "in3",
                                              "in4"};
    size_t k = t->node.n_inputs++, n;
    struct sosie_shape batch = shape;
    if (!is_weight)
        batch.dims[0] *= t->photos;
    n = sosie_shape_count(&batch);
    t->data[k] = floats(n);
    fill(t->data[k], n, numbers);
    t->values[k] = (struct sosie_value){.name = names[k], .shape = shape};
    t->values[k].data = is_weight ? t->data[k] : NULL;
    t->call.in_shapes[k] = batch;
    t->call.inputs[k] = t->data[k];
}
#define COMPUTED(t, numbers, ...)                                              \
    give((t), false, (struct sosie_shape)__VA_ARGS__, (numbers))
#define WEIGHT(t, ...) give((t), true, (struct sosie_shape)__VA_ARGS__, NORMAL)

/* Leaves an input out. */
static void omit(struct trial *t)
{
    t->node.n_inputs++;
}

/* A graph of the node alone, which completes it. */
static void graph_of(struct trial *t, struct sosie_graph *graph)
{
    struct sosie_node node = t->node;
    struct sosie_error err;
    for (size_t k = 0; k < node.n_inputs; k++) {
        node.inputs[k] = SOSIE_NO_VALUE;
        if (!t->data[k])
            continue;
        check_ok(
            sosie_graph_add_value(graph, &t->values[k], &node.inputs[k], &err),
            &err);
        if (!t->values[k].data)
            graph->inputs[graph->n_inputs++] = node.inputs[k];
    }
    check_ok(
        sosie_graph_add_node(graph, &node, "out", &graph->outputs[0], &err),
        &err);
    graph->n_outputs = 1;
    t->node = graph->nodes[0];
    t->call.out_shape = graph->values[graph->outputs[0]].shape;
}

/* Runs one photo of the batch on the engine. */
static void run_photo(struct trial *t, const struct sosie_net *net,
                      struct sosie_net_run *run, size_t photo)
{
    struct sosie_error err;
    size_t strides[SOSIE_MAX_RANK], n_inputs = 0;
    for (size_t k = 0; k < t->node.n_inputs; k++) {
        const struct sosie_shape *shape = &t->values[k].shape;
        size_t n = sosie_shape_count(shape);
        float *to;
        if (!t->data[k] || t->values[k].data)
            continue;
        to = sosie_net_run_input(run, n_inputs);
        sosie_net_input_strides(net, n_inputs++, strides);
        for (size_t i = 0; i < n; i++) {
            size_t rest = i, at = 0;
            for (size_t d = shape->rank; d-- > 0; rest /= shape->dims[d])
                at += rest % shape->dims[d] * strides[d];
            to[at] = t->data[k][photo * n + i];
        }
    }
    check_ok(sosie_net_run_forward(run, 1, &err), &err);
}

/* The engine computes the same, to the last bits (its passes may write an op
 * differently). */
static void check_forward(struct trial *t, struct sosie_graph *graph)
{
    struct sosie_net *net;
    struct sosie_net_run *run;
    struct sosie_error err;
    size_t n = sosie_shape_count(&t->call.out_shape) / t->photos;
    check_ok(sosie_net_create(
                 graph, &(struct sosie_net_options){.ops = &sosie_ops_plain},
                 &net, &err),
             &err);
    check_ok(sosie_net_run_create(net, &run, &err), &err);
    for (size_t i = 0; i < t->photos; i++) {
        run_photo(t, net, run, i);
        check_close(t->what, t->call.output + i * n,
                    sosie_net_run_output(run, 0), n, 1e-5);
    }
    sosie_net_run_destroy(run);
    sosie_net_destroy(net);
}

/* The random linear functional of the output whose gradients are taken. */
static double functional(const struct sosie_gradient_call *call)
{
    double sum = 0.0;
    sosie_gradient_op(call->node->op)->forward(call);
    for (size_t i = 0; i < sosie_shape_count(&call->out_shape); i++)
        sum += (double)call->output_grad[i] * (double)call->output[i];
    return sum;
}

/* Gradients against (f(x + h) - f(x - h)) / 2h, in float and with h = 0.01.
 * What the difference leaves out is h^2 / 6 times a third derivative: some 1e-4
 * of the first for functions of numbers around 1. An output of size 1 is
 * rounded by 6e-8, of which 1 / 2h makes 3e-6; sums of a hundred of them, up to
 * 10 in size, stay below 3e-4. Wrong formulas are off by the gradient's own
 * size. */
static void check_differences(struct trial *t, size_t k, const float *grad)
{
    const float h = 0.01F;
    size_t n = sosie_shape_count(&t->call.in_shapes[k]);
    double largest = 0.0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)grad[i]));
    for (size_t i = 0; i < n; i++) {
        float *x = &t->data[k][i], kept = *x;
        volatile float above = kept + h, below = kept - h;
        double expected;
        *x = above;
        expected = functional(&t->call);
        *x = below;
        expected -= functional(&t->call);
        expected /= (double)above - (double)below;
        *x = kept;
        if (!(fabs((double)grad[i] - expected) <= 2e-3 * largest + 3e-4))
            fail_msg("%s: gradient %zu of input %zu, %s, is %.9g; expected "
                     "%.9g",
                     t->what, i, k,
                     sosie_shape_text(&t->call.in_shapes[k]).text,
                     (double)grad[i], expected);
    }
}

/* Backward for input `only`, or for all (INPUTS), into new memory. What it says
 * that it does not read is not a number then. */
static void backward(const struct trial *t, size_t only, float *grads[INPUTS])
{
    const struct sosie_gradient_op *op = sosie_gradient_op(t->node.op);
    struct sosie_gradient_call call = t->call;
    float *unread[INPUTS + 1] = {NULL};
    for (size_t k = 0; k < t->node.n_inputs; k++) {
        size_t n = sosie_shape_count(&call.in_shapes[k]);
        grads[k] = NULL;
        if (!t->data[k])
            continue;
        if (only == k || only == INPUTS)
            call.input_grads[k] = grads[k] = floats(n);
        if (!op->reads_inputs)
            call.inputs[k] = unread[k] = floats(n);
    }
    if (!op->reads_output)
        call.output = unread[INPUTS] =
            floats(sosie_shape_count(&call.out_shape));
    op->backward(&call);
    for (size_t k = 0; k <= INPUTS; k++)
        free(unread[k]);
}

/* The gradients of the first `n_checked` inputs, and that it does not matter
 * which are wanted. */
static void check_backward(struct trial *t, size_t n_checked)
{
    float *all[INPUTS], *alone[INPUTS];
    backward(t, INPUTS, all);
    for (size_t k = 0; k < t->node.n_inputs; k++) {
        size_t n = sosie_shape_count(&t->call.in_shapes[k]);
        if (!t->data[k])
            continue;
        backward(t, k, alone);
        check_close("a gradient that is wanted alone", alone[k], all[k], n, 0);
        if (k < n_checked)
            check_differences(t, k, all[k]);
        free(alone[k]);
    }
    for (size_t k = 0; k < t->node.n_inputs; k++)
        free(all[k]);
}

/* With the output's shape known: runs forward, and gives the output random
 * gradients. */
static void run_forward(struct trial *t)
{
    size_t n = sosie_shape_count(&t->call.out_shape);
    float *output_grad = floats(n);
    snprintf(t->what, sizeof(t->what), "%s of %s to %s",
             sosie_op_name(t->node.op),
             sosie_shape_text(&t->call.in_shapes[0]).text,
             sosie_shape_text(&t->call.out_shape).text);
    fill(output_grad, n, NORMAL);
    t->call.node = &t->node;
    t->call.output_grad = output_grad;
    t->call.output = floats(n);
    sosie_gradient_op(t->node.op)->forward(&t->call);
}

/* The same, with a graph of the node that says what the shape is. */
static void start(struct trial *t, struct sosie_graph *graph)
{
    graph_of(t, graph);
    t->call.out_shape.dims[0] = t->photos;
    run_forward(t);
}

static void end(struct trial *t)
{
    for (size_t k = 0; k < INPUTS; k++)
        free(t->data[k]);
    free(t->call.output);
    free((void *)(uintptr_t)t->call.output_grad);
}

/* The whole of it, which releases the trial. */
static void check(struct trial *t)
{
    struct sosie_graph graph = {0};
    start(t, &graph);
    check_forward(t, &graph);
    check_backward(t, INPUTS);
    end(t);
}

/* ---- functions of one number and of two -----------------------------------
 */

static void functions_of_one_number(void **state)
{
    static const struct {
        enum sosie_op op;
        struct sosie_act act;
        enum numbers numbers;
    } cases[] = {
        {SOSIE_OP_CLIP, {-0.5F, 1.0F}, APART},
        {SOSIE_OP_CLIP, {0.0F, 6.0F}, APART},
        {SOSIE_OP_CLIP, {-INFINITY, 0.25F}, APART},
        {SOSIE_OP_ELU, {1.0F, 0.0F}, APART},
        {SOSIE_OP_ELU, {-0.5F, 0.0F}, APART},
        {SOSIE_OP_GELU, {0.0F, 0.0F}, NORMAL},
        {SOSIE_OP_GELU, {1.0F, 0.0F}, NORMAL},
        {SOSIE_OP_HARD_SIGMOID, {0.2F, 0.5F}, APART},  /* kinks at +-2.5 */
        {SOSIE_OP_HARD_SIGMOID, {-0.4F, 0.5F}, APART}, /* at +-1.25 */
        {SOSIE_OP_HARD_SWISH, {0.0F, 0.0F}, APART},
        {SOSIE_OP_IDENTITY, {0.0F, 0.0F}, NORMAL},
        {SOSIE_OP_LEAKY_RELU, {0.1F, 0.0F}, APART},
        {SOSIE_OP_LEAKY_RELU, {-0.2F, 0.0F}, APART},
        {SOSIE_OP_RELU, {0.0F, 0.0F}, APART},
        {SOSIE_OP_SIGMOID, {0.0F, 0.0F}, NORMAL},
        {SOSIE_OP_SWISH, {0.0F, 0.0F}, NORMAL},
        {SOSIE_OP_TANH, {0.0F, 0.0F}, NORMAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct trial t = begin(cases[i].op);
        t.node.act = cases[i].act;
        COMPUTED(&t, cases[i].numbers, {4, {1, 3, 6, 7}});
        check(&t);
    }
}

static void operands_that_are_repeated_get_the_sum(void **state)
{
    static const enum sosie_op ops[] = {SOSIE_OP_ADD, SOSIE_OP_SUB,
                                        SOSIE_OP_MUL, SOSIE_OP_DIV};
    static const struct {
        bool a_is_weight, b_is_weight;
        struct sosie_shape a, b;
    } cases[] = {
        {false, false, {4, {1, 3, 4, 2}}, {4, {1, 3, 4, 2}}},
        {false, false, {4, {1, 3, 4, 2}}, {4, {1, 3, 1, 1}}}, /* a gate */
        {false, false, {4, {1, 3, 1, 1}}, {4, {1, 3, 4, 2}}},
        {false, false, {4, {1, 1, 4, 2}}, {4, {1, 3, 1, 2}}},
        {false, false, {4, {1, 3, 1, 2}}, {4, {1, 1, 4, 1}}},
        {false, true, {4, {1, 3, 4, 2}}, {3, {3, 1, 1}}},
        {false, true, {4, {1, 3, 4, 2}}, {4, {1, 3, 1, 1}}},
        {false, true, {4, {1, 3, 4, 2}}, {4, {1, 3, 4, 2}}},
        {false, true, {4, {1, 3, 4, 2}}, {0, {0}}},
        {false, true, {4, {1, 3, 4, 2}}, {1, {2}}},
        {false, true, {4, {1, 3, 1, 1}}, {3, {3, 2, 2}}},
        {true, false, {3, {3, 1, 1}}, {4, {1, 3, 4, 2}}},
        {true, false, {1, {1}}, {4, {1, 3, 4, 2}}},
        {false, true, {2, {1, 5}}, {1, {5}}},
        {false, false, {2, {1, 5}}, {2, {1, 1}}},
        {false, true, {3, {1, 5, 2}}, {2, {5, 1}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (size_t k = 0; k < 4; k++) {
            struct trial t = begin(ops[k]);
            give(&t, cases[i].a_is_weight, cases[i].a, NORMAL);
            give(&t, cases[i].b_is_weight, cases[i].b, FAR_FROM_ZERO);
            check(&t);
        }
}

static void at_a_kink_the_flatter_side_counts(void **state)
{
    const struct {
        enum sosie_op op;
        struct sosie_act act;
        float x, expected;
    } cases[] = {
        {SOSIE_OP_RELU, {0.0F, 0.0F}, 0.0F, 0.0F},
        {SOSIE_OP_CLIP, {0.0F, 6.0F}, 0.0F, 0.0F},
        {SOSIE_OP_CLIP, {0.0F, 6.0F}, 6.0F, 0.0F},
        {SOSIE_OP_CLIP, {0.0F, INFINITY}, 6.0F, 1.0F},
        {SOSIE_OP_HARD_SIGMOID, {0.25F, 0.5F}, 2.0F, 0.0F},
        {SOSIE_OP_LEAKY_RELU, {0.25F, 0.0F}, 0.0F, 0.25F},
        {SOSIE_OP_HARD_SWISH, {0.0F, 0.0F}, -3.0F, 0.0F},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct sosie_gradient_op *op = sosie_gradient_op(cases[i].op);
        struct sosie_node node = {
            .op = cases[i].op, .n_inputs = 1, .act = cases[i].act};
        float y, grad = NAN;
        const float one = 1.0F;
        struct sosie_gradient_call call = {.node = &node,
                                           .in_shapes = {{1, {1}}},
                                           .inputs = {&cases[i].x},
                                           .out_shape = {1, {1}},
                                           .output = &y,
                                           .output_grad = &one,
                                           .input_grads = {&grad}};
        op->forward(&call);
        op->backward(&call);
        assert_float_equal(grad, cases[i].expected, 0.0F);
    }
}

/* ---- what slides over height and width ------------------------------------
 */

static struct sosie_window random_window(size_t most_kernel)
{
    static const enum sosie_auto_pad pads[] = {
        SOSIE_PAD_EXPLICIT,   SOSIE_PAD_EXPLICIT, SOSIE_PAD_VALID,
        SOSIE_PAD_SAME_UPPER, SOSIE_PAD_EXPLICIT, SOSIE_PAD_SAME_LOWER};
    struct sosie_window w = {.kernel = {up_to(most_kernel), up_to(most_kernel)},
                             .strides = {up_to(3), up_to(3)},
                             .dilations = {up_to(2), up_to(2)},
                             .auto_pad = pads[up_to(6) - 1]};
    for (size_t i = 0; i < 4; i++) /* less than the kernel, as pools want it */
        w.pads[i] = up_to(w.kernel[i % 2]) - 1;
    return w;
}

static void convolutions_of_any_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        struct trial t = begin(SOSIE_OP_CONV);
        size_t group = up_to(3), channels = up_to(2);
        size_t filters = group * up_to(2);
        struct sosie_window *w = &t.node.conv.window;
        t.node.conv.group = group;
        *w = random_window(3);
        COMPUTED(&t, NORMAL,
                 {4, {1, group * channels, 4 + up_to(3), 4 + up_to(3)}});
        WEIGHT(&t, {4, {filters, channels, w->kernel[0], w->kernel[1]}});
        if (i % 2)
            WEIGHT(&t, {1, {filters}});
        check(&t);
    }
}

static void pools_of_any_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 60; i++) {
        struct trial t =
            begin(i % 2 ? SOSIE_OP_MAX_POOL : SOSIE_OP_AVERAGE_POOL);
        t.node.pool = (struct sosie_pool){.window = random_window(3),
                                          .ceil_mode = i / 2 % 2,
                                          .counts_padding = i / 4 % 2};
        COMPUTED(&t, i % 2 ? APART : NORMAL,
                 {4, {1, up_to(3), 4 + up_to(5), 4 + up_to(5)}});
        check(&t);
    }
}

static void pools_over_whole_planes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        struct trial t = begin(i % 2 ? SOSIE_OP_GLOBAL_MAX_POOL
                                     : SOSIE_OP_GLOBAL_AVERAGE_POOL);
        COMPUTED(&t, i % 2 ? APART : NORMAL,
                 {i < 8 ? 4 : 3, {1, up_to(4), up_to(5), up_to(5)}});
        check(&t);
    }
}

/* Backward of `node` on a plane of 3x3 equal numbers, with gradients of 1. */
static void pool_equals(const struct sosie_node *node, struct sosie_shape out,
                        float grad[9])
{
    const float x[9] = {0}, ones[4] = {1.0F, 1.0F, 1.0F, 1.0F};
    float y[4] = {0};
    struct sosie_gradient_call call = {.node = node,
                                       .in_shapes = {{4, {1, 1, 3, 3}}},
                                       .inputs = {x},
                                       .out_shape = out,
                                       .output = y,
                                       .output_grad = ones,
                                       .input_grads = {grad}};
    sosie_gradient_op(node->op)->backward(&call);
}

static void of_equal_maxima_the_first_gets_the_gradient(void **state)
{
    const struct sosie_node pool = {.op = SOSIE_OP_MAX_POOL,
                                    .n_inputs = 1,
                                    .pool = {.window = {.kernel = {2, 2},
                                                        .strides = {1, 1},
                                                        .dilations = {1, 1}}}};
    const struct sosie_node global = {.op = SOSIE_OP_GLOBAL_MAX_POOL,
                                      .n_inputs = 1};
    const float expected[9] = {1, 1, 0, 1, 1, 0, 0, 0, 0};
    const float expected_global[9] = {1};
    float grad[9];
    (void)state;
    pool_equals(&pool, (struct sosie_shape){4, {1, 1, 2, 2}}, grad);
    check_close("MaxPool", grad, expected, 9, 0.0);
    pool_equals(&global, (struct sosie_shape){4, {1, 1, 1, 1}}, grad);
    check_close("GlobalMaxPool", grad, expected_global, 9, 0.0);
}

/* ---- sums over many elements ----------------------------------------------
 */

static void matrix_products_of_any_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 24; i++) {
        struct trial t = begin(SOSIE_OP_GEMM);
        size_t k = up_to(6), n = up_to(5);
        t.node.gemm = (struct sosie_gemm){.trans_b = i % 2,
                                          .alpha = i % 3 ? 1.0F : 0.7F,
                                          .beta = i % 4 ? 1.0F : -1.5F};
        COMPUTED(&t, NORMAL, {2, {1, k}});
        WEIGHT(&t, {2, {i % 2 ? n : k, i % 2 ? k : n}});
        if (i % 6 == 1)
            WEIGHT(&t, {1, {n}});
        else if (i % 6 == 2)
            WEIGHT(&t, {2, {1, n}});
        else if (i % 6 == 3)
            WEIGHT(&t, {0, {0}});
        else if (i % 6 == 4)
            COMPUTED(&t, NORMAL, {2, {1, n}});
        else if (i % 6 == 5)
            COMPUTED(&t, NORMAL, {2, {1, 1}});
        check(&t);
    }
}

/* The batch is dimension 1 of A then, so that A is a constant here. */
static void a_transposed_matrix_is_differentiated(void **state)
{
    const size_t m = 3, k = 4, n = 2;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct trial t = begin(SOSIE_OP_GEMM);
        t.node.gemm = (struct sosie_gemm){true, i % 2, 1.5F, 0.5F};
        WEIGHT(&t, {2, {k, m}});
        WEIGHT(&t, {2, {i % 2 ? n : k, i % 2 ? k : n}});
        WEIGHT(&t, {2, {m, 1}});
        t.call.out_shape = (struct sosie_shape){2, {m, n}};
        run_forward(&t);
        check_backward(&t, INPUTS);
        end(&t);
    }
}

static void matrices_times_matrices(void **state)
{
    static const struct {
        bool b_is_weight;
        struct sosie_shape a, b;
    } cases[] = {
        {true, {2, {1, 5}}, {2, {5, 3}}},
        {true, {3, {1, 4, 5}}, {2, {5, 3}}},
        {true, {4, {1, 2, 4, 5}}, {2, {5, 3}}},
        {true, {4, {1, 2, 4, 5}}, {3, {2, 5, 3}}},
        {true, {4, {1, 1, 4, 5}}, {3, {2, 5, 3}}},
        {true, {3, {1, 4, 5}}, {1, {5}}},
        {false, {3, {1, 4, 5}}, {3, {1, 5, 3}}},
        {false, {4, {1, 2, 4, 5}}, {4, {1, 2, 5, 3}}},
        {false, {4, {1, 1, 4, 5}}, {4, {1, 2, 5, 3}}},
        {false, {4, {1, 2, 4, 5}}, {4, {1, 1, 5, 3}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct trial t = begin(SOSIE_OP_MATMUL);
        give(&t, false, cases[i].a, NORMAL);
        give(&t, cases[i].b_is_weight, cases[i].b, NORMAL);
        check(&t);
    }
}

static void reductions_over_any_dimensions(void **state)
{
    static const enum sosie_op ops[] = {
        SOSIE_OP_REDUCE_SUM, SOSIE_OP_REDUCE_MEAN, SOSIE_OP_REDUCE_L2};
    (void)state;
    for (size_t i = 0; i < 36; i++) {
        struct trial t = begin(ops[i % 3]);
        t.node.reduce.keep_dims = i / 3 % 2;
        for (size_t d = 1; d < 4; d++)
            t.node.reduce.axes[d] = (i / 3 + 1) >> (d - 1) & 1;
        COMPUTED(&t, FAR_FROM_ZERO, {4, {1, 1 + up_to(3), up_to(4), up_to(4)}});
        check(&t);
    }
}

/* ---- normalisations -------------------------------------------------------
 */

/* Mean, variance and output of channel c as they are defined. */
static void check_channel(const struct trial *t, size_t c, float *const *grads)
{
    const struct sosie_shape *shape = &t->call.out_shape;
    size_t channels = shape->dims[1], count = sosie_shape_count(shape);
    size_t inner = sosie_shape_product(shape, 2, shape->rank);
    double n = (double)(count / channels), mean = 0.0, variance = 0.0;
    for (size_t k = 0; k < count; k++)
        if (k / inner % channels == c)
            mean += (double)t->data[0][k] / n;
    for (size_t k = 0; k < count; k++)
        if (k / inner % channels == c)
            variance += pow((double)t->data[0][k] - mean, 2.0) / n;
    for (size_t k = 0; k < count; k++) {
        float expected = (float)(((double)t->data[0][k] - mean) /
                                     sqrt(variance + (double)t->node.epsilon) *
                                     (double)t->data[SOSIE_BN_SCALE][c] +
                                 (double)t->data[SOSIE_BN_SHIFT][c]);
        if (k / inner % channels == c)
            assert_float_equal(t->call.output[k], expected, 1e-5F);
    }
    assert_float_equal(grads[SOSIE_BN_MEAN][c], (float)mean, 1e-5F);
    assert_float_equal(grads[SOSIE_BN_VARIANCE][c] / (float)variance, 1.0F,
                       1e-5F);
}

static void batches_are_normalised_by_their_own_mean_and_variance(void **state)
{
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        struct trial t = begin(SOSIE_OP_BATCH_NORM);
        struct sosie_graph graph = {0};
        size_t channels = up_to(3);
        float *grads[INPUTS];
        t.photos++;
        t.node.epsilon = i % 2 ? 1e-5F : 1e-2F;
        COMPUTED(&t, SPREAD,
                 {i % 3 ? 4 : 2, {1, channels, 1 + up_to(3), up_to(4)}});
        for (size_t k = 1; k < 5; k++)
            WEIGHT(&t, {1, {channels}});
        start(&t, &graph);
        sosie_graph_release(&graph);
        backward(&t, INPUTS, grads);
        for (size_t c = 0; c < channels; c++)
            check_channel(&t, c, grads);
        for (size_t k = 0; k < 5; k++)
            free(grads[k]);
        check_backward(&t, SOSIE_BN_MEAN);
        end(&t);
    }
}

static void layers_are_normalised_over_any_last_dimensions(void **state)
{
    (void)state;
    for (size_t i = 0; i < 18; i++) {
        struct trial t = begin(SOSIE_OP_LAYER_NORM);
        size_t a = 2 + up_to(3), b = 2 + up_to(3);
        t.node.layer_norm = (struct sosie_layer_norm){i % 3 == 2 ? 1 : -1,
                                                      i % 2 ? 1e-5F : 1e-1F};
        COMPUTED(&t, SPREAD, {3, {1, a, b}});
        if (i % 6 == 1)
            WEIGHT(&t, {1, {1}});
        else if (i % 6 == 2)
            WEIGHT(&t, {2, {a, b}});
        else if (i % 6 == 3)
            omit(&t);
        else if (i % 6 == 5)
            WEIGHT(&t, {2, {a, 1}});
        else if (i % 6)
            WEIGHT(&t, {1, {b}});
        if (t.node.n_inputs > 1 && i < 12)
            WEIGHT(&t, {1, {b}});
        check(&t);
    }
}

/* More of a parameter than the sums that are held at a time. */
static void wide_layers_are_normalised(void **state)
{
    struct trial t = begin(SOSIE_OP_LAYER_NORM);
    (void)state;
    t.node.layer_norm = (struct sosie_layer_norm){1, 1e-5F};
    COMPUTED(&t, NORMAL, {2, {1, 600}});
    WEIGHT(&t, {1, {600}});
    WEIGHT(&t, {1, {600}});
    check(&t);
}

static void vectors_are_normalised_along_any_axis(void **state)
{
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        struct trial t = begin(SOSIE_OP_LP_NORM);
        t.node.lp_norm =
            (struct sosie_lp_norm){(int64_t)(i % 3) + 1, i % 4 ? 2 : 1};
        if (i % 3 == 2)
            t.node.lp_norm.axis = -2;
        COMPUTED(&t, FAR_FROM_ZERO,
                 {4, {1, 1 + up_to(3), 1 + up_to(3), 1 + up_to(3)}});
        check(&t);
    }
}

static void softmax_along_any_axis(void **state)
{
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        struct trial t = begin(SOSIE_OP_SOFTMAX);
        t.node.softmax.axis = i % 4 ? (int64_t)(i % 4) : -1;
        t.node.softmax.flatten = i / 4 % 2;
        COMPUTED(&t, NORMAL, {4, {1, 1 + up_to(3), up_to(4), up_to(4)}});
        check(&t);
    }
}

/* ---- what only moves ------------------------------------------------------
 */

static void elements_in_another_shape_or_order(void **state)
{
    static const size_t orders[][4] = {
        {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 1, 3, 2}, {0, 1, 2, 3}, {0, 3, 2, 1}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct trial t = begin(SOSIE_OP_FLATTEN);
        t.node.axis = i == 2 ? -3 : 1;
        COMPUTED(&t, NORMAL, {4, {1, up_to(3), up_to(4), up_to(4)}});
        check(&t);
    }
    for (size_t i = 0; i < 2; i++) {
        struct trial t = begin(SOSIE_OP_RESHAPE);
        t.node.reshape = (struct sosie_reshape){3, {i ? 1 : 0, -1, 2}, false};
        COMPUTED(&t, NORMAL, {4, {1, 3, 4, 2}});
        check(&t);
    }
    for (size_t i = 0; i < 5; i++) {
        struct trial t = begin(SOSIE_OP_TRANSPOSE);
        memcpy(t.node.permutation, orders[i], sizeof(orders[i]));
        COMPUTED(&t, NORMAL, {4, {1, up_to(3), up_to(4), up_to(4)}});
        check(&t);
    }
}

static void parts_of_any_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 12; i++) {
        struct trial t = begin(SOSIE_OP_CONCAT);
        size_t axis = i % 3 + 1;
        t.node.axis = i % 2 ? (int64_t)axis : (int64_t)axis - 4;
        for (size_t k = 0; k < 1 + i % 4; k++) {
            struct sosie_shape shape = {4, {1, 2, 3, 4}};
            shape.dims[axis] = up_to(4);
            give(&t, false, shape, NORMAL);
        }
        check(&t);
    }
}

static void slices_with_any_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < 24; i++) {
        struct trial t = begin(SOSIE_OP_SLICE);
        struct sosie_slice *slice = &t.node.slice;
        struct sosie_shape shape = {4, {1}};
        slice->count[0] = 1;
        slice->step[0] = 1;
        for (size_t d = 1; d < 4; d++) {
            size_t step = up_to(3), count = up_to(3);
            size_t reach = (count - 1) * step + 1, before = up_to(3) - 1;
            bool back = up_to(2) == 2;
            shape.dims[d] = before + reach + up_to(2) - 1;
            slice->count[d] = count;
            slice->step[d] = back ? -(int64_t)step : (int64_t)step;
            slice->start[d] = back ? before + reach - 1 : before;
        }
        give(&t, false, shape, NORMAL);
        check(&t);
    }
}

static void padding_of_any_kind(void **state)
{
    static const enum sosie_pad_mode modes[] = {
        SOSIE_PAD_CONSTANT, SOSIE_PAD_CONSTANT, SOSIE_PAD_REFLECT,
        SOSIE_PAD_EDGE};
    (void)state;
    for (size_t i = 0; i < 24; i++) {
        struct trial t = begin(SOSIE_OP_PAD);
        t.node.pad.mode = modes[i % 4];
        t.node.pad.value = 0.5F;
        for (size_t d = 1; d < 4; d++) {
            t.node.pad.begin[d] = (int64_t)up_to(4) - 2;
            t.node.pad.end[d] = (int64_t)up_to(4) - 2;
        }
        COMPUTED(&t, NORMAL, {4, {1, 2 + up_to(2), 2 + up_to(3), 3}});
        check(&t);
    }
}

static void an_op_that_is_not_trained_has_no_gradient(void **state)
{
    (void)state;
    assert_null(sosie_gradient_op(SOSIE_OP_RESIZE));
    assert_null(sosie_gradient_op(SOSIE_OP_QUANTIZE));
    for (int op = 0; op < SOSIE_N_OPS; op++) {
        const struct sosie_gradient_op *found =
            sosie_gradient_op((enum sosie_op)op);
        assert_true(!found || (found->forward && found->backward));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_one_number),
        cmocka_unit_test(operands_that_are_repeated_get_the_sum),
        cmocka_unit_test(at_a_kink_the_flatter_side_counts),
        cmocka_unit_test(convolutions_of_any_sizes),
        cmocka_unit_test(pools_of_any_sizes),
        cmocka_unit_test(pools_over_whole_planes),
        cmocka_unit_test(of_equal_maxima_the_first_gets_the_gradient),
        cmocka_unit_test(matrix_products_of_any_sizes),
        cmocka_unit_test(a_transposed_matrix_is_differentiated),
        cmocka_unit_test(matrices_times_matrices),
        cmocka_unit_test(reductions_over_any_dimensions),
        cmocka_unit_test(batches_are_normalised_by_their_own_mean_and_variance),
        cmocka_unit_test(layers_are_normalised_over_any_last_dimensions),
        cmocka_unit_test(wide_layers_are_normalised),
        cmocka_unit_test(vectors_are_normalised_along_any_axis),
        cmocka_unit_test(softmax_along_any_axis),
        cmocka_unit_test(elements_in_another_shape_or_order),
        cmocka_unit_test(parts_of_any_sizes),
        cmocka_unit_test(slices_with_any_steps),
        cmocka_unit_test(padding_of_any_kind),
        cmocka_unit_test(an_op_that_is_not_trained_has_no_gradient),
    };
    sosie_random_seed(&rng, 8);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
