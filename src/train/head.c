/* head.c: reads the embeddings, parts them, fits, tempers, stores.
 *
 * Photos are put into a random order, products together. The last tenth is held
 * out; a sample at the front decides on the decay:
 *
 *   | sample ......... |                          | held out |
 *   | trained on ................................ |
 *
 * From a strong decay to ever weaker ones, each fit starting where the last one
 * ended, until the held-out photos become less likely. The head is then fitted
 * on all that is trained on, measured on what is held out, and at last fitted
 * on everything: a rare class may need the tenth, too. Decay is divided by the
 * number of photos, as is right for a prior. */
#include "train/head.h"

#include "base/clock.h"
#include "base/pool.h"
#include "base/random.h"
#include "engine/head.h"
#include "train/calibration.h"
#include "train/logistic.h"
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEED = 1,
    MIN_PHOTOS = 20,
    HELD_OUT = 10, /* one in so many */
    SAMPLE = 5000,
    MAX_FLOATS = 1 << 28,   /* of photos */
    MAX_COMPARED = 1 << 30, /* pairs of a held-out photo and another */
    QUEUE = 64
};
static const double STRONGEST = 10, WEAKEST = 1e-4; /* decay, times photos */
static const double FINER = 0.3162277660168379;     /* half a decade */

struct fitting {
    const struct sosie_head_options *options;
    struct sosie_head_report *report;
    struct sosie_head_photos photos;
    struct sosie_pool *pool;
    size_t dim, n_classes;
    const char **names; /* of classes, which are numbered anew */
    uint32_t *order;    /* rows of the photos, as above */
    size_t n, n_train;  /* of the order: all; not held out */
    float *x;           /* (n, dim) */
    uint32_t *labels;   /* (n) */
    float *logits;      /* (held out, n_classes) */
    struct sosie_head head;
    float *best; /* (n_classes, dim + 1): weights */
};

static enum sosie_status no_memory(const struct fitting *f,
                                   struct sosie_error *err)
{
    return sosie_fail(err, SOSIE_NO_MEMORY, "a head on %zu photos",
                      f->photos.rows.n);
}

/* ---- photos -------------------------------------------------------------- */

/* Numbers the classes that photos have: class_numbers by class id. */
static enum sosie_status number_classes(struct fitting *f,
                                        uint32_t *class_numbers,
                                        struct sosie_error *err)
{
    const struct sosie_rows *rows = &f->photos.rows;
    const struct sosie_class_names *classes = &f->photos.classes;
    for (size_t i = 0; i < rows->n; i++)
        class_numbers[rows->classes[i]] = 1; /* is there */
    f->names =
        sosie_arena_alloc(&f->photos.arena, classes->n, sizeof(*f->names));
    if (!f->names)
        return no_memory(f, err);
    for (size_t c = 0; c < classes->n; c++)
        if (class_numbers[c]) {
            class_numbers[c] = (uint32_t)f->n_classes;
            f->names[f->n_classes++] = classes->names[c];
        }
    if (rows->n < MIN_PHOTOS || f->n_classes < 2)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "the catalog has %zu photos of %zu classes; a head "
                          "needs %d of 2",
                          rows->n, f->n_classes, MIN_PHOTOS);
    return SOSIE_OK;
}

/* A random order in which products stay together: photos are sorted by a random
 * number that those of one product share. */
struct place {
    uint64_t key;
    uint32_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static uint64_t key_of(uint32_t product)
{
    struct sosie_random random;
    sosie_random_seed(&random, ((uint64_t)SEED << 32) + product);
    return sosie_random_u64(&random);
}

static enum sosie_status put_in_order(struct fitting *f,
                                      struct sosie_error *err)
{
    size_t n = f->photos.rows.n;
    struct place *places = calloc(n, sizeof(*places));
    f->order = calloc(n, sizeof(*f->order));
    if (!places || !f->order) {
        free(places);
        return no_memory(f, err);
    }
    for (uint32_t i = 0; i < n; i++)
        places[i] = (struct place){key_of(f->photos.products[i]), i};
    qsort(places, n, sizeof(*places), by_key);
    for (size_t i = 0; i < n; i++)
        f->order[i] = places[i].row;
    free(places);
    return SOSIE_OK;
}

/* Where the held-out part begins: between two products. */
static enum sosie_status hold_out(struct fitting *f, struct sosie_error *err)
{
    const uint32_t *products = f->photos.products;
    size_t held = f->n / HELD_OUT;
    if (held > MAX_COMPARED / f->n)
        held = MAX_COMPARED / f->n;
    f->n_train = f->n - held;
    while (f->n_train &&
           products[f->order[f->n_train]] == products[f->order[f->n_train - 1]])
        f->n_train--;
    if (!f->n_train)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "all of the catalog's %zu photos are of one product",
                          f->n);
    return SOSIE_OK;
}

