/* int8_lower_conv.c: convolutions and matrix products on bytes.
 *
 * Both are one step on the kernels of kernels/quantised.h, and what follows
 * them in the network is done to their sums before these are stored. A product
 * is a convolution with a window of one pixel. */
#include "nn/int8_lowering.h"

#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums beyond this would leave int32 when they are rounded. */
static const double MOST = (double)(1 << 30);

/* ---- weights ------------------------------------------------------------- */

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

/* Weights (n_out, n_in, n_taps) as (n_out, n_taps / row, row * pixel). */
static void merge_rows(const struct packing *p, const int8_t *from, int8_t *to)
{
    if (p->pixel > p->n_in)
        memset(to, 0, p->n_out * p->n_taps * p->pixel);
    for (size_t o = 0; o < p->n_out; o++, from += p->n_in * p->n_taps)
        for (size_t t = 0; t < p->n_taps; t++, to += p->pixel)
            for (size_t c = 0; c < p->n_in; c++)
                to[c] = from[c * p->n_taps + t];
}

/* Weights of a group, as they stand in the file or were merged. */
static struct sosie_qweights weights_at(const struct packing *p,
                                        const int8_t *at)
{
    struct sosie_qweights w = {.at = at,
                               .n_out = p->n_out,
                               .n_taps = packed_taps(p),
                               .n_in = p->n_in,
                               .channel = p->n_in * p->n_taps,
                               .tap = 1,
                               .byte = p->n_taps};
    if (p->row > 1) {
        w.n_in = w.tap = p->row * p->pixel;
        w.channel = w.n_taps * w.tap;
        w.byte = 1;
    } else if (p->is_transposed) {
        w.channel = 1;
        w.byte = p->n_out;
    }
    return w;
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
        const struct sosie_qweights w = weights_at(p, from);
        sosie_kernels()->qconv_pack(&w, packed_quads(p), to);
        from += p->n_in * p->n_out * p->n_taps;
        to += packed_size(p) / p->groups;
    }
    free(merged);
    return SOSIE_OK;
}

/* ---- sizes --------------------------------------------------------------- */

