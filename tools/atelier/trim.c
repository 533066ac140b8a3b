/* trim.c: ink on cloth. */
#include "trim.h"

#include <math.h>

static void set_ink(cairo_t *ink, struct rgb c, double alpha)
{
    cairo_set_operator(ink, CAIRO_OPERATOR_ATOP);
    cairo_set_source_rgba(ink, (double)c.r, (double)c.g, (double)c.b, alpha);
}

static const struct rgb black = {0.04f, 0.04f, 0.06f};
static const struct rgb white = {1, 1, 1};

struct rgb trim_thread(const struct garment *garment)
{
    return rgb_mix(garment->main.base, garment->dark ? white : black, 0.24f);
}

void trim_seam(struct canvas *canvas, const struct garment *garment,
               const struct knot *knots, size_t n)
{
    cairo_t *ink = canvas->ink;
    if (canvas->measuring)
        return;
    cairo_save(ink);
    cairo_translate(ink, 0.28, 0.28);
    shape_open(ink, knots, n);
    cairo_restore(ink);
    set_ink(ink, white, garment->dark ? 0.12 : 0.3);
    cairo_set_line_width(ink, 0.4);
    cairo_stroke(ink);
    shape_open(ink, knots, n);
    set_ink(ink, black, garment->dark ? 0.5 : 0.3);
    cairo_set_line_width(ink, 0.34);
    cairo_stroke(ink);
}

void trim_stitches(struct canvas *canvas, struct rgb thread,
                   const struct knot *knots, size_t n)
{
    static const double dashes[] = {0.75, 0.6};
    cairo_t *ink = canvas->ink;
    if (canvas->measuring)
        return;
    shape_open(ink, knots, n);
    set_ink(ink, thread, 0.7);
    cairo_set_line_width(ink, 0.27);
    cairo_set_line_cap(ink, CAIRO_LINE_CAP_BUTT);
    cairo_set_dash(ink, dashes, 2, 0);
    cairo_stroke(ink);
    cairo_set_dash(ink, NULL, 0, 0);
    cairo_set_line_cap(ink, CAIRO_LINE_CAP_ROUND);
}

/* A disc, lit from the upper left, with its shadow. */
static void disc(cairo_t *ink, struct rgb c, double x, double y, double r)
{
    struct rgb light = rgb_mix(c, white, 0.4f), dark = rgb_mix(c, black, 0.4f);
    cairo_pattern_t *shade = cairo_pattern_create_radial(
        x - r * 0.4, y - r * 0.4, r * 0.1, x, y, r * 1.05);
    cairo_arc(ink, x + r * 0.25, y + r * 0.35, r * 1.05, 0, 2 * M_PI);
    set_ink(ink, black, 0.35);
    cairo_fill(ink);
    cairo_pattern_add_color_stop_rgb(shade, 0, (double)light.r, (double)light.g,
                                     (double)light.b);
    cairo_pattern_add_color_stop_rgb(shade, 0.6, (double)c.r, (double)c.g,
                                     (double)c.b);
    cairo_pattern_add_color_stop_rgb(shade, 1, (double)dark.r, (double)dark.g,
                                     (double)dark.b);
    cairo_set_source(ink, shade);
    cairo_pattern_destroy(shade);
    cairo_arc(ink, x, y, r, 0, 2 * M_PI);
    cairo_fill(ink);
}

void trim_button(struct canvas *canvas, const struct garment *garment, double x,
                 double y, double radius)
{
    cairo_t *ink = canvas->ink;
    if (canvas->measuring)
        return;
    disc(ink, garment->button, x, y, radius);
    set_ink(ink, rgb_lightness(garment->button) < 0.4f ? white : black, 0.5);
    for (int i = 0; i < 4; i++) {
        cairo_arc(ink, x + (i & 1 ? 1 : -1) * radius * 0.28,
                  y + (i & 2 ? 1 : -1) * radius * 0.28, radius * 0.13, 0,
                  2 * M_PI);
        cairo_fill(ink);
    }
}

void trim_buttons(struct canvas *canvas, const struct garment *garment,
                  double x, double y0, double y1, double radius, int n)
{
    for (int i = 0; i < n; i++)
        trim_button(canvas, garment, x,
                    y0 + (y1 - y0) * i / (n > 1 ? n - 1 : 1), radius);
}

void trim_stud(struct canvas *canvas, struct rgb metal, double x, double y,
               double radius)
{
    if (!canvas->measuring)
        disc(canvas->ink, metal, x, y, radius);
}

