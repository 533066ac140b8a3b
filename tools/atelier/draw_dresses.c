/* draw_dresses.c: dresses and skirts: a waist, and folds that fall from it. */
#include "garments.h"

#include "hanger.h"
#include "neck.h"
#include "trim.h"

#include <math.h>

/* ---- dresses ------------------------------------------------------------- */

static void dress_neck(struct top *t, enum neck neck)
{
    t->pointed = neck == NECK_V;
    t->square = neck == NECK_SQUARE;
    t->depth = neck == NECK_V        ? 17
               : neck == NECK_SCOOP  ? 13
               : neck == NECK_SQUARE ? 12
               : neck == NECK_BOAT   ? 4
               : neck == NECK_COLLAR ? 6
                                     : 7;
    t->neck = neck == NECK_BOAT ? 12 : neck == NECK_COLLAR ? 6.5 : 9.5;
}

static void skirt_part(struct canvas *canvas, const struct garment *g,
                       const struct top *t, double waist, double flare)
{
    double end = t->hem_y, hem = waist * 0.7 + flare, y = t->waist_y;
    double depth = (end - y);
    const struct knot half[] = {
        {0, y - 0.6, false},
        {waist * 0.6, y - 0.9, false},
        {waist + 0.2, y - 1.4, true},
        {waist + (hem - waist) * 0.42, y + depth * 0.3, false},
        {waist + (hem - waist) * 0.8, y + depth * 0.7, false},
        {hem, end - hem * 0.06, true},
        {hem * 0.55, end + hem * 0.025, false},
        {0, end + hem * 0.05, false},
    };
    const struct knot seam[] = {
        {-hem + 0.6, end - 2.2 - hem * 0.06, true},
        {0, end - 2.2 + hem * 0.05, false},
        {hem - 0.6, end - 2.2 - hem * 0.06, true},
    };
    struct cloth cloth = {.fabric = &g->main, .puff = 0.55, .shadow = 0.2};
    double spread = atan2(hem - waist, depth);
    struct drape high = {-waist * 0.9, y - 1,        waist * 0.9, y - 1, 0,
                         spread * 0.8, depth * 0.75, 1.5,         0.5};
    struct drape low = {-hem * 0.92,   end + 2,       hem * 0.92, end + 2, 0,
                        -spread * 0.8, -depth * 0.85, 2.6,        0.62};
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    shape_drape(canvas, &high, 7);
    shape_drape(canvas, &low, 5 + (int)(flare / 7));
    canvas_cloth(canvas, &cloth);
    trim_stitches(canvas, trim_thread(g), KNOTS(seam));
}

static void sash(struct canvas *canvas, const struct garment *g, double waist,
                 double y)
{
    const struct knot k[] = {{0, y - 2, false},
                             {waist + 0.5, y - 2.7, true},
                             {waist + 0.5, y + 1, true},
                             {0, y + 1.8, false}};
    struct cloth cloth = {.fabric = &g->trim, .puff = 0.3, .shadow = 0.35};
    shape_mirrored(canvas->pen, 0, KNOTS(k));
    canvas_cloth(canvas, &cloth);
}

void draw_dress(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 21.5, 78 + 46 * g->design->length), bodice;
    double flare = design_between(canvas, 10, 40), kind;
    double waist = 15 + 3.5 * g->design->fit;
    dress_neck(&t, g->design->neck);
    t.waist_y = design_between(canvas, 36, 42);
    t.waist = waist;
    t.folds = 0.8;
    t.shoulder *= 0.94;
    top_sleeves_set(&t, g, 0.32);
    t.sleeve *= 0.96;
    bodice = t;
    bodice.hem_y = t.waist_y + 1;
    bodice.hem = waist;
    bodice.waist_y = bodice.armpit + 5;
    bodice.waist = t.chest - (t.chest - waist) * 0.45;
    top_draw_back(canvas, g, &t);
    if (g->design->neck == NECK_COLLAR)
        neck_collar_back(canvas, g, &t, 3);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &bodice);
    skirt_part(canvas, g, &t, waist, flare);
    kind = design_between(canvas, 0, 1);
    if (kind < 0.4)
        sash(canvas, g, waist, t.waist_y);
    if (g->design->neck == NECK_COLLAR) {
        trim_buttons(canvas, g, 0, t.depth + 3, t.waist_y - 4, 0.8, 5);
        neck_collar(canvas, g, &t, 4.5, 0.4);
    } else {
        neck_band_front(canvas, &t, 1.2, &g->trim);
    }
}

/* ---- skirts -------------------------------------------------------------- */

struct skirt {
    double waist, hip, hem, length, round;
    int folds;
    double deep;
};

