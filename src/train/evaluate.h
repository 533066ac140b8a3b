/* evaluate.h: how well models find, on photos that they were not trained on.
 *
 * Queries are the photos of the validation split; they are searched for among
 * those of train and val (or of val alone), exactly, with the scores of a
 * catalog. The query itself and the photos of its group never count. Test
 * photos are not touched.
 *
 *   way        a way to weigh the aspects: by default, or one aspect alone
 *   kind       a kind of number that is measured of each query, in each way
 *   robustness what is left of the first 12 hits when the query is changed
 *
 * Threads: unshared; the work is done by workers of its own pool. */
#ifndef SOSIE_TRAIN_EVALUATE_H
#define SOSIE_TRAIN_EVALUATE_H

#include "sosie/engine.h"
#include "train/change.h"
#include "train/dataset.h"
#include "train/metrics.h"

enum {
    SOSIE_EVALUATE_MAX_MODELS = 8,
    SOSIE_MAX_KINDS = SOSIE_DATASET_MAX_COLUMNS + 8,
    SOSIE_EVALUATE_MAX_WAYS = SOSIE_ASPECTS_MAX + 1
};

struct sosie_evaluate_options {
    const char *const *models; /* files */
    size_t n_models;
    const struct sosie_dataset *dataset; /* must stay */
    bool gallery_val;                    /* search among val alone */
    size_t n_queries;                    /* at most; 0: all */
    size_t n_changed; /* queries that are changed, at most; 0: none */
    enum sosie_precision precision;
    size_t n_workers;
    /* As of sosie_index_options; phases are "fitting", "embedding",
     * "searching", "changing". May be NULL. */
    bool (*progress)(void *context, const struct sosie_index_progress *now);
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
};

/* All queries, 500 changed ones, auto, a worker a processor. */
struct sosie_evaluate_options sosie_evaluate_options_defaults(void);

enum sosie_kind_what {
    SOSIE_KIND_PRECISION,    /* @12, of a column; of all of them */
    SOSIE_KIND_RECALL_1,     /* R@1 */
    SOSIE_KIND_RECALL,       /* R@12 */
    SOSIE_KIND_MAP,          /* mAP@12 */
    SOSIE_KIND_RECALL_OTHER, /* R@1 of siblings in another colour; those in the
                                same are left out */
    SOSIE_KIND_TOP_1,
    SOSIE_KIND_TOP_5 /* of the class */
};

/* What is measured: the same kinds for all models and ways. */
struct sosie_kind {
    enum sosie_kind_what what;
    size_t column;    /* of PRECISION, among those in use; n_columns: all */
    const char *name; /* "color", "all", "R@1", ... */
    const char *key;  /* for machines: "color", "all", "recall_at_1", ... */
    size_t n;         /* queries that count */
};

struct sosie_way_found {
    const char *name; /* "default", or an aspect's */
    double means[SOSIE_MAX_KINDS];
    double *values[SOSIE_MAX_KINDS]; /* (n_queries) each */
};

/* What a change does to the queries that it changes. */
struct sosie_robustness {
    size_t n;
    double kept; /* share of the first 12 hits that are still among them */
    /* precision@12, unchanged and changed, of the columns, then of all. */
    double before[SOSIE_DATASET_MAX_COLUMNS + 1];
    double after[SOSIE_DATASET_MAX_COLUMNS + 1];
};

/* What was found of one model. */
struct sosie_evaluation {
    const char *model; /* file */
    size_t dim, n_parameters;
    enum sosie_precision precision;
    double seconds, photos_per_second; /* of the embedding */
    size_t n_aspects;
    const char *aspects[SOSIE_ASPECTS_MAX];
    size_t dims[SOSIE_ASPECTS_MAX];
    double weights[SOSIE_ASPECTS_MAX];
    unsigned degrees[SOSIE_ASPECTS_MAX];
    size_t n_ways;
    struct sosie_way_found ways[SOSIE_EVALUATE_MAX_WAYS]; /* default first */
    bool by_labels;      /* the model's labels give the classes, else votes */
    uint32_t *confusion; /* (n_values, n_values) of the class's column; default
                            weights */
    struct sosie_robustness robustness[SOSIE_N_CHANGES];
    struct sosie_ranking ranking; /* default weights */
};

/* What was found of all of them. */
struct sosie_evaluations {
    struct sosie_arena arena; /* names */
    const struct sosie_dataset *dataset;
    size_t n_columns, columns[SOSIE_DATASET_MAX_COLUMNS]; /* with values */
    size_t class_column; /* of the data set; n_columns there: none */
    size_t n_rows, n_queries, n_changed, n_bad;
    bool gallery_val, has_groups;
    uint32_t *photos;  /* (n_rows) of the data set */
    uint32_t *queries; /* (n_queries) rows */
    int32_t *clusters; /* (n_queries) for sosie_metric_compare */
    size_t n_kinds;
    struct sosie_kind kinds[SOSIE_MAX_KINDS];
    size_t n;
    struct sosie_evaluation models[SOSIE_EVALUATE_MAX_MODELS];
};

/* Errors: those of opening a model; BAD_INPUT if there is no photo of val, or
 * none to be found for it; NO_MEMORY, CANCELLED. Deterministic. */
SOSIE_MUST_CHECK enum sosie_status
sosie_evaluate(const struct sosie_evaluate_options *options,
               struct sosie_evaluations *found, struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_evaluations_release(struct sosie_evaluations *found);

/* ---- one model against another ------------------------------------------- */

struct sosie_judgement {
    struct sosie_comparison kinds[SOSIE_MAX_KINDS]; /* by default weights */
    /* Of all kinds: better if any is better and none is worse; the other way
     * round, worse; otherwise there is no difference, or there are both. */
    enum sosie_verdict verdict;
    bool is_mixed; /* some are better, some worse: NO_DIFFERENCE */
};

/* Model `after` against `before`, both by number. NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_evaluations_judge(const struct sosie_evaluations *found, size_t before,
                        size_t after, struct sosie_judgement *judgement,
                        struct sosie_error *err);

/* ---- evaluate_report.c --------------------------------------------------- */

/* Writes all as an HTML file, with photos. `judgement` is of the first model
 * against the last; NULL: none. NO_MEMORY, IO. */
SOSIE_MUST_CHECK enum sosie_status
sosie_evaluations_report(const struct sosie_evaluations *found,
                         const struct sosie_judgement *judgement,
                         const char *path, struct sosie_error *err);

/* The same as a part of another report. */
struct sosie_report;
SOSIE_MUST_CHECK enum sosie_status
sosie_evaluations_report_into(const struct sosie_evaluations *found,
                              const struct sosie_judgement *judgement,
                              struct sosie_report *report,
                              struct sosie_error *err);

#endif
