/* int8.c: quantised networks on bytes against the same networks run literally,
 * QuantizeLinear by QuantizeLinear, in plain C. */
#include "base/random.h"
#include "check.h"
#include "nn/net.h"

#include <math.h>

/* ---- building ------------------------------------------------------------ */

/* A graph whose weights are random; what it borrows lives as long as this. */
struct builder {
    struct sosie_graph graph;
    struct sosie_random random;
    void *blocks[64];
    size_t n_blocks, n_names;
};

static void *block(struct builder *b, size_t size)
{
    void *at = calloc(1, size);
    assert_non_null(at);
    assert_true(b->n_blocks < 64);
    b->blocks[b->n_blocks++] = at;
    return at;
}

static void start(struct builder *b, uint64_t seed)
{
    memset(b, 0, sizeof(*b));
    sosie_random_seed(&b->random, seed);
}

static void finish(struct builder *b)
{
    sosie_graph_release(&b->graph);
    for (size_t i = 0; i < b->n_blocks; i++)
        free(b->blocks[i]);
}

static const char *name(struct builder *b)
{
    static char text[16];
    snprintf(text, sizeof(text), "v%zu", b->n_names++);
    return text;
}

static sosie_value_id add(struct builder *b, const struct sosie_node *node)
{
    struct sosie_node named = *node;
    struct sosie_error err;
    sosie_value_id id;
    char node_name[16];
    snprintf(node_name, sizeof(node_name), "n%zu", b->n_names);
    named.name = node_name;
    check_ok(sosie_graph_add_node(&b->graph, &named, name(b), &id, &err), &err);
    return id;
}

static sosie_value_id constant(struct builder *b, enum sosie_dtype dtype,
                               struct sosie_shape shape, const void *data)
{
    struct sosie_value value = {
        .name = name(b), .dtype = dtype, .shape = shape, .data = data};
    struct sosie_error err;
    sosie_value_id id;
    check_ok(sosie_graph_add_value(&b->graph, &value, &id, &err), &err);
    return id;
}

static sosie_value_id input(struct builder *b, struct sosie_shape shape)
{
    sosie_value_id id = constant(b, SOSIE_F32, shape, NULL);
    b->graph.inputs[b->graph.n_inputs++] = id;
    return id;
}

static struct sosie_quant quant(struct builder *b, size_t n, float scale,
                                int32_t zero)
{
    float *scales = block(b, n * sizeof(*scales));
    int32_t *zeros = block(b, n * sizeof(*zeros));
    for (size_t i = 0; i < n; i++) {
        scales[i] = scale;
        zeros[i] = zero;
    }
    return (struct sosie_quant){0, n, scales, zeros};
}

/* x -> QuantizeLinear -> DequantizeLinear. */
static sosie_value_id qdq(struct builder *b, sosie_value_id x, float scale,
                          int32_t zero, enum sosie_dtype dtype)
{
    struct sosie_node node = {
        .op = SOSIE_OP_QUANTIZE,
        .n_inputs = 1,
        .inputs = {x},
        .quantize = {quant(b, 1, scale, zero), dtype, NULL}};
    node.inputs[0] = add(b, &node);
    node.op = SOSIE_OP_DEQUANTIZE;
    return add(b, &node);
}

/* Signed bytes behind a DequantizeLinear, with a scale for each of the first
 * dimension (or, `last`, the last). */
static sosie_value_id weights(struct builder *b, struct sosie_shape shape,
                              bool last)
{
    size_t n = sosie_shape_count(&shape);
    size_t channels = last ? shape.dims[shape.rank - 1] : shape.dims[0];
    int8_t *data = block(b, n);
    struct sosie_quant q = quant(b, channels, 0.0F, 0);
    struct sosie_node node = {.op = SOSIE_OP_DEQUANTIZE,
                              .n_inputs = 1,
                              .quantize = {q, SOSIE_I8, NULL}};
    float *scales = (float *)(uintptr_t)q.scales;
    for (size_t i = 0; i < n; i++)
        data[i] = (int8_t)((int)sosie_random_below(&b->random, 255) - 127);
    for (size_t c = 0; c < channels; c++)
        scales[c] = 0.002F + 0.00001F * (float)c;
    node.quantize.quant.axis = last ? shape.rank - 1 : 0;
    node.inputs[0] = constant(b, SOSIE_I8, shape, data);
    return add(b, &node);
}

static sosie_value_id bias(struct builder *b, size_t n)
{
    float *data = block(b, n * sizeof(*data));
    for (size_t i = 0; i < n; i++)
        data[i] = 0.2F * (float)sosie_random_normal(&b->random);
    return constant(b, SOSIE_F32, (struct sosie_shape){1, {n}}, data);
}

struct conv_options {
    size_t n_out, kernel, stride, group, dilation;
    size_t pads[4];
};

static sosie_value_id conv(struct builder *b, sosie_value_id x,
                           struct conv_options o)
{
    size_t channels = b->graph.values[x].shape.dims[1];
    size_t group = o.group ? o.group : 1;
    size_t dilation = o.dilation ? o.dilation : 1;
    struct sosie_node node = {.op = SOSIE_OP_CONV,
                              .n_inputs = 3,
                              .conv = {group,
                                       {.strides = {o.stride, o.stride},
                                        .dilations = {dilation, dilation}}}};
    memcpy(node.conv.window.pads, o.pads, sizeof(o.pads));
    node.inputs[0] = x;
    node.inputs[1] =
        weights(b,
                (struct sosie_shape){
                    4, {o.n_out, channels / group, o.kernel, o.kernel}},
                false);
    node.inputs[2] = bias(b, o.n_out);
    return add(b, &node);
}

