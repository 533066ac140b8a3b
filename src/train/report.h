/* report.h: what was measured, as one HTML file that needs no other.
 *
 * A report is written from top to bottom: begin, then headings, tables, curves
 * and sheets of photos in any order, then end. Styles, drawings (SVG) and
 * photos (JPEG in base64) are inside the file; there are no scripts. It follows
 * the reader's light or dark. All text given is escaped here.
 *
 * Running out of memory on the way is told by sosie_report_end. Unshared. */
#ifndef SOSIE_TRAIN_REPORT_H
#define SOSIE_TRAIN_REPORT_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sosie_report;

/* `subtitle` stands smaller below the title; may be NULL. */
SOSIE_MUST_CHECK enum sosie_status sosie_report_begin(const char *title,
                                                      const char *subtitle,
                                                      struct sosie_report **out,
                                                      struct sosie_error *err);

/* Ends the report and writes it whole or not at all (base/file.h). Errors:
 * NO_MEMORY, IO. The report is still to be destroyed. */
SOSIE_MUST_CHECK enum sosie_status sosie_report_end(struct sosie_report *report,
                                                    const char *path,
                                                    struct sosie_error *err);
/* NULL is allowed. */
void sosie_report_destroy(struct sosie_report *report);

/* ---- text ---------------------------------------------------------------- */

void sosie_report_heading(struct sosie_report *report, const char *text);
void sosie_report_subheading(struct sosie_report *report, const char *text);
void sosie_report_text(struct sosie_report *report, const char *format, ...)
    SOSIE_PRINTF(2, 3);

/* A number that is to be seen first, with what it is; several stand side by
 * side. `note` may be NULL. */
struct sosie_report_fact {
    const char *value, *name, *note;
};
void sosie_report_facts(struct sosie_report *report,
                        const struct sosie_report_fact *facts, size_t n);

/* ---- tables -------------------------------------------------------------- */

enum sosie_report_mark {
    SOSIE_MARK_NONE,
    SOSIE_MARK_BEST, /* bold */
    SOSIE_MARK_GOOD,
    SOSIE_MARK_BAD
};

struct sosie_report_cell {
    const char *text;            /* NULL: empty */
    double share;                /* 0..1: a bar of this length; 0: none */
    enum sosie_report_mark mark; /* */
};

struct sosie_report_table {
    const char *caption;        /* may be NULL */
    const char *const *columns; /* names; the first column is words, the others
                                   stand to the right */
    size_t n_columns, n_rows;
    const struct sosie_report_cell *cells; /* (n_rows, n_columns) */
};
void sosie_report_table(struct sosie_report *report,
                        const struct sosie_report_table *table);

/* ---- drawings ------------------------------------------------------------ */

enum { SOSIE_REPORT_MAX_SERIES = 6 };

struct sosie_report_series {
    const char *name;
    size_t n;
    const double *x, *y; /* x rises; a y of NAN parts the line */
};

struct sosie_report_curves {
    const char *title, *x_name;
    size_t n; /* up to SOSIE_REPORT_MAX_SERIES */
    const struct sosie_report_series *series;
    bool from_zero; /* the y axis starts at 0 */
};
void sosie_report_curves(struct sosie_report *report,
                         const struct sosie_report_curves *curves);

/* What was taken for what: counts (n, n) by the label, then by the guess. Of
 * many classes the 40 most frequent are drawn; below, the mistakes that are
 * made most often. */
void sosie_report_confusion(struct sosie_report *report,
                            const char *const *names, size_t n,
                            const uint32_t *counts);

/* ---- sheets of photos ---------------------------------------------------- */

struct sosie_report_photo {
    const void *jpeg;
    size_t size;
    const char *caption; /* may be NULL */
    enum sosie_report_mark mark;
};

/* Rows of a query and its hits. */
void sosie_report_sheet_begin(struct sosie_report *report);
void sosie_report_sheet_row(struct sosie_report *report,
                            const struct sosie_report_photo *query,
                            const struct sosie_report_photo *hits, size_t n);
void sosie_report_sheet_end(struct sosie_report *report);

#endif
