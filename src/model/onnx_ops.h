/* onnx_ops.h: ONNX's nodes as ours. */
#ifndef SOSIE_MODEL_ONNX_OPS_H
#define SOSIE_MODEL_ONNX_OPS_H

#include "model/onnx.pb-c.h"
#include "nn/graph.h"

/* AttributeProto.type and TensorProto.data_type, as far as we read them. */
enum {
    ONNX_ATTRIBUTE_FLOAT = 1,
    ONNX_ATTRIBUTE_INT = 2,
    ONNX_ATTRIBUTE_STRING = 3,
    ONNX_ATTRIBUTE_TENSOR = 4,
    ONNX_ATTRIBUTE_FLOATS = 6,
    ONNX_ATTRIBUTE_INTS = 7
};
enum { ONNX_FLOAT = 1, ONNX_INT64 = 7 };

/* Fills op and parameters of `node`, whose inputs are already there, from an
 * ONNX node under the rules of `opset`. Inputs that are parameters in truth
 * (Clip's bounds, Reshape's shape) are taken from their constants and dropped.
 * The caller adds the node's name to errors. */
SOSIE_MUST_CHECK enum sosie_status
sosie_onnx_op(const Onnx__NodeProto *proto, int64_t opset,
              const struct sosie_graph *graph, struct sosie_node *node,
              struct sosie_error *err);

#endif
