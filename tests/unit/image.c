/* Photos as the world sends them: every kind, turned, cut off, damaged, lying,
 * too large. The files are made here (picture_files.h). */
#include "picture_files.h"

#include "base/file.h"
#include "base/random.h"
#include "image/decoders.h"

#include <dirent.h>
#include <math.h>

/* ---- what every test needs ----------------------------------------------- */

static struct sosie_decode_options options_default(void)
{
    return (struct sosie_decode_options){.limits =
                                             sosie_image_limits_defaults()};
}

/* Decodes a file that must be good. */
static struct sosie_image
decode_with(const struct file *file, const struct sosie_decode_options *options)
{
    struct sosie_image image = {0};
    struct sosie_error err;
    check_ok(sosie_image_decode(file->bytes, file->size, options, &image, &err),
             &err);
    return image;
}

static struct sosie_image decode(const struct file *file)
{
    struct sosie_decode_options options = options_default();
    return decode_with(file, &options);
}

static void refuse(const struct file *file, enum sosie_status status,
                   const char *words)
{
    struct sosie_decode_options options = options_default();
    struct sosie_image image = {0};
    struct sosie_error err;
    check_fails(
        sosie_image_decode(file->bytes, file->size, &options, &image, &err),
        status, &err, words);
    assert_null(image.rgb);
}

/* The middles of the quadrants show these of quadrant_colours. */
static void assert_quadrants(const struct sosie_image *image,
                             const char order[N_QUADRANTS + 1], int tolerance)
{
    for (unsigned q = 0; q < N_QUADRANTS; q++)
        assert_near(pixel_at(image, image->width * (1 + q % 2 * 2) / 4,
                             image->height * (1 + q / 2 * 2) / 4),
                    quadrant_colours[order[q] - 'A'], tolerance);
}

/* The file decodes to the picture; both are released. */
static void assert_decodes_to(struct file file, struct sosie_image expected,
                              int tolerance)
{
    struct sosie_image image = decode(&file);
    assert_same(&image, &expected, tolerance);
    sosie_image_release(&image);
    sosie_image_release(&expected);
    free(file.bytes);
}

/* ---- kinds --------------------------------------------------------------- */

static void a_kind_is_told_by_its_first_bytes(void **state)
{
    (void)state;
    assert_int_equal(sosie_image_sniff("\xff\xd8\xff\xe0", 4),
                     SOSIE_IMAGE_JPEG);
    assert_int_equal(sosie_image_sniff("\x89PNG\r\n\x1a\n", 8),
                     SOSIE_IMAGE_PNG);
    assert_int_equal(sosie_image_sniff("RIFF\0\0\0\0WEBP", 12),
                     SOSIE_IMAGE_WEBP);
    assert_int_equal(sosie_image_sniff("RIFF\0\0\0\0WAVE", 12),
                     SOSIE_IMAGE_UNKNOWN);
    assert_int_equal(sosie_image_sniff("RIFX\0\0\0\0WEBP", 12),
                     SOSIE_IMAGE_UNKNOWN);
    assert_int_equal(sosie_image_sniff("\x89PNG\r\n\x1a", 7),
                     SOSIE_IMAGE_UNKNOWN);
    assert_int_equal(sosie_image_sniff("\xff\xd8", 2), SOSIE_IMAGE_UNKNOWN);
    assert_int_equal(sosie_image_sniff("", 0), SOSIE_IMAGE_UNKNOWN);
}

static void what_is_not_read_is_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"GIF89a\x01\0\x01\0", 10, "GIF"},
        {"BM\x46\0\0\0\0\0\0\0", 10, "BMP"},
        {"II*\0\x08\0\0\0", 8, "TIFF"},
        {"MM\0*\0\0\0\x08", 8, "TIFF"},
        {"\0\0\0\x1c"
         "ftypavif\0\0\0\0",
         16, "AVIF"},
        {"\0\0\0\x1c"
         "ftypheic\0\0\0\0",
         16, "HEIC"},
        {"\0\0\0\x1c"
         "ftypisom\0\0\0\0",
         16, "MP4"},
        {"%PDF-1.7\n", 9, "PDF"},
        {"<!doctype html>", 15, "HTML"},
        {"<svg xmlns=", 11, "SVG"},
        {"these are words\r\n", 17, "looks like text"},
        {"\0\0\0\0\0\0\0\0\0", 9, "unknown bytes"},
        {"\x01", 1, "unknown bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct file file = {(uint8_t *)cases[i].bytes, cases[i].size};
        refuse(&file, SOSIE_UNSUPPORTED, cases[i].words);
        refuse(&file, SOSIE_UNSUPPORTED, "expected JPEG, PNG or WebP");
    }
}

static void a_file_that_lies_about_its_kind_is_refused(void **state)
{
    struct sosie_image picture = picture_noise(9, 7, 1);
    struct file png = png_make_rgb(&picture, NULL);
    struct file lie = {0};
    (void)state;
    file_append(&lie, "\xff\xd8\xff", 3);
    file_append(&lie, png.bytes, png.size);
    refuse(&lie, SOSIE_REFUSED, "JPEG");
    memcpy(png.bytes + 12, "JHDR", 4);
    refuse(&png, SOSIE_REFUSED, "PNG is damaged");
    lie.size = 0;
    file_append(&lie, "RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0\0\0\0\0", 24);
    refuse(&lie, SOSIE_REFUSED, "WebP is");
    free(lie.bytes);
    free(png.bytes);
    sosie_image_release(&picture);
}

/* ---- JPEG ---------------------------------------------------------------- */

