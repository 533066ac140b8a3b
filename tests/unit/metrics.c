/* metrics.c: hits against a search without any tricks, measures against cases
 * that were counted by hand, the bootstrap against what statistics say. */
#include "check.h"

#include "base/random.h"
#include "train/metrics.h"

#include <math.h>

#define CHECK_NEAR(found, expected, off)                                       \
    do {                                                                       \
        double found_ = (found), expected_ = (expected);                       \
        if (!(fabs(found_ - expected_) <= (off)))                              \
            fail_msg("%s is %.9g, expected %.9g", #found, found_, expected_);  \
    } while (0)

/* ---- neighbours ---------------------------------------------------------- */

enum { N_ROWS = 777, K = 24 };

struct gallery {
    struct sosie_vectors vectors;
    int32_t groups[N_ROWS], twins[N_ROWS];
};

static struct sosie_pool *pool_make(void)
{
    struct sosie_pool *pool;
    struct sosie_error err;
    check_ok(sosie_pool_create(2, 4, &pool, &err), &err);
    return pool;
}

static void fill(struct sosie_vectors *vectors, size_t n, uint64_t seed)
{
    static const struct sosie_row_shape shape = {3, {70, 64, 10}};
    struct sosie_random random;
    struct sosie_error err;
    float values[70];
    sosie_random_seed(&random, seed);
    check_ok(sosie_vectors_init(vectors, &shape, n, &err), &err);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < shape.n_aspects; j++) {
            for (size_t k = 0; k < shape.dims[j]; k++)
                values[k] = (float)sosie_random_normal(&random);
            sosie_vectors_set(vectors, i, j, values);
        }
}

static struct gallery *gallery_make(void)
{
    struct gallery *gallery = calloc(1, sizeof(*gallery));
    assert_non_null(gallery);
    fill(&gallery->vectors, N_ROWS, 7);
    for (size_t i = 0; i < N_ROWS; i++) {
        gallery->groups[i] = i % 3 ? (int32_t)(i / 9) : -1;
        gallery->twins[i] = (int32_t)(i % 5) - 1;
    }
    sosie_vectors_copy(&gallery->vectors, 3, 600); /* equal scores */
    return gallery;
}

static void gallery_free(struct gallery *gallery)
{
    sosie_vectors_release(&gallery->vectors);
    free(gallery);
}

static double plain_score(const struct sosie_vectors *a, size_t i,
                          const struct sosie_vectors *b, size_t k,
                          const struct sosie_way *way)
{
    const struct sosie_row_shape *shape = &a->shape;
    size_t stride = sosie_row_stride(shape), at = 0;
    double score = 0, sum = 0;
    for (size_t j = 0; j < shape->n_aspects; j++) {
        double cosine = (double)a->scales[i * shape->n_aspects + j] *
                        (double)b->scales[k * shape->n_aspects + j];
        int dot = 0;
        for (size_t d = 0; d < shape->dims[j]; d++)
            dot +=
                a->codes[i * stride + at + d] * b->codes[k * stride + at + d];
        cosine *= dot;
        if (way->degrees[j] > 1)
            cosine = pow(fmax(cosine, 0), way->degrees[j]);
        score += (double)way->weights[j] * cosine;
        sum += (double)way->weights[j];
        at += sosie_row_aspect_size(shape, j);
    }
    return score / sum;
}

/* Every hit is allowed, has its plain score, none comes twice, and nothing that
 * was passed over is better than the last. */
