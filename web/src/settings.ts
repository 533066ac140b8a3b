// settings.ts: what the page remembers from visit to visit.

export interface Settings {
  limit: number;
  cnn: boolean;
  balance: number | null;
}

export const DEFAULTS: Settings = { limit: 12, cnn: true, balance: null };
export const LIMIT_MAX = 500;
/** Where the slider stands when the server decides: weights 1 and 0.55. */
export const DEFAULT_BALANCE = 0.355;

const KEY = "sosie.settings";

export function clampLimit(value: number): number {
  if (!Number.isFinite(value)) return DEFAULTS.limit;
  return Math.min(LIMIT_MAX, Math.max(1, Math.round(value)));
}

/** Settings from what was stored; anything strange falls back to the defaults. */
export function parseSettings(text: string | null): Settings {
  try {
    const value = JSON.parse(text ?? "{}") as Partial<Record<keyof Settings, unknown>>;
    const balance = value.balance;
    return {
      limit: typeof value.limit === "number" ? clampLimit(value.limit) : DEFAULTS.limit,
      cnn: typeof value.cnn === "boolean" ? value.cnn : DEFAULTS.cnn,
      balance: typeof balance === "number" && balance >= 0 && balance <= 1 ? balance : null,
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
