/* qavx2.c: the inner loops of 8-bit networks with AVX2 and FMA.
 *
 * AVX2's own product of bytes, vpmaddubsw, saturates, and so would answer
 * something else than the plain twin. Here bytes are widened to 16 bits and
 * multiplied by vpmaddwd: the same number of multiplications, none of them
 * wrong. Its peak is twice that of float32.
 *
 * A convolution is worked on in tiles of up to 6 pixels x 8 channels, 12
 * accumulators: a vector of 4 channels' quads of weights, widened as it is
 * read, meets a pixel's quad in all lanes, which was widened before, once for
 * the 64 channels of a group. A lane has two partial sums a channel, which are
 * added at the end.
 *
 * A depthwise convolution takes 16 channels at once. Two rows of a column are
 * interleaved, and used for all of the (up to 4) outputs of a tile that the
 * column is part of. */
#include "kernels/paths.h"

#include <immintrin.h>
#include <string.h>

enum {
    PIXELS = 6,                /* of a tile */
    CHANNELS = 8,              /* of a tile */
    STEPS = 256,               /* that are widened at a time */
    WIDE_ROW = 4 * STEPS + 32, /* from one pixel's to the next; the 32 keep
                                  them out of each other's cache sets */
    TILE = 4,                  /* pixels of a depthwise tile */
    LANE = 16,                 /* channels of a depthwise tile */
    MAX_WIDTH = 16,            /* of a depthwise kernel */
    MAX_PAIRS = (SOSIE_QDEPTHWISE_MAX + 1) / 2 /* of rows */
};

#define INLINE static inline __attribute__((always_inline))

/* The compiler would read all pixels of a step first, and then lack registers
 * for the sums. */
#define KEEP_ORDER(acc)                                                        \
    __asm__ volatile("" : "+x"((acc)[0]), "+x"((acc)[1])::"memory")

/* ---- parts of vectors ---------------------------------------------------- */

INLINE __m256i load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

INLINE __m128i load_half(const void *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

/* 16 bytes, n of which count and are there. */
INLINE __m128i load_bytes(const uint8_t *in, size_t n)
{
    uint8_t part[16] = {0};
    if (n >= sizeof(part))
        return load_half(in);
    memcpy(part, in, n);
    return load_half(part);
}

INLINE void store_bytes(uint8_t *out, __m128i bytes, size_t n)
{
    uint8_t part[16];
    if (n >= sizeof(part)) {
        _mm_storeu_si128((__m128i *)(void *)out, bytes);
        return;
    }
    _mm_store_si128((__m128i *)(void *)part, bytes);
    memcpy(out, part, n);
}

/* The first n of 8 lanes. */
INLINE __m256i first(size_t n)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lanes);
}

INLINE size_t beyond(size_t n, size_t from)
{
    return n > from ? n - from : 0;
}

/* Bytes 0..7 or 8..15 as floats. */
INLINE __m256 low_floats(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

INLINE __m256 high_floats(__m128i bytes)
{
    return low_floats(_mm_srli_si128(bytes, 8));
}

/* ---- from sums to bytes -------------------------------------------------- */

/* Entry i of 32, lane by lane: `at` has i in its low bits, `third` and `fourth`
 * bits 3 and 4 of i as signs. */
INLINE __m256 look_up(const float *table, __m256i at, __m256 third,
                      __m256 fourth)
{
    __m256 a = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), at);
    __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), at);
    __m256 c = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 16), at);
    __m256 d = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 24), at);
    return _mm256_blendv_ps(_mm256_blendv_ps(a, b, third),
                            _mm256_blendv_ps(c, d, third), fourth);
}

INLINE __m256 apply_act(const struct sosie_qact *act, __m256 x)
{
    __m256 at = _mm256_fmadd_ps(x, _mm256_set1_ps(act->inverse_step),
                                _mm256_set1_ps(act->offset));
    __m256i i;
    __m256 third, fourth, c0, c1, c2;
    at = _mm256_max_ps(at, _mm256_setzero_ps());
    at = _mm256_min_ps(at, _mm256_set1_ps(SOSIE_QSEGMENTS - 1));
    i = _mm256_cvttps_epi32(at);
    third = _mm256_castsi256_ps(_mm256_slli_epi32(i, 28));
    fourth = _mm256_castsi256_ps(_mm256_slli_epi32(i, 27));
    c0 = look_up(act->c0, i, third, fourth);
    c1 = look_up(act->c1, i, third, fourth);
    c2 = look_up(act->c2, i, third, fourth);
    return _mm256_fmadd_ps(_mm256_fmadd_ps(c2, x, c1), x, c0);
}

