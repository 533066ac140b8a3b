/* onnx_external.c: tensors whose data is in a file beside the model.
 *
 * Such a file is named relative to the model's folder and may not be outside of
 * it, links included. Each is read once, whole, so that a few bytes of model
 * can't ask for more memory than there are bytes in the folder; tensors that it
 * aligns as the format recommends then point into it. */
#include "model/onnx_private.h"

#include "base/file.h"
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sosie_onnx_external {
    struct sosie_onnx_external *next;
    const char *name; /* of the message */
    unsigned char *bytes;
    size_t size;
};

/* Where a tensor's data stands, by external_data's keys. */
struct place {
    const char *location, *offset, *length;
};

static struct place read_place(const Onnx__TensorProto *proto)
{
    struct place place = {NULL, NULL, NULL};
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = proto->external_data[i];
        const char *key = sosie_onnx_text(entry->key);
        if (!strcmp(key, "location"))
            place.location = sosie_onnx_text(entry->value);
        else if (!strcmp(key, "offset"))
            place.offset = sosie_onnx_text(entry->value);
        else if (!strcmp(key, "length"))
            place.length = sosie_onnx_text(entry->value);
    }
    return place;
}

static enum sosie_status read_number(const char *key, const char *text,
                                     size_t *number, struct sosie_error *err)
{
    char *end;
    unsigned long long value;
    if (!text)
        return SOSIE_OK;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > SIZE_MAX / 2)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "external data: %s is \"%.40s\"; expected a number",
                          key, text);
    *number = (size_t)value;
    return SOSIE_OK;
}

/* Reads a whole file into the arena. */
static enum sosie_status read_file(struct sosie_onnx_store *store,
                                   struct sosie_onnx_external *external,
                                   struct sosie_error *err)
{
    int fd;
    size_t done = 0;
    enum sosie_status st = sosie_file_open_beneath(
        store->folder, external->name, &fd, &external->size, err);
    if (st)
        return st;
    external->bytes =
        sosie_arena_alloc(store->arena, external->size + 1, sizeof(char));
    while (external->bytes && done < external->size) {
        ssize_t n = read(fd, external->bytes + done, external->size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    close(fd);
    if (!external->bytes)
        return sosie_fail(err, SOSIE_NO_MEMORY, "external data");
    if (done < external->size)
        return sosie_fail(err, SOSIE_IO, "%.200s ends after %zu of %zu bytes",
                          external->name, done, external->size);
    return SOSIE_OK;
}

static enum sosie_status find_file(struct sosie_onnx_store *store,
                                   const char *name,
                                   const struct sosie_onnx_external **found,
                                   struct sosie_error *err)
{
    struct sosie_onnx_external *external = store->externals;
    enum sosie_status st;
    while (external && strcmp(external->name, name))
        external = external->next;
    *found = external;
    if (external)
        return SOSIE_OK;
    if (!sosie_path_is_beneath(name))
        return sosie_fail(err, SOSIE_REFUSED,
                          "its data is in \"%.200s\"; only files in the "
                          "model's own folder are supported",
                          name);
    external = sosie_arena_alloc(store->arena, 1, sizeof(*external));
    if (!external)
        return sosie_fail(err, SOSIE_NO_MEMORY, "external data");
    external->name = name;
    st = read_file(store, external, err);
    if (st) {
        sosie_error_prefix(err, "external data");
        return st;
    }
    external->next = store->externals;
    store->externals = external;
    *found = external;
    return SOSIE_OK;
}

enum sosie_status sosie_onnx_read_external(struct sosie_onnx_store *store,
                                           const Onnx__TensorProto *proto,
                                           size_t n, size_t element,
                                           const void **bytes,
                                           struct sosie_error *err)
{
    struct place place = read_place(proto);
    const struct sosie_onnx_external *file;
    size_t offset = 0, length, end, expected = n * element;
    unsigned char *copy;
    enum sosie_status st;

    if (!place.location || !store->folder)
        return sosie_fail(err, SOSIE_REFUSED,
                          "its data is in another file, %s; only data inside "
                          "the ONNX file is supported here",
                          place.location ? "which has no place to be looked for"
                                         : "which is not named");
    st = find_file(store, place.location, &file, err);
    if (!st)
        st = read_number("offset", place.offset, &offset, err);
    if (st)
        return st;
    length = offset <= file->size ? file->size - offset : 0;
    st = read_number("length", place.length, &length, err);
    if (st)
        return st;
    if (length != expected || !sosie_size_add(offset, length, &end) ||
        end > file->size)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "external data: %zu bytes at %zu of %.200s, which "
                          "has %zu; the tensor has %zu",
                          length, offset, place.location, file->size, expected);
    *bytes = file->bytes + offset;
    if (offset % element == 0)
        return SOSIE_OK;
    st = sosie_onnx_spend(store, n, err);
    if (st)
        return st;
    copy = sosie_arena_alloc(store->arena, n + 1, element);
    if (!copy)
        return sosie_fail(err, SOSIE_NO_MEMORY, "external data");
    memcpy(copy, file->bytes + offset, expected);
    *bytes = copy;
    return SOSIE_OK;
}
