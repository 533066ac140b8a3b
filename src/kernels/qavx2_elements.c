/* qavx2_elements.c: bytes element by element with AVX2 and FMA: scales, sums,
 * products, tables, maxima, and from and to floats. */
#include "kernels/qavx2.h"

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
