/* trainer_batch.c: photos -> pairs of views -> shards, forward and backward. */
#include "train/trainer_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- photos -------------------------------------------------------------- */

static void *room(struct sosie_trainer *t, size_t n, size_t size)
{
    return sosie_arena_alloc(&t->arena, n ? n : 1, size);
}

static int32_t identity_of(const struct sosie_trainer *t, size_t photo)
{
    return t->dataset->photos[photo].identity;
}

/* Train photos by identity: a counting sort, from the end of each. */
static void find_siblings(struct sosie_trainer *t)
{
    size_t n = t->dataset->n_identities, *ends = t->first_sibling;
    for (size_t i = 0; i < t->n_train; i++)
        if (identity_of(t, t->train[i]) >= 0)
            ends[identity_of(t, t->train[i])]++;
    for (size_t i = 1; i <= n; i++)
        ends[i] += ends[i - 1];
    for (size_t i = t->n_train; i-- > 0;)
        if (identity_of(t, t->train[i]) >= 0)
            t->siblings[--ends[identity_of(t, t->train[i])]] = t->train[i];
}

/* Photos of the same identity to train on, itself among them; 0: of none. */
static size_t n_siblings(const struct sosie_trainer *t, size_t photo)
{
    int32_t identity = identity_of(t, photo);
    return identity < 0
               ? 0
               : t->first_sibling[identity + 1] - t->first_sibling[identity];
}

/* How often an epoch shows the photo at a place. */
static size_t times(const struct sosie_trainer *t, size_t place)
{
    return t->options.repeats > 1 && n_siblings(t, t->train[place]) > 1
               ? t->options.repeats
               : 1;
}

enum sosie_status trainer_find_photos(struct sosie_trainer *t,
                                      struct sosie_error *err)
{
    const struct sosie_dataset *dataset = t->dataset;
    t->train = room(t, dataset->n, sizeof(*t->train));
    t->siblings = room(t, dataset->n, sizeof(*t->siblings));
    t->first_sibling =
        room(t, dataset->n_identities + 2, sizeof(*t->first_sibling));
    if (!t->train || !t->siblings || !t->first_sibling)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu photos", dataset->n);
    for (size_t i = 0; i < dataset->n; i++)
        if (dataset->photos[i].split == SOSIE_SPLIT_TRAIN &&
            sosie_pixels_get(t->pixels, i).width)
            t->train[t->n_train++] = i;
    if (t->n_train * 2 < t->options.batch)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu photos to train on; a batch of %zu views needs "
                          "%zu",
                          t->n_train, t->options.batch, t->options.batch / 2);
    find_siblings(t);
    t->order_of = SIZE_MAX;
    for (size_t i = 0; i < t->n_train; i++) {
        t->n_order += times(t, i);
        t->n_related += n_siblings(t, t->train[i]) > 1;
    }
    t->order = room(t, t->n_order, sizeof(*t->order));
    return t->order
               ? SOSIE_OK
               : sosie_fail(err, SOSIE_NO_MEMORY, "%zu photos", dataset->n);
}

/* A generator for one purpose at one place. */
static struct sosie_random random_at(const struct sosie_trainer *t,
                                     uint64_t purpose, uint64_t a, uint64_t b)
{
    struct sosie_random random;
    sosie_random_seed(&random, t->options.seed * 0x9e3779b97f4a7c15U + purpose);
    for (int i = 0; i < 2; i++)
        sosie_random_seed(&random, sosie_random_u64(&random) ^ (i ? b : a));
    return random;
}

static void shuffle(size_t *places, size_t n, size_t size,
                    struct sosie_random *random)
{
    for (size_t i = n; i > 1; i--) {
        size_t *a = places + sosie_random_below(random, i) * size;
        size_t *b = places + (i - 1) * size;
        for (size_t k = 0; k < size; k++) {
            size_t place = a[k];
            a[k] = b[k];
            b[k] = place;
        }
    }
}

/* The label of a photo that says what kind of thing it is, for most. */
static int32_t kind_of(const struct sosie_trainer *t, size_t place)
{
    const struct sosie_student_options *student = &t->options.student;
    for (size_t h = 0; h < student->n_heads; h++)
        if (student->heads[h].aspect == SOSIE_STUDENT_KIND)
            return t->dataset->photos[t->train[place]].labels[t->columns[h]];
    return -1;
}

/* Sorts a few places by kind, keeping the order of like ones (insertion). */
static void sort_by_kind(const struct sosie_trainer *t, size_t *places,
                         size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t place = places[i], k = i;
        int32_t kind = kind_of(t, place);
        for (; k > 0 && kind_of(t, places[k - 1]) > kind; k--)
            places[k] = places[k - 1];
        places[k] = place;
    }
}

