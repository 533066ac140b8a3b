/* columns.c: first what `map` says, then names, then everything else is kept as
 * it is called. */
#include "catalog/columns.h"

#include "catalog/text.h"

#include <ctype.h>
#include <string.h>

/* The names by which a part is known: ours, then those of Google Merchant
 * feeds in order of preference. */
static const struct {
    const char *names[3];
} parts[SOSIE_N_PARTS] = {
    [SOSIE_PART_ID] = {{"id"}},
    [SOSIE_PART_IMAGE] = {{"image", "image_link"}},
    [SOSIE_PART_MORE_IMAGES] = {{"more_images", "additional_image_link"}},
    [SOSIE_PART_CLASS] = {{"class", "product_type", "google_product_category"}},
    [SOSIE_PART_GROUP] = {{"group", "item_group_id"}},
};
enum { N_NAMES = sizeof(parts->names) / sizeof(*parts->names) };

/* The fields of Google Merchant feeds that describe what is sold. */
static const char *const merchant_fields[] = {
    "title",      "description",  "link",         "price",
    "sale_price", "availability", "condition",    "brand",
    "gtin",       "mpn",          "product_type", "google_product_category",
    "color",      "gender",       "age_group",    "size",
    "material",   "pattern",
};
enum { N_FIELDS = sizeof(merchant_fields) / sizeof(*merchant_fields) };

struct reader {
    char *const *header;
    struct sosie_columns *columns;
    bool *mapped; /* column i was named by `map` */
    struct sosie_arena *arena;
    struct sosie_error *err;
};

static enum sosie_status no_memory(const struct reader *r)
{
    return sosie_fail(r->err, SOSIE_NO_MEMORY, "columns");
}

static int folded(char c)
{
    return c == ' ' ? '_' : tolower((unsigned char)c);
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && folded(*a) == folded(*b); a++, b++)
        continue;
    return !*a && !*b;
}

/* As it is written, else by the same name; SOSIE_NO_COLUMN if there is none. */
static size_t find_column(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->columns->n; i++)
        if (!strcmp(r->header[i], name))
            return i;
    for (size_t i = 0; i < r->columns->n; i++)
        if (same_name(r->header[i], name))
            return i;
    return SOSIE_NO_COLUMN;
}

/* The part of this name, or SOSIE_N_PARTS. Names that are fields as well
 * (product_type) are no name for a part in `map`. */
static size_t find_part(const char *name)
{
    for (size_t part = 0; part < SOSIE_N_PARTS; part++)
        for (size_t i = 0; i < N_NAMES && parts[part].names[i]; i++)
            if (same_name(parts[part].names[i], name) &&
                !(part == SOSIE_PART_CLASS && i > 0))
                return part;
    return SOSIE_N_PARTS;
}

/* The field's name as it is kept, or NULL if it is not one we know. */
static const char *find_field(const char *name)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (same_name(merchant_fields[i], name))
            return merchant_fields[i];
    return NULL;
}

/* list + "a, b, c", as far as a message has room; NULL when out of memory. */
static const char *join(struct sosie_arena *arena, const char *const *names,
                        size_t n, const char *list)
{
    size_t room = sizeof(((struct sosie_error *)0)->text);
    for (size_t i = 0; i < n && list && strlen(list) < room; i++)
        list = sosie_arena_printf(arena, "%s%s%s", list, *list ? ", " : "",
                                  names[i]);
    return list;
}

/* ---- the map ------------------------------------------------------------- */

static enum sosie_status unknown_name(const struct reader *r, const char *name)
{
    const char *list = "";
    for (size_t part = 0; part < SOSIE_N_PARTS && list; part++)
        list = join(r->arena, parts[part].names, 1, list);
    if (list)
        list = join(r->arena, merchant_fields, N_FIELDS, list);
    if (!list)
        return no_memory(r);
    return sosie_fail(r->err, SOSIE_BAD_INPUT,
                      "map: \"%s\" is not a name that is known: %s", name,
                      list);
}

static enum sosie_status no_column(const struct reader *r, const char *what)
{
    const char *list =
        join(r->arena, (const char *const *)r->header, r->columns->n, "");
    if (!list)
        return no_memory(r);
    return sosie_fail(r->err, SOSIE_BAD_INPUT, "%s; the columns are: %s", what,
                      list);
}

/* One "name=column" of the map. */
static enum sosie_status read_pair(const struct reader *r, const char *name,
                                   const char *column_name)
{
    struct sosie_columns *columns = r->columns;
    size_t part = find_part(name), column = find_column(r, column_name);
    const char *field = find_field(name), *what;

    if (part == SOSIE_N_PARTS && !field)
        return unknown_name(r, name);
    if (column == SOSIE_NO_COLUMN) {
        what = sosie_arena_printf(r->arena, "map: there is no column \"%s\"",
                                  column_name);
        return what ? no_column(r, what) : no_memory(r);
    }
    if ((field && columns->fields[column]) ||
        (!field && columns->parts[part] != SOSIE_NO_COLUMN))
        return sosie_fail(r->err, SOSIE_BAD_INPUT,
                          "map: \"%s=%s\" contradicts what stands before it",
                          name, column_name);
    if (field)
        columns->fields[column] = field;
    else
        columns->parts[part] = column;
    r->mapped[column] = true;
    return SOSIE_OK;
}

