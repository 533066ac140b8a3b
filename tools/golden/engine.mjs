// engine.mjs: writes tests/golden/engine.onnx, a network small enough for tests
// that index thousands of photos: 24 x 24 pixels -> an embedding of 320 numbers
// (enough to be whitened to 256) and three logits that are the mean red, green
// and blue of the photo. Needs nothing but Node.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { model, node, tensor } from "./onnx.mjs";

/** -0.5 .. 0.5 by a linear congruential generator: no period to speak of. */
function noise(dims, seed) {
  let state = BigInt(seed);
  const n = dims.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: n }, () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 40n) / 2 ** 24 - 0.5;
  });
}

const random = (name, dims, seed) => tensor(name, dims, noise(dims, seed));
const diagonal = Float32Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? 30 : 0));

const bytes = model({
  inputs: { image: ["N", 3, 24, 24] },
  constants: [
    random("w1", [16, 3, 3, 3], 1), random("w2", [24, 16, 3, 3], 2), random("w3", [320, 24, 1, 1], 3),
    tensor("m", [3, 3], diagonal), tensor("v", [3], new Float32Array(3)),
  ],
  nodes: [
    node("Conv", ["image", "w1"], "c1", { strides: [2, 2], pads: [1, 1, 1, 1] }),
    node("Relu", ["c1"], "r1"),
    node("Conv", ["r1", "w2"], "c2", { strides: [2, 2], pads: [1, 1, 1, 1] }),
    node("Relu", ["c2"], "r2"),
    node("Conv", ["r2", "w3"], "c3"),
    node("Relu", ["c3"], "r3"),
    node("GlobalAveragePool", ["r3"], "p3"),
    node("Flatten", ["p3"], "embedding"),
    node("GlobalAveragePool", ["image"], "p"),
    node("Flatten", ["p"], "f"),
    node("Gemm", ["f", "m", "v"], "logits"),
  ],
  outputs: ["embedding", "logits"],
  metadata: { "input.scale": "0.00784313725", "input.bias": "-1", labels: "red\ngreen\nblue\n" },
});
writeFileSync(fileURLToPath(new URL("../../tests/golden/engine.onnx", import.meta.url)), bytes);
