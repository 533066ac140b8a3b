/* trim.h: what is sewn on: seams, buttons, zips, pockets. Drawn with ink onto
 * the cloth that lies there already; nothing shows beside it. */
#ifndef ATELIER_TRIM_H
#define ATELIER_TRIM_H

#include "design.h"
#include "shape.h"

/* A seam: a shadow line and the light that its edge catches. */
void trim_seam(struct canvas *canvas, const struct garment *garment,
               const struct knot *knots, size_t n);
/* Visible stitches, in the thread's colour. */
void trim_stitches(struct canvas *canvas, struct rgb thread,
                   const struct knot *knots, size_t n);
void trim_button(struct canvas *canvas, const struct garment *garment, double x,
                 double y, double radius);
/* n buttons from (x, y0) to (x, y1). */
void trim_buttons(struct canvas *canvas, const struct garment *garment,
                  double x, double y0, double y1, double radius, int n);
void trim_zip(struct canvas *canvas, const struct garment *garment, double x0,
              double y0, double x1, double y1);
/* A rivet, a buckle's pin, an eyelet. */
void trim_stud(struct canvas *canvas, struct rgb metal, double x, double y,
               double radius);
/* A pocket that is sewn on; its middle above is at (x, y). */
void trim_patch(struct canvas *canvas, const struct garment *garment, double x,
                double y, double width, double height, double flap);
/* A pocket's slit from one point to the other. */
void trim_slit(struct canvas *canvas, const struct garment *garment, double x0,
               double y0, double x1, double y1);
/* The maker's label inside, its middle at (x, y). */
void trim_label(struct canvas *canvas, double x, double y, double width,
                double height);

/* Thread that shows: lighter than dark cloth, darker than light cloth. */
struct rgb trim_thread(const struct garment *garment);

#endif
