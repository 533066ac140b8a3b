/* arch.c: bodies of our own: residual networks of dense 3x3 convolutions.
 *
 * He et al. 2016 with basic blocks. Dense convolutions use a CPU's multipliers
 * best, in 8 bits above all, so that they give the most accuracy a millisecond
 * there; depthwise ones are bound by memory. The widths differ. */
#include "base/random.h"
#include "train/student.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_STAGES = 4 };

static const struct arch {
    const char *name;
    size_t stem, widths[N_STAGES], blocks[N_STAGES];
} archs[] = {
    {"sosie-s", 16, {24, 48, 96, 192}, {1, 1, 2, 1}},
    {"sosie-m", 24, {32, 64, 128, 256}, {1, 2, 2, 2}},
    {"sosie-l", 32, {48, 96, 192, 384}, {2, 2, 2, 2}},
};

const char *sosie_arch_names(void)
{
    return "sosie-s, sosie-m, sosie-l";
}

struct builder {
    struct sosie_graph *graph;
    const char *prefix; /* of all names */
    struct sosie_random random;
    unsigned n; /* nodes made, for their names */
    enum sosie_status st;
    struct sosie_error *err;
};

static sosie_value_id add(struct builder *b, struct sosie_node *node)
{
    sosie_value_id id = SOSIE_NO_VALUE;
    char name[64];
    if (b->st)
        return id;
    snprintf(name, sizeof(name), "%s%s_%u", b->prefix, sosie_op_name(node->op),
             b->n++);
    node->name = name;
    b->st = sosie_graph_add_node(b->graph, node, name, &id, b->err);
    return id;
}

static sosie_value_id weights(struct builder *b, const char *what,
                              struct sosie_shape shape, bool random,
                              float deviation)
{
    sosie_value_id id = SOSIE_NO_VALUE;
    char name[64];
    snprintf(name, sizeof(name), "%s%s_%u", b->prefix, what, b->n);
    if (!b->st)
        b->st = sosie_add_weights(b->graph, name, &shape,
                                  random ? &b->random : NULL, deviation, &id,
                                  b->err);
    return id;
}

static size_t channels(const struct builder *b, sosie_value_id x)
{
    return b->st ? 1 : b->graph->values[x].shape.dims[1];
}

/* A square convolution with its batch normalisation, whose scales start as
 * `scale`. */
static sosie_value_id conv(struct builder *b, sosie_value_id x, size_t n,
                           size_t kernel, size_t stride, float scale)
{
    size_t in = channels(b, x), pad = kernel / 2;
    struct sosie_shape vector = {1, {n}};
    struct sosie_node node = {
        .op = SOSIE_OP_CONV,
        .n_inputs = 2,
        .inputs = {x,
                   weights(b, "weights",
                           (struct sosie_shape){4, {n, in, kernel, kernel}},
                           true, sqrtf(2.0F / (float)(in * kernel * kernel)))},
        .conv = {.group = 1,
                 .window = {.strides = {stride, stride},
                            .dilations = {1, 1},
                            .pads = {pad, pad, pad, pad}}}};
    struct sosie_node norm = {
        .op = SOSIE_OP_BATCH_NORM, .n_inputs = 5, .epsilon = 1e-5F};
    norm.inputs[0] = add(b, &node);
    norm.inputs[SOSIE_BN_SCALE] = weights(b, "scale", vector, false, scale);
    norm.inputs[SOSIE_BN_SHIFT] = weights(b, "shift", vector, false, 0);
    norm.inputs[SOSIE_BN_MEAN] = weights(b, "mean", vector, false, 0);
    norm.inputs[SOSIE_BN_VARIANCE] = weights(b, "variance", vector, false, 1);
    return add(b, &norm);
}

static sosie_value_id relu(struct builder *b, sosie_value_id x)
{
    struct sosie_node node = {
        .op = SOSIE_OP_RELU, .n_inputs = 1, .inputs = {x}};
    return add(b, &node);
}

/* The last scale starts at 0.2: the block is nearly its shortcut, which eases
 * the start (Goyal et al. 2017 take 0). */
