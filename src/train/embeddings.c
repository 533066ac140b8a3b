/* embeddings.c: photos -> pixels -> features -> aspects, by all workers.
 *
 * A *task* is a list of photos and where their aspects go. Its jobs take four
 * photos each: they are decoded, perhaps changed, and go through the network
 * together. This thread gives the jobs, tells how it goes and, at the end, what
 * was bad, in order.
 *
 * A whitening is fitted on a sample, whose features are kept, so that no photo
 * goes through the network twice. */
#include "train/embeddings.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "engine/aspects.h"
#include "image/colour.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, SAMPLE_SEED = 1 };

static const char FEATURES[] = "features";

/* What one worker needs. */
struct worker {
    struct sosie_model_run *run;
    uint8_t *rgb[BATCH];
    float *features; /* (BATCH, dim) */
    float *logits;   /* (BATCH, n_logits) */
    float colours[BATCH][SOSIE_COLOUR_DIM];
};

/* The sample that the whitening is fitted on. */
struct sample {
    size_t n;
    float *features; /* (n, dim) */
    float (*colours)[SOSIE_COLOUR_DIM];
};

struct task {
    const struct sosie_embeddings *embeddings;
    const char *phase;
    const uint32_t *photos; /* of the data set */
    size_t n;
    struct worker *workers;
    enum sosie_change change; /* SOSIE_N_CHANGES: none */
    bool *changed;
    /* Where it goes: into a sample, or to rows of vectors and logits. */
    struct sample *sample;
    const size_t *rows; /* NULL: row i is of photos[i] */
    struct sosie_vectors *vectors;
    float *logits;
    struct outcome *outcomes; /* (n) */
};

struct outcome {
    enum sosie_status status;
    char reason[256];
};

struct job {
    struct task *task;
    size_t first;
};

static const struct sosie_model_info *
info_of(const struct sosie_embeddings *embeddings)
{
    return sosie_model_info(embeddings->options.model);
}

/* ---- workers ------------------------------------------------------------- */

static void release_workers(struct worker *workers, size_t n)
{
    for (size_t w = 0; workers && w < n; w++) {
        sosie_model_run_destroy(workers[w].run);
        for (size_t i = 0; i < BATCH; i++)
            free(workers[w].rgb[i]);
        free(workers[w].features);
        free(workers[w].logits);
    }
    free(workers);
}

static enum sosie_status init_worker(struct worker *worker,
                                     const struct sosie_model *model,
                                     struct sosie_error *err)
{
    const struct sosie_model_info *info = sosie_model_info(model);
    size_t pixels = (size_t)info->width * info->height * 3;
    bool ok = true;
    for (size_t i = 0; i < BATCH; i++)
        ok = (worker->rgb[i] = malloc(pixels)) && ok;
    worker->features = calloc(BATCH, info->dim * sizeof(float));
    worker->logits = calloc(BATCH, (info->n_logits + 1) * sizeof(float));
    if (!ok || !worker->features || !worker->logits)
        return sosie_fail(err, SOSIE_NO_MEMORY, "buffers to embed photos");
    return sosie_model_run_create(model, &worker->run, err);
}

static enum sosie_status make_workers(const struct sosie_embeddings *embeddings,
                                      struct worker **out,
                                      struct sosie_error *err)
{
    size_t n = sosie_pool_size(embeddings->options.pool);
    struct worker *workers = calloc(n, sizeof(*workers));
    enum sosie_status st =
        workers ? SOSIE_OK : sosie_fail(err, SOSIE_NO_MEMORY, "workers");
    for (size_t w = 0; !st && w < n; w++)
        st = init_worker(&workers[w], embeddings->options.model, err);
    if (st)
        release_workers(workers, n);
    else
        *out = workers;
    return st;
}

/* ---- a job --------------------------------------------------------------- */

static enum sosie_status read_photo(const struct task *task, size_t i,
                                    struct sosie_image *image,
                                    struct sosie_error *err)
{
    const struct sosie_model_info *info = info_of(task->embeddings);
    struct sosie_decode_options options = {
        .limits = sosie_image_limits_defaults(),
        .min_side = info->width > info->height ? info->width : info->height};
    const struct sosie_dataset *dataset = task->embeddings->options.dataset;
    unsigned char *bytes;
    size_t size;
    enum sosie_status st =
        sosie_file_read(dataset->photos[task->photos[i]].file,
                        options.limits.max_bytes, &bytes, &size, err);
    if (st)
        return st;
    st = sosie_image_decode(bytes, size, &options, image, err);
    free(bytes);
    return st;
}

