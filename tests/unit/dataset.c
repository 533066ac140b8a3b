/* dataset.c: photos with labels, groups, identities and splits, as folders,
 * feeds and catalogs tell them. */
#include "train/dataset.h"

#include "photos.h"

#include <stdbool.h>

/* A folder of a test's own, the options for what is in it, what came out. */
struct desk {
    char folder[64], path[256], bad[1024];
    const char *source;
    struct sosie_dataset_options options;
    struct sosie_dataset dataset;
    struct sosie_error err;
};

static void note_bad(void *context, const char *where, const char *reason)
{
    struct desk *desk = context;
    size_t used = strlen(desk->bad);
    snprintf(desk->bad + used, sizeof(desk->bad) - used, "%s: %s\n", where,
             reason);
}

static int set_up(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    assert_non_null(desk);
    snprintf(desk->folder, sizeof(desk->folder), "%s", check_folder_make());
    desk->source = desk->path;
    desk->options = (struct sosie_dataset_options){.sources = &desk->source,
                                                   .n_sources = 1,
                                                   .labels = {"class"},
                                                   .n_labels = 1,
                                                   .bad = note_bad,
                                                   .context = desk};
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    sosie_dataset_release(&desk->dataset);
    check_folder_remove(desk->folder);
    free(desk);
    return 0;
}

static const char *in_folder(struct desk *desk, const char *name)
{
    snprintf(desk->path, sizeof(desk->path), "%s/%s", desk->folder, name);
    return desk->path;
}

static void make_folder(struct desk *desk, const char *name)
{
    check_ok(sosie_folder_make(in_folder(desk, name), &desk->err), &desk->err);
}

/* A file that is there is photo enough: nothing here is decoded. */
static void make_photo(struct desk *desk, const char *name)
{
    file_write(in_folder(desk, name), name);
}

/* Writes feed.csv, which is the source from now on, and the photos 1.jpg to
 * 9.jpg that it may name. */
static void make_feed(struct desk *desk, const char *text)
{
    for (int i = 1; i <= 9; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d.jpg", i);
        make_photo(desk, name);
    }
    file_write(in_folder(desk, "feed.csv"), text);
}

static const struct sosie_dataset *open_now(struct desk *desk)
{
    sosie_dataset_release(&desk->dataset);
    check_ok(sosie_dataset_open(&desk->options, &desk->dataset, &desk->err),
             &desk->err);
    return &desk->dataset;
}

#define check_refused(desk, expected, words)                                   \
    check_fails(                                                               \
        sosie_dataset_open(&(desk)->options, &(desk)->dataset, &(desk)->err),  \
        expected, &(desk)->err, words)

static void want_labels(struct desk *desk, const char *a, const char *b)
{
    desk->options.labels[0] = a;
    desk->options.labels[1] = b;
    desk->options.n_labels = b ? 2 : 1;
}

/* The identities (or groups) of all photos as "0 0 - 1". */
#define check_numbers(dataset, member, expected)                               \
    do {                                                                       \
        char found_[512] = "";                                                 \
        for (size_t i_ = 0; i_ < (dataset)->n; i_++) {                         \
            size_t used_ = strlen(found_);                                     \
            if ((dataset)->photos[i_].member < 0)                              \
                snprintf(found_ + used_, sizeof(found_) - used_, " -");        \
            else                                                               \
                snprintf(found_ + used_, sizeof(found_) - used_, " %d",        \
                         (int)(dataset)->photos[i_].member);                   \
        }                                                                      \
        assert_string_equal(found_ + 1, expected);                             \
    } while (0)

/* ---- labels -------------------------------------------------------------- */

