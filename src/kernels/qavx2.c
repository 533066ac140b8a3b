/* qavx2.c: the inner loops of 8-bit networks with AVX2 and FMA.
 *
 * AVX2's own product of bytes, vpmaddubsw, saturates, and so would answer
 * something else than the plain twin. Here bytes are widened to 16 bits. Two
 * products are then made with one multiplication and two sums (S. Winograd, "A
 * New Algorithm for Inner Product", 1968):
 *
 *   x0 w0 + x1 w1 = (x0 + w1) (x1 + w0) - x0 x1 - w0 w1
 *
 * since CPUs with AVX2 have more units that add than that multiply. The sum of
 * all x0 x1 of a pixel is the same for all channels, that of all w0 w1 of a
 * channel the same for all pixels. What leaves int32 on the way comes back into
 * it.
 *
 * A convolution is worked on in tiles of up to 4 pixels x 16 channels: 8
 * accumulators. A pixel's bytes are widened once for 256 channels, weights as
 * they are read.
 *
 * A depthwise convolution takes 16 channels at once. Two rows of a column are
 * interleaved, and used for all of the (up to 4) outputs of a tile that the
 * column is part of. */
#include "kernels/paths.h"

#include <immintrin.h>
#include <string.h>

enum {
    PIXELS = 4,                /* of a tile */
    WIDE = 256,                /* channels that share widened pixels */
    STEPS = 256,               /* that are widened at a time */
    WIDE_ROW = 4 * STEPS + 32, /* from one pixel's to the next; the 32 keep
                                  them out of each other's cache sets */
    TILE = 4,                  /* pixels of a depthwise tile */
    LANE = 16,                 /* channels of a depthwise tile */
    MAX_WIDTH = 16,            /* of a depthwise kernel */
    MAX_PAIRS = (SOSIE_QDEPTHWISE_MAX + 1) / 2 /* of rows */
};

#define INLINE static inline __attribute__((always_inline))

/* sum += product, in place. Left to itself, gcc reads all pixels of a step
 * first, renames the sums, and then lacks registers for them. */
INLINE void accumulate(__m256i *sum, __m256i product)
{
    __asm__ volatile("vpaddd %1, %0, %0"
                     : "+x"(*sum)
                     : "x"(product)
                     : "memory");
}

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
    if (n >= 16) {
        _mm_storeu_si128((__m128i *)(void *)out, bytes);
    } else if (n == 8) {
        _mm_storel_epi64((__m128i *)(void *)out, bytes);
    } else {
        _mm_storeu_si128((__m128i *)(void *)part, bytes);
        memcpy(out, part, n);
    }
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

/* What becomes of a pixel's sums beyond scale and shift. */
struct extras {
    bool act, rounds, residual, to_float;
};

/* 8 numbers; r: as many residual bytes. */
INLINE __m256 with_extras(const struct sosie_qfinish *f, struct extras with,
                          __m256 v, __m128i r)
{
    if (with.act)
        v = apply_act(f->act, v);
    if (with.rounds) {
        v = _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        v = clipped(v, 0.0F, 255.0F);
    }
    if (with.residual)
        v = _mm256_fmadd_ps(v, _mm256_set1_ps(f->gain),
                            _mm256_fmadd_ps(low_floats(r),
                                            _mm256_set1_ps(f->residual_gain),
                                            _mm256_set1_ps(f->residual_shift)));
    return v;
}

/* n channels of one pixel, `slot` and on. */
static void finish(const struct sosie_qfinish *f, const int32_t *sums,
                   size_t slot, size_t n, const uint8_t *residual, void *out)
{
    struct extras with = {f->act, f->rounds, residual, f->to_float};
    for (size_t c = 0; c < n; c += 16) {
        __m256 a = scaled(f, slot + c, load(sums + c));
        __m256 b = scaled(f, slot + c + 8, load(sums + c + 8));
        __m128i r = _mm_setzero_si128();
        if (with.residual)
            r = load_bytes(residual + slot + c, n - c);
        a = with_extras(f, with, a, r);
        b = with_extras(f, with, b, _mm_srli_si128(r, 8));
        if (!with.to_float) {
            store_bytes((uint8_t *)out + slot + c,
                        bounded(narrowed(a, b), f->low, f->high), n - c);
            continue;
        }
        _mm256_maskstore_ps((float *)out + slot + c, first(n - c),
                            clipped(a, f->low, f->high));
        _mm256_maskstore_ps((float *)out + slot + c + 8,
                            first(beyond(n - c, 8)),
                            clipped(b, f->low, f->high));
    }
}

