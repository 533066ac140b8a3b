/* qavx2.h: what the inner loops of 8-bit networks with AVX2 share: parts of
 * vectors, and the way from sums to bytes. Only files compiled for AVX2 include
 * it.
 *
 *   qavx2.c             convolution
 *   qavx2_depthwise.c   depthwise convolution
 *   qavx2_elements.c    element by element */
#ifndef SOSIE_KERNELS_QAVX2_H
#define SOSIE_KERNELS_QAVX2_H

#include "kernels/paths.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

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
static inline void finish(const struct sosie_qfinish *f, const int32_t *sums,
                          size_t slot, size_t n, const uint8_t *residual,
                          void *out)
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

#endif
