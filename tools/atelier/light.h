/* light.h: the light that falls on a piece of cloth; canvas.c calls it. */
#ifndef ATELIER_LIGHT_H
#define ATELIER_LIGHT_H

#include "canvas.h"

/* Pixels around an outline that its cloth's shadow may reach. */
int light_margin(const struct canvas *canvas);

/* Puts the piece that canvas->mask shows onto the layer. */
void light_cloth(struct canvas *canvas, const struct cloth *cloth,
                 struct box box);

#endif
