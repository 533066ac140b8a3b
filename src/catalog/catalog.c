/* catalog.c: the database as a whole: open, migrate, transactions, settings,
 * transforms, verification. */
#include "catalog/catalog.h"

#include "base/file.h"
#include "catalog/schema.h"
#include "catalog/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sosie_catalog_lock(struct sosie_catalog *catalog)
{
    pthread_mutex_lock(&catalog->lock);
}

void sosie_catalog_unlock(struct sosie_catalog *catalog)
{
    pthread_mutex_unlock(&catalog->lock);
}

/* ---- open ---------------------------------------------------------------- */

static void init_lock(struct sosie_catalog *catalog)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&catalog->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static enum sosie_status migrate(struct sosie_catalog *catalog, bool write,
                                 struct sosie_error *err)
{
    int64_t version = 0;
    enum sosie_status st =
        sosie_sql_number(catalog, &version, err, "PRAGMA user_version", "");
    if (st)
        return st;
    if (version > sosie_schema_version || version < 0)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "database has schema version %" PRId64
                          ", this program knows up to %d",
                          version, sosie_schema_version);
    if (version < sosie_schema_version && !write)
        return sosie_fail(err, version ? SOSIE_CONFLICT : SOSIE_CORRUPT,
                          "database has schema version %" PRId64
                          ", expected %d; run `sosie index` on it",
                          version, sosie_schema_version);
    for (; !st && version < sosie_schema_version; version++) {
        char mark[64];
        snprintf(mark, sizeof(mark), "PRAGMA user_version=%" PRId64,
                 version + 1);
        st = sosie_catalog_begin(catalog, err);
        if (!st)
            st = sosie_sql_exec(catalog, sosie_schema_steps[version], err);
        if (!st)
            st = sosie_sql_exec(catalog, mark, err);
        if (!st)
            st = sosie_catalog_commit(catalog, err);
        if (st)
            sosie_catalog_rollback(catalog);
    }
    return st;
}

static enum sosie_status set_up(struct sosie_catalog *catalog, bool write,
                                struct sosie_error *err)
{
    enum sosie_status st =
        sosie_sql_exec(catalog,
                       "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                       "PRAGMA cell_size_check=ON; PRAGMA cache_size=-8000;",
                       err);
    /* FULL: what was committed is there after a power cut. */
    if (!st && write)
        st = sosie_sql_exec(
            catalog, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", err);
    return st ? st : migrate(catalog, write, err);
}

enum sosie_status sosie_catalog_open(const char *path, bool write,
                                     struct sosie_catalog **out,
                                     struct sosie_error *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                       : SQLITE_OPEN_READWRITE);
    int code;
    enum sosie_status st = SOSIE_OK;
    struct sosie_catalog *catalog;

    if (!write && sosie_path_kind(path) != SOSIE_PATH_FILE)
        return sosie_fail(err, SOSIE_NOT_FOUND, "%s: no such file", path);
    catalog = calloc(1, sizeof(*catalog));
    if (!catalog)
        return sosie_fail(err, SOSIE_NO_MEMORY, "catalog handle");
    init_lock(catalog);
    code = sqlite3_open_v2(path, &catalog->db, flags, NULL);
    if (code) {
        st = catalog->db ? sosie_sql_fail(catalog, code, err)
                         : sosie_fail(err, SOSIE_NO_MEMORY, "database");
    } else {
        sqlite3_busy_timeout(catalog->db, 5000);
        st = set_up(catalog, write, err);
    }
    if (st) {
        sosie_error_prefix(err, "%s", path);
        sosie_catalog_close(catalog);
        return st;
    }
    *out = catalog;
    return SOSIE_OK;
}

void sosie_catalog_close(struct sosie_catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; i < SOSIE_SQL_STATEMENTS; i++)
        sqlite3_finalize(catalog->kept[i].statement);
    sqlite3_close(catalog->db);
    pthread_mutex_destroy(&catalog->lock);
    free(catalog);
}

/* ---- transactions -------------------------------------------------------- */

enum sosie_status sosie_catalog_begin(struct sosie_catalog *catalog,
                                      struct sosie_error *err)
{
    /* The last rollback may have failed for want of memory. */
    sosie_catalog_rollback(catalog);
    return sosie_sql_exec(catalog, "BEGIN IMMEDIATE", err);
}

enum sosie_status sosie_catalog_commit(struct sosie_catalog *catalog,
                                       struct sosie_error *err)
{
    return sosie_sql_exec(catalog, "COMMIT", err);
}

void sosie_catalog_rollback(struct sosie_catalog *catalog)
{
    sosie_catalog_lock(catalog);
    /* A full disk may have rolled it back already. */
    if (!sqlite3_get_autocommit(catalog->db))
        sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
    sosie_catalog_unlock(catalog);
}

enum sosie_status sosie_catalog_begin_reading(struct sosie_catalog *catalog,
                                              struct sosie_error *err)
{
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    if (sqlite3_txn_state(catalog->db, NULL) != SQLITE_TXN_WRITE)
        sosie_catalog_rollback(catalog); /* as in sosie_catalog_begin */
    st = sosie_sql_exec(catalog, "BEGIN", err);
    if (st)
        sosie_catalog_unlock(catalog);
    return st;
}

void sosie_catalog_end_reading(struct sosie_catalog *catalog)
{
    sosie_catalog_rollback(catalog);
    sosie_catalog_unlock(catalog);
}

