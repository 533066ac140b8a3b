/* int8_lower.c: from nodes on bytes to steps.
 *
 * Functions of one byte are tables. They are not run where they stand but
 * composed, and looked up when something needs the result: x * HardSigmoid(x)
 * over bytes ends as one table over x. */
#include "nn/int8_lowering.h"

#include "base/size.h"
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums beyond this would leave int32 when they are rounded. */
static const double MOST = (double)(1 << 30);

enum sosie_status sosie_int8_no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "the network's steps");
}

/* ---- what bytes mean ----------------------------------------------------- */

static struct sosie_int8_meaning meaning_of(const struct sosie_quant *quant,
                                            enum sosie_dtype dtype)
{
    return (struct sosie_int8_meaning){quant->scales[0],
                                       quant->zero_points[0] +
                                           (dtype == SOSIE_I8 ? 128 : 0)};
}

static bool is_byte(enum sosie_dtype dtype)
{
    return dtype == SOSIE_U8 || dtype == SOSIE_I8;
}

enum sosie_status sosie_int8_read_meaning(const struct sosie_int8 *int8,
                                          sosie_value_id id,
                                          struct sosie_int8_meaning *out,
                                          struct sosie_error *err)
{
    const struct sosie_value *value = sosie_int8_value(int8, id);
    const struct sosie_node *node = &int8->net->graph.nodes[int8->node];
    const struct sosie_quant *quant = value->quant;
    if (!quant &&
        (node->op == SOSIE_OP_QUANTIZE || node->op == SOSIE_OP_DEQUANTIZE))
        quant = &node->quantize.quant;
    if (!quant || quant->n != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "tensor '%.80s' is quantised in a way that is not "
                          "supported; one scale and zero point are",
                          value->name);
    *out = meaning_of(quant, value->dtype);
    if (!(out->scale > 0.0F) || !isfinite(out->scale))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "tensor '%.80s' has a scale of %g; expected a "
                          "positive number",
                          value->name, (double)out->scale);
    return SOSIE_OK;
}

/* ---- steps and tensors --------------------------------------------------- */

enum sosie_status sosie_int8_add_step(struct sosie_int8 *int8, size_t node,
                                      const struct sosie_qcode *code,
                                      const uint32_t *args, size_t n_args,
                                      struct sosie_error *err)
{
    struct sosie_step step = {.node = node,
                              .implementation = sosie_qkind_name(code->kind),
                              .run = sosie_int8_run,
                              .n_args = n_args};
    struct sosie_qcode *kept = sosie_arena_alloc(int8->arena, 1, sizeof(*kept));
    if (!kept)
        return sosie_int8_no_memory(err);
    *kept = *code;
    step.code = kept;
    memcpy(step.args, args, n_args * sizeof(*args));
    return sosie_net_add_step(int8->net, &step, err);
}

enum sosie_status sosie_int8_new_tensor(struct sosie_int8 *int8,
                                        sosie_value_id id,
                                        struct sosie_int8_tensor *tensor,
                                        struct sosie_error *err)
{
    struct sosie_int8_meaning meaning;
    enum sosie_status st = sosie_int8_read_meaning(int8, id, &meaning, err);
    if (st)
        return st;
    tensor->layout = sosie_qlayout_widen(
        sosie_qlayout_of(&sosie_int8_value(int8, id)->shape,
                         sosie_int8_to_byte((double)meaning.zero)),
        int8->margins[id].of);
    tensor->is_there = true;
    tensor->root = id;
    tensor->node = int8->node;
    for (size_t q = 0; q < 256; q++)
        tensor->table[q] = (uint8_t)q;
    return sosie_net_add_buffer(int8->net, tensor->layout.size, SOSIE_NO_VALUE,
                                NULL, &tensor->buffer, err);
}

const uint8_t (*sosie_int8_keep_table(struct sosie_int8 *int8,
                                      const uint8_t table[256]))[256]
{
    uint8_t(*kept)[256] = sosie_arena_alloc(int8->arena, 1, sizeof(*kept));
    if (kept)
        memcpy(kept, table, sizeof(*kept));
    return (const uint8_t(*)[256])kept;
}

/* Looks `from` up in a table, into `to`, whose buffer is there. */
static enum sosie_status add_map(struct sosie_int8 *int8, size_t node,
                                 const struct sosie_int8_tensor *from,
                                 const uint8_t table[256],
                                 const struct sosie_int8_tensor *to,
                                 struct sosie_error *err)
{
    struct sosie_qcode code = {.kind = SOSIE_Q_MAP,
                               .in = {from->layout},
                               .out = to->layout,
                               .tables = sosie_int8_keep_table(int8, table)};
    const uint32_t args[] = {from->buffer, to->buffer};
    if (!code.tables)
        return sosie_int8_no_memory(err);
    return sosie_int8_add_step(int8, node, &code, args, 2, err);
}

enum sosie_status sosie_int8_bytes_of(struct sosie_int8 *int8,
                                      sosie_value_id id,
                                      struct sosie_int8_tensor **out,
                                      struct sosie_error *err)
{
    struct sosie_int8_tensor *tensor = &int8->tensors[id], *root;
    enum sosie_status st = SOSIE_OK;
    *out = tensor;
    if (tensor->is_there)
        return SOSIE_OK;
    if (tensor->root == SOSIE_NO_VALUE)
        return sosie_fail(err, SOSIE_REFUSED,
                          "tensor '%.80s' holds bytes that nothing computes "
                          "here",
                          sosie_int8_value(int8, id)->name);
    root = &int8->tensors[tensor->root];
    st = sosie_net_add_buffer(int8->net, tensor->layout.size, SOSIE_NO_VALUE,
                              NULL, &tensor->buffer, err);
    if (!st)
        st = add_map(int8, tensor->node, root, tensor->table, tensor, err);
    tensor->is_there = !st;
    return st;
}

