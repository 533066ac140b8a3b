/* indexing.c: sources -> catalog.
 *
 *   1. When the catalog has no whitening yet, the model no aspects of its own,
 *      and there are photos enough, a random sample of them is embedded and the
 *      whitening is fitted.
 *   2. The items of each source, in order: what is known by id and content hash
 *      stays, the rest is embedded and written, some hundred in a transaction.
 *   3. Photos that were embedded with another whitening are embedded anew.
 *   4. What was written goes into a segment file.
 *
 * A crash loses at most the transaction that was open: the next run finds what
 * was committed by its hash and goes on from there. */
#include "engine/batch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "catalog/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_A_TRANSACTION = 512, TRANSACTION_MS = 2000, PROGRESS_MS = 100 };

struct indexing {
    struct sosie_engine *engine;
    const struct sosie_index_options *options;
    struct sosie_index_progress progress;
    double progress_ms; /* when it was last told */
    bool stopped;       /* the caller has had enough */
    struct sosie_samples samples;
    struct sosie_view *view; /* aspects of this run */
    struct sosie_line *line;
    size_t n_written; /* items in the open transaction */
    double begun_ms;  /* when it was begun; only if n_written */
};

static void on_bad(void *context, const char *where, const char *reason)
{
    struct indexing *run = context;
    run->progress.n_bad++;
    if (run->options->bad)
        run->options->bad(run->options->context, where, reason);
}

static void tell(struct indexing *run, bool now)
{
    double ms = sosie_clock_ms();
    struct sosie_index_progress *p = &run->progress;
    if (!run->options->progress ||
        (!now && ms - run->progress_ms < (double)PROGRESS_MS))
        return;
    run->progress_ms = ms;
    p->n_done = p->n_embedded + p->n_unchanged + p->n_bad;
    if (p->n_photos < p->n_done)
        p->n_photos = p->n_done;
    if (!run->options->progress(run->options->context, p))
        run->stopped = true;
}

static enum sosie_status stopped(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_CANCELLED,
                      "stopped; what was indexed is kept, the same command "
                      "goes on from here");
}

static enum sosie_status open_source(const struct indexing *run, size_t i,
                                     bool report, struct sosie_source **source,
                                     struct sosie_error *err)
{
    struct sosie_source_options options = {.path = run->options->sources[i],
                                           .images = run->options->images,
                                           .map = run->options->map,
                                           .bad = report ? on_bad : NULL,
                                           .context = (void *)(uintptr_t)run};
    return sosie_source_open(&options, source, err);
}

static enum sosie_status make_line(struct indexing *run, bool packing,
                                   struct sosie_error *err)
{
    struct sosie_line_options options = {
        .engine = run->engine,
        .view = run->view,
        .packing = packing,
        .samples = packing && run->samples.n ? &run->samples : NULL};
    return sosie_line_create(&options, &run->line, err);
}

/* The next batch that is done; tells the caller how it goes while waiting. */
static struct sosie_batch *take(struct indexing *run)
{
    struct sosie_batch *batch;
    do {
        batch = sosie_line_take(run->line, PROGRESS_MS);
        tell(run, false);
    } while (!batch);
    return batch;
}

/* ---- 1: the whitening ---------------------------------------------------- */

struct sampled {
    char *root, *file;
};

/* Reservoir sampling (J. Vitter, algorithm R): each photo seen so far is in the
 * sample with the same probability. */
struct reservoir {
    struct sosie_random random;
    struct sampled photos[SOSIE_WHITEN_SAMPLE];
    size_t n_seen;
};

