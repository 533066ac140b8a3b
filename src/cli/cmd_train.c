/* cmd_train.c: `sosie train DATASET... -o MODEL.onnx`. */
#include "cli/cli.h"

#include "base/clock.h"
#include "model/model.h"
#include "train/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "sosie train DATASET... -o MODEL.onnx [options]\n"
    "\n"
    "Trains a network on labelled photos, so that it finds what looks alike.\n"
    "A DATASET is a folder of class folders, a CSV or TSV file, or a catalog.\n"
    "After each epoch the model so far is written and judged on photos that "
    "it\n"
    "was not trained on; every few minutes there is a checkpoint. Ctrl-C "
    "writes\n"
    "one, too, and --resume goes on from it.\n"
    "\n"
    "What is trained:\n"
    "  --init FILE          an ONNX network to start from\n"
    "  --arch NAME          or a network of our own: sosie-s, sosie-m, "
    "sosie-l\n"
    "                       (default sosie-s)\n"
    "  --freeze             leaves the features of that network as they are: "
    "faster,\n"
    "                       and what they tell apart stays told apart; a "
    "shape that\n"
    "                       the file has is whitened on 2,000 photos or more\n"
    "  --anew LIST          aspects that are not taken from the file: shape,\n"
    "                       colour, kind\n"
    "  --size N             its input's sides, pixels (default: the file's; "
    "128)\n"
    "  --labels LIST        labels to learn (default class); color makes the\n"
    "                       embedding's aspect of colour\n"
    "  --teacher FILE       an ONNX network whose likenesses are kept\n"
    "Photos (as of sosie index):\n"
    "  --map LIST           "
    "id=COL,image=COL,class=COL,group=COL,title=COL,...\n"
    "  --images DIR         folder that the image column is relative to\n"
    "  --split COL          says train or val (default: split, or a tenth is "
    "val)\n"
    "  --group COL          joins photos that must not be told apart or "
    "counted\n"
    "                       as each other's hits (the same picture, one "
    "sender)\n"
    "  --identity COL       joins photos of one product\n"
    "  --variants           so do titles that differ only in the colour\n"
    "How:\n"
    "  --epochs N           (default 10)\n"
    "  --batch N            views a step (default 128)\n"
    "  --rate R             learning rate at its peak (default 0.0002 for "
    "what a\n"
    "                       file gave, 0.0005 without --init)\n"
    "  --optimiser NAME     adamw or sgd (default adamw)\n"
    "  --weight-decay R     (default 0.02)\n"
    "  --losses LIST        "
    "heads=1,identity=1,colour=0.1,histogram=0.1,teacher=5;\n"
    "                       with --freeze heads=1 alone\n"
    "  --weights LIST       of the aspects in a search that says nothing else\n"
    "                       (default shape=1,colour=0.15,kind=0.4)\n"
    "  --degrees LIST       powers that their cosines count with (default "
    "shape=6)\n"
    "  --precision P        f32, bf16, or auto, the faster here (default "
    "auto)\n"
    "  --workers N          threads (default: one a processor)\n"
    "  --seed N             (default 1)\n"
    "  --head-only          only fit a class head to a CATALOG, which is the "
    "one\n"
    "                       argument: seconds, on the embeddings it has\n"
    "Files:\n"
    "  --checkpoint FILE    (default MODEL.onnx.checkpoint)\n"
    "  --resume             go on from it\n"
    "  --cache DIR          keep the decoded photos here for the next time\n"
    "  --report FILE.html   curves, what was taken for what, hits in pictures\n"
    "  --metadata KEY=TEXT  put into the file; may be given several times\n"
    "  --json               a line of JSON an epoch, and one at the end\n"
    "\n"
    "Examples:\n"
    "  sosie train photos/ -o mine.onnx --init model.onnx\n"
    "  sosie train styles.csv -o mine.onnx --labels class,color --variants \\\n"
    "    --map id=id,image=file,class=articleType,title=productDisplayName,\\\n"
    "  color=baseColour\n"
    "  sosie train --head-only shop.catalog\n";

