/* evaluate_report.c: an evaluation as an HTML page: numbers first, then what
 * was taken for what, then photos with what was found for them. */
#include "train/evaluate.h"

#include "base/file.h"
#include "base/random.h"
#include "train/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THUMB_SIDE = 144, /* pixels, the longer side */
    THUMB_QUALITY = 78,
    N_SHOWN = 8, /* hits of a query */
    N_ROWS = 8,  /* queries of a sheet */
    SHEET_SEED = 4
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Texts of cells, valid until the page is written. */
struct page {
    const struct sosie_evaluations *found;
    const struct sosie_judgement *judgement;
    struct sosie_report *report;
    struct sosie_arena arena;
    bool failed; /* no memory for a text */
};

/* Marks the page as failed if the text could not be made. */
static const char *made(struct page *page, const char *text)
{
    page->failed = page->failed || !text;
    return text ? text : "";
}

static const char *fixed(struct page *page, double value)
{
    if (isnan(value))
        return "\u2013";
    return made(page, sosie_arena_printf(&page->arena, "%.3f", value));
}

static const char *difference(struct page *page, double value)
{
    return made(page, sosie_arena_printf(&page->arena, "%+.4f", value));
}

/* 12345 as "12,345". */
static const char *whole(struct page *page, size_t value)
{
    char text[32];
    size_t at = sizeof(text) - 1, n = 0;
    text[at] = 0;
    do {
        if (n && n % 3 == 0)
            text[--at] = ',';
        text[--at] = (char)('0' + value % 10);
        value /= 10;
        n++;
    } while (value);
    return made(page, sosie_arena_strdup(&page->arena, text + at));
}

static const char *kind_name(struct page *page, const struct sosie_kind *kind)
{
    if (kind->what == SOSIE_KIND_PRECISION)
        return made(page,
                    sosie_arena_printf(&page->arena, "%s @12", kind->name));
    if (kind->what == SOSIE_KIND_TOP_1 || kind->what == SOSIE_KIND_TOP_5)
        return made(page,
                    sosie_arena_printf(&page->arena, "class %s", kind->name));
    return kind->name;
}

/* ---- facts --------------------------------------------------------------- */

/* The kind that says most: all labels together, or the only one. */
static size_t main_kind(const struct sosie_evaluations *found)
{
    size_t kind = 0;
    for (size_t k = 0; k < found->n_kinds; k++)
        if (found->kinds[k].what == SOSIE_KIND_PRECISION)
            kind = k;
    return kind;
}

static const char *fact_name(const struct sosie_kind *kind)
{
    switch (kind->what) {
    case SOSIE_KIND_RECALL_1:
        return "same product first (R@1)";
    case SOSIE_KIND_MAP:
        return "same product, mAP@12";
    case SOSIE_KIND_TOP_1:
        return "class right";
    case SOSIE_KIND_PRECISION:
    case SOSIE_KIND_RECALL:
    case SOSIE_KIND_RECALL_OTHER:
    case SOSIE_KIND_TOP_5:
        break;
    }
    return NULL;
}

static void write_facts(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    const struct sosie_evaluation *first = &found->models[0];
    struct sosie_report_fact facts[6];
    size_t n = 0, main = main_kind(found);
    if (!found->n_kinds)
        return;
    facts[n++] = (struct sosie_report_fact){
        fixed(page, first->ways[0].means[main]),
        found->n_columns > 1 ? "of 12 hits have all labels"
                             : "of 12 hits have the label",
        base_name(first->model)};
    for (size_t k = 0; k < found->n_kinds && n < 5; k++) {
        const char *name = fact_name(&found->kinds[k]);
        if (name && found->kinds[k].n)
            facts[n++] =
                (struct sosie_report_fact){fixed(page, first->ways[0].means[k]),
                                           name, base_name(first->model)};
    }
    facts[n++] = (struct sosie_report_fact){
        whole(page, found->n_queries), "queries",
        made(page, sosie_arena_printf(&page->arena, "among %s photos",
                                      whole(page, found->n_rows)))};
    sosie_report_facts(page->report, facts, n);
}

