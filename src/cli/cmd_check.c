/* cmd_check.c: `sosie check CATALOG`. */
#include "cli/cli.h"

#include <stdio.h>

static const char help[] =
    "sosie check CATALOG [options]\n"
    "\n"
    "Reads everything that a catalog stores and verifies it: the database, "
    "the\n"
    "checksums, the model, and that the segment files agree with the "
    "database.\n"
    "Exit status 3 if something is damaged.\n"
    "\n"
    "  --repair    write the segment files anew from the database first\n"
    "  --json      one JSON object: {\"ok\": true, \"checked\": [...]}\n";

static void print_line(void *context, const char *line)
{
    json_t *lines = context;
    if (lines)
        json_array_append_new(lines, json_string(line));
    else
        puts(line);
}

/* Opening for writing and indexing nothing writes what is missing. */
static enum sosie_status repair(const char *catalog, struct sosie_error *err)
{
    struct sosie_engine_options options = sosie_engine_options_defaults();
    struct sosie_index_options nothing = {.n_sources = 0};
    struct sosie_index_report report;
    struct sosie_engine *engine;
    enum sosie_status st;
    options.mode = SOSIE_WRITE;
    st = sosie_engine_open(catalog, &options, &engine, err);
    if (st)
        return st;
    st = sosie_engine_index(engine, &nothing, &report, err);
    sosie_engine_close(engine);
    return st;
}

static int check(const char *catalog, bool repairing, bool json)
{
    json_t *lines = json ? json_array() : NULL;
    struct sosie_error err = {.text = ""};
    enum sosie_status st = repairing ? repair(catalog, &err) : SOSIE_OK;
    if (!st)
        st = sosie_catalog_check(catalog, print_line, lines, &err);
    if (json)
        cli_print_json(json_pack("{s:b,s:o,s:s?}", "ok", st == SOSIE_OK,
                                 "checked", lines, "fault",
                                 st ? err.text : NULL));
    else if (!st)
        puts("ok");
    return st ? cli_fail(&err) : cli_finish_output();
}

int cli_check(int argc, char **argv)
{
    static const struct option longs[] = {{"repair", no_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool repairing = false, json = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        switch (option) {
        case 'r':
            repairing = true;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return cli_finish_output();
        default:
            return cli_bad_option("check", option, argv);
        }
    }
    if (argc - optind != 1)
        return cli_usage("check", "needs one CATALOG");
    return check(argv[optind], repairing, json);
}
