/* csv.c: fields are copied out of the file, their quotes undone, one after
 * another into one buffer that every row uses again.
 *
 * A row with a problem is still read to its end, so that the next one starts
 * where it should; the first problem is what is reported. Bytes come from
 * outside: what a row may take is bounded. */
#include "catalog/csv.h"

#include "catalog/text.h"

#include <stdlib.h>
#include <string.h>

void sosie_csv_init(struct sosie_csv *csv, const char *bytes, size_t size,
                    char separator)
{
    static const char mark[] = "\xef\xbb\xbf";
    memset(csv, 0, sizeof(*csv));
    csv->separator = separator;
    csv->at = bytes;
    csv->end = size ? bytes + size : bytes;
    if (size >= 3 && !memcmp(bytes, mark, 3))
        csv->at += 3;
}

void sosie_csv_release(struct sosie_csv *csv)
{
    free(csv->text);
    memset(csv, 0, sizeof(*csv));
}

/* Notes what is wrong with the row, unless something was already. */
#define NOTE(problem, ...)                                                     \
    do {                                                                       \
        if (!(problem)->status)                                                \
            (void)sosie_fail((problem), __VA_ARGS__);                          \
    } while (0)

/* Room for n bytes more and a NUL. The limits keep all sums small. */
static bool make_room(struct sosie_csv *csv, size_t n)
{
    size_t wanted = csv->used + n + 1;
    char *more;
    if (wanted <= csv->room)
        return true;
    more = realloc(csv->text, 2 * wanted);
    if (!more)
        return false;
    csv->text = more;
    csv->room = 2 * wanted;
    return true;
}

/* Appends to the field that is being read. */
static void put(struct sosie_csv *csv, const char *from, size_t n,
                struct sosie_error *problem)
{
    size_t field_size = csv->used - csv->starts[csv->n_fields];
    if (problem->status)
        return;
    if (n > SOSIE_CSV_MAX_FIELD_BYTES - field_size)
        NOTE(problem, SOSIE_BAD_INPUT, "field %zu is longer than %d bytes",
             csv->n_fields + 1, SOSIE_CSV_MAX_FIELD_BYTES);
    else if (csv->used + n > SOSIE_CSV_MAX_ROW_BYTES)
        NOTE(problem, SOSIE_BAD_INPUT, "the row is longer than %d bytes",
             SOSIE_CSV_MAX_ROW_BYTES);
    else if (!make_room(csv, n))
        NOTE(problem, SOSIE_NO_MEMORY, "a row of %zu bytes", csv->used + n);
    else if (n) {
        memcpy(csv->text + csv->used, from, n);
        csv->used += n;
    }
}

static bool ends_field(const struct sosie_csv *csv, char c)
{
    return c == csv->separator || c == '\n' || c == '\r';
}

static void read_plain(struct sosie_csv *csv, struct sosie_error *problem)
{
    const char *from = csv->at;
    while (csv->at < csv->end && !ends_field(csv, *csv->at))
        csv->at++;
    put(csv, from, (size_t)(csv->at - from), problem);
}

/* From after the opening quote to after the closing one. */
static void read_quoted(struct sosie_csv *csv, struct sosie_error *problem)
{
    for (;;) {
        const char *from = csv->at;
        const char *quote = memchr(from, '"', (size_t)(csv->end - from));
        csv->at = quote ? quote : csv->end;
        put(csv, from, (size_t)(csv->at - from), problem);
        if (!quote) {
            NOTE(problem, SOSIE_BAD_INPUT,
                 "the file ends inside the quotes of field %zu",
                 csv->n_fields + 1);
            return;
        }
        csv->at++;
        if (csv->at == csv->end || *csv->at != '"')
            return;
        put(csv, csv->at++, 1, problem);
    }
}

static void read_field(struct sosie_csv *csv, struct sosie_error *problem)
{
    const char *from;
    if (csv->at == csv->end || *csv->at != '"') {
        read_plain(csv, problem);
        return;
    }
    csv->at++;
    read_quoted(csv, problem);
    from = csv->at;
    while (csv->at < csv->end && !ends_field(csv, *csv->at))
        csv->at++;
    if (csv->at != from)
        NOTE(problem, SOSIE_BAD_INPUT,
             "text after the closing quote of field %zu", csv->n_fields + 1);
}

/* Ends the field with a NUL. */
static void close_field(struct sosie_csv *csv, struct sosie_error *problem)
{
    size_t start = csv->starts[csv->n_fields], size = csv->used - start;
    if (problem->status)
        return;
    if (csv->n_fields == SOSIE_CSV_MAX_FIELDS)
        NOTE(problem, SOSIE_BAD_INPUT, "more than %d fields",
             SOSIE_CSV_MAX_FIELDS);
    else if (memchr(csv->text + start, 0, size))
        NOTE(problem, SOSIE_BAD_INPUT, "field %zu holds a NUL byte",
             csv->n_fields + 1);
    else if (!sosie_text_is_utf8(csv->text + start, size))
        NOTE(problem, SOSIE_BAD_INPUT, "field %zu is not UTF-8",
             csv->n_fields + 1);
    else {
        csv->text[csv->used++] = 0; /* put() left room for it */
        csv->starts[++csv->n_fields] = csv->used;
    }
}

static void pass_line_end(struct sosie_csv *csv)
{
    if (*csv->at == '\r' && csv->end - csv->at > 1 && csv->at[1] == '\n')
        csv->at++;
    csv->at++;
}

enum sosie_status sosie_csv_next(struct sosie_csv *csv, bool *found,
                                 struct sosie_error *err)
{
    struct sosie_error problem = {.status = SOSIE_OK};

    csv->n_fields = csv->used = 0;
    csv->row++;
    for (; csv->at < csv->end && (*csv->at == '\n' || *csv->at == '\r');
         csv->row++)
        pass_line_end(csv);
    if (csv->at == csv->end) {
        *found = false;
        return SOSIE_OK;
    }
    for (;;) {
        read_field(csv, &problem);
        close_field(csv, &problem);
        if (csv->at == csv->end)
            break;
        if (*csv->at != csv->separator) {
            pass_line_end(csv);
            break;
        }
        csv->at++;
    }
    if (problem.status) {
        if (err)
            *err = problem;
        return problem.status;
    }
    for (size_t i = 0; i < csv->n_fields; i++)
        csv->fields[i] = csv->text + csv->starts[i];
    *found = true;
    return SOSIE_OK;
}
