/* sheet.c: photos side by side, as a PNG. */
#include "sheet.h"

#include "photo.h"
#include "picture.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 3, MAX_SIDE = 32767 /* of a picture of cairo's */ };

/* The photo at half its size: drawn twice as large, small ones are cleaner. */
static void paste(const uint8_t *rgb, const struct canvas *photo, int x0,
                  int y0, unsigned char *to, int stride)
{
    int row = 3 * photo->width;
    for (int y = 0; y < photo->height / 2; y++)
        for (int x = 0; x < photo->width / 2; x++) {
            unsigned char *pixel = to + (y0 + y) * stride + 4 * (x0 + x);
            const uint8_t *from = rgb + 2 * y * row + 6 * x;
            for (int c = 0; c < 3; c++)
                pixel[2 - c] =
                    (unsigned char)((from[c] + from[c + 3] + from[c + row] +
                                     from[c + row + 3] + 2) /
                                    4);
        }
}

/* The n-th item of the sheet: its class may be the only one that is wanted. */
static struct item pick(const struct sheet *sheet, size_t n)
{
    size_t design = n / sheet->colours, variant = n % sheet->colours;
    if (sheet->only < class_count())
        design = design * class_count() + sheet->only;
    return item_at(sheet->seed, sheet->colours,
                   design * sheet->colours + variant);
}

static void fill(const struct sheet *sheet, struct canvas *canvas, uint8_t *rgb,
                 cairo_surface_t *picture)
{
    unsigned char *pixels = cairo_image_surface_get_data(picture);
    int stride = cairo_image_surface_get_stride(picture);
    int columns = (int)sheet->columns;
    struct photo_box box;
    memset(pixels, 255,
           (size_t)stride * (size_t)cairo_image_surface_get_height(picture));
    for (int i = 0; i < (int)sheet->items; i++) {
        struct item item = pick(sheet, (size_t)i);
        photo_take(canvas, &item, rgb, &box);
        paste(rgb, canvas, GAP + i % columns * (canvas->width / 2 + GAP),
              GAP + i / columns * (canvas->height / 2 + GAP), pixels, stride);
    }
    cairo_surface_mark_dirty(picture);
}

static enum sosie_status draw(const struct sheet *sheet, int width, int height,
                              struct sosie_error *err)
{
    cairo_surface_t *picture =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    int photo_width = 2 * sheet->width;
    int photo_height = 2 * (sheet->width * 6 / 5);
    uint8_t *rgb = malloc((size_t)photo_width * (size_t)photo_height * 3);
    struct canvas canvas = {0};
    enum sosie_status st = canvas_init(&canvas, photo_width, photo_height, err);
    if (!st && (!rgb || cairo_surface_status(picture)))
        st = sosie_fail(err, SOSIE_NO_MEMORY, "contact sheet");
    if (!st) {
        fill(sheet, &canvas, rgb, picture);
        st = picture_save_png(sheet->path, picture, err);
    }
    canvas_release(&canvas);
    cairo_surface_destroy(picture);
    free(rgb);
    return st;
}

enum sosie_status sheet_draw(const struct sheet *sheet, struct sosie_error *err)
{
    int columns = (int)sheet->columns;
    int rows = ((int)sheet->items + columns - 1) / columns;
    int width = GAP + columns * (sheet->width + GAP);
    int height = GAP + rows * (sheet->width * 6 / 5 + GAP);
    if (width > MAX_SIDE || height > MAX_SIDE)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "a sheet of %dx%d pixels; a side has at most %d",
                          width, height, MAX_SIDE);
    return draw(sheet, width, height, err);
}
