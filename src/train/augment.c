/* augment.c: what a view is made of, drawn; then made, change by change.
 *
 * Everything is drawn first, whether it comes to be used or not, so that the
 * crop of a seed is the same at any strength of the other changes. Drawn
 * numbers are doubles; what touches pixels is integers made of them, or the
 * floats of sosie_image_resize, whose order is fixed, or libjpeg. */
#include "train/augment_private.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- strengths ----------------------------------------------------------- */

struct sosie_augmentation sosie_augmentation_none(void)
{
    return (struct sosie_augmentation){.crop = 1};
}

struct sosie_augmentation sosie_augmentation_shape(void)
{
    return (struct sosie_augmentation){.crop = 0.8F,
                                       .flip = 0.5F,
                                       .brightness = 0.3F,
                                       .contrast = 0.3F,
                                       .saturation = 0.6F,
                                       .hue = 0.5F,
                                       .grey = 0.1F,
                                       .blur = 0.1F,
                                       .jpeg = 0.3F,
                                       .background = 0.1F};
}

struct sosie_augmentation sosie_augmentation_colour(void)
{
    struct sosie_augmentation augmentation = sosie_augmentation_shape();
    augmentation.crop = 0.7F;
    augmentation.erase = 0.1F;
    augmentation.background = 0.2F;
    augmentation.brightness = 0.12F;
    augmentation.contrast = 0.12F;
    augmentation.saturation = 0.1F;
    augmentation.hue = 0;
    augmentation.grey = 0;
    return augmentation;
}

/* ---- what is drawn ------------------------------------------------------- */

struct rectangle {
    uint32_t x, y, width, height;
};

struct draw {
    bool background;
    struct sosie_random background_random;
    struct sosie_crop crop;
    bool flip;
    struct sosie_recolour recolour;
    bool blur;
    double sigma;
    bool jpeg;
    int quality;
    bool erase;
    struct sosie_crop erased; /* of the view */
    uint8_t filling;
};

static double between(struct sosie_random *random, double low, double high)
{
    return low + sosie_random_unit(random) * (high - low);
}

static bool chance(struct sosie_random *random, double probability)
{
    return sosie_random_unit(random) < probability;
}

/* A rectangle of this share of the whole and longer than the whole by up to
 * `stretch` in either direction, where it fits. */
static struct sosie_crop draw_part(struct sosie_random *random, double share,
                                   double stretch)
{
    double by = between(random, 1, fmin(stretch, 1 / share));
    double across = chance(random, 0.5) ? by : 1 / by;
    struct sosie_crop part = {.w = fmin(1, sqrt(share * across)),
                              .h = fmin(1, sqrt(share / across))};
    part.x = sosie_random_unit(random) * (1 - part.w);
    part.y = sosie_random_unit(random) * (1 - part.h);
    return part;
}

static double draw_factor(struct sosie_random *random, double change)
{
    return between(random, 1 - change, 1 + change);
}

static struct draw draw_view(const struct sosie_augmentation *augmentation,
                             struct sosie_random *random)
{
    struct draw draw = {.background = chance(random, augmentation->background)};
    sosie_random_seed(&draw.background_random, sosie_random_u64(random));
    draw.crop =
        draw_part(random, between(random, augmentation->crop, 1), 4.0 / 3);
    draw.flip = chance(random, augmentation->flip);
    draw.recolour.brightness = draw_factor(random, augmentation->brightness);
    draw.recolour.contrast = draw_factor(random, augmentation->contrast);
    draw.recolour.saturation = draw_factor(random, augmentation->saturation);
    draw.recolour.hue =
        between(random, -(double)augmentation->hue, augmentation->hue);
    if (chance(random, augmentation->grey))
        draw.recolour.saturation = 0;
    draw.blur = chance(random, augmentation->blur);
    draw.sigma = between(random, 0.3, 1.5);
    draw.jpeg = chance(random, augmentation->jpeg);
    draw.quality = 30 + (int)sosie_random_below(random, 61);
    draw.erase = chance(random, augmentation->erase);
    draw.erased = draw_part(random, between(random, 0.02, 0.25), 2);
    draw.filling = (uint8_t)sosie_random_below(random, 256);
    return draw;
}

