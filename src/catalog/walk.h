/* walk.h: the photos below a folder; source.h holds the contract. */
#ifndef SOSIE_CATALOG_WALK_H
#define SOSIE_CATALOG_WALK_H

#include "catalog/source.h"

#include <stdbool.h>

struct sosie_walk;

/* Lists the folder `root` at once, so that their number is known. Reports what
 * can't be read by options->bad. */
SOSIE_MUST_CHECK enum sosie_status
sosie_walk_open(const struct sosie_source_options *options, const char *root,
                struct sosie_walk **out, struct sosie_error *err);
void sosie_walk_close(struct sosie_walk *walk);

SOSIE_MUST_CHECK enum sosie_status
sosie_walk_next(struct sosie_walk *walk, const struct sosie_source_item **item,
                struct sosie_error *err);
size_t sosie_walk_count(const struct sosie_walk *walk);

/* By extension: jpg, jpeg, png, webp, in any case. */
bool sosie_is_photo_name(const char *name);

#endif