/* ---- tables -------------------------------------------------------------- */

/* The best number of a column, among all models' default ways or all ways. */
static double best_of(const struct sosie_evaluations *found, size_t kind)
{
    double best = -INFINITY;
    for (size_t m = 0; m < found->n; m++)
        for (size_t way = 0; way < found->models[m].n_ways; way++)
            best = fmax(best, found->models[m].ways[way].means[kind]);
    return best;
}

static void write_way(struct page *page, const struct sosie_evaluation *model,
                      size_t way, struct sosie_report_cell *cells)
{
    const struct sosie_evaluations *found = page->found;
    cells[0].text = model->ways[way].name;
    if (found->n > 1)
        cells[0].text = made(page, sosie_arena_printf(&page->arena, "%s: %s",
                                                      base_name(model->model),
                                                      cells[0].text));
    for (size_t k = 0; k < found->n_kinds; k++) {
        double mean = model->ways[way].means[k];
        cells[k + 1].text = fixed(page, mean);
        cells[k + 1].share = isnan(mean) ? 0 : mean;
        if (mean >= best_of(found, k))
            cells[k + 1].mark = SOSIE_MARK_BEST;
    }
}

static void write_ways(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    enum { MAX_ROWS = SOSIE_EVALUATE_MAX_MODELS * SOSIE_EVALUATE_MAX_WAYS };
    const char *columns[SOSIE_MAX_KINDS + 1] = {""};
    struct sosie_report_cell *cells =
        calloc((size_t)MAX_ROWS * (SOSIE_MAX_KINDS + 1), sizeof(*cells));
    struct sosie_report_table table = {
        .columns = columns, .n_columns = found->n_kinds + 1, .cells = cells};
    if (!cells) {
        page->failed = true;
        return;
    }
    for (size_t k = 0; k < found->n_kinds; k++)
        columns[k + 1] = kind_name(page, &found->kinds[k]);
    for (size_t m = 0; m < found->n; m++)
        for (size_t way = 0; way < found->models[m].n_ways; way++)
            write_way(page, &found->models[m], way,
                      cells + table.n_rows++ * table.n_columns);
    sosie_report_table(page->report, &table);
    free(cells);
}

static void write_models(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    static const char *const columns[] = {
        "model",      "precision", "dimensions",
        "parameters", "photos/s",  "aspects and their weights"};
    enum { N = sizeof(columns) / sizeof(*columns) };
    struct sosie_report_cell cells[SOSIE_EVALUATE_MAX_MODELS * N] = {{0}};
    for (size_t m = 0; m < found->n; m++) {
        const struct sosie_evaluation *model = &found->models[m];
        char aspects[200] = "";
        for (size_t j = 0, used = 0; j < model->n_aspects; j++)
            if (model->weights[j] > 0 && used < sizeof(aspects))
                used += (size_t)snprintf(aspects + used, sizeof(aspects) - used,
                                         "%s%s^%u %zu: %g", j ? ", " : "",
                                         model->aspects[j], model->degrees[j],
                                         model->dims[j], model->weights[j]);
        cells[m * N].text = base_name(model->model);
        cells[m * N + 1].text = sosie_precision_name(model->precision);
        cells[m * N + 2].text = whole(page, model->dim);
        cells[m * N + 3].text = whole(page, model->n_parameters);
        cells[m * N + 4].text = whole(page, (size_t)model->photos_per_second);
        cells[m * N + 5].text =
            made(page, sosie_arena_strdup(&page->arena, aspects));
    }
    sosie_report_table(page->report,
                       &(struct sosie_report_table){.columns = columns,
                                                    .n_columns = N,
                                                    .n_rows = found->n,
                                                    .cells = cells});
}

