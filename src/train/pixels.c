/* pixels.c: the file of decoded photos.
 *
 * It is written from front to end, since nobody knows a photo's sides before it
 * is decoded; what tells where each of them lies is therefore at its end. It is
 * of one machine: numbers are as this machine has them.
 *
 *   ...            pixels of all photos, RGB, in the order of the data set
 *   16 * n         a struct place for each, aligned to 16
 *   56             struct trailer
 *
 * The trailer's digest is of what the pixels were made from: every photo's
 * path, size and time of change, and the side. A file whose trailer or places
 * don't pass their checksum, or don't fit its size, is made anew. The pixels
 * have none: it would take as long to read them all, and a lasting file is
 * renamed to its name only when all of it is on the disk. */
#include "train/pixels_private.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ALIGNMENT = 16, MIB = 1 << 20 };

static const char MAGIC[8] = "SOPIX\r\n\x01"; /* the last is the version */

struct place {
    uint64_t offset; /* of the file */
    uint32_t width, height;
};

struct trailer {
    char magic[8];
    uint64_t n, n_bad;
    uint64_t places; /* offset */
    struct sosie_digest digest;
    uint64_t checksum; /* of places and of the trailer before it */
};

struct sosie_pixels {
    const void *bytes; /* mapped */
    size_t size;
    const struct place *places;
    size_t n, n_bad;
};

/* ---- what the pixels are made from --------------------------------------- */

static enum sosie_status no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "pixels");
}

/* Each record is hashed together with the digest of all before it. */
static enum sosie_status digest_of(const struct sosie_dataset *dataset,
                                   uint32_t side, struct sosie_digest *digest,
                                   struct sosie_error *err)
{
    char hex[33] = "";
    for (size_t i = 0; i < dataset->n; i++) {
        const char *file = dataset->photos[i].file;
        struct stat info = {0}; /* as it stays for a photo that is not there */
        char *record = NULL;
        int size;
        (void)!stat(file, &info);
        size = asprintf(&record, "%s%" PRIu32 " %jd %jd.%09ld %s", hex, side,
                        (intmax_t)info.st_size, (intmax_t)info.st_mtim.tv_sec,
                        info.st_mtim.tv_nsec, file);
        if (size < 0)
            return no_memory(err);
        *digest = sosie_digest_of(record, (size_t)size);
        sosie_digest_hex(digest, hex);
        free(record);
    }
    return SOSIE_OK;
}

static uint64_t checksum_of(const struct place *places,
                            const struct trailer *trailer)
{
    uint64_t sums[2] = {
        sosie_checksum(places, (size_t)trailer->n * sizeof(*places)),
        sosie_checksum(trailer, offsetof(struct trailer, checksum))};
    return sosie_checksum(sums, sizeof(sums));
}

/* ---- in ------------------------------------------------------------------ */

/* Whether the file is as long as the trailer says. */
static bool size_fits(size_t file_size, const struct trailer *trailer)
{
    size_t size;
    return trailer->places % ALIGNMENT == 0 &&
           sosie_size_mul(trailer->n, sizeof(struct place), &size) &&
           sosie_size_add(size, trailer->places, &size) &&
           sosie_size_add(size, sizeof(*trailer), &size) && size == file_size;
}

static bool places_fit(const struct place *places,
                       const struct trailer *trailer)
{
    for (size_t i = 0; i < trailer->n; i++) {
        size_t end;
        if (!sosie_size_mul((size_t)places[i].width * 3, places[i].height,
                            &end) ||
            !sosie_size_add(end, places[i].offset, &end) ||
            end > trailer->places)
            return false;
    }
    return true;
}

/* Finds its way in the mapped bytes; false if they are not what was looked for.
 */
static bool read_in(struct sosie_pixels *pixels,
                    const struct sosie_dataset *dataset,
                    const struct sosie_digest *digest)
{
    const char *bytes = pixels->bytes;
    struct trailer trailer;
    if (pixels->size < sizeof(trailer))
        return false;
    memcpy(&trailer, bytes + pixels->size - sizeof(trailer), sizeof(trailer));
    if (memcmp(trailer.magic, MAGIC, sizeof(MAGIC)) != 0 ||
        trailer.n != dataset->n ||
        memcmp(&trailer.digest, digest, sizeof(*digest)) != 0 ||
        !size_fits(pixels->size, &trailer))
        return false;
    pixels->places = (const void *)(bytes + trailer.places);
    pixels->n = trailer.n;
    pixels->n_bad = trailer.n_bad;
    return trailer.checksum == checksum_of(pixels->places, &trailer) &&
           places_fit(pixels->places, &trailer);
}

/* The lasting file, if there is one that fits. */
static bool use_again(const char *path, const struct sosie_dataset *dataset,
                      const struct sosie_digest *digest,
                      struct sosie_pixels *pixels)
{
    struct sosie_error err; /* whatever it is, the file is made anew */
    if (sosie_file_map(path, &pixels->bytes, &pixels->size, &err))
        return false;
    if (read_in(pixels, dataset, digest))
        return true;
    sosie_file_unmap(pixels->bytes, pixels->size);
    *pixels = (struct sosie_pixels){0};
    return false;
}

static void tell_bad(const struct sosie_pixels *pixels,
                     const struct sosie_dataset *dataset,
                     const struct sosie_pixels_options *options)
{
    for (size_t i = 0; options->bad && i < pixels->n; i++)
        if (!pixels->places[i].width)
            options->bad(options->context, dataset->photos[i].where,
                         "could not be read when the pixels were made");
}

/* ---- out ----------------------------------------------------------------- */

struct making {
    struct sosie_file_writer writer;
    struct place *places;
    size_t n_kept, n;
};

