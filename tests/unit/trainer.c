/* trainer.c: photos of coloured shapes, drawn here, trained on: what comes out,
 * that it always does, and what is refused. */
#include "golden.h"
#include "photos.h"

#include "image/image.h"
#include "model/model.h"
#include "model/quantize.h"
#include "nn/trainable.h"
#include "train/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ---- photos --------------------------------------------------------------
 */

enum { SIDE = 32, N_PHOTOS = 64, RGB = 3 * SIDE * SIDE };

static const char *const shapes[] = {"cross", "disc", "frame", "wedge"};
static const char *const colours[] = {"blue", "green", "red", "yellow"};

/* Of photo i: one of 16 kinds, each drawn four times. */
static size_t shape_of(size_t i)
{
    return i % 4;
}

static size_t colour_of(size_t i)
{
    return i / 4 % 4;
}

static bool is_inside(size_t shape, int x, int y, int r)
{
    int ax = abs(x), ay = abs(y);
    switch (shape) {
    case 0:
        return (ax <= r && ay <= r / 3) || (ay <= r && ax <= r / 3);
    case 1:
        return x * x + y * y <= r * r;
    case 2:
        return ax <= r && ay <= r && (ax > r / 2 || ay > r / 2);
    default:
        return ay <= r && ax <= (y + r) / 2;
    }
}

static void draw(size_t i, uint8_t rgb[RGB])
{
    static const uint8_t of_colour[][3] = {
        {40, 60, 220}, {30, 170, 60}, {220, 40, 40}, {230, 210, 40}};
    struct sosie_random random;
    int cx, cy, r;
    sosie_random_seed(&random, i);
    cx = 14 + (int)sosie_random_below(&random, 5);
    cy = 14 + (int)sosie_random_below(&random, 5);
    r = 9 + (int)sosie_random_below(&random, 4);
    for (int p = 0; p < SIDE * SIDE; p++) {
        bool inside = is_inside(shape_of(i), p % SIDE - cx, p / SIDE - cy, r);
        for (int c = 0; c < 3; c++)
            rgb[3 * p + c] = inside ? of_colour[colour_of(i)][c] : 245;
    }
}

static void write_photo(const char *folder, size_t i)
{
    uint8_t rgb[RGB], *bytes = NULL;
    struct sosie_error err;
    char path[128];
    size_t size;
    draw(i, rgb);
    size = WebPEncodeLosslessRGB(rgb, SIDE, SIDE, 3 * SIDE, &bytes);
    assert_true(size > 0);
    snprintf(path, sizeof(path), "%s/%zu.webp", folder, i);
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes, size}, 1, &err),
             &err);
    WebPFree(bytes);
}

/* ---- a training ----------------------------------------------------------
 */

struct desk {
    char folder[64], feed[96];
    struct sosie_dataset dataset;
    struct sosie_pixels *pixels;
    struct sosie_trainer_options options;
    struct sosie_trainer *trainer;
    struct sosie_error err;
};

static const char *in_folder(const struct desk *desk, const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", desk->folder, name);
    return path;
}

static void close_photos(struct desk *desk)
{
    sosie_pixels_destroy(desk->pixels);
    desk->pixels = NULL;
    sosie_dataset_release(&desk->dataset);
}

/* Opens what the feed says. */
static void open_photos(struct desk *desk)
{
    const char *source = desk->feed;
    const struct sosie_dataset_options dataset = {.sources = &source,
                                                  .n_sources = 1,
                                                  .labels = {"class", "color"},
                                                  .n_labels = 2};
    const struct sosie_pixels_options pixels = {.side = SIDE, .n_workers = 1};
    close_photos(desk);
    check_ok(sosie_dataset_open(&dataset, &desk->dataset, &desk->err),
             &desk->err);
    check_ok(
        sosie_pixels_create(&desk->dataset, &pixels, &desk->pixels, &desk->err),
        &desk->err);
}

/* Writes the feed's row of photo i; a label may be "". */
static void put_row(FILE *feed, size_t i, const char *shape, const char *colour)
{
    fprintf(feed, "%zu,%zu.webp,%s,%s,train\n", i, i, shape, colour);
}

static FILE *begin_feed(const struct desk *desk)
{
    FILE *feed = fopen(desk->feed, "w");
    assert_non_null(feed);
    fputs("id,image,class,color,split\n", feed);
    return feed;
}

static void write_feed(const struct desk *desk, size_t n)
{
    FILE *feed = begin_feed(desk);
    for (size_t i = 0; i < n; i++)
        put_row(feed, i, shapes[shape_of(i)], colours[colour_of(i)]);
    fclose(feed);
}

static char photos_folder[64]; /* drawn once */

static int draw_photos(void **state)
{
    (void)state;
    snprintf(photos_folder, sizeof(photos_folder), "%s", check_folder_make());
    for (size_t i = 0; i < N_PHOTOS; i++)
        write_photo(photos_folder, i);
    return 0;
}

static int remove_photos(void **state)
{
    (void)state;
    check_folder_remove(photos_folder);
    return 0;
}

static int set_up(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    struct sosie_trainer_options *o = &desk->options;
    assert_non_null(desk);
    snprintf(desk->folder, sizeof(desk->folder), "%s", check_folder_make());
    snprintf(desk->feed, sizeof(desk->feed), "%s/feed.csv", photos_folder);
    write_feed(desk, N_PHOTOS);
    open_photos(desk);
    *o = sosie_trainer_options_defaults();
    o->student.arch = "sosie-s";
    o->student.size = SIDE;
    o->student.dims[SOSIE_STUDENT_SHAPE] = 24;
    o->student.dims[SOSIE_STUDENT_COLOUR] = 12;
    o->student.dims[SOSIE_STUDENT_KIND] = 8;
    o->student.weights[SOSIE_STUDENT_COLOUR] = 0.25F;
    o->batch = 32;
    o->shard = 8;
    o->n_workers = 1;
    o->epochs = 3;
    o->rate = 3e-3F;
    o->precision = SOSIE_PRECISION_F32;
    o->seed = 1;
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    sosie_trainer_destroy(desk->trainer);
    close_photos(desk);
    check_folder_remove(desk->folder);
    free(desk);
    return 0;
}

