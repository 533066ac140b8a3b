/* evaluate.c: for each model: embed, search in every way, measure, change some
 * queries and search again.
 *
 * The photos, queries and kinds are settled before the first model and are the
 * same for all, so that their numbers can be compared query by query. Photos
 * that the first model's turn finds unreadable are left out of all turns. */
#include "train/evaluate.h"

#include "base/random.h"
#include "train/embeddings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUERY_SEED = 1, CHANGE_SEED = 2, BOOTSTRAP_SEED = 3 };

struct sosie_evaluate_options sosie_evaluate_options_defaults(void)
{
    return (struct sosie_evaluate_options){.n_changed = 500,
                                           .precision = SOSIE_PRECISION_AUTO,
                                           .n_workers = sosie_cpu_count()};
}

/* What is known of the rows, for all models. */
struct run {
    const struct sosie_evaluate_options *options;
    struct sosie_evaluations *found;
    struct sosie_pool *pool;
    int32_t *labels[SOSIE_DATASET_MAX_COLUMNS]; /* (n_rows), by column */
    int32_t *groups, *identities;
    int32_t *twins; /* of one identity and one colour; NULL: no colours */
    const int32_t *used[SOSIE_DATASET_MAX_COLUMNS]; /* labels with values */
    int32_t *query_classes; /* (n_queries); NULL: no class */
    uint32_t *changed;      /* (n_changed) queries, by number, rising */
    bool *is_query;         /* by photo of the data set */
};

static enum sosie_status no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "an evaluation");
}

static enum sosie_status tell(const struct run *run, const char *phase,
                              size_t n_done, size_t n, struct sosie_error *err)
{
    const struct sosie_evaluate_options *options = run->options;
    struct sosie_index_progress now = {
        .n_photos = n, .n_done = n_done, .phase = phase};
    if (!options->progress || options->progress(options->context, &now))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_CANCELLED, "stopped while %s", phase);
}

/* ---- photos and queries -------------------------------------------------- */

/* Picks `n` of the numbers 0 .. from-1; is_picked (from). All, if n is 0 or not
 * less. */
static void pick(size_t from, size_t n, uint64_t seed, bool *is_picked)
{
    struct sosie_random random;
    size_t left = n && n < from ? n : from;
    sosie_random_seed(&random, seed);
    /* D. Knuth, vol. 2, algorithm S: each subset is as likely. */
    for (size_t i = 0; i < from; i++) {
        is_picked[i] = sosie_random_below(&random, from - i) < left;
        left -= is_picked[i];
    }
}

/* The photos of the gallery, in order; queries are among them. */
static enum sosie_status choose_photos(struct run *run, struct sosie_error *err)
{
    const struct sosie_dataset *dataset = run->options->dataset;
    struct sosie_evaluations *found = run->found;
    size_t n_val = 0, n = 0, val = 0;
    bool *is_picked;
    found->photos = calloc(dataset->n + 1, sizeof(*found->photos));
    run->is_query = calloc(dataset->n + 1, sizeof(*run->is_query));
    for (size_t i = 0; i < dataset->n; i++)
        n_val += dataset->photos[i].split == SOSIE_SPLIT_VAL;
    is_picked = calloc(n_val + 1, sizeof(*is_picked));
    if (!found->photos || !run->is_query || !is_picked) {
        free(is_picked);
        return no_memory(err);
    }
    pick(n_val, run->options->n_queries, QUERY_SEED, is_picked);
    for (size_t i = 0; i < dataset->n; i++) {
        enum sosie_split split = dataset->photos[i].split;
        if (split == SOSIE_SPLIT_VAL)
            run->is_query[i] = is_picked[val++];
        if (split == SOSIE_SPLIT_VAL ||
            (split == SOSIE_SPLIT_TRAIN && !run->options->gallery_val))
            found->photos[n++] = (uint32_t)i;
    }
    free(is_picked);
    found->n_rows = n;
    if (!n_val)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "none of %zu photos is of the split val", dataset->n);
    if (n < 2)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "one photo, and none to be found for it");
    return SOSIE_OK;
}

/* ---- what is known of the rows ------------------------------------------- */

