/* batch.c: the line of batches between the indexing thread and the workers.
 *
 * `lock` guards the `done` of every batch in the line; `one_done` tells of it.
 * The ring itself belongs to the thread that gives and takes. */
#include "engine/batch.h"

#include "base/file.h"
#include "base/pool.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROOM_A_WORKER = 4 };

struct sosie_line {
    struct sosie_line_options options;
    struct sosie_pool *pool;
    struct sosie_batch **ring;
    size_t room, head, n;
    pthread_mutex_t lock;
    pthread_cond_t one_done;
};

/* ---- samples ------------------------------------------------------------- */

enum sosie_status sosie_samples_init(struct sosie_samples *samples, size_t room,
                                     size_t dim, struct sosie_error *err)
{
    *samples = (struct sosie_samples){
        .room = room,
        .dim = dim,
        .digests = calloc(room, sizeof(*samples->digests)),
        .features = calloc(room, dim * sizeof(float)),
        .colours = calloc(room, sizeof(*samples->colours))};
    if (!samples->digests || !samples->features || !samples->colours) {
        sosie_samples_release(samples);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a sample of %zu photos", room);
    }
    return SOSIE_OK;
}

void sosie_samples_add(struct sosie_samples *samples,
                       const struct sosie_photo_task *photo)
{
    size_t i = samples->n;
    if (i == samples->room)
        return;
    samples->digests[i] = photo->digest;
    memcpy(samples->features + i * samples->dim, photo->features,
           samples->dim * sizeof(float));
    memcpy(samples->colours[i], photo->colours, sizeof(*samples->colours));
    samples->n++;
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct sosie_digest));
}

struct place {
    struct sosie_digest digest;
    size_t from;
};

enum sosie_status sosie_samples_sort(struct sosie_samples *samples,
                                     struct sosie_error *err)
{
    struct sosie_samples sorted;
    struct place *places = calloc(samples->n + 1, sizeof(*places));
    enum sosie_status st =
        places ? sosie_samples_init(&sorted, samples->room, samples->dim, err)
               : sosie_fail(err, SOSIE_NO_MEMORY, "a sample of photos");
    for (size_t i = 0; !st && i < samples->n; i++)
        places[i] = (struct place){samples->digests[i], i};
    if (!st) {
        qsort(places, samples->n, sizeof(*places), by_digest);
        for (size_t i = 0; i < samples->n; i++) {
            size_t from = places[i].from;
            const struct sosie_photo_task photo = {
                .digest = places[i].digest,
                .features = samples->features + from * samples->dim,
                .colours = samples->colours[from]};
            sosie_samples_add(&sorted, &photo);
        }
        sosie_samples_release(samples);
        *samples = sorted;
    }
    free(places);
    return st;
}

/* The index of a digest's sample; samples->n if there is none. */
static size_t find_sample(const struct sosie_samples *samples,
                          const struct sosie_digest *digest)
{
    const struct sosie_digest *at = bsearch(
        digest, samples->digests, samples->n, sizeof(*digest), by_digest);
    return at ? (size_t)(at - samples->digests) : samples->n;
}

void sosie_samples_release(struct sosie_samples *samples)
{
    free(samples->digests);
    free(samples->features);
    free(samples->colours);
    *samples = (struct sosie_samples){0};
}

/* ---- one batch, in a worker ---------------------------------------------- */

struct sosie_batch *sosie_batch_create(size_t n_photos)
{
    struct sosie_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    batch->n = n_photos;
    batch->photos =
        sosie_arena_alloc(&batch->arena, n_photos, sizeof(*batch->photos));
    if (!batch->photos) {
        sosie_batch_free(batch);
        return NULL;
    }
    return batch;
}

void sosie_batch_free(struct sosie_batch *batch)
{
    if (!batch)
        return;
    sosie_arena_release(&batch->arena);
    free(batch);
}

static void mark_bad(struct sosie_photo_task *photo,
                     const struct sosie_error *err)
{
    photo->outcome = SOSIE_PHOTO_BAD;
    snprintf(photo->reason, sizeof(photo->reason), "%s", err->text);
}

