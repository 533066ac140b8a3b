/* main.c: `sosie <command>`: the table of commands, and what they share. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    cli_command *run;
    const char *arguments, *summary;
} commands[] = {
    {"index", cli_index, "CATALOG SOURCE...", "add photos to a catalog"},
    {"search", cli_search, "CATALOG IMAGE|-",
     "print the items that look alike"},
    {"serve", cli_serve, "CATALOG", "answer over HTTP, with a page"},
    {"check", cli_check, "CATALOG", "verify everything that is stored"},
    {"train", cli_train, "DATASET... -o MODEL.onnx",
     "make a network better on labelled photos"},
    {"eval", cli_eval, "MODEL... DATASET", "measure how well models find"},
    {"model", cli_model, "info|quantize|run",
     "look at a network, make it faster, run it"},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

/* ---- shared by the commands ---------------------------------------------- */

/* No default: a new status must choose its code here. */
static int exit_code(enum sosie_status status)
{
    switch (status) {
    case SOSIE_OK:
        return EXIT_DONE;
    case SOSIE_CORRUPT:
        return EXIT_DAMAGED;
    case SOSIE_NO_MEMORY:
    case SOSIE_NOT_FOUND:
    case SOSIE_BAD_INPUT:
    case SOSIE_TOO_LARGE:
    case SOSIE_UNSUPPORTED:
    case SOSIE_REFUSED:
    case SOSIE_CONFLICT:
    case SOSIE_IO:
    case SOSIE_UNAVAILABLE:
    case SOSIE_CANCELLED:
        return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

int cli_fail(const struct sosie_error *err)
{
    fprintf(stderr, "sosie: %s\n", err->text);
    return exit_code(err->status);
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "sosie %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry `sosie %s --help`.\n", command);
    return EXIT_USAGE;
}

int cli_bad_option(const char *command, int option, char *const *argv)
{
    const char *text = argv[optind - 1], *next = argv[optind];
    /* getopt stays at -xyz until it has seen all three. */
    if (option == '?' && next && next[0] == '-' && next[1] == optopt)
        text = next;
    return cli_usage(command,
                     option == ':' ? "%s needs a value" : "unknown option %s",
                     text);
}

bool cli_number(const char *text, long min, long max, long *number)
{
    char *end;
    long value;
    errno = 0;
    value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < min || value > max)
        return false;
    *number = value;
    return true;
}

bool cli_count(const char *command, const char *option, const char *text,
               long min, long max, size_t *count)
{
    long value;
    if (cli_number(text, min, max, &value)) {
        *count = (size_t)value;
        return true;
    }
    cli_usage(command, "%s is \"%s\", expected %ld to %ld", option, text, min,
              max);
    return false;
}

bool cli_labels(const char *command, char *text, const char **labels,
                size_t room, size_t *n)
{
    char *rest = NULL;
    *n = 0;
    for (char *label = strtok_r(text, ",", &rest); label;
         label = strtok_r(NULL, ",", &rest)) {
        if (*n == room) {
            cli_usage(command, "--labels has more than %zu names", room);
            return false;
        }
        labels[(*n)++] = label;
    }
    if (!*n)
        cli_usage(command, "--labels names nothing");
    return *n > 0;
}

bool cli_print_json(json_t *value)
{
    bool ok = value && !json_dumpf(value, stdout,
                                   JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(value);
    if (ok)
        putchar('\n');
    else
        fprintf(stderr, "sosie: the answer can't be written as JSON\n");
    return ok;
}

int cli_finish_output(void)
{
    if (!fflush(stdout) && !ferror(stdout))
        return EXIT_DONE;
    fprintf(stderr, "sosie: stdout: %s\n", strerror(errno));
    return EXIT_FAILED;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    signal(number, SIG_DFL); /* the second one ends at once */
}

void cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_is_interrupted(void)
{
    return interrupted;
}

static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void cli_block_signals(void)
{
    sigset_t set = ending_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
}

void cli_wait_for_signal(void)
{
    sigset_t set = ending_signals();
    int number;
    while (sigwait(&set, &number))
        ;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- main ---------------------------------------------------------------- */

static int print_help(FILE *to)
{
    fputs("Sosie finds products that look like a photo.\n\n", to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  sosie %-6s %-18s %s\n", commands[i].name,
                commands[i].arguments, commands[i].summary);
    fputs("\n  sosie COMMAND --help   options and examples\n"
          "  sosie --version\n\n"
          "Exit status: 0 done, 1 failed, 2 wrong command line, 3 stored data "
          "is damaged.\n",
          to);
    return to == stdout ? cli_finish_output() : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return print_help(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
        return print_help(stdout);
    if (!strcmp(argv[1], "--version")) {
        puts("sosie " SOSIE_VERSION);
        return cli_finish_output();
    }
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "sosie: unknown command \"%s\"\n", argv[1]);
    return print_help(stderr);
}
