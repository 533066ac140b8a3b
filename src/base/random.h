/* random.h: seeded random numbers, the same on every machine.
 *
 * xoshiro256** by D. Blackman and S. Vigna (2018), seeded by splitmix64. Not
 * for secrets. Unshared: one thread per generator. */
#ifndef SOSIE_BASE_RANDOM_H
#define SOSIE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct sosie_random {
    uint64_t state[4];
};

void sosie_random_seed(struct sosie_random *random, uint64_t seed);

uint64_t sosie_random_u64(struct sosie_random *random);

/* 0 .. n-1, without bias; n > 0. */
uint64_t sosie_random_below(struct sosie_random *random, uint64_t n);

/* [0, 1) with 53 random bits. */
double sosie_random_unit(struct sosie_random *random);

/* Standard normal (Marsaglia's polar method). */
double sosie_random_normal(struct sosie_random *random);

#endif
