// App.tsx: the page: a photo on the left, what looks like it on the right.
import { useCallback, useEffect, useRef, useState } from "react";
import styles from "./App.module.css";
import type { Crop, Hit, Subject } from "./api";
import { Classes } from "./Classes";
import { DropZone, useDroppedPhoto } from "./DropZone";
import { prepare } from "./photo";
import { Query } from "./Query";
import { Results } from "./Results";
import { loadSettings, saveSettings, type Settings } from "./settings";
import { SettingsPanel } from "./SettingsPanel";
import { useSearch } from "./useSearch";

export function App() {
  const [trail, setTrail] = useState<Subject[]>([]);
  const [crop, setCrop] = useState<Crop | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [settings, setSettings] = useState<Settings>(loadSettings);
  const subject = trail.at(-1) ?? null;
  const found = useSearch(subject, { ...settings, crop: subject?.kind === "photo" ? crop : null, chosen });
  const top = useRef<HTMLElement>(null);

  useEffect(() => saveSettings(settings), [settings]);

  const begin = useCallback((next: Subject[]) => {
    setTrail(next);
    setCrop(null);
    setChosen(null);
    top.current?.scrollIntoView({ block: "start" });
  }, []);

  const takePhoto = useCallback(
    async (file: File) => {
      const photo = await prepare(file);
      begin([{ kind: "photo", photo, url: URL.createObjectURL(photo), name: file.name || "Your photo" }]);
    },
    [begin],
  );
  const dragging = useDroppedPhoto(takePhoto);
  const moreLike = (hit: Hit) => begin([...trail, { kind: "item", hit }]);

  return (
    <>
      <header className={styles.header} ref={top}>
        <button type="button" className={styles.brand} onClick={() => begin([])}>
          <img src="/icon.svg" alt="" width="28" height="28" />
          Sosie
        </button>
        <p className={styles.claim}>Drop a photo, see what looks alike.</p>
      </header>
      {subject === null ? (
        <main className={styles.hero}>
          <h1>Find what looks alike</h1>
          <p>A photo is all it takes: from your camera, a magazine, a friend.</p>
          <DropZone onPhoto={takePhoto} dragging={dragging} large />
        </main>
      ) : (
        <main className={styles.main}>
          <h1 className={styles.hidden}>Products that look alike</h1>
          <aside className={styles.aside}>
            <Query trail={trail} onCrop={setCrop} onBack={(n) => begin(trail.slice(0, n + 1))} />
            <DropZone onPhoto={takePhoto} dragging={dragging} />
            <SettingsPanel settings={settings} onChange={setSettings} />
          </aside>
          <section className={styles.results} aria-label="Results">
            <Classes classes={found.answer?.classes ?? []} chosen={chosen} onChoose={setChosen} />
            <Results found={found} limit={settings.limit} onMoreLike={moreLike} />
          </section>
        </main>
      )}
      {dragging && <div className={styles.curtain}>Drop it anywhere</div>}
    </>
  );
}
