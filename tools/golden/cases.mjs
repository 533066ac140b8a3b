// cases.mjs: one small model for each op, attribute and fusion. Each has one
// input "x" and one output "y".
import { floatTensor, model, node, tensor } from "./onnx.mjs";
import { weights } from "./inputs.mjs";

const size = (dims) => dims.reduce((a, b) => a * b, 1);
const constant = (name, dims, seed = name.length) => tensor(name, dims, weights(size(dims), seed));
const positive = (name, n) => tensor(name, [n], weights(n, 5).map((w) => w + 0.75));
const ints = (name, values) => tensor(name, [values.length], BigInt64Array.from(values.map(BigInt)));

/** A convolution of x (channels, height, width) with kernel k. */
function conv(x, filters, k, attributes = {}, bias = true) {
  const constants = [constant("w", [filters, x[0] / (attributes.group ?? 1), ...k])];
  if (bias) constants.push(constant("b", [filters]));
  return {
    inputs: { x: ["N", ...x] },
    constants,
    nodes: [node("Conv", bias ? ["x", "w", "b"] : ["x", "w"], "y", attributes)],
  };
}

/** A model of op nodes on x, with constants. */
const on = (x, nodes, constants = [], opset = 13) => ({ inputs: { x: ["N", ...x] }, nodes, constants, opset });

const bn = (x, y, more = {}) => node("BatchNormalization", [x, "scale", "shift", "mean", "var"], y, more);
const bnConstants = (n) =>
  [constant("scale", [n]), constant("shift", [n]), constant("mean", [n]), positive("var", n)];
const pointwise = [constant("w", [4, 3, 1, 1]), constant("w2", [4, 4, 1, 1]), constant("b", [4])];