enum sosie_status sosie_int8_bytes_with(struct sosie_int8 *int8,
                                        sosie_value_id id,
                                        const size_t margins[4],
                                        struct sosie_int8_tensor *out,
                                        struct sosie_error *err)
{
    struct sosie_int8_tensor *tensor;
    enum sosie_status st = sosie_int8_bytes_of(int8, id, &tensor, err);
    if (st)
        return st;
    *out = *tensor;
    if (out->layout.top >= margins[0] && out->layout.left >= margins[1] &&
        out->layout.bottom >= margins[2] && out->layout.right >= margins[3])
        return SOSIE_OK;
    out->layout = sosie_qlayout_widen(out->layout, margins);
    for (size_t q = 0; q < 256; q++)
        out->table[q] = (uint8_t)q;
    st = sosie_net_add_buffer(int8->net, out->layout.size, SOSIE_NO_VALUE, NULL,
                              &out->buffer, err);
    return st ? st : add_map(int8, int8->node, tensor, out->table, out, err);
}

/* ---- convolutions and matrix products ------------------------------------ */

/* How weights are packed; buffer->packing. The pixels of a row of the kernel
 * stand side by side, so the kernel's row can be one long tap. */
struct packing {
    size_t n_in, n_out, n_taps; /* in the file; of a group */
    size_t groups;
    size_t row;                /* taps of the file that are one of ours */
    size_t pixel;              /* bytes from one of them to the next */
    size_t kernel_h, kernel_w; /* of a depthwise one, or 0 */
    size_t abreast;            /* pixels it does at once, side by side */
    bool is_transposed;        /* (n_in, n_out) */
};

static size_t packed_taps(const struct packing *p)
{
    return p->n_taps / p->row;
}

static size_t packed_quads(const struct packing *p)
{
    return p->row > 1 ? p->row * p->pixel / 4 : (p->n_in + 3) / 4;
}

static size_t packed_size(const struct packing *p)
{
    if (p->kernel_h)
        return sosie_qdepthwise_size(p->groups * p->abreast, p->kernel_h,
                                     p->kernel_w);
    return p->groups * sosie_kernels()->qconv_size(packed_taps(p),
                                                   packed_quads(p), p->n_out);
}

/* Weights (n_out, n_in, n_taps) as (n_out, row * pixel, n_taps / row). */
static void merge_rows(const struct packing *p, const int8_t *from, int8_t *to)
{
    size_t taps = packed_taps(p), bytes = p->row * p->pixel;
    memset(to, 0, p->n_out * bytes * taps);
    for (size_t o = 0; o < p->n_out; o++)
        for (size_t c = 0; c < p->n_in; c++)
            for (size_t t = 0; t < p->n_taps; t++)
                to[(o * bytes + t % p->row * p->pixel + c) * taps +
                   t / p->row] = *from++;
}

static enum sosie_status fill_weights(const void *how, const void *data,
                                      void *memory, struct sosie_error *err)
{
    const struct packing *p = how;
    const int8_t *from = data;
    size_t n_in = p->row > 1 ? p->row * p->pixel : p->n_in;
    int8_t *to = memory, *merged = NULL;

    if (p->kernel_h || p->row > 1) {
        size_t n = p->groups * p->n_out * n_in * packed_taps(p);
        merged = malloc(n * p->abreast);
        if (!merged)
            return sosie_int8_no_memory(err);
        if (p->kernel_h) {
            for (size_t i = 0; i < p->abreast; i++)
                memcpy(merged + i * n, from, n);
            sosie_qdepthwise_pack(merged, p->groups * p->abreast, p->kernel_h,
                                  p->kernel_w, to);
            free(merged);
            return SOSIE_OK;
        }
        merge_rows(p, from, merged);
        from = merged;
    }
    for (size_t g = 0; g < p->groups; g++) {
        sosie_kernels()->qconv_pack(from, packed_taps(p), packed_quads(p), n_in,
                                    p->n_out, p->is_transposed, to);
        from += p->n_in * p->n_out * p->n_taps;
        to += packed_size(p) / p->groups;
    }
    free(merged);
    return SOSIE_OK;
}

/* A convolution or product, on its way to a step. */
struct conv {
    const struct sosie_node *node;
    const struct sosie_value *w;
    const float *bias; /* or NULL */
    struct sosie_int8_meaning x, y, residual;
    bool to_float, is_depthwise;
    size_t n_out; /* of all groups */
    struct packing packing;
    struct sosie_qcode code;
};

/* Few channels leave most of a vector empty. If the next pixel's stand right
 * behind them, the window moves on by one, and there is always a next pixel,
 * several are worked on as one of more channels. */
static size_t abreast(const struct conv *conv, size_t width)
{
    size_t n = 1;
    if (conv->n_out % 4 || conv->code.window.strides[1] > 1)
        return 1;
    while (2 * n * conv->n_out <= SOSIE_QGROUP && width % (2 * n) == 0 && n < 4)
        n *= 2;
    return n;
}

