/* feed.c: rows of a CSV or TSV file become items.
 *
 * The file is mapped and read twice: once to count its rows, once to hand them
 * out. What is kept meanwhile is one row and a digest of every id. */
#include "catalog/feed.h"

#include "base/arena.h"
#include "base/file.h"
#include "catalog/columns.h"
#include "catalog/csv.h"
#include "catalog/seen.h"
#include "catalog/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_PHOTOS = 64, MAX_NAME_BYTES = 1024 };

struct sosie_feed {
    void (*bad)(void *context, const char *where, const char *reason);
    void *context;
    const char *name; /* the last component of its path */
    const char *root;
    const void *bytes;
    size_t size, count;
    struct sosie_csv csv;
    struct sosie_columns columns;
    struct sosie_arena arena; /* holds the name and the columns' names */
    struct sosie_seen seen;

    /* The row in hand. */
    struct sosie_arena row;
    struct sosie_source_item item;
    const char *photos[MAX_PHOTOS];
    char *fields; /* of jansson's memory */
};

/* ---- open ---------------------------------------------------------------- */

static char separator_of(const char *path, const char *bytes, size_t size)
{
    const char *dot = strrchr(path, '.');
    size_t line = 0;
    if (dot && !strcasecmp(dot, ".tsv"))
        return '\t';
    while (line < size && bytes[line] != '\n' && bytes[line] != '\r')
        line++;
    return line && memchr(bytes, '\t', line) && !memchr(bytes, ',', line) ? '\t'
                                                                          : ',';
}

/* Rows after the header, good and bad. */
static enum sosie_status count_rows(struct sosie_feed *feed, char separator,
                                    struct sosie_error *err)
{
    struct sosie_csv csv;
    enum sosie_status st;
    bool found = true;
    sosie_csv_init(&csv, feed->bytes, feed->size, separator);
    do {
        st = sosie_csv_next(&csv, &found, err);
        feed->count += found;
    } while ((!st && found) || st == SOSIE_BAD_INPUT);
    feed->count -= feed->count > 0; /* the header */
    sosie_csv_release(&csv);
    return st;
}

static enum sosie_status read_header(struct sosie_feed *feed, const char *map,
                                     struct sosie_error *err)
{
    struct sosie_csv *csv = &feed->csv;
    bool found;
    enum sosie_status st = sosie_csv_next(csv, &found, err);
    if (st) {
        sosie_error_prefix(err, "row %zu", csv->row);
        return st;
    }
    if (!found)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the file is empty, a header row was expected");
    for (size_t i = 0; i < csv->n_fields; i++)
        csv->fields[i] = sosie_text_trim(csv->fields[i]);
    return sosie_columns_read(csv->fields, csv->n_fields, map, &feed->arena,
                              &feed->columns, err);
}

static enum sosie_status read_file(struct sosie_feed *feed,
                                   const struct sosie_source_options *options,
                                   struct sosie_error *err)
{
    const char *slash = strrchr(options->path, '/');
    char separator;
    enum sosie_status st;

    feed->name =
        sosie_arena_strdup(&feed->arena, slash ? slash + 1 : options->path);
    if (!feed->name)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", options->path);
    st = sosie_file_map(options->path, &feed->bytes, &feed->size, err);
    if (st)
        return st;
    separator = separator_of(options->path, feed->bytes, feed->size);
    sosie_csv_init(&feed->csv, feed->bytes, feed->size, separator);
    st = read_header(feed, options->map, err);
    if (!st)
        st = count_rows(feed, separator, err);
    if (st)
        sosie_error_prefix(err, "%s", options->path);
    return st;
}

enum sosie_status sosie_feed_open(const struct sosie_source_options *options,
                                  const char *root, struct sosie_feed **out,
                                  struct sosie_error *err)
{
    enum sosie_status st;
    struct sosie_feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s", options->path);
    feed->bad = options->bad;
    feed->context = options->context;
    feed->root = root;
    st = read_file(feed, options, err);
    if (st)
        sosie_feed_close(feed);
    else
        *out = feed;
    return st;
}

static void release_row(struct sosie_feed *feed)
{
    sosie_arena_release(&feed->row);
    free(feed->fields);
    feed->fields = NULL;
}

void sosie_feed_close(struct sosie_feed *feed)
{
    if (!feed)
        return;
    release_row(feed);
    sosie_seen_release(&feed->seen);
    sosie_arena_release(&feed->arena);
    sosie_csv_release(&feed->csv);
    sosie_file_unmap(feed->bytes, feed->size);
    free(feed);
}

