/* batch.h: photos through the workers, several at a time.
 *
 * A *batch* is a few photos that one worker reads, decodes and embeds in one
 * forward pass. Batches are embedded in parallel and come back in the order in
 * which they were given, so that what is written does not depend on timing.
 * Unshared: one thread gives and takes. */
#ifndef SOSIE_ENGINE_BATCH_H
#define SOSIE_ENGINE_BATCH_H

#include "engine/engine_private.h"

/* Features and colours of photos by the digest of their bytes: those that the
 * whitening was fitted on need no second forward pass. */
struct sosie_samples {
    size_t n, room, dim;
    struct sosie_digest *digests; /* rising once sorted */
    float *features;              /* (room, dim) */
    float (*colours)[SOSIE_COLOUR_DIM];
};

enum sosie_photo_outcome {
    SOSIE_PHOTO_EMBEDDED,
    SOSIE_PHOTO_UNCHANGED,
    SOSIE_PHOTO_BAD
};

struct sosie_photo_task {
    /* Given: */
    const char *root, *file; /* must stay until the batch is freed */
    bool has_known;
    struct sosie_digest known; /* of the photo that is embedded already */
    /* Found: */
    enum sosie_photo_outcome outcome;
    struct sosie_digest digest;
    int8_t *packed;   /* EMBEDDED; in the batch's arena */
    float *features;  /* the same before whitening and packing */
    float *colours;   /* of no use where the aspects are the model's own */
    char reason[512]; /* BAD */
};

struct sosie_batch {
    struct sosie_arena arena; /* for what the photos belong to as well */
    size_t n;
    struct sosie_photo_task *photos; /* in the arena */
    void *owner;                     /* the giver's */
    enum sosie_status status; /* other than OK: our failure, not a bad photo */
    struct sosie_error error;
    /* The line's own: */
    struct sosie_line *line;
    bool done;
};

struct sosie_line;

struct sosie_line_options {
    struct sosie_engine *engine;
    const struct sosie_view *view; /* whose aspects are made */
    bool packing;                  /* else features and colours are enough */
    const struct sosie_samples *samples; /* sorted; NULL: none */
};

SOSIE_MUST_CHECK enum sosie_status
sosie_line_create(const struct sosie_line_options *options,
                  struct sosie_line **out, struct sosie_error *err);

bool sosie_line_is_full(const struct sosie_line *line);
bool sosie_line_is_empty(const struct sosie_line *line);

/* Gives a batch, which the line owns until it is taken. The line must not be
 * full. */
void sosie_line_give(struct sosie_line *line, struct sosie_batch *batch);

/* The oldest batch, once it is done; NULL when `wait_ms` have passed before.
 * The line must not be empty. */
struct sosie_batch *sosie_line_take(struct sosie_line *line, unsigned wait_ms);

/* Waits for what is in work and frees it. NULL is allowed. */
void sosie_line_destroy(struct sosie_line *line);

struct sosie_batch *sosie_batch_create(size_t n_photos);
void sosie_batch_free(struct sosie_batch *batch);

/* ---- samples ------------------------------------------------------------- */

SOSIE_MUST_CHECK enum sosie_status
sosie_samples_init(struct sosie_samples *samples, size_t room, size_t dim,
                   struct sosie_error *err);
/* Copies what a task found, if there is room. */
void sosie_samples_add(struct sosie_samples *samples,
                       const struct sosie_photo_task *photo);
/* Orders by digest, for sosie_line_options. */
SOSIE_MUST_CHECK enum sosie_status
sosie_samples_sort(struct sosie_samples *samples, struct sosie_error *err);
void sosie_samples_release(struct sosie_samples *samples);

#endif
