/* report_drawing.c: curves as SVG, and what was taken for what as a table of
 * coloured cells. */
#include "train/report_private.h"

#include <math.h>
#include <stdlib.h>

/* ---- curves -------------------------------------------------------------- */

enum {
    WIDTH = 720,
    HEIGHT = 260,
    LEFT = 52,
    RIGHT = 12,
    TOP = 10,
    BOTTOM = 38,
    MAX_DOTS = 60 /* points of a line that are drawn as such */
};

/* From numbers to pixels. */
struct axis {
    double low, high;   /* numbers at the ends */
    double from, to;    /* pixels at the ends */
    double first, step; /* ticks */
    int digits;         /* behind the point, of a tick */
};

static double place(const struct axis *axis, double x)
{
    return axis->from +
           (x - axis->low) / (axis->high - axis->low) * (axis->to - axis->from);
}

/* Steps of 1, 2 or 5 times a power of ten, about five of them. */
static void set_ticks(struct axis *axis)
{
    double rough = (axis->high - axis->low) / 5;
    double power = pow(10, floor(log10(rough)));
    double factor = rough / power;
    axis->step = power * (factor < 1.5   ? 1
                          : factor < 3.5 ? 2
                          : factor < 7.5 ? 5
                                         : 10);
    axis->first = ceil(axis->low / axis->step - 1e-9) * axis->step;
    axis->digits = axis->step < 1 ? (int)ceil(-log10(axis->step) - 1e-9) : 0;
}

static bool is_point(const struct sosie_report_series *series, size_t i)
{
    return isfinite(series->x[i]) && isfinite(series->y[i]);
}

/* False if there is no point. */
static bool find_range(const struct sosie_report_curves *curves, bool of_y,
                       struct axis *axis)
{
    axis->low = INFINITY;
    axis->high = -INFINITY;
    for (size_t s = 0; s < curves->n; s++)
        for (size_t i = 0; i < curves->series[s].n; i++) {
            const struct sosie_report_series *series = &curves->series[s];
            double value = of_y ? series->y[i] : series->x[i];
            if (!is_point(series, i))
                continue;
            axis->low = fmin(axis->low, value);
            axis->high = fmax(axis->high, value);
        }
    if (axis->low > axis->high)
        return false;
    if (of_y && curves->from_zero)
        axis->low = fmin(axis->low, 0);
    if (axis->high - axis->low <= 1e-12 * fabs(axis->high) ||
        axis->high <= axis->low) {
        double room = fabs(axis->high) > 0 ? fabs(axis->high) / 10 : 1;
        axis->low -= of_y && curves->from_zero ? 0 : room;
        axis->high += room;
    }
    return true;
}

static void draw_axes(FILE *to, const struct axis *x, const struct axis *y)
{
    for (double at = y->first; at <= y->high + y->step * 1e-6; at += y->step)
        fprintf(to,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" "
                "y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%.*f</text>\n",
                LEFT, WIDTH - RIGHT, place(y, at), place(y, at), LEFT - 8,
                place(y, at) + 4, y->digits,
                fabs(at) < y->step * 1e-6 ? 0 : at);
    for (double at = x->first; at <= x->high + x->step * 1e-6; at += x->step)
        fprintf(to,
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f"
                "</text>\n",
                place(x, at), HEIGHT - BOTTOM + 16, x->digits,
                fabs(at) < x->step * 1e-6 ? 0 : at);
}

/* One run of points from i on; returns where it ends. */
static size_t draw_run(FILE *to, const struct sosie_report_series *series,
                       size_t number, size_t i, const struct axis *x,
                       const struct axis *y)
{
    fprintf(to, "<polyline stroke=\"var(--s%zu)\" points=\"", number);
    for (; i < series->n && is_point(series, i); i++)
        fprintf(to, "%.1f,%.1f ", place(x, series->x[i]),
                place(y, series->y[i]));
    fputs("\"/>\n", to);
    return i;
}

