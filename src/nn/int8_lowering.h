/* int8_lowering.h: what the files that lower nodes on bytes share.
 *
 *   int8_lower.c        any node; tensors, tables, and conversions of floats
 *   int8_lower_conv.c   convolutions and matrix products
 *   int8_lower_math.c   sums, products and means, pools and Concat
 *
 * All memory is the net's: bytes are buffers of its plan, and what steps hold
 * lives in its arena. */
#ifndef SOSIE_NN_INT8_LOWERING_H
#define SOSIE_NN_INT8_LOWERING_H

#include "nn/int8.h"

#include <math.h>

/* Bytes of a value. */
struct sosie_int8_tensor {
    bool is_there; /* in `buffer`; otherwise table[root], if there is a root */
    uint32_t buffer;
    struct sosie_qlayout layout;
    sosie_value_id root;
    size_t node; /* that makes it */
    uint8_t table[256];
};

struct sosie_int8_margins {
    size_t of[4];
};

struct sosie_int8 {
    struct sosie_net *net;
    struct sosie_arena *arena;
    const struct sosie_int8_sides *sides;
    struct sosie_int8_tensor *tensors;  /* of each value */
    struct sosie_int8_margins *margins; /* that each value's readers want */
    size_t node;                        /* at work */
    const uint32_t *n_uses; /* of each value, as a graph's output, too */
};

/* Reports that there is no memory for a step. */
enum sosie_status sosie_int8_no_memory(struct sosie_error *err);

/* ---- what bytes mean ----------------------------------------------------- */

/* One scale and one zero point, as of unsigned bytes. */
struct sosie_int8_meaning {
    float scale;
    int32_t zero;
};

static inline const struct sosie_value *
sosie_int8_value(const struct sosie_int8 *int8, sosie_value_id id)
{
    return &int8->net->graph.values[id];
}

/* Rounded to the nearest, ties to even, within 0..255. */
static inline uint8_t sosie_int8_to_byte(double x)
{
    x = rint(x);
    return (uint8_t)(x > 0 ? (x < 255 ? x : 255) : 0);
}

/* The quantisation of a value of ours, or, between two nodes that are not, of
 * the node at work. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_read_meaning(const struct sosie_int8 *int8, sosie_value_id id,
                        struct sosie_int8_meaning *out,
                        struct sosie_error *err);

/* ---- steps and tensors --------------------------------------------------- */

/* Adds a step for `node`; `code` is copied. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_add_step(struct sosie_int8 *int8, size_t node,
                    const struct sosie_qcode *code, const uint32_t *args,
                    size_t n_args, struct sosie_error *err);

/* Room for the bytes of a value, with the margins its readers want. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_new_tensor(struct sosie_int8 *int8, sosie_value_id id,
                      struct sosie_int8_tensor *tensor,
                      struct sosie_error *err);

/* A value's bytes, in its buffer; *out is borrowed. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_bytes_of(struct sosie_int8 *int8, sosie_value_id id,
                    struct sosie_int8_tensor **out, struct sosie_error *err);

/* The same with at least these margins: top, left, bottom, right. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_bytes_with(struct sosie_int8 *int8, sosie_value_id id,
                      const size_t margins[4], struct sosie_int8_tensor *out,
                      struct sosie_error *err);

/* Floats that a step writes: channels side by side. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_floats_out(struct sosie_int8 *int8, sosie_value_id id,
                      uint32_t *buffer, struct sosie_error *err);

/* ---- functions of one byte ----------------------------------------------- */

/* Bytes with one meaning as bytes with another, through the function `act`, or
 * NULL. */
void sosie_int8_make_table(struct sosie_int8_meaning from,
                           struct sosie_int8_meaning to,
                           const struct sosie_node *act, uint8_t table[256]);

/* A copy that lives as long as the net; NULL: no memory. */
const uint8_t (*sosie_int8_keep_table(struct sosie_int8 *int8,
                                      const uint8_t table[256]))[256];

/* The value becomes a table over the root of `from`; f maps bytes of `from`. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_set_table(struct sosie_int8 *int8, sosie_value_id from,
                     const uint8_t f[256], sosie_value_id to,
                     struct sosie_error *err);

/* ---- ops ----------------------------------------------------------------- */

/* Each adds the steps of one node. */
typedef enum sosie_status sosie_int8_lower_op(struct sosie_int8 *int8,
                                              const struct sosie_node *node,
                                              struct sosie_error *err);

sosie_int8_lower_op sosie_int8_lower_conv; /* Gemm and MatMul, too */
sosie_int8_lower_op sosie_int8_lower_binary, sosie_int8_lower_mean,
    sosie_int8_lower_max_pool, sosie_int8_lower_concat;

#endif