static enum sosie_status prepare(const struct task *task, size_t i,
                                 uint8_t *rgb, float *colours,
                                 struct sosie_error *err)
{
    const struct sosie_model_info *info = info_of(task->embeddings);
    struct sosie_image image = {0};
    enum sosie_status st = read_photo(task, i, &image, err);
    if (!st && task->change != SOSIE_N_CHANGES)
        st = sosie_change_apply(task->change, task->photos[i], &image,
                                &task->changed[i], err);
    if (!st) {
        sosie_colour_histogram(&image, colours);
        st = sosie_image_fit(&image, info->fit, info->width, info->height, rgb,
                             err);
    }
    sosie_image_release(&image);
    return st;
}

/* The model's own aspects, or those that a catalog makes. `features` may be
 * changed. */
static void set_aspects(const struct sosie_embeddings *embeddings,
                        struct sosie_vectors *vectors, size_t row,
                        float *features, const float *colours)
{
    const struct sosie_model_info *info = info_of(embeddings);
    float shape[SOSIE_WHITEN_DIM];
    for (size_t j = 0; j < info->n_aspects; j++) {
        sosie_vectors_set(vectors, row, j, features);
        features += info->aspects[j].dim;
    }
    if (info->n_aspects)
        return;
    sosie_vectors_set(vectors, row, 1, colours);
    if (embeddings->whitening) {
        sosie_vectors_set(vectors, row, 2, features);
        sosie_whitening_apply(embeddings->whitening, features, shape);
        features = shape;
    }
    sosie_vectors_set(vectors, row, 0, features);
}

static void keep(const struct task *task, const struct worker *worker, size_t i,
                 size_t slot)
{
    const struct sosie_model_info *info = info_of(task->embeddings);
    size_t row = task->rows ? task->rows[i] : i;
    float *features = worker->features + slot * info->dim;
    if (task->sample) {
        memcpy(task->sample->features + i * info->dim, features,
               info->dim * sizeof(float));
        memcpy(task->sample->colours[i], worker->colours[slot],
               sizeof(*task->sample->colours));
    } else {
        set_aspects(task->embeddings, task->vectors, row, features,
                    worker->colours[slot]);
    }
    if (task->logits)
        memcpy(task->logits + row * info->n_logits,
               worker->logits + slot * info->n_logits,
               info->n_logits * sizeof(float));
}

static void note(struct outcome *outcome, const struct sosie_error *err)
{
    outcome->status = err->status;
    snprintf(outcome->reason, sizeof(outcome->reason), "%.*s",
             (int)sizeof(outcome->reason) - 1, err->text);
}

static void run(void *argument, size_t number)
{
    const struct job *job = argument;
    struct task *task = job->task;
    struct worker *worker = &task->workers[number];
    const uint8_t *rgb[BATCH];
    size_t from[BATCH], n = 0;
    struct sosie_error err;
    enum sosie_status st = SOSIE_OK;
    for (size_t i = job->first; i < task->n && i < job->first + BATCH; i++) {
        if (prepare(task, i, worker->rgb[n], worker->colours[n], &err)) {
            note(&task->outcomes[i], &err);
            continue;
        }
        rgb[n] = worker->rgb[n];
        from[n++] = i;
    }
    if (n)
        st = sosie_model_forward(worker->run, rgb, n, worker->features,
                                 task->logits ? worker->logits : NULL, &err);
    for (size_t slot = 0; slot < n; slot++)
        if (st)
            note(&task->outcomes[from[slot]], &err);
        else
            keep(task, worker, from[slot], slot);
}

/* ---- a task -------------------------------------------------------------- */

static enum sosie_status tell(const struct task *task, size_t n_done,
                              struct sosie_error *err)
{
    const struct sosie_embeddings_options *options = &task->embeddings->options;
    struct sosie_index_progress now = {.n_photos = task->n,
                                       .n_done = n_done,
                                       .n_bad = task->embeddings->n_bad,
                                       .phase = task->phase};
    if (!options->progress || options->progress(options->context, &now))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_CANCELLED, "stopped while %s", task->phase);
}

/* Runs all jobs. A photo that is bad is noted in its outcome; our own failures
 * end it. */
