/* onnx_write_ops.c: each of our ops as one of ONNX's, or several: parameters
 * become attributes and constant inputs, as opset 20 has them. */
#include "model/onnx_write_private.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* A node while it is written. */
struct writing {
    struct sosie_onnx_writer *writer;
    const struct sosie_node *node;
    Onnx__NodeProto *proto;
};

static const struct sosie_shape *shape_of(const struct writing *w,
                                          sosie_value_id id)
{
    return &w->writer->graph->values[id].shape;
}

static void add_int(const struct writing *w, const char *name, int64_t value)
{
    sosie_onnx_add_int(w->writer, w->proto, name, value);
}

static void add_float(const struct writing *w, const char *name, float value)
{
    sosie_onnx_add_float(w->writer, w->proto, name, value);
}

static void add_sizes(const struct writing *w, const char *name,
                      const size_t *sizes, size_t n)
{
    int64_t values[SOSIE_MAX_RANK];
    assert(n <= SOSIE_MAX_RANK);
    for (size_t i = 0; i < n; i++)
        values[i] = (int64_t)sizes[i];
    sosie_onnx_add_ints(w->writer, w->proto, name, values, n);
}

/* "NODE.what", for a constant that only this node reads. */
static char *name_for(const struct writing *w, const char *what)
{
    char *name =
        sosie_arena_printf(&w->writer->arena, "%.200s.%s", w->node->name, what);
    static char none[] = "";
    w->writer->out_of_memory = w->writer->out_of_memory || !name;
    return name ? name : none;
}

static void add_list(const struct writing *w, const char *what,
                     const int64_t *values, size_t n)
{
    sosie_onnx_add_input(
        w->writer, w->proto,
        sosie_onnx_add_list(w->writer, name_for(w, what), values, n));
}

static void add_floats(const struct writing *w, const char *what,
                       const float *values, const struct sosie_shape *shape)
{
    size_t size = sosie_shape_count(shape) * sizeof(*values);
    sosie_onnx_add_input(w->writer, w->proto,
                         sosie_onnx_add_tensor(w->writer, name_for(w, what),
                                               ONNX_FLOAT, shape, values,
                                               size));
}

/* A node between others, whose result has a name of its own. */
static char *add_between(const struct writing *w, const char *op, char *input,
                         Onnx__NodeProto **proto)
{
    char *output = sosie_onnx_new_name(w->writer, name_for(w, op));
    *proto = sosie_onnx_add_node(w->writer, op, name_for(w, op), output);
    sosie_onnx_add_input(w->writer, *proto, input);
    return output;
}

/* ---- functions of one number --------------------------------------------- */

static void write_clip(const struct writing *w)
{
    static char none[] = "";
    const struct sosie_act *act = &w->node->act;
    struct sosie_shape scalar = {0};
    if (isfinite(act->a))
        add_floats(w, "min", &act->a, &scalar);
    else if (isfinite(act->b))
        sosie_onnx_add_input(w->writer, w->proto, none);
    if (isfinite(act->b))
        add_floats(w, "max", &act->b, &scalar);
}

static void write_act(const struct writing *w)
{
    const struct sosie_act *act = &w->node->act;
    switch ((unsigned)w->node->op) {
    case SOSIE_OP_CLIP:
        write_clip(w);
        break;
    case SOSIE_OP_ELU:
    case SOSIE_OP_LEAKY_RELU:
        add_float(w, "alpha", act->a);
        break;
    case SOSIE_OP_HARD_SIGMOID:
        add_float(w, "alpha", act->a);
        add_float(w, "beta", act->b);
        break;
    case SOSIE_OP_GELU:
        sosie_onnx_add_string(w->writer, w->proto, "approximate",
                              act->a != 0.0F ? "tanh" : "none");
        break;
    default:
        break;
    }
}

/* ---- layers -------------------------------------------------------------- */

static void write_window(const struct writing *w,
                         const struct sosie_window *window)
{
    add_sizes(w, "kernel_shape", window->kernel, 2);
    add_sizes(w, "strides", window->strides, 2);
    add_sizes(w, "dilations", window->dilations, 2);
    add_sizes(w, "pads", window->pads, 4);
}

static void write_pool(const struct writing *w)
{
    write_window(w, &w->node->pool.window);
    add_int(w, "ceil_mode", w->node->pool.ceil_mode);
    if (w->node->op == SOSIE_OP_AVERAGE_POOL)
        add_int(w, "count_include_pad", w->node->pool.counts_padding);
}

