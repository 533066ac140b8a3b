/* dataset.c: items -> labels, groups, identities, splits.
 *
 * Items that are joined form a forest: each points to an earlier one of the
 * same identity, or to itself (Tarjan 1975, with halved paths). The default
 * split needs a second, coarser one: what is of one group or one identity. */
#include "train/dataset_private.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum sosie_status no_memory(const struct sosie_dataset_maker *maker,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "a data set of %zu photos",
                      maker->n_shots);
}

size_t sosie_dataset_joined(struct sosie_dataset_item *items, size_t i)
{
    while (items[i].joined != i) {
        items[i].joined = items[items[i].joined].joined;
        i = items[i].joined;
    }
    return i;
}

void sosie_dataset_join(struct sosie_dataset_item *items, size_t a, size_t b)
{
    a = sosie_dataset_joined(items, a);
    b = sosie_dataset_joined(items, b);
    items[a < b ? b : a].joined = a < b ? a : b;
}

/* Joins the items that have the same number, `at` its place in an item. */
static enum sosie_status join_equal(struct sosie_dataset_maker *maker,
                                    size_t at, size_t n_numbers,
                                    struct sosie_error *err)
{
    size_t *first = calloc(n_numbers + 1, sizeof(*first)); /* 1 + the item */
    if (!first)
        return no_memory(maker, err);
    for (size_t i = 0; i < maker->n_items; i++) {
        int32_t number;
        memcpy(&number, (const char *)&maker->items[i] + at, sizeof(number));
        if (number < 0)
            continue;
        if (first[number])
            sosie_dataset_join(maker->items, first[number] - 1, i);
        else
            first[number] = i + 1;
    }
    free(first);
    return SOSIE_OK;
}

/* ---- what was asked for is there ----------------------------------------- */

static enum sosie_status check_options(const struct sosie_dataset_options *o,
                                       struct sosie_error *err)
{
    if (!o->n_sources)
        return sosie_fail(err, SOSIE_BAD_INPUT, "no source of photos");
    if (!o->n_labels || o->n_labels > SOSIE_DATASET_MAX_COLUMNS)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu kinds of label, expected 1 to %d", o->n_labels,
                          SOSIE_DATASET_MAX_COLUMNS);
    for (size_t i = 0; i < o->n_labels; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(o->labels[i], o->labels[j]))
                return sosie_fail(err, SOSIE_BAD_INPUT,
                                  "label \"%s\" is named twice", o->labels[i]);
    return SOSIE_OK;
}

static enum sosie_status no_field(const struct sosie_dataset_maker *maker,
                                  const char *use, const char *name,
                                  struct sosie_error *err)
{
    const struct sosie_names *fields = &maker->fields;
    char list[400] = "none";
    for (size_t i = 0, used = 0; i < fields->n && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                                 i ? ", " : "", fields->texts[i]);
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "%s: no item has a \"%s\"; the fields are: %s", use, name,
                      list);
}

static enum sosie_status check_fields(const struct sosie_dataset_maker *maker,
                                      struct sosie_error *err)
{
    const struct sosie_dataset_options *o = maker->options;
    if (!maker->n_shots)
        return sosie_fail(err, SOSIE_BAD_INPUT, "no photo in %s%s",
                          o->sources[0],
                          o->n_sources > 1 ? " and the other sources" : "");
    for (size_t i = 0; i < o->n_labels; i++)
        if (!maker->labels[i].n && !o->may_lack_labels)
            return no_field(maker, "label", o->labels[i], err);
    if (o->split && !maker->has_split)
        return no_field(maker, "split", o->split, err);
    if (o->group && !maker->has_group)
        return no_field(maker, "group", o->group, err);
    if (o->identity && !maker->has_identity)
        return no_field(maker, "identity", o->identity, err);
    if (o->variants && !maker->has_title)
        return no_field(maker, "variants", "title", err);
    return SOSIE_OK;
}

/* ---- labels -------------------------------------------------------------- */

struct value {
    const char *text;
    int32_t number; /* as it came in */
};

static int compare_values(const void *a, const void *b)
{
    return strcmp(((const struct value *)a)->text,
                  ((const struct value *)b)->text);
}

