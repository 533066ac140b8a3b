/* trainer.c: making a trainer, its steps, and the network they lead to. */
#include "train/trainer_private.h"

#include "base/clock.h"
#include "nn/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Share of a running statistic that a step replaces. */
static const float STATISTICS_MOMENTUM = 0.1F;

struct sosie_trainer_options sosie_trainer_options_defaults(void)
{
    struct sosie_trainer_options o = {
        .student = {.dims = {192, 64, 64},
                    .weights = {1, 0.15F, 0.4F},
                    .degrees = {6, 1, 1}},
        .batch = 128,
        .shard = 32,
        .epochs = 10,
        .n_workers = sosie_cpu_count(),
        .weights = {.heads = 1,
                    .identity = 1,
                    .colour = 0.1F,
                    .histogram = 0.1F,
                    .teacher = 5},
        .smoothing = 0.1F,
        .temperature = 0.1F,
        .first = sosie_augmentation_colour(),
        .second = sosie_augmentation_shape(),
        .optimiser = sosie_optimiser_options_defaults(SOSIE_ADAMW),
        .aspect_rate = 1,
        .head_rate = 7.5F,
        .repeats = 3,
        .like = 8,
        .warm_up = 0.05,
        .precision = SOSIE_PRECISION_AUTO,
    };
    o.optimiser.weight_decay = 0.02F;
    o.optimiser.clip_norm = 10;
    o.optimiser.ema = 0.999F;
    return o;
}

/* ---- heads --------------------------------------------------------------- */

/* One for each of the data set's labels. */
static enum sosie_status make_heads(struct sosie_trainer *t,
                                    struct sosie_error *err)
{
    struct sosie_student_options *student = &t->options.student;
    student->n_heads = 0;
    for (size_t c = 0; c < t->dataset->n_columns; c++) {
        const struct sosie_dataset_column *column = &t->dataset->columns[c];
        if (column->n_values < 2)
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "label \"%.80s\" has %zu value%s, expected at "
                              "least 2 to tell apart",
                              column->name, column->n_values,
                              column->n_values == 1 ? "" : "s");
        t->columns[student->n_heads] = c;
        student->heads[student->n_heads++] = (struct sosie_student_head){
            column->name, column->n_values, column->values,
            sosie_label_is_colour(column->name) ? SOSIE_STUDENT_COLOUR
                                                : SOSIE_STUDENT_KIND};
    }
    return SOSIE_OK;
}

/* What no loss speaks of stays as simple as it starts: a body of colours that
 * nothing teaches would take a third of a step of MobileNetV2. */
static void spare_untaught(struct sosie_trainer *t)
{
    struct sosie_student_options *student = &t->options.student;
    const struct sosie_loss_weights *weights = &t->options.weights;
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++)
        student->untaught[a] = true;
    student->untaught[SOSIE_STUDENT_SHAPE] = false;
    if (weights->histogram > 0)
        student->untaught[SOSIE_STUDENT_COLOUR] = false;
    for (size_t h = 0; h < student->n_heads; h++)
        if (weights->heads > 0 ||
            (weights->colour > 0 &&
             student->heads[h].aspect == SOSIE_STUDENT_COLOUR))
            student->untaught[student->heads[h].aspect] = false;
}

/* ---- the network --------------------------------------------------------- */

/* Numbers to try a pass with. */
static void fill_trial(struct sosie_trainable_run *run, size_t n)
{
    float *x = sosie_trainable_run_input(run);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 37 + 11) % 101) / 50.0F - 1.0F;
}

/* The least of a few passes forward and backward. */
static enum sosie_status time_passes(const struct sosie_trainer *t,
                                     struct sosie_trainable *trainable,
                                     double *ms, struct sosie_error *err)
{
    struct sosie_trainable_run *run = NULL;
    enum sosie_status st = sosie_trainable_run_create(trainable, &run, err);
    *ms = INFINITY;
    if (!st)
        fill_trial(run,
                   t->options.shard * 3 * t->input.width * t->input.height);
    for (int i = 0; i < 3 && !st; i++) {
        double start = sosie_clock_ms();
        st = sosie_trainable_run_forward(run, err);
        for (size_t k = 0; k < sosie_trainable_graph(trainable)->n_outputs; k++)
            memset(
                sosie_trainable_run_output_grad(run, k), 0,
                sosie_shape_count(
                    &sosie_trainable_graph(trainable)
                         ->values[sosie_trainable_graph(trainable)->outputs[k]]
                         .shape) *
                    t->options.shard * sizeof(float));
        if (!st)
            st = sosie_trainable_run_backward(run, err);
        *ms = fmin(*ms, sosie_clock_ms() - start);
    }
    sosie_trainable_run_destroy(run);
    return st;
}