static void write_judgement(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    const struct sosie_judgement *judgement = page->judgement;
    static const char *const columns[] = {
        "", "old", "new", "difference", "95% interval from", "to", "verdict"};
    enum { N = sizeof(columns) / sizeof(*columns) };
    struct sosie_report_cell cells[SOSIE_MAX_KINDS * N] = {{0}};
    struct sosie_report_table table = {
        .columns = columns, .n_columns = N, .cells = cells};
    for (size_t k = 0; k < found->n_kinds; k++) {
        const struct sosie_comparison *one = &judgement->kinds[k];
        struct sosie_report_cell *row = cells + table.n_rows * N;
        if (!one->n)
            continue;
        row[0].text = kind_name(page, &found->kinds[k]);
        row[1].text = fixed(page, one->before);
        row[2].text = fixed(page, one->after);
        row[3].text = difference(page, one->difference);
        row[4].text = difference(page, one->low);
        row[5].text = difference(page, one->high);
        row[6].text = sosie_verdict_text(one->what);
        row[6].mark = one->what == SOSIE_BETTER  ? SOSIE_MARK_GOOD
                      : one->what == SOSIE_WORSE ? SOSIE_MARK_BAD
                                                 : SOSIE_MARK_NONE;
        table.n_rows++;
    }
    sosie_report_heading(page->report, "New against old");
    sosie_report_text(page->report,
                      "%s against %s, by default weights: %s. The interval is "
                      "that of the difference, by bootstrap over products and "
                      "groups.",
                      base_name(found->models[0].model),
                      base_name(found->models[found->n - 1].model),
                      judgement->is_mixed
                          ? "better in some, worse in others"
                          : sosie_verdict_text(judgement->verdict));
    sosie_report_table(page->report, &table);
}

static void write_robustness(struct page *page,
                             const struct sosie_evaluation *model)
{
    const struct sosie_evaluations *found = page->found;
    const char *columns[3 + SOSIE_DATASET_MAX_COLUMNS + 1] = {"", "queries",
                                                              "hits kept"};
    struct sosie_report_cell
        cells[SOSIE_N_CHANGES * (3 + SOSIE_DATASET_MAX_COLUMNS + 1)] = {{0}};
    struct sosie_report_table table = {
        .columns = columns, .n_columns = 3, .cells = cells};
    for (size_t k = 0; k < found->n_kinds; k++)
        if (found->kinds[k].what == SOSIE_KIND_PRECISION)
            columns[table.n_columns++] = kind_name(page, &found->kinds[k]);
    if (found->n > 1)
        table.caption = base_name(model->model);
    for (size_t c = 0; c < SOSIE_N_CHANGES; c++) {
        const struct sosie_robustness *robust = &model->robustness[c];
        struct sosie_report_cell *row = cells + table.n_rows * table.n_columns;
        if (!robust->n)
            continue;
        table.n_rows++;
        row[0].text = sosie_change_text((enum sosie_change)c);
        row[1].text = whole(page, robust->n);
        row[2].text = fixed(page, robust->kept);
        row[2].share = robust->kept;
        for (size_t i = 3; i < table.n_columns; i++)
            row[i].text =
                made(page, sosie_arena_printf(&page->arena, "%.3f \u2192 %.3f",
                                              robust->before[i - 3],
                                              robust->after[i - 3]));
    }
    sosie_report_table(page->report, &table);
}

/* ---- precision by k ------------------------------------------------------ */

/* Share of the first k hits with all labels, for k = 1 .. SOSIE_VOTERS. */
static bool trace(const struct page *page, const struct sosie_ranking *ranking,
                  const int32_t *const *labels, double *y)
{
    double *values = calloc(ranking->n, sizeof(*values));
    if (!values)
        return false;
    for (size_t k = 1; k <= SOSIE_VOTERS; k++) {
        sosie_precision_at(ranking, k, labels, page->found->n_columns, values);
        y[k - 1] = sosie_metric_mean(values, ranking->n, NULL);
    }
    free(values);
    return true;
}