/* Gives the values of a column their numbers in byte order. */
static enum sosie_status make_column(struct sosie_dataset_maker *maker,
                                     struct sosie_dataset *dataset, size_t c,
                                     struct sosie_error *err)
{
    const struct sosie_names *names = &maker->labels[c];
    struct sosie_dataset_column *column = &dataset->columns[c];
    struct value *values = calloc(names->n, sizeof(*values));
    int32_t *places = calloc(names->n, sizeof(*places));
    const char **texts =
        sosie_arena_alloc(&dataset->arena, names->n, sizeof(*texts));
    enum sosie_status st = SOSIE_OK;

    column->name =
        sosie_arena_strdup(&dataset->arena, maker->options->labels[c]);
    if (!values || !places || !texts || !column->name) {
        st = no_memory(maker, err);
        goto out;
    }
    for (size_t i = 0; i < names->n; i++)
        values[i] = (struct value){names->texts[i], (int32_t)i};
    qsort(values, names->n, sizeof(*values), compare_values);
    for (size_t i = 0; i < names->n; i++) {
        places[values[i].number] = (int32_t)i;
        texts[i] = sosie_arena_strdup(&dataset->arena, values[i].text);
        if (!texts[i]) {
            st = no_memory(maker, err);
            goto out;
        }
    }
    for (size_t i = 0; i < maker->n_items; i++) {
        int32_t *label = &maker->items[i].labels[c];
        *label = *label < 0 ? -1 : places[*label];
    }
    column->values = texts;
    column->n_values = names->n;
out:
    free(values);
    free(places);
    return st;
}

/* ---- photos -------------------------------------------------------------- */

static enum sosie_status add_photos(struct sosie_dataset_maker *maker,
                                    struct sosie_dataset *dataset,
                                    struct sosie_error *err)
{
    dataset->photos = sosie_arena_alloc(&dataset->arena, maker->n_shots,
                                        sizeof(*dataset->photos));
    if (!dataset->photos)
        return no_memory(maker, err);
    for (size_t i = 0; i < maker->n_shots; i++) {
        const struct sosie_dataset_shot *shot = &maker->shots[i];
        const struct sosie_dataset_item *item = &maker->items[shot->item];
        struct sosie_dataset_photo *photo = &dataset->photos[i];
        *photo = (struct sosie_dataset_photo){.id = item->id,
                                              .file = shot->file,
                                              .where = shot->where,
                                              .split = item->split,
                                              .group = item->group,
                                              .identity = -1};
        for (size_t c = 0; c < dataset->n_columns; c++) {
            photo->labels[c] = item->labels[c];
            dataset->columns[c].n_missing += item->labels[c] < 0;
        }
    }
    dataset->n = maker->n_shots;
    dataset->n_groups = maker->groups.n;
    return SOSIE_OK;
}

/* ---- identities ---------------------------------------------------------- */

/* What the items that are joined with one have in common; kept for the first of
 * them. */
struct kin {
    size_t n_items;
    int32_t group;    /* of the first item */
    bool many_groups; /* an item without a group is one of its own */
    int32_t identity; /* -1: not numbered yet */
};

static void meet(struct kin *kin, const struct sosie_dataset_item *item)
{
    if (!kin->n_items++)
        kin->group = item->group;
    else if (item->group < 0 || item->group != kin->group)
        kin->many_groups = true;
}

/* Numbers the identities in the order of their first photos. Items that are all
 * of one group make no identity together, since none of them is another's find;
 * an item's own photos do. */
static enum sosie_status number_identities(struct sosie_dataset_maker *maker,
                                           struct sosie_dataset *dataset,
                                           struct sosie_error *err)
{
    struct sosie_dataset_item *items = maker->items;
    struct kin *kin = calloc(maker->n_items, sizeof(*kin));
    if (!kin)
        return no_memory(maker, err);
    for (size_t i = 0; i < maker->n_items; i++) {
        kin[i].identity = -1;
        meet(&kin[sosie_dataset_joined(items, i)], &items[i]);
    }
    for (size_t i = 0; i < maker->n_shots; i++) {
        size_t item = maker->shots[i].item,
               first = sosie_dataset_joined(items, item);
        bool joined = kin[first].many_groups;
        int32_t *identity = &kin[joined ? first : item].identity;
        if (!joined && items[item].n_photos < 2)
            continue;
        if (*identity < 0)
            *identity = (int32_t)dataset->n_identities++;
        dataset->photos[i].identity = *identity;
    }
    free(kin);
    return SOSIE_OK;
}

static enum sosie_status join_items(struct sosie_dataset_maker *maker,
                                    struct sosie_error *err)
{
    enum sosie_status st =
        join_equal(maker, offsetof(struct sosie_dataset_item, identity),
                   maker->identities.n, err);
    if (!st && maker->options->variants)
        st = sosie_dataset_join_variants(maker, err);
    return st;
}

