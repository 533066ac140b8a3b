/* engine.c: opening a catalog; the view that searches share. */
#include "engine/engine_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { MODEL_MAX_BYTES = 1 << 30, LOOK_EVERY_MS = 200 };

struct sosie_engine_options sosie_engine_options_defaults(void)
{
    return (struct sosie_engine_options){.mode = SOSIE_READ,
                                         .precision = SOSIE_PRECISION_AUTO};
}

char *sosie_path_join(const char *folder, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* ---- the folder ---------------------------------------------------------- */

/* The names that a catalog's folder may hold: one that is being made has the
 * model before it has a database. */
static bool is_ours(const char *name)
{
    const char *end = strstr(name, ".seg"), *head = strstr(name, ".head");
    return !strncmp(name, "catalog.db", 10) || !strcmp(name, "model.onnx") ||
           !strcmp(name, "model.onnx.tmp") || !strcmp(name, "lock") ||
           (end && (!end[4] || !strcmp(end, ".seg.tmp"))) ||
           (head && (!head[5] || !strcmp(head, ".head.tmp"))) ||
           !strcmp(name, ".") || !strcmp(name, "..");
}

enum sosie_status sosie_engine_check_folder(const char *folder, bool write,
                                            struct sosie_error *err)
{
    DIR *dir;
    const struct dirent *entry;
    char foreign[256] = "";
    bool database = false;
    switch (sosie_path_kind(folder)) {
    case SOSIE_PATH_NONE:
        return write ? sosie_folder_make(folder, err)
                     : sosie_fail(err, SOSIE_NOT_FOUND,
                                  "%s: there is no catalog (expected a folder "
                                  "made by `sosie index`)",
                                  folder);
    case SOSIE_PATH_FILE:
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%s is a file; a catalog is a folder", folder);
    case SOSIE_PATH_FOLDER:
        break;
    }
    dir = opendir(folder);
    if (!dir)
        return sosie_fail_errno(err, SOSIE_IO, "%s", folder);
    while ((entry = readdir(dir))) {
        database = database || !strcmp(entry->d_name, "catalog.db");
        if (!is_ours(entry->d_name))
            snprintf(foreign, sizeof(foreign), "%s", entry->d_name);
    }
    closedir(dir);
    if (database || (write && !*foreign))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "%s is a folder, but not a catalog: it has no catalog.db"
                      "%s%s",
                      folder, *foreign ? ", and it has " : "", foreign);
}

static enum sosie_status lock_for_writing(struct sosie_engine *engine,
                                          struct sosie_error *err)
{
    char *path = sosie_path_join(engine->folder, "lock");
    enum sosie_status st = SOSIE_OK;
    if (!path)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", engine->folder);
    engine->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (engine->lock_file < 0)
        st = sosie_fail_errno(err, SOSIE_IO, "%s", path);
    else if (flock(engine->lock_file, LOCK_EX | LOCK_NB))
        st = errno == EWOULDBLOCK
                 ? sosie_fail(err, SOSIE_CONFLICT,
                              "%s is being written by another process",
                              engine->folder)
                 : sosie_fail_errno(err, SOSIE_IO, "%s", path);
    free(path);
    return st;
}

/* ---- the model ----------------------------------------------------------- */

/* From one file: a catalog keeps a copy of it, and of no other. */
static enum sosie_status open_model_file(const char *path,
                                         struct sosie_model_use use,
                                         struct sosie_model **out,
                                         char digest[33],
                                         struct sosie_error *err)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    unsigned char *bytes = NULL;
    size_t size;
    enum sosie_status st;
    options.backend = use.plain ? SOSIE_BACKEND_PLAIN : SOSIE_BACKEND_ONEDNN;
    options.precision = use.precision;
    options.max_batch = SOSIE_EMBED_BATCH;
    st = sosie_file_read(path, MODEL_MAX_BYTES, &bytes, &size, err);
    if (st)
        return st;
    st = sosie_model_open_bytes(bytes, size, &options, out, err);
    free(bytes);
    if (st) {
        sosie_error_prefix(err, "%s", path);
        return st;
    }
    if (sosie_model_info(*out)->dim > SOSIE_ASPECT_DIM_MAX) {
        st =
            sosie_fail(err, SOSIE_REFUSED,
                       "%s gives embeddings of dimension %zu, at most %d is "
                       "taken",
                       path, sosie_model_info(*out)->dim, SOSIE_ASPECT_DIM_MAX);
        sosie_model_close(*out);
        *out = NULL;
        return st;
    }
    sosie_digest_hex(&sosie_model_info(*out)->digest, digest);
    return SOSIE_OK;
}