static struct skirt skirt_measures(struct canvas *canvas,
                                   const struct garment *g, double kind)
{
    struct skirt s = {.waist = 16.5 + 2 * g->design->fit,
                      .length = 46 + 36 * g->design->length};
    if (kind < 0.3) { /* a pencil */
        s.hip = s.waist + 4.5;
        s.hem = s.hip - 1 + 2 * g->design->fit;
        s.folds = 3;
        s.deep = 0.35;
    } else if (kind < 0.65) { /* an A */
        s.hem = s.waist + 9 + s.length * design_between(canvas, 0.14, 0.28);
        s.hip = s.waist + (s.hem - s.waist) * 0.42;
        s.folds = 6;
        s.deep = 0.55;
        s.round = 0.05;
    } else { /* gathered or pleated */
        s.hem = s.waist + 12 + s.length * design_between(canvas, 0.2, 0.34);
        s.hip = s.waist + (s.hem - s.waist) * 0.5;
        s.folds = 11;
        s.deep = 0.75;
        s.round = 0.06;
    }
    return s;
}

static void skirt_body(struct canvas *canvas, const struct garment *g,
                       const struct skirt *s)
{
    double drop = s->hem * s->round;
    const struct knot half[] = {
        {0, 3, false},
        {s->waist, 3, true},
        {s->hip, fmin(19, s->length * 0.42), false},
        {s->hip + (s->hem - s->hip) * 0.6, s->length * 0.74, false},
        {s->hem, s->length - drop * 1.3, true},
        {s->hem * 0.55, s->length - drop * 0.25, false},
        {0, s->length, false},
    };
    double spread = atan2(s->hem - s->waist, s->length);
    struct drape low = {
        -s->hem * 0.93, s->length + 2,     s->hem * 0.93, s->length + 2, 0,
        -spread * 0.85, -s->length * 0.95, 2.4,           s->deep};
    struct drape high = {
        -s->waist * 0.92, 2,   s->waist * 0.92, 2, 0, spread * 0.85,
        s->length * 0.6,  1.4, s->deep * 0.8};
    struct cloth cloth = {.fabric = &g->main, .puff = 0.55, .shadow = 0.2};
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    shape_drape(canvas, &low, s->folds);
    shape_drape(canvas, &high, s->folds);
    canvas_cloth(canvas, &cloth);
}

static void skirt_waist(struct canvas *canvas, const struct garment *g,
                        const struct skirt *s)
{
    double w = s->waist;
    const struct knot inner[] = {
        {0, -1.2, false}, {w * 0.96, -0.3, true}, {0, 3, false}};
    const struct knot band[] = {{0, 0.9, false},
                                {w - 0.2, -0.3, true},
                                {w + 0.3, 4, true},
                                {0, 5.2, false}};
    struct cloth in = {.fabric = &g->inside, .puff = 0.3, .tone = -0.3};
    struct cloth out = {.fabric = &g->trim, .puff = 0.5, .shadow = 0.3};
    shape_mirrored(canvas->pen, 0, KNOTS(inner));
    canvas_cloth(canvas, &in);
    shape_mirrored(canvas->pen, 0, KNOTS(band));
    canvas_cloth(canvas, &out);
}

void draw_skirt(struct canvas *canvas, const struct garment *g)
{
    double kind = design_between(canvas, 0, 1);
    double more = design_between(canvas, 0, 1), y;
    struct skirt s = skirt_measures(canvas, g, kind);
    skirt_body(canvas, g, &s);
    y = s.length - 2.4;
    {
        const struct knot hem[] = {
            {-s.hem + 0.8, y - s.hem * s.round * 1.3, true},
            {-s.hem * 0.55, y - s.hem * s.round * 0.25, false},
            {0, y, false},
            {s.hem * 0.55, y - s.hem * s.round * 0.25, false},
            {s.hem - 0.8, y - s.hem * s.round * 1.3, true}};
        trim_stitches(canvas, trim_thread(g), KNOTS(hem));
    }
    if (more < 0.3 && kind < 0.65) {
        const struct knot front[] = {{2, 4, true}, {2, s.length - 1, true}};
        trim_seam(canvas, g, KNOTS(front));
        trim_buttons(canvas, g, 0, 8, s.length * 0.82, 1,
                     4 + (int)(s.length / 18));
    } else if (more < 0.55 && kind < 0.65) {
        for (int side = -1; side <= 1; side += 2)
            trim_patch(canvas, g, side * s.waist * 0.62, 9, 10.5, 12, 0);
    }
    skirt_waist(canvas, g, &s);
    if (g->design->hung)
        hanger_with_clips(canvas, s.waist);
}