enum { MAX_METADATA = 8 };

struct command {
    struct cli_progress line;
    bool json, head_only;
    char *labels; /* cut into names */
    const char *losses;
    struct sosie_onnx_property metadata[MAX_METADATA];
    size_t n_metadata;
};

/* ---- progress ------------------------------------------------------------ */

static void show_left(double seconds)
{
    size_t s = seconds > 0 ? (size_t)seconds : 0;
    if (s >= 3600)
        fprintf(stderr, "  %zu:%02zu:%02zu left", s / 3600, s / 60 % 60,
                s % 60);
    else
        fprintf(stderr, "  %zu:%02zu left", s / 60, s % 60);
}

static void show_line(const struct sosie_session_progress *now)
{
    enum { BAR = 24 };
    size_t filled = now->n ? now->n_done * BAR / now->n : 0;
    char a[32], b[32], bar[BAR + 1];
    memset(bar, '-', BAR);
    memset(bar, '#', filled);
    bar[BAR] = 0;
    fprintf(stderr, "%s [%s] %s / %s", now->phase, bar,
            cli_grouped(now->n_done, a), cli_grouped(now->n, b));
    if (now->per_second > 0)
        fprintf(stderr, "  %.0f/s  epoch %.2f  loss %.3f", now->per_second,
                now->epoch, now->loss);
    if (now->seconds_left >= 0)
        show_left(now->seconds_left);
    if (now->n_bad)
        fprintf(stderr, "  %s bad", cli_grouped(now->n_bad, a));
}

/* A line that is written over on a terminal, one a minute in a log. */
static bool show_progress(void *context,
                          const struct sosie_session_progress *now)
{
    struct command *command = context;
    double ms = sosie_clock_ms();
    if (command->line.on_terminal) {
        command->line.shown = true;
        fputs("\r\033[K", stderr);
        show_line(now);
        fflush(stderr);
    } else if (!command->json && now->per_second > 0 &&
               ms - command->line.start_ms > 60e3) {
        command->line.start_ms = ms;
        show_line(now);
        fputs("\n", stderr);
    }
    return !cli_is_interrupted();
}

static void show_bad(void *context, const char *where, const char *reason)
{
    struct command *command = context;
    cli_progress_clear(&command->line);
    fprintf(stderr, "skipped %s: %s\n", where, reason);
}

static void show_warning(void *context, const char *text)
{
    struct command *command = context;
    cli_progress_clear(&command->line);
    fprintf(stderr, "sosie: %s; training goes on\n", text);
}

static json_t *epoch_json(const struct sosie_session_epoch *epoch)
{
    json_t *val = json_object();
    for (size_t i = 0; i < epoch->n_measures; i++)
        json_object_set_new(val, epoch->measures[i].name,
                            json_real(epoch->measures[i].value));
    return json_pack(
        "{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:o}", "epoch", epoch->epoch,
        "seconds", epoch->seconds, "per_second", epoch->per_second, "loss",
        epoch->losses.total, "heads", epoch->losses.heads, "identity",
        epoch->losses.identity, "colour", epoch->losses.colour, "histogram",
        epoch->losses.histogram, "teacher", epoch->losses.teacher, "val", val);
}

static void show_epoch(void *context, const struct sosie_session_epoch *epoch)
{
    struct command *command = context;
    cli_progress_clear(&command->line);
    if (command->json) {
        cli_print_json(epoch_json(epoch));
        fflush(stdout);
        return;
    }
    printf("epoch %.3g  loss %.3f", epoch->epoch, epoch->losses.total);
    for (size_t i = 0; i < epoch->n_measures; i++)
        printf("  %s %.3f", epoch->measures[i].name, epoch->measures[i].value);
    printf("  (%.0f/s, %.0f s)\n", epoch->per_second, epoch->seconds);
    fflush(stdout);
}