enum sosie_status sosie_catalog_version(struct sosie_catalog *catalog,
                                        int64_t *version,
                                        struct sosie_error *err)
{
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql_number(catalog, version, err, "PRAGMA data_version", "");
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_catalog_checkpoint(struct sosie_catalog *catalog,
                                           struct sosie_error *err)
{
    return sosie_sql_exec(catalog, "PRAGMA wal_checkpoint(TRUNCATE)", err);
}

/* ---- settings and transforms --------------------------------------------- */

enum sosie_status sosie_catalog_get(struct sosie_catalog *catalog,
                                    const char *key, struct sosie_arena *arena,
                                    const char **value, struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT value FROM setting WHERE key=?", "s", key);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    if (!st && !row)
        *value = NULL;
    else if (!st && !sosie_sql_text(statement, 0, arena, value))
        st = sosie_fail(err, SOSIE_NO_MEMORY, "setting %s", key);
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_catalog_set(struct sosie_catalog *catalog,
                                    const char *key, const char *value,
                                    struct sosie_error *err)
{
    return sosie_sql_run(catalog, err,
                         "INSERT INTO setting VALUES (?1, ?2)"
                         " ON CONFLICT (key) DO UPDATE SET value=?2",
                         "ss", key, value);
}

static enum sosie_status copy_transform(sqlite3_stmt *statement,
                                        int64_t *number, void **bytes,
                                        size_t *size, struct sosie_error *err)
{
    const void *blob = sqlite3_column_blob(statement, 1);
    size_t n = (size_t)sqlite3_column_bytes(statement, 1);
    int64_t checksum = sqlite3_column_int64(statement, 2);
    void *copy;
    if (!blob || sosie_checksum(blob, n) != (uint64_t)checksum)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "the whitening transform fails its checksum");
    copy = malloc(n);
    if (!copy)
        return sosie_fail(err, SOSIE_NO_MEMORY, "whitening transform");
    memcpy(copy, blob, n);
    *number = sqlite3_column_int64(statement, 0);
    *bytes = copy;
    *size = n;
    return SOSIE_OK;
}

enum sosie_status sosie_catalog_transform(struct sosie_catalog *catalog,
                                          int64_t *number, void **bytes,
                                          size_t *size, struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql(catalog, &statement, err,
                   "SELECT id, bytes, checksum FROM transform"
                   " ORDER BY id DESC LIMIT 1",
                   "");
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    if (!st && row) {
        st = copy_transform(statement, number, bytes, size, err);
    } else if (!st) {
        *number = 0;
        *bytes = NULL;
        *size = 0;
    }
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_catalog_add_transform(struct sosie_catalog *catalog,
                                              const void *bytes, size_t size,
                                              int64_t *number,
                                              struct sosie_error *err)
{
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    st = sosie_sql_run(catalog, err,
                       "INSERT INTO transform (checksum, bytes) VALUES (?, ?)",
                       "ib", (int64_t)sosie_checksum(bytes, size), bytes, size);
    if (!st)
        *number = sqlite3_last_insert_rowid(catalog->db);
    sosie_catalog_unlock(catalog);
    return st;
}

/* ---- verification -------------------------------------------------------- */

static enum sosie_status integrity(struct sosie_catalog *catalog,
                                   struct sosie_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum sosie_status st =
        sosie_sql(catalog, &statement, err, "PRAGMA integrity_check(1)", "");
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    if (!st && row) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (!text || strcmp(text, "ok"))
            st = sosie_fail(err, SOSIE_CORRUPT, "database: %s",
                            text ? text : "integrity check failed");
    }
    sosie_sql_reset(statement);
    return st;
}

enum sosie_status sosie_catalog_verify(struct sosie_catalog *catalog,
                                       size_t embedding_size,
                                       struct sosie_error *err)
{
    static const struct {
        const char *query, *fault;
    } faults[] = {
        {"SELECT count(*) FROM pragma_foreign_key_check",
         "rows refer to rows that are not there"},
        {"SELECT count(*) FROM photo WHERE length(digest) != 16",
         "photos have a digest that is not 16 bytes"},
        {"SELECT count(*) FROM item WHERE NOT json_valid(fields)",
         "items have fields that are not JSON"},
        {"SELECT count(*) FROM item WHERE NOT EXISTS"
         " (SELECT 1 FROM photo WHERE photo.item = item.id)",
         "items have no photo"},
        {"SELECT count(*) FROM photo JOIN dead USING (row)",
         "photos are both there and dead"},
    };
    int64_t n = 0;
    enum sosie_status st;

    sosie_catalog_lock(catalog);
    st = integrity(catalog, err);
    for (size_t i = 0; !st && i < sizeof(faults) / sizeof(*faults); i++) {
        st = sosie_sql_number(catalog, &n, err, faults[i].query, "");
        if (!st && n)
            st = sosie_fail(err, SOSIE_CORRUPT, "database: %" PRId64 " %s", n,
                            faults[i].fault);
    }
    if (!st)
        st = sosie_sql_number(
            catalog, &n, err,
            "SELECT count(*) FROM photo WHERE length(embedding) != ?"
            " AND transform = (SELECT coalesce(max(id), 0) FROM transform)",
            "i", (int64_t)embedding_size);
    if (!st && n)
        st = sosie_fail(err, SOSIE_CORRUPT,
                        "database: %" PRId64
                        " photos have an embedding that is not %zu bytes",
                        n, embedding_size);
    sosie_catalog_unlock(catalog);
    return st;
}
