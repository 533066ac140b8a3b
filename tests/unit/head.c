/* head.c: a class head on what a catalog has stored: the regression, the
 * temperature, the file, and what a catalog predicts with it. */
#include "photos.h"

#include "base/hash.h"
#include "engine/head.h"
#include "train/calibration.h"
#include "train/head.h"
#include "train/logistic.h"

#include <dirent.h>
#include <math.h>
#include <sqlite3.h>

/* ---- the regression ------------------------------------------------------ */

enum { N = 300, DIM = 7, CLASSES = 4, SIZE = CLASSES * (DIM + 1) };

/* Points around four centres that overlap. */
struct problem {
    float x[N * DIM];
    uint32_t labels[N];
    struct sosie_pool *pool;
    struct sosie_logistic logistic;
};

static void problem_open(struct problem *p, size_t n_workers)
{
    struct sosie_random random;
    struct sosie_error err;
    sosie_random_seed(&random, 7);
    for (size_t i = 0; i < N; i++) {
        p->labels[i] = (uint32_t)(i % CLASSES);
        for (size_t k = 0; k < DIM; k++)
            p->x[i * DIM + k] = (float)(sosie_random_normal(&random) * 0.5 +
                                        (k % CLASSES == p->labels[i]));
    }
    check_ok(sosie_pool_create(n_workers, 4, &p->pool, &err), &err);
    p->logistic = (struct sosie_logistic){.n = N,
                                          .dim = DIM,
                                          .n_classes = CLASSES,
                                          .x = p->x,
                                          .labels = p->labels,
                                          .decay = 0.01,
                                          .pool = p->pool};
}

static void problem_close(struct problem *p)
{
    sosie_pool_destroy(p->pool);
}

static double loss_of(const struct problem *p, const float *weights,
                      float *gradient)
{
    struct sosie_error err;
    double loss;
    check_ok(sosie_logistic_loss(&p->logistic, weights, &loss, gradient, &err),
             &err);
    return loss;
}

static void fit(const struct problem *p, float *weights)
{
    struct sosie_error err;
    check_ok(sosie_logistic_fit(&p->logistic, weights, &err), &err);
}

static void the_gradient_is_that_of_the_loss(void **state)
{
    struct problem p;
    float weights[SIZE], gradient[SIZE], other[SIZE];
    struct sosie_random random;
    (void)state;
    problem_open(&p, 2);
    sosie_random_seed(&random, 1);
    for (size_t i = 0; i < SIZE; i++)
        weights[i] = (float)sosie_random_normal(&random);
    loss_of(&p, weights, gradient);
    for (size_t i = 0; i < SIZE; i++) {
        float here = weights[i], step = 1.0F / 64;
        double above, below;
        weights[i] = here + step;
        above = loss_of(&p, weights, other);
        weights[i] = here - step;
        below = loss_of(&p, weights, other);
        weights[i] = here;
        assert_true(fabs((above - below) / (2 * (double)step) -
                         (double)gradient[i]) < 2e-4);
    }
    problem_close(&p);
}

static void the_fit_ends_where_the_loss_is_least(void **state)
{
    struct problem p;
    float cold[SIZE] = {0}, warm[SIZE], gradient[SIZE];
    double least;
    (void)state;
    problem_open(&p, 2);
    fit(&p, cold);
    least = loss_of(&p, cold, gradient);
    for (size_t i = 0; i < SIZE; i++) {
        assert_true(fabsf(gradient[i]) < 0.01F);
        warm[i] = (float)(i % 3) - 1;
    }
    fit(&p, warm); /* from elsewhere to the same end */
    assert_true(fabs(loss_of(&p, warm, gradient) - least) < 2e-3 * least);
    problem_close(&p);
}

static void the_number_of_threads_changes_nothing(void **state)
{
    struct problem p;
    float one[SIZE] = {0}, three[SIZE] = {0};
    (void)state;
    problem_open(&p, 1);
    fit(&p, one);
    problem_close(&p);
    problem_open(&p, 3);
    fit(&p, three);
    problem_close(&p);
    assert_memory_equal(one, three, sizeof(one));
}

static bool stop(void *context)
{
    size_t *left = context;
    return (*left)-- > 0;
}

