/* int8_run.c: the steps on bytes, on the kernels of this machine. */
#include "nn/int8.h"

#include "base/size.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* ---- layouts ------------------------------------------------------------- */

bool sosie_is_picture(const struct sosie_shape *shape)
{
    return shape->rank == 4 && shape->dims[0] == 1;
}

size_t sosie_channels(const struct sosie_shape *shape)
{
    if (sosie_is_picture(shape))
        return shape->dims[1];
    return shape->rank ? shape->dims[shape->rank - 1] : 0;
}

struct sosie_qlayout sosie_qlayout_of(const struct sosie_shape *shape,
                                      uint8_t zero)
{
    struct sosie_qlayout layout = {.height = 1, .width = 1, .zero = zero};
    static const size_t none[4];
    if (sosie_is_picture(shape)) {
        layout.channels = shape->dims[1];
        layout.height = shape->dims[2];
        layout.width = shape->dims[3];
    } else {
        size_t last = shape->rank ? shape->rank - 1 : 0;
        layout.channels = sosie_shape_product(shape, last, shape->rank);
        layout.width = sosie_shape_product(shape, 0, last);
    }
    return sosie_qlayout_widen(layout, none);
}

/* Kernels read whole quads of channels, and the last pixel has to have them,
 * too, in a group that starts late: hence the slack. */
struct sosie_qlayout sosie_qlayout_widen(struct sosie_qlayout layout,
                                         const size_t margins[4])
{
    layout.top = margins[0];
    layout.left = margins[1];
    layout.bottom = margins[2];
    layout.right = margins[3];
    layout.pixel = (layout.channels + 3) / 4 * 4;
    layout.row = (layout.left + layout.width + layout.right) * layout.pixel;
    layout.size = (layout.top + layout.height + layout.bottom) * layout.row +
                  SOSIE_ALIGNMENT;
    return layout;
}

static size_t offset_of(const struct sosie_qlayout *layout, size_t y, size_t x)
{
    return (layout->top + y) * layout->row + (layout->left + x) * layout->pixel;
}

/* ---- a step at work ------------------------------------------------------ */

struct work {
    const struct sosie_qcode *code;
    const struct sosie_net_run *run;
    const struct sosie_step *step;
};

static void *arg(const struct work *work, size_t k)
{
    return sosie_run_buffer(work->run, work->step->args[k]);
}

static void *result(const struct work *work)
{
    return arg(work, work->step->n_args - 1);
}

/* Of the result. */
static void fill_margins(const struct work *work, uint8_t *bytes)
{
    const struct sosie_qlayout *layout = &work->code->out;
    size_t left = layout->left * layout->pixel;
    size_t right = layout->right * layout->pixel;
    memset(bytes, layout->zero, layout->top * layout->row);
    memset(bytes + (layout->top + layout->height) * layout->row, layout->zero,
           layout->bottom * layout->row);
    if (!left && !right)
        return;
    for (size_t y = 0; y < layout->height; y++) {
        uint8_t *row = bytes + (layout->top + y) * layout->row;
        memset(row, layout->zero, left);
        memset(row + layout->row - right, layout->zero, right);
    }
}

/* ---- convolutions -------------------------------------------------------- */

/* The pixels that the kernel is given next. */
struct chunk {
    size_t n;
    const uint8_t *in[SOSIE_QCHUNK], *residual[SOSIE_QCHUNK];
    void *out[SOSIE_QCHUNK];
};

static void run_chunk(const struct sosie_qcode *code,
                      const struct sosie_qconv *conv, struct chunk *chunk,
                      bool has_residual)
{
    const struct sosie_kernels *kernels = sosie_kernels();
    struct sosie_qconv group = *conv;
    size_t in_step = code->in[0].channels / code->group;
    size_t size = kernels->qconv_size(conv->n_taps, conv->n_quads, conv->n_out);
    size_t out_step = conv->n_out * (conv->finish.to_float ? sizeof(float) : 1);

    for (size_t g = 0; g < code->group; g++) {
        kernels->qconv(&group, chunk->in, chunk->out,
                       has_residual ? chunk->residual : NULL, chunk->n);
        if (g + 1 == code->group)
            break;
        group.weights += size;
        group.finish.scale += conv->n_out;
        group.finish.shift += conv->n_out;
        for (size_t i = 0; i < chunk->n; i++) {
            chunk->in[i] += in_step;
            chunk->out[i] = (unsigned char *)chunk->out[i] + out_step;
        }
    }
    chunk->n = 0;
}