/* Columns that have values. What a photo is (its class) is "class" or, if there
 * is no such column, the first. */
static void choose_columns(struct sosie_evaluations *found)
{
    const struct sosie_dataset *dataset = found->dataset;
    for (size_t c = 0; c < dataset->n_columns; c++)
        if (dataset->columns[c].n_values)
            found->columns[found->n_columns++] = c;
    found->class_column = dataset->n_columns;
    for (size_t c = found->n_columns; c-- > 0;)
        if (!c || !strcmp(dataset->columns[found->columns[c]].name, "class")) {
            found->class_column = found->columns[c];
            break;
        }
}

/* Numbers that are equal for equal identity and colour; a photo without a
 * colour counts as of one colour more. */
static enum sosie_status make_twins(struct run *run, struct sosie_error *err)
{
    const struct sosie_evaluations *found = run->found;
    const struct sosie_dataset *dataset = found->dataset;
    size_t colour = 0;
    while (
        colour < found->n_columns &&
        !sosie_label_is_colour(dataset->columns[found->columns[colour]].name))
        colour++;
    if (colour == found->n_columns || !dataset->n_identities)
        return SOSIE_OK;
    run->twins = calloc(found->n_rows, sizeof(*run->twins));
    if (!run->twins)
        return no_memory(err);
    for (size_t i = 0; i < found->n_rows; i++) {
        size_t n = dataset->columns[found->columns[colour]].n_values + 1;
        int64_t number =
            (int64_t)run->identities[i] * (int64_t)n + run->used[colour][i] + 1;
        run->twins[i] =
            run->identities[i] < 0 || number > INT32_MAX ? -1 : (int32_t)number;
    }
    return SOSIE_OK;
}

static enum sosie_status know_rows(struct run *run, struct sosie_error *err)
{
    struct sosie_evaluations *found = run->found;
    const struct sosie_dataset *dataset = found->dataset;
    size_t n = found->n_rows;
    run->groups = calloc(n, sizeof(*run->groups));
    run->identities = calloc(n, sizeof(*run->identities));
    if (!run->groups || !run->identities)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const struct sosie_dataset_photo *photo =
            &dataset->photos[found->photos[i]];
        run->groups[i] = photo->group;
        run->identities[i] = photo->identity;
        found->has_groups = found->has_groups || photo->group >= 0;
    }
    for (size_t c = 0; c < found->n_columns; c++) {
        size_t column = found->columns[c];
        run->labels[column] = calloc(n, sizeof(*run->labels[column]));
        if (!run->labels[column])
            return no_memory(err);
        for (size_t i = 0; i < n; i++)
            run->labels[column][i] =
                dataset->photos[found->photos[i]].labels[column];
        run->used[c] = run->labels[column];
    }
    return make_twins(run, err);
}

/* The rows of the queries, their clusters and classes, and those to be
 * changed. */
static enum sosie_status choose_queries(struct run *run,
                                        struct sosie_error *err)
{
    struct sosie_evaluations *found = run->found;
    size_t n = 0, n_changed = run->options->n_changed;
    bool *is_changed;
    found->queries = calloc(found->n_rows, sizeof(*found->queries));
    found->clusters = calloc(found->n_rows, sizeof(*found->clusters));
    run->query_classes = calloc(found->n_rows, sizeof(*run->query_classes));
    run->changed = calloc(found->n_rows, sizeof(*run->changed));
    is_changed = calloc(found->n_rows, sizeof(*is_changed));
    if (!found->queries || !found->clusters || !run->query_classes ||
        !run->changed || !is_changed) {
        free(is_changed);
        return no_memory(err);
    }
    for (size_t i = 0; i < found->n_rows; i++) {
        if (!run->is_query[found->photos[i]])
            continue;
        found->queries[n] = (uint32_t)i;
        found->clusters[n] =
            run->identities[i] >= 0 ? run->identities[i]
            : run->groups[i] >= 0
                ? (int32_t)found->dataset->n_identities + run->groups[i]
                : -1;
        if (found->n_columns)
            run->query_classes[n] = run->labels[found->class_column][i];
        n++;
    }
    found->n_queries = n;
    if (n_changed) {
        pick(n, n_changed, CHANGE_SEED, is_changed);
        for (size_t q = 0; q < n; q++)
            if (is_changed[q])
                run->changed[found->n_changed++] = (uint32_t)q;
    }
    free(is_changed);
    return n ? SOSIE_OK
             : sosie_fail(err, SOSIE_BAD_INPUT, "no query can be read");
}