static enum sosie_status see(struct reservoir *reservoir, const char *root,
                             const char *file, struct sosie_error *err)
{
    size_t i = reservoir->n_seen++;
    struct sampled photo;
    if (i >= SOSIE_WHITEN_SAMPLE)
        i = (size_t)sosie_random_below(&reservoir->random, reservoir->n_seen);
    if (i >= SOSIE_WHITEN_SAMPLE)
        return SOSIE_OK;
    photo = (struct sampled){strdup(root), strdup(file)};
    if (!photo.root || !photo.file) {
        free(photo.root);
        free(photo.file);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a sample of photos");
    }
    free(reservoir->photos[i].root);
    free(reservoir->photos[i].file);
    reservoir->photos[i] = photo;
    return SOSIE_OK;
}

static void empty(struct reservoir *reservoir)
{
    for (size_t i = 0; i < SOSIE_WHITEN_SAMPLE; i++) {
        free(reservoir->photos[i].root);
        free(reservoir->photos[i].file);
    }
    free(reservoir);
}

static bool has_photo(const struct sosie_catalog_item *item, const char *file)
{
    for (size_t i = 0; item && i < item->n_photos; i++)
        if (!strcmp(item->photos[i].file, file))
            return true;
    return false;
}

/* The photos of an item but those of the catalog, which have been seen. */
static enum sosie_status see_item(const struct indexing *run, const char *root,
                                  const struct sosie_source_item *item,
                                  struct reservoir *reservoir,
                                  struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const struct sosie_catalog_item *known = NULL;
    enum sosie_status st =
        sosie_catalog_find(run->engine->catalog, item->id, &arena, &known, err);
    for (size_t i = 0; !st && i < item->n_photos; i++)
        if (!has_photo(known, item->files[i]))
            st = see(reservoir, root, item->files[i], err);
    sosie_arena_release(&arena);
    return st;
}

static enum sosie_status see_source(const struct indexing *run, size_t i,
                                    struct reservoir *reservoir,
                                    struct sosie_error *err)
{
    struct sosie_source *source;
    const struct sosie_source_item *item = NULL;
    enum sosie_status st = open_source(run, i, false, &source, err);
    if (st)
        return st;
    do {
        st = sosie_source_next(source, &item, err);
        if (!st && item)
            st = see_item(run, sosie_source_root(source), item, reservoir, err);
    } while (!st && item);
    sosie_source_close(source);
    return st;
}

/* Photos that the catalog has and the sources may not have. */
static enum sosie_status see_catalog(const struct indexing *run,
                                     struct reservoir *reservoir,
                                     struct sosie_error *err)
{
    uint64_t row = 0;
    enum sosie_status st = SOSIE_OK;
    for (;;) {
        struct sosie_arena arena = SOSIE_ARENA_INIT;
        const struct sosie_catalog_photo *photo = NULL;
        const char *root;
        st = sosie_catalog_next_photo(run->engine->catalog, row, &arena, &photo,
                                      &root, err);
        if (!st && photo) {
            row = photo->row;
            st = see(reservoir, root, photo->file, err);
        }
        sosie_arena_release(&arena);
        if (st || !photo)
            return st;
    }
}

static enum sosie_status embed_sample(struct indexing *run,
                                      const struct reservoir *reservoir,
                                      struct sosie_error *err)
{
    size_t n = reservoir->n_seen < SOSIE_WHITEN_SAMPLE ? reservoir->n_seen
                                                       : SOSIE_WHITEN_SAMPLE;
    enum sosie_status st = make_line(run, false, err);
    for (size_t i = 0; !st && (i < n || !sosie_line_is_empty(run->line));) {
        struct sosie_batch *batch;
        if (i < n && !sosie_line_is_full(run->line)) {
            size_t size = n - i < SOSIE_EMBED_BATCH ? n - i : SOSIE_EMBED_BATCH;
            batch = sosie_batch_create(size);
            if (!batch) {
                st = sosie_fail(err, SOSIE_NO_MEMORY, "batch");
                break;
            }
            for (size_t j = 0; j < size; j++, i++) {
                batch->photos[j].root = reservoir->photos[i].root;
                batch->photos[j].file = reservoir->photos[i].file;
            }
            sosie_line_give(run->line, batch);
            continue;
        }
        batch = take(run);
        st = batch->status;
        if (st && err)
            *err = batch->error;
        for (size_t j = 0; !st && j < batch->n; j++)
            if (batch->photos[j].outcome == SOSIE_PHOTO_EMBEDDED)
                sosie_samples_add(&run->samples, &batch->photos[j]);
        sosie_batch_free(batch);
        if (!st && run->stopped)
            st = stopped(err);
    }
    sosie_line_destroy(run->line);
    run->line = NULL;
    return st;
}

