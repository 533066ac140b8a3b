/* cmd_model_run.c: `sosie model run FILE`: raw tensors in, raw tensors out. */
#include "base/file.h"
#include "base/size.h"
#include "cli/cli.h"
#include "model/network.h"
#include "model/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "sosie model run FILE --input X.npy --output Y.npy [options]\n"
    "\n"
    "Runs an ONNX file on tensors, so that its results can be compared with "
    "those of\nanother program. Tensors are NumPy files of little-endian "
    "float32 in C order;\n- is stdin or stdout. The first dimension is the "
    "batch, of any size.\n"
    "\n"
    "  --input [NAME=]X.npy    an input; without a name, the next one in the\n"
    "                          file's order\n"
    "  --output [NAME=]Y.npy   an output to write; without a name, the first\n"
    "  --precision P           f32, bf16, int8 or auto, the fastest (default\n"
    "                          f32)\n"
    "  --cpu LIMIT             use no newer instructions than c, avx2 or "
    "avx512; c is\n"
    "                          plain C, the reference\n"
    "\n"
    "Examples:\n"
    "  sosie model run model.onnx --input photos.npy --output logits.npy\n"
    "  sosie model run model.onnx --input - --output embedding=- < x.npy > "
    "y.npy\n";

static const char NAME[] = "model run";

enum { MAX_FILES = 64, BATCH = 4 };
static const size_t MAX_FILE_BYTES = ((size_t)1 << 30) + 4096;

/* A tensor's file, and which of the network's inputs or outputs it is. */
struct file {
    const char *path;
    size_t index; /* of the graph's inputs, or of the file's outputs */
    struct sosie_shape shape; /* of one photo */
    unsigned char *bytes;     /* of an input */
    struct sosie_npy npy;
    float *data; /* of an output */
};

struct task {
    const char *model;
    struct sosie_network network;
    struct sosie_net *net;
    struct sosie_net_run *runs[BATCH];
    size_t n_inputs, n_outputs; /* files given */
    struct file inputs[MAX_FILES], outputs[MAX_FILES];
    size_t batch; /* photos */
};

/* ---- which file is what -------------------------------------------------- */

static const char *input_name(const struct task *task, size_t i)
{
    const struct sosie_graph *graph = &task->network.onnx.graph;
    return graph->values[graph->inputs[i]].name;
}

static const char *output_name(const struct task *task, size_t i)
{
    return task->network.onnx.outputs[i].name;
}

/* If the path starts with one of n names and a =, cuts that off. */
static bool take_name(const struct task *task, struct file *file, size_t n,
                      const char *(*name)(const struct task *, size_t))
{
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(name(task, i));
        if (!strncmp(file->path, name(task, i), length) &&
            file->path[length] == '=') {
            file->path += length + 1;
            file->index = i;
            return true;
        }
    }
    return false;
}

static enum sosie_status assign_inputs(struct task *task,
                                       struct sosie_error *err)
{
    const struct sosie_graph *graph = &task->network.onnx.graph;
    bool given[SOSIE_MAX_ENDS] = {false};
    size_t next = 0;
    if (task->n_inputs != graph->n_inputs)
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "%zu --input; the network has %zu, the first is "
                          "'%.80s'",
                          task->n_inputs, graph->n_inputs, input_name(task, 0));
    for (size_t i = 0; i < task->n_inputs; i++) {
        struct file *file = &task->inputs[i];
        if (!take_name(task, file, graph->n_inputs, input_name))
            file->index = next;
        if (given[file->index])
            return sosie_fail(err, SOSIE_BAD_INPUT,
                              "--input %s: input '%.80s' is given already",
                              file->path, input_name(task, file->index));
        given[file->index] = true;
        while (next < graph->n_inputs && given[next])
            next++;
        file->shape = graph->values[graph->inputs[file->index]].shape;
    }
    return SOSIE_OK;
}

static enum sosie_status assign_outputs(struct task *task,
                                        struct sosie_error *err)
{
    const struct sosie_graph *graph = &task->network.onnx.graph;
    const struct sosie_onnx *onnx = &task->network.onnx;
    enum sosie_status st = SOSIE_OK;
    for (size_t i = 0; i < task->n_outputs && !st; i++) {
        struct file *file = &task->outputs[i];
        take_name(task, file, onnx->n_outputs, output_name);
        file->shape = graph->values[onnx->outputs[file->index].value].shape;
        st = sosie_network_add_output(&task->network, file->index, err);
    }
    return st;
}

/* ---- reading ------------------------------------------------------------- */

