// settings.ts: what the page remembers from visit to visit.
import type { Aspect, Weights } from "./api";

export interface Settings {
  limit: number;
  cnn: boolean;
  /** How much each aspect counts, 0..1; null: as the server likes it. */
  weights: Weights | null;
}

export const DEFAULTS: Settings = { limit: 12, cnn: true, weights: null };
export const LIMIT_MAX = 500;

const KEY = "sosie.settings";

export function clampLimit(value: number): number {
  if (!Number.isFinite(value)) return DEFAULTS.limit;
  return Math.min(LIMIT_MAX, Math.max(1, Math.round(value)));
}

function parseWeights(value: unknown): Weights | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const numbers = Object.values(value);
  return numbers.some((n) => n > 0) && numbers.every((n) => typeof n === "number" && n >= 0 && n <= 1) ? (value as Weights) : null;
}

/** The weights, if they are of these aspects: another catalog may have others. */
export function weightsFor(aspects: Aspect[], weights: Weights | null): Weights | null {
  const names = Object.keys(weights ?? {});
  return names.length === aspects.length && aspects.every(({ name }) => names.includes(name)) ? weights : null;
}

/** Where the sliders stand when the server decides: its weights, the largest 1. */
export function usualWeights(aspects: Aspect[]): Weights {
  const largest = Math.max(...aspects.map(({ weight }) => weight));
  return Object.fromEntries(aspects.map(({ name, weight }) => [name, weight / largest]));
}

/** Settings from what was stored; anything strange falls back to the defaults. */
export function parseSettings(text: string | null): Settings {
  try {
    const value = JSON.parse(text ?? "{}") as Partial<Record<keyof Settings, unknown>>;
    return {
      limit: typeof value.limit === "number" ? clampLimit(value.limit) : DEFAULTS.limit,
      cnn: typeof value.cnn === "boolean" ? value.cnn : DEFAULTS.cnn,
      weights: parseWeights(value.weights),
    };
  } catch {
    return DEFAULTS;
  }
}

export function loadSettings(): Settings {
  try {
    return parseSettings(localStorage.getItem(KEY));
  } catch {
    return DEFAULTS; // storage may be forbidden
  }
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // not remembered, then
  }
}
