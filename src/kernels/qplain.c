/* qplain.c: the inner loops of 8-bit networks in plain C, their specification,
 * and the packing that all paths share. */
#include "kernels/paths.h"

#include <math.h>
#include <string.h>

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The channels in whole blocks. */
static size_t in_blocks(size_t n_out)
{
    return (n_out + SOSIE_QBLOCK - 1) / SOSIE_QBLOCK * SOSIE_QBLOCK;
}

static float clip(float x, float low, float high)
{
    x = x > low ? x : low;
    return x < high ? x : high;
}

static uint8_t to_byte(float x, float low, float high)
{
    return (uint8_t)clip(rintf(x), low, high);
}

static float apply_act(const struct sosie_qact *act, float x)
{
    float at = clip(fmaf(x, act->inverse_step, act->offset), 0.0F,
                    (float)(SOSIE_QSEGMENTS - 1));
    size_t i = (size_t)at;
    return fmaf(fmaf(act->c2[i], x, act->c1[i]), x, act->c0[i]);
}

/* One sum; `slot` is where its scale and shift stand. */
static float finish(const struct sosie_qfinish *f, int32_t sum, size_t slot,
                    const uint8_t *residual)
{
    float v = fmaf((float)sum, f->scale[slot], f->shift[slot]);
    if (f->act)
        v = apply_act(f->act, v);
    if (f->rounds)
        v = clip(rintf(v), 0.0F, 255.0F);
    if (residual)
        v = fmaf(v, f->gain,
                 fmaf((float)*residual, f->residual_gain, f->residual_shift));
    return v;
}

/* ---- convolution --------------------------------------------------------- */

/* Layout: for each group of 64 channels [tap][quad][channel][4]; the last group
 * has as many channels as are left, in whole blocks of 16. */
size_t sosie_qconv_size_c(size_t n_taps, size_t n_quads, size_t n_out)
{
    return in_blocks(n_out) * 4 * n_taps * n_quads;
}

void sosie_qconv_pack_c(const struct sosie_qweights *weights, size_t n_quads,
                        int8_t *packed)
{
    size_t padded = in_blocks(weights->n_out);
    for (size_t first = 0; first < padded; first += SOSIE_QGROUP) {
        size_t last = first + min_size(padded - first, SOSIE_QGROUP);
        for (size_t t = 0; t < weights->n_taps; t++)
            for (size_t q = 0; q < n_quads; q++)
                for (size_t c = first; c < last; c++, packed += 4)
                    sosie_qconv_quad(weights, c, t, q, packed);
    }
}

static int32_t conv_sum(const struct sosie_qconv *conv, const uint8_t *in,
                        size_t c)
{
    size_t first = c - c % SOSIE_QGROUP;
    size_t width = min_size(in_blocks(conv->n_out) - first, SOSIE_QGROUP);
    const int8_t *w = conv->weights + first * 4 * conv->n_taps * conv->n_quads +
                      (c - first) * 4;
    int32_t sum = 0;
    for (size_t t = 0; t < conv->n_taps; t++) {
        const uint8_t *from = in + conv->taps[t];
        for (size_t q = 0; q < conv->n_quads; q++, from += 4, w += 4 * width)
            for (size_t k = 0; k < 4; k++)
                sum += from[k] * w[k];
    }
    return sum;
}

void sosie_qconv_c(const struct sosie_qconv *conv, const uint8_t *const *in,
                   void *const *out, const uint8_t *const *residual, size_t n)
{
    const struct sosie_qfinish *f = &conv->finish;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < conv->n_out; c++) {
            float v = finish(f, conv_sum(conv, in[i], c), c,
                             residual ? residual[i] + c : NULL);
            if (f->to_float)
                ((float *)out[i])[c] = clip(v, f->low, f->high);
            else
                ((uint8_t *)out[i])[c] = to_byte(v, f->low, f->high);
        }
}

/* ---- depthwise convolution ----------------------------------------------- */

size_t sosie_qdepthwise_slot(size_t c)
{
    size_t in_group = c % SOSIE_QGROUP;
    size_t lane = in_group / 16, j = in_group / 4 % 4;
    return c - in_group + 16 * j + 4 * lane + in_group % 4;
}

