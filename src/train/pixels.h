/* pixels.h: every photo of a data set decoded once, kept as small RGB.
 *
 * Decoding takes 1 to 7 ms a photo and would be most of what an epoch takes.
 * Here each photo is decoded once (by all workers), shrunk so that its shorter
 * side has at most `side` pixels and its longer at most twice that (never
 * enlarged, its shape kept), and kept in one file, mapped into memory: the
 * system keeps in memory what fits.
 *
 * The file is a temporary of the folder given (unlinked at once, so that
 * nothing is left behind), or a lasting one, which is used again if it fits the
 * data set: same photos (paths, sizes, times of change), same side. While
 * another process makes it, a temporary does.
 *
 * Threads: many readers. */
#ifndef SOSIE_TRAIN_PIXELS_H
#define SOSIE_TRAIN_PIXELS_H

#include "image/image.h"
#include "train/dataset.h"

struct sosie_pixels;

struct sosie_pixels_options {
    uint32_t side;      /* pixels */
    const char *folder; /* for the file; NULL: memory alone */
    const char *name;   /* of a lasting file in it; NULL: a temporary */
    size_t n_workers;
    /* Called now and then; false ends it with CANCELLED. May be NULL. */
    bool (*progress)(void *context, size_t n_done, size_t n);
    /* A photo that can't be read: it has no pixels then. May be NULL. */
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

/* The pixels do not depend on the number of workers. Errors: IO (a full disk:
 * the message says about how much is needed), NOT_FOUND if there is no such
 * folder, NO_MEMORY, CANCELLED, BAD_INPUT if no photo at all can be read. A
 * lasting file that is damaged or of something else is made anew. */
SOSIE_MUST_CHECK enum sosie_status
sosie_pixels_create(const struct sosie_dataset *dataset,
                    const struct sosie_pixels_options *options,
                    struct sosie_pixels **out, struct sosie_error *err);
/* NULL is allowed. */
void sosie_pixels_destroy(struct sosie_pixels *pixels);

/* The pixels of photo i of the data set, borrowed and not to be written; a
 * width of 0 if it could not be read. */
struct sosie_image sosie_pixels_get(const struct sosie_pixels *pixels,
                                    size_t i);

size_t sosie_pixels_n_bad(const struct sosie_pixels *pixels);
size_t sosie_pixels_size_bytes(const struct sosie_pixels *pixels);

#endif
