/* qavx2_depthwise.c: depthwise convolutions of bytes with AVX2.
 *
 * 16 channels are taken at once. Two rows of a column are interleaved, and used
 * for all of the (up to 4) outputs of a tile that the column is part of. */
#include "kernels/qavx2.h"

enum {
    TILE = 4,                                  /* pixels of a tile */
    LANE = 16,                                 /* channels of a tile */
    MAX_WIDTH = 16,                            /* of a kernel */
    MAX_PAIRS = (SOSIE_QDEPTHWISE_MAX + 1) / 2 /* of rows */
};

/* Weights of 16 channels as pairs of rows in 16 bits: the channels as
 * unpacking their bytes leaves them, 0-3 and 8-11, then 4-7 and 12-15. */
struct wide_weights {
    _Alignas(32) int16_t of[MAX_WIDTH][MAX_PAIRS][2][16];
};

/* Four channels' quads of rows as rows 0 and 1 of each, then rows 2 and 3. */
INLINE __m256i split_rows(const int8_t *from)
{
    const __m256i even_odd = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm256_permutevar8x32_epi32(_mm256_cvtepi8_epi16(load_half(from)),
                                       even_odd);
}

/* Those of channels 16 * lane on of a group. */
static void widen_weights(const struct sosie_qdepthwise *conv, size_t group,
                          size_t lane, struct wide_weights *to)
{
    size_t quads = (conv->kernel_h + 3) / 4;
    const int8_t *w = conv->weights + group * conv->kernel_w * quads * 4;
    for (size_t x = 0; x < conv->kernel_w; x++)
        for (size_t q = 0; q < quads; q++, w += SOSIE_QGROUP * 4)
            for (size_t half = 0; half < 2; half++) {
                __m256i a = split_rows(w + 64 * half + 16 * lane);
                __m256i b = split_rows(w + 64 * (half + 2) + 16 * lane);
                _mm256_store_si256((__m256i *)(void *)to->of[x][2 * q][half],
                                   _mm256_permute2x128_si256(a, b, 0x20));
                _mm256_store_si256(
                    (__m256i *)(void *)to->of[x][2 * q + 1][half],
                    _mm256_permute2x128_si256(a, b, 0x31));
            }
}

/* Scales or shifts in the order of the sums. */
INLINE __m256 in_halves(const float *from, size_t half)
{
    return _mm256_insertf128_ps(
        _mm256_castps128_ps256(_mm_loadu_ps(from + 16 * half)),
        _mm_loadu_ps(from + 16 * half + 32), 1);
}

/* One tile of `pixels` outputs x 16 channels; `slot` is where their scales
 * start. All but the pointers are constants to the compiler, where that is
 * worth it. */
INLINE void depthwise_tile(const struct sosie_qdepthwise *conv,
                           const struct wide_weights *w,
                           const uint8_t *const *rows, size_t slot, size_t n,
                           uint8_t *out, size_t out_pixel, size_t pixels,
                           size_t kernel_h, size_t kernel_w, size_t stride)
{
    const struct sosie_qfinish *f = &conv->finish;
    __m256i acc[TILE][2];
#pragma GCC unroll 4
    for (size_t m = 0; m < pixels; m++)
        acc[m][0] = acc[m][1] = _mm256_setzero_si256();
#pragma GCC unroll 16
    for (size_t x = 0; x < (pixels - 1) * stride + kernel_w; x++)
#pragma GCC unroll 4
        for (size_t p = 0; p < (kernel_h + 1) / 2; p++) {
            size_t at = x * conv->pixel;
            __m256i a = _mm256_cvtepu8_epi16(load_half(rows[2 * p] + at));
            __m256i b =
                2 * p + 1 < kernel_h
                    ? _mm256_cvtepu8_epi16(load_half(rows[2 * p + 1] + at))
                    : _mm256_setzero_si256();
            __m256i low = _mm256_unpacklo_epi16(a, b);
            __m256i high = _mm256_unpackhi_epi16(a, b);
#pragma GCC unroll 4
            for (size_t m = 0; m < pixels; m++) {
                size_t tap = x - m * stride; /* wraps below 0 */
                if (tap >= kernel_w)
                    continue;
                acc[m][0] = _mm256_add_epi32(
                    acc[m][0], _mm256_madd_epi16(low, load(w->of[tap][p][0])));
                acc[m][1] = _mm256_add_epi32(
                    acc[m][1], _mm256_madd_epi16(high, load(w->of[tap][p][1])));
            }
        }
#pragma GCC unroll 4
    for (size_t m = 0; m < pixels; m++) {
        __m256 v[2];
        __m256i words;
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; half++) {
            v[half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[m][half]),
                                      in_halves(f->scale + slot, half),
                                      in_halves(f->shift + slot, half));
            if (f->act)
                v[half] = apply_act(f->act, v[half]);
        }
        words = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]),
                                   _mm256_cvtps_epi32(v[1]));
        store_bytes(
            out + m * out_pixel,
            bounded(_mm_packus_epi16(_mm256_castsi256_si128(words),
                                     _mm256_extracti128_si256(words, 1)),
                    f->low, f->high),
            n);
    }
}

