/* main.c: `atelier`: draws a shop's photos where there is no shop.
 *
 * Not linked into Sosie: made for its demo and its tests. */
#include "base/clock.h"
#include "base/pool.h"
#include "design.h"
#include "set.h"
#include "sheet.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED = 130 };

static const char help[] =
    "atelier OUT [options]: draws garments as a shop's photos, with a feed\n"
    "atelier --sheet FILE.png [options]: a contact sheet of such photos\n"
    "\n"
    "  --items N     photos (600)\n"
    "  --colours N   colours that each design comes in, 1 to 12 (3)\n"
    "  --seed N      the same number draws the same set, byte by byte (1)\n"
    "  --size N      width of a photo in pixels, 64 to 2048 (400; sheet: "
    "160);\n"
    "                the height is 6/5 of it\n"
    "  --jobs N      threads (as many as there are processors)\n"
    "  --masks       OUT/masks/ too: where exactly each garment is\n"
    "\n"
    "  --columns N   photos in a row of the sheet (12)\n"
    "  --class NAME  only this class on the sheet\n"
    "\n"
    "OUT/feed.csv is a Google Merchant feed, OUT/images/ holds its photos. "
    "The\n"
    "feed is written last. A set that was stopped goes on when it is asked "
    "for\n"
    "again; one that is finished is left as it is.\n"
    "\n"
    "Example:\n"
    "  atelier shop --items 600\n"
    "  sosie index catalog shop/feed.csv --model model.onnx\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong command line, 130 stopped.\n";

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = 1;
    signal(number, SIG_DFL); /* the second one ends at once */
}

/* ---- the command line ---------------------------------------------------- */

static int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int usage(const char *format, ...)
{
    va_list args;
    fputs("atelier: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nTry `atelier --help`.\n", stderr);
    return EXIT_USAGE;
}

struct options {
    const char *sheet, *class;
    size_t items, colours, jobs, columns, size, seed;
    bool masks;
};

static bool number(const char *option, const char *text, size_t min, size_t max,
                   size_t *value)
{
    char *end;
    unsigned long long n;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && n >= min &&
        n <= max) {
        *value = (size_t)n;
        return true;
    }
    usage("--%s is \"%s\", expected %zu to %zu", option, text, min, max);
    return false;
}

static bool find_class(const char *name, size_t *class)
{
    for (*class = 0; *class < class_count(); ++*class)
        if (!strcmp(class_name(*class), name))
            return true;
    fprintf(stderr, "atelier: no class \"%s\"; there are", name);
    for (size_t i = 0; i < class_count(); i++)
        fprintf(stderr, "%s %s", i ? "," : "", class_name(i));
    fputc('\n', stderr);
    return false;
}