static enum sosie_status run_task(struct task *task, struct sosie_error *err)
{
    struct sosie_pool *pool = task->embeddings->options.pool;
    size_t n_jobs = (task->n + BATCH - 1) / BATCH;
    struct job *jobs = calloc(n_jobs + 1, sizeof(*jobs));
    enum sosie_status st;
    task->outcomes = calloc(task->n + 1, sizeof(*task->outcomes));
    if (!jobs || !task->outcomes)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "%zu photos", task->n);
    else
        st = make_workers(task->embeddings, &task->workers, err);
    for (size_t i = 0; !st && i < n_jobs; i++) {
        st = tell(task, i * BATCH, err);
        jobs[i] = (struct job){task, i * BATCH};
        if (!st)
            sosie_pool_submit(pool, run, &jobs[i]);
    }
    sosie_pool_wait(pool);
    for (size_t i = 0; !st && i < task->n; i++)
        if (task->outcomes[i].status == SOSIE_NO_MEMORY)
            st = sosie_fail(err, SOSIE_NO_MEMORY, "%s",
                            task->outcomes[i].reason);
    if (task->workers)
        release_workers(task->workers, sosie_pool_size(pool));
    task->workers = NULL;
    free(jobs);
    return st;
}

/* ---- aspects ------------------------------------------------------------- */

static void add_aspect(struct sosie_embeddings *embeddings,
                       struct sosie_row_shape *shape, const char *name,
                       size_t dim, double weight, unsigned degree)
{
    embeddings->names[shape->n_aspects] = name;
    embeddings->weights[shape->n_aspects] = weight;
    embeddings->degrees[shape->n_aspects] = degree;
    shape->dims[shape->n_aspects++] = dim;
}

static enum sosie_status choose_aspects(struct sosie_embeddings *embeddings,
                                        struct sosie_row_shape *shape,
                                        struct sosie_error *err)
{
    const struct sosie_model_info *info = info_of(embeddings);
    struct sosie_aspect aspects[SOSIE_MAX_ASPECTS];
    size_t n = sosie_aspects_list(info, info->n_aspects, embeddings->whitening,
                                  aspects);
    *shape = (struct sosie_row_shape){0};
    for (size_t j = 0; j < n; j++)
        add_aspect(embeddings, shape, aspects[j].name, aspects[j].dim,
                   aspects[j].weight, aspects[j].degree);
    if (embeddings->whitening)
        add_aspect(embeddings, shape, FEATURES, info->dim, 0, 1);
    for (size_t j = 0; j < shape->n_aspects; j++)
        if (shape->dims[j] > SOSIE_ASPECT_DIM_MAX)
            return sosie_fail(err, SOSIE_REFUSED,
                              "%s has %zu dimensions; a catalog takes up to %d",
                              embeddings->names[j], shape->dims[j],
                              SOSIE_ASPECT_DIM_MAX);
    return SOSIE_OK;
}

/* ---- the whitening ------------------------------------------------------- */

static void release_sample(struct sample *sample)
{
    free(sample->features);
    free(sample->colours);
    *sample = (struct sample){0};
}

static int by_position(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Positions of a random sample (J. Vitter, algorithm R), rising; returns how
 * many. */
static size_t draw(size_t n, size_t picked[SOSIE_WHITEN_SAMPLE])
{
    struct sosie_random random;
    size_t used = n < SOSIE_WHITEN_SAMPLE ? n : SOSIE_WHITEN_SAMPLE;
    sosie_random_seed(&random, SAMPLE_SEED);
    for (size_t i = 0; i < n; i++) {
        size_t at = i < SOSIE_WHITEN_SAMPLE
                        ? i
                        : (size_t)sosie_random_below(&random, i + 1);
        if (at < SOSIE_WHITEN_SAMPLE)
            picked[at] = i;
    }
    qsort(picked, used, sizeof(*picked), by_position);
    return used;
}

/* Whitens by the good ones of the sample; with too few there is no whitening,
 * as in a catalog. */
static enum sosie_status fit(struct sosie_embeddings *embeddings,
                             const struct task *task, struct sosie_error *err)
{
    size_t dim = info_of(embeddings)->dim, n = 0;
    float *good = calloc(task->n + 1, dim * sizeof(*good));
    enum sosie_status st = SOSIE_OK;
    if (!good)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a sample of photos");
    for (size_t i = 0; i < task->n; i++)
        if (!task->outcomes[i].status)
            memcpy(good + n++ * dim, task->sample->features + i * dim,
                   dim * sizeof(*good));
    if (n >= SOSIE_WHITEN_MIN_PHOTOS / 2)
        st = sosie_whitening_fit(good, n, dim, SOSIE_WHITEN_DIM,
                                 &embeddings->whitening, err);
    free(good);
    return st;
}

/* ---- all ----------------------------------------------------------------- */

struct making {
    struct sosie_embeddings *embeddings;
    const uint32_t *photos;
    size_t n;
    bool with_logits;
    struct task sampled, rest;
    struct sample sample;
    size_t picked[SOSIE_WHITEN_SAMPLE]; /* positions of the sample */
    uint32_t sampled_photos[SOSIE_WHITEN_SAMPLE];
    float *sampled_logits;
    uint32_t *rest_photos;
    size_t *rest_rows;
    const struct outcome **outcomes; /* (n) */
};

static enum sosie_status no_memory(size_t n, struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "embeddings of %zu photos", n);
}

