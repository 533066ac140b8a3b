/* dataset_read.c: folders, feeds and catalogs -> items and their photos.
 *
 * An item is what its source says of it: id, class, group, and a JSON object of
 * fields. Only what the options ask for is kept. */
#include "train/dataset_private.h"

#include "base/file.h"
#include "base/size.h"
#include "catalog/catalog.h"
#include "catalog/source.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* An item as any of the sources gives it. */
struct told {
    const char *id, *class_name, *group;
    json_t *fields;
};

static enum sosie_status no_memory(const struct sosie_dataset_maker *maker,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "a data set of %zu photos",
                      maker->n_shots);
}

/* ---- fields -------------------------------------------------------------- */

bool sosie_dataset_is_group(const char *field)
{
    return !strcmp(field, "group") || !strcmp(field, "item_group_id");
}

/* A JSON value as a label: *text is NULL for what is none (null, "", a list).
 */
static enum sosie_status text_of(struct sosie_dataset_maker *maker,
                                 const json_t *value, const char **text,
                                 struct sosie_error *err)
{
    const char *kept = NULL;
    *text = NULL;
    if (json_is_string(value) && *json_string_value(value))
        kept = sosie_arena_strdup(&maker->arena, json_string_value(value));
    else if (json_is_integer(value))
        kept = sosie_arena_printf(&maker->arena, "%" JSON_INTEGER_FORMAT,
                                  json_integer_value(value));
    else if (json_is_real(value))
        kept =
            sosie_arena_printf(&maker->arena, "%.15g", json_real_value(value));
    else if (json_is_boolean(value))
        kept = sosie_arena_strdup(&maker->arena,
                                  json_is_true(value) ? "true" : "false");
    else
        return SOSIE_OK;
    *text = kept;
    return kept ? SOSIE_OK : no_memory(maker, err);
}

/* What the item has under a name; *text is NULL if it has nothing. */
static enum sosie_status look_up(struct sosie_dataset_maker *maker,
                                 const struct told *told, const char *name,
                                 const char **text, struct sosie_error *err)
{
    const char *part = !strcmp(name, "class")         ? told->class_name
                       : !strcmp(name, "id")          ? told->id
                       : sosie_dataset_is_group(name) ? told->group
                                                      : NULL;
    if (!part)
        return text_of(maker, json_object_get(told->fields, name), text, err);
    *text = sosie_arena_strdup(&maker->arena, part);
    return *text ? SOSIE_OK : no_memory(maker, err);
}

/* The first of several names that the item has something under. */
static enum sosie_status look_up_any(struct sosie_dataset_maker *maker,
                                     const struct told *told,
                                     const char *const *names,
                                     const char **text, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    *text = NULL;
    for (; !st && !*text && *names; names++)
        st = look_up(maker, told, *names, text, err);
    return st;
}

/* The number of what the item has under `name`; -1 if it has nothing. */
static enum sosie_status number_of(struct sosie_dataset_maker *maker,
                                   const struct told *told, const char *name,
                                   struct sosie_names *names, int32_t *number,
                                   struct sosie_error *err)
{
    const char *text;
    size_t found;
    enum sosie_status st = look_up(maker, told, name, &text, err);
    *number = -1;
    if (st || !text)
        return st;
    st = sosie_names_add(names, text, &found, err);
    if (!st && found >= INT32_MAX)
        st = sosie_fail(err, SOSIE_TOO_LARGE, "\"%s\" has %zu values", name,
                        found);
    if (!st)
        *number = (int32_t)found;
    return st;
}

static enum sosie_status note_fields(struct sosie_dataset_maker *maker,
                                     const struct told *told,
                                     struct sosie_error *err)
{
    const char *name;
    json_t *value;
    size_t number;
    enum sosie_status st = SOSIE_OK;
    if (told->class_name)
        st = sosie_names_add(&maker->fields, "class", &number, err);
    if (!st && told->group)
        st = sosie_names_add(&maker->fields, "group", &number, err);
    json_object_foreach(told->fields, name, value)
    {
        if (st)
            break;
        st = sosie_names_add(&maker->fields, name, &number, err);
    }
    return st;
}