static void read_sizes(struct conv *conv, size_t channels, size_t width)
{
    const struct sosie_node *node = conv->node;
    const struct sosie_shape *w = &conv->w->shape;
    const struct sosie_window *window = &conv->code.window;
    struct packing *p = &conv->packing;
    p->groups = 1;
    p->n_taps = 1;
    p->row = 1;
    p->pixel = (channels + 3) / 4 * 4;
    conv->code.window = (struct sosie_window){
        .kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}};
    if (node->op == SOSIE_OP_CONV) {
        conv->code.window = node->conv.window;
        p->groups = node->conv.group;
        p->n_taps = w->dims[2] * w->dims[3];
        conv->n_out = w->dims[0];
        p->n_in = w->dims[1];
        conv->is_depthwise = w->dims[1] == 1 && p->groups == conv->n_out &&
                             w->dims[2] <= SOSIE_QDEPTHWISE_MAX &&
                             window->dilations[1] == 1 && !conv->to_float &&
                             node->n_inputs <= SOSIE_CONV_RESIDUAL;
    } else {
        p->is_transposed = node->op == SOSIE_OP_MATMUL || !node->gemm.trans_b;
        conv->n_out = w->dims[p->is_transposed];
        p->n_in = w->dims[!p->is_transposed];
    }
    p->n_out = conv->n_out / p->groups;
    p->abreast = 1;
    if (conv->is_depthwise) {
        p->kernel_h = w->dims[2];
        p->kernel_w = w->dims[3];
        p->abreast = abreast(conv, width);
    } else if (p->groups == 1 && window->dilations[1] == 1) {
        p->row = window->kernel[1];
    }
}

/* The sum of a channel's weights and that of their sizes. */
static void sum_weights(const struct conv *conv, size_t c, int64_t *sum,
                        int64_t *most)
{
    const struct packing *p = &conv->packing;
    size_t n = p->n_in * p->n_taps, step = p->is_transposed ? conv->n_out : 1;
    const int8_t *w = conv->w->data;
    int32_t plus = 0, minus = 0; /* 2^21 weights of 2^7 fit */
    w += p->is_transposed ? c : c * n;
    for (size_t k = 0; k < n; k++) {
        plus += w[k * step] > 0 ? w[k * step] : 0;
        minus += w[k * step] < 0 ? w[k * step] : 0;
    }
    *sum = plus + minus;
    *most = plus - minus;
}

/* Scales and shifts of every channel: from a sum of products of bytes to the
 * number that it stands for, divided by `unit` and shifted. */
static enum sosie_status set_scales(struct sosie_int8 *int8, struct conv *conv,
                                    float unit, float shift,
                                    struct sosie_error *err)
{
    const struct sosie_quant *quant = conv->w->quant;
    size_t room = (conv->n_out / SOSIE_QGROUP + 2) * SOSIE_QGROUP;
    float *scales = sosie_arena_alloc(int8->arena, 2 * room, sizeof(*scales));
    float *shifts = scales + room;
    if (!scales)
        return sosie_int8_no_memory(err);
    memset(scales, 0, 2 * room * sizeof(*scales));
    for (size_t c = 0; c < conv->n_out; c++) {
        double scale = (double)conv->x.scale *
                       (double)quant->scales[quant->n == 1 ? 0 : c];
        double b = conv->bias ? (double)conv->bias[c] : 0.0;
        int64_t sum, most;
        sum_weights(conv, c, &sum, &most);
        b -= scale * (double)sum * (double)conv->x.zero;
        for (size_t i = 0; i < conv->packing.abreast; i++) {
            size_t slot = c + i * conv->n_out;
            if (conv->is_depthwise)
                slot = sosie_qdepthwise_slot(slot);
            scales[slot] = (float)(scale / (double)unit);
            shifts[slot] = (float)(b / (double)unit + (double)shift);
        }
        if (!(scale / (double)unit * 255.0 * (double)most +
                  fabs(b / (double)unit) <
              MOST))
            return sosie_fail(err, SOSIE_REFUSED,
                              "its scales and biases are %g and more times "
                              "those of its result",
                              MOST / 256);
    }
    conv->code.conv.finish.scale = scales;
    conv->code.conv.finish.shift = shifts;
    return SOSIE_OK;
}

/* Clip's and Relu's bounds, narrowing those there are. */
static void narrow(const struct sosie_post *post, float *low, float *high)
{
    float a = post->op == SOSIE_OP_RELU ? 0.0F : post->act.a;
    float b = post->op == SOSIE_OP_RELU ? INFINITY : post->act.b;
    *low = fminf(fmaxf(a, *low), *high);
    *high = fmaxf(fminf(b, *high), *low);
}

static bool is_clip(enum sosie_op op)
{
    return op == SOSIE_OP_CLIP || op == SOSIE_OP_RELU;
}

/* Fills conv->code.conv.finish from the node's posts. */
static enum sosie_status set_finish(struct sosie_int8 *int8, struct conv *conv,
                                    struct sosie_error *err)
{
    struct sosie_qfinish *f = &conv->code.conv.finish;
    struct sosie_int8_meaning middle = {0};
    float low = -FLT_MAX, high = FLT_MAX;
    float unit = conv->to_float ? 1.0F : conv->y.scale;
    float zero = conv->to_float ? 0.0F : (float)conv->y.zero;

