/* photo.c: measure, place, draw, put together. */
#include "photo.h"

#include "backdrop.h"

#include <math.h>
#include <string.h>

static void draw_from_start(struct canvas *canvas, const struct item *item,
                            const struct garment *garment)
{
    sosie_random_seed(&canvas->design, item->design.seed + 17);
    sosie_random_seed(&canvas->photo, item->photo_seed + 17);
    class_draw(item->design.class)(canvas, garment);
}

static struct extent measured(struct canvas *canvas, const struct item *item,
                              const struct garment *garment)
{
    cairo_matrix_t units;
    cairo_matrix_init_identity(&units);
    canvas_place(canvas, &units);
    canvas->extent = (struct extent){1e9, 1e9, -1e9, -1e9};
    canvas->measuring = true;
    draw_from_start(canvas, item, garment);
    canvas->measuring = false;
    return canvas->extent;
}

/* The garment in the middle, as large as it may be, then a little off. */
static void aim(const struct canvas *canvas, const struct item *item,
                struct extent e, cairo_matrix_t *matrix)
{
    struct sosie_random hand;
    double turn, zoom, unit, w = canvas->width, h = canvas->height;
    bool hung = item->design.hung;
    sosie_random_seed(&hand, item->photo_seed + 29);
    turn = sosie_random_normal(&hand) * (hung ? 0.006 : 0.025);
    zoom = 0.8 + 0.09 * sosie_random_unit(&hand);
    unit = zoom * fmin(w / (e.right - e.left), h / (e.bottom - e.top));
    cairo_matrix_init_translate(
        matrix, w * (0.5 + 0.015 * (2 * sosie_random_unit(&hand) - 1)),
        h * (0.5 + 0.015 * (2 * sosie_random_unit(&hand) - 1)));
    cairo_matrix_rotate(matrix, turn);
    cairo_matrix_scale(matrix, unit, unit);
    cairo_matrix_translate(matrix, -(e.left + e.right) / 2,
                           -(e.top + e.bottom) / 2);
}

/* ---- putting together ---------------------------------------------------- */

/* Takes the layer's alpha into canvas->mask, whose work is done. */
static void alpha_to_mask(struct canvas *canvas)
{
    cairo_surface_flush(canvas->mask_surface);
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++)
            canvas->mask[y * canvas->mask_stride + x] =
                canvas->layer[y * canvas->layer_stride + 4 * x + 3];
}

struct shadow {
    double radius, right, down, strength; /* of the width, but for the last */
};

static void cast(struct canvas *canvas, struct shadow s, uint8_t *rgb)
{
    int w = canvas->width, h = canvas->height;
    int right = (int)lround(s.right * w), down = (int)lround(s.down * w);
    int radius = (int)lround(s.radius * w);
    canvas_blur(canvas, canvas->mask, canvas->mask_stride,
                (struct box){0, 0, w, h}, radius < 1 ? 1 : radius);
    for (int y = down; y < h; y++)
        for (int x = right; x < w; x++) {
            float dark = canvas->relief[(y - down) * w + x - right];
            uint8_t *to = rgb + 3 * (y * w + x);
            unsigned keep = (unsigned)(256 * (1 - dark * (float)s.strength));
            to[0] = (uint8_t)(to[0] * (keep > 250 ? keep : keep - 2) >> 8);
            to[1] = (uint8_t)(to[1] * keep >> 8);
            to[2] = (uint8_t)(to[2] * (keep + (256 - keep) / 10) >> 8);
        }
}

/* The layer over the background, in a light that may be warm or cool. */
static void lay(const struct canvas *canvas, double warmth, uint8_t *rgb)
{
    unsigned red = (unsigned)(256 * (1 + warmth));
    unsigned blue = (unsigned)(256 * (1 - warmth));
    for (int y = 0; y < canvas->height; y++) {
        const unsigned char *from = canvas->layer + y * canvas->layer_stride;
        for (int x = 0; x < canvas->width; x++, rgb += 3, from += 4) {
            unsigned keep = 255 - from[3];
            unsigned r = (from[2] + rgb[0] * keep / 255) * red >> 8;
            unsigned g = from[1] + rgb[1] * keep / 255;
            unsigned b = (from[0] + rgb[2] * keep / 255) * blue >> 8;
            rgb[0] = (uint8_t)(r > 255 ? 255 : r);
            rgb[1] = (uint8_t)(g > 255 ? 255 : g);
            rgb[2] = (uint8_t)(b > 255 ? 255 : b);
        }
    }
}

static void develop(struct canvas *canvas, const struct item *item,
                    uint8_t *rgb)
{
    struct sosie_random light;
    bool hung = item->design.hung;
    double soft;
    sosie_random_seed(&light, item->photo_seed + 41);
    soft = sosie_random_unit(&light);
    backdrop_fill(&light, hung, canvas->width, canvas->height, rgb);
    alpha_to_mask(canvas);
    cast(canvas,
         hung ? (struct shadow){0.03 + 0.02 * soft, 0.03, 0.04, 0.3}
              : (struct shadow){0.022 + 0.02 * soft, 0.014, 0.022, 0.36},
         rgb);
    cast(canvas, (struct shadow){0.006, 0.004, 0.006, hung ? 0.12 : 0.3}, rgb);
    lay(canvas, 0.014 * sosie_random_normal(&light) + 0.006, rgb);
}

static struct photo_box box_of(const struct canvas *canvas)
{
    int w = canvas->width, h = canvas->height;
    int left = w, top = h, right = 0, bottom = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            if (canvas->worn[y * w + x] < 128)
                continue;
            left = x < left ? x : left;
            right = x >= right ? x + 1 : right;
            top = y < top ? y : top;
            bottom = y + 1;
        }
    return (struct photo_box){(double)left / w, (double)top / h,
                              (double)(right - left) / w,
                              (double)(bottom - top) / h};
}

void photo_take(struct canvas *canvas, const struct item *item, uint8_t *rgb,
                struct photo_box *box)
{
    struct garment garment = garment_cut(item);
    struct extent extent = measured(canvas, item, &garment);
    cairo_matrix_t matrix;
    aim(canvas, item, extent, &matrix);
    canvas_clear(canvas);
    canvas_place(canvas, &matrix);
    draw_from_start(canvas, item, &garment);
    cairo_surface_flush(canvas->layer_surface);
    develop(canvas, item, rgb);
    *box = box_of(canvas);
}
