/* quantisation.c: sources -> a sample of photos -> calibration -> a file ->
 * measurement on the rest of the sample.
 *
 * The sample is drawn with a fixed seed: the same photos give the same file.
 * Workers decode and embed; this thread draws, tells how it goes, and reports
 * what was bad, in the order of the sample. */
#include "engine/quantisation.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/size.h"
#include "catalog/source.h"
#include "engine/engine_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SEED = 12,
    QUEUE = 16,
    MAX_TRIED = 64 /* photos that decide between ways to quantise */
};
/* Embeddings that are compared: 1 GiB of floats in all. */
static const size_t MAX_FLOATS = (size_t)1 << 28;

struct photo {
    struct task *task;
    const char *root, *file;
    const char *group;                                 /* NULL: none */
    const char *labels[SOSIE_QUANTISATION_MAX_LABELS]; /* NULL: none */
    uint8_t *rgb;             /* kept after decoding, for the calibration */
    float *before, *after;    /* where its embeddings go */
    enum sosie_status status; /* of the work on it */
    struct sosie_error error;
};

/* What one worker needs. */
struct worker {
    uint8_t *rgb;
    struct sosie_model_run *before, *after;
};

struct task {
    const struct sosie_quantisation_options *options;
    struct sosie_quantisation_report *report;
    struct sosie_arena arena; /* strings */
    struct sosie_random random;
    struct photo *photos; /* the sample */
    size_t n_photos, n_seen, room;
    struct sosie_model *before, *after;
    struct sosie_pool *pool;
    struct worker *workers;
};

/* ---- how it goes --------------------------------------------------------- */

static enum sosie_status tell(const struct task *task, const char *phase,
                              size_t n_done, size_t n, struct sosie_error *err)
{
    const struct sosie_quantisation_options *options = task->options;
    struct sosie_index_progress now = {.n_photos = n,
                                       .n_done = n_done,
                                       .n_bad = task->report->n_bad,
                                       .phase = phase};
    if (!options->progress || options->progress(options->context, &now))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_CANCELLED, "stopped while %s", phase);
}

static void tell_bad(void *context, const char *where, const char *reason)
{
    struct task *task = context;
    task->report->n_bad++;
    if (task->options->bad)
        task->options->bad(task->options->context, where, reason);
}

/* ---- the sample ---------------------------------------------------------- */

static enum sosie_status no_memory(struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "a sample of photos");
}

static enum sosie_status copy_labels(struct task *task,
                                     const struct sosie_source_item *item,
                                     struct photo *photo,
                                     struct sosie_error *err)
{
    const struct sosie_quantisation_options *options = task->options;
    for (size_t l = 0; l < options->n_labels; l++) {
        const char *value = item->class_name;
        char *field = NULL;
        if (strcmp(options->labels[l], "class") != 0) {
            enum sosie_status st =
                options->field(options->context, item->fields,
                               options->labels[l], &field, err);
            if (st)
                return st;
            value = field;
        }
        photo->labels[l] =
            value ? sosie_arena_strdup(&task->arena, value) : NULL;
        free(field);
        if (value && !photo->labels[l])
            return no_memory(err);
    }
    return SOSIE_OK;
}

/* Reservoir sampling (J. Vitter, algorithm R), of the first photo of each
 * item. */
static enum sosie_status see(struct task *task, const char *root,
                             const struct sosie_source_item *item,
                             struct sosie_error *err)
{
    size_t i = task->n_seen++;
    struct photo photo = {.task = task, .root = root};
    if (i >= task->room)
        i = (size_t)sosie_random_below(&task->random, task->n_seen);
    if (i >= task->room)
        return SOSIE_OK;
    photo.file = sosie_arena_strdup(&task->arena, item->files[0]);
    if (item->group)
        photo.group = sosie_arena_strdup(&task->arena, item->group);
    if (!photo.file || (item->group && !photo.group))
        return no_memory(err);
    task->photos[i] = photo;
    task->n_photos += task->n_photos < task->room;
    return copy_labels(task, item, &task->photos[i], err);
}