enum sosie_status sosie_engine_precision(struct sosie_catalog *catalog,
                                         enum sosie_precision *precision,
                                         struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const char *name = NULL;
    enum sosie_precision found = SOSIE_PRECISION_F32;
    enum sosie_status st =
        sosie_catalog_get(catalog, "precision", &arena, &name, err);
    if (!st && name &&
        (sosie_precision_parse(name, &found, NULL) ||
         found == SOSIE_PRECISION_AUTO))
        st = sosie_fail(err, SOSIE_CORRUPT,
                        "the catalog's precision is \"%.40s\", expected f32, "
                        "bf16 or int8",
                        name);
    sosie_arena_release(&arena);
    if (!st)
        *precision = found;
    return st;
}

enum sosie_status sosie_engine_open_model(const char *folder,
                                          struct sosie_catalog *catalog,
                                          struct sosie_model_use use,
                                          struct sosie_model **out,
                                          struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    struct sosie_model *model = NULL;
    char *path = sosie_path_join(folder, "model.onnx");
    char digest[33];
    const char *expected = NULL, *dim = NULL;
    enum sosie_status st =
        sosie_catalog_get(catalog, "model.digest", &arena, &expected, err);
    if (!st)
        st = sosie_catalog_get(catalog, "model.dim", &arena, &dim, err);
    if (!st && (!expected || !dim))
        st = sosie_fail(err, SOSIE_CORRUPT,
                        "%s: the making of this catalog was not finished; run "
                        "`sosie index` with --model",
                        folder);
    if (!st && !path)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "%s", folder);
    if (!st)
        st = open_model_file(path, use, &model, digest, err);
    if (st == SOSIE_REFUSED)
        sosie_error_prefix(err, "%s was made in %s", folder,
                           sosie_precision_name(use.precision));
    if (st == SOSIE_NOT_FOUND)
        st = sosie_fail(err, SOSIE_CORRUPT, "%s: no such file", path);
    if (!st && strcmp(digest, expected))
        st = sosie_fail(err, SOSIE_CONFLICT,
                        "%s has digest %s and dimension %zu, the catalog was "
                        "made with digest %s and dimension %s",
                        path, digest, sosie_model_info(model)->dim, expected,
                        dim);
    free(path);
    sosie_arena_release(&arena);
    if (st)
        sosie_model_close(model);
    else
        *out = model;
    return st;
}

/* Copies the model into a new catalog and records it. */
static enum sosie_status adopt_model(struct sosie_engine *engine,
                                     const char *model_path,
                                     struct sosie_error *err)
{
    char *copy = sosie_path_join(engine->folder, "model.onnx"), digest[33];
    char dim[32];
    unsigned char *bytes = NULL;
    size_t size = 0;
    enum sosie_status st;

    if (!copy)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", engine->folder);
    st = open_model_file(model_path,
                         (struct sosie_model_use){engine->options.plain,
                                                  engine->options.precision},
                         &engine->model, digest, err);
    if (!st)
        st = sosie_file_read(model_path, MODEL_MAX_BYTES, &bytes, &size, err);
    if (!st)
        st = sosie_file_write(copy, &(struct sosie_span){bytes, size}, 1, err);
    free(bytes);
    free(copy);
    if (st)
        return st;
    snprintf(dim, sizeof(dim), "%zu", sosie_model_info(engine->model)->dim);
    st = sosie_catalog_begin(engine->catalog, err);
    if (!st)
        st = sosie_catalog_set(engine->catalog, "model.dim", dim, err);
    if (!st)
        st = sosie_catalog_set(
            engine->catalog, "precision",
            sosie_precision_name(sosie_model_info(engine->model)->precision),
            err);
    if (!st && sosie_model_info(engine->model)->n_aspects)
        st = sosie_catalog_set(engine->catalog, "aspects", "model", err);
    if (!st)
        st = sosie_catalog_set(engine->catalog, "model.digest", digest, err);
    if (!st)
        st = sosie_catalog_commit(engine->catalog, err);
    if (st)
        sosie_catalog_rollback(engine->catalog);
    return st;
}

