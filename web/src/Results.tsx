// Results.tsx: the hits, and what there is instead of them: skeletons, nothing
// found, an error with a way on.
import { memo, type SyntheticEvent, useState } from "react";
import { type Hit, photoUrl, type SearchError, type Trouble } from "./api";
import styles from "./Results.module.css";
import { capital, countOf, detailsOf, nameOf, percent } from "./text";
import type { Searching } from "./useSearch";

function Aspect({ name, value }: { name: string; value: number }) {
  return (
    <span className={styles.aspect}>
      <progress max={1} value={Math.max(0, value)} aria-hidden="true" />
      <span>
        {name} {percent(value)}
      </span>
    </span>
  );
}

/** Tall photos fill their frame; wide ones are shown whole, and none before it is known which. */
function Picture({ hit }: { hit: Hit }) {
  const [fit, setFit] = useState(styles.unknown);
  const [shown, setShown] = useState(true);
  const measure = ({ currentTarget: { naturalWidth, naturalHeight } }: SyntheticEvent<HTMLImageElement>) => {
    const extreme = naturalWidth > naturalHeight * 1.1 || naturalWidth < naturalHeight * 0.5;
    setFit(extreme ? styles.whole : styles.fill);
  };
  if (!shown) return <span className={styles.missing}>{nameOf(hit)}</span>;
  return <img src={photoUrl(hit)} alt={nameOf(hit)} className={fit} loading="lazy" decoding="async" onLoad={measure} onError={() => setShown(false)} />;
}

const Tile = memo(function Tile({ hit, onMoreLike }: { hit: Hit; onMoreLike: (hit: Hit) => void }) {
  const details = detailsOf(hit);
  return (
    <li className={styles.tile}>
      <button type="button" className={styles.frame} onClick={() => onMoreLike(hit)}>
        <Picture hit={hit} />
        <span className={styles.more}>
          <svg viewBox="0 0 20 14" width="18" height="13" aria-hidden="true">
            <circle cx="7" cy="7" r="5.5" />
            <circle cx="13" cy="7" r="5.5" />
          </svg>
          <span className={styles.moreText}>More like this</span>
        </span>
      </button>
      <p className={styles.name}>
        <span title={nameOf(hit)}>{nameOf(hit)}</span>
        <strong>{percent(hit.score)}</strong>
      </p>
      {details && <p className={styles.details}>{details}</p>}
      <p className={styles.aspects}>
        {Object.entries(hit.aspects).map(([name, value]) => (
          <Aspect key={name} name={name} value={value} />
        ))}
      </p>
    </li>
  );
});

function Skeletons({ n }: { n: number }) {
  return (
    <div className={styles.grid} aria-hidden="true">
      {Array.from({ length: Math.min(n, 24) }, (_, i) => (
        <span key={i} className={styles.skeleton} />
      ))}
    </div>
  );
}

const TITLES: Record<Trouble, string> = {
  offline: "The server can’t be reached",
  busy: "The server is busy",
  refused: "This can’t be searched",
  failed: "Something went wrong on the server",
};

function explain({ trouble, message, wait }: SearchError): string {
  if (trouble === "offline") return "Check your connection. The search goes on by itself when you are back online.";
  if (trouble === "busy") return `Many photos are being searched. Trying again in ${wait} s.`;
  return `${capital(message)}.`;
}

function Failure({ error, retry }: { error: SearchError; retry: () => void }) {
  return (
    <div className={styles.error} role="alert">
      <div>
        <strong>{TITLES[error.trouble]}</strong>
        <p>{explain(error)}</p>
      </div>
      {error.trouble !== "refused" && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

function summary({ answer, busy }: Searching): string {
  if (!answer) return busy ? "Searching…" : "";
  return `${countOf(answer.hits.length)} · ${answer.took_ms.total.toFixed(1)} ms`;
}

interface Props {
  found: Searching;
  limit: number;
  onMoreLike: (hit: Hit) => void;
}

export function Results({ found, limit, onMoreLike }: Props) {
  const { answer, error, busy, retry } = found;
  return (
    <div aria-busy={busy}>
      <p className={styles.summary} role="status">
        {summary(found)}
      </p>
      {error && !busy && <Failure error={error} retry={retry} />}
      {!answer && busy && <Skeletons n={limit} />}
      {answer?.hits.length === 0 && <p className={styles.empty}>Nothing here looks like it. Try another photo, or a part of this one.</p>}
      {answer && (
        <ol className={busy ? `${styles.grid} ${styles.stale}` : styles.grid}>
          {answer.hits.map((hit) => (
            <Tile key={hit.id} hit={hit} onMoreLike={onMoreLike} />
          ))}
        </ol>
      )}
    </div>
  );
}
