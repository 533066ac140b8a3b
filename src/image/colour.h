/* colour.h: what colours a garment has, as 64 numbers.
 *
 * A soft histogram in CIELAB (CIE 15:2004; sRGB, white point D65): 8 bins of
 * lightness for what has no hue, 14 hues x 4 lightnesses for what has. Each
 * pixel is shared between the bins it lies between. The background, taken to be
 * what the photo's border shows, and what is far from the middle count little.
 * The square roots of the bins are kept, so that a cosine compares two
 * histograms by their Bhattacharyya coefficient and one large plain area does
 * not drown the rest. Threads: any number. */
#ifndef SOSIE_IMAGE_COLOUR_H
#define SOSIE_IMAGE_COLOUR_H

#include "image/image.h"

enum { SOSIE_COLOUR_DIM = 64 };

/* The photo must have at least one pixel. The result has unit length. */
void sosie_colour_histogram(const struct sosie_image *image,
                            float histogram[SOSIE_COLOUR_DIM]);

#endif
