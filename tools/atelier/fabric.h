/* fabric.h: what cloth looks like close up: its pattern and its weave.
 *
 * Cloth has its own two axes, u across and v along, in garment units (about a
 * centimetre); a sleeve's turn with the sleeve. fabric_at() is asked for every
 * pixel and therefore has no state. */
#ifndef ATELIER_FABRIC_H
#define ATELIER_FABRIC_H

#include "palette.h"

#include <stdint.h>

enum pattern {
    PATTERN_PLAIN,
    PATTERN_STRIPES,
    PATTERN_CHECKS,
    PATTERN_DOTS,
    PATTERN_FLORAL,
    PATTERN_KNIT,
    N_PATTERNS
};

enum weave {
    WEAVE_COTTON,
    WEAVE_LINEN,
    WEAVE_DENIM,
    WEAVE_WOOL,
    WEAVE_FINE_KNIT,
    WEAVE_CHUNKY_KNIT,
    WEAVE_RIB,
    WEAVE_LEATHER,
    WEAVE_SATIN,
    WEAVE_CANVAS,
    WEAVE_STRAW,
    N_WEAVES
};

struct fabric {
    enum pattern pattern;
    enum weave weave;
    unsigned kind; /* which of the pattern's own variants */
    float repeat;  /* units after which the pattern begins again */
    float share;   /* of the second colour, 0 .. 1 */
    struct rgb base, second, third;
    uint32_t seed;
};

/* The words of the feed's columns. */
const char *pattern_name(enum pattern pattern);
const char *weave_name(enum weave weave);

/* How much the weave shines, 0 .. 1. */
float weave_gloss(enum weave weave);

/* The same cloth without pattern, in another weave or colour. */
struct fabric fabric_plain(const struct fabric *fabric, enum weave weave);
struct fabric fabric_dyed(const struct fabric *fabric, struct rgb colour);

/* The colour at (u, v); *relief is multiplied with how light the weave is
 * there. `pixel`: units that a pixel covers, for soft edges. */
struct rgb fabric_at(const struct fabric *fabric, float u, float v, float pixel,
                     float *relief);

/* Noise that is smooth over `cell` units, -1 .. 1. */
float fabric_noise(float u, float v, float cell, uint32_t seed);

#endif