static sosie_value_id unary(struct builder *b, enum sosie_op op,
                            sosie_value_id x, float p, float q)
{
    struct sosie_node node = {
        .op = op, .n_inputs = 1, .inputs = {x}, .act = {p, q}};
    return add(b, &node);
}

static sosie_value_id binary(struct builder *b, enum sosie_op op,
                             sosie_value_id x, sosie_value_id y)
{
    struct sosie_node node = {.op = op, .n_inputs = 2, .inputs = {x, y}};
    return add(b, &node);
}

/* ---- running ------------------------------------------------------------- */

/* A copy of what was built that another net may take over. */
static struct sosie_graph copy(const struct sosie_graph *graph)
{
    struct sosie_graph out = {0};
    struct sosie_error err;
    size_t node = 0;
    for (size_t v = 0; v < graph->n_values; v++) {
        const struct sosie_value *value = &graph->values[v];
        sosie_value_id id;
        if (node < graph->n_nodes && graph->nodes[node].output == v)
            check_ok(sosie_graph_add_node(&out, &graph->nodes[node++],
                                          value->name, &id, &err),
                     &err);
        else
            check_ok(sosie_graph_add_value(&out, value, &id, &err), &err);
        assert_int_equal(id, v);
    }
    memcpy(out.inputs, graph->inputs, sizeof(out.inputs));
    memcpy(out.outputs, graph->outputs, sizeof(out.outputs));
    out.n_inputs = graph->n_inputs;
    out.n_outputs = graph->n_outputs;
    return out;
}

struct result {
    struct sosie_net *net;
    float *values;
    size_t n;
};

static void fill(const struct sosie_net *net, struct sosie_net_run *run,
                 uint64_t seed)
{
    const struct sosie_graph *graph = sosie_net_graph(net);
    struct sosie_random random;
    sosie_random_seed(&random, seed);
    for (size_t k = 0; k < graph->n_inputs; k++) {
        const struct sosie_shape *shape =
            &graph->values[graph->inputs[k]].shape;
        size_t strides[SOSIE_MAX_RANK], n = sosie_shape_count(shape);
        float *to = sosie_net_run_input(run, k);
        sosie_net_input_strides(net, k, strides);
        for (size_t i = 0; i < n; i++) {
            size_t rest = i, at = 0;
            for (size_t d = shape->rank; d-- > 0; rest /= shape->dims[d])
                at += rest % shape->dims[d] * strides[d];
            to[at] = (float)sosie_random_normal(&random);
        }
    }
}

static struct result run_net(const struct builder *b,
                             const struct sosie_ops *ops)
{
    struct sosie_net_options options = {.ops = ops,
                                        .precision = SOSIE_PRECISION_INT8};
    struct sosie_graph graph = copy(&b->graph);
    struct sosie_net_run *run;
    struct sosie_error err;
    struct result r;
    sosie_value_id out = graph.outputs[0];
    r.n = sosie_shape_count(&graph.values[out].shape);
    check_ok(sosie_net_create(&graph, &options, &r.net, &err), &err);
    check_ok(sosie_net_run_create(r.net, &run, &err), &err);
    for (int round = 0; round < 2; round++) { /* the arena is dirty then */
        fill(r.net, run, 5);
        check_ok(sosie_net_run_forward(run, 1, &err), &err);
    }
    r.values = malloc(r.n * sizeof(*r.values));
    assert_non_null(r.values);
    memcpy(r.values, sosie_net_run_output(run, 0), r.n * sizeof(*r.values));
    sosie_net_run_destroy(run);
    return r;
}

static bool has_step(const struct sosie_net *net, const char *implementation)
{
    for (size_t i = 0; i < sosie_net_n_steps(net); i++)
        if (!strcmp(sosie_net_step_info(net, i).implementation, implementation))
            return true;
    return false;
}

/* Ends the graph at `out`, runs it both ways and compares: a step of the
 * output's scale may differ here and there, where a sum lay on the edge.
 * `steps`: implementations that must be among those used; `n_steps`: of all. */
static void check(struct builder *b, sosie_value_id out, float scale,
                  size_t n_steps, const char *const *steps)
{
    struct result literal, bytes;
    size_t n_off = 0;
    b->graph.outputs[0] = out;
    b->graph.n_outputs = 1;
    literal = run_net(b, &sosie_ops_plain);
    bytes = run_net(b, &sosie_ops_onednn);
    for (size_t i = 0; i < bytes.n; i++) {
        float off = fabsf(literal.values[i] - bytes.values[i]);
        if (off > 1.01F * scale)
            fail_msg("element %zu is %g; literally it is %g (a step is %g)", i,
                     (double)bytes.values[i], (double)literal.values[i],
                     (double)scale);
        n_off += off > 0.01F * scale;
    }
    if (n_off > bytes.n / 30)
        fail_msg("%zu of %zu elements are a step off", n_off, bytes.n);
    if (n_steps)
        assert_int_equal(sosie_net_n_steps(bytes.net), n_steps);
    for (; steps && *steps; steps++)
        if (!has_step(bytes.net, *steps))
            fail_msg("no step is %s", *steps);
    sosie_net_destroy(literal.net);
    sosie_net_destroy(bytes.net);
    free(literal.values);
    free(bytes.values);
    finish(b);
}