    f->to_float = conv->to_float;
    for (size_t p = 0; p < conv->node->n_posts; p++) {
        const struct sosie_post *post = &conv->node->posts[p];
        if (is_clip(post->op)) {
            narrow(post, &low, &high);
        } else if (post->op == SOSIE_OP_QUANTIZE) {
            f->rounds = true;
            middle =
                (struct sosie_int8_meaning){post->act.a, (int32_t)post->act.b};
        } else if (post->op == SOSIE_OP_ADD) {
            f->gain = f->rounds ? middle.scale / unit : 1.0F;
            f->residual_gain = conv->residual.scale / unit;
            f->residual_shift = -f->residual_gain * (float)conv->residual.zero;
            if (f->rounds)
                f->residual_shift += zero - f->gain * (float)middle.zero;
        } else {
            struct sosie_qact *act =
                sosie_arena_alloc(int8->arena, 1, sizeof(*act));
            if (!act)
                return sosie_int8_no_memory(err);
            sosie_qact_fit(post->op, post->act, 1.0F / unit, zero, act);
            f->act = act;
        }
    }
    f->low = conv->to_float
                 ? low
                 : (float)sosie_int8_to_byte((double)(low / unit + zero));
    f->high = conv->to_float
                  ? high
                  : (float)sosie_int8_to_byte((double)(high / unit + zero));
    if (f->rounds)
        return set_scales(int8, conv, middle.scale, (float)middle.zero, err);
    return f->act ? set_scales(int8, conv, 1.0F, 0.0F, err)
                  : set_scales(int8, conv, unit, zero, err);
}

/* Where the taps of a window stand, from its first byte. */
static enum sosie_status set_taps(struct sosie_int8 *int8, struct conv *conv,
                                  const struct sosie_qlayout *in,
                                  struct sosie_error *err)
{
    const struct sosie_window *w = &conv->code.window;
    const struct packing *p = &conv->packing;
    size_t n = packed_taps(p), width = in->channels + conv->n_out;
    ptrdiff_t *taps = sosie_arena_alloc(int8->arena, n, sizeof(*taps));
    if (!taps)
        return sosie_int8_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        size_t t = i * p->row;
        taps[i] = (ptrdiff_t)(t / w->kernel[1] * w->dilations[0] * in->row +
                              t % w->kernel[1] * w->dilations[1] * in->pixel);
    }
    conv->code.conv.n_taps = n;
    conv->code.conv.taps = taps;
    conv->code.conv.n_quads = packed_quads(p);
    conv->code.conv.n_out = p->n_out;
    conv->code.group = p->groups;
    /* what is read and written stays in the second-level cache */
    conv->code.chunk = ((size_t)256 << 10) / width;
    if (conv->code.chunk < 24)
        conv->code.chunk = 24;
    if (conv->code.chunk > SOSIE_QCHUNK)
        conv->code.chunk = SOSIE_QCHUNK;
    return SOSIE_OK;
}

static enum sosie_status add_weights(struct sosie_int8 *int8, struct conv *conv,
                                     uint32_t *buffer, struct sosie_error *err)
{
    const struct packing *p = &conv->packing;
    struct packing *kept = sosie_arena_alloc(int8->arena, 1, sizeof(*kept));
    enum sosie_status st;
    if (!kept)
        return sosie_int8_no_memory(err);
    *kept = *p;
    st = sosie_net_add_buffer(int8->net, packed_size(p), conv->node->inputs[1],
                              kept, buffer, err);
    if (!st)
        int8->net->buffers[*buffer].fill = fill_weights;
    return st;
}

enum sosie_status sosie_int8_floats_out(struct sosie_int8 *int8,
                                        sosie_value_id id, uint32_t *buffer,
                                        struct sosie_error *err)
{
    const struct sosie_shape *shape = &sosie_int8_value(int8, id)->shape;
    size_t strides[SOSIE_MAX_RANK];
    for (size_t d = 0; d < shape->rank; d++)
        strides[d] = sosie_shape_product(shape, d + 1, shape->rank);
    if (sosie_is_picture(shape)) {
        strides[1] = 1;
        strides[3] = shape->dims[1];
        strides[2] = shape->dims[3] * strides[3];
    }
    return int8->sides->floats_out(int8->sides->lowering, id, strides, buffer,
                                   err);
}

static enum sosie_status read_conv(struct sosie_int8 *int8, struct conv *conv,
                                   struct sosie_error *err)
{
    const struct sosie_graph *graph = &int8->net->graph;
    const struct sosie_node *node = conv->node;
    const struct sosie_value *b = sosie_node_input(graph, node, SOSIE_CONV_B);
    enum sosie_status st =
        sosie_int8_read_meaning(int8, node->inputs[0], &conv->x, err);
    conv->w = sosie_int8_value(int8, node->inputs[1]);
    conv->to_float = sosie_int8_value(int8, node->output)->dtype == SOSIE_F32;
    if (!st && !conv->to_float)
        st = sosie_int8_read_meaning(int8, node->output, &conv->y, err);
    if (!st && node->n_inputs > SOSIE_CONV_RESIDUAL)
        st = sosie_int8_read_meaning(int8, node->inputs[SOSIE_CONV_RESIDUAL],
                                     &conv->residual, err);
    if (st)
        return st;
    if (!conv->w->data || conv->w->dtype != SOSIE_I8 || !conv->w->quant ||
        (b && (!b->data || b->dtype != SOSIE_F32)))
        return sosie_fail(err, SOSIE_REFUSED,
                          "it reads bytes, but its weights are not signed "
                          "bytes or its bias is not constant");
    conv->bias = b ? b->data : NULL;
    return SOSIE_OK;
}