static void check_ranking(const struct gallery *gallery,
                          const struct sosie_vectors *queries, size_t q,
                          const struct sosie_way *way,
                          const struct sosie_ranking *ranking)
{
    const struct sosie_vectors *from = queries ? queries : &gallery->vectors;
    size_t own = queries ? q : ranking->queries[q];
    const uint32_t *hits = ranking->hits + q * K;
    const float *scores = ranking->scores + q * K;
    bool is_hit[N_ROWS] = {false};
    size_t n_hits = 0;
    for (; n_hits < K && hits[n_hits] != SOSIE_NO_HIT; n_hits++) {
        size_t row = hits[n_hits];
        assert_false(is_hit[row]);
        is_hit[row] = true;
        CHECK_NEAR((double)scores[n_hits],
                   plain_score(from, own, &gallery->vectors, row, way), 1e-6);
        if (n_hits) {
            assert_true(scores[n_hits - 1] >= scores[n_hits]);
            assert_true(scores[n_hits - 1] > scores[n_hits] ||
                        hits[n_hits - 1] < hits[n_hits]);
        }
    }
    for (uint32_t row = 0; row < N_ROWS; row++) {
        bool out = row == ranking->queries[q];
        for (size_t e = 0; e < SOSIE_MAX_EXCLUDED; e++)
            out = out || (way->exclude[e] && way->exclude[e][row] >= 0 &&
                          way->exclude[e][row] ==
                              way->exclude[e][ranking->queries[q]]);
        assert_int_equal(out,
                         sosie_way_excludes(way, ranking->queries[q], row));
        assert_false(out && is_hit[row]);
        if (!out && !is_hit[row]) {
            assert_int_equal(n_hits, K);
            assert_true(plain_score(from, own, &gallery->vectors, row, way) <=
                        (double)scores[K - 1] + 1e-6);
        }
    }
}

static void neighbours_are_those_of_a_plain_search(void **state)
{
    struct gallery *gallery = gallery_make();
    struct sosie_vectors others;
    struct sosie_pool *pool = pool_make();
    struct sosie_way ways[] = {
        {.weights = {1, 0.55F, 0}, .exclude = {gallery->groups, NULL}},
        {.weights = {0, 1, 0}, .degrees = {0, 1, 0}},
        {.weights = {2, 1, 3},
         .degrees = {4, 1, 2},
         .exclude = {gallery->groups, gallery->twins}}};
    enum { N_QUERIES = 150 };
    struct sosie_ranking rankings[3];
    struct sosie_error err;
    uint32_t rows[N_QUERIES];
    (void)state;
    fill(&others, N_QUERIES, 8);
    for (size_t q = 0; q < N_QUERIES; q++)
        rows[q] = (uint32_t)(q * 5);
    for (size_t pass = 0; pass < 2; pass++) {
        const struct sosie_vectors *queries = pass ? &others : NULL;
        check_ok(sosie_neighbours_find(&gallery->vectors, rows, N_QUERIES,
                                       queries, ways, 3, K, pool, rankings,
                                       &err),
                 &err);
        for (size_t way = 0; way < 3; way++) {
            for (size_t q = 0; q < N_QUERIES; q++)
                check_ranking(gallery, queries, q, &ways[way], &rankings[way]);
            sosie_ranking_release(&rankings[way]);
        }
    }
    sosie_pool_destroy(pool);
    sosie_vectors_release(&others);
    gallery_free(gallery);
}

static void a_small_gallery_has_few_hits(void **state)
{
    struct sosie_vectors vectors;
    struct sosie_pool *pool = pool_make();
    int32_t groups[] = {0, 0, 1, -1};
    struct sosie_way way = {.weights = {1, 1, 1}, .exclude = {groups, NULL}};
    struct sosie_ranking ranking;
    struct sosie_error err;
    uint32_t rows[] = {0, 3};
    (void)state;
    fill(&vectors, 4, 9);
    check_ok(sosie_neighbours_find(&vectors, rows, 2, NULL, &way, 1, 5, pool,
                                   &ranking, &err),
             &err);
    assert_int_not_equal(ranking.hits[1], SOSIE_NO_HIT); /* 2 and 3 */
    assert_int_equal(ranking.hits[2], SOSIE_NO_HIT);
    assert_int_not_equal(ranking.hits[5 + 2], SOSIE_NO_HIT); /* 0, 1, 2 */
    assert_int_equal(ranking.hits[5 + 3], SOSIE_NO_HIT);
    sosie_ranking_release(&ranking);
    sosie_pool_destroy(pool);
    sosie_vectors_release(&vectors);
}

