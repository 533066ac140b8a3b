/* model.c: ONNX files good and bad, input preparation, and the given network
 * against what ONNX Runtime makes of it. */
#include "golden.h"
#include "metadata.h"

#include "model/model.h"
#include "model/network.h"
#include "model/onnx_write.h"
#include "nn/net.h"

#include <pthread.h>

static const enum sosie_backend backends[] = {SOSIE_BACKEND_PLAIN,
                                              SOSIE_BACKEND_ONEDNN};

static struct sosie_model *open_with(const char *path,
                                     enum sosie_backend backend)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct sosie_model *model;
    struct sosie_error err;
    options.backend = backend;
    check_ok(sosie_model_open(path, &options, &model, &err), &err);
    return model;
}

static struct sosie_model_run *run_of(const struct sosie_model *model)
{
    struct sosie_model_run *run;
    struct sosie_error err;
    check_ok(sosie_model_run_create(model, &run, &err), &err);
    return run;
}

/* ---- large weights ------------------------------------------------------- */

enum { SIDE = 12, IN = 129, OUT = 130 };

/* A constant of `n` floats, in the arena of the graph. */
static sosie_value_id add_numbers(struct sosie_graph *graph, const char *name,
                                  struct sosie_shape shape)
{
    struct sosie_value value = {.name = name, .shape = shape};
    size_t n = sosie_shape_count(&shape);
    float *data = sosie_arena_alloc(&graph->arena, n, sizeof(*data));
    struct sosie_error err;
    sosie_value_id id;
    for (size_t i = 0; i < n; i++)
        data[i] = (float)(i * 37 % 101) / 101.0F - 0.5F;
    value.data = data;
    check_ok(sosie_graph_add_value(graph, &value, &id, &err), &err);
    return id;
}

/* A file with x -> Conv -> Add: weights and summand are large, and stand where
 * the length of the network's name puts them. */
static unsigned char *large_file(const char *name, size_t *size)
{
    struct sosie_graph graph = {0};
    struct sosie_value x = {.name = "x", .shape = {4, {1, IN, SIDE, SIDE}}};
    struct sosie_node conv = {.name = "conv",
                              .op = SOSIE_OP_CONV,
                              .n_inputs = 2,
                              .conv = {1, {{1, 1}, {1, 1}, {1, 1}, {0}, 0}}};
    struct sosie_node add = {.name = "add", .op = SOSIE_OP_ADD, .n_inputs = 2};
    struct sosie_onnx_output output = {.name = "y"};
    struct sosie_onnx_names names = {
        .graph = name, .outputs = &output, .n_outputs = 1};
    struct sosie_error err;
    unsigned char *bytes;

    check_ok(sosie_graph_add_value(&graph, &x, &graph.inputs[0], &err), &err);
    graph.n_inputs = 1;
    conv.inputs[0] = graph.inputs[0];
    conv.inputs[1] =
        add_numbers(&graph, "w", (struct sosie_shape){4, {OUT, IN, 1, 1}});
    check_ok(sosie_graph_add_node(&graph, &conv, "made", &add.inputs[0], &err),
             &err);
    add.inputs[1] =
        add_numbers(&graph, "c", (struct sosie_shape){4, {1, OUT, SIDE, SIDE}});
    check_ok(sosie_graph_add_node(&graph, &add, "y", &output.value, &err),
             &err);
    check_ok(sosie_onnx_write(&graph, &names, &bytes, size, &err), &err);
    sosie_graph_release(&graph);
    return bytes;
}

/* What the file's network answers, OUT * SIDE * SIDE floats. */
static void run_large(const unsigned char *bytes, size_t size,
                      const struct sosie_ops *ops, float *answer)
{
    struct sosie_net_options options = {.ops = ops};
    struct sosie_onnx onnx;
    struct sosie_net *net;
    struct sosie_net_run *run;
    struct sosie_error err;
    check_ok(sosie_onnx_read(bytes, size, NULL, &onnx, &err), &err);
    for (size_t v = 0; v < onnx.graph.n_values; v++) {
        const struct sosie_value *value = &onnx.graph.values[v];
        if (value->data && strcmp(value->name, "w") != 0)
            assert_int_equal((uintptr_t)value->data % sizeof(float), 0);
        else if (value->data)
            assert_true(sosie_onnx_borrows(&onnx, value->data));
    }
    onnx.graph.outputs[0] = onnx.outputs[0].value;
    onnx.graph.n_outputs = 1;
    check_ok(sosie_net_create(&onnx.graph, &options, &net, &err), &err);
    sosie_onnx_release(&onnx);
    check_ok(sosie_net_run_create(net, &run, &err), &err);
    sosie_network_fill(net, run, 0, NULL);
    check_ok(sosie_net_run_forward(run, 1, &err), &err);
    memcpy(answer, sosie_net_run_output(run, 0),
           sizeof(float) * OUT * SIDE * SIDE);
    sosie_net_run_destroy(run);
    sosie_net_destroy(net);
}