/* ---- tests --------------------------------------------------------------- */

static const float X = 0.0307F, Y = 0.0513F;

/* To bytes, one op, from bytes, and back to row-major. */
enum { PICTURE = 4 };

static sosie_value_id photo(struct builder *b, size_t channels, size_t height,
                            size_t width)
{
    return qdq(b,
               input(b, (struct sosie_shape){4, {1, channels, height, width}}),
               X, 128, SOSIE_U8);
}

static void convolutions_of_all_sizes(void **state)
{
    static const char *const steps[] = {"int8:conv", NULL};
    static const struct conv_options sizes[] = {
        {.n_out = 8, .kernel = 1, .stride = 1},
        {.n_out = 70, .kernel = 3, .stride = 1, .pads = {1, 1, 1, 1}},
        {.n_out = 33, .kernel = 3, .stride = 2, .pads = {0, 1, 1, 0}},
        {.n_out = 130, .kernel = 5, .stride = 2, .pads = {2, 2, 2, 2}},
        {.n_out = 16,
         .kernel = 3,
         .stride = 1,
         .dilation = 2,
         .pads = {2, 2, 2, 2}},
        {.n_out = 24, .kernel = 2, .stride = 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        for (size_t channels = 3; channels <= 40; channels += 37) {
            struct builder b;
            start(&b, i);
            check(&b,
                  qdq(&b, conv(&b, photo(&b, channels, 11, 9), sizes[i]), Y,
                      120, SOSIE_U8),
                  Y, PICTURE, steps);
        }
}

static void convolutions_of_groups(void **state)
{
    static const char *const depthwise[] = {"int8:depthwise", NULL};
    static const char *const grouped[] = {"int8:conv", NULL};
    (void)state;
    for (size_t k = 3; k <= 7; k += 2)
        for (size_t stride = 1; stride <= 2; stride++) {
            struct builder b;
            /* few channels are worked on several pixels at a time */
            for (size_t channels = 8; channels <= 72; channels *= 3) {
                start(&b, k);
                check(&b,
                      qdq(&b,
                          conv(&b, photo(&b, channels, 11, 16),
                               (struct conv_options){
                                   .n_out = channels,
                                   .kernel = k,
                                   .stride = stride,
                                   .group = channels,
                                   .pads = {k / 2, k / 2, k / 2, k / 2}}),
                          Y, 120, SOSIE_U8),
                      Y, PICTURE, depthwise);
            }
            start(&b, k);
            check(&b,
                  qdq(&b,
                      conv(&b, photo(&b, 12, 12, 13),
                           (struct conv_options){.n_out = 24,
                                                 .kernel = k,
                                                 .stride = stride,
                                                 .group = 4,
                                                 .pads = {1, 1, 1, 1}}),
                      Y, 120, SOSIE_U8),
                  Y, PICTURE, grouped);
        }
}

/* A depthwise convolution and the 1x1 one that reads it, in bands: of all of
 * the picture, of a part, and of single rows. */
static void separable_convolutions_are_one_step(void **state)
{
    static const char *const steps[] = {"int8:separable", NULL};
    static const size_t sizes[][2] = {{7, 9}, {60, 40}, {3, 1100}};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        bool has_residual = i % 2;
        struct builder b;
        sosie_value_id x, y;
        start(&b, 61 + i);
        x = photo(&b, 64, sizes[i / 2][0], sizes[i / 2][1]);
        y = conv(&b, x,
                 (struct conv_options){.n_out = 64,
                                       .kernel = 3,
                                       .stride = 1,
                                       .group = 64,
                                       .pads = {1, 1, 1, 1}});
        y = qdq(&b, unary(&b, SOSIE_OP_RELU, y, 0.0F, 0.0F), Y, 0, SOSIE_U8);
        y = conv(&b, y,
                 (struct conv_options){.n_out = 64, .kernel = 1, .stride = 1});
        if (has_residual)
            y = binary(&b, SOSIE_OP_ADD, qdq(&b, y, Y, 120, SOSIE_U8), x);
        check(&b, qdq(&b, y, 2 * Y, 120, SOSIE_U8), 2 * Y, PICTURE, steps);
    }
}

static void functions_are_part_of_the_convolution(void **state)
{
    static const struct {
        enum sosie_op op;
        float a, b;
    } acts[] = {
        {SOSIE_OP_RELU, 0.0F, 0.0F},       {SOSIE_OP_CLIP, 0.0F, 2.0F},
        {SOSIE_OP_HARD_SWISH, 0.0F, 0.0F}, {SOSIE_OP_SWISH, 0.0F, 0.0F},
        {SOSIE_OP_SIGMOID, 0.0F, 0.0F},    {SOSIE_OP_GELU, 0.0F, 0.0F},
        {SOSIE_OP_TANH, 0.0F, 0.0F},       {SOSIE_OP_LEAKY_RELU, 0.1F, 0.0F},
        {SOSIE_OP_ELU, 1.0F, 0.0F}};
    (void)state;
    for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
        struct builder b;
        float scale = acts[i].op == SOSIE_OP_SIGMOID ? 0.004F : 0.02F;
        sosie_value_id x;
        start(&b, i);
        x = conv(&b, photo(&b, 17, 8, 8),
                 (struct conv_options){.n_out = 40, .kernel = 1, .stride = 1});
        check(&b,
              qdq(&b, unary(&b, acts[i].op, x, acts[i].a, acts[i].b), scale, 60,
                  SOSIE_U8),
              scale, PICTURE, NULL);
    }
}

