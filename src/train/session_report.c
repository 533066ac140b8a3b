/* session_report.c: the course of a training as curves, what it was made of,
 * then what came of it (evaluate_report.c). */
#include "train/session_report.h"

#include "train/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    const struct sosie_session_options *options;
    const struct sosie_trainer_options *trained;
    const struct sosie_dataset *dataset;
    const struct sosie_session_epoch *epochs;
    size_t n;
    struct sosie_report *report;
};

/* ---- curves -------------------------------------------------------------- */

enum { N_LOSSES = 6 };

static double loss_of(const struct sosie_session_epoch *epoch, size_t k)
{
    const struct sosie_trainer_losses *l = &epoch->losses;
    const double all[N_LOSSES] = {l->total,  l->heads,     l->identity,
                                  l->colour, l->histogram, l->teacher};
    return all[k];
}

/* Draws series (n, page->n) over the epochs; those that are 0 throughout are
 * left out. */
static void draw(struct page *page, const char *title, const char *const *names,
                 size_t n, const double *x, const double *y)
{
    struct sosie_report_series series[SOSIE_REPORT_MAX_SERIES];
    struct sosie_report_curves curves = {
        .title = title, .x_name = "epoch", .series = series, .from_zero = true};
    for (size_t k = 0; k < n && curves.n < SOSIE_REPORT_MAX_SERIES; k++) {
        bool is_used = false;
        for (size_t i = 0; i < page->n; i++)
            is_used = is_used || y[k * page->n + i] > 0;
        if (is_used)
            series[curves.n++] = (struct sosie_report_series){
                names[k], page->n, x, y + k * page->n};
    }
    if (curves.n)
        sosie_report_curves(page->report, &curves);
}

static enum sosie_status write_curves(struct page *page,
                                      struct sosie_error *err)
{
    static const char *const losses[N_LOSSES] = {
        "all, weighted", "heads", "identity", "colour", "histogram", "teacher"};
    const struct sosie_session_epoch *last = &page->epochs[page->n - 1];
    const char *names[SOSIE_SESSION_MAX_MEASURES];
    double *x = calloc(page->n, sizeof(*x));
    double *y = calloc(page->n * SOSIE_SESSION_MAX_MEASURES, sizeof(*y));
    if (!x || !y) {
        free(x);
        free(y);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a report");
    }
    for (size_t i = 0; i < page->n; i++) {
        x[i] = page->epochs[i].epoch;
        for (size_t k = 0; k < N_LOSSES; k++)
            y[k * page->n + i] = loss_of(&page->epochs[i], k);
    }
    draw(page, "Losses, by epoch", losses, N_LOSSES, x, y);
    for (size_t k = 0; k < last->n_measures; k++)
        names[k] = last->measures[k].name;
    for (size_t i = 0; i < page->n; i++)
        for (size_t k = 0; k < last->n_measures; k++)
            y[k * page->n + i] = k < page->epochs[i].n_measures
                                     ? page->epochs[i].measures[k].value
                                     : NAN;
    draw(page, "On photos that it was not trained on, among each other", names,
         last->n_measures, x, y);
    free(y);
    free(x);
    return SOSIE_OK;
}

/* ---- numbers ------------------------------------------------------------- */

static void write_facts(struct page *page)
{
    const struct sosie_session_epoch *last = &page->epochs[page->n - 1];
    char photos[32], epochs[32], time[32], rate[32];
    size_t n = 0;
    for (size_t i = 0; i < page->dataset->n; i++)
        n += page->dataset->photos[i].split == SOSIE_SPLIT_TRAIN;
    snprintf(photos, sizeof(photos), "%zu", n);
    snprintf(epochs, sizeof(epochs), "%.3g", last->epoch);
    snprintf(time, sizeof(time), "%.0f min", last->seconds / 60);
    snprintf(rate, sizeof(rate), "%.0f", last->per_second);
    const struct sosie_report_fact facts[] = {
        {photos, "photos trained on", NULL},
        {epochs, "epochs", NULL},
        {time, "of training", NULL},
        {rate, "views a second", NULL}};
    sosie_report_facts(page->report, facts, 4);
}

static void write_recipe(struct page *page)
{
    const struct sosie_trainer_options *o = page->trained;
    const struct sosie_loss_weights *w = &o->weights;
    sosie_report_heading(page->report, "Recipe");
    sosie_report_text(
        page->report,
        "%s %s at %ux%u pixels; %zu views a step in shards of %zu; %s at %.3g "
        "(warm-up over %.0f%% of the steps, then a cosine), weight decay %.3g; "
        "%s; seed %llu.",
        o->student.init ? "Started from" : "From scratch:",
        o->student.init ? o->student.init : o->student.arch, o->student.size,
        o->student.size, o->batch, o->shard,
        o->optimiser.kind == SOSIE_SGD ? "SGD" : "AdamW", (double)o->rate,
        o->warm_up * 100, (double)o->optimiser.weight_decay,
        sosie_precision_name(o->precision), (unsigned long long)o->seed);
    sosie_report_text(page->report,
                      "Losses: heads %.3g (smoothing %.3g), identity %.3g "
                      "(temperature %.3g), colour %.3g, histogram %.3g, "
                      "teacher %.3g (%s).",
                      (double)w->heads, (double)o->smoothing,
                      (double)w->identity, (double)o->temperature,
                      (double)w->colour, (double)w->histogram,
                      (double)w->teacher, o->teacher ? o->teacher : "none");
}

enum sosie_status
sosie_session_report(const struct sosie_session_options *options,
                     const struct sosie_dataset *dataset,
                     const struct sosie_trainer_options *trained,
                     const struct sosie_session_epoch *epochs, size_t n,
                     const struct sosie_evaluations *found,
                     struct sosie_error *err)
{
    struct page page = {.options = options,
                        .trained = trained,
                        .dataset = dataset,
                        .epochs = epochs,
                        .n = n};
    const char *slash = strrchr(options->out, '/');
    enum sosie_status st = sosie_report_begin(
        slash ? slash + 1 : options->out,
        "How it was trained: sosie " SOSIE_VERSION, &page.report, err);
    if (st)
        return st;
    write_facts(&page);
    sosie_report_heading(page.report, "Course");
    st = write_curves(&page, err);
    if (!st) {
        write_recipe(&page);
        if (found)
            st = sosie_evaluations_report_into(found, NULL, page.report, err);
    }
    if (!st)
        st = sosie_report_end(page.report, options->report, err);
    sosie_report_destroy(page.report);
    return st;
}