/* ---- options ------------------------------------------------------------- */

static bool positive(const char *text, double most, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return *text && !*end && isfinite(*number) && *number > 0 &&
           *number <= most;
}

struct named_weight {
    const char *name;
    float *weight;
};

/* NAME=WEIGHT,...; false for a name that is not one of n, or a weight below 0.
 */
static bool read_weights(const char *text, const struct named_weight *all,
                         size_t n)
{
    while (*text) {
        size_t length = strcspn(text, "=");
        bool known = false;
        char *end = NULL;
        for (size_t i = 0; i < n; i++)
            if (text[length] == '=' && strlen(all[i].name) == length &&
                !strncmp(all[i].name, text, length)) {
                *all[i].weight = strtof(text + length + 1, &end);
                known = end != text + length + 1 && isfinite(*all[i].weight) &&
                        *all[i].weight >= 0;
            }
        if (!known || (*end && *end != ','))
            return false;
        text = end + (*end == ',');
    }
    return true;
}

static bool read_losses(const char *text, struct sosie_loss_weights *weights)
{
    const struct named_weight all[] = {{"heads", &weights->heads},
                                       {"identity", &weights->identity},
                                       {"colour", &weights->colour},
                                       {"histogram", &weights->histogram},
                                       {"teacher", &weights->teacher}};
    return read_weights(text, all, sizeof(all) / sizeof(*all));
}

/* Names of aspects, commas between; false for one that is none. */
static bool read_anew(const char *text, bool *anew)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        bool known = false;
        for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++) {
            const char *name =
                sosie_student_aspect_name((enum sosie_student_aspect)a);
            if (strlen(name) == length && !strncmp(name, text, length))
                known = anew[a] = true;
        }
        if (!known)
            return false;
        text += length + (text[length] == ',');
    }
    return true;
}

/* Of aspects, in a search that says nothing else. */
static bool read_aspects(const char *text, float *weights)
{
    struct named_weight all[SOSIE_STUDENT_ASPECTS];
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        all[a] = (struct named_weight){
            sosie_student_aspect_name((enum sosie_student_aspect)a),
            &weights[a]};
    return read_weights(text, all, SOSIE_STUDENT_ASPECTS);
}

static bool read_degrees(const char *text, unsigned *degrees)
{
    float given[SOSIE_STUDENT_ASPECTS];
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        given[a] = (float)degrees[a];
    if (!read_aspects(text, given))
        return false;
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++) {
        if (given[a] < 1 || given[a] > SOSIE_MODEL_MAX_DEGREE ||
            given[a] > floorf(given[a]))
            return false;
        degrees[a] = (unsigned)given[a];
    }
    return true;
}

enum {
    OPT_INIT = 256,
    OPT_ARCH,
    OPT_FREEZE,
    OPT_ANEW,
    OPT_SIZE,
    OPT_LABELS,
    OPT_TEACHER,
    OPT_MAP,
    OPT_IMAGES,
    OPT_SPLIT,
    OPT_GROUP,
    OPT_IDENTITY,
    OPT_VARIANTS,
    OPT_EPOCHS,
    OPT_BATCH,
    OPT_RATE,
    OPT_OPTIMISER,
    OPT_DECAY,
    OPT_LOSSES,
    OPT_WEIGHTS,
    OPT_DEGREES,
    OPT_PRECISION,
    OPT_WORKERS,
    OPT_SEED,
    OPT_CHECKPOINT,
    OPT_RESUME,
    OPT_CACHE,
    OPT_REPORT,
    OPT_METADATA,
    OPT_HEAD_ONLY,
    OPT_JSON,
    OPT_HELP
};

