/* trainer_start.c: what is found out about the photos before the first step. */
#include "engine/whiten.h"
#include "kernels/kernels.h"
#include "train/trainer_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 4096, TAUGHT_DIM = 256, CHUNK = 64 };

/* Every k-th of n, so that there are at most `most`. */
static size_t stride_of(size_t n, size_t most)
{
    return n > most ? (n + most - 1) / most : 1;
}

/* ---- aspects ------------------------------------------------------------- */

/* The new parameter called so, or NULL. */
static float *find_param(const struct sosie_trainer *t, const char *aspect,
                         const char *what, size_t *n)
{
    const struct sosie_graph *graph = sosie_trainable_graph(t->trainable);
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", aspect, what);
    for (size_t p = 0; p < t->n_params; p++)
        if (trainer_is_new(t, &t->param_list[p]) &&
            !strcmp(graph->values[t->param_list[p].value].name, name)) {
            *n = t->param_list[p].n;
            return t->params + t->param_list[p].offset;
        }
    return NULL;
}

/* y = M (x - mean) for what a linear layer makes, put into the layer. `scale`
 * makes what comes out as large as random numbers. */
static void turn_layer(const struct sosie_whitening *whitening, float *weights,
                       float *bias, size_t dim, size_t n_in, float scale,
                       float *room)
{
    float *zero = room, *x = room + dim, *y = room + 2 * dim;
    memset(x, 0, dim * sizeof(float));
    sosie_whitening_apply(whitening, x, zero); /* M (0 - mean) */
    for (size_t c = 0; c < n_in; c++) {
        for (size_t d = 0; d < dim; d++)
            x[d] = weights[d * n_in + c];
        sosie_whitening_apply(whitening, x, y);
        for (size_t d = 0; d < dim; d++)
            weights[d * n_in + c] = (y[d] - zero[d]) * scale;
    }
    memcpy(x, bias, dim * sizeof(float));
    sosie_whitening_apply(whitening, x, y);
    for (size_t d = 0; d < dim; d++)
        bias[d] = y[d] * scale;
}

static float scale_of(const struct sosie_whitening *whitening,
                      const float *rows, size_t n, size_t dim, float *room)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(room, rows + i * dim, dim * sizeof(float));
        sosie_whitening_apply(whitening, room, room + dim);
        sum += (double)sosie_kernels()->dot_f32(room + dim, room + dim, dim);
    }
    return sum > 0 ? (float)sqrt((double)(n * dim) / sum) : 1;
}

static enum sosie_status start_aspect(struct sosie_trainer *t, const char *name,
                                      size_t k, const size_t *photos, size_t n,
                                      struct sosie_error *err)
{
    size_t dim = t->batch.dims[k], n_weights = 0, n_bias = 0;
    float *weights = find_param(t, name, "weights", &n_weights);
    float *bias = find_param(t, name, "bias", &n_bias);
    struct sosie_whitening *whitening = NULL;
    float *rows, *room;
    enum sosie_status st;

    if (!weights || !bias || n_bias != dim || n < 2 * dim)
        return SOSIE_OK; /* a file gave it, or there is too little to see */
    rows = malloc(n * dim * sizeof(*rows));
    room = malloc(3 * dim * sizeof(*room));
    st = rows && room ? trainer_look(t, photos, n, k, rows, err)
                      : sosie_fail(err, SOSIE_NO_MEMORY, "aspects");
    if (!st)
        st = sosie_whitening_fit(rows, n, dim, dim, &whitening, err);
    if (!st)
        turn_layer(whitening, weights, bias, dim, n_weights / dim,
                   scale_of(whitening, rows, n, dim, room), room);
    sosie_whitening_destroy(whitening);
    free(room);
    free(rows);
    return st;
}

enum sosie_status trainer_start(struct sosie_trainer *t,
                                struct sosie_error *err)
{
    size_t stride = stride_of(t->n_train, SAMPLE / 2), n = 0, photos[SAMPLE];
    enum sosie_status st = SOSIE_OK;
    if (!t->options.student.init)
        return SOSIE_OK;
    for (size_t i = 0; i < t->n_train && n < SAMPLE; i += stride)
        photos[n++] = t->train[i];
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS && !st; a++) {
        enum sosie_student_aspect aspect = (enum sosie_student_aspect)a;
        if (t->options.student.dims[a])
            st = start_aspect(t, sosie_student_aspect_name(aspect),
                              sosie_student_output(&t->options.student, aspect),
                              photos, n, err);
    }
    if (!st && t->optimiser.average)
        memcpy(t->optimiser.average, t->params, t->n_floats * sizeof(float));
    return st ? st : sosie_trainable_pack(t->trainable, err);
}

/* ---- teacher ------------------------------------------------------------- */

struct asking {
    struct sosie_trainer *t;
    struct sosie_model *model;
    const struct sosie_model_info *info;
    float *features; /* (n_train, dim) */
    struct asker {
        struct sosie_model_run *run;
        uint8_t *rgb;
    } * askers; /* of each worker */
};

struct chunk {
    struct asking *asking;
    size_t first, last;
    enum sosie_status status;
    struct sosie_error error;
};