static enum sosie_status fill(struct fitting *f, const uint32_t *class_numbers,
                              struct sosie_error *err)
{
    const struct sosie_rows *rows = &f->photos.rows;
    size_t stride = sosie_row_stride(&rows->shape);
    size_t n_weights = f->n_classes * (f->dim + 1);
    enum sosie_status st =
        sosie_head_init(&f->head, &rows->shape, f->n_classes, err);
    if (st)
        return st;
    memcpy(f->head.names, f->names, f->n_classes * sizeof(*f->names));
    f->head.transform = f->photos.transform;
    f->x = calloc(f->n, f->dim * sizeof(*f->x));
    f->labels = calloc(f->n, sizeof(*f->labels));
    f->logits = calloc(f->n - f->n_train, f->n_classes * sizeof(*f->logits));
    f->best = calloc(n_weights, sizeof(*f->best));
    if (!f->x || !f->labels || !f->logits || !f->best)
        return no_memory(f, err);
    for (size_t i = 0; i < f->n; i++) {
        size_t row = f->order[i];
        sosie_head_input(&rows->shape, rows->codes + row * stride,
                         rows->scales + row * rows->shape.n_aspects,
                         f->x + i * f->dim);
        f->labels[i] = class_numbers[rows->classes[row]];
    }
    return SOSIE_OK;
}

static enum sosie_status open_and_read(struct fitting *f,
                                       struct sosie_error *err)
{
    struct sosie_engine_options options = sosie_engine_options_defaults();
    struct sosie_engine *engine = NULL;
    enum sosie_status st =
        sosie_engine_open(f->options->catalog, &options, &engine, err);
    if (!st)
        st = sosie_engine_head_photos(engine, &f->photos, err);
    sosie_engine_close(engine);
    return st;
}

static enum sosie_status read_photos(struct fitting *f, struct sosie_error *err)
{
    uint32_t *class_numbers = NULL;
    enum sosie_status st = open_and_read(f, err);
    if (st)
        return st;
    f->dim = sosie_row_packed_size(&f->photos.rows.shape);
    class_numbers = calloc(f->photos.classes.n + 1, sizeof(*class_numbers));
    if (!class_numbers)
        return no_memory(f, err);
    st = number_classes(f, class_numbers, err);
    f->n = f->photos.rows.n;
    if (f->n > MAX_FLOATS / f->dim) /* the first of a random order are enough */
        f->n = MAX_FLOATS / f->dim;
    if (!st)
        st = put_in_order(f, err);
    if (!st)
        st = hold_out(f, err);
    if (!st)
        st = fill(f, class_numbers, err);
    free(class_numbers);
    return st;
}

/* ---- what votes would say ------------------------------------------------ */

/* Labels of all rows, and a number for those that may not vote: whatever is not
 * trained on. */
static void label_rows(const struct fitting *f, int32_t *labels,
                       int32_t *excluded)
{
    for (size_t i = 0; i < f->photos.rows.n; i++) {
        bool may_vote = i < f->n_train;
        labels[f->order[i]] = i < f->n ? (int32_t)f->labels[i] : -1;
        excluded[f->order[i]] = may_vote ? -1 : 0;
    }
}

static enum sosie_status count_votes(struct fitting *f, const int32_t *labels,
                                     const struct sosie_ranking *ranking,
                                     struct sosie_error *err)
{
    size_t n = ranking->n;
    int32_t *guesses = calloc(n, SOSIE_GUESSES * sizeof(*guesses));
    int32_t *right = calloc(n, sizeof(*right));
    double *values = calloc(n, sizeof(*values));
    enum sosie_status st =
        guesses && right && values
            ? sosie_guess_by_votes(ranking, labels, f->n_classes, guesses, err)
            : no_memory(f, err);
    if (!st) {
        for (size_t i = 0; i < n; i++)
            right[i] = labels[ranking->queries[i]];
        sosie_guess_is_right(guesses, right, n, 1, values);
        f->report->votes = sosie_metric_mean(values, n, NULL);
    }
    free(guesses);
    free(right);
    free(values);
    return st;
}

static enum sosie_status measure_votes(struct fitting *f,
                                       struct sosie_error *err)
{
    const struct sosie_rows *rows = &f->photos.rows;
    const struct sosie_vectors gallery = {rows->shape, rows->n, rows->codes,
                                          rows->scales};
    struct sosie_ranking ranking = {0};
    int32_t *labels = calloc(rows->n, sizeof(*labels));
    int32_t *excluded = calloc(rows->n, sizeof(*excluded));
    struct sosie_way way = {.exclude = {excluded}};
    enum sosie_status st = labels && excluded ? SOSIE_OK : no_memory(f, err);
    sosie_way_weigh(&way, f->photos.weights, f->photos.degrees,
                    rows->shape.n_aspects);
    if (!st) {
        label_rows(f, labels, excluded);
        st = sosie_neighbours_find(&gallery, f->order + f->n_train,
                                   f->n - f->n_train, NULL, &way, 1,
                                   SOSIE_VOTERS, f->pool, &ranking, err);
    }
    if (!st)
        st = count_votes(f, labels, &ranking, err);
    sosie_ranking_release(&ranking);
    free(labels);
    free(excluded);
    return st;
}