static void a_fit_can_be_stopped(void **state)
{
    struct problem p;
    float weights[SIZE] = {0};
    size_t left = 2;
    struct sosie_error err;
    (void)state;
    problem_open(&p, 1);
    p.logistic.go_on = stop;
    p.logistic.context = &left;
    check_fails(sosie_logistic_fit(&p.logistic, weights, &err), SOSIE_CANCELLED,
                &err, "stopped while fitting");
    problem_close(&p);
}

/* ---- calibration --------------------------------------------------------- */

/* Photos whose logits are log probabilities times `sharpness`; as many are
 * right as the probabilities say. */
static struct sosie_logits make_logits(double sharpness, float *values,
                                       uint32_t *labels, size_t n)
{
    struct sosie_random random;
    sosie_random_seed(&random, 3);
    for (size_t i = 0; i < n; i++) {
        double p = 0.4 + 0.5 * sosie_random_unit(&random);
        bool right = sosie_random_unit(&random) < p;
        values[3 * i] = (float)(sharpness * log(p));
        values[3 * i + 1] = values[3 * i + 2] =
            (float)(sharpness * log((1 - p) / 2));
        labels[i] = right ? 0 : 1 + (uint32_t)(i % 2);
    }
    return (struct sosie_logits){n, 3, values, labels};
}

static void a_temperature_makes_honest_probabilities(void **state)
{
    enum { MANY = 20000 };
    float *values = calloc(MANY, 3 * sizeof(*values));
    uint32_t *labels = calloc(MANY, sizeof(*labels));
    (void)state;
    assert_true(values && labels);
    for (double sharpness = 0.5; sharpness < 5; sharpness *= 2) {
        struct sosie_logits logits =
            make_logits(sharpness, values, labels, MANY);
        double t = sosie_logits_temperature(&logits);
        assert_true(fabs(t - sharpness) < 0.05 * sharpness);
        assert_float_equal(sosie_logits_accuracy(&logits), 0.65, 0.02);
        assert_true(sosie_logits_calibration_error(&logits, t) < 0.02);
        assert_true(sosie_logits_loss(&logits, t) <
                    sosie_logits_loss(&logits, t * 1.2));
        assert_true(sosie_logits_loss(&logits, t) <
                    sosie_logits_loss(&logits, t / 1.2));
        if (sharpness < 0.9 || sharpness > 1.9)
            assert_true(sosie_logits_calibration_error(&logits, 1) > 0.05);
    }
    free(values);
    free(labels);
}

/* All that are right say nothing of how wrong the next may be. */
static void a_few_photos_that_are_right_prove_no_certainty(void **state)
{
    const float values[] = {4, 0, 0, 4, 4, 0};
    const uint32_t labels[] = {0, 1, 0};
    const struct sosie_logits logits = {3, 2, values, labels};
    double t = sosie_logits_temperature(&logits);
    (void)state;
    assert_true(sosie_logits_accuracy(&logits) == 1);
    assert_true(t > 1 && t < 4);
}

/* ---- a catalog's head ---------------------------------------------------- */

struct shop {
    char folder[64], photos[128], catalog[128];
};

/* Classes that the model has no labels for. */
static void shop_open(struct shop *shop, size_t n_a_class)
{
    static const char *const names[][2] = {
        {"red", "Coats & Hats"}, {"green", "Dresses"}, {"blue", "Shoes"}};
    char from[160], to[160];
    snprintf(shop->folder, sizeof(shop->folder), "%s", check_folder_make());
    snprintf(shop->photos, sizeof(shop->photos), "%s/photos", shop->folder);
    snprintf(shop->catalog, sizeof(shop->catalog), "%s/catalog", shop->folder);
    photos_make(shop->photos, n_a_class);
    for (size_t i = 0; i < 3; i++) {
        snprintf(from, sizeof(from), "%s/%s", shop->photos, names[i][0]);
        snprintf(to, sizeof(to), "%s/%s", shop->photos, names[i][1]);
        assert_int_equal(rename(from, to), 0);
    }
}

static void shop_close(struct shop *shop)
{
    check_folder_remove(shop->folder);
}