/* ---- kinds --------------------------------------------------------------- */

static void add_kind(struct sosie_evaluations *found, enum sosie_kind_what what,
                     size_t column, const char *name, const char *key)
{
    struct sosie_kind *kind = &found->kinds[found->n_kinds++];
    kind->what = what;
    kind->column = column;
    kind->name = name;
    kind->key = key;
}

static void choose_kinds(struct run *run)
{
    struct sosie_evaluations *found = run->found;
    const struct sosie_dataset *dataset = found->dataset;
    for (size_t c = 0; c < found->n_columns; c++) {
        const char *name = dataset->columns[found->columns[c]].name;
        add_kind(found, SOSIE_KIND_PRECISION, c, name, name);
    }
    if (found->n_columns > 1)
        add_kind(found, SOSIE_KIND_PRECISION, found->n_columns, "all", "all");
    if (dataset->n_identities) {
        add_kind(found, SOSIE_KIND_RECALL_1, 0, "R@1", "recall_at_1");
        add_kind(found, SOSIE_KIND_RECALL, 0, "R@12", "recall_at_12");
        add_kind(found, SOSIE_KIND_MAP, 0, "mAP@12", "map_at_12");
    }
    if (run->twins)
        add_kind(found, SOSIE_KIND_RECALL_OTHER, 0, "R@1*",
                 "recall_at_1_other_colour");
    if (found->n_columns) {
        add_kind(found, SOSIE_KIND_TOP_1, 0, "top-1", "top_1");
        add_kind(found, SOSIE_KIND_TOP_5, 0, "top-5", "top_5");
    }
}

/* ---- one model ----------------------------------------------------------- */

struct turn {
    struct run *run;
    struct sosie_evaluation *found;
    struct sosie_model *model;
    struct sosie_embeddings embeddings;
    size_t n_ways; /* those of `found`, then the same without twins */
    struct sosie_way ways[SOSIE_MAX_WAYS];
    struct sosie_ranking rankings[SOSIE_MAX_WAYS];
    int32_t *value_of; /* class of each logit; NULL: classes by votes */
    int32_t *guesses;  /* (n_queries, SOSIE_GUESSES) */
};

static enum sosie_status open_model(struct turn *turn, struct sosie_error *err)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    const struct sosie_model_info *info;
    enum sosie_status st;
    options.precision = turn->run->options->precision;
    st = sosie_model_open(turn->found->model, &options, &turn->model, err);
    if (st)
        return st;
    info = sosie_model_info(turn->model);
    turn->found->dim = info->dim;
    turn->found->n_parameters = info->n_parameters;
    turn->found->precision = info->precision;
    return SOSIE_OK;
}

static int32_t value_named(const struct sosie_dataset_column *column,
                           const char *name)
{
    for (size_t v = 0; v < column->n_values; v++)
        if (!strcmp(column->values[v], name))
            return (int32_t)v;
    return -1;
}

/* The classes of the logits, if every class of the data set has one: as in a
 * catalog. */
static enum sosie_status match_labels(struct turn *turn,
                                      struct sosie_error *err)
{
    const struct sosie_model_info *info = sosie_model_info(turn->model);
    const struct sosie_evaluations *found = turn->run->found;
    const struct sosie_dataset_column *column;
    bool *is_there;
    size_t n_there = 0;
    if (!found->n_columns || !info->n_labels)
        return SOSIE_OK;
    column = &found->dataset->columns[found->class_column];
    turn->value_of = calloc(info->n_labels, sizeof(*turn->value_of));
    is_there = calloc(column->n_values + 1, sizeof(*is_there));
    if (!turn->value_of || !is_there) {
        free(is_there);
        return no_memory(err);
    }
    for (size_t l = 0; l < info->n_labels; l++) {
        int32_t value = value_named(column, info->labels[l]);
        turn->value_of[l] = value;
        if (value >= 0 && !is_there[value])
            n_there++;
        if (value >= 0)
            is_there[value] = true;
    }
    free(is_there);
    turn->found->by_labels = n_there == column->n_values;
    if (!turn->found->by_labels) {
        free(turn->value_of);
        turn->value_of = NULL;
    }
    return SOSIE_OK;
}

