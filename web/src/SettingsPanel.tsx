// SettingsPanel.tsx: how many, within the class or not, shape against colour.
import { useEffect, useState } from "react";
import { clampLimit, DEFAULT_BALANCE, LIMIT_MAX, type Settings } from "./settings";
import styles from "./SettingsPanel.module.css";

interface Props {
  settings: Settings;
  onChange: (settings: Settings) => void;
}

export function SettingsPanel({ settings, onChange }: Props) {
  // What is being typed may be no number yet.
  const [typed, setTyped] = useState(String(settings.limit));
  useEffect(() => setTyped(String(settings.limit)), [settings.limit]);
  const [open, setOpen] = useState(false); // on a phone; elsewhere there is room

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
        <label className={styles.slider}>
          <span className={styles.ends}>
            <span>Shape</span>
            <span>Colour</span>
          </span>
          <input
            type="range"
            min={0}
            max={100}
            aria-label="What counts more: shape or colour"
            value={Math.round((settings.balance ?? DEFAULT_BALANCE) * 100)}
            onChange={(event) => onChange({ ...settings, balance: Number(event.target.value) / 100 })}
          />
        </label>
        {settings.balance !== null && (
          <button type="button" className={styles.reset} onClick={() => onChange({ ...settings, balance: null })}>
            Reset
          </button>
        )}
      </div>
    </form>
  );
}