static const struct option longs[] = {
    {"init", required_argument, NULL, OPT_INIT},
    {"arch", required_argument, NULL, OPT_ARCH},
    {"freeze", no_argument, NULL, OPT_FREEZE},
    {"anew", required_argument, NULL, OPT_ANEW},
    {"size", required_argument, NULL, OPT_SIZE},
    {"labels", required_argument, NULL, OPT_LABELS},
    {"teacher", required_argument, NULL, OPT_TEACHER},
    {"map", required_argument, NULL, OPT_MAP},
    {"images", required_argument, NULL, OPT_IMAGES},
    {"split", required_argument, NULL, OPT_SPLIT},
    {"group", required_argument, NULL, OPT_GROUP},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"variants", no_argument, NULL, OPT_VARIANTS},
    {"epochs", required_argument, NULL, OPT_EPOCHS},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"rate", required_argument, NULL, OPT_RATE},
    {"optimiser", required_argument, NULL, OPT_OPTIMISER},
    {"weight-decay", required_argument, NULL, OPT_DECAY},
    {"losses", required_argument, NULL, OPT_LOSSES},
    {"weights", required_argument, NULL, OPT_WEIGHTS},
    {"degrees", required_argument, NULL, OPT_DEGREES},
    {"precision", required_argument, NULL, OPT_PRECISION},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"checkpoint", required_argument, NULL, OPT_CHECKPOINT},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"report", required_argument, NULL, OPT_REPORT},
    {"metadata", required_argument, NULL, OPT_METADATA},
    {"head-only", no_argument, NULL, OPT_HEAD_ONLY},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0}};

static int bad_value(const char *option, const char *value,
                     const char *expected)
{
    return cli_usage("train", "--%s is \"%s\", expected %s", option, value,
                     expected);
}

/* One that takes a number; -1 if it is none of them. */
static int read_number(int option, const char *value,
                       struct sosie_trainer_options *trainer)
{
    double number = 0;
    long whole = 0;
    switch (option) {
    case OPT_SIZE:
        if (!cli_number(value, 32, 1024, &whole))
            return bad_value("size", value, "32 to 1024");
        trainer->student.size = (uint32_t)whole;
        return 0;
    case OPT_BATCH:
        if (!cli_number(value, 4, 4096, &whole) || whole % 4)
            return bad_value("batch", value, "a multiple of 4 up to 4096");
        trainer->batch = (size_t)whole;
        return 0;
    case OPT_WORKERS:
        if (!cli_number(value, 1, 256, &whole))
            return bad_value("workers", value, "1 to 256");
        trainer->n_workers = (size_t)whole;
        return 0;
    case OPT_SEED:
        if (!cli_number(value, 0, 1000000000, &whole))
            return bad_value("seed", value, "0 to 1000000000");
        trainer->seed = (uint64_t)whole;
        return 0;
    case OPT_EPOCHS:
        if (!positive(value, 1e5, &number))
            return bad_value("epochs", value, "a number above 0");
        trainer->epochs = number;
        return 0;
    case OPT_RATE:
        if (!positive(value, 10, &number))
            return bad_value("rate", value, "a number above 0, up to 10");
        trainer->rate = (float)number;
        return 0;
    case OPT_DECAY:
        if (strcmp(value, "0") && !positive(value, 1, &number))
            return bad_value("weight-decay", value, "0 to 1");
        trainer->optimiser.weight_decay = (float)number;
        return 0;
    default:
        return -1;
    }
}

static int read_optimiser(const char *name, struct sosie_trainer_options *t)
{
    struct sosie_optimiser_options before = t->optimiser;
    if (strcmp(name, "adamw") && strcmp(name, "sgd"))
        return bad_value("optimiser", name, "adamw or sgd");
    t->optimiser = sosie_optimiser_options_defaults(
        strcmp(name, "sgd") ? SOSIE_ADAMW : SOSIE_SGD);
    t->optimiser.weight_decay = before.weight_decay;
    t->optimiser.clip_norm = before.clip_norm;
    t->optimiser.ema = before.ema;
    return 0;
}

