/* scan.h: exact search, one pass over all rows.
 *
 * Dot products are integers, so a row's score depends on nothing but the row
 * and the query: not on the instructions in use, the segment it is in, or the
 * order of the scan. */
#ifndef SOSIE_INDEX_SCAN_H
#define SOSIE_INDEX_SCAN_H

#include "index/segment.h"

/* A set of small numbers: of class ids, or of the rows of a segment. */
struct sosie_bits {
    uint64_t *words;
    size_t n; /* numbers 0 .. n-1 can be in it */
};

static inline bool sosie_bits_has(const struct sosie_bits *bits, size_t i)
{
    return i < bits->n && (bits->words[i / 64] >> (i % 64) & 1);
}

static inline void sosie_bits_add(struct sosie_bits *bits, size_t i)
{
    if (i < bits->n)
        bits->words[i / 64] |= (uint64_t)1 << (i % 64);
}

/* Room for n numbers, none in it; free(words) releases it. False when out of
 * memory. */
bool sosie_bits_init(struct sosie_bits *bits, size_t n);

struct sosie_scan_query {
    const int8_t *codes; /* laid out like a row */
    float scales[SOSIE_ASPECTS_MAX];
    float weights[SOSIE_ASPECTS_MAX];    /* >= 0, not all 0 */
    unsigned degrees[SOSIE_ASPECTS_MAX]; /* see rows.h; 0 is as 1 */
    const struct sosie_bits *classes;    /* only these; NULL: all */
};

struct sosie_neighbour {
    uint64_t number;
    uint32_t class_id;
    float score; /* weighted mean of the aspects' likenesses */
    float aspects[SOSIE_ASPECTS_MAX]; /* cosines */
};

/* The best rows so far: a heap with the worst on top. */
struct sosie_top {
    struct sosie_neighbour *heap; /* room for k, owned by the caller */
    size_t k, n;
};

/* Offers every row of the segment that is allowed and not in `dead` (by
 * position in the segment; NULL: none) to `top`. */
void sosie_scan(const struct sosie_segment *segment,
                const struct sosie_bits *dead,
                const struct sosie_scan_query *query, struct sosie_top *top);

/* Orders the heap: best first; equal scores by rising row number. */
void sosie_top_sort(struct sosie_top *top);

#endif
