/* catalog.h: the items of a shop in SQLite: the truth from which everything
 * else can be rebuilt.
 *
 * A *photo row* is one photo with its embedding. Row numbers rise and are never
 * used again: a photo that changes gets a new row. `dead` rows are gone from
 * the catalog but may still be in a segment file. Each embedding belongs to the
 * *transform* (whitening) it was made with; only those of the catalog's current
 * one are searched.
 *
 * Threads: locked inside; calls from several threads wait for each other. One
 * process may have a catalog open for writing, any number for reading; readers
 * see whole transactions. Strings handed out live in the caller's arena.
 * Errors of all calls: IO when the disk is full or fails, CORRUPT when the
 * database is damaged, NO_MEMORY. */
#ifndef SOSIE_CATALOG_CATALOG_H
#define SOSIE_CATALOG_CATALOG_H

#include "base/arena.h"
#include "base/hash.h"
#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sosie_catalog;

/* Opens the database file. `write` makes it when it is not there and brings an
 * older schema up to date. CONFLICT if it was written by a newer program;
 * NOT_FOUND if it is not there. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_open(const char *path, bool write, struct sosie_catalog **out,
                   struct sosie_error *err);
/* NULL is allowed. */
void sosie_catalog_close(struct sosie_catalog *catalog);

/* All that is written between begin and commit is there whole or not at all. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_begin(struct sosie_catalog *catalog, struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_commit(struct sosie_catalog *catalog, struct sosie_error *err);
void sosie_catalog_rollback(struct sosie_catalog *catalog);

/* A view that does not change until sosie_catalog_end_reading, for several
 * reads that must agree; other threads' calls wait. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_begin_reading(struct sosie_catalog *catalog,
                            struct sosie_error *err);
void sosie_catalog_end_reading(struct sosie_catalog *catalog);

/* A number that changes when another connection has committed. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_version(struct sosie_catalog *catalog, int64_t *version,
                      struct sosie_error *err);

/* Moves what was committed from the log into the database file. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_checkpoint(struct sosie_catalog *catalog,
                         struct sosie_error *err);

/* ---- what it was made with ----------------------------------------------- */

/* The value of a setting; *value is NULL when it was never set. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_get(struct sosie_catalog *catalog, const char *key,
                  struct sosie_arena *arena, const char **value,
                  struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_set(struct sosie_catalog *catalog, const char *key,
                  const char *value, struct sosie_error *err);

/* The current transform: its number, 0 for none, and its bytes (owned, free;
 * NULL for none). CORRUPT when they fail their checksum. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_transform(struct sosie_catalog *catalog, int64_t *number,
                        void **bytes, size_t *size, struct sosie_error *err);

/* Stores a new transform, which is the current one from now on. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_add_transform(struct sosie_catalog *catalog, const void *bytes,
                            size_t size, int64_t *number,
                            struct sosie_error *err);

/* ---- items --------------------------------------------------------------- */

/* The class of an item that came without one. */
#define SOSIE_NO_CLASS "unknown"

struct sosie_counts {
    size_t n_items, n_photos;
    size_t n_stale; /* photos whose embedding is of another transform */
};
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_counts(struct sosie_catalog *catalog, struct sosie_counts *counts,
                     struct sosie_error *err);

/* Class names by id; entries of ids not in use are NULL. `n` is above every id.
 */
struct sosie_class_names {
    const char *const *names;
    size_t n;
};
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_classes(struct sosie_catalog *catalog, struct sosie_arena *arena,
                      struct sosie_class_names *classes,
                      struct sosie_error *err);

/* The id of a class, source folder; made when it is new. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_class_id(struct sosie_catalog *catalog, const char *name,
                       uint32_t *id, struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_source_id(struct sosie_catalog *catalog, const char *root,
                        int64_t *id, struct sosie_error *err);

/* A photo as the catalog has it. `file` is relative to the source's folder. */
struct sosie_catalog_photo {
    uint64_t row;
    int64_t source;
    const char *file;
    bool beneath_class; /* file is "<class>/<path>", else it is the path */
    struct sosie_digest digest; /* of the file's bytes */
    int64_t transform;
};

struct sosie_catalog_item {
    const char *id, *class_name, *group, *fields; /* group may be NULL */
    size_t n_photos;
    struct sosie_catalog_photo *photos;
};

/* An item with its photos, by the shop's id; *item is NULL if there is none. */
SOSIE_MUST_CHECK enum sosie_status sosie_catalog_find(
    struct sosie_catalog *catalog, const char *id, struct sosie_arena *arena,
    const struct sosie_catalog_item **item, struct sosie_error *err);