static void write_curves(struct page *page, const int32_t *const *labels)
{
    const struct sosie_evaluations *found = page->found;
    double x[SOSIE_VOTERS], y[SOSIE_REPORT_MAX_SERIES][SOSIE_VOTERS];
    struct sosie_report_series series[SOSIE_REPORT_MAX_SERIES];
    struct sosie_report_curves curves = {
        .title = found->n_columns > 1
                     ? "Share of the first k hits that have all labels"
                     : "Share of the first k hits that have the label",
        .x_name = "k",
        .series = series};
    for (size_t k = 0; k < SOSIE_VOTERS; k++)
        x[k] = (double)(k + 1);
    for (size_t m = 0; m < found->n && m < SOSIE_REPORT_MAX_SERIES; m++) {
        page->failed |= !trace(page, &found->models[m].ranking, labels, y[m]);
        series[curves.n++] = (struct sosie_report_series){
            base_name(found->models[m].model), SOSIE_VOTERS, x, y[m]};
    }
    if (!page->failed)
        sosie_report_curves(page->report, &curves);
}

/* ---- sheets of photos ---------------------------------------------------- */

static enum sosie_status make_thumb(const struct sosie_dataset_photo *photo,
                                    unsigned char **jpeg, size_t *size,
                                    struct sosie_error *err)
{
    struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(), .min_side = THUMB_SIDE};
    struct sosie_image image = {0}, small = {0};
    unsigned char *bytes;
    double scale;
    enum sosie_status st = sosie_file_read(
        photo->file, options.limits.max_bytes, &bytes, size, err);
    if (st)
        return st;
    st = sosie_image_decode(bytes, *size, &options, &image, err);
    free(bytes);
    if (st)
        return st;
    scale = fmin(1, (double)THUMB_SIDE / fmax(image.width, image.height));
    small.width = (uint32_t)fmax(1, round(image.width * scale));
    small.height = (uint32_t)fmax(1, round(image.height * scale));
    small.rgb = malloc((size_t)small.width * small.height * 3);
    st = small.rgb ? sosie_image_fit(&image, SOSIE_FIT_SQUASH, small.width,
                                     small.height, small.rgb, err)
                   : sosie_fail(err, SOSIE_NO_MEMORY, "a thumbnail");
    if (!st)
        st = sosie_jpeg_encode(&small, THUMB_QUALITY, jpeg, size, err);
    sosie_image_release(&image);
    sosie_image_release(&small);
    return st;
}

/* "Tshirts, Blue, Men". */
static const char *labels_text(struct page *page,
                               const struct sosie_dataset_photo *photo)
{
    const struct sosie_evaluations *found = page->found;
    char text[160] = "";
    size_t used = 0;
    for (size_t c = 0; c < found->n_columns && used < sizeof(text); c++) {
        const struct sosie_dataset_column *column =
            &found->dataset->columns[found->columns[c]];
        int32_t label = photo->labels[found->columns[c]];
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
                                 c ? ", " : "",
                                 label < 0 ? "\u2013" : column->values[label]);
    }
    return made(page, sosie_arena_strdup(&page->arena, text));
}

/* All labels right: good; another class: bad. */
static enum sosie_report_mark mark_of(const struct sosie_evaluations *found,
                                      const struct sosie_dataset_photo *query,
                                      const struct sosie_dataset_photo *hit)
{
    size_t n_right = 0;
    for (size_t c = 0; c < found->n_columns; c++)
        n_right +=
            query->labels[found->columns[c]] == hit->labels[found->columns[c]];
    if (n_right == found->n_columns)
        return SOSIE_MARK_GOOD;
    return query->labels[found->class_column] ==
                   hit->labels[found->class_column]
               ? SOSIE_MARK_NONE
               : SOSIE_MARK_BAD;
}