/* Cuts "key=text" in place: getopt's arguments are ours. */
static int read_metadata(char *text, struct command *command)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || command->n_metadata == MAX_METADATA)
        return bad_value("metadata", text, "KEY=TEXT, up to 8 times");
    *equals = 0;
    command->metadata[command->n_metadata++] =
        (struct sosie_onnx_property){text, equals + 1};
    return 0;
}

/* 0: taken, -1: the help was printed, else an exit code. */
static int read_option(int option, char **argv, struct command *command,
                       struct sosie_session_options *o)
{
    struct sosie_trainer_options *trainer = &o->trainer;
    int code = read_number(option, optarg, trainer);
    if (code >= 0)
        return code;
    switch (option) {
    case 'o':
        o->out = optarg;
        break;
    case OPT_INIT:
        trainer->student.init = optarg;
        break;
    case OPT_ARCH:
        trainer->student.arch = optarg;
        break;
    case OPT_FREEZE:
        trainer->student.freeze = true;
        break;
    case OPT_ANEW:
        if (!read_anew(optarg, trainer->student.anew))
            return bad_value("anew", optarg, "of shape, colour and kind");
        break;
    case OPT_LABELS:
        free(command->labels);
        command->labels = strdup(optarg);
        if (!command->labels ||
            !cli_labels("train", command->labels, o->dataset.labels,
                        SOSIE_DATASET_MAX_COLUMNS, &o->dataset.n_labels))
            return EXIT_USAGE;
        break;
    case OPT_TEACHER:
        trainer->teacher = optarg;
        break;
    case OPT_MAP:
        o->dataset.map = optarg;
        break;
    case OPT_IMAGES:
        o->dataset.images = optarg;
        break;
    case OPT_SPLIT:
        o->dataset.split = optarg;
        break;
    case OPT_GROUP:
        o->dataset.group = optarg;
        break;
    case OPT_IDENTITY:
        o->dataset.identity = optarg;
        break;
    case OPT_VARIANTS:
        o->dataset.variants = true;
        break;
    case OPT_OPTIMISER:
        return read_optimiser(optarg, trainer);
    case OPT_LOSSES:
        command->losses = optarg;
        break;
    case OPT_WEIGHTS:
        if (!read_aspects(optarg, trainer->student.weights))
            return bad_value("weights", optarg, "shape=1,colour=0.15,...");
        break;
    case OPT_DEGREES:
        if (!read_degrees(optarg, trainer->student.degrees))
            return bad_value("degrees", optarg,
                             "shape=6,... with whole numbers from 1 to 16");
        break;
    case OPT_PRECISION:
        return cli_precision("train", optarg, &trainer->precision) ? 0
                                                                   : EXIT_USAGE;
    case OPT_CHECKPOINT:
        o->checkpoint = optarg;
        break;
    case OPT_RESUME:
        o->resume = true;
        break;
    case OPT_CACHE:
        o->cache = optarg;
        o->keep_cache = true;
        break;
    case OPT_REPORT:
        o->report = optarg;
        break;
    case OPT_METADATA:
        return read_metadata(optarg, command);
    case OPT_HEAD_ONLY:
        command->head_only = true;
        break;
    case OPT_JSON:
        command->json = true;
        break;
    case OPT_HELP:
        fputs(help, stdout);
        return -1;
    default:
        return cli_bad_option("train", option, argv);
    }
    return 0;
}

/* ---- the command --------------------------------------------------------- */

static int print_result(const struct command *command,
                        const struct sosie_session_options *o,
                        const struct sosie_session_result *r)
{
    char a[32], b[32];
    if (command->json)
        cli_print_json(json_pack(
            "{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:s}", "model", o->out,
            "photos", (json_int_t)r->n_photos, "train", (json_int_t)r->n_train,
            "val", (json_int_t)r->n_val, "bad", (json_int_t)r->n_bad,
            "parameters", (json_int_t)r->n_parameters, "bytes",
            (json_int_t)r->size_bytes, "memory_bytes",
            (json_int_t)r->memory_bytes, "seconds", r->seconds, "precision",
            sosie_precision_name(r->precision)));
    else
        printf("%s: %s parameters, %.1f MB; trained on %s photos in %.0f s "
               "(%s)\n",
               o->out, cli_grouped(r->n_parameters, a),
               (double)r->size_bytes / 1e6, cli_grouped(r->n_train, b),
               r->seconds, sosie_precision_name(r->precision));
    return cli_finish_output();
}