static void weights_may_stand_anywhere_in_the_file(void **state)
{
    static const char *const names[] = {"n", "na", "nam", "name"};
    static const struct sosie_ops *const ops[] = {&sosie_ops_plain,
                                                  &sosie_ops_onednn};
    static float answers[2][2][OUT * SIDE * SIDE];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        size_t size;
        unsigned char *bytes = large_file(names[i], &size);
        for (size_t k = 0; k < 2; k++) {
            run_large(bytes, size, ops[k], answers[k][i > 0]);
            assert_memory_equal(answers[k][0], answers[k][i > 0],
                                sizeof(answers[k][0]));
        }
        free(bytes);
    }
    check_close("plain and oneDNN", answers[0][0], answers[1][0],
                OUT * SIDE * SIDE, 1e-5);
}

/* Damage around what is not copied: refused or read, never more. */
static void damage_around_large_weights_is_survived(void **state)
{
    size_t size;
    unsigned char *bytes = large_file("name", &size);
    unsigned char *cut = malloc(size);
    struct sosie_onnx onnx;
    (void)state;
    for (size_t i = 0; i < size; i += i < 400 || i + 400 > size ? 1 : 997) {
        unsigned char right = bytes[i];
        assert_non_null(cut);
        memcpy(cut, bytes, i);
        assert_int_not_equal(sosie_onnx_read(cut, i, NULL, &onnx, NULL),
                             SOSIE_OK);
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] = right ^ (unsigned char)(1U << bit);
            if (!sosie_onnx_read(bytes, size, NULL, &onnx, NULL))
                sosie_onnx_release(&onnx);
        }
        bytes[i] = right;
    }
    free(cut);
    free(bytes);
}

/* ---- good files ---------------------------------------------------------- */

/* Photo 0 through a small model: embedding, then logits, as recorded. */
static void check_photo_model(const char *name, enum sosie_backend backend)
{
    struct sosie_model *model =
        open_with(golden_path("", name, ".onnx"), backend);
    const struct sosie_model_info *info = sosie_model_info(model);
    struct sosie_model_run *run = run_of(model);
    uint8_t *rgb = golden_photo(info->width, info->height, 0);
    const uint8_t *photos[] = {rgb};
    struct sosie_error err;
    float found[16];
    size_t n;
    float *expected = golden_floats(golden_path("", name, ".f32"), &n);

    assert_int_equal(n, info->dim + info->n_logits);
    check_ok(
        sosie_model_forward(run, photos, 1, found, found + info->dim, &err),
        &err);
    check_close(name, found, expected, n, 2e-5);
    free(expected);
    free(rgb);
    sosie_model_run_destroy(run);
    sosie_model_close(model);
}

static void photos_are_prepared_as_the_metadata_says(void **state)
{
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        check_photo_model("photo", backends[b]);
        check_photo_model("photo_nhwc", backends[b]);
    }
}