/* ---- an item ------------------------------------------------------------- */

static enum sosie_split split_of(const char *text)
{
    static const char *const val[] = {"val", "valid", "validation"};
    if (text && !strcasecmp(text, "train"))
        return SOSIE_SPLIT_TRAIN;
    for (size_t i = 0; text && i < sizeof(val) / sizeof(*val); i++)
        if (!strcasecmp(text, val[i]))
            return SOSIE_SPLIT_VAL;
    return SOSIE_SPLIT_OTHER;
}

static enum sosie_status read_split(struct sosie_dataset_maker *maker,
                                    const struct told *told,
                                    struct sosie_dataset_item *item,
                                    struct sosie_error *err)
{
    const char *name = maker->options->split, *text;
    enum sosie_status st =
        look_up(maker, told, name ? name : "split", &text, err);
    if (st)
        return st;
    item->has_split = text != NULL;
    item->split = split_of(text);
    return SOSIE_OK;
}

/* A field that the options name as what tells identities is not taken as the
 * group as well: a group's photos are no finds. */
static enum sosie_status read_joins(struct sosie_dataset_maker *maker,
                                    const struct told *told,
                                    struct sosie_dataset_item *item,
                                    struct sosie_error *err)
{
    const char *group = maker->options->group,
               *identity = maker->options->identity;
    enum sosie_status st = SOSIE_OK;
    item->group = item->identity = -1;
    if (identity)
        st = number_of(maker, told, identity, &maker->identities,
                       &item->identity, err);
    if (!st && (group || !identity || !sosie_dataset_is_group(identity)))
        st = number_of(maker, told, group ? group : "group", &maker->groups,
                       &item->group, err);
    maker->has_identity |= item->identity >= 0;
    maker->has_group |= item->group >= 0;
    return st;
}

static enum sosie_status read_title(struct sosie_dataset_maker *maker,
                                    const struct told *told,
                                    struct sosie_dataset_item *item,
                                    struct sosie_error *err)
{
    static const char *const titles[] = {"title", "name", "productDisplayName",
                                         NULL};
    enum sosie_status st = look_up_any(maker, told, titles, &item->title, err);
    if (!st)
        st = look_up_any(maker, told, sosie_colour_names, &item->colour, err);
    if (!st)
        st = look_up(maker, told, "class", &item->class_name, err);
    if (!st)
        st = look_up(maker, told, "gender", &item->gender, err);
    if (!st)
        st = look_up(maker, told, "brand", &item->brand, err);
    maker->has_title |= item->title != NULL;
    return st;
}

static enum sosie_status read_item(struct sosie_dataset_maker *maker,
                                   const struct told *told,
                                   struct sosie_dataset_item *item,
                                   struct sosie_error *err)
{
    enum sosie_status st = note_fields(maker, told, err);
    item->id = sosie_arena_strdup(maker->kept, told->id);
    if (!st && !item->id)
        st = no_memory(maker, err);
    for (size_t i = 0; !st && i < maker->options->n_labels; i++)
        st = number_of(maker, told, maker->options->labels[i],
                       &maker->labels[i], &item->labels[i], err);
    if (!st)
        st = read_split(maker, told, item, err);
    if (!st)
        st = read_joins(maker, told, item, err);
    if (!st && maker->options->variants)
        st = read_title(maker, told, item, err);
    return st;
}

/* Doubles the room of a list whose room is used up. */
static enum sosie_status make_room(const struct sosie_dataset_maker *maker,
                                   void **list, size_t n, size_t *room,
                                   size_t size, struct sosie_error *err)
{
    size_t wanted = 1024;
    void *more;
    if (n < *room)
        return SOSIE_OK;
    if (*room && !sosie_size_mul(*room, 2, &wanted))
        return no_memory(maker, err);
    more = reallocarray(*list, wanted, size);
    if (!more)
        return no_memory(maker, err);
    *list = more;
    *room = wanted;
    return SOSIE_OK;
}

