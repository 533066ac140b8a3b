/* picture_files.h: picture files of every kind, made by the tests themselves.
 *
 * Each maker returns bytes that the caller frees. */
#ifndef SOSIE_TESTS_PICTURE_FILES_H
#define SOSIE_TESTS_PICTURE_FILES_H

#include "pictures.h"

#include <stdbool.h>

#include <jpeglib.h>
#include <spng.h>
#include <webp/encode.h>

struct file {
    uint8_t *bytes; /* free() */
    size_t size;
};

/* ---- bytes --------------------------------------------------------------- */

static inline void file_append(struct file *file, const void *bytes,
                               size_t size)
{
    uint8_t *grown = realloc(file->bytes, file->size + size + 1);
    if (!grown || size > SIZE_MAX / 4) /* the compiler can't know it */
        abort();
    if (size)
        memcpy(grown + file->size, bytes, size);
    file->bytes = grown;
    file->size += size;
}

static inline void file_append_number(struct file *file, uint32_t number,
                                      size_t n_bytes, bool big_endian)
{
    for (size_t i = 0; i < n_bytes; i++) {
        size_t shift = 8 * (big_endian ? n_bytes - 1 - i : i);
        uint8_t byte = (uint8_t)(number >> shift);
        file_append(file, &byte, 1);
    }
}

/* Puts bytes into the file at `at`. */
static inline void file_insert(struct file *file, size_t at, const void *bytes,
                               size_t size)
{
    struct file made = {0};
    file_append(&made, file->bytes, at);
    file_append(&made, bytes, size);
    file_append(&made, file->bytes + at, file->size - at);
    free(file->bytes);
    *file = made;
}

/* Where `what` first is in the file; the test fails where it is not. */
static inline size_t file_find(const struct file *file, const void *what,
                               size_t size)
{
    const uint8_t *found = memmem(file->bytes, file->size, what, size);
    assert_non_null(found);
    return (size_t)(found - file->bytes);
}

/* ---- EXIF ---------------------------------------------------------------- */

/* A TIFF structure with two entries, the second of them the orientation. */
static inline struct file exif_make(unsigned orientation, bool big_endian)
{
    struct file exif = {0};
    file_append(&exif, big_endian ? "MM\0*" : "II*\0", 4);
    file_append_number(&exif, 8, 4, big_endian);      /* the first directory */
    file_append_number(&exif, 2, 2, big_endian);      /* its entries */
    file_append_number(&exif, 0x0100, 2, big_endian); /* width, a long */
    file_append_number(&exif, 4, 2, big_endian);
    file_append_number(&exif, 1, 4, big_endian);
    file_append_number(&exif, 640, 4, big_endian);
    file_append_number(&exif, 0x0112, 2, big_endian); /* orientation, a short */
    file_append_number(&exif, 3, 2, big_endian);
    file_append_number(&exif, 1, 4, big_endian);
    file_append_number(&exif, orientation, 2, big_endian);
    file_append_number(&exif, 0, 2, big_endian);
    file_append_number(&exif, 0, 4, big_endian); /* no further directory */
    return exif;
}

/* ---- JPEG ---------------------------------------------------------------- */

struct jpeg_kind {
    J_COLOR_SPACE space; /* of the file; JCS_UNKNOWN: YCbCr */
    bool without_adobe;  /* no Adobe marker: CMYK is not inverted */
    bool progressive;
    bool full_chroma;          /* 4:4:4 instead of 4:2:0 */
    const struct file *exif;   /* NULL: none */
    unsigned restart_interval; /* MCUs; 0: no restart markers */
};

/* As a printer would: as much black as there can be. */
static inline void cmyk_of(const uint8_t *rgb, uint8_t *cmyk, bool inverted)
{
    unsigned most = rgb[0] > rgb[1] ? rgb[0] : rgb[1];
    most = most > rgb[2] ? most : rgb[2];
    for (size_t c = 0; c < 3; c++)
        cmyk[c] = (uint8_t)(most ? (most - rgb[c]) * 255U / most : 0);
    cmyk[3] = (uint8_t)(255 - most);
    for (size_t c = 0; inverted && c < 4; c++)
        cmyk[c] = (uint8_t)(255 - cmyk[c]);
}