/* ---- measures ------------------------------------------------------------ */

/* Three queries (rows 0, 1, 2) with up to four hits among rows 0..7. */
#define NONE SOSIE_NO_HIT
static const uint32_t QUERIES[] = {0, 1, 2};
static uint32_t hits[] = {3, 4, 5,    6,    /* */
                          0, 2, NONE, NONE, /* */
                          7, 6, 5,    4};
static float scores[] = {0.9F, 0.8F, 0.7F, 0.6F, 0.5F, 0.4F,
                         0,    0,    0.9F, 0.9F, 0.1F, 0.1F};
static const struct sosie_ranking ranking = {3, 4, QUERIES, hits, scores};

static const int32_t TYPES[] = {1, 1, -1, 1, 1, 0, 1, 2};
static const int32_t SHADES[] = {0, 0, 5, 0, 1, 0, -1, 3};
static const int32_t IDENTITIES[] = {0, 1, 2, -1, 0, 2, 0, 2};

static void precision_is_the_share_of_hits_with_the_label(void **state)
{
    const int32_t *both[] = {TYPES, SHADES};
    double values[3];
    size_t n;
    (void)state;
    sosie_precision_at(&ranking, 4, both, 1, values);
    CHECK_NEAR(values[0], 3.0 / 4, 1e-12);
    CHECK_NEAR(values[1], 1.0 / 2, 1e-12); /* of the two there are */
    assert_true(isnan(values[2]));         /* has no type */
    CHECK_NEAR(sosie_metric_mean(values, 3, &n), 0.625, 1e-12);
    assert_int_equal(n, 2);
    sosie_precision_at(&ranking, 2, both + 1, 1, values);
    CHECK_NEAR(values[0], 1.0 / 2, 1e-12);
    CHECK_NEAR(values[2], 0, 1e-12);
    sosie_precision_at(&ranking, 4, both, 2, values);
    CHECK_NEAR(values[0], 1.0 / 4, 1e-12); /* row 3 alone has both */
    CHECK_NEAR(values[1], 1.0 / 2, 1e-12);
}

static void recall_and_average_precision_ask_for_siblings(void **state)
{
    static const int32_t groups[] = {0, 1, 2, 3, 4, 5, 0, 7};
    struct sosie_way way = {.exclude = {NULL}};
    uint32_t siblings[3];
    double values[3];
    struct sosie_error err;
    (void)state;
    check_ok(
        sosie_siblings_count(&ranking, &way, IDENTITIES, 8, siblings, &err),
        &err);
    assert_int_equal(siblings[0], 2); /* 4 and 6 */
    assert_int_equal(siblings[1], 0);
    assert_int_equal(siblings[2], 2); /* 5 and 7 */
    sosie_recall_at(&ranking, 1, IDENTITIES, siblings, values);
    CHECK_NEAR(values[0], 0, 0);
    assert_true(isnan(values[1]));
    CHECK_NEAR(values[2], 1, 0);
    sosie_recall_at(&ranking, 2, IDENTITIES, siblings, values);
    CHECK_NEAR(values[0], 1, 0);
    sosie_average_precision_at(&ranking, 4, IDENTITIES, siblings, values);
    CHECK_NEAR(values[0], (1.0 / 2 + 2.0 / 4) / 2, 1e-12);
    CHECK_NEAR(values[2], (1.0 + 2.0 / 3) / 2, 1e-12);
    sosie_average_precision_at(&ranking, 1, IDENTITIES, siblings, values);
    CHECK_NEAR(values[2], 1, 1e-12); /* divided by min(2, 1) */
    way.exclude[1] = groups;
    check_ok(
        sosie_siblings_count(&ranking, &way, IDENTITIES, 8, siblings, &err),
        &err);
    assert_int_equal(siblings[0], 1); /* 6 is of its group */
}

