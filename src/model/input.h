/* input.h: how a model's input is prepared from pixels.
 *
 * x = pixel * scale + bias, in the channel order and layout that the network
 * wants. Since a pixel has 256 values, this is one look-up. */
#ifndef SOSIE_MODEL_INPUT_H
#define SOSIE_MODEL_INPUT_H

#include "image/image.h"
#include "model/onnx.h"

struct sosie_input {
    uint32_t width, height;
    enum sosie_fit fit;
    bool channels_last;  /* the network's dimensions are N, H, W, C */
    size_t from[3];      /* which of R, G, B channel c is */
    float table[3][256]; /* channel c's values */
    size_t stride_c, stride_y, stride_x; /* of the network's input, elements */
};

/* Reads it from the graph's only input and the metadata; the strides are not
 * known yet (sosie_input_set_strides). BAD_INPUT for malformed metadata,
 * REFUSED for an input that is not a photo. */
SOSIE_MUST_CHECK enum sosie_status
sosie_input_read(const struct sosie_onnx *onnx, struct sosie_input *input,
                 struct sosie_error *err);

/* `strides`: of the network's input, by its dimensions. */
void sosie_input_set_strides(struct sosie_input *input,
                             const size_t strides[4]);

/* rgb: 3 * width * height bytes; x: the network's input. */
void sosie_input_fill(const struct sosie_input *input, const uint8_t *rgb,
                      float *x);

#endif
