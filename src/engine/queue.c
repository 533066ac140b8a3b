/* queue.c: who embeds when.
 *
 * There is an embedder for each worker, made when it is first needed. Indexing
 * takes one for a batch of its own. A search puts its photo into the line; then
 * each thread whose photo waits there looks for a free embedder, and the one
 * that gets it runs the first few photos of the line, its own among them or
 * not. So a photo that comes when there is an embedder goes through the network
 * at once and alone, and only those that had to wait go together.
 *
 * engine->lock guards the free embedders and the line; embedder_free tells of
 * an embedder that came back, and with it of photos that are done. A photo that
 * waits has a thread that waits, so none is forgotten. */
#include "engine/engine_private.h"

#include <string.h>

/* ---- embedders ----------------------------------------------------------- */

/* With the lock held: whether one may be taken, free or still to be made. */
static bool has_embedder(const struct sosie_engine *engine)
{
    return engine->embedders || engine->n_embedders < engine->options.n_workers;
}

/* With the lock held, which is given up while an embedder is made. */
static enum sosie_status take_locked(struct sosie_engine *engine,
                                     struct sosie_embedder **embedder,
                                     struct sosie_error *err)
{
    enum sosie_status st;
    if (engine->embedders) {
        *embedder = engine->embedders;
        engine->embedders = (*embedder)->next;
        return SOSIE_OK;
    }
    engine->n_embedders++;
    pthread_mutex_unlock(&engine->lock);
    st = sosie_embedder_create(engine->model, embedder, err);
    pthread_mutex_lock(&engine->lock);
    if (st) {
        engine->n_embedders--;
        pthread_cond_broadcast(&engine->embedder_free);
    }
    return st;
}

static void give_locked(struct sosie_engine *engine,
                        struct sosie_embedder *embedder)
{
    embedder->next = engine->embedders;
    engine->embedders = embedder;
    pthread_cond_broadcast(&engine->embedder_free);
}

enum sosie_status sosie_engine_take_embedder(struct sosie_engine *engine,
                                             struct sosie_embedder **embedder,
                                             struct sosie_error *err)
{
    enum sosie_status st;
    pthread_mutex_lock(&engine->lock);
    while (!has_embedder(engine))
        pthread_cond_wait(&engine->embedder_free, &engine->lock);
    st = take_locked(engine, embedder, err);
    pthread_mutex_unlock(&engine->lock);
    return st;
}

void sosie_engine_give_embedder(struct sosie_engine *engine,
                                struct sosie_embedder *embedder)
{
    pthread_mutex_lock(&engine->lock);
    give_locked(engine, embedder);
    pthread_mutex_unlock(&engine->lock);
}

/* ---- photos that wait ---------------------------------------------------- */

static void append(struct sosie_engine *engine, struct sosie_waiting *photo)
{
    photo->next = NULL;
    photo->state = SOSIE_PHOTO_WAITS;
    *engine->last_waiting = photo;
    engine->last_waiting = &photo->next;
}

/* The first few; returns how many. */
static size_t take_photos(struct sosie_engine *engine,
                          struct sosie_waiting *photos[SOSIE_EMBED_BATCH])
{
    size_t n = 0;
    while (engine->waiting && n < SOSIE_EMBED_BATCH) {
        photos[n] = engine->waiting;
        engine->waiting = photos[n]->next;
        photos[n++]->state = SOSIE_PHOTO_RUNS;
    }
    if (!engine->waiting)
        engine->last_waiting = &engine->waiting;
    return n;
}

static enum sosie_status forward(struct sosie_embedder *embedder,
                                 struct sosie_waiting *const *photos, size_t n,
                                 struct sosie_error *err)
{
    const struct sosie_model_info *info = embedder->info;
    const uint8_t *rgb[SOSIE_EMBED_BATCH] = {NULL};
    bool with_logits = false;
    enum sosie_status st;
    for (size_t i = 0; i < n; i++) {
        rgb[i] = photos[i]->rgb;
        with_logits = with_logits || photos[i]->logits;
    }
    st = sosie_model_forward(embedder->run, rgb, n, embedder->features,
                             with_logits ? embedder->logits : NULL, err);
    for (size_t i = 0; i < n && !st; i++) {
        memcpy(photos[i]->features, embedder->features + i * info->dim,
               info->dim * sizeof(float));
        if (photos[i]->logits)
            memcpy(photos[i]->logits, embedder->logits + i * info->n_logits,
                   info->n_logits * sizeof(float));
    }
    return st;
}

/* What fails together (there is no memory for so many) is tried one by one. */
static void run(struct sosie_embedder *embedder,
                struct sosie_waiting *const *photos, size_t n)
{
    struct sosie_error err;
    bool together = n > 1 && !forward(embedder, photos, n, &err);
    for (size_t i = 0; i < n; i++)
        photos[i]->status =
            together ? SOSIE_OK
                     : forward(embedder, &photos[i], 1, &photos[i]->error);
}

static void fail(struct sosie_waiting *const *photos, size_t n,
                 enum sosie_status st, const struct sosie_error *err)
{
    for (size_t i = 0; i < n; i++) {
        photos[i]->status = st;
        photos[i]->error = *err;
    }
}

/* With the lock held: runs the first photos of the line, whosever they are;
 * none, if others have taken them while an embedder was made. */
static void lead(struct sosie_engine *engine)
{
    struct sosie_waiting *photos[SOSIE_EMBED_BATCH];
    struct sosie_embedder *embedder;
    struct sosie_error err;
    enum sosie_status st = take_locked(engine, &embedder, &err);
    size_t n = take_photos(engine, photos);
    if (st) {
        fail(photos, n, st, &err);
    } else {
        pthread_mutex_unlock(&engine->lock);
        run(embedder, photos, n);
        pthread_mutex_lock(&engine->lock);
        give_locked(engine, embedder);
    }
    for (size_t i = 0; i < n; i++)
        photos[i]->state = SOSIE_PHOTO_DONE;
}

void sosie_engine_embed(struct sosie_engine *engine,
                        struct sosie_waiting *photo)
{
    pthread_mutex_lock(&engine->lock);
    append(engine, photo);
    while (photo->state != SOSIE_PHOTO_DONE)
        if (photo->state == SOSIE_PHOTO_WAITS && has_embedder(engine))
            lead(engine);
        else
            pthread_cond_wait(&engine->embedder_free, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
}
