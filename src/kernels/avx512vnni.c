/* avx512vnni.c: the int8 kernels with AVX-512 VNNI (Intel from 2019, AMD from
 * 2022).
 *
 * vpdpbusd multiplies unsigned by signed bytes and adds four products to each
 * of 16 int32 lanes. One factor goes in as a + 128, which is a with its top bit
 * flipped; the sum is then 128 * (sum of b) too large, which the same
 * instruction computes beside it. Nothing saturates, so it is exact. */
#include "kernels/paths.h"

#include <immintrin.h>

enum {
    VECTOR = 64,
    BLOCK = 4,   /* rows that share each load of the query */
    AHEAD = 8192 /* bytes; hides the memory's latency, which the CPU's own
                    prefetcher does not across pages */
};

/* a + 128 as unsigned bytes. */
static inline __m512i biased(__m512i a)
{
    return _mm512_xor_si512(a, _mm512_set1_epi8(-128));
}

int32_t sosie_dot_i8_avx512vnni(const int8_t *a, const int8_t *b, size_t n)
{
    __m512i sum = _mm512_setzero_si512(), bias = sum, x, y;
    const __m512i zero = sum;
    __mmask64 tail;
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) {
        x = _mm512_loadu_si512(a + i);
        y = _mm512_loadu_si512(b + i);
        sum = _mm512_dpbusd_epi32(sum, biased(x), y);
        bias = _mm512_dpbusd_epi32(bias, biased(zero), y);
    }
    tail = ((__mmask64)1 << (n - i)) - 1;
    x = _mm512_maskz_loadu_epi8(tail, a + i);
    y = _mm512_maskz_loadu_epi8(tail, b + i); /* zeros add nothing to either */
    sum = _mm512_dpbusd_epi32(sum, biased(x), y);
    bias = _mm512_dpbusd_epi32(bias, biased(zero), y);
    return _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, bias));
}

/* The sums of the lanes of four vectors. */
static inline __m128i sum_lanes(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b),
                                  _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d),
                                  _mm512_unpackhi_epi32(c, d));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd),
                                    _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(four),
                                    _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half),
                         _mm256_extracti128_si256(half, 1));
}

/* One aspect of four rows. */
static inline __m128i dot_block(const int8_t *query, const int8_t *rows,
                                size_t stride, size_t size)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i sum[BLOCK] = {zero, zero, zero, zero}, bias = zero;
    for (size_t i = 0; i < size; i += VECTOR) {
        __m512i q = _mm512_loadu_si512(query + i);
        bias = _mm512_dpbusd_epi32(bias, biased(zero), q);
        for (size_t k = 0; k < BLOCK; k++) {
            const int8_t *at = rows + k * stride + i;
            _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
            sum[k] =
                _mm512_dpbusd_epi32(sum[k], biased(_mm512_loadu_si512(at)), q);
        }
    }
    for (size_t k = 0; k < BLOCK; k++)
        sum[k] = _mm512_sub_epi32(sum[k], bias);
    return sum_lanes(sum[0], sum[1], sum[2], sum[3]);
}

void sosie_scan_i8_avx512vnni(const int8_t *query, const int8_t *rows,
                              size_t stride, const size_t *aspect_sizes,
                              size_t n_aspects, size_t n_rows, int32_t *dots)
{
    int32_t four[BLOCK];
    size_t r = 0, at, j, k;
    for (; r + BLOCK <= n_rows; r += BLOCK, dots += BLOCK * n_aspects)
        for (at = 0, j = 0; j < n_aspects; at += aspect_sizes[j++]) {
            _mm_storeu_si128((__m128i *)(void *)four,
                             dot_block(query + at, rows + r * stride + at,
                                       stride, aspect_sizes[j]));
            for (k = 0; k < BLOCK; k++)
                dots[k * n_aspects + j] = four[k];
        }
    for (; r < n_rows; r++)
        for (at = 0, j = 0; j < n_aspects; at += aspect_sizes[j++])
            *dots++ = sosie_dot_i8_avx512vnni(
                query + at, rows + r * stride + at, aspect_sizes[j]);
}
