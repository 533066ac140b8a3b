/* bench_image.c: what it costs to make a photo ready for the network.
 *
 *   bench_image [--rounds N] [--side N] PHOTO...
 *
 * One thread, from bytes in memory. Prints the least and the median of N
 * rounds (default 30) over all photos of a decode that may shrink, and of the
 * fit to a square of `side` (default 224); the machine may be busy with other
 * things, so the least is what the program costs. */
#include "base/clock.h"
#include "base/file.h"
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    size_t rounds;
    uint32_t side;
    uint8_t *rgb; /* side * side pixels */
};

/* Milliseconds of each photo's rounds, `decode` and `fit` apart. */
struct times {
    double *decode, *fit;
};

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static enum sosie_status bench_photo(const char *path,
                                     const struct settings *settings,
                                     struct times times,
                                     struct sosie_error *err)
{
    const struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(), .min_side = settings->side};
    unsigned char *bytes;
    size_t size;
    enum sosie_status st =
        sosie_file_read(path, options.limits.max_bytes, &bytes, &size, err);
    if (st)
        return st;
    for (size_t i = 0; i < settings->rounds && !st; i++) {
        struct sosie_image image = {0};
        double start = sosie_clock_ms(), decoded;
        st = sosie_image_decode(bytes, size, &options, &image, err);
        decoded = sosie_clock_ms();
        if (!st)
            st = sosie_image_fit(&image, SOSIE_FIT_SQUASH, settings->side,
                                 settings->side, settings->rgb, err);
        times.decode[i] = decoded - start;
        times.fit[i] = sosie_clock_ms() - decoded;
        sosie_image_release(&image);
    }
    free(bytes);
    if (st)
        sosie_error_prefix(err, "%s", path);
    return st;
}

/* The photos' least times on average, and the median of all rounds. */
static void print_times(const char *what, double *ms, size_t n_photos,
                        size_t rounds)
{
    double least = 0;
    for (size_t i = 0; i < n_photos; i++) {
        qsort(ms + i * rounds, rounds, sizeof(*ms), by_value);
        least += ms[i * rounds];
    }
    qsort(ms, n_photos * rounds, sizeof(*ms), by_value);
    printf("%s: %.3f ms a photo at best, %.3f median\n", what,
           least / (double)n_photos, ms[n_photos * rounds / 2]);
}

static int bench(char **photos, size_t n_photos, struct settings *settings)
{
    size_t n = n_photos * settings->rounds;
    struct times times = {calloc(n, sizeof(double)), calloc(n, sizeof(double))};
    struct sosie_error err;
    enum sosie_status st = SOSIE_OK;
    settings->rgb = malloc((size_t)settings->side * settings->side * 3);
    if (!times.decode || !times.fit || !settings->rgb)
        st = sosie_fail(&err, SOSIE_NO_MEMORY, "the buffers");
    for (size_t i = 0; i < n_photos && !st; i++) {
        size_t at = i * settings->rounds;
        st = bench_photo(photos[i], settings,
                         (struct times){times.decode + at, times.fit + at},
                         &err);
    }
    if (st) {
        fprintf(stderr, "bench_image: %s\n", err.text);
    } else {
        print_times("decode", times.decode, n_photos, settings->rounds);
        print_times("fit", times.fit, n_photos, settings->rounds);
    }
    free(times.decode);
    free(times.fit);
    free(settings->rgb);
    return st != SOSIE_OK;
}

int main(int argc, char **argv)
{
    struct settings settings = {.rounds = 30, .side = 224};
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
                "usage: bench_image [--rounds N] [--side N] PHOTO...\n");
        return 2;
    }
    return bench(argv + first, (size_t)(argc - first), &settings);
}
