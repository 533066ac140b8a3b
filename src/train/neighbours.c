/* neighbours.c: blocks of the gallery that stay in the cache, while the queries
 * of a job pass over them.
 *
 * Cost: a dot product for each pair of query and row, and a score for each way.
 * A job is some queries against the whole gallery; jobs share nothing. */
#include "train/neighbours.h"

#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

enum {
    JOB = 64,                 /* queries of a job */
    BLOCK_BYTES = 192 * 1024, /* rows that are to stay in the cache */
    MAX_BLOCK = 512           /* rows */
};

struct search {
    const struct sosie_vectors *gallery, *queries;
    const uint32_t *rows;
    size_t n, k, n_ways, block;
    const struct sosie_way *ways;
    /* weight of each aspect / sum of the weights */
    float factors[SOSIE_MAX_WAYS][SOSIE_ASPECTS_MAX];
    struct sosie_ranking *rankings;
};

struct job {
    const struct search *search;
    size_t first;
};

void sosie_way_weigh(struct sosie_way *way, const double *weights,
                     const unsigned *degrees, size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += weights[j];
    for (size_t j = 0; j < n; j++) {
        way->weights[j] = (float)(weights[j] / sum);
        way->degrees[j] = degrees[j];
    }
}

bool sosie_way_excludes(const struct sosie_way *way, uint32_t query,
                        uint32_t row)
{
    if (query == row)
        return true;
    for (size_t i = 0; i < SOSIE_MAX_EXCLUDED; i++)
        if (way->exclude[i] && way->exclude[i][query] >= 0 &&
            way->exclude[i][query] == way->exclude[i][row])
            return true;
    return false;
}

/* ---- one query, one block ------------------------------------------------ */

/* Rows come in rising order, so that an equal score stays behind. */
static void insert(uint32_t *hits, float *scores, size_t k, uint32_t row,
                   float score)
{
    size_t at = k - 1;
    for (; at && (hits[at - 1] == SOSIE_NO_HIT || score > scores[at - 1]);
         at--) {
        hits[at] = hits[at - 1];
        scores[at] = scores[at - 1];
    }
    hits[at] = row;
    scores[at] = score;
}

static void rank(const struct search *search, size_t way, size_t query,
                 size_t first, size_t n, const float *cosines)
{
    const struct sosie_way *how = &search->ways[way];
    const float *factors = search->factors[way];
    size_t n_aspects = search->gallery->shape.n_aspects, k = search->k;
    uint32_t *hits = search->rankings[way].hits + query * k;
    float *scores = search->rankings[way].scores + query * k;

    for (size_t i = 0; i < n; i++, cosines += n_aspects) {
        uint32_t row = (uint32_t)(first + i);
        float score = 0;
        for (size_t j = 0; j < n_aspects; j++)
            score += factors[j] * sosie_likeness(cosines[j], how->degrees[j]);
        if (hits[k - 1] != SOSIE_NO_HIT && !(score > scores[k - 1]))
            continue;
        if (!sosie_way_excludes(how, search->rows[query], row))
            insert(hits, scores, k, row, score);
    }
}

static void scan(const struct search *search, size_t query, size_t first,
                 size_t n, int32_t *dots, float *cosines)
{
    const struct sosie_vectors *gallery = search->gallery;
    const struct sosie_vectors *from =
        search->queries ? search->queries : gallery;
    size_t at = search->queries ? query : search->rows[query];
    size_t n_aspects = gallery->shape.n_aspects, sizes[SOSIE_ASPECTS_MAX];
    size_t stride = sosie_row_stride(&gallery->shape);
    const float *scales = gallery->scales + first * n_aspects;
    const float *own = from->scales + at * n_aspects;

    for (size_t j = 0; j < n_aspects; j++)
        sizes[j] = sosie_row_aspect_size(&gallery->shape, j);
    sosie_kernels()->scan_i8(from->codes + at * stride,
                             gallery->codes + first * stride, stride, sizes,
                             n_aspects, n, dots);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n_aspects; j++)
            cosines[i * n_aspects + j] = (float)dots[i * n_aspects + j] *
                                         scales[i * n_aspects + j] * own[j];
    for (size_t way = 0; way < search->n_ways; way++)
        rank(search, way, query, first, n, cosines);
}

