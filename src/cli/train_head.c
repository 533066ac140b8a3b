/* train_head.c: `sosie train --head-only CATALOG`. */
#include "cli/cli.h"

#include "train/head.h"

#include <stdio.h>

static bool go_on(void *context)
{
    (void)context;
    return !cli_is_interrupted();
}

static json_t *report_json(const char *catalog,
                           const struct sosie_head_report *r)
{
    return json_pack(
        "{s:s,s:I,s:I,s:I,s:f,s:{s:f,s:f},s:{s:f,s:f},s:f,s:b}", "catalog",
        catalog, "photos", (json_int_t)r->n_photos, "held_out",
        (json_int_t)r->n_held_out, "classes", (json_int_t)r->n_classes,
        "seconds", r->seconds, "accuracy", "votes", r->votes, "head",
        r->accuracy, "calibration_error", "before", r->error_before, "after",
        r->error_after, "temperature", r->temperature, "kept", (int)r->kept);
}

static void print_report(const struct sosie_head_report *r)
{
    char a[32], b[32], c[32];
    printf("%s photos of %s classes in %.1f s; measured on %s of them\n",
           cli_grouped(r->n_photos, a), cli_grouped(r->n_classes, b),
           r->seconds, cli_grouped(r->n_held_out, c));
    printf("right        %.1f%% by votes, %.1f%% by the head\n", r->votes * 100,
           r->accuracy * 100);
    printf("calibration  off by %.1f%%, %.1f%% at temperature %.2f\n",
           r->error_before * 100, r->error_after * 100, r->temperature);
    if (!r->kept)
        puts("the head is worse, so the votes stay");
}

int cli_train_head(const char *catalog, size_t n_workers, bool json)
{
    const struct sosie_head_options options = {
        .catalog = catalog, .n_workers = n_workers, .go_on = go_on};
    struct sosie_head_report report;
    struct sosie_error err;
    cli_catch_signals();
    if (sosie_head_fit(&options, &report, &err))
        return cli_fail(&err);
    if (json)
        cli_print_json(report_json(catalog, &report));
    else
        print_report(&report);
    return cli_finish_output();
}
