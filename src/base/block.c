/* block.c: large memory that will be written all over.
 *
 * Huge pages would be fewer still. But a system that is itself a guest may have
 * lent them to others in the meantime, and getting them back takes longer than
 * it saves: ResNet-50 took twice the time to load. */
#include "base/block.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CACHE_LINE = 64, LARGE = 128 << 10 };

void *sosie_block_create(size_t size)
{
    size_t page = size < LARGE ? 0 : (size_t)sysconf(_SC_PAGESIZE);
    void *block;
    if (posix_memalign(&block, page ? page : CACHE_LINE, size ? size : 1))
        return NULL;
    if (page) /* Linux 5.14; without it, the pages come one by one */
        (void)madvise(block, size / page * page, MADV_POPULATE_WRITE);
    return block;
}
