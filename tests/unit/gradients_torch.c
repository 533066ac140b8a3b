/* gradients_torch.c: a small network, forward and backward, against PyTorch.
 *
 * tools/golden/train/gradients.py is the same network there, and made
 * golden/train/gradients.f32. */
#include "golden.h"

#include "nn/gradients.h"

enum { BATCH = 3, CLASSES = 5, VALUES = 32, NODES = 16 };

/* ---- the network ----------------------------------------------------------
 */

/* Tensors in the file's order, and the numbers in them. */
enum {
    X,
    STEM,
    SCALE,
    SHIFT,
    MEAN,
    VARIANCE,
    DEPTHWISE,
    DEPTHWISE_BIAS,
    SQUEEZE,
    SQUEEZE_BIAS,
    EXCITE,
    EXCITE_BIAS,
    HEAD,
    HEAD_BIAS,
    FUNCTIONAL,
    N_TENSORS
};
static const struct {
    const char *name;
    struct sosie_shape shape;
    float center, scale;
} tensors[N_TENSORS] = {
    [X] = {"x", {4, {BATCH, 3, 9, 9}}, 0.0F, 0.5F},
    [STEM] = {"stem", {4, {8, 3, 3, 3}}, 0.0F, 0.2F},
    [SCALE] = {"scale", {1, {8}}, 1.0F, 0.2F},
    [SHIFT] = {"shift", {1, {8}}, 0.25F, 0.2F},
    [MEAN] = {"mean", {1, {8}}, 0.0F, 0.0F},
    [VARIANCE] = {"variance", {1, {8}}, 0.0F, 0.0F},
    [DEPTHWISE] = {"depthwise", {4, {8, 1, 3, 3}}, 0.0F, 0.25F},
    [DEPTHWISE_BIAS] = {"depthwise bias", {1, {8}}, 0.0F, 0.2F},
    [SQUEEZE] = {"squeeze", {4, {4, 8, 1, 1}}, 0.0F, 0.5F},
    [SQUEEZE_BIAS] = {"squeeze bias", {1, {4}}, 0.5F, 0.2F},
    [EXCITE] = {"excite", {4, {8, 4, 1, 1}}, 0.0F, 0.5F},
    [EXCITE_BIAS] = {"excite bias", {1, {8}}, 0.0F, 0.5F},
    [HEAD] = {"head", {2, {CLASSES, 8}}, 0.0F, 0.5F},
    [HEAD_BIAS] = {"head bias", {1, {CLASSES}}, 0.0F, 0.5F},
    [FUNCTIONAL] = {"functional", {2, {BATCH, CLASSES}}, 0.0F, 0.5F},
};

/* A graph whose values have memory for a whole batch, and its gradient. */
struct network {
    struct sosie_graph graph;
    struct sosie_shape shapes[VALUES];
    float *data[VALUES], *grads[VALUES];
    struct sosie_gradient_call calls[NODES];
};

static float *zeros(const struct sosie_shape *shape)
{
    float *to = calloc(sosie_shape_count(shape), sizeof(*to));
    assert_non_null(to);
    return to;
}

static void give_memory(struct network *net, sosie_value_id id, bool is_weight)
{
    assert_true(id < VALUES);
    net->shapes[id] = net->graph.values[id].shape;
    if (!is_weight)
        net->shapes[id].dims[0] = BATCH;
    net->data[id] = zeros(&net->shapes[id]);
    net->grads[id] = zeros(&net->shapes[id]);
}

/* The tensors become the first values; the last, that of the functional, is
 * none of the graph's business. */
static void add_tensors(struct network *net)
{
    size_t start = 0;
    for (sosie_value_id k = 0; k < FUNCTIONAL; k++) {
        static const float some[1] = {0.0F}; /* a mark: a constant */
        struct sosie_value value = {.name = tensors[k].name,
                                    .shape = tensors[k].shape,
                                    .data = k == X ? NULL : some};
        struct sosie_error err;
        sosie_value_id id;
        if (k == X)
            value.shape.dims[0] = 1;
        check_ok(sosie_graph_add_value(&net->graph, &value, &id, &err), &err);
        assert_int_equal(id, k);
        give_memory(net, id, k != X);
        for (size_t i = 0; i < sosie_shape_count(&net->shapes[k]); i++)
            net->data[k][i] =
                tensors[k].center + tensors[k].scale * golden_input(start++);
    }
}

static sosie_value_id add(struct network *net, struct sosie_node node)
{
    struct sosie_error err;
    sosie_value_id id;
    node.name = sosie_op_name(node.op);
    check_ok(sosie_graph_add_node(&net->graph, &node, node.name, &id, &err),
             &err);
    assert_true(net->graph.n_nodes <= NODES);
    give_memory(net, id, false);
    return id;
}

static sosie_value_id add_act(struct network *net, enum sosie_op op,
                              struct sosie_act act, sosie_value_id x)
{
    return add(net, (struct sosie_node){
                        .op = op, .n_inputs = 1, .inputs = {x}, .act = act});
}

static sosie_value_id add_pool(struct network *net, sosie_value_id x)
{
    return add(net, (struct sosie_node){.op = SOSIE_OP_GLOBAL_AVERAGE_POOL,
                                        .n_inputs = 1,
                                        .inputs = {x}});
}

/* `bias` may be SOSIE_NO_VALUE. */
static sosie_value_id add_conv(struct network *net, sosie_value_id x,
                               sosie_value_id w, sosie_value_id bias,
                               size_t group, size_t stride, size_t pad)
{
    return add(net,
               (struct sosie_node){.op = SOSIE_OP_CONV,
                                   .n_inputs = 3,
                                   .inputs = {x, w, bias},
                                   .conv = {group,
                                            {.strides = {stride, stride},
                                             .dilations = {1, 1},
                                             .pads = {pad, pad, pad, pad}}}});
}

