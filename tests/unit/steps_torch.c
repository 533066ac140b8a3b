/* steps_torch.c: a few steps of training, against PyTorch.
 *
 * tools/golden/train/steps.py takes the same steps there, and made
 * golden/train/steps.txt. */
#include "golden_arrays.h"

#include "nn/trainable.h"
#include "train/loss.h"
#include "train/optimiser.h"

#define FILE_NAME "train/steps.txt"

enum { BATCH = 6, SIDE = 8, WIDTH = 8, CLASSES = 5, STEPS = 5 };

static const int32_t labels[BATCH] = {0, 3, 1, 4, 2, 3};

/* ---- the network ----------------------------------------------------------
 */

/* Tensors in the order of their numbers. */
enum {
    IMAGE,
    STEM,
    STEM_SCALE,
    STEM_SHIFT,
    BODY,
    BODY_SCALE,
    BODY_SHIFT,
    HEAD,
    HEAD_BIAS,
    N_TENSORS,
    MEAN = N_TENSORS, /* what starts nowhere */
    VARIANCE
};

static const struct {
    struct sosie_shape shape;
    float center, scale;
} tensors[N_TENSORS] = {
    [IMAGE] = {{4, {BATCH, 3, SIDE, SIDE}}, 0.0F, 0.5F},
    [STEM] = {{4, {WIDTH, 3, 3, 3}}, 0.0F, 0.2F},
    [STEM_SCALE] = {{1, {WIDTH}}, 1.0F, 0.2F},
    [STEM_SHIFT] = {{1, {WIDTH}}, 0.1F, 0.2F},
    [BODY] = {{4, {WIDTH, WIDTH, 3, 3}}, 0.0F, 0.1F},
    [BODY_SCALE] = {{1, {WIDTH}}, 0.5F, 0.2F},
    [BODY_SHIFT] = {{1, {WIDTH}}, 0.0F, 0.2F},
    [HEAD] = {{2, {CLASSES, WIDTH}}, 0.0F, 0.5F},
    [HEAD_BIAS] = {{1, {CLASSES}}, 0.0F, 0.1F},
};

static float numbers[N_TENSORS][BATCH * 3 * SIDE * SIDE];

static void fill_numbers(void)
{
    size_t start = 0;
    for (size_t k = 0; k < N_TENSORS; k++)
        for (size_t i = 0; i < sosie_shape_count(&tensors[k].shape); i++)
            numbers[k][i] =
                tensors[k].center + tensors[k].scale * golden_input(start++);
}

static sosie_value_id add_tensor(struct sosie_graph *graph, size_t k)
{
    static const float zeros[WIDTH] = {0.0F};
    struct sosie_value value = {
        .name = "statistics", .shape = {1, {WIDTH}}, .data = zeros};
    struct sosie_error err;
    sosie_value_id id;
    if (k < N_TENSORS)
        value = (struct sosie_value){.name = "tensor",
                                     .shape = tensors[k].shape,
                                     .data = k == IMAGE ? NULL : numbers[k]};
    if (k == IMAGE)
        value.shape.dims[0] = 1;
    check_ok(sosie_graph_add_value(graph, &value, &id, &err), &err);
    return id;
}

static sosie_value_id add(struct sosie_graph *graph, struct sosie_node node)
{
    struct sosie_error err;
    sosie_value_id id;
    node.name = sosie_op_name(node.op);
    check_ok(sosie_graph_add_node(graph, &node, node.name, &id, &err), &err);
    return id;
}

static sosie_value_id add_1(struct sosie_graph *graph, enum sosie_op op,
                            sosie_value_id x)
{
    return add(graph,
               (struct sosie_node){.op = op, .n_inputs = 1, .inputs = {x}});
}

/* A convolution with its batch normalisation, which follow it in the list. */
static sosie_value_id add_conv(struct sosie_graph *graph, sosie_value_id x,
                               size_t tensor)
{
    struct sosie_node conv = {
        .op = SOSIE_OP_CONV,
        .n_inputs = 2,
        .inputs = {x, add_tensor(graph, tensor)},
        .conv = {
            1, {.strides = {1, 1}, .dilations = {1, 1}, .pads = {1, 1, 1, 1}}}};
    struct sosie_node norm = {
        .op = SOSIE_OP_BATCH_NORM, .n_inputs = 5, .epsilon = 1e-5F};
    norm.inputs[SOSIE_BN_X] = add(graph, conv);
    norm.inputs[SOSIE_BN_SCALE] = add_tensor(graph, tensor + 1);
    norm.inputs[SOSIE_BN_SHIFT] = add_tensor(graph, tensor + 2);
    norm.inputs[SOSIE_BN_MEAN] = add_tensor(graph, MEAN);
    norm.inputs[SOSIE_BN_VARIANCE] = add_tensor(graph, VARIANCE);
    return add(graph, norm);
}

