/* segment.h: an immutable block of rows, on disk or in memory.
 *
 * Threads: immutable once made, so any number of readers. */
#ifndef SOSIE_INDEX_SEGMENT_H
#define SOSIE_INDEX_SEGMENT_H

#include "index/rows.h"

struct sosie_segment;

/* What a segment holds; valid as long as the segment. */
struct sosie_segment_view {
    struct sosie_row_shape shape;
    size_t n;
    const uint64_t *numbers; /* strictly rising */
    const uint32_t *classes;
    const float *scales;
    const int8_t *codes;
};

/* Writes the rows as a segment file, whole or not at all. */
SOSIE_MUST_CHECK enum sosie_status
sosie_segment_write(const char *path, const struct sosie_rows *rows,
                    struct sosie_error *err);

/* Maps a segment file. CORRUPT if any byte is not as it was written, CONFLICT
 * if its shape is another than `shape`. */
SOSIE_MUST_CHECK enum sosie_status
sosie_segment_open(const char *path, const struct sosie_row_shape *shape,
                   struct sosie_segment **out, struct sosie_error *err);

/* Takes the rows over (they are empty afterwards) without a file. */
SOSIE_MUST_CHECK enum sosie_status
sosie_segment_take(struct sosie_rows *rows, struct sosie_segment **out,
                   struct sosie_error *err);

/* NULL is allowed. */
void sosie_segment_close(struct sosie_segment *segment);

const struct sosie_segment_view *
sosie_segment_view(const struct sosie_segment *segment);

#endif