/* ---- changes ------------------------------------------------------------- */

static void flip(struct sosie_image *picture)
{
    for (uint32_t y = 0; y < picture->height; y++) {
        uint8_t *left = picture->rgb + (size_t)y * picture->width * 3;
        uint8_t *right = left + ((size_t)picture->width - 1) * 3;
        for (; left < right; left += 3, right -= 3) {
            uint8_t kept[3];
            memcpy(kept, left, 3);
            memcpy(left, right, 3);
            memcpy(right, kept, 3);
        }
    }
}

/* Plain grey, as of a thing that is in the way. */
static void erase(struct sosie_image *picture, const struct sosie_crop *part,
                  uint8_t filling)
{
    uint32_t x = (uint32_t)(part->x * picture->width);
    uint32_t y = (uint32_t)(part->y * picture->height);
    uint32_t w = (uint32_t)(part->w * picture->width);
    uint32_t h = (uint32_t)(part->h * picture->height);
    for (uint32_t row = y; row < y + h; row++)
        memset(picture->rgb + ((size_t)row * picture->width + x) * 3, filling,
               (size_t)w * 3);
}

/* From a picture that begins the target's memory to its place in the target,
 * on white. Rows move down and right: the last goes first. */
static void put_in_place(uint8_t *rgb, uint32_t width, uint32_t height,
                         struct sosie_place place)
{
    size_t stride = (size_t)width * 3, row_size = (size_t)place.width * 3;
    size_t left = (size_t)place.x * 3;
    for (uint32_t y = height; y-- > 0;) {
        uint8_t *row = rgb + y * stride;
        if (y < place.y || y >= place.y + place.height) {
            memset(row, 255, stride);
            continue;
        }
        memmove(row + left, rgb + (y - place.y) * row_size, row_size);
        memset(row, 255, left);
        memset(row + left + row_size, 255, stride - left - row_size);
    }
}

static enum sosie_status change(struct sosie_image *picture,
                                const struct draw *draw,
                                struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    if (draw->flip)
        flip(picture);
    sosie_picture_recolour(picture, &draw->recolour);
    if (draw->blur)
        st = sosie_picture_blur(picture, draw->sigma, err);
    if (!st && draw->jpeg)
        st = sosie_jpeg_roundtrip(picture->rgb, picture->width, picture->height,
                                  draw->quality, err);
    if (!st && draw->erase)
        erase(picture, &draw->erased, draw->filling);
    return st;
}

static bool is_share(float x)
{
    return x >= 0 && x <= 1;
}

enum sosie_status sosie_augment(const struct sosie_augmentation *augmentation,
                                const struct sosie_image *image,
                                struct sosie_random *random, enum sosie_fit fit,
                                uint32_t width, uint32_t height, uint8_t *rgb,
                                struct sosie_error *err)
{
    struct draw draw = draw_view(augmentation, random);
    struct sosie_place place =
        sosie_image_place(draw.crop.w * image->width,
                          draw.crop.h * image->height, fit, width, height);
    struct sosie_image picture = {place.width, place.height, rgb};
    struct sosie_image other = {0};
    enum sosie_status st = SOSIE_OK;
    assert(augmentation->crop > 0 && is_share(augmentation->crop));
    assert(is_share(augmentation->brightness) &&
           is_share(augmentation->contrast) &&
           is_share(augmentation->saturation));

    if (draw.background)
        st = sosie_photo_replace_background(image, &draw.background_random,
                                            &other, err);
    if (!st)
        st = sosie_image_resize(other.rgb ? &other : image, &draw.crop,
                                place.width, place.height, rgb, err);
    sosie_image_release(&other);
    if (!st)
        st = change(&picture, &draw, err);
    if (!st)
        put_in_place(rgb, width, height, place);
    return st;
}