/* A convolution or product, on its way to a step. */
struct conv {
    const struct sosie_node *node;
    const struct sosie_value *w;
    const float *bias; /* or NULL */
    struct sosie_int8_meaning x, y, residual;
    bool to_float, is_depthwise;
    size_t n_out;                /* of all groups */
    const int32_t *sums, *sizes; /* of each channel's weights, and of |them| */
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

/* ---- scales, and what is done to sums ------------------------------------ */

/* A weight of each channel. */
static void add_row(const int8_t *restrict w, size_t n, int32_t *restrict sums,
                    int32_t *restrict sizes)
{
    for (size_t c = 0; c < n; c++) {
        sums[c] += w[c];
        sizes[c] += abs(w[c]);
    }
}

/* All of one channel. */
static void sum_row(const int8_t *w, size_t n, int32_t *sum, int32_t *size)
{
    int32_t s = 0, a = 0;
    for (size_t k = 0; k < n; k++) {
        s += w[k];
        a += abs(w[k]);
    }
    *sum = s;
    *size = a;
}

/* The sum of each channel's weights and that of their sizes, in the order in
 * which they stand; 2^16 weights of 2^7 fit. */
static enum sosie_status sum_weights(struct sosie_int8 *int8, struct conv *conv,
                                     struct sosie_error *err)
{
    const struct packing *p = &conv->packing;
    const int8_t *w = conv->w->data;
    size_t n = p->n_in * p->n_taps;
    int32_t *sums =
        sosie_arena_alloc(int8->arena, 2 * conv->n_out, sizeof(*sums));
    int32_t *sizes = sums + conv->n_out;
    if (!sums)
        return sosie_int8_no_memory(err);
    memset(sums, 0, 2 * conv->n_out * sizeof(*sums));
    if (p->is_transposed) {
        for (size_t k = 0; k < n; k++)
            add_row(w + k * conv->n_out, conv->n_out, sums, sizes);
    } else {
        for (size_t c = 0; c < conv->n_out; c++)
            sum_row(w + c * n, n, &sums[c], &sizes[c]);
    }
    conv->sums = sums;
    conv->sizes = sizes;
    return SOSIE_OK;
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
        b -= scale * (double)conv->sums[c] * (double)conv->x.zero;
        for (size_t i = 0; i < conv->packing.abreast; i++) {
            size_t slot = c + i * conv->n_out;
            if (conv->is_depthwise)
                slot = sosie_qdepthwise_slot(slot);
            scales[slot] = (float)(scale / (double)unit);
            shifts[slot] = (float)(b / (double)unit + (double)shift);
        }
        if (!(scale / (double)unit * 255.0 * (double)conv->sizes[c] +
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

/* More than any number that the convolution can come to, before functions. */
static double most_of(const struct conv *conv)
{
    const struct sosie_quant *quant = conv->w->quant;
    double most = 0.0;
    for (size_t c = 0; c < conv->n_out; c++) {
        double scale = (double)conv->x.scale *
                       (double)quant->scales[quant->n == 1 ? 0 : c];
        most = fmax(most, 255.0 * scale * (double)conv->sizes[c] +
                              fabs(conv->bias ? (double)conv->bias[c] : 0.0));
    }
    return most;
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
            /* no result may leave int32; one that is so far beyond a byte's
             * range stays there */
            unit = fmaxf(unit, (float)(most_of(conv) / MOST));
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

/* ---- the step ------------------------------------------------------------ */

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

/* The depthwise convolution that alone makes what a 1x1 one alone reads, if it
 * is the step before; otherwise NULL. */
static const struct sosie_step *depthwise_before(const struct sosie_int8 *int8,
                                                 const struct conv *conv,
                                                 uint32_t x)
{
    const struct sosie_net *net = int8->net;
    const struct sosie_window *w = &conv->code.window;
    const struct sosie_qlayout *in = &conv->code.in[0];
    const struct sosie_step *step;
    const struct sosie_qcode *code;
    if (!net->n_steps || conv->is_depthwise || conv->code.group != 1 ||
        conv->node->op != SOSIE_OP_CONV || w->kernel[0] * w->kernel[1] != 1 ||
        w->strides[0] * w->strides[1] != 1 ||
        in->top + in->left + in->bottom + in->right ||
        w->pads[0] + w->pads[1] + w->pads[2] + w->pads[3] ||
        int8->n_uses[conv->node->inputs[0]] != 1)
        return NULL;
    step = &net->steps[net->n_steps - 1];
    code = step->code;
    return step->run == sosie_int8_run && code->kind == SOSIE_Q_DEPTHWISE &&
                   step->args[3] == x
               ? step
               : NULL;
}

/* Both in one step, which takes the place of the other. */
static enum sosie_status add_separable(struct sosie_int8 *int8,
                                       struct conv *conv,
                                       const struct sosie_step *before,
                                       const uint32_t args[4],
                                       struct sosie_error *err)
{
    enum { BAND_BYTES = 64 << 10 };
    const struct sosie_qlayout *between = &conv->code.in[0];
    uint32_t all[6] = {before->args[0], before->args[1], args[0],
                       args[1],         args[2],         args[3]};
    size_t band = BAND_BYTES / between->row;
    if (band < 1)
        band = 1;
    if (band > between->height)
        band = between->height;
    conv->code.kind = SOSIE_Q_SEPARABLE;
    conv->code.before = before->code;
    conv->code.band = band;
    int8->net->buffers[args[0]].extent.size =
        band * between->row + SOSIE_ALIGNMENT;
    int8->net->n_steps--;
    return sosie_int8_add_step(int8, int8->node, &conv->code, all, 6, err);
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
    const struct sosie_step *before;
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
        (st = sum_weights(int8, &conv, err)) ||
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
    before = depthwise_before(int8, &conv, x.buffer);
    if (before)
        return add_separable(int8, &conv, before, args, err);
    return sosie_int8_add_step(int8, int8->node, &conv.code, args, 4, err);
}
