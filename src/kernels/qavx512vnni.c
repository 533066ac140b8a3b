/* qavx512vnni.c: the inner loops of 8-bit networks with AVX-512 VNNI.
 *
 * A convolution is worked on in tiles of up to 12 pixels x 1 or 2 vectors of
 * channels, or 6 pixels x 3 or 4: 24 accumulators. Each step reads a vector of
 * weights for each of the channel vectors and four bytes for each of the
 * pixels, so that 6 x 4 takes 10 loads for 24 times 64 products.
 *
 * A depthwise convolution sets the bytes of four rows side by side with
 * unpack instructions, a column at a time, and uses each such column for all
 * of the (up to 4) outputs of a tile that it is part of. */
#include "kernels/paths.h"

#include <immintrin.h>
#include <string.h>

enum {
    VECTORS = 4,     /* of int32 in a group */
    MAX_PIXELS = 12, /* of a tile */
    TILE = 4         /* pixels of a depthwise tile */
};

#define INLINE static inline __attribute__((always_inline))

/* ---- from sums to bytes -------------------------------------------------- */

INLINE __m512 apply_act(const struct sosie_qact *act, __m512 x)
{
    __m512 at = _mm512_fmadd_ps(x, _mm512_set1_ps(act->inverse_step),
                                _mm512_set1_ps(act->offset));
    __m512i i;
    __m512 c0, c1, c2;
    at = _mm512_max_ps(at, _mm512_setzero_ps());
    at = _mm512_min_ps(at, _mm512_set1_ps(SOSIE_QSEGMENTS - 1));
    i = _mm512_cvttps_epi32(at);
    c0 = _mm512_permutex2var_ps(_mm512_loadu_ps(act->c0), i,
                                _mm512_loadu_ps(act->c0 + 16));
    c1 = _mm512_permutex2var_ps(_mm512_loadu_ps(act->c1), i,
                                _mm512_loadu_ps(act->c1 + 16));
    c2 = _mm512_permutex2var_ps(_mm512_loadu_ps(act->c2), i,
                                _mm512_loadu_ps(act->c2 + 16));
    return _mm512_fmadd_ps(_mm512_fmadd_ps(c2, x, c1), x, c0);
}

INLINE __m512 scaled(const struct sosie_qfinish *f, size_t slot, __m512i sum)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum),
                           _mm512_loadu_ps(f->scale + slot),
                           _mm512_loadu_ps(f->shift + slot));
}

/* Four vectors of int32 as 64 bytes, saturated; their order is that of
 * interleaved channels (sosie_qdepthwise_slot). */
INLINE __m512i narrowed(const __m512i v[VECTORS])
{
    return _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]),
                               _mm512_packs_epi32(v[2], v[3]));
}

/* The same in plain order. */
INLINE __m512i in_order(__m512i bytes)
{
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, bytes);
}

INLINE __m512i bounded(const struct sosie_qfinish *f, __m512i bytes)
{
    bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)(int)f->low));
    return _mm512_min_epu8(bytes, _mm512_set1_epi8((char)(int)f->high));
}

INLINE __mmask64 first(size_t n)
{
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

/* What only some networks have: functions, residuals, floats. `sums` are those
 * of one pixel and group, n channels of which count. */
static __attribute__((noinline)) void
finish_all(const struct sosie_qfinish *f, const __m512i *sums, size_t group,
           size_t n, const uint8_t *residual, void *out)
{
    __m512i bytes[VECTORS];
    for (size_t j = 0; j < VECTORS; j++) {
        __m512 v;
        bytes[j] = _mm512_setzero_si512();
        if (16 * j >= n)
            continue;
        v = scaled(f, group + 16 * j, sums[j]);
        if (f->act)
            v = apply_act(f->act, v);
        if (f->rounds) {
            v = _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT |
                                            _MM_FROUND_NO_EXC);
            v = _mm512_max_ps(v, _mm512_setzero_ps());
            v = _mm512_min_ps(v, _mm512_set1_ps(255.0F));
        }
        if (residual) {
            __m128i r = _mm_maskz_loadu_epi8((__mmask16)first(n - 16 * j),
                                             residual + group + 16 * j);
            __m512 x = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(r));
            x = _mm512_fmadd_ps(x, _mm512_set1_ps(f->residual_gain),
                                _mm512_set1_ps(f->residual_shift));
            v = _mm512_fmadd_ps(v, _mm512_set1_ps(f->gain), x);
        }
        if (f->to_float) {
            v = _mm512_max_ps(v, _mm512_set1_ps(f->low));
            v = _mm512_min_ps(v, _mm512_set1_ps(f->high));
            _mm512_mask_storeu_ps((float *)out + group + 16 * j,
                                  (__mmask16)first(n - 16 * j), v);
        }
        bytes[j] = _mm512_cvtps_epi32(v);
    }
    if (!f->to_float)
        _mm512_mask_storeu_epi8((uint8_t *)out + group, first(n),
                                bounded(f, in_order(narrowed(bytes))));
}

