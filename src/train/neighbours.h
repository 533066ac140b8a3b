/* neighbours.h: for each of many queries the photos that are most like it, in
 * several ways at once.
 *
 * Exact, with the scores of a catalog: the weighted mean of the aspects'
 * likenesses (index/rows.h). A *way* is a weight and a degree for each aspect,
 * and what is left out. The dot
 * products of all aspects are computed once and ranked in every way. */
#ifndef SOSIE_TRAIN_NEIGHBOURS_H
#define SOSIE_TRAIN_NEIGHBOURS_H

#include "base/pool.h"
#include "train/vectors.h"

enum { SOSIE_MAX_WAYS = 16, SOSIE_MAX_EXCLUDED = 2 };

#define SOSIE_NO_HIT UINT32_MAX

struct sosie_way {
    float weights[SOSIE_ASPECTS_MAX];    /* >= 0, not all 0 */
    unsigned degrees[SOSIE_ASPECTS_MAX]; /* index/rows.h; 0 is as 1 */
    /* Numbers of the gallery's rows: those with the query's own are left out
     * (-1: of none). NULL: nothing but the query itself. */
    const int32_t *exclude[SOSIE_MAX_EXCLUDED];
};

/* What was found in one way. */
struct sosie_ranking {
    size_t n, k;             /* queries; hits of each, at most */
    const uint32_t *queries; /* (n) the gallery's row that each query is of;
                                borrowed */
    uint32_t *hits;          /* (n, k) rows of the gallery, best first; equal
                                scores by rising row; then SOSIE_NO_HIT */
    float *scores;           /* (n, k) */
};

/* Sets the weights, in parts of 1, and the degrees of n aspects: as a catalog's
 * search would have them, to the last bit. */
void sosie_way_weigh(struct sosie_way *way, const double *weights,
                     const unsigned *degrees, size_t n);

/* Whether this way leaves the row out for a query that is of row `query`. */
bool sosie_way_excludes(const struct sosie_way *way, uint32_t query,
                        uint32_t row);

/* Fills rankings[n_ways]; release each.
 *
 * rows:    (n) the gallery's row that each query is of; must stay.
 * queries: their embeddings (n), if they are others than those of the rows;
 *          NULL: the rows themselves.
 * Errors:  NO_MEMORY. The pool must have nothing else to do. */
SOSIE_MUST_CHECK enum sosie_status
sosie_neighbours_find(const struct sosie_vectors *gallery, const uint32_t *rows,
                      size_t n, const struct sosie_vectors *queries,
                      const struct sosie_way *ways, size_t n_ways, size_t k,
                      struct sosie_pool *pool, struct sosie_ranking *rankings,
                      struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_ranking_release(struct sosie_ranking *ranking);

#endif
