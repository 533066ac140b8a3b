/* pixels_decode.c: photos -> small RGB, by all workers, in order.
 *
 * Workers fill the slots of a ring; the calling thread empties them in the
 * order of the photos, so that what is kept does not depend on who was faster.
 * Each slot is a job: free, then the worker's until it is `done`, then the
 * caller's. `lock` guards `done` of all slots. */
#include "train/pixels_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

enum { SLOTS_A_WORKER = 8, PROGRESS_MS = 100 };

struct slot {
    struct run *run;
    const char *file;
    struct sosie_image image;
    enum sosie_status status;
    struct sosie_error error;
    bool done;
};

struct run {
    const struct sosie_dataset *dataset;
    const struct sosie_pixels_options *options;
    struct sosie_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t ready; /* a slot is done */
    struct slot *slots;
    size_t n_slots;
    size_t n_given, n_taken; /* photos */
    size_t n_bad;
    struct sosie_error first_bad;
    double progress_ms; /* when it was last told */
};

/* ---- a photo ------------------------------------------------------------- */

/* The sides that a photo is shrunk to: its shape kept, never enlarged. */
static void find_sides(const struct sosie_image *image, uint32_t side,
                       uint32_t *width, uint32_t *height)
{
    double w = image->width, h = image->height;
    double scale = fmin(1, fmin(side / fmin(w, h), 2.0 * side / fmax(w, h)));
    *width = (uint32_t)fmax(1, round(w * scale));
    *height = (uint32_t)fmax(1, round(h * scale));
}

static enum sosie_status shrink(struct sosie_image *image, uint32_t side,
                                struct sosie_error *err)
{
    struct sosie_image small = {0};
    enum sosie_status st;
    find_sides(image, side, &small.width, &small.height);
    if (small.width == image->width && small.height == image->height)
        return SOSIE_OK;
    small.rgb = malloc((size_t)small.width * small.height * 3);
    if (!small.rgb)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a photo of %u x %u pixels",
                          small.width, small.height);
    st = sosie_image_fit(image, SOSIE_FIT_SQUASH, small.width, small.height,
                         small.rgb, err);
    sosie_image_release(st ? &small : image);
    if (!st)
        *image = small;
    return st;
}

static enum sosie_status read_photo(const char *file, uint32_t side,
                                    struct sosie_image *image,
                                    struct sosie_error *err)
{
    const struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(), .min_side = side};
    unsigned char *bytes = NULL;
    size_t size = 0;
    enum sosie_status st =
        sosie_file_read(file, options.limits.max_bytes, &bytes, &size, err);
    if (!st)
        st = sosie_image_decode(bytes, size, &options, image, err);
    free(bytes);
    if (!st)
        st = shrink(image, side, err);
    if (st)
        sosie_image_release(image);
    return st;
}

static void decode(void *argument, size_t worker)
{
    struct slot *slot = argument;
    struct run *run = slot->run;
    (void)worker;
    slot->status =
        read_photo(slot->file, run->options->side, &slot->image, &slot->error);
    pthread_mutex_lock(&run->lock);
    slot->done = true;
    pthread_cond_signal(&run->ready);
    pthread_mutex_unlock(&run->lock);
}

/* ---- the ring ------------------------------------------------------------ */

static void give(struct run *run)
{
    struct slot *slot = &run->slots[run->n_given % run->n_slots];
    *slot = (struct slot){.run = run,
                          .file = run->dataset->photos[run->n_given].file};
    run->n_given++;
    sosie_pool_submit(run->pool, decode, slot);
}

static struct slot *take(struct run *run)
{
    struct slot *slot = &run->slots[run->n_taken % run->n_slots];
    pthread_mutex_lock(&run->lock);
    while (!slot->done)
        pthread_cond_wait(&run->ready, &run->lock);
    pthread_mutex_unlock(&run->lock);
    run->n_taken++;
    return slot;
}

static void note_bad(struct run *run, const struct slot *slot)
{
    const char *where = run->dataset->photos[run->n_taken - 1].where;
    if (!run->n_bad++) {
        run->first_bad = slot->error;
        sosie_error_prefix(&run->first_bad, "%s", where);
    }
    if (run->options->bad)
        run->options->bad(run->options->context, where, slot->error.text);
}

static enum sosie_status tell_progress(struct run *run, bool now,
                                       struct sosie_error *err)
{
    double ms = sosie_clock_ms();
    if (!run->options->progress ||
        (!now && ms < run->progress_ms + (double)PROGRESS_MS))
        return SOSIE_OK;
    run->progress_ms = ms;
    if (run->options->progress(run->options->context, run->n_taken,
                               run->dataset->n))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_CANCELLED,
                      "stopped after %zu of %zu photos were decoded",
                      run->n_taken, run->dataset->n);
}

/* A photo that is no photo is passed over; that there is no memory for one ends
 * it all. */
static enum sosie_status keep_next(struct run *run, sosie_pixels_keep *keep,
                                   void *context, struct sosie_error *err)
{
    struct slot *slot;
    enum sosie_status st;
    while (run->n_given < run->dataset->n &&
           run->n_given < run->n_taken + run->n_slots)
        give(run);
    slot = take(run);
    if (slot->status == SOSIE_NO_MEMORY) {
        if (err)
            *err = slot->error;
        return slot->status;
    }
    if (slot->status)
        note_bad(run, slot);
    st = keep(context, &slot->image, err);
    sosie_image_release(&slot->image);
    return st ? st : tell_progress(run, run->n_taken == run->dataset->n, err);
}

/* Waits for what was given and drops it. */
static void empty(struct run *run)
{
    while (run->n_taken < run->n_given)
        sosie_image_release(&take(run)->image);
    sosie_pool_wait(run->pool);
}

static enum sosie_status none_readable(const struct run *run,
                                       struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "none of %zu photos can be read; the first: %s",
                      run->dataset->n, run->first_bad.text);
}

static enum sosie_status start(struct run *run, struct sosie_error *err)
{
    size_t n_workers = run->options->n_workers ? run->options->n_workers : 1;
    run->n_slots = SLOTS_A_WORKER * n_workers;
    run->slots = calloc(run->n_slots, sizeof(*run->slots));
    if (!run->slots)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu photos at a time",
                          run->n_slots);
    return sosie_pool_create(n_workers, run->n_slots, &run->pool, err);
}

enum sosie_status
sosie_pixels_decode(const struct sosie_dataset *dataset,
                    const struct sosie_pixels_options *options,
                    sosie_pixels_keep *keep, void *context, size_t *n_bad,
                    struct sosie_error *err)
{
    struct run run = {.dataset = dataset, .options = options};
    enum sosie_status st;
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.ready, NULL);
    st = start(&run, err);
    if (!st) {
        st = tell_progress(&run, true, err);
        while (!st && run.n_taken < dataset->n)
            st = keep_next(&run, keep, context, err);
        empty(&run);
    }
    if (!st && run.n_bad == dataset->n)
        st = none_readable(&run, err);
    if (!st)
        *n_bad = run.n_bad;
    sosie_pool_destroy(run.pool);
    free(run.slots);
    pthread_cond_destroy(&run.ready);
    pthread_mutex_destroy(&run.lock);
    return st;
}