static enum sosie_status see_source(struct task *task, const char *path,
                                    struct sosie_error *err)
{
    struct sosie_source_options options = {.path = path,
                                           .images = task->options->images,
                                           .map = task->options->map,
                                           .bad = tell_bad,
                                           .context = task};
    struct sosie_source *source;
    const struct sosie_source_item *item = NULL;
    const char *root;
    enum sosie_status st = sosie_source_open(&options, &source, err);
    if (st)
        return st;
    root = sosie_arena_strdup(&task->arena, sosie_source_root(source));
    if (!root)
        st = no_memory(err);
    while (!st) {
        st = sosie_source_next(source, &item, err);
        if (st || !item)
            break;
        st = see(task, root, item, err);
        if (!st)
            st = tell(task, "reading", task->n_seen, task->n_seen, err);
    }
    sosie_source_close(source);
    return st;
}

/* The sample stands in the order of the sources; whoever is taken first must
 * not be of the first folder. */
static void shuffle(struct task *task)
{
    for (size_t i = task->n_photos; i > 1; i--) {
        size_t k = (size_t)sosie_random_below(&task->random, i);
        struct photo photo = task->photos[i - 1];
        task->photos[i - 1] = task->photos[k];
        task->photos[k] = photo;
    }
}

static enum sosie_status draw(struct task *task, struct sosie_error *err)
{
    const struct sosie_quantisation_options *options = task->options;
    enum sosie_status st = SOSIE_OK;
    sosie_random_seed(&task->random, SEED);
    task->room = options->n_calibration + options->n_measured;
    task->photos = calloc(task->room, sizeof(*task->photos));
    if (!task->photos)
        return no_memory(err);
    for (size_t i = 0; i < options->n_sources && !st; i++)
        st = see_source(task, options->sources[i], err);
    if (!st)
        shuffle(task);
    return st;
}

/* ---- workers ------------------------------------------------------------- */

static enum sosie_status make_workers(struct task *task,
                                      struct sosie_error *err)
{
    const struct sosie_model_info *info = sosie_model_info(task->before);
    size_t n = task->options->n_workers;
    enum sosie_status st = sosie_pool_create(n, QUEUE, &task->pool, err);
    if (st)
        return st;
    task->workers = calloc(n, sizeof(*task->workers));
    for (size_t i = 0; i < n && task->workers; i++) {
        task->workers[i].rgb = malloc(sosie_fitted_size(info));
        if (!task->workers[i].rgb)
            return no_memory(err);
    }
    return task->workers ? SOSIE_OK : no_memory(err);
}

static void destroy_workers(struct task *task)
{
    sosie_pool_destroy(task->pool);
    for (size_t i = 0; task->workers && i < task->options->n_workers; i++) {
        free(task->workers[i].rgb);
        sosie_model_run_destroy(task->workers[i].before);
        sosie_model_run_destroy(task->workers[i].after);
    }
    free(task->workers);
}

static enum sosie_status decode(struct photo *photo, uint8_t *rgb,
                                struct sosie_error *err)
{
    const struct sosie_model_info *info = sosie_model_info(photo->task->before);
    unsigned char *bytes;
    size_t size;
    int fd;
    enum sosie_status st =
        sosie_file_open_beneath(photo->root, photo->file, &fd, &size, err);
    if (st)
        return st;
    st = sosie_file_read_fd(fd, photo->file,
                            sosie_image_limits_defaults().max_bytes, &bytes,
                            &size, err);
    close(fd);
    if (st)
        return st;
    st = sosie_photo_decode(info, bytes, size, NULL, rgb, NULL, err);
    free(bytes);
    return st;
}

static void decode_job(void *argument, size_t worker)
{
    struct photo *photo = argument;
    struct task *task = photo->task;
    size_t size = sosie_fitted_size(sosie_model_info(task->before));
    uint8_t *rgb = task->workers[worker].rgb;
    photo->status = decode(photo, rgb, &photo->error);
    if (photo->status)
        return;
    photo->rgb = malloc(size);
    if (photo->rgb)
        memcpy(photo->rgb, rgb, size);
    else
        photo->status = no_memory(&photo->error);
}