/* What a convolution works on. */
struct places {
    const uint8_t *x;
    size_t first_row; /* of the input, that x starts with */
    const int8_t *weights;
    const uint8_t *residual; /* or NULL */
    unsigned char *out;
};

/* The pixels first .. last-1 of row y go into the chunk, from its end on. */
static void add_row(const struct sosie_qcode *code, const struct places *at,
                    struct chunk *chunk, size_t y, size_t first, size_t last)
{
    const struct sosie_window *w = &code->window;
    const struct sosie_qlayout *in = &code->in[0];
    bool to_float = code->conv.finish.to_float;
    size_t in_step = w->strides[1] * in->pixel;
    size_t out_step =
        to_float ? code->out.channels * sizeof(float) : code->out.pixel;
    /* the first windows start in the margin */
    const uint8_t *x =
        at->x +
        (in->top + y * w->strides[0] - w->pads[0] - at->first_row) * in->row +
        (in->left - w->pads[1]) * in->pixel;
    const uint8_t *residual =
        at->residual ? at->residual + offset_of(&code->in[1], y, 0) : NULL;
    unsigned char *out = at->out + (to_float ? y * code->out.width * out_step
                                             : offset_of(&code->out, y, 0));

    for (size_t i = first; i < last; i++, chunk->n++) {
        chunk->in[chunk->n] = x + i * in_step;
        chunk->out[chunk->n] = out + i * out_step;
        if (residual)
            chunk->residual[chunk->n] = residual + i * code->in[1].pixel;
    }
}

/* Rows first .. last-1 of the result. */
static void conv_rows(const struct sosie_qcode *code, const struct places *at,
                      size_t first_row, size_t last_row)
{
    struct sosie_qconv conv = code->conv;
    size_t width = code->out.width, pixel = first_row * width;
    size_t last = last_row * width;
    struct chunk chunk;

    chunk.n = 0;
    conv.weights = at->weights;
    while (pixel < last) {
        size_t y = pixel / width, first = pixel % width, n = width - first;
        if (n > code->chunk - chunk.n)
            n = code->chunk - chunk.n;
        add_row(code, at, &chunk, y, first, first + n);
        pixel += n;
        if (chunk.n == code->chunk || pixel == last)
            run_chunk(code, &conv, &chunk, at->residual != NULL);
    }
}

static void run_conv(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const struct places at = {arg(work, 0), 0, arg(work, 1), arg(work, 2),
                              result(work)};
    conv_rows(code, &at, 0, code->out.height);
    if (!code->conv.finish.to_float)
        fill_margins(work, result(work));
}

/* Rows first .. last-1 of the result, of which `out` starts with `out_row`. */
static void depthwise_rows(const struct sosie_qcode *code, const uint8_t *x,
                           const int8_t *weights, uint8_t *out, size_t out_row,
                           size_t first, size_t last)
{
    const uint8_t *rows[SOSIE_QDEPTHWISE_MAX];
    struct sosie_qdepthwise conv = code->depthwise;
    const struct sosie_window *w = &code->window;
    const struct sosie_qlayout *in = &code->in[0];

    conv.weights = weights;
    for (size_t y = first; y < last; y++) {
        for (size_t k = 0; k < conv.kernel_h; k++)
            rows[k] = x +
                      (in->top + y * w->strides[0] + k * w->dilations[0] -
                       w->pads[0]) *
                          in->row +
                      (in->left - w->pads[1]) * in->pixel;
        sosie_kernels()->qdepthwise(
            &conv, rows, out + offset_of(&code->out, y - out_row, 0),
            code->out.pixel * code->abreast, code->out.width / code->abreast);
    }
}