static void jpegs_of_every_colour_space_become_rgb(void **state)
{
    static const struct jpeg_kind kinds[] = {
        {.space = JCS_UNKNOWN},
        {.space = JCS_YCbCr, .full_chroma = true},
        {.space = JCS_YCbCr, .progressive = true},
        {.space = JCS_YCbCr, .restart_interval = 2},
        {.space = JCS_RGB},
        {.space = JCS_CMYK},
        {.space = JCS_CMYK, .without_adobe = true},
        {.space = JCS_YCCK},
        {.space = JCS_YCCK, .progressive = true},
    };
    struct sosie_image picture = picture_quadrants(64, 48);
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct file file = jpeg_make(&picture, kinds[i]);
        struct sosie_image image = decode(&file);
        assert_int_equal(image.width, 64);
        assert_int_equal(image.height, 48);
        assert_quadrants(&image, "ABCD", 8);
        sosie_image_release(&image);
        free(file.bytes);
    }
    sosie_image_release(&picture);
}

static void a_grey_jpeg_becomes_grey_rgb(void **state)
{
    struct sosie_image picture = picture_quadrants(32, 32);
    struct file file =
        jpeg_make(&picture, (struct jpeg_kind){.space = JCS_GRAYSCALE});
    struct sosie_image image = decode(&file);
    (void)state;
    for (unsigned q = 0; q < N_QUADRANTS; q++) {
        const uint8_t *rgb = quadrant_colours[q];
        uint8_t y =
            (uint8_t)(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] + 0.5);
        assert_near(pixel_at(&image, 8 + q % 2 * 16, 8 + q / 2 * 16),
                    (uint8_t[]){y, y, y}, 3);
    }
    sosie_image_release(&image);
    sosie_image_release(&picture);
    free(file.bytes);
}

static void a_progressive_jpeg_may_have_so_many_scans(void **state)
{
    struct sosie_image picture = picture_quadrants(64, 48), image = {0};
    struct file file = jpeg_make(
        &picture, (struct jpeg_kind){.space = JCS_YCbCr, .progressive = true});
    struct sosie_decode_options options = options_default();
    struct sosie_error err;
    (void)state;
    options.limits.max_scans = 10; /* what libjpeg's script makes */
    image = decode_with(&file, &options);
    sosie_image_release(&image);
    options.limits.max_scans = 9;
    check_fails(
        sosie_image_decode(file.bytes, file.size, &options, &image, &err),
        SOSIE_REFUSED, &err, "more than 9 scans");
    sosie_image_release(&picture);
    free(file.bytes);
}

static void a_jpeg_that_ends_early_says_where(void **state)
{
    struct sosie_image picture = picture_noise(64, 64, 2);
    struct file file = jpeg_make(&picture, (struct jpeg_kind){0});
    struct file progressive =
        jpeg_make(&picture, (struct jpeg_kind){.progressive = true});
    size_t whole = file.size;
    (void)state;
    file.size = whole * 2 / 3;
    refuse(&file, SOSIE_REFUSED, "truncated: ends after row ");
    refuse(&file, SOSIE_REFUSED, " of 64");
    file.size = whole - 2; /* the end marker */
    refuse(&file, SOSIE_REFUSED, "JPEG is truncated");
    file.size = 100;
    refuse(&file, SOSIE_REFUSED, "truncated: ends before its first row");
    progressive.size /= 2;
    refuse(&progressive, SOSIE_REFUSED, "truncated: ends in scan ");
    free(file.bytes);
    free(progressive.bytes);
    sosie_image_release(&picture);
}

static void a_roundtrip_is_what_a_jpeg_file_would_keep(void **state)
{
    static const uint32_t sizes[][2] = {{1, 1}, {1, 40}, {33, 1}, {50, 31}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct sosie_image picture =
            picture_quadrants(sizes[i][0], sizes[i][1]);
        struct sosie_image kept = picture_quadrants(sizes[i][0], sizes[i][1]);
        struct sosie_error err;
        check_ok(
            sosie_jpeg_roundtrip(kept.rgb, kept.width, kept.height, 100, &err),
            &err);
        assert_near(pixel_at(&kept, 0, 0), pixel_at(&picture, 0, 0), 40);
        sosie_image_release(&picture);
        sosie_image_release(&kept);
    }
}

static int64_t squared_difference(const struct sosie_image *a,
                                  const struct sosie_image *b)
{
    int64_t sum = 0;
    for (size_t i = 0; i < (size_t)a->width * a->height * 3; i++) {
        int d = a->rgb[i] - b->rgb[i];
        sum += d * d;
    }
    return sum;
}

static void a_roundtrip_loses_more_at_a_lower_quality(void **state)
{
    static const int qualities[] = {100, 90, 60, 30, 5, 1};
    struct sosie_image picture = picture_noise(48, 40, 5);
    int64_t before = -1;
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct sosie_image kept = picture_noise(48, 40, 5);
        struct sosie_error err;
        check_ok(sosie_jpeg_roundtrip(kept.rgb, 48, 40, qualities[i], &err),
                 &err);
        assert_true(squared_difference(&kept, &picture) > before);
        before = squared_difference(&kept, &picture);
        sosie_image_release(&kept);
    }
    sosie_image_release(&picture);
}

static void a_roundtrip_of_too_wide_a_picture_is_refused(void **state)
{
    struct sosie_image picture = picture_make(65535, 1);
    struct sosie_error err;
    (void)state;
    check_fails(sosie_jpeg_roundtrip(picture.rgb, 65535, 1, 90, &err),
                SOSIE_BAD_INPUT, &err, "65535x1");
    sosie_image_release(&picture);
}

/* Some cameras write zeros where a baseline scan's parameters stand, or pad
 * with bytes that belong to nothing: the picture is whole. */
