/* head.c: prediction; the file; what a head is fitted on.
 *
 *   offset  size           field (integers are little-endian)
 *   0       8              magic "SOHED\r\n\x1a"
 *   8       4              format version, now 1
 *   12      4              n_aspects, 1..4
 *   16      4 * 4          elements of each aspect, 0 for those not there
 *   32      8              the transform that the embeddings were made with
 *   40      8              temperature, double
 *   48      4              n, classes
 *   52      4              size of their names, bytes
 *   56      8              0
 *   64      4 * n * (d+1)  weights, float: of the d elements, and the bias
 *   ...                    the names, each ended by a NUL
 *
 * Its name is the XXH3-128 of all of it. It is written first, then named in the
 * database; a file that is not named does not count, and is removed when
 * another one is. */
#include "engine/head.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/size.h"
#include "engine/engine_private.h"
#include "kernels/kernels.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char MAGIC[8] = "SOHED\r\n\x1a";
static const char SETTING[] = "head";
enum {
    VERSION = 1,
    HEADER_SIZE = 64,
    MAX_FLOATS = 1 << 26,
    MAX_BYTES = 1 << 29,
    DIGITS = 32
};

struct header {
    char magic[8];
    uint32_t version, n_aspects;
    uint32_t dims[SOSIE_ASPECTS_MAX];
    int64_t transform;
    double temperature;
    uint32_t n_classes, names_size;
    uint64_t zero;
};
_Static_assert(sizeof(struct header) == HEADER_SIZE, "no padding");

/* ---- a head -------------------------------------------------------------- */

enum sosie_status sosie_head_init(struct sosie_head *head,
                                  const struct sosie_row_shape *shape,
                                  size_t n_classes, struct sosie_error *err)
{
    struct sosie_head made = {
        .shape = *shape, .n_classes = n_classes, .temperature = 1};
    size_t dim = sosie_row_packed_size(shape), n;
    if (!sosie_size_mul(n_classes, dim + 1, &n) || n > MAX_FLOATS)
        return sosie_fail(err, SOSIE_REFUSED,
                          "a head for %zu classes of embeddings of dimension "
                          "%zu is too large",
                          n_classes, dim);
    made.names = sosie_arena_alloc(&made.arena, n_classes, sizeof(*made.names));
    made.weights = sosie_arena_alloc(&made.arena, n, sizeof(*made.weights));
    if (!made.names || !made.weights) {
        sosie_head_release(&made);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a head for %zu classes",
                          n_classes);
    }
    *head = made;
    return SOSIE_OK;
}

void sosie_head_release(struct sosie_head *head)
{
    sosie_arena_release(&head->arena);
    *head = (struct sosie_head){0};
}

void sosie_head_input(const struct sosie_row_shape *shape, const int8_t *codes,
                      const float *scales, float *x)
{
    for (size_t j = 0; j < shape->n_aspects; j++) {
        for (size_t k = 0; k < shape->dims[j]; k++)
            *x++ = (float)codes[k] * scales[j];
        codes += sosie_row_aspect_size(shape, j);
    }
}

void sosie_head_predict(const struct sosie_head *head, const float *x,
                        double *probabilities)
{
    sosie_dot_f32 *dot = sosie_kernels()->dot_f32;
    size_t dim = sosie_row_packed_size(&head->shape);
    double largest = -INFINITY, sum = 0;
    for (size_t c = 0; c < head->n_classes; c++) {
        const float *weights = head->weights + c * (dim + 1);
        probabilities[c] =
            (double)(dot(weights, x, dim) + weights[dim]) / head->temperature;
        largest = fmax(largest, probabilities[c]);
    }
    for (size_t c = 0; c < head->n_classes; c++)
        sum += probabilities[c] = exp(probabilities[c] - largest);
    for (size_t c = 0; c < head->n_classes; c++)
        probabilities[c] /= sum;
}

/* ---- reading ------------------------------------------------------------- */

