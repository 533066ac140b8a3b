/* augment.h: a photo as it might have been taken: another crop, light, camera.
 *
 * What a shopper's photo differs by from the shop's is what a network must not
 * see: each view of a photo is drawn at random from these changes, in this
 * order: background replaced (where it is plain), crop and resize, flip,
 * brightness, contrast, saturation, hue, blur, JPEG artefacts, a rectangle
 * erased. A view depends on the photo, the strengths and the state of `random`
 * alone, on any machine. Threads: any number. */
#ifndef SOSIE_TRAIN_AUGMENT_H
#define SOSIE_TRAIN_AUGMENT_H

#include "base/random.h"
#include "image/image.h"

/* All are within 0..1. */
struct sosie_augmentation {
    /* Share of the photo's area that a crop has at least, above 0; 1: no crop
     * (the photo is fitted as it is when used). A crop's shape differs from
     * the photo's by up to 4:3 in either direction: SQUASH then squeezes what
     * it shows, LETTERBOX does not. */
    float crop;
    float flip; /* probability of left becoming right */
    /* Largest changes: brightness, contrast and saturation by factors in
     * 1 - x .. 1 + x, hue by -x .. x turns (0.5: any). Contrast changes around
     * the view's mean grey; hue and saturation keep its luma. */
    float brightness, contrast, saturation, hue;
    float grey;       /* probability of all colour being taken away */
    float blur;       /* probability; Gaussian, sigma up to 1.5 pixels */
    float jpeg;       /* probability; quality 30 to 90 */
    float erase;      /* probability; 2% to 25% of the area, made plain grey */
    float background; /* probability, where it is plain: another plain colour, a
                         gradient or noise */
};

/* None of them. */
struct sosie_augmentation sosie_augmentation_none(void);
/* For what must not depend on colour. */
struct sosie_augmentation sosie_augmentation_shape(void);
/* The same without changes of hue, and little of saturation and light: for
 * what must tell colours apart. */
struct sosie_augmentation sosie_augmentation_colour(void);

/* One view of `image`, `width` x `height` RGB pixels in `rgb` (room for
 * 3 * width * height bytes). `fit` as for the network that will see it; the
 * margins of a letterbox stay white. Photo and view have at least one pixel.
 * Errors: NO_MEMORY; BAD_INPUT if JPEG has no views that large (65,500). */
SOSIE_MUST_CHECK enum sosie_status
sosie_augment(const struct sosie_augmentation *augmentation,
              const struct sosie_image *image, struct sosie_random *random,
              enum sosie_fit fit, uint32_t width, uint32_t height, uint8_t *rgb,
              struct sosie_error *err);

#endif
