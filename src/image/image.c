/* image.c: from bytes to an upright, cropped picture. */
#include "image/image.h"

#include "base/size.h"
#include "image/decoders.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sosie_image_limits sosie_image_limits_defaults(void)
{
    return (struct sosie_image_limits){
        .max_bytes = 10 << 20, .max_pixels = 40000000, .max_scans = 100};
}

/* ---- kinds --------------------------------------------------------------- */

/* The kinds that are read come first, in the order of the enum. */
static const struct {
    const char *name;
    size_t offset;
    const char *magic;
    size_t length;
} kinds[] = {
    {"JPEG", 0, "\xff\xd8\xff", 3},
    {"PNG", 0, "\x89PNG\r\n\x1a\n", 8},
    {"WebP", 8, "WEBP", 4},
    {"GIF", 0, "GIF8", 4},
    {"BMP", 0, "BM", 2},
    {"TIFF", 0, "II*\0", 4},
    {"TIFF", 0, "MM\0*", 4},
    {"AVIF", 4, "ftypavif", 8},
    {"HEIC", 4, "ftyphe", 6},
    {"HEIC", 4, "ftypmif1", 8},
    {"MP4", 4, "ftyp", 4},
    {"JPEG 2000", 0, "\0\0\0\x0cjP  ", 8},
    {"JPEG XL", 0, "\xff\x0a", 2},
    {"PDF", 0, "%PDF", 4},
    {"ZIP", 0, "PK\x03\x04", 4},
    {"SVG", 0, "<svg", 4},
    {"HTML or XML", 0, "<", 1},
};
enum { N_KINDS = sizeof(kinds) / sizeof(*kinds), N_READ = 3 };

static size_t find_kind(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (size >= kinds[i].offset + kinds[i].length &&
            !memcmp(bytes + kinds[i].offset, kinds[i].magic, kinds[i].length) &&
            (i + 1 != SOSIE_IMAGE_WEBP || !memcmp(bytes, "RIFF", 4)))
            return i;
    return N_KINDS;
}

enum sosie_image_kind sosie_image_sniff(const void *bytes, size_t size)
{
    size_t kind = find_kind(bytes, size);
    return kind < N_READ ? (enum sosie_image_kind)(kind + 1)
                         : SOSIE_IMAGE_UNKNOWN;
}

static enum sosie_status not_read(const unsigned char *bytes, size_t size,
                                  struct sosie_error *err)
{
    size_t kind = find_kind(bytes, size), n_text = 0;
    if (kind < N_KINDS)
        return sosie_fail(err, SOSIE_UNSUPPORTED,
                          "looks like %s, expected JPEG, PNG or WebP",
                          kinds[kind].name);
    while (n_text < size && n_text < 512 &&
           (bytes[n_text] >= ' ' || memchr("\t\n\r", bytes[n_text], 3)))
        n_text++;
    return sosie_fail(
        err, SOSIE_UNSUPPORTED, "%s, not an image; expected JPEG, PNG or WebP",
        n_text == size || n_text == 512 ? "looks like text" : "unknown bytes");
}

/* ---- sizes and pixels ---------------------------------------------------- */

/* JPEG's own limit. It bounds what a resize allocates for a row or a side. */
enum { SIDE_MAX = 65535 };

enum sosie_status
sosie_image_check_size(uint64_t width, uint64_t height,
                       const struct sosie_image_limits *limits,
                       struct sosie_error *err)
{
    if (!width || !height || width > SIDE_MAX || height > SIDE_MAX)
        return sosie_fail(err, SOSIE_REFUSED,
                          "picture is %" PRIu64 "x%" PRIu64
                          " pixels; expected sides of 1 to %d",
                          width, height, SIDE_MAX);
    if (width > limits->max_pixels / height)
        return sosie_fail(err, SOSIE_REFUSED,
                          "picture is %" PRIu64 "x%" PRIu64
                          " pixels, %.1f megapixels; at most %.1f are taken",
                          width, height, (double)width * (double)height / 1e6,
                          (double)limits->max_pixels / 1e6);
    return SOSIE_OK;
}