/* ---- the default split --------------------------------------------------- */

/* The name by which the split of a group, or of an item without one, is drawn.
 */
static const char *draw_name(const struct sosie_dataset_maker *maker,
                             const struct sosie_dataset_item *item)
{
    return item->group < 0 ? item->id : maker->groups.texts[item->group];
}

/* What is of one group or identity is drawn as one, by the first of its names
 * in byte order: so that most stays where it was when more is joined. */
static enum sosie_status draw_splits(struct sosie_dataset_maker *maker,
                                     struct sosie_error *err)
{
    struct sosie_dataset_item *items = maker->items;
    const char **names = calloc(maker->n_items, sizeof(*names));
    enum sosie_status st;
    if (!names)
        return no_memory(maker, err);
    st = join_equal(maker, offsetof(struct sosie_dataset_item, group),
                    maker->groups.n, err);
    for (size_t i = 0; !st && i < maker->n_items; i++) {
        size_t first = sosie_dataset_joined(items, i);
        const char *name = draw_name(maker, &items[i]);
        if (!names[first] || strcmp(name, names[first]) < 0)
            names[first] = name;
    }
    for (size_t i = 0; !st && i < maker->n_items; i++) {
        const char *name = names[sosie_dataset_joined(items, i)];
        if (!items[i].has_split)
            items[i].split = sosie_checksum(name, strlen(name)) % 10
                                 ? SOSIE_SPLIT_TRAIN
                                 : SOSIE_SPLIT_VAL;
    }
    free(names);
    return st;
}

static void copy_splits(const struct sosie_dataset_maker *maker,
                        struct sosie_dataset *dataset)
{
    for (size_t i = 0; i < maker->n_shots; i++)
        dataset->photos[i].split = maker->items[maker->shots[i].item].split;
}

/* ---- open ---------------------------------------------------------------- */

static enum sosie_status make(struct sosie_dataset_maker *maker,
                              struct sosie_dataset *dataset,
                              struct sosie_error *err)
{
    enum sosie_status st = sosie_dataset_read(maker, err);
    if (!st)
        st = check_fields(maker, err);
    dataset->n_columns = maker->options->n_labels;
    dataset->n_bad = maker->n_bad;
    for (size_t c = 0; !st && c < dataset->n_columns; c++)
        st = make_column(maker, dataset, c, err);
    if (!st)
        st = add_photos(maker, dataset, err);
    if (!st)
        st = join_items(maker, err);
    if (!st)
        st = number_identities(maker, dataset, err);
    /* Last, since it joins the groups. */
    if (!st)
        st = draw_splits(maker, err);
    if (!st)
        copy_splits(maker, dataset);
    return st;
}

static void release_maker(struct sosie_dataset_maker *maker)
{
    for (size_t c = 0; c < SOSIE_DATASET_MAX_COLUMNS; c++)
        sosie_names_release(&maker->labels[c]);
    sosie_names_release(&maker->groups);
    sosie_names_release(&maker->identities);
    sosie_names_release(&maker->fields);
    sosie_arena_release(&maker->arena);
    free(maker->items);
    free(maker->shots);
}

enum sosie_status
sosie_dataset_open(const struct sosie_dataset_options *options,
                   struct sosie_dataset *dataset, struct sosie_error *err)
{
    struct sosie_dataset made = {0};
    struct sosie_dataset_maker maker = {.options = options,
                                        .kept = &made.arena};
    enum sosie_status st = check_options(options, err);
    if (!st)
        st = make(&maker, &made, err);
    if (st)
        sosie_dataset_release(&made);
    else
        *dataset = made;
    release_maker(&maker);
    return st;
}

void sosie_dataset_release(struct sosie_dataset *dataset)
{
    sosie_arena_release(&dataset->arena);
    *dataset = (struct sosie_dataset){0};
}

size_t sosie_dataset_column(const struct sosie_dataset *dataset,
                            const char *name)
{
    size_t c = 0;
    while (c < dataset->n_columns && strcmp(dataset->columns[c].name, name))
        c++;
    return c;
}

const char *const sosie_colour_names[] = {"color", "colour", "baseColour",
                                          "baseColor", NULL};

bool sosie_label_is_colour(const char *name)
{
    for (size_t i = 0; sosie_colour_names[i]; i++)
        if (!strcmp(name, sosie_colour_names[i]))
            return true;
    return false;
}
