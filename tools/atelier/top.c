/* top.c: backs, sleeves and fronts. */
#include "top.h"

#include "hanger.h"
#include "trim.h"

#include <math.h>
#include <string.h>

struct top top_measures(const struct garment *garment, double chest,
                        double length)
{
    const struct design *d = garment->design;
    double wide = 0.92 + 0.2 * d->fit;
    struct top top = {
        .neck = 8.2,
        .depth = 8,
        .shoulder = chest * (0.84 + 0.08 * d->fit),
        .slope = 5.4,
        .armpit = 23.5 + 2.5 * d->fit,
        .chest = chest * wide,
        .waist = chest * wide * (0.9 + 0.09 * d->fit),
        .hem = chest * wide * (0.97 + 0.04 * d->fit),
        .hem_y = length,
        .puff = 0.6,
        .folds = 1,
    };
    top.waist_y = top.armpit + (length - top.armpit) * 0.45;
    return top;
}

void top_sleeves_set(struct top *top, const struct garment *garment,
                     double spread)
{
    double fit = garment->design->fit;
    top->spread = garment->design->hung ? 0.21 : spread;
    switch (garment->design->sleeve) {
    case SLEEVE_SHORT:
        top->sleeve = 19 + 3 * fit;
        top->cuff = 15 + 4 * fit;
        top->spread = garment->design->hung ? 0.5 : 0.85;
        return;
    case SLEEVE_MIDDLE:
        top->sleeve = 37;
        top->spread = fmax(spread, 0.32);
        top->cuff = 12.5 + 2 * fit;
        return;
    case SLEEVE_LONG:
        top->sleeve = 57;
        top->cuff = 9.2 + 2 * fit;
        return;
    case SLEEVE_NONE:
    case N_SLEEVES:
        break;
    }
    top->sleeve = 0;
}

size_t top_neckline(const struct top *t, struct knot k[4])
{
    size_t n = 0;
    k[n++] = (struct knot){0, t->depth, t->pointed};
    if (t->square)
        k[n++] = (struct knot){t->neck * 0.86, t->depth, true};
    else if (!t->pointed)
        k[n++] = (struct knot){t->neck * 0.62, t->depth * 0.78, false};
    else
        k[n++] = (struct knot){t->neck * 0.58, t->depth * 0.45, false};
    k[n++] = (struct knot){t->neck, 0, true};
    return n;
}

double top_half_width(const struct top *t, double y)
{
    if (y < t->waist_y)
        return t->chest + (t->waist - t->chest) * (y - t->armpit) /
                              (t->waist_y - t->armpit);
    return t->waist +
           (t->hem - t->waist) * (y - t->waist_y) / (t->hem_y - t->waist_y);
}

/* ---- the back ------------------------------------------------------------ */

void top_draw_back(struct canvas *canvas, const struct garment *garment,
                   const struct top *t)
{
    struct knot half[8], line[4];
    size_t n = 0, m = top_neckline(t, line);
    struct cloth cloth = {
        .fabric = &garment->inside, .puff = 0.3, .tone = -0.2};
    if (garment->design->hung)
        hanger_for_top(canvas, t->shoulder, t->slope);
    half[n++] = (struct knot){0, 1.6, false};
    half[n++] = (struct knot){t->neck * 0.6, 1.2, false};
    half[n++] = (struct knot){t->neck + 0.4, -0.3, true};
    for (size_t i = m - 1; i-- > 0;)
        half[n++] = (struct knot){line[i].x, line[i].y + 3, line[i].corner};
    shape_mirrored(canvas->pen, 0, half, n);
    canvas_cloth(canvas, &cloth);
    trim_label(canvas, 0, 3.9, 5, 2.6);
}

/* ---- sleeves ------------------------------------------------------------- */

/* The joints of the right sleeve; the left is its mirror image. */
struct arm {
    double x[3], y[3];   /* shoulder, elbow, wrist: the outer line */
    double dx[3], dy[3]; /* direction towards the hand */
    double width[3];
};

