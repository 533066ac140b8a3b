/* rows.h: embeddings as the search wants them.
 *
 * An embedding is made of aspects, each a vector of its own. A *row* is one
 * embedding quantised to int8: aspect after aspect, each padded with zeros to a
 * multiple of 64 bytes, so that every aspect starts on a cache line. Each
 * aspect has one scale, 1 / (length of its codes): code * scale is a vector of
 * exactly unit length, hence a score is the cosine of what is stored. Beside
 * its codes a row has a number (rising, never used twice) and a class. */
#ifndef SOSIE_INDEX_ROWS_H
#define SOSIE_INDEX_ROWS_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOSIE_ASPECTS_MAX = 4, SOSIE_ASPECT_DIM_MAX = 65536 };

struct sosie_row_shape {
    size_t n_aspects;
    size_t dims[SOSIE_ASPECTS_MAX]; /* elements of each aspect */
};

/* The bytes that aspect j takes in a row, the bytes of a whole row, and the
 * bytes of a row without the padding (as the catalog stores it). */
size_t sosie_row_aspect_size(const struct sosie_row_shape *shape, size_t j);
size_t sosie_row_stride(const struct sosie_row_shape *shape);
size_t sosie_row_packed_size(const struct sosie_row_shape *shape);

/* Quantises n floats of any length: the largest magnitude becomes 127. A vector
 * of zeros (or with anything that is not finite) becomes all zeros, which is
 * like nothing. Returns the scale (0 for zeros). */
float sosie_quantise(const float *vector, size_t n, int8_t *codes);

/* The scale of codes that are quantised already. */
float sosie_codes_scale(const int8_t *codes, size_t n);

/* How much a cosine counts in a score: itself, or for a *degree* d above 1 its
 * d-th power, the polynomial kernel (nothing below 0): then what is very like
 * counts for much more than what is somewhat like. */
static inline float sosie_likeness(float cosine, unsigned degree)
{
    float power = cosine;
    if (degree > 1 && cosine <= 0)
        return 0;
    for (unsigned i = 1; i < degree; i++)
        power *= cosine;
    return power;
}

/* A growing set of rows in memory. Zeroed but for `shape` it is empty. */
struct sosie_rows {
    struct sosie_row_shape shape;
    size_t n, room;
    uint64_t *numbers; /* strictly rising */
    uint32_t *classes;
    float *scales; /* (n, n_aspects) */
    int8_t *codes; /* (n, stride), aligned to 64 bytes */
};

/* Appends one row from its packed codes. NO_MEMORY, or CORRUPT when `number` is
 * not above the last one. */
SOSIE_MUST_CHECK enum sosie_status
sosie_rows_add(struct sosie_rows *rows, uint64_t number, uint32_t class_id,
               const int8_t *packed, struct sosie_error *err);
void sosie_rows_release(struct sosie_rows *rows);

#endif