static void draw_series(FILE *to, const struct sosie_report_series *series,
                        size_t number, const struct axis *x,
                        const struct axis *y)
{
    for (size_t i = 0; i < series->n; i++)
        if (is_point(series, i))
            i = draw_run(to, series, number, i, x, y);
    for (size_t i = 0; i < series->n && series->n <= MAX_DOTS; i++)
        if (is_point(series, i))
            fprintf(to,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" "
                    "fill=\"var(--s%zu)\"><title>%g: %.4g</title></circle>\n",
                    place(x, series->x[i]), place(y, series->y[i]), number,
                    series->x[i], series->y[i]);
}

/* Each with the last number that it has. */
static void write_legend(struct sosie_report *report,
                         const struct sosie_report_curves *curves)
{
    fputs("<div class=\"legend\">", report->to);
    for (size_t s = 0; s < curves->n; s++) {
        const struct sosie_report_series *series = &curves->series[s];
        size_t last = series->n;
        while (last && !is_point(series, last - 1))
            last--;
        fprintf(report->to, "<span><i style=\"background:var(--s%zu)\"></i>",
                s);
        sosie_report_escape(report, series->name);
        if (last)
            fprintf(report->to, " <b>%.4g</b>", series->y[last - 1]);
        fputs("</span>\n", report->to);
    }
    fputs("</div>\n", report->to);
}

void sosie_report_curves(struct sosie_report *report,
                         const struct sosie_report_curves *curves)
{
    struct axis x = {.from = LEFT, .to = WIDTH - RIGHT};
    struct axis y = {.from = HEIGHT - BOTTOM, .to = TOP};
    FILE *to = report->to;
    if (!find_range(curves, false, &x) || !find_range(curves, true, &y))
        return;
    set_ticks(&x);
    set_ticks(&y);
    sosie_report_subheading(report, curves->title);
    fprintf(to,
            "<div class=\"card\"><svg viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"",
            WIDTH, HEIGHT);
    sosie_report_escape(report, curves->title);
    fputs("\">\n", to);
    draw_axes(to, &x, &y);
    for (size_t s = 0; s < curves->n; s++)
        draw_series(to, &curves->series[s], s, &x, &y);
    fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT,
            HEIGHT - 4);
    sosie_report_escape(report, curves->x_name);
    fputs("</text></svg>\n", to);
    write_legend(report, curves);
    fputs("</div>\n", to);
}

/* ---- confusion ----------------------------------------------------------- */

enum { MAX_CLASSES = 40, MAX_MISTAKES = 15 };

struct matrix {
    const char *const *names;
    size_t n;
    const uint32_t *counts;
    uint32_t *sums; /* photos of each class */
};

static uint32_t count_at(const struct matrix *matrix, size_t label,
                         size_t guess)
{
    return matrix->counts[label * matrix->n + guess];
}

/* The classes that are drawn, in their own order; returns how many. */
static size_t pick_classes(const struct matrix *matrix,
                           size_t picked[MAX_CLASSES])
{
    size_t n = 0;
    for (size_t c = 0; c < matrix->n; c++) {
        size_t n_larger = 0;
        for (size_t other = 0; other < matrix->n; other++)
            n_larger += matrix->sums[other] > matrix->sums[c] ||
                        (matrix->sums[other] == matrix->sums[c] && other < c);
        if (matrix->sums[c] && n_larger < MAX_CLASSES)
            picked[n++] = c;
    }
    return n;
}

static void write_count(struct sosie_report *report,
                        const struct matrix *matrix, size_t label, size_t guess)
{
    uint32_t count = count_at(matrix, label, guess);
    double share = (double)count / (double)matrix->sums[label];
    if (!count) {
        fputs(label == guess ? "<td class=\"on\"></td>" : "<td></td>",
              report->to);
        return;
    }
    /* The square root: a mistake in 25 is to be seen. */
    fprintf(report->to, "<td%s style=\"--v:%.0f%%\" title=\"",
            label == guess ? " class=\"on\"" : "", sqrt(share) * 75);
    sosie_report_escape(report, matrix->names[label]);
    fputs(label == guess ? " recognised" : " taken for ", report->to);
    if (label != guess)
        sosie_report_escape(report, matrix->names[guess]);
    fprintf(report->to, ": %u of %u\">%u</td>", count, matrix->sums[label],
            count);
}

