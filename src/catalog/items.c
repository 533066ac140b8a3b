/* items.c: items and their photos, in and out. */
#include "catalog/catalog.h"
#include "catalog/sql.h"

#include <inttypes.h>
#include <string.h>

/* ---- names to ids -------------------------------------------------------- */

enum sosie_status sosie_catalog_class_id(struct sosie_catalog *catalog,
                                         const char *name, uint32_t *id,
                                         struct sosie_error *err)
{
    int64_t number = 0;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql_run(catalog, err,
                       "INSERT OR IGNORE INTO class (name) VALUES (?)", "s",
                       name);
    if (!st)
        st = sosie_sql_number(catalog, &number, err,
                              "SELECT id FROM class WHERE name=?", "s", name);
    sosie_catalog_unlock(catalog);
    if (!st)
        *id = (uint32_t)number;
    return st;
}

enum sosie_status sosie_catalog_source_id(struct sosie_catalog *catalog,
                                          const char *root, int64_t *id,
                                          struct sosie_error *err)
{
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql_run(catalog, err,
                       "INSERT OR IGNORE INTO source (root) VALUES (?)", "s",
                       root);
    if (!st)
        st = sosie_sql_number(catalog, id, err,
                              "SELECT id FROM source WHERE root=?", "s", root);
    sosie_catalog_unlock(catalog);
    return st;
}

/* ---- out ----------------------------------------------------------------- */

static enum sosie_status read_photo(sqlite3_stmt *statement,
                                    struct sosie_arena *arena,
                                    struct sosie_catalog_photo *photo,
                                    struct sosie_error *err)
{
    const void *digest = sqlite3_column_blob(statement, 4);
    if (sqlite3_column_bytes(statement, 4) != sizeof(photo->digest))
        return sosie_fail(err, SOSIE_CORRUPT, "a photo's digest has %d bytes",
                          sqlite3_column_bytes(statement, 4));
    photo->row = (uint64_t)sqlite3_column_int64(statement, 0);
    photo->source = sqlite3_column_int64(statement, 1);
    photo->transform = sqlite3_column_int64(statement, 2);
    photo->beneath_class = sqlite3_column_int(statement, 3);
    memcpy(&photo->digest, digest, sizeof(photo->digest));
    if (!sosie_sql_text(statement, 5, arena, &photo->file))
        return sosie_fail(err, SOSIE_NO_MEMORY, "a photo's name");
    return SOSIE_OK;
}

static enum sosie_status find_photos(struct sosie_catalog *catalog,
                                     int64_t item, struct sosie_arena *arena,
                                     struct sosie_catalog_item *out,
                                     struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int64_t n = 0;
    enum sosie_status st = sosie_sql_number(
        catalog, &n, err, "SELECT count(*) FROM photo WHERE item=?", "i", item);
    if (st)
        return st;
    out->photos = sosie_arena_alloc(arena, (size_t)n, sizeof(*out->photos));
    if (!out->photos)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%" PRId64 " photos", n);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT row, source, transform, beneath, digest, file"
                   " FROM photo WHERE item=? ORDER BY row",
                   "i", item);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    while (!st && row && out->n_photos < (size_t)n) {
        st = read_photo(statement, arena, &out->photos[out->n_photos++], err);
        if (!st)
            st = sosie_sql_step(catalog, statement, &row, err);
    }
    sosie_sql_reset(statement);
    return st;
}

enum sosie_status sosie_catalog_find(struct sosie_catalog *catalog,
                                     const char *id, struct sosie_arena *arena,
                                     const struct sosie_catalog_item **item,
                                     struct sosie_error *err)
{
    struct sosie_catalog_item *found =
        sosie_arena_alloc(arena, 1, sizeof(*found));
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int64_t number = 0;
    enum sosie_status st;

    if (!found)
        return sosie_fail(err, SOSIE_NO_MEMORY, "item %s", id);
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT item.id, item.name, class.name, grp, fields"
                   " FROM item JOIN class ON class.id = class"
                   " WHERE item.name=?",
                   "s", id);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    if (!st && row) {
        number = sqlite3_column_int64(statement, 0);
        if (!sosie_sql_text(statement, 1, arena, &found->id) ||
            !sosie_sql_text(statement, 2, arena, &found->class_name) ||
            !sosie_sql_text(statement, 3, arena, &found->group) ||
            !sosie_sql_text(statement, 4, arena, &found->fields))
            st = sosie_fail(err, SOSIE_NO_MEMORY, "item %s", id);
    }
    sosie_sql_reset(statement);
    if (!st && row)
        st = find_photos(catalog, number, arena, found, err);
    sosie_catalog_unlock(catalog);
    if (!st)
        *item = row ? found : NULL;
    return st;
}

/* ---- in ------------------------------------------------------------------ */

