/* net_impl.h: the inside of a net, for net.c and the two sets of ops.
 *
 * Lowering turns nodes into *steps* that read and write *buffers*. Both ends
 * are plain data: net.c plans the memory from them, and the ops bind and run
 * them. */
#ifndef SOSIE_NN_NET_IMPL_H
#define SOSIE_NN_NET_IMPL_H

#include "nn/net.h"
#include "nn/plan.h"

enum { SOSIE_MAX_ARGS = SOSIE_MAX_INPUTS + 4 };

#define SOSIE_NO_BUFFER UINT32_MAX

/* Memory of one tensor, in a run's arena or, if it comes from a constant,
 * among the net's parameters. Views of a tensor share its buffer. */
struct sosie_buffer {
    struct sosie_extent extent; /* of constants: only size and offset */
    sosie_value_id constant;    /* filled from this; or SOSIE_NO_VALUE */
    const void *packing;        /* the ops' own: how it is filled */
    /* Fills it from the constant's elements; NULL: the ops know how. */
    enum sosie_status (*fill)(const void *packing, const void *data,
                              void *memory, struct sosie_error *err);
};

struct sosie_step {
    size_t node; /* index into the graph */
    const char *implementation;
    unsigned wanted; /* as in sosie_net_run_forward: who depends on it */
    size_t n_args;
    uint32_t args[SOSIE_MAX_ARGS]; /* buffers, in the order the ops like;
                                      SOSIE_NO_BUFFER: not given */
    /* Runs it, if it is our own code; NULL if the ops know how. */
    void (*run)(const struct sosie_net_run *run, const struct sosie_step *step);
    void *code; /* the ops' own: what is run */
};

struct sosie_net {
    const struct sosie_ops *ops;
    struct sosie_net_options options;
    struct sosie_graph graph;
    unsigned *wanted; /* of each node: the outputs that depend on it */
    struct sosie_buffer *buffers;
    size_t n_buffers, buffers_room;
    struct sosie_step *steps;
    size_t n_steps, steps_room;
    uint32_t inputs[SOSIE_MAX_ENDS], outputs[SOSIE_MAX_OUTPUTS]; /* buffers */
    size_t input_strides[SOSIE_MAX_ENDS][SOSIE_MAX_RANK];
    size_t arena_size, parameters_size;
    size_t batch_split; /* net.c: from here on, step by step */
    unsigned char *parameters;
    void *backend; /* the ops' own */
};

struct sosie_net_run {
    const struct sosie_net *net;
    unsigned char *arena;
    void *backend; /* the ops' own */
};

/* A set of ops. `release` and `unbind` accept what a failure left half done. */
struct sosie_ops {
    /* Fills buffers, steps, inputs and outputs of a net from its graph. */
    enum sosie_status (*lower)(struct sosie_net *net, struct sosie_error *err);
    void (*release)(struct sosie_net *net);
    /* Fills a constant's buffer, at `memory`, from its elements. */
    enum sosie_status (*pack)(const struct sosie_net *net,
                              const struct sosie_buffer *buffer,
                              const void *data, void *memory,
                              struct sosie_error *err);
    /* Makes what a run needs once its arena is there. */
    enum sosie_status (*bind)(struct sosie_net_run *run,
                              struct sosie_error *err);
    void (*unbind)(struct sosie_net_run *run);
    /* Runs steps[first .. last-1], as far as they are wanted. */
    enum sosie_status (*forward)(struct sosie_net_run *run, size_t first,
                                 size_t last, unsigned wanted,
                                 struct sosie_error *err);
    /* Lowers what int8_pass.c makes; otherwise QuantizeLinear and
     * DequantizeLinear are run as they stand. */
    bool has_int8;
};

/* A buffer of `size` bytes; `constant` is the value it is filled from, or
 * SOSIE_NO_VALUE. */
SOSIE_MUST_CHECK enum sosie_status
sosie_net_add_buffer(struct sosie_net *net, size_t size,
                     sosie_value_id constant, const void *packing, uint32_t *id,
                     struct sosie_error *err);

/* A step. Its buffers are then in use up to this step, from where they were
 * first. `implementation` is borrowed. */
SOSIE_MUST_CHECK enum sosie_status
sosie_net_add_step(struct sosie_net *net, const struct sosie_step *step,
                   struct sosie_error *err);

/* Where a buffer lies for a run; NULL for SOSIE_NO_BUFFER. */
void *sosie_run_buffer(const struct sosie_net_run *run, uint32_t id);

/* An op in plain C: reads in[], one for each input of the node (NULL if it is
 * not given), and writes out; all dense and row-major. */
typedef void sosie_plain_op(const struct sosie_graph *graph,
                            const struct sosie_node *node,
                            const float *const *in, float *out);

/* NULL for ops that only look at their input in another shape. */
sosie_plain_op *sosie_plain_op_of(enum sosie_op op);

/* A constant's elements as floats, whatever they are. */
void sosie_plain_floats(const struct sosie_value *value, float *out);

/* Runs a step whose args are the node's inputs and then its output. */
void sosie_plain_step(const struct sosie_net_run *run,
                      const struct sosie_step *step);

#endif