static sosie_value_id block(struct builder *b, sosie_value_id x, size_t n,
                            size_t stride)
{
    sosie_value_id y = relu(b, conv(b, x, n, 3, stride, 1));
    struct sosie_node sum = {.op = SOSIE_OP_ADD, .n_inputs = 2};
    sum.inputs[0] = conv(b, y, n, 3, 1, 0.2F);
    sum.inputs[1] =
        stride != 1 || channels(b, x) != n ? conv(b, x, n, 1, stride, 1) : x;
    return relu(b, add(b, &sum));
}

/* The mean of each plane, (1, C). */
static sosie_value_id means(struct builder *b, sosie_value_id x)
{
    struct sosie_node pool = {
        .op = SOSIE_OP_GLOBAL_AVERAGE_POOL, .n_inputs = 1, .inputs = {x}};
    struct sosie_node flat = {.op = SOSIE_OP_FLATTEN, .n_inputs = 1, .axis = 1};
    flat.inputs[0] = add(b, &pool);
    return add(b, &flat);
}

enum sosie_status sosie_arch_add(struct sosie_graph *graph, const char *name,
                                 sosie_value_id input, uint64_t seed,
                                 sosie_value_id *features,
                                 struct sosie_error *err)
{
    struct builder b = {.graph = graph, .prefix = "", .err = err};
    const struct arch *arch = NULL;
    sosie_value_id x;

    for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++)
        if (!strcmp(archs[i].name, name))
            arch = &archs[i];
    if (!arch)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "\"%.80s\" is no network of ours, expected one of %s",
                          name, sosie_arch_names());
    sosie_random_seed(&b.random, seed);
    x = relu(&b, conv(&b, input, arch->stem, 3, 2, 1));
    for (size_t s = 0; s < N_STAGES; s++)
        for (size_t i = 0; i < arch->blocks[s]; i++)
            x = block(&b, x, arch->widths[s], i ? 1 : 2);
    *features = means(&b, x);
    return b.st;
}

/* ---- colours ------------------------------------------------------------- */

/* Means of squares of pixels, so that about COLOUR_SIDE by COLOUR_SIDE are left
 * of an image. */
enum { COLOUR_SIDE = 64 };

static sosie_value_id shrink(struct builder *b, sosie_value_id x)
{
    const size_t *dims = b->graph->values[x].shape.dims;
    size_t y = dims[2] < 2 * COLOUR_SIDE ? 1 : dims[2] / COLOUR_SIDE;
    size_t w = dims[3] < 2 * COLOUR_SIDE ? 1 : dims[3] / COLOUR_SIDE;
    struct sosie_node pool = {
        .op = SOSIE_OP_AVERAGE_POOL, .n_inputs = 1, .inputs = {x}};
    pool.pool.window = (struct sosie_window){
        .kernel = {y, w}, .strides = {y, w}, .dilations = {1, 1}};
    return y == 1 && w == 1 ? x : add(b, &pool);
}

enum sosie_status sosie_arch_add_colour(struct sosie_graph *graph,
                                        sosie_value_id input, uint64_t seed,
                                        sosie_value_id *means_of,
                                        struct sosie_error *err)
{
    struct builder b = {
        .graph = graph, .prefix = SOSIE_COLOUR_BODY, .err = err};
    struct sosie_node concat = {
        .op = SOSIE_OP_CONCAT, .n_inputs = 2, .axis = 1};
    sosie_value_id x = shrink(&b, input), y;
    sosie_random_seed(&b.random, seed);
    y = relu(&b, conv(&b, x, 32, 1, 1, 1));
    y = relu(&b, conv(&b, y, 64, 1, 1, 1));
    concat.inputs[0] = means(&b, y);
    y = relu(&b, conv(&b, x, 32, 3, 2, 1));
    y = relu(&b, conv(&b, y, 64, 3, 2, 1));
    y = relu(&b, conv(&b, y, 96, 3, 1, 1));
    y = relu(&b, conv(&b, y, 128, 3, 2, 1));
    y = relu(&b, conv(&b, y, 192, 1, 1, 1));
    concat.inputs[1] = means(&b, y);
    *means_of = add(&b, &concat);
    return b.st;
}