static void run(void *argument, size_t worker)
{
    const struct job *job = argument;
    const struct search *search = job->search;
    int32_t dots[MAX_BLOCK * SOSIE_ASPECTS_MAX];
    float cosines[MAX_BLOCK * SOSIE_ASPECTS_MAX];
    size_t end = search->n - job->first < JOB ? search->n : job->first + JOB;
    (void)worker;
    for (size_t row = 0; row < search->gallery->n; row += search->block) {
        size_t left = search->gallery->n - row;
        size_t n = left < search->block ? left : search->block;
        for (size_t query = job->first; query < end; query++)
            scan(search, query, row, n, dots, cosines);
    }
}

/* ---- all of them --------------------------------------------------------- */

static bool make_room(const struct search *search)
{
    size_t n = search->n ? search->n : 1, k = search->k;
    bool ok = true;
    for (size_t way = 0; way < search->n_ways; way++) {
        struct sosie_ranking *ranking = &search->rankings[way];
        *ranking = (struct sosie_ranking){
            .n = search->n,
            .k = k,
            .queries = search->rows,
            .hits = calloc(n, k * sizeof(*ranking->hits)),
            .scores = calloc(n, k * sizeof(*ranking->scores))};
        ok = ok && ranking->hits && ranking->scores;
        if (ranking->hits)
            memset(ranking->hits, 0xff, n * k * sizeof(*ranking->hits));
    }
    return ok;
}

static void weigh(struct search *search)
{
    size_t n_aspects = search->gallery->shape.n_aspects;
    for (size_t way = 0; way < search->n_ways; way++) {
        float sum = 0;
        for (size_t j = 0; j < n_aspects; j++)
            sum += search->ways[way].weights[j];
        for (size_t j = 0; j < n_aspects; j++)
            search->factors[way][j] = search->ways[way].weights[j] / sum;
    }
}

static size_t block_of(const struct sosie_vectors *gallery)
{
    size_t rows = BLOCK_BYTES / sosie_row_stride(&gallery->shape);
    return rows < 1 ? 1 : rows > MAX_BLOCK ? MAX_BLOCK : rows;
}

enum sosie_status
sosie_neighbours_find(const struct sosie_vectors *gallery, const uint32_t *rows,
                      size_t n, const struct sosie_vectors *queries,
                      const struct sosie_way *ways, size_t n_ways, size_t k,
                      struct sosie_pool *pool, struct sosie_ranking *rankings,
                      struct sosie_error *err)
{
    struct search search = {.gallery = gallery,
                            .queries = queries,
                            .rows = rows,
                            .n = n,
                            .k = k,
                            .n_ways = n_ways,
                            .ways = ways,
                            .block = block_of(gallery),
                            .rankings = rankings};
    size_t n_jobs = (n + JOB - 1) / JOB;
    struct job *jobs = calloc(n_jobs + 1, sizeof(*jobs));
    if (!make_room(&search) || !jobs) {
        for (size_t way = 0; way < n_ways; way++)
            sosie_ranking_release(&rankings[way]);
        free(jobs);
        return sosie_fail(err, SOSIE_NO_MEMORY, "neighbours of %zu photos", n);
    }
    weigh(&search);
    for (size_t i = 0; i < n_jobs; i++) {
        jobs[i] = (struct job){&search, i * JOB};
        sosie_pool_submit(pool, run, &jobs[i]);
    }
    sosie_pool_wait(pool);
    free(jobs);
    return SOSIE_OK;
}

void sosie_ranking_release(struct sosie_ranking *ranking)
{
    free(ranking->hits);
    free(ranking->scores);
    *ranking = (struct sosie_ranking){0};
}
