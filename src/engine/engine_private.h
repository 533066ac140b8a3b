/* engine_private.h: what the engine's files share.
 *
 *   engine.c   open and close; the view; the embedders
 *   aspects.c  what embeddings are made of
 *   embed.c    photo bytes -> features -> packed embedding
 *   queue.c    who embeds when; photos that wait are embedded together
 *   search.c   query -> neighbours -> classes and hits
 *   head.c     the catalog's own class head
 *   indexing.c sources -> catalog
 *   check.c    verification
 *
 * A *view* is the catalog at one moment, immutable and counted: its vectors,
 * its aspects, its class names. A search holds one from its start to its end;
 * when the catalog has changed, the next search makes a new one.
 *
 * Lock order: engine->indexing, engine->lock, then the catalog's own. */
#ifndef SOSIE_ENGINE_PRIVATE_H
#define SOSIE_ENGINE_PRIVATE_H

#include "base/arena.h"
#include "catalog/catalog.h"
#include "engine/aspects.h"
#include "engine/head.h"
#include "image/colour.h"
#include "model/model.h"
#include "sosie/engine.h"
#include "store/store.h"

#include <pthread.h>

/* ---- view ---------------------------------------------------------------- */

struct sosie_view {
    size_t users;    /* guarded by engine->lock */
    int64_t version; /* of the catalog when it was made */
    int64_t transform;
    bool own_aspects;                  /* the model's; else shape and colour */
    struct sosie_whitening *whitening; /* of shape; NULL: none */
    struct sosie_aspect aspects[SOSIE_MAX_ASPECTS];
    struct sosie_row_shape
        shape; /* how many aspects there are, and their dims */
    struct sosie_store *store;
    struct sosie_arena arena; /* owns the names */
    struct sosie_class_names classes;
    /* How classes are predicted: by the catalog's head, if it fits (else it has
     * no classes): the class id of each of its classes; else by the model, when
     * every class of the catalog is among its labels: the class id of each;
     * else both are NULL and the neighbours vote. */
    struct sosie_head head;
    uint32_t *head_classes, *label_classes;
};

/* ---- embedding ----------------------------------------------------------- */

enum { SOSIE_EMBED_BATCH = 4 };

/* What one worker needs to embed photos; unshared. */
struct sosie_embedder {
    struct sosie_embedder *next; /* in the engine's list */
    const struct sosie_model_info *info;
    struct sosie_model_run *run;
    uint8_t *rgb[SOSIE_EMBED_BATCH]; /* fitted photos */
    float colours[SOSIE_EMBED_BATCH][SOSIE_COLOUR_DIM];
    float *features; /* (SOSIE_EMBED_BATCH, dim) */
    float *logits;   /* (SOSIE_EMBED_BATCH, n_logits) */
};

SOSIE_MUST_CHECK enum sosie_status
sosie_embedder_create(const struct sosie_model *model,
                      struct sosie_embedder **out, struct sosie_error *err);
void sosie_embedder_destroy(struct sosie_embedder *embedder);

/* Bytes of a photo that is fitted to the network's input. */
size_t sosie_fitted_size(const struct sosie_model_info *info);

/* Decodes a photo: its pixels, fitted to the network's input, and its colours
 * (SOSIE_COLOUR_DIM; NULL: they are not wanted). */
SOSIE_MUST_CHECK enum sosie_status
sosie_photo_decode(const struct sosie_model_info *info, const void *bytes,
                   size_t size, const struct sosie_crop *crop, uint8_t *rgb,
                   float *colours, struct sosie_error *err);

/* Quantises the aspects into a packed row. `features` may be changed; `colours`
 * are not looked at where the aspects are the model's own. */
void sosie_embedding_pack(const struct sosie_view *view, float *features,
                          const float *colours, int8_t *packed);

/* A decoded photo on its way through the network. */
struct sosie_waiting {
    const uint8_t *rgb;
    float *features; /* found: dim */
    float *logits;   /* found: n_logits; NULL: not wanted */
    enum sosie_status status;
    struct sosie_error error;
    /* The queue's own: */
    struct sosie_waiting *next;
    enum { SOSIE_PHOTO_WAITS, SOSIE_PHOTO_RUNS, SOSIE_PHOTO_DONE } state;
};

/* ---- engine -------------------------------------------------------------- */

struct sosie_engine {
    char *folder;
    struct sosie_engine_options options; /* its strings are not kept */
    int lock_file;                       /* held while writing; -1 */
    struct sosie_catalog *catalog;
    struct sosie_model *model;
    pthread_mutex_t indexing;         /* held by the call that writes */
    pthread_mutex_t lock;             /* guards what follows */
    pthread_cond_t embedder_free;     /* or a photo that waited is done */
    struct sosie_embedder *embedders; /* free ones */
    size_t n_embedders;               /* made */
    struct sosie_waiting *waiting;    /* photos, first come first */
    struct sosie_waiting **last_waiting;
    struct sosie_view *view;
    double looked_ms; /* when the catalog's version was last asked for */
};

/* An embedder of one's own until it is given back; waits while all
 * options.n_workers are in use. */
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_take_embedder(struct sosie_engine *engine,
                           struct sosie_embedder **embedder,
                           struct sosie_error *err);
void sosie_engine_give_embedder(struct sosie_engine *engine,
                                struct sosie_embedder *embedder);

/* Runs the network over a photo: at once while an embedder is free, else
 * together with up to SOSIE_EMBED_BATCH - 1 others that wait as well. The
 * result is the same, bit by bit. Fills photo->status and, on failure,
 * photo->error. */
void sosie_engine_embed(struct sosie_engine *engine,
                        struct sosie_waiting *photo);

/* The catalog as it is now (at most some 200 ms old when another process
 * writes it). */
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_acquire_view(struct sosie_engine *engine, struct sosie_view **view,
                          struct sosie_error *err);
void sosie_engine_drop_view(struct sosie_engine *engine,
                            struct sosie_view *view);
/* Makes the next acquire look afresh: after this process has written. */
void sosie_engine_renew_view(struct sosie_engine *engine);

/* The view of a catalog that nobody else uses; for check. */
SOSIE_MUST_CHECK enum sosie_status
sosie_view_open(const char *folder, struct sosie_catalog *catalog,
                const struct sosie_model_info *info, struct sosie_view **out,
                struct sosie_error *err);
void sosie_view_close(struct sosie_view *view);

/* "<folder>/<name>"; NULL when out of memory; free. */
char *sosie_path_join(const char *folder, const char *name);

/* NOT_FOUND or BAD_INPUT if the folder is no catalog; `write` makes it when it
 * is not there, and takes an empty one. */
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_check_folder(const char *folder, bool write,
                          struct sosie_error *err);

/* How a catalog's model is run. */
struct sosie_model_use {
    bool plain; /* plain C instead of oneDNN */
    enum sosie_precision precision;
};

/* The precision that a catalog's embeddings are made in. */
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_precision(struct sosie_catalog *catalog,
                       enum sosie_precision *precision,
                       struct sosie_error *err);

/* Opens <folder>/model.onnx and holds it against what the catalog says it was
 * made with. */
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_open_model(const char *folder, struct sosie_catalog *catalog,
                        struct sosie_model_use use, struct sosie_model **out,
                        struct sosie_error *err);

#endif