/* logits() of steps.py */
static void build(struct sosie_graph *graph)
{
    sosie_value_id x = add_tensor(graph, IMAGE), y;
    graph->inputs[graph->n_inputs++] = x;
    x = add_1(graph, SOSIE_OP_RELU, add_conv(graph, x, STEM));
    y = add_conv(graph, x, BODY);
    x = add(graph, (struct sosie_node){
                       .op = SOSIE_OP_ADD, .n_inputs = 2, .inputs = {x, y}});
    x = add_1(graph, SOSIE_OP_RELU, x);
    x = add_1(graph, SOSIE_OP_GLOBAL_AVERAGE_POOL, x);
    x = add(graph, (struct sosie_node){.op = SOSIE_OP_FLATTEN,
                                       .n_inputs = 1,
                                       .inputs = {x},
                                       .axis = 1});
    graph->outputs[graph->n_outputs++] =
        add(graph, (struct sosie_node){.op = SOSIE_OP_GEMM,
                                       .n_inputs = 3,
                                       .inputs = {x, add_tensor(graph, HEAD),
                                                  add_tensor(graph, HEAD_BIAS)},
                                       .gemm = {false, true, 1.0F, 1.0F}});
}

/* ---- training -------------------------------------------------------------
 */

struct training {
    struct sosie_trainable *trainable;
    struct sosie_trainable_run *run;
    struct sosie_optimiser optimiser;
    struct sosie_slice_options slices[16];
    size_t n_slices;
    float *params;
};

static void start(struct training *t, bool plain,
                  const struct sosie_optimiser_options *options)
{
    struct sosie_graph graph = {0};
    struct sosie_error err;
    size_t n_params, n_floats;
    const struct sosie_param *list;
    build(&graph);
    check_ok(sosie_trainable_create(
                 &graph,
                 &(struct sosie_trainable_options){.n = BATCH, .plain = plain},
                 &t->trainable, &err),
             &err);
    check_ok(sosie_trainable_run_create(t->trainable, &t->run, &err), &err);
    memcpy(sosie_trainable_run_input(t->run), numbers[IMAGE],
           sosie_shape_count(&tensors[IMAGE].shape) * sizeof(float));
    t->params = sosie_trainable_params(t->trainable, &n_floats);
    list = sosie_trainable_param_list(t->trainable, &n_params);
    assert_in_range(n_params, 1, 16);
    for (size_t p = 0; p < n_params; p++)
        if (list[p].kind < SOSIE_PARAM_MEAN)
            t->slices[t->n_slices++] = (struct sosie_slice_options){
                list[p].offset, list[p].n, 1.0F, true};
    check_ok(
        sosie_optimiser_init(&t->optimiser, options, t->params, n_floats, &err),
        &err);
}

/* The loss before it. */
static double step(struct training *t, float rate)
{
    struct sosie_error err;
    float *grad = sosie_trainable_run_output_grad(t->run, 0);
    double loss;
    check_ok(sosie_trainable_run_forward(t->run, &err), &err);
    memset(grad, 0, (size_t)BATCH * CLASSES * sizeof(*grad));
    loss = sosie_loss_cross_entropy(sosie_trainable_run_output(t->run, 0),
                                    labels, BATCH, CLASSES, 0, 1, grad, NULL);
    check_ok(sosie_trainable_run_backward(t->run, &err), &err);
    check_ok(sosie_optimiser_step(&t->optimiser, t->params,
                                  sosie_trainable_run_grads(t->run), t->slices,
                                  t->n_slices, rate, NULL, &err),
             &err);
    check_ok(sosie_trainable_pack(t->trainable, &err), &err);
    return loss;
}

static void check_steps(const char *name, bool plain, float rate,
                        const struct sosie_optimiser_options *options)
{
    struct golden_array losses = golden_array(FILE_NAME, name, ".losses");
    struct golden_array head = golden_array(FILE_NAME, name, ".head");
    struct training t = {.n_slices = 0};
    start(&t, plain, options);
    assert_int_equal(losses.n, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        double loss = step(&t, rate);
        if (!(fabs(loss - losses.values[i]) <= 1e-4 * losses.values[i]))
            fail_msg("%s, step %zu: the loss is %.9g, expected %.9g", name, i,
                     loss, losses.values[i]);
    }
    assert_int_equal(head.n, CLASSES * WIDTH);
    check_golden(name, &head, t.params + t.slices[t.n_slices - 2].offset, 1e-3);
    sosie_optimiser_release(&t.optimiser);
    sosie_trainable_run_destroy(t.run);
    sosie_trainable_destroy(t.trainable);
}

static void sgd_takes_the_steps_of_pytorch(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_SGD);
    (void)state;
    options.weight_decay = 0;
    check_steps("sgd", false, 0.1F, &options);
    check_steps("sgd", true, 0.1F, &options);
}

static void adamw_takes_the_steps_of_pytorch(void **state)
{
    struct sosie_optimiser_options options =
        sosie_optimiser_options_defaults(SOSIE_ADAMW);
    (void)state;
    options.weight_decay = 0.1F;
    check_steps("adamw", false, 0.02F, &options);
    check_steps("adamw", true, 0.02F, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_takes_the_steps_of_pytorch),
        cmocka_unit_test(adamw_takes_the_steps_of_pytorch),
    };
    fill_numbers();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