/* 16 numbers below 2^31 as bytes, saturated: a's lanes, then b's. */
INLINE __m128i narrowed(__m256 a, __m256 b)
{
    __m256i words =
        _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    return _mm_packus_epi16(_mm256_castsi256_si128(words),
                            _mm256_extracti128_si256(words, 1));
}

INLINE __m128i bounded(__m128i bytes, float low, float high)
{
    bytes = _mm_max_epu8(bytes, _mm_set1_epi8((char)(int)low));
    return _mm_min_epu8(bytes, _mm_set1_epi8((char)(int)high));
}

INLINE __m256 clipped(__m256 v, float low, float high)
{
    return _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(low)),
                         _mm256_set1_ps(high));
}

INLINE __m256 scaled(const struct sosie_qfinish *f, size_t slot, __m256i sum)
{
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum),
                           _mm256_loadu_ps(f->scale + slot),
                           _mm256_loadu_ps(f->shift + slot));
}

/* What only some networks have, on the way of 8 numbers. */
INLINE __m256 with_extras(const struct sosie_qfinish *f, __m256 v,
                          const __m256 *residual)
{
    if (f->act)
        v = apply_act(f->act, v);
    if (f->rounds) {
        v = _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        v = clipped(v, 0.0F, 255.0F);
    }
    if (residual) {
        __m256 r = _mm256_fmadd_ps(*residual, _mm256_set1_ps(f->residual_gain),
                                   _mm256_set1_ps(f->residual_shift));
        v = _mm256_fmadd_ps(v, _mm256_set1_ps(f->gain), r);
    }
    return v;
}

/* The sums of 16 channels of one pixel, from `slot` on, n of which count. */
INLINE void finish(const struct sosie_qfinish *f, const int32_t *sums,
                   size_t slot, size_t n, const uint8_t *residual, void *out)
{
    __m256 a = scaled(f, slot, load(sums));
    __m256 b = scaled(f, slot + 8, load(sums + 8));
    if (residual) {
        __m128i r = load_bytes(residual + slot, n);
        __m256 low = low_floats(r), high = high_floats(r);
        a = with_extras(f, a, &low);
        b = with_extras(f, b, &high);
    } else if (f->act || f->rounds) {
        a = with_extras(f, a, NULL);
        b = with_extras(f, b, NULL);
    }
    if (!f->to_float) {
        store_bytes((uint8_t *)out + slot,
                    bounded(narrowed(a, b), f->low, f->high), n);
        return;
    }
    _mm256_maskstore_ps((float *)out + slot, first(n),
                        clipped(a, f->low, f->high));
    _mm256_maskstore_ps((float *)out + slot + 8, first(beyond(n, 8)),
                        clipped(b, f->low, f->high));
}

/* ---- convolution --------------------------------------------------------- */

/* A step is a quad of a tap; where a block of them starts, and how many. */
struct steps {
    size_t tap, quad, n;
};

/* The block that comes next; false at the end. */
static bool next_steps(const struct sosie_qconv *conv, struct steps *at)
{
    size_t left;
    at->quad += at->n;
    at->tap += at->quad / conv->n_quads;
    at->quad %= conv->n_quads;
    left = (conv->n_taps - at->tap) * conv->n_quads - at->quad;
    at->n = left < STEPS ? left : STEPS;
    return left > 0;
}

/* Bytes of n quads as 16 bits. */
INLINE void widen(const uint8_t *from, size_t n, int16_t *to)
{
    for (; n >= 4; n -= 4, from += 16, to += 16)
        _mm256_storeu_si256((__m256i *)(void *)to,
                            _mm256_cvtepu8_epi16(load_half(from)));
    for (; n; n--, from += 4, to += 4) {
        int32_t quad;
        memcpy(&quad, from, sizeof(quad));
        _mm_storel_epi64((__m128i *)(void *)to,
                         _mm_cvtepu8_epi16(_mm_cvtsi32_si128(quad)));
    }
}

/* The bytes that the steps read of a pixel's window. */
static void widen_steps(const struct sosie_qconv *conv, struct steps at,
                        const uint8_t *in, int16_t *to)
{
    while (at.n) {
        size_t n = conv->n_quads - at.quad;
        n = n < at.n ? n : at.n;
        widen(in + conv->taps[at.tap] + 4 * at.quad, n, to);
        to += 4 * n;
        at.n -= n;
        at.quad = 0;
        at.tap++;
    }
}