/* From here on every embedding is made with the new whitening. */
static enum sosie_status store_whitening(struct indexing *run,
                                         const struct sosie_whitening *fitted,
                                         struct sosie_error *err)
{
    struct sosie_catalog *catalog = run->engine->catalog;
    size_t size;
    int64_t number;
    const void *bytes = sosie_whitening_bytes(fitted, &size);
    enum sosie_status st = sosie_catalog_begin(catalog, err);
    if (!st)
        st = sosie_catalog_add_transform(catalog, bytes, size, &number, err);
    if (!st)
        st = sosie_catalog_drop_segments(catalog, err);
    if (!st)
        st = sosie_catalog_commit(catalog, err);
    if (st)
        sosie_catalog_rollback(catalog);
    return st;
}

static enum sosie_status fit_whitening(struct indexing *run,
                                       struct sosie_error *err)
{
    size_t dim = sosie_model_info(run->engine->model)->dim;
    struct sosie_whitening *fitted = NULL;
    struct reservoir *reservoir = calloc(1, sizeof(*reservoir));
    enum sosie_status st = SOSIE_OK;

    if (!reservoir)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a sample of photos");
    run->progress.phase = "fitting";
    sosie_random_seed(&reservoir->random, 1);
    st = see_catalog(run, reservoir, err);
    for (size_t i = 0; !st && i < run->options->n_sources; i++)
        st = see_source(run, i, reservoir, err);
    if (st || reservoir->n_seen < SOSIE_WHITEN_MIN_PHOTOS)
        goto out;
    st = sosie_samples_init(&run->samples, SOSIE_WHITEN_SAMPLE, dim, err);
    if (!st)
        st = embed_sample(run, reservoir, err);
    /* Too many unreadable photos: the next run may have more. */
    if (st || run->samples.n < SOSIE_WHITEN_MIN_PHOTOS / 2)
        goto out;
    st = sosie_samples_sort(&run->samples, err);
    if (!st)
        st = sosie_whitening_fit(run->samples.features, run->samples.n, dim,
                                 SOSIE_WHITEN_DIM, &fitted, err);
    if (!st)
        st = store_whitening(run, fitted, err);
out:
    sosie_whitening_destroy(fitted);
    empty(reservoir);
    return st;
}

static enum sosie_status take_view(struct indexing *run,
                                   struct sosie_error *err)
{
    if (run->view)
        sosie_engine_drop_view(run->engine, run->view);
    run->view = NULL;
    sosie_engine_renew_view(run->engine);
    return sosie_engine_acquire_view(run->engine, &run->view, err);
}

static enum sosie_status prepare_whitening(struct indexing *run,
                                           struct sosie_error *err)
{
    struct sosie_counts counts;
    size_t dim = sosie_model_info(run->engine->model)->dim;
    enum sosie_status st =
        sosie_catalog_counts(run->engine->catalog, &counts, err);
    if (st || run->view->own_aspects || run->view->whitening ||
        dim <= SOSIE_WHITEN_DIM ||
        counts.n_photos + run->progress.n_photos < SOSIE_WHITEN_MIN_PHOTOS)
        return st;
    st = fit_whitening(run, err);
    return st ? st : take_view(run, err);
}

/* ---- transactions -------------------------------------------------------- */

static enum sosie_status commit(struct indexing *run, struct sosie_error *err)
{
    if (!run->n_written)
        return SOSIE_OK;
    run->n_written = 0;
    return sosie_catalog_commit(run->engine->catalog, err);
}