static enum sosie_status make_trainable(struct sosie_trainer *t, bool bf16,
                                        struct sosie_trainable **out,
                                        struct sosie_error *err)
{
    struct sosie_trainable_options options = {
        .n = t->options.shard, .plain = t->options.plain, .bf16 = bf16};
    struct sosie_student *student = &t->students[t->n_students];
    enum sosie_status st =
        sosie_student_init(&t->options.student, student, err);
    if (st)
        return st;
    options.frozen = t->options.student.freeze ? student->body : NULL;
    t->n_students++;
    t->input = student->input;
    return sosie_trainable_create(&student->graph, &options, out, err);
}

/* In the precision wanted, or the one that a few passes are faster in. A
 * network that can't be had in bfloat16 is trained in float32. */
static enum sosie_status choose_trainable(struct sosie_trainer *t,
                                          struct sosie_error *err)
{
    bool may_bf16 = sosie_cpu_has_bf16() && !t->options.plain;
    enum sosie_precision wanted = t->options.precision;
    struct sosie_trainable *other = NULL;
    double f32 = 0, bf16 = 0;
    enum sosie_status st;

    if (wanted == SOSIE_PRECISION_INT8)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "networks are trained in f32 or bf16, not in int8");
    if (wanted == SOSIE_PRECISION_AUTO && !may_bf16)
        wanted = SOSIE_PRECISION_F32;
    t->options.precision = wanted;
    st = make_trainable(t, wanted == SOSIE_PRECISION_BF16, &t->trainable, err);
    if (st || wanted != SOSIE_PRECISION_AUTO)
        return st;
    t->options.precision = SOSIE_PRECISION_F32;
    st = make_trainable(t, true, &other, err);
    if (st)
        return st == SOSIE_REFUSED ? SOSIE_OK : st;
    st = time_passes(t, t->trainable, &f32, err);
    if (!st)
        st = time_passes(t, other, &bf16, err);
    if (!st && bf16 < f32) {
        struct sosie_trainable *slower = t->trainable;
        t->trainable = other;
        other = slower;
        t->options.precision = SOSIE_PRECISION_BF16;
    }
    sosie_trainable_destroy(other);
    return st;
}

bool trainer_is_new(const struct sosie_trainer *t,
                    const struct sosie_param *param)
{
    const struct sosie_student *student = &t->students[0];
    return param->value >= student->first_new &&
           param->value < student->end_new;
}

/* Of aspects and heads that a file gave. */
static const float TAKEN_RATE = 2.5F;

/* Is it the matrix, or the bias, by which an aspect is read from the features?
 */
static bool is_linear_aspect(const char *name)
{
    for (int a = 0; a < SOSIE_STUDENT_ASPECTS; a++) {
        const char *aspect =
            sosie_student_aspect_name((enum sosie_student_aspect)a);
        size_t n = strlen(aspect);
        if (!strncmp(name, aspect, n) &&
            (!strcmp(name + n, ".weights") || !strcmp(name + n, ".bias")))
            return true;
    }
    return false;
}

/* Relative to the body that a file gave. An aspect has a matrix from the
 * features, which starts well; all else that is new starts from nothing. */
static float rate_factor(const struct sosie_trainer *t,
                         const struct sosie_param *param)
{
    const char *name =
        sosie_trainable_graph(t->trainable)->values[param->value].name;
    if (!t->options.student.init || t->students[0].body[param->value])
        return 1;
    if (!trainer_is_new(t, param))
        return TAKEN_RATE;
    return is_linear_aspect(name) ? t->options.aspect_rate
                                  : t->options.head_rate;
}

