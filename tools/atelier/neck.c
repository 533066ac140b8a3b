/* neck.c: bands, collars, lapels, hoods. */
#include "neck.h"

#include "trim.h"

#include <math.h>

/* ---- bands --------------------------------------------------------------- */

void neck_band_back(struct canvas *canvas, const struct garment *garment,
                    const struct top *t, double width)
{
    const struct knot line[] = {
        {-t->neck + 0.2, 0.1, true},
        {-t->neck * 0.55, 1.4, false},
        {0, 1.9, false},
        {t->neck * 0.55, 1.4, false},
        {t->neck - 0.2, 0.1, true},
    };
    struct cloth cloth = {.fabric = &garment->trim,
                          .puff = 0.5,
                          .tone = -0.12,
                          .shadow = 0.2,
                          .stroke = width};
    shape_open(canvas->pen, KNOTS(line));
    canvas_cloth(canvas, &cloth);
}

void neck_band_front(struct canvas *canvas, const struct top *t, double width,
                     const struct fabric *fabric)
{
    struct knot half[4], line[8];
    size_t m = top_neckline(t, half), n = 0;
    struct cloth cloth = {
        .fabric = fabric, .puff = 0.5, .shadow = 0.25, .stroke = width};
    for (size_t i = m; i-- > 1;) {
        line[n] = half[i];
        line[n++].x *= -1;
    }
    for (size_t i = 0; i < m; i++)
        line[n++] = half[i];
    shape_open(canvas->pen, line, n);
    canvas_cloth(canvas, &cloth);
}

void neck_roll(struct canvas *canvas, const struct garment *garment,
               const struct top *t, double height)
{
    double w = t->neck * 1.02, top = -height;
    const struct knot tube[] = {
        {0, top - 0.4, false},
        {w * 0.88, top, true},
        {w, top * 0.4, false},
        {w * 1.06, 1.2, true},
        {w * 0.6, t->depth * 0.62, false},
        {0, t->depth * 0.85, false},
    };
    const struct knot over[] = {
        {0, top - 0.9, false},        {w * 0.9, top - 0.4, false},
        {w * 1.03, top * 0.5, false}, {w * 0.98, 0, true},
        {w * 0.5, 1.6, false},        {0, 2.2, false},
    };
    struct cloth cloth = {.fabric = &garment->rib, .puff = 0.8, .shadow = 0.3};
    shape_mirrored(canvas->pen, 0, KNOTS(tube));
    canvas_cloth(canvas, &cloth);
    shape_mirrored(canvas->pen, 0, KNOTS(over));
    canvas_cloth(canvas, &cloth);
}

void neck_stand(struct canvas *canvas, const struct garment *garment,
                const struct top *t, double height)
{
    for (int side = -1; side <= 1; side += 2) {
        const struct knot k[] = {
            {side * 0.5, t->depth + 0.8, true},
            {side * t->neck * 0.66, t->depth * 0.78, false},
            {side * (t->neck + 0.7), -0.3, true},
            {side * (t->neck + 0.1), -height * 0.55, false},
            {side * (t->neck - 1.4), -height * 0.86, true},
            {side * t->neck * 0.6, t->depth * 0.7 - height, false},
            {side * 0.8, t->depth - height, true},
        };
        struct cloth cloth = {
            .fabric = &garment->trim, .puff = 0.5, .shadow = 0.3};
        shape_closed(canvas->pen, KNOTS(k));
        canvas_cloth(canvas, &cloth);
    }
}

/* ---- a shirt's collar ---------------------------------------------------- */

void neck_collar_back(struct canvas *canvas, const struct garment *garment,
                      const struct top *t, double height)
{
    const struct knot half[] = {
        {0, -height, false},      {t->neck * 0.7, -height * 0.85, false},
        {t->neck + 0.2, 0, true}, {t->neck * 0.6, 2.2, false},
        {0, 2.8, false},
    };
    struct cloth cloth = {
        .fabric = &garment->inside, .puff = 0.4, .tone = -0.1, .shadow = 0.2};
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    canvas_cloth(canvas, &cloth);
}

void neck_collar(struct canvas *canvas, const struct garment *garment,
                 const struct top *t, double point, double gap)
{
    for (int side = -1; side <= 1; side += 2) {
        const struct knot wing[] = {
            {side * t->neck * 0.72, -3.1, false},
            {side * (t->neck + 1.3), -0.4, false},
            {side * (t->neck * 0.8 + 2.3), t->depth * 0.4 + point * 0.45,
             false},
            {side * (t->neck * 0.62 + 1.4), t->depth * 0.55 + point, true},
            {side * gap, t->depth, true},
            {side * (t->neck * 0.55), t->depth * 0.42, false},
        };
        const struct knot sewn[] = {
            {side * (t->neck * 0.8 + 1.4), t->depth * 0.4 + point * 0.45, true},
            {side * (t->neck * 0.62 + 1), t->depth * 0.55 + point - 1.3, true},
            {side * (gap + 0.5), t->depth - 0.1, true},
        };
        struct cloth cloth = {.fabric = &garment->main,
                              .x = side * t->neck,
                              .angle = side * 0.5,
                              .puff = 0.4,
                              .shadow = 0.4};
        shape_closed(canvas->pen, KNOTS(wing));
        canvas_cloth(canvas, &cloth);
        trim_stitches(canvas, trim_thread(garment), KNOTS(sewn));
    }
}

