/* cmd_eval.c: `sosie eval MODEL... DATASET`. */
#include "base/pool.h"
#include "cli/cli.h"
#include "train/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NAME[] = "eval";

static const char help[] =
    "sosie eval MODEL... DATASET [options]\n"
    "\n"
    "Says how well models find: the photos of the split val are searched for "
    "among\nall others but those of test. DATASET is a folder of class "
    "folders, a CSV or\nTSV feed, or a catalog. Several models stand side by "
    "side.\n"
    "\n"
    "  --labels LIST     what photos have in common: class, or fields of the "
    "feed\n"
    "                    (default class,color,gender, as far as they are "
    "there)\n"
    "  --images DIR      folder that a feed's image column is relative to\n"
    "  --map LIST        id=COL,image=COL,class=COL,group=COL,color=COL,...\n"
    "  --split COL       column that says train, val or test (default: split, "
    "else\n"
    "                    every tenth group is val)\n"
    "  --group COL       photos that are nearly one picture, or of one sender: "
    "never\n"
    "                    each other's hits (default: the feed's group)\n"
    "  --identity COL    photos of one product, which are to be found again\n"
    "  --variants        and photos whose titles differ in the colour alone\n"
    "  --gallery WHAT    what is searched: all (train and val; default) or "
    "val\n"
    "  --queries N       a sample of so many queries (default: all)\n"
    "  --changed N       queries that are cropped, squeezed, darkened and put "
    "before\n"
    "                    another background, to see what is still found\n"
    "                    (default 500; 0: none)\n"
    "  --against OLD     says whether MODEL is better than the model OLD\n"
    "  --precision P     f32, bf16, int8 or auto, the fastest here (default)\n"
    "  --workers N       photos at a time (default: one a processor)\n"
    "  --report FILE     writes it all as an HTML page, with photos\n"
    "  --json            the numbers as JSON\n"
    "\n"
    "Examples:\n"
    "  sosie eval model.onnx photos/\n"
    "  sosie eval new.onnx styles.csv --against old.onnx --variants \\\n"
    "    --map id=id,image=file,class=articleType,color=baseColour,"
    "group=group \\\n"
    "    --report new.html\n";

struct command {
    struct sosie_dataset_options dataset;
    struct sosie_evaluate_options evaluate;
    const char *models[SOSIE_EVALUATE_MAX_MODELS];
    const char *against, *report;
    bool json;
    struct cli_progress progress;
    char phase[32]; /* that the bar is of */
    size_t n_done;
};

/* ---- what the evaluation asks for ---------------------------------------- */

static bool show_progress(void *context, const struct sosie_index_progress *now)
{
    struct command *command = context;
    if (strcmp(now->phase, command->phase) != 0 ||
        now->n_done < command->n_done) {
        cli_progress_start(&command->progress);
        snprintf(command->phase, sizeof(command->phase), "%s", now->phase);
    }
    command->n_done = now->n_done;
    cli_progress_show(&command->progress, now);
    return !cli_is_interrupted();
}

static void show_bad(void *context, const char *where, const char *reason)
{
    struct command *command = context;
    cli_progress_clear(&command->progress);
    fprintf(stderr, "skipped %s: %s\n", where, reason);
}

/* ---- as text ------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_number(int width, double value)
{
    if (isnan(value))
        printf("%*s", width, "-");
    else
        printf("%*.3f", width, value);
}

/* Wide enough for the name and for "0.123". */
static int width_of(const char *name)
{
    size_t length = strlen(name);
    return (int)(length < 5 ? 5 : length) + 2;
}

static const char *group_of(const struct sosie_kind *kind)
{
    switch (kind->what) {
    case SOSIE_KIND_PRECISION:
        return "precision@12";
    case SOSIE_KIND_TOP_1:
    case SOSIE_KIND_TOP_5:
        return "class";
    case SOSIE_KIND_RECALL_1:
    case SOSIE_KIND_RECALL:
    case SOSIE_KIND_MAP:
    case SOSIE_KIND_RECALL_OTHER:
        break;
    }
    return "same product";
}

enum { NAME_WIDTH = 14 };

