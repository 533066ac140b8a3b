/* draw_legs.c: trousers, jeans, shorts. Two legs, then the waist over both. */
#include "garments.h"

#include "hanger.h"
#include "trim.h"

#include <math.h>

struct legs {
    double waist, hip, crotch; /* half widths; y of the crotch */
    double knee, hem;          /* widths of a leg */
    double length, spread;     /* how far apart the feet are */
    bool crease, cuffs;
    double folds;
};

/* The outer and inner line of the right leg at y. */
static double outer(const struct legs *l, double y)
{
    return l->hip + 0.6 + l->spread * (y - l->crotch) / l->length;
}

static void leg(struct canvas *canvas, const struct garment *g,
                const struct legs *l, double side)
{
    double knee_y = l->crotch + (l->length - l->crotch) * 0.48;
    double ko = outer(l, knee_y) - (l->hip - l->knee) * 0.32;
    double ho = outer(l, l->length) - (l->hip - l->hem) * 0.42;
    bool short_leg = l->length < 60;
    struct knot k[] = {
        {-0.4, 3, true},
        {l->waist, 3, true},
        {l->hip, l->crotch * 0.66, false},
        {l->hip + 0.5, l->crotch + 2, false},
        {ko, knee_y, false},
        {ho, l->length, true},
        {ho - l->hem, l->length + 0.6, true},
        {ko - l->knee, knee_y, false},
        {short_leg ? 1.6 : 1.2, l->crotch + 5, false},
        {0.2, l->crotch, true},
    };
    size_t n = sizeof(k) / sizeof(*k);
    struct cloth cloth = {.fabric = &g->main,
                          .x = side * l->waist * 0.5,
                          .angle = -side * 0.04,
                          .puff = 0.7,
                          .shadow = 0.25};
    struct drape crotch = {
        side * 1.5,    l->crotch - 3, side * 3, l->crotch + 8,
        side * 1.15,   0.35,          15,       1.4,
        0.5 * l->folds};
    for (size_t i = 0; i < n; i++)
        k[i].x *= side;
    shape_closed(canvas->pen, k, n);
    shape_drape(canvas, &crotch, 3);
    shape_creases(canvas, side * (ko - l->knee / 2), knee_y - 9,
                  side * (ko - l->knee / 2), knee_y + 9, l->knee,
                  0.45 * l->folds, short_leg ? 1 : 3);
    if (!short_leg)
        shape_creases(canvas, side * (ho - l->hem / 2), l->length - 16,
                      side * (ho - l->hem / 2), l->length - 4, l->hem,
                      0.45 * l->folds, 3);
    if (l->crease)
        canvas_fold(canvas, side * l->waist * 0.55, 10,
                    side * (ho - l->hem / 2), l->length + 12, 0, 0.9, 0.42);
    canvas_cloth(canvas, &cloth);
    if (l->cuffs) {
        const struct knot cuff[] = {
            {side * (ho + 0.5), l->length - 4, true},
            {side * (ho + 0.5), l->length + 0.4, true},
            {side * (ho - l->hem - 0.5), l->length + 1, true},
            {side * (ho - l->hem - 0.5), l->length - 3.4, true}};
        shape_closed(canvas->pen, KNOTS(cuff));
        canvas_cloth(canvas, &cloth);
    } else {
        const struct knot hem[] = {
            {side * (ho - 0.4), l->length - 1.8, true},
            {side * (ho - l->hem + 0.4), l->length - 1.2, true}};
        trim_stitches(canvas, trim_thread(g), KNOTS(hem));
    }
}

static void waist_inside(struct canvas *canvas, const struct garment *g,
                         const struct legs *l)
{
    const struct knot inner[] = {
        {0, -1.5, false}, {l->waist * 0.97, -0.4, true}, {0, 4, false}};
    struct cloth in = {.fabric = &g->inside, .puff = 0.3, .tone = -0.32};
    shape_mirrored(canvas->pen, 0, KNOTS(inner));
    canvas_cloth(canvas, &in);
    trim_label(canvas, 0, 0.2, 5, 2);
}

