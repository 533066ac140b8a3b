/* trainer_start.c: what is found out about the photos before the first step. */
#include "engine/whiten.h"
#include "kernels/kernels.h"
#include "train/discriminant.h"
#include "train/trainer_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 4096, TAUGHT_DIM = 256, CHUNK = 64 };

/* What differences between views count for, of those between photos of one
 * product, if there are enough of these. */
static const double VIEWS = 0.3;

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

/* What the photos are like, and what is alike. */
struct sample {
    size_t n, n_differences, dim;
    size_t photos[SAMPLE];
    float *rows;        /* (n, dim): their features */
    float *differences; /* (up to 2 n, dim): see discriminant.h */
    float *matrix, *mean;
};

/* `weight` times the difference of two rows, divided by the root of 2. */
static void add_difference(struct sample *s, const float *a, const float *b,
                           double weight)
{
    float *to = s->differences + s->n_differences++ * s->dim;
    float factor = (float)(weight * sqrt(0.5));
    for (size_t d = 0; d < s->dim; d++)
        to[d] = (a[d] - b[d]) * factor;
}

static bool same_identity(const struct sosie_trainer *t, size_t a, size_t b)
{
    const struct sosie_dataset_photo *photos = t->dataset->photos;
    return photos[a].identity >= 0 &&
           photos[a].identity == photos[b].identity &&
           (photos[a].group < 0 || photos[a].group != photos[b].group);
}

/* Between photos of one product, which stand beside each other in the list of
 * siblings; and between a photo and its second view, whose colours are turned,
 * which count less if there are enough products. */
static enum sosie_status shape_differences(struct sosie_trainer *t,
                                           struct sample *s,
                                           struct sosie_error *err)
{
    size_t n = 0, end = t->first_sibling[t->dataset->n_identities];
    size_t *siblings = calloc(SAMPLE, sizeof(*siblings));
    float *rows = malloc(SAMPLE * s->dim * sizeof(*rows));
    enum sosie_status st = siblings && rows
                               ? SOSIE_OK
                               : sosie_fail(err, SOSIE_NO_MEMORY, "aspects");
    s->n_differences = 0;
    for (size_t i = 1; i < end && n + 2 <= SAMPLE && !st; i++)
        if (same_identity(t, t->siblings[i - 1], t->siblings[i])) {
            siblings[n++] = t->siblings[i - 1];
            siblings[n++] = t->siblings[i];
        }
    if (!st && n)
        st = trainer_look(t, siblings, n, false, rows, err);
    for (size_t i = 0; i + 1 < n && !st; i += 2)
        add_difference(s, rows + i * s->dim, rows + (i + 1) * s->dim, 1);
    if (!st)
        st = trainer_look(t, s->photos, s->n, true, rows, err);
    for (size_t i = 0; i < s->n && !st; i++)
        add_difference(s, s->rows + i * s->dim, rows + i * s->dim,
                       n >= TRAINER_ENOUGH
                           ? sqrt(VIEWS * (double)n / 2 / (double)s->n)
                           : 1);
    free(siblings);
    free(rows);
    return st;
}

/* Between each photo and the next with the same label, of the first of the
 * aspect's heads. */
static void label_differences(const struct sosie_trainer *t,
                              enum sosie_student_aspect aspect,
                              struct sample *s)
{
    const struct sosie_student_options *student = &t->options.student;
    size_t h = 0;
    s->n_differences = 0;
    while (h < student->n_heads && student->heads[h].aspect != aspect)
        h++;
    for (size_t i = 0; h < student->n_heads && i < s->n; i++) {
        const struct sosie_dataset_photo *photos = t->dataset->photos;
        int32_t label = photos[s->photos[i]].labels[t->columns[h]];
        size_t k = i + 1;
        while (k < s->n && photos[s->photos[k]].labels[t->columns[h]] != label)
            k++;
        if (label >= 0 && k < s->n)
            add_difference(s, s->rows + i * s->dim, s->rows + k * s->dim, 1);
    }
}

