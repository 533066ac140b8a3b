/* draw_heads.c: hats and caps, and what else keeps warm: scarves, gloves. */
#include "garments.h"

#include "trim.h"

#include <math.h>

/* ---- hats with a brim ---------------------------------------------------- */

static void brimmed(struct canvas *canvas, const struct garment *g)
{
    double brim = 36 + 16 * g->design->fit, tall = 24 + 9 * g->design->length;
    double drop = design_between(canvas, 6, 11), w = 23;
    bool pinched = g->main.weave == WEAVE_WOOL;
    const struct knot edge[] = {
        {0, -4 - drop * 0.3, false}, {brim * 0.6, -3 - drop * 0.2, false},
        {brim * 0.97, -1.6, false},  {brim, 1.6, false},
        {brim * 0.93, 4.4, false},   {brim * 0.55, drop, false},
        {0, drop + 1.6, false}};
    const struct knot crown[] = {
        {0, -tall + (pinched ? 4.5 : -1.5), false},
        {w * 0.4, -tall + (pinched ? 0.4 : -0.6), false},
        {w * 0.82, -tall + 2.6, false},
        {w * 0.97, -tall * 0.62, false},
        {w * 1.06, 0, true},
        {w * 0.6, 3, false},
        {0, 3.8, false}};
    const struct knot ribbon[] = {{0, -4.4, false},     {w * 0.6, -5.2, false},
                                  {w * 1.03, -8, true}, {w * 1.06, 0, true},
                                  {w * 0.6, 3, false},  {0, 3.8, false}};
    struct fabric band = fabric_plain(&g->main, WEAVE_RIB);
    struct cloth felt = {.fabric = &g->main, .puff = 0.8, .shadow = 0.3};
    struct cloth silk = {.fabric = &band, .puff = 0.4, .shadow = 0.2};
    band.base = g->main.second;
    band.weave = WEAVE_COTTON;
    shape_mirrored(canvas->pen, 0, KNOTS(edge));
    canvas_fold(canvas, -brim * 0.9, 1, brim * 0.6, drop * 0.6, 1, 4, 0.5);
    canvas_cloth(canvas, &felt);
    felt.shadow = 0.5;
    felt.puff = 1;
    shape_mirrored(canvas->pen, 0, KNOTS(crown));
    if (pinched) {
        canvas_fold(canvas, -w * 0.34, -tall + 2, -w * 0.5, -9, -2, 3.4, -0.8);
        canvas_fold(canvas, w * 0.34, -tall + 2, w * 0.5, -9, 2, 3.4, -0.8);
        canvas_fold(canvas, 0, -tall + 4, 0, -12, 0, 3.6, 0.5);
    }
    canvas_cloth(canvas, &felt);
    shape_mirrored(canvas->pen, 0, KNOTS(ribbon));
    canvas_cloth(canvas, &silk);
}

/* ---- beanies ------------------------------------------------------------- */

static void bobble(struct canvas *canvas, const struct garment *g, double y)
{
    struct fabric wool = fabric_dyed(&g->main, g->main.second);
    struct cloth cloth = {.fabric = &wool, .puff = 1, .shadow = 0.35};
    double r = 8.5;
    wool.weave = WEAVE_WOOL;
    for (int i = 0; i <= 90; i++) { /* a fringed edge */
        double a = i * 2 * M_PI / 90;
        double d =
            r * (i & 1 ? 1.04 : 0.95) + design_between(canvas, -0.4, 0.4);
        cairo_line_to(canvas->pen, d * cos(a), y + d * sin(a));
    }
    for (int i = 0; i < 9; i++) {
        double a = photo_between(canvas, 0, 6.28);
        canvas_fold(canvas, 0, y, r * cos(a), y + r * sin(a), 0, 0.9, 0.5);
    }
    canvas_cloth(canvas, &cloth);
}