const cases = {
  conv: conv([3, 5, 6], 4, [3, 3], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }),
  conv_asymmetric: conv([3, 7, 5], 4, [3, 2], { pads: [0, 1, 2, 0], strides: [2, 1] }),
  conv_dilated: conv([2, 9, 8], 3, [3, 2], { dilations: [2, 3], pads: [2, 1, 1, 2] }),
  conv_groups: conv([6, 4, 5], 4, [3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  conv_depthwise: conv([16, 6, 6], 16, [3, 3], { group: 16, pads: [0, 0, 1, 1], strides: [2, 2] }),
  conv_depthwise_twice: conv([5, 4, 4], 10, [3, 3], { group: 5, pads: [1, 1, 1, 1] }),
  conv_same_upper: conv([2, 7, 6], 3, [4, 3], { auto_pad: "SAME_UPPER", strides: [2, 2] }),
  conv_same_lower: conv([2, 7, 6], 3, [4, 3], { auto_pad: "SAME_LOWER", strides: [2, 2] }),
  conv_valid: conv([2, 7, 6], 3, [3, 3], { auto_pad: "VALID" }),
  conv_no_bias: conv([5, 3, 3], 7, [1, 1], { pads: [0, 0, 0, 0] }, false),
  conv_wide_padding: conv([2, 3, 3], 3, [2, 2], { pads: [3, 2, 2, 3] }),
  conv_batch_norm: on([3, 4, 5],
    [node("Conv", ["x", "w", "b"], "c"), bn("c", "n", { epsilon: { float: 0.01 } }), node("Relu", ["n"], "y")],
    [...pointwise, ...bnConstants(4)]),
  conv_batch_norm_no_bias: on([3, 4, 5], [node("Conv", ["x", "w"], "c"), bn("c", "y", { momentum: { float: 0.9 } })],
    [...pointwise, ...bnConstants(4)]),
  batch_norm: on([3, 4, 5], [node("Relu", ["x"], "r"), bn("r", "y")], bnConstants(3)),
  batch_norm_opset_7: on([3, 2, 2], [bn("x", "y", { spatial: 1 })], bnConstants(3), 7),
  // The residual dies with the sum, which is written over it.
  residual: on([3, 4, 4], [
    node("Conv", ["x", "w", "b"], "a"), node("Conv", ["a", "w2"], "c"), node("Conv", ["c", "w2"], "d"),
    node("Add", ["a", "d"], "s"), node("Conv", ["s", "w2"], "e"), node("Conv", ["e", "w2", "b"], "f"),
    node("Relu", ["f"], "r"), node("Add", ["r", "s"], "y")], pointwise),
  residual_relu: on([3, 4, 4], [
    node("Conv", ["x", "w", "b"], "a"), node("Conv", ["x", "w"], "c"), node("Add", ["c", "a"], "s"),
    node("Relu", ["s"], "y")], pointwise),
  // It does not: it is the network's input, what the convolution itself reads,
  // read again later, or seen in another shape.
  residual_of_input: on([4, 3, 3], [node("Conv", ["x", "w2"], "c"), node("Add", ["c", "x"], "y")], pointwise),
  residual_of_source: on([3, 4, 4], [
    node("Conv", ["x", "w", "b"], "a"), node("Conv", ["a", "w2"], "c"), node("Add", ["a", "c"], "y")], pointwise),
  residual_in_use: on([3, 4, 4], [
    node("Conv", ["x", "w", "b"], "a"), node("Conv", ["a", "w2"], "c"), node("Conv", ["c", "w2"], "d"),
    node("Add", ["a", "d"], "s"), node("Relu", ["a"], "r"), node("Add", ["s", "r"], "y")], pointwise),
  residual_of_itself: on([3, 4, 4], [node("Conv", ["x", "w"], "a"), node("Add", ["a", "a"], "y")], pointwise),
  input_viewed: on([4, 3, 3], [
    node("Flatten", ["x"], "f"), node("Conv", ["x", "w2"], "c"), node("Flatten", ["c"], "g"),
    node("Add", ["f", "g"], "y")], pointwise),
  residual_viewed: on([3, 4, 4], [
    node("Conv", ["x", "w", "b"], "a"), node("Flatten", ["a"], "f"), node("Conv", ["a", "w2"], "c"),
    node("Conv", ["c", "w2"], "d"), node("Add", ["a", "d"], "s"), node("Flatten", ["s"], "g"), node("Add", ["f", "g"], "y")], pointwise),
  clip_opset_10: on([3, 4, 4],
    [node("Clip", ["x"], "y", { min: { float: -0.5 }, max: { float: 1 } })], [], 10),
  clip: on([3, 4, 4], [node("Conv", ["x", "w", "b"], "c"), node("Clip", ["c", "low", "high"], "y")],
    [...pointwise, floatTensor("low", [], Float32Array.of(-0.25)), tensor("high", [1], Float32Array.of(0.5))]),
  clip_one_side: on([2, 3, 3], [
    node("Constant", [], "low", { value_float: { float: 0.5 } }), node("Clip", ["x", "", "low"], "h"),
    node("Constant", [], "least", { value: tensor("t", [], Float32Array.of(-1)) }), node("Clip", ["h", "least"], "y")]),
  relu: on([3, 3, 5], [node("Relu", ["x"], "y")]),
  add_channels: on([4, 3, 3], [node("Add", ["x", "c"], "y")], [constant("c", [4, 1, 1])]),
  add_row: on([2, 3, 5], [node("Add", ["c", "x"], "y")], [constant("c", [5])]),
  add_both_ways: on([4, 1, 1], [node("Add", ["x", "c"], "y")], [constant("c", [3, 2])]),
  add_pooled: on([3, 3, 4], [
    node("GlobalAveragePool", ["x"], "p"), node("Add", ["p", "x"], "s"), node("Conv", ["s", "w"], "c"),
    node("GlobalAveragePool", ["c"], "q"), node("Add", ["c", "q"], "y")], pointwise),
  classifier: on([3, 5, 5], [
    node("Conv", ["x", "w", "b"], "c"), node("GlobalAveragePool", ["c"], "p"), node("Flatten", ["p"], "f"),
    node("Gemm", ["f", "m", "v"], "l", { transB: 1 }), node("Softmax", ["l"], "y")],
    [...pointwise, constant("m", [6, 4]), constant("v", [6])]),
  gemm_factors: on([3, 2, 2],
    [node("Flatten", ["x"], "f"), node("Gemm", ["f", "m", "v"], "y", { alpha: { float: 0.5 }, beta: { float: -2 } })],
    [constant("m", [12, 5]), constant("v", [1, 5])]),
  gemm_no_bias: on([12], [node("Gemm", ["x", "m"], "y")], [constant("m", [12, 3])]),
  gemm_scalar_bias: on([12], [node("Gemm", ["x", "m", "v"], "y", { transB: 1 })],
    [constant("m", [3, 12]), constant("v", [])]),
  gemm_computed: on([12], [
    node("Reshape", ["x", "s"], "r"), node("Gemm", ["r", "r"], "y", { transA: 1, alpha: { float: 0.25 } })],
    [ints("s", [3, 4])]),
  flatten_axes: on([3, 2, 2], [
    node("Flatten", ["x"], "a", { axis: 2 }), node("Flatten", ["a"], "b", { axis: -1 }),
    node("Flatten", ["b"], "y", { axis: 0 })]),
  flatten_of_conv: on([3, 3, 3], [node("Conv", ["x", "w", "b"], "c"), node("Flatten", ["c"], "y")], pointwise),
  reshape: on([4, 3, 2], [
    node("Identity", ["s"], "t"), node("Reshape", ["x", "t"], "r"), node("Conv", ["r", "w2"], "y")],
    [...pointwise, ints("s", [0, 4, -1, 3])]),
  softmax: on([3, 2, 4], [node("Softmax", ["x"], "y", { axis: 1 })]),
  softmax_last: on([3, 2, 4], [node("Conv", ["x", "w"], "c"), node("Softmax", ["c"], "y")], pointwise),
  softmax_opset_11: on([3, 2, 4], [node("Softmax", ["x"], "y")], [], 11),
  identity: on([3, 2, 2], [
    node("Identity", ["w"], "i"), node("Conv", ["x", "i"], "c"), node("Identity", ["c"], "y")], pointwise),
  constants: on([4, 2], [
    node("Constant", [], "s", { value_ints: [1, 8] }), node("Reshape", ["x", "s"], "r"),
    node("Constant", [], "v", { value_floats: { floats: [1, 2, 3, 4, 5, 6, 7, 8] } }), node("Add", ["r", "v"], "y")]),
  unused: on([3, 2, 2], [node("Relu", ["x"], "dead"), node("Conv", ["x", "w"], "y")], pointwise),
  listed_initializers: {
    inputs: { x: ["N", 3, 2, 2], w: [4, 3, 1, 1] },
    constants: pointwise,
    nodes: [node("Conv", ["x", "w"], "y")],
  },
};

export const opCases = Object.fromEntries(
  Object.entries(cases).map(([name, c]) => [name, { dims: c.inputs.x, bytes: model({ ...c, outputs: ["y"] }) }]));