static void folders_are_classes(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    make_folder(desk, "shop");
    make_folder(desk, "shop/skirt");
    make_folder(desk, "shop/coat");
    make_photo(desk, "shop/skirt/b.jpg");
    make_photo(desk, "shop/coat/z.png");
    make_photo(desk, "shop/coat/a.webp");
    make_photo(desk, "shop/loose.jpg");
    in_folder(desk, "shop");
    set = open_now(desk);
    assert_int_equal(set->n, 4);
    assert_int_equal(set->n_columns, 1);
    assert_string_equal(set->columns[0].name, "class");
    assert_int_equal(set->columns[0].n_values, 2);
    assert_string_equal(set->columns[0].values[0], "coat");
    assert_string_equal(set->columns[0].values[1], "skirt");
    assert_int_equal(set->columns[0].n_missing, 1);
    check_numbers(set, labels[0], "0 0 - 1");
    check_numbers(set, group, "- - - -");
    check_numbers(set, identity, "- - - -");
    assert_string_equal(set->photos[0].id, "coat/a.webp");
    assert_int_equal(set->photos[0].file[0], '/');
    assert_int_equal(sosie_path_kind(set->photos[0].file), SOSIE_PATH_FILE);
    assert_int_equal(sosie_dataset_column(set, "class"), 0);
    assert_int_equal(sosie_dataset_column(set, "color"), 1);
}

static void columns_of_a_feed_are_labels_and_may_be_missing(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    make_feed(desk, "id,file,kind,baseColour,size\n"
                    "a,1.jpg,coat,red,10\n"
                    "b,2.jpg,,blue,9\n"
                    "c,3.jpg,bag,,10\n"
                    "d,4.jpg,coat,Red,\n");
    desk->options.map = "image=file,class=kind,color=baseColour";
    want_labels(desk, "class", "color");
    desk->options.labels[2] = "size";
    desk->options.n_labels = 3;
    set = open_now(desk);
    check_numbers(set, labels[0], "1 - 0 1");
    check_numbers(set, labels[1], "2 1 - 0"); /* "Red" is before "blue" */
    check_numbers(set, labels[2], "0 1 0 -"); /* and "10" before "9" */
    assert_int_equal(set->columns[0].n_missing, 1);
    assert_string_equal(set->columns[1].name, "color");
    assert_string_equal(set->columns[1].values[0], "Red");
    assert_string_equal(set->columns[2].values[1], "9");
    assert_string_equal(set->photos[3].where, "feed.csv row 5");
    assert_int_equal(set->n_bad, 0);
}

static void what_is_not_there_is_named_with_what_is(void **state)
{
    struct desk *desk = *state;
    make_feed(desk, "id,image,class,size\na,1.jpg,coat,10\n");
    want_labels(desk, "class", "colour");
    check_refused(desk, SOSIE_BAD_INPUT,
                  "label: no item has a \"colour\"; the fields are: class, "
                  "size");
    want_labels(desk, "class", NULL);
    desk->options.split = "part";
    check_refused(desk, SOSIE_BAD_INPUT, "split: no item has a \"part\"");
    desk->options.split = NULL;
    desk->options.group = "sender";
    check_refused(desk, SOSIE_BAD_INPUT, "group: no item has a \"sender\"");
    desk->options.group = NULL;
    desk->options.identity = "model";
    check_refused(desk, SOSIE_BAD_INPUT, "identity: no item has a \"model\"");
    desk->options.identity = NULL;
    desk->options.variants = true;
    check_refused(desk, SOSIE_BAD_INPUT, "variants: no item has a \"title\"");
    desk->options.variants = false;
    want_labels(desk, "class", "class");
    check_refused(desk, SOSIE_BAD_INPUT, "\"class\" is named twice");
    desk->options.n_labels = 0;
    check_refused(desk, SOSIE_BAD_INPUT, "0 kinds of label, expected 1 to 8");
    want_labels(desk, "class", NULL);
    desk->options.n_sources = 0;
    check_refused(desk, SOSIE_BAD_INPUT, "no source");
    desk->options.n_sources = 1;
    make_folder(desk, "empty");
    check_refused(desk, SOSIE_BAD_INPUT, "no photo in ");
    in_folder(desk, "nowhere");
    check_refused(desk, SOSIE_NOT_FOUND, "no such file or folder");
}