/* ---- lapels -------------------------------------------------------------- */

static void lapel(struct canvas *canvas, const struct garment *garment,
                  const struct top *t, double y, double width, double side)
{
    double notch = t->slope + 6.5, out = t->neck * 0.55 + width;
    const struct knot collar[] = {
        {side * t->neck * 0.55, -3.4, false},
        {side * (t->neck + 1.2), -0.8, false},
        {side * (t->neck + 3), notch * 0.45, false},
        {side * (out - 0.2), notch - 1.4, true},
        {side * (t->neck * 0.5 + 1.5), notch + 1.2, true},
        {side * t->neck * 0.66, 3, false},
    };
    const struct knot face[] = {
        {side * (t->neck * 0.5 + 1.2), notch + 0.4, true},
        {side * (out + 1.2), notch - 0.6, true},
        {side * (out * 0.72 + 0.5), y * 0.62, false},
        {side * 0.4, y, true},
        {side * t->neck * 0.42, y * 0.52, false},
    };
    struct cloth cloth = {.fabric = &garment->main,
                          .x = side * t->neck,
                          .angle = side * 0.32,
                          .puff = 0.55,
                          .shadow = 0.42};
    shape_closed(canvas->pen, KNOTS(face));
    canvas_cloth(canvas, &cloth);
    shape_closed(canvas->pen, KNOTS(collar));
    canvas_cloth(canvas, &cloth);
}

void neck_lapels(struct canvas *canvas, const struct garment *garment,
                 const struct top *top, double closing_y, double width)
{
    lapel(canvas, garment, top, closing_y, width, 1);
    lapel(canvas, garment, top, closing_y, width, -1);
}

/* ---- hoods --------------------------------------------------------------- */

void neck_hood_back(struct canvas *canvas, const struct garment *garment,
                    const struct top *t, double size)
{
    const struct knot bag[] = {
        {0, -size * 1.02, false},
        {t->neck * 0.9, -size * 0.9, false},
        {t->neck * 1.5, -size * 0.42, false},
        {t->neck * 1.66, t->slope * 0.2, false},
        {t->neck * 2.1, t->slope * 1.2, true},
        {t->neck * 0.8, t->depth, true},
        {0, t->depth, false},
    };
    const struct knot mouth[] = {
        {0, -size * 0.72, false},
        {t->neck * 0.78, -size * 0.58, false},
        {t->neck * 1.0, -size * 0.1, false},
        {t->neck * 0.55, t->depth * 0.8, false},
        {0, t->depth * 1.3, false},
    };
    struct cloth out = {.fabric = &garment->main, .puff = 0.8, .shadow = 0.2};
    struct cloth in = {.fabric = &garment->inside, .puff = 0.5, .tone = -0.34};
    shape_mirrored(canvas->pen, 0, KNOTS(bag));
    canvas_fold(canvas, -t->neck, -size * 0.8, t->neck * 0.9, -size * 0.75, -2,
                1.8, 0.5);
    canvas_cloth(canvas, &out);
    shape_mirrored(canvas->pen, 0, KNOTS(mouth));
    canvas_fold(canvas, 0, -size * 0.7, 0, t->depth, 0.5, 1.4, 0.35);
    canvas_cloth(canvas, &in);
    trim_seam(canvas, garment,
              (const struct knot[]){{0, -size, true}, {0, -size * 0.74, true}},
              2);
    trim_label(canvas, 0, 1.5, 5, 2.6);
}

static void cord(struct canvas *canvas, const struct garment *garment,
                 const struct top *t, double side, double length)
{
    const struct knot line[] = {
        {side * 2.1, t->depth + 0.4, true},
        {side * design_between(canvas, 2.2, 3.6), t->depth + length * 0.5,
         false},
        {side * design_between(canvas, 1.6, 3.2), t->depth + length, true},
    };
    struct fabric string =
        fabric_dyed(&garment->main,
                    rgb_mix(garment->main.base, (struct rgb){1, 1, 1}, 0.55f));
    struct cloth cloth = {
        .fabric = &string, .puff = 0.5, .shadow = 0.4, .stroke = 0.85};
    shape_open(canvas->pen, KNOTS(line));
    canvas_cloth(canvas, &cloth);
    trim_stud(canvas, garment->metal, side * 2.1, t->depth + 0.4, 0.75);
}

void neck_hood_front(struct canvas *canvas, const struct garment *garment,
                     const struct top *t, double size, bool cords)
{
    double w = t->neck;
    const struct knot casing[] = {
        {-w * 0.3, -size * 0.715, false},  {0, -size * 0.735, false},
        {w * 0.72, -size * 0.6, false},    {w * 1.02, -size * 0.12, false},
        {w * 0.84, t->depth * 0.3, false}, {w * 0.5, t->depth * 0.82, false},
        {-0.4, t->depth + 1.6, true}};
    struct cloth cloth = {
        .fabric = &garment->main, .puff = 0.55, .shadow = 0.25, .stroke = 2.9};
    for (int side = -1; side <= 1; side += 2) {
        canvas_enter(canvas, 0, 0, 0, side < 0);
        shape_open(canvas->pen, KNOTS(casing));
        canvas_cloth(canvas, &cloth);
        canvas_leave(canvas);
    }
    for (int side = -1; cords && side <= 1; side += 2)
        cord(canvas, garment, t, side, 17);
}