static enum sosie_status check_header(const struct header *header,
                                      struct sosie_row_shape *shape,
                                      struct sosie_error *err)
{
    if (memcmp(header->magic, MAGIC, sizeof(MAGIC)))
        return sosie_fail(err, SOSIE_CORRUPT, "is no class head");
    if (header->version != VERSION)
        return sosie_fail(err, SOSIE_UNSUPPORTED,
                          "class head of format %" PRIu32 ", expected %d",
                          header->version, VERSION);
    *shape = (struct sosie_row_shape){.n_aspects = header->n_aspects};
    for (size_t j = 0; j < SOSIE_ASPECTS_MAX; j++) {
        shape->dims[j] = header->dims[j];
        if ((j < header->n_aspects) != (header->dims[j] > 0) ||
            header->dims[j] > SOSIE_ASPECT_DIM_MAX)
            return sosie_fail(err, SOSIE_CORRUPT,
                              "class head of %" PRIu32 " aspects: aspect %zu "
                              "has %" PRIu32 " elements",
                              header->n_aspects, j, header->dims[j]);
    }
    if (!header->n_aspects || !header->n_classes ||
        !(header->temperature > 0 && isfinite(header->temperature)))
        return sosie_fail(err, SOSIE_CORRUPT,
                          "class head of %" PRIu32 " classes, temperature %g",
                          header->n_classes, header->temperature);
    return SOSIE_OK;
}

static enum sosie_status read_names(struct sosie_head *head, const char *names,
                                    size_t size, struct sosie_error *err)
{
    for (size_t c = 0; c < head->n_classes; c++) {
        size_t length = strnlen(names, size);
        if (length == size)
            return sosie_fail(err, SOSIE_CORRUPT,
                              "class head with names of %zu of %zu classes", c,
                              head->n_classes);
        head->names[c] = sosie_arena_strndup(&head->arena, names, length);
        if (!head->names[c])
            return sosie_fail(err, SOSIE_NO_MEMORY, "names of classes");
        names += length + 1;
        size -= length + 1;
    }
    return SOSIE_OK;
}

static enum sosie_status parse(const unsigned char *bytes, size_t size,
                               struct sosie_head *head, struct sosie_error *err)
{
    struct header header;
    struct sosie_row_shape shape;
    struct sosie_head made = {0};
    uint64_t weights_size, expected;
    enum sosie_status st;
    if (size < HEADER_SIZE)
        return sosie_fail(err, SOSIE_CORRUPT, "class head of %zu bytes", size);
    memcpy(&header, bytes, HEADER_SIZE);
    st = check_header(&header, &shape, err);
    if (st)
        return st;
    weights_size = (uint64_t)header.n_classes *
                   (sosie_row_packed_size(&shape) + 1) * sizeof(*made.weights);
    expected = HEADER_SIZE + weights_size + header.names_size;
    if (size != expected)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "class head of %zu bytes, expected %" PRIu64, size,
                          expected);
    st = sosie_head_init(&made, &shape, header.n_classes, err);
    if (st)
        return st;
    memcpy(made.weights, bytes + HEADER_SIZE, weights_size);
    made.transform = header.transform;
    made.temperature = header.temperature;
    st = read_names(&made, (const char *)bytes + HEADER_SIZE + weights_size,
                    header.names_size, err);
    if (st)
        sosie_head_release(&made);
    else
        *head = made;
    return st;
}

static enum sosie_status read_file(const char *path, const char *digest,
                                   struct sosie_head *head,
                                   struct sosie_error *err)
{
    unsigned char *bytes = NULL;
    size_t size;
    char found[DIGITS + 1];
    struct sosie_digest of;
    enum sosie_status st = sosie_file_read(path, MAX_BYTES, &bytes, &size, err);
    if (st)
        return st == SOSIE_NO_MEMORY
                   ? st
                   : sosie_fail(err, SOSIE_CORRUPT, "%s can't be read", path);
    of = sosie_digest_of(bytes, size);
    sosie_digest_hex(&of, found);
    st = strcmp(found, digest)
             ? sosie_fail(err, SOSIE_CORRUPT, "its digest is %s", found)
             : parse(bytes, size, head, err);
    free(bytes);
    if (st)
        sosie_error_prefix(err, "%s", path);
    return st;
}

enum sosie_status sosie_head_read(const char *folder,
                                  struct sosie_catalog *catalog,
                                  struct sosie_head *head,
                                  struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    const char *digest = NULL, *path;
    enum sosie_status st =
        sosie_catalog_get(catalog, SETTING, &arena, &digest, err);
    *head = (struct sosie_head){0};
    if (!st && digest && *digest) {
        path =
            sosie_arena_printf(&arena, "%s/%.*s.head", folder, DIGITS, digest);
        st = path ? read_file(path, digest, head, err)
                  : sosie_fail(err, SOSIE_NO_MEMORY, "%s", folder);
    }
    sosie_arena_release(&arena);
    return st;
}