enum sosie_status sosie_int8_lower_conv(struct sosie_int8 *int8,
                                        const struct sosie_node *node,
                                        struct sosie_error *err)
{
    struct conv conv = {.node = node};
    struct sosie_int8_tensor x, residual = {.buffer = SOSIE_NO_BUFFER},
                                *out = &int8->tensors[node->output];
    struct sosie_qlayout in, result_layout;
    static const size_t none[4];
    uint32_t args[4], result;
    enum sosie_status st = read_conv(int8, &conv, err);
    if (st)
        return st;
    in = sosie_qlayout_of(&sosie_int8_value(int8, node->inputs[0])->shape, 0);
    result_layout =
        sosie_qlayout_of(&sosie_int8_value(int8, node->output)->shape, 0);
    read_sizes(&conv, in.channels, result_layout.width);
    if ((st = sosie_int8_bytes_with(int8, node->inputs[0],
                                    conv.code.window.pads, &x, err)) ||
        (node->n_inputs > SOSIE_CONV_RESIDUAL &&
         (st = sosie_int8_bytes_with(int8, node->inputs[SOSIE_CONV_RESIDUAL],
                                     none, &residual, err))) ||
        (st = set_finish(int8, &conv, err)) ||
        (st = set_taps(int8, &conv, &x.layout, err)) ||
        (st = add_weights(int8, &conv, &args[1], err)))
        return st;
    if (conv.to_float)
        st = sosie_int8_floats_out(int8, node->output, &result, err);
    else
        st = sosie_int8_new_tensor(int8, node->output, out, err);
    if (st)
        return st;
    conv.code.kind = conv.is_depthwise ? SOSIE_Q_DEPTHWISE : SOSIE_Q_CONV;
    conv.code.abreast = conv.packing.abreast;
    conv.code.in[0] = x.layout;
    conv.code.in[1] = residual.layout;
    conv.code.out = conv.to_float ? result_layout : out->layout;
    conv.code.depthwise = (struct sosie_qdepthwise){
        .channels = in.channels * conv.packing.abreast,
        .kernel_h = conv.packing.kernel_h,
        .kernel_w = conv.packing.kernel_w,
        .stride = conv.code.window.strides[1] * conv.packing.abreast,
        .pixel = in.pixel,
        .finish = conv.code.conv.finish};
    args[0] = x.buffer;
    args[2] = residual.buffer;
    args[3] = conv.to_float ? result : out->buffer;
    return sosie_int8_add_step(int8, int8->node, &conv.code, args, 4, err);
}

/* ---- functions of one byte ----------------------------------------------- */

enum sosie_status sosie_int8_set_table(struct sosie_int8 *int8,
                                       sosie_value_id from,
                                       const uint8_t f[256], sosie_value_id to,
                                       struct sosie_error *err)
{
    const struct sosie_int8_tensor *source = &int8->tensors[from];
    struct sosie_int8_tensor *tensor = &int8->tensors[to];
    struct sosie_int8_meaning meaning;
    enum sosie_status st = sosie_int8_read_meaning(int8, to, &meaning, err);
    if (st)
        return st;
    if (source->root == SOSIE_NO_VALUE)
        return sosie_fail(err, SOSIE_REFUSED,
                          "its bytes are not computed here");
    tensor->layout = sosie_qlayout_widen(
        sosie_qlayout_of(&sosie_int8_value(int8, to)->shape,
                         sosie_int8_to_byte((double)meaning.zero)),
        int8->margins[to].of);
    tensor->root = source->root;
    tensor->node = int8->node;
    for (size_t q = 0; q < 256; q++)
        tensor->table[q] = f[source->table[q]];
    return SOSIE_OK;
}

void sosie_int8_make_table(struct sosie_int8_meaning from,
                           struct sosie_int8_meaning to,
                           const struct sosie_node *act, uint8_t table[256])
{
    for (int32_t q = 0; q < 256; q++) {
        float x = (float)(q - from.zero) * from.scale;
        if (act)
            x = sosie_act_apply(act->op, act->act, x);
        table[q] =
            sosie_int8_to_byte((double)x / (double)to.scale + (double)to.zero);
    }
}

static enum sosie_status lower_map(struct sosie_int8 *int8,
                                   const struct sosie_node *node,
                                   struct sosie_error *err)
{
    struct sosie_int8_meaning x, y;
    uint8_t table[256];
    enum sosie_status st =
        sosie_int8_read_meaning(int8, node->inputs[0], &x, err);
    if (!st)
        st = sosie_int8_read_meaning(int8, node->output, &y, err);
    if (st)
        return st;
    sosie_int8_make_table(x, y, sosie_op_is_act(node->op) ? node : NULL, table);
    return sosie_int8_set_table(int8, node->inputs[0], table, node->output,
                                err);
}

/* Sum or product of two functions of the same bytes. */
static enum sosie_status
lower_both(struct sosie_int8 *int8, const struct sosie_node *node,
           struct sosie_int8_meaning a, struct sosie_int8_meaning b,
           struct sosie_int8_meaning y, struct sosie_error *err)
{
    const struct sosie_int8_tensor *from_a = &int8->tensors[node->inputs[0]];
    const struct sosie_int8_tensor *from_b = &int8->tensors[node->inputs[1]];
    struct sosie_int8_tensor both = *from_a;
    for (size_t q = 0; q < 256; q++) {
        double u = (double)(from_a->table[q] - a.zero) * (double)a.scale;
        double v = (double)(from_b->table[q] - b.zero) * (double)b.scale;
        double r = node->op == SOSIE_OP_ADD ? u + v : u * v;
        both.table[q] =
            sosie_int8_to_byte(r / (double)y.scale + (double)y.zero);
    }
    return sosie_int8_set_table(int8, from_a->root, both.table, node->output,
                                err);
}

