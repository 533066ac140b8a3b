/* evaluate.c: an evaluation against the catalog that it speaks for, against
 * itself, and against what was counted by hand. */
#include "photos.h"

#include "train/embeddings.h"
#include "train/evaluate.h"

#include <math.h>

enum { N_A_CLASS = 20, N_PHOTOS = 3 * N_A_CLASS };

/* A folder with photos/ and a feed of them: every fourth is of val, every
 * seventeenth of test; two and two are a group, four and four a product. */
struct shop {
    char folder[64], photos[128], feed[128];
    struct sosie_dataset dataset;
    size_t n_bad;
};

static void write_feed(const struct shop *shop)
{
    static const char *const classes[] = {"red", "green", "blue"};
    static char text[16384];
    size_t used = (size_t)snprintf(
        text, sizeof(text), "id,image,class,split,group,product,color\n");
    for (size_t i = 0; i < N_PHOTOS; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 "%zu,%s/%zu.webp,%s,%s,g%zu,p%zu,%s\n", i,
                                 classes[i / N_A_CLASS], i % N_A_CLASS,
                                 classes[i / N_A_CLASS],
                                 i % 17 == 16 ? "test"
                                 : i % 4 == 3 ? "val"
                                              : "train",
                                 i / 2, i / 4, i % 4 < 2 ? "dark" : "light");
    file_write(shop->feed, text);
}

static void count_bad(void *context, const char *where, const char *reason)
{
    struct shop *shop = context;
    assert_non_null(strstr(where, "feed.csv row"));
    assert_true(reason[0]);
    shop->n_bad++;
}

static struct sosie_dataset_options dataset_options(struct shop *shop)
{
    static const char *feed;
    feed = shop->feed;
    return (struct sosie_dataset_options){
        .sources = &feed,
        .n_sources = 1,
        .images = shop->photos,
        .labels = {"class", "color", "gender"},
        .n_labels = 3,
        .may_lack_labels = true,
        .identity = "product",
        .bad = count_bad,
        .context = shop};
}

static void shop_make(struct shop *shop)
{
    *shop = (struct shop){0};
    snprintf(shop->folder, sizeof(shop->folder), "%s", check_folder_make());
    snprintf(shop->photos, sizeof(shop->photos), "%s/photos", shop->folder);
    snprintf(shop->feed, sizeof(shop->feed), "%s/feed.csv", shop->folder);
    photos_make(shop->photos, N_A_CLASS);
    write_feed(shop);
}

static void shop_open(struct shop *shop)
{
    struct sosie_dataset_options options = dataset_options(shop);
    struct sosie_error err;
    check_ok(sosie_dataset_open(&options, &shop->dataset, &err), &err);
}

static void shop_close(struct shop *shop)
{
    sosie_dataset_release(&shop->dataset);
    check_folder_remove(shop->folder);
}

static struct sosie_evaluate_options options_for(struct shop *shop,
                                                 size_t n_models)
{
    static const char *models[2];
    struct sosie_evaluate_options options = sosie_evaluate_options_defaults();
    models[0] = models[1] = photos_model();
    options.models = models;
    options.n_models = n_models;
    options.dataset = &shop->dataset;
    options.precision = SOSIE_PRECISION_F32;
    options.n_workers = 2;
    options.n_changed = 0;
    options.bad = count_bad;
    options.context = shop;
    return options;
}

static struct sosie_evaluations
evaluate(const struct sosie_evaluate_options *options)
{
    struct sosie_evaluations found;
    struct sosie_error err;
    check_ok(sosie_evaluate(options, &found, &err), &err);
    return found;
}

static const struct sosie_kind *
kind_named(const struct sosie_evaluations *found, const char *key)
{
    for (size_t k = 0; k < found->n_kinds; k++)
        if (!strcmp(found->kinds[k].key, key))
            return &found->kinds[k];
    fail_msg("no kind %s", key);
    return NULL;
}

static double mean_of(const struct sosie_evaluations *found, size_t way,
                      const char *key)
{
    return found->models[0]
        .ways[way]
        .means[kind_named(found, key) - found->kinds];
}

/* ---- against a catalog --------------------------------------------------- */