static void sloppy_but_whole_jpegs_are_read(void **state)
{
    struct sosie_image picture = picture_quadrants(64, 48), image;
    struct file file = jpeg_make(&picture, (struct jpeg_kind){0});
    size_t scan = file_find(&file, "\xff\xda\0\x0c\x03", 5);
    (void)state;
    assert_int_equal(file.bytes[scan + 12], 63);
    file.bytes[scan + 12] = 0;
    file_insert(&file, file.size - 2, "\0\0\0\0", 4);
    file_append(&file, "behind the end", 14);
    image = decode(&file);
    assert_quadrants(&image, "ABCD", 8);
    sosie_image_release(&image);
    sosie_image_release(&picture);
    free(file.bytes);
}

/* ---- PNG ----------------------------------------------------------------- */

/* A file with those samples becomes those pixels. */
static void check_png(uint32_t width, uint32_t height, const uint16_t *samples,
                      struct png_kind kind, const uint8_t *rgb)
{
    struct sosie_image expected = picture_make(width, height);
    memcpy(expected.rgb, rgb, (size_t)width * height * 3);
    assert_decodes_to(png_make(width, height, samples, kind), expected, 0);
}

static void grey_pngs_of_every_depth_are_stretched_to_8_bits(void **state)
{
    (void)state;
    check_png(3, 1, (uint16_t[]){0, 1, 0}, (struct png_kind){.depth = 1},
              (uint8_t[]){0, 0, 0, 255, 255, 255, 0, 0, 0});
    check_png(2, 2, (uint16_t[]){0, 1, 2, 3}, (struct png_kind){.depth = 2},
              (uint8_t[]){0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255});
    check_png(3, 1, (uint16_t[]){0, 5, 15}, (struct png_kind){.depth = 4},
              (uint8_t[]){0, 0, 0, 85, 85, 85, 255, 255, 255});
    check_png(2, 1, (uint16_t[]){7, 200}, (struct png_kind){.depth = 8},
              (uint8_t[]){7, 7, 7, 200, 200, 200});
    check_png(2, 1, (uint16_t[]){0x0707, 0xffff},
              (struct png_kind){.depth = 16},
              (uint8_t[]){7, 7, 7, 255, 255, 255});
}

static void colour_pngs_become_8_bit_rgb(void **state)
{
    const struct png_kind rgb16 = {.colour = SPNG_COLOR_TYPE_TRUECOLOR,
                                   .depth = 16};
    (void)state;
    assert_decodes_to(
        png_make_rgb(&(struct sosie_image){1, 1, (uint8_t[]){1, 2, 3}}, NULL),
        (struct sosie_image){1, 1, memcpy(malloc(3), "\1\2\3", 3)}, 0);
    check_png(1, 1, (uint16_t[]){0x1010, 0x8080, 0xfefe}, rgb16,
              (uint8_t[]){16, 128, 254});
}

static void palette_pngs_of_every_depth_become_rgb(void **state)
{
    static const struct spng_plte palette = {
        2, {{200, 10, 20, 0}, {3, 130, 220, 0}}};
    static const uint8_t rgb[] = {200, 10, 20, 3, 130, 220, 200, 10, 20};
    struct png_kind kind = {.colour = SPNG_COLOR_TYPE_INDEXED,
                            .palette = &palette};
    (void)state;
    for (kind.depth = 1; kind.depth <= 8; kind.depth *= 2)
        check_png(3, 1, (uint16_t[]){0, 1, 0}, kind, rgb);
}

static void see_through_pngs_are_put_on_white(void **state)
{
    static const struct spng_plte palette = {
        2, {{200, 10, 20, 0}, {0, 130, 220, 0}}};
    static const struct spng_trns index = {.n_type3_entries = 2,
                                           .type3_alpha = {255, 51}};
    static const struct spng_trns grey = {.gray = 5};
    static const struct spng_trns red = {.red = 0x1234};
    (void)state;
    check_png(3, 1,
              (uint16_t[]){10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 255, 51},
              (struct png_kind){.colour = SPNG_COLOR_TYPE_TRUECOLOR_ALPHA,
                                .depth = 8},
              (uint8_t[]){10, 20, 30, 255, 255, 255, 204, 224, 255});
    check_png(2, 1, (uint16_t[]){0, 0xffff, 0, 0x3333},
              (struct png_kind){.colour = SPNG_COLOR_TYPE_GRAYSCALE_ALPHA,
                                .depth = 16},
              (uint8_t[]){0, 0, 0, 204, 204, 204});
    check_png(2, 1, (uint16_t[]){0, 1},
              (struct png_kind){.colour = SPNG_COLOR_TYPE_INDEXED,
                                .depth = 8,
                                .palette = &palette,
                                .transparent = &index},
              (uint8_t[]){200, 10, 20, 204, 230, 248});
    check_png(2, 1, (uint16_t[]){4, 5},
              (struct png_kind){.depth = 8, .transparent = &grey},
              (uint8_t[]){4, 4, 4, 255, 255, 255});
    check_png(2, 1, (uint16_t[]){0x1234, 0, 0, 0x1235, 0, 0},
              (struct png_kind){.colour = SPNG_COLOR_TYPE_TRUECOLOR,
                                .depth = 16,
                                .transparent = &red},
              (uint8_t[]){255, 255, 255, 0x12, 0, 0});
}