static inline void jpeg_write_rows(struct jpeg_compress_struct *jpeg,
                                   const struct sosie_image *picture,
                                   bool inverted)
{
    uint8_t *row = malloc((size_t)picture->width * 4);
    assert_non_null(row);
    for (uint32_t y = 0; y < picture->height; y++) {
        uint8_t *rgb = pixel_at(picture, 0, y);
        for (uint32_t x = 0; jpeg->input_components == 4 && x < picture->width;
             x++)
            cmyk_of(rgb + (size_t)x * 3, row + (size_t)x * 4, inverted);
        jpeg_write_scanlines(jpeg, jpeg->input_components == 4 ? &row : &rgb,
                             1);
    }
    free(row);
}

static inline struct file jpeg_make(const struct sosie_image *picture,
                                    struct jpeg_kind kind)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    bool inks = kind.space == JCS_CMYK || kind.space == JCS_YCCK;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = picture->width;
    jpeg.image_height = picture->height;
    jpeg.input_components = inks ? 4 : 3;
    jpeg.in_color_space = inks ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 90, TRUE);
    if (kind.space != JCS_UNKNOWN)
        jpeg_set_colorspace(&jpeg, kind.space);
    if (kind.without_adobe)
        jpeg.write_Adobe_marker = FALSE;
    if (kind.full_chroma)
        jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
    if (kind.progressive)
        jpeg_simple_progression(&jpeg);
    jpeg.restart_interval = kind.restart_interval;
    jpeg_start_compress(&jpeg, TRUE);
    if (kind.exif) {
        struct file marker = {0};
        file_append(&marker, "Exif\0\0", 6);
        file_append(&marker, kind.exif->bytes, kind.exif->size);
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, marker.bytes,
                          (unsigned)marker.size);
        free(marker.bytes);
    }
    jpeg_write_rows(&jpeg, picture, !kind.without_adobe);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return (struct file){bytes, size};
}

/* ---- PNG ----------------------------------------------------------------- */

struct png_kind {
    enum spng_color_type colour;
    uint8_t depth; /* bits a sample */
    bool interlaced;
    const struct spng_plte *palette;
    const struct spng_trns *transparent;
    const struct file *exif;
};

/* `samples` hold one value each, pixel by pixel, as the kind says. */
static inline struct file png_make(uint32_t width, uint32_t height,
                                   const uint16_t *samples,
                                   struct png_kind kind)
{
    static const size_t channels[] = {1, 0, 3, 1, 2, 0, 4};
    size_t n_row = width * channels[kind.colour];
    size_t row_size = (n_row * kind.depth + 7) / 8;
    uint8_t *packed = calloc(row_size, height);
    struct spng_ihdr header = {.width = width,
                               .height = height,
                               .bit_depth = kind.depth,
                               .color_type = (uint8_t)kind.colour,
                               .interlace_method = kind.interlaced};
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    struct file file;
    int code;
    assert_non_null(packed);
    for (size_t i = 0; i < n_row * height; i++)
        for (size_t bit = 0; bit < kind.depth; bit++) {
            size_t at = i % n_row * kind.depth + bit;
            unsigned value = samples[i] >> (kind.depth - 1U - bit) & 1U;
            packed[i / n_row * row_size + at / 8] |=
                (uint8_t)(value << (7 - at % 8));
        }
    assert_int_equal(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(png, &header), 0);
    if (kind.palette)
        assert_int_equal(spng_set_plte(png, (void *)kind.palette), 0);
    if (kind.transparent)
        assert_int_equal(spng_set_trns(png, (void *)kind.transparent), 0);
    if (kind.exif) {
        struct spng_exif exif = {kind.exif->size, (char *)kind.exif->bytes};
        assert_int_equal(spng_set_exif(png, &exif), 0);
    }
    assert_int_equal(spng_encode_image(png, packed, row_size * height,
                                       SPNG_FMT_RAW, SPNG_ENCODE_FINALIZE),
                     0);
    file.bytes = spng_get_png_buffer(png, &file.size, &code);
    assert_int_equal(code, 0);
    spng_ctx_free(png);
    free(packed);
    return file;
}

/* 8-bit RGB. */
static inline struct file png_make_rgb(const struct sosie_image *picture,
                                       const struct file *exif)
{
    size_t n = (size_t)picture->width * picture->height * 3;
    uint16_t *samples = calloc(n, sizeof(*samples));
    struct file file;
    assert_non_null(samples);
    for (size_t i = 0; i < n; i++)
        samples[i] = picture->rgb[i];
    file = png_make(picture->width, picture->height, samples,
                    (struct png_kind){.colour = SPNG_COLOR_TYPE_TRUECOLOR,
                                      .depth = 8,
                                      .exif = exif});
    free(samples);
    return file;
}