static void one_class_alone_is_a_data_set(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    make_feed(desk, "id,image,class\na,1.jpg,coat\nb,2.jpg,coat\n");
    set = open_now(desk);
    assert_int_equal(set->columns[0].n_values, 1);
    check_numbers(set, labels[0], "0 0");
}

static void bad_rows_are_told_counted_and_passed_over(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    make_feed(desk, "id,image,class\n"
                    "a,1.jpg,coat\n"
                    "b,nowhere.jpg,coat\n"
                    "c,3.jpg\n"
                    "a,4.jpg,bag\n"
                    "d,5.jpg,bag\n");
    set = open_now(desk);
    assert_int_equal(set->n, 2);
    assert_int_equal(set->n_bad, 3);
    check_numbers(set, labels[0], "1 0");
    assert_string_equal(desk->bad,
                        "feed.csv row 3: image nowhere.jpg: no such file\n"
                        "feed.csv row 4: row has 2 fields, the header has 3\n"
                        "feed.csv row 5: id was already used in row 2\n");
    desk->options.bad = NULL;
    assert_int_equal(open_now(desk)->n_bad, 3);
}

static void several_sources_are_one_data_set(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    char feed[256], folder[256];
    const char *const sources[] = {feed, folder};
    make_feed(desk, "id,image,class,split\na,1.jpg,skirt,test\n");
    snprintf(feed, sizeof(feed), "%s", desk->path);
    make_folder(desk, "shop");
    make_folder(desk, "shop/coat");
    make_photo(desk, "shop/coat/a.jpg");
    snprintf(folder, sizeof(folder), "%s/shop", desk->folder);
    desk->options.sources = sources;
    desk->options.n_sources = 2;
    set = open_now(desk);
    check_numbers(set, labels[0], "1 0");
    /* The feed has a column for it, the folder has none. */
    assert_int_equal(set->photos[0].split, SOSIE_SPLIT_OTHER);
    assert_int_not_equal(set->photos[1].split, SOSIE_SPLIT_OTHER);
}

/* ---- splits -------------------------------------------------------------- */

static void a_column_says_what_split_a_photo_is_in(void **state)
{
    static const char feed[] = "id,image,class,split,part\n"
                               "a,1.jpg,coat,train,val\n"
                               "b,2.jpg,coat,Validation,train\n"
                               "c,3.jpg,coat,valid,train\n"
                               "d,4.jpg,coat,val,train\n"
                               "e,5.jpg,coat,test,train\n"
                               "f,6.jpg,coat,,\n";
    struct desk *desk = *state;
    make_feed(desk, feed);
    check_numbers(open_now(desk), split, "0 1 1 1 2 2");
    desk->options.split = "part";
    check_numbers(open_now(desk), split, "1 0 0 0 0 2");
}

enum { N_MANY = 3000 };

/* Items g0 to g2999, three to a group, none in every fourth group, with one
 * photo; pairs of them from different groups have the same model. */
static void make_many(struct desk *desk)
{
    size_t room = N_MANY * 64;
    char *feed = malloc(room);
    size_t used;
    assert_non_null(feed);
    used = (size_t)snprintf(feed, room, "id,image,class,group,model\n");
    for (size_t i = 0; i < N_MANY; i++) {
        char group[32] = "";
        if (i / 3 % 4)
            snprintf(group, sizeof(group), "g%zu", i / 3);
        used += (size_t)snprintf(feed + used, room - used,
                                 "i%zu,1.jpg,coat,%s,m%zu\n", i, group,
                                 i / 3 % 2 + i / 6 * 2 + i % 3 % 2);
    }
    make_feed(desk, feed);
    free(feed);
}

