/* palette.h: the colours of the atelier, by the words that shops use. */
#ifndef ATELIER_PALETTE_H
#define ATELIER_PALETTE_H

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>

/* sRGB, 0 .. 1. */
struct rgb {
    float r, g, b;
};

enum { N_COLOURS = 22, N_SOBER = 15 };

const char *palette_name(size_t colour);

/* The colour as dyed: a little off the word's, as random says. */
struct rgb palette_dye(size_t colour, struct sosie_random *random);

/* n colours, n <= N_SOBER, that nobody takes for each other as long as there
 * are such. `sober`: of those that coats and boots come in. */
void palette_pick(struct sosie_random *random, bool sober, size_t n,
                  size_t *colours);

/* 0 black .. 1 white, as the eye sees it. */
float rgb_lightness(struct rgb colour);
/* a at 0, b at 1. */
struct rgb rgb_mix(struct rgb a, struct rgb b, float at);

#endif
