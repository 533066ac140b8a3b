/* print.c: as flat as ink on cotton: no edge catches the light. */
#include "print.h"

#include "shape.h"

#include <math.h>

static struct cloth ink_of(const struct fabric *fabric)
{
    return (struct cloth){.fabric = fabric, .puff = 0.03};
}

/* A sun that goes down behind lines. */
static void sun(struct canvas *canvas, const struct fabric *colour, double y,
                double r)
{
    static const double slices[][2] = {
        {-1, -0.05}, {0.03, 0.26}, {0.34, 0.52}, {0.6, 0.74}, {0.82, 0.92}};
    enum { STEPS = 12 };
    struct cloth cloth = ink_of(colour);
    for (size_t s = 0; s < sizeof(slices) / sizeof(*slices); s++) {
        double from = slices[s][0], to = slices[s][1];
        for (int i = 0; i <= 2 * STEPS + 1; i++) {
            bool right = i <= STEPS;
            double t = right ? from + (to - from) * i / (double)STEPS
                             : to - (to - from) * (double)(i - STEPS - 1) /
                                        (double)STEPS;
            double x = sqrt(1 - t * t) * (right ? r : -r);
            cairo_line_to(canvas->pen, x, y + t * r);
        }
        cairo_close_path(canvas->pen);
    }
    canvas_cloth(canvas, &cloth);
}

static void hills(struct canvas *canvas, const struct fabric *near,
                  const struct fabric *far, double y, double r)
{
    const struct knot back[] = {{-r * 0.9, y + r * 0.7, true},
                                {-r * 0.15, y - r * 0.75, true},
                                {r * 0.25, y - r * 0.1, true},
                                {r * 0.75, y + r * 0.7, true}};
    const struct knot front[] = {{-r * 0.35, y + r * 0.7, true},
                                 {r * 0.38, y - r * 0.28, true},
                                 {r * 1.1, y + r * 0.7, true}};
    struct cloth cloth = ink_of(far);
    shape_closed(canvas->pen, KNOTS(back));
    canvas_cloth(canvas, &cloth);
    cairo_arc(canvas->pen, r * 0.62, y - r * 0.68, r * 0.2, 0, 2 * M_PI);
    canvas_cloth(canvas, &cloth);
    cloth = ink_of(near);
    shape_closed(canvas->pen, KNOTS(front));
    canvas_cloth(canvas, &cloth);
}

static void arcs(struct canvas *canvas, const struct fabric *colours, double y,
                 double r)
{
    for (int i = 0; i < 3; i++) {
        struct cloth cloth = ink_of(&colours[i % 2]);
        cloth.stroke = r * 0.17;
        cairo_arc(canvas->pen, 0, y + r * 0.5, r * (0.92 - 0.29 * i), M_PI, 0);
        canvas_cloth(canvas, &cloth);
    }
}

static void waves(struct canvas *canvas, const struct fabric *colours, double y,
                  double r)
{
    for (int i = 0; i < 4; i++) {
        double at = y + r * (0.36 * i - 0.5);
        struct cloth cloth = ink_of(&colours[i % 2]);
        cloth.stroke = r * 0.12;
        cairo_move_to(canvas->pen, -r, at);
        for (int j = 0; j < 3; j++) {
            double x = r * (2.0 * j / 3 - 1), w = r * 2 / 3;
            cairo_curve_to(canvas->pen, x + w * 0.3, at - r * 0.32, x + w * 0.7,
                           at + r * 0.32, x + w, at);
        }
        canvas_cloth(canvas, &cloth);
    }
}

void print_draw(struct canvas *canvas, const struct garment *garment, double y,
                double size)
{
    const struct fabric colours[2] = {
        fabric_dyed(&garment->main, garment->main.second),
        fabric_dyed(&garment->main, garment->main.third)};
    double r = size / 2;
    switch (garment->design->print) {
    case PRINT_SUN:
        sun(canvas, &colours[0], y, r * 0.86);
        return;
    case PRINT_HILLS:
        hills(canvas, &colours[0], &colours[1], y, r);
        return;
    case PRINT_ARCS:
        arcs(canvas, colours, y, r);
        return;
    case PRINT_WAVES:
        waves(canvas, colours, y, r);
        return;
    case PRINT_NONE:
    case N_PRINTS:
        break;
    }
}
