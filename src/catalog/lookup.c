/* lookup.c: what searches and segments ask of the catalog. */
#include "catalog/catalog.h"
#include "catalog/sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CURRENT "(SELECT coalesce(max(id), 0) FROM transform)"

static enum sosie_status no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "catalog look-up");
}

/* ---- counts and classes -------------------------------------------------- */

enum sosie_status sosie_catalog_counts(struct sosie_catalog *catalog,
                                       struct sosie_counts *counts,
                                       struct sosie_error *err)
{
    int64_t items = 0, photos = 0, stale = 0;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st =
        sosie_sql_number(catalog, &items, err, "SELECT count(*) FROM item", "");
    if (!st)
        st = sosie_sql_number(catalog, &photos, err,
                              "SELECT count(*) FROM photo", "");
    if (!st)
        st = sosie_sql_number(catalog, &stale, err,
                              "SELECT count(*) FROM photo"
                              " WHERE transform != " CURRENT,
                              "");
    sosie_catalog_unlock(catalog);
    if (!st)
        *counts = (struct sosie_counts){.n_items = (size_t)items,
                                        .n_photos = (size_t)photos,
                                        .n_stale = (size_t)stale};
    return st;
}

static enum sosie_status read_classes(struct sosie_catalog *catalog, size_t n,
                                      struct sosie_arena *arena,
                                      const char **names,
                                      struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st =
        sosie_sql(catalog, &statement, err, "SELECT id, name FROM class", "");
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    while (!st && row) {
        int64_t id = sqlite3_column_int64(statement, 0);
        if (id >= 0 && id < (int64_t)n &&
            !sosie_sql_text(statement, 1, arena, &names[id]))
            st = no_memory(err);
        else
            st = sosie_sql_step(catalog, statement, &row, err);
    }
    sosie_sql_reset(statement);
    return st;
}

enum sosie_status sosie_catalog_classes(struct sosie_catalog *catalog,
                                        struct sosie_arena *arena,
                                        struct sosie_class_names *classes,
                                        struct sosie_error *err)
{
    int64_t largest = 0;
    const char **names = NULL;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql_number(catalog, &largest, err,
                          "SELECT coalesce(max(id), 0) FROM class", "");
    if (!st && (largest < 0 || largest > UINT32_MAX))
        st = sosie_fail(err, SOSIE_CORRUPT, "class id %" PRId64, largest);
    if (!st) {
        names = sosie_arena_alloc(arena, (size_t)largest + 1, sizeof(*names));
        st = names ? SOSIE_OK : no_memory(err);
    }
    if (!st)
        st = read_classes(catalog, (size_t)largest + 1, arena, names, err);
    sosie_catalog_unlock(catalog);
    if (!st)
        *classes = (struct sosie_class_names){names, (size_t)largest + 1};
    return st;
}

/* ---- hits ---------------------------------------------------------------- */