/* All photos in random order. Where the heads count little beside what tells
 * products apart, those of a batch are of few kinds: what is to be told from
 * one another is alike then. Heads learn kinds badly from such batches:
 * after 3.5 epochs the class they were surest of had a probability of .37 in
 * the mean; 1.5 epochs of mixed ones, on frozen features, made it .80. */
static void order_photos(struct sosie_trainer *t, size_t epoch)
{
    struct sosie_random random = random_at(t, 1, epoch, 0);
    const struct sosie_loss_weights *weights = &t->options.weights;
    size_t pairs = t->options.batch / 2;
    size_t like = weights->identity > 2 * weights->heads ? t->options.like : 1;
    if (t->order_of == epoch)
        return;
    for (size_t i = 0, n = 0; i < t->n_train; i++)
        for (size_t k = times(t, i); k > 0; k--)
            t->order[n++] = i;
    shuffle(t->order, t->n_order, 1, &random);
    for (size_t i = 0; like > 1 && i + pairs * like <= t->n_order;
         i += pairs * like) {
        sort_by_kind(t, t->order + i, pairs * like);
        shuffle(t->order + i, like, pairs, &random);
    }
    t->order_of = epoch;
}

/* Another photo of the same identity most of the time, else the same. */
static size_t partner(const struct sosie_trainer *t, size_t photo,
                      struct sosie_random *random)
{
    int32_t identity = identity_of(t, photo);
    size_t first, n;
    if (identity < 0 || sosie_random_unit(random) < 0.25)
        return photo;
    first = t->first_sibling[identity];
    n = t->first_sibling[identity + 1] - first;
    return n ? t->siblings[first + sosie_random_below(random, n)] : photo;
}

/* What views are to be near each other in shape for: the product or, if there
 * are too few that there are several photos of, the photo. (That views of one
 * photo are near each other is learned at the price of what sets kinds apart:
 * .776 to .733 of the 12 nearest of one type, on the photos of a shop.) */
static int32_t sought(const struct sosie_trainer *t, size_t photo)
{
    if (n_siblings(t, photo) > 1)
        return identity_of(t, photo);
    return t->n_related >= TRAINER_ENOUGH
               ? -1
               : (int32_t)(t->dataset->n_identities + photo);
}

/* Views whose colours are turned are there to be drawn to the first ones: where
 * no loss does that, all are first ones. */
static bool is_second(const struct sosie_trainer *t, size_t view)
{
    return view % 2 && t->options.weights.identity > 0;
}

static void put_photo(struct sosie_trainer *t, size_t view, size_t photo)
{
    const struct sosie_dataset_photo *p = &t->dataset->photos[photo];
    struct trainer_batch *b = &t->batch;
    b->photos[view] = photo;
    b->groups[view] = p->group;
    b->identities[view] = sought(t, photo);
    for (size_t h = 0; h < t->options.student.n_heads; h++)
        b->labels[h][view] =
            t->options.student.heads[h].aspect == SOSIE_STUDENT_COLOUR &&
                    is_second(t, view)
                ? -1
                : p->labels[t->columns[h]];
}

static void pick_photos(struct sosie_trainer *t)
{
    size_t pairs = t->options.batch / 2;
    size_t first = t->step % t->steps_per_epoch * pairs;
    order_photos(t, t->step / t->steps_per_epoch);
    for (size_t j = 0; j < pairs; j++) {
        struct sosie_random random = random_at(t, 2, t->step, j);
        size_t place = t->order[(first + j) % t->n_order];
        size_t photo = t->train[place];
        put_photo(t, 2 * j, photo);
        if (t->taught)
            memcpy(t->batch.teacher + j * t->teacher_dim,
                   t->taught + place * t->teacher_dim,
                   t->teacher_dim * sizeof(float));
        put_photo(t, 2 * j + 1, partner(t, photo, &random));
    }
}

/* ---- shards -------------------------------------------------------------- */

static enum sosie_status view_forward(struct trainer_shard *shard, size_t view,
                                      struct sosie_error *err)
{
    struct sosie_trainer *t = shard->trainer;
    const struct sosie_input *input = &t->input;
    struct trainer_batch *b = &t->batch;
    struct sosie_image photo = sosie_pixels_get(t->pixels, b->photos[view]);
    struct sosie_image seen = {input->width, input->height, shard->rgb};
    struct sosie_random random = random_at(t, 3, t->step, view);
    size_t size = (size_t)3 * input->width * input->height;
    enum sosie_status st = sosie_augment(
        is_second(t, view) ? &t->options.second : &t->options.first, &photo,
        &random, input->fit, input->width, input->height, shard->rgb, err);
    if (st)
        return st;
    sosie_input_fill(input, shard->rgb,
                     sosie_trainable_run_input(shard->run) +
                         (view - shard->first) * size);
    if (view % 2 == 0 && t->options.weights.histogram > 0)
        sosie_colour_histogram(&seen,
                               b->histograms + view / 2 * SOSIE_COLOUR_DIM);
    return SOSIE_OK;
}

