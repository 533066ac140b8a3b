/* cli.h: what the commands share.
 *
 * One file a command. Results go to stdout, everything else to stderr; --json
 * for machines, - for stdin; --help goes to stdout and exits 0. */
#ifndef SOSIE_CLI_CLI_H
#define SOSIE_CLI_CLI_H

#include "sosie/engine.h"
#include "sosie/error.h"
#include "sosie/precision.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_DAMAGED = 3 };

/* argv[0] is the command's own name. */
typedef int cli_command(int argc, char **argv);
cli_command cli_index, cli_search, cli_serve, cli_check, cli_train, cli_eval,
    cli_model;
/* Of `sosie model`. */
cli_command cli_model_info, cli_model_quantize, cli_model_run;

/* Prints "sosie: <message>" and gives the exit code of its status. */
int cli_fail(const struct sosie_error *err);

/* Prints the message and where help is; EXIT_USAGE. */
int cli_usage(const char *command, const char *format, ...) SOSIE_PRINTF(2, 3);

/* The same for what getopt_long found wrong (its result `option`). */
int cli_bad_option(const char *command, int option, char *const *argv);

/* A whole number in min .. max. */
bool cli_number(const char *text, long min, long max, long *number);

/* The same as the value of an option; false after cli_usage. */
bool cli_count(const char *command, const char *option, const char *text,
               long min, long max, size_t *count);

/* The value of --labels: `text` is cut at its commas into up to `room` names;
 * false after cli_usage. */
bool cli_labels(const char *command, char *text, const char **labels,
                size_t room, size_t *n);

/* Prints a JSON value on a line of stdout and drops it; false if that failed.
 */
bool cli_print_json(json_t *value);

/* Flushes stdout; EXIT_FAILED with a message if something was not written. */
int cli_finish_output(void);

/* From the first call on, SIGINT and SIGTERM only set a flag; a second one ends
 * the program. */
void cli_catch_signals(void);
bool cli_is_interrupted(void);

/* Instead of a flag: blocks both signals in this thread and those it starts;
 * then waits for one, and lets the next one end the program. */
void cli_block_signals(void);
void cli_wait_for_signal(void);

/* ---- train_head.c -------------------------------------------------------- */

/* `sosie train --head-only CATALOG`; n_workers 0: one a CPU. */
int cli_train_head(const char *catalog, size_t n_workers, bool json);

/* ---- cmd_model.c --------------------------------------------------------- */

struct sosie_net_options;

/* The values of --precision and --cpu of `command`; false after cli_usage. The
 * CPU is limited for the whole process. */
bool cli_precision(const char *command, const char *text,
                   enum sosie_precision *precision);
bool cli_cpu(const char *command, const char *text,
             struct sosie_net_options *options);

/* ---- progress.c ---------------------------------------------------------- */

/* A bar on a terminal: "embedding [####----] 12,345 / 37,607  412/s  1:02
 * left". Nothing where stderr is not a terminal. */
struct cli_progress {
    bool on_terminal;
    bool shown;
    double start_ms;
};

void cli_progress_start(struct cli_progress *progress);
void cli_progress_show(struct cli_progress *progress,
                       const struct sosie_index_progress *now);
/* Clears the line, so that something else can be printed. */
void cli_progress_clear(struct cli_progress *progress);

/* 12345 as "12,345". */
const char *cli_grouped(size_t n, char text[32]);

#endif