/* ---- two tensors --------------------------------------------------------- */

static enum sosie_status
lower_scale(struct sosie_int8 *int8, const struct sosie_node *node,
            bool is_swapped, struct sosie_int8_meaning a,
            struct sosie_int8_meaning b, struct sosie_int8_meaning y,
            struct sosie_error *err)
{
    struct sosie_int8_tensor *x, *s, *out = &int8->tensors[node->output];
    struct sosie_qcode code = {.kind = SOSIE_Q_SCALE,
                               .zero_a = is_swapped ? b.zero : a.zero,
                               .zero_b = is_swapped ? a.zero : b.zero,
                               .gain = a.scale * b.scale / y.scale,
                               .shift = (float)y.zero};
    uint32_t args[4];
    enum sosie_status st;
    if ((st = sosie_int8_bytes_of(int8, node->inputs[is_swapped], &x, err)) ||
        (st = sosie_int8_bytes_of(int8, node->inputs[!is_swapped], &s, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)) ||
        (st = sosie_net_add_buffer(int8->net,
                                   2 * x->layout.pixel * sizeof(float),
                                   SOSIE_NO_VALUE, NULL, &args[2], err)))
        return st;
    code.in[0] = x->layout;
    code.in[1] = s->layout;
    code.out = out->layout;
    args[0] = x->buffer;
    args[1] = s->buffer;
    args[3] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 4, err);
}

static struct sosie_qsum sum_of(enum sosie_op op, struct sosie_int8_meaning a,
                                struct sosie_int8_meaning b,
                                struct sosie_int8_meaning y)
{
    struct sosie_qsum sum = {.low = 0.0F, .high = 255.0F};
    if (op == SOSIE_OP_ADD) {
        sum.gain_a = a.scale / y.scale;
        sum.gain_b = b.scale / y.scale;
        sum.shift = (float)y.zero - sum.gain_a * (float)a.zero -
                    sum.gain_b * (float)b.zero;
    } else {
        sum.gain_a = a.scale * b.scale / y.scale;
        sum.shift = (float)y.zero;
    }
    return sum;
}

enum sosie_status sosie_int8_lower_binary(struct sosie_int8 *int8,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_shape *shape =
        &sosie_int8_value(int8, node->output)->shape;
    struct sosie_int8_tensor *a_bytes, *b_bytes,
        *out = &int8->tensors[node->output];
    sosie_value_id a_id = node->inputs[0], b_id = node->inputs[1];
    struct sosie_int8_meaning a, b, y;
    struct sosie_qcode code = {.kind = node->op == SOSIE_OP_ADD ? SOSIE_Q_ADD
                                                                : SOSIE_Q_MUL};
    uint32_t args[3];
    enum sosie_status st;

    if ((st = sosie_int8_read_meaning(int8, a_id, &a, err)) ||
        (st = sosie_int8_read_meaning(int8, b_id, &b, err)) ||
        (st = sosie_int8_read_meaning(int8, node->output, &y, err)))
        return st;
    if (!sosie_shape_equal(&sosie_int8_value(int8, a_id)->shape, shape) ||
        !sosie_shape_equal(&sosie_int8_value(int8, b_id)->shape, shape))
        return lower_scale(
            int8, node,
            !sosie_shape_equal(&sosie_int8_value(int8, a_id)->shape, shape), a,
            b, y, err);
    if (int8->tensors[a_id].root == int8->tensors[b_id].root &&
        int8->tensors[a_id].root != SOSIE_NO_VALUE)
        return lower_both(int8, node, a, b, y, err);
    if ((st = sosie_int8_bytes_of(int8, a_id, &a_bytes, err)) ||
        (st = sosie_int8_bytes_of(int8, b_id, &b_bytes, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)))
        return st;
    code.sum = sum_of(node->op, a, b, y);
    code.zero_a = a.zero;
    code.zero_b = b.zero;
    code.in[0] = a_bytes->layout;
    code.in[1] = b_bytes->layout;
    code.out = out->layout;
    args[0] = a_bytes->buffer;
    args[1] = b_bytes->buffer;
    args[2] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 3, err);
}

/* ---- pools and Concat ---------------------------------------------------- */

enum sosie_status sosie_int8_lower_mean(struct sosie_int8 *int8,
                                        const struct sosie_node *node,
                                        struct sosie_error *err)
{
    bool to_float = sosie_int8_value(int8, node->output)->dtype == SOSIE_F32;
    struct sosie_qcode code = {.kind = SOSIE_Q_MEAN};
    struct sosie_int8_tensor *x, *out = &int8->tensors[node->output];
    struct sosie_int8_meaning from = {1.0F, 0}, to = from;
    uint32_t args[3];
    enum sosie_status st;

