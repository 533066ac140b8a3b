// App.tsx: the page: a photo on the left, what looks like it on the right.
import { useCallback, useEffect, useState } from "react";
import styles from "./App.module.css";
import { type Aspect, aspectsOf, type Crop, type Hit, type Subject } from "./api";
import { Classes } from "./Classes";
import { PhotoButton, useDroppedPhoto, Welcome } from "./DropZone";
import { prepare } from "./photo";
import { Query } from "./Query";
import { Results } from "./Results";
import { loadSettings, type Settings, saveSettings, weightsFor } from "./settings";
import { SettingsPanel } from "./SettingsPanel";
import { useSearch } from "./useSearch";
import { useTrail } from "./useTrail";

/** What is asked of one subject only, and forgotten with the next. */
interface Narrowing {
  of: Subject | null;
  crop: Crop | null;
  chosen: string | null;
}

export function App() {
  const { subject, before, open, goTo } = useTrail();
  const [settings, setSettings] = useState<Settings>(loadSettings);
  const [aspects, setAspects] = useState<Aspect[]>([]);
  const [narrowing, setNarrowing] = useState<Narrowing>({ of: null, crop: null, chosen: null });
  const current = narrowing.of === subject ? narrowing : { of: subject, crop: null, chosen: null };
  const fitting = { ...settings, weights: weightsFor(aspects, settings.weights) };
  const found = useSearch(subject, { ...fitting, crop: current.crop, chosen: current.chosen });

  useEffect(() => saveSettings(settings), [settings]);
  useEffect(() => {
    const abort = new AbortController();
    void aspectsOf(abort.signal).then((known) => abort.signal.aborted || setAspects(known));
    return () => abort.abort();
  }, []);

  const takePhoto = useCallback(
    (file: File) => open({ kind: "photo", photo: prepare(file), url: URL.createObjectURL(file), name: file.name || "Your photo" }),
    [open],
  );
  const moreLike = useCallback((hit: Hit) => open({ kind: "item", hit }), [open]);
  const dragging = useDroppedPhoto(takePhoto);

  return (
    <>
      <header className={styles.header}>
        <button type="button" className={styles.brand} disabled={subject === null} onClick={() => goTo(-1)}>
          <img src="/icon.svg" alt="" width="28" height="28" />
          Sosie
        </button>
        {subject && <PhotoButton onPhoto={takePhoto}>New photo</PhotoButton>}
      </header>
      {subject === null ? (
        <Welcome onPhoto={takePhoto} />
      ) : (
        <main className={styles.main}>
          <h1 className={styles.hidden}>Products that look alike</h1>
          <aside className={styles.aside} aria-label="Search">
            <Query subject={subject} before={before} onCrop={(crop) => setNarrowing({ ...current, crop })} onStep={goTo} />
            <SettingsPanel settings={fitting} aspects={aspects} onChange={setSettings} />
          </aside>
          <section aria-label="Results">
            <Classes classes={found.classes} chosen={current.chosen} onChoose={(chosen) => setNarrowing({ ...current, chosen })} />
            <Results found={found} limit={settings.limit} onMoreLike={moreLike} />
          </section>
        </main>
      )}
      {dragging && <div className={styles.curtain}>Drop it anywhere</div>}
    </>
  );
}
