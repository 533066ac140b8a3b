/* jpeg.c: JPEG by libjpeg-turbo, shrunk in the DCT domain where possible.
 *
 * libjpeg reports errors by a call that must not return: here a longjmp that
 * stays within this file. It decodes damaged data as best it can and only
 * warns; a photo that is cut off or garbled is an error here, since its sender
 * can send it again. */
#include "image/decoders.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

struct reader {
    struct jpeg_decompress_struct
        jpeg; /* first: libjpeg hands back its address */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    uint32_t max_scans;
    enum sosie_status status;
    char reason[JMSG_LENGTH_MAX + 64];
    uint8_t *cmyk_row; /* of libjpeg's pool */
};

static void give_up(j_common_ptr common)
{
    struct reader *reader = (struct reader *)common;
    char message[JMSG_LENGTH_MAX];
    reader->status = common->err->msg_code == JERR_OUT_OF_MEMORY
                         ? SOSIE_NO_MEMORY
                         : SOSIE_REFUSED;
    if (!reader->reason[0]) {
        common->err->format_message(common, message);
        snprintf(reader->reason, sizeof(reader->reason), "JPEG is damaged: %s",
                 message);
    }
    longjmp(reader->failed, 1);
}

static void name_truncation(struct reader *reader)
{
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (jpeg->progressive_mode && jpeg->input_scan_number)
        snprintf(reader->reason, sizeof(reader->reason),
                 "JPEG is truncated: ends in scan %d", jpeg->input_scan_number);
    else if (jpeg->output_scanline)
        snprintf(reader->reason, sizeof(reader->reason),
                 "JPEG is truncated: ends after row %u of %u",
                 jpeg->output_scanline, jpeg->output_height);
    else
        snprintf(reader->reason, sizeof(reader->reason),
                 "JPEG is truncated: ends before its first row");
}

/* Warnings come with level -1; what a sloppy but whole encoder causes is let
 * through, what is missing or garbled is not. */
static void on_message(j_common_ptr common, int level)
{
    struct reader *reader = (struct reader *)common;
    if (level >= 0)
        return;
    switch (common->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA:
        return;
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
        name_truncation(reader);
        give_up(common);
        return;
    default:
        give_up(common);
    }
}

static void be_silent(j_common_ptr common)
{
    (void)common;
}

/* Each scan of a progressive file is a pass over the whole picture: a small
 * file can ask for thousands. */
static void on_progress(j_common_ptr common)
{
    struct reader *reader = (struct reader *)common;
    if (reader->jpeg.input_scan_number <= (int)reader->max_scans)
        return;
    snprintf(reader->reason, sizeof(reader->reason),
             "JPEG has more than %u scans", reader->max_scans);
    give_up(common);
}

static unsigned find_orientation(const struct reader *reader)
{
    for (jpeg_saved_marker_ptr marker = reader->jpeg.marker_list; marker;
         marker = marker->next)
        if (marker->data_length >= 6 && !memcmp(marker->data, "Exif\0\0", 6))
            return sosie_exif_orientation(marker->data, marker->data_length);
    return 1;
}

/* The most that the wanted part can be shrunk by without its shorter side going
 * below min_side. */
static unsigned choose_reduction(const struct reader *reader,
                                 unsigned orientation,
                                 const struct sosie_decode_options *options)
{
    bool turns = sosie_orientation_turns(orientation);
    double width = turns ? reader->jpeg.image_height : reader->jpeg.image_width;
    double height =
        turns ? reader->jpeg.image_width : reader->jpeg.image_height;
    double side;
    if (options->crop) {
        width *= options->crop->w;
        height *= options->crop->h;
    }
    side = width < height ? width : height;
    for (unsigned by = 8; by > 1 && options->min_side; by /= 2)
        if (side / by >= options->min_side)
            return by;
    return 1;
}

/* Adobe's CMYK is inverted: 255 means no ink. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t n,
                        bool inverted)
{
    for (size_t i = 0; i < n; i++, cmyk += 4, rgb += 3)
        for (size_t c = 0; c < 3; c++) {
            unsigned ink = inverted ? cmyk[c] : 255U - cmyk[c];
            unsigned black = inverted ? cmyk[3] : 255U - cmyk[3];
            rgb[c] = (uint8_t)((ink * black + 127) / 255);
        }
}

static void read_rows(struct reader *reader, struct sosie_image *image)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    size_t stride = (size_t)image->width * 3;
    bool cmyk = jpeg->out_color_space == JCS_CMYK;
    if (cmyk)
        reader->cmyk_row = jpeg->mem->alloc_large(
            (j_common_ptr)jpeg, JPOOL_IMAGE, (size_t)image->width * 4);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = image->rgb + jpeg->output_scanline * stride;
        uint8_t *into = cmyk ? reader->cmyk_row : row;
        jpeg_read_scanlines(jpeg, &into, 1);
        if (cmyk)
            cmyk_to_rgb(into, row, image->width, jpeg->saw_Adobe_marker);
    }
}

/* Everything between create and destroy; a failure in libjpeg jumps out. */
static enum sosie_status decode(struct reader *reader, const void *bytes,
                                size_t size,
                                const struct sosie_decode_options *options,
                                struct sosie_decoded *decoded,
                                struct sosie_error *err)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    enum sosie_status st;
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    jpeg_read_header(jpeg, TRUE);
    st = sosie_image_check_size(jpeg->image_width, jpeg->image_height,
                                &options->limits, err);
    if (st)
        return st;
    decoded->orientation = find_orientation(reader);
    jpeg->scale_num = 1;
    jpeg->scale_denom = choose_reduction(reader, decoded->orientation, options);
    jpeg->out_color_space =
        jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK
            ? JCS_CMYK
            : JCS_RGB;
    jpeg->progress = &reader->progress;
    jpeg_start_decompress(jpeg);
    st = sosie_image_alloc(&decoded->image, jpeg->output_width,
                           jpeg->output_height, 3, err);
    if (st)
        return st;
    read_rows(reader, &decoded->image);
    jpeg_finish_decompress(jpeg);
    return SOSIE_OK;
}

enum sosie_status sosie_jpeg_decode(const void *bytes, size_t size,
                                    const struct sosie_decode_options *options,
                                    struct sosie_decoded *decoded,
                                    struct sosie_error *err)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    enum sosie_status st;
    if (!reader)
        return sosie_fail(err, SOSIE_NO_MEMORY, "JPEG decoder");
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = give_up;
    reader->errors.emit_message = on_message;
    reader->errors.output_message = be_silent;
    reader->progress.progress_monitor = on_progress;
    reader->max_scans = options->limits.max_scans;
    if (setjmp(reader->failed)) {
        st = sosie_fail(err, reader->status, "%s", reader->reason);
    } else {
        jpeg_create_decompress(&reader->jpeg);
        st = decode(reader, bytes, size, options, decoded, err);
    }
    jpeg_destroy_decompress(&reader->jpeg);
    free(reader);
    return st;
}