static void beanie(struct canvas *canvas, const struct garment *g)
{
    double tall = 34 + 8 * g->design->length, w = 25, up = 11;
    const struct knot dome[] = {{0, -tall, false},
                                {w * 0.42, -tall + 1.6, false},
                                {w * 0.82, -tall * 0.66, false},
                                {w * 0.98, -tall * 0.25, false},
                                {w, 0, true},
                                {0, 1.5, false}};
    const struct knot cuff[] = {{0, -up - 0.6, false},
                                {w + 0.9, -up - 2, true},
                                {w + 1.6, 1, true},
                                {0, 3, false}};
    struct cloth body = {.fabric = &g->main, .puff = 1, .shadow = 0.3};
    struct cloth rib = {.fabric = &g->rib, .puff = 1, .shadow = 0.45};
    if (g->design->seed % 2)
        bobble(canvas, g, -tall - 5);
    shape_mirrored(canvas->pen, 0, KNOTS(dome));
    for (int i = -2; i <= 2; i++)
        canvas_fold(canvas, i * 3, -tall, i * w * 0.42, -8, i * 1.5, 2.6, 0.4);
    canvas_cloth(canvas, &body);
    shape_mirrored(canvas->pen, 0, KNOTS(cuff));
    canvas_cloth(canvas, &rib);
}

void draw_hat(struct canvas *canvas, const struct garment *g)
{
    if (g->main.weave == WEAVE_CHUNKY_KNIT)
        beanie(canvas, g);
    else
        brimmed(canvas, g);
}

/* ---- caps ---------------------------------------------------------------- */

void draw_cap(struct canvas *canvas, const struct garment *g)
{
    double tall = 27 + 5 * g->design->length;
    bool flip = design_between(canvas, 0, 1) < 0.5;
    const struct knot dome[] = {
        {-25, 0, true},     {-25.5, -10, false},    {-19, -tall + 5, false},
        {-4, -tall, false}, {13, -tall + 5, false}, {24, -13, false},
        {26.5, 1, true},    {10, 4.6, false},       {-10, 4.2, false}};
    const struct knot peak[] = {
        {-25.4, -4.6, true}, {-38, -3.6, false}, {-49, 3, false},
        {-52, 8.6, false},   {-46, 10, false},   {-28, 8, false},
        {-8, 8.4, false},    {4, 6.2, true},     {-10, 0, false}};
    const struct knot under[] = {{-52, 8.4, true},   {-46, 11.4, false},
                                 {-28, 10.4, false}, {-8, 9.6, false},
                                 {4, 6.4, true},     {-20, 6, false}};
    const struct knot seam_front[] = {
        {-4, -tall, true}, {-14, -tall * 0.6, false}, {-18, 3, true}};
    const struct knot seam_side[] = {
        {-4, -tall, true}, {6, -tall * 0.62, false}, {8.5, 4.6, true}};
    const struct knot seam_back[] = {
        {-4, -tall, true}, {15, -tall * 0.72, false}, {24, -6, true}};
    const struct knot rows[] = {
        {-27, -2, true}, {-40, 0.6, false}, {-49, 6.4, true}};
    const struct knot rows2[] = {
        {-22, 1, true}, {-36, 3.2, false}, {-45, 8, true}};
    struct fabric visor = g->main;
    struct cloth body = {.fabric = &g->main, .puff = 1, .shadow = 0.3};
    struct cloth brim = {.fabric = &visor, .puff = 0.6, .shadow = 0.4};
    if (g->design->second_scheme == 2)
        visor = fabric_dyed(&g->main, g->main.second);
    canvas_enter(canvas, 0, 0, 0, flip);
    shape_closed(canvas->pen, KNOTS(dome));
    canvas_fold(canvas, -8, -tall, -20, -2, 2, 5, 0.3);
    canvas_cloth(canvas, &body);
    trim_seam(canvas, g, KNOTS(seam_front));
    trim_seam(canvas, g, KNOTS(seam_side));
    trim_seam(canvas, g, KNOTS(seam_back));
    brim.tone = -0.3;
    shape_closed(canvas->pen, KNOTS(under));
    canvas_cloth(canvas, &brim);
    brim.tone = 0;
    shape_closed(canvas->pen, KNOTS(peak));
    canvas_cloth(canvas, &brim);
    trim_stitches(canvas, trim_thread(g), KNOTS(rows));
    trim_stitches(canvas, trim_thread(g), KNOTS(rows2));
    trim_stud(canvas, g->main.base, -4, -tall + 0.6, 1.7);
    trim_stud(canvas, g->metal, -12, -tall * 0.55, 0.6);
    trim_stud(canvas, g->metal, 14, -tall * 0.5, 0.6);
    canvas_leave(canvas);
}