/* ---- the fit ------------------------------------------------------------- */

/* On the first n photos, from where the weights are. */
static enum sosie_status fit(struct fitting *f, size_t n, double decay,
                             struct sosie_error *err)
{
    const struct sosie_logistic problem = {.n = n,
                                           .dim = f->dim,
                                           .n_classes = f->n_classes,
                                           .x = f->x,
                                           .labels = f->labels,
                                           .decay = decay / (double)n,
                                           .pool = f->pool,
                                           .go_on = f->options->go_on,
                                           .context = f->options->context};
    return sosie_logistic_fit(&problem, f->head.weights, err);
}

/* What the weights make of the held-out photos. */
static struct sosie_logits judge(struct fitting *f)
{
    size_t n = f->n - f->n_train;
    sosie_logistic_logits(f->x + f->n_train * f->dim, n, f->dim,
                          f->head.weights, f->n_classes, f->logits);
    return (struct sosie_logits){n, f->n_classes, f->logits,
                                 f->labels + f->n_train};
}

/* Leaves the best weights of the sample where the next fit starts. */
static enum sosie_status choose_decay(struct fitting *f, double *chosen,
                                      struct sosie_error *err)
{
    size_t n = f->n_train < SAMPLE ? f->n_train : SAMPLE;
    size_t size = f->n_classes * (f->dim + 1) * sizeof(*f->head.weights);
    double least = INFINITY;
    for (double decay = STRONGEST; decay > WEAKEST; decay *= FINER) {
        struct sosie_logits logits;
        double loss;
        enum sosie_status st = fit(f, n, decay, err);
        if (st)
            return st;
        logits = judge(f);
        loss = sosie_logits_loss(&logits, sosie_logits_temperature(&logits));
        if (loss >= least)
            break;
        least = loss;
        *chosen = decay;
        memcpy(f->best, f->head.weights, size);
    }
    memcpy(f->head.weights, f->best, size);
    return SOSIE_OK;
}

static enum sosie_status fit_all(struct fitting *f, struct sosie_error *err)
{
    struct sosie_head_report *report = f->report;
    struct sosie_logits logits;
    double decay = STRONGEST;
    enum sosie_status st = choose_decay(f, &decay, err);
    if (!st && f->n_train > SAMPLE)
        st = fit(f, f->n_train, decay, err);
    if (st)
        return st;
    logits = judge(f);
    report->decay = decay / (double)f->n_train;
    report->accuracy = sosie_logits_accuracy(&logits);
    report->temperature = sosie_logits_temperature(&logits);
    f->head.temperature = report->temperature;
    report->error_before = sosie_logits_calibration_error(&logits, 1);
    report->error_after =
        sosie_logits_calibration_error(&logits, report->temperature);
    return fit(f, f->n, decay, err);
}

/* ---- the whole ----------------------------------------------------------- */

/* The catalog is open for writing no longer than it takes. */
static enum sosie_status write_head(const struct fitting *f,
                                    const struct sosie_head *head,
                                    struct sosie_error *err)
{
    struct sosie_engine_options options = sosie_engine_options_defaults();
    struct sosie_engine *engine = NULL;
    enum sosie_status st;
    options.mode = SOSIE_WRITE;
    st = sosie_engine_open(f->options->catalog, &options, &engine, err);
    if (!st)
        st = sosie_engine_set_head(engine, head, err);
    sosie_engine_close(engine);
    return st;
}

static enum sosie_status run(struct fitting *f, struct sosie_error *err)
{
    size_t n_workers =
        f->options->n_workers ? f->options->n_workers : sosie_cpu_count();
    enum sosie_status st;
    if ((st = read_photos(f, err)) ||
        (st = sosie_pool_create(n_workers, QUEUE, &f->pool, err)) ||
        (st = measure_votes(f, err)) || (st = fit_all(f, err)))
        return st;
    f->report->kept = f->report->accuracy >= f->report->votes;
    return write_head(f, f->report->kept ? &f->head : NULL, err);
}

enum sosie_status sosie_head_fit(const struct sosie_head_options *options,
                                 struct sosie_head_report *report,
                                 struct sosie_error *err)
{
    struct fitting f = {.options = options, .report = report};
    double start = sosie_clock_ms();
    enum sosie_status st;
    *report = (struct sosie_head_report){0};
    st = run(&f, err);
    report->n_photos = f.n;
    report->n_held_out = f.n - f.n_train;
    report->n_classes = f.n_classes;
    sosie_pool_destroy(f.pool);
    sosie_head_photos_release(&f.photos);
    free(f.order);
    free(f.x);
    free(f.labels);
    free(f.logits);
    sosie_head_release(&f.head);
    free(f.best);
    report->seconds = (sosie_clock_ms() - start) / 1e3;
    return st;
}
