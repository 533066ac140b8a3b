/* quantize.h: a float32 network and photos -> the network in 8 bits.
 *
 *   create     read, simplify, plan; a first pass over the photos: the range of
 *              every channel
 *   calibrate  a second pass: what the tensors hold, with their channels as
 *              they are or equalised
 *   write      ranges -> scales; weights in int8; pairs of QuantizeLinear and
 *              DequantizeLinear -> ONNX
 *
 * What comes out is standard ONNX with the metadata of the original:
 * activations in uint8 with one scale a tensor, weights in int8 with one a
 * channel of the result, biases in int32. What gains nothing from 8 bits (soft
 * maxima, layer norms, what makes the embedding) stays in float32.
 *
 * Threads: a quantizer is unshared, and stays on the calling thread. */
#ifndef SOSIE_MODEL_QUANTIZE_H
#define SOSIE_MODEL_QUANTIZE_H

#include "sosie/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the range that 256 numbers span is found from what a tensor held. */
enum sosie_range_method {
    SOSIE_RANGE_MSE,        /* least squared error */
    SOSIE_RANGE_PERCENTILE, /* all but 1 in 100,000 at either end */
    SOSIE_RANGE_MINMAX,     /* everything */
    SOSIE_N_RANGE_METHODS
};

/* "mse", "percentile", "minmax". */
const char *sosie_range_method_name(enum sosie_range_method method);

struct sosie_quantizer;

struct sosie_quantizer_options {
    /* Called during each pass, n_done of n photos through; false ends it with
     * CANCELLED. May be NULL. */
    bool (*progress)(void *context, size_t n_done, size_t n);
    void *context;
};

enum { SOSIE_QUANTIZER_MIN_PHOTOS = 8 };

/* path: an ONNX file; rgb: n photos fitted to its input, 3 * width * height
 * bytes each, borrowed for the life of the quantizer.
 * Errors: as sosie_network_read; BAD_INPUT for fewer than
 * SOSIE_QUANTIZER_MIN_PHOTOS photos; REFUSED for a network that is quantised
 * already, has nothing to quantise, or whose input is not a photo. */
SOSIE_MUST_CHECK enum sosie_status
sosie_quantizer_create(const char *path, const uint8_t *const *rgb, size_t n,
                       const struct sosie_quantizer_options *options,
                       struct sosie_quantizer **out, struct sosie_error *err);
/* NULL is allowed. */
void sosie_quantizer_destroy(struct sosie_quantizer *quantizer);

/* May be called again; once equalised, a network stays so. */
SOSIE_MUST_CHECK enum sosie_status
sosie_quantizer_calibrate(struct sosie_quantizer *quantizer, bool equalise,
                          struct sosie_error *err);

/* The quantised network, after a calibration: *bytes is owned by the caller
 * (free). */
SOSIE_MUST_CHECK enum sosie_status
sosie_quantizer_write(struct sosie_quantizer *quantizer,
                      enum sosie_range_method method, unsigned char **bytes,
                      size_t *size, struct sosie_error *err);

struct sosie_quantizer_info {
    size_t n_weights;   /* convolutions and matrix products in 8 bits */
    size_t n_tensors;   /* activations in 8 bits */
    size_t n_float;     /* nodes left in float32 */
    size_t n_equalised; /* streams of channels that were equalised */
};
struct sosie_quantizer_info
sosie_quantizer_info(const struct sosie_quantizer *quantizer);

#endif