static void embed_job(void *argument, size_t worker)
{
    struct photo *photo = argument;
    const struct worker *own = &photo->task->workers[worker];
    const struct sosie_model_info *info = sosie_model_info(photo->task->before);
    const uint8_t *rgb = own->rgb;
    photo->status = decode(photo, own->rgb, &photo->error);
    if (!photo->status)
        photo->status = sosie_model_forward(own->before, &rgb, 1, photo->before,
                                            NULL, &photo->error);
    if (!photo->status)
        photo->status = sosie_model_forward(own->after, &rgb, 1, photo->after,
                                            NULL, &photo->error);
    if (!photo->status) {
        sosie_aspects_weigh(info, photo->before, 1);
        sosie_aspects_weigh(info, photo->after, 1);
    }
}

/* Gives n photos to the workers; bad ones are told of, and those that are good
 * moved to the front: *n_good. */
static enum sosie_status work(struct task *task, const char *phase,
                              sosie_job *job, struct photo *photos, size_t n,
                              size_t *n_good, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    size_t given = 0;
    for (; given < n && !st; given++) {
        st = tell(task, phase, given, n, err);
        if (!st)
            sosie_pool_submit(task->pool, job, &photos[given]);
    }
    sosie_pool_wait(task->pool);
    *n_good = 0;
    for (size_t i = 0; i < n && !st; i++) {
        struct photo good = photos[i];
        if (good.status == SOSIE_NO_MEMORY) {
            *err = good.error;
            st = good.status;
        } else if (good.status) {
            tell_bad(task, good.file, good.error.text);
        } else {
            photos[i] = photos[*n_good];
            photos[(*n_good)++] = good;
        }
    }
    return st;
}

/* ---- the choice ---------------------------------------------------------- */

/* A way to quantise, on trial. */
struct trial {
    unsigned char *bytes; /* of the file */
    size_t size;
    struct sosie_model *model;
    double cosine; /* to the model's embeddings, in the mean */
};

struct contest {
    struct task *task;
    const char *phase; /* of the quantizer */
    struct sosie_quantizer *quantizer;
    const uint8_t *const *rgb;
    size_t n; /* photos that decide */
    float *before;
    struct trial best;
};

static bool tell_quantizer(void *context, size_t n_done, size_t n)
{
    const struct contest *contest = context;
    return !tell(contest->task, contest->phase, n_done, n, NULL);
}

static void trial_release(struct trial *trial)
{
    free(trial->bytes);
    sosie_model_close(trial->model);
    *trial = (struct trial){0};
}

/* Embeddings whose cosine is what a search would score. */
static enum sosie_status embed(const struct sosie_model *model,
                               const uint8_t *const *rgb, size_t n,
                               float *embeddings, struct sosie_error *err)
{
    struct sosie_model_run *run;
    size_t dim = sosie_model_info(model)->dim;
    enum sosie_status st = sosie_model_run_create(model, &run, err);
    if (st)
        return st;
    for (size_t i = 0; i < n && !st; i++)
        st = sosie_model_forward(run, rgb + i, 1, embeddings + i * dim, NULL,
                                 err);
    if (!st)
        sosie_aspects_weigh(sosie_model_info(model), embeddings, n);
    sosie_model_run_destroy(run);
    return st;
}

static enum sosie_status judge(const struct contest *contest,
                               struct trial *trial, struct sosie_error *err)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    size_t dim = sosie_model_info(contest->task->before)->dim;
    float *after = calloc(contest->n * dim + 1, sizeof(*after));
    enum sosie_status st;
    if (!after)
        return no_memory(err);
    options.precision = SOSIE_PRECISION_INT8;
    st = sosie_model_open_bytes(trial->bytes, trial->size, &options,
                                &trial->model, err);
    if (!st)
        st = embed(trial->model, contest->rgb, contest->n, after, err);
    if (!st)
        trial->cosine =
            sosie_cosine_mean(contest->before, after, contest->n, dim);
    free(after);
    return st;
}

