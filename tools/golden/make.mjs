// make.mjs [MODEL]: writes tests/golden. MODEL is the MobileNetV2 whose
// embeddings and logits are recorded.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ort from "onnxruntime-node";
import { opCases } from "./cases.mjs";
import { inputs, photo } from "./inputs.mjs";
import { badModels, photoModels } from "./photos.mjs";

const folder = fileURLToPath(new URL("../../tests/golden/", import.meta.url));
const write = (name, data) => writeFileSync(folder + name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));

/** The named outputs, or all, of a model for one input. */
async function run(source, data, dims) {
  const session = await ort.InferenceSession.create(source, { graphOptimizationLevel: "disabled", intraOpNumThreads: 1, logSeverityLevel: 3 });
  return session.run({ [session.inputNames[0]]: new ort.Tensor("float32", data, dims) });
}

function join(arrays) {
  return Float32Array.from(arrays.flatMap((a) => [...a]));
}

function unit(vector) {
  const length = Math.sqrt(vector.reduce((sum, v) => sum + v * v, 0));
  return vector.map((v) => v / length);
}

async function writeOps() {
  for (const [name, { dims, bytes }] of Object.entries(opCases)) {
    const fed = [1, ...dims.slice(1)];
    const { y } = await run(bytes, inputs(fed.reduce((a, b) => a * b, 1)), fed);
    write(`op/${name}.onnx`, bytes);
    write(`op/${name}.f32`, y.data);
  }
}

async function writePhotoModels() {
  for (const [name, m] of Object.entries(photoModels)) {
    const rgb = photo(m.width, m.height, 0);
    const [, a, b, c] = m.dims;
    const data = new Float32Array(a * b * c);
    for (let i = 0; i < data.length; i++) {
      const at = [Math.floor(i / (b * c)), Math.floor(i / c) % b, i % c];
      data[i] = c === 3 ? m.value(rgb, at[1], at[0], at[2]) : m.value(rgb, at[2], at[1], at[0]);
    }
    const { embedding, e, logits } = await run(m.bytes, data, m.dims);
    write(`${name}.onnx`, m.bytes);
    write(`${name}.f32`, join([(embedding ?? e).data, logits?.data ?? []]));
  }
}

/** Unit-length embeddings of two photos, and the logits of the first. */
async function writeNetwork(file) {
  const embeddings = [];
  for (let k = 0; k < 2; k++) {
    const rgb = photo(224, 224, k);
    const data = new Float32Array(rgb.length);
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < 224 * 224; i++) data[c * 224 * 224 + i] = rgb[3 * i + c] * 0.00784313725 - 1;
    const { embedding, logits } = await run(file, data, [1, 3, 224, 224]);
    embeddings.push(unit(embedding.data));
    if (k === 0) write("mobilenet_v2.logits.f32", logits.data);
  }
  write("mobilenet_v2.embedding.f32", join(embeddings));
}

mkdirSync(folder + "op", { recursive: true });
mkdirSync(folder + "bad", { recursive: true });
await writeOps();
await writePhotoModels();
for (const [name, bytes] of Object.entries(badModels)) write(`bad/${name}.onnx`, bytes);
if (process.argv[2]) await writeNetwork(process.argv[2]);
