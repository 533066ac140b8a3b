// inputs.mjs: numbers and photos by formula, in integers, so that the C tests
// can make the very same ones (tests/unit/golden.h).

/** What is fed to the small models: about -2 .. 2. */
export function inputs(n) {
  return Float32Array.from({ length: n }, (_, i) => (((i * 37 + 11) % 101) - 50) / 25);
}

/** What their weights are: about -0.5 .. 0.5. */
export function weights(n, seed = 0) {
  return Float32Array.from({ length: n }, (_, i) => (((i * 29 + seed * 17 + 7) % 61) - 30) / 60);
}

/** Photo number k: gradients, rings and ripples, as R G B bytes. */
export function photo(width, height, k) {
  const rgb = new Uint8Array(3 * width * height);
  const middle = [width >> 1, height >> 1];
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const dx = x - middle[0], dy = y - middle[1];
      rgb[i++] = Math.floor((x * 255) / width) + 40 * k;
      rgb[i++] = Math.floor((dx * dx + dy * dy) / (16 * (k + 2)));
      rgb[i++] = (x * y) >> (k + 4);
    }
  return rgb;
}
