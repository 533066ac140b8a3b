/* draw_tops.c: t-shirts, shirts, blouses, and what is knitted. */
#include "garments.h"

#include "neck.h"
#include "print.h"
#include "trim.h"

#include <math.h>

/* What the neck's name says about its measures. */
static void set_neck(struct top *t, enum neck neck)
{
    t->pointed = neck == NECK_V;
    t->square = neck == NECK_SQUARE;
    switch (neck) {
    case NECK_V:
        t->depth = 17;
        return;
    case NECK_SCOOP:
        t->neck = 10.5;
        t->depth = 13;
        return;
    case NECK_BOAT:
        t->neck = 13;
        t->depth = 4.2;
        return;
    case NECK_SQUARE:
        t->neck = 11;
        t->depth = 11;
        return;
    case NECK_COLLAR:
    case NECK_STAND:
        t->neck = 7;
        t->depth = 6;
        return;
    case NECK_NONE:
    case NECK_CREW:
    case NECK_ROLL:
    case NECK_LAPEL:
    case NECK_HOOD:
    case N_NECKS:
        break;
    }
}

void draw_tee(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 24, 62 + 9 * g->design->length);
    set_neck(&t, g->design->neck);
    top_sleeves_set(&t, g, 0.85);
    t.puff = 0.5;
    top_draw_back(canvas, g, &t);
    neck_band_back(canvas, g, &t, 1.9);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    neck_band_front(canvas, &t, 2, &g->trim);
    print_draw(canvas, g, t.armpit + 4 + t.depth * 0.3, 22);
    if (g->design->seed % 4 == 0 && !g->design->print)
        trim_patch(canvas, g, 10, t.armpit - 4, 9, 10, 0);
}

/* ---- with a front that is buttoned --------------------------------------- */

static void placket(struct canvas *canvas, const struct garment *g, double y0,
                    double y1, int buttons)
{
    const struct knot strip[] = {
        {-1.7, y0, true}, {1.7, y0, true}, {1.7, y1, true}, {-1.7, y1, true}};
    const struct knot left[] = {{-1.2, y0, true}, {-1.2, y1, true}};
    const struct knot right[] = {{1.2, y0, true}, {1.2, y1, true}};
    struct cloth cloth = {.fabric = &g->main, .puff = 0.25, .shadow = 0.25};
    shape_closed(canvas->pen, KNOTS(strip));
    canvas_cloth(canvas, &cloth);
    trim_stitches(canvas, trim_thread(g), KNOTS(left));
    trim_stitches(canvas, trim_thread(g), KNOTS(right));
    trim_buttons(canvas, g, 0, y0 + 4, y1 - 8, 0.85, buttons);
}

void draw_shirt(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 25, 68 + 8 * g->design->length);
    double pocket = design_between(canvas, 0, 1);
    set_neck(&t, g->design->neck);
    top_sleeves_set(&t, g, 0.33);
    t.hem_drop = design_between(canvas, 0, 1) < 0.6 ? 5 : 0;
    if (g->design->sleeve == SLEEVE_LONG) {
        t.cuff_height = 6;
        t.bell = 0.16;
    }
    top_draw_back(canvas, g, &t);
    neck_collar_back(canvas, g, &t, g->design->neck == NECK_STAND ? 2.6 : 3.6);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    placket(canvas, g, t.depth - 0.5, t.hem_y + t.hem_drop - 0.6, 6);
    if (pocket < 0.65)
        trim_patch(canvas, g, 11, t.armpit - 2, 10, 11.5, pocket < 0.2 ? 4 : 0);
    if (pocket < 0.2)
        trim_patch(canvas, g, -11, t.armpit - 2, 10, 11.5, 4);
    if (g->design->neck == NECK_STAND)
        neck_stand(canvas, g, &t, 2.8);
    else
        neck_collar(canvas, g, &t, design_between(canvas, 4.5, 7.5), 0.4);
}

void draw_blouse(struct canvas *canvas, const struct garment *g)
{
    struct top t = top_measures(g, 24, 58 + 8 * g->design->length);
    set_neck(&t, g->design->neck);
    top_sleeves_set(&t, g, 0.36);
    t.bell = design_between(canvas, 0.3, 0.75);
    t.cuff *= 0.86;
    t.cuff_height = design_between(canvas, 2, 5);
    t.hem *= design_between(canvas, 1, 1.14);
    t.folds = 1.35;
    t.puff = 0.5;
    top_draw_back(canvas, g, &t);
    if (g->design->neck == NECK_STAND)
        neck_collar_back(canvas, g, &t, 2.4);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    if (g->design->closing == CLOSE_HALF && !t.square)
        placket(canvas, g, t.depth - 0.3, t.depth + 20, 4);
    if (g->design->neck == NECK_STAND)
        neck_stand(canvas, g, &t, 2.4);
    else
        neck_band_front(canvas, &t, 1.3, &g->trim);
}

