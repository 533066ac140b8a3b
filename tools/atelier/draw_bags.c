/* draw_bags.c: bags and backpacks, seen from the front. */
#include "garments.h"

#include "trim.h"

#include <math.h>

static void stitched_frame(struct canvas *canvas, const struct garment *g,
                           const struct knot *knots, size_t n)
{
    trim_stitches(canvas, trim_thread(g), knots, n);
}

/* A handle: an arch from (-x, y) to (x, y), this high. */
static void handle(struct canvas *canvas, const struct garment *g, double x,
                   double y, double height, double width, double tone)
{
    const struct knot arch[] = {{-x, y + 9, true},
                                {-x, y, false},
                                {-x * 0.86, y - height * 0.62, false},
                                {0, y - height, false},
                                {x * 0.86, y - height * 0.62, false},
                                {x, y, false},
                                {x, y + 9, true}};
    struct fabric strap = fabric_plain(&g->main, WEAVE_LEATHER);
    struct cloth cloth = {.fabric = &strap,
                          .puff = 0.6,
                          .shadow = 0.3,
                          .tone = tone,
                          .stroke = width};
    if (g->main.weave == WEAVE_CANVAS && g->design->seed % 2)
        strap.base = (struct rgb){0.5f, 0.33f, 0.2f};
    shape_open(canvas->pen, KNOTS(arch));
    canvas_cloth(canvas, &cloth);
}

/* ---- totes --------------------------------------------------------------- */

static void tote(struct canvas *canvas, const struct garment *g)
{
    double w = 30 + 8 * g->design->fit, h = 52 + 14 * g->design->length;
    double narrow = design_between(canvas, 0.8, 1.08);
    double arch = design_between(canvas, 20, 36);
    const struct knot back[] = {{0, -1.6, false},
                                {w * 0.98, -0.8, true},
                                {w * 0.9, 6, true},
                                {0, 6, false}};
    const struct knot half[] = {{0, 1, false},
                                {w, 0, true},
                                {w * (1 + narrow) * 0.5, h * 0.55, false},
                                {w * narrow, h - 2.5, false},
                                {w * narrow - 3, h, false},
                                {0, h + 0.6, false}};
    const struct knot sewn[] = {
        {-w + 0.8, 3.4, true}, {0, 4.4, false}, {w - 0.8, 3.4, true}};
    struct cloth inner = {.fabric = &g->inside, .puff = 0.4, .tone = -0.35};
    struct cloth body = {.fabric = &g->main, .puff = 0.9, .shadow = 0.3};
    struct drape sag = {-w * 0.7, 2, w * 0.7, 2, 0, 0.3, h * 0.6, 3, 0.4};
    handle(canvas, g, w * 0.45, -1, arch * 0.94, 3, -0.2);
    shape_mirrored(canvas->pen, 0, KNOTS(back));
    canvas_cloth(canvas, &inner);
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    shape_drape(canvas, &sag, 4);
    canvas_cloth(canvas, &body);
    stitched_frame(canvas, g, KNOTS(sewn));
    handle(canvas, g, w * 0.45, 0, arch, 3.2, 0);
    if (g->design->seed % 3 == 0)
        trim_patch(canvas, g, 0, h * 0.35, w * 0.9, h * 0.4, 0);
    for (int side = -1; side <= 1; side += 2)
        trim_stud(canvas, g->metal, side * w * 0.45, 7, 0.9);
}

/* ---- handbags ------------------------------------------------------------ */

static void buckle(struct canvas *canvas, const struct garment *g, double y)
{
    struct fabric brass = {.weave = WEAVE_SATIN, .base = g->metal};
    const struct knot plate[] = {{-3.4, y - 2.4, true},
                                 {3.4, y - 2.4, true},
                                 {3.4, y + 2.4, false},
                                 {-3.4, y + 2.4, false}};
    struct cloth cloth = {.fabric = &brass, .puff = 0.7, .shadow = 0.4};
    shape_closed(canvas->pen, KNOTS(plate));
    canvas_cloth(canvas, &cloth);
    trim_stud(canvas, g->metal, 0, y, 1.1);
}

