/* print.h: pictures on the chest of plain tops. */
#ifndef ATELIER_PRINT_H
#define ATELIER_PRINT_H

#include "design.h"

/* The design's print, `size` units wide, about (0, y); nothing if it has
 * none. */
void print_draw(struct canvas *canvas, const struct garment *garment, double y,
                double size);

#endif
