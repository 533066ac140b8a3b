/* quantised.h: the inner loops of 8-bit networks.
 *
 * Activations are unsigned bytes, pixel after pixel with the channels of a
 * pixel side by side (NHWC); weights are signed bytes. Products are summed in
 * int32, which K < 2^16 of them cannot leave; what becomes of a sum is told by
 * a struct sosie_qfinish. All arithmetic is in integers, or in single float
 * operations in a stated order, so every path gives the very same bytes.
 *
 * The quads of four products that AVX-512 VNNI's vpdpbusd adds at once shape
 * the layouts. Weights are packed as the path at hand likes to read them.
 * Threads: any number at once. */
#ifndef SOSIE_KERNELS_QUANTISED_H
#define SOSIE_KERNELS_QUANTISED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SOSIE_QBLOCK = 16,   /* channels: int32 sums in a vector */
    SOSIE_QGROUP = 64,   /* channels that are worked on together, at most */
    SOSIE_QSEGMENTS = 32 /* of a struct sosie_qact */
};

/* A function of one number as quadratics: f(x) = (c2[i] * x + c1[i]) * x +
 * c0[i], i = trunc(clip(x * inverse_step + offset, 0, 31)). */
struct sosie_qact {
    float inverse_step, offset;
    float c0[SOSIE_QSEGMENTS], c1[SOSIE_QSEGMENTS], c2[SOSIE_QSEGMENTS];
};

/* What becomes of the sums of a pixel, channel by channel:
 *   v = fma(sum, scale[c], shift[c])
 *   v = act(v)                              if there is one
 *   v = clip(round(v), 0, 255)              if `rounds`
 *   v = fma(v, gain, fma(r, residual_gain, residual_shift))
 *                                           if there is a residual byte r
 *   out = (float)clip(v, low, high), or the byte clip(round(v), low, high)
 * Rounding is to nearest, halves to even. |v| stays below 2^31. */
struct sosie_qfinish {
    const float *scale, *shift; /* padded with zeros to whole groups */
    const struct sosie_qact *act;
    bool rounds, to_float;
    float gain, residual_gain, residual_shift;
    float low, high; /* whole numbers in 0..255 for bytes */
};

/* ---- convolution --------------------------------------------------------- */

/* A convolution, or a matrix product: sum over taps t and bytes k of
 * in[taps[t] + k] * w[t][k]. */
struct sosie_qconv {
    size_t n_taps;
    const ptrdiff_t *taps; /* bytes from a pixel's first */
    size_t n_quads;        /* k: 4 * n_quads bytes a tap; what is beyond the
                              channels meets weights of 0, but must be there,
                              and so must 28 more bytes after a tap */
    size_t n_out;          /* channels */
    const int8_t *weights; /* as sosie_qconv_pack left them, aligned to 64 */
    struct sosie_qfinish finish;
};

/* Bytes of packed weights, a multiple of 64. */
typedef size_t sosie_qconv_size(size_t n_taps, size_t n_quads, size_t n_out);

/* Weights as they come: that of byte k of tap t for channel c stands at
 * at[c * channel + t * tap + k * byte]. */
struct sosie_qweights {
    const int8_t *at;
    size_t n_out, n_taps, n_in; /* c, t, k */
    size_t channel, tap, byte;
};

/* Packs weights in the way that the same table's sosie_qconv_run reads.
 * n_in <= 4 * n_quads. */
typedef void sosie_qconv_pack(const struct sosie_qweights *weights,
                              size_t n_quads, int8_t *packed);

/* The weights of a quad of tap t for channel c, 0 beyond them: what packing
 * asks for, in the order it likes. */
static inline void sosie_qconv_quad(const struct sosie_qweights *w, size_t c,
                                    size_t t, size_t quad, int8_t to[4])
{
    size_t first = c * w->channel + t * w->tap;
    for (size_t i = 0, k = 4 * quad; i < 4; i++, k++)
        to[i] = c < w->n_out && k < w->n_in ? w->at[first + k * w->byte] : 0;
}

