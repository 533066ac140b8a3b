/* plan.h: one block of memory for many buffers that are not all needed at the
 * same time. */
#ifndef SOSIE_NN_PLAN_H
#define SOSIE_NN_PLAN_H

#include "sosie/error.h"

#include <stddef.h>

enum { SOSIE_ALIGNMENT = 64 }; /* of buffers: a cache line, a ZMM register */

struct sosie_extent {
    size_t size;        /* bytes */
    size_t first, last; /* steps, both included, in which it is in use */
    size_t offset;      /* filled: a multiple of SOSIE_ALIGNMENT */
};

/* Places every extent so that those in use in the same step do not overlap.
 * *total: the size of the block, rounded up to SOSIE_ALIGNMENT.
 * REFUSED if that would be more than 4 GiB. */
SOSIE_MUST_CHECK enum sosie_status sosie_plan(struct sosie_extent *extents,
                                              size_t n, size_t *total,
                                              struct sosie_error *err);

#endif