static void shard_forward(void *argument, size_t worker)
{
    struct trainer_shard *shard = argument;
    const struct sosie_trainer *t = shard->trainer;
    struct trainer_batch *b = &shard->trainer->batch;
    size_t n = t->options.shard;
    enum sosie_status st = SOSIE_OK;
    (void)worker;

    for (size_t i = 0; i < n && !st; i++)
        st = view_forward(shard, shard->first + i, &shard->error);
    if (!st)
        st = sosie_trainable_run_forward(shard->run, &shard->error);
    for (size_t k = 0; k < b->n_outputs && !st; k++)
        memcpy(b->outputs[k] + shard->first * b->dims[k],
               sosie_trainable_run_output(shard->run, k),
               n * b->dims[k] * sizeof(float));
    shard->status = st;
}

static void shard_backward(void *argument, size_t worker)
{
    struct trainer_shard *shard = argument;
    const struct trainer_batch *b = &shard->trainer->batch;
    (void)worker;
    for (size_t k = 0; k < b->n_outputs; k++)
        memcpy(sosie_trainable_run_output_grad(shard->run, k),
               b->grads[k] + shard->first * b->dims[k],
               shard->trainer->options.shard * b->dims[k] * sizeof(float));
    shard->status = sosie_trainable_run_backward(shard->run, &shard->error);
}

/* Every shard through `job`; the first that failed says why. */
static enum sosie_status each_shard(struct sosie_trainer *t, sosie_job *job,
                                    struct sosie_error *err)
{
    for (size_t s = 0; s < t->n_shards; s++)
        sosie_pool_submit(t->pool, job, &t->shards[s]);
    sosie_pool_wait(t->pool);
    for (size_t s = 0; s < t->n_shards; s++)
        if (t->shards[s].status) {
            *err = t->shards[s].error;
            return t->shards[s].status;
        }
    return SOSIE_OK;
}

enum sosie_status trainer_forward(struct sosie_trainer *t,
                                  struct sosie_error *err)
{
    pick_photos(t);
    return each_shard(t, shard_forward, err);
}

/* The view of one photo that trainer_look shows; photo i of them all. */
static enum sosie_status look_at(struct trainer_shard *shard, size_t i,
                                 size_t at, struct sosie_error *err)
{
    const struct sosie_trainer *t = shard->trainer;
    const struct sosie_input *input = &t->input;
    struct sosie_image photo = sosie_pixels_get(t->pixels, at);
    struct sosie_random random = random_at(t, 4, at, i);
    return t->turned
               ? sosie_augment(&t->options.second, &photo, &random, input->fit,
                               input->width, input->height, shard->rgb, err)
               : sosie_image_fit(&photo, input->fit, input->width,
                                 input->height, shard->rgb, err);
}

static void shard_look(void *argument, size_t worker)
{
    struct trainer_shard *shard = argument;
    struct sosie_trainer *t = shard->trainer;
    const struct sosie_input *input = &t->input;
    size_t size = (size_t)3 * input->width * input->height;
    (void)worker;
    shard->status = SOSIE_OK;
    for (size_t i = 0; i < t->options.shard && !shard->status; i++) {
        shard->status =
            look_at(shard, i, t->batch.photos[shard->first + i], &shard->error);
        sosie_input_fill(input, shard->rgb,
                         sosie_trainable_run_input(shard->run) + i * size);
    }
    if (!shard->status)
        shard->status = sosie_trainable_run_forward(shard->run, &shard->error);
}

size_t trainer_features_dim(const struct sosie_trainer *t)
{
    const struct sosie_graph *graph = sosie_trainable_graph(t->trainable);
    return graph->values[graph->outputs[graph->n_outputs - 1]].shape.dims[1];
}

