/* onnx_write_private.h: what the parts of the ONNX writer share.
 *
 *   onnx_write.c        the file: names, tensors, inputs and outputs
 *   onnx_write_batch.c  how the network looks for any batch
 *   onnx_write_ops.c    each of our ops as one of ONNX's, or several */
#ifndef SOSIE_MODEL_ONNX_WRITE_PRIVATE_H
#define SOSIE_MODEL_ONNX_WRITE_PRIVATE_H

#include "base/arena.h"
#include "model/onnx.pb-c.h"
#include "model/onnx_private.h"
#include "model/onnx_write.h"

/* ---- the batch ----------------------------------------------------------- */

/* The same network for a batch of 2: what differs in its shapes is the batch.
 */
struct sosie_onnx_batch {
    bool is_open;             /* it runs with any batch */
    struct sosie_graph twice; /* values have the graph's places; no nodes */
    size_t *outer;            /* of each value, see onnx_write_batch.c */
};

/* Sets is_open; that a network is only for a batch of 1 is no failure. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_batch_init(const struct sosie_graph *graph,
                      const struct sosie_onnx_names *names,
                      struct sosie_onnx_batch *batch, struct sosie_error *err);
void sosie_onnx_batch_release(struct sosie_onnx_batch *batch);

/* Where the batch is in a value's shape, or its rank if it isn't there. */
size_t sosie_onnx_batch_axis(const struct sosie_onnx_batch *batch,
                             const struct sosie_graph *graph,
                             sosie_value_id value);

/* The shape for a Reshape of one value to the other, with 0 or -1 where the
 * batch is. */
void sosie_onnx_batch_dims(const struct sosie_onnx_batch *batch,
                           const struct sosie_graph *graph, sosie_value_id from,
                           sosie_value_id to, int64_t dims[SOSIE_MAX_RANK]);

/* Must input k of a Concat, a constant, be repeated for each of the batch? */
bool sosie_onnx_batch_repeats(const struct sosie_onnx_batch *batch,
                              const struct sosie_graph *graph,
                              const struct sosie_node *node, size_t k);

/* ---- the message --------------------------------------------------------- */

/* Names that are taken: open addressing in a table at most half full. */
struct sosie_onnx_taken {
    char **names; /* NULL: free */
    size_t n, room;
};

/* When memory runs out, that is kept, nodes are NULL, names are empty, and all
 * below takes that: what writes needs no checks in between. */
struct sosie_onnx_writer {
    struct sosie_arena arena; /* of the message */
    const struct sosie_graph *graph;
    struct sosie_onnx_batch batch;
    struct sosie_onnx_taken values, nodes;
    char **names; /* of the graph's values; NULL: not written yet */
    Onnx__GraphProto proto;
    bool out_of_memory;
};

/* The name of a value; constants are written when they are first asked for. */
char *sosie_onnx_name_of(struct sosie_onnx_writer *writer, sosie_value_id id);
/* A name like `wanted` that nobody has. */
char *sosie_onnx_new_name(struct sosie_onnx_writer *writer, const char *wanted);

/* Adds a node. */
Onnx__NodeProto *sosie_onnx_add_node(struct sosie_onnx_writer *writer,
                                     const char *op, const char *name,
                                     char *output);
void sosie_onnx_add_input(struct sosie_onnx_writer *writer,
                          Onnx__NodeProto *node, char *name);
void sosie_onnx_add_int(struct sosie_onnx_writer *writer, Onnx__NodeProto *node,
                        const char *name, int64_t value);
void sosie_onnx_add_float(struct sosie_onnx_writer *writer,
                          Onnx__NodeProto *node, const char *name, float value);
void sosie_onnx_add_string(struct sosie_onnx_writer *writer,
                           Onnx__NodeProto *node, const char *name,
                           const char *value);
void sosie_onnx_add_ints(struct sosie_onnx_writer *writer,
                         Onnx__NodeProto *node, const char *name,
                         const int64_t *values, size_t n);

/* Writes a constant that is no value of the graph, copied; returns its name,
 * made from `wanted`. `type`: as ONNX numbers them. */
char *sosie_onnx_add_tensor(struct sosie_onnx_writer *writer,
                            const char *wanted, int32_t type,
                            const struct sosie_shape *shape, const void *data,
                            size_t size);
char *sosie_onnx_add_list(struct sosie_onnx_writer *writer, const char *wanted,
                          const int64_t *values, size_t n);

/* Writes a node of the graph. */
void sosie_onnx_write_node(struct sosie_onnx_writer *writer,
                           const struct sosie_node *node);

#endif