/* One photo to be put into an item. */
struct sosie_photo_put {
    uint64_t keep_row; /* 0: a new row from what follows; else that row stays */
    int64_t source;
    const char *file;
    bool beneath_class;
    struct sosie_digest digest;
    const int8_t *embedding;
    size_t embedding_size;
    int64_t transform;
};

/* Adds the item or replaces all that is known of it. Rows that are not kept
 * become dead; so do kept ones when the class changes (their embeddings move to
 * new rows, since a row's class never changes). */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_put(struct sosie_catalog *catalog, const char *id,
                  const char *class_name, const char *group, const char *fields,
                  const struct sosie_photo_put *photos, size_t n_photos,
                  struct sosie_error *err);

/* Gives a photo row another embedding under a new number. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_replace_embedding(struct sosie_catalog *catalog, uint64_t row,
                                const int8_t *embedding, size_t size,
                                int64_t transform, struct sosie_error *err);

/* ---- what a search asks for ---------------------------------------------- */

struct sosie_photo_info {
    const char *id, *class_name, *path, *fields;
};
/* What a hit shows; NOT_FOUND if the row is dead. */
SOSIE_MUST_CHECK enum sosie_status sosie_catalog_photo_info(
    struct sosie_catalog *catalog, uint64_t row, struct sosie_arena *arena,
    struct sosie_photo_info *info, struct sosie_error *err);

/* The embedding of an item's first photo of the current transform, packed;
 * NOT_FOUND if there is no such item, UNAVAILABLE if all that it has is of
 * another transform. */
SOSIE_MUST_CHECK enum sosie_status sosie_catalog_item_embedding(
    struct sosie_catalog *catalog, const char *id, struct sosie_arena *arena,
    const int8_t **embedding, size_t *size, struct sosie_error *err);

/* Where the file of a photo is, by class and path; NOT_FOUND. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_locate(struct sosie_catalog *catalog, const char *class_name,
                     const char *path, struct sosie_arena *arena,
                     const char **root, const char **file,
                     struct sosie_error *err);

/* ---- what segments are made from ----------------------------------------- */

/* Called for each row; a status other than OK ends the walk with it. */
typedef enum sosie_status sosie_row_visit(void *context, uint64_t row,
                                          uint32_t class_id,
                                          const int8_t *embedding, size_t size,
                                          struct sosie_error *err);

/* All rows of the current transform above `after`, rising. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_each_embedding(struct sosie_catalog *catalog, uint64_t after,
                             sosie_row_visit *visit, void *context,
                             struct sosie_error *err);

/* Called for each row; `product` is the same text for photos of one product: of
 * one item, or of the items of one group. */
typedef enum sosie_status sosie_product_visit(void *context, uint64_t row,
                                              const char *product,
                                              struct sosie_error *err);

/* The rows of sosie_catalog_each_embedding, from the first. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_each_product(struct sosie_catalog *catalog,
                           sosie_product_visit *visit, void *context,
                           struct sosie_error *err);

/* The first photo above row `after`, of all or of those whose embedding is of
 * another transform; *photo is NULL at the end. Only its row and file are
 * filled; *root is the folder of its source. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_next_photo(struct sosie_catalog *catalog, uint64_t after,
                         struct sosie_arena *arena,
                         const struct sosie_catalog_photo **photo,
                         const char **root, struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_next_stale(struct sosie_catalog *catalog, uint64_t after,
                         struct sosie_arena *arena,
                         const struct sosie_catalog_photo **photo,
                         const char **root, struct sosie_error *err);

/* Rows that are dead, rising. *rows is owned (free). */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_dead(struct sosie_catalog *catalog, uint64_t **rows, size_t *n,
                   struct sosie_error *err);

struct sosie_segment_info {
    const char *name; /* of the file */
    uint64_t last_row;
    size_t n_rows;
};
/* The segment files of the current transform, by rising rows. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_segments(struct sosie_catalog *catalog, struct sosie_arena *arena,
                       const struct sosie_segment_info **segments, size_t *n,
                       struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_add_segment(struct sosie_catalog *catalog,
                          const struct sosie_segment_info *segment,
                          struct sosie_error *err);
/* Forgets all segments, and with them the dead rows. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_drop_segments(struct sosie_catalog *catalog,
                            struct sosie_error *err);

/* SQLite's own integrity check, foreign keys, and sizes of embeddings
 * (`embedding_size` bytes for those of the current transform). CORRUPT with the
 * first fault. */
SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_verify(struct sosie_catalog *catalog, size_t embedding_size,
                     struct sosie_error *err);

#endif
