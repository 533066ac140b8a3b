/* store.h: where a catalog's vectors live and are searched.
 *
 * A store is what the catalog held at one moment: mapped segment files, rows
 * that are in no segment yet (in memory), and which rows are dead. It is
 * immutable: when the catalog changes, the engine opens another and drops this
 * one when its last search has ended. Threads: any number of searches. */
#ifndef SOSIE_STORE_STORE_H
#define SOSIE_STORE_STORE_H

#include "catalog/catalog.h"
#include "index/scan.h"

struct sosie_store;

/* Opens the vectors of the catalog in `folder`, each row of `shape`. A segment
 * that is missing or damaged is not used: a warning is logged and the rows are
 * taken from the database. CONFLICT when the database's embeddings have another
 * size. */
SOSIE_MUST_CHECK enum sosie_status
sosie_store_open(const char *folder, struct sosie_catalog *catalog,
                 const struct sosie_row_shape *shape, struct sosie_store **out,
                 struct sosie_error *err);
/* NULL is allowed. No search may be in progress. */
void sosie_store_close(struct sosie_store *store);

/* Rows that can be found. */
size_t sosie_store_size(const struct sosie_store *store);

/* The best rows, best first, into top->heap. */
void sosie_store_search(const struct sosie_store *store,
                        const struct sosie_scan_query *query,
                        struct sosie_top *top);

/* Writes what is in no segment yet into a segment file, or all rows into one
 * new file when there are many files, many dead rows, or a damaged file. Only
 * the process that writes the catalog may call it, outside a transaction. */
SOSIE_MUST_CHECK enum sosie_status
sosie_store_flush(const char *folder, struct sosie_catalog *catalog,
                  const struct sosie_row_shape *shape, struct sosie_error *err);

/* Compares the segment files with the database, row by row, byte by byte.
 * CORRUPT with the first difference. */
SOSIE_MUST_CHECK enum sosie_status
sosie_store_verify(const char *folder, struct sosie_catalog *catalog,
                   const struct sosie_row_shape *shape, size_t *n_segments,
                   struct sosie_error *err);

#endif