/* ---- knitted ------------------------------------------------------------- */

static struct top knitted(struct canvas *canvas, const struct garment *g,
                          double chest, double length)
{
    struct top t = top_measures(g, chest, length);
    top_sleeves_set(&t, g, design_between(canvas, 0.26, 0.44));
    t.rib = true;
    t.cuff_height = 6;
    t.bell = 0.12;
    t.hem_height = 6;
    t.folds = 0.75;
    t.slope = 5;
    return t;
}

void draw_jumper(struct canvas *canvas, const struct garment *g)
{
    struct top t = knitted(canvas, g, 27, 60 + 8 * g->design->length);
    t.puff = 1;
    t.cuff_height = 7;
    t.hem_height = 7;
    t.cuff += 1.5;
    t.depth = 6;
    t.shoulder *= 1.03;
    top_draw_back(canvas, g, &t);
    neck_band_back(canvas, g, &t, 3);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    if (g->design->neck == NECK_ROLL)
        neck_roll(canvas, g, &t, 7.5);
    else
        neck_band_front(canvas, &t, 3.4, &g->rib);
}

void draw_sweater(struct canvas *canvas, const struct garment *g)
{
    struct top t = knitted(canvas, g, 25, 60 + 7 * g->design->length);
    set_neck(&t, g->design->neck);
    t.raglan =
        design_between(canvas, 0, 1) < 0.4 && g->design->neck != NECK_BOAT;
    t.cuff_height = 5;
    t.hem_height = 5;
    top_draw_back(canvas, g, &t);
    neck_band_back(canvas, g, &t, 2);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    neck_band_front(canvas, &t, 2.3, &g->rib);
}

static void pouch(struct canvas *canvas, const struct garment *g,
                  const struct top *t)
{
    double y = t->hem_y - t->hem_height, w = t->hem * 0.6;
    const struct knot half[] = {
        {0, y - 17, true},  {w * 0.62, y - 17, true}, {w * 0.92, y - 8, false},
        {w, y - 5.5, true}, {w, y - 0.4, true},       {0, y - 0.4, true},
    };
    const struct knot edge[] = {{w * 0.57, y - 16.3, true},
                                {w * 0.86, y - 8, false},
                                {w * 0.95, y - 5.4, true}};
    struct cloth cloth = {.fabric = &g->main, .puff = 0.55, .shadow = 0.32};
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    canvas_fold(canvas, -w * 0.5, y - 13, w * 0.3, y - 3, 1, 2.4, 0.4);
    canvas_cloth(canvas, &cloth);
    trim_stitches(canvas, trim_thread(g), KNOTS(edge));
}

void draw_hood(struct canvas *canvas, const struct garment *g)
{
    struct top t = knitted(canvas, g, 26, 62 + 8 * g->design->length);
    double size = design_between(canvas, 17, 23);
    t.puff = 0.85;
    t.depth = 7;
    t.folds = 1.05;
    neck_hood_back(canvas, g, &t, size);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    print_draw(canvas, g, t.armpit + 6, 17);
    pouch(canvas, g, &t);
    if (g->design->closing == CLOSE_ZIP)
        trim_zip(canvas, g, 0, t.depth, 0, t.hem_y);
    neck_hood_front(canvas, g, &t, size, true);
}

void draw_cardigan(struct canvas *canvas, const struct garment *g)
{
    struct top t = knitted(canvas, g, 25, 60 + 16 * g->design->length);
    double y;
    t.pointed = true;
    t.depth = design_between(canvas, 20, 29);
    t.puff = g->main.weave == WEAVE_CHUNKY_KNIT ? 0.95 : 0.65;
    y = t.depth;
    top_draw_back(canvas, g, &t);
    neck_band_back(canvas, g, &t, 2.4);
    top_draw_sleeves(canvas, g, &t);
    top_draw_front(canvas, g, &t);
    if (g->design->length > 0.4)
        for (int side = -1; side <= 1; side += 2)
            trim_patch(canvas, g, side * 12.5, t.hem_y - 22, 11, 13, 0);
    {
        const struct knot band[] = {{-1.8, y - 2, true},
                                    {1.8, y - 2, true},
                                    {1.8, t.hem_y + 0.4, true},
                                    {-1.8, t.hem_y + 0.4, true}};
        struct cloth cloth = {.fabric = &g->rib, .puff = 0.5, .shadow = 0.3};
        neck_band_front(canvas, &t, 3.2, &g->rib);
        shape_closed(canvas->pen, KNOTS(band));
        canvas_cloth(canvas, &cloth);
    }
    trim_buttons(canvas, g, 0, y + 1.5, t.hem_y - 4, 1.1, 5);
}