static const struct option table[] = {
    {"items", required_argument, NULL, 'i'},
    {"colours", required_argument, NULL, 'c'},
    {"seed", required_argument, NULL, 's'},
    {"size", required_argument, NULL, 'w'},
    {"jobs", required_argument, NULL, 'j'},
    {"masks", no_argument, NULL, 'm'},
    {"sheet", required_argument, NULL, 'S'},
    {"columns", required_argument, NULL, 'C'},
    {"class", required_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* EXIT_DONE, EXIT_USAGE, or -1 after --help. */
static int read_option(int option, char *const *argv, struct options *o)
{
    bool ok = true;
    switch (option) {
    case 'i':
        ok = number("items", optarg, 1, 9999999, &o->items);
        break;
    case 'c':
        ok = number("colours", optarg, 1, MAX_VARIANTS, &o->colours);
        break;
    case 's':
        ok = number("seed", optarg, 0, SIZE_MAX, &o->seed);
        break;
    case 'w':
        ok = number("size", optarg, 64, 2048, &o->size);
        break;
    case 'j':
        ok = number("jobs", optarg, 1, SET_MAX_JOBS, &o->jobs);
        break;
    case 'C':
        ok = number("columns", optarg, 1, 100, &o->columns);
        break;
    case 'm':
        o->masks = true;
        break;
    case 'S':
        o->sheet = optarg;
        break;
    case 'k':
        o->class = optarg;
        break;
    case 'h':
        fputs(help, stdout);
        return -1;
    case ':':
        return usage("%s needs a value", argv[optind - 1]);
    default:
        return usage("unknown option %s", argv[optind - 1]);
    }
    return ok ? EXIT_DONE : EXIT_USAGE;
}

/* ---- progress ------------------------------------------------------------ */

struct progress {
    double start_ms;
    size_t first; /* photos that were there before */
    bool begun, shown;
};

static void show(void *argument, size_t done, size_t all)
{
    struct progress *p = argument;
    double seconds = (sosie_clock_ms() - p->start_ms) / 1e3, rate;
    if (!isatty(STDERR_FILENO))
        return;
    if (!p->begun)
        p->first = done;
    p->begun = true;
    rate = seconds > 0.2 ? (double)(done - p->first) / seconds : 0;
    fprintf(stderr, "\r\033[Kdrawing %zu / %zu", done, all);
    if (rate > 0)
        fprintf(stderr, "  %.0f/s  %.0f s left", rate,
                (double)(all - done) / rate);
    fflush(stderr);
    p->shown = true;
}

/* ---- what is asked for --------------------------------------------------- */

static int fail(const struct sosie_error *err)
{
    fprintf(stderr, "atelier: %s\n", err->text);
    return EXIT_FAILED;
}

static int draw_sheet(const struct options *o)
{
    struct sosie_error err;
    struct sheet sheet = {.path = o->sheet,
                          .seed = o->seed,
                          .items = o->items ? o->items : 120,
                          .colours = o->colours,
                          .columns = o->columns,
                          .only = class_count(),
                          .width = o->size ? (int)o->size : 160};
    if (o->class && !find_class(o->class, &sheet.only))
        return EXIT_USAGE;
    if (sheet.items > 2000)
        return usage("a sheet has at most 2000 photos");
    return sheet_draw(&sheet, &err) ? fail(&err) : EXIT_DONE;
}

static size_t default_jobs(void)
{
    size_t n = sosie_cpu_count();
    return n < SET_MAX_JOBS ? n : SET_MAX_JOBS;
}

static int draw_set(const char *out, const struct options *o)
{
    struct sosie_error err;
    struct progress progress = {.start_ms = sosie_clock_ms()};
    bool there = false;
    struct set set = {.out = out,
                      .seed = o->seed,
                      .items = o->items ? o->items : 600,
                      .colours = o->colours,
                      .jobs = o->jobs ? o->jobs : default_jobs(),
                      .width = o->size ? (int)o->size : 400,
                      .masks = o->masks,
                      .stop = &stopped,
                      .progress = show,
                      .argument = &progress};
    struct sigaction action = {.sa_handler = on_signal};
    enum sosie_status st;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    st = set_draw(&set, &there, &err);
    if (progress.shown)
        fputs("\r\033[K", stderr);
    if (st == SOSIE_CANCELLED) {
        fprintf(stderr,
                "atelier: stopped; the same command goes on from here\n");
        return EXIT_STOPPED;
    }
    if (st)
        return fail(&err);
    if (there)
        fprintf(stderr, "%s/feed.csv: already there\n", out);
    else
        fprintf(stderr, "%s/feed.csv: %zu photos in %.1f s\n", out, set.items,
                (sosie_clock_ms() - progress.start_ms) / 1e3);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct options o = {.colours = 3, .columns = 12, .seed = 1};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        int code = read_option(option, argv, &o);
        if (code)
            return code < 0 ? EXIT_DONE : code;
    }
    if (o.sheet)
        return argc > optind ? usage("a sheet needs no OUT") : draw_sheet(&o);
    if (o.class)
        return usage("--class is for --sheet");
    if (argc - optind != 1)
        return usage("one OUT is needed, not %d", argc - optind);
    return draw_set(argv[optind], &o);
}