static void a_model_says_what_it_is(void **state)
{
    const char *path = golden_path("", "photo", ".onnx");
    struct sosie_model *model = open_with(path, SOSIE_BACKEND_ONEDNN);
    const struct sosie_model_info *info = sosie_model_info(model);
    struct sosie_digest digest;
    size_t size;
    unsigned char *bytes = golden_bytes(path, &size);
    (void)state;

    digest = sosie_digest_of(bytes, size);
    free(bytes);
    assert_memory_equal(&info->digest, &digest, sizeof(digest));
    assert_int_equal(info->width, 8);
    assert_int_equal(info->height, 6);
    assert_int_equal(info->fit, SOSIE_FIT_LETTERBOX);
    assert_int_equal(info->dim, 4);
    assert_int_equal(info->n_logits, 3);
    assert_int_equal(info->n_labels, 3);
    assert_string_equal(info->labels[0], "coat");
    assert_string_equal(info->labels[2], "sweat shirt");
    assert_int_equal(info->n_parameters, 4 * 27 + 12 + 3);
    sosie_model_close(model);

    model =
        open_with(golden_path("", "photo_nhwc", ".onnx"), SOSIE_BACKEND_PLAIN);
    info = sosie_model_info(model);
    assert_int_equal(info->fit, SOSIE_FIT_SQUASH);
    assert_int_equal(info->n_logits, 0);
    assert_int_equal(info->n_labels, 0);
    sosie_model_close(model);
}

/* ---- aspects ------------------------------------------------------------- */

/* The model of 4 dimensions with aspects, weights and degrees, each of which
 * may be NULL. */
static enum sosie_status open_aspects(const char *aspects, const char *weights,
                                      const char *degrees,
                                      struct sosie_model **model,
                                      struct sosie_error *err)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    enum sosie_status st;
    size_t size;
    unsigned char *bytes =
        golden_bytes(golden_path("", "photo", ".onnx"), &size);
    bytes = realloc(bytes, size + 3 * METADATA_ROOM);
    assert_non_null(bytes);
    if (aspects)
        size = metadata_add(bytes, size, "embedding.aspects", aspects);
    if (weights)
        size = metadata_add(bytes, size, "embedding.weights", weights);
    if (degrees)
        size = metadata_add(bytes, size, "embedding.degrees", degrees);
    options.backend = SOSIE_BACKEND_PLAIN;
    st = sosie_model_open_bytes(bytes, size, &options, model, err);
    free(bytes);
    return st;
}

static void an_embedding_may_be_made_of_aspects(void **state)
{
    struct sosie_model *model;
    const struct sosie_model_info *info;
    struct sosie_error err;
    (void)state;
    check_ok(open_aspects(NULL, NULL, NULL, &model, &err), &err);
    assert_int_equal(sosie_model_info(model)->n_aspects, 0);
    sosie_model_close(model);

    check_ok(open_aspects("shape=3,colour=1", "colour=0.55,shape=2", "shape=16",
                          &model, &err),
             &err);
    info = sosie_model_info(model);
    assert_int_equal(info->n_aspects, 2);
    assert_string_equal(info->aspects[0].name, "shape");
    assert_int_equal(info->aspects[0].dim, 3);
    assert_true(info->aspects[0].weight == 2);
    assert_int_equal(info->aspects[0].degree, 16);
    assert_string_equal(info->aspects[1].name, "colour");
    assert_int_equal(info->aspects[1].dim, 1);
    assert_true(info->aspects[1].weight == 0.55);
    assert_int_equal(info->aspects[1].degree, 1);
    sosie_model_close(model);

    check_ok(open_aspects("a=1,b_2=1,c-3=1,D=1", NULL, NULL, &model, &err),
             &err);
    info = sosie_model_info(model);
    assert_int_equal(info->n_aspects, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(info->aspects[i].weight == 1);
    sosie_model_close(model);
}

static void aspects_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *aspects, *weights, *words;
    } cases[] = {
        {"", NULL, "'embedding.aspects' is \"\"; expected NAME=DIMENSIONS"},
        {"4", NULL, "expected NAME=DIMENSIONS"},
        {"shape", NULL, "expected NAME=DIMENSIONS"},
        {"shape=", NULL, "expected NAME=DIMENSIONS"},
        {"=4", NULL, "expected NAME=DIMENSIONS"},
        {"shape=4,", NULL, "expected NAME=DIMENSIONS"},
        {"shape=0,colour=4", NULL, "expected NAME=DIMENSIONS"},
        {"shape=-4,colour=8", NULL, "expected NAME=DIMENSIONS"},
        {"shape=1.5,colour=2.5", NULL, "expected NAME=DIMENSIONS"},
        {"shape=nan", NULL, "expected NAME=DIMENSIONS"},
        {"shape=4;", NULL, "expected NAME=DIMENSIONS"},
        {"sha pe=4", NULL, "expected NAME=DIMENSIONS"},
        {"a-name-that-is-longer-than-any-name=4", NULL,
         "expected NAME=DIMENSIONS"},
        {"shape=2,shape=2", NULL, "names 'shape' twice"},
        {"a=1,b=1,c=1,d=1,e=1", NULL, "more than 4 aspects"},
        {"shape=2,colour=1", NULL, "3 dimensions in all; the embedding has 4"},
        {"shape=4,colour=64", NULL, "68 dimensions in all"},
        {NULL, "shape=1", "without 'embedding.aspects'"},
        {"shape=3,colour=1", "shape=1", "a number of 0 or more for each"},
        {"shape=3,colour=1", "shape=1,shape=1", "for each aspect"},
        {"shape=3,colour=1", "shape=1,colour=-1", "for each aspect"},
        {"shape=3,colour=1", "shape=0,colour=0", "not all 0"},
        {"shape=3,colour=1", "shape=1,colour=inf", "for each aspect"},
        {"shape=3,colour=1", "shape=1,taste=1", "names 'taste'"},
        {"shape=3,colour=1", "", "for each aspect"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sosie_model *model = NULL;
        struct sosie_error err;
        check_fails(open_aspects(cases[i].aspects, cases[i].weights, NULL,
                                 &model, &err),
                    SOSIE_BAD_INPUT, &err, cases[i].words);
        assert_null(model);
    }
}