static void a_tenth_is_drawn_for_val_and_no_group_is_parted(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    enum sosie_split *splits = calloc(N_MANY, sizeof(*splits));
    size_t n_val = 0;
    assert_non_null(splits);
    make_many(desk);
    set = open_now(desk);
    assert_int_equal(set->n, N_MANY);
    for (size_t i = 0; i < N_MANY; i++) {
        splits[i] = set->photos[i].split;
        assert_int_not_equal(splits[i], SOSIE_SPLIT_OTHER);
        n_val += splits[i] == SOSIE_SPLIT_VAL;
        if (i && set->photos[i].group >= 0 &&
            set->photos[i].group == set->photos[i - 1].group)
            assert_int_equal(splits[i], splits[i - 1]);
    }
    assert_in_range(n_val, N_MANY * 7 / 100, N_MANY * 13 / 100);
    set = open_now(desk); /* and again the same */
    for (size_t i = 0; i < N_MANY; i++)
        assert_int_equal(set->photos[i].split, splits[i]);
    free(splits);
}

static void no_identity_is_parted_either(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    int *split_of = malloc(N_MANY * sizeof(*split_of));
    size_t n_val = 0;
    assert_non_null(split_of);
    make_many(desk);
    desk->options.identity = "model";
    set = open_now(desk);
    assert_true(set->n_identities > 100 && set->n_identities < N_MANY);
    for (size_t i = 0; i < N_MANY; i++)
        split_of[i] = -1;
    for (size_t i = 0; i < N_MANY; i++) {
        int32_t identity = set->photos[i].identity;
        n_val += set->photos[i].split == SOSIE_SPLIT_VAL;
        if (identity < 0)
            continue;
        if (split_of[identity] < 0)
            split_of[identity] = (int)set->photos[i].split;
        assert_int_equal(split_of[identity], set->photos[i].split);
    }
    assert_in_range(n_val, 1, N_MANY / 4);
    free(split_of);
}

/* ---- groups and identities ----------------------------------------------- */

static void groups_are_the_items_own_or_a_fields(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    make_feed(desk, "id,image,class,item_group_id,sender\n"
                    "a,1.jpg,coat,x,7\n"
                    "b,2.jpg,coat,,8\n"
                    "c,3.jpg,coat,y,7\n"
                    "d,4.jpg,coat,x,\n");
    set = open_now(desk);
    check_numbers(set, group, "0 - 1 0");
    assert_int_equal(set->n_groups, 2);
    desk->options.group = "sender";
    check_numbers(open_now(desk), group, "0 1 0 -");
}

static void all_photos_of_an_item_are_one_identity(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    make_feed(desk, "id,image,more_images,class,group\n"
                    "a,1.jpg,,coat,x\n"
                    "b,2.jpg,\"3.jpg,4.jpg\",coat,x\n"
                    "c,5.jpg,6.jpg,coat,\n");
    set = open_now(desk);
    check_numbers(set, identity, "- 0 0 0 1 1");
    check_numbers(set, group, "0 0 0 0 - -");
    assert_int_equal(set->n_identities, 2);
    assert_string_equal(set->photos[2].id, "b");
    assert_non_null(strstr(set->photos[2].file, "/3.jpg"));
}

static void a_field_joins_photos_into_identities(void **state)
{
    struct desk *desk = *state;
    make_feed(desk, "id,image,more_images,class,group,model\n"
                    "a,1.jpg,,coat,,m\n"
                    "b,2.jpg,,coat,,n\n"       /* alone */
                    "c,3.jpg,,coat,x,o\n"      /* of one group with d: */
                    "d,4.jpg,5.jpg,coat,x,o\n" /* its two photos remain */
                    "e,6.jpg,,coat,,m\n"
                    "f,7.jpg,,coat,y,\n");
    desk->options.identity = "model";
    check_numbers(open_now(desk), identity, "0 - - 1 1 0 -");
    assert_int_equal(desk->dataset.n_identities, 2);
    /* What tells identities is not what is never a find. */
    desk->options.identity = "group";
    check_numbers(open_now(desk), identity, "- - 0 0 0 - -");
    check_numbers(&desk->dataset, group, "- - - - - - -");
    desk->options.identity = "item_group_id";
    check_numbers(open_now(desk), identity, "- - 0 0 0 - -");
}

