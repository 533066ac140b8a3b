// DropZone.tsx: where photos come in: dropped anywhere, pasted, or chosen.
import { type ReactNode, useEffect, useRef, useState } from "react";
import styles from "./DropZone.module.css";

type OnPhoto = (file: File) => void;

/** Takes photos that are dropped or pasted anywhere on the page; true while one hovers over it. */
export function useDroppedPhoto(onPhoto: OnPhoto): boolean {
  const [depth, setDepth] = useState(0);
  useEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent) => hasFiles(event) && setDepth((n) => n + 1);
    const leave = (event: DragEvent) => hasFiles(event) && setDepth((n) => Math.max(0, n - 1));
    const over = (event: DragEvent) => event.preventDefault();
    const take = (files: FileList | undefined) => {
      const file = files?.[0];
      if (file) onPhoto(file);
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      setDepth(0);
      take(event.dataTransfer?.files);
    };
    const paste = (event: ClipboardEvent) => take(event.clipboardData?.files);
    const page = new AbortController();
    const { signal } = page;
    document.addEventListener("dragenter", enter, { signal });
    document.addEventListener("dragleave", leave, { signal });
    document.addEventListener("dragover", over, { signal });
    document.addEventListener("drop", drop, { signal });
    document.addEventListener("paste", paste, { signal });
    return () => page.abort();
  }, [onPhoto]);
  return depth > 0;
}

/** A button that opens the file chooser; on a phone, the camera as well. */
export function PhotoButton({ onPhoto, main = false, children }: { onPhoto: OnPhoto; main?: boolean; children: ReactNode }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" className={main ? styles.main : styles.button} onClick={() => input.current?.click()}>
        {children}
      </button>
      <input
        ref={input}
        type="file"
        accept="image/*"
        hidden
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = "";
          if (file) onPhoto(file);
        }}
      />
    </>
  );
}

/** The empty page. */
export function Welcome({ onPhoto }: { onPhoto: OnPhoto }) {
  return (
    <main className={styles.welcome}>
      <h1>Find what looks alike</h1>
      <p className={styles.lead}>A photo is all it takes: from your camera, a magazine, a friend.</p>
      <div className={styles.zone}>
        <svg viewBox="0 0 64 48" className={styles.icon} aria-hidden="true">
          <rect x="3" y="9" width="30" height="36" rx="6" transform="rotate(-7 18 27)" />
          <rect x="29" y="5" width="30" height="36" rx="6" transform="rotate(7 44 23)" className={styles.front} />
          <path d="M35.5 33.5l6.5-9 5 5.5 3.5-3.5 6 9" className={styles.hills} />
          <circle cx="50" cy="17" r="2.6" className={styles.sun} />
        </svg>
        <PhotoButton onPhoto={onPhoto} main>
          Choose a photo
        </PhotoButton>
        <p>or drop or paste one anywhere on this page</p>
      </div>
    </main>
  );
}
