/* names.h: distinct texts as numbers 0, 1, 2, ... in the order they came in.
 *
 * A hash table of places in a list, at most half full. Unshared. */
#ifndef SOSIE_TRAIN_NAMES_H
#define SOSIE_TRAIN_NAMES_H

#include "base/arena.h"

#include <stddef.h>

/* One that is all zero bytes is empty. */
struct sosie_names {
    struct sosie_arena arena; /* holds the texts */
    const char **texts;
    size_t n, room;
    size_t *slots; /* 1 + number; 0: free */
    size_t n_slots;
};

/* The number of the text, which is copied when it is new: *number is then what
 * names->n was before. Errors: NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status sosie_names_add(struct sosie_names *names,
                                                   const char *text,
                                                   size_t *number,
                                                   struct sosie_error *err);

void sosie_names_release(struct sosie_names *names);

#endif
