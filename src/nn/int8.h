/* int8.h: quantised networks on integers.
 *
 * A file spells a quantised network with pairs of QuantizeLinear and
 * DequantizeLinear around float ops. The pass finds the ops whose inputs and
 * output stand between such pairs and makes them read and write the bytes
 * themselves (their values then have a `quant`); lowering turns those into
 * steps on the kernels of kernels/quantised.h. What stands between no such pair
 * stays float32 on oneDNN. */
#ifndef SOSIE_NN_INT8_H
#define SOSIE_NN_INT8_H

#include "kernels/quantised.h"
#include "nn/net_impl.h"

/* Rewrites the graph. Its result is for running only. A QUANTIZE may then have
 * a table, or a result that is not bytes but the floats that they stand for. */
SOSIE_MUST_CHECK enum sosie_status sosie_int8_pass(struct sosie_graph *graph,
                                                   struct sosie_error *err);

/* The part of it that makes tables. */
SOSIE_MUST_CHECK enum sosie_status sosie_int8_tables(struct sosie_graph *graph,
                                                     struct sosie_error *err);

/* True if the node reads or writes bytes. */
bool sosie_int8_node(const struct sosie_graph *graph,
                     const struct sosie_node *node);

/* ---- how bytes stand in memory ------------------------------------------- */

/* True for (1, channels, height, width). Of any other tensor, the last
 * dimension is taken for the channels and all before it for the width. */
bool sosie_is_picture(const struct sosie_shape *shape);

/* The size of a tensor's dimension of channels; 0 for a single number. */
size_t sosie_channels(const struct sosie_shape *shape);

/* A quantised tensor: pixels in rows, the channels of a pixel side by side,
 * with a margin that holds the byte of zero, so that convolutions need not know
 * where the picture ends. Signed bytes are kept with 128 added. */
struct sosie_qlayout {
    size_t height, width, channels;
    size_t top, left, bottom, right; /* margins, pixels */
    size_t pixel, row;               /* bytes from one to the next */
    size_t size;                     /* of the buffer */
    uint8_t zero;                    /* the byte that stands for 0 */
};

/* The layout of a tensor without margins. */
struct sosie_qlayout sosie_qlayout_of(const struct sosie_shape *shape,
                                      uint8_t zero);
/* The same tensor with these margins: top, left, bottom, right. */
struct sosie_qlayout sosie_qlayout_widen(struct sosie_qlayout layout,
                                         const size_t margins[4]);

/* Floats at the other side of a conversion: element (c, y, x) stands at
 * c * channel + y * row + x * pixel. */
enum { SOSIE_QCHUNK = 512 }; /* pixels that CONV works on at once, at most */

struct sosie_qfloats {
    size_t channel, row, pixel;
};

/* ---- steps --------------------------------------------------------------- */

enum sosie_qkind {
    SOSIE_Q_CONV,      /* x, weights, residual or none -> out */
    SOSIE_Q_DEPTHWISE, /* x, weights -> out */
    SOSIE_Q_SEPARABLE, /* x, weights, band, weights, residual or none -> out:
                          DEPTHWISE, then a 1x1 CONV, a band of rows at a time,
                          so that what is between stays in the cache */
    SOSIE_Q_MAP,       /* x -> out: a table */
    SOSIE_Q_ADD,       /* a, b -> out */
    SOSIE_Q_MUL,       /* a, b -> out */
    SOSIE_Q_SCALE,     /* x, one byte a channel, scratch -> out */
    SOSIE_Q_MEAN,      /* x, scratch -> out: over all pixels */
    SOSIE_Q_MAX_POOL,  /* x, scratch -> out */
    SOSIE_Q_CONCAT,    /* x... -> out */
    SOSIE_Q_QUANTISE,  /* floats -> out */
    SOSIE_Q_ROUND,     /* floats -> floats, by way of bytes */
    SOSIE_Q_DEQUANTISE /* x -> floats */
};

/* step->code of a step on bytes; its last argument is the result. */
struct sosie_qcode {
    enum sosie_qkind kind;
    struct sosie_qlayout in[2], out; /* of a floats' side: only the sizes */
    struct sosie_qfloats floats;
    struct sosie_window window;
    size_t group;            /* of CONV */
    size_t chunk;            /* pixels that CONV works on at once */
    struct sosie_qconv conv; /* the weights come with the arguments */
    struct sosie_qdepthwise depthwise;
    size_t abreast;                   /* pixels that DEPTHWISE takes for one */
    const struct sosie_qcode *before; /* of SEPARABLE: the DEPTHWISE */
    size_t band;                      /* rows, of SEPARABLE */
    struct sosie_qsum sum;       /* of ADD; of MUL: gain_a, shift and zeros */
    int32_t zero_a, zero_b;      /* of MUL and SCALE */
    float gain, shift;           /* of SCALE, MEAN and the conversions */
    float back_scale, back_zero; /* of ROUND and DEQUANTISE: from bytes */
    size_t n;                    /* floats, of ROUND */
    const struct sosie_qlayout *parts; /* of CONCAT */
    const uint8_t (*tables)[256];      /* of MAP: one; of CONCAT: one a part */
};

/* step->run of them all. */
void sosie_int8_run(const struct sosie_net_run *run,
                    const struct sosie_step *step);

/* "int8:conv", ... */
const char *sosie_qkind_name(enum sosie_qkind kind);

/* ---- lowering ------------------------------------------------------------ */

/* What the lowering of float ops does for conversions at its side. Strides are
 * elements, by the value's dimensions. */
struct sosie_int8_sides {
    void *lowering;
    /* Where a float value stands, in any strided layout. If it is an input of
     * the network that nothing has read, it takes the strides of `wish`. */
    enum sosie_status (*floats_in)(void *lowering, sosie_value_id id,
                                   const size_t wish[SOSIE_MAX_RANK],
                                   uint32_t *buffer,
                                   size_t strides[SOSIE_MAX_RANK],
                                   struct sosie_error *err);
    /* Both as one float after the other, *n of them: `out` takes the layout in
     * which `in` stands, padding included. */
    enum sosie_status (*floats_through)(void *lowering, sosie_value_id in,
                                        sosie_value_id out, uint32_t buffers[2],
                                        size_t *n, struct sosie_error *err);
    /* Makes room for a float value with these strides. */
    enum sosie_status (*floats_out)(void *lowering, sosie_value_id id,
                                    const size_t strides[SOSIE_MAX_RANK],
                                    uint32_t *buffer, struct sosie_error *err);
};

struct sosie_int8;

/* `sides` is borrowed; what is made lives as long as the net. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_start(struct sosie_net *net, const struct sosie_int8_sides *sides,
                 struct sosie_int8 **out, struct sosie_error *err);

/* Adds the steps of a node for which sosie_int8_node is true. */
SOSIE_MUST_CHECK enum sosie_status
sosie_int8_lower(struct sosie_int8 *int8, size_t node, struct sosie_error *err);

/* A function as quadratics whose result is multiplied and shifted: int8_act.c.
 */
void sosie_qact_fit(enum sosie_op op, struct sosie_act act, float gain,
                    float shift, struct sosie_qact *out);

#endif