/* ---- variants ------------------------------------------------------------ */

static void check_variants(struct desk *desk, const char *rows,
                           const char *expected)
{
    char feed[2048];
    snprintf(feed, sizeof(feed), "id,image,class,group,gender,color,title\n%s",
             rows);
    make_feed(desk, feed);
    desk->options.variants = true;
    check_numbers(open_now(desk), identity, expected);
}

static void titles_that_differ_in_the_colour_are_one_product(void **state)
{
    check_variants(*state,
                   "a,1.jpg,shoe,,men,Red,Zed Men Quick Red Shoes\n"
                   "b,2.jpg,shoe,,men,Navy Blue,ZED Men Quick Navy Blue Shoes\n"
                   "c,3.jpg,shoe,,men,Black,Zed Men Slow Black Shoes\n"
                   "d,4.jpg,shoe,,men,Bleu,zed men quick (bleu) shoes\n"
                   "e,5.jpg,shoe,,men,,\n"
                   "f,6.jpg,shoe,,men,White,Zed Off White Men Quick Shoes\n",
                   "0 0 - 0 - 0");
}

static void compound_and_many_colours_are_taken_out_whole(void **state)
{
    check_variants(*state,
                   "a,1.jpg,bag,,,,Zed Light Sea Green Tote\n"
                   "b,2.jpg,bag,,,,Zed Off-White Tote\n"
                   "c,3.jpg,bag,,,,Zed Black and White Tote\n"
                   "d,4.jpg,bag,,,,Zed Grey Melange Tote\n"
                   "e,5.jpg,bag,,,,Zed Blue/Red Tote\n"
                   "f,6.jpg,bag,,,Steel,Zed Steel-Toned Tote\n"
                   "g,7.jpg,bag,,,,Zed Light Tote\n" /* a tote of no weight */
                   "h,8.jpg,bag,,,,Zed Off Shoulder Tote\n"
                   "i,9.jpg,bag,,,,Black\n", /* nothing but */
                   "0 0 0 0 0 0 - - -");
}

static void class_and_gender_tell_products_apart(void **state)
{
    check_variants(*state,
                   "a,1.jpg,shoe,,men,,Zed Quick Red\n"
                   "b,2.jpg,shoe,,women,,Zed Quick Blue\n"
                   "c,3.jpg,boot,,men,,Zed Quick Green\n"
                   "d,4.jpg,shoe,,women,,Zed Quick Black\n",
                   "- 0 - 0");
}

static void titles_that_do_not_tell_products_apart_join_nothing(void **state)
{
    struct desk *desk = *state;
    check_variants(desk,
                   "a,1.jpg,top,,,Black,Zed Black Top\n"
                   "b,2.jpg,top,,,White,Zed White Top\n"
                   "c,3.jpg,top,,,Black,Zed Black Top\n"
                   /* The same photo twice is no other product. */
                   "d,4.jpg,top,,,Black,Zed Breeze Black Top\n"
                   "e,5.jpg,top,,,White,Zed Breeze White Top\n"
                   "f,4.jpg,top,,,Black,Zed Breeze Black Top\n",
                   "- - - 0 0 0");
}

static void a_common_word_or_the_brand_is_not_enough(void **state)
{
    struct desk *desk = *state;
    char feed[4096] = "id,image,class,brand,title\n"
                      "a,1.jpg,top,Zed,Zed Printed Red\n"
                      "b,2.jpg,top,Zed,Zed Printed Blue\n"
                      "c,3.jpg,top,Zed,Zed Breeze Red\n"
                      "d,4.jpg,top,Zed,Zed Breeze Blue\n";
    for (int i = 0; i < 6; i++) {
        size_t used = strlen(feed);
        snprintf(feed + used, sizeof(feed) - used,
                 "x%d,5.jpg,top,Yak,Yak Printed Model%d Red\n", i, i);
    }
    make_feed(desk, feed);
    desk->options.variants = true;
    check_numbers(open_now(desk), identity, "- - 0 0 - - - - - -");
}

