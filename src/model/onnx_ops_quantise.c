/* onnx_ops_quantise.c: reading QuantizeLinear, DequantizeLinear, and
 * QLinearConv, which is a convolution between the two. */
#include "model/onnx_private.h"

/* ---- scales and zero points ---------------------------------------------- */

static int32_t element(const struct sosie_value *value, size_t i)
{
    switch (value->dtype) {
    case SOSIE_U8:
        return ((const uint8_t *)value->data)[i];
    case SOSIE_I8:
        return ((const int8_t *)value->data)[i];
    case SOSIE_I64: /* was int32 */
        return (int32_t)((const int64_t *)value->data)[i];
    case SOSIE_F32:
    case SOSIE_I32:
        break;
    }
    return 0;
}

/* Zero points are constants of the quantised type; without them they are 0. */
static enum sosie_status check_zeros(const struct sosie_value *zeros, size_t n,
                                     struct sosie_error *err)
{
    bool fits;
    if (!zeros)
        return SOSIE_OK;
    fits = zeros->data && zeros->dtype != SOSIE_F32 &&
           sosie_shape_count(&zeros->shape) == n;
    for (size_t i = 0; i < n && fits && zeros->dtype == SOSIE_I64; i++)
        fits = ((const int64_t *)zeros->data)[i] == 0;
    if (fits)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_REFUSED,
                      "zero point '%.80s' is none of these: %zu constants of "
                      "uint8 or int8, or zeros of int32",
                      zeros->name, n);
}

/* From the inputs `scale` and `zero`, which stay in the graph's arena. */
static enum sosie_status read_quant(struct sosie_onnx_source *source,
                                    size_t scale, size_t zero, size_t axis,
                                    struct sosie_quant *quant,
                                    struct sosie_error *err)
{
    const struct sosie_value *zeros = sosie_onnx_input(source, zero);
    struct sosie_arena *arena = &source->graph->arena;
    const float *given;
    float *scales;
    int32_t *zero_points;
    size_t n;
    enum sosie_status st =
        sosie_onnx_input_floats(source, scale, &given, &n, err);
    if (!st && (!n || sosie_onnx_input(source, scale)->shape.rank > 1))
        return sosie_fail(
            err, SOSIE_REFUSED,
            "scale '%.80s' is %s; one number, or one for each "
            "part along an axis, are supported",
            sosie_onnx_input(source, scale)->name,
            sosie_shape_text(&sosie_onnx_input(source, scale)->shape).text);
    if (!st)
        st = check_zeros(zeros, n, err);
    if (!st)
        st = sosie_onnx_spend(source->store, n, err);
    if (st)
        return st;
    scales = sosie_arena_alloc(arena, n, sizeof(*scales));
    zero_points = sosie_arena_alloc(arena, n, sizeof(*zero_points));
    if (!scales || !zero_points)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's scales");
    for (size_t i = 0; i < n; i++) {
        scales[i] = given[i];
        zero_points[i] = zeros ? element(zeros, i) : 0;
    }
    *quant = (struct sosie_quant){axis, n, scales, zero_points};
    return SOSIE_OK;
}

/* ---- QuantizeLinear, DequantizeLinear ------------------------------------ */

static enum sosie_status read_both(struct sosie_onnx_source *source,
                                   struct sosie_node *node,
                                   struct sosie_error *err)
{
    const struct sosie_value *x = sosie_onnx_input(source, 0);
    const struct sosie_value *scale = sosie_onnx_input(source, 1);
    int64_t given = 1;
    size_t axis = 0;
    enum sosie_status st =
        sosie_onnx_need_int(source->proto, "block_size", 0, err);
    if (!st)
        st = sosie_onnx_int(source->proto, "axis", &given, err);
    if (!st && sosie_shape_count(&scale->shape) > 1)
        st = sosie_onnx_axis(given, x->shape.rank, &axis, err);
    if (!st)
        st = read_quant(source, 1, 2, axis, &node->quantize.quant, err);
    node->n_inputs = 1;
    return st;
}