static void waistband(struct canvas *canvas, const struct garment *g,
                      const struct legs *l, bool loops)
{
    double w = l->waist;
    const struct knot band[] = {{0, 1.6, false},
                                {w - 0.4, -0.4, true},
                                {w + 0.3, 3.8, true},
                                {0, 6, false}};
    struct cloth out = {.fabric = &g->main, .puff = 0.45, .shadow = 0.3};
    shape_mirrored(canvas->pen, 0, KNOTS(band));
    canvas_cloth(canvas, &out);
    for (int i = -1; loops && i <= 1; i += 2) {
        double x = i * w * 0.56;
        const struct knot loop[] = {{x - 0.8, 0.4, true},
                                    {x + 0.8, 0.4, true},
                                    {x + 0.8, 6, true},
                                    {x - 0.8, 6, true}};
        shape_closed(canvas->pen, KNOTS(loop));
        canvas_cloth(canvas, &out);
    }
}

static void fly(struct canvas *canvas, const struct garment *g,
                const struct legs *l, struct rgb thread)
{
    const struct knot middle[] = {
        {0, 5.8, true}, {0.3, l->crotch * 0.6, false}, {0, l->crotch, true}};
    const struct knot stitched[] = {{3.6, 5.6, true},
                                    {3.4, l->crotch * 0.55, false},
                                    {2.2, l->crotch * 0.76, false},
                                    {0.3, l->crotch * 0.84, true}};
    trim_seam(canvas, g, KNOTS(middle));
    trim_stitches(canvas, thread, KNOTS(stitched));
}

static struct legs legs_measures(const struct garment *g)
{
    double fit = g->design->fit;
    return (struct legs){.waist = 18 + 1.5 * fit,
                         .hip = 22.5 + 3 * fit,
                         .crotch = 27 + 3 * fit,
                         .knee = 14 + 9 * fit,
                         .hem = 11 + 12 * fit,
                         .length = 92 + 12 * g->design->length,
                         .spread = 3 + 6 * fit,
                         .folds = 1};
}

/* ---- the three ----------------------------------------------------------- */

void draw_trousers(struct canvas *canvas, const struct garment *g)
{
    struct legs l = legs_measures(g);
    bool drawstring = design_between(canvas, 0, 1) < 0.25;
    l.crease = !drawstring && design_between(canvas, 0, 1) < 0.7;
    l.cuffs = design_between(canvas, 0, 1) < 0.3;
    l.folds = 0.8;
    l.knee += 2;
    waist_inside(canvas, g, &l);
    leg(canvas, g, &l, -1);
    leg(canvas, g, &l, 1);
    fly(canvas, g, &l, trim_thread(g));
    for (int side = -1; side <= 1; side += 2)
        trim_slit(canvas, g, side * (l.waist - 5), 5.5, side * (l.hip - 1.4),
                  19);
    waistband(canvas, g, &l, !drawstring);
    if (drawstring) {
        for (int side = -1; side <= 1; side += 2) {
            const struct knot string[] = {{side * 0.8, 4, true},
                                          {side * 2.2, 10, false},
                                          {side * 1.7, 17, true}};
            struct fabric cord = fabric_dyed(&g->main, trim_thread(g));
            struct cloth cloth = {
                .fabric = &cord, .puff = 0.5, .shadow = 0.3, .stroke = 0.9};
            shape_open(canvas->pen, KNOTS(string));
            canvas_cloth(canvas, &cloth);
        }
    } else {
        trim_button(canvas, g, 0, 3.9, 1);
    }
    if (g->design->hung)
        hanger_with_clips(canvas, l.waist);
}

