/* trainable_impl.h: the inside of a trainable.
 *
 *   trainable.c            what is trained; memory; runs
 *   trainable_lower.c      the walk over the nodes; ops in plain C
 *   trainable_onednn.c     the ops that oneDNN has
 *
 * Lowering turns each node into *actions*, some for the forward pass and some
 * for the backward pass: a primitive of oneDNN, or one of a few functions of
 * our own. An action's arguments say in which *place* they stand. How long a
 * value, or its gradient, is needed is found from the actions that touch it.
 *
 * The gradient of a value that several nodes read is a sum: the first of them
 * in the backward pass writes it, the others add to it. */
#ifndef SOSIE_NN_TRAINABLE_IMPL_H
#define SOSIE_NN_TRAINABLE_IMPL_H

#include "nn/dnnl.h"
#include "nn/gradients.h"
#include "nn/plan.h"
#include "nn/trainable.h"

enum sosie_place {
    SOSIE_AT_VALUE,      /* a value; index: its id */
    SOSIE_AT_GRAD,       /* its gradient */
    SOSIE_AT_KEPT,       /* what a node keeps for its backward pass; a node */
    SOSIE_AT_TEMP,       /* within one node and direction; a byte offset */
    SOSIE_AT_PARAM,      /* index: float offset */
    SOSIE_AT_PARAM_GRAD, /* likewise */
    SOSIE_AT_PACKED,     /* byte offset */
    SOSIE_AT_CONSTANT,   /* a value */
    SOSIE_AT_OUTPUT,     /* an output, dense; its number */
    SOSIE_AT_OUTPUT_GRAD,
    SOSIE_AT_SCRATCH,
    SOSIE_AT_NOTHING
};

/* A tensor: where it stands and how its elements lie. */
struct sosie_spot {
    enum sosie_place place;
    size_t index;
    sosie_md md;
};

enum sosie_action_kind {
    SOSIE_DO_PRIMITIVE,
    SOSIE_DO_FORWARD,  /* a function of gradients.h; spots: inputs, output */
    SOSIE_DO_BACKWARD, /* inputs, output, output's gradient, inputs' */
    SOSIE_DO_ADD,      /* spot 0 += spot 1, floats of one layout */
    SOSIE_DO_COPY      /* spot 0 = spot 1, of one layout */
};

struct sosie_action {
    enum sosie_action_kind kind;
    dnnl_primitive_t primitive;
    struct sosie_gradient_call *call; /* without its pointers */
    size_t n_spots;
    struct sosie_spot *spots;
    int *ids; /* of PRIMITIVE: DNNL_ARG_SRC, ... */
};

struct sosie_actions {
    struct sosie_action *all;
    size_t n, room;
};

struct sosie_trainable_value {
    struct sosie_shape shape; /* with the batch */
    sosie_md md;              /* NULL: not computed (yet) */
    bool wants_grad;
    bool has_grad; /* while lowering backward: something was written to it */
    struct sosie_extent extent, grad_extent; /* size 0: not used */
};

struct sosie_trainable {
    struct sosie_graph graph;
    struct sosie_trainable_options options;
    struct sosie_arena arena; /* of what lowering makes */
    struct sosie_mds mds;
    dnnl_engine_t engine;
    dnnl_stream_t stream; /* for packing */
    dnnl_primitive_attr_t attr;

    struct sosie_param *params;
    size_t n_params;
    uint32_t *param_of; /* of each value; UINT32_MAX: none */
    float *block;
    size_t n_floats;

    struct sosie_trainable_value *values;
    struct sosie_extent *kept; /* of each node */
    const char *(*names)[2];   /* of each node: forward, backward */
    struct sosie_actions forward, backward, pack;
    size_t planned_size, temp_size, scratch_size, packed_size, outputs_size;
    size_t output_offsets[SOSIE_TRAINABLE_MAX_OUTPUTS]; /* bytes */
    unsigned char *packed;
};

/* Room for every action's primitives' memories and calls is made when a run is
 * created: all pointers are known then. */
SOSIE_MUST_CHECK enum sosie_status
sosie_trainable_lower(struct sosie_trainable *t, struct sosie_error *err);

/* ---- lowering ------------------------------------------------------------ */

/* A walk in progress. */
struct sosie_trainable_walk {
    struct sosie_trainable *t;
    const struct sosie_node *node;
    size_t time; /* nodes forward, then nodes backward */
    struct sosie_actions *actions;
    size_t temp; /* bytes of it used by this node so far */
    bool *done;  /* of each node: done together with an earlier one */
    uint32_t *n_uses, *only_user; /* of each value */
    void **hints; /* of each node: the forward primitive's descriptor */
};

/* Adds an action that touches these spots now. ids may be NULL. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_emit(struct sosie_trainable_walk *walk,
                    const struct sosie_action *action, struct sosie_error *err);
/* Adds a primitive and its scratchpad. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_primitive(struct sosie_trainable_walk *walk,
                         const_dnnl_primitive_desc_t pd,
                         const struct sosie_spot *spots, const int *ids,
                         size_t n, struct sosie_error *err);
/* A temporary of this layout. */
struct sosie_spot sosie_training_temp(struct sosie_trainable_walk *walk,
                                      sosie_md md);
/* `spot` in layout `md`: itself, or a reordered temporary. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_as(struct sosie_trainable_walk *walk, struct sosie_spot spot,
                  sosie_md md, struct sosie_spot *out, struct sosie_error *err);
/* Where the gradient of `id` in layout `md` is to be written; then
 * sosie_training_give brings it to where it belongs. */
struct sosie_spot sosie_training_take(struct sosie_trainable_walk *walk,
                                      sosie_value_id id, sosie_md md);
SOSIE_MUST_CHECK enum sosie_status
sosie_training_give(struct sosie_trainable_walk *walk, sosie_value_id id,
                    struct sosie_spot spot, struct sosie_error *err);

struct sosie_spot sosie_training_value(const struct sosie_trainable_walk *walk,
                                       sosie_value_id id);
struct sosie_spot sosie_training_grad(const struct sosie_trainable_walk *walk,
                                      sosie_value_id id);
/* The layout in which every element stands where ONNX has it. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_dense(struct sosie_trainable_walk *walk,
                     const struct sosie_shape *shape, sosie_md *md,
                     struct sosie_error *err);

/* oneDNN's way of a node; *done is false if it has none: plain C then. Backward
 * is asked only for nodes that went forward this way. */
SOSIE_MUST_CHECK enum sosie_status
sosie_training_onednn_forward(struct sosie_trainable_walk *walk, bool *done,
                              struct sosie_error *err);
SOSIE_MUST_CHECK enum sosie_status
sosie_training_onednn_backward(struct sosie_trainable_walk *walk,
                               struct sosie_error *err);

#endif
