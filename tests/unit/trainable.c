/* trainable.c: networks forward and backward on oneDNN against plain C, which
 * tests/unit/gradients.c holds to central differences; and what is refused. */
#include "golden.h"

#include "base/random.h"
#include "nn/net.h"
#include "nn/trainable.h"
#include "train/student.h"

#include <float.h>

/* ---- networks to try ------------------------------------------------------
 */

/* A graph that grows; its weights are drawn one after the other, so that the
 * same calls make the same network. */
struct net {
    struct sosie_graph graph;
    struct sosie_random random;
};

typedef void build_function(struct net *net);

static struct net build_net(build_function *build)
{
    struct net net = {.graph = {.n_inputs = 0}};
    sosie_random_seed(&net.random, 5);
    build(&net);
    return net;
}

static sosie_value_id input(struct net *net, size_t channels, size_t height,
                            size_t width)
{
    struct sosie_value image = {.name = "image",
                                .shape = {4, {1, channels, height, width}}};
    struct sosie_error err;
    sosie_value_id id;
    check_ok(sosie_graph_add_value(&net->graph, &image, &id, &err), &err);
    net->graph.inputs[net->graph.n_inputs++] = id;
    return id;
}

static void output(struct net *net, sosie_value_id x)
{
    net->graph.outputs[net->graph.n_outputs++] = x;
}

/* Normal numbers around `centre`. */
static sosie_value_id numbers(struct net *net, struct sosie_shape shape,
                              float centre, float deviation)
{
    struct sosie_error err;
    sosie_value_id id;
    float *data;
    char name[32];
    snprintf(name, sizeof(name), "weights_%zu", net->graph.n_values);
    check_ok(sosie_add_weights(&net->graph, name, &shape, &net->random,
                               deviation, &id, &err),
             &err);
    data = (float *)(uintptr_t)net->graph.values[id].data;
    for (size_t i = 0; i < sosie_shape_count(&shape); i++)
        data[i] += centre;
    return id;
}

static sosie_value_id add(struct net *net, struct sosie_node node)
{
    struct sosie_error err;
    sosie_value_id id;
    char name[48];
    snprintf(name, sizeof(name), "%s_%zu", sosie_op_name(node.op),
             net->graph.n_nodes);
    node.name = name;
    check_ok(sosie_graph_add_node(&net->graph, &node, name, &id, &err), &err);
    return id;
}

static sosie_value_id add_1(struct net *net, enum sosie_op op, sosie_value_id x)
{
    return add(net,
               (struct sosie_node){.op = op, .n_inputs = 1, .inputs = {x}});
}

static sosie_value_id add_2(struct net *net, enum sosie_op op, sosie_value_id a,
                            sosie_value_id b)
{
    return add(net,
               (struct sosie_node){.op = op, .n_inputs = 2, .inputs = {a, b}});
}

static sosie_value_id act(struct net *net, enum sosie_op op, sosie_value_id x,
                          float a, float b)
{
    return add(net, (struct sosie_node){
                        .op = op, .n_inputs = 1, .inputs = {x}, .act = {a, b}});
}

static sosie_value_id relu(struct net *net, sosie_value_id x)
{
    return add_1(net, SOSIE_OP_RELU, x);
}

static size_t channels(const struct net *net, sosie_value_id x)
{
    return net->graph.values[x].shape.dims[1];
}

/* What is not given is 1, or, of pads, as much as keeps the size. */
struct conv {
    size_t n, kernel[2], stride, dilation, group;
    size_t pads[4];
    bool has_pads, has_bias;
};

static sosie_value_id conv(struct net *net, sosie_value_id x, struct conv c)
{
    size_t group = c.group ? c.group : 1, in = channels(net, x) / group;
    size_t stride = c.stride ? c.stride : 1;
    size_t dilation = c.dilation ? c.dilation : 1;
    size_t kernel[2] = {c.kernel[0] ? c.kernel[0] : 1, c.kernel[1] ? c.kernel[1]
                                                       : c.kernel[0]
                                                           ? c.kernel[0]
                                                           : 1};
    struct sosie_node node = {.op = SOSIE_OP_CONV,
                              .n_inputs = c.has_bias ? 3 : 2,
                              .conv = {group,
                                       {.strides = {stride, stride},
                                        .dilations = {dilation, dilation}}}};
    for (size_t i = 0; i < 4; i++)
        node.conv.window.pads[i] =
            c.has_pads ? c.pads[i] : kernel[i % 2] / 2 * dilation;
    node.inputs[0] = x;
    node.inputs[1] =
        numbers(net, (struct sosie_shape){4, {c.n, in, kernel[0], kernel[1]}},
                0, 1.0F / sqrtf((float)(in * kernel[0] * kernel[1])));
    if (c.has_bias)
        node.inputs[2] =
            numbers(net, (struct sosie_shape){1, {c.n}}, 0.1F, 0.3F);
    return add(net, node);
}

static sosie_value_id norm(struct net *net, sosie_value_id x)
{
    struct sosie_shape vector = {1, {channels(net, x)}};
    struct sosie_node node = {
        .op = SOSIE_OP_BATCH_NORM, .n_inputs = 5, .epsilon = 1e-3F};
    node.inputs[SOSIE_BN_X] = x;
    node.inputs[SOSIE_BN_SCALE] = numbers(net, vector, 1, 0.2F);
    node.inputs[SOSIE_BN_SHIFT] = numbers(net, vector, 0.1F, 0.3F);
    node.inputs[SOSIE_BN_MEAN] = numbers(net, vector, 0, 0.1F);
    node.inputs[SOSIE_BN_VARIANCE] = numbers(net, vector, 1, 0.1F);
    return add(net, node);
}

static sosie_value_id pool(struct net *net, enum sosie_op op, sosie_value_id x,
                           size_t kernel, size_t stride, size_t pad,
                           bool ceil_mode, bool counts_padding)
{
    return add(net, (struct sosie_node){
                        .op = op,
                        .n_inputs = 1,
                        .inputs = {x},
                        .pool = {.window = {.kernel = {kernel, kernel},
                                            .strides = {stride, stride},
                                            .dilations = {1, 1},
                                            .pads = {pad, pad, pad, pad}},
                                 .ceil_mode = ceil_mode,
                                 .counts_padding = counts_padding}});
}

static sosie_value_id global(struct net *net, sosie_value_id x)
{
    return add_1(net, SOSIE_OP_GLOBAL_AVERAGE_POOL, x);
}

static sosie_value_id flatten(struct net *net, sosie_value_id x)
{
    return add(net, (struct sosie_node){.op = SOSIE_OP_FLATTEN,
                                        .n_inputs = 1,
                                        .inputs = {x},
                                        .axis = 1});
}