/* The type is that of the zero point, or since opset 21 output_dtype. */
static enum sosie_status read_type(const struct sosie_onnx_source *source,
                                   enum sosie_dtype *dtype,
                                   struct sosie_error *err)
{
    const struct sosie_value *zero = sosie_onnx_input(source, 2);
    int64_t type = 0;
    enum sosie_status st =
        sosie_onnx_int(source->proto, "output_dtype", &type, err);
    if (st)
        return st;
    *dtype = zero ? zero->dtype : type == ONNX_INT8 ? SOSIE_I8 : SOSIE_U8;
    if ((type && type != ONNX_INT8 && type != ONNX_UINT8) ||
        (*dtype != SOSIE_I8 && *dtype != SOSIE_U8))
        return sosie_fail(err, SOSIE_REFUSED,
                          "the result is neither uint8 nor int8; those are "
                          "supported");
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_quantize(struct sosie_onnx_source *source,
                                      struct sosie_node *node,
                                      struct sosie_error *err)
{
    enum sosie_status st = read_both(source, node, err);
    return st ? st : read_type(source, &node->quantize.dtype, err);
}

/* int32 is read as I64, like all whole numbers; what DequantizeLinear gets
 * becomes I32 again. */
static enum sosie_status to_int32(struct sosie_onnx_source *source,
                                  sosie_value_id *id, struct sosie_error *err)
{
    const struct sosie_value *from = &source->graph->values[*id];
    struct sosie_value value = {.dtype = SOSIE_I32, .shape = from->shape};
    const int64_t *numbers = from->data;
    void *room;
    enum sosie_status st;
    if (from->dtype != SOSIE_I64)
        return SOSIE_OK;
    st = sosie_onnx_room(source->store, &value, &room, err);
    if (st)
        return st;
    for (size_t i = 0; i < sosie_shape_count(&value.shape); i++) {
        if (numbers[i] < INT32_MIN || numbers[i] > INT32_MAX)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "%lld is no number of 32 bits",
                              (long long)numbers[i]);
        ((int32_t *)room)[i] = (int32_t)numbers[i];
    }
    return sosie_onnx_emit_constant(source, &value, id, err);
}

enum sosie_status sosie_onnx_dequantize(struct sosie_onnx_source *source,
                                        struct sosie_node *node,
                                        struct sosie_error *err)
{
    enum sosie_status st = read_both(source, node, err);
    return st ? st : to_int32(source, &node->inputs[0], err);
}

/* ---- QLinearConv --------------------------------------------------------- */

/* Where its inputs stand. */
enum {
    Q_X,
    Q_X_SCALE,
    Q_X_ZERO,
    Q_W,
    Q_W_SCALE,
    Q_W_ZERO,
    Q_Y_SCALE,
    Q_Y_ZERO,
    Q_BIAS
};

static enum sosie_status dequantized(struct sosie_onnx_source *source,
                                     size_t input,
                                     const struct sosie_quant *quant,
                                     sosie_value_id *id,
                                     struct sosie_error *err)
{
    struct sosie_node node = {.op = SOSIE_OP_DEQUANTIZE,
                              .n_inputs = 1,
                              .inputs = {source->inputs[input]}};
    node.quantize.quant = *quant;
    return sosie_onnx_emit(source, &node, id, err);
}

/* The bias is in units of the input's scale times the weights'. */
static enum sosie_status dequantized_bias(struct sosie_onnx_source *source,
                                          const struct sosie_quant *x,
                                          const struct sosie_quant *w,
                                          sosie_value_id *id,
                                          struct sosie_error *err)
{
    struct sosie_arena *arena = &source->graph->arena;
    float *scales = sosie_arena_alloc(arena, w->n, sizeof(*scales));
    int32_t *zeros = sosie_arena_alloc(arena, w->n, sizeof(*zeros));
    struct sosie_quant quant = {0, w->n, scales, zeros};
    enum sosie_status st;
    if (!scales || !zeros)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the network's scales");
    for (size_t i = 0; i < w->n; i++)
        scales[i] = x->scales[0] * w->scales[i];
    st = to_int32(source, &source->inputs[Q_BIAS], err);
    return st ? st : dequantized(source, Q_BIAS, &quant, id, err);
}

enum sosie_status sosie_onnx_qlinear_conv(struct sosie_onnx_source *source,
                                          struct sosie_error *err)
{
    struct sosie_node node = {.op = SOSIE_OP_CONV, .n_inputs = 2};
    struct sosie_quant x, w, y;
    const struct sosie_value *zero = sosie_onnx_input(source, Q_Y_ZERO);
    enum sosie_dtype dtype = zero->dtype;
    enum sosie_status st;
    if ((st = read_quant(source, Q_X_SCALE, Q_X_ZERO, 0, &x, err)) ||
        (st = read_quant(source, Q_W_SCALE, Q_W_ZERO, 0, &w, err)) ||
        (st = read_quant(source, Q_Y_SCALE, Q_Y_ZERO, 0, &y, err)) ||
        (st = sosie_onnx_conv(source, &node, err)) ||
        (st = dequantized(source, Q_X, &x, &node.inputs[SOSIE_CONV_X], err)) ||
        (st = dequantized(source, Q_W, &w, &node.inputs[SOSIE_CONV_W], err)))
        return st;
    if (sosie_onnx_input(source, Q_BIAS)) {
        node.n_inputs = 3;
        st = dequantized_bias(source, &x, &w, &node.inputs[SOSIE_CONV_B], err);
    }
    if (!st)
        st = sosie_onnx_emit(source, &node, &node.inputs[0], err);
    node.op = SOSIE_OP_QUANTIZE;
    node.n_inputs = 1;
    node.quantize.quant = y;
    node.quantize.dtype = dtype;
    return st ? st : sosie_onnx_finish(source, &node, 0, err);
}