static void handbag(struct canvas *canvas, const struct garment *g)
{
    double w = 36 + 4 * g->design->fit, h = 42 + 10 * g->design->length;
    double cover = h * design_between(canvas, 0.42, 0.66);
    double round = design_between(canvas, 2, 12);
    const struct knot half[] = {{0, 0, false},
                                {w * 0.84, 0.4, false},
                                {w * 0.93, 4, false},
                                {w, h - round, false},
                                {w - round * 0.6, h - round * 0.12, false},
                                {w - round * 1.6, h + 0.4, false},
                                {0, h + 0.8, false}};
    const struct knot lid[] = {{0, -1, false},
                               {w * 0.84, -0.6, false},
                               {w * 0.95, 4, false},
                               {w * 0.93, cover * 0.62, false},
                               {w * 0.72, cover * 0.92, false},
                               {w * 0.3, cover, false},
                               {0, cover + 0.3, false}};
    const struct knot sewn[] = {{-w * 0.9, 5, true},
                                {-w * 0.885, cover * 0.6, false},
                                {-w * 0.69, cover * 0.87, false},
                                {-w * 0.3, cover - 1.5, false},
                                {0, cover - 1.2, false},
                                {w * 0.3, cover - 1.5, false},
                                {w * 0.69, cover * 0.87, false},
                                {w * 0.885, cover * 0.6, false},
                                {w * 0.9, 5, true}};
    struct cloth body = {.fabric = &g->main, .puff = 1, .shadow = 0.3};
    handle(canvas, g, w * design_between(canvas, 0.32, 0.8), -2,
           design_between(canvas, 16, 44), 2.6, -0.06);
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    canvas_cloth(canvas, &body);
    body.shadow = 0.45;
    shape_mirrored(canvas->pen, 0, KNOTS(lid));
    canvas_cloth(canvas, &body);
    stitched_frame(canvas, g, KNOTS(sewn));
    buckle(canvas, g, cover - 3);
}

static void bucket(struct canvas *canvas, const struct garment *g)
{
    double w = 24 + 5 * g->design->fit, h = 46 + 8 * g->design->length;
    const struct knot half[] = {{0, 0, false},
                                {w * 0.78, -1.2, true},
                                {w * 0.9, h * 0.3, false},
                                {w, h * 0.78, false},
                                {w * 0.92, h - 1.4, false},
                                {w * 0.7, h + 1.2, false},
                                {0, h + 2.4, false}};
    const struct knot mouth[] = {
        {0, -3.6, false}, {w * 0.76, -1.2, true}, {0, 3, false}};
    const struct knot base[] = {{0, h * 0.8 + 1.6, false},
                                {w, h * 0.78, true},
                                {w * 0.92, h - 1.4, false},
                                {w * 0.7, h + 1.4, false},
                                {0, h + 2.6, false}};
    const struct knot cord[] = {
        {-w * 0.8, 7, true}, {0, 8.6, false}, {w * 0.8, 7, true}};
    struct fabric strap = fabric_plain(&g->main, WEAVE_LEATHER);
    struct cloth inner = {.fabric = &g->inside, .puff = 0.4, .tone = -0.4};
    struct cloth body = {.fabric = &g->main, .puff = 1, .shadow = 0.3};
    struct cloth string = {
        .fabric = &strap, .puff = 0.5, .shadow = 0.4, .stroke = 1.3};
    struct drape gather = {-w * 0.75, 1,       w * 0.75, 1,   0,
                           0.2,       h * 0.5, 1.7,      0.55};
    handle(canvas, g, w * 0.8, -1, design_between(canvas, 30, 46), 2.4, -0.05);
    shape_mirrored(canvas->pen, 0, KNOTS(mouth));
    canvas_cloth(canvas, &inner);
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    shape_drape(canvas, &gather, 9);
    canvas_cloth(canvas, &body);
    body.fabric = &strap;
    body.puff = 0.6;
    shape_mirrored(canvas->pen, 0, KNOTS(base));
    canvas_cloth(canvas, &body);
    strap.base = rgb_mix(strap.base, (struct rgb){0, 0, 0}, 0.25f);
    shape_open(canvas->pen, KNOTS(cord));
    canvas_cloth(canvas, &string);
}

void draw_bag(struct canvas *canvas, const struct garment *g)
{
    double kind = design_between(canvas, 0, 1);
    if (g->main.weave == WEAVE_CANVAS ? kind < 0.75 : kind < 0.2)
        tote(canvas, g);
    else if (kind < 0.72)
        handbag(canvas, g);
    else
        bucket(canvas, g);
}

/* ---- backpacks ----------------------------------------------------------- */