static enum sosie_status bury(struct sosie_catalog *catalog, int64_t row,
                              struct sosie_error *err)
{
    enum sosie_status st = sosie_sql_run(
        catalog, err, "INSERT OR IGNORE INTO dead VALUES (?)", "i", row);
    return st ? st
              : sosie_sql_run(catalog, err, "DELETE FROM photo WHERE row=?",
                              "i", row);
}

static enum sosie_status insert_photo(struct sosie_catalog *catalog,
                                      int64_t item,
                                      const struct sosie_photo_put *photo,
                                      struct sosie_error *err)
{
    return sosie_sql_run(
        catalog, err,
        "INSERT INTO photo (item, source, transform, beneath, digest, file,"
        " embedding) VALUES (?, ?, ?, ?, ?, ?, ?)",
        "iiiibsb", item, photo->source, photo->transform,
        (int64_t)photo->beneath_class, (const void *)&photo->digest,
        sizeof(photo->digest), photo->file, (const void *)photo->embedding,
        photo->embedding_size);
}

static bool is_kept(uint64_t row, const struct sosie_photo_put *photos,
                    size_t n_photos)
{
    for (size_t i = 0; i < n_photos; i++)
        if (photos[i].keep_row == row)
            return true;
    return false;
}

static enum sosie_status bury_others(struct sosie_catalog *catalog,
                                     int64_t item,
                                     const struct sosie_photo_put *photos,
                                     size_t n_photos, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    int64_t row = 0;
    while (!st) {
        int64_t next = 0;
        st = sosie_sql_number(catalog, &next, err,
                              "SELECT row FROM photo WHERE item=? AND row>?"
                              " ORDER BY row LIMIT 1",
                              "ii", item, row);
        if (!next)
            break;
        row = next;
        if (!st && !is_kept((uint64_t)row, photos, n_photos))
            st = bury(catalog, row, err);
    }
    return st;
}

/* A row's class never changes, so a photo whose item changes class moves to a
 * new row with all else as it was. */
static enum sosie_status renumber(struct sosie_catalog *catalog, int64_t row,
                                  struct sosie_error *err)
{
    enum sosie_status st = sosie_sql_run(
        catalog, err,
        "INSERT INTO photo (item, source, transform, beneath, digest, file,"
        " embedding) SELECT item, source, transform, beneath, digest, file,"
        " embedding FROM photo WHERE row=?",
        "i", row);
    return st ? st : bury(catalog, row, err);
}

static enum sosie_status put_item(struct sosie_catalog *catalog, const char *id,
                                  int64_t class_id, const char *group,
                                  const char *fields, int64_t *item,
                                  bool *moved, struct sosie_error *err)
{
    int64_t old_class = class_id;
    enum sosie_status st =
        sosie_sql_number(catalog, &old_class, err,
                         "SELECT class FROM item WHERE name=?", "s", id);
    *moved = old_class != class_id;
    if (!st)
        st = sosie_sql_run(
            catalog, err,
            "INSERT INTO item (name, class, grp, fields) VALUES (?1,?2,?3,?4)"
            " ON CONFLICT (name) DO UPDATE SET class=?2, grp=?3, fields=?4",
            "siss", id, class_id, group, fields);
    if (!st)
        st = sosie_sql_number(catalog, item, err,
                              "SELECT id FROM item WHERE name=?", "s", id);
    return st;
}

enum sosie_status sosie_catalog_put(struct sosie_catalog *catalog,
                                    const char *id, const char *class_name,
                                    const char *group, const char *fields,
                                    const struct sosie_photo_put *photos,
                                    size_t n_photos, struct sosie_error *err)
{
    uint32_t class_id = 0;
    int64_t item = 0;
    bool moved = false;
    enum sosie_status st;

    sosie_catalog_lock(catalog);
    st = sosie_catalog_class_id(catalog, class_name, &class_id, err);
    if (!st)
        st = put_item(catalog, id, class_id, group, fields, &item, &moved, err);
    if (!st)
        st = bury_others(catalog, item, photos, n_photos, err);
    for (size_t i = 0; !st && i < n_photos; i++) {
        if (!photos[i].keep_row)
            st = insert_photo(catalog, item, &photos[i], err);
        else if (moved)
            st = renumber(catalog, (int64_t)photos[i].keep_row, err);
    }
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status
sosie_catalog_replace_embedding(struct sosie_catalog *catalog, uint64_t row,
                                const int8_t *embedding, size_t size,
                                int64_t transform, struct sosie_error *err)
{
    enum sosie_status st = sosie_sql_run(
        catalog, err,
        "INSERT INTO photo (item, source, transform, beneath, digest, file,"
        " embedding) SELECT item, source, ?, beneath, digest, file, ?"
        " FROM photo WHERE row=?",
        "ibi", transform, (const void *)embedding, size, (int64_t)row);
    return st ? st : bury(catalog, (int64_t)row, err);
}
