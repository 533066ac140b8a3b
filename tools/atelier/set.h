/* set.h: a whole set of photos with its feed.
 *
 *   OUT/atelier.txt         what was asked for; locked while it is drawn
 *   OUT/images/0000/        SET_SHARD photos a folder
 *   OUT/masks/0000/         if they are wanted
 *   OUT/rows/0000.csv       the rows of a folder that is complete
 *   OUT/feed.csv            all rows, written last: it is there, or the set
 *                           is not finished
 *
 * Threads share nothing but the number of the next folder. A set that was
 * stopped goes on with the first folder that has no rows, and comes out as if
 * it had never been stopped. */
#ifndef ATELIER_SET_H
#define ATELIER_SET_H

#include "sosie/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SET_SHARD = 100 };

struct set {
    const char *out;
    uint64_t seed;
    size_t items, colours, jobs;
    int width; /* pixels; heights are 6 / 5 of it */
    bool masks;
    /* Set from outside to stop soon. */
    const volatile sig_atomic_t *stop;
    /* Called now and then from the caller's thread; may be NULL. */
    void (*progress)(void *argument, size_t done, size_t all);
    void *argument;
};

enum { SET_MAX_JOBS = 256 };

/* *there: the set was finished before, and nothing was drawn.
 *
 * Errors: CANCELLED if it was stopped; CONFLICT if OUT holds something else,
 * or is being drawn by another process; IO. */
SOSIE_MUST_CHECK enum sosie_status set_draw(const struct set *set, bool *there,
                                            struct sosie_error *err);

#endif
