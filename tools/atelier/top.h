/* top.h: what all garments for the upper body share: back, sleeves, front.
 *
 * From the back to the front: the inner back that shows in the neck, the
 * sleeves, the front; then whatever the neck and the closing add (neck.h). */
#ifndef ATELIER_TOP_H
#define ATELIER_TOP_H

#include "design.h"
#include "shape.h"

/* Half widths and heights; the neck's sides are at y = 0, y goes down. */
struct top {
    double neck, depth;       /* half width of the neck; its front's depth */
    double shoulder, slope;   /* half width at the shoulders; how they drop */
    double armpit;            /* y */
    double chest, waist, hem; /* half widths */
    double waist_y, hem_y;
    double hem_drop;    /* the hem's middle is lower by this: shirt tails */
    double open;        /* half width of the gap of an open front below */
    double sleeve;      /* length; 0: none */
    double spread;      /* how far sleeves stand off, radians */
    double cuff;        /* width of the sleeve at its end */
    double cuff_height; /* 0: hemmed only */
    double bell;        /* how much wider the sleeve is above the cuff */
    double hem_height;  /* of a ribbed hem; 0: hemmed only */
    double puff;        /* thickness */
    double folds;       /* how much it is creased, 1: as a shirt */
    bool raglan, rib;   /* cuffs and hems are ribbed */
    bool pointed;       /* the neck is a V */
    bool square;
};

/* The measures of a garment of this length in units, by its design. */
struct top top_measures(const struct garment *garment, double chest,
                        double length);
void top_sleeves_set(struct top *top, const struct garment *garment,
                     double spread);

void top_draw_back(struct canvas *canvas, const struct garment *garment,
                   const struct top *top);
void top_draw_sleeves(struct canvas *canvas, const struct garment *garment,
                      const struct top *top);
void top_draw_front(struct canvas *canvas, const struct garment *garment,
                    const struct top *top);
/* All three. */
void top_draw(struct canvas *canvas, const struct garment *garment,
              const struct top *top);

/* Half of the front's neckline, from the middle to the side. */
size_t top_neckline(const struct top *top, struct knot knots[4]);
/* Half of the front's width at y. */
double top_half_width(const struct top *top, double y);

#endif