static void residual_sums_are_part_of_the_convolution(void **state)
{
    (void)state;
    for (int rounds = 0; rounds < 2; rounds++)
        for (int relu = 0; relu < 2; relu++) {
            struct builder b;
            sosie_value_id x, y;
            start(&b, 9);
            x = photo(&b, 72, 7, 9);
            y = conv(&b, x,
                     (struct conv_options){.n_out = 72,
                                           .kernel = 3,
                                           .stride = 1,
                                           .pads = {1, 1, 1, 1}});
            if (rounds)
                y = qdq(&b, y, 0.06F, 100, SOSIE_U8);
            y = binary(&b, SOSIE_OP_ADD, y, x);
            if (relu)
                y = unary(&b, SOSIE_OP_RELU, y, 0.0F, 0.0F);
            check(&b, qdq(&b, y, Y, relu ? 0 : 120, SOSIE_U8), Y, PICTURE,
                  NULL);
        }
}

static void signed_activations_are_bytes_too(void **state)
{
    struct builder b;
    sosie_value_id x;
    (void)state;
    start(&b, 3);
    x = qdq(&b, input(&b, (struct sosie_shape){4, {1, 20, 6, 6}}), X, 0,
            SOSIE_I8);
    x = conv(&b, x,
             (struct conv_options){
                 .n_out = 32, .kernel = 3, .stride = 1, .pads = {1, 1, 1, 1}});
    check(&b, qdq(&b, x, Y, -5, SOSIE_I8), Y, PICTURE, NULL);
}

static void matrix_products(void **state)
{
    static const char *const steps[] = {"int8:conv", NULL};
    (void)state;
    for (int trans = 0; trans < 2; trans++) {
        struct builder b;
        struct sosie_node gemm = {
            .op = SOSIE_OP_GEMM,
            .n_inputs = 3,
            .gemm = {.trans_b = trans, .alpha = 1.0F, .beta = 1.0F}};
        start(&b, 4);
        gemm.inputs[0] = qdq(&b, input(&b, (struct sosie_shape){2, {3, 65}}), X,
                             128, SOSIE_U8);
        gemm.inputs[1] = weights(
            &b, (struct sosie_shape){2, {trans ? 50 : 65, trans ? 65 : 50}},
            !trans);
        gemm.inputs[2] = bias(&b, 50);
        check(&b, qdq(&b, add(&b, &gemm), Y, 128, SOSIE_U8), Y, 3, steps);
    }
    {
        struct builder b;
        struct sosie_node matmul = {.op = SOSIE_OP_MATMUL, .n_inputs = 2};
        start(&b, 5);
        matmul.inputs[0] =
            qdq(&b, input(&b, (struct sosie_shape){3, {1, 10, 48}}), X, 128,
                SOSIE_U8);
        matmul.inputs[1] = weights(&b, (struct sosie_shape){2, {48, 20}}, true);
        /* its result stays float */
        check(&b, add(&b, &matmul), 1e-4F, 2, steps);
    }
}

static void squeeze_and_excite(void **state)
{
    static const char *const steps[] = {"int8:mean", "int8:scale", NULL};
    struct builder b;
    sosie_value_id x, s;
    struct sosie_node pool = {.op = SOSIE_OP_GLOBAL_AVERAGE_POOL,
                              .n_inputs = 1};
    (void)state;
    start(&b, 6);
    x = photo(&b, 36, 9, 8);
    pool.inputs[0] = x;
    s = qdq(&b, add(&b, &pool), 0.01F, 128, SOSIE_U8);
    s = conv(&b, s,
             (struct conv_options){.n_out = 36, .kernel = 1, .stride = 1});
    s = unary(&b, SOSIE_OP_SIGMOID, s, 0.0F, 0.0F);
    s = qdq(&b, s, 0.004F, 0, SOSIE_U8);
    check(&b, qdq(&b, binary(&b, SOSIE_OP_MUL, x, s), 0.02F, 100, SOSIE_U8),
          0.02F, 0, steps);
}

static void functions_of_the_same_bytes_are_one_table(void **state)
{
    static const char *const steps[] = {"int8:table", NULL};
    struct builder b;
    sosie_value_id x, s;
    (void)state;
    start(&b, 7);
    x = photo(&b, 12, 5, 5);
    s = unary(&b, SOSIE_OP_HARD_SIGMOID, x, 1.0F / 6.0F, 0.5F);
    s = qdq(&b, s, 0.004F, 0, SOSIE_U8);
    check(&b, qdq(&b, binary(&b, SOSIE_OP_MUL, x, s), 0.02F, 20, SOSIE_U8),
          0.02F, PICTURE, steps);
}