static enum sosie_status read_map(const struct reader *r, const char *map)
{
    enum sosie_status st = SOSIE_OK;
    char *rest = sosie_arena_strdup(r->arena, map), *pair;
    if (!rest)
        return no_memory(r);
    while (!st && (pair = strsep(&rest, ","))) {
        char *equals = strchr(pair, '=');
        if (!equals)
            return sosie_fail(r->err, SOSIE_BAD_INPUT,
                              "map: \"%s\" is not of the form NAME=COLUMN",
                              pair);
        *equals = 0;
        st = read_pair(r, sosie_text_trim(pair), sosie_text_trim(equals + 1));
    }
    return st;
}

/* ---- names --------------------------------------------------------------- */

static void find_parts_by_name(const struct reader *r)
{
    struct sosie_columns *columns = r->columns;
    for (size_t part = 0; part < SOSIE_N_PARTS; part++)
        for (size_t i = 0; i < N_NAMES && parts[part].names[i] &&
                           columns->parts[part] == SOSIE_NO_COLUMN;
             i++) {
            size_t column = find_column(r, parts[part].names[i]);
            if (column == SOSIE_NO_COLUMN || r->mapped[column])
                continue;
            columns->parts[part] = column;
            columns->class_is_path |= part == SOSIE_PART_CLASS && i > 0;
        }
}

/* A column that plays a part is no field, unless it is both by name
 * (product_type). */
static bool is_only_a_part(const struct reader *r, size_t column)
{
    for (size_t part = 0; part < SOSIE_N_PARTS; part++)
        if (r->columns->parts[part] == column)
            return !(part == SOSIE_PART_CLASS && r->columns->class_is_path);
    return false;
}

static bool is_mapped_name(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->columns->n; i++)
        if (r->mapped[i] && r->columns->fields[i] &&
            !strcmp(r->columns->fields[i], name))
            return true;
    return false;
}

/* Where `map` gave a name to one column, another of that name is left out. */
static enum sosie_status name_other_fields(const struct reader *r)
{
    struct sosie_columns *columns = r->columns;
    for (size_t i = 0; i < columns->n; i++) {
        const char *called = r->header[i], *known = find_field(called);
        if (columns->fields[i] || !*called || is_only_a_part(r, i) ||
            is_mapped_name(r, known ? known : called))
            continue;
        columns->fields[i] =
            known ? known : sosie_arena_strdup(r->arena, called);
        if (!columns->fields[i])
            return no_memory(r);
    }
    return SOSIE_OK;
}

static enum sosie_status check_twins(const struct reader *r)
{
    const char *const *fields = r->columns->fields;
    for (size_t i = 0; i < r->columns->n; i++)
        for (size_t j = 0; j < i && fields[i]; j++)
            if (fields[j] && !strcmp(fields[i], fields[j]))
                return sosie_fail(r->err, SOSIE_BAD_INPUT,
                                  "columns %zu and %zu are both \"%s\"", j + 1,
                                  i + 1, fields[i]);
    return SOSIE_OK;
}

static enum sosie_status check_needed(const struct reader *r)
{
    if (r->columns->parts[SOSIE_PART_ID] == SOSIE_NO_COLUMN)
        return no_column(r, "no column for the id: none is called \"id\" and "
                            "the map names none");
    if (r->columns->parts[SOSIE_PART_IMAGE] == SOSIE_NO_COLUMN)
        return no_column(r,
                         "no column for the image: none is called \"image\" or "
                         "\"image_link\" and the map names none");
    return SOSIE_OK;
}

enum sosie_status sosie_columns_read(char *const *header, size_t n,
                                     const char *map, struct sosie_arena *arena,
                                     struct sosie_columns *columns,
                                     struct sosie_error *err)
{
    struct reader r = {header, columns, NULL, arena, err};
    enum sosie_status st = SOSIE_OK;

    *columns = (struct sosie_columns){.n = n};
    for (size_t part = 0; part < SOSIE_N_PARTS; part++)
        columns->parts[part] = SOSIE_NO_COLUMN;
    columns->fields = sosie_arena_alloc(arena, n, sizeof(*columns->fields));
    r.mapped = sosie_arena_alloc(arena, n, sizeof(*r.mapped));
    if (!columns->fields || !r.mapped)
        return no_memory(&r);
    if (map)
        st = read_map(&r, map);
    if (st)
        return st;
    find_parts_by_name(&r);
    st = check_needed(&r);
    if (!st)
        st = name_other_fields(&r);
    return st ? st : check_twins(&r);
}
