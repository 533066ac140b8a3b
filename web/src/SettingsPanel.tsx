// SettingsPanel.tsx: how many, within the class or not, what counts how much.
import { useEffect, useState } from "react";
import type { Aspect } from "./api";
import { clampLimit, LIMIT_MAX, type Settings, usualWeights } from "./settings";
import styles from "./SettingsPanel.module.css";
import { capital } from "./text";

interface Props {
  settings: Settings;
  aspects: Aspect[];
  onChange: (settings: Settings) => void;
}

/** One of the sliders alone at 0 would leave nothing to search by. */
const LEAST = 0.01;

export function SettingsPanel({ settings, aspects, onChange }: Props) {
  // What is being typed may be no number yet.
  const [typed, setTyped] = useState(String(settings.limit));
  useEffect(() => setTyped(String(settings.limit)), [settings.limit]);
  const [open, setOpen] = useState(false); // on a phone; elsewhere there is room
  const weights = settings.weights ?? usualWeights(aspects);
  const weigh = (name: string, value: number) => {
    const moved = { ...weights, [name]: value };
    const some = Object.values(moved).some((weight) => weight > 0);
    onChange({ ...settings, weights: some ? moved : { ...moved, [name]: LEAST } });
  };

  return (
    <form className={styles.panel} aria-label="Settings" onSubmit={(event) => event.preventDefault()}>
      <button type="button" className={styles.opener} aria-expanded={open} onClick={() => setOpen(!open)}>
        Settings
      </button>
      <div className={open ? styles.lines : `${styles.lines} ${styles.closed}`}>
        <label className={styles.line}>
          How many
          <input
            type="number"
            className={styles.number}
            min={1}
            max={LIMIT_MAX}
            value={typed}
            onChange={(event) => {
              setTyped(event.target.value);
              const value = event.target.valueAsNumber;
              if (Number.isInteger(value) && value >= 1 && value <= LIMIT_MAX) onChange({ ...settings, limit: value });
            }}
            onBlur={() => {
              const limit = clampLimit(Number(typed || NaN));
              setTyped(String(limit));
              onChange({ ...settings, limit });
            }}
          />
        </label>
        <label className={styles.line}>
          <span>
            Same class only
            <small>or the likeliest few when the CNN is unsure</small>
          </span>
          <input type="checkbox" role="switch" className={styles.switch} checked={settings.cnn} onChange={(event) => onChange({ ...settings, cnn: event.target.checked })} />
        </label>
        {aspects.length > 1 && (
          <fieldset className={styles.sliders}>
            <legend>What counts</legend>
            {aspects.map(({ name }) => (
              <label key={name}>
                {capital(name)}
                <input type="range" min={0} max={100} value={Math.round((weights[name] ?? 0) * 100)} onChange={(event) => weigh(name, Number(event.target.value) / 100)} />
              </label>
            ))}
          </fieldset>
        )}
        {settings.weights !== null && (
          <button type="button" className={styles.reset} onClick={() => onChange({ ...settings, weights: null })}>
            Reset
          </button>
        )}
      </div>
    </form>
  );
}