static sosie_value_id reshape(struct builder *b, sosie_value_id x, size_t rank,
                              const int64_t *dims)
{
    struct sosie_node node = {
        .op = SOSIE_OP_RESHAPE, .n_inputs = 1, .inputs = {x}};
    node.reshape.rank = rank;
    memcpy(node.reshape.dims, dims, rank * sizeof(*dims));
    return add(b, &node);
}

static sosie_value_id with_number(struct builder *b, enum sosie_op op,
                                  sosie_value_id x, float number)
{
    float *data = block(b, sizeof(*data));
    *data = number;
    return binary(b, op, x,
                  constant(b, SOSIE_F32, (struct sosie_shape){1, {1}}, data));
}

/* A Gelu as exporters spell it and quantisers wrap it. */
static void a_chain_between_bytes_is_one_table(void **state)
{
    static const char *const steps[] = {"int8:table", NULL};
    (void)state;
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        enum sosie_dtype type = is_signed ? SOSIE_I8 : SOSIE_U8;
        int32_t less = is_signed ? 128 : 0;
        struct builder b;
        sosie_value_id x, y;
        start(&b, 19);
        x = qdq(
            &b,
            conv(&b, photo(&b, 8, 6, 6),
                 (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1}),
            Y, 120 - less, type);
        y = unary(&b, SOSIE_OP_ERF, with_number(&b, SOSIE_OP_DIV, x, 1.414214F),
                  0.0F, 0.0F);
        y = qdq(&b, y, 0.008F, 128 - less, type);
        y = qdq(&b, with_number(&b, SOSIE_OP_ADD, y, 1.0F), 0.008F, -less,
                type);
        y = with_number(&b, SOSIE_OP_MUL, binary(&b, SOSIE_OP_MUL, x, y), 0.5F);
        check(&b, qdq(&b, y, 0.03F, 5 - less, type), 0.03F, PICTURE + 1, steps);
    }
}

/* A number a channel times a picture that stands in a view, and a round trip
 * through bytes that nothing reads as bytes. */
static void round_trips_stay_floats(void **state)
{
    static const char *const steps[] = {"int8:round", NULL};
    struct sosie_node transpose = {
        .op = SOSIE_OP_TRANSPOSE, .n_inputs = 1, .permutation = {0, 2, 1}};
    struct builder b;
    sosie_value_id x;
    (void)state;
    start(&b, 21);
    x = qdq(&b, input(&b, (struct sosie_shape){3, {1, 6, 10}}), X, 128,
            SOSIE_U8);
    transpose.inputs[0] = x;
    x = qdq(&b, add(&b, &transpose), X, 128, SOSIE_U8);
    x = binary(&b, SOSIE_OP_MUL, x, bias(&b, 6));
    check(&b, qdq(&b, x, Y, 128, SOSIE_U8), Y, 0, steps);
}

/* Only one function is part of a convolution on bytes; the next comes after
 * it, in floats. */
static void two_functions_after_a_convolution(void **state)
{
    static const enum sosie_op pairs[][2] = {{SOSIE_OP_RELU, SOSIE_OP_SIGMOID},
                                             {SOSIE_OP_TANH, SOSIE_OP_SIGMOID},
                                             {SOSIE_OP_SIGMOID, SOSIE_OP_TANH}};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct builder b;
        sosie_value_id x;
        start(&b, 23 + i);
        x = conv(&b, photo(&b, 8, 6, 6),
                 (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1});
        x = unary(&b, pairs[i / 2][0], x, 0.0F, 0.0F);
        x = unary(&b, pairs[i / 2][1], x, 0.0F, 0.0F);
        check(&b, i % 2 ? qdq(&b, x, 0.008F, 0, SOSIE_U8) : x, 0.008F, 0, NULL);
    }
}

/* A sum with what was never bytes. */
static void a_residual_of_floats(void **state)
{
    struct builder b;
    sosie_value_id x, y;
    (void)state;
    start(&b, 29);
    x = conv(&b, photo(&b, 16, 6, 6),
             (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1});
    y = conv(&b, qdq(&b, x, Y, 120, SOSIE_U8),
             (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1});
    check(&b, binary(&b, SOSIE_OP_ADD, y, x), Y, 0, NULL);
}

/* x -> QuantizeLinear -> DequantizeLinear with other numbers, or with two. */
static sosie_value_id requantised(struct builder *b, sosie_value_id x,
                                  float scale, int32_t zero, float as,
                                  int32_t as_zero, sosie_value_id *bytes)
{
    struct sosie_node node = {
        .op = SOSIE_OP_QUANTIZE,
        .n_inputs = 1,
        .inputs = {x},
        .quantize = {quant(b, 1, scale, zero), SOSIE_U8, NULL}};
    if (*bytes == SOSIE_NO_VALUE)
        *bytes = add(b, &node);
    node.op = SOSIE_OP_DEQUANTIZE;
    node.inputs[0] = *bytes;
    node.quantize.quant = quant(b, 1, as, as_zero);
    return add(b, &node);
}