/* ---- convolution --------------------------------------------------------- */

/* A step is a quad of a tap. Packed weights: for each channel the sum of its
 * w0 w1, in int32, in blocks of 16 channels; then for each 8 channels, step
 * after step, w0 and w2 of all 8, and w1 and w3 of all 8. */

static size_t in_blocks(size_t n_out)
{
    return (n_out + SOSIE_QBLOCK - 1) / SOSIE_QBLOCK * SOSIE_QBLOCK;
}

size_t sosie_qconv_size_avx2(size_t n_taps, size_t n_quads, size_t n_out)
{
    return in_blocks(n_out) * (sizeof(int32_t) + 4 * n_taps * n_quads);
}

/* A step's weights of 8 channels: w0 and w2 of all, w1 and w3 of all. */
struct packed_step {
    __m128i even, odd;
};

/* From eight quads. */
INLINE struct packed_step split(__m256i quads)
{
    __m256i order =
        _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15,
                         0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    quads = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(quads, order), 0xd8);
    return (struct packed_step){_mm256_castsi256_si128(quads),
                                _mm256_extracti128_si256(quads, 1)};
}

/* A quad is four bytes in a row: eight rows, `stride` apart. */
INLINE struct packed_step pack_rows(const int8_t *from, size_t stride)
{
    int32_t quads[8];
    for (size_t c = 0; c < 8; c++)
        memcpy(&quads[c], from + c * stride, 4);
    return split(load(quads));
}

/* The channels stand in a row: four rows. */
INLINE struct packed_step pack_columns(const int8_t *from, size_t stride)
{
    __m128i row[4];
    for (size_t k = 0; k < 4; k++)
        row[k] =
            _mm_loadl_epi64((const __m128i *)(const void *)(from + k * stride));
    return (struct packed_step){_mm_unpacklo_epi8(row[0], row[2]),
                                _mm_unpacklo_epi8(row[1], row[3])};
}

/* Step q of tap t, for the channels from c on. */
INLINE struct packed_step pack_step(const struct sosie_qweights *w, size_t c,
                                    size_t t, size_t q)
{
    const int8_t *from = w->at + c * w->channel + t * w->tap + 4 * q * w->byte;
    int8_t quads[32];
    if (c + 8 <= w->n_out && 4 * q + 4 <= w->n_in) {
        if (w->byte == 1)
            return pack_rows(from, w->channel);
        if (w->channel == 1)
            return pack_columns(from, w->byte);
    }
    for (size_t i = 0; i < 8; i++)
        sosie_qconv_quad(w, c + i, t, q, quads + 4 * i);
    return split(load(quads));
}

void sosie_qconv_pack_avx2(const struct sosie_qweights *weights, size_t n_quads,
                           int8_t *packed)
{
    size_t padded = in_blocks(weights->n_out);
    int8_t *to = packed + padded * sizeof(int32_t);
    for (size_t c = 0; c < padded; c += 8) {
        __m256i sums = _mm256_setzero_si256();
        for (size_t t = 0; t < weights->n_taps; t++)
            for (size_t q = 0; q < n_quads; q++, to += 32) {
                struct packed_step step = pack_step(weights, c, t, q);
                _mm_storeu_si128((__m128i *)(void *)to, step.even);
                _mm_storeu_si128((__m128i *)(void *)(to + 16), step.odd);
                sums = _mm256_add_epi32(
                    sums, _mm256_madd_epi16(_mm256_cvtepi8_epi16(step.even),
                                            _mm256_cvtepi8_epi16(step.odd)));
            }
        _mm256_storeu_si256((__m256i *)(void *)(packed + c * sizeof(int32_t)),
                            sums);
    }
}

