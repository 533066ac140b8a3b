/* onnx.c: any bytes as a model file. What the reader lets through must become
 * a network on both sets of ops, or be refused in order. Corpus: tests/golden.
 */
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sosie_model_options options = sosie_model_options_defaults();
    struct sosie_model *model;
    struct sosie_error err;

    options.backend = SOSIE_BACKEND_PLAIN;
    if (sosie_model_open_bytes(data, size, &options, &model, &err))
        return 0;
    sosie_model_close(model);
    options.backend = SOSIE_BACKEND_ONEDNN;
    if (!sosie_model_open_bytes(data, size, &options, &model, &err))
        sosie_model_close(model);
    return 0;
}