/* What a tile is made from. */
struct tile {
    const struct sosie_qconv *conv;
    const int16_t *wide; /* of its pixels, WIDE_ROW apart */
    const int8_t *w;
    size_t n_steps;
    size_t channel, n; /* its first, and how many of them count */
    int32_t *sums;     /* added to, or NULL: the tile is finished at once, */
    void *const *out;  /* which those without extras can be */
};

INLINE __m128i as_half(__m256i words, int half)
{
    return half ? _mm256_extracti128_si256(words, 1)
                : _mm256_castsi256_si128(words);
}

/* Sums of 8 channels of `pixels` pixels as bytes. */
INLINE void finish_tile(const struct tile *t, __m256i *sums, size_t pixels)
{
    const struct sosie_qfinish *f = &t->conv->finish;
    const __m256i low = _mm256_set1_epi8((char)(int)f->low);
    const __m256i high = _mm256_set1_epi8((char)(int)f->high);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256 scale = _mm256_loadu_ps(f->scale + t->channel);
    __m256 shift = _mm256_loadu_ps(f->shift + t->channel);
#pragma GCC unroll 6
    for (size_t m = 0; m < pixels; m++)
        sums[m] = _mm256_cvtps_epi32(
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[m]), scale, shift));
    for (size_t m = 0; m < pixels; m += 4) { /* four pixels a vector */
        __m256i a = sums[m], b = m + 1 < pixels ? sums[m + 1] : a;
        __m256i c = m + 2 < pixels ? sums[m + 2] : a;
        __m256i d = m + 3 < pixels ? sums[m + 3] : a;
        int64_t of[4];
        a = _mm256_packus_epi16(_mm256_packs_epi32(a, b),
                                _mm256_packs_epi32(c, d));
        a = _mm256_permutevar8x32_epi32(a, in_order);
        a = _mm256_min_epu8(_mm256_max_epu8(a, low), high);
        _mm256_storeu_si256((__m256i *)(void *)of, a);
        for (size_t i = 0; i < 4 && m + i < pixels; i++) {
            uint8_t *to = (uint8_t *)t->out[m + i] + t->channel;
            if (t->n >= 8)
                memcpy(to, &of[i], 8);
            else
                memcpy(to, &of[i], t->n);
        }
    }
}

/* `pixels` is a constant to the compiler. */
INLINE void conv_tile(const struct tile *t, size_t pixels)
{
    const int16_t *wide = t->wide;
    const int8_t *w = t->w, *end = w + 32 * t->n_steps;
    __m256i acc[PIXELS][2], sums[PIXELS];
#pragma GCC unroll 6
    for (size_t m = 0; m < pixels; m++)
        acc[m][0] = acc[m][1] = _mm256_setzero_si256();
    for (; w < end; w += 32, wide += 4) {
        __m256i a = _mm256_cvtepi8_epi16(load_half(w));
        __m256i b = _mm256_cvtepi8_epi16(load_half(w + 16));
#pragma GCC unroll 6
        for (size_t m = 0; m < pixels; m++) {
            int64_t quad;
            __m256i x;
            memcpy(&quad, wide + m * WIDE_ROW, sizeof(quad));
            x = _mm256_set1_epi64x(quad);
            acc[m][0] = _mm256_add_epi32(acc[m][0], _mm256_madd_epi16(x, a));
            acc[m][1] = _mm256_add_epi32(acc[m][1], _mm256_madd_epi16(x, b));
            KEEP_ORDER(acc[m]);
        }
    }
#pragma GCC unroll 6
    for (size_t m = 0; m < pixels; m++) /* of the two sums a channel, one */
        sums[m] = _mm256_permute4x64_epi64(
            _mm256_hadd_epi32(acc[m][0], acc[m][1]), 0xd8);
    if (!t->sums) {
        finish_tile(t, sums, pixels);
        return;
    }
#pragma GCC unroll 6
    for (size_t m = 0; m < pixels; m++) {
        __m256i *to = (__m256i *)(void *)(t->sums + m * SOSIE_QGROUP);
        _mm256_store_si256(to,
                           _mm256_add_epi32(_mm256_load_si256(to), sums[m]));
    }
}

typedef void tile_run(const struct tile *t);

#define DEFINE_TILE(pixels)                                                    \
    static void tile_##pixels(const struct tile *t)                            \
    {                                                                          \
        conv_tile(t, pixels);                                                  \
    }
DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
DEFINE_TILE(6)
static tile_run *const tiles[PIXELS] = {tile_1, tile_2, tile_3,
                                        tile_4, tile_5, tile_6};

