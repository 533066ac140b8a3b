/* seen.c: a digest's first bytes say where its search begins. */
#include "catalog/seen.h"

#include "base/hash.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

struct sosie_seen_slot {
    struct sosie_digest id;
    size_t row; /* 0: the slot is free */
};

/* The slot that holds the digest, or the free one where it belongs. */
static struct sosie_seen_slot *find(const struct sosie_seen *seen,
                                    const struct sosie_digest *id)
{
    size_t at;
    memcpy(&at, id->bytes, sizeof(at));
    for (;; at++) {
        struct sosie_seen_slot *slot = &seen->slots[at & (seen->n_slots - 1)];
        if (!slot->row || !memcmp(&slot->id, id, sizeof(*id)))
            return slot;
    }
}

static enum sosie_status grow(struct sosie_seen *seen, struct sosie_error *err)
{
    struct sosie_seen larger = {.n_slots = FIRST_SLOTS, .n_used = seen->n_used};
    if ((seen->n_slots && !sosie_size_mul(seen->n_slots, 2, &larger.n_slots)) ||
        !(larger.slots = calloc(larger.n_slots, sizeof(*larger.slots))))
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu ids", seen->n_used);
    for (size_t i = 0; i < seen->n_slots; i++)
        if (seen->slots[i].row)
            *find(&larger, &seen->slots[i].id) = seen->slots[i];
    free(seen->slots);
    *seen = larger;
    return SOSIE_OK;
}

enum sosie_status sosie_seen_add(struct sosie_seen *seen, const char *id,
                                 size_t row, size_t *earlier,
                                 struct sosie_error *err)
{
    struct sosie_digest digest = sosie_digest_of(id, strlen(id));
    struct sosie_seen_slot *slot;
    if (seen->n_used >= seen->n_slots / 2) {
        enum sosie_status st = grow(seen, err);
        if (st)
            return st;
    }
    slot = find(seen, &digest);
    *earlier = slot->row;
    if (!slot->row) {
        slot->id = digest;
        slot->row = row;
        seen->n_used++;
    }
    return SOSIE_OK;
}

void sosie_seen_release(struct sosie_seen *seen)
{
    free(seen->slots);
    memset(seen, 0, sizeof(*seen));
}