static void print_header(const struct sosie_evaluations *found)
{
    printf("%-*s", NAME_WIDTH, "");
    for (size_t k = 0; k < found->n_kinds;) {
        const char *group = group_of(&found->kinds[k]);
        int width = 0;
        while (k < found->n_kinds && !strcmp(group_of(&found->kinds[k]), group))
            width += width_of(found->kinds[k++].name);
        printf("  %-*s", width - 2, group);
    }
    printf("\n%-*s", NAME_WIDTH, "");
    for (size_t k = 0; k < found->n_kinds; k++)
        printf("%*s", width_of(found->kinds[k].name), found->kinds[k].name);
    putchar('\n');
}

static void print_model(const struct sosie_evaluations *found,
                        const struct sosie_evaluation *model)
{
    printf("%s (%s, %zu dimensions, %.0f photos/s)\n", base_name(model->model),
           sosie_precision_name(model->precision), model->dim,
           model->photos_per_second);
    for (size_t way = 0; way < model->n_ways; way++) {
        printf("  %-*s", NAME_WIDTH - 2, model->ways[way].name);
        for (size_t k = 0; k < found->n_kinds; k++)
            print_number(width_of(found->kinds[k].name),
                         model->ways[way].means[k]);
        putchar('\n');
    }
}

static void print_notes(const struct sosie_evaluations *found)
{
    const struct sosie_evaluation *first = &found->models[0];
    bool any_votes = false;
    printf("\ndefault:");
    for (size_t j = 0; j < first->n_aspects; j++)
        if (first->weights[j] > 0) {
            printf("%s %s", j ? "," : "", first->aspects[j]);
            if (first->degrees[j] > 1)
                printf("^%u", first->degrees[j]);
            printf(" %g", first->weights[j]);
        }
    puts(found->n > 1 ? " (of the first model)" : "");
    for (size_t k = 0; k < found->n_kinds; k++)
        if (found->kinds[k].what == SOSIE_KIND_RECALL_1)
            printf("same product: of %zu queries that have another photo\n",
                   found->kinds[k].n);
        else if (found->kinds[k].what == SOSIE_KIND_RECALL_OTHER)
            printf("R@1*: in another colour (those in the same left out), of "
                   "%zu queries\n",
                   found->kinds[k].n);
    for (size_t m = 0; m < found->n; m++)
        any_votes = any_votes || !found->models[m].by_labels;
    if (any_votes && found->n_columns)
        puts("class: by the votes of the 24 nearest, where a model's labels "
             "are not the classes");
}

static void print_robustness(const struct sosie_evaluations *found,
                             const struct sosie_evaluation *model)
{
    size_t n_columns = found->n_columns;
    printf("\n%-18s%9s%9s", "changed queries", "photos", "kept");
    for (size_t k = 0; k < found->n_kinds; k++)
        if (found->kinds[k].what == SOSIE_KIND_PRECISION)
            printf("  %*s", 14, found->kinds[k].name);
    printf("%s%s\n", found->n > 1 ? "   " : "",
           found->n > 1 ? base_name(model->model) : "");
    for (size_t c = 0; c < SOSIE_N_CHANGES; c++) {
        const struct sosie_robustness *robust = &model->robustness[c];
        if (!robust->n)
            continue;
        printf("  %-16s%9zu%9.3f", sosie_change_text((enum sosie_change)c),
               robust->n, robust->kept);
        for (size_t i = 0; n_columns && i <= n_columns; i++)
            if (i < n_columns || n_columns > 1)
                printf("  %.3f -> %.3f", robust->before[i], robust->after[i]);
        putchar('\n');
    }
}

static const char *verdict_of(const struct sosie_judgement *judgement)
{
    return judgement->is_mixed ? "better in some, worse in others"
                               : sosie_verdict_text(judgement->verdict);
}

static void print_judgement(const struct sosie_evaluations *found,
                            const struct sosie_judgement *judgement)
{
    printf("\n%s against %s, by default weights: %s\n",
           base_name(found->models[0].model),
           base_name(found->models[found->n - 1].model), verdict_of(judgement));
    printf("  %-21s%8s%8s%12s   %s\n", "", "old", "new", "difference",
           "95% interval");
    for (size_t k = 0; k < found->n_kinds; k++) {
        const struct sosie_kind *kind = &found->kinds[k];
        const struct sosie_comparison *one = &judgement->kinds[k];
        bool is_precision = kind->what == SOSIE_KIND_PRECISION;
        if (!one->n)
            continue;
        printf("  %s%-*s%8.3f%8.3f%+12.4f   %+.4f .. %+.4f  %s\n",
               is_precision ? "precision@12 " : "", is_precision ? 8 : 21,
               kind->name, one->before, one->after, one->difference, one->low,
               one->high, sosie_verdict_text(one->what));
    }
}

