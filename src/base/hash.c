/* hash.c: the one file that includes xxHash. */
#include "base/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

struct sosie_digest sosie_digest_of(const void *bytes, size_t size)
{
    XXH128_canonical_t canonical;
    struct sosie_digest digest;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
    memcpy(digest.bytes, canonical.digest, sizeof(digest.bytes));
    return digest;
}

void sosie_digest_hex(const struct sosie_digest *digest, char text[33])
{
    for (size_t i = 0; i < sizeof(digest->bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", digest->bytes[i]);
}

uint64_t sosie_checksum(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}
