/* draw_feet.c: shoes and boots in profile, a pair each, and socks. The toe
 * points to the left; the floor is at y = 0. */
#include "garments.h"

#include "trim.h"

#include <math.h>

typedef void draw_one(struct canvas *canvas, const struct garment *g,
                      bool behind);

/* The far one first, a little higher and further on. */
static void pair(struct canvas *canvas, const struct garment *g, draw_one *one,
                 double x, double y, bool flip)
{
    canvas_enter(canvas, 0, 0, 0, flip);
    canvas_enter(canvas, x, y, 0, false);
    one(canvas, g, true);
    canvas_leave(canvas);
    one(canvas, g, false);
    canvas_leave(canvas);
}

static struct fabric rubber(const struct garment *g)
{
    struct fabric sole = fabric_plain(&g->main, WEAVE_COTTON);
    sole.base = g->design->seed % 4 ? (struct rgb){0.93f, 0.92f, 0.89f}
                                    : (struct rgb){0.22f, 0.21f, 0.21f};
    if (g->design->seed % 8 == 4)
        sole.base = (struct rgb){0.74f, 0.56f, 0.37f};
    return sole;
}

static struct cloth laid(const struct fabric *fabric, bool behind)
{
    return (struct cloth){.fabric = fabric,
                          .puff = 0.8,
                          .shadow = 0.3,
                          .tone = behind ? -0.12 : 0};
}

/* ---- sneakers ------------------------------------------------------------ */

static void laces(struct canvas *canvas, const struct garment *g, double x0,
                  double y0, double x1, double y1, int n, double width)
{
    struct fabric string = rubber(g);
    struct cloth cloth = {
        .fabric = &string, .puff = 0.5, .shadow = 0.4, .stroke = 1.35};
    if (rgb_lightness(g->main.base) > 0.85f)
        string.base = rgb_mix(g->main.base, (struct rgb){0, 0, 0}, 0.25f);
    for (int i = 0; i < n; i++) {
        double t = (double)i / (n - 1);
        double x = x0 + (x1 - x0) * t, y = y0 + (y1 - y0) * t;
        cairo_move_to(canvas->pen, x - width * 0.45, y - 1.2);
        cairo_curve_to(canvas->pen, x - width * 0.2, y - 1.6, x + width * 0.3,
                       y, x + width * 0.55, y + 2.6);
        canvas_cloth(canvas, &cloth);
    }
}

static void sneaker(struct canvas *canvas, const struct garment *g, bool behind)
{
    bool high = g->design->length > 0.62;
    double top = high ? -52 : -35, back = high ? 33 : 36;
    const struct knot upper[] = {
        {-43.5, -7, true},
        {-43, -14, false},
        {-36.5, -20, false},
        {-24, -22.5, false},
        {-10, -28.5, false},
        {high ? 2 : 0, high ? -42 : -34, false},
        {high ? 9 : 6, top - 3.5, true},
        {high ? 20 : 18, top + (high ? 2.6 : 7), false},
        {back - 3, top + (high ? -0.6 : 1), false},
        {back + 1.2, top + 4, false},
        {back + (high ? 4.5 : 2), -20, false},
        {42, -7, true},
    };
    const struct knot tongue[] = {{-8, -27, false},
                                  {high ? 1 : -2, top + 2, false},
                                  {high ? 3 : 1, top - 6.5, false},
                                  {high ? 9 : 8, top - 7, false},
                                  {13, top + 4, false},
                                  {4, -22, false}};
    const struct knot cap[] = {{-43.5, -6.5, true}, {-43, -14, false},
                               {-36.5, -20, false}, {-28, -22, true},
                               {-26.5, -14, false}, {-29, -6.5, true}};
    const struct knot counter[] = {
        {42, -7, true},   {back + 2.6, -19, false}, {back + 1.6, -25, true},
        {30, -22, false}, {25, -12, false},         {26, -6.5, true}};
    const struct knot quarter[] = {{-17, -7, true},
                                   {-13, -15, false},
                                   {-4, -24, false},
                                   {high ? 7 : 4, top + 4, false}};
    const struct knot sole[] = {{-45, -7.4, true},  {0, -8, false},
                                {43.5, -8.6, true}, {44.5, -3, false},
                                {42, 0.4, true},    {0, 0.6, false},
                                {-39, 0.6, false},  {-46, -2.4, false}};
    const struct knot line[] = {
        {-44.8, -3, true}, {0, -3.2, false}, {43.6, -3.4, true}};
    struct fabric bottom = rubber(g), second = g->trim;
    struct cloth body = laid(&g->main, behind);
    struct cloth patch = laid(&second, behind);
    struct cloth base = laid(&bottom, behind);
    if (g->design->second_scheme != 1)
        second.base = g->main.second;
    shape_closed(canvas->pen, KNOTS(tongue));
    canvas_cloth(canvas, &patch);
    shape_closed(canvas->pen, KNOTS(upper));
    canvas_fold(canvas, -22, -21, -16, -8, 1.5, 2, -0.3);
    canvas_cloth(canvas, &body);
    patch.puff = 0.4;
    shape_closed(canvas->pen, KNOTS(cap));
    canvas_cloth(canvas, &patch);
    shape_closed(canvas->pen, KNOTS(counter));
    canvas_cloth(canvas, &patch);
    trim_seam(canvas, g, KNOTS(quarter));
    laces(canvas, g, -14, -24, high ? 4 : 0, top + 5, high ? 7 : 5, 8.5);
    shape_closed(canvas->pen, KNOTS(sole));
    canvas_cloth(canvas, &base);
    trim_seam(canvas, g, KNOTS(line));
}

