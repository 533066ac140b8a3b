/* networks.c: the networks that people bring, whole, against ONNX Runtime.
 *
 * tests/golden/networks holds their structure and the outputs, made by
 * tools/golden/networks; weights and picture are made again here. */
#include "golden.h"
#include "golden_weights.h"

#include "base/clock.h"
#include "model/onnx.h"
#include "nn/net.h"

/* How a network can be run, and how near its output comes to that of f32: in
 * bf16 not as near as f32 does, or it would not be bf16. */
static const struct way {
    const char *name;
    const struct sosie_ops *ops;
    enum sosie_precision precision;
    double least, most; /* cosine */
} ways[] = {
    {"oneDNN f32", &sosie_ops_onednn, SOSIE_PRECISION_F32, 0.99999, 1.1},
    {"oneDNN bf16", &sosie_ops_onednn, SOSIE_PRECISION_BF16, 0.999, 0.999999},
    {"plain f32", &sosie_ops_plain, SOSIE_PRECISION_F32, 0.99999, 1.1},
    {"plain bf16", &sosie_ops_plain, SOSIE_PRECISION_BF16, 0.999, 0.999999},
};

/* ---- one network, one way ------------------------------------------------ */

/* oneDNN computes bfloat16 where the CPU does, and emulates it on any other
 * that has AVX-512, which is slow but the same. */
static bool is_possible(const struct way *way)
{
    if (way->ops != &sosie_ops_onednn ||
        way->precision != SOSIE_PRECISION_BF16 || sosie_cpu_has_bf16())
        return true;
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bw");
#else
    return false;
#endif
}

/* The net that a file's bytes make, with its first output; NULL and a message
 * if it is refused. */
static struct sosie_net *net_of(const unsigned char *bytes, size_t size,
                                const struct way *way, struct sosie_error *err)
{
    struct sosie_net_options options = {
        .ops = way->ops, .precision = way->precision, .may_emulate = true};
    struct sosie_onnx onnx = {0};
    struct sosie_net *net = NULL;

    if (sosie_onnx_read(bytes, size, NULL, &onnx, err))
        return NULL;
    onnx.graph.outputs[0] = onnx.outputs[0].value;
    onnx.graph.n_outputs = 1;
    if (sosie_net_create(&onnx.graph, &options, &net, err))
        net = NULL;
    sosie_onnx_release(&onnx);
    return net;
}

static void fill_input(const struct sosie_net *net, struct sosie_net_run *run)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    const struct sosie_shape *shape = &graph->values[graph->inputs[0]].shape;
    float *input = sosie_net_run_input(run, 0);
    size_t strides[SOSIE_MAX_RANK], size = shape->dims[2];

    sosie_net_input_strides(net, 0, strides);
    for (size_t i = 0; i < 3 * size * size; i++)
        input[i / (size * size) * strides[1] + i / size % size * strides[2] +
              i % size * strides[3]] = golden_picture(size, i);
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* Runs the network and compares; false, and says why, if that fails. */
static bool agrees(const char *name, const unsigned char *bytes, size_t size,
                   const struct way *way, const float *expected, size_t n)
{
    struct sosie_error err;
    struct sosie_net *net = net_of(bytes, size, way, &err);
    struct sosie_net_run *run = NULL;
    const struct sosie_graph *graph;
    double found, start;
    bool good;

    if (!net) {
        print_error("%s, %s: %s\n", name, way->name, err.text);
        return false;
    }
    graph = sosie_net_graph(net);
    assert_int_equal(sosie_shape_count(&graph->values[graph->outputs[0]].shape),
                     n);
    check_ok(sosie_net_run_create(net, &run, &err), &err);
    fill_input(net, run);
    start = sosie_clock_ms();
    check_ok(sosie_net_run_forward(run, 1, &err), &err);
    found = cosine(sosie_net_run_output(run, 0), expected, n);
    print_message("%s, %s: cosine %.7f, %.0f ms\n", name, way->name, found,
                  sosie_clock_ms() - start);
    good = found >= way->least && found <= way->most;
    if (!good)
        print_error("%s, %s: cosine %.7f, expected %.6f to %.6f\n", name,
                    way->name, found, way->least, way->most);
    sosie_net_run_destroy(run);
    sosie_net_destroy(net);
    return good;
}

static void gives_what_onnx_runtime_gives(void **state)
{
    const char *name = *state;
    size_t size, filled_size, n, n_failed = 0;
    unsigned char *bytes =
        golden_bytes(golden_path("networks/", name, ".onnx"), &size);
    unsigned char *filled = golden_fill(bytes, size, &filled_size);
    float *expected = golden_floats(golden_path("networks/", name, ".f32"), &n);

    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
        if (is_possible(&ways[i]))
            n_failed +=
                !agrees(name, filled, filled_size, &ways[i], expected, n);
    free(expected);
    free(filled);
    free(bytes);
    assert_int_equal(n_failed, 0);
}

/* ---- the generator ------------------------------------------------------- */

/* Both sides must make the same numbers; these are those of weights.py. */
static void weights_are_those_of_the_script(void **state)
{
    float w[24];
    (void)state;
    assert_true(golden_hash("w0") == 0x8CB8607B56D7952U);
    golden_weights("w0", 0.25F, 0.1F, 3, 4, w, 24);
    assert_true(w[0] == 0.27008944749832153F);
    assert_true(w[4] == 0.22991055250167847F);
    assert_true(w[8] == 0.17815275490283966F);
    assert_true(w[12] == 0.15324519574642181F);
    assert_true(w[16] == 0.346754789352417F);
    assert_true(w[23] == 0.21924422681331635F);
    golden_weights("w0", 0.25F, 0.1F, 1, 4, w, 12);
    assert_true(w[0] == 0.27008944749832153F && w[4] == w[0]);
    assert_true(w[5] == 0.3354094624519348F);
    assert_true(w[8] == 0.17815275490283966F);
    assert_true(w[11] == 0.28040266036987305F);
    assert_true(golden_picture(64, 0) == 1.1010103225708008F);
    assert_true(golden_picture(64, 4095) == -0.6957436800003052F);
    assert_true(golden_picture(64, 9313) == -0.12681978940963745F);
    assert_true(golden_picture(75, 5610) == -0.009504258632659912F);
}

#define NETWORK(name)                                                          \
    {                                                                          \
#name " gives what ONNX Runtime gives", gives_what_onnx_runtime_gives, \
            NULL, NULL, (void *)(uintptr_t) #name                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_the_script),
        NETWORK(clip_vit_b32_narrow),
        NETWORK(convnext_atto),
        NETWORK(deit_tiny),
        NETWORK(densenet121),
        NETWORK(efficientnet_b0),
        NETWORK(inception_v3),
        NETWORK(mobilenet_v1),
        NETWORK(mobilenet_v2),
        NETWORK(mobilenet_v3_large),
        NETWORK(mobilenet_v4_small),
        NETWORK(regnet_y_400mf),
        NETWORK(repvgg_a0),
        NETWORK(resnet50),
        NETWORK(resnext50),
        NETWORK(se_resnet50),
        NETWORK(shufflenet_v2),
        NETWORK(squeezenet_1_1),
        NETWORK(vgg11_narrow),
        NETWORK(vit_b32_narrow),
        NETWORK(xception),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