static enum sosie_status shape_fault(const struct task *task,
                                     const struct file *file,
                                     struct sosie_error *err)
{
    struct sosie_shape_text one = sosie_shape_text(&file->shape);
    bool batched = file->shape.rank && file->shape.dims[0] == 1;
    return sosie_fail(
        err, SOSIE_BAD_INPUT, "input '%.80s': found %s, expected %s%s",
        input_name(task, file->index), sosie_shape_text(&file->npy.shape).text,
        batched ? "N" : "", one.text + (batched ? 1 : 0));
}

/* Photos in the tensor; 0 if its shape is not the input's. */
static size_t batch_of(const struct file *file)
{
    struct sosie_shape rest = file->npy.shape;
    if (!rest.rank || !file->shape.rank || file->shape.dims[0] != 1)
        return sosie_shape_equal(&rest, &file->shape);
    rest.dims[0] = 1;
    return sosie_shape_equal(&rest, &file->shape) ? file->npy.shape.dims[0] : 0;
}

static enum sosie_status read_input(struct task *task, struct file *file,
                                    struct sosie_error *err)
{
    bool piped = !strcmp(file->path, "-");
    const char *name = piped ? "stdin" : file->path;
    size_t size, batch;
    enum sosie_status st =
        piped ? sosie_file_read_fd(STDIN_FILENO, name, MAX_FILE_BYTES,
                                   &file->bytes, &size, err)
              : sosie_file_read(name, MAX_FILE_BYTES, &file->bytes, &size, err);
    if (st)
        return st;
    st = sosie_npy_read(file->bytes, size, &file->npy, err);
    batch = st ? 0 : batch_of(file);
    if (!st && !batch)
        st = shape_fault(task, file, err);
    else if (!st && task->batch && task->batch != batch)
        st = sosie_fail(err, SOSIE_BAD_INPUT,
                        "a batch of %zu; expected %zu, as in %s", batch,
                        task->batch, task->inputs[0].path);
    if (st)
        sosie_error_prefix(err, "%s", name);
    task->batch = batch;
    return st;
}

/* ---- running ------------------------------------------------------------- */

static enum sosie_status make_output(const struct task *task, struct file *file,
                                     struct sosie_error *err)
{
    size_t n = sosie_shape_count(&file->shape);
    bool batched = file->shape.rank && file->shape.dims[0] == 1;
    if (!batched && task->batch > 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "output '%.80s' is %s, without a batch; give one "
                          "photo at a time",
                          output_name(task, file->index),
                          sosie_shape_text(&file->shape).text);
    if (sosie_size_mul(n, task->batch * sizeof(float), &n))
        file->data = malloc(n ? n : 1);
    if (!file->data)
        return sosie_fail(err, SOSIE_NO_MEMORY, "%zu bytes of output '%.80s'",
                          n, output_name(task, file->index));
    return SOSIE_OK;
}

/* Photos first .. first + n - 1. */
static enum sosie_status run_batch(const struct task *task, size_t first,
                                   size_t n, float *scratch,
                                   struct sosie_error *err)
{
    enum sosie_status st;
    for (size_t b = 0; b < n; b++)
        for (size_t i = 0; i < task->n_inputs; i++) {
            const struct file *file = &task->inputs[i];
            size_t size = sosie_shape_count(&file->shape) * sizeof(float);
            memcpy(scratch, file->npy.data + (first + b) * size, size);
            sosie_network_fill(task->net, task->runs[b], file->index, scratch);
        }
    st = sosie_net_run_batch(task->runs, n, ~0U, err);
    for (size_t b = 0; b < n && !st; b++)
        for (size_t k = 0; k < task->n_outputs; k++) {
            const struct file *file = &task->outputs[k];
            size_t size = sosie_shape_count(&file->shape);
            memcpy(file->data + (first + b) * size,
                   sosie_net_run_output(task->runs[b], k),
                   size * sizeof(float));
        }
    return st;
}

static enum sosie_status run_all(struct task *task, struct sosie_error *err)
{
    size_t largest = 1, n_runs = task->batch < BATCH ? task->batch : BATCH;
    enum sosie_status st = SOSIE_OK;
    float *scratch;
    for (size_t i = 0; i < task->n_inputs; i++) {
        size_t size = sosie_shape_count(&task->inputs[i].shape);
        largest = size > largest ? size : largest;
    }
    scratch = malloc(largest * sizeof(*scratch));
    if (!scratch)
        return sosie_fail(err, SOSIE_NO_MEMORY, "an input");
    for (size_t b = 0; b < n_runs && !st; b++)
        st = sosie_net_run_create(task->net, &task->runs[b], err);
    for (size_t i = 0; i < task->batch && !st; i += BATCH) {
        size_t left = task->batch - i;
        st = run_batch(task, i, left < BATCH ? left : BATCH, scratch, err);
    }
    free(scratch);
    return st;
}

/* ---- writing ------------------------------------------------------------- */

