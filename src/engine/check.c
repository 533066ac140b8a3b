/* check.c: everything in a catalog, read and verified. */
#include "engine/engine_private.h"

#include "base/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    void (*note)(void *context, const char *line);
    void *context;
};

static void note(const struct check *check, const char *format, ...)
    SOSIE_PRINTF(2, 3);

static void note(const struct check *check, const char *format, ...)
{
    char line[256];
    va_list args;
    if (!check->note)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    check->note(check->context, line);
}

static void note_aspects(const struct check *check,
                         const struct sosie_view *view,
                         const struct sosie_model_info *info)
{
    char list[256] = "";
    for (size_t j = 0; j < view->shape.n_aspects; j++) {
        size_t length = strlen(list);
        snprintf(list + length, sizeof(list) - length, "%s%s %zu",
                 j ? ", " : "", view->aspects[j].name, view->aspects[j].dim);
    }
    note(check, "aspects: %s%s", list,
         view->own_aspects ? ", the model's own" : "");
    if (view->whitening)
        note(check, "whitening: %zu to %zu dimensions", info->dim,
             view->shape.dims[0]);
    else if (!view->own_aspects)
        note(check,
             "whitening: none, as for fewer than %d photos or at most %d "
             "dimensions",
             SOSIE_WHITEN_MIN_PHOTOS, SOSIE_WHITEN_DIM);
}

static enum sosie_status check_head(const struct check *check,
                                    const char *folder,
                                    struct sosie_catalog *catalog,
                                    const struct sosie_view *view,
                                    struct sosie_error *err)
{
    struct sosie_head head;
    enum sosie_status st = sosie_head_read(folder, catalog, &head, err);
    if (st)
        return st;
    if (head.n_classes)
        note(check, "class head: %zu classes, %s", head.n_classes,
             view->head_classes
                 ? "in use"
                 : "not in use: it is of other classes or embeddings");
    sosie_head_release(&head);
    return SOSIE_OK;
}

static enum sosie_status check_parts(const struct check *check,
                                     const char *folder,
                                     struct sosie_catalog *catalog,
                                     struct sosie_error *err)
{
    struct sosie_model *model = NULL;
    struct sosie_view *view = NULL;
    /* Nothing is embedded: what the CPU has does not matter. */
    const struct sosie_model_use use = {true, SOSIE_PRECISION_F32};
    enum sosie_precision precision;
    struct sosie_counts counts;
    size_t n_segments;
    enum sosie_status st = sosie_engine_precision(catalog, &precision, err);
    if (!st)
        st = sosie_engine_open_model(folder, catalog, use, &model, err);
    if (st)
        return st;
    note(check, "model: dimension %zu, in %s, as recorded",
         sosie_model_info(model)->dim, sosie_precision_name(precision));
    st = sosie_view_open(folder, catalog, sosie_model_info(model), &view, err);
    if (st)
        goto out;
    note_aspects(check, view, sosie_model_info(model));
    st =
        sosie_catalog_verify(catalog, sosie_row_packed_size(&view->shape), err);
    if (!st)
        st = sosie_catalog_counts(catalog, &counts, err);
    if (st)
        goto out;
    note(check, "database: %zu items, %zu photos, %zu of them to be embedded",
         counts.n_items, counts.n_photos, counts.n_stale);
    st = sosie_store_verify(folder, catalog, &view->shape, &n_segments, err);
    if (!st)
        note(check, "segments: %zu, the same as the database", n_segments);
    if (!st)
        st = check_head(check, folder, catalog, view, err);
out:
    sosie_view_close(view);
    sosie_model_close(model);
    return st;
}

enum sosie_status sosie_catalog_check(const char *catalog,
                                      void (*line)(void *context,
                                                   const char *line),
                                      void *context, struct sosie_error *err)
{
    const struct check check = {line, context};
    struct sosie_catalog *database = NULL;
    char *path;
    enum sosie_status st = sosie_engine_check_folder(catalog, false, err);
    if (st)
        return st;
    path = sosie_path_join(catalog, "catalog.db");
    st = path ? sosie_catalog_open(path, false, &database, err)
              : sosie_fail(err, SOSIE_NO_MEMORY, "%s", catalog);
    free(path);
    if (!st)
        st = check_parts(&check, catalog, database, err);
    sosie_catalog_close(database);
    return st;
}
