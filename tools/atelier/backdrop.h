/* backdrop.h: what a garment is photographed on. */
#ifndef ATELIER_BACKDROP_H
#define ATELIER_BACKDROP_H

#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

/* Fills width x height RGB pixels. On a wall there are no planks. */
void backdrop_fill(struct sosie_random *random, bool wall, int width,
                   int height, uint8_t *rgb);

#endif
