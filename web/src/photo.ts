// photo.ts: a photo made small before it travels.

const LONGEST = 1024;
const SMALL_BYTES = 400_000;
/** What the server reads; whatever else the browser can read becomes JPEG. */
const READ_BY_SERVER = ["image/jpeg", "image/png", "image/webp"];

/** width x height so that the longer side is at most `longest`. */
export function fitted(width: number, height: number, longest = LONGEST): [number, number] {
  const by = Math.min(1, longest / Math.max(width, height));
  return [Math.max(1, Math.round(width * by)), Math.max(1, Math.round(height * by))];
}

/**
 * The photo with its longest side at most 1024 pixels, upright, as JPEG; or the
 * file as it is when that is small enough or the browser can't read it (the
 * server then says what is wrong with it).
 */
export async function prepare(file: Blob): Promise<Blob> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  const [width, height] = fitted(bitmap.width, bitmap.height);
  if (width === bitmap.width && file.size <= SMALL_BYTES && READ_BY_SERVER.includes(file.type)) {
    bitmap.close();
    return file;
  }
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return file;
  context.fillStyle = "#fff"; // what is transparent is on white, as on the server
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const made = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  return made ?? file;
}
