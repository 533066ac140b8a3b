/* engine.c: a shop's photos in, look-alikes out; what changes, fails or is
 * damaged in between. */
#include "metadata.h"
#include "photos.h"

#include "base/hash.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Each test has a folder with photos/ and room for a catalog. */
struct shop {
    char folder[64], photos[128], catalog[128];
};

static void shop_open(struct shop *shop, size_t n_a_class)
{
    snprintf(shop->folder, sizeof(shop->folder), "%s", check_folder_make());
    snprintf(shop->photos, sizeof(shop->photos), "%s/photos", shop->folder);
    snprintf(shop->catalog, sizeof(shop->catalog), "%s/catalog", shop->folder);
    photos_make(shop->photos, n_a_class);
}

static void shop_close(struct shop *shop)
{
    check_folder_remove(shop->folder);
}

static struct sosie_index_report index_now(const struct shop *shop)
{
    struct sosie_index_report report;
    struct sosie_error err;
    check_ok(catalog_index(shop->catalog, (struct sosie_index_options){0},
                           shop->photos, &report, &err),
             &err);
    return report;
}

/* A shop whose catalog is made and open for searching. */
static struct sosie_engine *shop_serve(struct shop *shop, size_t n_a_class)
{
    struct sosie_engine *engine;
    struct sosie_error err;
    shop_open(shop, n_a_class);
    index_now(shop);
    check_ok(catalog_open(shop->catalog, false, &engine, &err), &err);
    return engine;
}

static void shop_end(struct shop *shop, struct sosie_engine *engine)
{
    sosie_engine_close(engine);
    shop_close(shop);
}

static void expect_sound(const struct shop *shop)
{
    struct sosie_error err;
    check_ok(sosie_catalog_check(shop->catalog, NULL, NULL, &err), &err);
}

/* Sound, or so young that there is no catalog in it yet. */
static void expect_sound_or_unmade(const struct shop *shop)
{
    struct sosie_error err;
    if (!sosie_catalog_check(shop->catalog, NULL, NULL, &err))
        return;
    if (!strstr(err.text, "was not finished") &&
        !strstr(err.text, "no catalog.db") &&
        !strstr(err.text, "schema version 0"))
        fail_msg("%s", err.text);
}

static struct sosie_result search(struct sosie_engine *engine,
                                  const struct sosie_query *query)
{
    struct sosie_result result;
    struct sosie_error err;
    check_ok(sosie_engine_search(engine, query, &result, &err), &err);
    return result;
}

static void weigh(struct sosie_query *query, const char *weights)
{
    struct sosie_error err;
    check_ok(sosie_weights_parse(weights, &query->weights, &err), &err);
}

/* ---- searching ----------------------------------------------------------- */

static void a_photo_of_the_catalog_finds_itself_first(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_error err;
    (void)state;
    shop_open(&shop, 8);
    assert_int_equal(index_now(&shop).n_items, 24);
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    for (size_t i = 0; i < 8; i++) {
        struct sosie_query query = sosie_query_defaults();
        struct sosie_result result;
        char path[160], id[32];
        snprintf(id, sizeof(id), "green/%zu.webp", i);
        snprintf(path, sizeof(path), "%s/%s", shop.photos, id);
        query_photo(&query, path);
        result = search(engine, &query);
        assert_int_equal(result.n_hits, 12);
        assert_true(result.exact);
        assert_string_equal(result.hits[0].id, id);
        assert_string_equal(result.hits[0].path, id + 6);
        assert_string_equal(result.hits[0].class_name, "green");
        assert_string_equal(result.hits[0].fields, "{}");
        assert_true(fabs(result.hits[0].score - 1) < 1e-6);
        for (size_t k = 1; k < result.n_hits; k++)
            assert_true(result.hits[k].score <= result.hits[k - 1].score);
        sosie_result_release(&result);
        free((void *)(uintptr_t)query.photo);
    }
    shop_end(&shop, engine);
}

static void the_query_decides_what_is_searched(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults(), other;
    struct sosie_result result;
    struct sosie_error err;
    (void)state;
    engine = shop_serve(&shop, 8);
    query.item = "blue/3.webp";

    result = search(engine, &query); /* an item is not like itself */
    assert_int_equal(result.n_hits, 12);
    for (size_t i = 0; i < 12; i++)
        assert_string_not_equal(result.hits[i].id, "blue/3.webp");
    sosie_result_release(&result);

    other = query;
    weigh(&other, "colour=1");
    result = search(engine, &other);
    assert_string_equal(result.aspects[1], "colour");
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(result.hits[i].class_name, "blue");
        assert_true(fabs(result.hits[i].score - result.hits[i].aspects[1]) <
                    1e-6);
    }
    sosie_result_release(&result);

    other = query;
    other.class_name = "red";
    other.limit = 500;
    result = search(engine, &other);
    assert_int_equal(result.n_hits, 8);
    sosie_result_release(&result);

    other = query;
    other.limit = 0;
    result = search(engine, &other);
    assert_int_equal(result.n_hits, 0);
    assert_true(result.n_classes > 0);
    sosie_result_release(&result);

    other = query;
    other.class_name = "hat";
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_NOT_FOUND, &err, "no class \"hat\"");
    other = query;
    other.item = "blue/99.webp";
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_NOT_FOUND, &err, "no item \"blue/99.webp\"");
    other = query;
    other.limit = 501;
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_BAD_INPUT, &err, "limit is 501, expected 0 to 500");
    other = query;
    other.weights = (struct sosie_weights){1, {{"shape", 0}}};
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_BAD_INPUT, &err, "all weights are 0");
    other.weights.items[0].weight = NAN;
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_BAD_INPUT, &err, "weight of shape is nan");
    weigh(&other, "colour=1,taste=1");
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_BAD_INPUT, &err,
                "weights name \"taste\"; the catalog's aspects are shape and "
                "colour");
    other = sosie_query_defaults();
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_BAD_INPUT, &err, "needs a photo or an item's id");
    other.photo = "this is no photo";
    other.photo_size = 16;
    check_fails(sosie_engine_search(engine, &other, &result, &err),
                SOSIE_UNSUPPORTED, &err, "looks like text");
    shop_end(&shop, engine);
}