/* ---- shoes of leather ---------------------------------------------------- */

static void derby(struct canvas *canvas, const struct garment *g, bool behind)
{
    const struct knot upper[] = {
        {-45, -4, true},    {-44, -10, false},  {-36, -14.5, false},
        {-20, -19, false},  {-6, -28, false},   {2, -33, true},
        {15, -27, false},   {27, -28.5, false}, {35, -31.5, true},
        {38.5, -20, false}, {38.5, -11, false}, {40, -4, true}};
    const struct knot quarter[] = {
        {-12, -7, true}, {-12, -18, false}, {-3, -27, false}, {2, -32.5, true}};
    const struct knot cap[] = {
        {-28.5, -16.4, true}, {-27, -11, false}, {-29, -4.5, true}};
    const struct knot sole[] = {
        {-47, -4.6, true},  {0, -4.6, false},  {41, -5, true},
        {41.5, 0.5, true},  {22, 0.5, true},   {20.5, -1.4, true},
        {-10, -0.6, false}, {-38, 0.4, false}, {-46.5, -1.6, false}};
    struct fabric bottom = rubber(g);
    struct cloth body = laid(&g->main, behind);
    struct cloth base = laid(&bottom, behind);
    bottom.base = g->design->seed % 3 ? (struct rgb){0.16f, 0.13f, 0.11f}
                                      : (struct rgb){0.55f, 0.38f, 0.24f};
    shape_closed(canvas->pen, KNOTS(upper));
    canvas_fold(canvas, -24, -18, -17, -6, 2, 1.5, -0.35);
    canvas_fold(canvas, -20, -19, -14, -8, 2, 1.2, -0.25);
    canvas_cloth(canvas, &body);
    trim_seam(canvas, g, KNOTS(quarter));
    if (g->design->fit < 0.6) {
        trim_seam(canvas, g, KNOTS(cap));
        laces(canvas, g, -5.5, -25.5, 2.4, -30, 4, 7);
    } else { /* a loafer's strap */
        const struct knot strap[] = {{-15, -21.5, true}, {-4, -28, true},
                                     {12, -16, false},   {9, -7, true},
                                     {-1, -8, true},     {-3, -15, false}};
        body.puff = 0.5;
        shape_closed(canvas->pen, KNOTS(strap));
        canvas_cloth(canvas, &body);
    }
    shape_closed(canvas->pen, KNOTS(sole));
    canvas_cloth(canvas, &base);
}

