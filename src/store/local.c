/* local.c: the store on this machine: segment files beside the database.
 *
 * The database lists the segments; the rows above the last one are the *tail*
 * and are read into memory. So a crash at any point loses nothing: a file that
 * the database does not list does not count, and is removed by the next flush.
 */
#include "store/store.h"

#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENTS_MAX = 8, DEAD_SHARE = 8 /* one in so many: merge */ };

struct part {
    struct sosie_segment *segment;
    struct sosie_bits dead; /* by position; words are NULL if there are none */
};

struct sosie_store {
    struct part *parts;
    size_t n_parts;
    size_t n_rows; /* alive */
};

/* ---- reading rows -------------------------------------------------------- */

static enum sosie_status add_row(void *context, uint64_t row, uint32_t class_id,
                                 const int8_t *embedding, size_t size,
                                 struct sosie_error *err)
{
    struct sosie_rows *rows = context;
    size_t expected = sosie_row_packed_size(&rows->shape);
    if (size != expected)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "the embedding of row %" PRIu64
                          " has %zu elements, the catalog's model gives %zu",
                          row, size, expected);
    return sosie_rows_add(rows, row, class_id, embedding, err);
}

/* The rows above `after` as a segment in memory. */
static enum sosie_status read_tail(struct sosie_catalog *catalog,
                                   const struct sosie_row_shape *shape,
                                   uint64_t after, struct sosie_segment **out,
                                   struct sosie_error *err)
{
    struct sosie_rows rows = {.shape = *shape};
    enum sosie_status st =
        sosie_catalog_each_embedding(catalog, after, add_row, &rows, err);
    if (!st)
        st = sosie_segment_take(&rows, out, err);
    sosie_rows_release(&rows);
    return st;
}

static enum sosie_status open_listed(const char *folder,
                                     const struct sosie_segment_info *info,
                                     const struct sosie_row_shape *shape,
                                     struct sosie_segment **out,
                                     struct sosie_error *err)
{
    struct sosie_segment *segment;
    const struct sosie_segment_view *view;
    char path[4096];
    enum sosie_status st;
    snprintf(path, sizeof(path), "%s/%s", folder, info->name);
    st = sosie_segment_open(path, shape, &segment, err);
    if (st)
        return st == SOSIE_NOT_FOUND
                   ? sosie_fail(err, SOSIE_CORRUPT, "%s is missing", path)
                   : st;
    view = sosie_segment_view(segment);
    if (view->n != info->n_rows ||
        (view->n && view->numbers[view->n - 1] != info->last_row)) {
        sosie_segment_close(segment);
        return sosie_fail(err, SOSIE_CORRUPT,
                          "%s has %zu rows, the database says %zu up to row "
                          "%" PRIu64,
                          path, view->n, info->n_rows, info->last_row);
    }
    *out = segment;
    return SOSIE_OK;
}

/* ---- open, search, close ------------------------------------------------- */

/* Puts the segments that the database lists into store->parts (which has room)
 * and gives the last row that they reach. */
static enum sosie_status open_all(struct sosie_store *store, const char *folder,
                                  const struct sosie_segment_info *infos,
                                  size_t n, const struct sosie_row_shape *shape,
                                  uint64_t *last_row, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    *last_row = 0;
    for (size_t i = 0; !st && i < n; i++) {
        st = open_listed(folder, &infos[i], shape, &store->parts[i].segment,
                         err);
        if (st)
            break;
        store->n_parts++;
        *last_row = infos[i].last_row;
    }
    return st;
}

