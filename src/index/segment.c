/* segment.c: immutable, checksummed blocks of embeddings on disk.
 *
 * A segment is written once, to a temporary, synced and renamed into place,
 * then never changed: readers need no lock, and a crash leaves no segment or a
 * whole one. Rows of items that are gone stay in it until segments are merged;
 * the catalog says which they are.
 *
 *   offset  size             field (integers are little-endian)
 *   0       8                magic "SOSEG\r\n\x1a"
 *   8       4                format version, now 1
 *   12      4                n_aspects, 1..4
 *   16      4 * 4            elements of each aspect, 0 for those not there
 *   32      8                n, rows
 *   40      8                XXH3-64 of the XXH3-64s of the four sections below
 *   48      8                0
 *   56      8                XXH3-64 of bytes 0..55
 *   64      8 * n            row numbers, strictly rising
 *   ...     4 * n            class of each row
 *   ...     4 * n_aspects * n  scales, float
 *   ...     up to a multiple of 64: zeros (not checked)
 *   ...     stride * n       codes
 *
 * Files come from disk and may be damaged or hostile: nothing is believed
 * before check_header and check_body have passed. */
#include "index/segment.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/size.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER != __LITTLE_ENDIAN
#error "segments are mapped as they are: little-endian machines only"
#endif

static const char MAGIC[8] = "SOSEG\r\n\x1a";
enum { VERSION = 1, HEADER_SIZE = 64 };

struct header {
    char magic[8];
    uint32_t version, n_aspects;
    uint32_t dims[SOSIE_ASPECTS_MAX];
    uint64_t n, body_checksum, zero, header_checksum;
};
static_assert(sizeof(struct header) == HEADER_SIZE, "no padding");

struct sosie_segment {
    struct sosie_segment_view view;
    const void *map; /* of a file; NULL: the rows are in memory */
    size_t map_size;
    struct sosie_rows rows;
};

/* Offsets from the start of the file. */
struct layout {
    size_t numbers, classes, scales, scales_end, codes, end;
};

static bool lay_out(const struct sosie_row_shape *shape, size_t n,
                    struct layout *at)
{
    size_t size;
    at->numbers = HEADER_SIZE;
    return sosie_size_mul(n, sizeof(uint64_t), &size) &&
           sosie_size_add(at->numbers, size, &at->classes) &&
           sosie_size_mul(n, sizeof(uint32_t), &size) &&
           sosie_size_add(at->classes, size, &at->scales) &&
           sosie_size_mul(n, sizeof(float) * shape->n_aspects, &size) &&
           sosie_size_add(at->scales, size, &at->scales_end) &&
           sosie_size_align(at->scales_end, 64, &at->codes) &&
           sosie_size_mul(n, sosie_row_stride(shape), &size) &&
           sosie_size_add(at->codes, size, &at->end);
}

static struct sosie_segment_view view_of(const struct sosie_rows *rows)
{
    return (struct sosie_segment_view){.shape = rows->shape,
                                       .n = rows->n,
                                       .numbers = rows->numbers,
                                       .classes = rows->classes,
                                       .scales = rows->scales,
                                       .codes = rows->codes};
}

static uint64_t body_checksum(const struct sosie_segment_view *rows,
                              const struct layout *at)
{
    uint64_t sections[] = {
        sosie_checksum(rows->numbers, at->classes - at->numbers),
        sosie_checksum(rows->classes, at->scales - at->classes),
        sosie_checksum(rows->scales, at->scales_end - at->scales),
        sosie_checksum(rows->codes, at->end - at->codes)};
    return sosie_checksum(sections, sizeof(sections));
}

/* ---- write --------------------------------------------------------------- */

enum sosie_status sosie_segment_write(const char *path,
                                      const struct sosie_rows *rows,
                                      struct sosie_error *err)
{
    static const char zeros[64];
    struct header header = {.version = VERSION,
                            .n_aspects = (uint32_t)rows->shape.n_aspects,
                            .n = rows->n};
    struct sosie_segment_view view = view_of(rows);
    struct layout at;

    if (!lay_out(&rows->shape, rows->n, &at))
        return sosie_fail(err, SOSIE_NO_MEMORY, "%s: too many rows", path);
    memcpy(header.magic, MAGIC, sizeof(MAGIC));
    for (size_t j = 0; j < rows->shape.n_aspects; j++)
        header.dims[j] = (uint32_t)rows->shape.dims[j];
    header.body_checksum = body_checksum(&view, &at);
    header.header_checksum =
        sosie_checksum(&header, offsetof(struct header, header_checksum));
    return sosie_file_write(
        path,
        (const struct sosie_span[]){{&header, sizeof(header)},
                                    {rows->numbers, at.classes - at.numbers},
                                    {rows->classes, at.scales - at.classes},
                                    {rows->scales, at.scales_end - at.scales},
                                    {zeros, at.codes - at.scales_end},
                                    {rows->codes, at.end - at.codes}},
        6, err);
}