/* An animated PNG is a PNG with further chunks: its default image counts. */
static void of_an_animated_png_the_default_image_is_taken(void **state)
{
    struct sosie_image picture = picture_noise(9, 6, 3);
    struct file file = png_make_rgb(&picture, NULL), other, chunk, frame = {0};
    (void)state;
    chunk = png_chunk("acTL", "\0\0\0\2\0\0\0\0", 8);
    file_insert(&file, 33, chunk.bytes, chunk.size);
    free(chunk.bytes);
    other = png_make_rgb(&(struct sosie_image){1, 1, (uint8_t[]){255, 0, 255}},
                         NULL);
    file_append_number(&frame, 0, 4, true); /* its number among the frames */
    file_append(&frame, other.bytes + file_find(&other, "IDAT", 4) + 4,
                other.size - 16 - (file_find(&other, "IDAT", 4) + 4));
    chunk = png_chunk("fdAT", frame.bytes, frame.size);
    file_insert(&file, file.size - 12, chunk.bytes, chunk.size);
    free(chunk.bytes);
    free(other.bytes);
    free(frame.bytes);
    assert_decodes_to(file, picture, 0);
}

static void an_interlaced_png_is_read(void **state)
{
    struct sosie_image picture = picture_noise(13, 11, 4);
    uint16_t samples[13 * 11 * 3];
    (void)state;
    for (size_t i = 0; i < 13 * 11 * 3; i++)
        samples[i] = picture.rgb[i];
    check_png(13, 11, samples,
              (struct png_kind){.colour = SPNG_COLOR_TYPE_TRUECOLOR,
                                .depth = 8,
                                .interlaced = true},
              picture.rgb);
    sosie_image_release(&picture);
}

static void png_metadata_is_bounded_and_checked(void **state)
{
    struct sosie_image picture = picture_noise(5, 4, 5);
    struct file file = png_make_rgb(&picture, NULL), chunk;
    (void)state;
    chunk = png_chunk("tEXt", "Comment\0a photo", 15);
    file_insert(&file, 33, chunk.bytes, chunk.size);
    file.bytes[33 + 12] ^= 1;
    refuse(&file, SOSIE_REFUSED, "PNG is damaged");
    file.bytes[33 + 12] ^= 1;
    for (size_t i = 0; i < 1100; i++)
        file_insert(&file, 33, chunk.bytes, chunk.size);
    refuse(&file, SOSIE_REFUSED, "more metadata");
    free(chunk.bytes);
    free(file.bytes);
    sosie_image_release(&picture);
}

/* ---- WebP ---------------------------------------------------------------- */

static void lossless_and_lossy_webps_are_read(void **state)
{
    struct sosie_image picture = picture_quadrants(40, 24), image;
    struct file lossy = webp_make_lossy(&picture);
    (void)state;
    image = decode(&lossy);
    assert_quadrants(&image, "ABCD", 8);
    sosie_image_release(&image);
    free(lossy.bytes);
    assert_decodes_to(webp_make(&picture, NULL), picture, 0);
}

static void a_see_through_webp_is_put_on_white(void **state)
{
    struct sosie_image picture = {2, 1, (uint8_t[]){10, 20, 30, 0, 100, 255}};
    struct sosie_image expected = picture_make(2, 1);
    (void)state;
    memcpy(expected.rgb, (uint8_t[]){255, 255, 255, 204, 224, 255}, 6);
    assert_decodes_to(webp_make(&picture, (uint8_t[]){0, 51}), expected, 0);
}

/* The frame is smaller than the canvas, and the second one differs. */
static void of_an_animated_webp_the_first_frame_is_taken(void **state)
{
    struct sosie_image first = picture_noise(5, 3, 6),
                       second = picture_noise(12, 8, 7),
                       expected = picture_make(12, 8);
    struct file chunks = {0}, file;
    (void)state;
    webp_append_chunk(&chunks, "ANIM",
                      &(struct file){(uint8_t *)"\x10\x20\x30\xff\0\0", 6});
    webp_append_frame(&chunks, &first, NULL, 4, 2);
    webp_append_frame(&chunks, &second, NULL, 0, 0);
    file = webp_extend(&chunks, 12, 8, 0x02);
    memset(expected.rgb, 255, 12 * 8 * 3);
    for (uint32_t y = 0; y < 3; y++)
        memcpy(pixel_at(&expected, 4, 2 + y), pixel_at(&first, 0, y), 15);
    assert_decodes_to(file, expected, 0);

    chunks.size = 14; /* the ANIM chunk */
    webp_append_frame(&chunks, &first, (uint8_t[15]){0}, 6, 4);
    file = webp_extend(&chunks, 12, 8, 0x12);
    expected = picture_make(12, 8);
    memset(expected.rgb, 255, 12 * 8 * 3);
    assert_decodes_to(file, expected, 0);

    chunks.size = 14;
    webp_append_frame(&chunks, &second, NULL, 2, 0); /* out of its canvas */
    file = webp_extend(&chunks, 12, 8, 0x02);
    refuse(&file, SOSIE_REFUSED, "WebP is damaged");
    free(file.bytes);
    free(chunks.bytes);
    sosie_image_release(&first);
    sosie_image_release(&second);
}

/* ---- orientation --------------------------------------------------------- */

/* What orientations 1 to 8 make of the quadrants AB over CD (EXIF 2.3, 4.6.4:
 * which side of the picture the file's first row and first column are). */
static const char *const upright[] = {"ABCD", "BADC", "DCBA", "CDAB",
                                      "ACBD", "CADB", "DBCA", "BDAC"};

