/* input.c: metadata -> look-up tables, pixels -> the network's input. */
#include "model/input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- metadata ------------------------------------------------------------ */

/* How many numbers, separated by commas, `text` is; 0 if it is something else
 * or more than three. */
static size_t parse_numbers(const char *text, double numbers[3])
{
    for (size_t n = 0; n < 3; n++) {
        char *end;
        numbers[n] = strtod(text, &end);
        if (end == text || !isfinite(numbers[n]))
            return 0;
        if (!*end)
            return n + 1;
        if (*end != ',')
            return 0;
        text = end + 1;
    }
    return 0;
}

/* One number for all three channels, or three. */
static enum sosie_status read_numbers(const struct sosie_onnx *onnx,
                                      const char *key, double usual,
                                      double numbers[3],
                                      struct sosie_error *err)
{
    const char *value = sosie_onnx_metadata(onnx, key);
    size_t n = 1;
    numbers[0] = usual;
    if (value)
        n = parse_numbers(value, numbers);
    if (n == 1)
        numbers[1] = numbers[2] = numbers[0];
    if (n == 1 || n == 3)
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "metadata '%s' is \"%.80s\"; expected one number or "
                      "three, separated by commas",
                      key, value);
}

/* Which of two words a key has; the first if it is not there. */
static enum sosie_status read_word(const struct sosie_onnx *onnx,
                                   const char *key, const char *first,
                                   const char *second, bool *is_second,
                                   struct sosie_error *err)
{
    const char *value = sosie_onnx_metadata(onnx, key);
    *is_second = value && !strcmp(value, second);
    if (!value || *is_second || !strcmp(value, first))
        return SOSIE_OK;
    return sosie_fail(err, SOSIE_BAD_INPUT,
                      "metadata '%s' is \"%.80s\"; expected %s or %s", key,
                      value, first, second);
}

/* ---- reading ------------------------------------------------------------- */

static enum sosie_status read_size(const struct sosie_onnx *onnx,
                                   struct sosie_input *input,
                                   struct sosie_error *err)
{
    const struct sosie_graph *graph = &onnx->graph;
    const struct sosie_shape *shape = &graph->values[graph->inputs[0]].shape;
    size_t first = input->channels_last ? 1 : 2;

    if (graph->n_inputs != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "%zu inputs; one, the photo, is supported",
                          graph->n_inputs);
    if (shape->rank && shape->dims[0] != 1)
        return sosie_fail(err, SOSIE_REFUSED,
                          "its batch is fixed at %zu; a name or 1 is supported",
                          shape->dims[0]);
    if (shape->rank != 4 || shape->dims[input->channels_last ? 3 : 1] != 3)
        return sosie_fail(err, SOSIE_REFUSED,
                          "the input is %s; expected a photo as %s",
                          sosie_shape_text(shape).text,
                          input->channels_last ? "Nx(height)x(width)x3"
                                               : "Nx3x(height)x(width)");
    input->height = (uint32_t)shape->dims[first];
    input->width = (uint32_t)shape->dims[first + 1];
    return SOSIE_OK;
}

enum sosie_status sosie_input_read(const struct sosie_onnx *onnx,
                                   struct sosie_input *input,
                                   struct sosie_error *err)
{
    double scale[3], bias[3];
    bool blue_first, letterbox;
    enum sosie_status st;

    if ((st = read_numbers(onnx, "input.scale", 1.0 / 255.0, scale, err)) ||
        (st = read_numbers(onnx, "input.bias", 0.0, bias, err)) ||
        (st = read_word(onnx, "input.layout", "NCHW", "NHWC",
                        &input->channels_last, err)) ||
        (st = read_word(onnx, "input.color", "RGB", "BGR", &blue_first, err)) ||
        (st = read_word(onnx, "input.fit", "squash", "letterbox", &letterbox,
                        err)) ||
        (st = read_size(onnx, input, err)))
        return st;
    input->fit = letterbox ? SOSIE_FIT_LETTERBOX : SOSIE_FIT_SQUASH;
    for (size_t c = 0; c < 3; c++) {
        input->from[c] = blue_first ? 2 - c : c;
        for (size_t p = 0; p < 256; p++)
            input->table[c][p] = (float)((double)p * scale[c] + bias[c]);
    }
    return SOSIE_OK;
}

void sosie_input_set_strides(struct sosie_input *input, const size_t strides[4])
{
    size_t first = input->channels_last ? 1 : 2;
    input->stride_c = strides[input->channels_last ? 3 : 1];
    input->stride_y = strides[first];
    input->stride_x = strides[first + 1];
}

void sosie_input_fill(const struct sosie_input *input, const uint8_t *rgb,
                      float *x)
{
    for (size_t y = 0; y < input->height; y++)
        for (size_t c = 0; c < 3; c++) {
            const uint8_t *from = rgb + 3 * y * input->width + input->from[c];
            float *to = x + y * input->stride_y + c * input->stride_c;
            for (size_t k = 0; k < input->width; k++)
                to[k * input->stride_x] = input->table[c][from[3 * k]];
        }
}
