/* metrics.c: one number a query, then means and their differences. */
#include "train/metrics.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A vote weighs exp(score * VOTE_SHARPNESS), as in engine/search.c. */
static const double VOTE_SHARPNESS = 16;

/* ---- retrieval ----------------------------------------------------------- */

static size_t n_hits(const uint32_t *hits, size_t k)
{
    size_t n = 0;
    while (n < k && hits[n] != SOSIE_NO_HIT)
        n++;
    return n;
}

static bool has_labels(const int32_t *const *labels, size_t n_labels,
                       uint32_t row)
{
    for (size_t l = 0; l < n_labels; l++)
        if (labels[l][row] < 0)
            return false;
    return true;
}

static bool agree(const int32_t *const *labels, size_t n_labels, uint32_t a,
                  uint32_t b)
{
    for (size_t l = 0; l < n_labels; l++)
        if (labels[l][a] != labels[l][b])
            return false;
    return true;
}

void sosie_precision_at(const struct sosie_ranking *ranking, size_t k,
                        const int32_t *const *labels, size_t n_labels,
                        double *values)
{
    for (size_t q = 0; q < ranking->n; q++) {
        uint32_t query = ranking->queries[q];
        const uint32_t *hits = ranking->hits + q * ranking->k;
        size_t n = n_hits(hits, k), right = 0;
        for (size_t i = 0; i < n; i++)
            right += agree(labels, n_labels, query, hits[i]);
        values[q] = n && has_labels(labels, n_labels, query)
                        ? (double)right / (double)n
                        : NAN;
    }
}

/* Rows that have an identity, those of one identity side by side. */
struct member {
    int32_t identity;
    uint32_t row;
};

static int by_identity(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->identity != y->identity)
        return x->identity < y->identity ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static const struct member *first_of(const struct member *members, size_t n,
                                     int32_t identity)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (members[middle].identity < identity)
            low = middle + 1;
        else
            high = middle;
    }
    return members + low;
}

enum sosie_status sosie_siblings_count(const struct sosie_ranking *ranking,
                                       const struct sosie_way *way,
                                       const int32_t *identities, size_t n_rows,
                                       uint32_t *counts,
                                       struct sosie_error *err)
{
    struct member *members = calloc(n_rows + 1, sizeof(*members));
    size_t n = 0;
    if (!members)
        return sosie_fail(err, SOSIE_NO_MEMORY, "identities of %zu photos",
                          n_rows);
    for (size_t row = 0; row < n_rows; row++)
        if (identities[row] >= 0)
            members[n++] = (struct member){identities[row], (uint32_t)row};
    qsort(members, n, sizeof(*members), by_identity);
    for (size_t q = 0; q < ranking->n; q++) {
        uint32_t query = ranking->queries[q];
        const struct member *at = first_of(members, n, identities[query]);
        counts[q] = 0;
        for (; identities[query] >= 0 && at < members + n &&
               at->identity == identities[query];
             at++)
            counts[q] += !sosie_way_excludes(way, query, at->row);
    }
    free(members);
    return SOSIE_OK;
}

void sosie_recall_at(const struct sosie_ranking *ranking, size_t k,
                     const int32_t *identities, const uint32_t *siblings,
                     double *values)
{
    for (size_t q = 0; q < ranking->n; q++) {
        int32_t identity = identities[ranking->queries[q]];
        const uint32_t *hits = ranking->hits + q * ranking->k;
        size_t n = n_hits(hits, k);
        bool found = false;
        for (size_t i = 0; i < n; i++)
            found = found || identities[hits[i]] == identity;
        values[q] = siblings[q] ? found : NAN;
    }
}

void sosie_average_precision_at(const struct sosie_ranking *ranking, size_t k,
                                const int32_t *identities,
                                const uint32_t *siblings, double *values)
{
    for (size_t q = 0; q < ranking->n; q++) {
        int32_t identity = identities[ranking->queries[q]];
        const uint32_t *hits = ranking->hits + q * ranking->k;
        size_t n = n_hits(hits, k), found = 0;
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            if (identities[hits[i]] == identity)
                sum += (double)++found / (double)(i + 1);
        values[q] = siblings[q]
                        ? sum / (double)(siblings[q] < k ? siblings[q] : k)
                        : NAN;
    }
}

