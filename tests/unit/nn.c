/* nn.c: the ops against ONNX Runtime, the passes, the memory plan. */
#include "golden.h"

#include "base/random.h"
#include "model/onnx.h"
#include "nn/net.h"
#include "nn/plan.h"

#include <dirent.h>

static const struct {
    const char *name;
    const struct sosie_ops *ops;
} backends[] = {{"plain", &sosie_ops_plain}, {"oneDNN", &sosie_ops_onednn}};

/* A small model of tests/golden/op as a net; all its outputs are kept. */
static struct sosie_net *net_of(const char *path, const struct sosie_ops *ops)
{
    struct sosie_onnx onnx;
    struct sosie_net *net;
    struct sosie_error err;
    size_t size;
    unsigned char *bytes = golden_bytes(path, &size);

    check_ok(sosie_onnx_read(bytes, size, NULL, &onnx, &err), &err);
    for (size_t k = 0; k < onnx.n_outputs; k++)
        onnx.graph.outputs[k] = onnx.outputs[k].value;
    onnx.graph.n_outputs = onnx.n_outputs;
    check_ok(sosie_net_create(&onnx.graph,
                              &(struct sosie_net_options){.ops = ops}, &net,
                              &err),
             &err);
    sosie_onnx_release(&onnx);
    free(bytes);
    return net;
}

/* Fills input 0 with the golden numbers, where its strides put them. */
static void fill_input(const struct sosie_net *net, struct sosie_net_run *run)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    const struct sosie_shape *shape = &graph->values[graph->inputs[0]].shape;
    float *input = sosie_net_run_input(run, 0);
    size_t strides[SOSIE_MAX_RANK], n = sosie_shape_count(shape);

    sosie_net_input_strides(net, 0, strides);
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, at = 0;
        for (size_t d = shape->rank; d-- > 0; rest /= shape->dims[d])
            at += rest % shape->dims[d] * strides[d];
        input[at] = golden_input(i);
    }
}

static size_t output_size(const struct sosie_net *net, size_t k)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    return sosie_shape_count(&graph->values[graph->outputs[k]].shape);
}

static void check_case(const char *name, size_t backend)
{
    char what[128];
    struct sosie_net *net =
        net_of(golden_path("op/", name, ".onnx"), backends[backend].ops);
    struct sosie_net_run *run;
    struct sosie_error err;
    size_t n;
    float *expected = golden_floats(golden_path("op/", name, ".f32"), &n);

    snprintf(what, sizeof(what), "%s on %s", name, backends[backend].name);
    check_ok(sosie_net_run_create(net, &run, &err), &err);
    assert_int_equal(output_size(net, 0), n);
    for (int round = 0; round < 2; round++) { /* the arena is dirty then */
        fill_input(net, run);
        check_ok(sosie_net_run_forward(run, 1, &err), &err);
        check_close(what, sosie_net_run_output(run, 0), expected, n, 2e-5);
    }
    sosie_net_run_destroy(run);
    sosie_net_destroy(net);
    free(expected);
}

static void every_op_gives_what_onnx_runtime_gives(void **state)
{
    DIR *folder = opendir(golden_path("op", "", ""));
    struct dirent *entry;
    size_t n_cases = 0;
    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        char *dot = strstr(entry->d_name, ".onnx");
        if (!dot)
            continue;
        *dot = '\0';
        for (size_t b = 0; b < 2; b++)
            check_case(entry->d_name, b);
        n_cases++;
    }
    closedir(folder);
    assert_true(n_cases >= 45);
}

/* ---- oneDNN against plain C -----------------------------------------------
 */

