// text.ts: hits in words.
import type { Hit } from "./api";

/** 0.934 -> "93%"; what is unlike is 0%, not less. */
export function percent(score: number): string {
  return `${Math.round(Math.max(0, Math.min(1, score)) * 100)}%`;
}

/** The item's title, else its class and file name. */
export function titleOf(hit: Pick<Hit, "fields" | "class" | "path">): string {
  const title = hit.fields.title;
  if (typeof title === "string" && title.trim()) return title;
  return `${hit.class} ${hit.path.split("/").at(-1)?.replace(/\.[a-z]+$/i, "") ?? ""}`.trim();
}
