/* shape.h: outlines through a few points, and folds in groups. */
#ifndef ATELIER_SHAPE_H
#define ATELIER_SHAPE_H

#include "canvas.h"

/* A point of an outline; the curve has a corner there, or passes smoothly. */
struct knot {
    double x, y;
    bool corner;
};

/* Traces the closed curve through the knots. */
void shape_closed(cairo_t *pen, const struct knot *knots, size_t n);
/* The same, but open: it begins and ends with the outermost knots. */
void shape_open(cairo_t *pen, const struct knot *knots, size_t n);
/* The right half, from the top to the bottom, and its mirror image about
 * x = middle. Knots at the middle itself stand in the outline once. */
void shape_mirrored(cairo_t *pen, double middle, const struct knot *right,
                    size_t n);

#define KNOTS(k) (k), sizeof(k) / sizeof(*(k))

/* n folds of about this length that fall from between (x0, y0) and (x1, y1)
 * in the direction `angle` (0: straight down, positive: to the right). */
struct drape {
    double x0, y0, x1, y1, angle, spread, length, width, height;
};
void shape_drape(struct canvas *canvas, const struct drape *drape, int n);
/* n short folds across a limb from (x0, y0) to (x1, y1) of this width. */
void shape_creases(struct canvas *canvas, double x0, double y0, double x1,
                   double y1, double width, double height, int n);

#endif
