/* hanger.h: hangers, which are in the photo but not of the garment. */
#ifndef ATELIER_HANGER_H
#define ATELIER_HANGER_H

#include "canvas.h"

/* Behind a top whose neck is at y = 0. */
void hanger_for_top(struct canvas *canvas, double shoulder, double slope);
/* A bar whose two clips hold a waist that is `half` wide at y = 0; to be
 * drawn after the garment. */
void hanger_with_clips(struct canvas *canvas, double half);

#endif
