/* draw_coats.c: coats, jackets, waistcoats. */
#include "garments.h"

#include "hanger.h"
#include "neck.h"
#include "trim.h"

#include <math.h>

/* ---- coats --------------------------------------------------------------- */

static void flap(struct canvas *canvas, const struct garment *g, double x,
                 double y, double width, double height, double turn)
{
    const struct knot lid[] = {
        {-width / 2, 0, true},
        {width / 2, 0, true},
        {width / 2 - 0.2, height, false},
        {-width / 2 + 0.2, height, false},
    };
    struct cloth cloth = {
        .fabric = &g->main, .x = -x, .y = -y, .puff = 0.4, .shadow = 0.35};
    canvas_enter(canvas, x, y, turn, false);
    shape_closed(canvas->pen, KNOTS(lid));
    canvas_cloth(canvas, &cloth);
    canvas_leave(canvas);
}

static void belt(struct canvas *canvas, const struct garment *g,
                 const struct top *t)
{
    double y = t->waist_y, w = t->waist + 0.6;
    const struct knot strip[] = {
        {-w, y - 2.4, true}, {0, y - 1.8, false}, {w, y - 2.4, true},
        {w, y + 2.2, true},  {0, y + 2.8, false}, {-w, y + 2.2, true},
    };
    const struct knot tail[] = {
        {1, y - 1, true},    {5, y + 1, false},   {7, y + 21, true},
        {3.2, y + 22, true}, {1.5, y + 4, false},
    };
    struct cloth cloth = {.fabric = &g->main, .puff = 0.5, .shadow = 0.4};
    shape_closed(canvas->pen, KNOTS(tail));
    canvas_cloth(canvas, &cloth);
    shape_closed(canvas->pen, KNOTS(strip));
    canvas_cloth(canvas, &cloth);
    shape_closed(canvas->pen,
                 (const struct knot[]){{-2.6, y - 3, false},
                                       {3, y - 3, false},
                                       {3.4, y + 3.4, false},
                                       {-2.4, y + 3.4, false}},
                 4);
    canvas_cloth(canvas, &cloth);
}

/* The edge of the upper front half, and its buttons. */
static void close_coat(struct canvas *canvas, const struct garment *g,
                       const struct top *t, double y)
{
    bool twice = g->design->closing == CLOSE_DOUBLE;
    double edge = twice ? 8.5 : 2.2, end = t->hem_y + 0.6;
    const struct knot line[] = {{edge * 0.5, y - 1, true},
                                {edge, y + 5, false},
                                {edge, t->hem_y * 0.7, false},
                                {edge * 1.02, end, true}};
    int n = twice ? 3 : 3 + (int)(g->design->seed % 2);
    double last = y + (t->hem_y - y) * 0.55;
    trim_seam(canvas, g, KNOTS(line));
    trim_buttons(canvas, g, twice ? 5.8 : 0, y + 3, last, 1.35, n);
    if (twice)
        trim_buttons(canvas, g, -5.8, y + 3, last, 1.35, n);
}

static void coat_pockets(struct canvas *canvas, const struct garment *g,
                         const struct top *t)
{
    double kind = design_between(canvas, 0, 1), y = t->waist_y + 10;
    for (int side = -1; side <= 1; side += 2) {
        double x = side * top_half_width(t, y) * 0.62;
        if (kind < 0.4)
            flap(canvas, g, x, y, 14, 5, side * 0.06);
        else if (kind < 0.7)
            trim_slit(canvas, g, x - side * 1.5, y + 7, x + side * 2.5, y - 6);
        else
            trim_patch(canvas, g, x, y, 14.5, 16, 0);
    }
}

