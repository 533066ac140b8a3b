/* trainable.h: a graph made ready to be trained, and the memory to train it in.
 *
 *   graph -> actions forward and backward, memory planned -> runs
 *
 * A *trainable* holds the parameters, packed for its primitives; each *run* has
 * the activations and gradients of one *shard*: some photos of a batch, that
 * one thread takes forward and backward. A batch is several shards; who trains
 * sums their gradients, in order, so that a step's result does not depend on
 * how many threads there are. Batch normalisation, too, works within a shard
 * (Hoffer et al. 2017).
 *
 *   sosie_trainable_run_input      fill: the photos
 *   sosie_trainable_run_forward
 *   sosie_trainable_run_output     read
 *   sosie_trainable_run_output_grad fill: the loss's gradient
 *   sosie_trainable_run_backward
 *   sosie_trainable_run_grads      read
 *   ... change sosie_trainable_params, then sosie_trainable_pack
 *
 * Everything runs on oneDNN where it has the op, else in plain C
 * (nn/gradients.h); or all in plain C, the reference.
 *
 * Threads: a trainable is shared by runs that work; its parameters may only be
 * changed and packed while none does. A run is unshared. */
#ifndef SOSIE_NN_TRAINABLE_H
#define SOSIE_NN_TRAINABLE_H

#include "nn/graph.h"

struct sosie_trainable;
struct sosie_trainable_run;

enum { SOSIE_TRAINABLE_MAX_OUTPUTS = 16 };

struct sosie_trainable_options {
    size_t n;   /* photos of a shard */
    bool plain; /* plain C instead of oneDNN */
    bool bf16;  /* activations and their gradients in bfloat16; parameters and
                   their gradients stay in float32 */
    /* Of each value whether it stays as it is, if it is a constant that could
     * be trained; NULL: none does. What leads to nothing else has no backward
     * pass; batch normalisations there still take a batch's statistics. Read
     * while the trainable is created. */
    const bool *frozen;
};

enum sosie_param_kind {
    SOSIE_PARAM_WEIGHT,
    SOSIE_PARAM_BIAS,  /* and what shifts a normalisation */
    SOSIE_PARAM_SCALE, /* of a normalisation */
    /* Of BatchNormalization: not trained. Their "gradients" are the mean and
     * the biased variance of the shard; who trains keeps running averages. */
    SOSIE_PARAM_MEAN,
    SOSIE_PARAM_VARIANCE
};

/* A constant of the graph that training changes. */
struct sosie_param {
    sosie_value_id value;
    enum sosie_param_kind kind;
    bool is_trained;  /* else its gradient means nothing */
    size_t offset, n; /* floats in the block */
};

/* Makes what is needed to train `graph`, whose outputs are those that losses
 * are taken of. The graph is taken over and left empty, whatever happens; the
 * parameters start as its constants, whose data must stay. Nodes that no output
 * needs are dropped.
 * Errors: BAD_INPUT for no photos or more than 4096; REFUSED, with the node's
 * name, for an op without a gradient, one that mixes the photos of a batch, one
 * constant trained by two nodes, quantised nodes, bf16 without the
 * instructions, too much memory; NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainable_create(struct sosie_graph *graph,
                       const struct sosie_trainable_options *options,
                       struct sosie_trainable **out, struct sosie_error *err);
/* No run may be left. NULL is allowed. */
void sosie_trainable_destroy(struct sosie_trainable *trainable);

/* The graph it was made of; its constants' data are those of the start. */
const struct sosie_graph *
sosie_trainable_graph(const struct sosie_trainable *trainable);

/* Valid as long as it is. */
const struct sosie_param *
sosie_trainable_param_list(const struct sosie_trainable *trainable, size_t *n);

/* All parameters: *n floats, in the order of the graph's nodes. */
float *sosie_trainable_params(struct sosie_trainable *trainable, size_t *n);

/* Makes the parameters those that the next passes use. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainable_pack(struct sosie_trainable *trainable,
                     struct sosie_error *err);

/* Bytes of a run. */
size_t sosie_trainable_run_size(const struct sosie_trainable *trainable);

/* How node i of the graph goes forward and backward: "jit:avx2", ..., "plain";
 * NULL if it is done together with another. */
const char *
sosie_trainable_implementation(const struct sosie_trainable *trainable,
                               size_t node, bool backward);

SOSIE_MUST_CHECK enum sosie_status
sosie_trainable_run_create(const struct sosie_trainable *trainable,
                           struct sosie_trainable_run **out,
                           struct sosie_error *err);
void sosie_trainable_run_destroy(struct sosie_trainable_run *run);

/* The network's first input, dense: (n, 3, H, W). A forward pass leaves it as
 * it is; a backward pass needs it. */
float *sosie_trainable_run_input(struct sosie_trainable_run *run);

/* Output k, dense: (n, ...); valid until the next forward pass. And the
 * gradient of the loss in it, to be filled before a backward pass. */
const float *sosie_trainable_run_output(const struct sosie_trainable_run *run,
                                        size_t k);
float *sosie_trainable_run_output_grad(struct sosie_trainable_run *run,
                                       size_t k);

SOSIE_MUST_CHECK enum sosie_status
sosie_trainable_run_forward(struct sosie_trainable_run *run,
                            struct sosie_error *err);
/* After a forward pass, once. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainable_run_backward(struct sosie_trainable_run *run,
                             struct sosie_error *err);

/* The gradients of all parameters, laid out as they are. */
const float *sosie_trainable_run_grads(const struct sosie_trainable_run *run);

#endif