/* The ids that the catalog finds for an item of it, but for itself. */
static size_t catalog_hits(struct sosie_engine *engine, const char *id,
                           char ids[N_PHOTOS][64])
{
    struct sosie_query query = sosie_query_defaults();
    struct sosie_result result;
    struct sosie_error err;
    size_t n = 0;
    query.item = id;
    query.limit = N_PHOTOS;
    check_ok(sosie_engine_search(engine, &query, &result, &err), &err);
    for (size_t i = 0; i < result.n_hits; i++)
        if (strcmp(result.hits[i].id, id) != 0)
            snprintf(ids[n++], sizeof(ids[0]), "%s", result.hits[i].id);
    sosie_result_release(&result);
    return n;
}

static void the_hits_are_those_of_a_catalog(void **state)
{
    struct shop shop;
    struct sosie_dataset_options options;
    struct sosie_evaluate_options how;
    struct sosie_evaluations found;
    struct sosie_engine *engine;
    struct sosie_index_report report;
    struct sosie_error err;
    const char *source;
    char catalog[160];
    (void)state;
    shop_make(&shop);
    /* Folders know no groups and no test photos. */
    source = shop.photos;
    options = (struct sosie_dataset_options){
        .sources = &source, .n_sources = 1, .labels = {"class"}, .n_labels = 1};
    check_ok(sosie_dataset_open(&options, &shop.dataset, &err), &err);
    how = options_for(&shop, 1);
    found = evaluate(&how);
    assert_true(found.n_queries > 2);
    assert_int_equal(found.n_rows, N_PHOTOS);
    assert_int_equal(found.n_kinds, 3); /* class, top-1, top-5 */

    snprintf(catalog, sizeof(catalog), "%s/catalog", shop.folder);
    check_ok(catalog_index(catalog, (struct sosie_index_options){0},
                           shop.photos, &report, &err),
             &err);
    check_ok(catalog_open(catalog, false, &engine, &err), &err);
    for (size_t q = 0; q < found.n_queries; q++) {
        const struct sosie_ranking *ranking = &found.models[0].ranking;
        const struct sosie_dataset_photo *photos = shop.dataset.photos;
        char ids[N_PHOTOS][64];
        size_t n = catalog_hits(engine,
                                photos[found.photos[found.queries[q]]].id, ids);
        assert_int_equal(n, N_PHOTOS - 1);
        for (size_t i = 0; i < SOSIE_VOTERS; i++)
            assert_string_equal(
                photos[found.photos[ranking->hits[q * ranking->k + i]]].id,
                ids[i]);
    }
    sosie_engine_close(engine);
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* ---- what counts --------------------------------------------------------- */

static void queries_are_of_val_and_nothing_is_of_test(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    size_t n_val = 0, n_test = 0;
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    for (size_t i = 0; i < N_PHOTOS; i++) {
        n_test += i % 17 == 16;
        n_val += i % 17 != 16 && i % 4 == 3;
    }
    options = options_for(&shop, 1);
    found = evaluate(&options);
    assert_int_equal(found.n_queries, n_val);
    assert_int_equal(found.n_rows, N_PHOTOS - n_test);
    assert_true(found.has_groups);
    for (size_t q = 0; q < found.n_queries; q++) {
        const struct sosie_ranking *ranking = &found.models[0].ranking;
        const struct sosie_dataset_photo *photos = shop.dataset.photos;
        const struct sosie_dataset_photo *own =
            &photos[found.photos[found.queries[q]]];
        assert_int_equal(own->split, SOSIE_SPLIT_VAL);
        for (size_t i = 0; i < ranking->k; i++) {
            const struct sosie_dataset_photo *hit =
                &photos[found.photos[ranking->hits[q * ranking->k + i]]];
            assert_int_not_equal(hit->split, SOSIE_SPLIT_OTHER);
            assert_int_not_equal(hit->group, own->group);
        }
    }
    sosie_evaluations_release(&found);

    options.gallery_val = true;
    options.n_queries = 5;
    found = evaluate(&options);
    assert_int_equal(found.n_queries, 5);
    assert_int_equal(found.n_rows, n_val);
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

static void kinds_follow_what_the_data_set_has(void **state)
{
    static const char *const keys[] = {"class",
                                       "color",
                                       "all",
                                       "recall_at_1",
                                       "recall_at_12",
                                       "map_at_12",
                                       "recall_at_1_other_colour",
                                       "top_1",
                                       "top_5"};
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    const struct sosie_evaluation *model;
    (void)state;
    shop_make(&shop);
    shop_open(&shop); /* which has no gender */
    options = options_for(&shop, 1);
    found = evaluate(&options);
    model = &found.models[0];
    assert_int_equal(found.n_kinds, sizeof(keys) / sizeof(*keys));
    for (size_t k = 0; k < found.n_kinds; k++)
        assert_string_equal(found.kinds[k].key, keys[k]);
    assert_int_equal(model->n_ways, 3);
    assert_string_equal(model->ways[0].name, "default");
    assert_string_equal(model->ways[1].name, "shape");
    assert_string_equal(model->ways[2].name, "colour");
    assert_true(model->weights[0] == 1 && model->weights[1] == 0.55);
    /* Classes are colours here. */
    assert_true(mean_of(&found, 2, "class") > 0.95);
    assert_true(mean_of(&found, 0, "top_5") >= mean_of(&found, 0, "top_1"));
    assert_true(mean_of(&found, 0, "all") <= mean_of(&found, 0, "class"));
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* The small network has the labels red, green and blue. */
static void classes_are_by_labels_or_by_votes(void **state)
{
    struct shop shop;
    struct sosie_dataset_options columns;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    struct sosie_error err;
    size_t n = 0, n_right = 0;
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 1);
    found = evaluate(&options);
    assert_true(found.models[0].by_labels);
    for (size_t i = 0; i < 9; i++) {
        n += found.models[0].confusion[i];
        n_right += i % 4 ? 0 : found.models[0].confusion[i];
    }
    assert_int_equal(n, found.n_queries);
    for (size_t way = 0; way < 3; way++)
        assert_true(fabs(mean_of(&found, way, "top_1") -
                         (double)n_right / (double)n) < 1e-12);
    sosie_evaluations_release(&found);
    sosie_dataset_release(&shop.dataset);

    /* Of a data set without a class, the first column; dark and light are no
     * labels of the network. */
    columns = dataset_options(&shop);
    columns.labels[0] = "color";
    columns.n_labels = 1;
    check_ok(sosie_dataset_open(&columns, &shop.dataset, &err), &err);
    found = evaluate(&options);
    assert_false(found.models[0].by_labels);
    n = 0;
    for (size_t i = 0; i < 4; i++)
        n += found.models[0].confusion[i];
    assert_int_equal(n, found.n_queries);
    assert_true(mean_of(&found, 0, "top_5") == 1);
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* The mean over the queries, counted from the hits once more. */
static void means_are_those_of_the_hits(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    const struct sosie_ranking *ranking;
    double right = 0, first = 0;
    size_t n_first = 0;
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 1);
    found = evaluate(&options);
    ranking = &found.models[0].ranking;
    for (size_t q = 0; q < found.n_queries; q++) {
        const struct sosie_dataset_photo *photos = shop.dataset.photos;
        const struct sosie_dataset_photo *own =
            &photos[found.photos[found.queries[q]]];
        bool has_sibling = false;
        for (size_t i = 0; i < 12; i++)
            right += photos[found.photos[ranking->hits[q * ranking->k + i]]]
                         .labels[0] == own->labels[0];
        for (size_t i = 0; i < found.n_rows; i++)
            has_sibling = has_sibling ||
                          (photos[found.photos[i]].identity == own->identity &&
                           photos[found.photos[i]].group != own->group);
        n_first += has_sibling;
        first += has_sibling &&
                 photos[found.photos[ranking->hits[q * ranking->k]]].identity ==
                     own->identity;
    }
    assert_true(fabs(mean_of(&found, 0, "class") -
                     right / 12 / (double)found.n_queries) < 1e-12);
    assert_true(fabs(mean_of(&found, 0, "recall_at_1") -
                     first / (double)n_first) < 1e-12);
    assert_int_equal(kind_named(&found, "recall_at_1")->n, n_first);
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* ---- several models ------------------------------------------------------ */

static void a_model_is_no_better_than_itself(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found, alone;
    struct sosie_judgement judgement;
    struct sosie_error err;
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 2);
    options.n_changed = 6;
    found = evaluate(&options);
    assert_int_equal(found.n, 2);
    check_ok(sosie_evaluations_judge(&found, 1, 0, &judgement, &err), &err);
    assert_int_equal(judgement.verdict, SOSIE_NO_DIFFERENCE);
    assert_false(judgement.is_mixed);
    for (size_t k = 0; k < found.n_kinds; k++)
        assert_true(judgement.kinds[k].difference == 0);
    /* Nor does it depend on the workers. */
    options.n_models = 1;
    options.n_workers = 5;
    alone = evaluate(&options);
    for (size_t k = 0; k < found.n_kinds; k++)
        assert_memory_equal(&alone.models[0].ways[1].means[k],
                            &found.models[1].ways[1].means[k], sizeof(double));
    assert_memory_equal(&alone.models[0].robustness[SOSIE_CHANGE_CROP].kept,
                        &found.models[1].robustness[SOSIE_CHANGE_CROP].kept,
                        sizeof(double));
    sosie_evaluations_release(&alone);
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* What each query got is made worse, here and there. */
static void a_worse_model_is_told(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    struct sosie_judgement judgement;
    struct sosie_error err;
    size_t k;
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 2);
    found = evaluate(&options);
    k = (size_t)(kind_named(&found, "class") - found.kinds);
    for (size_t q = 0; q < found.n_queries; q++)
        found.models[0].ways[0].values[k][q] -= q % 3 ? 0.2 : 0;
    check_ok(sosie_evaluations_judge(&found, 1, 0, &judgement, &err), &err);
    assert_int_equal(judgement.kinds[k].what, SOSIE_WORSE);
    assert_int_equal(judgement.verdict, SOSIE_WORSE);
    check_ok(sosie_evaluations_judge(&found, 0, 1, &judgement, &err), &err);
    assert_int_equal(judgement.verdict, SOSIE_BETTER);
    for (size_t q = 0; q < found.n_queries; q++)
        found.models[0].ways[0].values[k + 1][q] += 1;
    check_ok(sosie_evaluations_judge(&found, 1, 0, &judgement, &err), &err);
    assert_int_equal(judgement.verdict, SOSIE_NO_DIFFERENCE);
    assert_true(judgement.is_mixed);
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* ---- changes ------------------------------------------------------------- */

static struct sosie_image striped_image(uint32_t width, uint32_t height)
{
    struct sosie_image image = {.width = width, .height = height};
    image.rgb = malloc((size_t)width * height * 3);
    assert_non_null(image.rgb);
    for (size_t i = 0; i < (size_t)width * height * 3; i++)
        image.rgb[i] = (uint8_t)(i % 251);
    return image;
}

static void changes_are_as_strong_as_they_say(void **state)
{
    struct sosie_image image = striped_image(50, 21),
                       whole = striped_image(50, 21);
    struct sosie_error err;
    bool changed;
    double off = 0;
    (void)state;
    check_ok(
        sosie_change_apply(SOSIE_CHANGE_BRIGHTNESS, 1, &image, &changed, &err),
        &err);
    assert_true(changed);
    for (size_t i = 0; i < 50 * 21 * 3; i++)
        assert_true(abs(image.rgb[i] - (int)lrint(whole.rgb[i] * 0.6)) <= 1);
    sosie_image_release(&image);

    image = striped_image(50, 21);
    check_ok(sosie_change_apply(SOSIE_CHANGE_JPEG, 1, &image, &changed, &err),
             &err);
    assert_int_equal(image.width, 50);
    assert_int_equal(image.height, 21);
    for (size_t i = 0; i < 50 * 21 * 3; i++)
        off += abs(image.rgb[i] - whole.rgb[i]) / (50.0 * 21 * 3);
    assert_true(off > 0.5 && off < 60);
    sosie_image_release(&image);

    for (uint64_t seed = 0; seed < 20; seed++) { /* a part of the whole */
        bool found = false;
        image = striped_image(50, 21);
        check_ok(
            sosie_change_apply(SOSIE_CHANGE_CROP, seed, &image, &changed, &err),
            &err);
        assert_int_equal(image.width, 40);
        assert_int_equal(image.height, 17);
        for (size_t y = 0; y <= 4; y++)
            for (size_t x = 0; x <= 10; x++) {
                bool same = true;
                for (size_t row = 0; row < 17; row++)
                    same = same && !memcmp(image.rgb + row * 40 * 3,
                                           whole.rgb + ((y + row) * 50 + x) * 3,
                                           40 * 3);
                found = found || same;
            }
        assert_true(found);
        sosie_image_release(&image);
    }
    image = striped_image(1, 1);
    check_ok(sosie_change_apply(SOSIE_CHANGE_CROP, 1, &image, &changed, &err),
             &err);
    assert_int_equal(image.width * image.height, 1);
    sosie_image_release(&image);

    image = striped_image(50, 21); /* which has no plain ground */
    check_ok(
        sosie_change_apply(SOSIE_CHANGE_BACKGROUND, 1, &image, &changed, &err),
        &err);
    assert_false(changed);
    assert_memory_equal(image.rgb, whole.rgb, 50 * 21 * 3);
    memset(image.rgb, 255, 50 * 21 * 3);
    for (size_t y = 6; y < 15; y++) /* something dark */
        memset(image.rgb + (y * 50 + 15) * 3, 20, 20 * 3);
    check_ok(
        sosie_change_apply(SOSIE_CHANGE_BACKGROUND, 1, &image, &changed, &err),
        &err);
    assert_true(changed);
    sosie_image_release(&image);
    sosie_image_release(&whole);
}

static void changed_queries_find_less(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 1);
    options.n_changed = 8;
    found = evaluate(&options);
    assert_int_equal(found.n_changed, 8);
    for (size_t c = 0; c < SOSIE_N_CHANGES; c++) {
        const struct sosie_robustness *robust = &found.models[0].robustness[c];
        assert_int_equal(robust->n, 8); /* all are on plain white */
        assert_true(robust->kept >= 0 && robust->kept < 1);
        assert_true(robust->before[0] > 0.3 && robust->before[0] <= 1);
        assert_true(robust->after[0] >= 0 && robust->after[0] <= 1);
    }
    sosie_evaluations_release(&found);
    shop_close(&shop);
}

/* ---- failures ------------------------------------------------------------ */

static void photos_that_cannot_be_read_are_left_out(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found, whole;
    char path[200];
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 2);
    whole = evaluate(&options);
    snprintf(path, sizeof(path), "%s/green/3.webp", shop.photos);
    file_write(path, "no photo"); /* 23: of val */
    snprintf(path, sizeof(path), "%s/blue/1.webp", shop.photos);
    assert_int_equal(unlink(path), 0);
    found = evaluate(&options);
    assert_int_equal(shop.n_bad, 2); /* told once, not once a model */
    assert_int_equal(found.n_bad, 2);
    assert_int_equal(found.n_rows, whole.n_rows - 2);
    assert_int_equal(found.n_queries, whole.n_queries - 1);
    for (size_t i = 0; i < found.n_rows; i++)
        assert_true(found.photos[i] != 23 && found.photos[i] != 41);
    sosie_evaluations_release(&found);
    sosie_evaluations_release(&whole);
    shop_close(&shop);
}

static bool stop_at_once(void *context, const struct sosie_index_progress *now)
{
    (void)context;
    return now->n_done < 8;
}

static void what_cannot_be_evaluated_says_why(void **state)
{
    struct shop shop;
    struct sosie_evaluate_options options;
    struct sosie_evaluations found;
    struct sosie_error err;
    const char *nothing = "/nowhere/model.onnx";
    (void)state;
    shop_make(&shop);
    shop_open(&shop);
    options = options_for(&shop, 1);
    options.models = &nothing;
    check_fails(sosie_evaluate(&options, &found, &err), SOSIE_NOT_FOUND, &err,
                "/nowhere/model.onnx");
    options = options_for(&shop, 1);
    options.progress = stop_at_once;
    check_fails(sosie_evaluate(&options, &found, &err), SOSIE_CANCELLED, &err,
                "stopped while embedding");
    for (size_t i = 0; i < shop.dataset.n; i++)
        shop.dataset.photos[i].split = SOSIE_SPLIT_TRAIN;
    options = options_for(&shop, 1);
    check_fails(sosie_evaluate(&options, &found, &err), SOSIE_BAD_INPUT, &err,
                "none of 60 photos is of the split val");
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hits_are_those_of_a_catalog),
        cmocka_unit_test(queries_are_of_val_and_nothing_is_of_test),
        cmocka_unit_test(kinds_follow_what_the_data_set_has),
        cmocka_unit_test(classes_are_by_labels_or_by_votes),
        cmocka_unit_test(means_are_those_of_the_hits),
        cmocka_unit_test(a_model_is_no_better_than_itself),
        cmocka_unit_test(a_worse_model_is_told),
        cmocka_unit_test(changes_are_as_strong_as_they_say),
        cmocka_unit_test(changed_queries_find_less),
        cmocka_unit_test(photos_that_cannot_be_read_are_left_out),
        cmocka_unit_test(what_cannot_be_evaluated_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