enum sosie_status sosie_image_alloc(struct sosie_image *image, uint32_t width,
                                    uint32_t height, size_t channels,
                                    struct sosie_error *err)
{
    size_t size;
    uint8_t *pixels = NULL;
    if (sosie_size_mul(width, height, &size) &&
        sosie_size_mul(size, channels, &size))
        pixels = malloc(size);
    if (!pixels)
        return sosie_fail(err, SOSIE_NO_MEMORY, "picture of %ux%u pixels",
                          width, height);
    *image = (struct sosie_image){width, height, pixels};
    return SOSIE_OK;
}

void sosie_image_release(struct sosie_image *image)
{
    free(image->rgb);
    *image = (struct sosie_image){0};
}

void sosie_rgba_onto_white(uint8_t *pixels, size_t n_pixels)
{
    const uint8_t *from = pixels;
    for (size_t i = 0; i < n_pixels; i++, from += 4, pixels += 3) {
        unsigned alpha = from[3], white = (255 - alpha) * 255;
        for (size_t c = 0; c < 3; c++)
            pixels[c] = (uint8_t)((from[c] * alpha + white + 127) / 255);
    }
}

/* ---- crop ---------------------------------------------------------------- */

enum sosie_status sosie_crop_check(const struct sosie_crop *crop,
                                   struct sosie_error *err)
{
    const double slack = 1e-6;
    if (crop->x >= 0 && crop->y >= 0 && crop->w > 0 && crop->h > 0 &&
        crop->x + crop->w <= 1 + slack && crop->y + crop->h <= 1 + slack)
        return SOSIE_OK; /* a NaN or an infinity fails one of these */
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "crop is x %g, y %g, w %g, h %g; expected fractions of "
                      "the photo, w and h above 0, x + w and y + h at most 1",
                      crop->x, crop->y, crop->w, crop->h);
}

/* The pixels first .. first + n - 1 that a fraction of a side covers. */
static void cover(double start, double length, uint32_t side, uint32_t *first,
                  uint32_t *n)
{
    double end = fmin(1, start + length) * side;
    *first = (uint32_t)fmin(floor(start * side + 1e-6), side - 1);
    *n = (uint32_t)ceil(end - 1e-6) - *first;
    if (!*n || *n > side - *first)
        *n = *n ? side - *first : 1;
}

static void cut(struct sosie_image *image, const struct sosie_crop *crop)
{
    uint32_t x, y, w, h;
    cover(crop->x, crop->w, image->width, &x, &w);
    cover(crop->y, crop->h, image->height, &y, &h);
    for (uint32_t row = 0; row < h; row++) /* never overtakes what it reads */
        memmove(image->rgb + (size_t)row * w * 3,
                image->rgb + ((size_t)(y + row) * image->width + x) * 3,
                (size_t)w * 3);
    image->width = w;
    image->height = h;
}

/* ---- decode -------------------------------------------------------------- */

enum sosie_status sosie_image_decode(const void *bytes, size_t size,
                                     const struct sosie_decode_options *options,
                                     struct sosie_image *image,
                                     struct sosie_error *err)
{
    static sosie_decoder *const decoders[] = {
        [SOSIE_IMAGE_JPEG] = sosie_jpeg_decode,
        [SOSIE_IMAGE_PNG] = sosie_png_decode,
        [SOSIE_IMAGE_WEBP] = sosie_webp_decode};
    struct sosie_decoded decoded = {.orientation = 1};
    enum sosie_image_kind kind;
    enum sosie_status st = SOSIE_OK;

    if (!size)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "photo is empty (0 bytes); expected JPEG, PNG or "
                          "WebP");
    if (size > options->limits.max_bytes)
        return sosie_fail(err, SOSIE_TOO_LARGE,
                          "photo has %zu bytes, at most %zu are taken", size,
                          options->limits.max_bytes);
    if (options->crop)
        st = sosie_crop_check(options->crop, err);
    if (st)
        return st;
    kind = sosie_image_sniff(bytes, size);
    if (kind == SOSIE_IMAGE_UNKNOWN)
        return not_read(bytes, size, err);
    st = decoders[kind](bytes, size, options, &decoded, err);
    if (!st)
        st = sosie_image_orient(&decoded.image, decoded.orientation, err);
    if (st) {
        sosie_image_release(&decoded.image);
        return st;
    }
    if (options->crop)
        cut(&decoded.image, options->crop);
    *image = decoded.image;
    return SOSIE_OK;
}
