// Classes.tsx: what the photo shows, as chips; one click keeps to a class.
import type { Answer } from "./api";
import styles from "./Classes.module.css";
import { percent } from "./text";

const LIKELY = 0.02;

interface Props {
  classes: Answer["classes"];
  chosen: string | null;
  onChoose: (name: string | null) => void;
}

export function Classes({ classes, chosen, onChoose }: Props) {
  const likely = classes.filter((c, i) => i === 0 || c.probability >= LIKELY || c.class === chosen);
  return (
    <div className={styles.row} role="group" aria-label="Classes">
      {likely.map((c) => (
        <button
          type="button"
          key={c.class}
          className={styles.chip}
          aria-pressed={chosen === c.class}
          title={chosen === c.class ? "Show other classes again" : `Show ${c.class} only`}
          onClick={() => onChoose(chosen === c.class ? null : c.class)}
        >
          {c.class}
          <span className={styles.sure}>{percent(c.probability)}</span>
        </button>
      ))}
    </div>
  );
}