static void variants_of_one_group_are_no_finds(void **state)
{
    check_variants(*state,
                   "a,1.jpg,top,x,,Red,Zed Breeze Red\n"
                   "b,2.jpg,top,x,,Blue,Zed Breeze Blue\n"
                   "c,3.jpg,top,y,,Red,Zed Storm Red\n"
                   "d,4.jpg,top,x,,Blue,Zed Storm Blue\n",
                   "- - 0 0");
}

/* ---- catalogs ------------------------------------------------------------ */

static void a_catalog_is_read_as_what_it_was_made_from(void **state)
{
    struct desk *desk = *state;
    const struct sosie_dataset *set;
    struct sosie_index_report report;
    char photos[256], catalog[256], feed[256];
    snprintf(photos, sizeof(photos), "%s/photos", desk->folder);
    snprintf(catalog, sizeof(catalog), "%s/catalog", desk->folder);
    snprintf(feed, sizeof(feed), "%s/feed.csv", desk->folder);
    photos_make(photos, 4);
    file_write(feed, "id,image,more_images,class,group,color,stock\n"
                     "a,red/0.webp,red/1.webp,coat,x,red,3\n"
                     "b,blue/0.webp,,bag,,blue,\n"
                     "c,green/2.webp,,,y,,5\n");
    check_ok(catalog_index(catalog,
                           (struct sosie_index_options){.images = photos}, feed,
                           &report, &desk->err),
             &desk->err);
    snprintf(desk->path, sizeof(desk->path), "%s", catalog);
    want_labels(desk, "class", "color");
    set = open_now(desk);
    assert_int_equal(set->n, 4);
    check_numbers(set, labels[0], "1 1 0 -");
    check_numbers(set, labels[1], "1 1 0 -");
    check_numbers(set, group, "0 0 - 1");
    check_numbers(set, identity, "0 0 - -");
    assert_string_equal(set->columns[0].values[1], "coat");
    assert_string_equal(set->photos[1].id, "a");
    assert_non_null(strstr(set->photos[1].file, "/photos/red/1.webp"));
    assert_string_equal(set->photos[1].where, set->photos[1].file);
    want_labels(desk, "brand", NULL);
    check_refused(desk, SOSIE_BAD_INPUT,
                  "the fields are: class, group, color, stock");
}

static void a_damaged_catalog_is_refused(void **state)
{
    struct desk *desk = *state;
    make_folder(desk, "catalog");
    file_write(in_folder(desk, "catalog/catalog.db"), "this is no database");
    in_folder(desk, "catalog");
    assert_int_not_equal(
        sosie_dataset_open(&desk->options, &desk->dataset, &desk->err),
        SOSIE_OK);
    assert_non_null(strstr(desk->err.text, "/catalog"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(folders_are_classes),
        TEST(columns_of_a_feed_are_labels_and_may_be_missing),
        TEST(what_is_not_there_is_named_with_what_is),
        TEST(one_class_alone_is_a_data_set),
        TEST(bad_rows_are_told_counted_and_passed_over),
        TEST(several_sources_are_one_data_set),
        TEST(a_column_says_what_split_a_photo_is_in),
        TEST(a_tenth_is_drawn_for_val_and_no_group_is_parted),
        TEST(no_identity_is_parted_either),
        TEST(groups_are_the_items_own_or_a_fields),
        TEST(all_photos_of_an_item_are_one_identity),
        TEST(a_field_joins_photos_into_identities),
        TEST(titles_that_differ_in_the_colour_are_one_product),
        TEST(compound_and_many_colours_are_taken_out_whole),
        TEST(class_and_gender_tell_products_apart),
        TEST(titles_that_do_not_tell_products_apart_join_nothing),
        TEST(a_common_word_or_the_brand_is_not_enough),
        TEST(variants_of_one_group_are_no_finds),
        TEST(a_catalog_is_read_as_what_it_was_made_from),
        TEST(a_damaged_catalog_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