static enum sosie_status try_method(struct contest *contest,
                                    enum sosie_range_method method,
                                    bool equalised, struct sosie_error *err)
{
    struct sosie_quantisation_report *report = contest->task->report;
    struct trial trial = {0};
    enum sosie_status st = sosie_quantizer_write(
        contest->quantizer, method, &trial.bytes, &trial.size, err);
    if (!st)
        st = judge(contest, &trial, err);
    if (!st)
        sosie_log(SOSIE_LOG_DEBUG, "quantise", "%s%s: cosine %.5f",
                  sosie_range_method_name(method),
                  equalised ? ", equalised" : "", trial.cosine);
    if (!st && (!contest->best.model || trial.cosine > contest->best.cosine)) {
        trial_release(&contest->best);
        contest->best = trial;
        trial = (struct trial){0};
        report->method = method;
        report->network = sosie_quantizer_info(contest->quantizer);
        if (!equalised)
            report->network.n_equalised = 0;
    }
    trial_release(&trial);
    return st;
}

static enum sosie_status try_all(struct contest *contest, bool equalised,
                                 struct sosie_error *err)
{
    const struct sosie_quantisation_options *options = contest->task->options;
    enum sosie_status st;
    contest->phase = equalised ? "equalising" : "calibrating";
    st = sosie_quantizer_calibrate(contest->quantizer, equalised, err);
    for (int m = 0; m < SOSIE_N_RANGE_METHODS && !st; m++)
        if (options->methods[m])
            st =
                try_method(contest, (enum sosie_range_method)m, equalised, err);
    return st;
}

static enum sosie_status hold(struct contest *contest, size_t n_photos,
                              struct sosie_error *err)
{
    struct task *task = contest->task;
    struct sosie_quantizer_options options = {.progress = tell_quantizer,
                                              .context = contest};
    enum sosie_status st =
        embed(task->before, contest->rgb, contest->n, contest->before, err);
    contest->phase = "finding ranges";
    if (!st)
        st =
            sosie_quantizer_create(task->options->model, contest->rgb, n_photos,
                                   &options, &contest->quantizer, err);
    if (!st)
        st = try_all(contest, false, err);
    if (!st && task->options->may_equalise)
        st = try_all(contest, true, err);
    return st;
}

/* Quantises with n photos in every way that the options allow, and writes what
 * came out best. */
static enum sosie_status write_model(struct task *task,
                                     const uint8_t *const *rgb, size_t n,
                                     struct sosie_error *err)
{
    struct contest contest = {
        .task = task, .rgb = rgb, .n = n < MAX_TRIED ? n : MAX_TRIED};
    struct sosie_span span;
    enum sosie_status st;
    contest.before = calloc(contest.n * sosie_model_info(task->before)->dim + 1,
                            sizeof(*contest.before));
    st = contest.before ? hold(&contest, n, err) : no_memory(err);
    sosie_quantizer_destroy(contest.quantizer);
    free(contest.before);
    span = (struct sosie_span){contest.best.bytes, contest.best.size};
    if (!st)
        st = sosie_file_write(task->options->out, &span, 1, err);
    if (!st) {
        task->report->size_after = span.size;
        task->after = contest.best.model;
        contest.best.model = NULL;
    }
    trial_release(&contest.best);
    return st;
}

/* ---- calibration --------------------------------------------------------- */

/* Half of a small sample is left to measure with. */
static size_t n_to_calibrate(const struct task *task)
{
    size_t n = task->options->n_calibration, half = task->n_photos / 2;
    if (task->n_photos >= n + task->options->n_measured || n <= half)
        return n;
    half =
        half < SOSIE_QUANTIZER_MIN_PHOTOS ? SOSIE_QUANTIZER_MIN_PHOTOS : half;
    return half < task->n_photos ? half : task->n_photos;
}