static void degrees_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *aspects, *degrees, *words;
    } cases[] = {
        {NULL, "shape=4", "'embedding.degrees' is there without"},
        {"shape=3,colour=1", "shape=0", "whole numbers from 1 to 16"},
        {"shape=3,colour=1", "shape=17", "whole numbers from 1 to 16"},
        {"shape=3,colour=1", "shape=1.5", "whole numbers from 1 to 16"},
        {"shape=3,colour=1", "", "whole numbers from 1 to 16"},
        {"shape=3,colour=1", "taste=2", "names 'taste'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sosie_model *model = NULL;
        struct sosie_error err;
        check_fails(open_aspects(cases[i].aspects, NULL, cases[i].degrees,
                                 &model, &err),
                    SOSIE_BAD_INPUT, &err, cases[i].words);
        assert_null(model);
    }
}

/* ---- temperature --------------------------------------------------------- */

static enum sosie_status open_temperature(const char *temperature,
                                          struct sosie_model **model,
                                          struct sosie_error *err)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    enum sosie_status st;
    size_t size;
    unsigned char *bytes =
        golden_bytes(golden_path("", "photo", ".onnx"), &size);
    bytes = realloc(bytes, size + METADATA_ROOM);
    assert_non_null(bytes);
    size = metadata_add(bytes, size, "logits.temperature", temperature);
    options.backend = SOSIE_BACKEND_PLAIN;
    st = sosie_model_open_bytes(bytes, size, &options, model, err);
    free(bytes);
    return st;
}

static void logits_may_have_a_temperature(void **state)
{
    static const char *const wrong[] = {"",   "0",   "-1",  "x",
                                        "1 ", "nan", "inf", "1,2"};
    struct sosie_model *model =
        open_with(golden_path("", "photo", ".onnx"), SOSIE_BACKEND_PLAIN);
    struct sosie_error err;
    (void)state;
    assert_true(sosie_model_info(model)->temperature == 1);
    sosie_model_close(model);
    check_ok(open_temperature("0.75", &model, &err), &err);
    assert_true(sosie_model_info(model)->temperature == 0.75);
    sosie_model_close(model);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        check_fails(open_temperature(wrong[i], &model, &err), SOSIE_BAD_INPUT,
                    &err, "'logits.temperature' is \"");
}

/* ---- bad files ----------------------------------------------------------- */

