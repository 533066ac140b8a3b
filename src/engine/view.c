/* view.c: the catalog at one moment: aspects, vectors, class names. */
#include "engine/engine_private.h"

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
    sosie_arena_release(&view->arena);
    free(view);
}
