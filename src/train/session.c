/* session.c: the course of a training. */
#include "train/session.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/evaluate.h"
#include "train/session_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    const struct sosie_session_options *options;
    struct sosie_dataset dataset;
    struct sosie_pixels *pixels;
    struct sosie_trainer *trainer;
    struct sosie_session_result *result;
    char *checkpoint, *cache;
    struct sosie_session_epoch *epochs;
    size_t n_epochs, epochs_room;
    double seconds_before; /* trained before this process went on */
    double start_ms, saved_ms;
    size_t start_step;
    size_t n_bad;
};

struct sosie_session_options sosie_session_options_defaults(void)
{
    return (struct sosie_session_options){.trainer =
                                              sosie_trainer_options_defaults(),
                                          .save_every_s = 120,
                                          .n_judged = 1000};
}

/* ---- telling ------------------------------------------------------------- */

static bool tell(struct session *s, const struct sosie_session_progress *now)
{
    const struct sosie_session_options *o = s->options;
    return !o->progress || o->progress(o->context, now);
}

static void on_bad(void *context, const char *where, const char *reason)
{
    struct session *s = context;
    s->n_bad++;
    if (s->options->bad)
        s->options->bad(s->options->context, where, reason);
}

static bool on_pixels(void *context, size_t n_done, size_t n)
{
    struct session *s = context;
    return tell(s, &(struct sosie_session_progress){.phase = "decoding",
                                                    .n_done = n_done,
                                                    .n = n,
                                                    .n_bad = s->n_bad,
                                                    .seconds_left = -1});
}

static bool on_teaching(void *context, size_t n_done, size_t n)
{
    struct session *s = context;
    return tell(s, &(struct sosie_session_progress){.phase = "asking",
                                                    .n_done = n_done,
                                                    .n = n,
                                                    .n_bad = s->n_bad,
                                                    .seconds_left = -1});
}

static bool on_judging(void *context, const struct sosie_index_progress *now)
{
    struct session *s = context;
    return tell(s, &(struct sosie_session_progress){.phase = "judging",
                                                    .n_done = now->n_done,
                                                    .n = now->n_photos,
                                                    .n_bad = s->n_bad,
                                                    .seconds_left = -1});
}

static double seconds_trained(const struct session *s)
{
    return s->seconds_before + (sosie_clock_ms() - s->start_ms) / 1e3;
}

/* Views a second since this process began to train. */
static double rate_of(const struct session *s)
{
    size_t n = sosie_trainer_step_number(s->trainer) - s->start_step;
    double seconds = (sosie_clock_ms() - s->start_ms) / 1e3;
    return seconds > 0 ? (double)(n * s->options->trainer.batch) / seconds : 0;
}

static bool tell_step(struct session *s, double loss)
{
    size_t step = sosie_trainer_step_number(s->trainer);
    size_t n = sosie_trainer_n_steps(s->trainer);
    size_t batch = s->options->trainer.batch;
    double rate = rate_of(s);
    return tell(
        s,
        &(struct sosie_session_progress){
            .phase = "training",
            .n_done = step * batch,
            .n = n * batch,
            .n_bad = s->n_bad,
            .per_second = rate,
            .seconds_left = rate > 0 ? (double)((n - step) * batch) / rate : -1,
            .epoch = (double)step /
                     (double)sosie_trainer_steps_per_epoch(s->trainer),
            .loss = loss});
}

/* ---- opening ------------------------------------------------------------- */

static char *joined(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *text = malloc(size);
    if (text)
        snprintf(text, size, "%s%s", a, b);
    return text;
}

