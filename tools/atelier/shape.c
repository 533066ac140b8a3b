/* shape.c: a spline that keeps to its points.
 *
 * Between two knots runs a cubic Bezier curve. Its handles lie along the line
 * between a knot's neighbours and are a third of the piece's own length, so
 * that knots may be set closely on one side and widely on the other without
 * loops. A corner's handles point at its neighbours. */
#include "shape.h"

#include <math.h>
#include <string.h>

enum { MAX_KNOTS = 64 };

/* The handle of `at` towards `to`; `other` is its neighbour behind it. */
static struct knot handle(struct knot other, struct knot at, struct knot to)
{
    double length = hypot(to.x - at.x, to.y - at.y) / 3;
    double dx = to.x - (at.corner ? at.x : other.x);
    double dy = to.y - (at.corner ? at.y : other.y);
    double norm = hypot(dx, dy);
    if (norm < 1e-9)
        return at;
    return (struct knot){at.x + dx / norm * length, at.y + dy / norm * length,
                         false};
}

static void piece(cairo_t *pen, struct knot before, struct knot a,
                  struct knot b, struct knot after)
{
    struct knot first = handle(before, a, b), second = handle(after, b, a);
    cairo_curve_to(pen, first.x, first.y, second.x, second.y, b.x, b.y);
}

void shape_closed(cairo_t *pen, const struct knot *k, size_t n)
{
    cairo_move_to(pen, k[0].x, k[0].y);
    for (size_t i = 0; i < n; i++)
        piece(pen, k[(i + n - 1) % n], k[i], k[(i + 1) % n], k[(i + 2) % n]);
    cairo_close_path(pen);
}

void shape_open(cairo_t *pen, const struct knot *k, size_t n)
{
    cairo_move_to(pen, k[0].x, k[0].y);
    for (size_t i = 0; i + 1 < n; i++)
        piece(pen, k[i ? i - 1 : 0], k[i], k[i + 1],
              k[i + 2 < n ? i + 2 : n - 1]);
}

void shape_mirrored(cairo_t *pen, double middle, const struct knot *right,
                    size_t n)
{
    struct knot all[MAX_KNOTS];
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        all[m++] = right[i];
    for (size_t i = n; i-- > 0;)
        if (fabs(right[i].x - middle) > 1e-6) {
            all[m] = right[i];
            all[m++].x = 2 * middle - right[i].x;
        }
    shape_closed(pen, all, m);
}

void shape_drape(struct canvas *canvas, const struct drape *d, int n)
{
    for (int i = 0; i < n; i++) {
        double t = (i + photo_between(canvas, 0.15, 0.85)) / n;
        double x = d->x0 + (d->x1 - d->x0) * t;
        double y = d->y0 + (d->y1 - d->y0) * t;
        double angle = d->angle + d->spread * (2 * t - 1) +
                       photo_between(canvas, -0.07, 0.07);
        double length = d->length * photo_between(canvas, 0.65, 1.1);
        double height = d->height * photo_between(canvas, 0.5, 1.1);
        canvas_fold(canvas, x, y, x + sin(angle) * length,
                    y + cos(angle) * length,
                    photo_between(canvas, -0.06, 0.06) * length,
                    d->width * photo_between(canvas, 0.7, 1.4),
                    i % 3 == 2 ? -height : height);
    }
}

void shape_creases(struct canvas *canvas, double x0, double y0, double x1,
                   double y1, double width, double height, int n)
{
    double length = hypot(x1 - x0, y1 - y0);
    double dx = (x1 - x0) / length, dy = (y1 - y0) / length;
    for (int i = 0; i < n; i++) {
        double t = (i + photo_between(canvas, 0.1, 0.9)) / n;
        double side = photo_between(canvas, 0, 1) < 0.5 ? -1 : 1;
        double from = side * width * photo_between(canvas, 0.35, 0.5);
        double to = -side * width * photo_between(canvas, -0.1, 0.3);
        double slip = width * photo_between(canvas, -0.1, 0.5);
        double x = x0 + (x1 - x0) * t, y = y0 + (y1 - y0) * t;
        canvas_fold(canvas, x - dy * from, y + dx * from,
                    x - dy * to + dx * slip, y + dx * to + dy * slip,
                    width * photo_between(canvas, -0.08, 0.08),
                    photo_between(canvas, 0.7, 1.3),
                    height * photo_between(canvas, 0.5, 1.1));
    }
}
