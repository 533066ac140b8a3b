/* onnx_write.h: a graph -> the bytes of an ONNX file.
 *
 * Opset 20, weights inside the file. The batch, dimension 0 of the inputs, is
 * written open ("N") where the network runs with any: shapes inside are then
 * written relative to it. Swish is written as x * Sigmoid(x). */
#ifndef SOSIE_MODEL_ONNX_WRITE_H
#define SOSIE_MODEL_ONNX_WRITE_H

#include "model/onnx.h"

/* An entry of metadata_props. */
struct sosie_onnx_property {
    const char *key, *value;
};

/* What a file says beside its graph. */
struct sosie_onnx_names {
    const char *graph; /* the network's name; NULL: "sosie" */
    /* The graph's outputs and what they are called; inputs keep the names that
     * their values have. */
    const struct sosie_onnx_output *outputs;
    size_t n_outputs;
    const struct sosie_onnx_property *metadata;
    size_t n_metadata;
};

/* graph: as sosie_graph_simplify leaves it, without posts; its own list of
 * outputs is not looked at. Nodes and values keep their names; one that is
 * taken, or empty, gets a number.
 * *bytes, *size: the file, owned by the caller (free).
 * Errors: BAD_INPUT if two inputs or outputs have one name, or an output is not
 * in the graph; REFUSED if the file would be larger than ONNX allows (2 GiB);
 * NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_write(const struct sosie_graph *graph,
                 const struct sosie_onnx_names *names, unsigned char **bytes,
                 size_t *size, struct sosie_error *err);

#endif
