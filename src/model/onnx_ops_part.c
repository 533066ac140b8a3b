/* onnx_ops_part.c: reading what takes parts of a tensor or adds to its rim. */
#include "model/onnx_private.h"

#include <string.h>

static const struct sosie_shape *
input_shape(const struct sosie_onnx_source *source)
{
    return &sosie_onnx_input(source, 0)->shape;
}

/* ---- Slice --------------------------------------------------------------- */

/* All of a tensor. */
static struct sosie_slice whole(const struct sosie_shape *shape)
{
    struct sosie_slice slice = {{0}, {0}, {0}};
    for (size_t d = 0; d < shape->rank; d++) {
        slice.count[d] = shape->dims[d];
        slice.step[d] = 1;
    }
    return slice;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* From `start` to before `end` along dimension d, as the format counts: from
 * the end if negative, and at most to either end. */
static enum sosie_status cut(struct sosie_slice *slice, size_t d, int64_t start,
                             int64_t end, int64_t step, struct sosie_error *err)
{
    int64_t dim = (int64_t)slice->count[d], most = (int64_t)SOSIE_MAX_ELEMENTS;
    if (!step)
        return sosie_fail(err, SOSIE_BAD_INPUT, "a step of 0");
    if (!dim)
        return SOSIE_OK;
    start = start < 0 ? start + dim : start;
    end = end < 0 ? end + dim : end;
    step = clamp(step, 1 - most, most - 1); /* beyond any dimension */
    if (step > 0) {
        start = clamp(start, 0, dim);
        end = clamp(end, start, dim);
        slice->count[d] = (size_t)((end - start + step - 1) / step);
    } else {
        start = clamp(start, 0, dim - 1);
        end = clamp(end, -1, start);
        slice->count[d] = (size_t)((start - end - step - 1) / -step);
    }
    slice->start[d] = slice->count[d] ? (size_t)start : 0;
    slice->step[d] = step;
    return SOSIE_OK;
}

/* Attributes before opset 10, inputs since. */
enum sosie_status sosie_onnx_slice(struct sosie_onnx_source *source,
                                   struct sosie_node *node,
                                   struct sosie_error *err)
{
    const struct sosie_shape *in = input_shape(source);
    struct sosie_onnx_ints starts, ends, axes, steps;
    bool is_cut[SOSIE_MAX_RANK] = {false};
    enum sosie_status st;
    if ((st = sosie_onnx_list(source, "starts", 1, 10, &starts, err)) ||
        (st = sosie_onnx_list(source, "ends", 2, 10, &ends, err)) ||
        (st = sosie_onnx_list(source, "axes", 3, 10, &axes, err)) ||
        (st = sosie_onnx_input_ints(source, 4, &steps, err)))
        return st;
    if (!starts.given || ends.n != starts.n ||
        (axes.given && axes.n != starts.n) ||
        (steps.given && steps.n != starts.n) || starts.n > in->rank)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu starts, %zu ends, %zu axes and %zu steps for an "
                          "input of %s",
                          starts.n, ends.n, axes.n, steps.n,
                          sosie_shape_text(in).text);
    node->slice = whole(in);
    node->n_inputs = 1;
    for (size_t i = 0; i < starts.n && !st; i++) {
        size_t d = i;
        if (axes.given)
            st = sosie_onnx_axis(axes.values[i], in->rank, &d, err);
        if (!st && is_cut[d])
            st =
                sosie_fail(err, SOSIE_BAD_INPUT, "axis %zu is listed twice", d);
        if (!st)
            st = cut(&node->slice, d, starts.values[i], ends.values[i],
                     steps.given ? steps.values[i] : 1, err);
        is_cut[d] = true;
    }
    return st;
}

/* ---- Split --------------------------------------------------------------- */

/* The size of part k, where none are given: equal ones; the last may be smaller
 * if the number of parts is. */
static enum sosie_status equal_parts(const struct sosie_onnx_source *source,
                                     size_t dim, size_t *part,
                                     struct sosie_error *err)
{
    size_t n = source->proto->n_output;
    int64_t given = 0;
    enum sosie_status st =
        sosie_onnx_int(source->proto, "num_outputs", &given, err);
    if (st)
        return st;
    *part = (dim + n - 1) / n;
    if ((given && given != (int64_t)n) || (!given && dim % n) ||
        *part * (n - 1) >= dim)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu elements cannot be split into %zu equal parts",
                          dim, n);
    return SOSIE_OK;
}

