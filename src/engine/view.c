/* view.c: the catalog at one moment: aspects, vectors, classes. */
#include "engine/engine_private.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum sosie_status load_whitening(struct sosie_view *view,
                                        struct sosie_catalog *catalog,
                                        const struct sosie_model_info *info,
                                        struct sosie_error *err)
{
    void *bytes = NULL;
    size_t size = 0;
    enum sosie_status st =
        sosie_catalog_transform(catalog, &view->transform, &bytes, &size, err);
    if (!st && bytes)
        st = sosie_whitening_load(bytes, size, &view->whitening, err);
    free(bytes);
    if (st || !view->whitening)
        return st;
    if (sosie_whitening_in(view->whitening) != info->dim ||
        sosie_whitening_out(view->whitening) > SOSIE_WHITEN_DIM)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "the catalog's whitening is from dimension %zu to "
                          "%zu, its model gives %zu",
                          sosie_whitening_in(view->whitening),
                          sosie_whitening_out(view->whitening), info->dim);
    return SOSIE_OK;
}

/* A catalog that was made before models had aspects keeps to its own. */
static enum sosie_status find_aspects(struct sosie_view *view,
                                      struct sosie_catalog *catalog,
                                      const struct sosie_model_info *info,
                                      struct sosie_error *err)
{
    const char *value = NULL;
    enum sosie_status st =
        sosie_catalog_get(catalog, "aspects", &view->arena, &value, err);
    view->own_aspects = value && info->n_aspects;
    if (!st && !view->own_aspects)
        st = load_whitening(view, catalog, info, err);
    if (st)
        return st;
    view->shape.n_aspects = sosie_aspects_list(info, view->own_aspects,
                                               view->whitening, view->aspects);
    for (size_t j = 0; j < view->shape.n_aspects; j++)
        view->shape.dims[j] = view->aspects[j].dim;
    return SOSIE_OK;
}

/* The id of the class with a label's name, whatever the case; 0 if none. */
static uint32_t class_of_label(const struct sosie_class_names *classes,
                               const char *label)
{
    for (size_t i = 1; i < classes->n; i++)
        if (classes->names[i] && !strcasecmp(classes->names[i], label))
            return (uint32_t)i;
    return 0;
}

/* The model predicts classes itself when it knows every class there is. */
static void match_labels(struct sosie_view *view,
                         const struct sosie_model_info *info)
{
    size_t n_classes = 0, n_known = 0;
    uint32_t *map;
    for (size_t i = 1; i < view->classes.n; i++)
        n_classes += view->classes.names[i] != NULL;
    if (!info->n_labels || !n_classes)
        return;
    map = sosie_arena_alloc(&view->arena, info->n_labels, sizeof(*map));
    for (size_t i = 0; map && i < info->n_labels; i++) {
        size_t same = 0; /* another label may have given that class */
        map[i] = class_of_label(&view->classes, info->labels[i]);
        while (map[same] != map[i])
            same++;
        n_known += map[i] && same == i;
    }
    if (map && n_known == n_classes)
        view->label_classes = map;
}

static bool is_class(const char *name)
{
    return name && strcmp(name, SOSIE_NO_CLASS) != 0;
}

static bool takes_embeddings(const struct sosie_head *head,
                             const struct sosie_view *view)
{
    bool takes = head->transform == view->transform &&
                 head->shape.n_aspects == view->shape.n_aspects;
    for (size_t j = 0; takes && j < view->shape.n_aspects; j++)
        takes = head->shape.dims[j] == view->shape.dims[j];
    return takes;
}

/* The class ids of the head's classes, if those are just the catalog's. */
static uint32_t *match_classes(struct sosie_view *view)
{
    const struct sosie_head *head = &view->head;
    const struct sosie_class_names *classes = &view->classes;
    uint32_t *map =
        sosie_arena_alloc(&view->arena, head->n_classes, sizeof(*map));
    size_t n = 0;
    for (size_t i = 0; map && i < classes->n; i++) {
        size_t c = 0;
        if (!is_class(classes->names[i]))
            continue;
        while (c < head->n_classes && strcmp(head->names[c], classes->names[i]))
            c++;
        if (c == head->n_classes)
            return NULL;
        map[c] = (uint32_t)i;
        n++;
    }
    return n == head->n_classes ? map : NULL;
}

/* A head that is damaged or does not fit is no reason to search nothing. */
static void find_head(struct sosie_view *view, const char *folder,
                      struct sosie_catalog *catalog)
{
    struct sosie_error err;
    enum sosie_status st = sosie_head_read(folder, catalog, &view->head, &err);
    if (st)
        sosie_log(SOSIE_LOG_WARN, "engine", "the class head is not used: %s",
                  err.text);
    if (!st && view->head.n_classes && takes_embeddings(&view->head, view))
        view->head_classes = match_classes(view);
    if (!view->head_classes)
        sosie_head_release(&view->head);
}

enum sosie_status sosie_view_open(const char *folder,
                                  struct sosie_catalog *catalog,
                                  const struct sosie_model_info *info,
                                  struct sosie_view **out,
                                  struct sosie_error *err)
{
    enum sosie_status st;
    struct sosie_view *view = calloc(1, sizeof(*view));
    if (!view)
        return sosie_fail(err, SOSIE_NO_MEMORY, "view of the catalog");
    st = sosie_catalog_begin_reading(catalog, err);
    if (st) {
        free(view);
        return st;
    }
    st = find_aspects(view, catalog, info, err);
    if (!st)
        st = sosie_store_open(folder, catalog, &view->shape, &view->store, err);
    if (!st)
        st = sosie_catalog_classes(catalog, &view->arena, &view->classes, err);
    if (!st)
        st = sosie_catalog_version(catalog, &view->version, err);
    if (!st)
        find_head(view, folder, catalog);
    sosie_catalog_end_reading(catalog);
    if (st) {
        sosie_view_close(view);
        return st;
    }
    match_labels(view, info);
    *out = view;
    return SOSIE_OK;
}

void sosie_view_close(struct sosie_view *view)
{
    if (!view)
        return;
    sosie_store_close(view->store);
    sosie_whitening_destroy(view->whitening);
    sosie_head_release(&view->head);
    sosie_arena_release(&view->arena);
    free(view);
}