/* "a/b/c.onnx" -> "a/b", "c.onnx" -> "." */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static enum sosie_status open_photos(struct session *s, struct sosie_error *err)
{
    const struct sosie_session_options *o = s->options;
    struct sosie_dataset_options dataset = o->dataset;
    struct sosie_pixels_options pixels = {
        .side = o->trainer.student.size ? o->trainer.student.size * 9 / 8 : 256,
        .folder = s->cache,
        .name = o->keep_cache ? "sosie.pixels" : NULL,
        .n_workers = o->trainer.n_workers,
        .progress = on_pixels,
        .bad = on_bad,
        .context = s};
    enum sosie_status st;
    dataset.bad = on_bad;
    dataset.context = s;
    if (o->cache) {
        enum sosie_status made = sosie_folder_make(o->cache, err);
        if (made)
            return made;
    }
    if (!tell(s, &(struct sosie_session_progress){.phase = "reading",
                                                  .seconds_left = -1}))
        return sosie_fail(err, SOSIE_CANCELLED, "interrupted");
    st = sosie_dataset_open(&dataset, &s->dataset, err);
    return st ? st : sosie_pixels_create(&s->dataset, &pixels, &s->pixels, err);
}

/* ---- epochs -------------------------------------------------------------- */

static enum sosie_status keep_epoch(struct session *s,
                                    const struct sosie_session_epoch *epoch,
                                    struct sosie_error *err)
{
    if (s->n_epochs == s->epochs_room) {
        size_t room = s->epochs_room ? 2 * s->epochs_room : 16;
        void *larger = realloc(s->epochs, room * sizeof(*s->epochs));
        if (!larger)
            return sosie_fail(err, SOSIE_NO_MEMORY, "the training's course");
        s->epochs = larger;
        s->epochs_room = room;
    }
    s->epochs[s->n_epochs++] = *epoch;
    return SOSIE_OK;
}

static void measure(struct sosie_session_epoch *epoch, const char *way,
                    const char *name, double value)
{
    struct sosie_session_measure *m = &epoch->measures[epoch->n_measures];
    if (epoch->n_measures == SOSIE_SESSION_MAX_MEASURES || isnan(value))
        return;
    snprintf(m->name, sizeof(m->name), "%s%s%s", name, way ? " by " : "",
             way ? way : "");
    m->value = value;
    epoch->n_measures++;
}

/* All measures by default weights; what finds a product again by each aspect,
 * too. */
static void take_measures(const struct sosie_evaluations *found,
                          struct sosie_session_epoch *epoch)
{
    const struct sosie_evaluation *model = &found->models[0];
    for (size_t w = 0; w < model->n_ways; w++)
        for (size_t k = 0; k < found->n_kinds; k++)
            if (!w || found->kinds[k].what == SOSIE_KIND_RECALL_1)
                measure(epoch, w ? model->ways[w].name : NULL,
                        found->kinds[k].name, model->ways[w].means[k]);
}

static bool has_val(const struct session *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->dataset.n; i++)
        n += s->dataset.photos[i].split == SOSIE_SPLIT_VAL;
    return n > 1;
}

/* Judges `out`; leaves the evaluations for the report. */
static enum sosie_status judge(struct session *s,
                               struct sosie_session_epoch *epoch,
                               struct sosie_evaluations *found,
                               struct sosie_error *err)
{
    const struct sosie_session_options *o = s->options;
    struct sosie_evaluate_options options = sosie_evaluate_options_defaults();
    enum sosie_status st;
    if (!o->n_judged || !has_val(s))
        return SOSIE_OK;
    options.models = &o->out;
    options.n_models = 1;
    options.dataset = &s->dataset;
    options.gallery_val = true;
    options.n_queries = o->n_judged;
    options.n_changed = 0;
    options.precision = SOSIE_PRECISION_F32;
    options.n_workers = o->trainer.n_workers;
    options.progress = on_judging;
    options.context = s;
    st = sosie_evaluate(&options, found, err);
    if (!st)
        take_measures(found, epoch);
    return st;
}

static enum sosie_status write_model(struct session *s, struct sosie_error *err)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    enum sosie_status st =
        sosie_trainer_write(s->trainer, s->options->metadata,
                            s->options->n_metadata, &bytes, &size, err);
    if (!st)
        st = sosie_file_write(s->options->out,
                              &(struct sosie_span){bytes, size}, 1, err);
    free(bytes);
    s->result->size_bytes = size;
    return st;
}