/* The model that the caller names must be the one the catalog has. */
static enum sosie_status compare_model(struct sosie_engine *engine,
                                       const char *model_path,
                                       struct sosie_error *err)
{
    const struct sosie_model_use use = {engine->options.plain,
                                        SOSIE_PRECISION_F32};
    struct sosie_model *named = NULL;
    char digest[33], ours[33];
    enum sosie_status st =
        open_model_file(model_path, use, &named, digest, err);
    if (st)
        return st;
    sosie_digest_hex(&sosie_model_info(engine->model)->digest, ours);
    if (strcmp(digest, ours))
        st = sosie_fail(err, SOSIE_CONFLICT,
                        "%s has digest %s and dimension %zu, but the catalog "
                        "was made with digest %s and dimension %zu; make "
                        "another catalog for another model",
                        model_path, digest, sosie_model_info(named)->dim, ours,
                        sosie_model_info(engine->model)->dim);
    sosie_model_close(named);
    return st;
}

/* Opens what the catalog was made with; what the caller asks for must be it. */
static enum sosie_status open_own_model(struct sosie_engine *engine,
                                        const char *model_path,
                                        struct sosie_error *err)
{
    enum sosie_precision asked = engine->options.precision;
    struct sosie_model_use use = {.plain = engine->options.plain};
    enum sosie_status st =
        sosie_engine_precision(engine->catalog, &use.precision, err);
    if (!st && asked != SOSIE_PRECISION_AUTO && asked != use.precision)
        st = sosie_fail(err, SOSIE_CONFLICT,
                        "%s was made in %s, %s was asked for; make another "
                        "catalog for another precision",
                        engine->folder, sosie_precision_name(use.precision),
                        sosie_precision_name(asked));
    if (!st)
        st = sosie_engine_open_model(engine->folder, engine->catalog, use,
                                     &engine->model, err);
    return st || !model_path ? st : compare_model(engine, model_path, err);
}

static enum sosie_status set_up_model(struct sosie_engine *engine,
                                      const char *model_path,
                                      struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const char *digest = NULL;
    enum sosie_status st = sosie_catalog_get(engine->catalog, "model.digest",
                                             &arena, &digest, err);
    bool is_new = !digest && engine->options.mode == SOSIE_WRITE;
    sosie_arena_release(&arena);
    if (st)
        return st;
    if (is_new && !model_path)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%s is a new catalog: name the model to make it "
                          "with (--model FILE)",
                          engine->folder);
    return is_new ? adopt_model(engine, model_path, err)
                  : open_own_model(engine, model_path, err);
}

/* ---- open and close ------------------------------------------------------ */

static enum sosie_status open_catalog(struct sosie_engine *engine,
                                      struct sosie_error *err)
{
    char *path = sosie_path_join(engine->folder, "catalog.db");
    enum sosie_status st =
        path ? sosie_catalog_open(path, engine->options.mode == SOSIE_WRITE,
                                  &engine->catalog, err)
             : sosie_fail(err, SOSIE_NO_MEMORY, "%s", engine->folder);
    free(path);
    return st;
}

enum sosie_status sosie_engine_open(const char *catalog,
                                    const struct sosie_engine_options *options,
                                    struct sosie_engine **out,
                                    struct sosie_error *err)
{
    bool write = options->mode == SOSIE_WRITE;
    enum sosie_status st;
    struct sosie_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return sosie_fail(err, SOSIE_NO_MEMORY, "engine handle");
    engine->lock_file = -1;
    engine->options = *options;
    engine->options.model = NULL;
    if (!engine->options.n_workers)
        engine->options.n_workers = sosie_cpu_count();
    pthread_mutex_init(&engine->indexing, NULL);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->embedder_free, NULL);
    engine->last_waiting = &engine->waiting;
    engine->folder = strdup(catalog);
    st = engine->folder ? sosie_engine_check_folder(catalog, write, err)
                        : sosie_fail(err, SOSIE_NO_MEMORY, "engine handle");
    if (!st && write)
        st = lock_for_writing(engine, err);
    if (!st)
        st = open_catalog(engine, err);
    if (!st)
        st = set_up_model(engine, options->model, err);
    if (!st) { /* what is damaged shows itself now, not at the first search */
        struct sosie_view *view;
        st = sosie_engine_acquire_view(engine, &view, err);
        if (!st)
            sosie_engine_drop_view(engine, view);
    }
    if (st) {
        sosie_engine_close(engine);
        return st;
    }
    *out = engine;
    return SOSIE_OK;
}