static enum sosie_status embed(struct turn *turn, struct sosie_error *err)
{
    struct run *run = turn->run;
    struct sosie_evaluations *found = run->found;
    struct sosie_embeddings_options options = {
        .model = turn->model,
        .dataset = found->dataset,
        .pool = run->pool,
        .progress = run->options->progress,
        .bad = run->options->bad,
        .context = run->options->context};
    bool is_first = turn->found == found->models;
    enum sosie_status st =
        sosie_embeddings_make(&options, found->photos, found->n_rows,
                              turn->found->by_labels, &turn->embeddings, err);
    if (st)
        return st;
    turn->found->seconds = turn->embeddings.seconds;
    turn->found->photos_per_second =
        (double)turn->embeddings.n / turn->embeddings.seconds;
    if (!is_first && turn->embeddings.n_bad)
        return sosie_fail(err, SOSIE_IO,
                          "photos can't be read any more that could be at "
                          "first");
    if (!is_first)
        return SOSIE_OK;
    found->n_bad = turn->embeddings.n_bad;
    found->n_rows = turn->embeddings.n;
    memcpy(found->photos, turn->embeddings.photos,
           found->n_rows * sizeof(*found->photos));
    st = know_rows(run, err);
    if (!st)
        st = choose_queries(run, err);
    if (!st)
        choose_kinds(run);
    return st;
}

/* By default weights, and each aspect alone. */
static enum sosie_status choose_ways(struct turn *turn, struct sosie_error *err)
{
    const struct run *run = turn->run;
    const struct sosie_embeddings *embeddings = &turn->embeddings;
    struct sosie_evaluation *found = turn->found;
    size_t n_aspects = embeddings->vectors.shape.n_aspects;
    found->n_aspects = n_aspects;
    found->ways[0].name = "default";
    turn->ways[0].exclude[0] = run->groups;
    sosie_way_weigh(&turn->ways[0], embeddings->weights, embeddings->degrees,
                    n_aspects);
    found->n_ways = 1;
    for (size_t j = 0; j < n_aspects; j++) {
        found->aspects[j] =
            sosie_arena_strdup(&run->found->arena, embeddings->names[j]);
        if (!found->aspects[j])
            return no_memory(err);
        found->dims[j] = embeddings->vectors.shape.dims[j];
        found->weights[j] = embeddings->weights[j];
        found->degrees[j] = embeddings->degrees[j];
        if (n_aspects < 2)
            break;
        turn->ways[found->n_ways].weights[j] = 1;
        turn->ways[found->n_ways].exclude[0] = run->groups;
        found->ways[found->n_ways++].name = found->aspects[j];
    }
    turn->n_ways = found->n_ways;
    for (size_t way = 0; run->twins && way < found->n_ways; way++) {
        turn->ways[turn->n_ways] = turn->ways[way];
        turn->ways[turn->n_ways++].exclude[1] = run->twins;
    }
    return SOSIE_OK;
}

static enum sosie_status search(struct turn *turn, struct sosie_error *err)
{
    struct run *run = turn->run;
    const struct sosie_evaluations *found = run->found;
    enum sosie_status st = tell(run, "searching", 0, found->n_queries, err);
    if (!st)
        st = sosie_neighbours_find(&turn->embeddings.vectors, found->queries,
                                   found->n_queries, NULL, turn->ways,
                                   turn->n_ways, SOSIE_VOTERS, run->pool,
                                   turn->rankings, err);
    return st;
}

/* ---- measures ------------------------------------------------------------ */