static void what_was_kept_is_counted_by_photo(void **state)
{
    static uint32_t other[] = {4, 3, 7, 1, 5, NONE, NONE, NONE, 7, 6, 5, 4};
    const struct sosie_ranking changed = {3, 4, QUERIES, other, scores};
    double values[3];
    (void)state;
    sosie_kept_at(&ranking, &changed, 4, values);
    CHECK_NEAR(values[0], 0.5, 1e-12);
    CHECK_NEAR(values[1], 0, 1e-12);
    CHECK_NEAR(values[2], 1, 1e-12);
}

static void the_nearest_vote_for_a_class(void **state)
{
    int32_t guesses[3 * SOSIE_GUESSES];
    double values[3];
    uint32_t counts[9];
    struct sosie_error err;
    (void)state;
    check_ok(sosie_guess_by_votes(&ranking, TYPES, 3, guesses, &err), &err);
    assert_int_equal(guesses[0], 1);
    assert_int_equal(guesses[1], 0);
    assert_int_equal(guesses[2], -1);
    assert_int_equal(guesses[SOSIE_GUESSES], 1); /* row 2 has no vote */
    assert_int_equal(guesses[SOSIE_GUESSES + 1], -1);
    /* Rows 7 and 6 are as near: of equal scores the first value. Then 0, and
     * the second vote for 1 that row 4 gives weighs little. */
    assert_int_equal(guesses[2 * SOSIE_GUESSES], 1);
    assert_int_equal(guesses[2 * SOSIE_GUESSES + 1], 2);
    assert_int_equal(guesses[2 * SOSIE_GUESSES + 2], 0);
    sosie_guess_is_right(guesses, TYPES, 3, 1, values);
    CHECK_NEAR(values[0], 1, 0);
    CHECK_NEAR(values[1], 1, 0);
    assert_true(isnan(values[2]));
    sosie_guess_is_right(guesses, (int32_t[]){0, 2, 0}, 3, 5, values);
    CHECK_NEAR(values[0], 1, 0);
    CHECK_NEAR(values[1], 0, 0);
    CHECK_NEAR(values[2], 1, 0);
    sosie_confusion_count(guesses, (int32_t[]){0, 1, 1}, 3, 3, counts);
    assert_int_equal(counts[1], 1);         /* 0 taken for 1 */
    assert_int_equal(counts[1 * 3 + 1], 2); /* 1 taken for 1 */
}

static void logits_of_one_class_are_added(void **state)
{
    /* Logits 0 and 2 stand for value 1; 4 stands for none and counts not. */
    static const int32_t value_of[] = {1, 0, 1, 2, -1};
    static const float logits[] = {2, 2.5F, 2, 1, 99};
    int32_t guesses[SOSIE_GUESSES];
    struct sosie_error err;
    (void)state;
    check_ok(sosie_guess_by_logits(logits, 1, 5, value_of, 3, guesses, &err),
             &err);
    assert_int_equal(guesses[0], 1); /* 2 e^2 > e^2.5 */
    assert_int_equal(guesses[1], 0);
    assert_int_equal(guesses[2], 2);
    assert_int_equal(guesses[3], -1);
}

/* ---- bootstrap ----------------------------------------------------------- */

enum { N_PAIRS = 1000 };

static void the_interval_is_that_of_the_normal_distribution(void **state)
{
    static double before[N_PAIRS], after[N_PAIRS];
    struct sosie_comparison found;
    struct sosie_random random;
    struct sosie_error err;
    double mean = 0, squares = 0, half;
    (void)state;
    sosie_random_seed(&random, 4);
    for (size_t i = 0; i < N_PAIRS; i++) {
        before[i] = sosie_random_unit(&random);
        after[i] = before[i] + 0.03 + 0.2 * sosie_random_normal(&random);
        mean += (after[i] - before[i]) / (double)N_PAIRS;
    }
    for (size_t i = 0; i < N_PAIRS; i++)
        squares += pow(after[i] - before[i] - mean, 2);
    half = 1.96 * sqrt(squares / (double)N_PAIRS / (double)N_PAIRS);
    check_ok(
        sosie_metric_compare(before, after, NULL, N_PAIRS, 1, &found, &err),
        &err);
    assert_int_equal(found.n, N_PAIRS);
    CHECK_NEAR(found.difference, mean, 1e-12);
    CHECK_NEAR(found.low, mean - half, 0.08 * half);
    CHECK_NEAR(found.high, mean + half, 0.08 * half);
    assert_int_equal(found.what, SOSIE_BETTER);
    assert_string_equal(sosie_verdict_text(found.what), "better");
    check_ok(
        sosie_metric_compare(after, before, NULL, N_PAIRS, 1, &found, &err),
        &err);
    assert_int_equal(found.what, SOSIE_WORSE);
    /* The seed decides, and nothing else. */
    for (int i = 0; i < 2; i++) {
        struct sosie_comparison again;
        check_ok(
            sosie_metric_compare(after, before, NULL, N_PAIRS, 1, &again, &err),
            &err);
        assert_memory_equal(&again.low, &found.low, sizeof(found.low));
    }
}

