/* change.h: what may happen to a photo on its way from a shopper, each alone
 * and always as strong: to see whether a search still finds the same. */
#ifndef SOSIE_TRAIN_CHANGE_H
#define SOSIE_TRAIN_CHANGE_H

#include "image/image.h"

#include <stdbool.h>

enum sosie_change {
    SOSIE_CHANGE_CROP,       /* a part of 80% of each side, somewhere */
    SOSIE_CHANGE_JPEG,       /* quality 30 */
    SOSIE_CHANGE_BRIGHTNESS, /* 40% less */
    SOSIE_CHANGE_BACKGROUND, /* another one, where it is plain */
    SOSIE_N_CHANGES
};

/* "crop to 80%", ...: for people; "crop", ...: for machines. */
const char *sosie_change_text(enum sosie_change change);
const char *sosie_change_name(enum sosie_change change);

/* Changes the image; the seed decides where and to what. *changed is false if
 * there was nothing to change. NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status sosie_change_apply(enum sosie_change change,
                                                      uint64_t seed,
                                                      struct sosie_image *image,
                                                      bool *changed,
                                                      struct sosie_error *err);

#endif