static void photos_are_put_upright(void **state)
{
    struct sosie_image picture = picture_quadrants(64, 32);
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        unsigned orientation = i / 2 + 1;
        struct file exif = exif_make(orientation, i % 2);
        struct file files[] = {
            jpeg_make(&picture, (struct jpeg_kind){.exif = &exif}),
            png_make_rgb(&picture, &exif), webp_make_turned(&picture, &exif)};
        for (size_t k = 0; k < sizeof(files) / sizeof(*files); k++) {
            struct sosie_image image = decode(&files[k]);
            assert_int_equal(image.width, orientation < 5 ? 64 : 32);
            assert_int_equal(image.height, orientation < 5 ? 32 : 64);
            assert_quadrants(&image, upright[orientation - 1], 8);
            sosie_image_release(&image);
            free(files[k].bytes);
        }
        free(exif.bytes);
    }
    sosie_image_release(&picture);
}

static void every_pixel_goes_where_its_orientation_says(void **state)
{
    (void)state;
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        struct sosie_image from = picture_noise(5, 3, orientation);
        struct sosie_image to = picture_noise(5, 3, orientation);
        bool turns = orientation >= 5;
        struct sosie_error err;
        check_ok(sosie_image_orient(&to, orientation, &err), &err);
        assert_int_equal(to.width, turns ? 3 : 5);
        for (uint32_t y = 0; y < to.height; y++)
            for (uint32_t x = 0; x < to.width; x++) {
                /* how far along the file's rows and columns */
                uint32_t across = turns ? y : x, down = turns ? x : y;
                if (strchr("\2\3\7\10", (int)orientation))
                    across = 4 - across;
                if (strchr("\3\4\6\7", (int)orientation))
                    down = 2 - down;
                assert_near(pixel_at(&to, x, y), pixel_at(&from, across, down),
                            0);
            }
        sosie_image_release(&from);
        sosie_image_release(&to);
    }
}

static void exif_that_makes_no_sense_means_upright(void **state)
{
    struct file exif = exif_make(6, false);
    (void)state;
    assert_int_equal(sosie_exif_orientation(exif.bytes, exif.size), 6);
    for (size_t size = 0; size < exif.size; size++) {
        /* a copy of its own, so that a sanitizer sees a step over its end */
        uint8_t *copy = malloc(size + 1);
        unsigned found;
        assert_non_null(copy);
        copy = realloc(memcpy(copy, exif.bytes, size), size ? size : 1);
        found = sosie_exif_orientation(copy, size);
        assert_int_equal(found, size < 34 ? 1 : 6);
        free(copy);
    }
    for (size_t at = 0; at < exif.size; at++)
        for (unsigned value = 0; value < 256; value += 5) {
            uint8_t was = exif.bytes[at];
            unsigned found;
            exif.bytes[at] = (uint8_t)value;
            found = sosie_exif_orientation(exif.bytes, exif.size);
            assert_in_range(found, 1, 8);
            exif.bytes[at] = was;
        }
    memcpy(exif.bytes + 4, "\xff\xff\xff\xff", 4); /* far outside */
    assert_int_equal(sosie_exif_orientation(exif.bytes, exif.size), 1);
    free(exif.bytes);
    for (unsigned value = 0; value < 1000; value += 9) { /* 0, 9, 18, ... */
        exif = exif_make(value, true);
        assert_int_equal(sosie_exif_orientation(exif.bytes, exif.size), 1);
        free(exif.bytes);
    }
}

/* ---- limits -------------------------------------------------------------- */

static void a_file_is_weighed_before_it_is_read(void **state)
{
    struct sosie_image picture = picture_noise(8, 8, 8), image = {0};
    struct file file = png_make_rgb(&picture, NULL);
    struct sosie_decode_options options = options_default();
    struct sosie_error err;
    (void)state;
    options.limits.max_bytes = file.size - 1;
    check_fails(
        sosie_image_decode(file.bytes, file.size, &options, &image, &err),
        SOSIE_TOO_LARGE, &err, "bytes, at most");
    options.limits.max_bytes = file.size;
    image = decode_with(&file, &options);
    sosie_image_release(&image);
    check_fails(sosie_image_decode(file.bytes, 0, &options, &image, &err),
                SOSIE_BAD_INPUT, &err, "empty");
    sosie_image_release(&picture);
    free(file.bytes);
}

/* The headers are believed only as far as the limit goes, whatever follows. */
static void pictures_over_the_limit_are_refused_by_their_header(void **state)
{
    struct sosie_image picture = picture_noise(16, 16, 9);
    struct file file = jpeg_make(&picture, (struct jpeg_kind){0});
    size_t frame = file_find(&file, "\xff\xc0\0\x11\x08", 5);
    struct file chunk;
    (void)state;
    memcpy(file.bytes + frame + 5, "\x2e\xe0\x2e\xe0", 4);
    refuse(&file, SOSIE_REFUSED,
           "12000x12000 pixels, 144.0 megapixels; at most 40.0");
    free(file.bytes);

    file = png_make_rgb(&picture, NULL);
    memcpy(file.bytes + 16, "\0\0\x4e\x20\0\0\x4e\x20", 8);
    chunk = png_chunk("IHDR", file.bytes + 16, 13);
    memcpy(file.bytes + 8, chunk.bytes, chunk.size);
    refuse(&file, SOSIE_REFUSED, "20000x20000 pixels, 400.0 megapixels");
    free(chunk.bytes);
    memcpy(file.bytes + 16, "\0\1\0\0\0\0\0\1", 8);
    chunk = png_chunk("IHDR", file.bytes + 16, 13);
    memcpy(file.bytes + 8, chunk.bytes, chunk.size);
    refuse(&file, SOSIE_REFUSED, "65536x1 pixels; expected sides of 1 to");
    free(chunk.bytes);
    free(file.bytes);

    file = (struct file){0};
    webp_append_chunk(&file, "ANIM", &(struct file){(uint8_t[6]){0}, 6});
    webp_append_frame(&file, &picture, NULL, 0, 0);
    chunk = webp_extend(&file, 16000, 16000, 0x02);
    refuse(&chunk, SOSIE_REFUSED, "16000x16000 pixels, 256.0 megapixels");
    free(file.bytes);
    free(chunk.bytes);
    sosie_image_release(&picture);
}

