/* sql.h: SQLite as the catalog's files use it, and the handle that they share.
 *
 * Only these files include sqlite3.h. A statement is prepared once, kept, and
 * reset by sosie_sql_reset when its caller is done. `lock` is held from before
 * a statement is bound until after it was reset: sosie_sql_run, _number and
 * _exec see to that themselves. */
#ifndef SOSIE_CATALOG_SQL_H
#define SOSIE_CATALOG_SQL_H

#include "base/arena.h"
#include "sosie/error.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOSIE_SQL_STATEMENTS = 48 };

struct sosie_catalog {
    sqlite3 *db;
    pthread_mutex_t lock; /* recursive; guards db and kept */
    struct {
        const char *text; /* the literal itself is the key */
        sqlite3_stmt *statement;
    } kept[SOSIE_SQL_STATEMENTS];
};

void sosie_catalog_lock(struct sosie_catalog *catalog);
void sosie_catalog_unlock(struct sosie_catalog *catalog);

/* Translates SQLite's code (SQLITE_FULL and so on) and its message. */
enum sosie_status sosie_sql_fail(struct sosie_catalog *catalog, int code,
                                 struct sosie_error *err);

/* The statement for the text of a literal, its parameters bound by `types`: i
 * for an int64_t, s for a string (NULL is NULL), b for a blob (a pointer and a
 * size_t). What is bound must stay until the reset. */
SOSIE_MUST_CHECK enum sosie_status
sosie_sql(struct sosie_catalog *catalog, sqlite3_stmt **statement,
          struct sosie_error *err, const char *text, const char *types, ...);
/* NULL is allowed. */
void sosie_sql_reset(sqlite3_stmt *statement);

/* One step: *row tells whether there is a row. */
SOSIE_MUST_CHECK enum sosie_status sosie_sql_step(struct sosie_catalog *catalog,
                                                  sqlite3_stmt *statement,
                                                  bool *row,
                                                  struct sosie_error *err);

/* Binds as sosie_sql does, runs a statement that gives no rows, resets it. */
SOSIE_MUST_CHECK enum sosie_status sosie_sql_run(struct sosie_catalog *catalog,
                                                 struct sosie_error *err,
                                                 const char *text,
                                                 const char *types, ...);

/* The same for one that gives one number; *value is left alone if it gives
 * none. */
SOSIE_MUST_CHECK enum sosie_status
sosie_sql_number(struct sosie_catalog *catalog, int64_t *value,
                 struct sosie_error *err, const char *text, const char *types,
                 ...);

/* A column's text copied into an arena; NULL for NULL. False when out of
 * memory. */
bool sosie_sql_text(sqlite3_stmt *statement, int column,
                    struct sosie_arena *arena, const char **text);

/* Statements without parameters or rows, not kept. */
SOSIE_MUST_CHECK enum sosie_status sosie_sql_exec(struct sosie_catalog *catalog,
                                                  const char *text,
                                                  struct sosie_error *err);

#endif