static void write_gemm(const struct writing *w)
{
    const struct sosie_gemm *gemm = &w->node->gemm;
    add_float(w, "alpha", gemm->alpha);
    add_float(w, "beta", gemm->beta);
    add_int(w, "transA", gemm->trans_a);
    add_int(w, "transB", gemm->trans_b);
}

static void write_reduce(const struct writing *w)
{
    size_t rank = shape_of(w, w->node->inputs[0])->rank, n = 0;
    int64_t axes[SOSIE_MAX_RANK];
    for (size_t d = 0; d < rank; d++)
        if (w->node->reduce.axes[d])
            axes[n++] = (int64_t)d;
    add_list(w, "axes", axes, n);
    add_int(w, "keepdims", w->node->reduce.keep_dims);
    add_int(w, "noop_with_empty_axes", 1);
}

/* ---- shapes and parts ---------------------------------------------------- */

static void write_reshape(const struct writing *w)
{
    int64_t dims[SOSIE_MAX_RANK];
    sosie_onnx_batch_dims(&w->writer->batch, w->writer->graph,
                          w->node->inputs[0], w->node->output, dims);
    add_list(w, "shape", dims, shape_of(w, w->node->output)->rank);
}

static void write_slice(const struct writing *w)
{
    const struct sosie_shape *in = shape_of(w, w->node->inputs[0]);
    const struct sosie_slice *slice = &w->node->slice;
    int64_t starts[SOSIE_MAX_RANK], ends[SOSIE_MAX_RANK];
    int64_t axes[SOSIE_MAX_RANK], steps[SOSIE_MAX_RANK];
    size_t n = 0;
    for (size_t d = 0; d < in->rank; d++) {
        int64_t step = slice->step[d], start = (int64_t)slice->start[d];
        int64_t last = start + (int64_t)(slice->count[d] - 1) * step;
        if (slice->count[d] == in->dims[d] && step == 1)
            continue;
        axes[n] = (int64_t)d;
        starts[n] = start;
        steps[n] = step;
        ends[n] = step > 0 ? last + 1 : last - 1;
        if (ends[n] < 0) /* to before the first: negative ones mean the end */
            ends[n] = INT64_MIN;
        n++;
    }
    add_list(w, "starts", starts, n);
    add_list(w, "ends", ends, n);
    add_list(w, "axes", axes, n);
    add_list(w, "steps", steps, n);
}

static void write_pad(const struct writing *w)
{
    static const char *const modes[] = {"constant", "reflect", "edge"};
    const struct sosie_pad *pad = &w->node->pad;
    size_t rank = shape_of(w, w->node->inputs[0])->rank;
    struct sosie_shape scalar = {0};
    int64_t pads[2 * SOSIE_MAX_RANK];
    memcpy(pads, pad->begin, rank * sizeof(*pads));
    memcpy(pads + rank, pad->end, rank * sizeof(*pads));
    add_list(w, "pads", pads, 2 * rank);
    if (pad->mode == SOSIE_PAD_CONSTANT)
        add_floats(w, "value", &pad->value, &scalar);
    sosie_onnx_add_string(w->writer, w->proto, "mode", modes[pad->mode]);
}

static void write_gather(const struct writing *w)
{
    const struct sosie_gather *gather = &w->node->gather;
    size_t n = sosie_shape_count(&gather->shape);
    sosie_onnx_add_input(
        w->writer, w->proto,
        sosie_onnx_add_tensor(w->writer, name_for(w, "indices"), ONNX_INT64,
                              &gather->shape, gather->indices,
                              n * sizeof(*gather->indices)));
    add_int(w, "axis", gather->axis);
}

/* The sizes as scales, which are the same for any batch, if they say the same.
 */