static void the_limit_on_pixels_is_exact(void **state)
{
    struct sosie_image picture = picture_noise(16, 10, 10), image = {0};
    struct file files[] = {jpeg_make(&picture, (struct jpeg_kind){0}),
                           png_make_rgb(&picture, NULL),
                           webp_make(&picture, NULL)};
    struct sosie_decode_options options = options_default();
    struct sosie_error err;
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        options.limits.max_pixels = 159;
        check_fails(sosie_image_decode(files[k].bytes, files[k].size, &options,
                                       &image, &err),
                    SOSIE_REFUSED, &err, "16x10");
        options.limits.max_pixels = 160;
        image = decode_with(&files[k], &options);
        sosie_image_release(&image);
        free(files[k].bytes);
    }
    sosie_image_release(&picture);
}

/* ---- damage -------------------------------------------------------------- */

enum { N_FIXTURES = 9 };

/* One of each way through the decoders. */
static void make_fixtures(struct file files[N_FIXTURES])
{
    struct sosie_image picture = picture_quadrants(20, 14);
    struct file exif = exif_make(6, true), chunks = {0};
    uint8_t alpha[20 * 14];
    uint16_t indexes[20 * 14];
    static const struct spng_plte palette = {
        4, {{1, 2, 3, 0}, {4, 5, 6, 0}, {7, 8, 9, 0}, {10, 11, 12, 0}}};
    for (size_t i = 0; i < sizeof(alpha); i++) {
        alpha[i] = (uint8_t)(i * 7);
        indexes[i] = i / 5 % 4;
    }
    files[0] = jpeg_make(&picture, (struct jpeg_kind){.exif = &exif});
    files[1] = jpeg_make(&picture, (struct jpeg_kind){.progressive = true});
    files[2] = jpeg_make(
        &picture, (struct jpeg_kind){.space = JCS_YCCK, .restart_interval = 1});
    files[3] = png_make_rgb(&picture, &exif);
    files[4] = png_make(20, 14, indexes,
                        (struct png_kind){.colour = SPNG_COLOR_TYPE_INDEXED,
                                          .depth = 2,
                                          .palette = &palette,
                                          .interlaced = true});
    files[5] = webp_make(&picture, alpha);
    files[6] = webp_make_turned(&picture, &exif);
    webp_append_chunk(&chunks, "ANIM", &(struct file){alpha, 6});
    webp_append_frame(&chunks, &picture, NULL, 0, 0);
    webp_append_frame(&chunks, &picture, NULL, 0, 0);
    files[7] = webp_extend(&chunks, 20, 14, 0x02);
    files[8] = webp_make_lossy(&picture);
    free(exif.bytes);
    free(chunks.bytes);
    sosie_image_release(&picture);
}

/* Decodes a copy of exactly `size` bytes, so that a sanitizer sees any step
 * over its end; what comes out is looked at whole. */
static enum sosie_status try_decode(const uint8_t *bytes, size_t size)
{
    struct sosie_decode_options options = options_default();
    struct sosie_image image = {0};
    struct sosie_error err;
    uint8_t *copy = malloc(size ? size : 1);
    enum sosie_status st;
    uint64_t sum = 0;
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    st = sosie_image_decode(copy, size, &options, &image, &err);
    if (st)
        assert_true(err.text[0] && !image.rgb);
    else
        assert_true(image.width && image.height);
    for (size_t i = 0; !st && i < (size_t)image.width * image.height * 3; i++)
        sum += image.rgb[i];
    assert_true(sum <= UINT64_C(255) * 3 * 40000000);
    sosie_image_release(&image);
    free(copy);
    return st;
}

static void a_file_that_is_cut_off_anywhere_is_refused(void **state)
{
    struct file files[N_FIXTURES];
    (void)state;
    make_fixtures(files);
    for (size_t k = 0; k < N_FIXTURES; k++) {
        assert_int_equal(try_decode(files[k].bytes, files[k].size), SOSIE_OK);
        for (size_t size = 0; size < files[k].size; size++) {
            enum sosie_status st = try_decode(files[k].bytes, size);
            bool told = st == SOSIE_REFUSED;
            if (size < 12) /* the start says nothing of its kind */
                told |= st == (size ? SOSIE_UNSUPPORTED : SOSIE_BAD_INPUT);
            if (!told)
                fail_msg("file %zu cut to %zu of %zu bytes: %s", k, size,
                         files[k].size, sosie_status_word(st));
        }
        free(files[k].bytes);
    }
}

static void a_damaged_byte_is_survived_wherever_it_is(void **state)
{
    struct file files[N_FIXTURES];
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 11);
    make_fixtures(files);
    for (size_t k = 0; k < N_FIXTURES; k++) {
        for (size_t round = 0; round < 3; round++)
            for (size_t at = 0; at < files[k].size; at++) {
                uint8_t was = files[k].bytes[at];
                enum sosie_status st;
                files[k].bytes[at] =
                    (uint8_t)(was ^ (1 + sosie_random_below(&random, 255)));
                st = try_decode(files[k].bytes, files[k].size);
                assert_true(st == SOSIE_OK || st == SOSIE_REFUSED ||
                            st == SOSIE_UNSUPPORTED);
                files[k].bytes[at] = was;
            }
        free(files[k].bytes);
    }
}

/* ---- shrinking ----------------------------------------------------------- */

