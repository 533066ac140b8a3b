// Results.tsx: the grid of look-alikes, and what stands there while there are
// none: skeletons, an empty catalog, an error with a way on.
import { type Hit, photoUrl } from "./api";
import styles from "./Results.module.css";
import { percent, titleOf } from "./text";
import type { Searching } from "./useSearch";

function Bar({ name, value }: { name: "shape" | "colour"; value: number }) {
  return (
    <span className={styles.aspect}>
      <span>{name}</span>
      <progress className={styles[name]} max={1} value={Math.max(0, value)} aria-label={name} />
      <span>{percent(value)}</span>
    </span>
  );
}

function Tile({ hit, onMoreLike }: { hit: Hit; onMoreLike: (hit: Hit) => void }) {
  const title = titleOf(hit);
  return (
    <li className={styles.tile}>
      <div className={styles.frame}>
        <img src={photoUrl(hit)} alt={title} loading="lazy" decoding="async" />
      </div>
      <div className={styles.text}>
        <span className={styles.title} title={title}>
          {title}
        </span>
        <span className={styles.class}>{hit.class}</span>
        <span className={styles.score}>{percent(hit.score)}</span>
      </div>
      <div className={styles.aspects}>
        <Bar name="shape" value={hit.aspects.shape} />
        <Bar name="colour" value={hit.aspects.colour} />
      </div>
      <button type="button" className={styles.more} onClick={() => onMoreLike(hit)} aria-label={`More like ${title}`}>
        More like this
      </button>
    </li>
  );
}

function Skeletons({ n }: { n: number }) {
  return (
    <ul className={styles.grid} aria-hidden="true">
      {Array.from({ length: Math.min(n, 24) }, (_, i) => (
        <li key={i} className={styles.skeleton} />
      ))}
    </ul>
  );
}

function summary({ answer, busy }: Searching): string {
  if (!answer) return busy ? "Searching" : "";
  const n = answer.hits.length;
  return `${n} ${n === 1 ? "product looks" : "products look"} alike · ${answer.took_ms.total.toFixed(1)} ms`;
}

interface Props {
  found: Searching;
  limit: number;
  onMoreLike: (hit: Hit) => void;
}

export function Results({ found, limit, onMoreLike }: Props) {
  const { answer, error, busy, retry } = found;
  return (
    <>
      <p className={styles.summary} role="status" aria-live="polite">
        {summary(found)}
      </p>
      {error && (
        <div className={styles.error} role="alert">
          <p>{error.message}</p>
          {error.retry && (
            <button type="button" onClick={retry}>
              Try again
            </button>
          )}
        </div>
      )}
      {!answer && busy && <Skeletons n={limit} />}
      {answer?.hits.length === 0 && <p className={styles.empty}>Nothing looks like it here. Try all classes, or another photo.</p>}
      {answer && (
        <ul className={busy ? `${styles.grid} ${styles.stale}` : styles.grid} aria-busy={busy}>
          {answer.hits.map((hit) => (
            <Tile key={hit.id} hit={hit} onMoreLike={onMoreLike} />
          ))}
        </ul>
      )}
    </>
  );
}