static void pump(struct canvas *canvas, const struct garment *g, bool behind)
{
    double heel = 9 + 22 * g->design->length, up = heel - 5;
    const struct knot upper[] = {{-46, -3, true},
                                 {-44, -8, false},
                                 {-36, -12, false},
                                 {-26, -13, true},
                                 {-8, -9.6 - up * 0.24, false},
                                 {14, -13 - up * 0.72, false},
                                 {31, -27 - up, true},
                                 {36, -24 - up, false},
                                 {37, -13 - up, false},
                                 {34.5, -4 - up, true},
                                 {22, -2.4 - up * 0.86, false},
                                 {4, -1.6 - up * 0.38, false},
                                 {-16, -1.6, false}};
    const struct knot inner[] = {{-26, -13, true},
                                 {-8, -9.6 - up * 0.24, false},
                                 {14, -13 - up * 0.72, false},
                                 {31, -27 - up, true},
                                 {16, -18 - up * 0.8, false},
                                 {-6, -13.5 - up * 0.3, false}};
    const struct knot spike[] = {
        {24, -3 - up * 0.9, true},        {35, -5.5 - up, true},
        {34, -up * 0.5, false},           {33.4, 0.5, true},
        {28.5 - 9 / heel * 2, 0.5, true}, {28, -up * 0.5, false}};
    const struct knot sole[] = {{-46.5, -3, true},
                                {-16, -2, false},
                                {4, -2.2 - up * 0.38, false},
                                {24, -3.4 - up * 0.88, true},
                                {4, -0.2 - up * 0.38, false},
                                {-18, 0.5, false},
                                {-42, 0.5, false}};
    struct fabric bottom = fabric_plain(&g->main, WEAVE_LEATHER);
    struct cloth body = laid(&g->main, behind);
    struct cloth in = {.fabric = &bottom, .puff = 0.3, .tone = -0.05};
    struct cloth base = laid(&bottom, behind);
    bottom.base = (struct rgb){0.84f, 0.71f, 0.56f};
    shape_closed(canvas->pen, KNOTS(spike));
    canvas_cloth(canvas, &body);
    shape_closed(canvas->pen, KNOTS(inner));
    canvas_cloth(canvas, &in);
    shape_closed(canvas->pen, KNOTS(upper));
    canvas_cloth(canvas, &body);
    bottom.base = (struct rgb){0.3f, 0.2f, 0.15f};
    shape_closed(canvas->pen, KNOTS(sole));
    canvas_cloth(canvas, &base);
}

void draw_shoes(struct canvas *canvas, const struct garment *g)
{
    double kind = design_between(canvas, 0, 1);
    bool flip = design_between(canvas, 0, 1) < 0.5;
    if (g->main.weave == WEAVE_CANVAS || kind < 0.25)
        pair(canvas, g, sneaker, 17, -15, flip);
    else if (kind < 0.62)
        pair(canvas, g, derby, 15, -14, flip);
    else
        pair(canvas, g, pump, 14, -12, flip);
}

/* ---- boots --------------------------------------------------------------- */

