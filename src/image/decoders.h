/* decoders.h: what the decoders and image.c tell each other. One file a format;
 * each is the only one that includes its library. */
#ifndef SOSIE_IMAGE_DECODERS_H
#define SOSIE_IMAGE_DECODERS_H

#include "image/image.h"

#include <stdbool.h>

/* What a decoder finds: pixels as they lie in the file, and how to turn them.
 */
struct sosie_decoded {
    struct sosie_image image; /* owned by the caller also after a failure */
    unsigned orientation;     /* EXIF 1..8 */
};

typedef enum sosie_status
sosie_decoder(const void *bytes, size_t size,
              const struct sosie_decode_options *options,
              struct sosie_decoded *decoded, struct sosie_error *err);

sosie_decoder sosie_jpeg_decode, sosie_png_decode, sosie_webp_decode;

/* REFUSED if width * height or a side is over the limit or 0; then room for the
 * pixels (NO_MEMORY). `channels` 4 leaves room to decode RGBA in place. */
SOSIE_MUST_CHECK enum sosie_status
sosie_image_check_size(uint64_t width, uint64_t height,
                       const struct sosie_image_limits *limits,
                       struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_image_alloc(struct sosie_image *image, uint32_t width, uint32_t height,
                  size_t channels, struct sosie_error *err);

/* Turns width * height RGBA pixels into RGB on white, in place. */
void sosie_rgba_onto_white(uint8_t *pixels, size_t n_pixels);

/* The orientation in EXIF data, with or without its "Exif\0\0"; 1 if there is
 * none or it makes no sense. */
unsigned sosie_exif_orientation(const uint8_t *bytes, size_t size);

/* Whether the orientation exchanges width and height. */
bool sosie_orientation_turns(unsigned orientation);

/* Puts the image upright. */
SOSIE_MUST_CHECK enum sosie_status sosie_image_orient(struct sosie_image *image,
                                                      unsigned orientation,
                                                      struct sosie_error *err);

#endif