static void run_depthwise(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    uint8_t *out = result(work);
    depthwise_rows(code, arg(work, 0), arg(work, 1), out, 0, 0,
                   code->out.height);
    fill_margins(work, out);
}

static void run_separable(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    struct places at = {arg(work, 2), 0, arg(work, 3), arg(work, 4),
                        result(work)};
    size_t height = code->out.height;
    for (size_t y = 0; y < height; y += code->band) {
        size_t last = height - y < code->band ? height : y + code->band;
        depthwise_rows(code->before, arg(work, 0), arg(work, 1), arg(work, 2),
                       y, y, last);
        at.first_row = y;
        conv_rows(code, &at, y, last);
    }
    if (!code->conv.finish.to_float)
        fill_margins(work, result(work));
}

/* ---- element by element -------------------------------------------------- */

/* Rows are worked on whole, with the padding of their pixels, if both sides
 * pad alike; they do, since it depends on the channels alone. */
static size_t row_bytes(const struct sosie_qlayout *layout)
{
    return layout->width * layout->pixel;
}

static void map(const uint8_t table[256], const uint8_t *in, uint8_t *out,
                size_t n)
{
    sosie_kernels()->qmap(table, in, out, n);
}

static void run_map(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const uint8_t *x = arg(work, 0);
    uint8_t *out = result(work);
    for (size_t y = 0; y < code->out.height; y++)
        map(code->tables[0], x + offset_of(&code->in[0], y, 0),
            out + offset_of(&code->out, y, 0), row_bytes(&code->out));
    fill_margins(work, out);
}

static void run_binary(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const uint8_t *a = arg(work, 0), *b = arg(work, 1);
    uint8_t *out = result(work);
    for (size_t y = 0; y < code->out.height; y++) {
        const uint8_t *from_a = a + offset_of(&code->in[0], y, 0);
        const uint8_t *from_b = b + offset_of(&code->in[1], y, 0);
        uint8_t *to = out + offset_of(&code->out, y, 0);
        size_t n = row_bytes(&code->out);
        if (code->kind == SOSIE_Q_ADD)
            sosie_kernels()->qadd(&code->sum, from_a, from_b, to, n);
        else
            sosie_kernels()->qmul(&code->sum, from_a, code->zero_a, from_b,
                                  code->zero_b, to, n);
    }
    fill_margins(work, out);
}

/* x * s[c]: for each channel a line through its bytes. */
static void run_scale(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const uint8_t *x = arg(work, 0), *s = arg(work, 1);
    float *gain = arg(work, 2);
    uint8_t *out = result(work);
    const struct sosie_qlayout *in = &code->in[0];
    float *shift = gain + in->pixel;

    s += offset_of(&code->in[1], 0, 0);
    for (size_t c = 0; c < in->pixel; c++) {
        gain[c] = c < in->channels
                      ? (float)((int32_t)s[c] - code->zero_b) * code->gain
                      : 0.0F;
        shift[c] = fmaf(gain[c], -(float)code->zero_a, code->shift);
    }
    for (size_t y = 0; y < in->height; y++)
        for (size_t i = 0; i < in->width; i++)
            sosie_kernels()->qaffine(x + offset_of(in, y, i), gain, shift,
                                     out + offset_of(&code->out, y, i),
                                     in->pixel);
    fill_margins(work, out);
}

static void run_mean(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const uint8_t *x = arg(work, 0);
    uint32_t *sums = arg(work, 1);
    void *out = result(work);
    const struct sosie_qlayout *in = &code->in[0];

    memset(sums, 0, in->pixel * sizeof(*sums));
    for (size_t y = 0; y < in->height; y++)
        sosie_kernels()->qaccumulate(x + offset_of(in, y, 0), in->pixel,
                                     in->width, sums, in->pixel);
    for (size_t c = 0; c < in->channels; c++) {
        float v = fmaf((float)sums[c], code->gain, code->shift);
        if (code->floats.channel)
            ((float *)out)[c * code->floats.channel] = v;
        else
            ((uint8_t *)out)[offset_of(&code->out, 0, 0) + c] =
                (uint8_t)fminf(fmaxf(rintf(v), 0.0F), 255.0F);
    }
    if (!code->floats.channel)
        fill_margins(work, out);
}