static enum sosie_status embed_sample(struct making *making,
                                      struct sosie_error *err)
{
    struct sosie_embeddings *embeddings = making->embeddings;
    const struct sosie_model_info *info = info_of(embeddings);
    struct task *task = &making->sampled;
    struct sample *sample = &making->sample;
    enum sosie_status st;
    sample->n = draw(making->n, making->picked);
    sample->features = calloc(sample->n, info->dim * sizeof(float));
    sample->colours = calloc(sample->n, sizeof(*sample->colours));
    if (making->with_logits)
        making->sampled_logits =
            calloc(sample->n, info->n_logits * sizeof(float));
    if (!sample->features || !sample->colours ||
        (making->with_logits && !making->sampled_logits))
        return no_memory(sample->n, err);
    for (size_t i = 0; i < sample->n; i++)
        making->sampled_photos[i] = making->photos[making->picked[i]];
    *task = (struct task){.embeddings = embeddings,
                          .phase = "fitting",
                          .photos = making->sampled_photos,
                          .n = sample->n,
                          .change = SOSIE_N_CHANGES,
                          .sample = sample,
                          .logits = making->sampled_logits};
    st = run_task(task, err);
    return st ? st : fit(embeddings, task, err);
}

/* Aspects of the sample, now that there is a whitening. */
static void place_sample(struct making *making)
{
    struct sosie_embeddings *embeddings = making->embeddings;
    const struct sosie_model_info *info = info_of(embeddings);
    const struct sample *sample = &making->sample;
    for (size_t i = 0; i < sample->n; i++) {
        size_t row = making->picked[i];
        set_aspects(embeddings, &embeddings->vectors, row,
                    sample->features + i * info->dim, sample->colours[i]);
        if (making->with_logits)
            memcpy(embeddings->logits + row * info->n_logits,
                   making->sampled_logits + i * info->n_logits,
                   info->n_logits * sizeof(float));
        making->outcomes[row] = &making->sampled.outcomes[i];
    }
}

static enum sosie_status embed_rest(struct making *making,
                                    struct sosie_error *err)
{
    struct sosie_embeddings *embeddings = making->embeddings;
    size_t n = 0, next = 0;
    enum sosie_status st;
    for (size_t i = 0; i < making->n; i++) {
        if (next < making->sample.n && making->picked[next] == i) {
            next++;
            continue;
        }
        making->rest_photos[n] = making->photos[i];
        making->rest_rows[n++] = i;
    }
    making->rest = (struct task){.embeddings = embeddings,
                                 .phase = "embedding",
                                 .photos = making->rest_photos,
                                 .n = n,
                                 .change = SOSIE_N_CHANGES,
                                 .rows = making->rest_rows,
                                 .vectors = &embeddings->vectors,
                                 .logits = embeddings->logits};
    st = run_task(&making->rest, err);
    for (size_t i = 0; !st && i < n; i++)
        making->outcomes[making->rest_rows[i]] = &making->rest.outcomes[i];
    return st;
}

/* Tells of the bad ones, and closes the gaps that they leave. */
static enum sosie_status leave_bad_out(struct making *making,
                                       struct sosie_error *err)
{
    struct sosie_embeddings *embeddings = making->embeddings;
    const struct sosie_embeddings_options *options = &embeddings->options;
    size_t n_logits = info_of(embeddings)->n_logits, n = 0;
    for (size_t i = 0; i < making->n; i++) {
        const struct outcome *outcome = making->outcomes[i];
        if (outcome->status) {
            embeddings->n_bad++;
            if (options->bad)
                options->bad(options->context,
                             options->dataset->photos[making->photos[i]].where,
                             outcome->reason);
            continue;
        }
        embeddings->photos[n] = making->photos[i];
        sosie_vectors_copy(&embeddings->vectors, i, n);
        if (making->with_logits)
            memmove(embeddings->logits + n * n_logits,
                    embeddings->logits + i * n_logits,
                    n_logits * sizeof(float));
        n++;
    }
    embeddings->n = embeddings->vectors.n = n;
    return n ? SOSIE_OK
             : sosie_fail(err, SOSIE_BAD_INPUT,
                          "none of %zu photos can be read", making->n);
}