/* A convolution with whatever sizes come up, and an activation. */
static void random_graph(struct sosie_random *random, struct sosie_graph *graph,
                         float *weights, size_t room)
{
#define UP_TO(n) ((size_t)sosie_random_below(random, (n)) + 1)
    size_t group = UP_TO(4), kernel[2] = {UP_TO(4), UP_TO(4)};
    struct sosie_value x = {
        .name = "x",
        .shape = {4, {1, group * UP_TO(17), 7 + UP_TO(9), 7 + UP_TO(9)}}};
    struct sosie_value w = {.name = "w", .data = weights};
    struct sosie_value b = {.name = "b", .data = weights};
    struct sosie_node conv = {.name = "c",
                              .op = SOSIE_OP_CONV,
                              .n_inputs = 2 + UP_TO(2) / 2,
                              .conv = {group,
                                       {.strides = {UP_TO(3), UP_TO(3)},
                                        .dilations = {UP_TO(2), UP_TO(2)}}}};
    struct sosie_node act = {
        .name = "a", .op = SOSIE_OP_CLIP, .n_inputs = 1, .act = {-0.5F, 2.0F}};
    struct sosie_error err;

    w.shape = (struct sosie_shape){
        4, {group * UP_TO(17), x.shape.dims[1] / group, kernel[0], kernel[1]}};
    b.shape = (struct sosie_shape){1, {w.shape.dims[0]}};
    assert_true(sosie_shape_count(&w.shape) <= room);
    for (size_t i = 0; i < 4; i++)
        conv.conv.window.pads[i] = UP_TO(4) - 1;
#undef UP_TO
    check_ok(sosie_graph_add_value(graph, &x, &conv.inputs[0], &err), &err);
    check_ok(sosie_graph_add_value(graph, &w, &conv.inputs[1], &err), &err);
    check_ok(sosie_graph_add_value(graph, &b, &conv.inputs[2], &err), &err);
    graph->inputs[graph->n_inputs++] = conv.inputs[0];
    check_ok(sosie_graph_add_node(graph, &conv, "c", &act.inputs[0], &err),
             &err);
    check_ok(sosie_graph_add_node(graph, &act, "y",
                                  &graph->outputs[graph->n_outputs++], &err),
             &err);
}

static void convolutions_of_any_size_agree(void **state)
{
    enum { ROOM = 4 * 17 * 17 * 16 };
    float *weights = calloc(ROOM, sizeof(*weights));
    struct sosie_random random;
    struct sosie_error err;
    (void)state;

    assert_non_null(weights);
    sosie_random_seed(&random, 11);
    for (size_t i = 0; i < ROOM; i++)
        weights[i] = (float)sosie_random_normal(&random) / 8.0F;
    for (int round = 0; round < 80; round++) {
        struct sosie_random again = random;
        struct sosie_net *nets[2];
        struct sosie_net_run *runs[2];
        for (size_t b = 0; b < 2; b++) {
            struct sosie_graph graph = {0};
            random = again;
            random_graph(&random, &graph, weights, ROOM);
            check_ok(sosie_net_create(
                         &graph,
                         &(struct sosie_net_options){.ops = backends[b].ops},
                         &nets[b], &err),
                     &err);
            check_ok(sosie_net_run_create(nets[b], &runs[b], &err), &err);
            fill_input(nets[b], runs[b]);
            check_ok(sosie_net_run_forward(runs[b], 1, &err), &err);
        }
        check_close("oneDNN's convolution", sosie_net_run_output(runs[1], 0),
                    sosie_net_run_output(runs[0], 0), output_size(nets[0], 0),
                    1e-4);
        for (size_t b = 0; b < 2; b++) {
            sosie_net_run_destroy(runs[b]);
            sosie_net_destroy(nets[b]);
        }
    }
    free(weights);
}

/* r = Conv(x), t = a look at r, s = Conv(r) + r: the sum may be written over r
 * only if t needs it no more. */
