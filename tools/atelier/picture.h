/* picture.h: pictures on disk. A file is there whole or not at all: it is
 * written beside its place and renamed. It is not synced: set.c does that once
 * for all before it says that the set is finished. Threads: any number. */
#ifndef ATELIER_PICTURE_H
#define ATELIER_PICTURE_H

#include "canvas.h"

SOSIE_MUST_CHECK enum sosie_status picture_save_jpeg(const char *path,
                                                     const uint8_t *rgb,
                                                     int width, int height,
                                                     struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status picture_save_png(const char *path,
                                                    cairo_surface_t *picture,
                                                    struct sosie_error *err);
/* canvas->worn as an 8-bit grey PNG: 255 is the garment. */
SOSIE_MUST_CHECK enum sosie_status picture_save_mask(const char *path,
                                                     struct canvas *canvas,
                                                     struct sosie_error *err);

/* Whether a picture that was saved earlier is there with its end: after a
 * power cut, files that were not synced may be empty. */
bool picture_is_whole(const char *path);

#endif
