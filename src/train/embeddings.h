/* embeddings.h: what a model makes of the photos of a data set, as a catalog
 * would have it.
 *
 * A model that names its aspects (model.h) gives just them. Of the features of
 * any other, a catalog makes two aspects: shape (whitened, if there are photos
 * enough: engine/whiten.h) and colour (image/colour.h). The features themselves
 * are kept as a further aspect of weight 0, if they are another thing than the
 * shape. Threads: unshared; the work is done by a pool. */
#ifndef SOSIE_TRAIN_EMBEDDINGS_H
#define SOSIE_TRAIN_EMBEDDINGS_H

#include "base/pool.h"
#include "engine/whiten.h"
#include "model/model.h"
#include "sosie/engine.h"
#include "train/change.h"
#include "train/dataset.h"
#include "train/vectors.h"

struct sosie_embeddings_options {
    const struct sosie_model *model;
    const struct sosie_dataset *dataset;
    struct sosie_pool *pool;
    /* Of the calling thread, now and then; false ends it with CANCELLED. May be
     * NULL. */
    bool (*progress)(void *context, const struct sosie_index_progress *now);
    /* A photo that can't be read: it is left out. May be NULL. */
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

struct sosie_embeddings {
    struct sosie_embeddings_options options;
    size_t n;
    uint32_t *photos; /* (n) of the data set, in its order */
    struct sosie_vectors vectors;
    const char *names[SOSIE_ASPECTS_MAX]; /* of the aspects; the model's */
    double weights[SOSIE_ASPECTS_MAX];    /* by default */
    unsigned degrees[SOSIE_ASPECTS_MAX];
    struct sosie_whitening *whitening; /* NULL: none */
    float *logits;                     /* (n, n_logits), if asked for */
    size_t n_bad;
    double seconds;
};

/* Embeds n photos, given by their numbers, which rise. With logits if
 * `with_logits` and the model has any. The model must stay.
 * Errors: NO_MEMORY, CANCELLED, REFUSED if an aspect is too large for a
 * catalog; BAD_INPUT if no photo can be read. */
SOSIE_MUST_CHECK enum sosie_status
sosie_embeddings_make(const struct sosie_embeddings_options *options,
                      const uint32_t *photos, size_t n, bool with_logits,
                      struct sosie_embeddings *embeddings,
                      struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_embeddings_release(struct sosie_embeddings *embeddings);

/* Embeds n photos again, given by their rows, each changed: vectors (n), to be
 * released. changed (n): whether there was anything to change.
 * Errors: as above, and any of reading a photo, as it could be read before. */
SOSIE_MUST_CHECK enum sosie_status
sosie_embeddings_change(const struct sosie_embeddings *embeddings,
                        const uint32_t *rows, size_t n,
                        enum sosie_change change, struct sosie_vectors *vectors,
                        bool *changed, struct sosie_error *err);

#endif
