/* trainer_save.c: checkpoints.
 *
 *   offset  size  field (integers are little-endian)
 *   0       8     magic "SOTRN\r\n\x1a"
 *   8       4     format version, now 1
 *   12      4     blocks: 2 parameters and first moments; + 1 second moments,
 *                 + 2 averages; + 4: trained in bfloat16
 *   16      16    digest of what is trained on what, and how
 *   32      8     steps done
 *   40      8     steps of the optimiser
 *   48      8     n, floats in a block
 *   56      8     size of what the caller adds
 *   64      ...   the blocks, 4 n bytes each; then what the caller adds
 *   ...     8     checksum of everything before
 *
 * A file may be damaged or of another training: nothing is taken over before
 * all of it has been checked. */
#include "base/file.h"
#include "base/hash.h"
#include "train/trainer_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = "SOTRN\r\n\x1a";
enum { VERSION = 1, HEADER = 64, CHECKSUM = 8 };
enum { HAS_SECOND = 1, HAS_AVERAGE = 2, IN_BF16 = 4 };
#define MAX_FILE_BYTES ((size_t)1 << 33)

struct header {
    char magic[8];
    uint32_t version, flags;
    struct sosie_digest digest;
    uint64_t step, optimiser_steps, n, extra_size;
};
_Static_assert(sizeof(struct header) == HEADER, "no padding");

static uint64_t mix(uint64_t sum, const void *bytes, size_t size)
{
    uint64_t both[2] = {sum, sosie_checksum(bytes, size)};
    return sosie_checksum(both, sizeof(both));
}

static void describe_views(const struct sosie_augmentation *a, char *text,
                           size_t room)
{
    snprintf(text, room, "%a %a %a %a %a %a %a %a %a %a %a", (double)a->crop,
             (double)a->flip, (double)a->brightness, (double)a->contrast,
             (double)a->saturation, (double)a->hue, (double)a->grey,
             (double)a->blur, (double)a->jpeg, (double)a->erase,
             (double)a->background);
}

static uint64_t mix_text(uint64_t sum, const char *text)
{
    return text ? mix(sum, text, strlen(text)) : mix(sum, "", 0);
}

/* What must be the same for a training to go on. */
static struct sosie_digest digest_of(const struct sosie_trainer *t)
{
    const struct sosie_trainer_options *o = &t->options;
    const struct sosie_optimiser_options *p = &o->optimiser;
    char text[4096], first[512], second[512];
    uint64_t files = 0, photos = 0;
    describe_views(&o->first, first, sizeof(first));
    describe_views(&o->second, second, sizeof(second));
    for (size_t i = 0; i < t->n_train; i++) {
        const struct sosie_dataset_photo *photo =
            &t->dataset->photos[t->train[i]];
        photos = mix_text(photos, photo->id);
        photos = mix(photos, &photo->group, sizeof(photo->group));
        photos = mix(photos, &photo->identity, sizeof(photo->identity));
        photos = mix(photos, photo->labels,
                     t->dataset->n_columns * sizeof(*photo->labels));
    }
    files = mix_text(files, o->student.init);
    files = mix_text(files, o->student.arch);
    files = mix_text(files, o->teacher);
    snprintf(
        text, sizeof(text),
        "%" PRIu64 "|%u|%zu|%zu|%zu|%" PRIu64
        "|%zu|%zu|%zu|%d%d%d%d|%a|%a|%a|%a|%a|%a|%a|"
        "%s|%s|%d|%a|%a|%a|%a|%a|%a|%a|%a|%a|%a|%a|%zu|%zu|%d|%d|%zu|%" PRIu64,
        files, o->student.size, o->student.dims[0], o->student.dims[1],
        o->student.dims[2], o->seed, o->batch, o->shard, t->n_steps,
        o->student.freeze, o->student.anew[0], o->student.anew[1],
        o->student.anew[2], (double)o->weights.heads,
        (double)o->weights.identity, (double)o->weights.colour,
        (double)o->weights.histogram, (double)o->weights.teacher,
        (double)o->smoothing, (double)o->temperature, first, second,
        (int)p->kind, (double)p->momentum, (double)p->beta1, (double)p->beta2,
        (double)p->epsilon, (double)p->weight_decay, (double)p->clip_norm,
        (double)p->ema, (double)o->rate, (double)o->aspect_rate,
        (double)o->head_rate, o->warm_up, o->repeats, o->like,
        (int)o->precision, (int)o->plain, t->n_floats, photos);
    return sosie_digest_of(text, strlen(text));
}

static uint32_t flags_of(const struct sosie_trainer *t)
{
    return (t->optimiser.second ? HAS_SECOND : 0U) |
           (t->optimiser.average ? HAS_AVERAGE : 0U) |
           (t->options.precision == SOSIE_PRECISION_BF16 ? IN_BF16 : 0U);
}

/* The blocks there are. */
static size_t find_blocks(const struct sosie_trainer *t, float *blocks[4])
{
    size_t n = 0;
    blocks[n++] = t->params;
    blocks[n++] = t->optimiser.first;
    if (t->optimiser.second)
        blocks[n++] = t->optimiser.second;
    if (t->optimiser.average)
        blocks[n++] = t->optimiser.average;
    return n;
}

