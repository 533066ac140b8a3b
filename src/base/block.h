/* block.h: large memory that will be written all over. */
#ifndef SOSIE_BASE_BLOCK_H
#define SOSIE_BASE_BLOCK_H

#include <stddef.h>

/* Aligned to 64 bytes and at least one byte, what it holds is unspecified; NULL
 * when out of memory. Release it with free(). A large one gets its pages here,
 * all in one call: one by one, as each is first written, costs more, up to as
 * much again as writing them. */
void *sosie_block_create(size_t size);

#endif
