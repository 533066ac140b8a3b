/* schema.h: the tables, and how an older database becomes a newer one. */
#ifndef SOSIE_CATALOG_SCHEMA_H
#define SOSIE_CATALOG_SCHEMA_H

/* Step i brings a database of version i to version i + 1; version 0 is empty.
 * PRAGMA user_version holds the version. Steps that were released never change.
 */
extern const char *const sosie_schema_steps[];
extern const int sosie_schema_version;

#endif
