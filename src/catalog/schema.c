/* schema.c: one step a version. docs/formats.md describes the tables. */
#include "catalog/schema.h"

const char *const sosie_schema_steps[] = {
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE TABLE transform (id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL,"
    "  bytes BLOB NOT NULL);"
    "CREATE TABLE class (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE source (id INTEGER PRIMARY KEY, root TEXT NOT NULL UNIQUE);"
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  class INTEGER NOT NULL REFERENCES class, grp TEXT,"
    "  fields TEXT NOT NULL);"
    /* AUTOINCREMENT: a row number is never used again. */
    "CREATE TABLE photo (row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  item INTEGER NOT NULL REFERENCES item,"
    "  source INTEGER NOT NULL REFERENCES source,"
    "  transform INTEGER NOT NULL, beneath INTEGER NOT NULL,"
    "  digest BLOB NOT NULL, file TEXT NOT NULL, embedding BLOB NOT NULL);"
    "CREATE INDEX photo_item ON photo (item);"
    "CREATE INDEX photo_file ON photo (file);"
    "CREATE TABLE dead (row INTEGER PRIMARY KEY);"
    "CREATE TABLE segment (last_row INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    "  n_rows INTEGER NOT NULL);",
};
const int sosie_schema_version =
    sizeof(sosie_schema_steps) / sizeof(*sosie_schema_steps);