static enum sosie_status make(struct making *making, struct sosie_error *err)
{
    struct sosie_embeddings *embeddings = making->embeddings;
    const struct sosie_model_info *info = info_of(embeddings);
    struct sosie_row_shape shape;
    size_t n = making->n;
    enum sosie_status st = SOSIE_OK;

    making->rest_photos = calloc(n + 1, sizeof(*making->rest_photos));
    making->rest_rows = calloc(n + 1, sizeof(*making->rest_rows));
    making->outcomes = calloc(n + 1, sizeof(*making->outcomes));
    embeddings->photos = calloc(n + 1, sizeof(*embeddings->photos));
    if (making->with_logits)
        embeddings->logits = calloc(n + 1, info->n_logits * sizeof(float));
    if (!making->rest_photos || !making->rest_rows || !making->outcomes ||
        !embeddings->photos || (making->with_logits && !embeddings->logits))
        return no_memory(n, err);
    if (!info->n_aspects && info->dim > SOSIE_WHITEN_DIM &&
        n >= SOSIE_WHITEN_MIN_PHOTOS)
        st = embed_sample(making, err);
    if (!st)
        st = choose_aspects(embeddings, &shape, err);
    if (!st)
        st = sosie_vectors_init(&embeddings->vectors, &shape, n, err);
    if (st)
        return st;
    place_sample(making);
    st = embed_rest(making, err);
    return st ? st : leave_bad_out(making, err);
}

enum sosie_status
sosie_embeddings_make(const struct sosie_embeddings_options *options,
                      const uint32_t *photos, size_t n, bool with_logits,
                      struct sosie_embeddings *embeddings,
                      struct sosie_error *err)
{
    struct sosie_embeddings made = {.options = *options};
    struct making *making = calloc(1, sizeof(*making));
    double start = sosie_clock_ms();
    enum sosie_status st;
    if (!making)
        return no_memory(n, err);
    making->embeddings = &made;
    making->photos = photos;
    making->n = n;
    making->with_logits =
        with_logits && sosie_model_info(options->model)->n_logits;
    st = make(making, err);
    made.seconds = (sosie_clock_ms() - start) / 1e3;
    if (st)
        sosie_embeddings_release(&made);
    else
        *embeddings = made;
    release_sample(&making->sample);
    free(making->sampled.outcomes);
    free(making->rest.outcomes);
    free(making->sampled_logits);
    free(making->rest_photos);
    free(making->rest_rows);
    free(making->outcomes);
    free(making);
    return st;
}

void sosie_embeddings_release(struct sosie_embeddings *embeddings)
{
    free(embeddings->photos);
    free(embeddings->logits);
    sosie_vectors_release(&embeddings->vectors);
    sosie_whitening_destroy(embeddings->whitening);
    *embeddings = (struct sosie_embeddings){0};
}

enum sosie_status
sosie_embeddings_change(const struct sosie_embeddings *embeddings,
                        const uint32_t *rows, size_t n,
                        enum sosie_change change, struct sosie_vectors *vectors,
                        bool *changed, struct sosie_error *err)
{
    struct sosie_vectors made = {0};
    uint32_t *photos = calloc(n + 1, sizeof(*photos));
    struct task task = {.embeddings = embeddings,
                        .phase = "changing",
                        .photos = photos,
                        .n = n,
                        .change = change,
                        .changed = changed,
                        .vectors = &made};
    enum sosie_status st =
        photos ? sosie_vectors_init(&made, &embeddings->vectors.shape, n, err)
               : no_memory(n, err);
    for (size_t i = 0; !st && i < n; i++)
        photos[i] = embeddings->photos[rows[i]];
    if (!st)
        st = run_task(&task, err);
    for (size_t i = 0; !st && i < n; i++)
        if (task.outcomes[i].status)
            st =
                sosie_fail(err, task.outcomes[i].status, "%s: %s",
                           embeddings->options.dataset->photos[photos[i]].where,
                           task.outcomes[i].reason);
    if (st)
        sosie_vectors_release(&made);
    else
        *vectors = made;
    free(task.outcomes);
    free(photos);
    return st;
}
