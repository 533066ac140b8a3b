/* cmd_index.c: `sosie index CATALOG SOURCE...`. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "sosie index CATALOG SOURCE... [options]\n"
    "\n"
    "Adds photos to a catalog, or brings it up to date. CATALOG is a folder; "
    "it "
    "is\nmade when it is not there. A SOURCE is\n"
    "  a folder of class folders   coat/1.jpg, dress/2.jpg, ...\n"
    "  a folder of photos\n"
    "  a CSV or TSV file           columns by --map, or with the names of "
    "Google\n"
    "                              Merchant feeds (id, title, image_link, "
    "...)\n"
    "Photos are JPEG, PNG or WebP and stay where they are. Running it again "
    "embeds\nonly what changed. A photo or row that can't be used is reported, "
    "counted and\nskipped. Ctrl-C keeps what was done.\n"
    "\n"
    "  --model FILE    ONNX model; needed for a new catalog\n"
    "  --precision P   f32, bf16, int8 or auto, the fastest on this machine\n"
    "                  (default auto): what a new catalog is made in, and "
    "searched\n"
    "                  in ever after\n"
    "  --images DIR    folder that a feed's image column is relative to\n"
    "                  (default: the feed's own folder)\n"
    "  --map LIST      id=COL,image=COL,class=COL,group=COL,title=COL,...\n"
    "  --workers N     photos embedded at a time (default: one a processor)\n"
    "  --json          the report as JSON; bad photos as JSON lines on stderr\n"
    "\n"
    "Examples:\n"
    "  sosie index shop.catalog photos/ --model model.onnx\n"
    "  sosie index shop.catalog styles.csv --model model.onnx \\\n"
    "    --map id=id,image=file,class=articleType,title=productDisplayName\n";

struct command {
    struct cli_progress progress;
    bool json;
};

static bool show_progress(void *context, const struct sosie_index_progress *now)
{
    struct command *command = context;
    cli_progress_show(&command->progress, now);
    return !cli_is_interrupted();
}

static void show_bad(void *context, const char *where, const char *reason)
{
    struct command *command = context;
    cli_progress_clear(&command->progress);
    if (command->json) {
        json_t *line = json_pack("{s:s,s:s}", "bad", where, "reason", reason);
        char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
        fprintf(stderr, "%s\n", text ? text : "{\"bad\":null}");
        free(text);
        json_decref(line);
    } else {
        fprintf(stderr, "skipped %s: %s\n", where, reason);
    }
}

static int print_report(const struct command *command,
                        const struct sosie_index_report *report,
                        enum sosie_precision precision)
{
    const char *in = sosie_precision_name(precision);
    size_t n = report->n_embedded;
    double rate = report->seconds > 0 ? (double)n / report->seconds : 0;
    char a[32], b[32], c[32], d[32];
    if (command->json) {
        cli_print_json(json_pack(
            "{s:I,s:I,s:I,s:I,s:I,s:f,s:s}", "items",
            (json_int_t)report->n_items, "photos", (json_int_t)report->n_photos,
            "embedded", (json_int_t)n, "unchanged",
            (json_int_t)report->n_unchanged, "bad", (json_int_t)report->n_bad,
            "seconds", report->seconds, "precision", in));
    } else {
        printf("%s items; %s photos embedded in %.1f s (%.0f a second, %s), %s "
               "unchanged, %s skipped\n",
               cli_grouped(report->n_items, a), cli_grouped(n, b),
               report->seconds, rate, in, cli_grouped(report->n_unchanged, c),
               cli_grouped(report->n_bad, d));
    }
    return cli_finish_output();
}

static int run(const char *catalog, struct sosie_engine_options *engine_options,
               struct sosie_index_options *options, struct command *command)
{
    struct sosie_engine *engine = NULL;
    struct sosie_index_report report;
    struct sosie_engine_stats stats;
    struct sosie_error err;
    enum sosie_status st;
    int code;
    cli_catch_signals(); /* before there is anything to be left half done */
    st = sosie_engine_open(catalog, engine_options, &engine, &err);
    if (!st)
        st = sosie_engine_stats(engine, &stats, &err);
    if (st) {
        sosie_engine_close(engine);
        return cli_fail(&err);
    }
    cli_progress_start(&command->progress);
    st = sosie_engine_index(engine, options, &report, &err);
    cli_progress_clear(&command->progress);
    sosie_engine_close(engine);
    if (st && st != SOSIE_CANCELLED)
        return cli_fail(&err);
    code = print_report(command, &report, stats.precision);
    return st ? cli_fail(&err) : code;
}

int cli_index(int argc, char **argv)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"precision", required_argument, NULL, 'p'},
        {"images", required_argument, NULL, 'i'},
        {"map", required_argument, NULL, 'M'},
        {"workers", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct sosie_engine_options engine_options =
        sosie_engine_options_defaults();
    struct command command = {.json = false};
    struct sosie_index_options options = {
        .progress = show_progress, .bad = show_bad, .context = &command};
    long workers;
    int option;

    engine_options.mode = SOSIE_WRITE;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        switch (option) {
        case 'm':
            engine_options.model = optarg;
            break;
        case 'p':
            if (!cli_precision("index", optarg, &engine_options.precision))
                return EXIT_USAGE;
            break;
        case 'i':
            options.images = optarg;
            break;
        case 'M':
            options.map = optarg;
            break;
        case 'w':
            if (!cli_number(optarg, 1, 256, &workers))
                return cli_usage("index",
                                 "--workers is \"%s\", expected 1 to "
                                 "256",
                                 optarg);
            engine_options.n_workers = (size_t)workers;
            break;
        case 'j':
            command.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return cli_finish_output();
        default:
            return cli_bad_option("index", option, argv);
        }
    }
    if (argc - optind < 2)
        return cli_usage("index", "needs a CATALOG and at least one SOURCE");
    options.sources = (const char *const *)argv + optind + 1;
    options.n_sources = (size_t)(argc - optind - 1);
    return run(argv[optind], &engine_options, &options, &command);
}