/* ---- writing ------------------------------------------------------------- */

/* Removes heads, and temporaries of them, other than the one that counts. */
static void sweep(const char *folder, const char *digest)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        const char *end = strstr(entry->d_name, ".head");
        if (end && (!end[5] || !strcmp(end, ".head.tmp")) &&
            !(strlen(entry->d_name) == DIGITS + strlen(".head") &&
              !strncmp(entry->d_name, digest, DIGITS)))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* The whole file in the arena. */
static enum sosie_status lay_out(const struct sosie_head *head,
                                 struct sosie_arena *arena,
                                 struct sosie_span *file,
                                 struct sosie_error *err)
{
    struct header header = {.version = VERSION,
                            .n_aspects = (uint32_t)head->shape.n_aspects,
                            .transform = head->transform,
                            .temperature = head->temperature,
                            .n_classes = (uint32_t)head->n_classes};
    size_t weights_size = head->n_classes *
                          (sosie_row_packed_size(&head->shape) + 1) *
                          sizeof(*head->weights);
    size_t names_size = 0;
    unsigned char *bytes, *to;
    for (size_t c = 0; c < head->n_classes; c++)
        names_size += strlen(head->names[c]) + 1;
    if (names_size > MAX_BYTES - HEADER_SIZE - weights_size)
        return sosie_fail(err, SOSIE_REFUSED, "names of classes have %zu bytes",
                          names_size);
    memcpy(header.magic, MAGIC, sizeof(MAGIC));
    for (size_t j = 0; j < head->shape.n_aspects; j++)
        header.dims[j] = (uint32_t)head->shape.dims[j];
    header.names_size = (uint32_t)names_size;
    to = bytes =
        sosie_arena_alloc(arena, 1, HEADER_SIZE + weights_size + names_size);
    if (!bytes)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a class head");
    memcpy(to, &header, HEADER_SIZE);
    memcpy(to += HEADER_SIZE, head->weights, weights_size);
    to += weights_size;
    for (size_t c = 0; c < head->n_classes; c++) {
        size_t size = strlen(head->names[c]) + 1;
        memcpy(to, head->names[c], size);
        to += size;
    }
    *file = (struct sosie_span){bytes, (size_t)(to - bytes)};
    return SOSIE_OK;
}

static enum sosie_status write_file(const char *folder,
                                    const struct sosie_head *head,
                                    char digest[DIGITS + 1],
                                    struct sosie_error *err)
{
    struct sosie_arena arena = SOSIE_ARENA_INIT;
    struct sosie_span file = {0};
    enum sosie_status st = lay_out(head, &arena, &file, err);
    if (!st) {
        struct sosie_digest of = sosie_digest_of(file.bytes, file.size);
        const char *path;
        sosie_digest_hex(&of, digest);
        path = sosie_arena_printf(&arena, "%s/%s.head", folder, digest);
        st = path ? sosie_file_write(path, &file, 1, err)
                  : sosie_fail(err, SOSIE_NO_MEMORY, "%s", folder);
    }
    sosie_arena_release(&arena);
    return st;
}

enum sosie_status sosie_engine_set_head(struct sosie_engine *engine,
                                        const struct sosie_head *head,
                                        struct sosie_error *err)
{
    struct sosie_catalog *catalog = engine->catalog;
    char digest[DIGITS + 1] = "";
    enum sosie_status st = SOSIE_OK;
    if (engine->options.mode != SOSIE_WRITE)
        return sosie_fail(err, SOSIE_CONFLICT,
                          "the catalog is open for reading only");
    pthread_mutex_lock(&engine->indexing);
    if (head)
        st = write_file(engine->folder, head, digest, err);
    if (!st)
        st = sosie_catalog_begin(catalog, err);
    if (!st) {
        st = sosie_catalog_set(catalog, SETTING, digest, err);
        if (!st)
            st = sosie_catalog_commit(catalog, err);
        if (st)
            sosie_catalog_rollback(catalog);
    }
    if (!st)
        sweep(engine->folder, digest);
    sosie_engine_renew_view(engine);
    pthread_mutex_unlock(&engine->indexing);
    return st;
}