static enum sosie_status save(struct session *s, struct sosie_error *err)
{
    s->saved_ms = sosie_clock_ms();
    return sosie_trainer_save(s->trainer, s->checkpoint, s->epochs,
                              s->n_epochs * sizeof(*s->epochs), err);
}

static bool is_over(const struct session *s)
{
    return sosie_trainer_step_number(s->trainer) >=
           sosie_trainer_n_steps(s->trainer);
}

/* What can't be written is told and passed over: training goes on. */
static enum sosie_status forgive(struct session *s, enum sosie_status st,
                                 const struct sosie_error *err)
{
    if (st != SOSIE_IO)
        return st;
    if (s->options->warn)
        s->options->warn(s->options->context, err->text);
    return SOSIE_OK;
}

/* Told to stop: what there is is kept. */
static enum sosie_status stop(struct session *s, struct sosie_error *err)
{
    enum sosie_status st = save(s, err);
    return st ? st
              : sosie_fail(err, SOSIE_CANCELLED,
                           "interrupted; --resume goes on from %s",
                           s->checkpoint);
}

/* The model so far is written, then judged; at the end, reported. */
static enum sosie_status end_epoch(struct session *s, struct sosie_error *err)
{
    const struct sosie_session_options *o = s->options;
    double trained = seconds_trained(s), start = sosie_clock_ms();
    struct sosie_evaluations found = {0};
    struct sosie_session_epoch epoch = {
        .epoch = (double)sosie_trainer_step_number(s->trainer) /
                 (double)sosie_trainer_steps_per_epoch(s->trainer),
        .seconds = trained,
        .rate = (double)sosie_trainer_rate(s->trainer),
        .per_second = rate_of(s),
        .losses = sosie_trainer_take_losses(s->trainer)};
    struct sosie_error unwritten = {.status = SOSIE_OK};
    enum sosie_status st = write_model(s, err), judged = SOSIE_OK;
    if (s->n_epochs && s->epochs[s->n_epochs - 1].epoch >= epoch.epoch) {
        epoch = s->epochs[--s->n_epochs]; /* resumed at its end: once more */
        epoch.n_measures = 0;
    }
    if (!st)
        judged = st = judge(s, &epoch, &found, err);
    if (st == SOSIE_IO && is_over(s)) { /* the last model must be there, but
                                           what led to it is kept first */
        unwritten = *err;
        st = SOSIE_OK;
    }
    st = forgive(s, st, err);
    if (!st || judged == SOSIE_CANCELLED)
        st = keep_epoch(s, &epoch, err);
    if (!st && judged != SOSIE_CANCELLED)
        st = forgive(s, save(s, err), err);
    if (!st && o->epoch)
        o->epoch(o->context, &epoch);
    if (!st && judged == SOSIE_CANCELLED)
        st = stop(s, err);
    if (!st && unwritten.status) {
        *err = unwritten;
        st = unwritten.status;
    }
    if (!st && is_over(s) && o->report)
        st = sosie_session_report(o, &s->dataset,
                                  sosie_trainer_options(s->trainer), s->epochs,
                                  s->n_epochs, found.n ? &found : NULL, err);
    sosie_evaluations_release(&found);
    s->result->last = epoch;
    s->start_ms += sosie_clock_ms() - start; /* judging is no training */
    return st;
}

/* ---- steps --------------------------------------------------------------- */

static enum sosie_status resume(struct session *s, struct sosie_error *err)
{
    unsigned char *extra = NULL;
    size_t size = 0;
    enum sosie_status st =
        sosie_trainer_resume(s->trainer, s->checkpoint, &extra, &size, err);
    if (!st && size % sizeof(*s->epochs))
        st = sosie_fail(err, SOSIE_CORRUPT, "%s: its course is cut off",
                        s->checkpoint);
    for (size_t i = 0; !st && i < size / sizeof(*s->epochs); i++) {
        struct sosie_session_epoch epoch;
        memcpy(&epoch, extra + i * sizeof(epoch), sizeof(epoch));
        st = keep_epoch(s, &epoch, err);
        s->seconds_before = epoch.seconds;
    }
    free(extra);
    return st;
}

