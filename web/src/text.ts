// text.ts: hits in words.
import type { Hit } from "./api";

/** 0.934 -> "93%"; what is unlike is 0%, not less. */
export function percent(score: number): string {
  return `${Math.round(Math.max(0, Math.min(1, score)) * 100)}%`;
}

export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value).trim() : "";
}

/** The item's title, else its class. */
export function nameOf(hit: Pick<Hit, "fields" | "class">): string {
  return textOf(hit.fields.title) || hit.class;
}

/** What else is worth a line: the class, if it is not the name, and the price. */
export function detailsOf(hit: Pick<Hit, "fields" | "class">): string {
  const known = nameOf(hit) === hit.class ? "" : hit.class;
  return [known, textOf(hit.fields.price)].filter(Boolean).join(" · ");
}

export function countOf(n: number): string {
  return n === 1 ? "1 product looks alike" : `${n} products look alike`;
}
