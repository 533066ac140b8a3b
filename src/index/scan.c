/* scan.c: runs of allowed rows through the dot-product kernel, the best kept in
 * a heap of k.
 *
 * Cost: the bytes of the rows, once; 320 a row with 256 + 64 dimensions. The
 * dots of a block stay in the first-level cache until they are scored. */
#include "index/scan.h"

#include "kernels/kernels.h"

#include <stdlib.h>

enum { BLOCK = 256 };

bool sosie_bits_init(struct sosie_bits *bits, size_t n)
{
    bits->words = calloc(n / 64 + 1, sizeof(*bits->words));
    bits->n = n;
    return bits->words;
}

/* ---- the best k ---------------------------------------------------------- */

static bool worse(const struct sosie_neighbour *a,
                  const struct sosie_neighbour *b)
{
    return a->score < b->score ||
           (a->score <= b->score && a->number > b->number);
}

static void sift_down(struct sosie_neighbour *heap, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        struct sosie_neighbour swap;
        if (child >= n)
            return;
        if (child + 1 < n && worse(&heap[child + 1], &heap[child]))
            child++;
        if (!worse(&heap[child], &heap[i]))
            return;
        swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
        i = child;
    }
}

static void sift_up(struct sosie_neighbour *heap, size_t i)
{
    while (i && worse(&heap[i], &heap[(i - 1) / 2])) {
        struct sosie_neighbour swap = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = swap;
        i = (i - 1) / 2;
    }
}

static void offer(struct sosie_top *top, const struct sosie_neighbour *new)
{
    if (top->n < top->k) {
        top->heap[top->n] = *new;
        sift_up(top->heap, top->n++);
    } else if (top->k && worse(&top->heap[0], new)) {
        top->heap[0] = *new;
        sift_down(top->heap, top->n, 0);
    }
}

static int best_first(const void *a, const void *b)
{
    return worse(a, b) ? 1 : -1; /* no two have the same number */
}

void sosie_top_sort(struct sosie_top *top)
{
    qsort(top->heap, top->n, sizeof(*top->heap), best_first);
}

/* ---- the scan ------------------------------------------------------------ */

struct scorer {
    const struct sosie_segment_view *rows;
    const struct sosie_scan_query *query;
    float weights[SOSIE_ASPECTS_MAX]; /* in parts of 1 */
};

/* Adds what aspect j counts for to the scores of n rows: sosie_likeness, in
 * loops that are done four or more numbers at a time. */
static void add_likenesses(const struct scorer *scorer, size_t first, size_t n,
                           const int32_t *dots, size_t j, float *scores)
{
    const struct sosie_scan_query *query = scorer->query;
    size_t n_aspects = scorer->rows->shape.n_aspects;
    const float *scales = scorer->rows->scales + first * n_aspects + j;
    float cosines[BLOCK], powers[BLOCK];

    for (size_t i = 0; i < n; i++)
        powers[i] = cosines[i] = (float)dots[i * n_aspects + j] *
                                 scales[i * n_aspects] * query->scales[j];
    if (query->degrees[j] > 1)
        for (size_t i = 0; i < n; i++)
            powers[i] = cosines[i] = cosines[i] > 0 ? cosines[i] : 0;
    for (unsigned d = 1; d < query->degrees[j]; d++)
        for (size_t i = 0; i < n; i++)
            powers[i] *= cosines[i];
    for (size_t i = 0; i < n; i++)
        scores[i] += scorer->weights[j] * powers[i];
}

static void score_block(const struct scorer *scorer, size_t first, size_t n,
                        const int32_t *dots, struct sosie_top *top)
{
    const struct sosie_segment_view *rows = scorer->rows;
    size_t n_aspects = rows->shape.n_aspects;
    float scores[BLOCK] = {0};

    for (size_t j = 0; j < n_aspects; j++)
        add_likenesses(scorer, first, n, dots, j, scores);
    for (size_t i = 0; i < n; i++) {
        const float *scales = rows->scales + (first + i) * n_aspects;
        struct sosie_neighbour new = {.score = scores[i]};
        if (top->n == top->k && (!top->k || new.score < top->heap[0].score))
            continue;
        new.number = rows->numbers[first + i];
        new.class_id = rows->classes[first + i];
        for (size_t j = 0; j < n_aspects; j++)
            new.aspects[j] = (float)dots[i * n_aspects + j] * scales[j] *
                             scorer->query->scales[j];
        offer(top, &new);
    }
}

/* The end of the run of allowed rows that starts at `from`, at most a block. */
static size_t run_end(const struct sosie_segment_view *rows,
                      const struct sosie_bits *dead,
                      const struct sosie_bits *classes, size_t from)
{
    size_t most = rows->n - from < BLOCK ? rows->n : from + BLOCK, i = from;
    if (!dead && !classes)
        return most;
    while (i < most && !(dead && sosie_bits_has(dead, i)) &&
           (!classes || sosie_bits_has(classes, rows->classes[i])))
        i++;
    return i;
}

void sosie_scan(const struct sosie_segment *segment,
                const struct sosie_bits *dead,
                const struct sosie_scan_query *query, struct sosie_top *top)
{
    const struct sosie_kernels *kernels = sosie_kernels();
    const struct sosie_segment_view *rows = sosie_segment_view(segment);
    size_t stride = sosie_row_stride(&rows->shape), sizes[SOSIE_ASPECTS_MAX];
    struct scorer scorer = {.rows = rows, .query = query};
    int32_t dots[BLOCK * SOSIE_ASPECTS_MAX];
    float weights = 0;

    for (size_t j = 0; j < rows->shape.n_aspects; j++)
        weights += query->weights[j];
    for (size_t j = 0; j < rows->shape.n_aspects; j++) {
        sizes[j] = sosie_row_aspect_size(&rows->shape, j);
        scorer.weights[j] = query->weights[j] / weights;
    }
    for (size_t i = 0; i < rows->n;) {
        size_t end = run_end(rows, dead, query->classes, i);
        if (end == i) {
            i++;
            continue;
        }
        kernels->scan_i8(query->codes, rows->codes + i * stride, stride, sizes,
                         rows->shape.n_aspects, end - i, dots);
        score_block(&scorer, i, end - i, dots, top);
        i = end;
    }
}