static void begin(struct desk *desk)
{
    sosie_trainer_destroy(desk->trainer);
    desk->trainer = NULL;
    check_ok(sosie_trainer_create(&desk->dataset, desk->pixels, &desk->options,
                                  &desk->trainer, &desk->err),
             &desk->err);
}

static void step(struct desk *desk, size_t n)
{
    while (n--)
        check_ok(sosie_trainer_step(desk->trainer, &desk->err), &desk->err);
}

struct bytes {
    unsigned char *at;
    size_t size;
};

static struct bytes network_of(struct desk *desk)
{
    struct bytes bytes;
    check_ok(sosie_trainer_write(desk->trainer, NULL, 0, &bytes.at, &bytes.size,
                                 &desk->err),
             &desk->err);
    return bytes;
}

static void check_same_bytes(struct bytes a, struct bytes b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.at, b.at, a.size);
}

/* Writes the network so far to a file of the desk's folder. */
static const char *write_network(struct desk *desk, const char *name)
{
    struct bytes bytes = network_of(desk);
    char *path = strdup(in_folder(desk, name));
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes.at, bytes.size},
                              1, &desk->err),
             &desk->err);
    free(bytes.at);
    return path;
}

static struct sosie_model *open_model(struct bytes bytes)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct sosie_model *model;
    struct sosie_error err;
    check_ok(
        sosie_model_open_bytes(bytes.at, bytes.size, &options, &model, &err),
        &err);
    return model;
}

/* Photo i through a model. */
static void see(struct sosie_model_run *run, size_t i, float *embedding,
                float *logits)
{
    uint8_t rgb[RGB];
    const uint8_t *photo = rgb;
    struct sosie_error err;
    draw(i, rgb);
    check_ok(sosie_model_forward(run, &photo, 1, embedding, logits, &err),
             &err);
}

/* Embeddings of the first n photos, (n, dim): the caller's. */
static float *embeddings_of(struct bytes bytes, size_t n, size_t *dim)
{
    struct sosie_model *model = open_model(bytes);
    struct sosie_model_run *run;
    struct sosie_error err;
    float *all;
    *dim = sosie_model_info(model)->dim;
    all = malloc(n * *dim * sizeof(*all));
    assert_non_null(all);
    check_ok(sosie_model_run_create(model, &run, &err), &err);
    for (size_t i = 0; i < n; i++)
        see(run, i, all + i * *dim, NULL);
    sosie_model_run_destroy(run);
    sosie_model_close(model);
    return all;
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* ---- what comes out ------------------------------------------------------
 */

/* Photos of which the model says the shape. */
static size_t count_right(struct bytes bytes)
{
    struct sosie_model *model = open_model(bytes);
    struct sosie_model_run *run;
    struct sosie_error err;
    size_t n_right = 0;
    float embedding[64], logits[4];
    check_ok(sosie_model_run_create(model, &run, &err), &err);
    for (size_t i = 0; i < N_PHOTOS; i++) {
        size_t best = 0;
        see(run, i, embedding, logits);
        for (size_t k = 1; k < 4; k++)
            best = logits[k] > logits[best] ? k : best;
        n_right += best == shape_of(i);
    }
    sosie_model_run_destroy(run);
    sosie_model_close(model);
    return n_right;
}

static void a_few_photos_are_learned_by_heart(void **state)
{
    struct desk *desk = *state;
    struct sosie_trainer_losses first, last = {0};
    struct bytes bytes;
    desk->options.first = desk->options.second = sosie_augmentation_none();
    desk->options.optimiser.ema = 0.9F;
    desk->options.shard = 32; /* batches are normalised more quietly */
    desk->options.epochs = 16;
    begin(desk);
    assert_int_equal(sosie_trainer_steps_per_epoch(desk->trainer), 4);
    assert_int_equal(sosie_trainer_n_steps(desk->trainer), 64);
    assert_true(isnan(sosie_trainer_loss(desk->trainer)));
    step(desk, 4);
    first = sosie_trainer_take_losses(desk->trainer);
    assert_int_equal(first.n_steps, 4);
    step(desk, 56);
    (void)sosie_trainer_take_losses(desk->trainer);
    step(desk, 4);
    last = sosie_trainer_take_losses(desk->trainer);
    assert_int_equal(sosie_trainer_step_number(desk->trainer), 64);
    if (last.right[0] < 1 || last.right[1] < 1)
        fail_msg("%g of the shapes and %g of the colours are right",
                 last.right[0], last.right[1]);
    assert_true(last.total < 0.7 * first.total);
    assert_true(last.identity < first.identity);
    assert_true(last.colour < first.colour);
    assert_true(last.histogram < first.histogram);
    bytes = network_of(desk);
    assert_int_equal(count_right(bytes), N_PHOTOS);
    free(bytes.at);
}

static void a_network_says_what_it_is(void **state)
{
    struct desk *desk = *state;
    const struct sosie_onnx_property more = {"sosie.note", "drawn"};
    static const char *const names[] = {"shape", "colour", "kind"};
    static const size_t dims[] = {24, 4, 4}; /* those of labels are as many */
    const struct sosie_model_info *info;
    struct sosie_model *model;
    struct sosie_onnx onnx;
    struct bytes bytes;

    begin(desk);
    step(desk, 1);
    check_ok(sosie_trainer_write(desk->trainer, &more, 1, &bytes.at,
                                 &bytes.size, &desk->err),
             &desk->err);
    model = open_model(bytes);
    info = sosie_model_info(model);
    assert_int_equal(info->width, SIDE);
    assert_int_equal(info->height, SIDE);
    assert_int_equal(info->dim, 24 + 4 + 4);
    assert_int_equal(info->n_aspects, 3);
    for (size_t a = 0; a < 3; a++) {
        assert_string_equal(info->aspects[a].name, names[a]);
        assert_int_equal(info->aspects[a].dim, dims[a]);
    }
    assert_true(fabs(info->aspects[1].weight - 0.25) < 1e-9);
    assert_int_equal(info->n_logits, 4);
    assert_int_equal(info->n_labels, 4);
    for (size_t k = 0; k < 4; k++)
        assert_string_equal(info->labels[k], shapes[k]);
    assert_true(info->n_parameters > 0);
    sosie_model_close(model);

    check_ok(sosie_onnx_read(bytes.at, bytes.size, NULL, &onnx, &desk->err),
             &desk->err);
    assert_string_equal(sosie_onnx_metadata(&onnx, "color_labels"),
                        "blue\ngreen\nred\nyellow");
    assert_string_equal(sosie_onnx_metadata(&onnx, "sosie.note"), "drawn");
    assert_string_equal(onnx.outputs[0].name, "embedding");
    assert_int_equal(onnx.n_outputs, 1 + 2 + 1 + 3);
    sosie_onnx_release(&onnx);
    free(bytes.at);
}

enum { MAX_PART = 64 };

/* What should stand in the embedding for an aspect, (n, the number returned):
 * the probabilities of the labels read from it, or else the aspect. */
static size_t expected_part(const struct sosie_student_options *options,
                            const struct sosie_trainable_run *run, size_t n,
                            size_t aspect, float *part)
{
    size_t dim = 0, first = sosie_student_n_aspects(options), k, from = 0;
    for (size_t h = 0; aspect != SOSIE_STUDENT_SHAPE && h < options->n_heads;
         h++)
        dim +=
            options->heads[h].aspect == aspect ? options->heads[h].n_labels : 0;
    if (!dim || !options->dims[aspect]) {
        k = sosie_student_output(options, (enum sosie_student_aspect)aspect);
        dim = options->dims[aspect];
        assert_in_range(dim, 0, MAX_PART);
        if (dim)
            memcpy(part, sosie_trainable_run_output(run, k),
                   n * dim * sizeof(*part));
        return dim;
    }
    assert_in_range(dim, 1, MAX_PART);
    for (size_t h = 0; h < options->n_heads; h++) {
        size_t n_labels = options->heads[h].n_labels;
        const float *logits = sosie_trainable_run_output(run, first + h);
        if (options->heads[h].aspect != aspect)
            continue;
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t l = 0; l < n_labels; l++)
                sum += exp((double)logits[i * n_labels + l]);
            for (size_t l = 0; l < n_labels; l++)
                part[i * dim + from + l] =
                    (float)(exp((double)logits[i * n_labels + l]) / sum);
        }
        from += n_labels;
    }
    return dim;
}