/* ---- scarves ------------------------------------------------------------- */

static void fringe(struct canvas *canvas, const struct garment *g, double x0,
                   double x1, double y, double length)
{
    struct cloth yarn = {
        .fabric = &g->main, .puff = 0.4, .shadow = 0.15, .stroke = 0.8};
    int n = (int)((x1 - x0) / 1.35);
    for (int i = 0; i <= n; i++) {
        double x = x0 + (x1 - x0) * i / n;
        cairo_move_to(canvas->pen, x, y - 1);
        cairo_curve_to(canvas->pen, x, y + length * 0.4,
                       x + photo_between(canvas, -1.2, 1.2), y + length * 0.6,
                       x + photo_between(canvas, -1.2, 1.2),
                       y + length * photo_between(canvas, 0.85, 1.05));
    }
    canvas_cloth(canvas, &yarn);
}

static void tail(struct canvas *canvas, const struct garment *g, double x,
                 double width, double y0, double y1, double lean)
{
    double w = width / 2;
    const struct knot k[] = {{-w * 0.72, y0, true},
                             {w * 0.72, y0, true},
                             {w * 0.95, y0 + 14, false},
                             {w, (y0 + y1) / 2, false},
                             {w, y1, true},
                             {-w, y1 + 0.5, true},
                             {-w, (y0 + y1) / 2, false},
                             {-w * 0.95, y0 + 14, false}};
    struct cloth cloth = {.fabric = &g->main, .puff = 0.8, .shadow = 0.4};
    struct drape folds = {-w * 0.6,        y0,  w * 0.6, y0, 0, 0.06,
                          (y1 - y0) * 0.8, 2.2, 0.6};
    canvas_enter(canvas, x, 0, lean, false);
    fringe(canvas, g, -w + 0.6, w - 0.6, y1, 6);
    shape_closed(canvas->pen, KNOTS(k));
    shape_drape(canvas, &folds, 4);
    canvas_cloth(canvas, &cloth);
    canvas_leave(canvas);
}

/* Laid around a neck that is not there: the loop, then the ends. */
static void looped(struct canvas *canvas, const struct garment *g)
{
    double w = 17 + 5 * g->design->fit, end = 68 + 14 * g->design->length;
    struct cloth cloth = {
        .fabric = &g->main, .puff = 1, .shadow = 0.5, .tone = -0.06};
    const struct knot back[] = {
        {0, -20, false}, {14, -17, false}, {23, -5, false}, {20, 9, false},
        {9, 14, true},   {12, 2, false},   {10, -6, false}, {0, -9, false}};
    const struct knot wrap[] = {
        {-24, -6, false}, {-14, 0, false}, {2, 4, false},   {17, -2, false},
        {23, -9, false},  {25, 2, false},  {18, 14, false}, {2, 20, false},
        {-14, 17, false}, {-24, 8, false}};
    shape_mirrored(canvas->pen, 0, KNOTS(back));
    for (int i = 0; i < 4; i++)
        canvas_fold(canvas, -22, 2 - i * 4, 22, -1 - i * 4, 10 + i * 2, 1.6,
                    0.7);
    canvas_cloth(canvas, &cloth);
    cloth.tone = 0;
    tail(canvas, g, 7, w, 8, end - 9, -0.07);
    tail(canvas, g, -6, w, 8, end, 0.06);
    cloth.angle = 0.15;
    shape_closed(canvas->pen, KNOTS(wrap));
    for (int i = 0; i < 5; i++)
        canvas_fold(canvas, -23, -3 + i * 3.4, 24, -4 + i * 3.6, -7, 1.5, 0.75);
    canvas_cloth(canvas, &cloth);
}