static void index_now(const struct shop *shop)
{
    struct sosie_index_report report;
    struct sosie_error err;
    check_ok(catalog_index(shop->catalog, (struct sosie_index_options){0},
                           shop->photos, &report, &err),
             &err);
}

static enum sosie_status fit_head(const struct shop *shop,
                                  struct sosie_head_report *report,
                                  struct sosie_error *err)
{
    const struct sosie_head_options options = {.catalog = shop->catalog,
                                               .n_workers = 2};
    return sosie_head_fit(&options, report, err);
}

static void check_sound(const struct shop *shop)
{
    struct sosie_error err;
    check_ok(sosie_catalog_check(shop->catalog, NULL, NULL, &err), &err);
}

/* What a new photo is taken for; its probability must be a sure one. */
static void expect_class(const struct shop *shop, char hue, const char *name,
                         const char *by)
{
    struct sosie_engine *engine;
    struct sosie_engine_stats stats;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char path[160];
    double sum = 0;
    check_ok(catalog_open(shop->catalog, false, &engine, &err), &err);
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_string_equal(stats.classes_by, by);
    snprintf(path, sizeof(path), "%s/new.webp", shop->folder);
    photo_write(path, hue, 4711);
    query_photo(&query, path);
    query.within_predicted = true;
    check_ok(sosie_engine_search(engine, &query, &result, &err), &err);
    assert_string_equal(result.classes[0].name, name);
    assert_true(result.classes[0].probability > 0.7);
    for (size_t i = 0; i < result.n_classes; i++)
        sum += result.classes[i].probability;
    assert_float_equal(sum, 1, 1e-9);
    for (size_t i = 0; i < result.n_hits; i++)
        assert_string_equal(result.hits[i].class_name, name);
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    sosie_engine_close(engine);
}

/* The name of the only head file of a catalog; "" if there is none. */
static const char *head_name(const struct shop *shop)
{
    static char name[256];
    DIR *dir = opendir(shop->catalog);
    const struct dirent *entry;
    assert_non_null(dir);
    *name = 0;
    while ((entry = readdir(dir)))
        if (strstr(entry->d_name, ".head")) {
            assert_string_equal(name, "");
            snprintf(name, sizeof(name), "%s", entry->d_name);
        }
    closedir(dir);
    return name;
}

static void a_catalog_predicts_by_the_head_that_was_fitted(void **state)
{
    struct shop shop;
    struct sosie_head_report report;
    struct sosie_error err;
    char first[256];
    (void)state;
    shop_open(&shop, 60);
    index_now(&shop);
    expect_class(&shop, 'r', "Coats & Hats", "votes");
    check_ok(fit_head(&shop, &report, &err), &err);
    assert_int_equal(report.n_photos, 180);
    assert_int_equal(report.n_held_out, 18);
    assert_int_equal(report.n_classes, 3);
    assert_true(report.kept && report.accuracy > 0.9);
    check_sound(&shop);
    expect_class(&shop, 'r', "Coats & Hats", "head");
    expect_class(&shop, 'b', "Shoes", "head");
    snprintf(first, sizeof(first), "%s", head_name(&shop));
    check_ok(fit_head(&shop, &report, &err), &err); /* again: the same */
    assert_string_equal(head_name(&shop), first);
    index_now(&shop); /* nothing new: it stays */
    expect_class(&shop, 'g', "Dresses", "head");
    check_sound(&shop);
    shop_close(&shop);
}

static void a_head_predicts_for_items_as_well(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_head_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result by_item, by_photo;
    struct sosie_error err;
    char path[160];
    (void)state;
    shop_open(&shop, 20);
    index_now(&shop);
    check_ok(fit_head(&shop, &report, &err), &err);
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    query.item = "Shoes/3.webp";
    check_ok(sosie_engine_search(engine, &query, &by_item, &err), &err);
    query.item = NULL;
    snprintf(path, sizeof(path), "%s/Shoes/3.webp", shop.photos);
    query_photo(&query, path);
    check_ok(sosie_engine_search(engine, &query, &by_photo, &err), &err);
    assert_string_equal(by_item.classes[0].name, "Shoes");
    assert_true(by_item.classes[0].probability ==
                by_photo.classes[0].probability);
    sosie_result_release(&by_item);
    sosie_result_release(&by_photo);
    free((void *)(uintptr_t)query.photo);
    sosie_engine_close(engine);
    shop_close(&shop);
}