/* Quads of rows: each holds four taps of a column. */
static size_t row_quads(size_t kernel_h)
{
    return (kernel_h + 3) / 4;
}

size_t sosie_qdepthwise_size(size_t channels, size_t kernel_h, size_t kernel_w)
{
    size_t groups = (channels + SOSIE_QGROUP - 1) / SOSIE_QGROUP;
    return groups * SOSIE_QGROUP * 4 * row_quads(kernel_h) * kernel_w;
}

/* Layout: [group][column][quad of rows][slot][4 rows]. */
void sosie_qdepthwise_pack(const int8_t *weights, size_t channels,
                           size_t kernel_h, size_t kernel_w, int8_t *packed)
{
    size_t quads = row_quads(kernel_h);
    memset(packed, 0, sosie_qdepthwise_size(channels, kernel_h, kernel_w));
    for (size_t c = 0; c < channels; c++)
        for (size_t y = 0; y < kernel_h; y++)
            for (size_t x = 0; x < kernel_w; x++) {
                size_t group = c / SOSIE_QGROUP;
                size_t slot = sosie_qdepthwise_slot(c) % SOSIE_QGROUP;
                size_t at = (group * kernel_w + x) * quads + y / 4;
                packed[(at * SOSIE_QGROUP + slot) * 4 + y % 4] =
                    weights[(c * kernel_h + y) * kernel_w + x];
            }
}

void sosie_qdepthwise_c(const struct sosie_qdepthwise *conv,
                        const uint8_t *const *rows, uint8_t *out,
                        size_t out_pixel, size_t width)
{
    size_t quads = row_quads(conv->kernel_h);
    for (size_t i = 0; i < width; i++)
        for (size_t c = 0; c < conv->channels; c++) {
            size_t slot = sosie_qdepthwise_slot(c);
            int32_t sum = 0;
            for (size_t x = 0; x < conv->kernel_w; x++)
                for (size_t y = 0; y < conv->kernel_h; y++) {
                    size_t at =
                        (c / SOSIE_QGROUP * conv->kernel_w + x) * quads + y / 4;
                    sum += rows[y][(i * conv->stride + x) * conv->pixel + c] *
                           conv->weights[(at * SOSIE_QGROUP +
                                          slot % SOSIE_QGROUP) *
                                             4 +
                                         y % 4];
                }
            out[i * out_pixel + c] =
                to_byte(finish(&conv->finish, sum, slot, NULL),
                        conv->finish.low, conv->finish.high);
        }
}

/* ---- element by element -------------------------------------------------- */

void sosie_qaffine_c(const uint8_t *in, const float *gain, const float *shift,
                     uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = to_byte(fmaf((float)in[i], gain[i], shift[i]), 0.0F, 255.0F);
}

void sosie_qadd_c(const struct sosie_qsum *sum, const uint8_t *a,
                  const uint8_t *b, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = to_byte(fmaf((float)a[i], sum->gain_a,
                              fmaf((float)b[i], sum->gain_b, sum->shift)),
                         sum->low, sum->high);
}

void sosie_qmul_c(const struct sosie_qsum *sum, const uint8_t *a,
                  int32_t zero_a, const uint8_t *b, int32_t zero_b,
                  uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t product = (a[i] - zero_a) * (b[i] - zero_b);
        out[i] = to_byte(fmaf((float)product, sum->gain_a, sum->shift),
                         sum->low, sum->high);
    }
}

void sosie_qmap_c(const uint8_t table[256], const uint8_t *in, uint8_t *out,
                  size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = table[in[i]];
}

void sosie_qaccumulate_c(const uint8_t *in, size_t pixel, size_t n_pixels,
                         uint32_t *sums, size_t n)
{
    for (size_t k = 0; k < n_pixels; k++, in += pixel)
        for (size_t i = 0; i < n; i++)
            sums[i] += in[i];
}

void sosie_qmax_c(const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] > in[i] ? out[i] : in[i];
}

void sosie_qquantise_c(const float *in, float gain, float shift, uint8_t *out,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = to_byte(fmaf(in[i], gain, shift), 0.0F, 255.0F);
}

void sosie_qdequantise_c(const uint8_t *in, float zero, float scale, float *out,
                         size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ((float)in[i] - zero) * scale;
}