/* `pixels` pixels of the up to 64 channels from `group` on. */
static void conv_group(const struct sosie_qconv *conv, size_t group,
                       const uint8_t *const *in, void *const *out,
                       const uint8_t *const *residual, size_t pixels)
{
    _Alignas(32) int16_t wide[PIXELS * WIDE_ROW];
    _Alignas(32) int32_t sums[PIXELS * SOSIE_QGROUP];
    const struct sosie_qfinish *f = &conv->finish;
    size_t all_steps = conv->n_taps * conv->n_quads, done = 0;
    size_t left = conv->n_out - group;
    size_t channels = left < SOSIE_QGROUP ? left : SOSIE_QGROUP;
    bool at_once = !f->act && !f->rounds && !f->to_float && !residual &&
                   all_steps <= STEPS;
    struct tile tile = {conv, wide, NULL, 0, group, 0, NULL, out};
    struct steps at = {0, 0, 0};

    if (!at_once)
        memset(sums, 0, pixels * SOSIE_QGROUP * sizeof(*sums));
    for (; next_steps(conv, &at); done += at.n) {
        for (size_t m = 0; m < pixels; m++)
            widen_steps(conv, at, in[m], wide + m * WIDE_ROW);
        tile.n_steps = at.n;
        for (size_t c = 0; c < channels; c += CHANNELS) {
            tile.w = conv->weights + 4 * ((group + c) * all_steps + 8 * done);
            tile.sums = at_once ? NULL : sums + c;
            tile.channel = group + c;
            tile.n = channels - c;
            tiles[pixels - 1](&tile);
        }
    }
    for (size_t m = 0; m < pixels && !at_once; m++)
        for (size_t c = 0; c < channels; c += 16)
            finish(f, sums + m * SOSIE_QGROUP + c, group + c, channels - c,
                   residual ? residual[m] : NULL, out[m]);
}

void sosie_qconv_avx2(const struct sosie_qconv *conv, const uint8_t *const *in,
                      void *const *out, const uint8_t *const *residual,
                      size_t n)
{
    size_t n_tiles = (n + PIXELS - 1) / PIXELS;
    for (size_t group = 0; group < conv->n_out; group += SOSIE_QGROUP)
        for (size_t i = 0, k = 0; i < n; k++) { /* tiles of even sizes */
            size_t pixels = (n - i) / (n_tiles - k);
            conv_group(conv, group, in + i, out + i,
                       residual ? residual + i : NULL, pixels);
            i += pixels;
        }
}

/* ---- depthwise convolution ----------------------------------------------- */

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

/* ---- element by element -------------------------------------------------- */

/* Each works on up to 16 elements at once. */

INLINE __m256 load_floats(const float *in, size_t n)
{
    return n >= 8 ? _mm256_loadu_ps(in) : _mm256_maskload_ps(in, first(n));
}

void sosie_qaffine_avx2(const uint8_t *in, const float *gain,
                        const float *shift, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i, more = beyond(left, 8);
        __m128i x = load_bytes(in + i, left);
        __m256 a = _mm256_fmadd_ps(low_floats(x), load_floats(gain + i, left),
                                   load_floats(shift + i, left));
        __m256 b = _mm256_setzero_ps();
        if (more)
            b = _mm256_fmadd_ps(high_floats(x), load_floats(gain + i + 8, more),
                                load_floats(shift + i + 8, more));
        store_bytes(out + i, narrowed(a, b), left);
    }
}

void sosie_qadd_avx2(const struct sosie_qsum *sum, const uint8_t *a,
                     const uint8_t *b, uint8_t *out, size_t n)
{
    const __m256 gain_a = _mm256_set1_ps(sum->gain_a);
    const __m256 gain_b = _mm256_set1_ps(sum->gain_b);
    const __m256 shift = _mm256_set1_ps(sum->shift);
    for (size_t i = 0; i < n; i += 16) {
        __m128i x = load_bytes(a + i, n - i), y = load_bytes(b + i, n - i);
        __m256 low = _mm256_fmadd_ps(low_floats(y), gain_b, shift);
        __m256 high = _mm256_fmadd_ps(high_floats(y), gain_b, shift);
        low = _mm256_fmadd_ps(low_floats(x), gain_a, low);
        high = _mm256_fmadd_ps(high_floats(x), gain_a, high);
        store_bytes(out + i, bounded(narrowed(low, high), sum->low, sum->high),
                    n - i);
    }
}