static const struct {
    const char *name;
    enum sosie_status status;
    const char *words; /* of the message */
} bad_files[] = {
    {"cycle", SOSIE_BAD_INPUT, "node 'r.node' (Add): input 'q' is made by"},
    {"input_missing", SOSIE_BAD_INPUT, "input 'nowhere' is not there"},
    {"output_missing", SOSIE_BAD_INPUT, "output 'nowhere' is not there"},
    {"no_outputs", SOSIE_BAD_INPUT, "1 inputs and 0 outputs"},
    {"made_twice", SOSIE_BAD_INPUT, "tensor 'r' is made twice"},
    {"too_few_bytes", SOSIE_BAD_INPUT,
     "tensor 'w': 428 bytes of data; a tensor of 4x3x3x3 has 432"},
    {"odd_bytes", SOSIE_BAD_INPUT, "3 bytes of data; a tensor of 1 has 4"},
    {"overflow", SOSIE_REFUSED, "has more than 268435456 elements"},
    {"negative_size", SOSIE_BAD_INPUT, "dimension 0 is -4"},
    {"seven_dimensions", SOSIE_REFUSED, "7 dimensions; at most 6"},
    {"external_data", SOSIE_REFUSED, "only files in the model's own folder"},
    {"complex", SOSIE_REFUSED, "data type 14 is not supported"},
    {"integer_weights", SOSIE_REFUSED, "input 'w' holds int64"},
    {"unknown_op", SOSIE_REFUSED,
     "node 'r.node' (LSTM): this op is not supported; supported: Abs, "
     "Add"},
    {"unknown_domain", SOSIE_REFUSED, "ops of domain 'com.example'"},
    {"unknown_attribute", SOSIE_REFUSED,
     "node 'c.node' (Conv): attribute 'flavour' is not supported; supported: "
     "auto_pad dilations"},
    {"attribute_type", SOSIE_BAD_INPUT,
     "attribute 'group' is of type 7; expected 2"},
    {"opset_6", SOSIE_REFUSED, "opset 6 is not supported; supported: 7 to 21"},
    {"opset_22", SOSIE_REFUSED, "opset 22 is not supported"},
    {"conv_channels", SOSIE_BAD_INPUT,
     "node 'c.node' (Conv): weights 4x2x3x3 do not fit an input of 1x3x6x8"},
    {"conv_kernel_shape", SOSIE_BAD_INPUT,
     "kernel_shape is 5x5 but the weights are 4x3x3x3"},
    {"conv_too_small", SOSIE_BAD_INPUT, "a kernel of 9x1 does not fit"},
    {"conv_stride_0", SOSIE_REFUSED, "strides and dilations of 1 to"},
    {"conv_group_0", SOSIE_BAD_INPUT, "in 0 groups"},
    {"conv_negative_pad", SOSIE_REFUSED, "attribute 'pads' holds -1"},
    {"conv_1d", SOSIE_REFUSED, "'strides' has 1 numbers; 2 are supported"},
    {"conv_computed_weights", SOSIE_REFUSED, "input 'image' is computed"},
    {"clip_bounds", SOSIE_BAD_INPUT, "min and max are inputs in opset 13"},
    {"batch_norm_training", SOSIE_REFUSED, "attribute 'training_mode' is 1"},
    {"batch_norm_size", SOSIE_BAD_INPUT, "input 'v' is 3; expected 4"},
    {"two_outputs", SOSIE_BAD_INPUT, "2 outputs; expected 1"},
    {"reshape_size", SOSIE_BAD_INPUT, "1x4x1x1 cannot become 1x5"},
    {"reshape_two_rests", SOSIE_BAD_INPUT, "at most one -1"},
    {"gemm_size", SOSIE_BAD_INPUT, "A is 1x4 and B is 3x5"},
    {"batch_of_8", SOSIE_REFUSED, "its batch is fixed at 8"},
    {"open_height", SOSIE_REFUSED, "dimension 2 is not fixed"},
    {"two_inputs", SOSIE_REFUSED, "2 inputs; one, the photo, is supported"},
    {"grey", SOSIE_REFUSED, "the input is 1x1x6x8; expected a photo"},
    {"embedding_shape", SOSIE_REFUSED, "output 'embedding' is 1x4x1x1"},
    {"scale_word", SOSIE_BAD_INPUT, "'input.scale' is \"a lot\"; expected one"},
    {"scale_two", SOSIE_BAD_INPUT, "\"1,2\""},
    {"bias_infinite", SOSIE_BAD_INPUT, "'input.bias' is \"inf\""},
    {"layout", SOSIE_BAD_INPUT, "\"CHWN\"; expected NCHW or NHWC"},
    {"color", SOSIE_BAD_INPUT, "\"CMYK\"; expected RGB or BGR"},
    {"fit", SOSIE_BAD_INPUT, "\"stretch\"; expected squash or letterbox"},
    {"labels_count", SOSIE_BAD_INPUT, "has 2 lines for 3 logits"},
    {"labels_empty", SOSIE_BAD_INPUT, "line 2 is empty"},
};