static void ask(void *argument, size_t worker)
{
    struct chunk *chunk = argument;
    struct asking *a = chunk->asking;
    struct asker *asker = &a->askers[worker];
    const uint8_t *rgb = asker->rgb;
    for (size_t i = chunk->first; i < chunk->last && !chunk->status; i++) {
        struct sosie_image photo =
            sosie_pixels_get(a->t->pixels, a->t->train[i]);
        chunk->status =
            sosie_image_fit(&photo, a->info->fit, a->info->width,
                            a->info->height, asker->rgb, &chunk->error);
        if (!chunk->status)
            chunk->status = sosie_model_forward(asker->run, &rgb, 1,
                                                a->features + i * a->info->dim,
                                                NULL, &chunk->error);
    }
}

static enum sosie_status ask_all(struct asking *a, struct sosie_error *err)
{
    struct sosie_trainer *t = a->t;
    size_t n_workers = sosie_pool_size(t->pool);
    size_t round = n_workers * CHUNK;
    struct chunk *chunks = calloc(n_workers, sizeof(*chunks));
    enum sosie_status st =
        chunks ? SOSIE_OK : sosie_fail(err, SOSIE_NO_MEMORY, "a teacher");
    for (size_t first = 0; first < t->n_train && !st; first += round) {
        for (size_t c = 0; c < n_workers; c++) {
            size_t from = first + c * CHUNK, to = from + CHUNK;
            chunks[c] =
                (struct chunk){.asking = a,
                               .first = from < t->n_train ? from : t->n_train,
                               .last = to < t->n_train ? to : t->n_train};
            sosie_pool_submit(t->pool, ask, &chunks[c]);
        }
        sosie_pool_wait(t->pool);
        for (size_t c = 0; c < n_workers && !st; c++)
            if (chunks[c].status) {
                *err = chunks[c].error;
                st = chunks[c].status;
            }
        if (!st && t->options.progress &&
            !t->options.progress(t->options.context, first, t->n_train))
            st = sosie_fail(err, SOSIE_CANCELLED, "interrupted");
    }
    free(chunks);
    return st;
}

static void normalise(float *x, size_t dim)
{
    double norm = sqrt((double)sosie_kernels()->dot_f32(x, x, dim));
    for (size_t d = 0; d < dim && norm > 0; d++)
        x[d] = (float)((double)x[d] / norm);
}

/* A model of ours has a shape; that of another is its features, whitened. */
static enum sosie_status keep_taught(struct asking *a, struct sosie_error *err)
{
    struct sosie_trainer *t = a->t;
    size_t dim = a->info->dim, n = 0, stride = stride_of(t->n_train, SAMPLE);
    size_t out = a->info->n_aspects ? a->info->aspects[0].dim
                 : dim < TAUGHT_DIM ? dim
                                    : TAUGHT_DIM;
    struct sosie_whitening *whitening = NULL;
    float *sample = NULL;
    enum sosie_status st = SOSIE_OK;

    if (!a->info->n_aspects && t->n_train >= 2 * out) {
        sample = malloc((t->n_train / stride + 1) * dim * sizeof(*sample));
        for (size_t i = 0; sample && i < t->n_train; i += stride)
            memcpy(sample + n++ * dim, a->features + i * dim,
                   dim * sizeof(float));
        st = sample ? sosie_whitening_fit(sample, n, dim, out, &whitening, err)
                    : sosie_fail(err, SOSIE_NO_MEMORY, "a teacher");
    } else if (!a->info->n_aspects) {
        out = dim;
    }
    free(sample);
    t->teacher_dim = out;
    t->taught = sosie_arena_alloc(&t->arena, t->n_train * out, sizeof(float));
    if (!st && !t->taught)
        st = sosie_fail(err, SOSIE_NO_MEMORY, "a teacher");
    for (size_t i = 0; i < t->n_train && !st; i++) {
        float *x = a->features + i * dim, *y = t->taught + i * out;
        if (whitening)
            sosie_whitening_apply(whitening, x, y);
        else
            memcpy(y, x, out * sizeof(float));
        normalise(y, out);
    }
    sosie_whitening_destroy(whitening);
    return st;
}

static enum sosie_status make_askers(struct asking *a, struct sosie_error *err)
{
    size_t n = sosie_pool_size(a->t->pool);
    enum sosie_status st = SOSIE_OK;
    a->askers = calloc(n, sizeof(*a->askers));
    a->features = malloc(a->t->n_train * a->info->dim * sizeof(float));
    if (!a->askers || !a->features)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a teacher");
    for (size_t w = 0; w < n && !st; w++) {
        a->askers[w].rgb = malloc((size_t)3 * a->info->width * a->info->height);
        st = a->askers[w].rgb
                 ? sosie_model_run_create(a->model, &a->askers[w].run, err)
                 : sosie_fail(err, SOSIE_NO_MEMORY, "a teacher");
    }
    return st;
}

enum sosie_status trainer_ask_teacher(struct sosie_trainer *t,
                                      struct sosie_error *err)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct asking a = {.t = t};
    enum sosie_status st;
    if (!t->options.teacher || t->options.weights.teacher <= 0)
        return SOSIE_OK;
    options.max_batch = 1;
    st = sosie_model_open(t->options.teacher, &options, &a.model, err);
    if (!st) {
        a.info = sosie_model_info(a.model);
        st = make_askers(&a, err);
    }
    if (!st)
        st = ask_all(&a, err);
    if (!st)
        st = keep_taught(&a, err);
    for (size_t w = 0; a.askers && w < sosie_pool_size(t->pool); w++) {
        free(a.askers[w].rgb);
        sosie_model_run_destroy(a.askers[w].run);
    }
    free(a.askers);
    free(a.features);
    sosie_model_close(a.model);
    return st;
}