/* Computes n pixels: in[i] is the first byte of pixel i's window, out[i] takes
 * its n_out channels (bytes, or floats), residual[i] has as many bytes;
 * `residual` is NULL if there is none. */
typedef void sosie_qconv_run(const struct sosie_qconv *conv,
                             const uint8_t *const *in, void *const *out,
                             const uint8_t *const *residual, size_t n);

/* ---- depthwise convolution ----------------------------------------------- */

enum { SOSIE_QDEPTHWISE_MAX = 8 }; /* rows of a kernel */

/* Each channel with its own kernel_h x kernel_w taps. Bytes out, no residual.
 * Up to 15 bytes after the last channel of a pixel are read, too; whatever they
 * are, they are not used. */
struct sosie_qdepthwise {
    size_t channels, kernel_h, kernel_w, stride; /* stride: along a row */
    size_t pixel;                /* bytes from one to the next */
    const int8_t *weights;       /* packed by sosie_qdepthwise_pack */
    struct sosie_qfinish finish; /* scale and shift in the order of
                                    sosie_qdepthwise_slot */
};

/* Where channel c stands among the scales, shifts and sums of its group: after
 * two interleavings of bytes, sum 16 * j + 4 * l + i of a group is channel
 * 16 * l + 4 * j + i (l: 128-bit lane, j: vector). */
size_t sosie_qdepthwise_slot(size_t c);

size_t sosie_qdepthwise_size(size_t channels, size_t kernel_h, size_t kernel_w);

/* Packs weights (channels, kernel_h, kernel_w). */
void sosie_qdepthwise_pack(const int8_t *weights, size_t channels,
                           size_t kernel_h, size_t kernel_w, int8_t *packed);

/* Computes one row of `width` pixels, out_pixel bytes apart; rows[k] is the
 * first byte that tap row k of the first pixel reads. */
typedef void sosie_qdepthwise_run(const struct sosie_qdepthwise *conv,
                                  const uint8_t *const *rows, uint8_t *out,
                                  size_t out_pixel, size_t width);

/* ---- element by element -------------------------------------------------- */

/* out[c] = clip(round(fma(in[c], gain[c], shift[c])), 0, 255). */
typedef void sosie_qaffine(const uint8_t *in, const float *gain,
                           const float *shift, uint8_t *out, size_t n);

/* out[i] = clip(round(fma(a[i], gain_a, fma(b[i], gain_b, shift))), low, high).
 */
struct sosie_qsum {
    float gain_a, gain_b, shift, low, high;
};
typedef void sosie_qadd(const struct sosie_qsum *sum, const uint8_t *a,
                        const uint8_t *b, uint8_t *out, size_t n);

/* out[i] = clip(round(fma((a[i] - zero_a) * (b[i] - zero_b), gain_a, shift)),
 * low, high). */
typedef void sosie_qmul(const struct sosie_qsum *sum, const uint8_t *a,
                        int32_t zero_a, const uint8_t *b, int32_t zero_b,
                        uint8_t *out, size_t n);

/* out[i] = table[in[i]]; out may be in. */
typedef void sosie_qmap(const uint8_t table[256], const uint8_t *in,
                        uint8_t *out, size_t n);

/* sums[i] += in[i] of each of n_pixels, `pixel` bytes apart. */
typedef void sosie_qaccumulate(const uint8_t *in, size_t pixel, size_t n_pixels,
                               uint32_t *sums, size_t n);

/* out[i] = max(out[i], in[i]). */
typedef void sosie_qmax(const uint8_t *in, uint8_t *out, size_t n);

/* out[i] = clip(round(fma(in[i], gain, shift)), 0, 255). */
typedef void sosie_qquantise(const float *in, float gain, float shift,
                             uint8_t *out, size_t n);

/* out[i] = (in[i] - zero) * scale, zero a whole number: the byte of zero is 0
 * itself. */
typedef void sosie_qdequantise(const uint8_t *in, float zero, float scale,
                               float *out, size_t n);

#endif