INLINE bool is_simple(const struct sosie_qfinish *f, bool has_residual)
{
    return !f->act && !f->rounds && !f->to_float && !has_residual;
}

/* ---- convolution --------------------------------------------------------- */

/* One tile: `pixels` x `blocks` are constants to the compiler. A line of
 * `ahead` is fetched with every step. */
INLINE void conv_tile(const struct sosie_qconv *conv, const int8_t *w,
                      const int8_t *ahead, size_t group,
                      const uint8_t *const *in, void *const *out,
                      const uint8_t *const *residual, size_t pixels,
                      size_t blocks)
{
    const struct sosie_qfinish *f = &conv->finish;
    size_t n = conv->n_out - group;
    __m512i acc[MAX_PIXELS][VECTORS], low, high;
    __mmask64 mask = first(n);

#pragma GCC unroll 12
    for (size_t m = 0; m < pixels; m++)
#pragma GCC unroll 4
        for (size_t b = 0; b < blocks; b++)
            acc[m][b] = _mm512_setzero_si512();
    for (size_t t = 0; t < conv->n_taps; t++) {
        ptrdiff_t at = conv->taps[t];
        ptrdiff_t end = at + 4 * (ptrdiff_t)conv->n_quads;
        for (; at < end; at += 4, w += 64 * blocks, ahead += 64) {
            __m512i weights[VECTORS];
            _mm_prefetch(ahead, _MM_HINT_T1);
#pragma GCC unroll 4
            for (size_t b = 0; b < blocks; b++)
                weights[b] = _mm512_load_si512(w + 64 * b);
#pragma GCC unroll 12
            for (size_t m = 0; m < pixels; m++) {
                int32_t quad;
                __m512i x;
                memcpy(&quad, in[m] + at, sizeof(quad));
                x = _mm512_set1_epi32(quad);
#pragma GCC unroll 4
                for (size_t b = 0; b < blocks; b++)
                    acc[m][b] = _mm512_dpbusd_epi32(acc[m][b], x, weights[b]);
            }
        }
    }
    if (n > 16 * blocks)
        n = 16 * blocks;
    if (!is_simple(f, residual)) {
        __m512i sums[MAX_PIXELS][VECTORS];
#pragma GCC unroll 12
        for (size_t m = 0; m < pixels; m++)
#pragma GCC unroll 4
            for (size_t b = 0; b < blocks; b++)
                sums[m][b] = acc[m][b];
        for (size_t m = 0; m < pixels; m++)
            finish_all(f, sums[m], group, n, residual ? residual[m] : NULL,
                       out[m]);
        return;
    }
#pragma GCC unroll 4
    for (size_t b = 0; b < blocks; b++) {
        __m512 scale = _mm512_loadu_ps(f->scale + group + 16 * b);
        __m512 shift = _mm512_loadu_ps(f->shift + group + 16 * b);
#pragma GCC unroll 12
        for (size_t m = 0; m < pixels; m++)
            acc[m][b] = _mm512_cvtps_epi32(
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[m][b]), scale, shift));
    }
    low = _mm512_set1_epi8((char)(int)f->low);
    high = _mm512_set1_epi8((char)(int)f->high);
