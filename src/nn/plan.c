/* plan.c: greedy placement, the largest first, each as low as it fits.
 *
 * The placed extents are kept in order of offset, so a fit is found in one walk
 * over them. This is "greedy by size" of Y. Pisarchyk and J. Lee, "Efficient
 * Memory Management for Deep Neural Net Inference" (2020). */
#include "nn/plan.h"

#include "base/size.h"

#include <stdlib.h>

static const size_t MAX_TOTAL = (size_t)4 << 30;

static int larger_first(const void *a, const void *b)
{
    const struct sosie_extent *x = *(struct sosie_extent *const *)a;
    const struct sosie_extent *y = *(struct sosie_extent *const *)b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x < y ? -1 : 1; /* the same plan on every machine */
}

/* The lowest offset at which `e` overlaps none of the placed ones. */
static size_t lowest_fit(struct sosie_extent *const *placed, size_t n,
                         const struct sosie_extent *e)
{
    size_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sosie_extent *p = placed[i];
        if (p->last < e->first || e->last < p->first)
            continue;
        if (p->offset >= offset + e->size)
            break;
        if (p->offset + p->size > offset)
            offset = p->offset + p->size;
    }
    return offset;
}

/* Puts `e` into the list of placed ones, which is in order of offset. */
static void insert(struct sosie_extent **placed, size_t n,
                   struct sosie_extent *e)
{
    for (; n && placed[n - 1]->offset > e->offset; n--)
        placed[n] = placed[n - 1];
    placed[n] = e;
}

enum sosie_status sosie_plan(struct sosie_extent *extents, size_t n,
                             size_t *total, struct sosie_error *err)
{
    struct sosie_extent **order = calloc(n + 1, sizeof(struct sosie_extent *));
    struct sosie_extent **placed = calloc(n + 1, sizeof(struct sosie_extent *));
    enum sosie_status st = SOSIE_OK;
    size_t end = 0;

    if (!order || !placed) {
        st = sosie_fail(err, SOSIE_NO_MEMORY, "the network's memory plan");
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        order[i] = &extents[i];
        if (!sosie_size_align(extents[i].size, SOSIE_ALIGNMENT,
                              &extents[i].size) ||
            extents[i].size > MAX_TOTAL) {
            st = sosie_fail(err, SOSIE_REFUSED,
                            "one tensor needs %zu bytes; the limit is %zu",
                            extents[i].size, MAX_TOTAL);
            goto out;
        }
    }
    qsort(order, n, sizeof(*order), larger_first);
    for (size_t i = 0; i < n; i++) {
        order[i]->offset = lowest_fit(placed, i, order[i]);
        insert(placed, i, order[i]);
        if (order[i]->offset + order[i]->size > end)
            end = order[i]->offset + order[i]->size;
        if (end > MAX_TOTAL) {
            st = sosie_fail(err, SOSIE_REFUSED,
                            "the network needs more than %zu bytes for one "
                            "photo",
                            MAX_TOTAL);
            goto out;
        }
    }
    *total = end;
out:
    free(order);
    free(placed);
    return st;
}
