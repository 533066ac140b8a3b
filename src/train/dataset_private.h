/* dataset_private.h: a data set in the making.
 *
 *   dataset_read.c      sources -> items and their photos
 *   dataset_variants.c  titles -> which items are one product
 *   dataset.c           items -> labels, groups, identities, splits
 *
 * What is equal by its text becomes a number at once, so that an item is small;
 * dataset.c then gives these numbers their order. */
#ifndef SOSIE_TRAIN_DATASET_PRIVATE_H
#define SOSIE_TRAIN_DATASET_PRIVATE_H

#include "train/dataset.h"
#include "train/names.h"

/* Labels, group and identity are numbers of the maker's names; -1: none. */
struct sosie_dataset_item {
    const char *id;
    size_t n_photos;
    int32_t labels[SOSIE_DATASET_MAX_COLUMNS];
    int32_t group, identity;
    bool has_split; /* its source says in which it is */
    enum sosie_split split;
    /* What variants are told by; NULL where there is none, or where nobody
     * asked. */
    const char *class_name, *title, *colour, *gender, *brand;
    const char *file; /* of its first photo */
    size_t joined;    /* an earlier item of the same identity, or itself */
};

struct sosie_dataset_shot { /* a photo of an item */
    const char *file, *where;
    size_t item;
};

struct sosie_dataset_maker {
    const struct sosie_dataset_options *options;
    struct sosie_arena *kept; /* the data set's: ids, paths, values */
    struct sosie_arena arena; /* all other texts */
    struct sosie_dataset_item *items;
    size_t n_items, items_room;
    struct sosie_dataset_shot *shots;
    size_t n_shots, shots_room;
    struct sosie_names labels[SOSIE_DATASET_MAX_COLUMNS];
    struct sosie_names groups, identities;
    struct sosie_names fields; /* that any item has, for messages */
    /* Whether any item has the field that the options name, or a title. */
    bool has_split, has_group, has_identity, has_title;
    size_t n_bad;
};

/* Reads all sources; errors as of sosie_dataset_open. */
SOSIE_MUST_CHECK enum sosie_status
sosie_dataset_read(struct sosie_dataset_maker *maker, struct sosie_error *err);

/* Whether the field's name stands for the item's group (item_group_id). */
bool sosie_dataset_is_group(const char *field);

/* Joins the items that are variants of one product. Errors: NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_dataset_join_variants(struct sosie_dataset_maker *maker,
                            struct sosie_error *err);

/* The first item of those that this one is joined with. */
size_t sosie_dataset_joined(struct sosie_dataset_item *items, size_t i);
void sosie_dataset_join(struct sosie_dataset_item *items, size_t a, size_t b);

#endif