#pragma GCC unroll 12
    for (size_t m = 0; m < pixels; m++) {
        __m512i v[VECTORS], bytes;
#pragma GCC unroll 4
        for (size_t b = 0; b < VECTORS; b++)
            v[b] = b < blocks ? acc[m][b] : _mm512_setzero_si512();
        bytes = in_order(narrowed(v));
        bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, low), high);
        _mm512_mask_storeu_epi8((uint8_t *)out[m] + group, mask, bytes);
    }
}

typedef void tile_run(const struct sosie_qconv *conv, const int8_t *w,
                      const int8_t *ahead, size_t group,
                      const uint8_t *const *in, void *const *out,
                      const uint8_t *const *residual);

#define DEFINE_TILE(pixels, blocks)                                            \
    static void tile_##pixels##_##blocks(                                      \
        const struct sosie_qconv *conv, const int8_t *w, const int8_t *ahead,  \
        size_t group, const uint8_t *const *in, void *const *out,              \
        const uint8_t *const *residual)                                        \
    {                                                                          \
        conv_tile(conv, w, ahead, group, in, out, residual, pixels, blocks);   \
    }
#define DEFINE_SIX(X, blocks)                                                  \
    X(1, blocks)                                                               \
    X(2, blocks) X(3, blocks) X(4, blocks) X(5, blocks) X(6, blocks)
#define DEFINE_TWELVE(X, blocks)                                               \
    DEFINE_SIX(X, blocks)                                                      \
    X(7, blocks)                                                               \
    X(8, blocks) X(9, blocks) X(10, blocks) X(11, blocks) X(12, blocks)
DEFINE_TWELVE(DEFINE_TILE, 1)
DEFINE_TWELVE(DEFINE_TILE, 2)
DEFINE_SIX(DEFINE_TILE, 3)
DEFINE_SIX(DEFINE_TILE, 4)

#define TILE_NAME(pixels, blocks) tile_##pixels##_##blocks,
static tile_run *const tiles[VECTORS][MAX_PIXELS] = {
    {DEFINE_TWELVE(TILE_NAME, 1)},
    {DEFINE_TWELVE(TILE_NAME, 2)},
    {DEFINE_SIX(TILE_NAME, 3)},
    {DEFINE_SIX(TILE_NAME, 4)},
};

/* While one group of channels is worked on, the weights that come after its
 * own in memory are fetched: those of the next group, and at the end, where the
 * caller keeps them in order, those of the next convolution. */
void sosie_qconv_avx512vnni(const struct sosie_qconv *conv,
                            const uint8_t *const *in, void *const *out,
                            const uint8_t *const *residual, size_t n)
{
    const int8_t *w = conv->weights;
    size_t steps = conv->n_taps * conv->n_quads;
    for (size_t group = 0; group < conv->n_out; group += SOSIE_QGROUP) {
        size_t left = conv->n_out - group;
        size_t blocks = left >= SOSIE_QGROUP ? VECTORS : (left + 15) / 16;
        size_t most = blocks <= 2 ? 12 : 6;
        size_t n_tiles = (n + most - 1) / most;
        const int8_t *next = w + 64 * blocks * steps;
        for (size_t i = 0, k = 0; i < n; k++) { /* tiles of even sizes */
            size_t pixels = (n - i) / (n_tiles - k);
            const int8_t *ahead = k < blocks ? next + 64 * k * steps : w;
            tiles[blocks - 1][pixels - 1](conv, w, ahead, group, in + i,
                                          out + i,
                                          residual ? residual + i : NULL);
            i += pixels;
        }
        w = next;
    }
}

/* ---- depthwise convolution ----------------------------------------------- */