static void close_parts(struct sosie_store *store)
{
    for (size_t i = 0; i < store->n_parts; i++) {
        sosie_segment_close(store->parts[i].segment);
        free(store->parts[i].dead.words);
        store->parts[i] = (struct part){0};
    }
    store->n_parts = 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static enum sosie_status mark_dead(struct sosie_store *store,
                                   const uint64_t *dead, size_t n_dead,
                                   struct sosie_error *err)
{
    for (size_t i = 0; i < store->n_parts; i++) {
        struct part *part = &store->parts[i];
        const struct sosie_segment_view *view =
            sosie_segment_view(part->segment);
        store->n_rows += view->n;
        for (size_t d = 0; d < n_dead && view->n; d++) {
            const uint64_t *at = bsearch(&dead[d], view->numbers, view->n,
                                         sizeof(*view->numbers), by_number);
            if (!at)
                continue;
            if (!part->dead.words && !sosie_bits_init(&part->dead, view->n))
                return sosie_fail(err, SOSIE_NO_MEMORY, "dead rows");
            sosie_bits_add(&part->dead, (size_t)(at - view->numbers));
            store->n_rows--;
        }
    }
    return SOSIE_OK;
}

static enum sosie_status load(struct sosie_store *store, const char *folder,
                              struct sosie_catalog *catalog,
                              const struct sosie_row_shape *shape,
                              struct sosie_arena *arena,
                              struct sosie_error *err)
{
    const struct sosie_segment_info *infos;
    uint64_t last_row = 0, *dead = NULL;
    size_t n = 0, n_dead = 0;
    enum sosie_status st =
        sosie_catalog_segments(catalog, arena, &infos, &n, err);
    if (st)
        return st;
    store->parts = calloc(n + 1, sizeof(*store->parts));
    if (!store->parts)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu segments", n);
    st = open_all(store, folder, infos, n, shape, &last_row, err);
    if (st) {
        sosie_log(SOSIE_LOG_WARN, "store",
                  "%s; using the database's embeddings instead",
                  err ? err->text : "a segment is damaged");
        close_parts(store);
        last_row = 0;
    }
    st = read_tail(catalog, shape, last_row,
                   &store->parts[store->n_parts].segment, err);
    if (st)
        return st;
    store->n_parts++;
    st = sosie_catalog_dead(catalog, &dead, &n_dead, err);
    if (!st)
        st = mark_dead(store, dead, n_dead, err);
    free(dead);
    return st;
}

enum sosie_status sosie_store_open(const char *folder,
                                   struct sosie_catalog *catalog,
                                   const struct sosie_row_shape *shape,
                                   struct sosie_store **out,
                                   struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    enum sosie_status st;
    struct sosie_store *store = calloc(1, sizeof(*store));
    if (!store)
        return sosie_fail(err, SOSIE_NO_MEMORY, "store handle");
    st = load(store, folder, catalog, shape, &arena, err);
    sosie_arena_release(&arena);
    if (st) {
        sosie_store_close(store);
        return st;
    }
    *out = store;
    return SOSIE_OK;
}

void sosie_store_close(struct sosie_store *store)
{
    if (!store)
        return;
    close_parts(store);
    free(store->parts);
    free(store);
}

size_t sosie_store_size(const struct sosie_store *store)
{
    return store->n_rows;
}

void sosie_store_search(const struct sosie_store *store,
                        const struct sosie_scan_query *query,
                        struct sosie_top *top)
{
    for (size_t i = 0; i < store->n_parts; i++) {
        const struct part *part = &store->parts[i];
        sosie_scan(part->segment, part->dead.words ? &part->dead : NULL, query,
                   top);
    }
    sosie_top_sort(top);
}

/* ---- flush --------------------------------------------------------------- */

static bool is_listed(const char *name, const struct sosie_segment_info *infos,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(infos[i].name, name))
            return true;
    return false;
}

/* Removes segment files (and temporaries of them) that the database does not
 * list: what a crash or a merge left behind. */
static void sweep(const char *folder, const struct sosie_segment_info *infos,
                  size_t n)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const char *end = strstr(entry->d_name, ".seg");
        if (end && (!end[4] || !strcmp(end, ".seg.tmp")) &&
            !is_listed(entry->d_name, infos, n))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* Whether the segments should become one. */
static enum sosie_status should_merge(const char *folder,
                                      struct sosie_catalog *catalog,
                                      const struct sosie_row_shape *shape,
                                      const struct sosie_segment_info *infos,
                                      size_t n, bool *merge,
                                      struct sosie_error *err)
{
    uint64_t *dead;
    size_t n_dead, n_rows = 0;
    enum sosie_status st = sosie_catalog_dead(catalog, &dead, &n_dead, err);
    if (st)
        return st;
    free(dead);
    for (size_t i = 0; i < n; i++)
        n_rows += infos[i].n_rows;
    *merge = n >= SEGMENTS_MAX || n_dead > n_rows / DEAD_SHARE;
    for (size_t i = 0; !*merge && i < n; i++) {
        struct sosie_segment *segment = NULL;
        *merge = open_listed(folder, &infos[i], shape, &segment, NULL);
        sosie_segment_close(segment);
    }
    return SOSIE_OK;
}

/* The file first, then the database's word for it. */
static enum sosie_status add_segment(const char *folder,
                                     struct sosie_catalog *catalog,
                                     const struct sosie_rows *rows, bool merge,
                                     struct sosie_error *err)
{
    char name[64], path[4096];
    struct sosie_segment_info info = {.name = name, .n_rows = rows->n};
    enum sosie_status st = SOSIE_OK;

