/* jpeg_write.c: pixels as a baseline JPEG, by libjpeg-turbo.
 *
 * As in jpeg.c, libjpeg's errors are a longjmp that stays within this file. The
 * bytes go to a buffer of our own: libjpeg's loses track of its own when it
 * fails after having grown it. */
#include "image/decoders.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

enum { FIRST_ROOM = 16 << 10, MAX_SIDE = 65500 /* JPEG_MAX_DIMENSION */ };

struct writer {
    struct jpeg_compress_struct
        jpeg; /* first: libjpeg gives back its address */
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    jmp_buf failed;
    char reason[JMSG_LENGTH_MAX];
    unsigned char *bytes;
    size_t size, room;
};

static void give_up(j_common_ptr common)
{
    struct writer *writer = (struct writer *)common;
    common->err->format_message(common, writer->reason);
    longjmp(writer->failed, 1);
}

static void be_silent(j_common_ptr common)
{
    (void)common;
}

/* Doubles the room; libjpeg goes on writing in what is new. */
static boolean grow(j_compress_ptr jpeg)
{
    struct writer *writer = (struct writer *)jpeg;
    size_t used = writer->room;
    size_t room = used ? used * 2 : FIRST_ROOM;
    unsigned char *more = realloc(writer->bytes, room);
    if (!more)
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    writer->bytes = more;
    writer->room = room;
    writer->to.next_output_byte = more + used;
    writer->to.free_in_buffer = room - used;
    return TRUE;
}

static void start(j_compress_ptr jpeg)
{
    grow(jpeg);
}

static void finish(j_compress_ptr jpeg)
{
    struct writer *writer = (struct writer *)jpeg;
    writer->size = writer->room - writer->to.free_in_buffer;
}

static void encode(struct writer *writer, const struct sosie_image *image,
                   int quality)
{
    struct jpeg_compress_struct *jpeg = &writer->jpeg;
    jpeg_create_compress(jpeg);
    jpeg->dest = &writer->to;
    jpeg->image_width = image->width;
    jpeg->image_height = image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row =
            image->rgb + (size_t)jpeg->next_scanline * image->width * 3;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

enum sosie_status sosie_jpeg_encode(const struct sosie_image *image,
                                    int quality, unsigned char **bytes,
                                    size_t *size, struct sosie_error *err)
{
    enum sosie_status st;
    struct writer *writer;
    if (!image->width || !image->height || image->width > MAX_SIDE ||
        image->height > MAX_SIDE)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "no JPEG of %ux%u pixels; a side has 1 to %d",
                          image->width, image->height, MAX_SIDE);
    writer = calloc(1, sizeof(*writer));
    if (!writer)
        return sosie_fail(err, SOSIE_NO_MEMORY, "JPEG encoder");
    writer->jpeg.err = jpeg_std_error(&writer->errors);
    writer->errors.error_exit = give_up;
    writer->errors.output_message = be_silent;
    writer->to.init_destination = start;
    writer->to.empty_output_buffer = grow;
    writer->to.term_destination = finish;
    if (setjmp(writer->failed)) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "JPEG encoder: %s",
                        writer->reason);
    } else {
        encode(writer, image, quality);
        st = SOSIE_OK;
    }
    jpeg_destroy_compress(&writer->jpeg);
    if (st) {
        free(writer->bytes);
    } else {
        *bytes = writer->bytes;
        *size = writer->size;
    }
    free(writer);
    return st;
}

enum sosie_status sosie_jpeg_roundtrip(uint8_t *rgb, uint32_t width,
                                       uint32_t height, int quality,
                                       struct sosie_error *err)
{
    static const struct sosie_decode_options options = {
        .limits = {.max_pixels = UINT64_MAX, .max_scans = 1}};
    const struct sosie_image image = {width, height, rgb};
    struct sosie_decoded decoded = {0};
    unsigned char *bytes;
    size_t size;
    enum sosie_status st =
        sosie_jpeg_encode(&image, quality, &bytes, &size, err);
    if (st)
        return st;
    st = sosie_jpeg_decode(bytes, size, &options, &decoded, err);
    if (!st)
        memcpy(rgb, decoded.image.rgb, (size_t)width * height * 3);
    sosie_image_release(&decoded.image);
    free(bytes);
    return st;
}