/* Four rows of 64 bytes as quads: byte c of each row side by side. */
INLINE void interleave(const __m512i row[4], __m512i quad[VECTORS])
{
    __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]);
    __m512i high01 = _mm512_unpackhi_epi8(row[0], row[1]);
    __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]);
    __m512i high23 = _mm512_unpackhi_epi8(row[2], row[3]);
    quad[0] = _mm512_unpacklo_epi16(low01, low23);
    quad[1] = _mm512_unpackhi_epi16(low01, low23);
    quad[2] = _mm512_unpacklo_epi16(high01, high23);
    quad[3] = _mm512_unpackhi_epi16(high01, high23);
}

/* One tile of `pixels` outputs, of the channels in `mask` from `group` on. All
 * but the pointers are constants to the compiler, where that is worth it. */
INLINE void depthwise_tile(const struct sosie_qdepthwise *conv,
                           const uint8_t *const *rows, size_t group,
                           __mmask64 mask, uint8_t *out, size_t out_pixel,
                           size_t pixels, size_t kernel_h, size_t kernel_w,
                           size_t stride)
{
    const struct sosie_qfinish *f = &conv->finish;
    size_t quads = (kernel_h + 3) / 4;
    const int8_t *w = conv->weights + group * kernel_w * quads * 4;
    __m512i acc[TILE][VECTORS];

#pragma GCC unroll 4
    for (size_t m = 0; m < pixels; m++)
#pragma GCC unroll 4
        for (size_t j = 0; j < VECTORS; j++)
            acc[m][j] = _mm512_setzero_si512();
#pragma GCC unroll 16
    for (size_t x = 0; x < (pixels - 1) * stride + kernel_w; x++)
#pragma GCC unroll 2
        for (size_t q = 0; q < quads; q++) {
            __m512i row[4], quad[VECTORS];
#pragma GCC unroll 4
            for (size_t y = 0; y < 4; y++)
                row[y] = 4 * q + y < kernel_h
                             ? _mm512_maskz_loadu_epi8(
                                   mask, rows[4 * q + y] + x * conv->pixel)
                             : _mm512_setzero_si512();
            interleave(row, quad);
#pragma GCC unroll 4
            for (size_t m = 0; m < pixels; m++) {
                size_t tap = x - m * stride; /* wraps below 0 */
                if (tap >= kernel_w)
                    continue;
#pragma GCC unroll 4
                for (size_t j = 0; j < VECTORS; j++)
                    acc[m][j] = _mm512_dpbusd_epi32(
                        acc[m][j], quad[j],
                        _mm512_load_si512(
                            w + ((tap * quads + q) * VECTORS + j) * 64));
            }
        }
#pragma GCC unroll 4
    for (size_t m = 0; m < pixels; m++) {
        __m512i v[VECTORS];
#pragma GCC unroll 4
        for (size_t j = 0; j < VECTORS; j++) {
            __m512 x = scaled(f, group + 16 * j, acc[m][j]);
            v[j] = _mm512_cvtps_epi32(f->act ? apply_act(f->act, x) : x);
        }
        _mm512_mask_storeu_epi8(out + m * out_pixel, mask,
                                bounded(f, narrowed(v)));
    }
}

/* One row of one group. */
INLINE void depthwise_row(const struct sosie_qdepthwise *conv,
                          const uint8_t *const *rows, size_t group,
                          uint8_t *out, size_t out_pixel, size_t width,
                          size_t kernel_h, size_t kernel_w, size_t stride)
{
    size_t left = conv->channels - group;
    const uint8_t *at[SOSIE_QDEPTHWISE_MAX];
    size_t i = 0, step = stride * conv->pixel;
    for (size_t y = 0; y < kernel_h; y++)
        at[y] = rows[y] + group;
    out += group;
#define DEPTHWISE_TILES(pixels)                                                \
    for (; i + pixels <= width; i += pixels) {                                 \
        depthwise_tile(conv, at, group, first(left), out, out_pixel, pixels,   \
                       kernel_h, kernel_w, stride);                            \
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
                     const uint8_t *const *rows, size_t group, uint8_t *out,
                     size_t out_pixel, size_t width);

#define DEFINE_ROW(size, stride)                                               \
    static void row_##size##_##stride(                                         \
        const struct sosie_qdepthwise *conv, const uint8_t *const *rows,       \
        size_t group, uint8_t *out, size_t out_pixel, size_t width)            \
    {                                                                          \
        depthwise_row(conv, rows, group, out, out_pixel, width, size, size,    \
                      stride);                                                 \
    }