static enum sosie_status guess(struct turn *turn, size_t way,
                               struct sosie_error *err)
{
    const struct run *run = turn->run;
    const struct sosie_evaluations *found = run->found;
    size_t n_values = found->dataset->columns[found->class_column].n_values;
    size_t n_logits = sosie_model_info(turn->model)->n_logits;
    enum sosie_status st = SOSIE_OK;
    if (!turn->found->by_labels)
        return sosie_guess_by_votes(&turn->rankings[way],
                                    run->labels[found->class_column], n_values,
                                    turn->guesses, err);
    for (size_t q = 0; !st && q < found->n_queries; q++)
        st = sosie_guess_by_logits(
            turn->embeddings.logits + found->queries[q] * n_logits, 1, n_logits,
            turn->value_of, n_values, turn->guesses + q * SOSIE_GUESSES, err);
    return st;
}

static enum sosie_status count_confusion(struct turn *turn,
                                         struct sosie_error *err)
{
    const struct sosie_evaluations *found = turn->run->found;
    size_t n = found->dataset->columns[found->class_column].n_values;
    turn->found->confusion = calloc(n * n + 1, sizeof(uint32_t));
    if (!turn->found->confusion)
        return no_memory(err);
    sosie_confusion_count(turn->guesses, turn->run->query_classes,
                          found->n_queries, n, turn->found->confusion);
    return SOSIE_OK;
}

static enum sosie_status measure_siblings(struct turn *turn, size_t way,
                                          const struct sosie_kind *kind,
                                          double *values,
                                          struct sosie_error *err)
{
    const struct run *run = turn->run;
    const struct sosie_evaluations *found = run->found;
    size_t at =
        kind->what == SOSIE_KIND_RECALL_OTHER ? way + turn->found->n_ways : way;
    const struct sosie_ranking *ranking = &turn->rankings[at];
    size_t k = kind->what == SOSIE_KIND_RECALL ? SOSIE_HITS : 1;
    uint32_t *siblings = calloc(found->n_queries, sizeof(*siblings));
    enum sosie_status st =
        siblings
            ? sosie_siblings_count(ranking, &turn->ways[at], run->identities,
                                   found->n_rows, siblings, err)
            : no_memory(err);
    if (!st && kind->what == SOSIE_KIND_MAP)
        sosie_average_precision_at(ranking, SOSIE_HITS, run->identities,
                                   siblings, values);
    else if (!st)
        sosie_recall_at(ranking, k, run->identities, siblings, values);
    free(siblings);
    return st;
}

/* precision@12 of a column of those in use, or of all. */
static void measure_precision(const struct run *run,
                              const struct sosie_ranking *ranking,
                              size_t column, double *values)
{
    bool is_all = column == run->found->n_columns;
    sosie_precision_at(ranking, SOSIE_HITS,
                       is_all ? run->used : run->used + column,
                       is_all ? run->found->n_columns : 1, values);
}

static enum sosie_status measure_kind(struct turn *turn, size_t way,
                                      const struct sosie_kind *kind,
                                      double *values, struct sosie_error *err)
{
    const struct run *run = turn->run;
    switch (kind->what) {
    case SOSIE_KIND_PRECISION:
        measure_precision(run, &turn->rankings[way], kind->column, values);
        return SOSIE_OK;
    case SOSIE_KIND_TOP_1:
    case SOSIE_KIND_TOP_5:
        sosie_guess_is_right(
            turn->guesses, run->query_classes, run->found->n_queries,
            kind->what == SOSIE_KIND_TOP_1 ? 1 : SOSIE_GUESSES, values);
        return SOSIE_OK;
    case SOSIE_KIND_RECALL_1:
    case SOSIE_KIND_RECALL:
    case SOSIE_KIND_MAP:
    case SOSIE_KIND_RECALL_OTHER:
        break;
    }
    return measure_siblings(turn, way, kind, values, err);
}

static enum sosie_status measure_way(struct turn *turn, size_t way,
                                     struct sosie_error *err)
{
    struct sosie_evaluations *found = turn->run->found;
    struct sosie_way_found *into = &turn->found->ways[way];
    enum sosie_status st = SOSIE_OK;
    if (found->n_columns) {
        st = guess(turn, way, err);
        if (!st && !way)
            st = count_confusion(turn, err);
    }
    for (size_t k = 0; !st && k < found->n_kinds; k++) {
        into->values[k] = calloc(found->n_queries, sizeof(double));
        if (!into->values[k])
            return no_memory(err);
        st = measure_kind(turn, way, &found->kinds[k], into->values[k], err);
        if (!st)
            into->means[k] = sosie_metric_mean(
                into->values[k], found->n_queries, &found->kinds[k].n);
    }
    return st;
}

