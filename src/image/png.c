/* png.c: PNG by libspng, as 8-bit RGB, on white. Of an APNG, the default image.
 */
#include "image/decoders.h"

#include <string.h>

#include <spng.h>

/* Metadata that libspng may unpack: colour profiles, comments. */
enum { METADATA_MAX_MIB = 8, METADATA_MAX = METADATA_MAX_MIB << 20 };

static enum sosie_status refuse(int code, struct sosie_error *err)
{
    switch (code) {
    case SPNG_EMEM:
        return sosie_fail(err, SOSIE_NO_MEMORY, "PNG decoder");
    case SPNG_IO_EOF:
    case SPNG_EIDAT_TOO_SHORT:
        return sosie_fail(err, SOSIE_REFUSED, "PNG is truncated: %s",
                          spng_strerror(code));
    case SPNG_ECHUNK_LIMITS:
        return sosie_fail(
            err, SOSIE_REFUSED,
            "PNG has more metadata than the %d MiB or 1000 chunks "
            "that are taken",
            METADATA_MAX_MIB);
    default:
        return sosie_fail(err, SOSIE_REFUSED, "PNG is damaged: %s",
                          spng_strerror(code));
    }
}

/* libspng stops before the last chunk's checksum, which is always the same. */
static bool has_end(const void *bytes, size_t size)
{
    return memmem(bytes, size, "IEND\xae\x42\x60\x82", 8);
}

static int prepare(spng_ctx *png, const void *bytes, size_t size)
{
    int code = spng_set_chunk_limits(png, METADATA_MAX, METADATA_MAX);
    if (!code)
        code = spng_set_crc_action(png, SPNG_CRC_ERROR, SPNG_CRC_ERROR);
    return code ? code : spng_set_png_buffer(png, bytes, size);
}

static bool has_alpha(spng_ctx *png, const struct spng_ihdr *header)
{
    struct spng_trns transparent;
    return header->color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
           header->color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA ||
           !spng_get_trns(png, &transparent);
}

/* Pixels, and the chunks behind them, into an image with room for them. */
static int read_pixels(spng_ctx *png, struct sosie_image *image,
                       size_t channels)
{
    size_t n_pixels = (size_t)image->width * image->height;
    int code = spng_decode_image(png, image->rgb, n_pixels * channels,
                                 channels == 4 ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8,
                                 SPNG_DECODE_TRNS);
    if (!code)
        code = spng_decode_chunks(png);
    if (!code && channels == 4)
        sosie_rgba_onto_white(image->rgb, n_pixels);
    return code;
}

static enum sosie_status decode(spng_ctx *png, const void *bytes, size_t size,
                                const struct sosie_decode_options *options,
                                struct sosie_decoded *decoded,
                                struct sosie_error *err)
{
    struct spng_ihdr header;
    struct spng_exif exif;
    size_t channels;
    enum sosie_status st;
    int code = prepare(png, bytes, size);
    if (!code)
        code = spng_get_ihdr(png, &header);
    if (code)
        return refuse(code, err);
    st = sosie_image_check_size(header.width, header.height, &options->limits,
                                err);
    if (st)
        return st;
    code = spng_decode_chunks(png); /* those before the pixels */
    if (code)
        return refuse(code, err);
    channels = has_alpha(png, &header) ? 4 : 3;
    st = sosie_image_alloc(&decoded->image, header.width, header.height,
                           channels, err);
    if (st)
        return st;
    code = read_pixels(png, &decoded->image, channels);
    if (code)
        return refuse(code, err);
    if (!has_end(bytes, size))
        return refuse(SPNG_IO_EOF, err);
    if (!spng_get_exif(png, &exif))
        decoded->orientation =
            sosie_exif_orientation((const uint8_t *)exif.data, exif.length);
    return SOSIE_OK;
}

enum sosie_status sosie_png_decode(const void *bytes, size_t size,
                                   const struct sosie_decode_options *options,
                                   struct sosie_decoded *decoded,
                                   struct sosie_error *err)
{
    spng_ctx *png = spng_ctx_new(0);
    enum sosie_status st =
        png ? decode(png, bytes, size, options, decoded, err)
            : sosie_fail(err, SOSIE_NO_MEMORY, "PNG decoder");
    spng_ctx_free(png);
    return st;
}
