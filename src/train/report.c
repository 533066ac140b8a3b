/* report.c: text, tables and sheets of photos as HTML; report_drawing.c has the
 * curves and the confusion matrix, report_style.c the looks. */
#include "train/report_private.h"

#include "base/file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- begin and end ------------------------------------------------------- */

enum sosie_status sosie_report_begin(const char *title, const char *subtitle,
                                     struct sosie_report **out,
                                     struct sosie_error *err)
{
    struct sosie_report *report = calloc(1, sizeof(*report));
    if (report)
        report->to = open_memstream(&report->text, &report->size);
    if (!report || !report->to) {
        free(report);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a report");
    }
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta "
          "charset=\"utf-8\">\n<title>",
          report->to);
    sosie_report_escape(report, title);
    fputs("</title>\n"
          "<meta name=\"viewport\" content=\"width=device-width, "
          "initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n",
          report->to);
    for (size_t i = 0; sosie_report_style[i]; i++)
        fprintf(report->to, "%s\n", sosie_report_style[i]);
    fputs("</style>\n</head>\n<body>\n<h1>", report->to);
    sosie_report_escape(report, title);
    fputs("</h1>\n", report->to);
    if (subtitle)
        sosie_report_element(report, "p class=\"sub\"", "p", subtitle);
    *out = report;
    return SOSIE_OK;
}

enum sosie_status sosie_report_end(struct sosie_report *report,
                                   const char *path, struct sosie_error *err)
{
    struct sosie_span span;
    bool failed;
    fputs("</body>\n</html>\n", report->to);
    failed = report->failed || ferror(report->to);
    failed = fclose(report->to) || failed;
    report->to = NULL;
    if (failed)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a report");
    span = (struct sosie_span){report->text, report->size};
    return sosie_file_write(path, &span, 1, err);
}

void sosie_report_destroy(struct sosie_report *report)
{
    if (!report)
        return;
    if (report->to)
        fclose(report->to);
    free(report->text);
    free(report);
}

/* ---- text ---------------------------------------------------------------- */

void sosie_report_escape(struct sosie_report *report, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", report->to);
            break;
        case '<':
            fputs("&lt;", report->to);
            break;
        case '>':
            fputs("&gt;", report->to);
            break;
        case '"':
            fputs("&quot;", report->to);
            break;
        default:
            putc(*text, report->to);
        }
}

void sosie_report_element(struct sosie_report *report, const char *opening,
                          const char *name, const char *text)
{
    fprintf(report->to, "<%s>", opening);
    sosie_report_escape(report, text);
    fprintf(report->to, "</%s>\n", name);
}

void sosie_report_heading(struct sosie_report *report, const char *text)
{
    sosie_report_element(report, "h2", "h2", text);
}

void sosie_report_subheading(struct sosie_report *report, const char *text)
{
    sosie_report_element(report, "h3", "h3", text);
}

void sosie_report_text(struct sosie_report *report, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int n;
    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        report->failed = true;
        return;
    }
    sosie_report_element(report, "p", "p", text);
    free(text);
}

void sosie_report_facts(struct sosie_report *report,
                        const struct sosie_report_fact *facts, size_t n)
{
    fputs("<div class=\"facts\">\n", report->to);
    for (size_t i = 0; i < n; i++) {
        fputs("<div class=\"card\">", report->to);
        sosie_report_element(report, "b", "b", facts[i].value);
        sosie_report_element(report, "span", "span", facts[i].name);
        if (facts[i].note)
            sosie_report_element(report, "small", "small", facts[i].note);
        fputs("</div>\n", report->to);
    }
    fputs("</div>\n", report->to);
}

/* ---- tables -------------------------------------------------------------- */

static const char *class_of(enum sosie_report_mark mark)
{
    switch (mark) {
    case SOSIE_MARK_BEST:
        return "best";
    case SOSIE_MARK_GOOD:
        return "good";
    case SOSIE_MARK_BAD:
        return "bad";
    case SOSIE_MARK_NONE:
        break;
    }
    return "";
}

static void write_cell(struct sosie_report *report,
                       const struct sosie_report_cell *cell)
{
    fputs("<td", report->to);
    if (cell->mark || cell->share > 0)
        fprintf(report->to, " class=\"%s%s\"", class_of(cell->mark),
                cell->share > 0 ? " bar" : "");
    if (cell->share > 0)
        fprintf(report->to, " style=\"--v:%.1f%%\"", cell->share * 100);
    putc('>', report->to);
    if (cell->text)
        sosie_report_escape(report, cell->text);
    fputs("</td>", report->to);
}

void sosie_report_table(struct sosie_report *report,
                        const struct sosie_report_table *table)
{
    fputs("<div class=\"card\"><table>\n", report->to);
    if (table->caption)
        sosie_report_element(report, "caption", "caption", table->caption);
    fputs("<thead><tr>", report->to);
    for (size_t c = 0; c < table->n_columns; c++)
        sosie_report_element(report, "th", "th", table->columns[c]);
    fputs("</tr></thead>\n<tbody>\n", report->to);
    for (size_t r = 0; r < table->n_rows; r++) {
        fputs("<tr>", report->to);
        for (size_t c = 0; c < table->n_columns; c++)
            write_cell(report, &table->cells[r * table->n_columns + c]);
        fputs("</tr>\n", report->to);
    }
    fputs("</tbody></table></div>\n", report->to);
}

/* ---- sheets of photos ---------------------------------------------------- */

static void write_base64(struct sosie_report *report, const void *bytes,
                         size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = bytes;
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t three = (uint32_t)from[i] << 16;
        three |= n > 1 ? (uint32_t)from[i + 1] << 8 : 0;
        three |= n > 2 ? (uint32_t)from[i + 2] : 0;
        putc(letters[three >> 18], report->to);
        putc(letters[three >> 12 & 63], report->to);
        putc(n > 1 ? letters[three >> 6 & 63] : '=', report->to);
        putc(n > 2 ? letters[three & 63] : '=', report->to);
    }
}

static void write_photo(struct sosie_report *report,
                        const struct sosie_report_photo *photo,
                        const char *class)
{
    fprintf(report->to,
            "<figure class=\"%s\"><img loading=\"lazy\" alt=\"\" "
            "src=\"data:image/jpeg;base64,",
            class);
    write_base64(report, photo->jpeg, photo->size);
    fputs("\">", report->to);
    if (photo->caption)
        sosie_report_element(report, "figcaption", "figcaption",
                             photo->caption);
    fputs("</figure>\n", report->to);
}

void sosie_report_sheet_begin(struct sosie_report *report)
{
    fputs("<div class=\"card\">\n", report->to);
}

void sosie_report_sheet_row(struct sosie_report *report,
                            const struct sosie_report_photo *query,
                            const struct sosie_report_photo *hits, size_t n)
{
    fputs("<div class=\"row\">\n", report->to);
    write_photo(report, query, "query");
    for (size_t i = 0; i < n; i++)
        write_photo(report, &hits[i], class_of(hits[i].mark));
    fputs("</div>\n", report->to);
}

void sosie_report_sheet_end(struct sosie_report *report)
{
    fputs("</div>\n", report->to);
}