static enum sosie_status measure(struct turn *turn, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    turn->guesses = calloc(turn->run->found->n_queries,
                           SOSIE_GUESSES * sizeof(*turn->guesses));
    if (!turn->guesses)
        return no_memory(err);
    for (size_t way = 0; !st && way < turn->found->n_ways; way++)
        st = measure_way(turn, way, err);
    return st;
}

/* ---- robustness ---------------------------------------------------------- */

/* Of the queries that were changed, the hits before. */
struct changed {
    uint32_t *rows; /* (n) */
    bool *is_changed;
    double *values;
    struct sosie_ranking before, after;
};

static void drop_unchanged(const struct changed *changed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!changed->is_changed[i])
            changed->values[i] = NAN;
}

static void measure_change(struct turn *turn, const struct changed *changed,
                           struct sosie_robustness *into)
{
    const struct run *run = turn->run;
    size_t n = run->found->n_changed, n_columns = run->found->n_columns;
    sosie_kept_at(&changed->before, &changed->after, SOSIE_HITS,
                  changed->values);
    drop_unchanged(changed, n);
    into->kept = sosie_metric_mean(changed->values, n, &into->n);
    for (size_t c = 0; n_columns && c <= n_columns; c++) {
        measure_precision(run, &changed->before, c, changed->values);
        drop_unchanged(changed, n);
        into->before[c] = sosie_metric_mean(changed->values, n, NULL);
        measure_precision(run, &changed->after, c, changed->values);
        drop_unchanged(changed, n);
        into->after[c] = sosie_metric_mean(changed->values, n, NULL);
    }
}

static enum sosie_status change(struct turn *turn, struct changed *changed,
                                enum sosie_change how, struct sosie_error *err)
{
    const struct run *run = turn->run;
    size_t n = run->found->n_changed;
    struct sosie_vectors vectors;
    enum sosie_status st =
        sosie_embeddings_change(&turn->embeddings, changed->rows, n, how,
                                &vectors, changed->is_changed, err);
    if (st)
        return st;
    st = sosie_neighbours_find(&turn->embeddings.vectors, changed->rows, n,
                               &vectors, turn->ways, 1, SOSIE_HITS, run->pool,
                               &changed->after, err);
    if (!st)
        measure_change(turn, changed, &turn->found->robustness[how]);
    sosie_ranking_release(&changed->after);
    sosie_vectors_release(&vectors);
    return st;
}

static enum sosie_status change_queries(struct turn *turn,
                                        struct sosie_error *err)
{
    const struct run *run = turn->run;
    const struct sosie_ranking *all = &turn->rankings[0];
    size_t n = run->found->n_changed;
    struct changed changed = {
        .rows = calloc(n + 1, sizeof(*changed.rows)),
        .is_changed = calloc(n + 1, sizeof(*changed.is_changed)),
        .values = calloc(n + 1, sizeof(*changed.values)),
        .before = {.n = n,
                   .k = all->k,
                   .hits = calloc(n + 1, all->k * sizeof(uint32_t))}};
    enum sosie_status st = SOSIE_OK;
    if (!changed.rows || !changed.is_changed || !changed.values ||
        !changed.before.hits)
        st = no_memory(err);
    for (size_t i = 0; !st && i < n; i++) {
        size_t query = run->changed[i];
        changed.rows[i] = run->found->queries[query];
        memcpy(changed.before.hits + i * all->k, all->hits + query * all->k,
               all->k * sizeof(uint32_t));
    }
    changed.before.queries = changed.rows;
    for (int how = 0; !st && n && how < SOSIE_N_CHANGES; how++)
        st = change(turn, &changed, (enum sosie_change)how, err);
    free(changed.rows);
    free(changed.is_changed);
    free(changed.values);
    sosie_ranking_release(&changed.before);
    return st;
}