/* Where a block of steps starts, and how many they are. */
struct steps {
    size_t tap, quad, n;
};

/* The block that comes next; false at the end. */
static bool next_steps(const struct sosie_qconv *conv, struct steps *at)
{
    size_t left;
    for (at->quad += at->n; at->quad >= conv->n_quads; at->tap++)
        at->quad -= conv->n_quads;
    left = (conv->n_taps - at->tap) * conv->n_quads - at->quad;
    at->n = left < STEPS ? left : STEPS;
    return left > 0;
}

/* Eight quads as x0 x2 x1 x3 in 16 bits each; adds their x0 x1. */
INLINE void widen(__m256i bytes, __m256i *sum, int16_t *to)
{
    __m256i even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xff));
    __m256i odd = _mm256_srli_epi16(bytes, 8);
    __m256i low = _mm256_unpacklo_epi32(even, odd); /* quads 0 1, 4 5 */
    __m256i high = _mm256_unpackhi_epi32(even, odd);
    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(even, odd));
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(low));
    _mm_storeu_si128((__m128i *)(void *)(to + 8), _mm256_castsi256_si128(high));
    _mm_storeu_si128((__m128i *)(void *)(to + 16),
                     _mm256_extracti128_si256(low, 1));
    _mm_storeu_si128((__m128i *)(void *)(to + 24),
                     _mm256_extracti128_si256(high, 1));
}

/* The bytes that the steps read of a pixel's window; the sum of x0 x1. Up to 7
 * quads after them are written, too. */
static int32_t widen_steps(const struct sosie_qconv *conv, struct steps at,
                           const uint8_t *in, int16_t *to)
{
    __m256i sum = _mm256_setzero_si256();
    __m128i half;
    while (at.n) {
        const uint8_t *from = in + conv->taps[at.tap] + 4 * at.quad;
        size_t n = conv->n_quads - at.quad;
        n = n < at.n ? n : at.n;
        at.n -= n;
        at.quad = 0;
        at.tap++;
        for (; n >= 8; n -= 8, from += 32, to += 32)
            widen(load(from), &sum, to);
        if (n) {
            widen(_mm256_and_si256(load(from), first(n)), &sum, to);
            to += 4 * n;
        }
    }
    half = _mm_add_epi32(_mm256_castsi256_si128(sum),
                         _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_srli_si128(half, 8));
    half = _mm_add_epi32(half, _mm_srli_si128(half, 4));
    return _mm_cvtsi128_si32(half);
}

/* What a tile is made from. */
struct tile {
    const struct sosie_qconv *conv;
    const int16_t *wide;   /* of its pixels, WIDE_ROW apart */
    int32_t start[PIXELS]; /* their sums of x0 x1, negative */
    const int8_t *w_minus; /* those of w0 w1, or zeros */
    const int8_t *w;       /* of its first 8 channels; of the next 8: */
    size_t next;           /* bytes after those */
    size_t n_steps;
    size_t channel, n; /* its first, and how many of them count */
    int32_t *sums;     /* added to, or NULL: the tile is finished at once, */
    void *const *out;
    const uint8_t *const *residual; /* or NULL */
    uint8_t low, high;              /* within these bounds */
};

/* What only some networks have, for all numbers of a tile. */
static __attribute__((noinline)) void add_extras(const struct tile *t,
                                                 __m256 (*numbers)[PIXELS],
                                                 size_t pixels, size_t vectors)
{
    const struct sosie_qfinish *f = &t->conv->finish;
    struct extras with = {f->act, f->rounds, t->residual, false};
    for (size_t m = 0; m < pixels; m++) {
        __m128i r = _mm_setzero_si128();
        if (t->residual)
            r = load_bytes(t->residual[m] + t->channel, t->n);
        for (size_t v = 0; v < vectors; v++, r = _mm_srli_si128(r, 8))
            numbers[v][m] = with_extras(f, with, numbers[v][m], r);
    }
}

