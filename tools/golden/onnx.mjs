// onnx.mjs: writes ONNX files: the few messages of the format, in protobuf.
// Strange files can be written on purpose, since nothing is checked.

function varint(n) {
  const bytes = [];
  for (n = BigInt.asUintN(64, BigInt(n)); n > 127n; n >>= 7n)
    bytes.push(Number(n & 127n) | 128);
  return Buffer.from([...bytes, Number(n)]);
}

const number = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);

function block(field, content) {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

function float(field, x) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(x);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
}

const raw = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** Float32Array: float32; BigInt64Array: int64. `more`: further fields. */
export function tensor(name, dims, data, more = []) {
  return Buffer.concat([
    ...dims.map((d) => number(1, d)),
    number(2, data instanceof Float32Array ? 1 : 7),
    block(8, name),
    block(9, raw(data)),
    ...more,
  ]);
}

/** The same with the elements in float_data. */
export function floatTensor(name, dims, data) {
  return Buffer.concat([
    ...dims.map((d) => number(1, d)),
    number(2, 1),
    block(4, raw(data)),
    block(8, name),
  ]);
}

export const external = (name, dims) =>
  Buffer.concat([...dims.map((d) => number(1, d)), number(2, 1), block(8, name),
    block(13, Buffer.concat([block(1, "location"), block(2, "/etc/passwd")])), number(14, 1)]);

export const ofType = (name, dims, type) =>
  Buffer.concat([...dims.map((d) => number(1, d)), number(2, type), block(8, name)]);

/** Attributes by JavaScript type; numbers are INT, {float: x} is FLOAT. */
function attribute([name, value]) {
  const fields = [block(1, name)];
  if (typeof value === "number") fields.push(number(3, value), number(20, 2));
  else if (typeof value === "string") fields.push(block(4, value), number(20, 3));
  else if (Buffer.isBuffer(value)) fields.push(block(5, value), number(20, 4));
  else if (Array.isArray(value)) fields.push(...value.map((i) => number(8, i)), number(20, 7));
  else if ("float" in value) fields.push(float(2, value.float), number(20, 1));
  else fields.push(...value.floats.map((x) => float(7, x)), number(20, 6));
  return Buffer.concat(fields);
}

/** node("Conv", ["x", "w"], "y", {group: 2}); named after its output. */
export function node(op, inputs, outputs, attributes = {}, domain = "") {
  return Buffer.concat([
    ...inputs.map((name) => block(1, name)),
    ...[outputs].flat().map((name) => block(2, name)),
    block(3, `${[outputs].flat()[0]}.node`),
    block(4, op),
    ...Object.entries(attributes).map((a) => block(5, attribute(a))),
    ...(domain ? [block(7, domain)] : []),
  ]);
}

function value(name, dims) {
  const shape = dims.map((d) =>
    block(1, typeof d === "number" ? number(1, d) : block(2, d)));
  const type = block(1, Buffer.concat([number(1, 1), block(2, Buffer.concat(shape))]));
  return Buffer.concat([block(1, name), block(2, type)]);
}

/**
 * inputs: {name: dims}, dims[0] a name for any batch; constants: tensors;
 * outputs: names; metadata: {key: text}.
 */
export function model({ inputs, constants = [], nodes, outputs, opset = 13, metadata = {} }) {
  const graph = Buffer.concat([
    ...nodes.map((n) => block(1, n)),
    block(2, "golden"),
    ...constants.map((t) => block(5, t)),
    ...Object.entries(inputs).map(([name, dims]) => block(11, value(name, dims))),
    ...outputs.map((name) => block(12, value(name, []).subarray(0, 2 + name.length))),
  ]);
  return Buffer.concat([
    number(1, 7),
    block(7, graph),
    block(8, number(2, opset)),
    ...Object.entries(metadata).map(([key, text]) =>
      block(14, Buffer.concat([block(1, key), block(2, text)]))),
  ]);
}
