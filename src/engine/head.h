/* head.h: a catalog's own class head: embedding -> probabilities of classes.
 *
 * A linear layer over the unit-length aspects of an embedding, which was fitted
 * on photos of the catalog (train/head.h), and a temperature that makes honest
 * probabilities of what it gives. It changes no vector: searches predict by it
 * instead of by the neighbours' votes while it *fits*, that is while the
 * catalog's classes are just those that it knows, and the embeddings are of the
 * same aspects and whitening. Photos without a class are of none.
 *
 * It lives in a file that is called by its digest; the database says which one
 * counts. Threads: a head is immutable. */
#ifndef SOSIE_ENGINE_HEAD_H
#define SOSIE_ENGINE_HEAD_H

#include "base/arena.h"
#include "catalog/catalog.h"
#include "index/rows.h"
#include "sosie/engine.h"

struct sosie_head {
    struct sosie_row_shape shape; /* of the embeddings that it takes */
    int64_t transform;            /* the whitening that they are made with */
    size_t n_classes;
    const char **names;
    float *weights; /* (n_classes, dim + 1): of each element; the bias */
    double temperature;
    struct sosie_arena arena; /* owns names and weights */
};

/* Makes room; all zeros, and temperature 1. REFUSED if there are too many
 * classes, NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_head_init(struct sosie_head *head, const struct sosie_row_shape *shape,
                size_t n_classes, struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_head_release(struct sosie_head *head);

/* What a head takes: the aspects of a row (its codes laid out as in a row, and
 * its scales) one after another, each of unit length: sosie_row_packed_size
 * floats. */
void sosie_head_input(const struct sosie_row_shape *shape, const int8_t *codes,
                      const float *scales, float *x);

/* x: what sosie_head_input gives; probabilities: n_classes. */
void sosie_head_predict(const struct sosie_head *head, const float *x,
                        double *probabilities);

/* ---- of a catalog -------------------------------------------------------- */

/* Reads the head that the database names; an all-zero one if it names none.
 * CORRUPT, UNSUPPORTED (of a newer program), NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_head_read(const char *folder, struct sosie_catalog *catalog,
                struct sosie_head *head, struct sosie_error *err);

/* What a catalog has to fit a head on: its photos that have a class. */
struct sosie_head_photos {
    struct sosie_rows rows;
    uint32_t *products; /* (rows.n) equal numbers: the same product */
    struct sosie_class_names classes;
    double weights[SOSIE_MAX_ASPECTS]; /* of aspects, by default */
    unsigned degrees[SOSIE_MAX_ASPECTS];
    int64_t transform;
    struct sosie_arena arena; /* owns the names */
};
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_head_photos(struct sosie_engine *engine,
                         struct sosie_head_photos *photos,
                         struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_head_photos_release(struct sosie_head_photos *photos);

/* Writes a head, which is the catalog's from now on; NULL: it has none. The
 * engine must be open for writing. IO, NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_engine_set_head(struct sosie_engine *engine,
                      const struct sosie_head *head, struct sosie_error *err);

#endif
