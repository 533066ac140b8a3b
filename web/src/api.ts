// api.ts: the server's contract (POST /v1/search, GET /v1/stats) and the calls
// that use it.

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
  aspects: Record<string, number>;
  fields: Record<string, unknown>;
}

/** A part of what photos are compared by. */
export interface Aspect {
  name: string;
  /** How much it counts unless a search says otherwise. */
  weight: number;
}

export type Weights = Record<string, number>;

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
  /** `photo` is made small while the page shows it already, from `url`. */
  | { kind: "photo"; photo: Promise<Blob>; url: string; name: string }
  | { kind: "item"; hit: Hit };

export interface Wishes {
  limit: number;
  /** Stay within the class that the network predicts. */
  cnn: boolean;
  /** By aspect; null: as the server likes it. */
  weights: Weights | null;
  /** Only this class. */
  chosen: string | null;
  crop: Crop | null;
}

/** offline: no answer; busy: not now; refused: not like this; failed: its fault. */
export type Trouble = "offline" | "busy" | "refused" | "failed";

export class SearchError extends Error {
  constructor(
    readonly trouble: Trouble,
    message: string,
    /** Seconds after which the server wants to be asked again. */
    readonly wait = 0,
  ) {
    super(message);
  }
}

const PATIENCE_MS = 30_000;

export function photoUrl(hit: Pick<Hit, "class" | "path">): string {
  const parts = hit.path.split("/").map(encodeURIComponent);
  return `/static/img/${encodeURIComponent(hit.class)}/${parts.join("/")}`;
}

/** `what`: the bytes of a photo, or the id of an item. */
export function formOf(what: Blob | string, wishes: Wishes): FormData {
  const form = new FormData();
  form.set("limit", String(wishes.limit));
  if (typeof what === "string") {
    form.set("item", what);
  } else {
    form.set("image", what, "photo");
    if (wishes.crop) form.set("crop", JSON.stringify(wishes.crop));
  }
  if (wishes.chosen !== null) form.set("class", wishes.chosen);
  else form.set("within_predicted", String(wishes.cnn));
  if (wishes.weights !== null) form.set("weights", JSON.stringify(wishes.weights));
  return form;
}

/** What an answer other than success means. */
export function refusal(status: number, body: unknown, retryAfter: string | null): SearchError {
  const told = (body as { error?: { message?: unknown } } | null)?.error?.message;
  const message = typeof told === "string" ? told : `it answered with status ${status}`;
  if (status === 429 || status === 503)
    return new SearchError("busy", message, Math.min(60, Math.max(1, Number(retryAfter) || 2)));
  return new SearchError(status >= 500 ? "failed" : "refused", message);
}

/** The aspects of the server's catalog; none when it does not say. */
export async function aspectsOf(signal: AbortSignal): Promise<Aspect[]> {
  const answer = await fetch("/v1/stats", { signal }).catch(() => null);
  const stats = answer?.ok ? ((await answer.json().catch(() => null)) as { aspects?: Aspect[] } | null) : null;
  return stats?.aspects ?? [];
}

export async function search(subject: Subject, wishes: Wishes, signal: AbortSignal): Promise<Answer> {
  const what = subject.kind === "photo" ? await subject.photo : subject.hit.id;
  try {
    const answer = await fetch("/v1/search", {
      method: "POST",
      body: formOf(what, wishes),
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
    if (answer.ok) return (await answer.json()) as Answer;
    const body: unknown = await answer.json().catch(() => null);
    throw refusal(answer.status, body, answer.headers.get("Retry-After"));
  } catch (error) {
    if (signal.aborted || error instanceof SearchError) throw error;
    throw new SearchError("offline", "there was no answer");
  }
}
