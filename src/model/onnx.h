/* onnx.h: an ONNX file as a graph, its named outputs, and its metadata.
 *
 * Opsets 7 to 21. Inputs are float32; everything is computed in float32, unless
 * it is quantised, whatever float types the file has. The first dimension of an
 * input may be open: the batch. Shapes are fixed when the file is read, and
 * what is computed from them or from other constants of whole numbers is
 * computed then; negative indices, axes as attributes or inputs and the like
 * have become one form. Files are hostile until read: names, order, element
 * counts, types and shapes are checked, and anything the engine does not have
 * is refused by name. */
#ifndef SOSIE_MODEL_ONNX_H
#define SOSIE_MODEL_ONNX_H

#include "nn/graph.h"

enum { SOSIE_OPSET_MIN = 7, SOSIE_OPSET_MAX = 21 };

struct sosie_onnx_output {
    const char *name;
    sosie_value_id value;
};

struct sosie_onnx {
    struct sosie_graph graph; /* with its inputs; who uses it picks outputs */
    struct sosie_onnx_output *outputs; /* in the file's order */
    size_t n_outputs;
    struct Onnx__ModelProto *message; /* the file's content */
    const void *bytes;                /* the file */
    size_t size;
};

/* Reads a file's bytes. Constants of the graph borrow their data from them and
 * from the message, so both must stay as long as the graph is used; a net that
 * was made of it needs them no longer.
 * folder: the one that the file is in, for weights in other files beside it;
 *         NULL: such are refused. They may not be outside of it.
 * Errors: BAD_INPUT if it is not ONNX or contradicts itself, REFUSED for what
 * is not supported, NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_read(const void *bytes, size_t size, const char *folder,
                struct sosie_onnx *onnx, struct sosie_error *err);
/* An all-zero one is allowed. */
void sosie_onnx_release(struct sosie_onnx *onnx);

/* True if it points into the file's bytes. */
bool sosie_onnx_borrows(const struct sosie_onnx *onnx, const void *data);

/* The value of a key of metadata_props, or NULL. */
const char *sosie_onnx_metadata(const struct sosie_onnx *onnx, const char *key);

#endif