static void write_resize(const struct writing *w)
{
    static const char *const coordinates[] = {
        "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"};
    static const char *const roundings[] = {
        "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static char none[] = "";
    const struct sosie_resize *resize = &w->node->resize;
    const struct sosie_shape *in = shape_of(w, w->node->inputs[0]);
    struct sosie_shape list = {1, {in->rank}};
    bool as_scales = true;
    int64_t sizes[SOSIE_MAX_RANK];
    for (size_t d = 0; d < in->rank; d++) {
        double size = (double)in->dims[d] * (double)resize->scales[d];
        sizes[d] = (int64_t)resize->sizes[d];
        as_scales = as_scales && (size_t)floor(size) == resize->sizes[d];
    }
    sosie_onnx_add_input(w->writer, w->proto, none);
    if (as_scales) {
        add_floats(w, "scales", resize->scales, &list);
    } else {
        sosie_onnx_add_input(w->writer, w->proto, none);
        add_list(w, "sizes", sizes, in->rank);
    }
    sosie_onnx_add_string(w->writer, w->proto, "mode",
                          resize->linear ? "linear" : "nearest");
    sosie_onnx_add_string(w->writer, w->proto, "coordinate_transformation_mode",
                          coordinates[resize->coordinates]);
    if (!resize->linear)
        sosie_onnx_add_string(w->writer, w->proto, "nearest_mode",
                              roundings[resize->rounding]);
}

/* ---- quantisation -------------------------------------------------------- */

static void write_zeros(const struct writing *w, enum sosie_dtype dtype,
                        const struct sosie_quant *quant,
                        const struct sosie_shape *shape)
{
    size_t size = sosie_dtype_size(dtype);
    unsigned char *zeros =
        sosie_arena_alloc(&w->writer->arena, quant->n, sizeof(int32_t));
    int32_t type = dtype == SOSIE_U8   ? ONNX_UINT8
                   : dtype == SOSIE_I8 ? ONNX_INT8
                                       : ONNX_INT32;
    if (!zeros) {
        w->writer->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < quant->n; i++) /* the low bytes come first */
        memcpy(zeros + i * size, &quant->zero_points[i], size);
    sosie_onnx_add_input(w->writer, w->proto,
                         sosie_onnx_add_tensor(w->writer, name_for(w, "zero"),
                                               type, shape, zeros,
                                               quant->n * size));
}

static void write_quantize(const struct writing *w)
{
    const struct sosie_quant *quant = &w->node->quantize.quant;
    struct sosie_shape shape = {quant->n > 1, {quant->n}};
    enum sosie_dtype dtype = w->node->quantize.dtype;
    if (w->node->op == SOSIE_OP_DEQUANTIZE)
        dtype = w->writer->graph->values[w->node->inputs[0]].dtype;
    add_floats(w, "scale", quant->scales, &shape);
    write_zeros(w, dtype, quant, &shape);
    if (quant->n > 1)
        add_int(w, "axis", (int64_t)quant->axis);
}

/* ---- what is no single op ------------------------------------------------ */

/* x * Sigmoid(x) */
static void write_swish(struct writing *w)
{
    char *x = sosie_onnx_name_of(w->writer, w->node->inputs[0]);
    char *sigmoid = add_between(w, "Sigmoid", x, &w->proto);
    w->proto =
        sosie_onnx_add_node(w->writer, "Mul", w->node->name,
                            sosie_onnx_name_of(w->writer, w->node->output));
    sosie_onnx_add_input(w->writer, w->proto, x);
    sosie_onnx_add_input(w->writer, w->proto, sigmoid);
}

/* A Softmax over several dimensions: as rows, and back. */
static void write_softmax_rows(struct writing *w)
{
    const struct sosie_shape *out = shape_of(w, w->node->output);
    int64_t dims[SOSIE_MAX_RANK] = {-1}; /* the batch, if it is open */
    char *name = sosie_onnx_name_of(w->writer, w->node->inputs[0]);
    name = add_between(w, "Flatten", name, &w->proto);
    add_int(w, "axis", w->node->softmax.axis);
    name = add_between(w, "Softmax", name, &w->proto);
    add_int(w, "axis", 1);
    w->proto =
        sosie_onnx_add_node(w->writer, "Reshape", w->node->name,
                            sosie_onnx_name_of(w->writer, w->node->output));
    sosie_onnx_add_input(w->writer, w->proto, name);
    for (size_t d = 1; d < out->rank; d++)
        dims[d] = (int64_t)out->dims[d];
    add_list(w, "shape", dims, out->rank);
}

/* A constant of one photo, repeated for as many as there are. */
static char *repeated(const struct writing *w, size_t k)
{
    sosie_value_id batched = w->node->inputs[0];
    const struct sosie_shape *shape = shape_of(w, w->node->inputs[k]);
    char *n, *wanted;
    Onnx__NodeProto *proto;
    struct writing part = *w;
    int64_t rest[SOSIE_MAX_RANK];

    for (size_t i = 0; i < w->node->n_inputs; i++)
        if (sosie_onnx_batch_axis(&w->writer->batch, w->writer->graph,
                                  w->node->inputs[i]) == 0)
            batched = w->node->inputs[i];
    n = add_between(w, "Shape", sosie_onnx_name_of(w->writer, batched), &proto);
    sosie_onnx_add_int(w->writer, proto, "start", 0);
    sosie_onnx_add_int(w->writer, proto, "end", 1);
    for (size_t d = 1; d < shape->rank; d++)
        rest[d - 1] = (int64_t)shape->dims[d];
    wanted = add_between(w, "Concat", n, &part.proto);
    add_list(&part, "rest", rest, shape->rank - 1);
    add_int(&part, "axis", 0);
    n = add_between(w, "Expand",
                    sosie_onnx_name_of(w->writer, w->node->inputs[k]), &proto);
    sosie_onnx_add_input(w->writer, proto, wanted);
    return n;
}

/* ---- any op -------------------------------------------------------------- */

static void write_parameters(const struct writing *w)
{
    const struct sosie_node *node = w->node;
    const struct sosie_shape *out = shape_of(w, node->output);
    switch ((unsigned)node->op) {
    case SOSIE_OP_AVERAGE_POOL:
    case SOSIE_OP_MAX_POOL:
        write_pool(w);
        break;
    case SOSIE_OP_BATCH_NORM:
        add_float(w, "epsilon", node->epsilon);
        break;
    case SOSIE_OP_CONCAT:
    case SOSIE_OP_FLATTEN:
        add_int(w, "axis", node->axis);
        break;
    case SOSIE_OP_CONV:
        write_window(w, &node->conv.window);
        add_int(w, "group", (int64_t)node->conv.group);
        break;
    case SOSIE_OP_DEQUANTIZE:
    case SOSIE_OP_QUANTIZE:
        write_quantize(w);
        break;
    case SOSIE_OP_EXPAND:
        add_list(w, "shape", node->reshape.dims, node->reshape.rank);
        break;
    case SOSIE_OP_GATHER:
        write_gather(w);
        break;
    case SOSIE_OP_GEMM:
        write_gemm(w);
        break;
    case SOSIE_OP_LAYER_NORM:
        add_int(w, "axis", node->layer_norm.axis);
        add_float(w, "epsilon", node->layer_norm.epsilon);
        break;
    case SOSIE_OP_LP_NORM:
        add_int(w, "axis", node->lp_norm.axis);
        add_int(w, "p", node->lp_norm.p);
        break;
    case SOSIE_OP_PAD:
        write_pad(w);
        break;
    case SOSIE_OP_REDUCE_L2:
    case SOSIE_OP_REDUCE_MEAN:
    case SOSIE_OP_REDUCE_SUM:
        write_reduce(w);
        break;
    case SOSIE_OP_RESHAPE:
        write_reshape(w);
        break;
    case SOSIE_OP_RESIZE:
        write_resize(w);
        break;
    case SOSIE_OP_SLICE:
        write_slice(w);
        break;
    case SOSIE_OP_SOFTMAX:
        add_int(w, "axis", node->softmax.axis);
        break;
    case SOSIE_OP_TRANSPOSE:
        add_sizes(w, "perm", node->permutation, out->rank);
        break;
    default:
        write_act(w);
        break;
    }
}

/* Does Softmax run over more than one dimension? */
static bool has_rows(const struct writing *w)
{
    const struct sosie_shape *in = shape_of(w, w->node->inputs[0]);
    return w->node->op == SOSIE_OP_SOFTMAX && w->node->softmax.flatten &&
           sosie_shape_product(in, (size_t)w->node->softmax.axis + 1,
                               in->rank) > 1;
}

void sosie_onnx_write_node(struct sosie_onnx_writer *writer,
                           const struct sosie_node *node)
{
    struct writing w = {writer, node, NULL};
    char *inputs[SOSIE_MAX_INPUTS];
    static char none[] = "";
    assert(!node->n_posts);
    if (node->op == SOSIE_OP_SWISH) {
        write_swish(&w);
        return;
    }
    if (has_rows(&w)) {
        write_softmax_rows(&w);
        return;
    }
    for (size_t k = 0; k < node->n_inputs; k++)
        inputs[k] =
            node->inputs[k] == SOSIE_NO_VALUE ? none
            : sosie_onnx_batch_repeats(&writer->batch, writer->graph, node, k)
                ? repeated(&w, k)
                : sosie_onnx_name_of(writer, node->inputs[k]);
    w.proto = sosie_onnx_add_node(writer, sosie_op_name(node->op), node->name,
                                  sosie_onnx_name_of(writer, node->output));
    for (size_t k = 0; k < node->n_inputs; k++)
        sosie_onnx_add_input(writer, w.proto, inputs[k]);
    write_parameters(&w);
}