static sosie_value_id gemm(struct net *net, sosie_value_id x, size_t n,
                           bool trans_b, bool has_bias)
{
    size_t in = channels(net, x);
    struct sosie_node node = {.op = SOSIE_OP_GEMM,
                              .n_inputs = has_bias ? 3 : 2,
                              .gemm = {false, trans_b, 1, 1}};
    node.inputs[0] = x;
    node.inputs[1] = numbers(
        net, (struct sosie_shape){2, {trans_b ? n : in, trans_b ? in : n}}, 0,
        1.0F / sqrtf((float)in));
    if (has_bias)
        node.inputs[2] = numbers(net, (struct sosie_shape){1, {n}}, 0, 0.3F);
    return add(net, node);
}

/* What most begin with: 3 -> n channels, so that gradients go on upwards. */
static sosie_value_id stem(struct net *net, size_t n)
{
    return conv(net, input(net, 3, 13, 11),
                (struct conv){.n = n, .kernel = {3}, .has_bias = true});
}

/* ---- running them --------------------------------------------------------
 */

/* A network in training, with numbers in. */
struct trial {
    struct sosie_trainable *trainable;
    struct sosie_trainable_run *run;
    size_t n; /* photos */
};

static struct trial make(build_function *build,
                         struct sosie_trainable_options options)
{
    struct net net = build_net(build);
    struct trial t = {.n = options.n};
    struct sosie_error err;
    check_ok(sosie_trainable_create(&net.graph, &options, &t.trainable, &err),
             &err);
    assert_null(net.graph.values); /* taken over */
    check_ok(sosie_trainable_run_create(t.trainable, &t.run, &err), &err);
    return t;
}

static void release(struct trial *t)
{
    sosie_trainable_run_destroy(t->run);
    sosie_trainable_destroy(t->trainable);
}

static const struct sosie_value *value_of(const struct trial *t,
                                          sosie_value_id id)
{
    return &sosie_trainable_graph(t->trainable)->values[id];
}

static size_t output_size(const struct trial *t, size_t k)
{
    return t->n *
           sosie_shape_count(
               &value_of(t, sosie_trainable_graph(t->trainable)->outputs[k])
                    ->shape);
}

static void normals(float *to, size_t n, uint64_t seed)
{
    struct sosie_random random;
    sosie_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        to[i] = (float)sosie_random_normal(&random);
}

static void fill_input(struct trial *t, uint64_t seed)
{
    const struct sosie_graph *graph = sosie_trainable_graph(t->trainable);
    normals(sosie_trainable_run_input(t->run),
            t->n * sosie_shape_count(&graph->values[graph->inputs[0]].shape),
            seed);
}

static void forward(struct trial *t)
{
    struct sosie_error err;
    check_ok(sosie_trainable_run_forward(t->run, &err), &err);
}

static void backward(struct trial *t)
{
    struct sosie_error err;
    size_t n = sosie_trainable_graph(t->trainable)->n_outputs;
    for (size_t k = 0; k < n; k++)
        normals(sosie_trainable_run_output_grad(t->run, k), output_size(t, k),
                100 + k);
    check_ok(sosie_trainable_run_backward(t->run, &err), &err);
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* The length of the difference is within `tolerance` of that of `expected`, or
 * of what rounding makes of numbers of size `least`. */
static void check_near(const char *what, const char *name, const float *found,
                       const float *expected, size_t n, double tolerance,
                       double least)
{
    double sum = 0, length = norm_of(expected, n);
    for (size_t i = 0; i < n; i++)
        sum += pow((double)found[i] - (double)expected[i], 2);
    if (!(sqrt(sum) <= tolerance * fmax(length, least * sqrt((double)n))))
        fail_msg("%s: %s: %zu numbers are %.3g apart, their length %.3g; the "
                 "first is %.6g, expected %.6g",
                 what, name, n, sqrt(sum), length, (double)found[0],
                 (double)expected[0]);
}

/* The root mean square of the parameters' gradients that is largest. A bias
 * whose shift a normalisation takes away has a gradient of 0, so that only this
 * tells how much is little. */
static double largest_grad(const struct trial *t)
{
    size_t n_params;
    const struct sosie_param *params =
        sosie_trainable_param_list(t->trainable, &n_params);
    double largest = 0;
    for (size_t p = 0; p < n_params; p++)
        if (params[p].kind < SOSIE_PARAM_MEAN)
            largest = fmax(largest, norm_of(sosie_trainable_run_grads(t->run) +
                                                params[p].offset,
                                            params[p].n) /
                                        sqrt((double)params[p].n));
    return largest;
}

static void check_same(const char *what, const struct trial *found,
                       const struct trial *expected, double tolerance)
{
    size_t n_params, n = sosie_trainable_graph(expected->trainable)->n_outputs;
    const struct sosie_param *params =
        sosie_trainable_param_list(expected->trainable, &n_params);
    double least = 0.05 * largest_grad(expected);
    for (size_t k = 0; k < n; k++)
        check_near(what, "output", sosie_trainable_run_output(found->run, k),
                   sosie_trainable_run_output(expected->run, k),
                   output_size(expected, k), tolerance, 1e-2);
    for (size_t p = 0; p < n_params; p++)
        check_near(what, value_of(expected, params[p].value)->name,
                   sosie_trainable_run_grads(found->run) + params[p].offset,
                   sosie_trainable_run_grads(expected->run) + params[p].offset,
                   params[p].n, tolerance,
                   params[p].kind < SOSIE_PARAM_MEAN ? least : 1e-2);
}

static const double CLOSE = 1e-4;

/* The network with 1, 2 and 5 photos, on oneDNN as in plain C; twice, as what
 * the first pass leaves must not matter to the second. */
static void check_network(const char *what, build_function *build)
{
    static const size_t photos[] = {1, 2, 5};
    for (size_t i = 0; i < sizeof(photos) / sizeof(*photos); i++) {
        struct trial onednn =
            make(build, (struct sosie_trainable_options){.n = photos[i]});
        struct trial plain = make(build, (struct sosie_trainable_options){
                                             .n = photos[i], .plain = true});
        for (uint64_t pass = 0; pass < 2; pass++) {
            fill_input(&onednn, pass);
            forward(&onednn);
            backward(&onednn);
        }
        fill_input(&plain, 1);
        forward(&plain);
        backward(&plain);
        check_same(what, &onednn, &plain, CLOSE);
        release(&onednn);
        release(&plain);
    }
}
#define CHECK_NETWORK(build) check_network(#build, build)

/* ---- convolutions --------------------------------------------------------
 */

/* What the next network's convolution is like. */
static struct conv variant;
static size_t variant_in;
static enum then {
    NOTHING,
    RELU,
    CLIP,
    SHARED_RELU,
    RELU_AS_OUTPUT
} variant_then;

static void one_convolution(struct net *net)
{
    sosie_value_id x = stem(net, variant_in), y = conv(net, x, variant);
    switch (variant_then) {
    case NOTHING:
        break;
    case RELU:
        y = relu(net, y);
        break;
    case CLIP:
        y = act(net, SOSIE_OP_CLIP, y, -0.3F, 0.6F);
        break;
    case SHARED_RELU:
        y = add_2(net, SOSIE_OP_ADD, y, relu(net, y));
        break;
    case RELU_AS_OUTPUT:
        output(net, y);
        y = relu(net, y);
        break;
    }
    output(net, y);
}

static const struct {
    size_t in;
    struct conv conv;
} convs[] = {
    {8, {.n = 16, .kernel = {3}}},
    {16, {.n = 16, .kernel = {3}, .stride = 2, .has_bias = true}},
    {5, {.n = 7, .kernel = {3}, .has_bias = true}},
    {12, {.n = 20, .kernel = {1}, .has_bias = true}},
    {24, {.n = 8, .kernel = {1}, .stride = 2}},
    {8, {.n = 8, .kernel = {5}, .stride = 3}},
    {8, {.n = 9, .kernel = {1, 7}}},
    {8, {.n = 8, .kernel = {7, 1}, .has_bias = true}},
    {8,
     {.n = 8,
      .kernel = {3},
      .stride = 2,
      .pads = {0, 0, 1, 1},
      .has_pads = true}},
    {6, {.n = 10, .kernel = {3}, .pads = {2, 0, 1, 2}, .has_pads = true}},
    {8, {.n = 8, .kernel = {3}, .has_pads = true}},
    {8, {.n = 16, .kernel = {3}, .dilation = 2}},
    {8,
     {.n = 8,
      .kernel = {1},
      .pads = {1, 1, 1, 1},
      .has_pads = true}}, /* windows of padding alone */
    {16, {.n = 16, .kernel = {3}, .group = 2}},
    {12, {.n = 18, .kernel = {3}, .group = 3, .has_bias = true}},
    {32, {.n = 32, .kernel = {3}, .stride = 2, .group = 4}},
    {16, {.n = 16, .kernel = {3}, .group = 16, .has_bias = true}},
    {13, {.n = 13, .kernel = {3}, .group = 13}},
    {10, {.n = 10, .kernel = {5}, .stride = 2, .group = 10}},
    {8, {.n = 8, .kernel = {3}, .dilation = 2, .group = 8}},
    {6, {.n = 12, .kernel = {3}, .group = 6, .has_bias = true}},
};

/* As in files: value 0 is a weight, which stands in all unused inputs. */
static void weights_before_all(struct net *net)
{
    struct sosie_node node = {
        .op = SOSIE_OP_CONV,
        .n_inputs = 2,
        .conv = {
            1, {.strides = {1, 1}, .dilations = {1, 1}, .pads = {1, 1, 1, 1}}}};
    sosie_value_id x;
    node.inputs[1] =
        numbers(net, (struct sosie_shape){4, {8, 3, 3, 3}}, 0, 0.2F);
    node.inputs[0] = input(net, 3, 13, 11);
    x = relu(net, add(net, node));
    x = relu(net, conv(net, x, (struct conv){.n = 8, .kernel = {3}}));
    x = conv(net, x, (struct conv){.n = 24});
    output(net, gemm(net, flatten(net, global(net, x)), 8, true, false));
}

static void weights_may_be_the_first_value(void **state)
{
    (void)state;
    CHECK_NETWORK(weights_before_all);
}

static void convolutions_of_all_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(convs) / sizeof(*convs); i++)
        for (int then = NOTHING; then <= RELU_AS_OUTPUT; then++) {
            char what[64];
            variant = convs[i].conv;
            variant_in = convs[i].in;
            variant_then = (enum then)then;
            snprintf(what, sizeof(what), "convolution %zu, then %d", i, then);
            check_network(what, one_convolution);
        }
}