/* ---- moving -------------------------------------------------------------- */

/* Positions along an axis that a window has inside a tensor of n. */
static void inside(size_t n, size_t kernel, size_t dilation, ptrdiff_t start,
                   size_t *first, size_t *last)
{
    *first = 0;
    while (*first < kernel && start + (ptrdiff_t)(*first * dilation) < 0)
        ++*first;
    *last = *first;
    while (*last < kernel &&
           start + (ptrdiff_t)(*last * dilation) < (ptrdiff_t)n)
        ++*last;
}

/* The rows of a window first, whole, then its columns. */
static void run_max_pool(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const struct sosie_window *w = &code->window;
    const struct sosie_qlayout *in = &code->in[0];
    const uint8_t *x = arg(work, 0);
    uint8_t *tallest = arg(work, 1), *out = result(work);

    for (size_t y = 0; y < code->out.height; y++) {
        uint8_t *to = out + offset_of(&code->out, y, 0);
        ptrdiff_t start =
            (ptrdiff_t)(y * w->strides[0]) - (ptrdiff_t)w->pads[0];
        size_t k, last;
        inside(in->height, w->kernel[0], w->dilations[0], start, &k, &last);
        memset(tallest, 0, row_bytes(in));
        for (; k < last; k++) {
            size_t row = (size_t)(start + (ptrdiff_t)(k * w->dilations[0]));
            sosie_kernels()->qmax(x + offset_of(in, row, 0), tallest,
                                  row_bytes(in));
        }
        memset(to, 0, row_bytes(&code->out));
        for (size_t i = 0; i < code->out.width; i++, to += code->out.pixel) {
            start = (ptrdiff_t)(i * w->strides[1]) - (ptrdiff_t)w->pads[1];
            inside(in->width, w->kernel[1], w->dilations[1], start, &k, &last);
            for (; k < last; k++) {
                ptrdiff_t at = start + (ptrdiff_t)(k * w->dilations[1]);
                sosie_kernels()->qmax(tallest + (size_t)at * in->pixel, to,
                                      in->pixel);
            }
        }
        to = out + offset_of(&code->out, y, 0);
        if (code->tables)
            map(code->tables[0], to, to, row_bytes(&code->out));
    }
    fill_margins(work, out);
}

static void run_concat(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    uint8_t *out = result(work);
    size_t channel = 0;
    for (size_t k = 0; k + 1 < work->step->n_args; k++) {
        const struct sosie_qlayout *in = &code->parts[k];
        const uint8_t *x = arg(work, k);
        for (size_t y = 0; y < in->height; y++)
            for (size_t i = 0; i < in->width; i++)
                map(code->tables[k], x + offset_of(in, y, i),
                    out + offset_of(&code->out, y, i) + channel, in->channels);
        channel += in->channels;
    }
    fill_margins(work, out);
}

/* ---- to and from floats -------------------------------------------------- */

/* Pixels of fewer channels than their bytes have room for, as of photos. */
static void quantise_narrow(const struct sosie_qcode *code, const float *from,
                            uint8_t *to)
{
    enum { PIXELS = 256 };
    uint8_t bytes[PIXELS * 4 + 4];
    size_t channels = code->out.channels, left = code->out.width;
    while (left) {
        size_t n = left < PIXELS ? left : PIXELS;
        sosie_kernels()->qquantise(from, code->gain, code->shift, bytes,
                                   n * channels);
        for (size_t i = 0; i < n; i++) /* what is too much meets weights of 0 */
            memcpy(to + 4 * i, bytes + channels * i, 4);
        from += n * channels;
        to += 4 * n;
        left -= n;
    }
}

