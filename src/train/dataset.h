/* dataset.h: photos with labels, to train on and to judge with.
 *
 * A data set is a folder of class folders, a feed (as of catalog/source.h), or
 * a catalog (a folder that `sosie index` made). Its photos stay where they are.
 *
 *   column    one kind of label ("class", or a field: "color", "gender"): each
 *             of its values has a number, in byte order of the values; -1 where
 *             a photo has none
 *   group     photos that are one picture or nearly so, or of one sender:
 *             never counted as each other's hit, never parted by the default
 *             split
 *   identity  photos of one product: its variants (in other colours, from other
 *             sides). What finds a product again is measured and trained by it
 *   split     train, val, or neither ("test" and whatever else a column says)
 *
 * Immutable once opened. Threads: many readers. */
#ifndef SOSIE_TRAIN_DATASET_H
#define SOSIE_TRAIN_DATASET_H

#include "base/arena.h"
#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOSIE_DATASET_MAX_COLUMNS = 8 };

enum sosie_split { SOSIE_SPLIT_TRAIN, SOSIE_SPLIT_VAL, SOSIE_SPLIT_OTHER };

struct sosie_dataset_photo {
    const char *id;    /* of its item */
    const char *file;  /* path that opens it */
    const char *where; /* "feed.csv row 17", or the path of the file */
    enum sosie_split split;
    int32_t group;    /* -1: of none */
    int32_t identity; /* -1: of none */
    int32_t labels[SOSIE_DATASET_MAX_COLUMNS];
};

struct sosie_dataset_column {
    const char *name;
    size_t n_values;
    const char *const *values; /* in byte order */
    size_t n_missing;          /* photos without a label */
};

struct sosie_dataset {
    struct sosie_arena arena;
    size_t n;
    struct sosie_dataset_photo *photos; /* in the order of the sources */
    size_t n_columns;
    struct sosie_dataset_column columns[SOSIE_DATASET_MAX_COLUMNS];
    size_t n_groups, n_identities;
    size_t n_bad; /* rows and files that were passed over */
};

struct sosie_dataset_options {
    const char *const *sources; /* folders, feeds, or one catalog each */
    size_t n_sources;
    const char *images, *map; /* as of catalog/source.h */
    /* "class", or the name of a field; at least one. Field names are those of
     * the feed's columns, or those that `map` gave them (below, too); "id",
     * "class" and "group" are the item's own. Lists and empty values are no
     * labels, and "unknown", as a catalog calls it, is no class. */
    const char *labels[SOSIE_DATASET_MAX_COLUMNS];
    size_t n_labels;
    /* A label that no item has becomes a column without values instead of an
     * error. */
    bool may_lack_labels;
    /* Field that says what split a photo is in: its values are train, val (or
     * valid, validation) and others. NULL: "split" if the source has it, else
     * every tenth group goes to val, by a hash of its name (an item without a
     * group, by its id). What is of one identity goes where the first of its
     * names, in byte order, would go. */
    const char *split;
    /* Field whose equal values, in whatever source, join photos into a group;
     * NULL: the item's `group` (item_group_id) if it has one and `identity`
     * does not name it. */
    const char *group;
    /* Field whose equal values join photos into an identity; NULL: none but
     * `variants`. Items that are all of one group make no identity together.
     * The photos of one item are always one, if there are several. */
    const char *identity;
    /* Joins photos whose titles differ only in the colour, and that agree in
     * class (and in gender, if there is such a field), into an identity. The
     * colour's words are taken from the item's own colour field (color, colour,
     * baseColour) and from a list of common colours. Titles that say too little
     * to name one product join nothing (dataset_variants.c). */
    bool variants;
    /* A row or file that can't be used. May be NULL. */
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

/* Errors: those of opening a source or a catalog; BAD_INPUT if a field that the
 * options name is in no row (says which fields there are), or there is no
 * photo. Deterministic. */
SOSIE_MUST_CHECK enum sosie_status
sosie_dataset_open(const struct sosie_dataset_options *options,
                   struct sosie_dataset *dataset, struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_dataset_release(struct sosie_dataset *dataset);

/* The number of a column, or n_columns if there is none of that name. */
size_t sosie_dataset_column(const struct sosie_dataset *dataset,
                            const char *name);

/* The names that a label of colours goes by, up to NULL: color, colour, ... */
extern const char *const sosie_colour_names[];
bool sosie_label_is_colour(const char *name);

#endif
