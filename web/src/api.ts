// api.ts: the server's contract (POST /v1/search) and the calls that use it.

export interface Crop {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Hit {
  id: string;
  path: string;
  class: string;
  score: number;
  aspects: { shape: number; colour: number };
  fields: Record<string, unknown>;
}

export interface Answer {
  classes: { class: string; probability: number }[];
  hits: Hit[];
  exact: boolean;
  next: string | null;
  took_ms: { decode: number; embed: number; search: number; total: number };
  request_id: string;
}

/** What is looked for: a photo, or an item of the catalog. */
export type Subject =
  | { kind: "photo"; photo: Blob; url: string; name: string }
  | { kind: "item"; hit: Hit };

export interface Wishes {
  limit: number;
  /** Stay within the class that the network predicts. */
  cnn: boolean;
  /** 0: shape alone, 1: colour alone; null: as the server likes it. */
  balance: number | null;
  /** Only this class. */
  chosen: string | null;
  crop: Crop | null;
}

/** Something that the reader can understand and, perhaps, try again. */
export class SearchError extends Error {
  constructor(
    message: string,
    readonly retry: boolean,
  ) {
    super(message);
  }
}

export function photoUrl(hit: Pick<Hit, "class" | "path">): string {
  const parts = hit.path.split("/").map(encodeURIComponent);
  return `/static/img/${encodeURIComponent(hit.class)}/${parts.join("/")}`;
}

export function formOf(subject: Subject, wishes: Wishes): FormData {
  const form = new FormData();
  form.set("limit", String(wishes.limit));
  if (subject.kind === "photo") {
    form.set("image", subject.photo, "photo");
    if (wishes.crop) form.set("crop", JSON.stringify(wishes.crop));
  } else {
    form.set("item", subject.hit.id);
  }
  if (wishes.chosen !== null) form.set("class", wishes.chosen);
  else form.set("within_predicted", String(wishes.cnn));
  if (wishes.balance !== null)
    form.set("weights", JSON.stringify({ shape: 1 - wishes.balance, colour: wishes.balance }));
  return form;
}

export async function search(subject: Subject, wishes: Wishes, signal: AbortSignal): Promise<Answer> {
  let answer: Response;
  try {
    answer = await fetch("/v1/search", { method: "POST", body: formOf(subject, wishes), signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new SearchError("The server does not answer. Is it running, and are you online?", true);
  }
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok && body) return body as Answer;
  const told = (body as { error?: { message?: string } } | null)?.error?.message;
  if (answer.status === 503 || answer.status === 429)
    throw new SearchError("The server is busy at the moment.", true);
  throw new SearchError(told ? `This could not be searched: ${told}.` : `The server answered ${answer.status}.`, answer.status >= 500);
}
