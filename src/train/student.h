/* student.h: the network that is trained: a body, an embedding, heads.
 *
 *   photo -> body -> features -> shape  (192)
 *                             -> colour  (64) -> logits of color
 *                             -> kind    (64) -> logits of class, gender, ...
 *
 * The body is that of an ONNX file, whose own classifier is left out, or one of
 * a family of our own. The features of a file are its own and the means of its
 * residual sums: on a shop's photos, linear discriminants of both find the same
 * product in another colour half as often again as those of its own alone. The
 * *aspects* of the embedding are functions of the features: what a product
 * looks like but for its colour, its colours, and what kind of thing it is.
 * They are apart because what draws photos of one class together pushes what
 * tells them from one another out of an embedding. They are linear, and start
 * as linear discriminants; of a file's network, kind and colour have a
 * perceptron of one hidden layer added, since no line parts all classes, and
 * that of colour looks through a small body of its own, too. Heads read the
 * aspect that their label belongs to. A file that training wrote is taken up
 * again with its aspects (its outputs of these names), and with those heads
 * whose labels are the same.
 *
 * What is written is standard ONNX: outputs `embedding`, `logits` (of the first
 * head), `<label>_logits` (of the others), and `features`, `shape`, `colour`,
 * `kind`; how the input is prepared, the labels and the aspects are in its
 * metadata (docs/formats.md). In the embedding an aspect that heads read stands
 * as the probabilities of their labels (softmax), whose cosine is how likely
 * two photos are to have the same label: of the 12 nearest by kind it finds
 * more of one kind than the aspect itself does (.771 for .724 of 315 phone
 * photos).
 *
 * The same options and seed make the same graph, value by value. Threads:
 * unshared. */
#ifndef SOSIE_TRAIN_STUDENT_H
#define SOSIE_TRAIN_STUDENT_H

#include "model/input.h"
#include "model/onnx_write.h"
#include "train/dataset.h"

enum sosie_student_aspect {
    SOSIE_STUDENT_SHAPE,
    SOSIE_STUDENT_COLOUR,
    SOSIE_STUDENT_KIND,
    SOSIE_STUDENT_ASPECTS
};

/* "shape", ... */
const char *sosie_student_aspect_name(enum sosie_student_aspect aspect);

struct sosie_student_head {
    const char *name; /* of the label: "class", "color", ... */
    size_t n_labels;
    const char *const *labels;
    enum sosie_student_aspect aspect; /* that it reads, if there is such */
};

struct sosie_student_options {
    const char *init; /* ONNX file; NULL: `arch` */
    const char *arch; /* see sosie_arch_names */
    uint32_t size;    /* of the input's sides, pixels; 0: as in the file */
    size_t dims[SOSIE_STUDENT_ASPECTS]; /* of the aspects; 0: there is none
                                     such, but SHAPE is always there */
    float
        weights[SOSIE_STUDENT_ASPECTS]; /* of a search that says nothing else */
    unsigned degrees[SOSIE_STUDENT_ASPECTS]; /* that their cosines count with */
    size_t n_heads;
    struct sosie_student_head heads[SOSIE_DATASET_MAX_COLUMNS];
    bool freeze;                          /* the features stay as they are */
    bool anew[SOSIE_STUDENT_ASPECTS];     /* not to be taken from the file */
    bool untaught[SOSIE_STUDENT_ASPECTS]; /* by any loss: no perceptron, no body
                                             of colours */
    uint64_t seed;                        /* of the weights that no file has */
};

/* A graph whose outputs are the aspects that there are, then each head's
 * logits, then the features. */
struct sosie_student {
    struct sosie_graph graph;
    struct sosie_input input; /* dense strides, NCHW or NHWC */
    sosie_value_id features;
    sosie_value_id first_new, end_new; /* values that no file gave: those of
                                          aspects and heads */
    bool *body; /* of each value: are the features made of it? */
    char scale[128], bias[128]; /* of the input, as in metadata */
    bool bgr;
    struct sosie_onnx onnx; /* lends the graph its constants, out of */
    unsigned char *bytes;   /* the file's */
};

/* The output that an aspect is; that of SHAPE for one that is not there. */
size_t sosie_student_output(const struct sosie_student_options *options,
                            enum sosie_student_aspect aspect);
size_t sosie_student_n_aspects(const struct sosie_student_options *options);

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

/* The name of head i's output (`what`: "logits"), or of its "labels" in the
 * metadata. Returns text. */
const char *sosie_student_head_name(const struct sosie_student_options *options,
                                    size_t i, const char *what, char text[96]);

/* "sosie-s, sosie-m, sosie-l". */
const char *sosie_arch_names(void);

/* Adds one of our own family's bodies, which reads `input`, to the graph;
 * weights are drawn by the seed (He et al. 2015).
 * *features: its output, (1, C). */
SOSIE_MUST_CHECK enum sosie_status
sosie_arch_add(struct sosie_graph *graph, const char *name,
               sosie_value_id input, uint64_t seed, sosie_value_id *features,
               struct sosie_error *err);

/* Adds a small body that looks at colours alone, (1, 256), in a photo made
 * small: functions of single pixels, whose means are a histogram that is
 * learned, and a few convolutions, which see what the photo is of. Its values'
 * names start with SOSIE_COLOUR_BODY. */
#define SOSIE_COLOUR_BODY "colour.body."
SOSIE_MUST_CHECK enum sosie_status
sosie_arch_add_colour(struct sosie_graph *graph, sosie_value_id input,
                      uint64_t seed, sosie_value_id *means_of,
                      struct sosie_error *err);

/* Adds a constant of normal numbers with this deviation, or of `deviation`
 * itself if random is NULL. */
struct sosie_random;
SOSIE_MUST_CHECK enum sosie_status
sosie_add_weights(struct sosie_graph *graph, const char *name,
                  const struct sosie_shape *shape, struct sosie_random *random,
                  float deviation, sosie_value_id *id, struct sosie_error *err);

#endif