/* Ten copies of a query are one witness, not ten. */
static void clusters_are_drawn_together(void **state)
{
    static double before[N_PAIRS], after[N_PAIRS], one_after[N_PAIRS / 10];
    static int32_t clusters[N_PAIRS];
    struct sosie_comparison many, few, wrong;
    struct sosie_random random;
    struct sosie_error err;
    (void)state;
    sosie_random_seed(&random, 5);
    for (size_t i = 0; i < N_PAIRS / 10; i++)
        one_after[i] = sosie_random_normal(&random);
    for (size_t i = 0; i < N_PAIRS; i++) {
        clusters[i] = (int32_t)(i % 100);
        after[i] = one_after[i % 100];
    }
    check_ok(
        sosie_metric_compare(before, after, clusters, N_PAIRS, 1, &many, &err),
        &err);
    check_ok(sosie_metric_compare(before, one_after, NULL, N_PAIRS / 10, 1,
                                  &few, &err),
             &err);
    check_ok(
        sosie_metric_compare(before, after, NULL, N_PAIRS, 1, &wrong, &err),
        &err);
    CHECK_NEAR(many.high - many.low, few.high - few.low, 1e-9);
    assert_true(wrong.high - wrong.low < 0.5 * (many.high - many.low));
}

static void without_a_difference_none_is_shown(void **state)
{
    static const double a[] = {1, NAN, 0, 1, NAN}, b[] = {1, 1, NAN, 1, NAN};
    struct sosie_comparison found;
    struct sosie_error err;
    (void)state;
    check_ok(sosie_metric_compare(a, b, NULL, 5, 1, &found, &err), &err);
    assert_int_equal(found.n, 2);
    CHECK_NEAR(found.difference, 0, 0);
    assert_int_equal(found.what, SOSIE_NO_DIFFERENCE);
    /* One query, or one cluster, shows nothing, however large. */
    check_ok(sosie_metric_compare((double[]){0}, (double[]){1}, NULL, 1, 1,
                                  &found, &err),
             &err);
    CHECK_NEAR(found.difference, 1, 0);
    assert_int_equal(found.what, SOSIE_NO_DIFFERENCE);
    check_ok(sosie_metric_compare((double[]){NAN}, (double[]){1}, NULL, 1, 1,
                                  &found, &err),
             &err);
    assert_int_equal(found.n, 0);
    assert_true(isnan(found.difference));
    assert_true(isnan(sosie_metric_mean((double[]){NAN}, 1, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_those_of_a_plain_search),
        cmocka_unit_test(a_small_gallery_has_few_hits),
        cmocka_unit_test(precision_is_the_share_of_hits_with_the_label),
        cmocka_unit_test(recall_and_average_precision_ask_for_siblings),
        cmocka_unit_test(what_was_kept_is_counted_by_photo),
        cmocka_unit_test(the_nearest_vote_for_a_class),
        cmocka_unit_test(logits_of_one_class_are_added),
        cmocka_unit_test(the_interval_is_that_of_the_normal_distribution),
        cmocka_unit_test(clusters_are_drawn_together),
        cmocka_unit_test(without_a_difference_none_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
