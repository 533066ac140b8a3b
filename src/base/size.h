/* size.h: sizes from outside are multiplied and added only through these. */
#ifndef SOSIE_BASE_SIZE_H
#define SOSIE_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* Each returns false, leaving *out alone, when the result overflows. */
static inline bool sosie_size_mul(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

static inline bool sosie_size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

/* Rounds up to a multiple of `to`, a power of two. */
static inline bool sosie_size_align(size_t a, size_t to, size_t *out)
{
    if (!sosie_size_add(a, to - 1, &a))
        return false;
    *out = a & ~(to - 1);
    return true;
}

#endif
