/* student.h: the network that is trained: a body, an embedding, heads.
 *
 *   photo -> body -> features -> shape  (256) -> logits of class, gender, ...
 *                             -> colour  (64) -> logits of color
 *
 * The body is that of an ONNX file, whose own classifier is left out, or one of
 * a family of our own. `shape` and `colour` are the aspects of the embedding,
 * each a linear function of the features; heads read the aspect that their
 * label belongs to. A file that training wrote is taken up again with its
 * aspects (its outputs of these names).
 *
 * What is written is standard ONNX: outputs `embedding` (the aspects, one after
 * the other), `logits` (of the first head), `<label>_logits` (of the others),
 * and `features`, `shape`, `colour`; how the input is prepared, the labels and
 * the aspects are in its metadata (docs/formats.md).
 *
 * The same options and seed make the same graph, value by value. Threads:
 * unshared. */
#ifndef SOSIE_TRAIN_STUDENT_H
#define SOSIE_TRAIN_STUDENT_H

#include "model/input.h"
#include "model/onnx_write.h"
#include "train/dataset.h"

struct sosie_student_head {
    const char *name; /* of the label: "class", "color", ... */
    size_t n_labels;
    const char *const *labels;
    bool of_colour; /* reads the aspect colour, otherwise shape */
};

struct sosie_student_options {
    const char *init; /* ONNX file; NULL: `arch` */
    const char *arch; /* see sosie_arch_names */
    uint32_t size;    /* of the input's sides, pixels; 0: as in the file */
    size_t shape_dim, colour_dim; /* colour_dim 0: no such aspect */
    size_t n_heads;
    struct sosie_student_head heads[SOSIE_DATASET_MAX_COLUMNS];
    uint64_t seed; /* of the weights that no file has */
};

/* A graph whose outputs are shape, colour (if there is one), then each head's
 * logits. */
struct sosie_student {
    struct sosie_graph graph;
    struct sosie_input input; /* dense strides, NCHW or NHWC */
    sosie_value_id features;
    char scale[128], bias[128]; /* of the input, as in metadata */
    bool bgr;
    struct sosie_onnx onnx; /* lends the graph its constants */
};

/* Errors: those of reading `init`; BAD_INPUT for an unknown arch (says which
 * there are); REFUSED for an input of two sizes, or a network that cannot be
 * resized (says which node). */
SOSIE_MUST_CHECK enum sosie_status
sosie_student_init(const struct sosie_student_options *options,
                   struct sosie_student *student, struct sosie_error *err);
/* An all-zero one is allowed. The graph may have been taken out. */
void sosie_student_release(struct sosie_student *student);

/* A trained block of parameters, and where they stand in it (trainable.h). */
struct sosie_student_params {
    const float *block;
    size_t n;
    const struct sosie_student_param {
        sosie_value_id value;
        size_t offset, n;
    } * all;
};

/* The network with these parameters as an ONNX file: *bytes is the caller's
 * (free). `metadata` is added to what the student says itself. */
SOSIE_MUST_CHECK enum sosie_status
sosie_student_write(const struct sosie_student_options *options,
                    const struct sosie_student_params *params,
                    const struct sosie_onnx_property *metadata,
                    size_t n_metadata, unsigned char **bytes, size_t *size,
                    struct sosie_error *err);

/* "sosie-s, sosie-m, sosie-l". */
const char *sosie_arch_names(void);

/* Adds one of our own family's bodies, which reads `input`, to the graph;
 * weights are drawn by the seed (He et al. 2015).
 * *features: its output, (1, C). */
SOSIE_MUST_CHECK enum sosie_status
sosie_arch_add(struct sosie_graph *graph, const char *name,
               sosie_value_id input, uint64_t seed, sosie_value_id *features,
               struct sosie_error *err);

/* Adds a constant of normal numbers with this deviation, or of `deviation`
 * itself if random is NULL. */
struct sosie_random;
SOSIE_MUST_CHECK enum sosie_status
sosie_add_weights(struct sosie_graph *graph, const char *name,
                  const struct sosie_shape *shape, struct sosie_random *random,
                  float deviation, sosie_value_id *id, struct sosie_error *err);

#endif
