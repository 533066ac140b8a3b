/* onnx_ops_shape.c: reading what gives the same elements another shape or
 * order, or repeats them. */
#include "model/onnx_private.h"

#include <string.h>

static const struct sosie_shape *
input_shape(const struct sosie_onnx_source *source)
{
    return &sosie_onnx_input(source, 0)->shape;
}

/* ---- the same elements in another shape ---------------------------------- */

enum sosie_status sosie_onnx_flatten(struct sosie_onnx_source *source,
                                     struct sosie_node *node,
                                     struct sosie_error *err)
{
    node->axis = 1;
    return sosie_onnx_int(source->proto, "axis", &node->axis, err);
}

/* A shape, which is input 1. */
static enum sosie_status read_shape(struct sosie_onnx_source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    struct sosie_onnx_ints shape;
    enum sosie_status st = sosie_onnx_input_ints(source, 1, &shape, err);
    if (st)
        return st;
    if (shape.shape.rank != 1 || shape.n > SOSIE_MAX_RANK)
        return sosie_fail(err, SOSIE_REFUSED,
                          "shape '%.80s' is %s; up to %d numbers are supported",
                          sosie_onnx_input(source, 1)->name,
                          sosie_shape_text(&shape.shape).text, SOSIE_MAX_RANK);
    node->reshape = (struct sosie_reshape){.rank = shape.n};
    if (shape.n)
        memcpy(node->reshape.dims, shape.values,
               shape.n * sizeof(*shape.values));
    node->n_inputs = 1;
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_reshape(struct sosie_onnx_source *source,
                                     struct sosie_node *node,
                                     struct sosie_error *err)
{
    enum sosie_status st = read_shape(source, node, err);
    return st ? st
              : sosie_onnx_flag(source->proto, "allowzero",
                                &node->reshape.allow_zero, err);
}

/* Makes the node a Reshape to `shape`. */
static void reshape_to(struct sosie_node *node, const struct sosie_shape *shape)
{
    node->op = SOSIE_OP_RESHAPE;
    node->n_inputs = 1;
    node->reshape =
        (struct sosie_reshape){.rank = shape->rank, .allow_zero = true};
    for (size_t d = 0; d < shape->rank; d++)
        node->reshape.dims[d] = (int64_t)shape->dims[d];
}

/* Which of `rank` axes are listed; BAD_INPUT if one is listed twice. */
static enum sosie_status mark_axes(const struct sosie_onnx_ints *axes,
                                   size_t rank, bool *is_listed,
                                   struct sosie_error *err)
{
    for (size_t i = 0; i < axes->n; i++) {
        size_t axis;
        enum sosie_status st =
            sosie_onnx_axis(axes->values[i], rank, &axis, err);
        if (st)
            return st;
        if (is_listed[axis])
            return sosie_fail(err, SOSIE_BAD_INPUT, "axis %zu is listed twice",
                              axis);
        is_listed[axis] = true;
    }
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_squeeze(struct sosie_onnx_source *source,
                                     struct sosie_node *node,
                                     struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(source);
    bool is_listed[SOSIE_MAX_RANK] = {false};
    struct sosie_shape out = {0};
    struct sosie_onnx_ints axes;
    enum sosie_status st = sosie_onnx_list(source, "axes", 1, 13, &axes, err);
    if (!st)
        st = mark_axes(&axes, in->rank, is_listed, err);
    if (st)
        return st;
    for (size_t d = 0; d < in->rank; d++) {
        if (is_listed[d] && in->dims[d] != 1)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "axis %zu of %s is not 1 and cannot go", d,
                              sosie_shape_text(in).text);
        if (axes.given ? !is_listed[d] : in->dims[d] != 1)
            out.dims[out.rank++] = in->dims[d];
    }
    reshape_to(node, &out);
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_unsqueeze(struct sosie_onnx_source *source,
                                       struct sosie_node *node,
                                       struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(source);
    bool is_new[SOSIE_MAX_RANK] = {false};
    struct sosie_shape out = {0};
    struct sosie_onnx_ints axes;
    enum sosie_status st = sosie_onnx_list(source, "axes", 1, 13, &axes, err);
    if (st)
        return st;
    if (!axes.given)
        return sosie_fail(err, SOSIE_BAD_INPUT, "axes are missing");
    if (axes.n > SOSIE_MAX_RANK - in->rank)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu axes more than %s has; %d in all are supported",
                          axes.n, sosie_shape_text(in).text, SOSIE_MAX_RANK);
    out.rank = in->rank + axes.n;
    st = mark_axes(&axes, out.rank, is_new, err);
    for (size_t d = 0, from = 0; d < out.rank && !st; d++)
        out.dims[d] = is_new[d] ? 1 : in->dims[from++];
    reshape_to(node, &out);
    return st;
}

/* ---- other orders -------------------------------------------------------- */

enum sosie_status sosie_onnx_transpose(struct sosie_onnx_source *source,
                                       struct sosie_node *node,
                                       struct sosie_error *err)
{
    size_t rank = input_shape(source)->rank;
    for (size_t d = 0; d < rank; d++)
        node->permutation[d] = rank - 1 - d;
    return sosie_onnx_sizes(source->proto, "perm", rank, node->permutation,
                            err);
}

enum sosie_status sosie_onnx_concat(struct sosie_onnx_source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    const Onnx__AttributeProto *attribute;
    enum sosie_status st = sosie_onnx_find(source->proto, "axis",
                                           ONNX_ATTRIBUTE_INT, &attribute, err);
    if (!st && !attribute)
        return sosie_fail(err, SOSIE_BAD_INPUT, "attribute 'axis' is missing");
    if (!st)
        node->axis = attribute->i;
    return st;
}

enum sosie_status sosie_onnx_expand(struct sosie_onnx_source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    return read_shape(source, node, err);
}

/* The indices are copied: they must live as long as the graph. */
enum sosie_status sosie_onnx_gather(struct sosie_onnx_source *source,
                                    struct sosie_node *node,
                                    struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(source);
    struct sosie_gather *gather = &node->gather;
    struct sosie_value indices = {.dtype = SOSIE_I64};
    struct sosie_onnx_ints given;
    size_t axis = 0;
    void *room;
    enum sosie_status st = sosie_onnx_input_ints(source, 1, &given, err);
    gather->axis = 0;
    if (!st)
        st = sosie_onnx_int(source->proto, "axis", &gather->axis, err);
    if (!st)
        st = sosie_onnx_axis(gather->axis, in->rank, &axis, err);
    indices.shape = given.shape;
    if (!st)
        st = sosie_onnx_room(source->store, &indices, &room, err);
    if (st)
        return st;
    for (size_t i = 0; i < given.n; i++) {
        int64_t index = given.values[i];
        ((int64_t *)room)[i] =
            index < 0 ? index + (int64_t)in->dims[axis] : index;
    }
    gather->indices = indices.data;
    gather->shape = indices.shape;
    node->n_inputs = 1;
    return SOSIE_OK;
}

/* ---- space and depth ----------------------------------------------------- */

/* Reshape to `between`, transpose, reshape to `out`. */
static enum sosie_status rearrange(struct sosie_onnx_source *source,
                                   const struct sosie_shape *between,
                                   const size_t permutation[SOSIE_MAX_RANK],
                                   const struct sosie_shape *out,
                                   struct sosie_error *err)
{
    struct sosie_node node = {.inputs = {source->inputs[0]}};
    enum sosie_status st;
    reshape_to(&node, between);
    st = sosie_onnx_emit(source, &node, &node.inputs[0], err);
    if (st)
        return st;
    node.op = SOSIE_OP_TRANSPOSE;
    memcpy(node.permutation, permutation, sizeof(node.permutation));
    st = sosie_onnx_emit(source, &node, &node.inputs[0], err);
    reshape_to(&node, out);
    return st ? st : sosie_onnx_finish(source, &node, 0, err);
}

/* The block size; the input (N, C, H, W) has whole blocks. */
static enum sosie_status read_block(const struct sosie_onnx_source *source,
                                    bool to_depth, size_t *block,
                                    struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(source);
    int64_t b = 0;
    bool fits;
    enum sosie_status st = sosie_onnx_int(source->proto, "blocksize", &b, err);
    if (st)
        return st;
    fits = in->rank == 4 && b > 0 && b < 1 << 15;
    *block = fits ? (size_t)b : 1;
    if (fits && to_depth)
        fits = in->dims[2] % *block == 0 && in->dims[3] % *block == 0;
    else if (fits)
        fits = in->dims[1] % (*block * *block) == 0;
    if (fits)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "blocks of %lld do not fit an input of %s", (long long)b,
                      sosie_shape_text(in).text);
}