static void rename_class(const struct shop *shop, const char *from,
                         const char *to)
{
    char a[200], b[200];
    snprintf(a, sizeof(a), "%s/%s", shop->photos, from);
    snprintf(b, sizeof(b), "%s/%s", shop->photos, to);
    assert_int_equal(rename(a, b), 0);
}

/* A class that the head doesn't know may be the right one. */
static void a_head_of_other_classes_is_not_used(void **state)
{
    struct shop shop;
    struct sosie_head_report report;
    struct sosie_error err;
    char path[160];
    (void)state;
    shop_open(&shop, 30);
    index_now(&shop);
    check_ok(fit_head(&shop, &report, &err), &err);
    snprintf(path, sizeof(path), "%s/Belts", shop.photos);
    check_ok(sosie_folder_make(path, &err), &err);
    snprintf(path, sizeof(path), "%s/Belts/1.webp", shop.photos);
    photo_write(path, 'r', 77);
    index_now(&shop);
    expect_class(&shop, 'b', "Shoes", "votes");
    check_sound(&shop);
    check_ok(fit_head(&shop, &report, &err), &err);
    assert_int_equal(report.n_classes, 4);
    expect_class(&shop, 'b', "Shoes", "head");
    shop_close(&shop);
}

/* Photos without a class are neither learned nor in the way. */
static void photos_without_a_class_are_left_out(void **state)
{
    struct shop shop;
    struct sosie_head_report report;
    struct sosie_error err;
    (void)state;
    shop_open(&shop, 30);
    rename_class(&shop, "Dresses", "unknown");
    index_now(&shop);
    check_ok(fit_head(&shop, &report, &err), &err);
    assert_int_equal(report.n_photos, 60);
    assert_int_equal(report.n_classes, 2);
    expect_class(&shop, 'b', "Shoes", "head");
    shop_close(&shop);
}

/* Variants of one product would be found by their twins. */
static void products_are_held_out_whole(void **state)
{
    struct shop shop;
    struct sosie_index_options options = {
        .map = "id=id,image=image,class=class,group=group"};
    struct sosie_index_report indexed;
    struct sosie_head_report report;
    struct sosie_error err;
    char feed[160], *text = calloc(1, 20000), *at = text;
    (void)state;
    assert_non_null(text);
    shop_open(&shop, 30);
    at += sprintf(at, "id,image,class,group\n");
    for (size_t i = 0; i < 60; i++) /* 30 products of two variants */
        at += sprintf(at, "%zu,%s/%zu.webp,%s,g%zu\n", i,
                      i % 2 ? "Shoes" : "Dresses", i / 2, i / 2 % 2 ? "a" : "b",
                      i / 2);
    snprintf(feed, sizeof(feed), "%s/feed.csv", shop.photos);
    file_write(feed, text);
    check_ok(catalog_index(shop.catalog, options, feed, &indexed, &err), &err);
    check_ok(fit_head(&shop, &report, &err), &err);
    assert_int_equal(report.n_photos, 60);
    assert_int_equal(report.n_held_out % 2, 0);
    free(text);
    shop_close(&shop);
}

static void what_cannot_be_fitted_is_explained(void **state)
{
    struct shop shop;
    struct sosie_head_report report;
    struct sosie_error err;
    (void)state;
    shop_open(&shop, 5);
    check_fails(fit_head(&shop, &report, &err), SOSIE_NOT_FOUND, &err,
                "there is no catalog");
    assert_int_equal(sosie_path_kind(shop.catalog), SOSIE_PATH_NONE);
    index_now(&shop);
    check_fails(fit_head(&shop, &report, &err), SOSIE_BAD_INPUT, &err,
                "15 photos of 3 classes; a head needs 20 of 2");
    assert_string_equal(head_name(&shop), "");
    shop_close(&shop);
}

/* ---- the file ------------------------------------------------------------ */