/* The sums of a tile as bytes. */
INLINE void finish_tile(const struct tile *t, __m256i sums[2][PIXELS],
                        size_t pixels, size_t vectors)
{
    const struct sosie_qfinish *f = &t->conv->finish;
    const __m256i low = _mm256_set1_epi8((char)t->low);
    const __m256i high = _mm256_set1_epi8((char)t->high);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i words[PIXELS]; /* of a pixel's 16 channels */
    __m256 numbers[2][PIXELS];
#pragma GCC unroll 2
    for (size_t v = 0; v < vectors; v++) {
        __m256 scale = _mm256_loadu_ps(f->scale + t->channel + 8 * v);
        __m256 shift = _mm256_loadu_ps(f->shift + t->channel + 8 * v);
#pragma GCC unroll 4
        for (size_t m = 0; m < pixels; m++)
            numbers[v][m] =
                _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[v][m]), scale, shift);
    }
    if (f->act || t->residual) {
        __m256 copy[2][PIXELS]; /* so that the others stay in registers */
        memcpy(copy, numbers, sizeof(copy));
        add_extras(t, copy, pixels, vectors);
        memcpy(numbers, copy, sizeof(copy));
    }
#pragma GCC unroll 2
    for (size_t v = 0; v < vectors; v++)
#pragma GCC unroll 4
        for (size_t m = 0; m < pixels; m++)
            sums[v][m] = _mm256_cvtps_epi32(numbers[v][m]);
#pragma GCC unroll 4
    for (size_t m = 0; m < PIXELS; m++)
        words[m] = m < pixels
                       ? _mm256_packs_epi32(sums[0][m], sums[vectors - 1][m])
                       : words[0];
#pragma GCC unroll 2
    for (size_t m = 0; m < pixels; m += 2) {
        __m256i bytes = _mm256_packus_epi16(words[m], words[m + 1]);
        bytes = _mm256_permutevar8x32_epi32(bytes, in_order);
        bytes = _mm256_min_epu8(_mm256_max_epu8(bytes, low), high);
        store_bytes((uint8_t *)t->out[m] + t->channel,
                    _mm256_castsi256_si128(bytes), t->n);
        if (m + 1 < pixels)
            store_bytes((uint8_t *)t->out[m + 1] + t->channel,
                        _mm256_extracti128_si256(bytes, 1), t->n);
    }
}

/* `pixels` and `vectors` (of 8 channels) are constants to the compiler. */
INLINE void conv_tile(const struct tile *t, size_t pixels, size_t vectors)
{
    const int16_t *wide = t->wide;
    const int8_t *w = t->w, *end = w + 32 * t->n_steps;
    size_t next = t->next;
    __m256i acc[2][PIXELS];
#pragma GCC unroll 2
    for (size_t v = 0; v < vectors; v++)
#pragma GCC unroll 4
        for (size_t m = 0; m < pixels; m++)
            acc[v][m] = _mm256_sub_epi32(_mm256_set1_epi32(t->start[m]),
                                         load(t->w_minus + 32 * v));
    do {
        __m256i even[2], odd[2];
        even[0] = _mm256_cvtepi8_epi16(load_half(w));
        odd[0] = _mm256_cvtepi8_epi16(load_half(w + 16));
        if (vectors > 1) {
            even[1] = _mm256_cvtepi8_epi16(load_half(w + next));
            odd[1] = _mm256_cvtepi8_epi16(load_half(w + next + 16));
        }
#pragma GCC unroll 4
        for (size_t m = 0; m < pixels; m++) {
            int32_t pair[2];
            __m256i x_even, x_odd;
            memcpy(pair, wide + m * WIDE_ROW, sizeof(pair));
            x_even = _mm256_set1_epi32(pair[0]);
            x_odd = _mm256_set1_epi32(pair[1]);
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++)
                accumulate(&acc[v][m],
                           _mm256_madd_epi16(_mm256_add_epi16(x_even, odd[v]),
                                             _mm256_add_epi16(x_odd, even[v])));
        }
        w += 32;
        wide += 4;
    } while (w < end);
    if (!t->sums) {
        finish_tile(t, acc, pixels, vectors);
        return;
    }
#pragma GCC unroll 2
    for (size_t v = 0; v < vectors; v++)