void sosie_kept_at(const struct sosie_ranking *a, const struct sosie_ranking *b,
                   size_t k, double *values)
{
    for (size_t q = 0; q < a->n; q++) {
        const uint32_t *left = a->hits + q * a->k, *right = b->hits + q * b->k;
        size_t n = n_hits(left, k), m = n_hits(right, k), kept = 0;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < m; j++)
                kept += left[i] == right[j];
        values[q] = n ? (double)kept / (double)n : NAN;
    }
}

/* ---- classes ------------------------------------------------------------- */

/* The values with the largest scores above 0; scores are used up. */
static void take_best(double *scores, size_t n_values, int32_t *guesses)
{
    for (size_t i = 0; i < SOSIE_GUESSES; i++) {
        size_t best = n_values;
        for (size_t v = 0; v < n_values; v++)
            if (scores[v] > 0 && (best == n_values || scores[v] > scores[best]))
                best = v;
        guesses[i] = best < n_values ? (int32_t)best : -1;
        if (best < n_values)
            scores[best] = 0;
    }
}

enum sosie_status sosie_guess_by_votes(const struct sosie_ranking *ranking,
                                       const int32_t *labels, size_t n_values,
                                       int32_t *guesses,
                                       struct sosie_error *err)
{
    double *scores = calloc(n_values + 1, sizeof(*scores));
    if (!scores)
        return sosie_fail(err, SOSIE_NO_MEMORY, "votes for %zu classes",
                          n_values);
    for (size_t q = 0; q < ranking->n; q++) {
        const uint32_t *hits = ranking->hits + q * ranking->k;
        const float *near = ranking->scores + q * ranking->k;
        size_t n =
            n_hits(hits, ranking->k < SOSIE_VOTERS ? ranking->k : SOSIE_VOTERS);
        memset(scores, 0, n_values * sizeof(*scores));
        for (size_t i = 0; i < n; i++)
            if (labels[hits[i]] >= 0)
                scores[labels[hits[i]]] +=
                    exp(((double)near[i] - (double)near[0]) * VOTE_SHARPNESS);
        take_best(scores, n_values, guesses + q * SOSIE_GUESSES);
    }
    free(scores);
    return SOSIE_OK;
}

enum sosie_status sosie_guess_by_logits(const float *logits, size_t n,
                                        size_t n_logits,
                                        const int32_t *value_of,
                                        size_t n_values, int32_t *guesses,
                                        struct sosie_error *err)
{
    double *scores = calloc(n_values + 1, sizeof(*scores));
    if (!scores)
        return sosie_fail(err, SOSIE_NO_MEMORY, "scores of %zu classes",
                          n_values);
    for (size_t q = 0; q < n; q++, logits += n_logits) {
        double largest = -INFINITY;
        memset(scores, 0, n_values * sizeof(*scores));
        for (size_t l = 0; l < n_logits; l++)
            if (value_of[l] >= 0)
                largest = fmax(largest, (double)logits[l]);
        for (size_t l = 0; l < n_logits; l++)
            if (value_of[l] >= 0)
                scores[value_of[l]] += exp((double)logits[l] - largest);
        take_best(scores, n_values, guesses + q * SOSIE_GUESSES);
    }
    free(scores);
    return SOSIE_OK;
}

void sosie_guess_is_right(const int32_t *guesses, const int32_t *labels,
                          size_t n, size_t k, double *values)
{
    for (size_t q = 0; q < n; q++) {
        bool right = false;
        for (size_t i = 0; i < k && i < SOSIE_GUESSES; i++)
            right = right || guesses[q * SOSIE_GUESSES + i] == labels[q];
        values[q] = labels[q] >= 0 ? right : NAN;
    }
}

