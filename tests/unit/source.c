/* Folders and feeds as streams of items. */
#include "catalog/source.h"

#include "check.h"

#include <stdbool.h>
#include <sys/stat.h>

/* One source, read to its end, as text: an item or a bad row a line. */
struct reading {
    struct sosie_source_options options;
    char *folder;
    char text[16384], path[256];
    size_t n_items, n_bad;
};

static void add_line(struct reading *r, const char *format, ...)
    SOSIE_PRINTF(2, 3);

static void add_line(struct reading *r, const char *format, ...)
{
    size_t used = strlen(r->text);
    va_list args;
    va_start(args, format);
    vsnprintf(r->text + used, sizeof(r->text) - used, format, args);
    va_end(args);
}

static void note_bad(void *context, const char *where, const char *reason)
{
    struct reading *r = context;
    r->n_bad++;
    add_line(r, "bad %s: %s\n", where, reason);
}

static int set_up(void **state)
{
    struct reading *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->folder = check_folder_make();
    r->options.bad = note_bad;
    r->options.context = r;
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct reading *r = *state;
    check_folder_remove(r->folder);
    free(r);
    return 0;
}

static const char *in_folder(struct reading *r, const char *name)
{
    snprintf(r->path, sizeof(r->path), "%s/%s", r->folder, name);
    return r->path;
}

static void make_folder(struct reading *r, const char *name)
{
    assert_int_equal(mkdir(in_folder(r, name), 0755), 0);
}