static enum sosie_status read_photo(const struct sosie_photo_task *photo,
                                    unsigned char **bytes, size_t *size,
                                    struct sosie_error *err)
{
    int fd;
    enum sosie_status st =
        sosie_file_open_beneath(photo->root, photo->file, &fd, size, err);
    if (st)
        return st;
    st = sosie_file_read_fd(fd, photo->file,
                            sosie_image_limits_defaults().max_bytes, bytes,
                            size, err);
    close(fd);
    return st;
}

/* Takes what an earlier pass found for the same bytes. */
static bool use_sample(const struct sosie_line_options *options,
                       struct sosie_photo_task *photo)
{
    const struct sosie_samples *samples = options->samples;
    size_t i = samples ? find_sample(samples, &photo->digest) : 0;
    if (!samples || i == samples->n)
        return false;
    memcpy(photo->features, samples->features + i * samples->dim,
           samples->dim * sizeof(float));
    memcpy(photo->colours, samples->colours[i], sizeof(*samples->colours));
    return true;
}

/* Whether the photo was decoded into `slot`, and so waits for the network. */
static bool decode(const struct sosie_line_options *options,
                   struct sosie_embedder *embedder, size_t slot,
                   struct sosie_photo_task *photo)
{
    unsigned char *bytes = NULL;
    size_t size;
    struct sosie_error err;
    bool decoded = false;

    photo->outcome = SOSIE_PHOTO_EMBEDDED;
    if (read_photo(photo, &bytes, &size, &err)) {
        mark_bad(photo, &err);
        return false;
    }
    photo->digest = sosie_digest_of(bytes, size);
    if (photo->has_known &&
        !memcmp(&photo->known, &photo->digest, sizeof(photo->known)))
        photo->outcome = SOSIE_PHOTO_UNCHANGED;
    else if (use_sample(options, photo))
        decoded = false;
    else if (sosie_photo_decode(
                 embedder->info, bytes, size, NULL, embedder->rgb[slot],
                 options->view->own_aspects ? NULL : embedder->colours[slot],
                 &err))
        mark_bad(photo, &err);
    else
        decoded = true;
    free(bytes);
    return decoded;
}

/* Runs the network over the photos in slots 0 .. n-1 and keeps what it gives.
 */
static enum sosie_status embed(struct sosie_embedder *embedder,
                               struct sosie_photo_task *const *waiting,
                               size_t n, struct sosie_error *err)
{
    size_t dim = embedder->info->dim;
    enum sosie_status st = sosie_model_forward(
        embedder->run, (const uint8_t *const *)embedder->rgb, n,
        embedder->features, NULL, err);
    for (size_t i = 0; !st && i < n; i++) {
        memcpy(waiting[i]->features, embedder->features + i * dim,
               dim * sizeof(float));
        memcpy(waiting[i]->colours, embedder->colours[i],
               sizeof(embedder->colours[i]));
    }
    return st;
}

static enum sosie_status pack(const struct sosie_line_options *options,
                              struct sosie_batch *batch)
{
    size_t size = sosie_row_packed_size(&options->view->shape);
    for (size_t i = 0; i < batch->n; i++) {
        struct sosie_photo_task *photo = &batch->photos[i];
        if (photo->outcome != SOSIE_PHOTO_EMBEDDED)
            continue;
        photo->packed = sosie_arena_alloc(&batch->arena, size, 1);
        if (!photo->packed)
            return sosie_fail(&batch->error, SOSIE_NO_MEMORY, "embedding");
        sosie_embedding_pack(options->view, photo->features, photo->colours,
                             photo->packed);
    }
    return SOSIE_OK;
}