DEFINE_ROW(3, 1)
DEFINE_ROW(3, 2)
DEFINE_ROW(3, 4)
DEFINE_ROW(5, 1)
DEFINE_ROW(5, 2)
DEFINE_ROW(5, 4)

/* Any other kernel. */
static void row_any(const struct sosie_qdepthwise *conv,
                    const uint8_t *const *rows, size_t group, uint8_t *out,
                    size_t out_pixel, size_t width)
{
    depthwise_row(conv, rows, group, out, out_pixel, width, conv->kernel_h,
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

void sosie_qdepthwise_avx512vnni(const struct sosie_qdepthwise *conv,
                                 const uint8_t *const *rows, uint8_t *out,
                                 size_t out_pixel, size_t width)
{
    row_run *row = row_of(conv);
    for (size_t group = 0; group < conv->channels; group += SOSIE_QGROUP)
        row(conv, rows, group, out, out_pixel, width);
}

/* ---- element by element -------------------------------------------------- */

/* Each works on up to 64 elements at once, n of which count: four vectors. */

INLINE __mmask16 quarter(size_t n, size_t j)
{
    return n <= 16 * j ? 0 : (__mmask16)first(n - 16 * j);
}

/* Bytes j * 16 and on of 64, as whole numbers. */
INLINE __m512i load_bytes(const uint8_t *in, size_t n, size_t j)
{
    return _mm512_cvtepu8_epi32(
        _mm_maskz_loadu_epi8(quarter(n, j), in + 16 * j));
}

/* Rounded and narrowed; |v| is below 2^31. */
INLINE void store_bytes(uint8_t *out, size_t n, const __m512 v[VECTORS],
                        float low, float high)
{
    __m512i whole[VECTORS], bytes;
    for (size_t j = 0; j < VECTORS; j++)
        whole[j] = _mm512_cvtps_epi32(v[j]);
    bytes = in_order(narrowed(whole));
    bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)(int)low));
    bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)(int)high));
    _mm512_mask_storeu_epi8(out, first(n), bytes);
}

void sosie_qaffine_avx512vnni(const uint8_t *in, const float *gain,
                              const float *shift, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        __m512 v[VECTORS];
        for (size_t j = 0; j < VECTORS; j++) {
            __mmask16 mask = quarter(n - i, j);
            v[j] = _mm512_fmadd_ps(
                _mm512_cvtepi32_ps(load_bytes(in + i, n - i, j)),
                _mm512_maskz_loadu_ps(mask, gain + i + 16 * j),
                _mm512_maskz_loadu_ps(mask, shift + i + 16 * j));
        }
        store_bytes(out + i, n - i, v, 0.0F, 255.0F);
    }
}

void sosie_qadd_avx512vnni(const struct sosie_qsum *sum, const uint8_t *a,
                           const uint8_t *b, uint8_t *out, size_t n)
{
    const __m512 gain_a = _mm512_set1_ps(sum->gain_a);
    const __m512 gain_b = _mm512_set1_ps(sum->gain_b);
    const __m512 shift = _mm512_set1_ps(sum->shift);
    for (size_t i = 0; i < n; i += 64) {
        __m512 v[VECTORS];
        for (size_t j = 0; j < VECTORS; j++) {
            __m512 x = _mm512_cvtepi32_ps(load_bytes(a + i, n - i, j));
            __m512 y = _mm512_cvtepi32_ps(load_bytes(b + i, n - i, j));
            v[j] =
                _mm512_fmadd_ps(x, gain_a, _mm512_fmadd_ps(y, gain_b, shift));
        }
        store_bytes(out + i, n - i, v, sum->low, sum->high);
    }
}