/* Adds an item that has no photo yet; `fields` is the text of its JSON. */
static enum sosie_status add_item(struct sosie_dataset_maker *maker,
                                  struct told told, const char *fields,
                                  struct sosie_error *err)
{
    struct sosie_dataset_item item = {.joined = maker->n_items};
    void *items = maker->items;
    enum sosie_status st = make_room(maker, &items, maker->n_items,
                                     &maker->items_room, sizeof(item), err);
    maker->items = items;
    if (st)
        return st;
    told.fields = json_loads(fields, 0, NULL);
    if (!json_is_object(told.fields))
        st = sosie_fail(err, SOSIE_CORRUPT,
                        "the fields of item %s are no JSON object", told.id);
    if (!st)
        st = read_item(maker, &told, &item, err);
    json_decref(told.fields);
    if (!st)
        maker->items[maker->n_items++] = item;
    return st;
}

/* `where`: NULL for the path itself. */
static enum sosie_status add_shot(struct sosie_dataset_maker *maker,
                                  size_t item, const char *root,
                                  const char *file, const char *where,
                                  struct sosie_error *err)
{
    struct sosie_dataset_shot shot = {.item = item};
    void *shots = maker->shots;
    enum sosie_status st = make_room(maker, &shots, maker->n_shots,
                                     &maker->shots_room, sizeof(shot), err);
    maker->shots = shots;
    if (st)
        return st;
    shot.file = sosie_arena_printf(maker->kept, "%s/%s", root, file);
    shot.where = where ? sosie_arena_strdup(maker->kept, where) : shot.file;
    if (!shot.file || !shot.where)
        return no_memory(maker, err);
    if (!maker->items[item].n_photos++)
        maker->items[item].file = shot.file;
    maker->shots[maker->n_shots++] = shot;
    return SOSIE_OK;
}

/* ---- folders and feeds --------------------------------------------------- */

static void count_bad(void *context, const char *where, const char *reason)
{
    struct sosie_dataset_maker *maker = context;
    maker->n_bad++;
    if (maker->options->bad)
        maker->options->bad(maker->options->context, where, reason);
}

static enum sosie_status add_source_item(struct sosie_dataset_maker *maker,
                                         const char *root,
                                         const struct sosie_source_item *from,
                                         struct sosie_error *err)
{
    struct told told = {from->id, from->class_name, from->group, NULL};
    enum sosie_status st = add_item(maker, told, from->fields, err);
    for (size_t i = 0; !st && i < from->n_photos; i++)
        st = add_shot(maker, maker->n_items - 1, root, from->files[i],
                      from->where, err);
    return st;
}

static enum sosie_status read_source(struct sosie_dataset_maker *maker,
                                     const char *path, struct sosie_error *err)
{
    const struct sosie_source_options options = {.path = path,
                                                 .images =
                                                     maker->options->images,
                                                 .map = maker->options->map,
                                                 .bad = count_bad,
                                                 .context = maker};
    struct sosie_source *source = NULL;
    const struct sosie_source_item *item = NULL;
    enum sosie_status st = sosie_source_open(&options, &source, err);
    if (st)
        return st;
    do {
        st = sosie_source_next(source, &item, err);
        if (!st && item)
            st = add_source_item(maker, sosie_source_root(source), item, err);
    } while (!st && item);
    sosie_source_close(source);
    return st;
}

/* ---- catalogs ------------------------------------------------------------ */

struct shelf { /* a catalog being read */
    struct sosie_dataset_maker *maker;
    struct sosie_catalog *catalog;
    struct sosie_names ids;
    size_t first_item; /* of the maker's, that is of this catalog */
};

/* Adds the item unless an earlier photo did; *item is its number. An item's
 * photos need not have neighbouring rows. */