/* Folded twice, one end over the other. */
static void folded(struct canvas *canvas, const struct garment *g)
{
    double w = 46 + 10 * g->design->fit;
    tail(canvas, g, -3, w * 0.92, 0, 84, 0.03);
    tail(canvas, g, 2, w * 0.94, 0, 66 + 8 * g->design->length, -0.02);
    {
        const struct knot top[] = {{0, -4, false},
                                   {w * 0.42, -3.4, false},
                                   {w * 0.47, 1, false},
                                   {w * 0.44, 5, true},
                                   {0, 6, false}};
        struct cloth cloth = {.fabric = &g->main, .puff = 1, .shadow = 0.2};
        shape_mirrored(canvas->pen, 0, KNOTS(top));
        canvas_cloth(canvas, &cloth);
    }
}

void draw_scarf(struct canvas *canvas, const struct garment *g)
{
    if (design_between(canvas, 0, 1) < 0.6)
        looped(canvas, g);
    else
        folded(canvas, g);
}

/* ---- gloves -------------------------------------------------------------- */

/* A finger from (x, y) that points up, leaning by `turn`. */
static void finger(struct canvas *canvas, double x, double y, double length,
                   double width, double turn)
{
    double w = width / 2;
    const struct knot k[] = {{-w, 5, true},
                             {-w, -length * 0.5, false},
                             {-w * 0.92, -length + w, false},
                             {0, -length, false},
                             {w * 0.92, -length + w, false},
                             {w, -length * 0.5, false},
                             {w, 5, true}};
    canvas_enter(canvas, x, y, turn, false);
    shape_closed(canvas->pen, KNOTS(k));
    canvas_leave(canvas);
}

/* All of it is one outline, so that fingers grow out of the hand; each part
 * runs clockwise. */
static void hand(struct canvas *canvas, const struct garment *g, bool mitten)
{
    const struct knot palm[] = {{13.5, -4, false},  {13, 9, false},
                                {10, 22, true},     {-10, 22, true},
                                {-12.5, 10, false}, {-13.2, -4, false},
                                {-8, -6, false},    {8, -6, false}};
    const struct knot whole[] = {
        {-10, -29, false}, {2, -35, false},    {12, -27, false},
        {14, -8, false},   {13, 9, false},     {10, 22, true},
        {-10, 22, true},   {-12.5, 10, false}, {-13.5, -6, false}};
    struct cloth cloth = {.fabric = &g->main, .puff = 0.9, .shadow = 0.25};
    finger(canvas, -11.5, 8, 23, 9, -0.62);
    if (mitten) {
        shape_closed(canvas->pen, KNOTS(whole));
    } else {
        finger(canvas, -9.8, -3, 27, 6.9, -0.12);
        finger(canvas, -2.9, -4, 32, 7, -0.04);
        finger(canvas, 4.1, -4, 29, 6.9, 0.05);
        finger(canvas, 10.6, -2, 22, 6.3, 0.16);
        shape_closed(canvas->pen, KNOTS(palm));
    }
    shape_creases(canvas, 0, 4, 0, 18, 18, 0.3, 2);
    canvas_fold(canvas, -9, 9, -3, -2, 1.5, 1.6, -0.35);
    canvas_cloth(canvas, &cloth);
}

static void glove(struct canvas *canvas, const struct garment *g, bool mitten)
{
    const struct knot cuff[] = {{-10.6, 20, true},
                                {10.6, 20, true},
                                {11.4, 34, true},
                                {-11.4, 34, true}};
    bool knit = g->main.weave != WEAVE_LEATHER;
    struct cloth rib = {
        .fabric = knit ? &g->rib : &g->trim, .puff = 0.8, .shadow = 0.3};
    hand(canvas, g, mitten);
    for (int i = -1; !knit && i <= 1; i++) {
        const struct knot line[] = {{i * 5.5, 8, true}, {i * 6.2, -5, true}};
        trim_seam(canvas, g, KNOTS(line));
    }
    shape_closed(canvas->pen, KNOTS(cuff));
    canvas_cloth(canvas, &rib);
}

void draw_gloves(struct canvas *canvas, const struct garment *g)
{
    bool mitten =
        g->main.weave != WEAVE_LEATHER && design_between(canvas, 0, 1) < 0.45;
    double lean = design_between(canvas, 0.05, 0.2);
    canvas_enter(canvas, -17, 0, -lean, true);
    glove(canvas, g, mitten);
    canvas_leave(canvas);
    canvas_enter(canvas, 17, 3, lean, false);
    glove(canvas, g, mitten);
    canvas_leave(canvas);
}