/* One row of 16 channels. */
INLINE void depthwise_row(const struct sosie_qdepthwise *conv,
                          const struct wide_weights *w,
                          const uint8_t *const *rows, size_t channel,
                          uint8_t *out, size_t out_pixel, size_t width,
                          size_t kernel_h, size_t kernel_w, size_t stride)
{
    size_t slot = sosie_qdepthwise_slot(channel);
    size_t n = conv->channels - channel, i = 0, step = stride * conv->pixel;
    const uint8_t *at[SOSIE_QDEPTHWISE_MAX];
    for (size_t y = 0; y < kernel_h; y++)
        at[y] = rows[y] + channel;
    out += channel;
#define DEPTHWISE_TILES(pixels)                                                \
    for (; i + pixels <= width; i += pixels) {                                 \
        depthwise_tile(conv, w, at, slot, n, out, out_pixel, pixels, kernel_h, \
                       kernel_w, stride);                                      \
        for (size_t y = 0; y < kernel_h; y++)                                  \
            at[y] += pixels * step;                                            \
        out += pixels * out_pixel;                                             \
    }
    DEPTHWISE_TILES(4)
    DEPTHWISE_TILES(2)
    DEPTHWISE_TILES(1)
#undef DEPTHWISE_TILES
}

typedef void row_run(const struct sosie_qdepthwise *conv,
                     const struct wide_weights *w, const uint8_t *const *rows,
                     size_t channel, uint8_t *out, size_t out_pixel,
                     size_t width);

#define DEFINE_ROW(size, stride)                                               \
    static void row_##size##_##stride(                                         \
        const struct sosie_qdepthwise *conv, const struct wide_weights *w,     \
        const uint8_t *const *rows, size_t channel, uint8_t *out,              \
        size_t out_pixel, size_t width)                                        \
    {                                                                          \
        depthwise_row(conv, w, rows, channel, out, out_pixel, width, size,     \
                      size, stride);                                           \
    }
DEFINE_ROW(3, 1)
DEFINE_ROW(3, 2)
DEFINE_ROW(3, 4)
DEFINE_ROW(5, 1)
DEFINE_ROW(5, 2)
DEFINE_ROW(5, 4)

/* Any other kernel. */
static void row_any(const struct sosie_qdepthwise *conv,
                    const struct wide_weights *w, const uint8_t *const *rows,
                    size_t channel, uint8_t *out, size_t out_pixel,
                    size_t width)
{
    depthwise_row(conv, w, rows, channel, out, out_pixel, width, conv->kernel_h,
                  conv->kernel_w, conv->stride);
}

static row_run *row_of(const struct sosie_qdepthwise *conv)
{
    static row_run *const rows_3[] = {row_3_1, row_3_2, row_any, row_3_4};
    static row_run *const rows_5[] = {row_5_1, row_5_2, row_any, row_5_4};
    if (conv->kernel_h != conv->kernel_w || conv->stride > 4)
        return row_any;
    if (conv->kernel_h == 3)
        return rows_3[conv->stride - 1];
    return conv->kernel_h == 5 ? rows_5[conv->stride - 1] : row_any;
}

void sosie_qdepthwise_avx2(const struct sosie_qdepthwise *conv,
                           const uint8_t *const *rows, uint8_t *out,
                           size_t out_pixel, size_t width)
{
    struct wide_weights w;
    row_run *row = row_of(conv);
    if (conv->kernel_w > MAX_WIDTH) {
        sosie_qdepthwise_c(conv, rows, out, out_pixel, width);
        return;
    }
    for (size_t c = 0; c < conv->channels; c += LANE) {
        size_t in_group = c % SOSIE_QGROUP;
        widen_weights(conv, c - in_group, in_group / LANE, &w);
        row(conv, &w, rows, c, out, out_pixel, width);
    }
}