/* ---- batch normalisation -------------------------------------------------
 */

static void norm_alone(struct net *net)
{
    output(net, norm(net, stem(net, 12)));
}

static void norm_of_the_photos(struct net *net)
{
    output(net, norm(net, input(net, 3, 9, 7)));
}

static void norm_with_relu(struct net *net)
{
    output(net, relu(net, norm(net, stem(net, 16))));
}

static void norm_with_shared_relu(struct net *net)
{
    sosie_value_id x = norm(net, stem(net, 16));
    output(net, add_2(net, SOSIE_OP_ADD, relu(net, x), x));
}

static void norm_with_hard_swish(struct net *net)
{
    sosie_value_id x = norm(net, stem(net, 10));
    output(net, add_1(net, SOSIE_OP_HARD_SWISH, x));
}

static void norm_before_conv(struct net *net)
{
    sosie_value_id x = relu(net, norm(net, stem(net, 10)));
    x = conv(net, x, (struct conv){.n = 12, .kernel = {3}});
    x = relu(net, norm(net, x));
    output(net, conv(net, x, (struct conv){.n = 6}));
}

static void norm_of_a_vector(struct net *net)
{
    sosie_value_id x = input(net, 3, 7, 7);
    x = relu(net, conv(net, x, (struct conv){.n = 10, .kernel = {3}}));
    output(net, norm(net, gemm(net, flatten(net, x), 6, true, false)));
}

static void batches_are_normalised(void **state)
{
    (void)state;
    CHECK_NETWORK(norm_alone);
    CHECK_NETWORK(norm_of_the_photos);
    CHECK_NETWORK(norm_with_relu);
    CHECK_NETWORK(norm_with_shared_relu);
    CHECK_NETWORK(norm_with_hard_swish);
    CHECK_NETWORK(norm_before_conv);
}

/* Of one photo there is nothing to normalise by: 0 / 0, nearly. */
static void vectors_are_normalised_over_photos(void **state)
{
    struct trial onednn =
        make(norm_of_a_vector, (struct sosie_trainable_options){.n = 7});
    struct trial plain =
        make(norm_of_a_vector,
             (struct sosie_trainable_options){.n = 7, .plain = true});
    (void)state;
    fill_input(&onednn, 1);
    fill_input(&plain, 1);
    forward(&onednn);
    forward(&plain);
    backward(&onednn);
    backward(&plain);
    check_same("norm of a vector", &onednn, &plain, CLOSE);
    release(&onednn);
    release(&plain);
}

/* ---- sums ----------------------------------------------------------------
 */

static void sum_of_two(struct net *net)
{
    sosie_value_id x = stem(net, 16);
    sosie_value_id y = conv(net, x, (struct conv){.n = 16, .kernel = {3}});
    output(net, relu(net, add_2(net, SOSIE_OP_ADD, x, y)));
}

/* What is flattened and shaped again is dense, what is convolved in blocks. */
static sosie_value_id dense_twin(struct net *net, sosie_value_id x)
{
    struct sosie_shape shape = net->graph.values[x].shape;
    struct sosie_node node = {.op = SOSIE_OP_RESHAPE,
                              .n_inputs = 1,
                              .inputs = {flatten(net, x)},
                              .reshape = {.rank = 4}};
    for (size_t d = 0; d < 4; d++)
        node.reshape.dims[d] = (int64_t)shape.dims[d];
    return add(net, node);
}