size_t sosie_feed_count(const struct sosie_feed *feed)
{
    return feed->count;
}

/* ---- a row --------------------------------------------------------------- */

static enum sosie_status no_memory(const struct sosie_feed *feed,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "%s row %zu", feed->name,
                      feed->csv.row);
}

static void report(const struct sosie_feed *feed, const char *where,
                   struct sosie_error *why)
{
    sosie_text_make_printable(why->text);
    if (feed->bad)
        feed->bad(feed->context, where, why->text);
}

/* The trimmed value of a part; NULL if it has no column or is empty there. */
static const char *value_of(const struct sosie_feed *feed, size_t part)
{
    size_t column = feed->columns.parts[part];
    const char *value =
        column == SOSIE_NO_COLUMN ? NULL : feed->csv.fields[column];
    return value && *value ? value : NULL;
}

/* Names are shown, logged and put in URLs: short, and of printable text. */
static enum sosie_status check_name(const char *what, const char *name,
                                    struct sosie_error *err)
{
    const char *fault = name ? sosie_text_fault(name) : NULL;
    if (fault)
        return sosie_fail(err, SOSIE_BAD_INPUT, "%s %s", what, fault);
    if (name && strlen(name) > MAX_NAME_BYTES)
        return sosie_fail(err, SOSIE_BAD_INPUT, "%s is longer than %d bytes",
                          what, MAX_NAME_BYTES);
    return SOSIE_OK;
}

/* A class is one component of the URL of its photos, so slashes in it become
 * hyphens. */
static enum sosie_status read_class(struct sosie_feed *feed,
                                    struct sosie_error *err)
{
    const char *value = value_of(feed, SOSIE_PART_CLASS), *last;
    char *name;
    if (value && feed->columns.class_is_path && (last = strrchr(value, '>')))
        value = last + 1 + strspn(last + 1, " \t");
    if (!value || !*value)
        return SOSIE_OK;
    name = sosie_arena_strdup(&feed->row, value);
    if (!name)
        return no_memory(feed, err);
    for (char *c = name; *c; c++)
        if (*c == '/' || *c == '\\')
            *c = '-';
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return sosie_fail(err, SOSIE_BAD_INPUT, "class \"%s\" is not a name",
                          name);
    feed->item.class_name = name;
    return check_name("class", name, err);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "https://host/a/my%20coat.jpg?v=2" to "my coat.jpg", in place. */
static char *file_of_url(char *url)
{
    char *from, *to, *last;
    url[strcspn(url, "?#")] = 0;
    last = strrchr(url, '/') + 1; /* the scheme has slashes */
    for (from = to = last; *from; to++) {
        int high = *from == '%' ? hex_digit(from[1]) : -1;
        int low = high >= 0 ? hex_digit(from[2]) : -1;
        *to = low >= 0 ? (char)(16 * high + low) : *from;
        from += low >= 0 ? 3 : 1;
    }
    *to = 0;
    return last;
}

/* Checks one photo and adds it to the item, which has room for it. `path`
 * becomes the item's. */
static enum sosie_status add_photo(struct sosie_feed *feed, char *path,
                                   struct sosie_error *err)
{
    size_t size;
    enum sosie_status st;
    int fd;
    if (!strncasecmp(path, "http://", 7) || !strncasecmp(path, "https://", 8))
        path = file_of_url(path);
    while (!strncmp(path, "./", 2))
        path += 2;
    st = check_name("image", path, err);
    if (st)
        return st;
    if (!sosie_path_is_beneath(path))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "image %s: not a path below the images folder", path);
    for (size_t i = 0; i < feed->item.n_photos; i++)
        if (!strcmp(feed->photos[i], path))
            return SOSIE_OK;
    st = sosie_file_open_beneath(feed->root, path, &fd, &size, err);
    if (st == SOSIE_NOT_FOUND)
        return sosie_fail(err, st, "image %s: no such file", path);
    if (st)
        return st;
    close(fd);
    feed->photos[feed->item.n_photos++] = path;
    return SOSIE_OK;
}

/* A copy that add_photo and strsep may cut up: the column may play another part
 * as well. */
static enum sosie_status copy_value(struct sosie_feed *feed, size_t part,
                                    char **copy, struct sosie_error *err)
{
    const char *value = value_of(feed, part);
    *copy = value ? sosie_arena_strdup(&feed->row, value) : NULL;
    return value && !*copy ? no_memory(feed, err) : SOSIE_OK;
}