static enum sosie_status begin_if_needed(struct indexing *run,
                                         struct sosie_error *err)
{
    enum sosie_status st;
    if (run->n_written)
        return SOSIE_OK;
    st = sosie_catalog_begin(run->engine->catalog, err);
    if (st)
        return st;
    run->n_written = 1;
    run->begun_ms = sosie_clock_ms();
    return SOSIE_OK;
}

static enum sosie_status commit_if_due(struct indexing *run,
                                       struct sosie_error *err)
{
    if (run->n_written > ITEMS_A_TRANSACTION ||
        (run->n_written &&
         sosie_clock_ms() - run->begun_ms > (double)TRANSACTION_MS))
        return commit(run, err);
    return SOSIE_OK;
}

/* ---- 2: items ------------------------------------------------------------ */

/* An item on its way; its photos are a run of its batch's. */
struct item {
    const char *id, *class_name, *group, *fields, *where;
    int64_t source;
    size_t first, n_photos;
    const struct sosie_catalog_item *known;          /* NULL: new */
    const struct sosie_catalog_photo **known_photos; /* each may be NULL */
    bool *beneath_class;
};

struct item_batch {
    size_t n;
    struct item items[];
};

static char *copy(struct sosie_batch *batch, const char *text)
{
    return text ? sosie_arena_strdup(&batch->arena, text) : NULL;
}

static const struct sosie_catalog_photo *
find_known(const struct sosie_catalog_item *item, int64_t source,
           const char *file)
{
    for (size_t i = 0; item && i < item->n_photos; i++)
        if (item->photos[i].source == source &&
            !strcmp(item->photos[i].file, file))
            return &item->photos[i];
    return NULL;
}