/* What the optimiser moves: everything but statistics. */
static enum sosie_status make_slices(struct sosie_trainer *t,
                                     struct sosie_error *err)
{
    t->params = sosie_trainable_params(t->trainable, &t->n_floats);
    t->param_list = sosie_trainable_param_list(t->trainable, &t->n_params);
    t->slices =
        sosie_arena_alloc(&t->arena, t->n_params + 1, sizeof(*t->slices));
    t->grads = sosie_arena_alloc(&t->arena, t->n_floats + 1, sizeof(float));
    if (!t->slices || !t->grads)
        return sosie_fail(err, SOSIE_NO_MEMORY, "the optimiser");
    for (size_t p = 0; p < t->n_params; p++) {
        const struct sosie_param *param = &t->param_list[p];
        if (param->kind >= SOSIE_PARAM_MEAN || !param->is_trained)
            continue;
        t->slices[t->n_slices++] = (struct sosie_slice_options){
            .offset = param->offset,
            .n = param->n,
            .rate = rate_factor(t, param),
            .decays = param->kind == SOSIE_PARAM_WEIGHT};
    }
    return sosie_optimiser_init(&t->optimiser, &t->options.optimiser, t->params,
                                t->n_floats, err);
}

/* ---- create -------------------------------------------------------------- */

static enum sosie_status check_options(const struct sosie_trainer_options *o,
                                       struct sosie_error *err)
{
    if (o->shard < 2 || o->shard % 2 || !o->batch || o->batch % o->shard)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "a batch of %zu views in shards of %zu, expected an "
                          "even shard and a multiple of it",
                          o->batch, o->shard);
    if (!o->student.dims[SOSIE_STUDENT_SHAPE])
        return sosie_fail(err, SOSIE_BAD_INPUT, "an embedding of no numbers");
    return SOSIE_OK;
}

static void count_steps(struct sosie_trainer *t)
{
    double steps;
    t->n_shards = t->options.batch / t->options.shard;
    t->steps_per_epoch = t->n_order / (t->options.batch / 2);
    steps = t->options.epochs * (double)t->steps_per_epoch;
    t->n_steps = steps < 1 ? 1 : (size_t)(steps + 0.5);
}

enum sosie_status
sosie_trainer_create(const struct sosie_dataset *dataset,
                     const struct sosie_pixels *pixels,
                     const struct sosie_trainer_options *options,
                     struct sosie_trainer **out, struct sosie_error *err)
{
    struct sosie_trainer *t = calloc(1, sizeof(*t));
    enum sosie_status st;
    if (!t)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a trainer");
    t->options = *options;
    t->last_loss = NAN;
    t->options.student.seed = options->seed;
    if (!(t->options.rate > 0))
        t->options.rate = options->student.init ? 2e-4F : 5e-4F;
    if (!(t->options.weights.identity > 0))
        t->options.repeats = t->options.like = 1;
    t->dataset = dataset;
    t->pixels = pixels;
    st = check_options(options, err);
    if (!st)
        st = make_heads(t, err);
    if (!st) {
        spare_untaught(t);
        st = trainer_find_photos(t, err);
    }
    if (!st) {
        count_steps(t);
        st = choose_trainable(t, err);
    }
    if (!st)
        st = sosie_pool_create(options->n_workers ? options->n_workers : 1,
                               t->n_shards + 1, &t->pool, err);
    if (!st)
        st = trainer_ask_teacher(t, err);
    if (!st)
        st = make_slices(t, err);
    if (!st)
        st = trainer_batch_init(t, err);
    if (!st)
        st = trainer_start(t, err);
    if (st) {
        sosie_trainer_destroy(t);
        return st;
    }
    *out = t;
    return SOSIE_OK;
}

void sosie_trainer_destroy(struct sosie_trainer *t)
{
    if (!t)
        return;
    sosie_pool_destroy(t->pool);
    trainer_batch_release(t);
    sosie_optimiser_release(&t->optimiser);
    sosie_trainable_destroy(t->trainable);
    for (size_t i = 0; i < t->n_students; i++)
        sosie_student_release(&t->students[i]);
    sosie_arena_release(&t->arena);
    free(t);
}

const struct sosie_trainer_options *
sosie_trainer_options(const struct sosie_trainer *trainer)
{
    return &trainer->options;
}

size_t sosie_trainer_n_steps(const struct sosie_trainer *trainer)
{
    return trainer->n_steps;
}

size_t sosie_trainer_step_number(const struct sosie_trainer *trainer)
{
    return trainer->step;
}