    if ((st = sosie_int8_read_meaning(int8, node->inputs[0], &from, err)) ||
        (!to_float &&
         (st = sosie_int8_read_meaning(int8, node->output, &to, err))) ||
        (st = sosie_int8_bytes_of(int8, node->inputs[0], &x, err)) ||
        (st =
             sosie_net_add_buffer(int8->net, x->layout.pixel * sizeof(uint32_t),
                                  SOSIE_NO_VALUE, NULL, &args[1], err)))
        return st;
    st = to_float ? sosie_int8_floats_out(int8, node->output, &args[2], err)
                  : sosie_int8_new_tensor(int8, node->output, out, err);
    if (st)
        return st;
    args[0] = x->buffer;
    if (!to_float)
        args[2] = out->buffer;
    code.in[0] = x->layout;
    code.out = out->layout;
    code.floats.channel = to_float;
    code.gain =
        from.scale / to.scale / (float)(x->layout.height * x->layout.width);
    code.shift = (float)to.zero - from.scale / to.scale * (float)from.zero;
    return sosie_int8_add_step(int8, int8->node, &code, args, 3, err);
}

enum sosie_status sosie_int8_lower_max_pool(struct sosie_int8 *int8,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    struct sosie_qcode code = {.kind = SOSIE_Q_MAX_POOL,
                               .window = node->pool.window};
    struct sosie_int8_tensor *x, *out = &int8->tensors[node->output];
    struct sosie_int8_meaning from, to;
    uint8_t table[256];
    uint32_t args[3];
    enum sosie_status st;

    if ((st = sosie_int8_read_meaning(int8, node->inputs[0], &from, err)) ||
        (st = sosie_int8_read_meaning(int8, node->output, &to, err)) ||
        (st = sosie_int8_bytes_of(int8, node->inputs[0], &x, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)) ||
        (st = sosie_net_add_buffer(int8->net, x->layout.width * x->layout.pixel,
                                   SOSIE_NO_VALUE, NULL, &args[1], err)))
        return st;
    sosie_int8_make_table(from, to, NULL, table);
    for (size_t q = 0; q < 256 && !code.tables; q++)
        if (table[q] != q &&
            !(code.tables = sosie_int8_keep_table(int8, table)))
            return sosie_int8_no_memory(err);
    code.in[0] = x->layout;
    code.out = out->layout;
    args[0] = x->buffer;
    args[2] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 3, err);
}

enum sosie_status sosie_int8_lower_concat(struct sosie_int8 *int8,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    struct sosie_qcode code = {.kind = SOSIE_Q_CONCAT};
    struct sosie_int8_tensor *out = &int8->tensors[node->output];
    struct sosie_qlayout *parts =
        sosie_arena_alloc(int8->arena, node->n_inputs, sizeof(*parts));
    uint8_t(*tables)[256] =
        sosie_arena_alloc(int8->arena, node->n_inputs, sizeof(*tables));
    uint32_t args[SOSIE_MAX_INPUTS + 1];
    struct sosie_int8_meaning from, to;
    enum sosie_status st =
        sosie_int8_read_meaning(int8, node->output, &to, err);

    if (!st && (!parts || !tables))
        st = sosie_int8_no_memory(err);
    for (size_t k = 0; k < node->n_inputs && !st; k++) {
        struct sosie_int8_tensor *part;
        if ((st = sosie_int8_read_meaning(int8, node->inputs[k], &from, err)) ||
            (st = sosie_int8_bytes_of(int8, node->inputs[k], &part, err)))
            break;
        sosie_int8_make_table(from, to, NULL, tables[k]);
        parts[k] = part->layout;
        args[k] = part->buffer;
    }
    if (!st)
        st = sosie_int8_new_tensor(int8, node->output, out, err);
    if (st)
        return st;
    code.parts = parts;
    code.tables = (const uint8_t(*)[256])tables;
    code.out = out->layout;
    args[node->n_inputs] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args,
                               node->n_inputs + 1, err);
}

/* ---- to and from floats -------------------------------------------------- */

/* Strides by dimension as those of channel, row and pixel. */
static struct sosie_qfloats floats_of(const struct sosie_shape *shape,
                                      const size_t *strides)
{
    size_t last = shape->rank - 1;
    if (sosie_is_picture(shape))
        return (struct sosie_qfloats){strides[1], strides[2], strides[3]};
    return (struct sosie_qfloats){strides[last], 0,
                                  shape->rank > 1 ? strides[last - 1] : 0};
}

/* To bytes and back. */
static enum sosie_status lower_round(struct sosie_int8 *int8,
                                     const struct sosie_node *node,
                                     struct sosie_error *err)
{
    struct sosie_int8_meaning meaning =
        meaning_of(&node->quantize.quant, node->quantize.dtype);
    struct sosie_qcode code = {.kind = SOSIE_Q_ROUND,
                               .gain = 1.0F / meaning.scale,
                               .shift = (float)meaning.zero,
                               .back_gain = meaning.scale,
                               .back_shift =
                                   -meaning.scale * (float)meaning.zero};
    uint32_t args[2];
    enum sosie_status st =
        int8->sides->floats_through(int8->sides->lowering, node->inputs[0],
                                    node->output, args, &code.n, err);
    return st ? st : sosie_int8_add_step(int8, int8->node, &code, args, 2, err);
}

static enum sosie_status lower_quantize(struct sosie_int8 *int8,
                                        const struct sosie_node *node,
                                        struct sosie_error *err)
{
    const struct sosie_shape *shape =
        &sosie_int8_value(int8, node->output)->shape;
    struct sosie_int8_tensor *out = &int8->tensors[node->output];
    struct sosie_qcode code = {.kind = SOSIE_Q_QUANTISE};
    size_t wish[SOSIE_MAX_RANK] = {0}, strides[SOSIE_MAX_RANK] = {0};
    struct sosie_int8_meaning meaning;
    uint32_t args[2];
    enum sosie_status st;