enum sosie_status trainer_look(struct sosie_trainer *t, const size_t *photos,
                               size_t n, bool turned, float *rows,
                               struct sosie_error *err)
{
    size_t batch = t->options.batch, shard = t->options.shard;
    size_t k = t->batch.n_outputs - 1, dim = t->batch.dims[k];
    enum sosie_status st = SOSIE_OK;
    t->turned = turned;
    for (size_t first = 0; first < n && !st; first += batch) {
        for (size_t i = 0; i < batch; i++) /* the last is repeated */
            t->batch.photos[i] = photos[first + i < n ? first + i : n - 1];
        st = each_shard(t, shard_look, err);
        for (size_t i = 0; i < batch && first + i < n && !st; i++)
            memcpy(rows + (first + i) * dim,
                   sosie_trainable_run_output(t->shards[i / shard].run, k) +
                       i % shard * dim,
                   dim * sizeof(float));
    }
    return st;
}

/* Statistics of batch normalisation are averaged, all else is summed. */
static void sum_grads(struct sosie_trainer *t)
{
    memcpy(t->grads, sosie_trainable_run_grads(t->shards[0].run),
           t->n_floats * sizeof(float));
    for (size_t s = 1; s < t->n_shards; s++) {
        const float *more = sosie_trainable_run_grads(t->shards[s].run);
        for (size_t i = 0; i < t->n_floats; i++)
            t->grads[i] += more[i];
    }
    for (size_t p = 0; p < t->n_params; p++)
        for (size_t i = 0; t->param_list[p].kind >= SOSIE_PARAM_MEAN &&
                           i < t->param_list[p].n;
             i++)
            t->grads[t->param_list[p].offset + i] /= (float)t->n_shards;
}

enum sosie_status trainer_backward(struct sosie_trainer *t,
                                   struct sosie_error *err)
{
    enum sosie_status st = each_shard(t, shard_backward, err);
    if (!st)
        sum_grads(t);
    return st;
}

/* ---- room ---------------------------------------------------------------- */

static enum sosie_status make_shards(struct sosie_trainer *t,
                                     struct sosie_error *err)
{
    size_t pixels = (size_t)3 * t->input.width * t->input.height;
    enum sosie_status st = SOSIE_OK;
    t->shards = room(t, t->n_shards, sizeof(*t->shards));
    for (size_t s = 0; t->shards && s < t->n_shards && !st; s++) {
        struct trainer_shard *shard = &t->shards[s];
        shard->trainer = t;
        shard->first = s * t->options.shard;
        shard->rgb = room(t, pixels, 1);
        if (!shard->rgb)
            return sosie_fail(err, SOSIE_NO_MEMORY, "views");
        st = sosie_trainable_run_create(t->trainable, &shard->run, err);
    }
    return t->shards ? st : sosie_fail(err, SOSIE_NO_MEMORY, "shards");
}

enum sosie_status trainer_batch_init(struct sosie_trainer *t,
                                     struct sosie_error *err)
{
    const struct sosie_trainer_options *o = &t->options;
    struct trainer_batch *b = &t->batch;
    size_t n = o->batch, k = 0, largest = 0;
    bool ok;

    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        if (o->student.dims[a]) {
            largest =
                o->student.dims[a] > largest ? o->student.dims[a] : largest;
            b->dims[k++] = o->student.dims[a];
        }
    for (size_t h = 0; h < o->student.n_heads; h++)
        b->dims[k++] = o->student.heads[h].n_labels;
    b->dims[k++] = trainer_features_dim(t);
    b->n_outputs = k;
    b->photos = room(t, n, sizeof(*b->photos));
    b->identities = room(t, n, sizeof(*b->identities));
    b->groups = room(t, n, sizeof(*b->groups));
    b->row_labels = room(t, n, sizeof(*b->row_labels));
    b->rows = room(t, n * largest, sizeof(float));
    b->row_grads = room(t, n * largest, sizeof(float));
    b->histograms = room(t, n * SOSIE_COLOUR_DIM, sizeof(float));
    ok = b->photos && b->identities && b->groups && b->row_labels && b->rows &&
         b->row_grads && b->histograms;
    if (t->taught) {
        b->teacher = room(t, n * t->teacher_dim, sizeof(float));
        ok = ok && b->teacher;
    }
    for (k = 0; k < b->n_outputs && ok; k++) {
        b->outputs[k] = room(t, n * b->dims[k], sizeof(float));
        b->grads[k] = room(t, n * b->dims[k], sizeof(float));
        ok = b->outputs[k] && b->grads[k];
    }
    for (size_t h = 0; h < o->student.n_heads && ok; h++)
        ok = (b->labels[h] = room(t, n, sizeof(int32_t))) != NULL;
    return ok ? make_shards(t, err)
              : sosie_fail(err, SOSIE_NO_MEMORY, "a batch of %zu views", n);
}

void trainer_batch_release(struct sosie_trainer *t)
{
    for (size_t s = 0; t->shards && s < t->n_shards; s++)
        sosie_trainable_run_destroy(t->shards[s].run);
}