static void sum_of_blocked_and_dense(struct net *net)
{
    sosie_value_id x = stem(net, 12);
    sosie_value_id y = conv(net, x, (struct conv){.n = 12, .kernel = {3}});
    output(net, relu(net, add_2(net, SOSIE_OP_ADD, y, dense_twin(net, x))));
}

static void sum_of_dense_and_blocked(struct net *net)
{
    sosie_value_id x = stem(net, 12);
    sosie_value_id y = conv(net, x, (struct conv){.n = 12, .kernel = {3}});
    output(net, relu(net, add_2(net, SOSIE_OP_ADD, dense_twin(net, x), y)));
}

static void sum_with_itself(struct net *net)
{
    sosie_value_id x = stem(net, 12);
    x = add_2(net, SOSIE_OP_ADD, x, x);
    output(net, conv(net, x, (struct conv){.n = 5}));
}

static void read_by_three(struct net *net)
{
    sosie_value_id x = stem(net, 20);
    sosie_value_id a = conv(net, x, (struct conv){.n = 20, .kernel = {3}});
    sosie_value_id b = act(net, SOSIE_OP_TANH, x, 0, 0);
    sosie_value_id c = dense_twin(net, x);
    a = add_2(net, SOSIE_OP_ADD, a, b);
    output(net, add_2(net, SOSIE_OP_ADD, a, c));
}

static void sum_with_the_photos(struct net *net)
{
    sosie_value_id x = input(net, 3, 8, 8);
    sosie_value_id y = conv(net, x, (struct conv){.n = 3, .kernel = {3}});
    output(net, add_2(net, SOSIE_OP_ADD, x, y));
}

static void sum_with_a_constant(struct net *net)
{
    sosie_value_id x = stem(net, 6);
    sosie_value_id c = numbers(net, (struct sosie_shape){3, {6, 1, 1}}, 0, 1);
    x = add_2(net, SOSIE_OP_ADD, x, c);
    output(net, conv(net, x, (struct conv){.n = 5, .kernel = {3}}));
}

static void values_that_several_read_get_all_gradients(void **state)
{
    (void)state;
    CHECK_NETWORK(sum_of_two);
    CHECK_NETWORK(sum_of_blocked_and_dense);
    CHECK_NETWORK(sum_of_dense_and_blocked);
    CHECK_NETWORK(sum_with_itself);
    CHECK_NETWORK(read_by_three);
    CHECK_NETWORK(sum_with_the_photos);
    CHECK_NETWORK(sum_with_a_constant);
}

/* ---- pools ---------------------------------------------------------------
 */

static struct {
    enum sosie_op op;
    size_t n, kernel, stride, pad;
    bool ceil_mode, counts_padding;
} pool_variant;

static void one_pool(struct net *net)
{
    sosie_value_id x = stem(net, pool_variant.n);
    x = pool(net, pool_variant.op, x, pool_variant.kernel, pool_variant.stride,
             pool_variant.pad, pool_variant.ceil_mode,
             pool_variant.counts_padding);
    output(net, x);
}

static void pools_of_all_kinds(void **state)
{
    static const struct {
        size_t n, kernel, stride, pad;
    } cases[] = {{16, 2, 2, 0}, {10, 3, 2, 1}, {8, 3, 1, 1},
                 {7, 3, 2, 0},  {12, 5, 3, 2}, {3, 2, 3, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (int kind = 0; kind < 6; kind++) {
            char what[64];
            pool_variant.op =
                kind < 2 ? SOSIE_OP_MAX_POOL : SOSIE_OP_AVERAGE_POOL;
            pool_variant.n = cases[i].n;
            pool_variant.kernel = cases[i].kernel;
            pool_variant.stride = cases[i].stride;
            pool_variant.pad = cases[i].pad;
            pool_variant.ceil_mode = kind % 2;
            pool_variant.counts_padding = kind >= 4;
            snprintf(what, sizeof(what), "pool %zu, %d", i, kind);
            check_network(what, one_pool);
        }
}

static void whole_average(struct net *net)
{
    output(net, global(net, stem(net, 18)));
}

static void whole_maximum(struct net *net)
{
    output(net, add_1(net, SOSIE_OP_GLOBAL_MAX_POOL, stem(net, 10)));
}

static void average_of_the_photos(struct net *net)
{
    sosie_value_id x = input(net, 3, 9, 9);
    x = pool(net, SOSIE_OP_AVERAGE_POOL, x, 2, 2, 0, false, false);
    output(net, conv(net, x, (struct conv){.n = 6, .kernel = {3}}));
}

static void planes_are_pooled_whole(void **state)
{
    (void)state;
    CHECK_NETWORK(whole_average);
    CHECK_NETWORK(whole_maximum);
    CHECK_NETWORK(average_of_the_photos);
}

/* ---- gates and functions of one number -----------------------------------
 */

static sosie_value_id gate(struct net *net, sosie_value_id x, size_t n,
                           enum sosie_op op)
{
    sosie_value_id g = global(net, x);
    g = conv(net, g, (struct conv){.n = n, .has_bias = true});
    g = relu(net, g);
    g = conv(net, g, (struct conv){.n = channels(net, x), .has_bias = true});
    g = act(net, op, g, 0.2F, 0.5F);
    return add_2(net, SOSIE_OP_MUL, x, g);
}

static void squeeze_and_excite(struct net *net)
{
    output(net, gate(net, stem(net, 24), 6, SOSIE_OP_HARD_SIGMOID));
}

static void squeeze_and_excite_by_sigmoid(struct net *net)
{
    sosie_value_id x = stem(net, 20);
    x = gate(net, x, 8, SOSIE_OP_SIGMOID);
    output(net, conv(net, x, (struct conv){.n = 8}));
}

static void gates_are_trained(void **state)
{
    (void)state;
    CHECK_NETWORK(squeeze_and_excite);
    CHECK_NETWORK(squeeze_and_excite_by_sigmoid);
}

static struct {
    enum sosie_op op;
    float a, b;
} act_variant;

/* In both layouts, with both ways of being read. */
static void one_function(struct net *net)
{
    sosie_value_id x = stem(net, 12), y;
    y = act(net, act_variant.op, x, act_variant.a, act_variant.b);
    y = conv(net, y, (struct conv){.n = 9, .kernel = {3}});
    y = act(net, act_variant.op, y, act_variant.a, act_variant.b);
    y = flatten(net, y);
    y = act(net, act_variant.op, y, act_variant.a, act_variant.b);
    output(net, x);
    output(net, y);
}

static void functions_of_one_number(void **state)
{
    static const struct {
        enum sosie_op op;
        float a, b;
    } cases[] = {
        {SOSIE_OP_RELU, 0, 0},        {SOSIE_OP_CLIP, 0, 6},
        {SOSIE_OP_CLIP, -0.5F, 0.5F}, {SOSIE_OP_CLIP, 0, INFINITY},
        {SOSIE_OP_CLIP, -FLT_MAX, 1}, {SOSIE_OP_SIGMOID, 0, 0},
        {SOSIE_OP_TANH, 0, 0},        {SOSIE_OP_LEAKY_RELU, 0.1F, 0},
        {SOSIE_OP_LEAKY_RELU, -1, 0}, {SOSIE_OP_ELU, 1, 0},
        {SOSIE_OP_ELU, 0.5F, 0},      {SOSIE_OP_SWISH, 0, 0},
        {SOSIE_OP_HARD_SWISH, 0, 0},  {SOSIE_OP_HARD_SIGMOID, 0.2F, 0.5F},
        {SOSIE_OP_GELU, 0, 0},        {SOSIE_OP_GELU, 1, 0},
        {SOSIE_OP_IDENTITY, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char what[64];
        act_variant.op = cases[i].op;
        act_variant.a = cases[i].a;
        act_variant.b = cases[i].b;
        snprintf(what, sizeof(what), "%s %g %g", sosie_op_name(cases[i].op),
                 (double)cases[i].a, (double)cases[i].b);
        check_network(what, one_function);
    }
}

/* ---- joining, shapes, products --------------------------------------------
 */

static sosie_value_id concat(struct net *net, size_t n, const sosie_value_id *x)
{
    struct sosie_node node = {.op = SOSIE_OP_CONCAT, .n_inputs = n, .axis = 1};
    memcpy(node.inputs, x, n * sizeof(*x));
    return add(net, node);
}

static void inception(struct net *net)
{
    sosie_value_id x = stem(net, 12), ways[4];
    ways[0] = relu(net, conv(net, x, (struct conv){.n = 6, .has_bias = true}));
    ways[1] = relu(net, conv(net, x, (struct conv){.n = 8}));
    ways[1] =
        relu(net, conv(net, ways[1], (struct conv){.n = 10, .kernel = {3}}));
    ways[2] = pool(net, SOSIE_OP_MAX_POOL, x, 3, 1, 1, false, false);
    ways[2] = conv(net, ways[2], (struct conv){.n = 4});
    ways[3] = x;
    x = concat(net, 4, ways);
    output(net, conv(net, x, (struct conv){.n = 8, .kernel = {3}}));
}

static void dense_blocks(struct net *net)
{
    sosie_value_id x = stem(net, 8), parts[4] = {x};
    for (size_t i = 1; i < 4; i++) {
        sosie_value_id y = relu(net, norm(net, x));
        parts[i] = conv(net, y, (struct conv){.n = 6, .kernel = {3}});
        x = concat(net, i + 1, parts);
    }
    x = relu(net, norm(net, x));
    x = conv(net, x, (struct conv){.n = 10});
    output(net, pool(net, SOSIE_OP_AVERAGE_POOL, x, 2, 2, 0, false, false));
}

static void concat_of_one_value_twice(struct net *net)
{
    sosie_value_id x = stem(net, 8), parts[] = {x, x};
    output(net, conv(net, concat(net, 2, parts), (struct conv){.n = 8}));
}

static void joined_values_are_parted_again(void **state)
{
    (void)state;
    CHECK_NETWORK(inception);
    CHECK_NETWORK(dense_blocks);
    CHECK_NETWORK(concat_of_one_value_twice);
}

static void gemm_transposed(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 20)));
    output(net, gemm(net, x, 10, true, true));
}