    if (!shape->rank)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a single number; tensors with "
                          "dimensions are supported");
    if ((st = sosie_int8_read_meaning(int8, node->output, &meaning, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)))
        return st;
    for (size_t d = 0; d < shape->rank; d++)
        wish[d] = sosie_shape_product(shape, d + 1, shape->rank);
    if (sosie_is_picture(shape)) { /* as the bytes will stand */
        wish[3] = shape->dims[1];
        wish[2] = shape->dims[3] * wish[3];
        wish[1] = 1;
        wish[0] = shape->dims[2] * wish[2];
    }
    st = int8->sides->floats_in(int8->sides->lowering, node->inputs[0], wish,
                                &args[0], strides, err);
    if (st)
        return st;
    code.floats = floats_of(shape, strides);
    code.gain = 1.0F / meaning.scale;
    code.shift = (float)meaning.zero;
    code.out = out->layout;
    args[1] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 2, err);
}

static enum sosie_status lower_dequantize(struct sosie_int8 *int8,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_value *x = sosie_int8_value(int8, node->inputs[0]);
    const struct sosie_shape *shape = &x->shape;
    struct sosie_qcode code = {.kind = SOSIE_Q_DEQUANTISE};
    struct sosie_int8_meaning meaning =
        meaning_of(&node->quantize.quant, x->dtype);
    struct sosie_int8_tensor *in;
    uint32_t args[2];
    enum sosie_status st;

    if (node->quantize.quant.n != 1 || !shape->rank)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a scale for each channel of an activation; one for "
                          "all is supported");
    if ((st = sosie_int8_bytes_of(int8, node->inputs[0], &in, err)) ||
        (st = sosie_int8_floats_out(int8, node->output, &args[1], err)))
        return st;
    code.in[0] = in->layout;
    code.floats = (struct sosie_qfloats){
        1, in->layout.width * in->layout.channels, in->layout.channels};
    code.gain = meaning.scale;
    code.shift = -meaning.scale * (float)meaning.zero;
    args[0] = in->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 2, err);
}

/* ---- any node ------------------------------------------------------------ */

enum sosie_status sosie_int8_start(struct sosie_net *net,
                                   const struct sosie_int8_sides *sides,
                                   struct sosie_int8 **out,
                                   struct sosie_error *err)
{
    struct sosie_graph *graph = &net->graph;
    struct sosie_arena *arena = &graph->arena;
    struct sosie_int8 *int8 = sosie_arena_alloc(arena, 1, sizeof(*int8));
    struct sosie_int8_tensor *tensors =
        sosie_arena_alloc(arena, graph->n_values, sizeof(*tensors));
    struct sosie_int8_margins *margins =
        sosie_arena_alloc(arena, graph->n_values, sizeof(*margins));
    if (!int8 || !tensors || !margins)
        return sosie_int8_no_memory(err);
    for (size_t v = 0; v < graph->n_values; v++) {
        tensors[v] = (struct sosie_int8_tensor){.root = SOSIE_NO_VALUE};
        margins[v] = (struct sosie_int8_margins){{0}};
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct sosie_node *node = &graph->nodes[i];
        if (node->op != SOSIE_OP_CONV || !sosie_int8_node(graph, node))
            continue;
        for (size_t k = 0; k < 4; k++) {
            size_t *most = &margins[node->inputs[0]].of[k];
            if (node->conv.window.pads[k] > *most)
                *most = node->conv.window.pads[k];
        }
    }
    *int8 = (struct sosie_int8){net, arena, sides, tensors, margins, 0};
    *out = int8;
    return SOSIE_OK;
}

enum sosie_status sosie_int8_lower(struct sosie_int8 *int8, size_t index,
                                   struct sosie_error *err)
{
    const struct sosie_node *node = &int8->net->graph.nodes[index];
    int8->node = index;
    switch ((int)node->op) {
    case SOSIE_OP_CONV:
    case SOSIE_OP_GEMM:
    case SOSIE_OP_MATMUL:
        return sosie_int8_lower_conv(int8, node, err);
    case SOSIE_OP_ADD:
    case SOSIE_OP_MUL:
        return sosie_int8_lower_binary(int8, node, err);
    case SOSIE_OP_GLOBAL_AVERAGE_POOL:
    case SOSIE_OP_REDUCE_MEAN:
        return sosie_int8_lower_mean(int8, node, err);
    case SOSIE_OP_MAX_POOL:
        return sosie_int8_lower_max_pool(int8, node, err);
    case SOSIE_OP_CONCAT:
        return sosie_int8_lower_concat(int8, node, err);
    case SOSIE_OP_FLATTEN:
    case SOSIE_OP_RESHAPE:
        return lower_map(int8, node, err);
    case SOSIE_OP_QUANTIZE:
        if (node->quantize.table)
            return sosie_int8_set_table(
                int8, node->inputs[0], node->quantize.table, node->output, err);
        if (!is_byte(sosie_int8_value(int8, node->output)->dtype))
            return lower_round(int8, node, err);
        return lower_quantize(int8, node, err);
    case SOSIE_OP_DEQUANTIZE:
        return lower_dequantize(int8, node, err);
    default:
        break;
    }
    if (sosie_op_is_act(node->op))
        return lower_map(int8, node, err);
    return sosie_fail(err, SOSIE_REFUSED,
                      "this op does not read bytes here; DequantizeLinear "
                      "before it makes them numbers");
}
