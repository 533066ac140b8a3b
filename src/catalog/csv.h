/* csv.h: rows of a CSV or TSV file, one at a time (RFC 4180).
 *
 * Fields are separated by one character; a field in double quotes may hold
 * separators, line breaks and doubled quotes. Rows end with LF, CRLF or CR; a
 * byte order mark and blank lines are passed over. A quote inside a field that
 * does not begin with one stands for itself. Text is UTF-8 without NUL.
 *
 * Rows are numbered as a spreadsheet shows them: the first is row 1, blank
 * lines count, line breaks inside quotes do not.
 *
 * Threads: unshared. */
#ifndef SOSIE_CATALOG_CSV_H
#define SOSIE_CATALOG_CSV_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    SOSIE_CSV_MAX_FIELDS = 1024,
    SOSIE_CSV_MAX_FIELD_BYTES = 1 << 20,
    SOSIE_CSV_MAX_ROW_BYTES = 4 << 20
};

struct sosie_csv {
    /* The row just read. The fields are the caller's to change until the next
     * call; each ends with a NUL. */
    size_t row;
    size_t n_fields;
    char *fields[SOSIE_CSV_MAX_FIELDS];

    /* The reader's own. */
    const char *at, *end;
    char separator;
    char *text; /* the fields' bytes, one after another */
    size_t used, room;
    size_t starts[SOSIE_CSV_MAX_FIELDS + 1]; /* in `text` */
};

/* Reads from memory, which must stay while the reader is in use. */
void sosie_csv_init(struct sosie_csv *csv, const char *bytes, size_t size,
                    char separator);
void sosie_csv_release(struct sosie_csv *csv);

/* Reads the next row; *found is false at the end.
 *
 * Errors: BAD_INPUT if this row (whose number is in csv->row) is malformed or
 * exceeds a limit; the next call goes on after it. NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_csv_next(struct sosie_csv *csv, bool *found, struct sosie_error *err);

#endif