static void bytes_may_be_read_with_other_meanings(void **state)
{
    const struct conv_options options = {.n_out = 8, .kernel = 1, .stride = 1};
    struct sosie_node concat = {
        .op = SOSIE_OP_CONCAT, .n_inputs = 2, .axis = 1};
    sosie_value_id x, y, bytes = SOSIE_NO_VALUE;
    struct builder b;
    (void)state;
    start(&b, 31); /* read otherwise than they were written */
    x = input(&b, (struct sosie_shape){4, {1, 8, 5, 5}});
    x = requantised(&b, x, X, 128, 2 * X, 100, &bytes);
    check(&b, qdq(&b, conv(&b, x, options), Y, 120, SOSIE_U8), Y, 0, NULL);

    start(&b, 32); /* twice, each in its own way */
    bytes = SOSIE_NO_VALUE;
    x = input(&b, (struct sosie_shape){4, {1, 8, 5, 5}});
    concat.inputs[0] = requantised(&b, x, X, 128, X, 128, &bytes);
    concat.inputs[1] = requantised(&b, x, X, 128, 3 * X, 128, &bytes);
    check(&b, qdq(&b, add(&b, &concat), 4 * X, 128, SOSIE_U8), 4 * X, 0, NULL);

    start(&b, 33); /* a residual */
    bytes = SOSIE_NO_VALUE;
    x = photo(&b, 8, 5, 5);
    y = requantised(&b, conv(&b, x, options), Y, 128, 2 * Y, 120, &bytes);
    x = conv(&b, x, options);
    check(&b, qdq(&b, binary(&b, SOSIE_OP_ADD, x, y), 2 * Y, 128, SOSIE_U8),
          2 * Y, 0, NULL);
}

/* Deduplicated weights: one tensor of bytes, two scales. */
static void weights_may_be_shared(void **state)
{
    const struct conv_options options = {.n_out = 8, .kernel = 1, .stride = 1};
    struct sosie_node again;
    struct builder b;
    sosie_value_id x, y;
    (void)state;
    start(&b, 35);
    x = photo(&b, 8, 5, 5);
    y = conv(&b, x, options);
    again = b.graph.nodes[b.graph.n_nodes - 1]; /* the Conv */
    for (size_t i = 0; i < b.graph.n_nodes; i++)
        if (b.graph.nodes[i].output == again.inputs[SOSIE_CONV_W]) {
            struct sosie_node dq = b.graph.nodes[i];
            dq.quantize.quant = quant(&b, 8, 0.009F, 0);
            again.inputs[SOSIE_CONV_W] = add(&b, &dq);
            break;
        }
    again.output = SOSIE_NO_VALUE;
    x = qdq(&b, add(&b, &again), 4 * Y, 120, SOSIE_U8);
    y = qdq(&b, y, Y, 120, SOSIE_U8);
    check(&b, qdq(&b, binary(&b, SOSIE_OP_ADD, x, y), 12 * Y, 120, SOSIE_U8),
          12 * Y, 0, NULL);
}

/* The byte of zero is 0 itself: its root is not NaN. */
static void zero_stays_zero(void **state)
{
    static const float scales[] = {0.0123F, 0.0371F, 0.017F};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct builder b;
        sosie_value_id x;
        start(&b, 37 + i);
        x = input(&b, (struct sosie_shape){2, {1, 40}});
        x = with_number(&b, SOSIE_OP_MAX, x, 0.0F);
        x = qdq(&b, x, scales[i], 77, SOSIE_U8);
        x = binary(&b, SOSIE_OP_MUL, x,
                   constant(&b, SOSIE_F32, (struct sosie_shape){1, {40}},
                            memset(block(&b, 40 * sizeof(float)), 0,
                                   40 * sizeof(float))));
        check(&b, unary(&b, SOSIE_OP_SQRT, x, 0.0F, 0.0F), 0.001F, 0, NULL);
    }
}

/* More products than an int32 holds the sum of, and results so small that
 * others are beyond all bytes. */
static void numbers_that_int32_cannot_hold(void **state)
{
    struct builder b;
    sosie_value_id x, y;
    struct sosie_node product = {.op = SOSIE_OP_MATMUL, .n_inputs = 2};
    (void)state;
    start(&b, 41);
    product.inputs[0] =
        qdq(&b, input(&b, (struct sosie_shape){2, {1, 70000}}), X, 0, SOSIE_U8);
    product.inputs[1] = weights(&b, (struct sosie_shape){2, {70000, 2}}, true);
    check(&b, qdq(&b, add(&b, &product), 4.0F, 120, SOSIE_U8), 4.0F, 0, NULL);

    start(&b, 42);
    x = photo(&b, 8, 5, 5);
    y = qdq(&b, input(&b, (struct sosie_shape){4, {1, 8, 5, 5}}), X, 128,
            SOSIE_U8);
    check(&b, qdq(&b, binary(&b, SOSIE_OP_ADD, x, y), 1e-10F, 128, SOSIE_U8),
          1e-10F, 0, NULL);

    start(&b, 43);
    x = conv(&b, photo(&b, 8, 5, 5),
             (struct conv_options){.n_out = 8, .kernel = 1, .stride = 1});
    x = unary(&b, SOSIE_OP_LEAKY_RELU, x, 0.1F, 0.0F);
    check(&b, qdq(&b, x, 1e-9F, 128, SOSIE_U8), 1e-9F, 0, NULL);
}

