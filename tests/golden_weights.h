/* golden_weights.h: the weights and the picture of tools/golden/networks, made
 * again, to the bit, as weights.py there makes them (and says why so). */
#ifndef SOSIE_TESTS_GOLDEN_WEIGHTS_H
#define SOSIE_TESTS_GOLDEN_WEIGHTS_H

#include "check.h"
#include "model/onnx.pb-c.h"

/* FNV-1a, 64 bits. */
static inline uint64_t golden_hash(const char *text)
{
    uint64_t h = 0xCBF29CE484222325U;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001B3U;
    return h;
}

/* Number i of the sequence (splitmix64) that a hash starts; [-1, 1). */
static inline double golden_uniform(uint64_t hash, size_t i)
{
    uint64_t z = hash + ((uint64_t)i + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    z ^= z >> 31;
    return (double)(z >> 40) / 8388608.0 - 1.0;
}

/* The n elements of a tensor. `channels` and `inner` are a convolution's input
 * channels and elements a channel: odd channels are opposites of even ones, or,
 * if there is one, odd filters equal even ones. Of other tensors: 2 and n. */
static inline void golden_weights(const char *name, float center, float scale,
                                  size_t channels, size_t inner, float *out,
                                  size_t n)
{
    uint64_t hash = golden_hash(name);
    for (size_t i = 0; i < n; i++) {
        bool odd = (channels > 1 ? i / inner % channels : i / inner) % 2;
        double u = golden_uniform(hash, odd ? i - inner : i);
        if (odd && channels > 1)
            u = -u;
        out[i] = (float)((double)center + (double)scale * u);
    }
}

/* Element i of the picture (3, size, size). */
static inline float golden_picture(size_t size, size_t i)
{
    size_t x = i % size, y = i / size % size, channel = i / (size * size);
    size_t block = (channel * 8 + y * 8 / size) * 8 + x * 8 / size;
    return (float)(1.5 * golden_uniform(golden_hash("blocks"), block) +
                   0.5 * golden_uniform(golden_hash("noise"), i));
}

/* A float tensor of which only center and scale are there gets its elements. */
static inline void golden_fill_tensor(Onnx__TensorProto *tensor)
{
    bool kernel = tensor->n_dims == 4;
    size_t n = 1;
    float *weights;

    for (size_t d = 0; d < tensor->n_dims; d++)
        n *= (size_t)tensor->dims[d];
    if (tensor->data_type != 1 || n <= 16)
        return;
    assert_int_equal(tensor->n_float_data, 2);
    weights = malloc(n * sizeof(*weights));
    assert_non_null(weights);
    golden_weights(tensor->name, tensor->float_data[0], tensor->float_data[1],
                   kernel ? (size_t)tensor->dims[1] : 2,
                   kernel ? (size_t)(tensor->dims[2] * tensor->dims[3]) : n,
                   weights, n);
    tensor->n_float_data = 0;
    free(tensor->float_data);
    tensor->float_data = NULL;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)weights;
    tensor->raw_data.len = n * sizeof(*weights);
}

/* The bytes of a stripped ONNX file, with its weights; the caller frees them.
 */
static inline unsigned char *golden_fill(const unsigned char *bytes,
                                         size_t size, size_t *filled_size)
{
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, bytes);
    unsigned char *filled;

    assert_non_null(model);
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        golden_fill_tensor(model->graph->initializer[i]);
    *filled_size = onnx__model_proto__get_packed_size(model);
    filled = malloc(*filled_size);
    assert_non_null(filled);
    onnx__model_proto__pack(model, filled);
    onnx__model_proto__free_unpacked(model, NULL);
    return filled;
}

#endif