#pragma GCC unroll 4
        for (size_t m = 0; m < pixels; m++) {
            __m256i *to = (__m256i *)(void *)(t->sums + m * WIDE + 8 * v);
            _mm256_store_si256(
                to, _mm256_add_epi32(_mm256_load_si256(to), acc[v][m]));
        }
}

typedef void tile_run(const struct tile *t);

#define DEFINE_TILE(pixels, vectors)                                           \
    static void tile_##pixels##_##vectors(const struct tile *t)                \
    {                                                                          \
        conv_tile(t, pixels, vectors);                                         \
    }
DEFINE_TILE(1, 1)
DEFINE_TILE(2, 1)
DEFINE_TILE(3, 1)
DEFINE_TILE(4, 1)
DEFINE_TILE(1, 2)
DEFINE_TILE(2, 2)
DEFINE_TILE(3, 2)
DEFINE_TILE(4, 2)
static tile_run *const tiles[2][PIXELS] = {
    {tile_1_1, tile_2_1, tile_3_1, tile_4_1},
    {tile_1_2, tile_2_2, tile_3_2, tile_4_2}};

static const int8_t no_minus[16 * sizeof(int32_t)];

/* `pixels` pixels of the up to 256 channels from `group` on. */
static void conv_group(const struct sosie_qconv *conv, size_t group,
                       const uint8_t *const *in, void *const *out,
                       const uint8_t *const *residual, size_t pixels)
{
    _Alignas(32) int16_t wide[PIXELS * WIDE_ROW];
    _Alignas(32) int32_t sums[PIXELS * WIDE];
    const struct sosie_qfinish *f = &conv->finish;
    size_t n_steps = conv->n_taps * conv->n_quads, done = 0;
    size_t left = conv->n_out - group;
    size_t channels = left < WIDE ? left : WIDE;
    bool at_once = !f->to_float && n_steps <= STEPS;
    const int8_t *w = conv->weights + in_blocks(conv->n_out) * sizeof(int32_t);
    struct tile tile = {
        .conv = conv, .wide = wide, .out = out, .residual = residual};
    struct steps at = {0, 0, 0};

    tile.next = 32 * n_steps;
    if (at_once) {
        tile.low = (uint8_t)f->low;
        tile.high = (uint8_t)f->high;
    } else {
        memset(sums, 0, pixels * WIDE * sizeof(*sums));
    }
    for (; next_steps(conv, &at); done += at.n) {
        for (size_t m = 0; m < pixels; m++)
            tile.start[m] = -widen_steps(conv, at, in[m], wide + m * WIDE_ROW);
        tile.n_steps = at.n;
        for (size_t c = 0; c < channels; c += 16) {
            tile.w = w + 4 * ((group + c) * n_steps + 8 * done);
            tile.w_minus = done ? no_minus : conv->weights + 4 * (group + c);
            tile.sums = at_once ? NULL : sums + c;
            tile.channel = group + c;
            tile.n = channels - c;
            tiles[tile.n > 8][pixels - 1](&tile);
        }
    }
    for (size_t m = 0; m < pixels && !at_once; m++)
        finish(f, sums + m * WIDE, group, channels,
               residual ? residual[m] : NULL, out[m]);
}

void sosie_qconv_avx2(const struct sosie_qconv *conv, const uint8_t *const *in,
                      void *const *out, const uint8_t *const *residual,
                      size_t n)
{
    size_t n_tiles = (n + PIXELS - 1) / PIXELS;
    for (size_t group = 0; group < conv->n_out; group += WIDE)
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

void sosie_qdequantise_avx2(const uint8_t *in, float zero, float scale,
                            float *out, size_t n)
{
    const __m256 z = _mm256_set1_ps(zero), s = _mm256_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i;
        __m128i x = load_bytes(in + i, left);
        _mm256_maskstore_ps(out + i, first(left),
                            _mm256_mul_ps(_mm256_sub_ps(low_floats(x), z), s));
        if (left > 8)
            _mm256_maskstore_ps(
                out + i + 8, first(left - 8),
                _mm256_mul_ps(_mm256_sub_ps(high_floats(x), z), s));
    }
}
