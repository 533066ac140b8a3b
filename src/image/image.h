/* image.h: photo bytes -> RGB pixels, and what is done to pixels before a CNN.
 *
 *   bytes -> sniff -> limits -> decode -> orient (EXIF) -> crop -> fit
 *
 * Pixels are 8-bit sRGB, interleaved R G B, rows from top to bottom without
 * padding: 3 * width * height bytes. Bytes come from strangers: nothing is
 * allocated for pixels before the header's dimensions have passed the limits.
 * Threads: any number at once; an image is unshared. */
#ifndef SOSIE_IMAGE_IMAGE_H
#define SOSIE_IMAGE_IMAGE_H

#include "sosie/error.h"

#include <stddef.h>
#include <stdint.h>

struct sosie_image {
    uint32_t width, height; /* pixels */
    uint8_t *rgb;           /* owned; sosie_image_release */
};

enum sosie_image_kind {
    SOSIE_IMAGE_UNKNOWN,
    SOSIE_IMAGE_JPEG,
    SOSIE_IMAGE_PNG,
    SOSIE_IMAGE_WEBP
};

struct sosie_image_limits {
    size_t max_bytes;    /* of the file */
    uint64_t max_pixels; /* width * height as the header says; a side has at
                          * most 65,535 whatever is set here */
    uint32_t max_scans;  /* of a progressive JPEG */
};

/* 10 MiB, 40 megapixels, 100 scans. */
struct sosie_image_limits sosie_image_limits_defaults(void);

/* By magic bytes alone; file names lie. */
enum sosie_image_kind sosie_image_sniff(const void *bytes, size_t size);

/* A part of an upright photo, in fractions of its width and height. */
struct sosie_crop {
    double x, y, w, h;
};

/* BAD_INPUT unless 0 <= x, 0 < w, x + w <= 1 (up to rounding), and so for y, h,
 * and all are finite. */
SOSIE_MUST_CHECK enum sosie_status
sosie_crop_check(const struct sosie_crop *crop, struct sosie_error *err);

struct sosie_decode_options {
    struct sosie_image_limits limits;
    /* The decoder may shrink (JPEG: by 1/2, 1/4, 1/8 in the DCT domain) while
     * the wanted part keeps at least this many pixels on its shorter side.
     * 0: full size. */
    uint32_t min_side;
    /* NULL: the whole photo. Otherwise *image is this part, cut after the
     * photo was put upright. */
    const struct sosie_crop *crop;
};

/* Decodes a photo, puts it upright by its EXIF orientation, cuts the crop.
 *
 * Alpha is put on white; grey, CMYK (Adobe inverted too), palette and 16-bit
 * become 8-bit RGB; of an animation the first frame is taken.
 * image:  filled; owned by the caller.
 * Errors: UNSUPPORTED if it is not a JPEG, PNG or WebP (says what it looks
 * like), TOO_LARGE if over max_bytes, REFUSED if truncated, damaged, over
 * max_pixels or max_scans, BAD_INPUT if empty or the crop is not one. */
SOSIE_MUST_CHECK enum sosie_status
sosie_image_decode(const void *bytes, size_t size,
                   const struct sosie_decode_options *options,
                   struct sosie_image *image, struct sosie_error *err);

/* Frees the pixels; the struct is then empty. */
void sosie_image_release(struct sosie_image *image);

enum sosie_fit {
    SOSIE_FIT_SQUASH, /* both sides scaled to the target: shape is distorted */
    SOSIE_FIT_LETTERBOX /* the longer side scaled, the rest filled with white */
};

/* Resizes to exactly width x height with an antialiased triangle filter
 * (support grows with the reduction, as in Pillow's BILINEAR; within 1 level of
 * it). rgb: room for 3 * width * height bytes, owned by the caller. */
SOSIE_MUST_CHECK enum sosie_status
sosie_image_fit(const struct sosie_image *image, enum sosie_fit fit,
                uint32_t width, uint32_t height, uint8_t *rgb,
                struct sosie_error *err);

/* Where a picture comes to lie when it is fitted: all of the target, or its
 * middle. */
struct sosie_place {
    uint32_t x, y, width, height; /* pixels */
};
struct sosie_place sosie_image_place(double from_width, double from_height,
                                     enum sosie_fit fit, uint32_t width,
                                     uint32_t height);

/* The same filter over a part of the photo alone, which need not begin or end
 * with a whole pixel; at its edges the pixels beside it are mixed in, as with
 * Pillow's `box`. The part has passed sosie_crop_check. */
SOSIE_MUST_CHECK enum sosie_status
sosie_image_resize(const struct sosie_image *image,
                   const struct sosie_crop *part, uint32_t width,
                   uint32_t height, uint8_t *rgb, struct sosie_error *err);

/* The image as a baseline JPEG, its colours at half the size in both directions
 * (4:2:0). quality: 1 to 100, as libjpeg counts. *bytes is owned by the caller
 * (free). Errors: BAD_INPUT if a side is 0 or over 65,500; NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_jpeg_encode(const struct sosie_image *image, int quality,
                  unsigned char **bytes, size_t *size, struct sosie_error *err);
/* What such a JPEG leaves of width x height RGB pixels, in place. */
SOSIE_MUST_CHECK enum sosie_status
sosie_jpeg_roundtrip(uint8_t *rgb, uint32_t width, uint32_t height, int quality,
                     struct sosie_error *err);

#endif