static void print_text(const struct sosie_evaluations *found,
                       const struct sosie_judgement *judgement)
{
    char a[32], b[32], c[32];
    printf("%s queries among %s photos (%s%s)",
           cli_grouped(found->n_queries, a), cli_grouped(found->n_rows, b),
           found->gallery_val ? "val" : "train and val",
           found->has_groups ? "; without the query's own group" : "");
    if (found->n_bad)
        printf("; %s photo%s can't be read", cli_grouped(found->n_bad, c),
               found->n_bad > 1 ? "s" : "");
    puts("\n");
    print_header(found);
    for (size_t m = 0; m < found->n; m++)
        print_model(found, &found->models[m]);
    print_notes(found);
    for (size_t m = 0; found->n_changed && m < found->n; m++)
        print_robustness(found, &found->models[m]);
    if (judgement)
        print_judgement(found, judgement);
}

/* ---- as JSON ------------------------------------------------------------- */

/* null for what is no number. */
static json_t *number(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

/* The values of all kinds: {"precision_at_12": {"class": ..}, "top_1": ..}. */
static json_t *kinds_json(const struct sosie_evaluations *found,
                          json_t *(*value_of)(const void *from, size_t kind),
                          const void *from)
{
    json_t *object = json_object(), *precision = json_object();
    for (size_t k = 0; k < found->n_kinds; k++)
        json_object_set_new(
            found->kinds[k].what == SOSIE_KIND_PRECISION ? precision : object,
            found->kinds[k].key, value_of(from, k));
    json_object_set_new(object, "precision_at_12", precision);
    return object;
}

static json_t *mean_of(const void *from, size_t kind)
{
    const struct sosie_way_found *way = from;
    return number(way->means[kind]);
}

static json_t *n_of(const void *from, size_t kind)
{
    const struct sosie_evaluations *found = from;
    return json_integer((json_int_t)found->kinds[kind].n);
}

static json_t *comparison_of(const void *from, size_t kind)
{
    const struct sosie_judgement *judgement = from;
    const struct sosie_comparison *one = &judgement->kinds[kind];
    return json_pack("{s:I,s:o,s:o,s:o,s:[o,o],s:s}", "queries",
                     (json_int_t)one->n, "old", number(one->before), "new",
                     number(one->after), "difference", number(one->difference),
                     "interval", number(one->low), number(one->high), "verdict",
                     sosie_verdict_text(one->what));
}

static json_t *robustness_json(const struct sosie_evaluations *found,
                               const struct sosie_evaluation *model)
{
    json_t *object = json_object();
    for (size_t c = 0; c < SOSIE_N_CHANGES; c++) {
        const struct sosie_robustness *robust = &model->robustness[c];
        json_t *precision = json_object();
        for (size_t k = 0; k < found->n_kinds; k++) {
            const struct sosie_kind *kind = &found->kinds[k];
            if (kind->what == SOSIE_KIND_PRECISION && robust->n)
                json_object_set_new(
                    precision, kind->key,
                    json_pack("{s:o,s:o}", "before",
                              number(robust->before[kind->column]), "after",
                              number(robust->after[kind->column])));
        }
        json_object_set_new(object, sosie_change_name((enum sosie_change)c),
                            json_pack("{s:I,s:o,s:o}", "queries",
                                      (json_int_t)robust->n, "kept",
                                      number(robust->n ? robust->kept : NAN),
                                      "precision_at_12", precision));
    }
    return object;
}

static json_t *confusion_json(const struct sosie_evaluations *found,
                              const struct sosie_evaluation *model)
{
    const struct sosie_dataset_column *column =
        &found->dataset->columns[found->class_column];
    json_t *classes = json_array(), *counts = json_array();
    for (size_t l = 0; l < column->n_values; l++) {
        json_t *row = json_array();
        json_array_append_new(classes, json_string(column->values[l]));
        for (size_t g = 0; g < column->n_values; g++)
            json_array_append_new(
                row, json_integer(model->confusion[l * column->n_values + g]));
        json_array_append_new(counts, row);
    }
    return json_pack("{s:s,s:o,s:o}", "by",
                     model->by_labels ? "labels" : "votes", "classes", classes,
                     "counts", counts);
}

static json_t *model_json(const struct sosie_evaluations *found,
                          const struct sosie_evaluation *model)
{
    json_t *ways = json_object(), *aspects = json_object(), *object;
    for (size_t way = 0; way < model->n_ways; way++)
        json_object_set_new(ways, model->ways[way].name,
                            kinds_json(found, mean_of, &model->ways[way]));
    for (size_t j = 0; j < model->n_aspects; j++)
        json_object_set_new(aspects, model->aspects[j],
                            json_pack("{s:I,s:f,s:I}", "dimensions",
                                      (json_int_t)model->dims[j], "weight",
                                      model->weights[j], "degree",
                                      (json_int_t)model->degrees[j]));
    object = json_pack(
        "{s:s,s:s,s:I,s:I,s:f,s:f,s:o,s:o}", "model", model->model, "precision",
        sosie_precision_name(model->precision), "dimensions",
        (json_int_t)model->dim, "parameters", (json_int_t)model->n_parameters,
        "seconds", model->seconds, "photos_per_second",
        model->photos_per_second, "aspects", aspects, "ways", ways);
    if (found->n_changed)
        json_object_set_new(object, "robustness",
                            robustness_json(found, model));
    if (model->confusion)
        json_object_set_new(object, "confusion", confusion_json(found, model));
    return object;
}

static void print_json(const struct sosie_evaluations *found,
                       const struct sosie_judgement *judgement)
{
    json_t *models = json_array(), *object;
    for (size_t m = 0; m < found->n; m++)
        json_array_append_new(models, model_json(found, &found->models[m]));
    object = json_pack(
        "{s:I,s:I,s:s,s:I,s:I,s:o,s:o}", "queries",
        (json_int_t)found->n_queries, "photos", (json_int_t)found->n_rows,
        "gallery", found->gallery_val ? "val" : "all", "changed",
        (json_int_t)found->n_changed, "bad", (json_int_t)found->n_bad,
        "counted", kinds_json(found, n_of, found), "models", models);
    if (judgement)
        json_object_set_new(
            object, "against",
            json_pack("{s:s,s:s,s:s,s:o}", "new", found->models[0].model, "old",
                      found->models[found->n - 1].model, "verdict",
                      judgement->is_mixed
                          ? "mixed"
                          : sosie_verdict_text(judgement->verdict),
                      "measures", kinds_json(found, comparison_of, judgement)));
    cli_print_json(object);
}

/* ---- the command --------------------------------------------------------- */

/* The numbers first: they are there even if the page can't be written. */
static int finish(struct command *command,
                  const struct sosie_evaluations *found)
{
    struct sosie_judgement judgement;
    const struct sosie_judgement *judged = command->against ? &judgement : NULL;
    struct sosie_error err;
    if (judged &&
        sosie_evaluations_judge(found, found->n - 1, 0, &judgement, &err))
        return cli_fail(&err);
    if (command->json)
        print_json(found, judged);
    else
        print_text(found, judged);
    if (command->report &&
        sosie_evaluations_report(found, judged, command->report, &err)) {
        fflush(stdout);
        return cli_fail(&err);
    }
    return cli_finish_output();
}

static int run(struct command *command)
{
    struct sosie_dataset dataset;
    struct sosie_evaluations found;
    struct sosie_error err;
    int code;
    cli_catch_signals();
    cli_progress_start(&command->progress);
    if (sosie_dataset_open(&command->dataset, &dataset, &err))
        return cli_fail(&err);
    command->evaluate.dataset = &dataset;
    if (sosie_evaluate(&command->evaluate, &found, &err)) {
        cli_progress_clear(&command->progress);
        sosie_dataset_release(&dataset);
        return cli_fail(&err);
    }
    cli_progress_clear(&command->progress);
    code = finish(command, &found);
    sosie_evaluations_release(&found);
    sosie_dataset_release(&dataset);
    return code;
}

static bool parse_gallery(const char *text,
                          struct sosie_evaluate_options *options)
{
    options->gallery_val = !strcmp(text, "val");
    if (options->gallery_val || !strcmp(text, "all"))
        return true;
    cli_usage(NAME, "--gallery is \"%s\", expected all or val", text);
    return false;
}

static bool parse_option(struct command *command, int option)
{
    struct sosie_dataset_options *dataset = &command->dataset;
    struct sosie_evaluate_options *evaluate = &command->evaluate;
    switch (option) {
    case 'l':
        dataset->may_lack_labels = false;
        return cli_labels(NAME, optarg, dataset->labels,
                          SOSIE_DATASET_MAX_COLUMNS, &dataset->n_labels);
    case 'i':
        dataset->images = optarg;
        return true;
    case 'M':
        dataset->map = optarg;
        return true;
    case 's':
        dataset->split = optarg;
        return true;
    case 'g':
        dataset->group = optarg;
        return true;
    case 'I':
        dataset->identity = optarg;
        return true;
    case 'v':
        dataset->variants = true;
        return true;
    case 'G':
        return parse_gallery(optarg, evaluate);
    case 'q':
        return cli_count(NAME, "--queries", optarg, 1, 100000000,
                         &evaluate->n_queries);
    case 'c':
        return cli_count(NAME, "--changed", optarg, 0, 1000000,
                         &evaluate->n_changed);
    case 'a':
        command->against = optarg;
        return true;
    case 'p':
        return cli_precision(NAME, optarg, &evaluate->precision);
    case 'w':
        return cli_count(NAME, "--workers", optarg, 1, 256,
                         &evaluate->n_workers);
    case 'r':
        command->report = optarg;
        return true;
    default:
        command->json = true;
        return true;
    }
}

/* EXIT_DONE when all are read; -1 when help was shown. */
static int parse(int argc, char **argv, struct command *command)
{
    static const struct option longs[] = {
        {"labels", required_argument, NULL, 'l'},
        {"images", required_argument, NULL, 'i'},
        {"map", required_argument, NULL, 'M'},
        {"split", required_argument, NULL, 's'},
        {"group", required_argument, NULL, 'g'},
        {"identity", required_argument, NULL, 'I'},
        {"variants", no_argument, NULL, 'v'},
        {"gallery", required_argument, NULL, 'G'},
        {"queries", required_argument, NULL, 'q'},
        {"changed", required_argument, NULL, 'c'},
        {"against", required_argument, NULL, 'a'},
        {"precision", required_argument, NULL, 'p'},
        {"workers", required_argument, NULL, 'w'},
        {"report", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        if (option == 'h')
            return -1;
        if (option == '?' || option == ':')
            return cli_bad_option(NAME, option, argv);
        if (!parse_option(command, option))
            return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* The models, and OLD behind them. */
static int take_models(int argc, char **argv, struct command *command)
{
    size_t n = (size_t)(argc - optind);
    if (n < 2)
        return cli_usage(NAME, "needs a MODEL and a DATASET");
    n--;
    if (command->against && n > 1)
        return cli_usage(NAME, "--against compares one MODEL, not %zu", n);
    if (n > SOSIE_EVALUATE_MAX_MODELS)
        return cli_usage(NAME, "%zu models, expected up to %d", n,
                         SOSIE_EVALUATE_MAX_MODELS);
    for (size_t m = 0; m < n; m++)
        command->models[m] = argv[optind + (int)m];
    if (command->against)
        command->models[n++] = command->against;
    command->evaluate.models = command->models;
    command->evaluate.n_models = n;
    command->dataset.sources = (const char *const *)argv + argc - 1;
    command->dataset.n_sources = 1;
    return EXIT_DONE;
}

int cli_eval(int argc, char **argv)
{
    struct command command = {
        .dataset = {.labels = {"class", "color", "gender"},
                    .n_labels = 3,
                    .may_lack_labels = true,
                    .bad = show_bad},
        .evaluate = sosie_evaluate_options_defaults()};
    int code = parse(argc, argv, &command);
    command.dataset.context = command.evaluate.context = &command;
    command.evaluate.progress = show_progress;
    command.evaluate.bad = show_bad;
    if (code == -1) {
        fputs(help, stdout);
        return cli_finish_output();
    }
    if (!code)
        code = take_models(argc, argv, &command);
    return code ? code : run(&command);
}
