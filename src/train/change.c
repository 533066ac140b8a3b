/* change.c: crop, JPEG, brightness, background. */
#include "train/change.h"

#include "base/random.h"

#include <stdlib.h>
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

static enum sosie_status squeeze(struct sosie_image *image,
                                 struct sosie_error *err)
{
    struct sosie_decode_options options = {.limits =
                                               sosie_image_limits_defaults()};
    struct sosie_image back = {0};
    unsigned char *bytes;
    size_t size;
    enum sosie_status st =
        sosie_jpeg_encode(image, QUALITY, &bytes, &size, err);
    if (st)
        return st;
    options.limits.max_bytes = size;
    options.limits.max_pixels = UINT64_MAX;
    st = sosie_image_decode(bytes, size, &options, &back, err);
    free(bytes);
    if (st)
        return st;
    sosie_image_release(image);
    *image = back;
    return SOSIE_OK;
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
        return squeeze(image, err);
    case SOSIE_CHANGE_BRIGHTNESS:
        darken(image);
        return SOSIE_OK;
    case SOSIE_CHANGE_BACKGROUND:
    case SOSIE_N_CHANGES:
        break;
    }
    *changed = false;
    return SOSIE_OK;
}