static struct arm right_arm(const struct top *t)
{
    struct arm a;
    double angles[3] = {t->spread, t->spread * 0.9, t->spread * 0.72};
    a.x[0] = t->shoulder;
    a.y[0] = t->slope;
    for (int i = 0; i < 3; i++) {
        a.dx[i] = sin(angles[i]);
        a.dy[i] = cos(angles[i]);
        if (i)
            a.x[i] = a.x[i - 1] + a.dx[i] * t->sleeve / 2;
        if (i)
            a.y[i] = a.y[i - 1] + a.dy[i] * t->sleeve / 2;
    }
    a.width[0] = hypot(t->chest - t->shoulder, t->armpit - t->slope);
    a.width[2] = t->cuff * (1 + t->bell);
    a.width[1] = a.width[0] * 0.38 + a.width[2] * 0.62;
    return a;
}

/* Points of the sleeve: `along` 0..2 joints, `across` 0 outer .. 1 inner. */
static struct knot arm_point(const struct arm *a, int joint, double back,
                             double across, double side, bool corner)
{
    double w = a->width[joint] * across;
    return (struct knot){
        side * (a->x[joint] - a->dx[joint] * back - a->dy[joint] * w),
        a->y[joint] - a->dy[joint] * back + a->dx[joint] * w, corner};
}

static void sleeve_folds(struct canvas *canvas, const struct top *t,
                         const struct arm *a, double side)
{
    struct knot in = arm_point(a, 1, 0, 0.5, side, false);
    struct knot end = arm_point(a, 2, 3, 0.5, side, false);
    double h = 0.55 * t->folds;
    int n = t->sleeve > 30 ? 3 : 1;
    shape_creases(canvas, side * t->chest * 0.93, t->armpit - 3, in.x, in.y,
                  a->width[1], h, n);
    if (t->sleeve > 30)
        shape_creases(canvas, in.x, in.y, end.x, end.y, a->width[1] * 0.9,
                      h * 0.9, 3);
    /* long ones along the arm, as sleeves that are laid flat have */
    canvas_fold(canvas, side * t->shoulder, t->slope + 8, in.x, in.y,
                photo_between(canvas, -1.5, 1.5), 2.4, h * 0.7);
}

static void cuff(struct canvas *canvas, const struct garment *garment,
                 const struct top *t, const struct arm *a, double side)
{
    struct arm end = *a;
    struct knot k[4], s[2];
    struct cloth cloth = {.fabric = t->rib ? &garment->rib : &garment->trim,
                          .x = side * a->x[2],
                          .y = a->y[2],
                          .angle = -side * t->spread * 0.72,
                          .puff = t->puff,
                          .shadow = 0.2};
    double gap = t->bell > 0.01 ? (t->bell * t->cuff) / 2 : 0;
    end.width[2] = t->cuff;
    end.x[2] -= a->dy[2] * gap;
    end.y[2] += a->dx[2] * gap;
    k[0] = arm_point(&end, 2, 0, 0, side, true);
    k[1] = arm_point(&end, 2, 0, 1, side, true);
    k[2] = arm_point(&end, 2, t->cuff_height, 1.03, side, true);
    k[3] = arm_point(&end, 2, t->cuff_height, -0.03, side, true);
    shape_closed(canvas->pen, KNOTS(k));
    canvas_cloth(canvas, &cloth);
    if (!t->rib) {
        s[0] = arm_point(&end, 2, 0.7, 0.04, side, true);
        s[1] = arm_point(&end, 2, 0.7, 0.96, side, true);
        trim_stitches(canvas, trim_thread(garment), KNOTS(s));
        k[0] = arm_point(&end, 2, t->cuff_height / 2, 0.16, side, true);
        if (garment->design->closing == CLOSE_BUTTONS)
            trim_button(canvas, garment, k[0].x, k[0].y, 0.7);
    }
}

/* Sleeves that hang lie over the body, others beside it. */
static bool in_front(const struct top *t)
{
    return t->sleeve > 40 && t->spread < 0.23;
}

