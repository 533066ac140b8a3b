/* qavx2.c: convolutions of bytes with AVX2 and FMA.
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
 * they are read. */
#include "kernels/qavx2.h"

enum {
    PIXELS = 4,               /* of a tile */
    WIDE = 256,               /* channels that share widened pixels */
    STEPS = 256,              /* that are widened at a time */
    WIDE_ROW = 4 * STEPS + 32 /* from one pixel's to the next; the 32 keep them
                                 out of each other's cache sets */
};

/* sum += product, in place. Left to itself, gcc reads all pixels of a step
 * first, renames the sums, and then lacks registers for them. */
INLINE void accumulate(__m256i *sum, __m256i product)
{
    __asm__ volatile("vpaddd %1, %0, %0"
                     : "+x"(*sum)
                     : "x"(product)
                     : "memory");
}

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