/* network() of gradients.py; gives the logits. */
static sosie_value_id build(struct network *net)
{
    const struct sosie_act none = {0.0F, 0.0F}, hard = {1.0F / 6.0F, 0.5F};
    sosie_value_id y, gate;
    add_tensors(net);
    y = add_conv(net, X, STEM, SOSIE_NO_VALUE, 1, 2, 1);
    y = add(net,
            (struct sosie_node){.op = SOSIE_OP_BATCH_NORM,
                                .n_inputs = 5,
                                .inputs = {y, SCALE, SHIFT, MEAN, VARIANCE},
                                .epsilon = 1e-3F});
    y = add_act(net, SOSIE_OP_RELU, none, y);
    y = add_conv(net, y, DEPTHWISE, DEPTHWISE_BIAS, 8, 1, 1);
    gate = add_pool(net, y);
    gate = add_conv(net, gate, SQUEEZE, SQUEEZE_BIAS, 1, 1, 0);
    gate = add_act(net, SOSIE_OP_RELU, none, gate);
    gate = add_conv(net, gate, EXCITE, EXCITE_BIAS, 1, 1, 0);
    gate = add_act(net, SOSIE_OP_HARD_SIGMOID, hard, gate);
    y = add(net, (struct sosie_node){
                     .op = SOSIE_OP_MUL, .n_inputs = 2, .inputs = {y, gate}});
    y = add(net,
            (struct sosie_node){.op = SOSIE_OP_MAX_POOL,
                                .n_inputs = 1,
                                .inputs = {y},
                                .pool = {.window = {.kernel = {3, 3},
                                                    .strides = {2, 2},
                                                    .dilations = {1, 1},
                                                    .pads = {1, 1, 1, 1}}}});
    y = add_pool(net, y);
    y = add(net, (struct sosie_node){.op = SOSIE_OP_FLATTEN,
                                     .n_inputs = 1,
                                     .inputs = {y},
                                     .axis = 1});
    return add(net, (struct sosie_node){.op = SOSIE_OP_GEMM,
                                        .n_inputs = 3,
                                        .inputs = {y, HEAD, HEAD_BIAS},
                                        .gemm = {false, true, 1.0F, 1.0F}});
}

static void release(struct network *net)
{
    for (size_t k = 0; k < net->graph.n_values; k++) {
        free(net->data[k]);
        free(net->grads[k]);
    }
    sosie_graph_release(&net->graph);
    free(net);
}

/* ---- forward and backward -------------------------------------------------
 */

static void run_forward(struct network *net)
{
    for (size_t i = 0; i < net->graph.n_nodes; i++) {
        const struct sosie_node *node = &net->graph.nodes[i];
        struct sosie_gradient_call *call = &net->calls[i];
        call->node = node;
        call->out_shape = net->shapes[node->output];
        call->output = net->data[node->output];
        for (size_t k = 0; k < node->n_inputs; k++)
            if (node->inputs[k] != SOSIE_NO_VALUE) {
                call->in_shapes[k] = net->shapes[node->inputs[k]];
                call->inputs[k] = net->data[node->inputs[k]];
            }
        sosie_gradient_op(node->op)->forward(call);
    }
}

/* What reaches a value by several ways adds up. */
static void run_backward(struct network *net)
{
    for (size_t i = net->graph.n_nodes; i-- > 0;) {
        struct sosie_gradient_call *call = &net->calls[i];
        const struct sosie_node *node = call->node;
        call->output_grad = net->grads[node->output];
        for (size_t k = 0; k < node->n_inputs; k++)
            if (call->inputs[k])
                call->input_grads[k] = zeros(&call->in_shapes[k]);
        sosie_gradient_op(node->op)->backward(call);
        for (size_t k = 0; k < node->n_inputs; k++) {
            float *to = call->inputs[k] ? net->grads[node->inputs[k]] : NULL;
            for (size_t e = 0; to && e < sosie_shape_count(&call->in_shapes[k]);
                 e++)
                to[e] += call->input_grads[k][e];
            free(call->input_grads[k]);
        }
    }
}

/* Within 1e-4 of the largest; gives what follows in the file. */
static const float *check_next(const char *what, const float *found,
                               const float *expected, size_t n)
{
    double largest = 0.0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    assert_true(largest > 0.01);
    check_close(what, found, expected, n, 1e-4 * largest);
    return expected + n;
}

static void a_small_network_has_the_gradients_of_pytorch(void **state)
{
    struct network *net = calloc(1, sizeof(*net));
    size_t n, start = 0;
    float *file = golden_floats(golden_path("train/", "gradients", ".f32"), &n);
    const float *expected = file;
    sosie_value_id logits;
    (void)state;

    assert_non_null(net);
    logits = build(net);
    run_forward(net);
    expected = check_next("logits", net->data[logits], expected,
                          (size_t)BATCH * CLASSES);
    for (size_t k = 0; k < FUNCTIONAL; k++)
        start += sosie_shape_count(&tensors[k].shape);
    for (size_t i = 0; i < (size_t)BATCH * CLASSES; i++)
        net->grads[logits][i] =
            tensors[FUNCTIONAL].scale * golden_input(start + i);
    run_backward(net);
    for (size_t k = 0; k < FUNCTIONAL; k++)
        expected = check_next(tensors[k].name, net->grads[k], expected,
                              sosie_shape_count(&tensors[k].shape));
    assert_ptr_equal(expected, file + n);
    free(file);
    release(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_network_has_the_gradients_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