static void look_graph(struct sosie_graph *graph, const float *weights,
                       enum sosie_op look)
{
    struct sosie_value x = {.name = "x", .shape = {4, {1, 16, 6, 6}}};
    struct sosie_value w = {
        .name = "w", .shape = {4, {16, 16, 1, 1}}, .data = weights};
    struct sosie_node conv = {
        .name = "c",
        .op = SOSIE_OP_CONV,
        .n_inputs = 2,
        .conv = {1, {.strides = {1, 1}, .dilations = {1, 1}}}};
    struct sosie_node view = {.name = "t", .op = look, .n_inputs = 1};
    struct sosie_node sum = {.name = "s", .op = SOSIE_OP_ADD, .n_inputs = 2};
    struct sosie_error err;
    sosie_value_id r, t;
    if (look == SOSIE_OP_TRANSPOSE)
        memcpy(view.permutation, (const size_t[]){0, 2, 3, 1},
               4 * sizeof(size_t));
    else
        view.axis = 1;
    check_ok(sosie_graph_add_value(graph, &x, &conv.inputs[0], &err), &err);
    check_ok(sosie_graph_add_value(graph, &w, &conv.inputs[1], &err), &err);
    graph->inputs[graph->n_inputs++] = conv.inputs[0];
    check_ok(sosie_graph_add_node(graph, &conv, "r", &r, &err), &err);
    view.inputs[0] = conv.inputs[0] = sum.inputs[1] = r;
    check_ok(sosie_graph_add_node(graph, &view, "t", &t, &err), &err);
    check_ok(sosie_graph_add_node(graph, &conv, "c2", &sum.inputs[0], &err),
             &err);
    graph->outputs[graph->n_outputs++] = t;
    check_ok(sosie_graph_add_node(graph, &sum, "s",
                                  &graph->outputs[graph->n_outputs++], &err),
             &err);
}

static void a_sum_is_not_written_over_what_is_looked_at(void **state)
{
    static const enum sosie_op looks[] = {SOSIE_OP_TRANSPOSE, SOSIE_OP_FLATTEN};
    float weights[256];
    (void)state;
    for (size_t i = 0; i < 256; i++)
        weights[i] = (float)(i % 7) / 8.0F - 0.3F;
    for (size_t i = 0; i < 2; i++) {
        struct sosie_net *nets[2];
        struct sosie_net_run *runs[2];
        struct sosie_error err;
        for (size_t b = 0; b < 2; b++) {
            struct sosie_graph graph = {0};
            look_graph(&graph, weights, looks[i]);
            check_ok(sosie_net_create(
                         &graph,
                         &(struct sosie_net_options){.ops = backends[b].ops},
                         &nets[b], &err),
                     &err);
            check_ok(sosie_net_run_create(nets[b], &runs[b], &err), &err);
            fill_input(nets[b], runs[b]);
            check_ok(sosie_net_run_forward(runs[b], 3, &err), &err);
        }
        for (size_t k = 0; k < 2; k++)
            check_close(k ? "the sum" : "the look",
                        sosie_net_run_output(runs[1], k),
                        sosie_net_run_output(runs[0], k),
                        output_size(nets[0], k), 1e-5);
        for (size_t b = 0; b < 2; b++) {
            sosie_net_run_destroy(runs[b]);
            sosie_net_destroy(nets[b]);
        }
    }
}

/* ---- passes -------------------------------------------------------------- */

static void what_can_be_folded_is_folded_and_nothing_else(void **state)
{
    static const struct {
        const char *name;
        size_t n_steps; /* in plain C, where each node left is a step */
    } cases[] = {
        {"conv_batch_norm", 1},
        {"conv_batch_norm_no_bias", 1},
        {"batch_norm", 2},
        {"residual", 6},
        {"residual_relu", 2},
        {"residual_of_input", 2},
        {"residual_of_source", 3},
        {"residual_in_use", 6},
        {"residual_of_itself", 2},
        {"residual_viewed", 5},
        {"clip", 1},
        {"clip_one_side", 2},
        {"identity", 1},
        {"unused", 1},
        {"flatten_axes", 0},
        {"gemm_factors", 1},
        {"add_pooled", 5},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sosie_net *net = net_of(
            golden_path("op/", cases[i].name, ".onnx"), &sosie_ops_plain);
        if (sosie_net_n_steps(net) != cases[i].n_steps)
            fail_msg("%s has %zu steps, expected %zu", cases[i].name,
                     sosie_net_n_steps(net), cases[i].n_steps);
        sosie_net_destroy(net);
    }
}