static void sleeve(struct canvas *canvas, const struct garment *garment,
                   const struct top *t, double side)
{
    struct arm a = right_arm(t);
    double back = t->cuff_height * 0.8;
    struct knot k[12], s[2];
    size_t n = 0;
    struct cloth cloth = {.fabric = &garment->main,
                          .x = side * a.x[0],
                          .y = a.y[0],
                          .angle = -side * t->spread,
                          .puff = t->puff,
                          .shadow = 0.2};
    k[n++] = (struct knot){side * (t->shoulder - 5), t->slope - 1.3, true};
    k[n++] = (struct knot){side * (t->shoulder - 0.4), t->slope - 0.2, false};
    k[n++] = (struct knot){side * (t->shoulder + 1.6 + 3 * t->spread),
                           t->slope + 3.4, false};
    k[n++] = arm_point(&a, 1, 0, -0.03, side, false);
    k[n++] = arm_point(&a, 2, back + 2, 0, side, false);
    k[n++] = arm_point(&a, 2, back, 0.03, side, true);
    k[n++] = arm_point(&a, 2, back, 0.97, side, true);
    k[n++] = arm_point(&a, 2, back + 2, 1, side, false);
    k[n++] = arm_point(&a, 1, 0, 1, side, false);
    if (in_front(t)) {
        k[n++] = (struct knot){side * (t->chest - 2.4), t->armpit + 1, true};
        k[n++] =
            (struct knot){side * (t->shoulder - 3.6), t->armpit * 0.6, false};
        k[0] = (struct knot){side * (t->shoulder - 1.4), t->slope + 0.3, true};
        k[1].y = t->slope + 0.5;
    } else {
        k[n++] = (struct knot){side * (t->chest - 0.8), t->armpit + 4, false};
        k[n++] = (struct knot){side * (t->chest - 5), t->armpit - 2, true};
    }
    shape_closed(canvas->pen, k, n);
    sleeve_folds(canvas, t, &a, side);
    canvas_cloth(canvas, &cloth);
    if (t->cuff_height > 0) {
        cuff(canvas, garment, t, &a, side);
    } else {
        s[0] = arm_point(&a, 2, 1.9, 0.03, side, true);
        s[1] = arm_point(&a, 2, 1.9, 0.97, side, true);
        trim_seam(canvas, garment, KNOTS(s));
    }
}

void top_draw_sleeves(struct canvas *canvas, const struct garment *garment,
                      const struct top *top)
{
    if (top->sleeve <= 0 || in_front(top))
        return;
    sleeve(canvas, garment, top, -1);
    sleeve(canvas, garment, top, 1);
}

static void sleeves_in_front(struct canvas *canvas,
                             const struct garment *garment,
                             const struct top *top)
{
    if (!in_front(top))
        return;
    sleeve(canvas, garment, top, -1);
    sleeve(canvas, garment, top, 1);
}

/* ---- the front ----------------------------------------------------------- */

static size_t side_line(const struct top *t, struct knot *k)
{
    double rib = t->hem_height;
    size_t n = 0;
    if (t->sleeve <= 0) { /* the armhole is an edge, cut in deeper */
        double in = t->shoulder * 0.86;
        k[n++] = (struct knot){in, t->slope * 0.9, true};
        k[n++] = (struct knot){in - 0.6, t->armpit * 0.55, false};
        k[n++] = (struct knot){t->chest * 0.86, t->armpit * 0.86, false};
    } else {
        k[n++] = (struct knot){t->shoulder - 0.5, t->slope, true};
        k[n++] = (struct knot){t->shoulder - 1.3, t->armpit * 0.55, false};
        k[n++] = (struct knot){t->chest - 2.2, t->armpit - 2.2, false};
    }
    k[n++] = (struct knot){t->chest, t->armpit, true};
    k[n++] = (struct knot){t->waist, t->waist_y, false};
    if (rib > 0) {
        k[n++] = (struct knot){t->hem, t->hem_y - rib - 3, false};
        k[n++] = (struct knot){t->hem * 0.96, t->hem_y - rib * 0.8, true};
    } else {
        k[n++] = (struct knot){t->hem, t->hem_y, true};
    }
    return n;
}

static void front_folds(struct canvas *canvas, const struct top *t)
{
    double h = 0.5 * t->folds, low = t->hem_y - t->waist_y;
    for (int side = -1; side <= 1; side += 2) {
        struct drape pull = {side * t->chest * 0.9,
                             t->armpit - 1,
                             side * t->chest * 0.95,
                             t->armpit + 9,
                             -side * 0.75,
                             0.25,
                             17,
                             1.5,
                             h};
        struct drape hem = {side * t->hem * 0.15,
                            t->hem_y + low * 0.06,
                            side * t->hem * 0.9,
                            t->hem_y + low * 0.04,
                            side * 0.08,
                            0.1,
                            -low * 1.05,
                            2.2,
                            h * 0.6};
        shape_drape(canvas, &pull, 3);
        shape_drape(canvas, &hem, 3);
        canvas_fold(canvas, side * t->shoulder * 0.8, t->slope + 3,
                    side * t->chest * 0.55, t->armpit + 10,
                    photo_between(canvas, -2, 2), 2.6, h * 0.7);
    }
}