/* Copies an item of the source into the batch, with what the catalog has. */
static enum sosie_status
add_item(struct indexing *run, struct sosie_batch *batch, struct item *item,
         size_t first, const struct sosie_source_item *from, const char *root,
         int64_t source, struct sosie_error *err)
{
    enum sosie_status st;
    *item = (struct item){
        .id = copy(batch, from->id),
        .class_name =
            copy(batch, from->class_name ? from->class_name : SOSIE_NO_CLASS),
        .group = copy(batch, from->group),
        .fields = copy(batch, from->fields),
        .where = copy(batch, from->where),
        .source = source,
        .first = first,
        .n_photos = from->n_photos,
        .known_photos = sosie_arena_alloc(&batch->arena, from->n_photos,
                                          sizeof(*item->known_photos)),
        .beneath_class = sosie_arena_alloc(&batch->arena, from->n_photos,
                                           sizeof(*item->beneath_class))};
    if (!item->id || !item->class_name || (from->group && !item->group) ||
        !item->fields || !item->where || !item->known_photos ||
        !item->beneath_class)
        return sosie_fail(err, SOSIE_NO_MEMORY, "item %s", from->id);
    st = sosie_catalog_find(run->engine->catalog, item->id, &batch->arena,
                            &item->known, err);
    for (size_t i = 0; !st && i < from->n_photos; i++) {
        struct sosie_photo_task *photo = &batch->photos[first + i];
        const struct sosie_catalog_photo *known =
            find_known(item->known, source, from->files[i]);
        photo->root = root;
        photo->file = copy(batch, from->files[i]);
        if (!photo->file)
            return sosie_fail(err, SOSIE_NO_MEMORY, "item %s", from->id);
        item->known_photos[i] = known;
        item->beneath_class[i] = strcmp(from->files[i], from->paths[i]) != 0;
        photo->has_known = known && known->transform == run->view->transform;
        if (photo->has_known)
            photo->known = known->digest;
    }
    return st;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* What is to be written of an item's photos; their number. A photo that can't
 * be read any more leaves the one that is in the catalog where it is. */
static size_t choose_photos(struct indexing *run,
                            const struct sosie_batch *batch,
                            const struct item *item,
                            struct sosie_photo_put *puts, bool *changed)
{
    size_t n = 0;
    for (size_t i = 0; i < item->n_photos; i++) {
        const struct sosie_photo_task *photo = &batch->photos[item->first + i];
        const struct sosie_catalog_photo *known = item->known_photos[i];
        struct sosie_photo_put *put = &puts[n];
        *put = (struct sosie_photo_put){.source = item->source,
                                        .file = photo->file,
                                        .beneath_class = item->beneath_class[i],
                                        .digest = photo->digest,
                                        .transform = run->view->transform};
        switch (photo->outcome) {
        case SOSIE_PHOTO_EMBEDDED:
            put->embedding = photo->packed;
            put->embedding_size = sosie_row_packed_size(&run->view->shape);
            run->progress.n_embedded++;
            *changed = true;
            n++;
            break;
        case SOSIE_PHOTO_UNCHANGED:
            put->keep_row = known->row;
            run->progress.n_unchanged++;
            n++;
            break;
        case SOSIE_PHOTO_BAD:
            on_bad(run, item->where, photo->reason);
            put->keep_row = known ? known->row : 0;
            n += known != NULL;
            break;
        }
    }
    return n;
}

static enum sosie_status write_item(struct indexing *run,
                                    struct sosie_batch *batch,
                                    const struct item *item,
                                    struct sosie_error *err)
{
    struct sosie_photo_put *puts =
        sosie_arena_alloc(&batch->arena, item->n_photos, sizeof(*puts));
    const struct sosie_catalog_item *known = item->known;
    bool changed = !known || !same_text(known->class_name, item->class_name) ||
                   !same_text(known->group, item->group) ||
                   !same_text(known->fields, item->fields);
    size_t n;
    enum sosie_status st;
    if (!puts)
        return sosie_fail(err, SOSIE_NO_MEMORY, "item %s", item->id);
    n = choose_photos(run, batch, item, puts, &changed);
    if (!n || (!changed && n == known->n_photos))
        return SOSIE_OK;
    st = begin_if_needed(run, err);
    if (!st)
        st = sosie_catalog_put(run->engine->catalog, item->id, item->class_name,
                               item->group, item->fields, puts, n, err);
    run->n_written++;
    return st;
}

/* Takes the oldest batch and writes its items. */
static enum sosie_status write_batch(struct indexing *run,
                                     struct sosie_error *err)
{
    struct sosie_batch *batch = take(run);
    const struct item_batch *items = batch->owner;
    enum sosie_status st = batch->status;
    if (st && err)
        *err = batch->error;
    for (size_t i = 0; !st && i < items->n; i++)
        st = write_item(run, batch, &items->items[i], err);
    sosie_batch_free(batch);
    return st ? st : commit_if_due(run, err);
}

/* An item fills a batch alone if it has photos enough, else shares it. */
static enum sosie_status fill_batch(struct indexing *run,
                                    struct sosie_source *source,
                                    int64_t source_id, bool *end,
                                    struct sosie_error *err)
{
    enum { PHOTOS_MAX = 64 + SOSIE_EMBED_BATCH };
    struct sosie_batch *batch = sosie_batch_create(PHOTOS_MAX);
    struct item_batch *items =
        batch ? sosie_arena_alloc(&batch->arena, 1,
                                  sizeof(*items) +
                                      SOSIE_EMBED_BATCH * sizeof(struct item))
              : NULL;
    enum sosie_status st =
        items ? SOSIE_OK : sosie_fail(err, SOSIE_NO_MEMORY, "batch");
    size_t n_photos = 0;
    while (!st && items->n < SOSIE_EMBED_BATCH &&
           n_photos < SOSIE_EMBED_BATCH) {
        const struct sosie_source_item *from = NULL;
        st = sosie_source_next(source, &from, err);
        *end = !from;
        if (st || !from)
            break;
        if (from->n_photos > 64)
            st = sosie_fail(err, SOSIE_REFUSED, "item %s has %zu photos",
                            from->id, from->n_photos);
        else
            st = add_item(run, batch, &items->items[items->n++], n_photos, from,
                          sosie_source_root(source), source_id, err);
        n_photos += from->n_photos;
    }
    if (st || !items->n) {
        sosie_batch_free(batch);
        return st;
    }
    batch->n = n_photos;
    batch->owner = items;
    sosie_line_give(run->line, batch);
    return SOSIE_OK;
}

static enum sosie_status index_source(struct indexing *run, size_t i,
                                      struct sosie_error *err)
{
    struct sosie_source *source;
    int64_t source_id = 0;
    bool end = false;
    enum sosie_status st = open_source(run, i, true, &source, err);
    if (st)
        return st;
    st = sosie_catalog_source_id(run->engine->catalog,
                                 sosie_source_root(source), &source_id, err);
    while (!st && (!end || !sosie_line_is_empty(run->line))) {
        if (!end && !sosie_line_is_full(run->line) && !run->stopped)
            st = fill_batch(run, source, source_id, &end, err);
        else if (!sosie_line_is_empty(run->line))
            st = write_batch(run, err);
        end = end || run->stopped;
    }
    /* The line's batches point into the source. */
    while (st && !sosie_line_is_empty(run->line))
        sosie_batch_free(take(run));
    sosie_source_close(source);
    return st;
}

/* ---- 3: photos of another whitening -------------------------------------- */

static enum sosie_status write_renewed(struct indexing *run,
                                       struct sosie_error *err)
{
    struct sosie_batch *batch = take(run);
    const uint64_t *rows = batch->owner;
    enum sosie_status st = batch->status;
    if (st && err)
        *err = batch->error;
    for (size_t i = 0; !st && i < batch->n; i++) {
        const struct sosie_photo_task *photo = &batch->photos[i];
        if (photo->outcome != SOSIE_PHOTO_EMBEDDED) {
            on_bad(run, photo->file, photo->reason);
            continue;
        }
        st = begin_if_needed(run, err);
        if (!st)
            st = sosie_catalog_replace_embedding(
                run->engine->catalog, rows[i], photo->packed,
                sosie_row_packed_size(&run->view->shape), run->view->transform,
                err);
        run->n_written++;
        run->progress.n_embedded++;
    }
    sosie_batch_free(batch);
    return st ? st : commit_if_due(run, err);
}

static enum sosie_status give_stale(struct indexing *run, uint64_t *row,
                                    bool *end, struct sosie_error *err)
{
    struct sosie_batch *batch = sosie_batch_create(SOSIE_EMBED_BATCH);
    uint64_t *rows = batch ? sosie_arena_alloc(&batch->arena, SOSIE_EMBED_BATCH,
                                               sizeof(*rows))
                           : NULL;
    enum sosie_status st =
        rows ? SOSIE_OK : sosie_fail(err, SOSIE_NO_MEMORY, "batch");
    size_t n = 0;
    while (!st && !*end && n < SOSIE_EMBED_BATCH) {
        const struct sosie_catalog_photo *photo = NULL;
        st = sosie_catalog_next_stale(run->engine->catalog, *row, &batch->arena,
                                      &photo, &batch->photos[n].root, err);
        *end = !photo;
        if (st || !photo)
            break;
        *row = rows[n] = photo->row;
        batch->photos[n++].file = photo->file;
    }
    if (st || !n) {
        sosie_batch_free(batch);
        return st;
    }
    batch->n = n;
    batch->owner = rows;
    sosie_line_give(run->line, batch);
    return SOSIE_OK;
}

static enum sosie_status renew_stale(struct indexing *run,
                                     struct sosie_error *err)
{
    struct sosie_counts counts;
    uint64_t row = 0;
    bool end = false;
    enum sosie_status st = commit(run, err);
    if (!st)
        st = sosie_catalog_counts(run->engine->catalog, &counts, err);
    if (!st)
        run->progress.n_photos += counts.n_stale;
    while (!st && (!end || !sosie_line_is_empty(run->line))) {
        if (!end && !sosie_line_is_full(run->line) && !run->stopped)
            st = give_stale(run, &row, &end, err);
        else if (!sosie_line_is_empty(run->line))
            st = write_renewed(run, err);
        end = end || run->stopped;
    }
    return st;
}

/* ---- the whole ----------------------------------------------------------- */

static enum sosie_status count_photos(struct indexing *run,
                                      struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    run->progress.phase = "reading";
    for (size_t i = 0; !st && i < run->options->n_sources; i++) {
        struct sosie_source *source;
        st = open_source(run, i, false, &source, err);
        if (st)
            return st;
        run->progress.n_photos += sosie_source_count(source);
        sosie_source_close(source);
    }
    tell(run, true);
    return st;
}

static enum sosie_status index_all(struct indexing *run,
                                   struct sosie_error *err)
{
    enum sosie_status st = take_view(run, err);
    if (!st)
        st = count_photos(run, err);
    if (!st)
        st = prepare_whitening(run, err);
    if (!st)
        st = make_line(run, true, err);
    run->progress.phase = "embedding";
    for (size_t i = 0; !st && !run->stopped && i < run->options->n_sources; i++)
        st = index_source(run, i, err);
    if (!st && !run->stopped)
        st = renew_stale(run, err);
    return st;
}

/* Commits what is open, also when the caller stopped the run. A failure loses
 * the open transaction; the items before it are in the catalog. */
static enum sosie_status finish(struct indexing *run, enum sosie_status st,
                                struct sosie_error *err)
{
    struct sosie_engine *engine = run->engine;
    sosie_line_destroy(run->line);
    if (!st || st == SOSIE_CANCELLED) {
        enum sosie_status committed = commit(run, err);
        st = st && !committed ? st : committed;
    }
    sosie_catalog_rollback(engine->catalog);
    if (!st || st == SOSIE_CANCELLED) {
        struct sosie_error late;
        enum sosie_status flushed;
        run->progress.phase = "writing";
        tell(run, true);
        flushed = sosie_store_flush(engine->folder, engine->catalog,
                                    &run->view->shape, &late);
        if (!flushed)
            flushed = sosie_catalog_checkpoint(engine->catalog, &late);
        if (flushed && err)
            *err = late;
        st = flushed ? flushed : st;
    }
    if (!st && run->stopped)
        st = stopped(err);
    return st;
}

enum sosie_status sosie_engine_index(struct sosie_engine *engine,
                                     const struct sosie_index_options *options,
                                     struct sosie_index_report *report,
                                     struct sosie_error *err)
{
    struct indexing run = {.engine = engine, .options = options};
    struct sosie_counts counts = {0};
    double start = sosie_clock_ms();
    enum sosie_status st;

    if (engine->options.mode != SOSIE_WRITE)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "the catalog is open for reading only");
    pthread_mutex_lock(&engine->indexing);
    st = index_all(&run, err);
    st = finish(&run, st, err);
    if (run.view)
        sosie_engine_drop_view(engine, run.view);
    sosie_engine_renew_view(engine);
    pthread_mutex_unlock(&engine->indexing);
    sosie_samples_release(&run.samples);
    if (!st || st == SOSIE_CANCELLED) {
        struct sosie_error late;
        enum sosie_status counted =
            sosie_catalog_counts(engine->catalog, &counts, &late);
        if (counted && err)
            *err = late;
        st = counted ? counted : st;
    }
    *report = (struct sosie_index_report){
        .n_items = counts.n_items,
        .n_photos = counts.n_photos,
        .n_embedded = run.progress.n_embedded,
        .n_unchanged = run.progress.n_unchanged,
        .n_bad = run.progress.n_bad,
        .seconds = (sosie_clock_ms() - start) / 1e3};
    return st;
}
