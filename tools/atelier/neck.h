/* neck.h: what finishes a neck, on top of a front that is drawn already. */
#ifndef ATELIER_NECK_H
#define ATELIER_NECK_H

#include "top.h"

/* A band that follows the neckline, front and (drawn first, before the
 * sleeves) back. */
void neck_band_back(struct canvas *canvas, const struct garment *garment,
                    const struct top *top, double width);
void neck_band_front(struct canvas *canvas, const struct top *top, double width,
                     const struct fabric *fabric);
void neck_roll(struct canvas *canvas, const struct garment *garment,
               const struct top *top, double height);
/* A shirt's collar: the stand behind, then the two points. */
void neck_collar_back(struct canvas *canvas, const struct garment *garment,
                      const struct top *top, double height);
void neck_collar(struct canvas *canvas, const struct garment *garment,
                 const struct top *top, double point, double gap);
void neck_stand(struct canvas *canvas, const struct garment *garment,
                const struct top *top, double height);
/* Lapels down to (0, closing_y). */
void neck_lapels(struct canvas *canvas, const struct garment *garment,
                 const struct top *top, double closing_y, double width);
/* A hood: its bag behind everything, then the edges that meet in front. */
void neck_hood_back(struct canvas *canvas, const struct garment *garment,
                    const struct top *top, double size);
void neck_hood_front(struct canvas *canvas, const struct garment *garment,
                     const struct top *top, double size, bool cords);

#endif