static void quantise_row(const struct sosie_qcode *code, const float *from,
                         uint8_t *to)
{
    const struct sosie_qfloats *f = &code->floats;
    const struct sosie_qlayout *out = &code->out;
    if (f->channel == 1 && f->pixel == out->channels && out->pixel == 4) {
        quantise_narrow(code, from, to);
        return;
    }
    if (f->channel == 1 && f->pixel == out->pixel) {
        sosie_kernels()->qquantise(from, code->gain, code->shift, to,
                                   row_bytes(out));
        return;
    }
    for (size_t i = 0; i < out->width; i++, from += f->pixel, to += out->pixel)
        if (f->channel == 1)
            sosie_kernels()->qquantise(from, code->gain, code->shift, to,
                                       out->channels);
        else
            for (size_t c = 0; c < out->channels; c++)
                sosie_kernels()->qquantise(from + c * f->channel, code->gain,
                                           code->shift, to + c, 1);
}

static void run_quantise(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const float *x = arg(work, 0);
    uint8_t *out = result(work);
    for (size_t y = 0; y < code->out.height; y++)
        quantise_row(code, x + y * code->floats.row,
                     out + offset_of(&code->out, y, 0));
    fill_margins(work, out);
}

static void run_round(const struct work *work)
{
    enum { AT_ONCE = 4096 };
    const struct sosie_qcode *code = work->code;
    const float *x = arg(work, 0);
    float *out = result(work);
    uint8_t bytes[AT_ONCE];
    for (size_t i = 0; i < code->n; i += AT_ONCE) {
        size_t n = code->n - i < AT_ONCE ? code->n - i : AT_ONCE;
        sosie_kernels()->qquantise(x + i, code->gain, code->shift, bytes, n);
        sosie_kernels()->qdequantise(bytes, code->back_zero, code->back_scale,
                                     out + i, n);
    }
}

static void run_dequantise(const struct work *work)
{
    const struct sosie_qcode *code = work->code;
    const uint8_t *x = arg(work, 0);
    float *out = result(work);
    const struct sosie_qfloats *f = &code->floats;
    const struct sosie_qlayout *in = &code->in[0];
    for (size_t y = 0; y < in->height; y++)
        for (size_t i = 0; i < in->width; i++) {
            const uint8_t *from = x + offset_of(in, y, i);
            float *to = out + y * f->row + i * f->pixel;
            if (f->channel == 1)
                sosie_kernels()->qdequantise(
                    from, code->back_zero, code->back_scale, to, in->channels);
            else
                for (size_t c = 0; c < in->channels; c++)
                    to[c * f->channel] =
                        ((float)from[c] - code->back_zero) * code->back_scale;
        }
}

/* ---- any step ------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(const struct work *work);
} kinds[] = {
    [SOSIE_Q_CONV] = {"int8:conv", run_conv},
    [SOSIE_Q_DEPTHWISE] = {"int8:depthwise", run_depthwise},
    [SOSIE_Q_SEPARABLE] = {"int8:separable", run_separable},
    [SOSIE_Q_MAP] = {"int8:table", run_map},
    [SOSIE_Q_ADD] = {"int8:add", run_binary},
    [SOSIE_Q_MUL] = {"int8:mul", run_binary},
    [SOSIE_Q_SCALE] = {"int8:scale", run_scale},
    [SOSIE_Q_MEAN] = {"int8:mean", run_mean},
    [SOSIE_Q_MAX_POOL] = {"int8:max", run_max_pool},
    [SOSIE_Q_CONCAT] = {"int8:concat", run_concat},
    [SOSIE_Q_QUANTISE] = {"int8:quantise", run_quantise},
    [SOSIE_Q_ROUND] = {"int8:round", run_round},
    [SOSIE_Q_DEQUANTISE] = {"int8:dequantise", run_dequantise},
};

const char *sosie_qkind_name(enum sosie_qkind kind)
{
    return kinds[kind].name;
}

void sosie_int8_run(const struct sosie_net_run *run,
                    const struct sosie_step *step)
{
    const struct sosie_qcode *code = step->code;
    const struct work work = {code, run, step};
    kinds[code->kind].run(&work);
}