/* Puts bytes where the catalog's head is, by the name of their digest. */
static void put_head(const struct shop *shop, const void *bytes, size_t size)
{
    struct sosie_digest digest = sosie_digest_of(bytes, size);
    struct sosie_error err;
    char hex[33], path[200], *sql;
    sqlite3 *database;
    sosie_digest_hex(&digest, hex);
    snprintf(path, sizeof(path), "%s/%s.head", shop->catalog, hex);
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes, size}, 1, &err),
             &err);
    snprintf(path, sizeof(path), "%s/catalog.db", shop->catalog);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sql = sqlite3_mprintf("INSERT OR REPLACE INTO setting VALUES ('head', %Q)",
                          hex);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
    sqlite3_close(database);
}

static void expect_damage(const struct shop *shop, const char *words)
{
    struct sosie_error err;
    check_fails(sosie_catalog_check(shop->catalog, NULL, NULL, &err),
                SOSIE_CORRUPT, &err, words);
    expect_class(shop, 'b', "Shoes", "votes");
}

static void a_damaged_head_is_noticed_and_not_used(void **state)
{
    struct shop shop;
    struct sosie_head_report report;
    struct sosie_error err;
    unsigned char *bytes;
    size_t size;
    char path[400];
    (void)state;
    shop_open(&shop, 20);
    index_now(&shop);
    check_ok(fit_head(&shop, &report, &err), &err);
    snprintf(path, sizeof(path), "%s/%s", shop.catalog, head_name(&shop));
    check_ok(sosie_file_read(path, 1 << 20, &bytes, &size, &err), &err);
    bytes[size / 2] ^= 1;
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes, size}, 1, &err),
             &err);
    expect_damage(&shop, "its digest is");
    bytes[size / 2] ^= 1;

    /* With the right digest: whatever it says of itself is looked at. */
    put_head(&shop, bytes, size);
    expect_class(&shop, 'b', "Shoes", "head");
    for (size_t cut = 0; cut < size; cut += 1 + cut / 3) {
        put_head(&shop, bytes, cut);
        expect_damage(&shop, "class head");
    }
    for (size_t i = 0; i < 56; i++) {
        if (i >= 32 && i < 48) /* transform, temperature */
            continue;
        bytes[i] ^= 0x81;
        put_head(&shop, bytes, size);
        assert_true(sosie_catalog_check(shop.catalog, NULL, NULL, &err));
        bytes[i] ^= 0x81;
    }
    unlink(path);
    check_ok(fit_head(&shop, &report, &err), &err); /* fitted anew */
    expect_class(&shop, 'b', "Shoes", "head");
    head_name(&shop); /* and all others are gone */
    check_sound(&shop);
    free(bytes);
    shop_close(&shop);
}

/* As a crash leaves it: the file is there, the database has no word of it. */
static void a_head_that_is_not_named_does_not_count(void **state)
{
    struct shop shop;
    struct sosie_head_report report;
    struct sosie_error err;
    char path[200];
    (void)state;
    shop_open(&shop, 20);
    index_now(&shop);
    snprintf(path, sizeof(path), "%s/0123.head", shop.catalog);
    file_write(path, "left behind");
    expect_class(&shop, 'b', "Shoes", "votes");
    check_sound(&shop);
    check_ok(fit_head(&shop, &report, &err), &err);
    assert_int_equal(strlen(head_name(&shop)), 32 + strlen(".head"));
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_that_of_the_loss),
        cmocka_unit_test(the_fit_ends_where_the_loss_is_least),
        cmocka_unit_test(the_number_of_threads_changes_nothing),
        cmocka_unit_test(a_fit_can_be_stopped),
        cmocka_unit_test(a_temperature_makes_honest_probabilities),
        cmocka_unit_test(a_few_photos_that_are_right_prove_no_certainty),
        cmocka_unit_test(a_catalog_predicts_by_the_head_that_was_fitted),
        cmocka_unit_test(a_head_predicts_for_items_as_well),
        cmocka_unit_test(a_head_of_other_classes_is_not_used),
        cmocka_unit_test(photos_without_a_class_are_left_out),
        cmocka_unit_test(products_are_held_out_whole),
        cmocka_unit_test(what_cannot_be_fitted_is_explained),
        cmocka_unit_test(a_damaged_head_is_noticed_and_not_used),
        cmocka_unit_test(a_head_that_is_not_named_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
