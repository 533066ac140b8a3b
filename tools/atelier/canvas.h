/* canvas.h: cloth on a table: outlines in, lit cloth out.
 *
 * A garment is drawn from the back to the front, piece of cloth by piece of
 * cloth. Its outline is traced with `pen` in garment coordinates (a unit is
 * about a centimetre, y goes down); canvas_cloth() then fills it:
 *
 *   outline -> mask -> relief (blurred mask + folds) -> light -> layer
 *
 * so that edges are round, folds catch the light, and each piece throws a
 * little shadow on those below. Seams and buttons are drawn with `ink` on top.
 * A canvas that is `measuring` draws nothing and collects the extent, so that
 * the camera can frame whatever is drawn. Unshared: one thread a canvas. */
#ifndef ATELIER_CANVAS_H
#define ATELIER_CANVAS_H

#include "base/random.h"
#include "fabric.h"
#include "sosie/error.h"

#include <cairo.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A ridge, or with a negative height a valley, from one point to the other,
 * bent sideways by `bend` units in its middle. */
struct fold {
    double x0, y0, x1, y1, bend, width, height;
};
enum { MAX_FOLDS = 48 };

struct extent {
    double left, top, right, bottom;
};

struct canvas {
    int width, height; /* pixels */
    double unit;       /* pixels that a unit of the garment is long */
    cairo_surface_t *mask_surface, *layer_surface;
    cairo_t *pen, *ink;
    unsigned char *mask;  /* of the piece being drawn */
    unsigned char *layer; /* premultiplied BGRA, as cairo has it */
    unsigned char *worn;  /* what of the picture is the garment, 0 .. 255 */
    float *relief, *scratch;
    int mask_stride, layer_stride; /* bytes */

    struct fold folds[MAX_FOLDS];
    size_t n_folds;
    bool measuring;
    struct extent extent;       /* in garment units, while measuring */
    struct sosie_random design; /* the same for each colour of a design */
    struct sosie_random photo;  /* another one for each photo: folds */
};

SOSIE_MUST_CHECK enum sosie_status canvas_init(struct canvas *canvas, int width,
                                               int height,
                                               struct sosie_error *err);
/* One that is all zero is allowed. */
void canvas_release(struct canvas *canvas);

/* Empties it. */
void canvas_clear(struct canvas *canvas);
/* Where the garment lies from now on: garment units -> pixels. */
void canvas_place(struct canvas *canvas, const cairo_matrix_t *matrix);

/* What is drawn from here to canvas_leave() is moved, turned and, perhaps, seen
 * in a mirror. */
void canvas_enter(struct canvas *canvas, double x, double y, double turn,
                  bool flip);
void canvas_leave(struct canvas *canvas);

/* How a piece of cloth is laid. */
struct cloth {
    const struct fabric *fabric;
    double x, y, angle; /* where the fabric's axes are, radians */
    double puff;        /* how round its edges are; 1: a thick coat's */
    double shadow;      /* how dark what lies below becomes beside it */
    double tone;        /* 0: as bright as it is; -0.4: the inner side */
    double stroke;      /* above 0: the outline is a cord of this width */
    bool not_worn;      /* hangers and their like: not of the mask */
};

/* Fills the outline and forgets it, with the folds that were added to it. */
void canvas_cloth(struct canvas *canvas, const struct cloth *cloth);

/* Adds a fold to the next piece. */
void canvas_fold(struct canvas *canvas, double x0, double y0, double x1,
                 double y1, double bend, double width, double height);

/* Blurs `n` bytes a row of an 8-bit picture into canvas->relief, 0 .. 1, by
 * about `radius` pixels, within the box. */
struct box {
    int x0, y0, x1, y1; /* pixels; x1, y1 beyond */
};
void canvas_blur(struct canvas *canvas, const unsigned char *from, int stride,
                 struct box box, int radius);

/* Uniform in [low, high), from the design's numbers or the photo's. */
double design_between(struct canvas *canvas, double low, double high);
double photo_between(struct canvas *canvas, double low, double high);

#endif