void sosie_confusion_count(const int32_t *guesses, const int32_t *labels,
                           size_t n, size_t n_values, uint32_t *counts)
{
    memset(counts, 0, n_values * n_values * sizeof(*counts));
    for (size_t q = 0; q < n; q++) {
        int32_t guess = guesses[q * SOSIE_GUESSES];
        if (labels[q] >= 0 && guess >= 0)
            counts[(size_t)labels[q] * n_values + (size_t)guess]++;
    }
}

/* ---- over all queries ---------------------------------------------------- */

double sosie_metric_mean(const double *values, size_t n, size_t *n_counted)
{
    double sum = 0;
    size_t counted = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            counted++;
        }
    if (n_counted)
        *n_counted = counted;
    return counted ? sum / (double)counted : NAN;
}

enum { RESAMPLES = 4000 };

/* Queries that are drawn together. */
struct cluster {
    int32_t number;
    size_t first;  /* query: makes the order certain */
    double sum, n; /* of the differences */
};

static int by_number(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Joins those of one number; -1 stays alone. Returns how many there are. */
static size_t join(struct cluster *clusters, size_t n)
{
    size_t used = 0;
    qsort(clusters, n, sizeof(*clusters), by_number);
    for (size_t i = 0; i < n; i++) {
        if (used && clusters[i].number >= 0 &&
            clusters[i].number == clusters[used - 1].number) {
            clusters[used - 1].sum += clusters[i].sum;
            clusters[used - 1].n += clusters[i].n;
        } else {
            clusters[used++] = clusters[i];
        }
    }
    return used;
}

static double draw(const struct cluster *clusters, size_t n,
                   struct sosie_random *random)
{
    double sum = 0, counted = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cluster *one = &clusters[sosie_random_below(random, n)];
        sum += one->sum;
        counted += one->n;
    }
    return sum / counted;
}

enum sosie_status sosie_metric_compare(
    const double *before, const double *after, const int32_t *numbers, size_t n,
    uint64_t seed, struct sosie_comparison *comparison, struct sosie_error *err)
{
    struct sosie_comparison found = {.what = SOSIE_NO_DIFFERENCE};
    struct cluster *clusters = calloc(n + 1, sizeof(*clusters));
    double *drawn = calloc(RESAMPLES, sizeof(*drawn));
    struct sosie_random random;
    size_t n_clusters;

    if (!clusters || !drawn) {
        free(clusters);
        free(drawn);
        return sosie_fail(err, SOSIE_NO_MEMORY, "bootstrap of %zu queries", n);
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(before[i]) || isnan(after[i]))
            continue;
        found.before += before[i];
        found.after += after[i];
        clusters[found.n++] = (struct cluster){numbers ? numbers[i] : -1, i,
                                               after[i] - before[i], 1};
    }
    found.before /= (double)found.n;
    found.after /= (double)found.n;
    found.difference = found.low = found.high = found.after - found.before;
    n_clusters = join(clusters, found.n);
    sosie_random_seed(&random, seed);
    if (n_clusters > 1) {
        for (size_t i = 0; i < RESAMPLES; i++)
            drawn[i] = draw(clusters, n_clusters, &random);
        qsort(drawn, RESAMPLES, sizeof(*drawn), by_value);
        found.low = drawn[RESAMPLES / 40];
        found.high = drawn[RESAMPLES - 1 - RESAMPLES / 40];
        found.what = found.low > 0    ? SOSIE_BETTER
                     : found.high < 0 ? SOSIE_WORSE
                                      : SOSIE_NO_DIFFERENCE;
    }
    *comparison = found;
    free(clusters);
    free(drawn);
    return SOSIE_OK;
}

const char *sosie_verdict_text(enum sosie_verdict verdict)
{
    switch (verdict) {
    case SOSIE_BETTER:
        return "better";
    case SOSIE_WORSE:
        return "worse";
    case SOSIE_NO_DIFFERENCE:
        break;
    }
    return "no difference shown";
}