/* ---- what it is fitted on ------------------------------------------------ */

/* A photo's product, for numbering. */
struct product {
    uint64_t hash;
    size_t row; /* of photos->rows */
};

struct reading {
    struct sosie_head_photos *photos;
    struct product *products;
    size_t n; /* products read */
};

static enum sosie_status add_row(void *context, uint64_t row, uint32_t class_id,
                                 const int8_t *embedding, size_t size,
                                 struct sosie_error *err)
{
    struct sosie_head_photos *photos = context;
    const struct sosie_class_names *classes = &photos->classes;
    size_t expected = sosie_row_packed_size(&photos->rows.shape);
    if (size != expected)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "the embedding of row %" PRIu64
                          " has %zu elements, expected %zu",
                          row, size, expected);
    if (class_id >= classes->n || !classes->names[class_id] ||
        !strcmp(classes->names[class_id], SOSIE_NO_CLASS))
        return SOSIE_OK;
    return sosie_rows_add(&photos->rows, row, class_id, embedding, err);
}

/* Rows rise here as there; those without a class are not there. */
static enum sosie_status add_product(void *context, uint64_t row,
                                     const char *product,
                                     struct sosie_error *err)
{
    struct reading *reading = context;
    const struct sosie_rows *rows = &reading->photos->rows;
    (void)err;
    if (reading->n < rows->n && rows->numbers[reading->n] == row) {
        reading->products[reading->n] = (struct product){
            sosie_checksum(product, strlen(product)), reading->n};
        reading->n++;
    }
    return SOSIE_OK;
}

static int by_hash(const void *a, const void *b)
{
    const struct product *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static enum sosie_status number_products(struct sosie_catalog *catalog,
                                         struct sosie_head_photos *photos,
                                         struct sosie_error *err)
{
    size_t n = photos->rows.n;
    struct reading reading = {photos, calloc(n + 1, sizeof(struct product)), 0};
    uint32_t number = 0;
    enum sosie_status st;
    photos->products = calloc(n + 1, sizeof(*photos->products));
    st = reading.products && photos->products
             ? sosie_catalog_each_product(catalog, add_product, &reading, err)
             : sosie_fail(err, SOSIE_NO_MEMORY, "products of %zu photos", n);
    if (!st) {
        qsort(reading.products, n, sizeof(*reading.products), by_hash);
        for (size_t i = 0; i < n; i++) {
            number +=
                i && reading.products[i].hash != reading.products[i - 1].hash;
            photos->products[reading.products[i].row] = number;
        }
    }
    free(reading.products);
    return st;
}

enum sosie_status sosie_engine_head_photos(struct sosie_engine *engine,
                                           struct sosie_head_photos *photos,
                                           struct sosie_error *err)
{
    struct sosie_catalog *catalog = engine->catalog;
    struct sosie_head_photos read = {0};
    struct sosie_view *view = NULL;
    int64_t version, now;
    enum sosie_status st;
    sosie_engine_renew_view(engine);
    st = sosie_engine_acquire_view(engine, &view, err);
    if (st)
        return st;
    read.rows.shape = view->shape;
    read.transform = view->transform;
    version = view->version;
    for (size_t j = 0; j < view->shape.n_aspects; j++) {
        read.weights[j] = view->aspects[j].weight;
        read.degrees[j] = view->aspects[j].degree;
    }
    sosie_engine_drop_view(engine, view);
    st = sosie_catalog_begin_reading(catalog, err);
    if (st)
        return st;
    st = sosie_catalog_version(catalog, &now, err);
    if (!st && now != version)
        st = sosie_fail(err, SOSIE_CONFLICT,
                        "%s is being written by another process",
                        engine->folder);
    if (!st)
        st = sosie_catalog_classes(catalog, &read.arena, &read.classes, err);
    if (!st)
        st = sosie_catalog_each_embedding(catalog, 0, add_row, &read, err);
    if (!st)
        st = number_products(catalog, &read, err);
    sosie_catalog_end_reading(catalog);
    if (st)
        sosie_head_photos_release(&read);
    else
        *photos = read;
    return st;
}

void sosie_head_photos_release(struct sosie_head_photos *photos)
{
    sosie_rows_release(&photos->rows);
    free(photos->products);
    sosie_arena_release(&photos->arena);
    *photos = (struct sosie_head_photos){0};
}