static enum sosie_status add_catalog_item(struct shelf *shelf, const char *id,
                                          struct sosie_arena *arena,
                                          size_t *item, struct sosie_error *err)
{
    const struct sosie_catalog_item *found = NULL;
    struct told told = {0};
    size_t number, n_before = shelf->ids.n;
    enum sosie_status st = sosie_names_add(&shelf->ids, id, &number, err);
    if (st)
        return st;
    *item = shelf->first_item + number;
    if (number < n_before)
        return SOSIE_OK;
    st = sosie_catalog_find(shelf->catalog, id, arena, &found, err);
    if (st)
        return st;
    if (!found)
        return sosie_fail(err, SOSIE_CORRUPT, "item %s has gone", id);
    told = (struct told){found->id, found->class_name, found->group, NULL};
    if (told.class_name && !strcmp(told.class_name, SOSIE_NO_CLASS))
        told.class_name = NULL;
    return add_item(shelf->maker, told, found->fields, err);
}

/* Adds the first photo above *row, which then is the photo's; *found is false
 * after the last. */
static enum sosie_status add_next_photo(struct shelf *shelf, uint64_t *row,
                                        bool *found, struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const struct sosie_catalog_photo *photo = NULL;
    struct sosie_photo_info info;
    const char *root = NULL;
    size_t item = 0;
    enum sosie_status st = sosie_catalog_next_photo(shelf->catalog, *row,
                                                    &arena, &photo, &root, err);
    if (st || !photo)
        goto out;
    *row = photo->row;
    st = sosie_catalog_photo_info(shelf->catalog, *row, &arena, &info, err);
    if (!st)
        st = add_catalog_item(shelf, info.id, &arena, &item, err);
    if (!st)
        st = add_shot(shelf->maker, item, root, photo->file, NULL, err);
out:
    *found = !st && photo;
    sosie_arena_release(&arena);
    return st;
}

static enum sosie_status read_catalog(struct sosie_dataset_maker *maker,
                                      const char *path, const char *database,
                                      struct sosie_error *err)
{
    struct shelf shelf = {.maker = maker, .first_item = maker->n_items};
    uint64_t row = 0;
    bool found = true;
    enum sosie_status st =
        sosie_catalog_open(database, false, &shelf.catalog, err);
    if (st)
        return st;
    st = sosie_catalog_begin_reading(shelf.catalog, err);
    if (!st) {
        while (!st && found)
            st = add_next_photo(&shelf, &row, &found, err);
        sosie_catalog_end_reading(shelf.catalog);
    }
    sosie_catalog_close(shelf.catalog);
    sosie_names_release(&shelf.ids);
    if (st)
        sosie_error_prefix(err, "%s", path);
    return st;
}

/* ---- all ----------------------------------------------------------------- */

static enum sosie_status read_path(struct sosie_dataset_maker *maker,
                                   const char *path, struct sosie_error *err)
{
    enum sosie_status st;
    char *database = NULL;
    if (asprintf(&database, "%s/catalog.db", path) < 0)
        return no_memory(maker, err);
    if (sosie_path_kind(database) == SOSIE_PATH_FILE)
        st = read_catalog(maker, path, database, err);
    else
        st = read_source(maker, path, err);
    free(database);
    return st;
}

/* Where some items of a source say in which split they are, those that don't
 * are in none. */
static void settle_splits(struct sosie_dataset_maker *maker, size_t first)
{
    bool any = false;
    for (size_t i = first; i < maker->n_items; i++)
        any |= maker->items[i].has_split;
    for (size_t i = first; i < maker->n_items; i++)
        maker->items[i].has_split = any || maker->options->split;
    maker->has_split |= any;
}

enum sosie_status sosie_dataset_read(struct sosie_dataset_maker *maker,
                                     struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; !st && i < maker->options->n_sources; i++) {
        size_t first = maker->n_items;
        st = read_path(maker, maker->options->sources[i], err);
        settle_splits(maker, first);
    }
    return st;
}
