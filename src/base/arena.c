/* arena.c: a list of blocks, each filled from its start; large requests get a
 * block of their own. */
#include "base/arena.h"

#include "base/size.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 16384, ALIGNMENT = 16 };

struct sosie_arena_block {
    struct sosie_arena_block *next;
    size_t used, room;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct sosie_arena_block *block_add(struct sosie_arena *arena,
                                           size_t size)
{
    size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE, total;
    struct sosie_arena_block *block;
    if (!sosie_size_add(sizeof(*block), room, &total))
        return NULL;
    block = calloc(1, total);
    if (!block)
        return NULL;
    block->room = room;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *sosie_arena_alloc(struct sosie_arena *arena, size_t n, size_t size)
{
    struct sosie_arena_block *block = arena->blocks;
    void *memory;
    if (!sosie_size_mul(n, size, &size) ||
        !sosie_size_align(size ? size : 1, ALIGNMENT, &size))
        return NULL;
    if (!block || block->room - block->used < size) {
        block = block_add(arena, size);
        if (!block)
            return NULL;
    }
    memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

char *sosie_arena_strndup(struct sosie_arena *arena, const char *text, size_t n)
{
    char *copy = n < SIZE_MAX ? sosie_arena_alloc(arena, n + 1, 1) : NULL;
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *sosie_arena_strdup(struct sosie_arena *arena, const char *text)
{
    return sosie_arena_strndup(arena, text, strlen(text));
}

char *sosie_arena_printf(struct sosie_arena *arena, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    text = sosie_arena_alloc(arena, (size_t)length + 1, 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void sosie_arena_release(struct sosie_arena *arena)
{
    while (arena->blocks) {
        struct sosie_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
