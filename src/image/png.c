/* png.c: PNG by libspng, as 8-bit RGBA on white. Of an APNG, the default image.
 */
#include "image/decoders.h"

#include <spng.h>

enum { CHUNK_MAX = 1 << 20, CHUNKS_MAX = 8 << 20, SIDE_MAX = 1 << 20 };

static enum sosie_status refuse(int code, struct sosie_error *err)
{
    switch (code) {
    case SPNG_EMEM:
        return sosie_fail(err, SOSIE_NO_MEMORY, "PNG decoder");
    case SPNG_IO_EOF:
    case SPNG_EIDAT_TOO_SHORT:
        return sosie_fail(err, SOSIE_REFUSED, "PNG is truncated: %s",
                          spng_strerror(code));
    default:
        return sosie_fail(err, SOSIE_REFUSED, "PNG is damaged: %s",
                          spng_strerror(code));
    }
}

static int prepare(spng_ctx *png, const void *bytes, size_t size)
{
    int code = spng_set_image_limits(png, SIDE_MAX, SIDE_MAX);
    if (!code)
        code = spng_set_chunk_limits(png, CHUNK_MAX, CHUNKS_MAX);
    if (!code)
        code = spng_set_crc_action(png, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    return code ? code : spng_set_png_buffer(png, bytes, size);
}

static enum sosie_status decode(spng_ctx *png, const void *bytes, size_t size,
                                const struct sosie_decode_options *options,
                                struct sosie_decoded *decoded,
                                struct sosie_error *err)
{
    struct sosie_image *image = &decoded->image;
    struct spng_ihdr header;
    struct spng_exif exif;
    size_t n_pixels;
    enum sosie_status st;
    int code = prepare(png, bytes, size);
    if (!code)
        code = spng_get_ihdr(png, &header);
    if (code)
        return refuse(code, err);
    st = sosie_image_check_size(header.width, header.height, &options->limits,
                                err);
    if (!st)
        st = sosie_image_alloc(image, header.width, header.height, 4, err);
    if (st)
        return st;
    n_pixels = (size_t)header.width * header.height;
    code = spng_decode_image(png, image->rgb, n_pixels * 4, SPNG_FMT_RGBA8,
                             SPNG_DECODE_TRNS);
    if (code)
        return refuse(code, err);
    sosie_rgba_onto_white(image->rgb, n_pixels);
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