/* Anything but a regular file (a pipe, /dev/null) is written as it stands, not
 * replaced. */
static enum sosie_status write_stream(FILE *to, const char *name,
                                      const struct sosie_span spans[2],
                                      struct sosie_error *err)
{
    for (size_t i = 0; to && i < 2; i++)
        if (fwrite(spans[i].bytes, 1, spans[i].size, to) != spans[i].size)
            return sosie_fail_errno(err, SOSIE_IO, "%s", name);
    if (!to || fflush(to))
        return sosie_fail_errno(err, SOSIE_IO, "%s", name);
    return SOSIE_OK;
}

static enum sosie_status write_output(const struct task *task,
                                      const struct file *file,
                                      struct sosie_error *err)
{
    char header[SOSIE_NPY_HEADER_MAX];
    struct sosie_shape shape = file->shape;
    struct sosie_span spans[2] = {{header, 0}, {file->data, 0}};
    struct stat info;
    enum sosie_status st;
    FILE *to;
    if (shape.rank && shape.dims[0] == 1)
        shape.dims[0] = task->batch;
    spans[0].size = sosie_npy_header(&shape, header);
    spans[1].size = sosie_shape_count(&shape) * sizeof(float);
    if (!strcmp(file->path, "-"))
        return write_stream(stdout, "stdout", spans, err);
    if (stat(file->path, &info) || S_ISREG(info.st_mode))
        return sosie_file_write(file->path, spans, 2, err);
    to = fopen(file->path, "wb");
    st = write_stream(to, file->path, spans, err);
    if (to)
        fclose(to);
    return st;
}

/* ---- the command --------------------------------------------------------- */

static enum sosie_status load(struct task *task,
                              const struct sosie_net_options *options,
                              struct sosie_error *err)
{
    enum sosie_status st =
        sosie_network_read(task->model, options, &task->network, err);
    if (st)
        return st;
    st = assign_inputs(task, err);
    if (!st)
        st = assign_outputs(task, err);
    for (size_t i = 0; i < task->n_inputs && !st; i++)
        st = read_input(task, &task->inputs[i], err);
    if (st)
        return st;
    st = sosie_network_make(&task->network, &task->net, err);
    if (st)
        sosie_error_prefix(err, "%s", task->model);
    return st;
}

static void release(struct task *task)
{
    for (size_t i = 0; i < task->n_inputs; i++)
        free(task->inputs[i].bytes);
    for (size_t i = 0; i < task->n_outputs; i++)
        free(task->outputs[i].data);
    for (size_t i = 0; i < BATCH; i++)
        sosie_net_run_destroy(task->runs[i]);
    sosie_network_release(&task->network);
    sosie_net_destroy(task->net);
}

static int run(struct task *task, const struct sosie_net_options *options)
{
    struct sosie_error err;
    enum sosie_status st = load(task, options, &err);
    for (size_t i = 0; i < task->n_outputs && !st; i++)
        st = make_output(task, &task->outputs[i], &err);
    if (!st)
        st = run_all(task, &err);
    for (size_t i = 0; i < task->n_outputs && !st; i++)
        st = write_output(task, &task->outputs[i], &err);
    release(task);
    return st ? cli_fail(&err) : EXIT_DONE;
}

/* Another --input or --output; false if that is too many. */
static bool add_file(struct file *files, size_t *n, const char *path)
{
    if (*n == MAX_FILES)
        return false;
    files[(*n)++].path = path;
    return true;
}

int cli_model_run(int argc, char **argv)
{
    static const struct option longs[] = {
        {"input", required_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},
        {"precision", required_argument, NULL, 'p'},
        {"cpu", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct sosie_net_options options = {.ops = &sosie_ops_onednn};
    struct task task = {.batch = 0};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        switch (option) {
        case 'i':
            if (!add_file(task.inputs, &task.n_inputs, optarg))
                return cli_usage(NAME, "more than %d --input", MAX_FILES);
            break;
        case 'o':
            if (!add_file(task.outputs, &task.n_outputs, optarg))
                return cli_usage(NAME, "more than %d --output", MAX_FILES);
            break;
        case 'p':
            if (!cli_precision(NAME, optarg, &options.precision))
                return EXIT_USAGE;
            break;
        case 'c':
            if (!cli_cpu(NAME, optarg, &options))
                return EXIT_USAGE;
            break;
        case 'h':
            fputs(help, stdout);
            return cli_finish_output();
        default:
            return cli_bad_option(NAME, option, argv);
        }
    }
    if (argc - optind != 1 || !task.n_inputs || !task.n_outputs)
        return cli_usage(NAME, "needs one FILE, an --input and an --output");
    task.model = argv[optind];
    return run(&task, &options);
}