static void gemm_as_it_is(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 20)));
    x = relu(net, gemm(net, x, 13, false, false));
    output(net, gemm(net, x, 7, false, true));
}

/* Its input is in blocks of channels when it is flattened. */
static void gemm_of_planes(struct net *net)
{
    output(net, gemm(net, flatten(net, stem(net, 12)), 9, true, true));
}

static void gemm_with_factors(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 8)));
    struct sosie_node node = {
        .op = SOSIE_OP_GEMM, .n_inputs = 3, .gemm = {false, true, 0.5F, 2}};
    node.inputs[0] = x;
    node.inputs[1] = numbers(net, (struct sosie_shape){2, {5, 8}}, 0, 0.3F);
    node.inputs[2] = numbers(net, (struct sosie_shape){1, {5}}, 0, 0.3F);
    output(net, add(net, node));
}

static void matmul_and_add(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 20)));
    sosie_value_id w = numbers(net, (struct sosie_shape){2, {20, 6}}, 0, 0.2F);
    sosie_value_id c = numbers(net, (struct sosie_shape){1, {6}}, 0, 0.2F);
    x = add_2(net, SOSIE_OP_MATMUL, x, w);
    output(net, add_2(net, SOSIE_OP_ADD, x, c));
}

static void softmax_of_gemm(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 20)));
    x = gemm(net, x, 10, true, true);
    output(net, add(net, (struct sosie_node){.op = SOSIE_OP_SOFTMAX,
                                             .n_inputs = 1,
                                             .inputs = {x},
                                             .softmax = {.axis = 1}}));
}

static void products_of_all_kinds(void **state)
{
    (void)state;
    CHECK_NETWORK(gemm_transposed);
    CHECK_NETWORK(gemm_as_it_is);
    CHECK_NETWORK(gemm_of_planes);
    CHECK_NETWORK(gemm_with_factors);
    CHECK_NETWORK(matmul_and_add);
    CHECK_NETWORK(softmax_of_gemm);
}

static void features_and_heads(struct net *net)
{
    sosie_value_id x = relu(net, norm(net, stem(net, 16)));
    sosie_value_id features, shape;
    output(net, x); /* an image, too */
    features = flatten(net, global(net, x));
    shape = gemm(net, features, 12, true, true);
    output(net, shape);
    output(net, gemm(net, shape, 5, true, true));
    output(net, features);
    output(net, features); /* twice: both gradients count */
}

static void outputs_that_are_read_on_get_both_gradients(void **state)
{
    (void)state;
    CHECK_NETWORK(features_and_heads);
}

/* A branch that leads to no output changes nothing, and gets no gradient. */
static void dead_branch(struct net *net)
{
    sosie_value_id x = stem(net, 8);
    (void)norm(net, conv(net, x, (struct conv){.n = 8, .kernel = {3}}));
    (void)add_1(net, SOSIE_OP_TANH, x);
    output(net, conv(net, x, (struct conv){.n = 4}));
}

static void branches_that_lead_nowhere_are_no_matter(void **state)
{
    (void)state;
    CHECK_NETWORK(dead_branch);
}

/* ---- whole networks -------------------------------------------------------
 */

static void residual_network(struct net *net)
{
    struct sosie_error err;
    sosie_value_id x = input(net, 3, 40, 40), features;
    check_ok(sosie_arch_add(&net->graph, "sosie-s", x, 7, &features, &err),
             &err);
    output(net, gemm(net, features, 16, true, true));
}