/* Photos that have gone meanwhile are left out of the sheet. */
static void write_row(struct page *page, const struct sosie_evaluation *model,
                      size_t query)
{
    const struct sosie_evaluations *found = page->found;
    const struct sosie_dataset_photo *all = found->dataset->photos, *own;
    struct sosie_report_photo photos[N_SHOWN + 1] = {{0}};
    unsigned char *jpegs[N_SHOWN + 1] = {NULL};
    size_t n = 0;
    own = &all[found->photos[found->queries[query]]];
    for (size_t i = 0; i <= N_SHOWN; i++) {
        const struct sosie_dataset_photo *photo = own;
        if (i) {
            uint32_t row =
                model->ranking.hits[query * model->ranking.k + i - 1];
            if (row == SOSIE_NO_HIT)
                break;
            photo = &all[found->photos[row]];
            photos[n].mark = mark_of(found, own, photo);
        }
        photos[n].caption = labels_text(page, photo);
        if (!make_thumb(photo, &jpegs[n], &photos[n].size, NULL)) {
            photos[n].jpeg = jpegs[n];
            n++;
        } else if (!i) {
            return;
        }
    }
    sosie_report_sheet_row(page->report, &photos[0], photos + 1, n - 1);
    for (size_t i = 0; i < n; i++)
        free(jpegs[i]);
}

struct scored {
    double value;
    size_t query;
};

static int by_value(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->value < y->value || x->value > y->value)
        return x->value < y->value ? -1 : 1;
    return x->query < y->query ? -1 : x->query > y->query;
}

/* Some queries of a range of those sorted. */
static void write_sheet(struct page *page, const struct sosie_evaluation *model,
                        const char *title, struct scored *scored, size_t n)
{
    struct sosie_random random;
    sosie_random_seed(&random, SHEET_SEED);
    sosie_report_subheading(page->report, title);
    sosie_report_sheet_begin(page->report);
    for (size_t i = 0; i < n && i < N_ROWS; i++) {
        size_t other = i + (size_t)sosie_random_below(&random, n - i);
        struct scored picked = scored[other];
        scored[other] = scored[i];
        scored[i] = picked;
        write_row(page, model, picked.query);
    }
    sosie_report_sheet_end(page->report);
}

static void write_sheets(struct page *page,
                         const struct sosie_evaluation *model)
{
    const struct sosie_evaluations *found = page->found;
    const double *values = model->ways[0].values[main_kind(found)];
    struct scored *scored = calloc(found->n_queries, sizeof(*scored));
    size_t n = 0, tenth;
    if (!scored) {
        page->failed = true;
        return;
    }
    for (size_t q = 0; q < found->n_queries; q++)
        if (!isnan(values[q]))
            scored[n++] = (struct scored){values[q], q};
    qsort(scored, n, sizeof(*scored), by_value);
    tenth = n < 2 * N_ROWS ? n / 2 : n / 10 > N_ROWS ? n / 10 : N_ROWS;
    write_sheet(page, model, "From the worst tenth", scored, tenth);
    write_sheet(page, model, "From the middle", scored + tenth, n - 2 * tenth);
    write_sheet(page, model, "From the best tenth", scored + n - tenth, tenth);
    free(scored);
}

static void write_photos(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    sosie_report_heading(page->report, "What was found");
    sosie_report_text(page->report,
                      "Queries on the left, drawn at random, and their first "
                      "hits by default weights. \u2713: all labels are the "
                      "query's; \u2717: it is of another class.");
    for (size_t m = 0; m < found->n; m++) {
        if (found->n > 1)
            sosie_report_heading(page->report,
                                 base_name(found->models[m].model));
        write_sheets(page, &found->models[m]);
    }
}

/* ---- the page ------------------------------------------------------------ */

