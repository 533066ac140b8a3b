// Classes.tsx: what the photo shows, as chips; one click keeps to a class.
import type { Answer } from "./api";
import styles from "./Classes.module.css";

interface Props {
  classes: Answer["classes"];
  chosen: string | null;
  onChoose: (name: string | null) => void;
}

export function Classes({ classes, chosen, onChoose }: Props) {
  // A chosen class stays in sight, whatever is predicted within it.
  const chips = chosen === null || classes.some((c) => c.class === chosen) ? classes : [{ class: chosen, probability: 1 }, ...classes];
  const likely = chips.filter((c, i) => i === 0 || c.probability >= 0.02 || c.class === chosen);
  return (
    <div className={styles.row} role="group" aria-label="Classes">
      <button type="button" className={styles.chip} aria-pressed={chosen === null} onClick={() => onChoose(null)}>
        All
      </button>
      {likely.map((c) => (
        <button
          type="button"
          key={c.class}
          className={styles.chip}
          aria-pressed={chosen === c.class}
          onClick={() => onChoose(chosen === c.class ? null : c.class)}
        >
          {c.class}
          {chosen === null && <span className={styles.sure}>{Math.round(c.probability * 100)}%</span>}
        </button>
      ))}
    </div>
  );
}
