/* cmd_model_quantize.c: `sosie model quantize MODEL PHOTOS... -o OUT`. */
#include "base/pool.h"
#include "cli/cli.h"
#include "engine/quantisation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NAME[] = "model quantize";

static const char help[] =
    "sosie model quantize MODEL PHOTOS... -o OUT.onnx [options]\n"
    "\n"
    "Writes a float32 ONNX model again with 8-bit numbers: a quarter of the "
    "size, and\nfaster. What the numbers span is learnt from photos; on others "
    "of\nthem the loss is measured and printed: the cosine "
    "between the embeddings before\nand after, and the share of the 12 nearest "
    "photos that have the same label.\nPHOTOS are what `sosie index` takes: "
    "folders, CSV or TSV files. OUT is standard\nONNX that other programs run, "
    "too.\n"
    "\n"
    "  -o, --output OUT  the file to write\n"
    "  --photos N        photos to calibrate on, at most (default 300)\n"
    "  --measure N       others to measure with, at most (default 2000)\n"
    "  --method M        what a tensor's 256 numbers span: percentile (all but "
    "1 in\n"
    "                    100,000 at either end), mse (least squared error), "
    "minmax\n"
    "                    (everything) or auto, the best of them (default)\n"
    "  --no-equalise     don't try to bring channels of a tensor to one range\n"
    "  --labels LIST     what photos have in common: class, or fields of the "
    "feed\n"
    "                    (default class,color,gender)\n"
    "  --images DIR      folder that a feed's image column is relative to\n"
    "  --map LIST        id=COL,image=COL,class=COL,color=COL,...\n"
    "  --workers N       photos at a time (default: one a processor)\n"
    "  --json            the report as JSON\n"
    "\n"
    "Examples:\n"
    "  sosie model quantize model.onnx photos/ -o model.int8.onnx\n"
    "  sosie model quantize model.onnx styles.csv -o model.int8.onnx \\\n"
    "    --map id=id,image=file,class=articleType,color=baseColour\n";

struct command {
    struct cli_progress progress;
    const char *phase; /* that the bar is of */
    bool json;
};

/* ---- what the engine asks for -------------------------------------------- */

static bool show_progress(void *context, const struct sosie_index_progress *now)
{
    struct command *command = context;
    if (now->phase != command->phase)
        cli_progress_start(&command->progress);
    command->phase = now->phase;
    cli_progress_show(&command->progress, now);
    return !cli_is_interrupted();
}

static void show_bad(void *context, const char *where, const char *reason)
{
    struct command *command = context;
    cli_progress_clear(&command->progress);
    fprintf(stderr, "skipped %s: %s\n", where, reason);
}

static enum sosie_status read_field(void *context, const char *fields,
                                    const char *name, char **value,
                                    struct sosie_error *err)
{
    json_t *object = json_loads(fields, 0, NULL);
    const json_t *member = json_object_get(object, name);
    const char *text = json_string_value(member);
    (void)context;
    *value = text ? strdup(text) : NULL;
    json_decref(object);
    return object && (*value || !text)
               ? SOSIE_OK
               : sosie_fail(err, SOSIE_NO_MEMORY, "the fields of an item");
}

/* ---- the report ---------------------------------------------------------- */

static json_t *precision_json(const struct sosie_quantisation_report *report)
{
    json_t *object = json_object();
    for (size_t l = 0; l <= report->n_labels && report->n_labels; l++)
        if (l < report->n_labels || report->n_labels > 1)
            json_object_set_new(
                object, l < report->n_labels ? report->labels[l] : "all",
                json_pack("{s:f,s:f}", "before", report->precision[l][0],
                          "after", report->precision[l][1]));
    return object;
}

static void print_json(const struct sosie_quantisation_report *report)
{
    const struct sosie_quantizer_info *network = &report->network;
    const struct sosie_agreement *agreement = &report->agreement;
    cli_print_json(json_pack(
        "{s:I,s:I,s:I,s:b,s:{s:I,s:I},s:{s:I,s:I,s:I,s:I},"
        "s:s,s:{s:f,s:f,s:f},s:f,s:o,s:f}",
        "calibrated", (json_int_t)report->n_calibration, "measured",
        (json_int_t)report->n_measured, "bad", (json_int_t)report->n_bad,
        "held_out", report->held_out, "bytes", "before",
        (json_int_t)report->size_before, "after",
        (json_int_t)report->size_after, "network", "weights",
        (json_int_t)network->n_weights, "activations",
        (json_int_t)network->n_tensors, "float", (json_int_t)network->n_float,
        "equalised", (json_int_t)network->n_equalised, "ranges",
        sosie_range_method_name(report->method), "cosine", "mean",
        agreement->cosine_mean, "p1", agreement->cosine_p1, "min",
        agreement->cosine_min, "same_hits", agreement->same_hits,
        "precision_at_12", precision_json(report), "seconds", report->seconds));
}

static void print_precision(const struct sosie_quantisation_report *report)
{
    for (size_t l = 0; l <= report->n_labels && report->n_labels; l++)
        if (l < report->n_labels || report->n_labels > 1)
            printf("precision@12  %-10s %.3f before, %.3f after (%+.3f)\n",
                   l < report->n_labels ? report->labels[l] : "all",
                   report->precision[l][0], report->precision[l][1],
                   report->precision[l][1] - report->precision[l][0]);
}