void draw_coat(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 27, 84 + 28 * g->design->length);
    enum neck neck = g->design->neck;
    double y = neck == NECK_LAPEL ? design_between(canvas, 27, 38) : 8;
    t.neck = 7.5;
    t.depth = neck == NECK_LAPEL ? y : 7;
    t.pointed = neck == NECK_LAPEL;
    t.waist_y = 44;
    t.hem *= design_between(canvas, 1.02, 1.2);
    t.puff = 0.95;
    t.folds = 0.9;
    top_sleeves_set(&t, g, 0.24);
    t.sleeve = 59;
    t.cuff = 14;
    t.spread = g->design->hung ? 0.19 : design_between(canvas, 0.24, 0.34);
    if (neck == NECK_HOOD)
        neck_hood_back(canvas, g, &t, 19);
    else
        top_draw_back(canvas, g, &t);
    if (neck != NECK_HOOD)
        neck_collar_back(canvas, g, &t, 4);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    coat_pockets(canvas, g, &t);
    close_coat(canvas, g, &t, y);
    if (design_between(canvas, 0, 1) < 0.3)
        belt(canvas, g, &t);
    if (neck == NECK_LAPEL)
        neck_lapels(canvas, g, &t, y, design_between(canvas, 7.5, 11));
    else if (neck == NECK_HOOD)
        neck_hood_front(canvas, g, &t, 19, false);
    else
        neck_stand(canvas, g, &t, 4.6);
}

/* ---- jackets ------------------------------------------------------------- */

static void bomber(struct canvas *canvas, const struct garment *g,
                   struct top *t)
{
    t->rib = true;
    t->cuff_height = 6;
    t->hem_height = 6;
    t->bell = 0.2;
    t->depth = 6.5;
    top_draw_back(canvas, g, t);
    neck_band_back(canvas, g, t, 4.5);
    top_draw_sleeves(canvas, g, t);
    top_draw_front(canvas, g, t);
    for (int side = -1; side <= 1; side += 2)
        trim_slit(canvas, g, side * 10, t->hem_y - 13, side * 15,
                  t->hem_y - 24);
    neck_band_front(canvas, t, 4.6, &g->rib);
    trim_zip(canvas, g, 0, t->depth - 1, 0, t->hem_y);
}

/* Seams and pockets of a jacket made to work in. */
static void trucker(struct canvas *canvas, const struct garment *g,
                    struct top *t)
{
    struct rgb thread = g->main.weave == WEAVE_DENIM
                            ? (struct rgb){0.8f, 0.58f, 0.3f}
                            : trim_thread(g);
    t->cuff_height = 5.5;
    t->bell = 0.1;
    top_draw_back(canvas, g, t);
    neck_collar_back(canvas, g, t, 3.8);
    top_draw_sleeves(canvas, g, t);
    top_draw_front(canvas, g, t);
    for (int side = -1; side <= 1; side += 2) {
        const struct knot yoke[] = {
            {side * 2, t->armpit * 0.66, true},
            {side * t->shoulder, t->armpit * 0.62, true}};
        const struct knot dart[] = {{side * 11, t->armpit * 0.66 + 12, true},
                                    {side * 7, t->hem_y - 5, true}};
        const struct knot dart2[] = {{side * 14.5, t->armpit * 0.66 + 12, true},
                                     {side * 16.5, t->hem_y - 5, true}};
        trim_stitches(canvas, thread, KNOTS(yoke));
        trim_stitches(canvas, thread, KNOTS(dart));
        trim_stitches(canvas, thread, KNOTS(dart2));
        trim_patch(canvas, g, side * 12.5, t->armpit * 0.68, 11, 11.5, 4.5);
    }
    {
        const struct knot edge[] = {{1.8, t->depth, true},
                                    {1.8, t->hem_y, true}};
        const struct knot band[] = {{-t->hem, t->hem_y - 4.6, true},
                                    {t->hem, t->hem_y - 4.6, true}};
        trim_seam(canvas, g, KNOTS(edge));
        trim_seam(canvas, g, KNOTS(band));
    }
    for (int i = 0; i < 6; i++)
        trim_stud(canvas, g->metal, 0,
                  t->depth + 3 + (t->hem_y - t->depth - 6) * i / 5, 0.9);
    neck_collar(canvas, g, t, 8, 0.6);
}

static void biker(struct canvas *canvas, const struct garment *g, struct top *t)
{
    t->pointed = true;
    t->depth = 22;
    top_draw_back(canvas, g, t);
    neck_collar_back(canvas, g, t, 3.6);
    top_draw_sleeves(canvas, g, t);
    top_draw_front(canvas, g, t);
    trim_zip(canvas, g, 3, t->depth + 1, -4, t->hem_y - 0.5);
    for (int side = -1; side <= 1; side += 2)
        trim_zip(canvas, g, side * 9, t->hem_y - 22, side * 15, t->hem_y - 12);
    neck_lapels(canvas, g, t, t->depth + 2, 9.5);
    for (int side = -1; side <= 1; side += 2)
        trim_stud(canvas, g->metal, side * 9, 12, 0.8);
}

