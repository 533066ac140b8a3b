/* names.c: a text's checksum says where its search begins. */
#include "train/names.h"

#include "base/hash.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 32 };

static enum sosie_status no_memory(const struct sosie_names *names,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "%zu names", names->n + 1);
}

/* The slot that holds the text, or the free one where it belongs. */
static size_t *find(const struct sosie_names *names, const char *text)
{
    size_t at = (size_t)sosie_checksum(text, strlen(text));
    for (;; at++) {
        size_t *slot = &names->slots[at & (names->n_slots - 1)];
        if (!*slot || !strcmp(names->texts[*slot - 1], text))
            return slot;
    }
}

/* Room for twice as many texts, and four slots for each. */
static enum sosie_status grow(struct sosie_names *names,
                              struct sosie_error *err)
{
    size_t room = FIRST_ROOM, n_slots, *slots;
    const char **texts;
    if (names->room && !sosie_size_mul(names->room, 2, &room))
        return no_memory(names, err);
    texts = reallocarray(names->texts, room, sizeof(*texts));
    if (!texts)
        return no_memory(names, err);
    names->texts = texts;
    if (!sosie_size_mul(room, 4, &n_slots) ||
        !(slots = calloc(n_slots, sizeof(*slots))))
        return no_memory(names, err);
    free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    names->room = room;
    for (size_t i = 0; i < names->n; i++)
        *find(names, texts[i]) = i + 1;
    return SOSIE_OK;
}

enum sosie_status sosie_names_add(struct sosie_names *names, const char *text,
                                  size_t *number, struct sosie_error *err)
{
    size_t *slot;
    if (names->n == names->room) {
        enum sosie_status st = grow(names, err);
        if (st)
            return st;
    }
    slot = find(names, text);
    if (!*slot) {
        const char *copy = sosie_arena_strdup(&names->arena, text);
        if (!copy)
            return no_memory(names, err);
        names->texts[names->n++] = copy;
        *slot = names->n;
    }
    *number = *slot - 1;
    return SOSIE_OK;
}

void sosie_names_release(struct sosie_names *names)
{
    sosie_arena_release(&names->arena);
    free(names->texts);
    free(names->slots);
    *names = (struct sosie_names){0};
}