static void write_matrix(struct sosie_report *report,
                         const struct matrix *matrix)
{
    size_t picked[MAX_CLASSES], n = pick_classes(matrix, picked);
    fputs("<div class=\"card\"><table class=\"matrix\">\n<thead><tr><th></th>",
          report->to);
    for (size_t c = 0; c < n; c++) {
        fputs("<th>", report->to);
        sosie_report_element(report, "span", "span", matrix->names[picked[c]]);
        fputs("</th>", report->to);
    }
    fputs("</tr></thead>\n<tbody>\n", report->to);
    for (size_t l = 0; l < n; l++) {
        fputs("<tr>", report->to);
        sosie_report_element(report, "th", "th", matrix->names[picked[l]]);
        for (size_t g = 0; g < n; g++)
            write_count(report, matrix, picked[l], picked[g]);
        fputs("</tr>\n", report->to);
    }
    fputs("</tbody></table></div>\n", report->to);
}

struct mistake {
    uint32_t count;
    size_t label, guess;
};

/* Keeps the MAX_MISTAKES most frequent, in falling order. */
static void keep(struct mistake *mistakes, size_t *n,
                 const struct mistake *mistake)
{
    size_t at;
    if (*n == MAX_MISTAKES && mistake->count <= mistakes[*n - 1].count)
        return;
    *n += *n < MAX_MISTAKES;
    for (at = *n - 1; at && mistakes[at - 1].count < mistake->count; at--)
        mistakes[at] = mistakes[at - 1];
    mistakes[at] = *mistake;
}

static void write_mistakes(struct sosie_report *report,
                           const struct matrix *matrix)
{
    static const char *const columns[] = {"label", "taken for", "photos", "of",
                                          "share"};
    struct sosie_report_cell cells[MAX_MISTAKES * 5] = {{0}};
    char texts[MAX_MISTAKES][3][24];
    struct mistake mistakes[MAX_MISTAKES];
    size_t n = 0;
    for (size_t l = 0; l < matrix->n; l++)
        for (size_t g = 0; g < matrix->n; g++)
            if (l != g && count_at(matrix, l, g))
                keep(mistakes, &n,
                     &(struct mistake){count_at(matrix, l, g), l, g});
    for (size_t i = 0; i < n; i++) {
        const struct mistake *mistake = &mistakes[i];
        uint32_t all = matrix->sums[mistake->label];
        double share = (double)mistake->count / (double)all;
        snprintf(texts[i][0], sizeof(texts[i][0]), "%u", mistake->count);
        snprintf(texts[i][1], sizeof(texts[i][1]), "%u", all);
        snprintf(texts[i][2], sizeof(texts[i][2]), "%.0f%%", share * 100);
        cells[i * 5].text = matrix->names[mistake->label];
        cells[i * 5 + 1].text = matrix->names[mistake->guess];
        for (size_t t = 0; t < 3; t++)
            cells[i * 5 + 2 + t].text = texts[i][t];
        cells[i * 5 + 4].share = share;
    }
    if (n)
        sosie_report_table(report, &(struct sosie_report_table){
                                       .caption = "The most frequent mistakes",
                                       .columns = columns,
                                       .n_columns = 5,
                                       .n_rows = n,
                                       .cells = cells});
}

void sosie_report_confusion(struct sosie_report *report,
                            const char *const *names, size_t n,
                            const uint32_t *counts)
{
    struct matrix matrix = {.names = names,
                            .n = n,
                            .counts = counts,
                            .sums = calloc(n + 1, sizeof(*matrix.sums))};
    size_t n_used = 0;
    if (!matrix.sums) {
        report->failed = true;
        return;
    }
    for (size_t l = 0; l < n; l++) {
        for (size_t g = 0; g < n; g++)
            matrix.sums[l] += count_at(&matrix, l, g);
        n_used += matrix.sums[l] > 0;
    }
    if (n_used) {
        sosie_report_text(report,
                          "Rows are what a photo is, columns what it was taken "
                          "for; the stronger the colour, the larger the share "
                          "of its row.%s",
                          n_used > MAX_CLASSES
                              ? " Drawn are the 40 most frequent classes."
                              : "");
        write_matrix(report, &matrix);
        write_mistakes(report, &matrix);
    }
    free(matrix.sums);
}