void sosie_engine_close(struct sosie_engine *engine)
{
    if (!engine)
        return;
    while (engine->embedders) {
        struct sosie_embedder *next = engine->embedders->next;
        sosie_embedder_destroy(engine->embedders);
        engine->embedders = next;
    }
    sosie_view_close(engine->view);
    sosie_model_close(engine->model);
    sosie_catalog_close(engine->catalog);
    if (engine->lock_file >= 0)
        close(engine->lock_file);
    pthread_cond_destroy(&engine->embedder_free);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->indexing);
    free(engine->folder);
    free(engine);
}

/* ---- the view ------------------------------------------------------------ */

static void drop_locked(struct sosie_view *view)
{
    if (view && !--view->users)
        sosie_view_close(view);
}

/* Whether the catalog has changed since the view was made. */
static enum sosie_status is_stale(struct sosie_engine *engine, bool *stale,
                                  struct sosie_error *err)
{
    double now = sosie_clock_ms();
    int64_t version;
    enum sosie_status st;
    *stale = !engine->view;
    if (*stale || now - engine->looked_ms < (double)LOOK_EVERY_MS)
        return SOSIE_OK;
    st = sosie_catalog_version(engine->catalog, &version, err);
    if (st)
        return st;
    engine->looked_ms = now;
    *stale = version != engine->view->version;
    return SOSIE_OK;
}

enum sosie_status sosie_engine_acquire_view(struct sosie_engine *engine,
                                            struct sosie_view **view,
                                            struct sosie_error *err)
{
    bool stale = false;
    struct sosie_view *fresh = NULL;
    enum sosie_status st;
    pthread_mutex_lock(&engine->lock);
    st = is_stale(engine, &stale, err);
    if (!st && stale) {
        st = sosie_view_open(engine->folder, engine->catalog,
                             sosie_model_info(engine->model), &fresh, err);
        if (!st) {
            fresh->users = 1; /* the engine's own */
            drop_locked(engine->view);
            engine->view = fresh;
            engine->looked_ms = sosie_clock_ms();
        } else if (engine->view) {
            /* A search on what was there before is better than none. */
            sosie_log(SOSIE_LOG_ERROR, "engine",
                      "the changed catalog can't be read, the old state is "
                      "still searched: %s",
                      err ? err->text : "");
            st = SOSIE_OK;
        }
    }
    if (!st) {
        engine->view->users++;
        *view = engine->view;
    }
    pthread_mutex_unlock(&engine->lock);
    return st;
}

void sosie_engine_drop_view(struct sosie_engine *engine,
                            struct sosie_view *view)
{
    pthread_mutex_lock(&engine->lock);
    drop_locked(view);
    pthread_mutex_unlock(&engine->lock);
}

void sosie_engine_renew_view(struct sosie_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    drop_locked(engine->view);
    engine->view = NULL;
    pthread_mutex_unlock(&engine->lock);
}

/* ---- photos and state ---------------------------------------------------- */

enum sosie_status sosie_engine_photo(struct sosie_engine *engine,
                                     const char *class_name, const char *path,
                                     int *fd, size_t *size,
                                     struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const char *root, *file;
    enum sosie_status st = sosie_catalog_locate(
        engine->catalog, class_name, path, &arena, &root, &file, err);
    if (!st)
        st = sosie_file_open_beneath(root, file, fd, size, err);
    sosie_arena_release(&arena);
    return st;
}

enum sosie_status sosie_engine_stats(struct sosie_engine *engine,
                                     struct sosie_engine_stats *stats,
                                     struct sosie_error *err)
{
    struct sosie_counts counts;
    struct sosie_view *view;
    size_t n_classes = 0;
    enum sosie_status st = sosie_catalog_counts(engine->catalog, &counts, err);
    if (!st)
        st = sosie_engine_acquire_view(engine, &view, err);
    if (st)
        return st;
    for (size_t i = 0; i < view->classes.n; i++)
        n_classes += view->classes.names[i] != NULL;
    *stats = (struct sosie_engine_stats){
        .n_items = counts.n_items,
        .n_photos = counts.n_photos,
        .n_classes = n_classes,
        .n_aspects = view->shape.n_aspects,
        .own_aspects = view->own_aspects,
        .classes_by = view->head_classes    ? "head"
                      : view->label_classes ? "labels"
                                            : "votes",
        .whitened = view->whitening,
        .precision = sosie_model_info(engine->model)->precision};
    memcpy(stats->aspects, view->aspects, sizeof(stats->aspects));
    sosie_engine_drop_view(engine, view);
    return SOSIE_OK;
}