static void make_file(struct reading *r, const char *name, const char *text)
{
    FILE *file = fopen(in_folder(r, name), "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* a.jpg, b.jpg, c.png and "my coat.jpg" in images/. */
static void make_images(struct reading *r)
{
    make_folder(r, "images");
    make_file(r, "images/a.jpg", "a");
    make_file(r, "images/b.jpg", "b");
    make_file(r, "images/c.png", "c");
    make_file(r, "images/my coat.jpg", "d");
}

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

static void add_item(struct reading *r, const struct sosie_source_item *item)
{
    r->n_items++;
    add_line(r, "%s class=%s group=%s", item->id, or_dash(item->class_name),
             or_dash(item->group));
    for (size_t i = 0; i < item->n_photos; i++) {
        add_line(r, " %s", item->paths[i]);
        if (strcmp(item->paths[i], item->files[i]))
            add_line(r, "(%s)", item->files[i]);
    }
    add_line(r, " %s\n", item->fields);
}

/* Reads the source `name` of the folder; the lines are then in r->text. */
static void read_source(struct reading *r, const char *path)
{
    struct sosie_source *source;
    const struct sosie_source_item *item;
    struct sosie_error err;
    r->text[0] = 0;
    r->n_items = r->n_bad = 0;
    r->options.path = path;
    check_ok(sosie_source_open(&r->options, &source, &err), &err);
    assert_int_equal(sosie_source_root(source)[0], '/');
    for (;;) {
        check_ok(sosie_source_next(source, &item, &err), &err);
        if (!item)
            break;
        assert_non_null(item->where);
        add_item(r, item);
    }
    assert_true(r->n_items <= sosie_source_count(source));
    /* The end stays the end. */
    check_ok(sosie_source_next(source, &item, &err), &err);
    assert_null(item);
    sosie_source_close(source);
}

/* Writes a feed, reads it, compares the lines. */
static void check_feed(struct reading *r, const char *name, const char *feed,
                       const char *expected)
{
    char path[256];
    make_file(r, name, feed);
    snprintf(path, sizeof(path), "%s", in_folder(r, name));
    read_source(r, path);
    assert_string_equal(r->text, expected);
}

static void check_refused(struct reading *r, const char *feed,
                          const char *message)
{
    struct sosie_source *source = NULL;
    struct sosie_error err;
    char path[256];
    make_file(r, "feed.csv", feed);
    snprintf(path, sizeof(path), "%s", in_folder(r, "feed.csv"));
    r->options.path = path;
    check_fails(sosie_source_open(&r->options, &source, &err), SOSIE_BAD_INPUT,
                &err, message);
    assert_null(source);
}

/* ---- folders ------------------------------------------------------------- */

static void a_folder_gives_its_photos_in_byte_order(void **state)
{
    struct reading *r = *state;
    make_folder(r, "coat");
    make_folder(r, "coat/deep");
    make_folder(r, "Dress");
    make_folder(r, "coat-x");
    make_folder(r, ".hidden");
    make_file(r, "coat/b.JPG", "");
    make_file(r, "coat/a.webp", "");
    make_file(r, "coat/.c.jpg", "");
    make_file(r, "coat/notes.txt", "");
    make_file(r, "coat/deep/z.png", "");
    make_file(r, "coat-x/a.jpeg", "");
    make_file(r, "Dress/caf\xc3\xa9.jpg", "");
    make_file(r, ".hidden/a.jpg", "");
    make_file(r, "plain.jpg", "");
    read_source(r, r->folder);
    assert_string_equal(
        r->text,
        "Dress/caf\xc3\xa9.jpg class=Dress group=- "
        "caf\xc3\xa9.jpg(Dress/caf\xc3\xa9.jpg) {}\n"
        "coat-x/a.jpeg class=coat-x group=- a.jpeg(coat-x/a.jpeg) {}\n"
        "coat/a.webp class=coat group=- a.webp(coat/a.webp) {}\n"
        "coat/b.JPG class=coat group=- b.JPG(coat/b.JPG) {}\n"
        "coat/deep/z.png class=coat group=- deep/z.png(coat/deep/z.png) {}\n"
        "plain.jpg class=- group=- plain.jpg {}\n");
}

static void links_to_folders_are_not_followed(void **state)
{
    struct reading *r = *state;
    make_folder(r, "coat");
    make_file(r, "coat/a.jpg", "");
    assert_int_equal(symlink("..", in_folder(r, "coat/up")), 0);
    assert_int_equal(symlink("a.jpg", in_folder(r, "coat/b.jpg")), 0);
    assert_int_equal(mkfifo(in_folder(r, "coat/pipe.jpg"), 0600), 0);
    read_source(r, r->folder);
    assert_string_equal(r->text,
                        "coat/a.jpg class=coat group=- a.jpg(coat/a.jpg) {}\n"
                        "coat/b.jpg class=coat group=- b.jpg(coat/b.jpg) {}\n");
}

static void names_that_are_no_text_are_reported(void **state)
{
    struct reading *r = *state;
    char expected[512];
    make_file(r, "a\n.jpg", "");
    make_file(r, "b\xff.jpg", "");
    make_file(r, "c\\d.jpg", "");
    read_source(r, r->folder);
    assert_int_equal(r->n_items, 0);
    assert_int_equal(r->n_bad, 3);
    snprintf(expected, sizeof(expected),
             "bad %s/a?.jpg: the name holds a control character\n", r->folder);
    assert_non_null(strstr(r->text, expected));
    snprintf(expected, sizeof(expected), "bad %s/b?.jpg: the name is not UTF-8",
             r->folder);
    assert_non_null(strstr(r->text, expected));
    assert_non_null(strstr(r->text, "c\\d.jpg: the name holds a backslash\n"));
}

static void a_folder_that_cannot_be_read_is_reported(void **state)
{
    struct reading *r = *state;
    bool is_root = geteuid() == 0; /* who may read every folder */
    make_folder(r, "coat");
    make_folder(r, "shut");
    make_file(r, "coat/a.jpg", "");
    assert_int_equal(chmod(in_folder(r, "shut"), 0), 0);
    assert_int_equal(chmod(r->folder, 0755), 0);
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    read_source(r, r->folder);
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_int_equal(r->n_items, 1);
    assert_non_null(strstr(r->text, "/shut: Permission denied\n"));
}

static void folders_nested_too_deep_are_reported(void **state)
{
    struct reading *r = *state;
    char path[128] = "d";
    make_folder(r, path);
    for (size_t i = 0; i < 20; i++) {
        strcat(path, "/d");
        make_folder(r, path);
    }
    strcat(path, "/a.jpg");
    make_file(r, path, "");
    read_source(r, r->folder);
    assert_int_equal(r->n_items, 0);
    assert_int_equal(r->n_bad, 1);
    assert_non_null(strstr(r->text, "too many folders in each other"));
}

static void an_empty_folder_has_no_items(void **state)
{
    struct reading *r = *state;
    read_source(r, r->folder);
    assert_string_equal(r->text, "");
}

static void what_is_no_source_is_refused(void **state)
{
    struct reading *r = *state;
    struct sosie_source *source = NULL;
    struct sosie_error err;
    char path[256];
    snprintf(path, sizeof(path), "%s", in_folder(r, "none"));
    r->options.path = path;
    check_fails(sosie_source_open(&r->options, &source, &err), SOSIE_NOT_FOUND,
                &err, "none: no such file or folder");
    make_file(r, "photo.jpg", "");
    snprintf(path, sizeof(path), "%s", in_folder(r, "photo.jpg"));
    check_fails(sosie_source_open(&r->options, &source, &err),
                SOSIE_UNSUPPORTED, &err, "found a photo");
    make_file(r, "feed.csv", "id,image\n");
    snprintf(path, sizeof(path), "%s", in_folder(r, "feed.csv"));
    r->options.images = "/nowhere";
    check_fails(sosie_source_open(&r->options, &source, &err), SOSIE_NOT_FOUND,
                &err, "/nowhere: no such folder");
    assert_null(source);
}

/* ---- feeds --------------------------------------------------------------- */

static void a_mapped_feed_keeps_the_other_columns_as_attributes(void **state)
{
    struct reading *r = *state;
    make_images(r);
    r->options.map = "id=sku, image=file, class=kind, group=model, title=name";
    check_feed(r, "feed.csv",
               "sku,file,kind,model,name,Season,baseColour\n"
               "1,images/a.jpg,T/Shirt,m1,\"A \"\"fine\"\" shirt\",Summer,\n"
               "2, images/b.jpg ,,,,,Blue\n",
               "1 class=T-Shirt group=m1 images/a.jpg "
               "{\"title\":\"A \\\"fine\\\" shirt\",\"Season\":\"Summer\"}\n"
               "2 class=- group=- images/b.jpg {\"baseColour\":\"Blue\"}\n");
}

static void a_merchant_feed_needs_no_map(void **state)
{
    struct reading *r = *state;
    char images[256];
    make_images(r);
    snprintf(images, sizeof(images), "%s", in_folder(r, "images"));
    r->options.images = images;
    check_feed(
        r, "feed.txt",
        "ID\tTitle\tImage Link\tadditional_image_link\titem_group_id\t"
        "Product Type\tprice\n"
        "1\tCoat, red\thttps://shop.example/i/my%20coat.jpg?v=2\t"
        "b.jpg, https://shop.example/c.png,b.jpg\tg\tApparel > Coats\t9 EUR\n",
        "1 class=Coats group=g my coat.jpg b.jpg c.png "
        "{\"title\":\"Coat, red\",\"product_type\":\"Apparel > Coats\","
        "\"price\":\"9 EUR\"}\n");
}

static void one_column_may_play_two_parts(void **state)
{
    struct reading *r = *state;
    make_images(r);
    r->options.map = "id=file,image=file,class=kind,title=kind";
    check_feed(r, "feed.csv", "file,kind\n./images/a.jpg,Coat/Jacket\n",
               "./images/a.jpg class=Coat-Jacket group=- images/a.jpg "
               "{\"title\":\"Coat/Jacket\"}\n");
}

static void a_mapped_name_replaces_the_column_that_has_it(void **state)
{
    struct reading *r = *state;
    make_images(r);
    r->options.map = "title=long";
    check_feed(r, "feed.csv", "id,image,title,long\n1,images/a.jpg,a,b\n",
               "1 class=- group=- images/a.jpg {\"title\":\"b\"}\n");
}

static void bad_rows_are_reported_and_skipped(void **state)
{
    struct reading *r = *state;
    make_images(r);
    check_feed(
        r, "feed.csv",
        "id,image,class\n"
        "1,images/a.jpg,Coat\n"
        "2,,Coat\n"
        "3,images/none.jpg,Coat\n"
        "4,../secret.jpg,Coat\n"
        "5,/etc/passwd,Coat\n"
        "6,images/a.jpg\n"
        "7,images/a.jpg,Coat,Blue\n"
        ",images/a.jpg,Coat\n"
        "9,images/a.jpg,\"Co\nat\"\n"
        "10,images/a.jpg,..\n"
        "11,images,Coat\n"
        "12,images/a.jpg,\xff\n"
        "1,images/b.jpg,Coat\n"
        "3,images/b.jpg,Coat\n"
        "15,images/b.jpg,\"Coat\n"
        "16,images/b.jpg,Coat\n",
        "1 class=Coat group=- images/a.jpg {}\n"
        "bad feed.csv row 3: no image\n"
        "bad feed.csv row 4: image images/none.jpg: no such file\n"
        "bad feed.csv row 5: image ../secret.jpg: not a path below the images "
        "folder\n"
        "bad feed.csv row 6: image /etc/passwd: not a path below the images "
        "folder\n"
        "bad feed.csv row 7: row has 2 fields, the header has 3\n"
        "bad feed.csv row 8: row has 4 fields, the header has 3\n"
        "bad feed.csv row 9: no id\n"
        "bad feed.csv row 10: class holds a control character\n"
        "bad feed.csv row 11: class \"..\" is not a name\n"
        "bad feed.csv row 12: image images: no such file\n"
        "bad feed.csv row 13: field 3 is not UTF-8\n"
        "bad feed.csv row 14: id was already used in row 2\n"
        "3 class=Coat group=- images/b.jpg {}\n"
        "bad feed.csv row 16: the file ends inside the quotes of field 3\n");
}

static void links_out_of_the_images_folder_are_refused(void **state)
{
    struct reading *r = *state;
    make_images(r);
    assert_int_equal(symlink("/etc/hostname", in_folder(r, "images/out.jpg")),
                     0);
    check_feed(r, "feed.csv", "id,image\n1,images/out.jpg\n",
               "bad feed.csv row 2: image images/out.jpg: no such file\n");
}

static void an_item_keeps_the_photos_that_are_there(void **state)
{
    struct reading *r = *state;
    make_images(r);
    check_feed(r, "feed.csv",
               "id,image,additional image link\n"
               "1,images/a.jpg,\"images/none.jpg,,images/b.jpg\"\n",
               "bad feed.csv row 2: image images/none.jpg: no such file\n"
               "1 class=- group=- images/a.jpg images/b.jpg {}\n");
}

static void an_item_has_a_limit_of_photos(void **state)
{
    struct reading *r = *state;
    char feed[2048] = "id,image,more_images\n1,images/a.jpg,\"images/b.jpg";
    make_images(r);
    for (size_t i = 0; i < 100; i++)
        strcat(feed, ",images/b.jpg");
    strcat(feed, "\"\n");
    check_feed(r, "feed.csv", feed,
               "bad feed.csv row 2: more than 64 photos, the others are left "
               "out\n"
               "1 class=- group=- images/a.jpg images/b.jpg {}\n");
}

static void url_escapes_cannot_lead_out(void **state)
{
    struct reading *r = *state;
    make_images(r);
    check_feed(r, "feed.csv",
               "id,image\n"
               "1,https://x/..%2f..%2fetc%2fpasswd\n"
               "2,https://x/a%0a.jpg\n"
               "3,https://x/a%ff.jpg\n"
               "4,https://x/%\n"
               "5,https://x/\n",
               "bad feed.csv row 2: image ../../etc/passwd: not a path below "
               "the images folder\n"
               "bad feed.csv row 3: image holds a control character\n"
               "bad feed.csv row 4: image is not UTF-8\n"
               "bad feed.csv row 5: image %: no such file\n"
               "bad feed.csv row 6: image : not a path below the images "
               "folder\n");
}

static void many_ids_are_remembered(void **state)
{
    enum { N = 5000 };
    struct reading *r = *state;
    char *feed = calloc(N + 2, 32), line[64];
    size_t used;
    assert_non_null(feed);
    make_images(r);
    used = (size_t)sprintf(feed, "id,image\n");
    for (size_t i = 0; i < N; i++)
        used += (size_t)sprintf(feed + used, "i%zu,images/a.jpg\n", i);
    sprintf(feed + used, "i4321,images/a.jpg\n");
    make_file(r, "feed.csv", feed);
    free(feed);
    snprintf(line, sizeof(line), "%s/feed.csv", r->folder);
    read_source(r, line);
    assert_int_equal(r->n_items, N);
    assert_int_equal(r->n_bad, 1);
}

static void a_header_without_what_is_needed_is_refused(void **state)
{
    struct reading *r = *state;
    check_refused(r, "", "a header row was expected");
    check_refused(r, "sku,image\n",
                  "no column for the id: none is called \"id\" and the map "
                  "names none; the columns are: sku, image");
    check_refused(r, "id,file\n", "no column for the image");
    check_refused(r, "id,image,\xff\n", "row 1: field 3 is not UTF-8");
    check_refused(r, "id,image,Color,color\n",
                  "columns 3 and 4 are both \"color\"");
}

static void a_map_that_fits_not_is_refused(void **state)
{
    static const struct {
        const char *map, *message;
    } cases[] = {
        {"id", "map: \"id\" is not of the form NAME=COLUMN"},
        {"", "map: \"\" is not of the form NAME=COLUMN"},
        {"id=sku,colour=x", "map: \"colour\" is not a name that is known: id, "
                            "image, more_images, class, group, title"},
        {"id=code", "map: there is no column \"code\"; the columns are: sku, "
                    "file, kind"},
        {"id=sku,id=file", "contradicts what stands before it"},
        {"title=kind,brand=kind", "contradicts what stands before it"},
        {"title=kind,title=file", "both \"title\""},
    };
    struct reading *r = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char map[128];
        snprintf(map, sizeof(map), "%s%s", cases[i].map,
                 i == 6 ? ",id=sku,image=file" : "");
        r->options.map = map;
        check_refused(r, "sku,file,kind\n", cases[i].message);
    }
}

/* ---- real feeds ---------------------------------------------------------- */

static void check_real(struct reading *r, const char *path, const char *map,
                       size_t n_items)
{
    struct sosie_source *source;
    const struct sosie_source_item *item;
    struct sosie_error err;
    r->options.path = path;
    r->options.map = map;
    check_ok(sosie_source_open(&r->options, &source, &err), &err);
    assert_int_equal(sosie_source_count(source), n_items);
    for (;;) {
        check_ok(sosie_source_next(source, &item, &err), &err);
        if (!item)
            break;
        assert_non_null(item->class_name);
        r->n_items++;
    }
    sosie_source_close(source);
    assert_int_equal(r->n_items, n_items);
    assert_int_equal(r->n_bad, 0);
}

static void the_feed_of_real_products_is_read_whole(void **state)
{
    char path[512];
    check_shared(path, "data/products/styles.csv");
    check_real(*state, path,
               "id=id,image=file,class=articleType,group=group,"
               "title=productDisplayName",
               37607);
}

static void the_feed_of_real_photos_is_read_whole(void **state)
{
    char path[512];
    check_shared(path, "data/photos/images.csv");
    check_real(*state, path, "id=id,image=file,class=label", 4347);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_gives_its_photos_in_byte_order),
        TEST(links_to_folders_are_not_followed),
        TEST(names_that_are_no_text_are_reported),
        TEST(a_folder_that_cannot_be_read_is_reported),
        TEST(folders_nested_too_deep_are_reported),
        TEST(an_empty_folder_has_no_items),
        TEST(what_is_no_source_is_refused),
        TEST(a_mapped_feed_keeps_the_other_columns_as_attributes),
        TEST(a_merchant_feed_needs_no_map),
        TEST(one_column_may_play_two_parts),
        TEST(a_mapped_name_replaces_the_column_that_has_it),
        TEST(bad_rows_are_reported_and_skipped),
        TEST(links_out_of_the_images_folder_are_refused),
        TEST(an_item_keeps_the_photos_that_are_there),
        TEST(an_item_has_a_limit_of_photos),
        TEST(url_escapes_cannot_lead_out),
        TEST(many_ids_are_remembered),
        TEST(a_header_without_what_is_needed_is_refused),
        TEST(a_map_that_fits_not_is_refused),
        TEST(the_feed_of_real_products_is_read_whole),
        TEST(the_feed_of_real_photos_is_read_whole),
    };
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