/* A network in training, whose running statistics are made those of a shard, is
 * to that shard what its file is. */
static void check_written(struct desk *desk,
                          const struct sosie_student_options *options)
{
    enum { SHARD = 6 };
    struct sosie_student student;
    struct sosie_trainable *trainable;
    struct sosie_trainable_run *run;
    size_t n_params, n_floats, dim, from = 0;
    const struct sosie_param *list;
    struct sosie_student_param all[256];
    struct bytes bytes;
    uint8_t rgb[RGB];
    float *block, *found, part[SHARD * MAX_PART];

    check_ok(sosie_student_init(options, &student, &desk->err), &desk->err);
    check_ok(sosie_trainable_create(
                 &student.graph, &(struct sosie_trainable_options){.n = SHARD},
                 &trainable, &desk->err),
             &desk->err);
    check_ok(sosie_trainable_run_create(trainable, &run, &desk->err),
             &desk->err);
    for (size_t i = 0; i < SHARD; i++) {
        draw(i, rgb);
        sosie_input_fill(&student.input, rgb,
                         sosie_trainable_run_input(run) + i * RGB);
    }
    check_ok(sosie_trainable_run_forward(run, &desk->err), &desk->err);
    list = sosie_trainable_param_list(trainable, &n_params);
    block = sosie_trainable_params(trainable, &n_floats);
    assert_in_range(n_params, 1, 256);
    for (size_t p = 0; p < n_params; p++) {
        all[p] = (struct sosie_student_param){list[p].value, list[p].offset,
                                              list[p].n};
        if (list[p].kind >= SOSIE_PARAM_MEAN) /* known since the forward pass */
            memcpy(block + list[p].offset,
                   sosie_trainable_run_grads(run) + list[p].offset,
                   list[p].n * sizeof(float));
    }
    check_ok(sosie_student_write(
                 options, &(struct sosie_student_params){block, n_params, all},
                 NULL, 0, &bytes.at, &bytes.size, &desk->err),
             &desk->err);
    found = embeddings_of(bytes, SHARD, &dim);
    for (size_t a = 0; a < SOSIE_STUDENT_ASPECTS; a++) {
        size_t n = expected_part(options, run, SHARD, a, part);
        for (size_t i = 0; i < SHARD && n; i++) {
            double length = 0;
            for (size_t d = 0; d < n; d++)
                length += pow((double)part[i * n + d], 2);
            assert_true(length > 0);
            check_close(options->init ? options->init : options->arch,
                        found + i * dim + from, part + i * n, n,
                        1e-3 * sqrt(length));
        }
        from += n;
    }
    assert_int_equal(from, dim);
    free(found);
    free(bytes.at);
    sosie_trainable_run_destroy(run);
    sosie_trainable_destroy(trainable);
    sosie_student_release(&student);
}

