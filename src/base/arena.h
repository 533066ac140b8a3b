/* arena.h: many small things with one lifetime, released together.
 *
 * An arena serves a request, a model import, a command. Unshared: one thread at
 * a time. Memory from it is zeroed, aligned for any type, and valid until
 * sosie_arena_release or sosie_arena_reset. */
#ifndef SOSIE_BASE_ARENA_H
#define SOSIE_BASE_ARENA_H

#include "sosie/error.h"

#include <stddef.h>

struct sosie_arena {
    struct sosie_arena_block *blocks; /* newest first */
};

/* An arena that is all zero bytes is ready for use; this says so by name. */
#define SOSIE_ARENA_INIT                                                       \
    {                                                                          \
        NULL                                                                   \
    }

/* Zeroed room for n * size bytes; NULL when out of memory or on overflow. */
void *sosie_arena_alloc(struct sosie_arena *arena, size_t n, size_t size);

/* Copies of a string, of `n` bytes of one (a NUL is added), or of a formatted
 * one; NULL when out of memory. */
char *sosie_arena_strdup(struct sosie_arena *arena, const char *text);
char *sosie_arena_strndup(struct sosie_arena *arena, const char *text,
                          size_t n);
char *sosie_arena_printf(struct sosie_arena *arena, const char *format, ...)
    SOSIE_PRINTF(2, 3);

/* Frees everything; the arena is then as new. */
void sosie_arena_release(struct sosie_arena *arena);

#endif
