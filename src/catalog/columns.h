/* columns.h: what each column of a feed means, from its header and `map`.
 *
 * `map` ("id=sku,title=name") says which column plays a part or becomes a
 * field; what it leaves open is found by name: the part's own ("image") or the
 * one that Google Merchant feeds use ("image_link"). Names are compared without
 * regard to case, and a space is as good as an underscore ("Image Link"). */
#ifndef SOSIE_CATALOG_COLUMNS_H
#define SOSIE_CATALOG_COLUMNS_H

#include "base/arena.h"
#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The parts that columns play. */
enum {
    SOSIE_PART_ID,
    SOSIE_PART_IMAGE,
    SOSIE_PART_MORE_IMAGES, /* comma-separated */
    SOSIE_PART_CLASS,
    SOSIE_PART_GROUP,
    SOSIE_N_PARTS
};

#define SOSIE_NO_COLUMN ((size_t)-1)

struct sosie_columns {
    size_t n;                    /* columns of the header */
    size_t parts[SOSIE_N_PARTS]; /* the column of each, or SOSIE_NO_COLUMN */
    bool class_is_path;  /* "Apparel > Tops > Shirts": the last one counts */
    const char **fields; /* what column i is called in an item's `fields`; NULL:
                            it is not kept there */
};

/* Everything in *columns lives in the arena. `map` may be NULL.
 *
 * Errors: BAD_INPUT if `map` is malformed or names a column or a part that
 * there is not, if there is no column for id or image, or two of one name. */
SOSIE_MUST_CHECK enum sosie_status
sosie_columns_read(char *const *header, size_t n, const char *map,
                   struct sosie_arena *arena, struct sosie_columns *columns,
                   struct sosie_error *err);

#endif