static void print_text(const char *out,
                       const struct sosie_quantisation_report *report)
{
    const struct sosie_agreement *agreement = &report->agreement;
    char a[32], b[32];
    printf("%s: %.1f MB, was %.1f MB; %zu layers and %zu tensors in 8 bits; "
           "%.0f s\n",
           out, (double)report->size_after / 1e6,
           (double)report->size_before / 1e6, report->network.n_weights,
           report->network.n_tensors, report->seconds);
    printf("ranges        %s%s\n", sosie_range_method_name(report->method),
           report->network.n_equalised ? ", channels equalised" : "");
    printf("calibrated on %s photos, measured with %s%s\n",
           cli_grouped(report->n_calibration, a),
           cli_grouped(report->n_measured, b),
           report->held_out ? " others" : " (the same: there are no others)");
    printf("cosine        before to after %.4f in the mean, %.4f for the worst "
           "1 in 100, %.4f at least\n",
           agreement->cosine_mean, agreement->cosine_p1, agreement->cosine_min);
    printf("nearest 12    %.1f%% are the same\n", agreement->same_hits * 100.0);
    print_precision(report);
}

/* ---- the command --------------------------------------------------------- */

static int run(const struct sosie_quantisation_options *options, bool json)
{
    struct sosie_quantisation_report report;
    struct sosie_error err;
    struct command *command = options->context;
    enum sosie_status st;
    cli_catch_signals();
    cli_progress_start(&command->progress);
    st = sosie_quantisation_run(options, &report, &err);
    cli_progress_clear(&command->progress);
    if (st)
        return cli_fail(&err);
    if (json)
        print_json(&report);
    else
        print_text(options->out, &report);
    return cli_finish_output();
}

static bool parse_method(const char *text,
                         struct sosie_quantisation_options *options)
{
    bool good = !strcmp(text, "auto");
    for (int m = 0; m < SOSIE_N_RANGE_METHODS; m++) {
        bool is_named =
            !strcmp(text, sosie_range_method_name((enum sosie_range_method)m));
        options->methods[m] = is_named || !strcmp(text, "auto");
        good = good || is_named;
    }
    if (!good)
        cli_usage(NAME,
                  "--method is \"%s\", expected auto, mse, percentile or "
                  "minmax",
                  text);
    return good;
}

/* EXIT_DONE when all are read; -1 when help was shown. */
static int parse(int argc, char **argv,
                 struct sosie_quantisation_options *options, bool *json)
{
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'},
        {"photos", required_argument, NULL, 'n'},
        {"measure", required_argument, NULL, 'q'},
        {"method", required_argument, NULL, 'm'},
        {"no-equalise", no_argument, NULL, 'e'},
        {"labels", required_argument, NULL, 'l'},
        {"images", required_argument, NULL, 'i'},
        {"map", required_argument, NULL, 'M'},
        {"workers", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    bool good = true;
    int option;
    opterr = 0;
    while (good &&
           (option = getopt_long(argc, argv, ":o:", longs, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->out = optarg;
            break;
        case 'n':
            good =
                cli_count(NAME, "--photos", optarg, SOSIE_QUANTIZER_MIN_PHOTOS,
                          10000, &options->n_calibration);
            break;
        case 'q':
            good = cli_count(NAME, "--measure", optarg, 1, 100000,
                             &options->n_measured);
            break;
        case 'm':
            good = parse_method(optarg, options);
            break;
        case 'e':
            options->may_equalise = false;
            break;
        case 'l':
            good =
                cli_labels(NAME, optarg, options->labels,
                           SOSIE_QUANTISATION_MAX_LABELS, &options->n_labels);
            break;
        case 'i':
            options->images = optarg;
            break;
        case 'M':
            options->map = optarg;
            break;
        case 'w':
            good = cli_count(NAME, "--workers", optarg, 1, 256,
                             &options->n_workers);
            break;
        case 'j':
            *json = true;
            break;
        case 'h':
            return -1;
        default:
            return cli_bad_option(NAME, option, argv);
        }
    }
    return good ? EXIT_DONE : EXIT_USAGE;
}

int cli_model_quantize(int argc, char **argv)
{
    struct command command = {.json = false};
    struct sosie_quantisation_options options = {
        .n_calibration = 300,
        .n_measured = 2000,
        .n_workers = sosie_cpu_count(),
        .methods = {true, true, true},
        .may_equalise = true,
        .labels = {"class", "color", "gender"},
        .n_labels = 3,
        .field = read_field,
        .progress = show_progress,
        .bad = show_bad,
        .context = &command};
    int code = parse(argc, argv, &options, &command.json);
    if (code == -1) {
        fputs(help, stdout);
        return cli_finish_output();
    }
    if (code)
        return code;
    if (argc - optind < 2)
        return cli_usage(NAME, "needs a MODEL and PHOTOS");
    if (!options.out)
        return cli_usage(NAME, "needs -o OUT.onnx, the file to write");
    options.model = argv[optind];
    options.sources = (const char *const *)argv + optind + 1;
    options.n_sources = (size_t)(argc - optind - 1);
    return run(&options, command.json);
}