static void bad_files_are_refused_by_name_and_reason(void **state)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(*bad_files); i++) {
        struct sosie_model *model = NULL;
        struct sosie_error err;
        check_fails(
            sosie_model_open(golden_path("bad/", bad_files[i].name, ".onnx"),
                             &options, &model, &err),
            bad_files[i].status, &err, bad_files[i].words);
        assert_null(model);
    }
}

static void what_is_no_onnx_file_is_refused(void **state)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct sosie_model *model = NULL;
    struct sosie_error err;
    (void)state;
    check_fails(sosie_model_open("/nowhere/model.onnx", &options, &model, &err),
                SOSIE_NOT_FOUND, &err, "/nowhere/model.onnx");
    check_fails(sosie_model_open_bytes("", 0, &options, &model, &err),
                SOSIE_BAD_INPUT, &err, "not an ONNX file");
    check_fails(
        sosie_model_open_bytes("#!/bin/sh\nexit", 14, &options, &model, &err),
        SOSIE_BAD_INPUT, &err, "not an ONNX file");
    options.max_batch = 0;
    check_fails(sosie_model_open_bytes("", 0, &options, &model, &err),
                SOSIE_BAD_INPUT, &err, "expected 1 to 64");
}

/* Whatever a damaged file says, opening it ends in order. */
static void damage_is_survived(void **state)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    size_t size;
    unsigned char *good =
        golden_bytes(golden_path("", "photo", ".onnx"), &size);
    unsigned char *bad = malloc(size);
    static const unsigned char flips[] = {1, 0x80, 0xff};
    (void)state;

    assert_non_null(bad);
    options.backend = SOSIE_BACKEND_PLAIN;
    for (size_t i = 0; i < 4 * size; i++) {
        size_t at = i % size, length = size;
        struct sosie_model *model = NULL;
        struct sosie_error err;
        memcpy(bad, good, size);
        if (i < size)
            length = at;
        else
            bad[at] ^= flips[i / size - 1];
        if (!sosie_model_open_bytes(bad, length, &options, &model, &err))
            sosie_model_close(model);
        else
            assert_null(model);
    }
    free(bad);
    free(good);
}

/* ---- the same bits ------------------------------------------------------- */

enum { N_PHOTOS = 4 };

struct job {
    struct sosie_model *model;
    uint8_t *photos[N_PHOTOS];
    const float *expected; /* embeddings, then logits */
    bool same;
};

/* What one worker does: all photos, again and again, in a run of its own. */
static void *forward_often(void *argument)
{
    struct job *job = argument;
    const struct sosie_model_info *info = sosie_model_info(job->model);
    size_t n = N_PHOTOS * (info->dim + info->n_logits);
    struct sosie_model_run *run = run_of(job->model);
    float *found = calloc(n, sizeof(*found));

    assert_non_null(found);
    job->same = true;
    for (int round = 0; round < 3; round++) {
        struct sosie_error err;
        memset(found, 0, n * sizeof(*found));
        check_ok(sosie_model_forward(run, (const uint8_t *const *)job->photos,
                                     N_PHOTOS, found,
                                     found + N_PHOTOS * info->dim, &err),
                 &err);
        job->same =
            job->same && !memcmp(found, job->expected, n * sizeof(*found));
    }
    free(found);
    sosie_model_run_destroy(run);
    return NULL;
}