static enum sosie_status work_through(const struct sosie_line_options *options,
                                      struct sosie_embedder *embedder,
                                      struct sosie_batch *batch)
{
    struct sosie_photo_task *waiting[SOSIE_EMBED_BATCH];
    size_t n_waiting = 0;
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; !st && i < batch->n; i++) {
        struct sosie_photo_task *photo = &batch->photos[i];
        photo->features = sosie_arena_alloc(&batch->arena, embedder->info->dim,
                                            sizeof(float));
        photo->colours =
            sosie_arena_alloc(&batch->arena, SOSIE_COLOUR_DIM, sizeof(float));
        if (!photo->features || !photo->colours)
            return sosie_fail(&batch->error, SOSIE_NO_MEMORY, "features");
        if (decode(options, embedder, n_waiting, photo))
            waiting[n_waiting++] = photo;
        if (n_waiting == SOSIE_EMBED_BATCH ||
            (n_waiting && i + 1 == batch->n)) {
            st = embed(embedder, waiting, n_waiting, &batch->error);
            n_waiting = 0;
        }
    }
    return st;
}

static void work(void *argument, size_t worker)
{
    struct sosie_batch *batch = argument;
    struct sosie_line *line = batch->line;
    struct sosie_embedder *embedder;
    (void)worker;

    batch->status = sosie_engine_take_embedder(line->options.engine, &embedder,
                                               &batch->error);
    if (!batch->status) {
        batch->status = work_through(&line->options, embedder, batch);
        if (!batch->status && line->options.packing)
            batch->status = pack(&line->options, batch);
        sosie_engine_give_embedder(line->options.engine, embedder);
    }
    pthread_mutex_lock(&line->lock);
    batch->done = true;
    pthread_cond_signal(&line->one_done);
    pthread_mutex_unlock(&line->lock);
}

/* ---- the line ------------------------------------------------------------ */

enum sosie_status sosie_line_create(const struct sosie_line_options *options,
                                    struct sosie_line **out,
                                    struct sosie_error *err)
{
    size_t n_workers = options->engine->options.n_workers;
    enum sosie_status st;
    struct sosie_line *line = calloc(1, sizeof(*line));
    if (!line)
        return sosie_fail(err, SOSIE_NO_MEMORY, "line of batches");
    pthread_mutex_init(&line->lock, NULL);
    pthread_cond_init(&line->one_done, NULL);
    line->options = *options;
    line->room = n_workers * ROOM_A_WORKER;
    line->ring = calloc(line->room, sizeof(*line->ring));
    st = line->ring ? sosie_pool_create(n_workers, line->room, &line->pool, err)
                    : sosie_fail(err, SOSIE_NO_MEMORY, "line of batches");
    if (st) {
        sosie_line_destroy(line);
        return st;
    }
    *out = line;
    return SOSIE_OK;
}

bool sosie_line_is_full(const struct sosie_line *line)
{
    return line->n == line->room;
}

bool sosie_line_is_empty(const struct sosie_line *line)
{
    return !line->n;
}

void sosie_line_give(struct sosie_line *line, struct sosie_batch *batch)
{
    assert(!sosie_line_is_full(line));
    batch->line = line;
    line->ring[(line->head + line->n++) % line->room] = batch;
    sosie_pool_submit(line->pool, work, batch);
}

struct sosie_batch *sosie_line_take(struct sosie_line *line, unsigned wait_ms)
{
    struct sosie_batch *oldest = line->ring[line->head];
    struct timespec until;
    int code = 0;
    bool done;

    assert(!sosie_line_is_empty(line));
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&line->lock);
    while (!oldest->done && !code)
        code = pthread_cond_timedwait(&line->one_done, &line->lock, &until);
    done = oldest->done;
    pthread_mutex_unlock(&line->lock);
    if (!done)
        return NULL;
    line->head = (line->head + 1) % line->room;
    line->n--;
    return oldest;
}

void sosie_line_destroy(struct sosie_line *line)
{
    if (!line)
        return;
    sosie_pool_destroy(line->pool); /* ends when all jobs have */
    for (size_t i = 0; i < line->n; i++)
        sosie_batch_free(line->ring[(line->head + i) % line->room]);
    free(line->ring);
    pthread_cond_destroy(&line->one_done);
    pthread_mutex_destroy(&line->lock);
    free(line);
}