static void boot(struct canvas *canvas, const struct garment *g, bool behind)
{
    double top = -44 - 46 * g->design->length, heel = 4 + 9 * g->design->fit;
    double calf = 3.5 * g->design->length;
    const struct knot shaft[] = {{-37, -5, true},
                                 {-36.5, -13, false},
                                 {-28, -19.5, false},
                                 {-14, -24, false},
                                 {-5.5, -33, false},
                                 {-5 - calf * 0.6, -44, false},
                                 {-6 - calf, top + 4, false},
                                 {-6 - calf, top, true},
                                 {24 + calf, top - 1, true},
                                 {23.5 + calf, top * 0.72, false},
                                 {22, -34, false},
                                 {24.5, -20, false},
                                 {25.5, -4, true}};
    const struct knot sole[] = {
        {-39, -4.6, true},  {0, -4.4, false},          {26.5, -5, true},
        {26, heel, true},   {9, heel, true},           {8, -1.2, true},
        {-10, -0.6, false}, {-33, heel * 0.35, false}, {-39, -2, false}};
    struct fabric bottom = rubber(g);
    struct cloth body = laid(&g->main, behind);
    struct cloth base = laid(&bottom, behind);
    bottom.base = (struct rgb){0.17f, 0.14f, 0.12f};
    shape_closed(canvas->pen, KNOTS(shaft));
    shape_creases(canvas, 6, -42, 2, -24, 26, 0.45, 3);
    canvas_fold(canvas, 16 + calf, top, 15, -40, 1, 4, 0.35);
    canvas_cloth(canvas, &body);
    if (g->design->seed % 3 == 0) { /* an elastic side */
        const struct knot gore[] = {{4, top, true},
                                    {16, top, true},
                                    {13, top * 0.5 - 12, false},
                                    {10, top * 0.35 - 12, true},
                                    {7, top * 0.5 - 12, false}};
        struct fabric rib = g->rib;
        struct cloth elastic = {.fabric = &rib, .puff = 0.3, .tone = -0.2};
        shape_closed(canvas->pen, KNOTS(gore));
        canvas_cloth(canvas, &elastic);
    } else if (g->design->seed % 3 == 1) {
        const struct knot tongue[] = {{-6 - calf, top + 3, true},
                                      {1, top + 3, true},
                                      {-4, -34, false},
                                      {-13, -22, true}};
        trim_seam(canvas, g, KNOTS(tongue));
        laces(canvas, g, -7.5, -25.5, 1.6 - calf, top + 6, 5 + (int)(-top / 14),
              6.4);
    } else {
        trim_zip(canvas, g, 13, top + 2, 12, -10);
    }
    {
        const struct knot welt[] = {
            {-36, -8.4, true}, {0, -8, false}, {25, -8.4, true}};
        trim_stitches(canvas, trim_thread(g), KNOTS(welt));
    }
    shape_closed(canvas->pen, KNOTS(sole));
    canvas_cloth(canvas, &base);
}

void draw_boots(struct canvas *canvas, const struct garment *g)
{
    bool flip = design_between(canvas, 0, 1) < 0.5;
    pair(canvas, g, boot, 30 + 6 * g->design->length, -6, flip);
}

/* ---- socks --------------------------------------------------------------- */

static void sock(struct canvas *canvas, const struct garment *g, bool behind)
{
    double top = -38 - 32 * g->design->length;
    const struct knot shape[] = {
        {-10, top, true},  {9, top, true},      {8.6, -26, false},
        {10, -10, false},  {8, 1, false},       {-4, 4, false},
        {-26, 8.5, false}, {-39, 9.5, false},   {-44.5, 2, false},
        {-40, -6, false},  {-24, -10.5, false}, {-12, -17, false},
        {-9.4, -28, false}};
    const struct knot heel[] = {{9.3, -14, true},
                                {10, -8, false},
                                {8, 1, false},
                                {-1, 3.6, true},
                                {-1, -6, false}};
    const struct knot toe[] = {{-31, 9, true},    {-39, 9.5, false},
                               {-44.5, 2, false}, {-40, -6, false},
                               {-33.5, -8, true}, {-30, 0, false}};
    const struct knot cuff[] = {{-10.4, top - 0.6, true},
                                {9.4, top - 0.6, true},
                                {9.1, top + 9, true},
                                {-10.1, top + 9, true}};
    struct fabric other = fabric_plain(&g->main, WEAVE_FINE_KNIT);
    struct cloth body = laid(&g->main, behind);
    struct cloth patch = laid(&other, behind);
    struct cloth rib = laid(&g->rib, behind);
    if (g->design->second_scheme != 1)
        other.base = g->main.second;
    shape_closed(canvas->pen, KNOTS(shape));
    shape_creases(canvas, 0, -20, -2, -8, 18, 0.35, 2);
    canvas_cloth(canvas, &body);
    patch.puff = rib.puff = 0.5;
    patch.shadow = 0.12;
    shape_closed(canvas->pen, KNOTS(heel));
    canvas_cloth(canvas, &patch);
    shape_closed(canvas->pen, KNOTS(toe));
    canvas_cloth(canvas, &patch);
    shape_closed(canvas->pen, KNOTS(cuff));
    canvas_cloth(canvas, &rib);
}

void draw_socks(struct canvas *canvas, const struct garment *g)
{
    bool flip = design_between(canvas, 0, 1) < 0.5;
    pair(canvas, g, sock, design_between(canvas, 14, 25), -7, flip);
}