enum sosie_status sosie_catalog_photo_info(struct sosie_catalog *catalog,
                                           uint64_t row,
                                           struct sosie_arena *arena,
                                           struct sosie_photo_info *info,
                                           struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT item.name, class.name, fields,"
                   " CASE beneath WHEN 0 THEN file"
                   "  ELSE substr(file, length(class.name) + 2) END"
                   " FROM photo JOIN item ON item.id = item"
                   " JOIN class ON class.id = class WHERE row=?",
                   "i", (int64_t)row);
    if (!st)
        st = sosie_sql_step(catalog, statement, &found, err);
    if (!st && !found)
        st = sosie_fail(err, SOSIE_NOT_FOUND, "photo row %" PRIu64, row);
    else if (!st && (!sosie_sql_text(statement, 0, arena, &info->id) ||
                     !sosie_sql_text(statement, 1, arena, &info->class_name) ||
                     !sosie_sql_text(statement, 2, arena, &info->fields) ||
                     !sosie_sql_text(statement, 3, arena, &info->path)))
        st = no_memory(err);
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_catalog_item_embedding(
    struct sosie_catalog *catalog, const char *id, struct sosie_arena *arena,
    const int8_t **embedding, size_t *size, struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;
    int64_t known = 0;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT embedding FROM photo JOIN item ON item.id = item"
                   " WHERE item.name=? AND transform = " CURRENT
                   " ORDER BY row LIMIT 1",
                   "s", id);
    if (!st)
        st = sosie_sql_step(catalog, statement, &found, err);
    if (!st && !found) {
        st =
            sosie_sql_number(catalog, &known, err,
                             "SELECT count(*) FROM item WHERE name=?", "s", id);
        if (!st && known)
            st = sosie_fail(err, SOSIE_UNAVAILABLE,
                            "item \"%s\" is still to be embedded anew", id);
        else if (!st)
            st =
                sosie_fail(err, SOSIE_NOT_FOUND, "there is no item \"%s\"", id);
    } else if (!st) {
        size_t n = (size_t)sqlite3_column_bytes(statement, 0);
        int8_t *copy = sosie_arena_alloc(arena, n, 1);
        if (copy && n)
            memcpy(copy, sqlite3_column_blob(statement, 0), n);
        *embedding = copy;
        *size = n;
        st = copy ? SOSIE_OK : no_memory(err);
    }
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_catalog_locate(struct sosie_catalog *catalog,
                                       const char *class_name, const char *path,
                                       struct sosie_arena *arena,
                                       const char **root, const char **file,
                                       struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;
    enum sosie_status st;
    const char *beneath = sosie_arena_printf(arena, "%s/%s", class_name, path);
    if (!beneath)
        return no_memory(err);
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT root, file FROM photo"
                   " JOIN item ON item.id = item"
                   " JOIN class ON class.id = class"
                   " JOIN source ON source.id = source"
                   " WHERE file IN (?2, ?3) AND class.name = ?1"
                   " AND file = CASE beneath WHEN 0 THEN ?2 ELSE ?3 END"
                   " ORDER BY row LIMIT 1",
                   "sss", class_name, path, beneath);
    if (!st)
        st = sosie_sql_step(catalog, statement, &found, err);
    if (!st && !found)
        st = sosie_fail(err, SOSIE_NOT_FOUND,
                        "the catalog has no photo \"%s\" of class \"%s\"", path,
                        class_name);
    else if (!st && (!sosie_sql_text(statement, 0, arena, root) ||
                     !sosie_sql_text(statement, 1, arena, file)))
        st = no_memory(err);
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

/* ---- rows for segments --------------------------------------------------- */

enum sosie_status sosie_catalog_each_embedding(struct sosie_catalog *catalog,
                                               uint64_t after,
                                               sosie_row_visit *visit,
                                               void *context,
                                               struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT row, class, embedding FROM photo"
                   " JOIN item ON item.id = item"
                   " WHERE row > ? AND transform = " CURRENT " ORDER BY row",
                   "i", (int64_t)after);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    while (!st && row) {
        st = visit(context, (uint64_t)sqlite3_column_int64(statement, 0),
                   (uint32_t)sqlite3_column_int64(statement, 1),
                   sqlite3_column_blob(statement, 2),
                   (size_t)sqlite3_column_bytes(statement, 2), err);
        if (!st)
            st = sosie_sql_step(catalog, statement, &row, err);
    }
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_catalog_each_product(struct sosie_catalog *catalog,
                                             sosie_product_visit *visit,
                                             void *context,
                                             struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT row, coalesce('group ' || grp, 'item ' || name)"
                   " FROM photo JOIN item ON item.id = item"
                   " WHERE transform = " CURRENT " ORDER BY row",
                   "");
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    while (!st && row) {
        const void *product = sqlite3_column_text(statement, 1);
        st = product
                 ? visit(context, (uint64_t)sqlite3_column_int64(statement, 0),
                         product, err)
                 : no_memory(err);
        if (!st)
            st = sosie_sql_step(catalog, statement, &row, err);
    }
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

static enum sosie_status next_photo(struct sosie_catalog *catalog,
                                    const char *query, uint64_t after,
                                    struct sosie_arena *arena,
                                    const struct sosie_catalog_photo **photo,
                                    const char **root, struct sosie_error *err)
{
    struct sosie_catalog_photo *found =
        sosie_arena_alloc(arena, 1, sizeof(*found));
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st;
    if (!found)
        return no_memory(err);
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err, query, "i", (int64_t)after);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    if (!st && row) {
        found->row = (uint64_t)sqlite3_column_int64(statement, 0);
        if (!sosie_sql_text(statement, 1, arena, &found->file) ||
            !sosie_sql_text(statement, 2, arena, root))
            st = no_memory(err);
    }
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    if (!st)
        *photo = row ? found : NULL;
    return st;
}