/* CRC-32 of PNG, bit by bit. */
static inline uint32_t png_crc(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;
    while (size--) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static inline struct file png_chunk(const char *type, const void *bytes,
                                    size_t size)
{
    struct file chunk = {0};
    file_append_number(&chunk, (uint32_t)size, 4, true);
    file_append(&chunk, type, 4);
    file_append(&chunk, bytes, size);
    file_append_number(&chunk, png_crc(chunk.bytes + 4, size + 4), 4, true);
    return chunk;
}

/* ---- WebP ---------------------------------------------------------------- */

static inline void webp_append_chunk(struct file *file, const char *type,
                                     const struct file *body)
{
    file_append(file, type, 4);
    file_append_number(file, (uint32_t)body->size, 4, false);
    file_append(file, body->bytes, body->size);
    file_append(file, "", body->size % 2);
}

/* Lossless; `alpha` (a value a pixel) may be NULL. */
static inline struct file webp_make(const struct sosie_image *picture,
                                    const uint8_t *alpha)
{
    size_t n = (size_t)picture->width * picture->height;
    uint8_t *rgba = malloc(n * 4), *bytes = NULL;
    struct file file = {0};
    size_t size;
    assert_non_null(rgba);
    for (size_t i = 0; i < n; i++) {
        memcpy(rgba + i * 4, picture->rgb + i * 3, 3);
        rgba[i * 4 + 3] = alpha ? alpha[i] : 255;
    }
    size =
        WebPEncodeLosslessRGBA(rgba, (int)picture->width, (int)picture->height,
                               (int)picture->width * 4, &bytes);
    assert_true(size > 0);
    file_append(&file, bytes, size);
    WebPFree(bytes);
    free(rgba);
    return file;
}

static inline struct file webp_make_lossy(const struct sosie_image *picture)
{
    uint8_t *bytes = NULL;
    size_t size =
        WebPEncodeRGB(picture->rgb, (int)picture->width, (int)picture->height,
                      (int)picture->width * 3, 90, &bytes);
    struct file file = {0};
    assert_true(size > 0);
    file_append(&file, bytes, size);
    WebPFree(bytes);
    return file;
}

/* Wraps chunks into a file with the extended header. */
static inline struct file webp_extend(const struct file *chunks, uint32_t width,
                                      uint32_t height, uint8_t flags)
{
    struct file header = {0}, file = {0};
    file_append_number(&header, flags, 4, false);
    file_append_number(&header, width - 1, 3, false);
    file_append_number(&header, height - 1, 3, false);
    file_append(&file, "RIFF", 4);
    file_append_number(&file, (uint32_t)(4 + 8 + header.size + chunks->size), 4,
                       false);
    file_append(&file, "WEBP", 4);
    webp_append_chunk(&file, "VP8X", &header);
    file_append(&file, chunks->bytes, chunks->size);
    free(header.bytes);
    return file;
}

static inline struct file webp_make_turned(const struct sosie_image *picture,
                                           const struct file *exif)
{
    struct file still = webp_make(picture, NULL), chunks = {0}, file;
    file_append(&chunks, still.bytes + 12, still.size - 12);
    webp_append_chunk(&chunks, "EXIF", exif);
    file = webp_extend(&chunks, picture->width, picture->height, 0x08);
    free(still.bytes);
    free(chunks.bytes);
    return file;
}

/* A frame at (x, y), which are even, of an animation. */
static inline void webp_append_frame(struct file *chunks,
                                     const struct sosie_image *picture,
                                     const uint8_t *alpha, uint32_t x,
                                     uint32_t y)
{
    struct file still = webp_make(picture, alpha), frame = {0};
    file_append_number(&frame, x / 2, 3, false);
    file_append_number(&frame, y / 2, 3, false);
    file_append_number(&frame, picture->width - 1, 3, false);
    file_append_number(&frame, picture->height - 1, 3, false);
    file_append_number(&frame, 100, 4, false); /* ms; blended, kept */
    file_append(&frame, still.bytes + 12, still.size - 12);
    webp_append_chunk(chunks, "ANMF", &frame);
    free(still.bytes);
    free(frame.bytes);
}

#endif