static enum sosie_status one_part(struct sosie_onnx_source *source, size_t k,
                                  size_t axis, size_t start, int64_t count,
                                  struct sosie_error *err)
{
    struct sosie_node node = {
        .op = SOSIE_OP_SLICE, .n_inputs = 1, .inputs = {source->inputs[0]}};
    size_t dim = input_shape(source)->dims[axis];
    if (count < 0 || start > dim || (size_t)count > dim - start)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "part %zu has %lld elements from %zu on; the input "
                          "has %zu",
                          k, (long long)count, start, dim);
    node.slice = whole(input_shape(source));
    node.slice.start[axis] = start;
    node.slice.count[axis] = (size_t)count;
    if (!*sosie_onnx_text(source->proto->output[k])) /* nobody reads it */
        return SOSIE_OK;
    return sosie_onnx_finish(source, &node, k, err);
}

enum sosie_status sosie_onnx_split(struct sosie_onnx_source *source,
                                   struct sosie_error *err)
{
    size_t axis, dim, equal = 0, start = 0, n = source->proto->n_output;
    struct sosie_onnx_ints parts;
    int64_t given = 0;
    enum sosie_status st = sosie_onnx_int(source->proto, "axis", &given, err);
    if (!st)
        st = sosie_onnx_axis(given, input_shape(source)->rank, &axis, err);
    if (!st)
        st = sosie_onnx_list(source, "split", 1, 13, &parts, err);
    if (st)
        return st;
    dim = input_shape(source)->dims[axis];
    if (parts.given && parts.n != n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu sizes of parts for %zu outputs", parts.n, n);
    if (!parts.given)
        st = equal_parts(source, dim, &equal, err);
    for (size_t k = 0; k < n && !st; k++) {
        size_t left = dim - start;
        int64_t count = parts.given ? parts.values[k]
                                    : (int64_t)(equal < left ? equal : left);
        st = one_part(source, k, axis, start, count, err);
        start += (size_t)count;
    }
    if (!st && start != dim)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the parts have %zu elements; the input has %zu",
                          start, dim);
    return st;
}

/* ---- Pad ----------------------------------------------------------------- */

static enum sosie_status read_pad_value(const struct sosie_onnx_source *source,
                                        float *value, struct sosie_error *err)
{
    const float *given;
    size_t n;
    enum sosie_status st;
    *value = 0.0F;
    if (source->opset < 11)
        return sosie_onnx_float(source->proto, "value", value, err);
    st = sosie_onnx_input_floats(source, 2, &given, &n, err);
    if (!st && given && n != 1)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu values to pad with; expected one", n);
    if (!st && given)
        *value = *given;
    return st;
}

enum sosie_status sosie_onnx_pad(struct sosie_onnx_source *source,
                                 struct sosie_node *node,
                                 struct sosie_error *err)
{
    /* in the order of enum sosie_pad_mode */
    static const char *const modes[] = {"constant", "reflect", "edge", NULL};
    size_t rank = input_shape(source)->rank, n = rank;
    struct sosie_onnx_ints pads, axes;
    unsigned mode = SOSIE_PAD_CONSTANT;
    enum sosie_status st;

    node->pad = (struct sosie_pad){.mode = SOSIE_PAD_CONSTANT};
    if ((st = sosie_onnx_word(source->proto, "mode", modes, &mode, err)) ||
        (st = sosie_onnx_list(source, "pads", 1, 11, &pads, err)) ||
        (st = sosie_onnx_input_ints(source, 3, &axes, err)) ||
        (st = read_pad_value(source, &node->pad.value, err)))
        return st;
    if (axes.given)
        n = axes.n;
    if (n > rank || pads.n != 2 * n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu pads for %zu dimensions; expected two each",
                          pads.n, n);
    node->pad.mode = (enum sosie_pad_mode)mode;
    node->n_inputs = 1;
    for (size_t i = 0; i < n && !st; i++) {
        size_t d = i;
        if (axes.given)
            st = sosie_onnx_axis(axes.values[i], rank, &d, err);
        if (st)
            return st;
        node->pad.begin[d] = pads.values[i];
        node->pad.end[d] = pads.values[n + i];
    }
    return st;
}