static enum sosie_status calibrate(struct task *task, size_t n,
                                   struct sosie_error *err)
{
    const uint8_t **rgb = calloc(n + 1, sizeof(*rgb));
    size_t n_good = 0;
    enum sosie_status st =
        rgb ? work(task, "decoding", decode_job, task->photos, n, &n_good, err)
            : no_memory(err);
    for (size_t i = 0; i < n_good && !st; i++)
        rgb[i] = task->photos[i].rgb;
    task->report->n_calibration = n_good;
    if (!st)
        st = write_model(task, rgb, n_good, err);
    free(rgb);
    return st;
}

/* ---- measurement --------------------------------------------------------- */

/* Numbers for strings: those of equal ones are equal, -1 for none. */
static void number(const struct photo *photos, size_t n,
                   const char *(*text)(const struct photo *, size_t), size_t l,
                   int32_t *numbers)
{
    for (size_t i = 0; i < n; i++) {
        const char *own = text(&photos[i], l);
        size_t k = 0;
        while (own && k < i &&
               (!text(&photos[k], l) || strcmp(text(&photos[k], l), own) != 0))
            k++;
        numbers[i] = own ? (int32_t)k : -1;
    }
}

static const char *label_of(const struct photo *photo, size_t l)
{
    return photo->labels[l];
}

static const char *group_of(const struct photo *photo, size_t l)
{
    (void)l;
    return photo->group;
}

static bool has_label(const struct photo *photos, size_t n, size_t l)
{
    for (size_t i = 0; i < n; i++)
        if (photos[i].labels[l])
            return true;
    return false;
}

/* Compares the embeddings of n photos, which stand dense in the two tables, in
 * the order of the photos. */
static enum sosie_status compare(struct task *task, const struct photo *photos,
                                 struct sosie_agreement_photos *compared,
                                 struct sosie_error *err)
{
    struct sosie_quantisation_report *report = task->report;
    const int32_t *labels[SOSIE_QUANTISATION_MAX_LABELS];
    size_t n = compared->n;
    int32_t *numbers =
        calloc((n + 1) * (SOSIE_QUANTISATION_MAX_LABELS + 1), sizeof(*numbers));
    enum sosie_status st;
    if (!numbers)
        return no_memory(err);
    number(photos, n, group_of, 0, numbers);
    compared->groups = numbers;
    compared->labels = labels;
    for (size_t l = 0; l < task->options->n_labels; l++) {
        int32_t *to = numbers + (report->n_labels + 1) * n;
        if (!has_label(photos, n, l))
            continue;
        number(photos, n, label_of, l, to);
        labels[report->n_labels] = to;
        report->labels[report->n_labels++] = task->options->labels[l];
    }
    compared->n_labels = report->n_labels;
    report->agreement.precision = report->precision;
    st = sosie_agreement_measure(compared, &report->agreement, err);
    free(numbers);
    return st;
}

/* Moves the embeddings of good photos, whose order has changed, together. */
static enum sosie_status gather(const struct photo *photos, size_t n,
                                size_t dim, float **table, bool after,
                                struct sosie_error *err)
{
    float *dense = calloc(n * dim + 1, sizeof(*dense));
    if (!dense)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        memcpy(dense + i * dim, after ? photos[i].after : photos[i].before,
               dim * sizeof(*dense));
    free(*table);
    *table = dense;
    return SOSIE_OK;
}

static enum sosie_status make_runs(struct task *task, struct sosie_error *err)
{
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < task->options->n_workers && !st; i++) {
        st =
            sosie_model_run_create(task->before, &task->workers[i].before, err);
        if (!st)
            st = sosie_model_run_create(task->after, &task->workers[i].after,
                                        err);
    }
    return st;
}

