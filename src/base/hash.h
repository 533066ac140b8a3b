/* hash.h: content hashes and checksums (XXH3 of xxHash, by Y. Collet).
 *
 * Fast and stable across machines; they notice damage and change, and are no
 * protection against somebody who builds collisions. Threads: any number. */
#ifndef SOSIE_BASE_HASH_H
#define SOSIE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 128 bits, big-endian. */
struct sosie_digest {
    unsigned char bytes[16];
};

struct sosie_digest sosie_digest_of(const void *bytes, size_t size);

/* 32 lower-case hexadecimal digits and a NUL. */
void sosie_digest_hex(const struct sosie_digest *digest, char text[33]);

uint64_t sosie_checksum(const void *bytes, size_t size);

#endif