static enum sosie_status train(struct session *s, struct sosie_error *err)
{
    size_t per_epoch = sosie_trainer_steps_per_epoch(s->trainer);
    double told = 0;
    enum sosie_status st = SOSIE_OK;

    s->start_ms = s->saved_ms = sosie_clock_ms();
    s->start_step = sosie_trainer_step_number(s->trainer);
    if (is_over(s)) /* resumed: it was stopped while it was judged */
        return end_epoch(s, err);
    while (!st && !is_over(s)) {
        st = sosie_trainer_step(s->trainer, err);
        if (st)
            break;
        if (sosie_trainer_step_number(s->trainer) % per_epoch == 0 ||
            is_over(s)) {
            st = end_epoch(s, err);
        } else if (sosie_clock_ms() - s->saved_ms >
                   s->options->save_every_s * 1e3) {
            st = forgive(s, save(s, err), err);
        }
        if (!st && sosie_clock_ms() - told > 200) {
            told = sosie_clock_ms();
            if (!tell_step(s, sosie_trainer_loss(s->trainer)) && !is_over(s))
                st = stop(s, err);
        }
    }
    return st;
}

static void fill_result(struct session *s)
{
    struct sosie_session_result *r = s->result;
    r->n_photos = s->dataset.n;
    r->n_bad = s->n_bad;
    r->n_epochs = s->n_epochs;
    for (size_t i = 0; i < s->dataset.n; i++) {
        r->n_train += s->dataset.photos[i].split == SOSIE_SPLIT_TRAIN;
        r->n_val += s->dataset.photos[i].split == SOSIE_SPLIT_VAL;
    }
    if (!s->trainer)
        return;
    r->memory_bytes = sosie_trainer_memory(s->trainer);
    r->n_parameters = sosie_trainer_n_parameters(s->trainer);
    r->precision = sosie_trainer_options(s->trainer)->precision;
    r->seconds = seconds_trained(s);
}

enum sosie_status sosie_session_run(const struct sosie_session_options *options,
                                    struct sosie_session_result *result,
                                    struct sosie_error *err)
{
    struct session s = {.options = options, .result = result};
    struct sosie_trainer_options trainer = options->trainer;
    enum sosie_status st = SOSIE_OK;
    *result = (struct sosie_session_result){0};
    s.checkpoint = options->checkpoint ? strdup(options->checkpoint)
                                       : joined(options->out, ".checkpoint");
    s.cache = options->cache ? strdup(options->cache) : folder_of(options->out);
    if (!s.checkpoint || !s.cache)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "a training");
    if (!st && options->resume &&
        sosie_path_kind(s.checkpoint) != SOSIE_PATH_FILE)
        st = sosie_fail(err, SOSIE_NOT_FOUND,
                        "%s: no checkpoint to resume from", s.checkpoint);
    if (!st && options->resume && trainer.precision == SOSIE_PRECISION_AUTO)
        st = sosie_trainer_saved_precision(s.checkpoint, &trainer.precision,
                                           err);
    if (!st)
        st = open_photos(&s, err);
    trainer.progress = on_teaching;
    trainer.context = &s;
    if (!st)
        st = sosie_trainer_create(&s.dataset, s.pixels, &trainer, &s.trainer,
                                  err);
    s.start_ms = sosie_clock_ms();
    if (!st && options->resume)
        st = resume(&s, err);
    if (!st)
        st = train(&s, err);
    fill_result(&s);
    sosie_trainer_destroy(s.trainer);
    sosie_pixels_destroy(s.pixels);
    sosie_dataset_release(&s.dataset);
    free(s.epochs);
    free(s.cache);
    free(s.checkpoint);
    return st;
}
