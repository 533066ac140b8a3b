// photos.mjs: small models whose input is a photo, with metadata; and files
// that must be refused, each the good model with one thing wrong.
import { external, model, node, ofType, tensor } from "./onnx.mjs";
import { weights } from "./inputs.mjs";

const constant = (name, dims) => tensor(name, dims, weights(dims.reduce((a, b) => a * b, 1), dims.length));

const good = {
  inputs: { image: ["N", 3, 6, 8] },
  constants: [constant("w", [4, 3, 3, 3]), constant("m", [3, 4]), constant("v", [3])],
  nodes: [
    node("Conv", ["image", "w"], "c", { pads: [1, 1, 1, 1] }),
    node("Relu", ["c"], "r"),
    node("GlobalAveragePool", ["r"], "p"),
    node("Flatten", ["p"], "embedding"),
    node("Gemm", ["embedding", "m", "v"], "logits", { transB: 1 }),
  ],
  outputs: ["logits", "embedding"],
};

/** name: {bytes, prepare(photo) -> Float32Array, dims} */
export const photoModels = {
  photo: {
    width: 8, height: 6, dims: [1, 3, 6, 8],
    bytes: model({
      ...good,
      metadata: {
        "input.scale": "0.0078125,0.015625,0.03125", "input.bias": "-1,0.5,-2", "input.color": "BGR",
        "input.fit": "letterbox", labels: "coat\ndress\nsweat shirt\n",
      },
    }),
    value: (rgb, x, y, c) => rgb[3 * (8 * y + x) + 2 - c] * [0.0078125, 0.015625, 0.03125][c] + [-1, 0.5, -2][c],
  },
  photo_nhwc: {
    width: 4, height: 2, dims: [1, 2, 4, 3],
    bytes: model({
      inputs: { image: ["N", 2, 4, 3] },
      constants: [constant("m", [24, 5])],
      nodes: [node("Flatten", ["image"], "f"), node("Gemm", ["f", "m"], "e")],
      outputs: ["e"],
      metadata: { "input.layout": "NHWC", "input.scale": "0.0078125", "input.bias": "-1" },
    }),
    value: (rgb, x, y, c) => rgb[3 * (4 * y + x) + c] * 0.0078125 - 1,
  },
};

const bad = (change) => model({ ...good, ...change });
/** The good nodes with node `i` replaced. */
const replace = (i, ...nodes) => ({ nodes: [...good.nodes.slice(0, i), ...nodes, ...good.nodes.slice(i + 1)] });
/** The good constants with w replaced. */
const w = (tensor) => ({ constants: [tensor, ...good.constants.slice(1)] });
const conv = (attributes) => replace(0, node("Conv", ["image", "w"], "c", attributes));
const reshape = (...shape) => ({
  constants: [...good.constants, tensor("s", [shape.length], BigInt64Array.from(shape))],
  ...replace(3, node("Reshape", ["p", "s"], "embedding")),
});

export const badModels = {
  cycle: bad(replace(1, node("Add", ["c", "q"], "r"), node("Relu", ["r"], "q"))),
  input_missing: bad(replace(1, node("Relu", ["nowhere"], "r"))),
  output_missing: bad({ outputs: ["nowhere"] }),
  no_outputs: bad({ outputs: [] }),
  made_twice: bad(replace(1, node("Relu", ["c"], "r"), node("Relu", ["c"], "r"))),
  too_few_bytes: bad(w(tensor("w", [4, 3, 3, 3], weights(107)))),
  odd_bytes: bad(w(tensor("w", [1], new Float32Array(0), [Buffer.from([0x4a, 3, 1, 2, 3])]))),
  overflow: bad(w(tensor("w", [2 ** 31, 2 ** 31, 2 ** 31], weights(1)))),
  negative_size: bad(w(tensor("w", [-4, 3, 3, 3], weights(108)))),
  seven_dimensions: bad(w(tensor("w", [1, 1, 1, 1, 1, 1, 1], weights(1)))),
  external_data: bad(w(external("w", [4, 3, 3, 3]))),
  complex: bad(w(ofType("w", [4, 3, 3, 3], 14))),
  integer_weights: bad(w(tensor("w", [4, 3, 3, 3], new BigInt64Array(108)))),
  unknown_op: bad(replace(1, node("LSTM", ["c"], "r"))),
  unknown_domain: bad(replace(1, node("Relu", ["c"], "r", {}, "com.example"))),
  unknown_attribute: bad(conv({ flavour: 3 })),
  attribute_type: bad(conv({ group: [1] })),
  opset_6: bad({ opset: 6 }),
  opset_22: bad({ opset: 22 }),
  conv_channels: bad(w(constant("w", [4, 2, 3, 3]))),
  conv_kernel_shape: bad(conv({ kernel_shape: [5, 5] })),
  conv_too_small: bad(w(constant("w", [4, 3, 9, 1]))),
  conv_stride_0: bad(conv({ strides: [0, 1] })),
  conv_group_0: bad(conv({ group: 0 })),
  conv_negative_pad: bad(conv({ pads: [-1, 0, 0, 0] })),
  conv_1d: bad(conv({ strides: [1] })),
  conv_computed_weights: bad(replace(0, node("Conv", ["image", "image"], "c"))),
  clip_bounds: bad(replace(1, node("Clip", ["c"], "r", { min: { float: 0 } }))),
  batch_norm_training: bad(replace(1, node("BatchNormalization", ["c", "v", "v", "v", "v"], "r", { training_mode: 1 }))),
  batch_norm_size: bad(replace(1, node("BatchNormalization", ["c", "v", "v", "v", "v"], "r"))),
  two_outputs: bad(replace(1, node("Relu", ["c"], ["r", "q"]))),
  reshape_size: bad(reshape(1n, 5n)),
  reshape_two_rests: bad(reshape(-1n, -1n)),
  gemm_size: bad({ constants: [...good.constants.slice(0, 1), constant("m", [3, 5]), good.constants[2]] }),
  batch_of_8: bad({ inputs: { image: [8, 3, 6, 8] } }),
  open_height: bad({ inputs: { image: ["N", 3, "H", 8] } }),
  two_inputs: bad({ inputs: { image: ["N", 3, 6, 8], mask: ["N", 1] } }),
  grey: bad({ inputs: { image: ["N", 1, 6, 8] }, ...w(constant("w", [4, 1, 3, 3])) }),
  embedding_shape: bad({ ...replace(3, node("Identity", ["p"], "embedding")), outputs: ["embedding"], nodes: [
    ...good.nodes.slice(0, 3), node("Identity", ["p"], "embedding")] }),
  scale_word: bad({ metadata: { "input.scale": "a lot" } }),
  scale_two: bad({ metadata: { "input.scale": "1,2" } }),
  bias_infinite: bad({ metadata: { "input.bias": "inf" } }),
  layout: bad({ metadata: { "input.layout": "CHWN" } }),
  color: bad({ metadata: { "input.color": "CMYK" } }),
  fit: bad({ metadata: { "input.fit": "stretch" } }),
  labels_count: bad({ metadata: { labels: "coat\ndress" } }),
  labels_empty: bad({ metadata: { labels: "coat\n\ndress" } }),
};
