/* avx2.c: the kernels with AVX2 and FMA (Intel from 2013, AMD from 2015).
 *
 * vpmaddubsw multiplies unsigned by signed bytes, so one factor goes in as its
 * absolute value and the other takes its sign: |a| * (b * sign(a)) = a * b.
 * Pairs of products stay below 2 * 127 * 127 = 32258 and so within int16, which
 * is why -128 is not allowed. */
#include "kernels/paths.h"

#include <immintrin.h>

enum {
    VECTOR = 32,
    BLOCK = 4,   /* rows that share each load of the query */
    AHEAD = 8192 /* bytes; hides the memory's latency, which the CPU's own
                    prefetcher does not across pages */
};

static inline __m256i load(const int8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

/* sum + the products of 32 elements, four to a lane. */
static inline __m256i add_products(__m256i sum, __m256i a, __m256i b)
{
    __m256i pairs =
        _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
    return _mm256_add_epi32(sum,
                            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* The sums of the lanes of four vectors. */
static inline __m128i sum_lanes(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i four =
        _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(four),
                         _mm256_extracti128_si256(four, 1));
}

int32_t sosie_dot_i8_avx2(const int8_t *a, const int8_t *b, size_t n)
{
    __m256i sum = _mm256_setzero_si256(), zero = sum;
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR)
        sum = add_products(sum, load(a + i), load(b + i));
    return _mm_cvtsi128_si32(sum_lanes(sum, zero, zero, zero)) +
           sosie_dot_i8_c(a + i, b + i, n - i);
}

/* One aspect of four rows. */
static inline __m128i dot_block(const int8_t *query, const int8_t *rows,
                                size_t stride, size_t size)
{
    __m256i sum[BLOCK] = {_mm256_setzero_si256(), _mm256_setzero_si256(),
                          _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t i = 0; i < size; i += VECTOR) {
        __m256i q = load(query + i);
        for (size_t k = 0; k < BLOCK; k++) {
            const int8_t *at = rows + k * stride + i;
            _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
            sum[k] = add_products(sum[k], q, load(at));
        }
    }
    return sum_lanes(sum[0], sum[1], sum[2], sum[3]);
}

void sosie_scan_i8_avx2(const int8_t *query, const int8_t *rows, size_t stride,
                        const size_t *aspect_sizes, size_t n_aspects,
                        size_t n_rows, int32_t *dots)
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
            *dots++ = sosie_dot_i8_avx2(query + at, rows + r * stride + at,
                                        aspect_sizes[j]);
}

enum { FLOATS = 8, CHAINS = 4 /* sums in flight, for FMA's latency */ };

float sosie_dot_f32_avx2(const float *a, const float *b, size_t n)
{
    __m256 sum[CHAINS] = {_mm256_setzero_ps(), _mm256_setzero_ps(),
                          _mm256_setzero_ps(), _mm256_setzero_ps()};
    __m128 half;
    size_t i = 0;
    for (; i + CHAINS * FLOATS <= n; i += CHAINS * FLOATS)
        for (size_t k = 0; k < CHAINS; k++)
            sum[k] =
                _mm256_fmadd_ps(_mm256_loadu_ps(a + i + k * FLOATS),
                                _mm256_loadu_ps(b + i + k * FLOATS), sum[k]);
    for (; i + FLOATS <= n; i += FLOATS)
        sum[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i),
                                 sum[0]);
    sum[0] = _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]),
                           _mm256_add_ps(sum[2], sum[3]));
    half = _mm_add_ps(_mm256_castps256_ps128(sum[0]),
                      _mm256_extractf128_ps(sum[0], 1));
    half = _mm_hadd_ps(half, half);
    half = _mm_hadd_ps(half, half);
    return _mm_cvtss_f32(half) + sosie_dot_f32_c(a + i, b + i, n - i);
}

void sosie_axpy_f32_avx2(float alpha, const float *x, float *y, size_t n)
{
    __m256 factor = _mm256_set1_ps(alpha);
    size_t i = 0;
    for (; i + FLOATS <= n; i += FLOATS)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(factor, _mm256_loadu_ps(x + i),
                                                _mm256_loadu_ps(y + i)));
    sosie_axpy_f32_c(alpha, x + i, y + i, n - i);
}