    if (rows->n) {
        info.last_row = rows->numbers[rows->n - 1];
        /* The first row is in the name: a merge must not replace the file of a
         * segment that readers may be about to open. */
        snprintf(name, sizeof(name), "%010" PRIu64 "-%010" PRIu64 "-%zu.seg",
                 rows->numbers[0], info.last_row, rows->n);
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        st = sosie_segment_write(path, rows, err);
    }
    if (st)
        return st;
    st = sosie_catalog_begin(catalog, err);
    if (!st && merge)
        st = sosie_catalog_drop_segments(catalog, err);
    if (!st && rows->n)
        st = sosie_catalog_add_segment(catalog, &info, err);
    if (!st)
        st = sosie_catalog_commit(catalog, err);
    if (st)
        sosie_catalog_rollback(catalog);
    return st;
}

enum sosie_status sosie_store_flush(const char *folder,
                                    struct sosie_catalog *catalog,
                                    const struct sosie_row_shape *shape,
                                    struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    struct sosie_rows rows = {.shape = *shape};
    const struct sosie_segment_info *infos;
    size_t n = 0;
    bool merge = false;
    enum sosie_status st =
        sosie_catalog_segments(catalog, &arena, &infos, &n, err);
    if (!st)
        st = should_merge(folder, catalog, shape, infos, n, &merge, err);
    if (!st)
        st = sosie_catalog_each_embedding(
            catalog, merge || !n ? 0 : infos[n - 1].last_row, add_row, &rows,
            err);
    if (!st && (rows.n || merge))
        st = add_segment(folder, catalog, &rows, merge, err);
    if (!st)
        st = sosie_catalog_segments(catalog, &arena, &infos, &n, err);
    if (!st)
        sweep(folder, infos, n);
    sosie_rows_release(&rows);
    sosie_arena_release(&arena);
    return st;
}

/* ---- verify -------------------------------------------------------------- */

/* Walks the database's rows and the segments' side by side. */
struct comparison {
    const struct sosie_segment_info *infos;
    struct sosie_segment **segments;
    size_t n, segment, position; /* where the walk stands */
    struct sosie_rows one;       /* the row as a segment should hold it */
};

static enum sosie_status differs(uint64_t row, const char *how,
                                 struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_CORRUPT, "row %" PRIu64 " %s", row, how);
}

static enum sosie_status compare_row(void *context, uint64_t row,
                                     uint32_t class_id, const int8_t *embedding,
                                     size_t size, struct sosie_error *err)
{
    struct comparison *c = context;
    const struct sosie_segment_view *view;
    size_t stride = sosie_row_stride(&c->one.shape);
    enum sosie_status st;

    c->one.n = 0;
    st = add_row(&c->one, row, class_id, embedding, size, err);
    if (st)
        return st;
    while (c->segment < c->n && row > c->infos[c->segment].last_row) {
        c->segment++;
        c->position = 0;
    }
    if (c->segment == c->n)
        return SOSIE_OK; /* the tail: in the database alone */
    view = sosie_segment_view(c->segments[c->segment]);
    while (c->position < view->n && view->numbers[c->position] < row)
        c->position++;
    if (c->position == view->n || view->numbers[c->position] != row)
        return differs(row, "of the database is in no segment", err);
    if (view->classes[c->position] != class_id)
        return differs(row, "has another class in its segment", err);
    if (memcmp(view->codes + c->position * stride, c->one.codes, stride) ||
        memcmp(view->scales + c->position * view->shape.n_aspects,
               c->one.scales, sizeof(float) * view->shape.n_aspects))
        return differs(row, "has another embedding in its segment", err);
    return SOSIE_OK;
}

enum sosie_status sosie_store_verify(const char *folder,
                                     struct sosie_catalog *catalog,
                                     const struct sosie_row_shape *shape,
                                     size_t *n_segments,
                                     struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    struct comparison c = {.one.shape = *shape};
    enum sosie_status st =
        sosie_catalog_segments(catalog, &arena, &c.infos, &c.n, err);
    if (!st) {
        c.segments = sosie_arena_alloc(&arena, c.n, sizeof(*c.segments));
        st = c.segments ? SOSIE_OK
                        : sosie_fail(err, SOSIE_NO_MEMORY, "segments");
    }
    for (size_t i = 0; !st && i < c.n; i++)
        st = open_listed(folder, &c.infos[i], shape, &c.segments[i], err);
    if (!st)
        st = sosie_catalog_each_embedding(catalog, 0, compare_row, &c, err);
    for (size_t i = 0; c.segments && i < c.n; i++)
        sosie_segment_close(c.segments[i]);
    *n_segments = c.n;
    sosie_rows_release(&c.one);
    sosie_arena_release(&arena);
    return st;
}