static void shoulder_strap(struct canvas *canvas, const struct garment *g,
                           double w, double h, double side)
{
    const struct knot band[] = {{side * w * 0.4, 2, true},
                                {side * w * 0.9, 9, false},
                                {side * (w + 6), h * 0.36, false},
                                {side * (w + 5), h * 0.68, false},
                                {side * w * 0.8, h * 0.92, true}};
    struct fabric strap = fabric_plain(&g->main, WEAVE_CANVAS);
    struct cloth cloth = {
        .fabric = &strap, .puff = 0.7, .tone = -0.12, .stroke = 5.4};
    shape_open(canvas->pen, KNOTS(band));
    canvas_cloth(canvas, &cloth);
}

static void front_pocket(struct canvas *canvas, const struct garment *g,
                         double w, double h)
{
    double y = h * 0.52, p = w * 0.76;
    const struct knot half[] = {
        {0, y, false},     {p * 0.9, y + 0.6, false},  {p, y + 5, false},
        {p, h - 7, false}, {p * 0.92, h - 3.6, false}, {0, h - 3, false}};
    const struct fabric *fabric =
        g->design->second_scheme == 2 ? &g->trim : &g->main;
    struct cloth cloth = {.fabric = fabric, .puff = 0.9, .shadow = 0.4};
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    canvas_cloth(canvas, &cloth);
    trim_zip(canvas, g, -p * 0.8, y + 4.4, p * 0.8, y + 4.4);
}

static void roll_top(struct canvas *canvas, const struct garment *g, double w)
{
    const struct knot lid[] = {{0, -5, false},       {w * 0.8, -4, false},
                               {w * 1.02, 4, false}, {w * 0.99, 17, false},
                               {w * 0.8, 24, false}, {0, 25, false}};
    struct fabric strap = fabric_plain(&g->main, WEAVE_LEATHER);
    struct cloth cloth = {.fabric = &g->main, .puff = 0.9, .shadow = 0.45};
    struct cloth band = {
        .fabric = &strap, .puff = 0.5, .shadow = 0.35, .stroke = 3};
    strap.base = (struct rgb){0.42f, 0.27f, 0.17f};
    shape_mirrored(canvas->pen, 0, KNOTS(lid));
    canvas_cloth(canvas, &cloth);
    for (int side = -1; side <= 1; side += 2) {
        cairo_move_to(canvas->pen, side * w * 0.5, 2);
        cairo_line_to(canvas->pen, side * w * 0.5, 34);
        canvas_cloth(canvas, &band);
        trim_stud(canvas, g->metal, side * w * 0.5, 27, 1.5);
    }
}

void draw_backpack(struct canvas *canvas, const struct garment *g)
{
    double w = 24 + 5 * g->design->fit, h = 62 + 12 * g->design->length;
    double dome = design_between(canvas, 7, 17);
    const struct knot half[] = {{0, 0, false},
                                {w * 0.6, 0.6, false},
                                {w * 0.92, dome, false},
                                {w, h * 0.4, false},
                                {w * 1.03, h - 8, false},
                                {w * 0.96, h - 1.6, false},
                                {w * 0.7, h, false},
                                {0, h + 0.4, false}};
    const struct knot arc[] = {
        {-w * 0.93, h * 0.4, true}, {-w * 0.84, dome + 2, false},
        {-w * 0.5, 4.6, false},     {0, 3.8, false},
        {w * 0.5, 4.6, false},      {w * 0.84, dome + 2, false},
        {w * 0.93, h * 0.4, true}};
    struct cloth body = {.fabric = &g->main, .puff = 1, .shadow = 0.3};
    bool rolled = design_between(canvas, 0, 1) < 0.4;
    shoulder_strap(canvas, g, w, h, -1);
    shoulder_strap(canvas, g, w, h, 1);
    handle(canvas, g, 6.5, -1, 8, 2.6, 0);
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    shape_creases(canvas, 0, h * 0.3, 0, h * 0.5, w * 1.6, 0.25, 2);
    canvas_cloth(canvas, &body);
    front_pocket(canvas, g, w, h);
    if (rolled) {
        roll_top(canvas, g, w);
    } else {
        trim_seam(canvas, g, KNOTS(arc));
        stitched_frame(canvas, g, KNOTS(arc));
        trim_stud(canvas, g->metal, w * 0.5, 4.8, 1.1);
    }
}