static sosie_value_id inverted(struct net *net, sosie_value_id x, size_t wide,
                               size_t n, size_t stride)
{
    sosie_value_id y = norm(net, conv(net, x, (struct conv){.n = wide}));
    y = act(net, SOSIE_OP_CLIP, y, 0, 6);
    y = norm(
        net,
        conv(net, y,
             (struct conv){
                 .n = wide, .kernel = {3}, .stride = stride, .group = wide}));
    y = add_1(net, SOSIE_OP_HARD_SWISH, y);
    y = gate(net, y, 4, SOSIE_OP_HARD_SIGMOID);
    y = norm(net, conv(net, y, (struct conv){.n = n}));
    return stride == 1 && channels(net, x) == n ? add_2(net, SOSIE_OP_ADD, x, y)
                                                : y;
}

static void inverted_residual_network(struct net *net)
{
    sosie_value_id x = input(net, 3, 33, 33);
    x = conv(net, x, (struct conv){.n = 8, .kernel = {3}, .stride = 2});
    x = act(net, SOSIE_OP_CLIP, norm(net, x), 0, 6);
    x = inverted(net, x, 24, 12, 2);
    x = inverted(net, x, 36, 12, 1);
    x = inverted(net, x, 36, 20, 2);
    x = conv(net, x, (struct conv){.n = 40, .has_bias = true});
    x = flatten(net, global(net, relu(net, x)));
    output(net, x);
    output(net, gemm(net, x, 10, true, true));
}

/* Deep networks multiply what rounding makes of the first layers. */
static void check_whole(const char *what, build_function *build)
{
    struct trial onednn = make(build, (struct sosie_trainable_options){.n = 4});
    struct trial plain =
        make(build, (struct sosie_trainable_options){.n = 4, .plain = true});
    struct trial *both[] = {&onednn, &plain};
    for (int i = 0; i < 2; i++) {
        fill_input(both[i], 3);
        forward(both[i]);
        backward(both[i]);
    }
    check_same(what, &onednn, &plain, 5e-4);
    release(&onednn);
    release(&plain);
}

static void whole_networks(void **state)
{
    (void)state;
    check_whole("residual", residual_network);
    check_whole("inverted residual", inverted_residual_network);
}

static bool is_one_of(enum sosie_op op, const enum sosie_op *ops, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ops[i] == op)
            return true;
    return false;
}

/* oneDNN's reference is a hundred times slower than its kernels, and plain C
 * not fast either. */
static void check_quick(const char *what, build_function *build)
{
    static const enum sosie_op common[] = {
        SOSIE_OP_BATCH_NORM, SOSIE_OP_CLIP,     SOSIE_OP_CONV,
        SOSIE_OP_GEMM,       SOSIE_OP_MAX_POOL, SOSIE_OP_GLOBAL_AVERAGE_POOL,
        SOSIE_OP_RELU};
    struct trial t = make(build, (struct sosie_trainable_options){.n = 4});
    const struct sosie_graph *graph = sosie_trainable_graph(t.trainable);
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (int back = 0; back < 2; back++) {
            const char *way =
                sosie_trainable_implementation(t.trainable, i, back);
            if (way && is_one_of(graph->nodes[i].op, common, 7) &&
                (!strncmp(way, "ref", 3) || !strcmp(way, "plain")))
                fail_msg("%s: %s goes %s by %s", what, graph->nodes[i].name,
                         back ? "backward" : "forward", way);
        }
    release(&t);
}

static void no_common_op_takes_the_slow_way(void **state)
{
    (void)state;
    check_quick("residual", residual_network);
    check_quick("inverted residual", inverted_residual_network);
    check_quick("inception", inception);
    check_quick("dense", dense_blocks);
    variant_then = RELU;
    for (size_t i = 0; i < sizeof(convs) / sizeof(*convs); i++) {
        char what[64];
        variant = convs[i].conv;
        variant_in = convs[i].in;
        snprintf(what, sizeof(what), "convolution %zu", i);
        if (variant.pads[0] < variant.kernel[0])
            check_quick(what, one_convolution);
    }
}

/* What a convolution or a normalisation does for its Relu has no name. */
static void what_is_done_with_another_has_no_way_of_its_own(void **state)
{
    struct trial t =
        make(norm_with_relu, (struct sosie_trainable_options){.n = 1});
    (void)state;
    for (int back = 0; back < 2; back++) {
        assert_non_null(sosie_trainable_implementation(t.trainable, 1, back));
        assert_null(sosie_trainable_implementation(t.trainable, 2, back));
    }
    release(&t);
}

static void check_bfloat16(const char *what, build_function *build,
                           double tolerance)
{
    struct trial bf16 =
        make(build, (struct sosie_trainable_options){.n = 4, .bf16 = true});
    struct trial plain =
        make(build, (struct sosie_trainable_options){.n = 4, .plain = true});
    struct trial *both[] = {&bf16, &plain};
    for (int i = 0; i < 2; i++) {
        fill_input(both[i], 3);
        forward(both[i]);
        backward(both[i]);
    }
    check_same(what, &bf16, &plain, tolerance);
    release(&bf16);
    release(&plain);
}

/* One rounding is within 0.4%; a whole network makes much of many, and what a
 * Relu lets through turns on them. */
static void bfloat16_is_near(void **state)
{
    (void)state;
    if (!sosie_cpu_has_bf16()) {
        struct net net = build_net(residual_network);
        struct sosie_trainable *t = NULL;
        struct sosie_error err;
        check_fails(sosie_trainable_create(
                        &net.graph,
                        &(struct sosie_trainable_options){.n = 4, .bf16 = true},
                        &t, &err),
                    SOSIE_REFUSED, &err, "no bfloat16");
        print_message("skipped: this CPU has no bfloat16\n");
        skip();
    }
    variant_then = NOTHING;
    for (size_t i = 0; i < sizeof(convs) / sizeof(*convs); i++) {
        char what[64];
        variant = convs[i].conv;
        variant_in = convs[i].in;
        snprintf(what, sizeof(what), "bfloat16, convolution %zu", i);
        check_bfloat16(what, one_convolution, 0.01);
    }
    check_bfloat16("bfloat16, residual", residual_network, 0.2);
    check_bfloat16("bfloat16, inverted residual", inverted_residual_network,
                   0.2);
}

/* ---- the whole against central differences --------------------------------
 */

/* Smooth but for nothing: no step leaps over a kink. */
static void smooth_network(struct net *net)
{
    sosie_value_id x = input(net, 2, 6, 6), y;
    x = add_1(net, SOSIE_OP_SWISH,
              norm(net, conv(net, x, (struct conv){.n = 4, .kernel = {3}})));
    y = norm(net, conv(net, x, (struct conv){.n = 4, .kernel = {3}}));
    x = act(net, SOSIE_OP_TANH, add_2(net, SOSIE_OP_ADD, x, y), 0, 0);
    x = gate(net, x, 2, SOSIE_OP_SIGMOID);
    output(net, gemm(net, flatten(net, global(net, x)), 3, true, true));
}

/* A random linear functional of the outputs, whose gradients backward() takes.
 */