/* One by one, in batches of 2, 3 and 4, without logits, and in two threads. */
static void check_same_bits(const char *path, enum sosie_backend backend)
{
    struct job job = {.model = open_with(path, backend)};
    const struct sosie_model_info *info = sosie_model_info(job.model);
    size_t dim = info->dim, n_logits = info->n_logits;
    float *expected = calloc(N_PHOTOS * (dim + n_logits), sizeof(*expected));
    float *found = calloc(N_PHOTOS * dim, sizeof(*found));
    struct sosie_model_run *run = run_of(job.model);
    struct sosie_error err;
    struct job jobs[2];
    pthread_t threads[2];

    assert_true(expected && found);
    job.expected = expected;
    for (size_t k = 0; k < N_PHOTOS; k++) {
        job.photos[k] = golden_photo(info->width, info->height, k);
        check_ok(
            sosie_model_forward(run, (const uint8_t *const *)&job.photos[k], 1,
                                expected + k * dim,
                                expected + N_PHOTOS * dim + k * n_logits, &err),
            &err);
    }
    for (size_t n = 2; n <= N_PHOTOS; n++) {
        memset(found, 0, N_PHOTOS * dim * sizeof(*found));
        check_ok(sosie_model_forward(run, (const uint8_t *const *)job.photos, n,
                                     found, NULL, &err),
                 &err);
        assert_memory_equal(found, expected, n * dim * sizeof(*found));
    }
    for (size_t t = 0; t < 2; t++) {
        jobs[t] = job;
        assert_int_equal(
            pthread_create(&threads[t], NULL, forward_often, &jobs[t]), 0);
    }
    for (size_t t = 0; t < 2; t++) {
        pthread_join(threads[t], NULL);
        assert_true(jobs[t].same);
    }
    for (size_t k = 0; k < N_PHOTOS; k++)
        free(job.photos[k]);
    free(found);
    free(expected);
    sosie_model_run_destroy(run);
    sosie_model_close(job.model);
}

static void a_result_is_the_same_in_any_batch_and_thread(void **state)
{
    (void)state;
    for (size_t b = 0; b < 2; b++)
        check_same_bits(golden_path("", "photo", ".onnx"), backends[b]);
}

/* ---- the given network --------------------------------------------------- */

static void mobilenet_results_are_the_same_in_any_batch_and_thread(void **state)
{
    char path[512];
    (void)state;
    check_shared(path, "models/mobilenet_v2_imagenet.onnx");
    check_same_bits(path, SOSIE_BACKEND_ONEDNN);
}

static void mobilenet_gives_what_onnx_runtime_gives(void **state)
{
    char path[512];
    size_t n, n_logits;
    float *embeddings, *logits;
    (void)state;

    check_shared(path, "models/mobilenet_v2_imagenet.onnx");
    embeddings =
        golden_floats(golden_path("", "mobilenet_v2.embedding", ".f32"), &n);
    logits = golden_floats(golden_path("", "mobilenet_v2.logits", ".f32"),
                           &n_logits);
    for (size_t b = 0; b < 2; b++) {
        struct sosie_model *model = open_with(path, backends[b]);
        const struct sosie_model_info *info = sosie_model_info(model);
        struct sosie_model_run *run = run_of(model);
        float found[1280], found_logits[1001];
        assert_int_equal(info->dim, 1280);
        assert_int_equal(info->n_logits, n_logits);
        assert_int_equal(info->n_logits, 1001);
        for (size_t k = 0; k < n / 1280; k++) {
            uint8_t *rgb = golden_photo(info->width, info->height, k);
            const uint8_t *photos[] = {rgb};
            struct sosie_error err;
            double length = 0.0;
            check_ok(
                sosie_model_forward(run, photos, 1, found, found_logits, &err),
                &err);
            free(rgb);
            for (size_t i = 0; i < 1280; i++)
                length += (double)found[i] * (double)found[i];
            for (size_t i = 0; i < 1280; i++)
                found[i] = (float)((double)found[i] / sqrt(length));
            check_close("embedding", found, embeddings + k * 1280, 1280, 1e-4);
            if (k == 0)
                check_close("logits", found_logits, logits, 1001, 1e-3);
        }
        sosie_model_run_destroy(run);
        sosie_model_close(model);
    }
    free(embeddings);
    free(logits);
}

#if defined(__x86_64__)
/* A layout that does not suit makes oneDNN fall back to its slow reference
 * without a word (notes: pooling from blocked to fixed NHWC). */