void draw_jacket(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 26, 58 + 9 * g->design->length);
    struct garment plain = *g; /* cuffs and collars are of the same cloth */
    plain.trim = g->main;
    g = &plain;
    t.neck = 7.4;
    t.depth = 7;
    t.puff = 0.9;
    top_sleeves_set(&t, g, design_between(canvas, 0.24, 0.36));
    t.cuff = 12.5;
    t.folds = g->main.weave == WEAVE_LEATHER ? 1.3 : 1.05;
    if (g->design->neck == NECK_STAND)
        bomber(canvas, g, &t);
    else if (g->main.weave == WEAVE_LEATHER)
        biker(canvas, g, &t);
    else
        trucker(canvas, g, &t);
}

/* ---- waistcoats ---------------------------------------------------------- */

static void vest_half(struct canvas *canvas, const struct garment *g,
                      const struct top *t, double side)
{
    double over = side > 0 ? -2 : -1, in = t->shoulder * 0.74;
    const struct knot k[] = {
        {over, t->depth, true},
        {t->neck * 0.62, t->depth * 0.5, false},
        {t->neck, 0, true},
        {in, t->slope * 0.8, true},
        {in - 1, t->armpit * 0.5, false},
        {t->chest * 0.84, t->armpit * 0.88, false},
        {t->chest * 0.96, t->armpit + 2.5, true},
        {t->waist * 0.99, t->waist_y, false},
        {t->waist + 0.8, t->hem_y - 5, true},
        {8.5, t->hem_y + 4, true},
        {over, t->hem_y - 5, true},
    };
    struct knot mirrored[sizeof(k) / sizeof(*k)];
    struct cloth cloth = {.fabric = &g->main, .puff = 0.6, .shadow = 0.34};
    struct drape folds = {side * t->chest * 0.9,
                          t->armpit + 4,
                          side * t->waist,
                          t->waist_y,
                          -side * 1.1,
                          0.2,
                          13,
                          1.5,
                          0.32};
    for (size_t i = 0; i < sizeof(k) / sizeof(*k); i++) {
        mirrored[i] = k[i];
        mirrored[i].x *= side;
    }
    shape_closed(canvas->pen, KNOTS(mirrored));
    shape_drape(canvas, &folds, 3);
    canvas_cloth(canvas, &cloth);
    trim_slit(canvas, g, side * 7.5, t->waist_y + 8.4, side * 15.5,
              t->waist_y + 7);
    if (side < 0)
        trim_slit(canvas, g, -8.5, t->armpit + 3.5, -14.5, t->armpit + 2.4);
}

void draw_waistcoat(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 23, 52 + 6 * g->design->length);
    double w = t.shoulder * 0.74;
    const struct knot back[] = {
        {0, 1.4, false},
        {t.neck, -0.2, true},
        {w - 0.5, t.slope * 0.8, true},
        {w - 2, t.armpit * 0.6, false},
        {t.chest * 0.9, t.armpit + 2, true},
        {t.waist * 0.97, t.hem_y - 7, true},
        {0, t.hem_y - 8, false},
    };
    struct fabric lining = fabric_plain(&g->main, WEAVE_SATIN);
    struct cloth inner = {.fabric = &lining, .puff = 0.5, .tone = -0.3};
    t.depth = design_between(canvas, 22, 30);
    if (g->design->hung)
        hanger_for_top(canvas, w, t.slope);
    shape_mirrored(canvas->pen, 0, KNOTS(back));
    canvas_cloth(canvas, &inner);
    trim_label(canvas, 0, 4.6, 5.5, 2.8);
    vest_half(canvas, g, &t, -1);
    vest_half(canvas, g, &t, 1);
    trim_buttons(canvas, g, 0.4, t.depth + 1.6, t.hem_y - 7.5, 1, 5);
}