/* The wanted part keeps min_side, and is not much larger than need be. */
static void a_jpeg_shrinks_as_far_as_its_wanted_part_allows(void **state)
{
    struct sosie_image picture = picture_quadrants(330, 210);
    struct sosie_random random;
    (void)state;
    sosie_random_seed(&random, 12);
    for (unsigned i = 0; i < 120; i++) {
        struct file exif = exif_make(1 + i % 8, false);
        struct file file =
            jpeg_make(&picture, (struct jpeg_kind){.exif = &exif});
        struct sosie_crop crop = {0, 0, 1, 1};
        struct sosie_decode_options options = options_default();
        struct sosie_image full, image;
        uint32_t shorter, full_shorter;
        if (i % 3) {
            crop.w = 0.05 + 0.9 * sosie_random_unit(&random);
            crop.h = 0.05 + 0.9 * sosie_random_unit(&random);
            crop.x = (1 - crop.w) * sosie_random_unit(&random);
            crop.y = (1 - crop.h) * sosie_random_unit(&random);
            options.crop = &crop;
        }
        full = decode_with(&file, &options);
        options.min_side = 1 + (uint32_t)sosie_random_below(&random, 120);
        image = decode_with(&file, &options);
        shorter = image.width < image.height ? image.width : image.height;
        full_shorter = full.width < full.height ? full.width : full.height;
        assert_true(shorter >= options.min_side || shorter == full_shorter);
        assert_true(shorter <= 2 * options.min_side + 2 ||
                    shorter <= full_shorter / 8 + 2);
        if (!options.crop)
            assert_quadrants(&image, upright[i % 8], 10);
        sosie_image_release(&full);
        sosie_image_release(&image);
        free(file.bytes);
        free(exif.bytes);
    }
    sosie_image_release(&picture);
}

static void real_photos_look_the_same_when_shrunk_while_decoding(void **state)
{
    char folder[1024], path[1400];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;
    (void)state;
    check_shared(folder, "data/large");
    dir = opendir(folder);
    assert_non_null(dir);
    while (n < 5 && (entry = readdir(dir))) {
        static uint8_t fitted[2][224 * 224 * 3];
        unsigned char *bytes;
        size_t size, sum = 0;
        struct sosie_error err;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        check_ok(sosie_file_read(path, 10 << 20, &bytes, &size, &err), &err);
        for (uint32_t k = 0; k < 2; k++) {
            struct sosie_decode_options options = options_default();
            struct sosie_image image = {0};
            options.min_side = k * 224;
            check_ok(sosie_image_decode(bytes, size, &options, &image, &err),
                     &err);
            assert_true(k ? image.width < 600 : image.width >= 1000);
            check_ok(sosie_image_fit(&image, SOSIE_FIT_SQUASH, 224, 224,
                                     fitted[k], &err),
                     &err);
            sosie_image_release(&image);
        }
        for (size_t i = 0; i < sizeof(fitted[0]); i++)
            sum += (size_t)abs(fitted[0][i] - fitted[1][i]);
        assert_true((double)sum / sizeof(fitted[0]) < 1.5);
        free(bytes);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 5);
}

/* ---- crop ---------------------------------------------------------------- */

static void a_crop_is_cut_from_the_upright_photo(void **state)
{
    struct sosie_image picture = picture_quadrants(20, 12);
    (void)state;
    for (unsigned i = 0; i < 8 * N_QUADRANTS; i++) {
        unsigned orientation = i / N_QUADRANTS + 1, q = i % N_QUADRANTS;
        struct file exif = exif_make(orientation, false);
        struct file file = png_make_rgb(&picture, &exif);
        struct sosie_crop crop = {q % 2 * 0.5, q / 2 * 0.5, 0.5, 0.5};
        struct sosie_decode_options options = options_default();
        struct sosie_image image = {0};
        options.crop = &crop;
        image = decode_with(&file, &options);
        assert_int_equal(image.width, orientation < 5 ? 10 : 6);
        assert_int_equal(image.height, orientation < 5 ? 6 : 10);
        for (size_t p = 0; p < 60; p++)
            assert_near(image.rgb + p * 3,
                        quadrant_colours[upright[orientation - 1][q] - 'A'], 0);
        sosie_image_release(&image);
        free(exif.bytes);
        free(file.bytes);
    }
    sosie_image_release(&picture);
}

static void a_crop_has_at_least_a_pixel_and_stays_inside(void **state)
{
    static const struct {
        struct sosie_crop crop;
        uint32_t x, y, w, h; /* of 7 x 5 pixels */
    } cases[] = {
        {{0, 0, 1, 1}, 0, 0, 7, 5},
        {{0, 0, 1e-9, 1e-9}, 0, 0, 1, 1},
        {{1 - 1e-9, 1 - 1e-9, 1e-9, 1e-9}, 6, 4, 1, 1},
        {{0.5, 0.5, 0.5, 0.5}, 3, 2, 4, 3},
        {{1.0 / 7, 1.0 / 5, 2.0 / 7, 3.0 / 5}, 1, 1, 2, 3},
        {{0.2, 0.1, 0.8 + 1e-7, 0.9 + 1e-7}, 1, 0, 6, 5},
    };
    struct sosie_image picture = picture_noise(7, 5, 13);
    struct file file = png_make_rgb(&picture, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sosie_decode_options options = options_default();
        struct sosie_image image = {0};
        options.crop = &cases[i].crop;
        image = decode_with(&file, &options);
        assert_int_equal(image.width, cases[i].w);
        assert_int_equal(image.height, cases[i].h);
        for (uint32_t y = 0; y < image.height; y++)
            assert_memory_equal(pixel_at(&image, 0, y),
                                pixel_at(&picture, cases[i].x, cases[i].y + y),
                                (size_t)image.width * 3);
        sosie_image_release(&image);
    }
    sosie_image_release(&picture);
    free(file.bytes);
}