enum sosie_status
sosie_catalog_next_photo(struct sosie_catalog *catalog, uint64_t after,
                         struct sosie_arena *arena,
                         const struct sosie_catalog_photo **photo,
                         const char **root, struct sosie_error *err)
{
    static const char query[] = "SELECT row, file, root FROM photo"
                                " JOIN source ON source.id = source"
                                " WHERE row > ? ORDER BY row LIMIT 1";
    return next_photo(catalog, query, after, arena, photo, root, err);
}

enum sosie_status
sosie_catalog_next_stale(struct sosie_catalog *catalog, uint64_t after,
                         struct sosie_arena *arena,
                         const struct sosie_catalog_photo **photo,
                         const char **root, struct sosie_error *err)
{
    static const char query[] =
        "SELECT row, file, root FROM photo"
        " JOIN source ON source.id = source"
        " WHERE row > ? AND transform != " CURRENT " ORDER BY row LIMIT 1";
    return next_photo(catalog, query, after, arena, photo, root, err);
}

enum sosie_status sosie_catalog_dead(struct sosie_catalog *catalog,
                                     uint64_t **rows, size_t *n,
                                     struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int64_t count = 0;
    uint64_t *numbers = NULL;
    size_t i = 0;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st =
        sosie_sql_number(catalog, &count, err, "SELECT count(*) FROM dead", "");
    if (!st) {
        numbers = calloc((size_t)count + 1, sizeof(*numbers));
        st = numbers ? SOSIE_OK : no_memory(err);
    }
    if (!st)
        st = sosie_sql(catalog, &statement, err,
                       "SELECT row FROM dead ORDER BY row", "");
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    while (!st && row && i < (size_t)count) {
        numbers[i++] = (uint64_t)sqlite3_column_int64(statement, 0);
        st = sosie_sql_step(catalog, statement, &row, err);
    }
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    if (st) {
        free(numbers);
        return st;
    }
    *rows = numbers;
    *n = i;
    return SOSIE_OK;
}

/* ---- segments ------------------------------------------------------------ */

static enum sosie_status read_segments(struct sosie_catalog *catalog,
                                       struct sosie_arena *arena,
                                       struct sosie_segment_info *segments,
                                       size_t room, size_t *n,
                                       struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st =
        sosie_sql(catalog, &statement, err,
                  "SELECT name, last_row, n_rows FROM segment"
                  " ORDER BY last_row",
                  "");
    *n = 0;
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    while (!st && row && *n < room) {
        struct sosie_segment_info *info = &segments[(*n)++];
        info->last_row = (uint64_t)sqlite3_column_int64(statement, 1);
        info->n_rows = (size_t)sqlite3_column_int64(statement, 2);
        if (!sosie_sql_text(statement, 0, arena, &info->name))
            st = no_memory(err);
        else
            st = sosie_sql_step(catalog, statement, &row, err);
    }
    sosie_sql_reset(statement);
    return st;
}

enum sosie_status
sosie_catalog_segments(struct sosie_catalog *catalog, struct sosie_arena *arena,
                       const struct sosie_segment_info **segments, size_t *n,
                       struct sosie_error *err)
{
    struct sosie_segment_info *infos = NULL;
    int64_t count = 0;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql_number(catalog, &count, err, "SELECT count(*) FROM segment",
                          "");
    if (!st) {
        infos = sosie_arena_alloc(arena, (size_t)count, sizeof(*infos));
        st = infos ? SOSIE_OK : no_memory(err);
    }
    if (!st)
        st = read_segments(catalog, arena, infos, (size_t)count, n, err);
    sosie_catalog_unlock(catalog);
    if (!st)
        *segments = infos;
    return st;
}

enum sosie_status
sosie_catalog_add_segment(struct sosie_catalog *catalog,
                          const struct sosie_segment_info *segment,
                          struct sosie_error *err)
{
    return sosie_sql_run(catalog, err,
                         "INSERT INTO segment (last_row, name, n_rows)"
                         " VALUES (?, ?, ?)",
                         "isi", (int64_t)segment->last_row, segment->name,
                         (int64_t)segment->n_rows);
}

enum sosie_status sosie_catalog_drop_segments(struct sosie_catalog *catalog,
                                              struct sosie_error *err)
{
    return sosie_sql_exec(catalog, "DELETE FROM segment; DELETE FROM dead;",
                          err);
}