static void a_file_computes_what_was_trained(void **state)
{
    struct desk *desk = *state;
    struct sosie_student_options options = desk->options.student;
    check_written(desk, &options);
    options.dims[SOSIE_STUDENT_COLOUR] = options.dims[SOSIE_STUDENT_KIND] = 0;
    check_written(desk, &options); /* one aspect is the embedding */
    options.init = photos_model();
    options.dims[SOSIE_STUDENT_KIND] = 5;
    check_written(desk, &options);
}

/* Heads of eight labels and three aspects. */
static void as_many_labels_as_there_may_be(void **state)
{
    struct desk *desk = *state;
    struct sosie_student_options options = desk->options.student;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    options.n_heads = 8;
    for (size_t h = 0; h < 8; h++)
        options.heads[h] = (struct sosie_student_head){names[h], 4, shapes,
                                                       SOSIE_STUDENT_KIND};
    check_written(desk, &options);
}

/* ---- the same again ------------------------------------------------------
 */

static void workers_change_nothing(void **state)
{
    struct desk *desk = *state;
    struct bytes one, more;
    begin(desk);
    step(desk, 3);
    one = network_of(desk);
    for (size_t n = 2; n <= 3; n++) {
        desk->options.n_workers = n;
        begin(desk);
        step(desk, 3);
        more = network_of(desk);
        check_same_bytes(more, one);
        free(more.at);
    }
    desk->options.seed++;
    begin(desk);
    step(desk, 3);
    more = network_of(desk);
    assert_true(more.size != one.size ||
                memcmp(more.at, one.at, one.size) != 0);
    free(more.at);
    free(one.at);
}

static void resume(struct desk *desk, const char *path)
{
    unsigned char *extra;
    size_t size;
    check_ok(
        sosie_trainer_resume(desk->trainer, path, &extra, &size, &desk->err),
        &desk->err);
    assert_int_equal(size, 5);
    assert_memory_equal(extra, "extra", 5);
    free(extra);
}

/* Across the end of an epoch, into the part where the rate falls. */
static void check_resumed(struct desk *desk)
{
    const char *path = strdup(in_folder(desk, "checkpoint"));
    struct bytes whole, parts;
    begin(desk);
    step(desk, 3);
    check_ok(sosie_trainer_save(desk->trainer, path, "extra", 5, &desk->err),
             &desk->err);
    step(desk, 4);
    whole = network_of(desk);

    desk->options.n_workers = 2; /* no matter */
    begin(desk);
    resume(desk, path);
    assert_int_equal(sosie_trainer_step_number(desk->trainer), 3);
    step(desk, 4);
    parts = network_of(desk);
    check_same_bytes(parts, whole);
    free(parts.at);

    resume(desk, path); /* back, in the same trainer */
    step(desk, 4);
    parts = network_of(desk);
    check_same_bytes(parts, whole);
    free(parts.at);
    free(whole.at);
    free((void *)(uintptr_t)path);
}

static void a_resumed_training_ends_as_if_it_had_not_stopped(void **state)
{
    struct desk *desk = *state;
    check_resumed(desk);
    desk->options.optimiser = sosie_optimiser_options_defaults(SOSIE_SGD);
    desk->options.rate = 0.05F;
    check_resumed(desk);
}

