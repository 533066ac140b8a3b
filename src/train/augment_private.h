/* augment_private.h: what the files of augmentation share.
 *
 *   augment.c             strengths; what is drawn; the order of changes
 *   augment_colour.c      light, colours, blur
 *   augment_ground.c      where a product's plain ground is
 *   augment_background.c  another one in its place
 *
 * A *picture* is what becomes the view, changed in place. */
#ifndef SOSIE_TRAIN_AUGMENT_PRIVATE_H
#define SOSIE_TRAIN_AUGMENT_PRIVATE_H

#include "train/augment.h"

struct sosie_recolour {
    double brightness, contrast, saturation; /* factors */
    double hue;                              /* turns */
};

/* Brightness, then contrast around the mean grey, saturation and hue in YIQ,
 * without rounding or clipping in between. Factors of 0..2. */
void sosie_picture_recolour(struct sosie_image *picture,
                            const struct sosie_recolour *recolour);

/* Gaussian; sigma of 0..1.5 pixels. */
SOSIE_MUST_CHECK enum sosie_status
sosie_picture_blur(struct sosie_image *picture, double sigma,
                   struct sosie_error *err);

/* Puts another background behind what `photo` shows, if its own is plain: then
 * *changed is the new photo, owned by the caller; otherwise it is left empty.
 */
SOSIE_MUST_CHECK enum sosie_status sosie_photo_replace_background(
    const struct sosie_image *photo, struct sosie_random *random,
    struct sosie_image *changed, struct sosie_error *err);

#endif