void sosie_qmul_avx2(const struct sosie_qsum *sum, const uint8_t *a,
                     int32_t zero_a, const uint8_t *b, int32_t zero_b,
                     uint8_t *out, size_t n)
{
    const __m256 gain = _mm256_set1_ps(sum->gain_a);
    const __m256 shift = _mm256_set1_ps(sum->shift);
    for (size_t i = 0; i < n; i += 16) {
        __m128i x = load_bytes(a + i, n - i), y = load_bytes(b + i, n - i);
        __m256 v[2];
        for (size_t half = 0; half < 2; half++) {
            __m256i p = _mm256_sub_epi32(_mm256_cvtepu8_epi32(x),
                                         _mm256_set1_epi32(zero_a));
            __m256i q = _mm256_sub_epi32(_mm256_cvtepu8_epi32(y),
                                         _mm256_set1_epi32(zero_b));
            v[half] = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(_mm256_mullo_epi32(p, q)), gain, shift);
            x = _mm_srli_si128(x, 8);
            y = _mm_srli_si128(y, 8);
        }
        store_bytes(out + i, bounded(narrowed(v[0], v[1]), sum->low, sum->high),
                    n - i);
    }
}

/* Sixteen look-ups in 16 entries each: a byte that is outside of the 16 gets
 * its top bit set, which makes vpshufb answer 0. */
void sosie_qmap_avx2(const uint8_t table[256], const uint8_t *in, uint8_t *out,
                     size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i x = load(in + i), found = _mm256_setzero_si256();
        for (size_t k = 0; k < 16; k++) {
            __m256i part =
                _mm256_broadcastsi128_si256(load_half(table + 16 * k));
            __m256i at = _mm256_adds_epu8(x, _mm256_set1_epi8(0x70));
            found = _mm256_or_si256(found, _mm256_shuffle_epi8(part, at));
            x = _mm256_sub_epi8(x, _mm256_set1_epi8(16));
        }
        _mm256_storeu_si256((__m256i *)(void *)(out + i), found);
    }
    sosie_qmap_c(table, in + i, out + i, n - i);
}

/* Sums of up to 256 bytes stay within 16 bits. */
void sosie_qaccumulate_avx2(const uint8_t *in, size_t pixel, size_t n_pixels,
                            uint32_t *sums, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t k = 0; k < n_pixels; k += 256) {
            size_t last = n_pixels - k < 256 ? n_pixels : k + 256;
            __m256i sum = _mm256_setzero_si256();
            __m256i *to = (__m256i *)(void *)(sums + i);
            for (size_t m = k; m < last; m++)
                sum = _mm256_add_epi16(
                    sum, _mm256_cvtepu8_epi16(load_half(in + m * pixel + i)));
            _mm256_storeu_si256(
                to,
                _mm256_add_epi32(load(to), _mm256_cvtepu16_epi32(
                                               _mm256_castsi256_si128(sum))));
            _mm256_storeu_si256(
                to + 1,
                _mm256_add_epi32(
                    load(to + 1),
                    _mm256_cvtepu16_epi32(_mm256_extracti128_si256(sum, 1))));
        }
    sosie_qaccumulate_c(in + i, pixel, n_pixels, sums + i, n - i);
}

void sosie_qmax_avx2(const uint8_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        store_bytes(
            out + i,
            _mm_max_epu8(load_bytes(in + i, n - i), load_bytes(out + i, n - i)),
            n - i);
}

void sosie_qquantise_avx2(const float *in, float gain, float shift,
                          uint8_t *out, size_t n)
{
    const __m256 g = _mm256_set1_ps(gain), s = _mm256_set1_ps(shift);
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i, more = beyond(left, 8);
        __m256 a = _mm256_fmadd_ps(load_floats(in + i, left), g, s);
        __m256 b = _mm256_setzero_ps();
        if (more)
            b = _mm256_fmadd_ps(load_floats(in + i + 8, more), g, s);
        /* a float may be anything: bounds keep it within int32 */
        store_bytes(
            out + i,
            narrowed(clipped(a, 0.0F, 255.0F), clipped(b, 0.0F, 255.0F)), left);
    }
}

void sosie_qdequantise_avx2(const uint8_t *in, float gain, float shift,
                            float *out, size_t n)
{
    const __m256 g = _mm256_set1_ps(gain), s = _mm256_set1_ps(shift);
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i;
        __m128i x = load_bytes(in + i, left);
        _mm256_maskstore_ps(out + i, first(left),
                            _mm256_fmadd_ps(low_floats(x), g, s));
        if (left > 8)
            _mm256_maskstore_ps(out + i + 8, first(left - 8),
                                _mm256_fmadd_ps(high_floats(x), g, s));
    }
}
