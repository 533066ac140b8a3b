/* avx512.h: AVX-512 for machines without it, from AVX2 and plain C.
 *
 * The AVX-512 kernels are compiled once more with this header put before them,
 * so that their tests run on any machine with AVX2. Most of it is SIMDe's; here
 * is what SIMDe 0.7 lacks, lane by lane as Intel's manual has it. Nothing reads
 * or writes where a mask has a 0, as in the CPU: sanitizers see what does. */
#ifndef SOSIE_EMULATED_AVX512_H
#define SOSIE_EMULATED_AVX512_H

#define SIMDE_NO_INLINE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <string.h>

/* What the kernels allow a function of theirs, the compiler must not use. */
#define target(isa)

/* A vector as its lanes. */
union emulated {
    __m512i i;
    __m512 f;
    __m256i half_i[2];
    __m256 half_f[2];
    int32_t i32[16];
    float f32[16];
    uint8_t u8[64];
};

/* ---- single precision ---------------------------------------------------- */

/* SIMDe rounds the product, too. */
static inline __m512 emulated_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
    union emulated x = {.f = a}, y = {.f = b}, z = {.f = c};
    for (int k = 0; k < 2; k++)
        z.half_f[k] = _mm256_fmadd_ps(x.half_f[k], y.half_f[k], z.half_f[k]);
    return z.f;
}

static inline __m512 emulated_cvtepi32_ps(__m512i a)
{
    union emulated x = {.i = a};
    for (int k = 0; k < 2; k++)
        x.half_f[k] = _mm256_cvtepi32_ps(x.half_i[k]);
    return x.f;
}

static inline __m512i emulated_cvtps_epi32(__m512 a)
{
    union emulated x = {.f = a};
    for (int k = 0; k < 2; k++)
        x.half_i[k] = _mm256_cvtps_epi32(x.half_f[k]);
    return x.i;
}

static inline __m512i emulated_cvttps_epi32(__m512 a)
{
    union emulated x = {.f = a};
    for (int k = 0; k < 2; k++)
        x.half_i[k] = _mm256_cvttps_epi32(x.half_f[k]);
    return x.i;
}

/* ---- whole numbers ------------------------------------------------------- */

static inline __m512i emulated_cvtepu8_epi32(__m128i a)
{
    union emulated x;
    uint8_t lanes[16];
    memcpy(lanes, &a, sizeof(lanes));
    for (int i = 0; i < 16; i++)
        x.i32[i] = lanes[i];
    return x.i;
}

static inline int32_t emulated_reduce_add_epi32(__m512i a)
{
    union emulated x = {.i = a};
    uint32_t sum = 0; /* wraps */
    for (int i = 0; i < 16; i++)
        sum += (uint32_t)x.i32[i];
    return (int32_t)sum;
}

/* ---- memory under a mask ------------------------------------------------- */

/* Lanes of `size` bytes, those that have a 1 in `mask`. */
static inline void emulated_copy(void *to, const void *from, uint64_t mask,
                                 size_t size)
{
    for (; mask; mask &= mask - 1) {
        size_t at = size * (size_t)__builtin_ctzll(mask);
        memcpy((char *)to + at, (const char *)from + at, size);
    }
}

static inline __m512i emulated_load(uint64_t mask, const void *from,
                                    size_t size)
{
    union emulated x = {.u8 = {0}};
    emulated_copy(&x, from, mask, size);
    return x.i;
}

static inline __m128i emulated_load_128(uint16_t mask, const void *from)
{
    __m128i x = _mm_setzero_si128();
    emulated_copy(&x, from, mask, 1);
    return x;
}

static inline __m512 emulated_load_ps(uint16_t mask, const void *from)
{
    union emulated x = {.i = emulated_load(mask, from, sizeof(float))};
    return x.f;
}

static inline void emulated_store(void *to, uint64_t mask, __m512i a,
                                  size_t size)
{
    emulated_copy(to, &a, mask, size);
}

static inline void emulated_store_ps(void *to, uint16_t mask, __m512 a)
{
    emulated_copy(to, &a, mask, sizeof(float));
}

#undef _mm512_fmadd_ps
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvttps_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm512_reduce_add_epi32
#undef _mm_maskz_loadu_epi8
#undef _mm512_maskz_loadu_epi8
#undef _mm512_maskz_loadu_epi32
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_epi8
#undef _mm512_mask_storeu_epi32
#undef _mm512_mask_storeu_ps
#define _mm512_fmadd_ps emulated_fmadd_ps
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvttps_epi32 emulated_cvttps_epi32
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_reduce_add_epi32 emulated_reduce_add_epi32
#define _mm_maskz_loadu_epi8 emulated_load_128
#define _mm512_maskz_loadu_epi8(mask, from) emulated_load(mask, from, 1)
#define _mm512_maskz_loadu_epi32(mask, from) emulated_load(mask, from, 4)
#define _mm512_maskz_loadu_ps emulated_load_ps
#define _mm512_mask_storeu_epi8(to, mask, a) emulated_store(to, mask, a, 1)
#define _mm512_mask_storeu_epi32(to, mask, a) emulated_store(to, mask, a, 4)
#define _mm512_mask_storeu_ps emulated_store_ps

#endif