static void a_hard_sigmoid_of_any_slope(void **state)
{
    static const float slopes[] = {0.2F, 1.0F / 6.0F, 0.3F, 5.0F};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct builder b;
        sosie_value_id x;
        start(&b, 45 + i);
        x = conv(&b, photo(&b, 8, 6, 6),
                 (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1});
        x = unary(&b, SOSIE_OP_HARD_SIGMOID, x, slopes[i], 0.5F);
        check(&b, qdq(&b, x, 0.004F, 0, SOSIE_U8), 0.004F, 0, NULL);
    }
}

/* Ops that work on bytes as they are, and outputs that are bytes. */
static void bare_bytes_are_refused(void **state)
{
    struct sosie_net_options options = {.ops = &sosie_ops_onednn,
                                        .precision = SOSIE_PRECISION_INT8};
    static const char *const words[] = {"works on bytes as they are",
                                        "is bytes; in int8, outputs"};
    static const int64_t dims[] = {1, 16};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct sosie_node node = {.op = SOSIE_OP_QUANTIZE, .n_inputs = 1};
        struct builder b;
        struct sosie_net *net = NULL;
        struct sosie_error err;
        sosie_value_id x;
        start(&b, 51);
        node.inputs[0] = input(&b, (struct sosie_shape){4, {1, 4, 2, 2}});
        node.quantize.quant = quant(&b, 1, X, 128);
        node.quantize.dtype = SOSIE_U8;
        x = add(&b, &node);
        if (!i) {
            node.op = SOSIE_OP_DEQUANTIZE;
            node.inputs[0] = reshape(&b, x, 2, dims);
            x = add(&b, &node);
        }
        b.graph.outputs[0] = x;
        b.graph.n_outputs = 1;
        check_fails(sosie_net_create(&b.graph, &options, &net, &err),
                    SOSIE_REFUSED, &err, words[i]);
        finish(&b);
    }
}

static void pools_sums_and_concatenations(void **state)
{
    static const char *const steps[] = {"int8:max", "int8:concat", "int8:add",
                                        "int8:mul", NULL};
    struct builder b;
    sosie_value_id x, y;
    struct sosie_node pool = {.op = SOSIE_OP_MAX_POOL,
                              .n_inputs = 1,
                              .pool = {{.kernel = {3, 3},
                                        .strides = {2, 2},
                                        .dilations = {1, 1},
                                        .pads = {1, 1, 1, 1}},
                                       false,
                                       false}};
    struct sosie_node concat = {
        .op = SOSIE_OP_CONCAT, .n_inputs = 2, .axis = 1};
    (void)state;
    start(&b, 8);
    x = photo(&b, 21, 9, 8);
    pool.inputs[0] = x;
    y = qdq(&b, add(&b, &pool), 0.0207F, 110, SOSIE_U8);
    x = qdq(
        &b,
        conv(&b, x,
             (struct conv_options){
                 .n_out = 21, .kernel = 3, .stride = 2, .pads = {1, 1, 1, 1}}),
        Y, 128, SOSIE_U8);
    concat.inputs[0] =
        qdq(&b, binary(&b, SOSIE_OP_ADD, x, y), 0.0611F, 128, SOSIE_U8);
    concat.inputs[1] =
        qdq(&b, binary(&b, SOSIE_OP_MUL, x, y), 0.0611F, 128, SOSIE_U8);
    /* a product multiplies a step of its factors */
    check(&b, qdq(&b, add(&b, &concat), 0.07F, 128, SOSIE_U8), 0.21F, 0, steps);
}

static void ops_without_bytes_stay_float_between_conversions(void **state)
{
    struct builder b;
    sosie_value_id x;
    struct sosie_node softmax = {
        .op = SOSIE_OP_SOFTMAX, .n_inputs = 1, .softmax = {1, false}};
    (void)state;
    start(&b, 10);
    x = qdq(&b,
            conv(&b, photo(&b, 8, 6, 6),
                 (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1}),
            Y, 128, SOSIE_U8);
    softmax.inputs[0] = x;
    x = qdq(&b, add(&b, &softmax), 0.004F, 0, SOSIE_U8);
    x = conv(&b, x,
             (struct conv_options){.n_out = 4, .kernel = 1, .stride = 1});
    check(&b, qdq(&b, x, 0.01F, 128, SOSIE_U8), 0.01F, 0, NULL);
}

/* Heads of an attention: a transposed look at floats, whose first dimension is
 * not the batch. */
static void tensors_that_are_no_pictures(void **state)
{
    static const int64_t split[] = {6, 2, 4}, blocks[] = {2, 3, 2, 4};
    static const size_t permutations[][SOSIE_MAX_RANK] = {{1, 0, 2}, {2, 1, 0}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sosie_node transpose = {.op = SOSIE_OP_TRANSPOSE, .n_inputs = 1};
        struct builder b;
        start(&b, 13 + i);
        transpose.inputs[0] = reshape(
            &b, input(&b, (struct sosie_shape){3, {1, 6, 8}}), 3, split);
        memcpy(transpose.permutation, permutations[i],
               sizeof(transpose.permutation));
        check(&b, qdq(&b, add(&b, &transpose), X, 128, SOSIE_U8), X, 0, NULL);
        start(&b, 15 + i);
        check(&b,
              qdq(&b,
                  reshape(&b, input(&b, (struct sosie_shape){3, {1, 6, 8}}), 4,
                          blocks),
                  X, 128, SOSIE_U8),
              X, 0, NULL);
    }
}