/* ---- all models ---------------------------------------------------------- */

static enum sosie_status evaluate_model(struct run *run, size_t number,
                                        struct sosie_error *err)
{
    struct turn turn = {.run = run, .found = &run->found->models[number]};
    enum sosie_status st;
    turn.found->model =
        sosie_arena_strdup(&run->found->arena, run->options->models[number]);
    if (!turn.found->model)
        return no_memory(err);
    run->found->n++;
    st = open_model(&turn, err);
    if (!st)
        st = match_labels(&turn, err);
    if (!st)
        st = embed(&turn, err);
    if (!st)
        st = choose_ways(&turn, err);
    if (!st)
        st = search(&turn, err);
    if (!st)
        st = measure(&turn, err);
    if (!st)
        st = change_queries(&turn, err);
    if (!st) {
        turn.found->ranking = turn.rankings[0];
        turn.rankings[0] = (struct sosie_ranking){0};
    }
    for (size_t way = 0; way < turn.n_ways; way++)
        sosie_ranking_release(&turn.rankings[way]);
    sosie_embeddings_release(&turn.embeddings);
    sosie_model_close(turn.model);
    free(turn.value_of);
    free(turn.guesses);
    return st;
}

enum sosie_status sosie_evaluate(const struct sosie_evaluate_options *options,
                                 struct sosie_evaluations *found,
                                 struct sosie_error *err)
{
    struct sosie_evaluations made = {.dataset = options->dataset,
                                     .gallery_val = options->gallery_val};
    struct run run = {.options = options, .found = &made};
    enum sosie_status st = sosie_pool_create(
        options->n_workers, options->n_workers * 4, &run.pool, err);
    choose_columns(&made);
    if (!st)
        st = choose_photos(&run, err);
    for (size_t m = 0; !st && m < options->n_models; m++)
        st = evaluate_model(&run, m, err);
    sosie_pool_destroy(run.pool);
    for (size_t c = 0; c < SOSIE_DATASET_MAX_COLUMNS; c++)
        free(run.labels[c]);
    free(run.groups);
    free(run.identities);
    free(run.twins);
    free(run.query_classes);
    free(run.changed);
    free(run.is_query);
    if (st)
        sosie_evaluations_release(&made);
    else
        *found = made;
    return st;
}

void sosie_evaluations_release(struct sosie_evaluations *found)
{
    for (size_t m = 0; m < found->n; m++) {
        struct sosie_evaluation *model = &found->models[m];
        for (size_t way = 0; way < SOSIE_EVALUATE_MAX_WAYS; way++)
            for (size_t k = 0; k < SOSIE_MAX_KINDS; k++)
                free(model->ways[way].values[k]);
        free(model->confusion);
        sosie_ranking_release(&model->ranking);
    }
    free(found->photos);
    free(found->queries);
    free(found->clusters);
    sosie_arena_release(&found->arena);
    *found = (struct sosie_evaluations){0};
}

/* ---- one model against another ------------------------------------------- */

enum sosie_status sosie_evaluations_judge(const struct sosie_evaluations *found,
                                          size_t before, size_t after,
                                          struct sosie_judgement *judgement,
                                          struct sosie_error *err)
{
    const struct sosie_way_found *old = &found->models[before].ways[0];
    const struct sosie_way_found *new = &found->models[after].ways[0];
    bool any_better = false, any_worse = false;
    *judgement = (struct sosie_judgement){.verdict = SOSIE_NO_DIFFERENCE};
    for (size_t k = 0; k < found->n_kinds; k++) {
        struct sosie_comparison *kind = &judgement->kinds[k];
        enum sosie_status st = sosie_metric_compare(
            old->values[k], new->values[k], found->clusters, found->n_queries,
            BOOTSTRAP_SEED, kind, err);
        if (st)
            return st;
        any_better = any_better || kind->what == SOSIE_BETTER;
        any_worse = any_worse || kind->what == SOSIE_WORSE;
    }
    judgement->is_mixed = any_better && any_worse;
    if (any_better != any_worse)
        judgement->verdict = any_better ? SOSIE_BETTER : SOSIE_WORSE;
    return SOSIE_OK;
}