static void flip(const char *path, size_t at)
{
    unsigned char byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Refused in words, and the trainer is as it was. */
static void check_not_resumed(struct desk *desk, const char *path,
                              struct bytes before)
{
    unsigned char *extra = NULL;
    size_t size = 77;
    struct bytes after;
    enum sosie_status st =
        sosie_trainer_resume(desk->trainer, path, &extra, &size, &desk->err);
    if (st != SOSIE_CORRUPT && st != SOSIE_BAD_INPUT && st != SOSIE_UNSUPPORTED)
        fail_msg("a damaged checkpoint gave status %d", st);
    assert_int_equal(st, desk->err.status);
    assert_non_null(strstr(desk->err.text, "checkpoint"));
    assert_null(extra);
    assert_int_equal(size, 77);
    assert_int_equal(sosie_trainer_step_number(desk->trainer), 1);
    if (!before.at)
        return;
    after = network_of(desk);
    check_same_bytes(after, before);
    free(after.at);
}

static void a_damaged_checkpoint_changes_nothing(void **state)
{
    struct desk *desk = *state;
    const char *path = strdup(in_folder(desk, "checkpoint"));
    struct bytes before, none = {NULL, 0};
    struct sosie_random random;
    struct stat info;
    size_t size;

    begin(desk);
    step(desk, 2);
    check_ok(sosie_trainer_save(desk->trainer, path, "extra", 5, &desk->err),
             &desk->err);
    assert_int_equal(stat(path, &info), 0);
    size = (size_t)info.st_size;
    begin(desk);
    step(desk, 1);
    before = network_of(desk);
    sosie_random_seed(&random, 3);
    for (size_t i = 0; i < 64 + 24; i++) {
        size_t at = i < 64   ? i
                    : i < 80 ? size - 1 - (i - 64)
                             : (size_t)sosie_random_below(&random, size);
        flip(path, at);
        check_not_resumed(desk, path, i % 22 == 0 ? before : none);
        flip(path, at);
    }
    resume(desk, path);
    assert_int_equal(sosie_trainer_step_number(desk->trainer), 2);
    begin(desk);
    step(desk, 1);
    for (size_t i = 0; i < 8; i++) {
        static const size_t off[] = {1, 5, 8, 13, 1000};
        size = i < 5 ? (size_t)info.st_size - off[i] : (7 - i) * 32;
        assert_int_equal(truncate(path, (off_t)size), 0);
        check_not_resumed(desk, path, i ? none : before);
    }
    free(before.at);
    free((void *)(uintptr_t)path);
}

static void a_checkpoint_of_another_training_is_refused(void **state)
{
    struct desk *desk = *state;
    const struct sosie_trainer_options kept = desk->options;
    const char *path = strdup(in_folder(desk, "checkpoint"));
    struct sosie_trainer_options *o = &desk->options;
    unsigned char *extra = NULL;
    size_t size;
    begin(desk);
    check_ok(sosie_trainer_save(desk->trainer, path, "", 0, &desk->err),
             &desk->err);
    for (int i = 0; i < 9; i++) {
        *o = kept;
        switch (i) {
        case 0:
            o->seed = 2;
            break;
        case 1:
            o->batch = 16;
            break;
        case 2:
            o->student.dims[SOSIE_STUDENT_KIND]++;
            break;
        case 3:
            o->rate *= 2;
            break;
        case 4:
            o->first.flip = 0.25F;
            break;
        case 5:
            o->optimiser.ema = 0;
            break;
        case 6:
            o->weights.colour = 2;
            break;
        case 7:
            o->epochs = 9;
            break;
        default: /* other photos */
            write_feed(desk, N_PHOTOS - 1);
            sosie_trainer_destroy(desk->trainer);
            desk->trainer = NULL;
            open_photos(desk);
            break;
        }
        begin(desk);
        check_fails(sosie_trainer_resume(desk->trainer, path, &extra, &size,
                                         &desk->err),
                    SOSIE_BAD_INPUT, &desk->err, "other options or other");
        assert_null(extra);
    }
    check_fails(sosie_trainer_resume(desk->trainer, in_folder(desk, "none"),
                                     &extra, &size, &desk->err),
                SOSIE_NOT_FOUND, &desk->err, "none");
    free((void *)(uintptr_t)path);
}

static size_t n_writes_left;
static ssize_t (*real_write)(int fd, const void *bytes, size_t size);

static ssize_t write_until_full(int fd, const void *bytes, size_t size)
{
    if (!n_writes_left) {
        errno = ENOSPC;
        return -1;
    }
    n_writes_left--;
    return real_write(fd, bytes, size);
}

static void a_full_disk_leaves_the_old_checkpoint(void **state)
{
    struct desk *desk = *state;
    const char *path = strdup(in_folder(desk, "checkpoint"));
    begin(desk);
    check_ok(sosie_trainer_save(desk->trainer, path, "extra", 5, &desk->err),
             &desk->err);
    step(desk, 1);
    real_write = sosie_file_ops.write;
    sosie_file_ops.write = write_until_full;
    for (size_t n = 0; n < 3; n++) {
        n_writes_left = n;
        check_fails(
            sosie_trainer_save(desk->trainer, path, "extra", 5, &desk->err),
            SOSIE_IO, &desk->err, "No space left");
    }
    sosie_file_ops.write = real_write;
    step(desk, 1); /* goes on */
    resume(desk, path);
    assert_int_equal(sosie_trainer_step_number(desk->trainer), 0);
    free((void *)(uintptr_t)path);
}

/* ---- from files ----------------------------------------------------------
 */

static void aspects_of_a_file_are_taken_up_again(void **state)
{
    struct desk *desk = *state;
    struct bytes before, after;
    float *found, *expected;
    size_t dim;
    begin(desk);
    step(desk, 4);
    desk->options.student.init = write_network(desk, "first.onnx");
    before = network_of(desk);
    desk->options.student.arch = NULL;
    desk->options.student.size = 0;
    begin(desk);
    after = network_of(desk);
    expected = embeddings_of(before, N_PHOTOS, &dim);
    found = embeddings_of(after, N_PHOTOS, &dim);
    for (size_t i = 0; i < N_PHOTOS; i++)
        assert_true(cosine(found + i * dim, expected + i * dim, dim) > 0.9999);
    step(desk, 2);
    free(found);
    free(expected);
    free(after.at);

    /* of another size, they begin anew, and as large as random numbers */
    desk->options.student.dims[SOSIE_STUDENT_SHAPE] = 16;
    begin(desk);
    after = network_of(desk);
    found = embeddings_of(after, N_PHOTOS, &dim);
    assert_int_equal(dim, 16 + 4 + 4);
    for (size_t d = 0; d < 16; d++) {
        double sum = 0;
        for (size_t i = 0; i < N_PHOTOS; i++)
            sum += (double)found[i * dim + d];
        assert_true(fabs(sum) < 0.05 * (double)N_PHOTOS);
    }
    free(found);
    free(after.at);
    free(before.at);
    free((void *)(uintptr_t)desk->options.student.init);
}

/* Aspects of a network, photo by photo: a part of `n` numbers from `first` on
 * is the same in both, or is not. */
static void check_part(struct bytes a, struct bytes b, size_t first, size_t n,
                       bool same)
{
    size_t dim, n_same = 0;
    float *x = embeddings_of(a, N_PHOTOS, &dim);
    float *y = embeddings_of(b, N_PHOTOS, &dim);
    for (size_t i = 0; i < N_PHOTOS; i++)
        n_same += cosine(x + i * dim + first, y + i * dim + first, n) > 0.9999;
    if (same)
        assert_int_equal(n_same, N_PHOTOS);
    else
        assert_true(n_same < N_PHOTOS / 4);
    free(x);
    free(y);
}

/* An aspect that no loss speaks of stays where features are frozen, also where
 * these have normalisations, whose batches are like others; one that is made
 * anew does not. */
static void what_is_frozen_stays(void **state)
{
    struct desk *desk = *state;
    struct bytes before, after;
    struct sosie_student_options *student = &desk->options.student;
    size_t shape = student->dims[SOSIE_STUDENT_SHAPE];
    size_t n_colours = 4, n_shapes = 4;
    begin(desk);
    step(desk, 6);
    student->init = write_network(desk, "first.onnx");
    before = network_of(desk);
    student->arch = NULL;
    student->freeze = true;
    student->anew[SOSIE_STUDENT_KIND] = true;
    desk->options.weights.identity = 0;
    desk->options.rate = 1.2e-3F;
    desk->options.epochs = 20;
    begin(desk);
    step(desk, sosie_trainer_n_steps(desk->trainer));
    after = network_of(desk);
    check_part(before, after, 0, shape, true);
    check_part(before, after, shape + n_colours, n_shapes, false);
    assert_true(count_right(after) > N_PHOTOS * 3 / 4);
    free(after.at);
    free(before.at);
    free((void *)(uintptr_t)student->init);
}

/* A body of colours is there only where a loss speaks of colours. */
static void what_nothing_teaches_costs_nothing(void **state)
{
    struct desk *desk = *state;
    struct sosie_loss_weights *weights = &desk->options.weights;
    size_t n;
    begin(desk);
    desk->options.student.init = write_network(desk, "first.onnx");
    desk->options.student.arch = NULL;
    desk->options.student.anew[SOSIE_STUDENT_COLOUR] = true;
    weights->heads = weights->colour = weights->teacher = 0;
    begin(desk);
    n = sosie_trainer_n_parameters(desk->trainer);
    weights->histogram = 0;
    begin(desk);
    assert_true(sosie_trainer_n_parameters(desk->trainer) + 100000 < n);
    step(desk, 1);
    free((void *)(uintptr_t)desk->options.student.init);
}

/* The largest of the shape's numbers' correlations, over the photos. */
static double largest_correlation(struct bytes network, size_t n)
{
    size_t dim;
    float *x = embeddings_of(network, N_PHOTOS, &dim);
    double largest = 0;
    for (size_t d = 0; d < n; d++) {
        double mean = 0;
        for (size_t i = 0; i < N_PHOTOS; i++)
            mean += (double)x[i * dim + d] / N_PHOTOS;
        for (size_t i = 0; i < N_PHOTOS; i++)
            x[i * dim + d] -= (float)mean;
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            double ab = 0, aa = 0, bb = 0;
            for (size_t i = 0; i < N_PHOTOS; i++) {
                double va = (double)x[i * dim + a], vb = (double)x[i * dim + b];
                ab += va * vb;
                aa += va * va;
                bb += vb * vb;
            }
            largest = fmax(largest, fabs(ab) / sqrt(aa * bb));
        }
    free(x);
    return largest;
}

/* Where features are frozen and there are photos enough, the shape's numbers
 * become independent of each other; colour and kind stay. Here 2,048 rows show
 * the same few photos. */
static void a_frozen_shape_is_whitened(void **state)
{
    struct desk *desk = *state;
    struct sosie_student_options *student = &desk->options.student;
    size_t shape = 8;
    struct bytes before, after;
    FILE *feed;
    student->dims[SOSIE_STUDENT_SHAPE] = shape;
    begin(desk);
    step(desk, 6);
    student->init = write_network(desk, "first.onnx");
    before = network_of(desk);
    student->arch = NULL;
    student->freeze = true;
    feed = begin_feed(desk);
    for (size_t i = 0; i < 2048; i++)
        fprintf(feed, "%zu,%zu.webp,%s,%s,train\n", i, i % N_PHOTOS,
                shapes[shape_of(i)], colours[colour_of(i)]);
    fclose(feed);
    open_photos(desk);
    begin(desk);
    after = network_of(desk);
    assert_true(largest_correlation(before, shape) > 0.2);
    assert_true(largest_correlation(after, shape) < 0.02);
    check_part(before, after, shape, 4, true);
    check_part(before, after, shape + 4, 4, true);
    free(after.at);
    free(before.at);
    free((void *)(uintptr_t)student->init);
}

static void a_file_may_get_another_size(void **state)
{
    struct desk *desk = *state;
    struct sosie_model *model;
    struct bytes bytes;
    begin(desk);
    desk->options.student.init = write_network(desk, "first.onnx");
    desk->options.student.arch = NULL;
    desk->options.student.size = 48;
    begin(desk);
    step(desk, 1);
    bytes = network_of(desk);
    model = open_model(bytes);
    assert_int_equal(sosie_model_info(model)->width, 48);
    sosie_model_close(model);
    free(bytes.at);
    free((void *)(uintptr_t)desk->options.student.init);
}

/* The network of the desk in 8 bits. */
static const char *write_quantised(struct desk *desk, const char *path)
{
    struct sosie_quantizer *quantizer;
    static uint8_t rgb[16][RGB];
    const uint8_t *photos[16];
    char *quantised = strdup(in_folder(desk, "int8.onnx"));
    struct bytes bytes;
    for (size_t i = 0; i < 16; i++) {
        draw(i * 3, rgb[i]);
        photos[i] = rgb[i];
    }
    check_ok(
        sosie_quantizer_create(path, photos, 16,
                               &(struct sosie_quantizer_options){NULL, NULL},
                               &quantizer, &desk->err),
        &desk->err);
    check_ok(sosie_quantizer_calibrate(quantizer, false, &desk->err),
             &desk->err);
    check_ok(sosie_quantizer_write(quantizer, SOSIE_RANGE_MINMAX, &bytes.at,
                                   &bytes.size, &desk->err),
             &desk->err);
    check_ok(sosie_file_write(quantised,
                              &(struct sosie_span){bytes.at, bytes.size}, 1,
                              &desk->err),
             &desk->err);
    free(bytes.at);
    sosie_quantizer_destroy(quantizer);
    return quantised;
}

static void a_quantised_file_becomes_numbers_again(void **state)
{
    struct desk *desk = *state;
    const char *first;
    struct bytes before, after;
    size_t dim, n_parameters;
    float *found, *expected;
    begin(desk);
    step(desk, 6);
    first = write_network(desk, "first.onnx");
    before = network_of(desk);
    desk->options.student.init = write_quantised(desk, first);
    desk->options.student.arch = NULL;
    begin(desk);
    n_parameters = sosie_trainer_n_parameters(desk->trainer);
    assert_in_range(n_parameters, 500000, 5000000);
    after = network_of(desk);
    expected = embeddings_of(before, 16, &dim);
    found = embeddings_of(after, 16, &dim);
    for (size_t i = 0; i < 16; i++)
        assert_true(cosine(found + i * dim, expected + i * dim, dim) > 0.98);
    step(desk, 2);
    free(found);
    free(after.at);

    /* its aspects are found where folding has put them, too */
    desk->options.student.freeze = true;
    begin(desk);
    after = network_of(desk);
    found = embeddings_of(after, 16, &dim);
    for (size_t i = 0; i < 16; i++)
        assert_true(cosine(found + i * dim, expected + i * dim, dim) > 0.98);
    step(desk, 2);
    free(found);
    free(expected);
    free(before.at);
    free(after.at);
    free((void *)(uintptr_t)first);
    free((void *)(uintptr_t)desk->options.student.init);
}

/* ---- teachers ------------------------------------------------------------
 */

static bool stop_asking(void *context, size_t n_done, size_t n)
{
    (void)context;
    assert_true(n_done <= n);
    return false;
}

static void relations_of_a_teacher_are_learned(void **state)
{
    struct desk *desk = *state;
    struct sosie_trainer_losses first, last;
    begin(desk);
    step(desk, 2);
    desk->options.seed = 3;
    desk->options.weights = (struct sosie_loss_weights){.teacher = 5};
    desk->options.first = desk->options.second = sosie_augmentation_none();
    desk->options.epochs = 12;
    for (int own = 0; own < 2; own++) {
        const char *mine = own ? write_network(desk, "teacher.onnx") : NULL;
        desk->options.teacher = own ? mine : photos_model();
        begin(desk);
        step(desk, 4);
        first = sosie_trainer_take_losses(desk->trainer);
        step(desk, 40);
        (void)sosie_trainer_take_losses(desk->trainer);
        step(desk, 4);
        last = sosie_trainer_take_losses(desk->trainer);
        assert_true(first.teacher > 0);
        if (!(last.teacher < 0.7 * first.teacher))
            fail_msg("the teacher's loss went from %g to %g", first.teacher,
                     last.teacher);
        assert_true(fabs(last.total - 5 * last.teacher) < 1e-6);
        free((void *)(uintptr_t)mine);
    }
    desk->options.teacher = photos_model();
    desk->options.progress = stop_asking;
    sosie_trainer_destroy(desk->trainer);
    desk->trainer = NULL;
    check_fails(sosie_trainer_create(&desk->dataset, desk->pixels,
                                     &desk->options, &desk->trainer,
                                     &desk->err),
                SOSIE_CANCELLED, &desk->err, "interrupted");
}

/* ---- odd data ------------------------------------------------------------
 */

static void check_refused(struct desk *desk, enum sosie_status expected,
                          const char *words)
{
    check_fails(sosie_trainer_create(&desk->dataset, desk->pixels,
                                     &desk->options, &desk->trainer,
                                     &desk->err),
                expected, &desk->err, words);
    assert_null(desk->trainer);
}

/* Half of the shapes and nearly all colours unknown, one class of one photo. */
static void missing_and_lonely_labels_are_no_matter(void **state)
{
    struct desk *desk = *state;
    struct sosie_trainer_losses losses;
    FILE *feed = begin_feed(desk);
    for (size_t i = 0; i < N_PHOTOS; i++)
        put_row(feed, i,
                i == 5  ? "lonely"
                : i % 2 ? shapes[shape_of(i)]
                        : "",
                i < 2 ? colours[i] : "");
    fclose(feed);
    open_photos(desk);
    begin(desk);
    step(desk, 9);
    losses = sosie_trainer_take_losses(desk->trainer);
    assert_true(isfinite(losses.total) && losses.total > 0);
    assert_true(isfinite(losses.grad_norm));
}

static void variants_are_drawn_together(void **state)
{
    struct desk *desk = *state;
    struct sosie_trainer_losses losses;
    desk->dataset.n_identities = 16;
    for (size_t i = 0; i < N_PHOTOS; i++) /* of one shape, one drawing */
        desk->dataset.photos[i].identity = (int32_t)(i % 16);
    begin(desk);
    step(desk, 12);
    losses = sosie_trainer_take_losses(desk->trainer);
    assert_true(isfinite(losses.identity) && losses.identity > 0);
}

static void data_that_does_not_do_is_named(void **state)
{
    struct desk *desk = *state;
    FILE *feed;
    write_feed(desk, 15);
    open_photos(desk);
    check_refused(desk, SOSIE_BAD_INPUT,
                  "15 photos to train on; a batch of 32 views needs 16");
    feed = begin_feed(desk);
    for (size_t i = 0; i < N_PHOTOS; i++)
        put_row(feed, i, shapes[shape_of(i)], "red");
    fclose(feed);
    open_photos(desk);
    check_refused(desk, SOSIE_BAD_INPUT,
                  "label \"color\" has 1 value, expected at least 2");
}

/* A file whose network has a node that can't be trained. */
static const char *write_untrainable(struct desk *desk)
{
    char *path = strdup(in_folder(desk, "max.onnx"));
    struct sosie_graph graph = {0};
    struct sosie_value image = {.name = "image",
                                .shape = {4, {1, 3, SIDE, SIDE}}};
    struct sosie_node pool = {
        .name = "pool", .op = SOSIE_OP_GLOBAL_AVERAGE_POOL, .n_inputs = 1};
    struct sosie_node flat = {
        .name = "flat", .op = SOSIE_OP_FLATTEN, .n_inputs = 1, .axis = 1};
    struct sosie_node max = {
        .name = "the larger", .op = SOSIE_OP_MAX, .n_inputs = 2};
    struct sosie_node gemm = {.name = "gemm",
                              .op = SOSIE_OP_GEMM,
                              .n_inputs = 2,
                              .gemm = {false, true, 1, 1}};
    struct sosie_onnx_output output = {.name = "embedding"};
    struct sosie_onnx_names names = {.outputs = &output, .n_outputs = 1};
    struct sosie_random random;
    struct bytes bytes;
    sosie_random_seed(&random, 1);
    check_ok(
        sosie_graph_add_value(&graph, &image, &graph.inputs[0], &desk->err),
        &desk->err);
    graph.n_inputs = 1;
    pool.inputs[0] = graph.inputs[0];
    check_ok(sosie_graph_add_node(&graph, &pool, "pooled", &flat.inputs[0],
                                  &desk->err),
             &desk->err);
    check_ok(sosie_graph_add_node(&graph, &flat, "flat", &gemm.inputs[0],
                                  &desk->err),
             &desk->err);
    check_ok(sosie_add_weights(&graph, "w", &(struct sosie_shape){2, {8, 3}},
                               &random, 1, &gemm.inputs[1], &desk->err),
             &desk->err);
    check_ok(sosie_graph_add_node(&graph, &gemm, "mapped", &max.inputs[0],
                                  &desk->err),
             &desk->err);
    check_ok(sosie_add_weights(&graph, "floor", &(struct sosie_shape){1, {8}},
                               &random, 1, &max.inputs[1], &desk->err),
             &desk->err);
    check_ok(sosie_graph_add_node(&graph, &max, "embedding", &output.value,
                                  &desk->err),
             &desk->err);
    graph.outputs[graph.n_outputs++] = output.value;
    check_ok(
        sosie_onnx_write(&graph, &names, &bytes.at, &bytes.size, &desk->err),
        &desk->err);
    check_ok(sosie_file_write(path, &(struct sosie_span){bytes.at, bytes.size},
                              1, &desk->err),
             &desk->err);
    free(bytes.at);
    sosie_graph_release(&graph);
    return path;
}

static void a_network_that_does_not_do_is_named(void **state)
{
    struct desk *desk = *state;
    struct sosie_student_options *student = &desk->options.student;
    student->arch = "sosie-xxl";
    check_refused(desk, SOSIE_BAD_INPUT, "sosie-s, sosie-m, sosie-l");
    student->arch = NULL;
    check_refused(desk, SOSIE_BAD_INPUT, "sosie-s, sosie-m, sosie-l");
    student->init = in_folder(desk, "none.onnx");
    check_refused(desk, SOSIE_NOT_FOUND, "none.onnx: ");
    assert_null(strstr(strstr(desk->err.text, "none.onnx") + 1, "none.onnx"));
    student->init = desk->feed;
    check_refused(desk, SOSIE_BAD_INPUT, "feed.csv");
    student->init = write_untrainable(desk);
    check_refused(desk, SOSIE_REFUSED, "node 'the larger' (Max)");
    free((void *)(uintptr_t)student->init);
}

static void options_that_do_not_do_are_named(void **state)
{
    struct desk *desk = *state;
    const struct sosie_trainer_options kept = desk->options;
    desk->options.shard = 7;
    check_refused(desk, SOSIE_BAD_INPUT, "in shards of 7");
    desk->options.shard = 6;
    check_refused(desk, SOSIE_BAD_INPUT, "in shards of 6");
    desk->options = kept;
    desk->options.student.dims[SOSIE_STUDENT_SHAPE] = 0;
    check_refused(desk, SOSIE_BAD_INPUT, "embedding of no numbers");
    desk->options = kept;
    desk->options.precision = SOSIE_PRECISION_INT8;
    check_refused(desk, SOSIE_BAD_INPUT, "not in int8");
    desk->options = kept;
    desk->options.optimiser.beta1 = 2;
    check_refused(desk, SOSIE_BAD_INPUT, "beta");
    desk->options = kept;
    desk->options.teacher = in_folder(desk, "none.onnx");
    check_refused(desk, SOSIE_NOT_FOUND, "none.onnx");
}

static void a_loss_that_is_no_number_changes_nothing(void **state)
{
    struct desk *desk = *state;
    struct bytes before, after;
    desk->options.weights.heads = INFINITY;
    begin(desk);
    before = network_of(desk);
    check_fails(sosie_trainer_step(desk->trainer, &desk->err), SOSIE_REFUSED,
                &desk->err, "step 1");
    assert_int_equal(sosie_trainer_step_number(desk->trainer), 0);
    after = network_of(desk);
    check_same_bytes(after, before);
    free(after.at);
    free(before.at);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_few_photos_are_learned_by_heart),
        TEST(a_network_says_what_it_is),
        TEST(a_file_computes_what_was_trained),
        TEST(as_many_labels_as_there_may_be),
        TEST(workers_change_nothing),
        TEST(a_resumed_training_ends_as_if_it_had_not_stopped),
        TEST(a_damaged_checkpoint_changes_nothing),
        TEST(a_checkpoint_of_another_training_is_refused),
        TEST(a_full_disk_leaves_the_old_checkpoint),
        TEST(aspects_of_a_file_are_taken_up_again),
        TEST(what_is_frozen_stays),
        TEST(what_nothing_teaches_costs_nothing),
        TEST(a_frozen_shape_is_whitened),
        TEST(a_file_may_get_another_size),
        TEST(a_quantised_file_becomes_numbers_again),
        TEST(relations_of_a_teacher_are_learned),
        TEST(missing_and_lonely_labels_are_no_matter),
        TEST(variants_are_drawn_together),
        TEST(data_that_does_not_do_is_named),
        TEST(a_network_that_does_not_do_is_named),
        TEST(options_that_do_not_do_are_named),
        TEST(a_loss_that_is_no_number_changes_nothing),
    };
    return cmocka_run_group_tests(tests, draw_photos, remove_photos);
}