enum sosie_status sosie_onnx_space_to_depth(struct sosie_onnx_source *source,
                                            struct sosie_error *err)
{
    static const size_t permutation[SOSIE_MAX_RANK] = {0, 3, 5, 1, 2, 4};
    const struct sosie_shape in = *input_shape(source);
    size_t b;
    enum sosie_status st = read_block(source, true, &b, err);
    if (st)
        return st;
    return rearrange(
        source,
        &(struct sosie_shape){
            6, {in.dims[0], in.dims[1], in.dims[2] / b, b, in.dims[3] / b, b}},
        permutation,
        &(struct sosie_shape){
            4,
            {in.dims[0], in.dims[1] * b * b, in.dims[2] / b, in.dims[3] / b}},
        err);
}

/* In mode DCR the channels of a block's elements are C / b^2 apart, in mode CRD
 * they are next to one another. */
enum sosie_status sosie_onnx_depth_to_space(struct sosie_onnx_source *source,
                                            struct sosie_error *err)
{
    static const char *const modes[] = {"DCR", "CRD", NULL};
    static const size_t permutations[2][SOSIE_MAX_RANK] = {{0, 3, 4, 1, 5, 2},
                                                           {0, 1, 4, 2, 5, 3}};
    const struct sosie_shape in = *input_shape(source);
    struct sosie_shape between = {6, {in.dims[0]}};
    unsigned mode = 0;
    size_t b, depth;
    enum sosie_status st = read_block(source, false, &b, err);
    if (!st)
        st = sosie_onnx_word(source->proto, "mode", modes, &mode, err);
    if (st)
        return st;
    depth = in.dims[1] / (b * b);
    between.dims[1] = mode ? depth : b;
    between.dims[2] = b;
    between.dims[3] = mode ? b : depth;
    between.dims[4] = in.dims[2];
    between.dims[5] = in.dims[3];
    return rearrange(
        source, &between, permutations[mode],
        &(struct sosie_shape){
            4, {in.dims[0], depth, in.dims[2] * b, in.dims[3] * b}},
        err);
}
