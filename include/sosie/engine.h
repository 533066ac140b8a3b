/* engine.h: the product in a few calls: open, index, search, serve a photo.
 *
 * A *catalog* is a folder: a database of items, segments of embeddings and the
 * model they were made with. An *item* is what the shop sells; it has one or
 * more photos. An *embedding* is made of *aspects*, each a unit-length
 * sub-vector with its own score, so that a query can weigh them and a hit can
 * explain itself. A *hit* is an item with its score. */
#ifndef SOSIE_ENGINE_H
#define SOSIE_ENGINE_H

#include "sosie/error.h"
#include "sosie/precision.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SOSIE_MAX_ASPECTS = 4, SOSIE_ASPECT_NAME_MAX = 31 };

/* A part of a catalog's embeddings: of the model's own, or "shape" and
 * "colour", which are made of the features of a model that has none. */
struct sosie_aspect {
    const char *name; /* valid as long as the engine */
    size_t dim;
    double weight;   /* how much it counts unless a query says otherwise */
    unsigned degree; /* 1..16: the power that its cosine counts with */
};

enum {
    SOSIE_LIMIT_DEFAULT = 12,
    SOSIE_LIMIT_MAX = 500,
    SOSIE_PHOTO_MAX_BYTES = 10 << 20
};

struct sosie_engine;

/* ---- open ---------------------------------------------------------------- */

enum sosie_mode {
    SOSIE_READ, /* search; any number of processes */
    SOSIE_WRITE /* index; one process at a time, others get CONFLICT */
};

struct sosie_engine_options {
    enum sosie_mode mode;
    size_t n_workers;  /* photos embedded at the same time; 0: one a CPU */
    const char *model; /* ONNX file; WRITE on a new catalog needs it; on an old
                          one it must be the model the catalog was made with */
    /* What a new catalog's embeddings are made in; AUTO: the fastest here. An
     * old one keeps to what it was made in, and anything else but AUTO is
     * refused. */
    enum sosie_precision precision;
    bool plain; /* plain C instead of oneDNN and vector instructions */
};
SOSIE_API struct sosie_engine_options sosie_engine_options_defaults(void);

/* Opens a catalog (WRITE: makes it when it is not there).
 *
 * Errors: NOT_FOUND if there is no catalog, BAD_INPUT if the path is a file or
 * a folder that is no catalog, CORRUPT if it is damaged, CONFLICT if another
 * process writes it or `model` or `precision` is another than the catalog's;
 * REFUSED if this CPU does not have the catalog's precision.
 * Threads: an engine is locked inside; any number of calls at once. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_engine_open(const char *catalog,
                  const struct sosie_engine_options *options,
                  struct sosie_engine **out, struct sosie_error *err);

/* No call may be in progress. NULL is allowed. */
SOSIE_API void sosie_engine_close(struct sosie_engine *engine);

/* ---- index --------------------------------------------------------------- */

struct sosie_index_progress {
    size_t n_photos; /* in the sources */
    size_t n_done;   /* embedded, unchanged and bad ones together */
    size_t n_embedded, n_unchanged, n_bad;
    const char *phase; /* "reading", "embedding", "writing" */
};

