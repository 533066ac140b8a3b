/* hanger.c: of wood, of metal, or of black plastic. */
#include "hanger.h"

#include "shape.h"

static const struct fabric steel = {.weave = WEAVE_SATIN,
                                    .base = {0.66f, 0.67f, 0.69f}};

static struct fabric stuff(struct canvas *canvas)
{
    struct fabric wood = {.weave = WEAVE_SATIN, .base = {0.74f, 0.55f, 0.36f}};
    double kind = design_between(canvas, 0, 1);
    if (kind > 0.8)
        wood.base = (struct rgb){0.16f, 0.16f, 0.17f};
    else if (kind > 0.6)
        wood.base = (struct rgb){0.88f, 0.85f, 0.8f};
    return wood;
}

static void hook(struct canvas *canvas, double y)
{
    const struct knot line[] = {
        {0, y, true},
        {0, y - 5.5, false},
        {1.2, y - 8, false},
        {3, y - 10.4, false},
        {2.4, y - 13.2, false},
        {0, y - 14.2, false},
        {-2.6, y - 12.6, false},
        {-2.9, y - 11, false},
    };
    struct cloth wire = {
        .fabric = &steel, .puff = 0.6, .stroke = 0.95, .not_worn = true};
    shape_open(canvas->pen, KNOTS(line));
    canvas_cloth(canvas, &wire);
}

void hanger_for_top(struct canvas *canvas, double shoulder, double slope)
{
    struct fabric wood = stuff(canvas);
    double end = shoulder * 0.94;
    const struct knot half[] = {
        {0, -3.4, false},
        {2.2, -2.9, false},
        {end * 0.55, slope * 0.35, false},
        {end, slope + 1.2, false},
        {end - 0.6, slope + 3.8, false},
        {end * 0.5, slope * 0.35 + 2.9, false},
        {0, 0.8, false},
    };
    struct cloth arms = {.fabric = &wood, .puff = 0.9, .not_worn = true};
    hook(canvas, -2.6);
    shape_mirrored(canvas->pen, 0, KNOTS(half));
    canvas_cloth(canvas, &arms);
}

static void clip(struct canvas *canvas, const struct fabric *wood, double x)
{
    const struct knot jaw[] = {{x - 1.7, -4.6, true},
                               {x + 1.7, -4.6, true},
                               {x + 1.9, 2.4, true},
                               {x - 1.9, 2.4, true}};
    struct cloth cloth = {
        .fabric = wood, .puff = 0.6, .shadow = 0.4, .not_worn = true};
    shape_closed(canvas->pen, KNOTS(jaw));
    canvas_cloth(canvas, &cloth);
}

void hanger_with_clips(struct canvas *canvas, double half)
{
    struct fabric wood = stuff(canvas);
    double end = half * 0.86;
    const struct knot bar[] = {{-end - 1.5, -3.2, true},
                               {end + 1.5, -3.2, true}};
    struct cloth rod = {
        .fabric = &steel, .puff = 0.6, .stroke = 1.1, .not_worn = true};
    hook(canvas, -3.4);
    shape_open(canvas->pen, KNOTS(bar));
    canvas_cloth(canvas, &rod);
    clip(canvas, &wood, -end);
    clip(canvas, &wood, end);
}