void trim_zip(struct canvas *canvas, const struct garment *garment, double x0,
              double y0, double x1, double y1)
{
    static const double teeth[] = {0.5, 0.45};
    cairo_t *ink = canvas->ink;
    double length = hypot(x1 - x0, y1 - y0);
    if (canvas->measuring || length < 1)
        return;
    cairo_set_line_cap(ink, CAIRO_LINE_CAP_BUTT);
    for (int pass = 0; pass < 3; pass++) {
        cairo_move_to(ink, x0, y0);
        cairo_line_to(ink, x1, y1);
        if (pass == 0) /* the tape */
            set_ink(ink, black, 0.38);
        else
            set_ink(ink, pass == 1 ? black : garment->metal,
                    pass == 1 ? 0.4 : 0.95);
        cairo_set_line_width(ink, pass == 0 ? 2.1 : pass == 1 ? 1.2 : 0.95);
        cairo_set_dash(ink, teeth, pass == 2 ? 2 : 0, 0);
        cairo_stroke(ink);
    }
    cairo_set_dash(ink, NULL, 0, 0);
    cairo_set_line_cap(ink, CAIRO_LINE_CAP_ROUND);
    disc(ink, garment->metal, x0, y0 + 0.9, 0.9);
    cairo_move_to(ink, x0, y0 + 1.4);
    cairo_line_to(ink, x0, y0 + 3.4);
    set_ink(ink, garment->metal, 1);
    cairo_set_line_width(ink, 0.8);
    cairo_stroke(ink);
}

void trim_patch(struct canvas *canvas, const struct garment *garment, double x,
                double y, double width, double height, double flap)
{
    double w = width / 2;
    const struct knot bag[] = {
        {x + w, y, true},      {x + w, y + height * 0.8, true},
        {x, y + height, true}, {x - w, y + height * 0.8, true},
        {x - w, y, true},
    };
    const struct knot sewn[] = {
        {x + w - 0.7, y + 0.5, true}, {x + w - 0.7, y + height * 0.77, true},
        {x, y + height - 0.9, true},  {x - w + 0.7, y + height * 0.77, true},
        {x - w + 0.7, y + 0.5, true},
    };
    struct cloth cloth = {
        .fabric = &garment->main, .x = 0, .puff = 0.25, .shadow = 0.22};
    shape_closed(canvas->pen, KNOTS(bag));
    canvas_cloth(canvas, &cloth);
    trim_stitches(canvas, trim_thread(garment), KNOTS(sewn));
    if (flap > 0) {
        const struct knot lid[] = {
            {x + w + 0.3, y - 0.6, true}, {x + w + 0.3, y + flap * 0.7, true},
            {x, y + flap, true},          {x - w - 0.3, y + flap * 0.7, true},
            {x - w - 0.3, y - 0.6, true},
        };
        shape_closed(canvas->pen, KNOTS(lid));
        canvas_cloth(canvas, &cloth);
        trim_button(canvas, garment, x, y + flap * 0.62, 0.8);
    }
}

void trim_slit(struct canvas *canvas, const struct garment *garment, double x0,
               double y0, double x1, double y1)
{
    cairo_t *ink = canvas->ink;
    if (canvas->measuring)
        return;
    cairo_move_to(ink, x0 + 0.3, y0 + 0.4);
    cairo_line_to(ink, x1 + 0.3, y1 + 0.4);
    set_ink(ink, white, garment->dark ? 0.14 : 0.35);
    cairo_set_line_width(ink, 0.7);
    cairo_stroke(ink);
    cairo_move_to(ink, x0, y0);
    cairo_line_to(ink, x1, y1);
    set_ink(ink, black, garment->dark ? 0.6 : 0.45);
    cairo_set_line_width(ink, 0.55);
    cairo_stroke(ink);
}

void trim_label(struct canvas *canvas, double x, double y, double width,
                double height)
{
    cairo_t *ink = canvas->ink;
    if (canvas->measuring)
        return;
    cairo_rectangle(ink, x - width / 2, y - height / 2, width, height);
    set_ink(ink, (struct rgb){0.93f, 0.92f, 0.89f}, 0.95);
    cairo_fill(ink);
    set_ink(ink, black, 0.55);
    cairo_rectangle(ink, x - width * 0.32, y - 0.25, width * 0.64, 0.45);
    cairo_fill(ink);
}
