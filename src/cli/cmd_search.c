/* cmd_search.c: `sosie search CATALOG IMAGE`. */
#include "base/file.h"
#include "cli/cli.h"
#include "http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "sosie search CATALOG IMAGE... [options]\n"
    "\n"
    "Prints the items that look like a photo, best first. IMAGE is a JPEG, PNG "
    "or\nWebP file, or - for stdin. Several photos are searched one after "
    "another.\n"
    "\n"
    "  --item ID       look like this item instead of a photo\n"
    "  --limit N       hits, 0 to 500 (default 12)\n"
    "  --class NAME    only items of this class\n"
    "  --predicted     only items of the class (or the few) that is predicted\n"
    "  --weights LIST  how much each aspect counts: shape=1,colour=0.5; the "
    "names\n"
    "                  are those that are printed with the hits\n"
    "  --crop x,y,w,h  a part of the photo, in fractions of its sides\n"
    "  --json          one JSON object a photo, as POST /v1/search answers\n"
    "\n"
    "Examples:\n"
    "  sosie search shop.catalog coat.jpg\n"
    "  sosie search shop.catalog --item coat/1163.jpg --weights "
    "shape=1,colour=0\n"
    "  curl -s https://example.com/coat.jpg | sosie search shop.catalog -\n";

static enum sosie_status read_photo(const char *path, unsigned char **bytes,
                                    size_t *size, struct sosie_error *err)
{
    if (!strcmp(path, "-"))
        return sosie_file_read_fd(STDIN_FILENO, "stdin", SOSIE_PHOTO_MAX_BYTES,
                                  bytes, size, err);
    return sosie_file_read(path, SOSIE_PHOTO_MAX_BYTES, bytes, size, err);
}

static void print_text(const struct sosie_result *result)
{
    if (result->n_classes) {
        printf("looks like:");
        for (size_t i = 0; i < result->n_classes && i < 3; i++)
            printf("%s %s (%.0f%%)", i ? "," : "", result->classes[i].name,
                   result->classes[i].probability * 100);
        putchar('\n');
    }
    printf("score");
    for (size_t j = 0; j < result->n_aspects; j++)
        printf("  %5s", result->aspects[j]);
    printf("  class            id\n");
    for (size_t i = 0; i < result->n_hits; i++) {
        const struct sosie_hit *hit = &result->hits[i];
        printf("%5.3f", hit->score);
        for (size_t j = 0; j < result->n_aspects; j++) {
            int length = (int)strlen(result->aspects[j]);
            printf("  %*.3f", length > 5 ? length : 5, hit->aspects[j]);
        }
        printf("  %-15s  %s\n", hit->class_name, hit->id);
    }
    printf("%.1f ms: decode %.1f, embed %.1f, search %.1f\n", result->total_ms,
           result->decode_ms, result->embed_ms, result->search_ms);
}

static enum sosie_status search(struct sosie_engine *engine,
                                const struct sosie_query *query, bool json,
                                struct sosie_error *err)
{
    struct sosie_result result;
    enum sosie_status st = sosie_engine_search(engine, query, &result, err);
    if (st)
        return st;
    if (!json)
        print_text(&result);
    else if (!cli_print_json(sosie_http_result_json(&result, NULL)))
        st = sosie_fail(err, SOSIE_IO, "no answer");
    sosie_result_release(&result);
    return st;
}

static enum sosie_status search_file(struct sosie_engine *engine,
                                     struct sosie_query query, const char *path,
                                     bool json, struct sosie_error *err)
{
    unsigned char *bytes = NULL;
    enum sosie_status st = read_photo(path, &bytes, &query.photo_size, err);
    if (st)
        return st;
    query.photo = bytes;
    st = search(engine, &query, json, err);
    if (st)
        sosie_error_prefix(err, "%s", path);
    free(bytes);
    return st;
}

/* A photo that can't be searched does not keep the others from it. */
static int search_all(struct sosie_engine *engine,
                      const struct sosie_query *query, char *const *paths,
                      int n, bool json)
{
    struct sosie_error err;
    int code = EXIT_DONE;
    if (query->item && search(engine, query, json, &err))
        code = cli_fail(&err);
    for (int i = 0; i < n; i++)
        if (search_file(engine, *query, paths[i], json, &err))
            code = cli_fail(&err);
    return code ? code : cli_finish_output();
}

static bool parse_crop(const char *text, struct sosie_query *query)
{
    int end = 0;
    query->has_crop = true;
    return sscanf(text, "%lf,%lf,%lf,%lf%n", &query->crop_x, &query->crop_y,
                  &query->crop_w, &query->crop_h, &end) == 4 &&
           !text[end];
}

int cli_search(int argc, char **argv)
{
    static const struct option longs[] = {
        {"item", required_argument, NULL, 'i'},
        {"limit", required_argument, NULL, 'l'},
        {"class", required_argument, NULL, 'c'},
        {"predicted", no_argument, NULL, 'p'},
        {"weights", required_argument, NULL, 'w'},
        {"crop", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct sosie_engine_options engine_options =
        sosie_engine_options_defaults();
    struct sosie_query query = sosie_query_defaults();
    struct sosie_engine *engine;
    struct sosie_error err;
    bool json = false;
    long limit;
    int option, code;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        switch (option) {
        case 'i':
            query.item = optarg;
            break;
        case 'l':
            if (!cli_number(optarg, 0, SOSIE_LIMIT_MAX, &limit))
                return cli_usage("search",
                                 "--limit is \"%s\", expected 0 to "
                                 "%d",
                                 optarg, SOSIE_LIMIT_MAX);
            query.limit = (size_t)limit;
            break;
        case 'c':
            query.class_name = optarg;
            break;
        case 'p':
            query.within_predicted = true;
            break;
        case 'w':
            if (sosie_weights_parse(optarg, &query.weights, &err))
                return cli_usage("search", "%s", err.text);
            break;
        case 'r':
            if (!parse_crop(optarg, &query))
                return cli_usage("search",
                                 "--crop is \"%s\", expected x,y,w,h "
                                 "in fractions",
                                 optarg);
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return cli_finish_output();
        default:
            return cli_bad_option("search", option, argv);
        }
    }
    if (argc - optind < (query.item ? 1 : 2))
        return cli_usage("search", "needs a CATALOG and an IMAGE (or --item)");
    if (query.item && argc - optind > 1)
        return cli_usage("search", "takes an IMAGE or --item, not both");
    engine_options.n_workers = 1;
    if (sosie_engine_open(argv[optind], &engine_options, &engine, &err))
        return cli_fail(&err);
    code =
        search_all(engine, &query, argv + optind + 1, argc - optind - 1, json);
    sosie_engine_close(engine);
    return code;
}