static void a_network_without_bytes_has_no_int8(void **state)
{
    struct sosie_net_options options = {.ops = &sosie_ops_onednn,
                                        .precision = SOSIE_PRECISION_INT8};
    struct builder b;
    struct sosie_net *net;
    struct sosie_error err;
    (void)state;
    start(&b, 11);
    b.graph.outputs[0] =
        unary(&b, SOSIE_OP_RELU, input(&b, (struct sosie_shape){2, {1, 4}}),
              0.0F, 0.0F);
    b.graph.n_outputs = 1;
    check_fails(sosie_net_create(&b.graph, &options, &net, &err), SOSIE_REFUSED,
                &err, "int8 needs a quantised model");
    finish(&b);
}

/* In floats again, what was rounded is gone, with the ends of what was seen; a
 * Relu that the bytes stood for is a Clip. */
static void a_network_becomes_floats_again(void **state)
{
    static const struct conv_options size = {
        .n_out = 8, .kernel = 1, .stride = 1};
    static const enum sosie_op expected[] = {SOSIE_OP_CONV, SOSIE_OP_CLIP,
                                             SOSIE_OP_CONV, SOSIE_OP_CLIP,
                                             SOSIE_OP_CONV};
    static const float most[] = {0, 6, 0, 255 * 0.01F, 0};
    struct sosie_error err;
    struct builder b;
    sosie_value_id x;
    (void)state;
    start(&b, 12);
    x = conv(&b, photo(&b, 3, 4, 4), size);
    x = qdq(&b, unary(&b, SOSIE_OP_CLIP, x, 0.0F, 6.0F), 0.02F, 0, SOSIE_U8);
    x = qdq(&b, conv(&b, x, size), 0.01F, -128, SOSIE_I8);
    x = qdq(&b, conv(&b, x, size), Y, 120, SOSIE_U8);
    b.graph.outputs[0] = x;
    b.graph.n_outputs = 1;
    check_ok(sosie_graph_dequantize(&b.graph, &err), &err);
    check_ok(sosie_graph_tidy(&b.graph, &err), &err);
    assert_int_equal(b.graph.n_nodes, sizeof(expected) / sizeof(*expected));
    for (size_t i = 0; i < b.graph.n_nodes; i++) {
        assert_int_equal(b.graph.nodes[i].op, expected[i]);
        if (expected[i] == SOSIE_OP_CLIP)
            assert_true(fabsf(b.graph.nodes[i].act.b - most[i]) < 1e-6F);
    }
    finish(&b);
}

static void scales_that_cannot_be_are_refused(void **state)
{
    struct sosie_net_options options = {.ops = &sosie_ops_onednn,
                                        .precision = SOSIE_PRECISION_INT8};
    static const float scales[] = {1e-30F, 1e-38F};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct builder b;
        struct sosie_net *net = NULL;
        struct sosie_error err;
        start(&b, 12);
        b.graph.outputs[0] = qdq(
            &b,
            conv(&b, photo(&b, 8, 6, 6),
                 (struct conv_options){.n_out = 16, .kernel = 1, .stride = 1}),
            scales[i], 128, SOSIE_U8);
        b.graph.n_outputs = 1;
        check_fails(sosie_net_create(&b.graph, &options, &net, &err),
                    SOSIE_REFUSED, &err, "times those of its result");
        finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_of_all_sizes),
        cmocka_unit_test(convolutions_of_groups),
        cmocka_unit_test(separable_convolutions_are_one_step),
        cmocka_unit_test(functions_are_part_of_the_convolution),
        cmocka_unit_test(residual_sums_are_part_of_the_convolution),
        cmocka_unit_test(signed_activations_are_bytes_too),
        cmocka_unit_test(matrix_products),
        cmocka_unit_test(squeeze_and_excite),
        cmocka_unit_test(functions_of_the_same_bytes_are_one_table),
        cmocka_unit_test(a_chain_between_bytes_is_one_table),
        cmocka_unit_test(round_trips_stay_floats),
        cmocka_unit_test(two_functions_after_a_convolution),
        cmocka_unit_test(a_residual_of_floats),
        cmocka_unit_test(bytes_may_be_read_with_other_meanings),
        cmocka_unit_test(weights_may_be_shared),
        cmocka_unit_test(zero_stays_zero),
        cmocka_unit_test(numbers_that_int32_cannot_hold),
        cmocka_unit_test(a_hard_sigmoid_of_any_slope),
        cmocka_unit_test(bare_bytes_are_refused),
        cmocka_unit_test(pools_sums_and_concatenations),
        cmocka_unit_test(ops_without_bytes_stay_float_between_conversions),
        cmocka_unit_test(tensors_that_are_no_pictures),
        cmocka_unit_test(a_network_without_bytes_has_no_int8),
        cmocka_unit_test(a_network_becomes_floats_again),
        cmocka_unit_test(scales_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