static int run(struct sosie_session_options *options, struct command *command)
{
    struct sosie_session_result result;
    struct sosie_error err;
    enum sosie_status st;
    cli_catch_signals();
    cli_progress_start(&command->line);
    st = sosie_session_run(options, &result, &err);
    cli_progress_clear(&command->line);
    return st ? cli_fail(&err) : print_result(command, options, &result);
}

/* On frozen features the labels alone are learned, unless it is said: what the
 * features tell apart without them, they do already. */
static int choose_losses(const struct command *command,
                         struct sosie_trainer_options *trainer)
{
    if (trainer->student.freeze)
        trainer->weights = (struct sosie_loss_weights){.heads = 1};
    if (command->losses && !read_losses(command->losses, &trainer->weights))
        return bad_value("losses", command->losses, "heads=1,identity=1,...");
    return 0;
}

/* It depends on the batch alone, so that the number of workers changes nothing
 * of what comes out. */
static void choose_shard(struct sosie_trainer_options *trainer)
{
    size_t shard = trainer->batch < 64 ? trainer->batch / 2 : 32;
    while (trainer->batch % shard)
        shard -= 2;
    trainer->shard = shard;
}

static int check(const struct command *command,
                 const struct sosie_session_options *o, int n_sources)
{
    if (command->head_only && (n_sources != 1 || o->out))
        return cli_usage("train", "--head-only takes one CATALOG, and no -o");
    if (command->head_only)
        return 0;
    if (!n_sources)
        return cli_usage("train", "needs a DATASET");
    if (!o->out)
        return cli_usage("train", "needs -o MODEL.onnx");
    if (o->trainer.student.init && o->trainer.student.arch)
        return cli_usage("train", "takes --init or --arch, not both");
    if (!o->trainer.student.init && o->trainer.student.freeze)
        return cli_usage("train", "--freeze needs --init MODEL.onnx");
    return 0;
}

int cli_train(int argc, char **argv)
{
    struct sosie_session_options options = sosie_session_options_defaults();
    struct command command = {.json = false};
    int option, code = 0;

    options.progress = show_progress;
    options.epoch = show_epoch;
    options.bad = show_bad;
    options.warn = show_warning;
    options.context = &command;
    options.dataset.labels[0] = "class";
    options.dataset.n_labels = 1;
    options.trainer.seed = 1;
    opterr = 0;
    while (!code &&
           (option = getopt_long(argc, argv, ":o:", longs, NULL)) != -1)
        code = read_option(option, argv, &command, &options);
    if (!code)
        code = choose_losses(&command, &options.trainer);
    if (!code)
        code = check(&command, &options, argc - optind);
    if (!code && command.head_only) {
        code = cli_train_head(argv[optind], options.trainer.n_workers,
                              command.json);
    } else if (!code) {
        options.dataset.sources = (const char *const *)argv + optind;
        options.dataset.n_sources = (size_t)(argc - optind);
        options.metadata = command.metadata;
        options.n_metadata = command.n_metadata;
        if (!options.trainer.student.init && !options.trainer.student.arch)
            options.trainer.student.arch = "sosie-s";
        if (!options.trainer.student.init && !options.trainer.student.size)
            options.trainer.student.size = 128;
        choose_shard(&options.trainer);
        code = run(&options, &command);
    } else if (code < 0) {
        code = cli_finish_output();
    }
    free(command.labels);
    return code;
}
