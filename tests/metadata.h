/* metadata.h: metadata for an ONNX file that has none of the kind. */
#ifndef SOSIE_TESTS_METADATA_H
#define SOSIE_TESTS_METADATA_H

#include "check.h"

enum { METADATA_ROOM = 130 }; /* bytes that an entry takes, at most */

/* Appends an entry to the file's bytes, which have the room; returns their
 * number. Protobuf messages may be concatenated. */
static inline size_t metadata_add(unsigned char *bytes, size_t size,
                                  const char *key, const char *value)
{
    size_t key_size = strlen(key), value_size = strlen(value);
    assert_true(key_size + value_size + 4 < 128); /* one-byte lengths */
    bytes[size++] = 14 << 3 | 2;                  /* metadata_props */
    bytes[size++] = (unsigned char)(key_size + value_size + 4);
    bytes[size++] = 1 << 3 | 2;
    bytes[size++] = (unsigned char)key_size;
    memcpy(bytes + size, key, key_size);
    size += key_size;
    bytes[size++] = 2 << 3 | 2;
    bytes[size++] = (unsigned char)value_size;
    memcpy(bytes + size, value, value_size);
    return size + value_size;
}

#endif