static void a_crop_that_is_none_is_refused(void **state)
{
    static const struct sosie_crop crops[] = {
        {-0.1, 0, 1, 1},     {0, -1e-3, 1, 1},     {0, 0, 0, 1},
        {0, 0, 1, 0},        {0, 0, -1, 1},        {0.5, 0, 0.6, 1},
        {0, 0.5, 1, 0.501},  {NAN, 0, 1, 1},       {0, NAN, 1, 1},
        {0, 0, NAN, 1},      {0, 0, 1, NAN},       {INFINITY, 0, 1, 1},
        {0, 0, INFINITY, 1}, {0, -INFINITY, 1, 1}, {0, 0, 1e300, 1}};
    struct sosie_image picture = picture_noise(7, 5, 13), image = {0};
    struct file file = png_make_rgb(&picture, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(crops) / sizeof(*crops); i++) {
        struct sosie_decode_options options = options_default();
        struct sosie_error err;
        options.crop = &crops[i];
        check_fails(
            sosie_image_decode(file.bytes, file.size, &options, &image, &err),
            SOSIE_BAD_INPUT, &err, "expected fractions");
    }
    sosie_image_release(&picture);
    free(file.bytes);
}

static void a_picture_survives_being_written_as_jpeg(void **state)
{
    struct sosie_image picture = {.width = 203, .height = 157}, none = {0};
    size_t n = (size_t)picture.width * picture.height * 3, sizes[2];
    struct sosie_error err;
    (void)state;
    picture.rgb = malloc(n);
    assert_non_null(picture.rgb);
    for (size_t i = 0; i < n; i++) /* smooth: JPEG keeps it */
        picture.rgb[i] = (uint8_t)(i / 3 % 203 + i % 3 * 10);
    for (size_t i = 0; i < 2; i++) {
        struct file file = {0};
        struct sosie_image back;
        double off = 0;
        check_ok(sosie_jpeg_encode(&picture, i ? 30 : 95, &file.bytes,
                                   &file.size, &err),
                 &err);
        back = decode(&file);
        assert_int_equal(back.width, picture.width);
        assert_int_equal(back.height, picture.height);
        for (size_t k = 0; k < n; k++)
            off += abs(back.rgb[k] - picture.rgb[k]);
        assert_true(off / (double)n < (i ? 6 : 2));
        sizes[i] = file.size;
        sosie_image_release(&back);
        free(file.bytes);
    }
    assert_true(sizes[1] < sizes[0]);
    check_fails(sosie_jpeg_encode(&none, 90, NULL, NULL, &err), SOSIE_BAD_INPUT,
                &err, "0x0");
    sosie_image_release(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_told_by_its_first_bytes),
        cmocka_unit_test(what_is_not_read_is_named),
        cmocka_unit_test(a_file_that_lies_about_its_kind_is_refused),
        cmocka_unit_test(jpegs_of_every_colour_space_become_rgb),
        cmocka_unit_test(a_grey_jpeg_becomes_grey_rgb),
        cmocka_unit_test(a_progressive_jpeg_may_have_so_many_scans),
        cmocka_unit_test(a_jpeg_that_ends_early_says_where),
        cmocka_unit_test(a_roundtrip_is_what_a_jpeg_file_would_keep),
        cmocka_unit_test(a_roundtrip_loses_more_at_a_lower_quality),
        cmocka_unit_test(a_roundtrip_of_too_wide_a_picture_is_refused),
        cmocka_unit_test(sloppy_but_whole_jpegs_are_read),
        cmocka_unit_test(grey_pngs_of_every_depth_are_stretched_to_8_bits),
        cmocka_unit_test(colour_pngs_become_8_bit_rgb),
        cmocka_unit_test(palette_pngs_of_every_depth_become_rgb),
        cmocka_unit_test(see_through_pngs_are_put_on_white),
        cmocka_unit_test(of_an_animated_png_the_default_image_is_taken),
        cmocka_unit_test(an_interlaced_png_is_read),
        cmocka_unit_test(png_metadata_is_bounded_and_checked),
        cmocka_unit_test(lossless_and_lossy_webps_are_read),
        cmocka_unit_test(a_see_through_webp_is_put_on_white),
        cmocka_unit_test(of_an_animated_webp_the_first_frame_is_taken),
        cmocka_unit_test(photos_are_put_upright),
        cmocka_unit_test(every_pixel_goes_where_its_orientation_says),
        cmocka_unit_test(exif_that_makes_no_sense_means_upright),
        cmocka_unit_test(a_file_is_weighed_before_it_is_read),
        cmocka_unit_test(pictures_over_the_limit_are_refused_by_their_header),
        cmocka_unit_test(the_limit_on_pixels_is_exact),
        cmocka_unit_test(a_file_that_is_cut_off_anywhere_is_refused),
        cmocka_unit_test(a_damaged_byte_is_survived_wherever_it_is),
        cmocka_unit_test(a_jpeg_shrinks_as_far_as_its_wanted_part_allows),
        cmocka_unit_test(real_photos_look_the_same_when_shrunk_while_decoding),
        cmocka_unit_test(a_crop_is_cut_from_the_upright_photo),
        cmocka_unit_test(a_crop_has_at_least_a_pixel_and_stays_inside),
        cmocka_unit_test(a_crop_that_is_none_is_refused),
        cmocka_unit_test(a_picture_survives_being_written_as_jpeg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
