/* augment_ground.h: the plain ground that a product is photographed on.
 *
 * A *map* has a place for each pixel of the photo, and around them a margin, so
 * that what is beside a pixel needs no check. */
#ifndef SOSIE_TRAIN_AUGMENT_GROUND_H
#define SOSIE_TRAIN_AUGMENT_GROUND_H

#include "image/image.h"

#include <stdbool.h>

enum { SOSIE_GROUND_MARGIN = 2 };

enum sosie_ground_state {
    SOSIE_OTHER,       /* not of the ground's colour */
    SOSIE_LIKE_GROUND, /* of its colour, but not hanging together with it */
    SOSIE_GROUND,
    SOSIE_EDGE,   /* up to two pixels beside it: a part of it, perhaps */
    SOSIE_OUTSIDE /* the margin */
};

struct sosie_ground {
    uint8_t colour[3];
    int tolerance; /* levels that a channel may differ by */
    size_t stride; /* from a row of the maps to the next */
    size_t n;      /* places */
    uint8_t *states;
    uint8_t *distances; /* from the ground's colour; 0 in the margin */
    size_t n_ground;
    /* From the front the seeds of the flood, from the back all places that
     * were an edge; each place once. */
    uint32_t *places;
    size_t n_seeds, n_edges;
};

/* *found: whether there is one, neither almost nothing nor almost all of the
 * photo. Release it in any case; after a failure there is no need to. */
SOSIE_MUST_CHECK enum sosie_status
sosie_ground_find(struct sosie_ground *ground, const struct sosie_image *photo,
                  bool *found, struct sosie_error *err);
void sosie_ground_release(struct sosie_ground *ground);

static inline size_t sosie_ground_place(const struct sosie_ground *ground,
                                        size_t x, size_t y)
{
    return (y + SOSIE_GROUND_MARGIN) * ground->stride + SOSIE_GROUND_MARGIN + x;
}

/* How much of a pixel is ground, 0..256. */
int sosie_ground_cover(const struct sosie_ground *ground, size_t place);

#endif