struct sosie_index_options {
    const char *const *sources; /* folders, CSV or TSV files */
    size_t n_sources;
    const char *images; /* folder that image columns are relative to; NULL: the
                           file's own folder */
    const char *map;    /* "id=COL,image=COL,class=COL,..."; NULL: names of
                           Google Merchant feeds */
    /* Called from the calling thread some times a second and at the end; may be
     * NULL. Returning false stops: what was done is kept, CANCELLED. */
    bool (*progress)(void *context, const struct sosie_index_progress *now);
    /* Called for each row or file that is skipped; may be NULL. `where` is
     * "feed.csv row 17" or a path. */
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

struct sosie_index_report {
    size_t n_items, n_photos; /* in the catalog afterwards */
    size_t n_embedded, n_unchanged, n_bad;
    double seconds;
};

/* Adds or updates the items of the sources. Idempotent by id and content hash:
 * only what changed is embedded again. A crash at any point leaves a catalog
 * that opens; the same call then goes on where it stopped. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_engine_index(struct sosie_engine *engine,
                   const struct sosie_index_options *options,
                   struct sosie_index_report *report, struct sosie_error *err);

/* ---- search -------------------------------------------------------------- */

struct sosie_weight {
    char aspect[SOSIE_ASPECT_NAME_MAX + 1];
    double weight; /* >= 0 */
};

/* How much each aspect counts; one that is not named does not. */
struct sosie_weights {
    size_t n; /* 0: as the catalog's aspects say */
    struct sosie_weight items[SOSIE_MAX_ASPECTS]; /* not all 0 */
};

struct sosie_query {
    const void *photo; /* bytes of a JPEG, PNG or WebP; or ... */
    size_t photo_size;
    const char *item;       /* ... the id of an item of the catalog */
    size_t limit;           /* hits wanted, 0 .. SOSIE_LIMIT_MAX */
    const char *class_name; /* only this class; NULL: any */
    bool within_predicted;  /* stay within the class that is predicted, or the
                               few that it is torn between */
    bool has_crop;          /* x, y, w, h in fractions of the upright photo */
    double crop_x, crop_y, crop_w, crop_h;
    struct sosie_weights weights;
};

/* limit 12, the whole catalog, default weights. */
SOSIE_API struct sosie_query sosie_query_defaults(void);

/* Reads weights as `shape=1,colour=0.5`. Which aspects there are is known to
 * the catalog alone: a search says so. BAD_INPUT. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_weights_parse(const char *text, struct sosie_weights *weights,
                    struct sosie_error *err);

/* Sets the weight of one aspect, whatever the number. BAD_INPUT if no aspect
 * can be called so, or there are more than SOSIE_MAX_ASPECTS. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_weights_set(struct sosie_weights *weights, const char *aspect,
                  double weight, struct sosie_error *err);

struct sosie_class_score {
    const char *name;
    double probability; /* 0..1 */
};

struct sosie_hit {
    const char *id;
    const char *path; /* below its class: GET /static/img/<class>/<path> */
    const char *class_name; /* "unknown" when the source gave none */
    double score;           /* weighted mean of the powers of these */
    double aspects[SOSIE_MAX_ASPECTS]; /* cosine similarity, -1..1 */
    const char *fields; /* JSON object: title, price, ... and attributes */
};

struct sosie_result {
    struct sosie_class_score *classes; /* best first, at most 5 */
    size_t n_classes;
    struct sosie_hit *hits; /* best first; equal scores by id */
    size_t n_hits;
    const char *aspects[SOSIE_MAX_ASPECTS]; /* names of the hits' scores */
    size_t n_aspects;
    bool exact;
    double decode_ms, embed_ms, search_ms, total_ms;
    void *memory; /* owns all of the above */
};

/* Finds the items that look like the query.
 *
 * Errors: those of decoding (UNSUPPORTED, TOO_LARGE, REFUSED, BAD_INPUT);
 * NOT_FOUND for an item or a class that the catalog does not have; BAD_INPUT
 * for a limit, crop or weights out of range, or for the weight of an aspect
 * that there is not.
 * An empty catalog gives no hits and no error. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_engine_search(struct sosie_engine *engine,
                    const struct sosie_query *query,
                    struct sosie_result *result, struct sosie_error *err);
SOSIE_API void sosie_result_release(struct sosie_result *result);

/* ---- photos, state, check ------------------------------------------------ */

/* Opens the file of a photo that the catalog knows by class and path. Nothing
 * else in the shop's folders can be read. NOT_FOUND otherwise. The caller
 * closes *fd. `size` in bytes. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_engine_photo(struct sosie_engine *engine, const char *class_name,
                   const char *path, int *fd, size_t *size,
                   struct sosie_error *err);

struct sosie_engine_stats {
    size_t n_items, n_photos, n_classes;
    /* How classes are predicted: by the catalog's "head", the model's "labels",
     * or the neighbours' "votes". */
    const char *classes_by;
    size_t n_aspects;
    struct sosie_aspect aspects[SOSIE_MAX_ASPECTS];
    bool own_aspects; /* the model's own */
    bool whitened;    /* the shape aspect went through a whitening PCA */
    enum sosie_precision precision; /* of the network */
};
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_engine_stats(struct sosie_engine *engine,
                   struct sosie_engine_stats *stats, struct sosie_error *err);

/* Reads everything and verifies it: database, checksums, that segments and
 * database agree, that embeddings are sound. CORRUPT with the first fault.
 * `note` is called with a line for each thing looked at; may be NULL. */
SOSIE_API SOSIE_MUST_CHECK enum sosie_status
sosie_catalog_check(const char *catalog,
                    void (*note)(void *context, const char *line),
                    void *context, struct sosie_error *err);

#ifdef __cplusplus
}
#endif
#endif