/* A full disk is met with an estimate of what all photos take. */
static enum sosie_status add(struct making *making,
                             const struct sosie_span *span,
                             struct sosie_error *err)
{
    enum sosie_status st = sosie_file_writer_add(&making->writer, span, 1, err);
    if (st) {
        size_t written = making->writer.size + span->size;
        double needed = (double)written / (double)(making->n_kept + 1) *
                        (double)making->n / (double)MIB;
        sosie_error_prefix(err,
                           "the pixels of %zu photos need about %.0f MiB, of "
                           "which %zu were written",
                           making->n, needed + 0.5, making->writer.size / MIB);
    }
    return st;
}

static enum sosie_status keep(void *context, const struct sosie_image *image,
                              struct sosie_error *err)
{
    struct making *making = context;
    const struct sosie_span span = {image->rgb,
                                    (size_t)image->width * image->height * 3};
    struct place place = {making->writer.size, image->width, image->height};
    enum sosie_status st = add(making, &span, err);
    if (!st)
        making->places[making->n_kept++] = place;
    return st;
}

static enum sosie_status add_end(struct making *making, size_t n_bad,
                                 const struct sosie_digest *digest,
                                 struct sosie_error *err)
{
    static const char zeros[ALIGNMENT] = {0};
    struct trailer trailer = {
        .n = making->n, .n_bad = n_bad, .digest = *digest};
    size_t padding = -making->writer.size % ALIGNMENT;
    const struct sosie_span spans[] = {
        {zeros, padding},
        {making->places, making->n * sizeof(*making->places)},
        {&trailer, sizeof(trailer)}};
    enum sosie_status st = SOSIE_OK;
    memcpy(trailer.magic, MAGIC, sizeof(MAGIC));
    trailer.places = making->writer.size + padding;
    trailer.checksum = checksum_of(making->places, &trailer);
    for (size_t i = 0; !st && i < sizeof(spans) / sizeof(*spans); i++)
        st = add(making, &spans[i], err);
    return st;
}

/* Where another process makes the same lasting file, ours is a temporary. */
static enum sosie_status open_writer(const char *folder, const char *path,
                                     struct sosie_file_writer *writer,
                                     struct sosie_error *err)
{
    enum sosie_status st =
        path ? sosie_file_writer_open(path, writer, err) : SOSIE_CONFLICT;
    return st == SOSIE_CONFLICT
               ? sosie_file_writer_open_unnamed(folder, writer, err)
               : st;
}

static enum sosie_status make(const char *path,
                              const struct sosie_dataset *dataset,
                              const struct sosie_digest *digest,
                              const struct sosie_pixels_options *options,
                              struct sosie_pixels *pixels,
                              struct sosie_error *err)
{
    struct making making = {.n = dataset->n};
    size_t n_bad = 0;
    enum sosie_status st =
        open_writer(options->folder, path, &making.writer, err);
    if (st)
        return st;
    making.places = calloc(dataset->n, sizeof(*making.places));
    if (!making.places) {
        st = no_memory(err);
        goto out;
    }
    st = sosie_pixels_decode(dataset, options, keep, &making, &n_bad, err);
    if (!st)
        st = add_end(&making, n_bad, digest, err);
    if (!st && making.writer.temporary)
        st = sosie_file_writer_commit(&making.writer, err);
    if (st)
        goto out;
    pixels->size = making.writer.size;
    st = sosie_file_writer_map(&making.writer, &pixels->bytes, err);
    if (!st && !read_in(pixels, dataset, digest))
        st = sosie_fail(err, SOSIE_CORRUPT,
                        "%s: the pixels are not what was written",
                        making.writer.path);
out:
    free(making.places);
    sosie_file_writer_release(&making.writer);
    return st;
}

/* ---- the handle ---------------------------------------------------------- */

enum sosie_status
sosie_pixels_create(const struct sosie_dataset *dataset,
                    const struct sosie_pixels_options *options,
                    struct sosie_pixels **out, struct sosie_error *err)
{
    struct sosie_pixels *pixels = calloc(1, sizeof(*pixels));
    struct sosie_digest digest;
    char *path = NULL;
    enum sosie_status st = SOSIE_OK;
    if (!pixels)
        return no_memory(err);
    if (!options->side)
        st = sosie_fail(err, SOSIE_BAD_INPUT, "pixels of side 0");
    else if (options->folder && options->name &&
             asprintf(&path, "%s/%s", options->folder, options->name) < 0)
        st = no_memory(err);
    if (!st)
        st = digest_of(dataset, options->side, &digest, err);
    if (st)
        goto out;
    if (path && use_again(path, dataset, &digest, pixels))
        tell_bad(pixels, dataset, options);
    else
        st = make(path, dataset, &digest, options, pixels, err);
    if (!st) {
        *out = pixels;
        pixels = NULL;
    }
out:
    sosie_pixels_destroy(pixels);
    free(path);
    return st;
}

void sosie_pixels_destroy(struct sosie_pixels *pixels)
{
    if (!pixels)
        return;
    sosie_file_unmap(pixels->bytes, pixels->size);
    free(pixels);
}

struct sosie_image sosie_pixels_get(const struct sosie_pixels *pixels, size_t i)
{
    const struct place *place = &pixels->places[i];
    if (!place->width)
        return (struct sosie_image){0};
    return (struct sosie_image){place->width, place->height,
                                (uint8_t *)(uintptr_t)pixels->bytes +
                                    place->offset};
}

size_t sosie_pixels_n_bad(const struct sosie_pixels *pixels)
{
    return pixels->n_bad;
}

size_t sosie_pixels_size_bytes(const struct sosie_pixels *pixels)
{
    return pixels->size;
}
