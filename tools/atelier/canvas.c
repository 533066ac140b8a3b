/* canvas.c: memory, measuring, and the small things; light.c lights cloth. */
#include "canvas.h"

#include "light.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum sosie_status canvas_init(struct canvas *canvas, int width, int height,
                              struct sosie_error *err)
{
    size_t n = (size_t)width * (size_t)height;
    struct canvas c = {.width = width, .height = height};
    c.mask_surface = cairo_image_surface_create(CAIRO_FORMAT_A8, width, height);
    c.layer_surface =
        cairo_image_surface_create(CAIRO_FORMAT_ARGB32, width, height);
    c.pen = cairo_create(c.mask_surface);
    c.ink = cairo_create(c.layer_surface);
    c.worn = malloc(n);
    c.relief = malloc(n * sizeof(*c.relief));
    c.scratch = malloc(n * sizeof(*c.scratch));
    if (cairo_status(c.pen) || cairo_status(c.ink) || !c.worn || !c.relief ||
        !c.scratch) {
        canvas_release(&c);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a canvas of %dx%d pixels",
                          width, height);
    }
    c.mask = cairo_image_surface_get_data(c.mask_surface);
    c.layer = cairo_image_surface_get_data(c.layer_surface);
    c.mask_stride = cairo_image_surface_get_stride(c.mask_surface);
    c.layer_stride = cairo_image_surface_get_stride(c.layer_surface);
    cairo_set_line_cap(c.ink, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_join(c.ink, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(c.pen, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_join(c.pen, CAIRO_LINE_JOIN_ROUND);
    *canvas = c;
    canvas_clear(canvas);
    return SOSIE_OK;
}

void canvas_release(struct canvas *canvas)
{
    if (canvas->pen)
        cairo_destroy(canvas->pen);
    if (canvas->ink)
        cairo_destroy(canvas->ink);
    if (canvas->mask_surface)
        cairo_surface_destroy(canvas->mask_surface);
    if (canvas->layer_surface)
        cairo_surface_destroy(canvas->layer_surface);
    free(canvas->worn);
    free(canvas->relief);
    free(canvas->scratch);
    *canvas = (struct canvas){0};
}

void canvas_clear(struct canvas *canvas)
{
    size_t rows = (size_t)canvas->height;
    cairo_surface_flush(canvas->mask_surface);
    cairo_surface_flush(canvas->layer_surface);
    memset(canvas->mask, 0, rows * (size_t)canvas->mask_stride);
    memset(canvas->layer, 0, rows * (size_t)canvas->layer_stride);
    memset(canvas->worn, 0, rows * (size_t)canvas->width);
    cairo_surface_mark_dirty(canvas->mask_surface);
    cairo_surface_mark_dirty(canvas->layer_surface);
    canvas->n_folds = 0;
}

void canvas_place(struct canvas *canvas, const cairo_matrix_t *matrix)
{
    cairo_set_matrix(canvas->pen, matrix);
    cairo_set_matrix(canvas->ink, matrix);
    canvas->unit = hypot(matrix->xx, matrix->yx);
}

void canvas_fold(struct canvas *canvas, double x0, double y0, double x1,
                 double y1, double bend, double width, double height)
{
    if (canvas->n_folds < MAX_FOLDS)
        canvas->folds[canvas->n_folds++] =
            (struct fold){x0, y0, x1, y1, bend, width, height};
}

double design_between(struct canvas *canvas, double low, double high)
{
    return low + (high - low) * sosie_random_unit(&canvas->design);
}

double photo_between(struct canvas *canvas, double low, double high)
{
    return low + (high - low) * sosie_random_unit(&canvas->photo);
}

void canvas_enter(struct canvas *canvas, double x, double y, double turn,
                  bool flip)
{
    for (int i = 0; i < 2; i++) {
        cairo_t *to = i ? canvas->ink : canvas->pen;
        cairo_save(to);
        cairo_translate(to, x, y);
        cairo_rotate(to, turn);
        cairo_scale(to, flip ? -1 : 1, 1);
    }
}

void canvas_leave(struct canvas *canvas)
{
    cairo_restore(canvas->pen);
    cairo_restore(canvas->ink);
}

/* Of the outline, in pixels. */
static struct extent outline_extent(const struct canvas *canvas,
                                    const struct cloth *cloth)
{
    struct extent e = {1e9, 1e9, -1e9, -1e9};
    double x[2], y[2];
    if (cloth->stroke > 0)
        cairo_stroke_extents(canvas->pen, &x[0], &y[0], &x[1], &y[1]);
    else
        cairo_fill_extents(canvas->pen, &x[0], &y[0], &x[1], &y[1]);
    for (int i = 0; i < 4; i++) {
        double px = x[i & 1], py = y[i >> 1];
        cairo_user_to_device(canvas->pen, &px, &py);
        e.left = fmin(e.left, px);
        e.top = fmin(e.top, py);
        e.right = fmax(e.right, px);
        e.bottom = fmax(e.bottom, py);
    }
    return e;
}

static void measure(struct canvas *canvas, const struct cloth *cloth)
{
    struct extent *all = &canvas->extent, e;
    cairo_set_line_width(canvas->pen, cloth->stroke);
    e = outline_extent(canvas, cloth);
    all->left = fmin(all->left, e.left);
    all->top = fmin(all->top, e.top);
    all->right = fmax(all->right, e.right);
    all->bottom = fmax(all->bottom, e.bottom);
}

/* The pixels that the outline may touch, with `margin` more on each side. */
static struct box box_of_outline(const struct canvas *canvas,
                                 const struct cloth *cloth, int margin)
{
    struct extent e = outline_extent(canvas, cloth);
    struct box box = {(int)floor(e.left), (int)floor(e.top), (int)ceil(e.right),
                      (int)ceil(e.bottom)};
    box.x0 = box.x0 > margin ? box.x0 - margin : 0;
    box.y0 = box.y0 > margin ? box.y0 - margin : 0;
    box.x1 = (int)fmin(canvas->width, box.x1 + margin);
    box.y1 = (int)fmin(canvas->height, box.y1 + margin);
    return box;
}

static void clear_mask(struct canvas *canvas, struct box box)
{
    cairo_surface_flush(canvas->mask_surface);
    for (int y = box.y0; y < box.y1; y++)
        memset(canvas->mask + y * canvas->mask_stride + box.x0, 0,
               (size_t)(box.x1 - box.x0));
    cairo_surface_mark_dirty(canvas->mask_surface);
}

void canvas_cloth(struct canvas *canvas, const struct cloth *cloth)
{
    struct box box;
    if (canvas->measuring) {
        measure(canvas, cloth);
        cairo_new_path(canvas->pen);
        canvas->n_folds = 0;
        return;
    }
    cairo_set_line_width(canvas->pen, cloth->stroke);
    box = box_of_outline(canvas, cloth, light_margin(canvas));
    if (box.x0 < box.x1 && box.y0 < box.y1) {
        cairo_set_source_rgba(canvas->pen, 0, 0, 0, 1);
        if (cloth->stroke > 0)
            cairo_stroke(canvas->pen);
        else
            cairo_fill(canvas->pen);
        cairo_surface_flush(canvas->mask_surface);
        cairo_surface_flush(canvas->layer_surface);
        light_cloth(canvas, cloth, box);
        cairo_surface_mark_dirty(canvas->layer_surface);
        clear_mask(canvas, box);
    }
    cairo_new_path(canvas->pen);
    canvas->n_folds = 0;
}