void sosie_qmul_avx512vnni(const struct sosie_qsum *sum, const uint8_t *a,
                           int32_t zero_a, const uint8_t *b, int32_t zero_b,
                           uint8_t *out, size_t n)
{
    const __m512 gain = _mm512_set1_ps(sum->gain_a);
    const __m512 shift = _mm512_set1_ps(sum->shift);
    for (size_t i = 0; i < n; i += 64) {
        __m512 v[VECTORS];
        for (size_t j = 0; j < VECTORS; j++) {
            __m512i x = load_bytes(a + i, n - i, j);
            __m512i y = load_bytes(b + i, n - i, j);
            x = _mm512_sub_epi32(x, _mm512_set1_epi32(zero_a));
            y = _mm512_sub_epi32(y, _mm512_set1_epi32(zero_b));
            v[j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_mullo_epi32(x, y)),
                                   gain, shift);
        }
        store_bytes(out + i, n - i, v, sum->low, sum->high);
    }
}

/* Two look-ups in 128 entries each; the top bit says which counts. */
__attribute__((target("avx512vbmi"))) void
sosie_qmap_avx512vbmi(const uint8_t table[256], const uint8_t *in, uint8_t *out,
                      size_t n)
{
    __m512i t[4];
    for (size_t k = 0; k < 4; k++)
        t[k] = _mm512_loadu_si512(table + 64 * k);
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 mask = first(n - i);
        __m512i x = _mm512_maskz_loadu_epi8(mask, in + i);
        __m512i low = _mm512_permutex2var_epi8(t[0], x, t[1]);
        __m512i high = _mm512_permutex2var_epi8(t[2], x, t[3]);
        _mm512_mask_storeu_epi8(
            out + i, mask,
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high));
    }
}

void sosie_qaccumulate_avx512vnni(const uint8_t *in, size_t pixel,
                                  size_t n_pixels, uint32_t *sums, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        __m512i sum[VECTORS];
        for (size_t j = 0; j < VECTORS; j++)
            sum[j] =
                _mm512_maskz_loadu_epi32(quarter(n - i, j), sums + i + 16 * j);
        for (size_t k = 0; k < n_pixels; k++)
            for (size_t j = 0; j < VECTORS; j++)
                sum[j] = _mm512_add_epi32(
                    sum[j], load_bytes(in + k * pixel + i, n - i, j));
        for (size_t j = 0; j < VECTORS; j++)
            _mm512_mask_storeu_epi32(sums + i + 16 * j, quarter(n - i, j),
                                     sum[j]);
    }
}

void sosie_qmax_avx512vnni(const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 mask = first(n - i);
        __m512i x = _mm512_maskz_loadu_epi8(mask, in + i);
        x = _mm512_max_epu8(x, _mm512_maskz_loadu_epi8(mask, out + i));
        _mm512_mask_storeu_epi8(out + i, mask, x);
    }
}

void sosie_qquantise_avx512vnni(const float *in, float gain, float shift,
                                uint8_t *out, size_t n)
{
    /* a float may be anything: bounds keep it within int32 */
    const __m512 low = _mm512_setzero_ps(), high = _mm512_set1_ps(255.0F);
    for (size_t i = 0; i < n; i += 64) {
        __m512 v[VECTORS];
        for (size_t j = 0; j < VECTORS; j++) {
            __m512 x =
                _mm512_maskz_loadu_ps(quarter(n - i, j), in + i + 16 * j);
            x = _mm512_fmadd_ps(x, _mm512_set1_ps(gain), _mm512_set1_ps(shift));
            v[j] = _mm512_min_ps(_mm512_max_ps(x, low), high);
        }
        store_bytes(out + i, n - i, v, 0.0F, 255.0F);
    }
}

void sosie_qdequantise_avx512vnni(const uint8_t *in, float zero, float scale,
                                  float *out, size_t n)
{
    const __m512 z = _mm512_set1_ps(zero), s = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 64)
        for (size_t j = 0; j < VECTORS; j++) {
            __m512 x = _mm512_cvtepi32_ps(load_bytes(in + i, n - i, j));
            _mm512_mask_storeu_ps(out + i + 16 * j, quarter(n - i, j),
                                  _mm512_mul_ps(_mm512_sub_ps(x, z), s));
        }
}
