/* garments.h: who draws what. Each draws about the origin, a unit being about
 * a centimetre; the camera frames it. Choices that a design makes once come
 * from canvas->design, folds from canvas->photo. */
#ifndef ATELIER_GARMENTS_H
#define ATELIER_GARMENTS_H

#include "design.h"

draw_garment draw_tee, draw_shirt, draw_blouse, draw_jumper, draw_sweater,
    draw_hood, draw_cardigan;
draw_garment draw_coat, draw_jacket, draw_waistcoat;
draw_garment draw_dress, draw_skirt;
draw_garment draw_trousers, draw_jeans, draw_shorts;
draw_garment draw_shoes, draw_boots, draw_socks;
draw_garment draw_bag, draw_backpack;
draw_garment draw_hat, draw_cap, draw_scarf, draw_gloves;

#endif
