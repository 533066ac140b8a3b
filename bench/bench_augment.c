/* bench_augment.c: what a view of a photo costs.
 *
 *   bench_augment [--rounds N] [--side N] PHOTO...
 *
 * One thread. Each photo is shrunk to 160 pixels on its shorter side, as
 * training keeps it; then N views (default 30) of `side` x `side` pixels
 * (default 128) are made of it with each change alone, and with all of a
 * preset. The machine may be busy with other things, so each view is made
 * five times and its least time counts; printed are the mean over all views,
 * and the slowest. */
#include "base/clock.h"
#include "base/file.h"
#include "train/augment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTER_SIDE = 160, N_RUNS = 5 };

struct settings {
    size_t rounds;
    uint32_t side;
    uint8_t *rgb; /* side * side pixels */
};

struct photos {
    size_t n;
    struct sosie_image *images;
};

/* Into images[n]; counts it. */
static enum sosie_status add_photo(struct photos *photos, const char *path,
                                   struct sosie_error *err)
{
    const struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(), .min_side = SHORTER_SIDE};
    struct sosie_image whole = {0}, *small = &photos->images[photos->n];
    unsigned char *bytes;
    size_t size;
    double by;
    enum sosie_status st =
        sosie_file_read(path, options.limits.max_bytes, &bytes, &size, err);
    if (st)
        return st;
    st = sosie_image_decode(bytes, size, &options, &whole, err);
    free(bytes);
    if (st) {
        sosie_error_prefix(err, "%s", path);
        return st;
    }
    by = (double)SHORTER_SIDE /
         (whole.width < whole.height ? whole.width : whole.height);
    small->width = by < 1 ? (uint32_t)(whole.width * by) : whole.width;
    small->height = by < 1 ? (uint32_t)(whole.height * by) : whole.height;
    small->rgb = malloc((size_t)small->width * small->height * 3);
    st = small->rgb ? sosie_image_fit(&whole, SOSIE_FIT_SQUASH, small->width,
                                      small->height, small->rgb, err)
                    : sosie_fail(err, SOSIE_NO_MEMORY, "%s", path);
    sosie_image_release(&whole);
    photos->n++;
    return st;
}

/* Five times the same view. */
static enum sosie_status
bench_view(const struct sosie_augmentation *augmentation,
           const struct sosie_image *image, uint64_t seed,
           const struct settings *settings, double *ms, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t run = 0; run < N_RUNS && !st; run++) {
        double start = sosie_clock_ms(), taken;
        struct sosie_random random;
        sosie_random_seed(&random, seed);
        st = sosie_augment(augmentation, image, &random, SOSIE_FIT_SQUASH,
                           settings->side, settings->side, settings->rgb, err);
        taken = sosie_clock_ms() - start;
        *ms = !run || taken < *ms ? taken : *ms;
    }
    return st;
}

static enum sosie_status bench(const char *what,
                               const struct sosie_augmentation *augmentation,
                               const struct photos *photos,
                               const struct settings *settings,
                               struct sosie_error *err)
{
    double sum = 0, slowest = 0, ms = 0;
    size_t n = photos->n * settings->rounds;
    for (size_t i = 0; i < n; i++) {
        enum sosie_status st =
            bench_view(augmentation, &photos->images[i % photos->n], i,
                       settings, &ms, err);
        if (st)
            return st;
        sum += ms;
        slowest = ms > slowest ? ms : slowest;
    }
    printf("%-12s %.3f ms a view, slowest %.3f\n", what, sum / (double)n,
           slowest);
    return SOSIE_OK;
}

static enum sosie_status bench_all(const struct photos *photos,
                                   const struct settings *settings,
                                   struct sosie_error *err)
{
    struct {
        const char *what;
        struct sosie_augmentation augmentation;
    } all[] = {{"fit alone", {.crop = 1}},
               {"crop", {.crop = 0.4F}},
               {"flip", {.crop = 1, .flip = 1}},
               {"light", {.crop = 1, .brightness = 0.4F, .contrast = 0.4F}},
               {"hue", {.crop = 1, .saturation = 0.4F, .hue = 0.5F}},
               {"blur", {.crop = 1, .blur = 1}},
               {"jpeg", {.crop = 1, .jpeg = 1}},
               {"erase", {.crop = 1, .erase = 1}},
               {"background", {.crop = 1, .background = 1}},
               {"for shape", sosie_augmentation_shape()},
               {"for colour", sosie_augmentation_colour()}};
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all) && !st; i++)
        st = bench(all[i].what, &all[i].augmentation, photos, settings, err);
    return st;
}

static int run(char **paths, size_t n, struct settings *settings)
{
    struct photos photos = {0, calloc(n, sizeof(*photos.images))};
    struct sosie_error err;
    enum sosie_status st = SOSIE_OK;
    settings->rgb = malloc((size_t)settings->side * settings->side * 3);
    if (!photos.images || !settings->rgb)
        st = sosie_fail(&err, SOSIE_NO_MEMORY, "the buffers");
    for (size_t i = 0; i < n && !st; i++)
        st = add_photo(&photos, paths[i], &err);
    if (!st)
        st = bench_all(&photos, settings, &err);
    if (st)
        fprintf(stderr, "bench_augment: %s\n", err.text);
    for (size_t i = 0; i < photos.n; i++)
        sosie_image_release(&photos.images[i]);
    free(photos.images);
    free(settings->rgb);
    return st != SOSIE_OK;
}

int main(int argc, char **argv)
{
    struct settings settings = {.rounds = 30, .side = 128};
    int first = 1;
    for (; first + 1 < argc && !strncmp(argv[first], "--", 2); first += 2) {
        unsigned long n = strtoul(argv[first + 1], NULL, 10);
        if (!strcmp(argv[first], "--rounds") && n >= 1 && n <= 100000)
            settings.rounds = n;
        else if (!strcmp(argv[first], "--side") && n >= 1 && n <= 4096)
            settings.side = (uint32_t)n;
        else
            break;
    }
    if (first >= argc || argv[first][0] == '-') {
        fprintf(stderr,
                "usage: bench_augment [--rounds N] [--side N] PHOTO...\n");
        return 2;
    }
    return run(argv + first, (size_t)(argc - first), &settings);
}
