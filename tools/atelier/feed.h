/* feed.h: an item as a row of a Google Merchant feed, in CSV. */
#ifndef ATELIER_FEED_H
#define ATELIER_FEED_H

#include "photo.h"

#include <stdio.h>

/* The header's line, with its end. */
const char *feed_header(void);

enum { FEED_PATH_ROOM = 64 };

/* "images/0000/AT0000012.jpg", or "masks/0000/AT0000012.png". */
void feed_image_path(size_t number, char path[FEED_PATH_ROOM]);
void feed_mask_path(size_t number, char path[FEED_PATH_ROOM]);

/* Writes a line; the stream remembers what failed. */
void feed_row(FILE *to, const struct item *item, const struct photo_box *box);

#endif