static void write_confusions(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    const struct sosie_dataset_column *column =
        &found->dataset->columns[found->class_column];
    sosie_report_heading(page->report, "What was taken for what");
    for (size_t m = 0; m < found->n; m++) {
        const struct sosie_evaluation *model = &found->models[m];
        if (found->n > 1)
            sosie_report_subheading(page->report, base_name(model->model));
        sosie_report_text(page->report,
                          model->by_labels
                              ? "The classes are those of the model's labels."
                              : "The model has no labels for these classes: "
                                "the 24 nearest photos vote.");
        sosie_report_confusion(page->report, column->values, column->n_values,
                               model->confusion);
    }
}

static void write_numbers(struct page *page)
{
    const struct sosie_evaluations *found = page->found;
    write_facts(page);
    sosie_report_heading(page->report, "Numbers");
    sosie_report_text(page->report,
                      "Photos of the split val are searched for among %s, "
                      "without themselves%s. @12: the share of the 12 nearest "
                      "that have the query's label. R@1: the nearest is "
                      "another photo of its product; R@1*: in another colour, "
                      "those in the same left out.",
                      found->gallery_val ? "each other" : "train and val",
                      found->has_groups ? " and what is of their group" : "");
    write_ways(page);
    write_models(page);
    if (page->judgement)
        write_judgement(page);
    if (!found->n_changed)
        return;
    sosie_report_heading(page->report, "When the photo is changed");
    sosie_report_text(page->report,
                      "Each of %zu queries is changed and searched for again: "
                      "the share of its first 12 hits that are still among "
                      "them, and the precision before and after.",
                      found->n_changed);
    for (size_t m = 0; m < found->n; m++)
        write_robustness(page, &found->models[m]);
}

/* Labels of the rows, by column in use. */
static bool collect_labels(struct page *page, const int32_t **labels)
{
    const struct sosie_evaluations *found = page->found;
    for (size_t c = 0; c < found->n_columns; c++) {
        int32_t *column =
            sosie_arena_alloc(&page->arena, found->n_rows, sizeof(*column));
        if (!column)
            return false;
        for (size_t i = 0; i < found->n_rows; i++)
            column[i] = found->dataset->photos[found->photos[i]]
                            .labels[found->columns[c]];
        labels[c] = column;
    }
    return true;
}

static void write_page(struct page *page)
{
    const int32_t *labels[SOSIE_DATASET_MAX_COLUMNS];
    write_numbers(page);
    if (!page->found->n_columns)
        return;
    if (!collect_labels(page, labels)) {
        page->failed = true;
        return;
    }
    write_curves(page, labels);
    write_confusions(page);
    write_photos(page);
}

enum sosie_status
sosie_evaluations_report_into(const struct sosie_evaluations *found,
                              const struct sosie_judgement *judgement,
                              struct sosie_report *report,
                              struct sosie_error *err)
{
    struct page page = {
        .found = found, .judgement = judgement, .report = report};
    write_page(&page);
    sosie_arena_release(&page.arena);
    return page.failed ? sosie_fail(err, SOSIE_NO_MEMORY, "a report")
                       : SOSIE_OK;
}

enum sosie_status
sosie_evaluations_report(const struct sosie_evaluations *found,
                         const struct sosie_judgement *judgement,
                         const char *path, struct sosie_error *err)
{
    struct sosie_report *report = NULL;
    char title[300];
    enum sosie_status st;
    snprintf(title, sizeof(title), "%s%s%s", base_name(found->models[0].model),
             found->n > 1 ? " and " : "",
             found->n > 2   ? "others"
             : found->n > 1 ? base_name(found->models[1].model)
                            : "");
    st = sosie_report_begin(title, "How well it finds: sosie " SOSIE_VERSION,
                            &report, err);
    if (!st)
        st = sosie_evaluations_report_into(found, judgement, report, err);
    if (!st)
        st = sosie_report_end(report, path, err);
    sosie_report_destroy(report);
    return st;
}
