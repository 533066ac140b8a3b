/* cmd_serve.c: `sosie serve CATALOG`. */
#include "base/log.h"
#include "cli/cli.h"
#include "http/server.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "sosie serve CATALOG [options]\n"
    "\n"
    "Serves the page and the API. What `sosie index` writes meanwhile is found "
    "by the\nnext searches.\n"
    "\n"
    "  --listen HOST:PORT   default 127.0.0.1:5000; port 0 takes a free one\n"
    "  --cors ORIGIN        lets pages of this origin (or *) call the API\n"
    "  --workers N          photos searched at a time (default: one a "
    "processor)\n"
    "  --queue N            requests that may wait; more get 503 (default 64)\n"
    "  --per-ip N           connections from one address (default: no limit)\n"
    "  --json               log as JSON lines\n"
    "\n"
    "Example:\n"
    "  sosie serve shop.catalog --listen 0.0.0.0:5000\n"
    "  curl -F image=@coat.jpg http://127.0.0.1:5000/v1/search\n";

/* The address as a browser takes it; the port may have been 0. */
static void announce(const struct sosie_server_options *options,
                     const struct sosie_server *server,
                     const struct sosie_engine_stats *stats)
{
    const char *colon = strrchr(options->listen, ':');
    sosie_log(SOSIE_LOG_INFO, "serve", "%zu items of %zu classes, in %s",
              stats->n_items, stats->n_classes,
              sosie_precision_name(stats->precision));
    sosie_log(SOSIE_LOG_INFO, "serve", "listening on http://%.*s:%u",
              (int)(colon - options->listen), options->listen,
              sosie_server_port(server));
}

static int serve(const char *catalog,
                 const struct sosie_engine_options *engine_options,
                 const struct sosie_server_options *options)
{
    struct sosie_engine *engine = NULL;
    struct sosie_server *server = NULL;
    struct sosie_engine_stats stats;
    struct sosie_error err;
    enum sosie_status st;

    cli_block_signals();
    st = sosie_engine_open(catalog, engine_options, &engine, &err);
    if (!st)
        st = sosie_engine_stats(engine, &stats, &err);
    if (!st)
        st = sosie_server_start(engine, options, &server, &err);
    if (st) {
        sosie_engine_close(engine);
        return cli_fail(&err);
    }
    announce(options, server, &stats);
    cli_wait_for_signal();
    sosie_log(SOSIE_LOG_INFO, "serve", "stopping");
    sosie_server_stop(server);
    sosie_engine_close(engine);
    return EXIT_DONE;
}

int cli_serve(int argc, char **argv)
{
    static const struct option longs[] = {
        {"listen", required_argument, NULL, 'l'},
        {"cors", required_argument, NULL, 'c'},
        {"workers", required_argument, NULL, 'w'},
        {"queue", required_argument, NULL, 'q'},
        {"per-ip", required_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct sosie_engine_options engine_options =
        sosie_engine_options_defaults();
    struct sosie_server_options options = sosie_server_options_defaults();
    long number;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        switch (option) {
        case 'l':
            options.listen = optarg;
            break;
        case 'c':
            options.cors_origin = optarg;
            break;
        case 'w':
            if (!cli_number(optarg, 1, 256, &number))
                return cli_usage("serve",
                                 "--workers is \"%s\", expected 1 to "
                                 "256",
                                 optarg);
            engine_options.n_workers = options.n_workers = (size_t)number;
            break;
        case 'q':
            if (!cli_number(optarg, 1, 65536, &number))
                return cli_usage("serve",
                                 "--queue is \"%s\", expected 1 to "
                                 "65536",
                                 optarg);
            options.queue_room = (size_t)number;
            break;
        case 'p':
            if (!cli_number(optarg, 1, 65536, &number))
                return cli_usage("serve",
                                 "--per-ip is \"%s\", expected 1 to "
                                 "65536",
                                 optarg);
            options.max_connections_per_ip = (unsigned)number;
            break;
        case 'j':
            sosie_log_setup(SOSIE_LOG_INFO, true);
            break;
        case 'h':
            fputs(help, stdout);
            return cli_finish_output();
        default:
            return cli_bad_option("serve", option, argv);
        }
    }
    if (argc - optind != 1)
        return cli_usage("serve", "needs one CATALOG");
    return serve(argv[optind], &engine_options, &options);
}
