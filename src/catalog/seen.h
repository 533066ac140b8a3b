/* seen.h: which ids a feed has used, and in which row.
 *
 * A hash table of digests with open addressing: 24 bytes for an id, whatever
 * its length, in a table that is at most half full. */
#ifndef SOSIE_CATALOG_SEEN_H
#define SOSIE_CATALOG_SEEN_H

#include "sosie/error.h"

#include <stddef.h>

struct sosie_seen {
    struct sosie_seen_slot *slots;
    size_t n_slots; /* 0 or a power of two */
    size_t n_used;
};

/* Notes that `row` (> 0) uses the id, unless an earlier row does: *earlier is
 * that row, or 0. NO_MEMORY. A table that is all zero bytes is empty. */
SOSIE_MUST_CHECK enum sosie_status sosie_seen_add(struct sosie_seen *seen,
                                                  const char *id, size_t row,
                                                  size_t *earlier,
                                                  struct sosie_error *err);
void sosie_seen_release(struct sosie_seen *seen);

#endif