enum sosie_status sosie_trainer_save(const struct sosie_trainer *trainer,
                                     const char *path, const void *extra,
                                     size_t extra_size, struct sosie_error *err)
{
    float *blocks[4];
    size_t n = find_blocks(trainer, blocks);
    size_t size = trainer->n_floats * sizeof(float);
    struct header header = {.version = VERSION,
                            .flags = flags_of(trainer),
                            .digest = digest_of(trainer),
                            .step = trainer->step,
                            .optimiser_steps = trainer->optimiser.n_steps,
                            .n = trainer->n_floats,
                            .extra_size = extra_size};
    struct sosie_span spans[7] = {{&header, HEADER}};
    uint64_t sum = 0;
    memcpy(header.magic, MAGIC, sizeof(MAGIC));
    for (size_t i = 0; i < n; i++)
        spans[1 + i] = (struct sosie_span){blocks[i], size};
    spans[1 + n] = (struct sosie_span){extra, extra_size};
    for (size_t i = 0; i < n + 2; i++)
        sum = mix(sum, spans[i].bytes, spans[i].size);
    spans[2 + n] = (struct sosie_span){&sum, CHECKSUM};
    return sosie_file_write(path, spans, n + 3, err);
}

static enum sosie_status check(const struct sosie_trainer *t,
                               const unsigned char *bytes, size_t size,
                               struct header *header, struct sosie_error *err)
{
    float *blocks[4];
    size_t n = find_blocks(t, blocks), block = t->n_floats * sizeof(float);
    struct sosie_digest digest = digest_of(t);
    uint64_t sum = 0, found;
    if (size < HEADER + CHECKSUM || memcmp(bytes, MAGIC, sizeof(MAGIC)))
        return sosie_fail(err, SOSIE_CORRUPT, "is no checkpoint of a training");
    memcpy(header, bytes, HEADER);
    if (header->version != VERSION)
        return sosie_fail(err, SOSIE_UNSUPPORTED,
                          "checkpoint of format %" PRIu32 ", expected %d",
                          header->version, VERSION);
    if (memcmp(&digest, &header->digest, sizeof(digest)) ||
        header->n != t->n_floats || header->flags != flags_of(t))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "checkpoint of a training with other options or "
                          "other photos");
    if (header->extra_size > size ||
        size != HEADER + n * block + header->extra_size + CHECKSUM)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "checkpoint of %zu bytes is cut off", size);
    sum = mix(sum, bytes, HEADER);
    for (size_t i = 0; i < n; i++)
        sum = mix(sum, bytes + HEADER + i * block, block);
    sum = mix(sum, bytes + HEADER + n * block, header->extra_size);
    memcpy(&found, bytes + size - CHECKSUM, sizeof(found));
    if (found != sum)
        return sosie_fail(err, SOSIE_CORRUPT,
                          "checkpoint fails its checksum: it is damaged");
    return SOSIE_OK;
}

enum sosie_status sosie_trainer_saved_precision(const char *path,
                                                enum sosie_precision *precision,
                                                struct sosie_error *err)
{
    unsigned char *bytes = NULL;
    struct header header;
    size_t size;
    enum sosie_status st =
        sosie_file_read(path, MAX_FILE_BYTES, &bytes, &size, err);
    if (st)
        return st;
    if (size < HEADER || memcmp(bytes, MAGIC, sizeof(MAGIC))) {
        st = sosie_fail(err, SOSIE_CORRUPT, "%s is no checkpoint of a training",
                        path);
    } else {
        memcpy(&header, bytes, HEADER);
        *precision =
            header.flags & IN_BF16 ? SOSIE_PRECISION_BF16 : SOSIE_PRECISION_F32;
    }
    free(bytes);
    return st;
}

enum sosie_status sosie_trainer_resume(struct sosie_trainer *trainer,
                                       const char *path, unsigned char **extra,
                                       size_t *extra_size,
                                       struct sosie_error *err)
{
    size_t block = trainer->n_floats * sizeof(float), size = 0, n;
    unsigned char *bytes = NULL, *copy = NULL;
    float *blocks[4];
    struct header header;
    enum sosie_status st =
        sosie_file_read(path, MAX_FILE_BYTES, &bytes, &size, err);
    if (st)
        return st;
    st = check(trainer, bytes, size, &header, err);
    if (!st && !(copy = malloc(header.extra_size + 1)))
        st = sosie_fail(err, SOSIE_NO_MEMORY, "a checkpoint");
    if (st) {
        sosie_error_prefix(err, "%s", path);
        free(bytes);
        return st;
    }
    n = find_blocks(trainer, blocks);
    for (size_t i = 0; i < n; i++)
        memcpy(blocks[i], bytes + HEADER + i * block, block);
    memcpy(copy, bytes + HEADER + n * block, header.extra_size);
    copy[header.extra_size] = 0;
    free(bytes);
    trainer->step = header.step;
    trainer->optimiser.n_steps = header.optimiser_steps;
    *extra = copy;
    *extra_size = header.extra_size;
    return sosie_trainable_pack(trainer->trainable, err);
}