size_t sosie_trainer_steps_per_epoch(const struct sosie_trainer *trainer)
{
    return trainer->steps_per_epoch;
}

float sosie_trainer_rate(const struct sosie_trainer *trainer)
{
    size_t n = trainer->n_steps;
    size_t warm_up = (size_t)(trainer->options.warm_up * (double)n);
    return sosie_rate_at(trainer->step, n, warm_up, trainer->options.rate,
                         trainer->options.rate * 0.01F);
}

size_t sosie_trainer_memory(const struct sosie_trainer *trainer)
{
    return trainer->n_shards * sosie_trainable_run_size(trainer->trainable) +
           5 * trainer->n_floats * sizeof(float);
}

double sosie_trainer_loss(const struct sosie_trainer *trainer)
{
    return trainer->last_loss;
}

size_t sosie_trainer_n_parameters(const struct sosie_trainer *trainer)
{
    size_t n = 0;
    for (size_t p = 0; p < trainer->n_params; p++)
        n += trainer->param_list[p].n;
    return n;
}

/* ---- steps --------------------------------------------------------------- */

/* Running means and (biased) variances follow those of the batch. */
static void update_statistics(struct sosie_trainer *t)
{
    for (size_t p = 0; p < t->n_params; p++) {
        const struct sosie_param *param = &t->param_list[p];
        float *running = t->params + param->offset;
        const float *batch = t->grads + param->offset;
        if (param->kind < SOSIE_PARAM_MEAN || !param->is_trained)
            continue;
        for (size_t i = 0; i < param->n; i++)
            running[i] += STATISTICS_MOMENTUM * (batch[i] - running[i]);
        if (t->optimiser.average)
            memcpy(t->optimiser.average + param->offset, running,
                   param->n * sizeof(float));
    }
}

enum sosie_status sosie_trainer_step(struct sosie_trainer *t,
                                     struct sosie_error *err)
{
    double norm, before = t->losses.total;
    enum sosie_status st = trainer_forward(t, err);
    if (!st)
        st = trainer_losses(t, err);
    if (!st)
        st = trainer_backward(t, err);
    if (!st) {
        st = sosie_optimiser_step(&t->optimiser, t->params, t->grads, t->slices,
                                  t->n_slices, sosie_trainer_rate(t), &norm,
                                  err);
        if (st) {
            sosie_error_prefix(err, "step %zu", t->step + 1);
            return err->status = SOSIE_REFUSED;
        }
    }
    if (st)
        return st;
    update_statistics(t);
    t->last_loss = t->losses.total - before;
    t->losses.grad_norm += norm;
    t->losses.n_steps++;
    t->step++;
    return sosie_trainable_pack(t->trainable, err);
}

struct sosie_trainer_losses
sosie_trainer_take_losses(struct sosie_trainer *trainer)
{
    struct sosie_trainer_losses mean = trainer->losses;
    double n = mean.n_steps ? (double)mean.n_steps : 1;
    mean.total /= n;
    mean.heads /= n;
    mean.identity /= n;
    mean.colour /= n;
    mean.histogram /= n;
    mean.teacher /= n;
    mean.grad_norm /= n;
    for (size_t h = 0; h < SOSIE_DATASET_MAX_COLUMNS; h++)
        mean.right[h] /= n;
    trainer->losses = (struct sosie_trainer_losses){0};
    return mean;
}

enum sosie_status
sosie_trainer_write(struct sosie_trainer *trainer,
                    const struct sosie_onnx_property *metadata,
                    size_t n_metadata, unsigned char **bytes, size_t *size,
                    struct sosie_error *err)
{
    struct sosie_student_param *all =
        calloc(trainer->n_params + 1, sizeof(*all));
    struct sosie_student_params params = {
        .block = trainer->optimiser.average ? trainer->optimiser.average
                                            : trainer->params,
        .n = trainer->n_params,
        .all = all};
    enum sosie_status st;
    if (!all)
        return sosie_fail(err, SOSIE_NO_MEMORY, "a network to write");
    for (size_t p = 0; p < trainer->n_params; p++)
        all[p] = (struct sosie_student_param){trainer->param_list[p].value,
                                              trainer->param_list[p].offset,
                                              trainer->param_list[p].n};
    st = sosie_student_write(&trainer->options.student, &params, metadata,
                             n_metadata, bytes, size, err);
    free(all);
    return st;
}
