/* photo.h: an item's photo: the garment, lit, on its background, through a
 * camera that never stands quite the same. */
#ifndef ATELIER_PHOTO_H
#define ATELIER_PHOTO_H

#include "design.h"

/* Where the garment is, exactly: its extent in fractions of the photo. */
struct photo_box {
    double x, y, w, h;
};

/* canvas: of the photo's size; afterwards canvas->worn is the mask.
 * rgb: room for 3 * width * height bytes. */
void photo_take(struct canvas *canvas, const struct item *item, uint8_t *rgb,
                struct photo_box *box);

#endif