static void front_half(struct canvas *canvas, const struct garment *garment,
                       const struct top *t, double side)
{
    struct knot k[12], line[4];
    size_t n = 0, m = top_neckline(t, line);
    double gap = t->open, drop = t->hem_drop;
    struct cloth cloth = {
        .fabric = &garment->main, .puff = t->puff, .shadow = 0.34};
    for (size_t i = 0; i < m; i++)
        k[n++] = line[i];
    k[0].x = gap;
    n += side_line(t, k + n);
    k[n++] = (struct knot){t->hem * 0.5, t->hem_y + drop * 0.7, false};
    k[n++] = (struct knot){gap * 1.2, t->hem_y + drop, true};
    for (size_t i = 0; i < n; i++)
        k[i].x *= side;
    shape_closed(canvas->pen, k, n);
    front_folds(canvas, t);
    canvas_cloth(canvas, &cloth);
}

static void whole_front(struct canvas *canvas, const struct garment *garment,
                        const struct top *t)
{
    struct knot k[12];
    size_t n = top_neckline(t, k);
    struct cloth cloth = {
        .fabric = &garment->main, .puff = t->puff, .shadow = 0.34};
    n += side_line(t, k + n);
    if (t->hem_height > 0) {
        k[n++] = (struct knot){0, t->hem_y - t->hem_height * 0.8, false};
    } else {
        k[n++] =
            (struct knot){t->hem * 0.55, t->hem_y + t->hem_drop * 0.75, false};
        k[n++] = (struct knot){0, t->hem_y + t->hem_drop, false};
    }
    shape_mirrored(canvas->pen, 0, k, n);
    front_folds(canvas, t);
    canvas_cloth(canvas, &cloth);
}

static void ribbed_hem(struct canvas *canvas, const struct garment *garment,
                       const struct top *t)
{
    double top = t->hem_y - t->hem_height, w = t->hem * 0.9;
    const struct knot half[] = {
        {0, top + 0.2, false},
        {t->hem * 0.955, top - 0.2, true},
        {w + 0.4, t->hem_y - t->hem_height * 0.4, false},
        {w, t->hem_y, true},
        {0, t->hem_y + 0.5, false},
    };
    struct cloth cloth = {
        .fabric = &garment->rib, .puff = t->puff, .shadow = 0.2};
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    canvas_cloth(canvas, &cloth);
}

static void sewn_hem(struct canvas *canvas, const struct garment *garment,
                     const struct top *t)
{
    double y = t->hem_y - 2;
    const struct knot line[] = {
        {-t->hem + 0.3, y, true},
        {-t->hem * 0.5, y + t->hem_drop * 0.72, false},
        {0, y + t->hem_drop, false},
        {t->hem * 0.5, y + t->hem_drop * 0.72, false},
        {t->hem - 0.3, y, true},
    };
    trim_stitches(canvas, trim_thread(garment), KNOTS(line));
}

static void raglan_seams(struct canvas *canvas, const struct garment *garment,
                         const struct top *t)
{
    for (int side = -1; side <= 1; side += 2) {
        const struct knot line[] = {
            {side * t->neck * 0.97, 1.2, true},
            {side * (t->neck + t->chest) * 0.55, t->armpit * 0.55, false},
            {side * (t->chest - 0.4), t->armpit, true},
        };
        trim_seam(canvas, garment, KNOTS(line));
    }
}

void top_draw_front(struct canvas *canvas, const struct garment *garment,
                    const struct top *t)
{
    if (t->open > 0) {
        front_half(canvas, garment, t, -1);
        front_half(canvas, garment, t, 1);
        sleeves_in_front(canvas, garment, t);
        return;
    }
    whole_front(canvas, garment, t);
    if (t->raglan)
        raglan_seams(canvas, garment, t);
    if (t->hem_height > 0)
        ribbed_hem(canvas, garment, t);
    else if (garment->main.weave != WEAVE_WOOL)
        sewn_hem(canvas, garment, t);
    sleeves_in_front(canvas, garment, t);
}

void top_draw(struct canvas *canvas, const struct garment *garment,
              const struct top *top)
{
    top_draw_back(canvas, garment, top);
    top_draw_sleeves(canvas, garment, top);
    top_draw_front(canvas, garment, top);
}
