/* random.c: xoshiro256** (D. Blackman, S. Vigna, "Scrambled linear
 * pseudorandom number generators", 2018). */
#include "base/random.h"

#include <math.h>

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

void sosie_random_seed(struct sosie_random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        random->state[i] = z ^ (z >> 31);
    }
}

uint64_t sosie_random_u64(struct sosie_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t sosie_random_below(struct sosie_random *random, uint64_t n)
{
    uint64_t reject = (0 - n) % n, x; /* 2^64 mod n values would be biased */
    do
        x = sosie_random_u64(random);
    while (x < reject);
    return x % n;
}

double sosie_random_unit(struct sosie_random *random)
{
    return (double)(sosie_random_u64(random) >> 11) * 0x1p-53;
}

double sosie_random_normal(struct sosie_random *random)
{
    double u, v, s;
    do {
        u = 2 * sosie_random_unit(random) - 1;
        v = 2 * sosie_random_unit(random) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s <= 0);
    return u * sqrt(-2 * log(s) / s);
}