static double functional(struct trial *t)
{
    const float *y, *by;
    double sum = 0;
    forward(t);
    y = sosie_trainable_run_output(t->run, 0);
    by = sosie_trainable_run_output_grad(t->run, 0);
    for (size_t i = 0; i < output_size(t, 0); i++)
        sum += (double)y[i] * (double)by[i];
    return sum;
}

static void check_differences(bool plain)
{
    const float h = 0.005F;
    struct trial t =
        make(smooth_network,
             (struct sosie_trainable_options){.n = 3, .plain = plain});
    size_t n_params, n_floats;
    const struct sosie_param *params =
        sosie_trainable_param_list(t.trainable, &n_params);
    float *block = sosie_trainable_params(t.trainable, &n_floats);
    float *grads = malloc(n_floats * sizeof(*grads));
    struct sosie_error err;

    assert_non_null(grads);
    fill_input(&t, 9);
    forward(&t);
    backward(&t);
    memcpy(grads, sosie_trainable_run_grads(t.run), n_floats * sizeof(*grads));
    for (size_t p = 0; p < n_params; p++)
        for (size_t i = 0; params[p].kind < SOSIE_PARAM_MEAN && i < params[p].n;
             i++) {
            float *x = block + params[p].offset + i, kept = *x;
            volatile float above = kept + h, below = kept - h;
            double expected, found = (double)grads[params[p].offset + i];
            *x = above;
            check_ok(sosie_trainable_pack(t.trainable, &err), &err);
            expected = functional(&t);
            *x = below;
            check_ok(sosie_trainable_pack(t.trainable, &err), &err);
            expected -= functional(&t);
            expected /= (double)above - (double)below;
            *x = kept;
            if (!(fabs(found - expected) <= 2e-3 * fabs(expected) + 2e-3))
                fail_msg("gradient %zu of %s is %.6g, expected %.6g", i,
                         value_of(&t, params[p].value)->name, found, expected);
        }
    free(grads);
    release(&t);
}

static void gradients_are_central_differences(void **state)
{
    (void)state;
    check_differences(false);
    check_differences(true);
}

/* ---- parameters ----------------------------------------------------------
 */

static void
parameters_are_listed_once_each_and_start_as_the_constants(void **state)
{
    struct trial t =
        make(features_and_heads, (struct sosie_trainable_options){.n = 2});
    size_t n_params, n_floats, end = 0;
    const struct sosie_param *params =
        sosie_trainable_param_list(t.trainable, &n_params);
    const float *block = sosie_trainable_params(t.trainable, &n_floats);
    (void)state;
    assert_int_equal(n_params, 2 + 4 + 2 + 2);
    for (size_t p = 0; p < n_params; p++) {
        const struct sosie_value *value = value_of(&t, params[p].value);
        assert_true(params[p].offset >= end);
        assert_int_equal(params[p].n, sosie_shape_count(&value->shape));
        assert_memory_equal(block + params[p].offset, value->data,
                            params[p].n * sizeof(float));
        end = params[p].offset + params[p].n;
    }
    assert_true(end <= n_floats);
    assert_int_equal(params[0].kind, SOSIE_PARAM_WEIGHT);
    assert_int_equal(params[1].kind, SOSIE_PARAM_BIAS);
    assert_int_equal(params[2].kind, SOSIE_PARAM_SCALE);
    assert_int_equal(params[5].kind, SOSIE_PARAM_VARIANCE);
    assert_true(sosie_trainable_run_size(t.trainable) > n_floats * 4);
    release(&t);
}

/* Constants that are frozen have no gradient (moments, which
 * stand in the same place, are told); the others have the one that they would
 * have anyway. */
static void what_is_frozen_has_no_gradient(void **state)
{
    enum { FIRST = 2 + 4 }; /* of the parameters: the aspect's matrix */
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        struct sosie_trainable_options options = {.n = 2, .plain = plain};
        struct trial whole = make(features_and_heads, options), t;
        bool frozen[64] = {false};
        size_t n_params;
        const struct sosie_param *params =
            sosie_trainable_param_list(whole.trainable, &n_params);
        for (size_t p = 0; p < FIRST; p++)
            frozen[params[p].value] = true;
        options.frozen = frozen;
        t = make(features_and_heads, options);
        fill_input(&whole, 4);
        fill_input(&t, 4);
        forward(&whole);
        forward(&t);
        backward(&whole);
        backward(&t);
        for (size_t p = 0; p < n_params; p++) {
            const float *found =
                sosie_trainable_run_grads(t.run) + params[p].offset;
            assert_int_equal(
                sosie_trainable_param_list(t.trainable, &n_params)[p]
                    .is_trained,
                p >= FIRST);
            if (p < FIRST && params[p].kind < SOSIE_PARAM_MEAN)
                assert_true(!(norm_of(found, params[p].n) > 0));
            if (p >= FIRST)
                assert_memory_equal(found,
                                    sosie_trainable_run_grads(whole.run) +
                                        params[p].offset,
                                    params[p].n * sizeof(float));
        }
        assert_null(sosie_trainable_implementation(t.trainable, 0, true));
        assert_true(sosie_trainable_run_size(t.trainable) <=
                    sosie_trainable_run_size(whole.trainable));
        release(&t);
        release(&whole);
    }
}

/* What stands for the gradients of a normalisation's mean and variance. */
static void moments_of_the_shard_are_told(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        enum { PIXELS = 9 * 7, PHOTOS = 4 };
        struct trial t =
            make(norm_of_the_photos,
                 (struct sosie_trainable_options){.n = PHOTOS, .plain = plain});
        const float *x = sosie_trainable_run_input(t.run);
        size_t n_params;
        const struct sosie_param *params =
            sosie_trainable_param_list(t.trainable, &n_params);
        fill_input(&t, 4);
        forward(&t);
        backward(&t);
        assert_int_equal(n_params, 4);
        for (size_t c = 0; c < 3; c++) {
            const float *grads = sosie_trainable_run_grads(t.run);
            double sum = 0, squares = 0;
            for (size_t i = 0; i < (size_t)PHOTOS * PIXELS; i++) {
                double v =
                    (double)x[(i / PIXELS * 3 + c) * PIXELS + i % PIXELS];
                sum += v;
                squares += v * v;
            }
            sum /= (double)PHOTOS * (double)PIXELS;
            squares /= (double)PHOTOS * (double)PIXELS;
            assert_true(fabs((double)grads[params[2].offset + c] - sum) < 1e-5);
            assert_true(fabs((double)grads[params[3].offset + c] -
                             (squares - sum * sum)) < 1e-5);
        }
        release(&t);
    }
}