/* Where the dye is worn off: thighs and knees. */
static void fade(struct canvas *canvas, const struct legs *l, double alpha)
{
    cairo_t *ink = canvas->ink;
    if (canvas->measuring)
        return;
    for (int side = -1; side <= 1; side += 2) {
        double x = side * (l->hip * 0.5 + 1.5);
        cairo_pattern_t *worn;
        cairo_save(ink);
        cairo_translate(ink, x, l->crotch + 14);
        cairo_scale(ink, 1, 3.6);
        worn = cairo_pattern_create_radial(0, 0, 0, 0, 0, l->knee * 0.5);
        cairo_pattern_add_color_stop_rgba(worn, 0, 1, 1, 1, alpha);
        cairo_pattern_add_color_stop_rgba(worn, 1, 1, 1, 1, 0);
        cairo_set_operator(ink, CAIRO_OPERATOR_ATOP);
        cairo_set_source(ink, worn);
        cairo_arc(ink, 0, 0, l->knee * 0.5, 0, 2 * M_PI);
        cairo_fill(ink);
        cairo_restore(ink);
        cairo_pattern_destroy(worn);
    }
}

static void jeans_pockets(struct canvas *canvas, const struct garment *g,
                          const struct legs *l, struct rgb thread)
{
    for (int side = -1; side <= 1; side += 2) {
        const struct knot pocket[] = {{side * (l->waist - 10), 5.4, true},
                                      {side * (l->waist - 8), 10.5, false},
                                      {side * (l->hip - 3), 13.6, false},
                                      {side * (l->hip - 0.2), 13.2, true}};
        const struct knot second[] = {{side * (l->waist - 11.2), 5.4, true},
                                      {side * (l->waist - 9), 11.4, false},
                                      {side * (l->hip - 3.4), 14.8, false},
                                      {side * (l->hip - 0.2), 14.4, true}};
        const struct knot outer_seam[] = {
            {side * (l->hip - 0.6), 15, true},
            {side * (l->hip - 0.5), l->crotch + 6, true}};
        trim_seam(canvas, g, KNOTS(pocket));
        trim_stitches(canvas, thread, KNOTS(second));
        trim_stitches(canvas, thread, KNOTS(outer_seam));
        trim_stud(canvas, g->metal, side * (l->waist - 9.8), 6.6, 0.5);
        trim_stud(canvas, g->metal, side * (l->hip - 1.4), 12.4, 0.5);
    }
}

void draw_jeans(struct canvas *canvas, const struct garment *g)
{
    struct legs l = legs_measures(g);
    struct rgb thread =
        g->design->seed % 3 ? (struct rgb){0.82f, 0.6f, 0.32f} : trim_thread(g);
    l.cuffs = design_between(canvas, 0, 1) < 0.25;
    l.folds = 1.15;
    waist_inside(canvas, g, &l);
    leg(canvas, g, &l, -1);
    leg(canvas, g, &l, 1);
    fade(canvas, &l, design_between(canvas, 0.05, g->dark ? 0.3 : 0.2));
    fly(canvas, g, &l, thread);
    jeans_pockets(canvas, g, &l, thread);
    waistband(canvas, g, &l, true);
    trim_stud(canvas, g->metal, 0, 3.9, 1.15);
}

void draw_shorts(struct canvas *canvas, const struct garment *g)
{
    struct legs l = legs_measures(g);
    l.length = 39 + 14 * g->design->length;
    l.knee = 20 + 4 * g->design->fit;
    l.hem = l.knee - 0.5 + 2 * g->design->fit;
    l.spread = 6;
    l.cuffs = design_between(canvas, 0, 1) < 0.35;
    waist_inside(canvas, g, &l);
    leg(canvas, g, &l, -1);
    leg(canvas, g, &l, 1);
    fly(canvas, g, &l, trim_thread(g));
    for (int side = -1; side <= 1; side += 2)
        trim_slit(canvas, g, side * (l.waist - 5), 5.5, side * (l.hip - 1.4),
                  19);
    waistband(canvas, g, &l, true);
    trim_button(canvas, g, 0, 3.9, 1);
}