/* ---- open ---------------------------------------------------------------- */

static enum sosie_status check_header(const struct sosie_segment *segment,
                                      struct header *header,
                                      struct sosie_error *err)
{
    if (segment->map_size < HEADER_SIZE)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "segment has %zu bytes, its header alone needs %d",
                          segment->map_size, HEADER_SIZE);
    memcpy(header, segment->map, sizeof(*header));
    if (memcmp(header->magic, MAGIC, sizeof(MAGIC)))
        return sosie_fail(err, SOSIE_CORRUPT, "not a segment file");
    if (header->header_checksum !=
        sosie_checksum(header, offsetof(struct header, header_checksum)))
        return sosie_fail(err, SOSIE_CORRUPT,
                          "segment's header fails its checksum");
    if (header->version != VERSION)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "segment has format version %" PRIu32
                          ", this program reads %d",
                          header->version, VERSION);
    return SOSIE_OK;
}

static enum sosie_status check_shape(const struct header *header,
                                     const struct sosie_row_shape *shape,
                                     struct sosie_error *err)
{
    bool same = header->n_aspects == shape->n_aspects;
    for (size_t j = 0; same && j < shape->n_aspects; j++)
        same = header->dims[j] == shape->dims[j];
    if (!same)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "segment has %" PRIu32
                          " aspects, the first of dimension %" PRIu32
                          "; the catalog has %zu, the first of dimension %zu",
                          header->n_aspects, header->dims[0], shape->n_aspects,
                          shape->dims[0]);
    return SOSIE_OK;
}

static enum sosie_status check_body(struct sosie_segment *segment,
                                    const struct sosie_row_shape *shape,
                                    const struct header *header,
                                    struct sosie_error *err)
{
    const unsigned char *bytes = segment->map;
    struct sosie_segment_view *view = &segment->view;
    struct layout at;
    if (!lay_out(shape, header->n, &at) || at.end != segment->map_size)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "segment has %zu bytes, too few or too many for its "
                          "%" PRIu64 " rows",
                          segment->map_size, header->n);
    *view = (struct sosie_segment_view){
        .shape = *shape,
        .n = header->n,
        .numbers = (const void *)(bytes + at.numbers),
        .classes = (const void *)(bytes + at.classes),
        .scales = (const void *)(bytes + at.scales),
        .codes = (const void *)(bytes + at.codes)};
    if (header->body_checksum != body_checksum(view, &at))
        return sosie_fail(err, SOSIE_CORRUPT, "segment fails its checksum");
    for (size_t i = 1; i < view->n; i++)
        if (view->numbers[i] <= view->numbers[i - 1])
            return sosie_fail(err, SOSIE_CORRUPT,
                              "segment's row numbers do not rise at row %zu",
                              i);
    return SOSIE_OK;
}

enum sosie_status sosie_segment_open(const char *path,
                                     const struct sosie_row_shape *shape,
                                     struct sosie_segment **out,
                                     struct sosie_error *err)
{
    struct header header;
    enum sosie_status st;
    struct sosie_segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return sosie_fail(err, SOSIE_NO_MEMORY, "segment handle");

    st = sosie_file_map(path, &segment->map, &segment->map_size, err);
    if (st) {
        free(segment);
        return st; /* the message has the path already */
    }
    st = check_header(segment, &header, err);
    if (!st)
        st = check_shape(&header, shape, err);
    if (!st)
        st = check_body(segment, shape, &header, err);
    if (st) {
        sosie_error_prefix(err, "%s", path);
        sosie_segment_close(segment);
        return st;
    }
    *out = segment;
    return SOSIE_OK;
}

enum sosie_status sosie_segment_take(struct sosie_rows *rows,
                                     struct sosie_segment **out,
                                     struct sosie_error *err)
{
    struct sosie_segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return sosie_fail(err, SOSIE_NO_MEMORY, "segment handle");
    segment->rows = *rows;
    *rows = (struct sosie_rows){.shape = rows->shape};
    segment->view = view_of(&segment->rows);
    *out = segment;
    return SOSIE_OK;
}

void sosie_segment_close(struct sosie_segment *segment)
{
    if (!segment)
        return;
    sosie_file_unmap(segment->map, segment->map_size);
    sosie_rows_release(&segment->rows);
    free(segment);
}

const struct sosie_segment_view *
sosie_segment_view(const struct sosie_segment *segment)
{
    return &segment->view;
}