/* Two runs of one trainable work on memory of their own. */
static void runs_are_apart(void **state)
{
    struct trial t =
        make(residual_network, (struct sosie_trainable_options){.n = 2});
    struct trial other = t;
    struct sosie_error err;
    size_t n_floats;
    float *kept;
    (void)state;
    check_ok(sosie_trainable_run_create(t.trainable, &other.run, &err), &err);
    (void)sosie_trainable_params(t.trainable, &n_floats);
    kept = malloc(n_floats * sizeof(*kept));
    assert_non_null(kept);
    fill_input(&t, 1);
    forward(&t);
    fill_input(&other, 2);
    forward(&other);
    backward(&other);
    backward(&t);
    memcpy(kept, sosie_trainable_run_grads(t.run), n_floats * sizeof(*kept));
    fill_input(&other, 1);
    forward(&other);
    backward(&other);
    assert_memory_equal(kept, sosie_trainable_run_grads(other.run),
                        n_floats * sizeof(*kept));
    sosie_trainable_run_destroy(other.run);
    free(kept);
    release(&t);
}

/* ---- refused -------------------------------------------------------------
 */

static void check_refused(build_function *build, const char *words)
{
    for (int plain = 0; plain < 2; plain++) {
        struct net net = build_net(build);
        struct sosie_trainable *t = NULL;
        struct sosie_error err;
        check_fails(sosie_trainable_create(&net.graph,
                                           &(struct sosie_trainable_options){
                                               .n = 2, .plain = plain},
                                           &t, &err),
                    SOSIE_REFUSED, &err, words);
        assert_null(t);
        assert_null(net.graph.values); /* taken over all the same */
    }
}

static void with_an_op_without_gradient(struct net *net)
{
    sosie_value_id x = stem(net, 4);
    output(net, add_2(net, SOSIE_OP_MAX, x, x));
}

static void with_shared_weights(struct net *net)
{
    sosie_value_id x = stem(net, 4), y;
    struct sosie_node node;
    y = conv(net, x, (struct conv){.n = 4});
    node = net->graph.nodes[net->graph.n_nodes - 1];
    node.inputs[0] = y;
    output(net, add(net, node));
}

static void with_two_inputs(struct net *net)
{
    sosie_value_id a = input(net, 3, 8, 8), b = input(net, 3, 8, 8);
    sosie_value_id x = add_2(net, SOSIE_OP_ADD, a, b);
    output(net, conv(net, x, (struct conv){.n = 4}));
}

static void without_parameters(struct net *net)
{
    output(net, relu(net, input(net, 3, 8, 8)));
}

static void without_outputs(struct net *net)
{
    (void)stem(net, 4);
}

static void with_photos_softmaxed(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 4)));
    output(net, add(net, (struct sosie_node){.op = SOSIE_OP_SOFTMAX,
                                             .n_inputs = 1,
                                             .inputs = {x},
                                             .softmax = {.axis = 0}}));
}

static void with_photos_averaged(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 4)));
    output(net, add(net, (struct sosie_node){.op = SOSIE_OP_REDUCE_MEAN,
                                             .n_inputs = 1,
                                             .inputs = {x},
                                             .reduce = {{true, false}, true}}));
}

static void with_photos_transposed(struct net *net)
{
    sosie_value_id x = conv(net, input(net, 3, 8, 8), (struct conv){.n = 1});
    output(net, add(net, (struct sosie_node){.op = SOSIE_OP_TRANSPOSE,
                                             .n_inputs = 1,
                                             .inputs = {x},
                                             .permutation = {1, 0, 2, 3}}));
}

/* Of one row for all photos. */
static void with_a_constant_joined(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 4)));
    sosie_value_id c = numbers(net, (struct sosie_shape){2, {1, 3}}, 0, 1);
    output(net, concat(net, 2, (const sosie_value_id[]){x, c}));
}

/* (1, 4) against (1, 1, 4): photos would stand along another dimension. */
static void with_photos_shifted(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 4)));
    sosie_value_id c = numbers(net, (struct sosie_shape){3, {1, 1, 4}}, 0, 1);
    output(net, add_2(net, SOSIE_OP_ADD, x, c));
}

static void with_photos_multiplied(struct net *net)
{
    sosie_value_id x = flatten(net, global(net, stem(net, 1)));
    struct sosie_node node = {
        .op = SOSIE_OP_GEMM, .n_inputs = 2, .gemm = {true, false, 1, 1}};
    node.inputs[0] = x;
    node.inputs[1] = numbers(net, (struct sosie_shape){2, {1, 3}}, 0, 1);
    output(net, add(net, node));
}

static void what_cannot_be_trained_is_named(void **state)
{
    (void)state;
    check_refused(with_an_op_without_gradient, "node 'Max_1' (Max)");
    check_refused(with_shared_weights, "node 'Conv_2' (Conv) shares");
    check_refused(with_two_inputs, "2 inputs");
    check_refused(without_parameters, "depends on nothing");
    check_refused(without_outputs, "0 outputs");
}

static void what_mixes_photos_is_named(void **state)
{
    (void)state;
    check_refused(with_photos_softmaxed, "node 'Softmax_3' (Softmax)");
    check_refused(with_photos_averaged, "node 'ReduceMean_3' (ReduceMean)");
    check_refused(with_photos_transposed, "node 'Transpose_1' (Transpose)");
    check_refused(with_a_constant_joined, "node 'Concat_3' (Concat)");
    check_refused(with_photos_shifted, "node 'Add_3' (Add)");
    check_refused(with_photos_multiplied, "node 'Gemm_3' (Gemm)");
}

static void odd_options_are_refused(void **state)
{
    static const size_t sizes[] = {0, 4097, SIZE_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct net net = build_net(norm_alone);
        struct sosie_trainable *t = NULL;
        struct sosie_error err;
        check_fails(sosie_trainable_create(
                        &net.graph,
                        &(struct sosie_trainable_options){.n = sizes[i]}, &t,
                        &err),
                    SOSIE_BAD_INPUT, &err, "expected 1 to 4096");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_of_all_kinds),
        cmocka_unit_test(weights_may_be_the_first_value),
        cmocka_unit_test(batches_are_normalised),
        cmocka_unit_test(vectors_are_normalised_over_photos),
        cmocka_unit_test(values_that_several_read_get_all_gradients),
        cmocka_unit_test(pools_of_all_kinds),
        cmocka_unit_test(planes_are_pooled_whole),
        cmocka_unit_test(gates_are_trained),
        cmocka_unit_test(functions_of_one_number),
        cmocka_unit_test(joined_values_are_parted_again),
        cmocka_unit_test(products_of_all_kinds),
        cmocka_unit_test(outputs_that_are_read_on_get_both_gradients),
        cmocka_unit_test(branches_that_lead_nowhere_are_no_matter),
        cmocka_unit_test(whole_networks),
        cmocka_unit_test(no_common_op_takes_the_slow_way),
        cmocka_unit_test(what_is_done_with_another_has_no_way_of_its_own),
        cmocka_unit_test(bfloat16_is_near),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(
            parameters_are_listed_once_each_and_start_as_the_constants),
        cmocka_unit_test(what_is_frozen_has_no_gradient),
        cmocka_unit_test(moments_of_the_shard_are_told),
        cmocka_unit_test(runs_are_apart),
        cmocka_unit_test(what_cannot_be_trained_is_named),
        cmocka_unit_test(what_mixes_photos_is_named),
        cmocka_unit_test(odd_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
