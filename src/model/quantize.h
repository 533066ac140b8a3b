/* quantize.h: a float32 network and photos -> the network in 8 bits.
 *
 *   read, simplify -> plan -> ranges -> equalise -> histograms -> scales ->
 *   weights in int8, pairs of QuantizeLinear and DequantizeLinear -> ONNX
 *
 * The result is standard ONNX with the metadata of the original:
 * activations in uint8 with one scale a tensor, weights in int8 with one a
 * channel of the result, biases in int32. What gains nothing from 8 bits (soft
 * maxima, layer norms, what makes the embedding) stays in float32.
 *
 * Threads: any number at once; each call uses as many as its options say. */
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

struct sosie_quantize_options {
    enum sosie_range_method method;
    bool equalise;       /* channels of one tensor are brought to one range */
    bool correct_biases; /* for the mean of what rounding the weights changes */
    unsigned n_threads;
    /* Called as the calibration goes on; false ends it with CANCELLED. May be
     * NULL. */
    bool (*progress)(void *context, size_t n_done, size_t n);
    void *context;
};
struct sosie_quantize_options sosie_quantize_options_defaults(void);

enum { SOSIE_QUANTIZE_MIN_PHOTOS = 8 };

/* What was done. */
struct sosie_quantize_report {
    size_t n_weights;   /* convolutions and matrix products in 8 bits */
    size_t n_float;     /* nodes left in float32 that are none of these */
    size_t n_tensors;   /* activations in 8 bits */
    size_t n_equalised; /* streams of channels that were equalised */
};

/* path: an ONNX file; rgb: n photos fitted to its input, 3 * width * height
 * bytes each. *out, *out_size: the quantised file, owned by the caller (free).
 * Errors: as sosie_network_read; BAD_INPUT for fewer than
 * SOSIE_QUANTIZE_MIN_PHOTOS photos; REFUSED for a network that is quantised
 * already, has nothing to quantise, or whose input is not a photo. */
SOSIE_MUST_CHECK enum sosie_status
sosie_model_quantize(const char *path, const uint8_t *const *rgb, size_t n,
                     const struct sosie_quantize_options *options,
                     unsigned char **out, size_t *out_size,
                     struct sosie_quantize_report *report,
                     struct sosie_error *err);

#endif