static void mobilenet_runs_on_no_reference_kernel(void **state)
{
    const struct sosie_net_options options = {.ops = &sosie_ops_onednn};
    char path[512];
    struct sosie_onnx onnx;
    struct sosie_net *net;
    struct sosie_error err;
    size_t size;
    unsigned char *bytes;
    (void)state;

    check_shared(path, "models/mobilenet_v2_imagenet.onnx");
    if (!__builtin_cpu_supports("avx2"))
        skip();
    bytes = golden_bytes(path, &size);
    check_ok(sosie_onnx_read(bytes, size, NULL, &onnx, &err), &err);
    for (size_t k = 0; k < onnx.n_outputs; k++)
        onnx.graph.outputs[k] = onnx.outputs[k].value;
    onnx.graph.n_outputs = onnx.n_outputs;
    check_ok(sosie_net_create(&onnx.graph, &options, &net, &err), &err);
    sosie_onnx_release(&onnx);
    free(bytes);

    /* 52 convolutions with all else but pool and classifier folded in */
    assert_in_range(sosie_net_n_steps(net), 54, 56);
    assert_true(sosie_net_arena_size(net) < (size_t)8 << 20);
    for (size_t i = 0; i < sosie_net_n_steps(net); i++) {
        struct sosie_net_step_info info = sosie_net_step_info(net, i);
        if (!strncmp(info.implementation, "ref", 3) ||
            !strcmp(info.implementation, "plain"))
            fail_msg("%s (%s) runs on %s", info.node, sosie_op_name(info.op),
                     info.implementation);
    }
    sosie_net_destroy(net);
}

/* x -> Conv -> a -> Conv -> Relu -> Add(a): not all CPUs have a sum behind a
 * function in one kernel. */
static void a_sum_behind_a_function_runs_on_no_reference_kernel(void **state)
{
    struct sosie_graph graph = {0};
    struct sosie_value x = {.name = "x", .shape = {4, {1, 16, SIDE, SIDE}}};
    struct sosie_node conv = {.name = "conv",
                              .op = SOSIE_OP_CONV,
                              .n_inputs = 2,
                              .conv = {1, {{1, 1}, {1, 1}, {1, 1}, {0}, 0}}};
    struct sosie_node relu = {
        .name = "relu", .op = SOSIE_OP_RELU, .n_inputs = 1};
    struct sosie_node add = {.name = "add", .op = SOSIE_OP_ADD, .n_inputs = 2};
    struct sosie_net_options options = {.ops = &sosie_ops_onednn};
    struct sosie_net *net;
    struct sosie_error err;
    (void)state;

    if (!__builtin_cpu_supports("avx2"))
        skip();
    check_ok(sosie_graph_add_value(&graph, &x, &graph.inputs[0], &err), &err);
    graph.n_inputs = graph.n_outputs = 1;
    conv.inputs[0] = graph.inputs[0];
    conv.inputs[1] =
        add_numbers(&graph, "w", (struct sosie_shape){4, {16, 16, 1, 1}});
    check_ok(sosie_graph_add_node(&graph, &conv, "a", &add.inputs[0], &err),
             &err);
    conv.inputs[0] = add.inputs[0];
    check_ok(sosie_graph_add_node(&graph, &conv, "b", &relu.inputs[0], &err),
             &err);
    check_ok(sosie_graph_add_node(&graph, &relu, "c", &add.inputs[1], &err),
             &err);
    check_ok(sosie_graph_add_node(&graph, &add, "y", &graph.outputs[0], &err),
             &err);
    check_ok(sosie_net_create(&graph, &options, &net, &err), &err);
    for (size_t i = 0; i < sosie_net_n_steps(net); i++)
        assert_int_not_equal(
            strncmp(sosie_net_step_info(net, i).implementation, "ref", 3), 0);
    sosie_net_destroy(net);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_may_stand_anywhere_in_the_file),
        cmocka_unit_test(damage_around_large_weights_is_survived),
        cmocka_unit_test(photos_are_prepared_as_the_metadata_says),
        cmocka_unit_test(a_model_says_what_it_is),
        cmocka_unit_test(an_embedding_may_be_made_of_aspects),
        cmocka_unit_test(aspects_that_make_no_sense_are_refused),
        cmocka_unit_test(degrees_that_make_no_sense_are_refused),
        cmocka_unit_test(logits_may_have_a_temperature),
        cmocka_unit_test(bad_files_are_refused_by_name_and_reason),
        cmocka_unit_test(what_is_no_onnx_file_is_refused),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(a_result_is_the_same_in_any_batch_and_thread),
        cmocka_unit_test(
            mobilenet_results_are_the_same_in_any_batch_and_thread),
        cmocka_unit_test(mobilenet_gives_what_onnx_runtime_gives),
#if defined(__x86_64__)
        cmocka_unit_test(mobilenet_runs_on_no_reference_kernel),
        cmocka_unit_test(a_sum_behind_a_function_runs_on_no_reference_kernel),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
