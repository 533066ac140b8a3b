/* sql.c: prepared statements and SQLite's errors. */
#include "catalog/sql.h"

#include <assert.h>
#include <stdarg.h>

enum sosie_status sosie_sql_fail(struct sosie_catalog *catalog, int code,
                                 struct sosie_error *err)
{
    enum sosie_status st = SOSIE_IO;
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        st = SOSIE_NO_MEMORY;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* a table that should be there is not */
        st = SOSIE_CORRUPT;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        st = SOSIE_UNAVAILABLE;
        break;
    default:
        break;
    }
    return sosie_fail(err, st, "database: %s%s", sqlite3_errmsg(catalog->db),
                      (code & 0xff) == SQLITE_READONLY
                          ? " (searches, too, need to write in its folder)"
                          : "");
}

static enum sosie_status find(struct sosie_catalog *catalog, const char *text,
                              sqlite3_stmt **statement, struct sosie_error *err)
{
    size_t i = 0;
    int code;
    while (i < SOSIE_SQL_STATEMENTS && catalog->kept[i].text &&
           catalog->kept[i].text != text)
        i++;
    assert(i < SOSIE_SQL_STATEMENTS);
    if (!catalog->kept[i].text) {
        code =
            sqlite3_prepare_v3(catalog->db, text, -1, SQLITE_PREPARE_PERSISTENT,
                               &catalog->kept[i].statement, NULL);
        if (code)
            return sosie_sql_fail(catalog, code, err);
        catalog->kept[i].text = text;
    }
    *statement = catalog->kept[i].statement;
    return SOSIE_OK;
}

static int bind(sqlite3_stmt *statement, const char *types, va_list args)
{
    int code = SQLITE_OK;
    for (int i = 1; !code && types[i - 1]; i++) {
        if (types[i - 1] == 'i') {
            code = sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
        } else if (types[i - 1] == 's') {
            code = sqlite3_bind_text(statement, i, va_arg(args, const char *),
                                     -1, SQLITE_STATIC);
        } else {
            const void *bytes = va_arg(args, const void *);
            code = sqlite3_bind_blob64(statement, i, bytes,
                                       va_arg(args, size_t), SQLITE_STATIC);
        }
    }
    return code;
}

static enum sosie_status prepare(struct sosie_catalog *catalog,
                                 sqlite3_stmt **statement,
                                 struct sosie_error *err, const char *text,
                                 const char *types, va_list args)
{
    enum sosie_status st = find(catalog, text, statement, err);
    int code;
    if (st)
        return st;
    code = bind(*statement, types, args);
    return code ? sosie_sql_fail(catalog, code, err) : SOSIE_OK;
}

enum sosie_status sosie_sql(struct sosie_catalog *catalog,
                            sqlite3_stmt **statement, struct sosie_error *err,
                            const char *text, const char *types, ...)
{
    va_list args;
    enum sosie_status st;
    va_start(args, types);
    st = prepare(catalog, statement, err, text, types, args);
    va_end(args);
    return st;
}

void sosie_sql_reset(sqlite3_stmt *statement)
{
    if (!statement)
        return;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

enum sosie_status sosie_sql_step(struct sosie_catalog *catalog,
                                 sqlite3_stmt *statement, bool *row,
                                 struct sosie_error *err)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sosie_sql_fail(catalog, code, err);
    *row = code == SQLITE_ROW;
    return SOSIE_OK;
}

enum sosie_status sosie_sql_run(struct sosie_catalog *catalog,
                                struct sosie_error *err, const char *text,
                                const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    bool row;
    va_list args;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    va_start(args, types);
    st = prepare(catalog, &statement, err, text, types, args);
    va_end(args);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

enum sosie_status sosie_sql_number(struct sosie_catalog *catalog,
                                   int64_t *value, struct sosie_error *err,
                                   const char *text, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    va_list args;
    enum sosie_status st;
    sosie_catalog_lock(catalog);
    va_start(args, types);
    st = prepare(catalog, &statement, err, text, types, args);
    va_end(args);
    if (!st)
        st = sosie_sql_step(catalog, statement, &row, err);
    if (!st && row)
        *value = sqlite3_column_int64(statement, 0);
    sosie_sql_reset(statement);
    sosie_catalog_unlock(catalog);
    return st;
}

bool sosie_sql_text(sqlite3_stmt *statement, int column,
                    struct sosie_arena *arena, const char **text)
{
    const char *value = (const char *)sqlite3_column_text(statement, column);
    if (value)
        *text = sosie_arena_strdup(arena, value);
    else
        *text = NULL;
    return *text || sqlite3_column_type(statement, column) == SQLITE_NULL;
}

enum sosie_status sosie_sql_exec(struct sosie_catalog *catalog,
                                 const char *text, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    int code;
    sosie_catalog_lock(catalog);
    code = sqlite3_exec(catalog->db, text, NULL, NULL, NULL);
    if (code)
        st = sosie_sql_fail(catalog, code, err);
    sosie_catalog_unlock(catalog);
    return st;
}