static void weights_are_read_as_people_write_them(void **state)
{
    static const char *const wrong[][2] = {
        {"", "expected NAME=NUMBER"},
        {"shape", "expected NAME=NUMBER"},
        {"shape=1,", "expected NAME=NUMBER"},
        {"=1", "expected NAME=NUMBER"},
        {"a-name-that-is-longer-than-any-name=1", "expected NAME=NUMBER"},
        {"shape=x", "weight of shape is \"x\", expected a number"},
        {"shape=-1", "weight of shape is -1"},
        {"shape=0,colour=0", "all weights are 0"},
        {"a=1,b=1,c=1,d=1,e=1", "more than 4 weights"},
    };
    struct sosie_weights weights = {0};
    struct sosie_error err;
    (void)state;
    check_ok(sosie_weights_parse("colour=0.5,shape=1", &weights, &err), &err);
    assert_int_equal(weights.n, 2);
    assert_string_equal(weights.items[0].aspect, "colour");
    assert_true(weights.items[0].weight == 0.5);
    assert_string_equal(weights.items[1].aspect, "shape");
    check_ok(sosie_weights_parse("kind=1,kind=2", &weights, &err), &err);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        check_fails(sosie_weights_parse(wrong[i][0], &weights, &err),
                    SOSIE_BAD_INPUT, &err, wrong[i][1]);
    assert_int_equal(weights.n, 1); /* untouched by failures */
    assert_true(weights.items[0].weight == 2);
}

static void weights_count_by_their_ratio_however_small(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result usual, small;
    (void)state;
    engine = shop_serve(&shop, 4);
    query.item = "red/1.webp";
    weigh(&query, "shape=2,colour=1");
    usual = search(engine, &query);
    weigh(&query, "shape=2e-60,colour=1e-60");
    small = search(engine, &query);
    assert_int_equal(small.n_hits, usual.n_hits);
    for (size_t i = 0; i < usual.n_hits; i++) {
        assert_string_equal(small.hits[i].id, usual.hits[i].id);
        assert_float_equal(small.hits[i].score, usual.hits[i].score, 1e-6);
    }
    sosie_result_release(&usual);
    sosie_result_release(&small);
    shop_end(&shop, engine);
}

