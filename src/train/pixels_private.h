/* pixels_private.h: what makes the pixels tells what keeps them. */
#ifndef SOSIE_TRAIN_PIXELS_PRIVATE_H
#define SOSIE_TRAIN_PIXELS_PRIVATE_H

#include "train/pixels.h"

/* One photo's pixels, borrowed; a width of 0 if it could not be read. */
typedef enum sosie_status sosie_pixels_keep(void *context,
                                            const struct sosie_image *image,
                                            struct sosie_error *err);

/* Decodes and shrinks all photos with all workers, and hands them to `keep` in
 * the order of the data set, one at a time and in the calling thread. *n_bad:
 * photos that could not be read. Errors: as of sosie_pixels_create, and those
 * of `keep`. */
SOSIE_MUST_CHECK enum sosie_status
sosie_pixels_decode(const struct sosie_dataset *dataset,
                    const struct sosie_pixels_options *options,
                    sosie_pixels_keep *keep, void *context, size_t *n_bad,
                    struct sosie_error *err);

#endif
