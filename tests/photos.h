/* photos.h: photos and catalogs that the tests make themselves. */
#ifndef SOSIE_TESTS_PHOTOS_H
#define SOSIE_TESTS_PHOTOS_H

#include "check.h"

#include "base/file.h"
#include "base/random.h"
#include "sosie/engine.h"

#include <webp/encode.h>

enum { PHOTO_SIDE = 24 };

/* A lossless WebP of a coloured shape on white; every seed another shape, size
 * and shade. `hue` is 'r', 'g' or 'b'. */
static inline void photo_write(const char *path, char hue, uint64_t seed)
{
    uint8_t rgb[PHOTO_SIDE * PHOTO_SIDE * 3], *bytes = NULL;
    struct sosie_random random;
    struct sosie_error err;
    size_t size, x0, y0, w, h, shade;
    sosie_random_seed(&random, seed);
    x0 = 2 + (size_t)sosie_random_below(&random, 6);
    y0 = 2 + (size_t)sosie_random_below(&random, 6);
    w = 6 + (size_t)sosie_random_below(&random, 10);
    h = 6 + (size_t)sosie_random_below(&random, 10);
    shade = (size_t)sosie_random_below(&random, 60);
    for (size_t i = 0; i < PHOTO_SIDE * PHOTO_SIDE; i++) {
        size_t x = i % PHOTO_SIDE, y = i / PHOTO_SIDE;
        bool inside = x >= x0 && x < x0 + w && y >= y0 && y < y0 + h &&
                      (x + y * (1 + seed % 3)) % (3 + seed % 5);
        for (size_t c = 0; c < 3; c++)
            rgb[i * 3 + c] = !inside           ? 255
                             : "rgb"[c] == hue ? (uint8_t)(255 - shade)
                                               : (uint8_t)shade;
    }
    size = WebPEncodeLosslessRGB(rgb, PHOTO_SIDE, PHOTO_SIDE, PHOTO_SIDE * 3,
                                 &bytes);
    assert_true(size > 0);
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes, size}, 1, &err),
             &err);
    WebPFree(bytes);
}

static inline void file_write(const char *path, const char *text)
{
    struct sosie_error err;
    check_ok(sosie_file_write(path, &(struct sosie_span){text, strlen(text)}, 1,
                              &err),
             &err);
}

/* folder/{red,green,blue}/<i>.webp, `n` each. */
static inline void photos_make(const char *folder, size_t n)
{
    static const char *const classes[] = {"red", "green", "blue"};
    struct sosie_error err;
    char path[600];
    check_ok(sosie_folder_make(folder, &err), &err);
    for (size_t c = 0; c < 3; c++) {
        snprintf(path, sizeof(path), "%s/%s", folder, classes[c]);
        check_ok(sosie_folder_make(path, &err), &err);
        for (size_t i = 0; i < n; i++) {
            snprintf(path, sizeof(path), "%s/%s/%zu.webp", folder, classes[c],
                     i);
            photo_write(path, classes[c][0], c * 1000003 + i);
        }
    }
}

/* The small network of tests/golden. */
static inline const char *photos_model(void)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/golden/engine.onnx",
             getenv("SOSIE_TESTS"));
    return path;
}

static inline enum sosie_status catalog_open(const char *catalog, bool write,
                                             struct sosie_engine **engine,
                                             struct sosie_error *err)
{
    struct sosie_engine_options options = sosie_engine_options_defaults();
    options.mode = write ? SOSIE_WRITE : SOSIE_READ;
    options.model = write ? photos_model() : NULL;
    options.n_workers = 2;
    if (write) /* what `auto` takes is another matter on another machine */
        options.precision = SOSIE_PRECISION_F32;
    return sosie_engine_open(catalog, &options, engine, err);
}

/* Opens, indexes one source, closes. */
static inline enum sosie_status
catalog_index(const char *catalog, struct sosie_index_options options,
              const char *source, struct sosie_index_report *report,
              struct sosie_error *err)
{
    struct sosie_engine *engine;
    enum sosie_status st = catalog_open(catalog, true, &engine, err);
    if (st)
        return st;
    options.sources = &source;
    options.n_sources = 1;
    st = sosie_engine_index(engine, &options, report, err);
    sosie_engine_close(engine);
    return st;
}

static inline void query_photo(struct sosie_query *query, const char *path)
{
    unsigned char *bytes;
    struct sosie_error err;
    check_ok(sosie_file_read(path, SOSIE_PHOTO_MAX_BYTES, &bytes,
                             &query->photo_size, &err),
             &err);
    query->photo = bytes; /* free it */
}

#endif