/* The model's labels are the classes here, so its head predicts them. */
static void a_model_that_knows_the_classes_predicts_them(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    char path[160];
    (void)state;
    engine = shop_serve(&shop, 8);
    snprintf(path, sizeof(path), "%s/new.webp", shop.folder);
    photo_write(path, 'b', 4711);
    query_photo(&query, path);
    query.within_predicted = true;
    result = search(engine, &query);
    assert_string_equal(result.classes[0].name, "blue");
    assert_true(result.classes[0].probability > 0.8);
    assert_int_equal(result.n_hits, 8); /* all of the class, nothing else */
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(result.hits[i].class_name, "blue");
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

/* A class that the model has no label for: the neighbours vote. */
static void other_classes_are_predicted_by_the_neighbours(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char path[160], renamed[160];
    double sum = 0;
    (void)state;
    shop_open(&shop, 30);
    snprintf(path, sizeof(path), "%s/red", shop.photos);
    snprintf(renamed, sizeof(renamed), "%s/Coats & Hats", shop.photos);
    assert_int_equal(rename(path, renamed), 0);
    index_now(&shop);
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    snprintf(path, sizeof(path), "%s/new.webp", shop.folder);
    photo_write(path, 'r', 4711);
    query_photo(&query, path);
    weigh(&query, "shape=1,colour=2");
    result = search(engine, &query);
    assert_string_equal(result.classes[0].name, "Coats & Hats");
    for (size_t i = 0; i < result.n_classes; i++) {
        sum += result.classes[i].probability;
        assert_true(!i || result.classes[i].probability <=
                              result.classes[i - 1].probability);
    }
    assert_true(fabs(sum - 1) < 1e-9);
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

static void a_crop_searches_a_part_of_the_photo(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char path[160];
    (void)state;
    engine = shop_serve(&shop, 4);
    snprintf(path, sizeof(path), "%s/red/0.webp", shop.photos);
    query_photo(&query, path);
    query.has_crop = true;
    query.crop_w = query.crop_h = 1;
    result = search(engine, &query);
    assert_true(fabs(result.hits[0].score - 1) < 1e-6);
    sosie_result_release(&result);
    query.crop_w = 0.1; /* a sliver of the white margin */
    result = search(engine, &query);
    assert_true(result.hits[0].score < 0.999);
    sosie_result_release(&result);
    query.crop_x = 0.95;
    check_fails(sosie_engine_search(engine, &query, &result, &err),
                SOSIE_BAD_INPUT, &err, "crop is x 0.95");
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

struct searcher {
    struct sosie_engine *engine;
    const struct sosie_query *query;
    const struct sosie_result *expected;
    pthread_t thread;
};

static void *search_often(void *argument)
{
    struct searcher *me = argument;
    for (size_t round = 0; round < 10; round++) {
        struct sosie_result result;
        struct sosie_error err;
        if (sosie_engine_search(me->engine, me->query, &result, &err))
            return err.status == SOSIE_OK ? NULL : me;
        for (size_t i = 0; i < result.n_hits; i++)
            if (strcmp(result.hits[i].id, me->expected->hits[i].id) ||
                result.hits[i].score != me->expected->hits[i].score)
                return me;
        sosie_result_release(&result);
    }
    return NULL;
}

static void searches_at_the_same_time_do_not_disturb_each_other(void **state)
{
    enum { N = 4 };
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result expected;
    struct searcher searchers[N];
    char path[160];
    (void)state;
    engine = shop_serve(&shop, 20);
    snprintf(path, sizeof(path), "%s/red/5.webp", shop.photos);
    query_photo(&query, path);
    expected = search(engine, &query);
    for (size_t i = 0; i < N; i++) {
        searchers[i] = (struct searcher){engine, &query, &expected, 0};
        assert_int_equal(pthread_create(&searchers[i].thread, NULL,
                                        search_often, &searchers[i]),
                         0);
    }
    for (size_t i = 0; i < N; i++) {
        void *failed;
        pthread_join(searchers[i].thread, &failed);
        assert_null(failed);
    }
    sosie_result_release(&expected);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

struct indexer {
    struct sosie_engine *engine;
    const char *source;
    pthread_t thread;
};

static void *index_source(void *argument)
{
    struct indexer *me = argument;
    struct sosie_index_options options = {.sources = &me->source,
                                          .n_sources = 1};
    struct sosie_index_report report;
    struct sosie_error err;
    return sosie_engine_index(me->engine, &options, &report, &err) ? me : NULL;
}

static void one_engine_indexes_twice_at_once_and_is_searched(void **state)
{
    enum { N = 2 };
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_engine_stats stats;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_error err;
    struct indexer indexers[N];
    char folders[N][200];
    (void)state;
    shop_open(&shop, 20);
    index_now(&shop);
    check_ok(catalog_open(shop.catalog, true, &engine, &err), &err);
    for (size_t i = 0; i < N; i++) {
        snprintf(folders[i], sizeof(folders[i]), "%s/more%zu", shop.folder, i);
        photos_make(folders[i], 100 + i);
        indexers[i] = (struct indexer){engine, folders[i], 0};
    }
    for (size_t i = 0; i < N; i++)
        assert_int_equal(pthread_create(&indexers[i].thread, NULL, index_source,
                                        &indexers[i]),
                         0);
    query.item = "red/1.webp";
    for (size_t i = 0; i < 200; i++) {
        struct sosie_result result = search(engine, &query);
        sosie_result_release(&result);
    }
    for (size_t i = 0; i < N; i++) {
        void *failed;
        pthread_join(indexers[i].thread, &failed);
        assert_null(failed);
    }
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_int_equal(stats.n_items, 3 * 101);
    sosie_engine_close(engine);
    expect_sound(&shop);
    shop_close(&shop);
}

/* ---- indexing again ------------------------------------------------------ */

static void only_what_changed_is_embedded_again(void **state)
{
    struct shop shop;
    struct sosie_index_report report;
    char path[160];
    (void)state;
    shop_open(&shop, 10);
    report = index_now(&shop);
    assert_int_equal(report.n_embedded, 30);
    report = index_now(&shop);
    assert_int_equal(report.n_embedded, 0);
    assert_int_equal(report.n_unchanged, 30);
    snprintf(path, sizeof(path), "%s/red/4.webp", shop.photos);
    photo_write(path, 'r', 999);
    snprintf(path, sizeof(path), "%s/red/new.webp", shop.photos);
    photo_write(path, 'r', 998);
    for (size_t round = 0; round < 12; round++) { /* many small segments */
        report = index_now(&shop);
        assert_int_equal(report.n_embedded, round ? 1 : 2);
        assert_int_equal(report.n_items, 31);
        assert_int_equal(report.n_photos, 31);
        expect_sound(&shop);
        snprintf(path, sizeof(path), "%s/blue/4.webp", shop.photos);
        photo_write(path, 'b', 1000 + round);
    }
    shop_close(&shop);
}

static const char FEED[] =
    "sku,picture,more,kind,title,price\n"
    "a,red/0.webp,\"red/1.webp,red/2.webp\",coat,A coat,10.00 EUR\n"
    "b,green/0.webp,,dress,\"A dress, green\",20.00 EUR\n"
    "c,nowhere.webp,,dress,Not there,1.00 EUR\n"
    "d,,,dress,No photo,1.00 EUR\n"
    "e,broken.webp,,dress,Broken,1.00 EUR\n";
static const char FEED_LATER[] =
    "sku,picture,more,kind,title,price\n"
    "a,red/0.webp,\"red/1.webp,red/2.webp\",coat,A coat,9.00 EUR\n"
    "b,green/0.webp,,skirt,\"A dress, green\",20.00 EUR\n";

static struct {
    size_t n;
    char text[2000];
} reported;

static void report_bad(void *context, const char *where, const char *reason)
{
    size_t used = strlen(reported.text);
    (void)context;
    reported.n++;
    snprintf(reported.text + used, sizeof(reported.text) - used, "%s: %s\n",
             where, reason);
}

static void expect_in(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static void a_feed_brings_fields_photos_and_honest_reports(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_index_options options = {
        .map = "id=sku,image=picture,more_images=more,class=kind",
        .bad = report_bad};
    struct sosie_index_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char feed[160], path[160];
    (void)state;
    shop_open(&shop, 3);
    snprintf(feed, sizeof(feed), "%s/feed.csv", shop.photos);
    snprintf(path, sizeof(path), "%s/broken.webp", shop.photos);
    file_write(path, "RIFF....WEBPVP8 broken");
    file_write(feed, FEED);
    memset(&reported, 0, sizeof(reported));
    check_ok(catalog_index(shop.catalog, options, feed, &report, &err), &err);
    assert_int_equal(report.n_items, 2);
    assert_int_equal(report.n_photos, 4);
    assert_int_equal(report.n_bad, 3);
    assert_int_equal(reported.n, 3);
    expect_in(reported.text, "feed.csv row 4: ");
    expect_in(reported.text, "nowhere.webp");
    expect_in(reported.text, "feed.csv row 5: ");
    expect_in(reported.text, "feed.csv row 6: ");
    expect_in(reported.text, "WebP is");

    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    snprintf(path, sizeof(path), "%s/red/2.webp", shop.photos);
    query_photo(&query, path);
    result = search(engine, &query);
    assert_int_equal(result.n_hits, 2); /* three photos of a, one hit */
    assert_string_equal(result.hits[0].id, "a");
    assert_string_equal(result.hits[0].path, "red/2.webp"); /* the best one */
    assert_string_equal(result.hits[0].fields,
                        "{\"title\":\"A coat\",\"price\":\"10.00 EUR\"}");
    sosie_result_release(&result);
    sosie_engine_close(engine);

    /* A price touches no vector; a class moves the photo. */
    file_write(feed, FEED_LATER);
    check_ok(catalog_index(shop.catalog, options, feed, &report, &err), &err);
    assert_int_equal(report.n_embedded, 0);
    expect_sound(&shop);
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    query.class_name = "skirt";
    result = search(engine, &query);
    assert_int_equal(result.n_hits, 1);
    assert_string_equal(result.hits[0].id, "b");
    sosie_result_release(&result);
    query.class_name = "coat";
    result = search(engine, &query);
    expect_in(result.hits[0].fields, "9.00 EUR");
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

static void a_photo_that_breaks_later_leaves_what_was_there(void **state)
{
    struct shop shop;
    struct sosie_index_report report;
    char path[160];
    (void)state;
    shop_open(&shop, 3);
    index_now(&shop);
    snprintf(path, sizeof(path), "%s/red/1.webp", shop.photos);
    file_write(path, "not a photo any more");
    report = index_now(&shop);
    assert_int_equal(report.n_bad, 1);
    assert_int_equal(report.n_items, 9);
    assert_int_equal(report.n_photos, 9);
    expect_sound(&shop);
    shop_close(&shop);
}

static void a_reader_finds_what_is_written_meanwhile(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    char path[160];
    (void)state;
    engine = shop_serve(&shop, 3);
    snprintf(path, sizeof(path), "%s/red/later.webp", shop.photos);
    photo_write(path, 'r', 4711);
    query_photo(&query, path);
    result = search(engine, &query);
    assert_true(result.hits[0].score < 0.9999);
    sosie_result_release(&result);
    index_now(&shop);
    usleep(300000);
    result = search(engine, &query);
    assert_string_equal(result.hits[0].id, "red/later.webp");
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

/* ---- whitening ----------------------------------------------------------- */

static void a_catalog_that_grows_past_2000_photos_is_whitened(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_engine_stats stats;
    struct sosie_index_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char more[160], path[200];
    (void)state;
    engine = shop_serve(&shop, 20);
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_false(stats.whitened);
    assert_int_equal(stats.aspects[0].dim, 320);

    snprintf(more, sizeof(more), "%s/more", shop.folder);
    photos_make(more, 700);
    check_ok(catalog_index(shop.catalog, (struct sosie_index_options){0}, more,
                           &report, &err),
             &err);
    assert_int_equal(report.n_embedded, 2100 + 60 - 60); /* 60 the same ids */
    assert_int_equal(report.n_items, 2100);
    expect_sound(&shop);
    usleep(300000); /* the reader takes to the new dimension, too */
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_true(stats.whitened);
    assert_int_equal(stats.aspects[0].dim, 256);
    snprintf(path, sizeof(path), "%s/blue/333.webp", more);
    query_photo(&query, path);
    result = search(engine, &query);
    assert_true(result.hits[0].score > 0.9999);
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

/* The same photos twice are not enough to whiten. */
static void
a_catalog_below_2000_photos_is_left_alone_when_indexed_again(void **state)
{
    struct shop shop;
    struct sosie_index_report report;
    (void)state;
    shop_open(&shop, 350);
    report = index_now(&shop);
    assert_int_equal(report.n_embedded, 1050);
    report = index_now(&shop);
    assert_int_equal(report.n_embedded, 0);
    assert_int_equal(report.n_unchanged, 1050);
    shop_close(&shop);
}

/* Items of a source that is not named again are embedded anew as well. */
static void photos_of_other_sources_follow_the_new_whitening(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_index_options options = {.map = "id=id,image=image"};
    struct sosie_index_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char feed[160], more[160];
    (void)state;
    shop_open(&shop, 3);
    snprintf(feed, sizeof(feed), "%s/feed.csv", shop.photos);
    file_write(feed, "id,image\nmine,red/0.webp\n");
    check_ok(catalog_index(shop.catalog, options, feed, &report, &err), &err);
    snprintf(more, sizeof(more), "%s/more", shop.folder);
    photos_make(more, 680);
    options.map = NULL;
    check_ok(catalog_index(shop.catalog, options, more, &report, &err), &err);
    assert_int_equal(report.n_embedded, 2041);
    expect_sound(&shop);
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    query.item = "mine";
    result = search(engine, &query);
    assert_int_equal(result.n_hits, 12);
    assert_string_equal(result.hits[0].id, "red/0.webp"); /* the same photo */
    sosie_result_release(&result);
    shop_end(&shop, engine);
}

/* ---- a model's own aspects ------------------------------------------------
 */

/* The small network with more metadata, in the shop's folder. */
static void model_write(const struct shop *shop, const char *name,
                        const char *const entries[][2], size_t n,
                        char path[128])
{
    unsigned char *bytes;
    struct sosie_error err;
    size_t size;
    check_ok(sosie_file_read(photos_model(), 1 << 20, &bytes, &size, &err),
             &err);
    bytes = realloc(bytes, size + n * METADATA_ROOM);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        size = metadata_add(bytes, size, entries[i][0], entries[i][1]);
    snprintf(path, 128, "%s/%s", shop->folder, name);
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes, size}, 1, &err),
             &err);
    free(bytes);
}

/* Its 320 numbers as three aspects. */
static const char *const with_aspects[][2] = {
    {"embedding.aspects", "shape=192,colour=64,kind=64"},
    {"embedding.weights", "shape=1,colour=0.6,kind=0.4"},
    {"embedding.degrees", "shape=4"}};

/* Opens the catalog with a model, which may be NULL, and indexes a folder. */
static struct sosie_engine *shop_index(const struct shop *shop,
                                       const char *model, const char *source,
                                       struct sosie_index_options options,
                                       struct sosie_index_report *report)
{
    struct sosie_engine_options engine_options =
        sosie_engine_options_defaults();
    struct sosie_engine *engine;
    struct sosie_error err;
    engine_options.mode = SOSIE_WRITE;
    engine_options.model = model;
    engine_options.n_workers = 2;
    check_ok(sosie_engine_open(shop->catalog, &engine_options, &engine, &err),
             &err);
    options.sources = &source;
    options.n_sources = 1;
    check_ok(sosie_engine_index(engine, &options, report, &err), &err);
    return engine;
}

static void a_model_may_bring_aspects_of_its_own(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_engine_stats stats;
    struct sosie_index_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char model[128];
    (void)state;
    shop_open(&shop, 6);
    model_write(&shop, "own.onnx", with_aspects, 3, model);
    engine = shop_index(&shop, model, shop.photos,
                        (struct sosie_index_options){0}, &report);
    expect_sound(&shop);
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_true(stats.own_aspects && !stats.whitened);
    assert_int_equal(stats.n_aspects, 3);
    assert_string_equal(stats.aspects[2].name, "kind");
    assert_int_equal(stats.aspects[2].dim, 64);
    assert_true(stats.aspects[2].weight == 0.4);
    assert_int_equal(stats.aspects[0].degree, 4);
    assert_int_equal(stats.aspects[2].degree, 1);

    query.item = "red/1.webp";
    result = search(engine, &query);
    assert_int_equal(result.n_aspects, 3);
    assert_string_equal(result.aspects[0], "shape");
    for (size_t i = 0; i < result.n_hits; i++) {
        const struct sosie_hit *hit = &result.hits[i];
        assert_float_equal(hit->score,
                           (pow(fmax(hit->aspects[0], 0), 4) +
                            0.6 * hit->aspects[1] + 0.4 * hit->aspects[2]) /
                               2,
                           1e-6);
    }
    sosie_result_release(&result);
    weigh(&query, "kind=3");
    result = search(engine, &query);
    for (size_t i = 0; i < result.n_hits; i++)
        assert_float_equal(result.hits[i].score, result.hits[i].aspects[2],
                           1e-6);
    sosie_result_release(&result);
    weigh(&query, "shape=1,taste=1");
    check_fails(sosie_engine_search(engine, &query, &result, &err),
                SOSIE_BAD_INPUT, &err, "aspects are shape, colour and kind");
    shop_end(&shop, engine);
}

static bool expect_no_fitting(void *context,
                              const struct sosie_index_progress *now)
{
    (void)context;
    assert_string_not_equal(now->phase, "fitting");
    return true;
}

/* The first photos' embeddings are final, however many come. */
static void own_aspects_are_never_whitened(void **state)
{
    struct shop shop;
    struct sosie_index_options options = {.progress = expect_no_fitting};
    struct sosie_engine *engine;
    struct sosie_engine_stats stats;
    struct sosie_index_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    char model[128], more[160], path[200];
    (void)state;
    shop_open(&shop, 20);
    model_write(&shop, "own.onnx", with_aspects, 3, model);
    sosie_engine_close(shop_index(&shop, model, shop.photos, options, &report));
    snprintf(more, sizeof(more), "%s/more", shop.folder);
    photos_make(more, 700);
    sosie_engine_close(shop_index(&shop, NULL, more, options, &report));
    assert_int_equal(report.n_items, 2100);
    engine = shop_index(&shop, model, more, options, &report);
    assert_int_equal(report.n_embedded, 0);
    assert_int_equal(report.n_unchanged, 2100);
    expect_sound(&shop);
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_true(stats.own_aspects && !stats.whitened);
    snprintf(path, sizeof(path), "%s/blue/333.webp", more);
    query_photo(&query, path);
    result = search(engine, &query);
    assert_true(result.hits[0].score > 0.9999);
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
}

/* As an older program made it, which did not know of a model's aspects. */
static void a_catalog_keeps_the_aspects_it_was_made_with(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_engine_stats stats;
    struct sosie_index_report report;
    struct sosie_error err;
    struct sosie_digest digest;
    unsigned char *bytes;
    size_t size;
    char model[128], path[160], hex[33], *sql;
    sqlite3 *database;
    (void)state;
    shop_open(&shop, 2);
    index_now(&shop);
    model_write(&shop, "catalog/model.onnx", with_aspects, 3, model);
    check_ok(sosie_file_read(model, 1 << 20, &bytes, &size, &err), &err);
    digest = sosie_digest_of(bytes, size);
    sosie_digest_hex(&digest, hex);
    free(bytes);
    snprintf(path, sizeof(path), "%s/catalog.db", shop.catalog);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sql = sqlite3_mprintf("UPDATE setting SET value = %Q"
                          " WHERE key = 'model.digest'",
                          hex);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
    sqlite3_close(database);
    engine = shop_index(&shop, NULL, shop.photos,
                        (struct sosie_index_options){0}, &report);
    assert_int_equal(report.n_unchanged, 6);
    expect_sound(&shop);
    check_ok(sosie_engine_stats(engine, &stats, &err), &err);
    assert_false(stats.own_aspects);
    assert_int_equal(stats.n_aspects, 2);
    assert_int_equal(stats.aspects[0].dim, 320);
    shop_end(&shop, engine);
}

/* Log-odds of the first two classes that a model of this temperature sees. */
static double log_odds(const char *temperature)
{
    const char *const entries[][2] = {{"logits.temperature", temperature}};
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_index_report report;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    char model[128], path[160];
    double odds;
    shop_open(&shop, 2);
    model_write(&shop, "warm.onnx", entries, 1, model);
    engine = shop_index(&shop, model, shop.photos,
                        (struct sosie_index_options){0}, &report);
    snprintf(path, sizeof(path), "%s/red/1.webp", shop.photos);
    query_photo(&query, path);
    result = search(engine, &query);
    assert_string_equal(result.classes[0].name, "red");
    odds = log(result.classes[0].probability / result.classes[1].probability);
    sosie_result_release(&result);
    free((void *)(uintptr_t)query.photo);
    shop_end(&shop, engine);
    return odds;
}

static void a_models_temperature_tempers_its_probabilities(void **state)
{
    double usual = log_odds("1");
    (void)state;
    assert_true(usual > 0);
    assert_float_equal(log_odds("4"), usual / 4, 1e-4);
    assert_float_equal(log_odds("0.5"), usual * 2, 1e-4);
}

/* ---- what goes wrong ----------------------------------------------------- */

static bool stop_at_once(void *context, const struct sosie_index_progress *now)
{
    (void)context;
    return now->n_done < 1;
}

static void an_interrupted_run_keeps_its_work_and_goes_on(void **state)
{
    struct shop shop;
    struct sosie_index_options options = {.progress = stop_at_once};
    struct sosie_index_report report;
    struct sosie_error err;
    (void)state;
    shop_open(&shop, 300);
    check_fails(
        catalog_index(shop.catalog, options, shop.photos, &report, &err),
        SOSIE_CANCELLED, &err, "goes on from here");
    expect_sound(&shop);
    report = index_now(&shop);
    assert_int_equal(report.n_items, 900);
    expect_sound(&shop);
    shop_close(&shop);
}

static size_t kill_after;

static bool kill_self(void *context, const struct sosie_index_progress *now)
{
    static size_t calls;
    (void)context, (void)now;
    if (++calls > kill_after)
        kill(getpid(), SIGKILL);
    return true;
}

/* Whatever the moment, the catalog opens, is sound, and the next run ends it.
 */
static void a_killed_run_loses_nothing_that_was_committed(void **state)
{
    struct shop shop;
    (void)state;
    shop_open(&shop, 250);
    for (kill_after = 1; kill_after < 6; kill_after++) {
        struct sosie_index_options options = {.progress = kill_self};
        struct sosie_error err;
        pid_t child = fork();
        int status;
        if (!child) {
            struct sosie_index_report report;
            _exit((int)catalog_index(shop.catalog, options, shop.photos,
                                     &report, &err));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        expect_sound_or_unmade(&shop);
    }
    assert_int_equal(index_now(&shop).n_items, 750);
    expect_sound(&shop);
    shop_close(&shop);
}

/* RLIMIT_FSIZE makes every file end at some size, as a full disk would. */
static void a_full_disk_is_reported_and_survived(void **state)
{
    struct shop shop;
    size_t n_failed = 0;
    (void)state;
    shop_open(&shop, 250);
    for (rlim_t most = 40000; most < 400000; most += 60000) {
        pid_t child = fork();
        struct sosie_error err;
        int status;
        if (!child) {
            struct rlimit limit = {most, most};
            struct sosie_index_report report;
            enum sosie_status st;
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
            st = catalog_index(shop.catalog, (struct sosie_index_options){0},
                               shop.photos, &report, &err);
            _exit(st == SOSIE_IO ? 1 : st ? 2 : 0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        n_failed += (size_t)WEXITSTATUS(status);
        expect_sound_or_unmade(&shop);
    }
    assert_true(n_failed > 0);
    assert_int_equal(index_now(&shop).n_items, 750);
    expect_sound(&shop);
    shop_close(&shop);
}

static void paths_that_are_no_catalog_are_told_apart(void **state)
{
    struct shop shop;
    struct sosie_engine *engine, *second;
    struct sosie_engine_options options = sosie_engine_options_defaults();
    struct sosie_error err;
    char path[160];
    (void)state;
    shop_open(&shop, 1);
    check_fails(catalog_open(shop.catalog, false, &engine, &err),
                SOSIE_NOT_FOUND, &err, "there is no catalog");
    check_fails(catalog_open(shop.photos, false, &engine, &err),
                SOSIE_BAD_INPUT, &err, "has no catalog.db");
    check_fails(catalog_open(shop.photos, true, &engine, &err), SOSIE_BAD_INPUT,
                &err, "has no catalog.db, and it has");
    snprintf(path, sizeof(path), "%s/red/0.webp", shop.photos);
    check_fails(catalog_open(path, true, &engine, &err), SOSIE_BAD_INPUT, &err,
                "is a file; a catalog is a folder");
    options.mode = SOSIE_WRITE;
    check_fails(sosie_engine_open(shop.catalog, &options, &engine, &err),
                SOSIE_BAD_INPUT, &err, "--model");
    check_ok(catalog_open(shop.catalog, true, &engine, &err), &err);
    check_fails(catalog_open(shop.catalog, true, &second, &err), SOSIE_CONFLICT,
                &err, "written by another process");
    shop_end(&shop, engine);
}

static void a_catalog_keeps_to_its_model(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_engine_options options = sosie_engine_options_defaults();
    struct sosie_error err;
    char model[160], other[512], command[800];
    (void)state;
    shop_open(&shop, 2);
    index_now(&shop);
    snprintf(other, sizeof(other), "%s/golden/photo.onnx",
             getenv("SOSIE_TESTS"));
    options.mode = SOSIE_WRITE;
    options.model = other;
    check_fails(sosie_engine_open(shop.catalog, &options, &engine, &err),
                SOSIE_CONFLICT, &err, "and dimension 320");
    snprintf(model, sizeof(model), "%s/model.onnx", shop.catalog);
    snprintf(command, sizeof(command), "cp '%s' '%s'", other, model);
    assert_int_equal(system(command), 0);
    check_fails(catalog_open(shop.catalog, false, &engine, &err),
                SOSIE_CONFLICT, &err, "dimension 320");
    file_write(model, "damaged");
    check_fails(catalog_open(shop.catalog, false, &engine, &err),
                SOSIE_BAD_INPUT, &err, "model.onnx");
    assert_int_equal(unlink(model), 0);
    check_fails(catalog_open(shop.catalog, false, &engine, &err), SOSIE_CORRUPT,
                &err, "no such file");
    shop_close(&shop);
}

static void overwrite(const char *folder, const char *pattern, long offset,
                      int byte, size_t n)
{
    char command[300], path[300] = "";
    FILE *list, *file;
    snprintf(command, sizeof(command), "ls %s/%s", folder, pattern);
    list = popen(command, "r");
    assert_non_null(list);
    assert_non_null(fgets(path, sizeof(path), list));
    pclose(list);
    path[strcspn(path, "\n")] = 0;
    file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
    for (size_t i = 0; i < n; i++)
        fputc(byte, file);
    fclose(file);
}

static void
a_damaged_segment_is_noticed_worked_around_and_repaired(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_query query = sosie_query_defaults();
    struct sosie_index_options nothing = {0};
    struct sosie_index_report report;
    struct sosie_result result;
    struct sosie_error err;
    (void)state;
    shop_open(&shop, 10);
    index_now(&shop);
    overwrite(shop.catalog, "*.seg", -100, 77, 5);
    check_fails(sosie_catalog_check(shop.catalog, NULL, NULL, &err),
                SOSIE_CORRUPT, &err, "fails its checksum");
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    query.item = "red/1.webp";
    result = search(engine, &query);
    assert_int_equal(result.n_hits, 12);
    sosie_result_release(&result);
    sosie_engine_close(engine);
    check_ok(catalog_open(shop.catalog, true, &engine, &err), &err);
    check_ok(sosie_engine_index(engine, &nothing, &report, &err), &err);
    sosie_engine_close(engine);
    expect_sound(&shop);
    shop_close(&shop);
}

static void a_damaged_database_is_refused(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_error err;
    (void)state;
    shop_open(&shop, 10);
    index_now(&shop);
    overwrite(shop.catalog, "catalog.db", 5000, 0x5a, 60000);
    assert_int_equal(sosie_catalog_check(shop.catalog, NULL, NULL, &err),
                     SOSIE_CORRUPT);
    overwrite(shop.catalog, "catalog.db", 0, 0x5a, 100);
    check_fails(catalog_open(shop.catalog, false, &engine, &err), SOSIE_CORRUPT,
                &err, "not a database");
    shop_close(&shop);
}

static void a_catalog_of_a_newer_program_is_left_alone(void **state)
{
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_error err;
    char path[160];
    sqlite3 *database;
    (void)state;
    shop_open(&shop, 2);
    index_now(&shop);
    snprintf(path, sizeof(path), "%s/catalog.db", shop.catalog);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(database, "PRAGMA user_version=99", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(database);
    check_fails(catalog_open(shop.catalog, false, &engine, &err),
                SOSIE_CONFLICT, &err, "schema version 99");
    check_fails(catalog_open(shop.catalog, true, &engine, &err), SOSIE_CONFLICT,
                &err, "knows up to 1");
    shop_close(&shop);
}

static void only_photos_of_the_catalog_are_handed_out(void **state)
{
    static const char *const refused[][2] = {
        {"red", "../green/0.webp"},
        {"..", "feed.csv"},
        {"red", "9.webp"},
        {"green", "secret.txt"},
        {"red", ""},
        {"", "red/0.webp"},
        {"red/..", "red/0.webp"},
        {"photos", "0.webp"},
        {"red", "/etc/passwd"},
    };
    struct shop shop;
    struct sosie_engine *engine;
    struct sosie_error err;
    char path[160];
    size_t size;
    int fd;
    (void)state;
    shop_open(&shop, 2);
    snprintf(path, sizeof(path), "%s/green/secret.txt", shop.photos);
    file_write(path, "a secret");
    index_now(&shop);
    check_ok(catalog_open(shop.catalog, false, &engine, &err), &err);
    check_ok(sosie_engine_photo(engine, "red", "0.webp", &fd, &size, &err),
             &err);
    assert_true(size > 0);
    close(fd);
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        check_fails(sosie_engine_photo(engine, refused[i][0], refused[i][1],
                                       &fd, &size, &err),
                    SOSIE_NOT_FOUND, &err, "no photo");
    shop_end(&shop, engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_photo_of_the_catalog_finds_itself_first),
        cmocka_unit_test(the_query_decides_what_is_searched),
        cmocka_unit_test(weights_are_read_as_people_write_them),
        cmocka_unit_test(weights_count_by_their_ratio_however_small),
        cmocka_unit_test(a_model_that_knows_the_classes_predicts_them),
        cmocka_unit_test(other_classes_are_predicted_by_the_neighbours),
        cmocka_unit_test(a_crop_searches_a_part_of_the_photo),
        cmocka_unit_test(searches_at_the_same_time_do_not_disturb_each_other),
        cmocka_unit_test(one_engine_indexes_twice_at_once_and_is_searched),
        cmocka_unit_test(only_what_changed_is_embedded_again),
        cmocka_unit_test(a_feed_brings_fields_photos_and_honest_reports),
        cmocka_unit_test(a_photo_that_breaks_later_leaves_what_was_there),
        cmocka_unit_test(a_reader_finds_what_is_written_meanwhile),
        cmocka_unit_test(a_catalog_that_grows_past_2000_photos_is_whitened),
        cmocka_unit_test(
            a_catalog_below_2000_photos_is_left_alone_when_indexed_again),
        cmocka_unit_test(photos_of_other_sources_follow_the_new_whitening),
        cmocka_unit_test(a_model_may_bring_aspects_of_its_own),
        cmocka_unit_test(own_aspects_are_never_whitened),
        cmocka_unit_test(a_catalog_keeps_the_aspects_it_was_made_with),
        cmocka_unit_test(a_models_temperature_tempers_its_probabilities),
        cmocka_unit_test(an_interrupted_run_keeps_its_work_and_goes_on),
        cmocka_unit_test(a_killed_run_loses_nothing_that_was_committed),
        cmocka_unit_test(a_full_disk_is_reported_and_survived),
        cmocka_unit_test(paths_that_are_no_catalog_are_told_apart),
        cmocka_unit_test(a_catalog_keeps_to_its_model),
        cmocka_unit_test(
            a_damaged_segment_is_noticed_worked_around_and_repaired),
        cmocka_unit_test(a_damaged_database_is_refused),
        cmocka_unit_test(a_catalog_of_a_newer_program_is_left_alone),
        cmocka_unit_test(only_photos_of_the_catalog_are_handed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