static void an_output_can_be_had_alone(void **state)
{
    struct sosie_error err;
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        struct sosie_net *net =
            net_of(golden_path("", "photo", ".onnx"), backends[b].ops);
        struct sosie_net_run *run;
        float both[2][4], *alone;
        check_ok(sosie_net_run_create(net, &run, &err), &err);
        fill_input(net, run);
        check_ok(sosie_net_run_forward(run, 3, &err), &err);
        for (size_t k = 0; k < 2; k++)
            memcpy(both[k], sosie_net_run_output(run, k),
                   output_size(net, k) * sizeof(float));
        for (size_t k = 0; k < 2; k++) {
            alone = (float *)(uintptr_t)sosie_net_run_output(run, k);
            memset(alone, 0, output_size(net, k) * sizeof(float));
            fill_input(net, run);
            check_ok(sosie_net_run_forward(run, 1U << k, &err), &err);
            assert_memory_equal(sosie_net_run_output(run, k), both[k],
                                output_size(net, k) * sizeof(float));
        }
        sosie_net_run_destroy(run);
        sosie_net_destroy(net);
    }
}

/* ---- plan ---------------------------------------------------------------- */

static void buffers_in_use_together_never_overlap(void **state)
{
    struct sosie_extent e[60];
    struct sosie_random random;
    struct sosie_error err;
    size_t total;
    (void)state;
    sosie_random_seed(&random, 7);
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < 60; i++) {
            size_t first = (size_t)sosie_random_below(&random, 40);
            e[i] = (struct sosie_extent){
                .size = (size_t)sosie_random_below(&random, 5000),
                .first = first,
                .last = first + (size_t)sosie_random_below(&random, 8)};
        }
        check_ok(sosie_plan(e, 60, &total, &err), &err);
        for (size_t i = 0; i < 60; i++) {
            assert_int_equal(e[i].offset % SOSIE_ALIGNMENT, 0);
            assert_true(e[i].offset + e[i].size <= total);
            for (size_t k = 0; k < i; k++)
                assert_true(e[i].last < e[k].first || e[k].last < e[i].first ||
                            e[i].offset + e[i].size <= e[k].offset ||
                            e[k].offset + e[k].size <= e[i].offset);
        }
    }
}

static void buffers_not_in_use_together_share_memory(void **state)
{
    struct sosie_extent chain[4] = {{.size = 1000, .first = 0, .last = 1},
                                    {.size = 3000, .first = 1, .last = 2},
                                    {.size = 2000, .first = 2, .last = 3},
                                    {.size = 64, .first = 3, .last = 4}};
    struct sosie_error err;
    size_t total;
    (void)state;
    check_ok(sosie_plan(chain, 4, &total, &err), &err);
    assert_int_equal(total, 3008 + 2048);
}

static void a_plan_over_the_limit_is_refused(void **state)
{
    struct sosie_extent e[2] = {{.size = (size_t)3 << 30, .last = 1},
                                {.size = (size_t)3 << 30, .last = 1}};
    struct sosie_error err;
    size_t total;
    (void)state;
    check_fails(sosie_plan(e, 2, &total, &err), SOSIE_REFUSED, &err,
                "for one photo");
    e[0].size = SIZE_MAX;
    check_fails(sosie_plan(e, 1, &total, &err), SOSIE_REFUSED, &err,
                "one tensor needs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_gives_what_onnx_runtime_gives),
        cmocka_unit_test(convolutions_of_any_size_agree),
        cmocka_unit_test(a_sum_is_not_written_over_what_is_looked_at),
        cmocka_unit_test(what_can_be_folded_is_folded_and_nothing_else),
        cmocka_unit_test(an_output_can_be_had_alone),
        cmocka_unit_test(buffers_in_use_together_never_overlap),
        cmocka_unit_test(buffers_not_in_use_together_share_memory),
        cmocka_unit_test(a_plan_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