/* Adds the photos that are there and reports the others. */
static void add_more_photos(struct sosie_feed *feed, char *list,
                            const char *where)
{
    struct sosie_error why;
    char *value;
    for (size_t n = 1; (value = strsep(&list, ",")) && n < MAX_PHOTOS; n++) {
        value = sosie_text_trim(value);
        if (*value && add_photo(feed, value, &why))
            report(feed, where, &why);
    }
    if (value) {
        (void)sosie_fail(&why, SOSIE_TOO_LARGE,
                         "more than %d photos, the others are left out",
                         MAX_PHOTOS);
        report(feed, where, &why);
    }
}

/* The first photo must be there. */
static enum sosie_status read_photos(struct sosie_feed *feed, const char *where,
                                     struct sosie_error *err)
{
    char *first, *more = NULL;
    enum sosie_status st = copy_value(feed, SOSIE_PART_IMAGE, &first, err);
    if (!st)
        st = copy_value(feed, SOSIE_PART_MORE_IMAGES, &more, err);
    if (!st && !first)
        st = sosie_fail(err, SOSIE_BAD_INPUT, "no image");
    if (!st)
        st = add_photo(feed, first, err);
    if (!st)
        add_more_photos(feed, more, where);
    return st;
}

/* The columns that play no part, as a JSON object. */
static enum sosie_status read_fields(struct sosie_feed *feed,
                                     struct sosie_error *err)
{
    json_t *object = json_object();
    bool ok = object != NULL;
    for (size_t i = 0; i < feed->columns.n && ok; i++) {
        const char *name = feed->columns.fields[i],
                   *value = feed->csv.fields[i];
        if (name && *value)
            ok = !json_object_set_new_nocheck(object, name,
                                              json_string_nocheck(value));
    }
    if (ok)
        feed->fields = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    feed->item.fields = feed->fields;
    return feed->fields ? SOSIE_OK : no_memory(feed, err);
}

/* The id comes last: a row that is bad for another reason does not use it. */
static enum sosie_status read_id(struct sosie_feed *feed,
                                 struct sosie_error *err)
{
    size_t earlier;
    enum sosie_status st;
    const char *id = value_of(feed, SOSIE_PART_ID);
    if (!id)
        return sosie_fail(err, SOSIE_BAD_INPUT, "no id");
    st = check_name("id", id, err);
    if (!st)
        st = sosie_seen_add(&feed->seen, id, feed->csv.row, &earlier, err);
    if (!st && earlier)
        st = sosie_fail(err, SOSIE_CONFLICT, "id was already used in row %zu",
                        earlier);
    feed->item.id = id;
    return st;
}

static enum sosie_status read_item(struct sosie_feed *feed, const char *where,
                                   struct sosie_error *err)
{
    struct sosie_csv *csv = &feed->csv;
    enum sosie_status st;
    if (csv->n_fields != feed->columns.n)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "row has %zu fields, the header has %zu",
                          csv->n_fields, feed->columns.n);
    for (size_t i = 0; i < csv->n_fields; i++)
        csv->fields[i] = sosie_text_trim(csv->fields[i]);
    feed->item = (struct sosie_source_item){
        .where = where, .paths = feed->photos, .files = feed->photos};
    feed->item.group = value_of(feed, SOSIE_PART_GROUP);
    st = check_name("group", feed->item.group, err);
    if (!st)
        st = read_class(feed, err);
    if (!st)
        st = read_photos(feed, where, err);
    if (!st)
        st = read_id(feed, err);
    return st ? st : read_fields(feed, err);
}

enum sosie_status sosie_feed_next(struct sosie_feed *feed,
                                  const struct sosie_source_item **item,
                                  struct sosie_error *err)
{
    for (;;) {
        struct sosie_error why;
        const char *where;
        bool found = true;
        enum sosie_status st = sosie_csv_next(&feed->csv, &found, &why);
        if (!st && !found) {
            *item = NULL;
            return SOSIE_OK;
        }
        release_row(feed);
        where = sosie_arena_printf(&feed->row, "%s row %zu", feed->name,
                                   feed->csv.row);
        if (!where)
            return no_memory(feed, err);
        if (!st)
            st = read_item(feed, where, &why);
        if (!st) {
            *item = &feed->item;
            return SOSIE_OK;
        }
        if (st == SOSIE_NO_MEMORY)
            return no_memory(feed, err);
        report(feed, where, &why);
    }
}
