/* change.c: crop, JPEG, brightness, background. */
#include "train/change.h"

#include "base/random.h"
#include "train/augment_private.h"

#include <string.h>

static const double CROP = 0.8;
enum { QUALITY = 30, BRIGHTNESS_PERCENT = 60 };

const char *sosie_change_text(enum sosie_change change)
{
    switch (change) {
    case SOSIE_CHANGE_CROP:
        return "crop to 80%";
    case SOSIE_CHANGE_JPEG:
        return "JPEG quality 30";
    case SOSIE_CHANGE_BRIGHTNESS:
        return "brightness -40%";
    case SOSIE_CHANGE_BACKGROUND:
        return "other background";
    case SOSIE_N_CHANGES:
        break;
    }
    return "";
}

const char *sosie_change_name(enum sosie_change change)
{
    switch (change) {
    case SOSIE_CHANGE_CROP:
        return "crop";
    case SOSIE_CHANGE_JPEG:
        return "jpeg";
    case SOSIE_CHANGE_BRIGHTNESS:
        return "brightness";
    case SOSIE_CHANGE_BACKGROUND:
        return "background";
    case SOSIE_N_CHANGES:
        break;
    }
    return "";
}

static uint32_t part_of(uint32_t side)
{
    uint32_t part = (uint32_t)((double)side * CROP + 0.5);
    return part ? part : 1;
}

/* In place: rows move towards the front. */
static void crop(struct sosie_image *image, struct sosie_random *random)
{
    uint32_t width = part_of(image->width), height = part_of(image->height);
    size_t left = (size_t)sosie_random_below(random, image->width - width + 1U);
    size_t top =
        (size_t)sosie_random_below(random, image->height - height + 1U);
    for (size_t y = 0; y < height; y++)
        memmove(image->rgb + y * width * 3,
                image->rgb + ((top + y) * image->width + left) * 3,
                (size_t)width * 3);
    image->width = width;
    image->height = height;
}

static enum sosie_status replace_background(struct sosie_image *image,
                                            struct sosie_random *random,
                                            bool *changed,
                                            struct sosie_error *err)
{
    struct sosie_image other = {0};
    enum sosie_status st =
        sosie_photo_replace_background(image, random, &other, err);
    *changed = !st && other.width;
    if (*changed) {
        sosie_image_release(image);
        *image = other;
    }
    return st;
}

static void darken(struct sosie_image *image)
{
    size_t n = (size_t)image->width * image->height * 3;
    for (size_t i = 0; i < n; i++)
        image->rgb[i] =
            (uint8_t)((image->rgb[i] * BRIGHTNESS_PERCENT + 50) / 100);
}

enum sosie_status sosie_change_apply(enum sosie_change change, uint64_t seed,
                                     struct sosie_image *image, bool *changed,
                                     struct sosie_error *err)
{
    struct sosie_random random;
    sosie_random_seed(&random, seed);
    *changed = true;
    switch (change) {
    case SOSIE_CHANGE_CROP:
        crop(image, &random);
        return SOSIE_OK;
    case SOSIE_CHANGE_JPEG:
        return sosie_jpeg_roundtrip(image->rgb, image->width, image->height,
                                    QUALITY, err);
    case SOSIE_CHANGE_BRIGHTNESS:
        darken(image);
        return SOSIE_OK;
    case SOSIE_CHANGE_BACKGROUND:
        return replace_background(image, &random, changed, err);
    case SOSIE_N_CHANGES:
        break;
    }
    *changed = false;
    return SOSIE_OK;
}