static enum sosie_status measure(struct task *task, struct photo *photos,
                                 size_t n, struct sosie_error *err)
{
    struct sosie_agreement_photos compared = {
        .dim = sosie_model_info(task->before)->dim};
    enum sosie_status st = make_runs(task, err);
    if (n > MAX_FLOATS / 2 / compared.dim)
        n = MAX_FLOATS / 2 / compared.dim;
    compared.before = calloc(n * compared.dim + 1, sizeof(float));
    compared.after = calloc(n * compared.dim + 1, sizeof(float));
    if (!st && (!compared.before || !compared.after))
        st = no_memory(err);
    for (size_t i = 0; i < n && !st; i++) {
        photos[i].before = compared.before + i * compared.dim;
        photos[i].after = compared.after + i * compared.dim;
    }
    if (!st)
        st = work(task, "measuring", embed_job, photos, n, &compared.n, err);
    if (!st)
        st = gather(photos, compared.n, compared.dim, &compared.before, false,
                    err);
    if (!st)
        st = gather(photos, compared.n, compared.dim, &compared.after, true,
                    err);
    if (!st)
        st = compare(task, photos, &compared, err);
    task->report->n_measured = compared.n;
    free(compared.before);
    free(compared.after);
    return st;
}

/* ---- the whole ----------------------------------------------------------- */

/* What would fail only after minutes of work. */
static enum sosie_status check_paths(const char *model, const char *out,
                                     struct sosie_arena *arena,
                                     struct sosie_quantisation_report *report,
                                     struct sosie_error *err)
{
    const char *slash = strrchr(out, '/'), *folder = ".", *temporary;
    struct stat a, b;
    if (stat(model, &a))
        return sosie_fail_errno(err, SOSIE_NOT_FOUND, "%s", model);
    report->size_before = (size_t)a.st_size;
    temporary = sosie_arena_printf(arena, "%s.tmp", out);
    if (!temporary)
        return no_memory(err);
    for (size_t i = 0; i < 2; i++) {
        const char *path = i ? temporary : out; /* both are written */
        if (stat(path, &b))
            continue;
        if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "%s is the model itself, which would be lost",
                              path);
        if (!S_ISREG(b.st_mode))
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "%s is there, and is not a file", path);
    }
    if (slash)
        folder = slash == out
                     ? "/"
                     : sosie_arena_strndup(arena, out, (size_t)(slash - out));
    if (!folder)
        return no_memory(err);
    return access(folder, W_OK)
               ? sosie_fail_errno(err, SOSIE_IO, "%s: can't be written", out)
               : SOSIE_OK;
}

static enum sosie_status run(struct task *task, struct sosie_error *err)
{
    const struct sosie_quantisation_options *options = task->options;
    const struct sosie_model_options model_options =
        sosie_model_options_defaults();
    size_t n, rest;
    enum sosie_status st;

    if ((st = check_paths(options->model, options->out, &task->arena,
                          task->report, err)) ||
        (st = sosie_model_open(options->model, &model_options, &task->before,
                               err)) ||
        (st = draw(task, err)) || (st = make_workers(task, err)))
        return st;
    n = n_to_calibrate(task);
    st = calibrate(task, n, err);
    if (st)
        return st;
    rest = task->n_photos - n;
    task->report->held_out = rest > 0;
    return rest ? measure(task, task->photos + n, rest, err)
                : measure(task, task->photos, task->report->n_calibration, err);
}

enum sosie_status
sosie_quantisation_run(const struct sosie_quantisation_options *options,
                       struct sosie_quantisation_report *report,
                       struct sosie_error *err)
{
    double start_ms = sosie_clock_ms();
    struct task task = {.options = options, .report = report};
    enum sosie_status st;
    *report = (struct sosie_quantisation_report){0};
    st = run(&task, err);
    destroy_workers(&task);
    for (size_t i = 0; task.photos && i < task.n_photos; i++)
        free(task.photos[i].rgb);
    free(task.photos);
    sosie_model_close(task.before);
    sosie_model_close(task.after);
    sosie_arena_release(&task.arena);
    report->seconds = (sosie_clock_ms() - start_ms) / 1e3;
    return st;
}
