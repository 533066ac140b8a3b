/* golden_arrays.h: recorded numbers by name, from a text file of tests/golden
 * that has an array a line: its name, how many numbers, the numbers. */
#ifndef SOSIE_TESTS_GOLDEN_ARRAYS_H
#define SOSIE_TESTS_GOLDEN_ARRAYS_H

#include "golden.h"

struct golden_array {
    size_t n;
    double values[512];
};

/* The line that begins with `name` and a space. */
static inline const char *golden_line(const char *text, const char *name)
{
    size_t length = strlen(name);
    while (strncmp(text, name, length) != 0 || text[length] != ' ') {
        text = strchr(text, '\n');
        if (!text)
            fail_msg("no golden array is called %s", name);
        text++;
    }
    return text + length;
}

/* The array "<name><part>" of golden/<path>. */
static inline struct golden_array
golden_array(const char *path, const char *name, const char *part)
{
    struct golden_array array;
    char whole[64], *end;
    size_t size;
    unsigned char *bytes = golden_bytes(golden_path(path, "", ""), &size);

    snprintf(whole, sizeof(whole), "%s%s", name, part);
    array.n = strtoul(golden_line((const char *)bytes, whole), &end, 10);
    assert_in_range(array.n, 1, sizeof(array.values) / sizeof(double));
    for (size_t i = 0; i < array.n; i++)
        array.values[i] = strtod(end, &end);
    assert_int_equal(*end, '\n');
    free(bytes);
    return array;
}

static inline void golden_as_floats(const struct golden_array *array,
                                    float *floats)
{
    for (size_t i = 0; i < array->n; i++)
        floats[i] = (float)array->values[i];
}

/* Each number within `tolerance` times the largest of the array. */
static inline void check_golden(const char *what,
                                const struct golden_array *expected,
                                const float *found, double tolerance)
{
    double largest = 0;
    for (size_t i = 0; i < expected->n; i++)
        largest = fmax(largest, fabs(expected->values[i]));
    for (size_t i = 0; i < expected->n; i++)
        if (!(fabs((double)found[i] - expected->values[i]) <=
              tolerance * largest))
            fail_msg("%s: number %zu of %zu is %.9g, expected %.9g", what, i,
                     expected->n, (double)found[i], expected->values[i]);
}

#endif
