/* golden.h: the inputs by formula and the recorded outputs of tools/golden, for
 * the tests of nn and model. */
#ifndef SOSIE_TESTS_GOLDEN_H
#define SOSIE_TESTS_GOLDEN_H

#include "base/file.h"
#include "check.h"

#include <math.h>

/* "<tests>/golden/<folder><name><ending>" */
static inline const char *golden_path(const char *folder, const char *name,
                                      const char *ending)
{
    static char path[512];
    const char *tests = getenv("SOSIE_TESTS");
    snprintf(path, sizeof(path), "%s/golden/%s%s%s", tests ? tests : "tests",
             folder, name, ending);
    return path;
}

/* A whole file; the caller frees it. */
static inline unsigned char *golden_bytes(const char *path, size_t *size)
{
    struct sosie_error err;
    unsigned char *bytes = NULL;
    check_ok(sosie_file_read(path, (size_t)1 << 24, &bytes, size, &err), &err);
    return bytes;
}

static inline float *golden_floats(const char *path, size_t *n)
{
    float *floats = (float *)(void *)golden_bytes(path, n);
    *n /= sizeof(float);
    return floats;
}

/* inputs() of tools/golden/inputs.mjs */
static inline float golden_input(size_t i)
{
    return (float)((int)((i * 37 + 11) % 101) - 50) / 25.0F;
}

/* photo() of tools/golden/inputs.mjs; the caller frees it. */
static inline uint8_t *golden_photo(size_t width, size_t height, size_t k)
{
    uint8_t *rgb = malloc(3 * width * height), *at = rgb;
    assert_non_null(rgb);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            size_t dx = x > width / 2 ? x - width / 2 : width / 2 - x;
            size_t dy = y > height / 2 ? y - height / 2 : height / 2 - y;
            *at++ = (uint8_t)(x * 255 / width + 40 * k);
            *at++ = (uint8_t)((dx * dx + dy * dy) / (16 * (k + 2)));
            *at++ = (uint8_t)((x * y) >> (k + 4));
        }
    return rgb;
}

/* Each element within `tolerance` of what is expected. */
static inline void check_close(const char *what, const float *found,
                               const float *expected, size_t n,
                               double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)found[i] - (double)expected[i]) <= tolerance))
            fail_msg("%s: element %zu of %zu is %.9g, expected %.9g", what, i,
                     n, (double)found[i], (double)expected[i]);
}

#endif
