/* model.h: an ONNX file as Sosie uses it: network + labels + input preparation.
 *
 * The network is a graph of nn/; everything about its use is read from the
 * file's metadata_props:
 *   input.scale, input.bias  x = pixel * scale + bias, one number or one a
 *                            channel, separated by commas (default 1/255, 0)
 *   input.layout             NCHW (default) or NHWC
 *   input.color              RGB (default) or BGR
 *   input.fit                squash (default) or letterbox
 *   labels                   class names, one a line, in the order of `logits`
 *   logits.temperature       a positive number T (default 1): probabilities are
 *                            softmax(logits / T)
 *   embedding.aspects        "shape=256,colour=64": parts that the embedding is
 *                            made of, in this order, each to be made unit
 *                            length on its own; without it the embedding is
 *                            features, of which a catalog makes its aspects
 *   embedding.weights        "shape=1,colour=0.55": how much each counts
 *                            (default 1 each)
 *   embedding.degrees        "shape=4": the power that each one's cosine counts
 *                            with, 1 to 16 (default 1 each)
 *
 * Its first input is the photo (N, 3, H, W). The output named `embedding` (else
 * the first output of rank 2) is the embedding; the output named `logits`, if
 * there is one, gives the classes.
 *
 * Threads: a model is immutable and shared by many; a run (the buffers of one
 * worker) is unshared. */
#ifndef SOSIE_MODEL_MODEL_H
#define SOSIE_MODEL_MODEL_H

#include "base/hash.h"
#include "image/image.h"
#include "sosie/error.h"
#include "sosie/precision.h"

#include <stddef.h>
#include <stdint.h>

struct sosie_model;
struct sosie_model_run;

enum sosie_backend {
    SOSIE_BACKEND_ONEDNN,
    SOSIE_BACKEND_PLAIN /* the reference: plain C, slow */
};

struct sosie_model_options {
    enum sosie_backend backend;
    size_t max_batch; /* photos in one forward pass, at most; 1..64 */
    enum sosie_precision precision; /* AUTO: the fastest here */
};

/* oneDNN, batches of up to 4, f32. */
struct sosie_model_options sosie_model_options_defaults(void);

enum { SOSIE_MODEL_MAX_ASPECTS = 4, SOSIE_MODEL_MAX_DEGREE = 16 };

/* A part of an embedding that is a vector of its own. */
struct sosie_model_aspect {
    const char *name;
    size_t dim;
    double weight;   /* >= 0; not all are 0 */
    unsigned degree; /* 1.. */
};

/* What a model is; valid as long as the model. */
struct sosie_model_info {
    struct sosie_digest digest; /* of the file's bytes */
    uint32_t width, height;     /* of the input, pixels */
    enum sosie_fit fit;
    size_t dim;      /* elements of the embedding */
    size_t n_logits; /* 0 if there is no such output */
    size_t n_labels; /* 0, or equal to n_logits */
    const char *const *labels;
    double temperature; /* of the logits; > 0 */
    size_t n_aspects;   /* 0: none; else their dims add up to `dim` */
    struct sosie_model_aspect aspects[SOSIE_MODEL_MAX_ASPECTS];
    size_t n_parameters;
    enum sosie_precision precision; /* that it runs in; not AUTO */
};

/* Errors: NOT_FOUND, IO; BAD_INPUT if it is not an ONNX file, is damaged, or
 * its metadata is malformed; REFUSED, with the node's name and op, if it needs
 * something the engine does not have, or if the precision is not to be had on
 * this CPU or for this model; NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_model_open(const char *path, const struct sosie_model_options *options,
                 struct sosie_model **out, struct sosie_error *err);
/* The same from bytes in memory, which may go once it has returned. */
SOSIE_MUST_CHECK enum sosie_status
sosie_model_open_bytes(const void *bytes, size_t size,
                       const struct sosie_model_options *options,
                       struct sosie_model **out, struct sosie_error *err);
/* No run of it may be left. NULL is allowed. */
void sosie_model_close(struct sosie_model *model);

const struct sosie_model_info *sosie_model_info(const struct sosie_model *m);

/* The buffers that one worker needs for a forward pass; those of a larger batch
 * are made when the first one comes. */
SOSIE_MUST_CHECK enum sosie_status
sosie_model_run_create(const struct sosie_model *model,
                       struct sosie_model_run **out, struct sosie_error *err);
void sosie_model_run_destroy(struct sosie_model_run *run);

/* One forward pass over n photos (1 .. max_batch).
 *
 * rgb:       n pointers to 3 * width * height bytes, fitted to the input.
 * embedding: (n, dim), as the network gives it (not normalised).
 * logits:    (n, n_logits), or NULL.
 * The result for a photo is bit-identical in whatever batch or run. */
SOSIE_MUST_CHECK enum sosie_status
sosie_model_forward(struct sosie_model_run *run, const uint8_t *const *rgb,
                    size_t n, float *embedding, float *logits,
                    struct sosie_error *err);

#endif
