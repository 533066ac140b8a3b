/* sheet.c: photos side by side, as a PNG. */
#include "sheet.h"

#include "photo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 3 };

static void paste(const uint8_t *rgb, const struct canvas *photo, int x0,
                  int y0, unsigned char *to, int stride)
{
    for (int y = 0; y < photo->height; y++)
        for (int x = 0; x < photo->width; x++, rgb += 3) {
            unsigned char *pixel = to + (y0 + y) * stride + 4 * (x0 + x);
            pixel[0] = rgb[2];
            pixel[1] = rgb[1];
            pixel[2] = rgb[0];
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
        paste(rgb, canvas, GAP + i % columns * (canvas->width + GAP),
              GAP + i / columns * (canvas->height + GAP), pixels, stride);
    }
    cairo_surface_mark_dirty(picture);
}

enum sosie_status sheet_draw(const struct sheet *sheet, struct sosie_error *err)
{
    int height = sheet->width * 6 / 5, columns = (int)sheet->columns;
    int rows = ((int)sheet->items + columns - 1) / columns;
    cairo_surface_t *picture = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, GAP + columns * (sheet->width + GAP),
        GAP + rows * (height + GAP));
    uint8_t *rgb = malloc((size_t)sheet->width * (size_t)height * 3);
    struct canvas canvas = {0};
    enum sosie_status st = canvas_init(&canvas, sheet->width, height, err);
    if (!st && (!rgb || cairo_surface_status(picture)))
        st = sosie_fail(err, SOSIE_NO_MEMORY, "contact sheet");
    if (!st) {
        fill(sheet, &canvas, rgb, picture);
        if (cairo_surface_write_to_png(picture, sheet->path))
            st = sosie_fail_errno(err, SOSIE_IO, "%s", sheet->path);
    }
    canvas_release(&canvas);
    cairo_surface_destroy(picture);
    free(rgb);
    return st;
}
