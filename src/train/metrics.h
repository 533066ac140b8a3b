/* metrics.h: how good an answer is, from hits and labels alone.
 *
 * Each measure gives one number a query, NAN where it does not count (it has no
 * label, or nothing to be found): so that measures of two models can be paired,
 * query by query. Labels, identities and groups are numbers of the gallery's
 * rows; -1 is none.
 *
 *   precision@k  share of the k nearest that have the query's label (or all of
 *                several labels)
 *   R@k          1 if one of the query's *siblings* (photos of its identity) is
 *                among the k nearest, else 0
 *   AP@k         mean of precision@i over the ranks i at which a sibling
 *                stands, divided by min(siblings, k): mAP@k is its mean
 *
 * Threads: any number. */
#ifndef SOSIE_TRAIN_METRICS_H
#define SOSIE_TRAIN_METRICS_H

#include "train/neighbours.h"

enum {
    SOSIE_HITS = 12,   /* k of precision@k, R@k, mAP@k */
    SOSIE_VOTERS = 24, /* hits that vote for a class, as in a catalog */
    SOSIE_GUESSES = 5  /* classes that are predicted, best first */
};

/* ---- retrieval ----------------------------------------------------------- */

/* labels: n_labels arrays. A query counts if it has all of them. */
void sosie_precision_at(const struct sosie_ranking *ranking, size_t k,
                        const int32_t *const *labels, size_t n_labels,
                        double *values);

/* Photos of the query's identity that this way does not leave out, of n_rows.
 * NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_siblings_count(const struct sosie_ranking *ranking,
                     const struct sosie_way *way, const int32_t *identities,
                     size_t n_rows, uint32_t *counts, struct sosie_error *err);

/* A query counts if siblings[query] > 0. */
void sosie_recall_at(const struct sosie_ranking *ranking, size_t k,
                     const int32_t *identities, const uint32_t *siblings,
                     double *values);
void sosie_average_precision_at(const struct sosie_ranking *ranking, size_t k,
                                const int32_t *identities,
                                const uint32_t *siblings, double *values);

/* The share of a's k first hits that b has among its k first. */
void sosie_kept_at(const struct sosie_ranking *a, const struct sosie_ranking *b,
                   size_t k, double *values);

/* ---- classes ------------------------------------------------------------- */

/* guesses: (n, SOSIE_GUESSES), the likeliest of n_values first; -1 where there
 * are fewer. By votes: of the SOSIE_VOTERS nearest, each with
 * exp(16 * score), as a catalog predicts (engine/search.c). NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_guess_by_votes(const struct sosie_ranking *ranking, const int32_t *labels,
                     size_t n_values, int32_t *guesses,
                     struct sosie_error *err);
/* By logits (n, n_logits): value_of[l] is the value that logit l stands for; -1
 * of none that can be right. Several logits may stand for one. */
SOSIE_MUST_CHECK enum sosie_status
sosie_guess_by_logits(const float *logits, size_t n, size_t n_logits,
                      const int32_t *value_of, size_t n_values,
                      int32_t *guesses, struct sosie_error *err);

/* 1 if the label is among the first k guesses. labels: of the queries. */
void sosie_guess_is_right(const int32_t *guesses, const int32_t *labels,
                          size_t n, size_t k, double *values);

/* counts (n_values, n_values), by the label, then by the first guess. */
void sosie_confusion_count(const int32_t *guesses, const int32_t *labels,
                           size_t n, size_t n_values, uint32_t *counts);

/* ---- over all queries ---------------------------------------------------- */

/* The mean of those that are numbers; *n_counted, which may be NULL: how many.
 * NAN if there are none. */
double sosie_metric_mean(const double *values, size_t n, size_t *n_counted);

enum sosie_verdict { SOSIE_NO_DIFFERENCE, SOSIE_BETTER, SOSIE_WORSE };

struct sosie_comparison {
    size_t n;                /* queries that count in both */
    double before, after;    /* means */
    double difference;       /* after - before */
    double low, high;        /* its 95% interval */
    enum sosie_verdict what; /* better: the interval is above 0 */
};

/* Paired bootstrap (B. Efron, 1979; percentile interval): queries are drawn
 * again, with replacement, 4,000 times. Queries of one cluster (-1: of none;
 * NULL: no clusters) are drawn together: photos of one product or one sender
 * are no independent witnesses. Deterministic by the seed. NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_metric_compare(const double *before, const double *after,
                     const int32_t *clusters, size_t n, uint64_t seed,
                     struct sosie_comparison *comparison,
                     struct sosie_error *err);

/* "better", "worse", "no difference shown". */
const char *sosie_verdict_text(enum sosie_verdict verdict);

#endif