/* The factor that makes what comes out as large as random numbers. */
static float scale_of(const struct sample *s, size_t n_out)
{
    double sum = 0;
    size_t n = s->n < 256 ? s->n : 256;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n_out; j++) {
            double y = 0;
            for (size_t d = 0; d < s->dim; d++)
                y += (double)s->matrix[j * s->dim + d] *
                     (double)(s->rows[i * s->dim + d] - s->mean[d]);
            sum += y * y;
        }
    return sum > 0 ? (float)sqrt((double)(n * n_out) / sum) : 1;
}

static enum sosie_status start_aspect(struct sosie_trainer *t,
                                      enum sosie_student_aspect aspect,
                                      struct sample *s, struct sosie_error *err)
{
    const char *name = sosie_student_aspect_name(aspect);
    size_t dim = t->options.student.dims[aspect], n_weights = 0, n_bias = 0;
    float *weights = find_param(t, name, "weights", &n_weights), scale;
    float *bias = find_param(t, name, "bias", &n_bias);
    enum sosie_status st = SOSIE_OK;

    if (!weights || !bias || n_bias != dim || n_weights != dim * s->dim ||
        s->n < 2 * dim || dim > s->dim)
        return SOSIE_OK; /* a file gave it, or there is too little to see */
    if (aspect == SOSIE_STUDENT_SHAPE)
        st = shape_differences(t, s, err);
    else
        label_differences(t, aspect, s);
    if (!st)
        st = sosie_discriminant_fit(
            &(struct sosie_discriminant_data){s->rows, s->n, s->differences,
                                              s->n_differences, s->dim},
            dim, t->options.seed + (uint64_t)aspect, s->matrix, s->mean, err);
    if (st)
        return st;
    scale = scale_of(s, dim);
    for (size_t j = 0; j < dim; j++) {
        double y = 0;
        for (size_t d = 0; d < s->dim; d++) {
            weights[j * s->dim + d] = s->matrix[j * s->dim + d] * scale;
            y -= (double)weights[j * s->dim + d] * (double)s->mean[d];
        }
        bias[j] = (float)y;
    }
    return SOSIE_OK;
}

static void release_sample(struct sample *s)
{
    if (!s)
        return;
    free(s->mean);
    free(s->matrix);
    free(s->differences);
    free(s->rows);
    free(s);
}

static enum sosie_status look_at_sample(struct sosie_trainer *t,
                                        struct sample *s,
                                        struct sosie_error *err)
{
    size_t stride = stride_of(t->n_train, SAMPLE), largest = 0;
    for (size_t i = 0; i < t->n_train && s->n < SAMPLE; i += stride)
        s->photos[s->n++] = t->train[i];
    s->dim = trainer_features_dim(t);
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        if (t->options.student.dims[a] > largest)
            largest = t->options.student.dims[a];
    s->rows = malloc(s->n * s->dim * sizeof(float));
    s->differences = malloc(2 * (SAMPLE + s->n) * s->dim * sizeof(float));
    s->matrix = malloc(largest * s->dim * sizeof(float));
    s->mean = malloc(s->dim * sizeof(float));
    if (!s->rows || !s->differences || !s->matrix || !s->mean)
        return sosie_fail(err, SOSIE_NO_MEMORY, "aspects");
    return trainer_look(t, s->photos, s->n, false, s->rows, err);
}

enum sosie_status trainer_start(struct sosie_trainer *t,
                                struct sosie_error *err)
{
    struct sample *s;
    enum sosie_status st;
    if (!t->options.student.init)
        return SOSIE_OK;
    s = calloc(1, sizeof(*s));
    if (!s)
        return sosie_fail(err, SOSIE_NO_MEMORY, "aspects");
    st = look_at_sample(t, s, err);
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS && !st; a++)
        if (t->options.student.dims[a])
            st = start_aspect(t, (enum sosie_student_aspect)a, s, err);
    if (!st && t->options.student.freeze)
        st = trainer_whiten(t, s->rows, s->n, err);
    release_sample(s);
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
