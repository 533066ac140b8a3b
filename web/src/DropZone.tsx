// DropZone.tsx: where photos come in: dropped anywhere, pasted, or chosen.
import { useEffect, useRef, useState } from "react";
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

export function DropZone({ onPhoto, dragging, large = false }: { onPhoto: OnPhoto; dragging: boolean; large?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <div className={[styles.zone, large && styles.large, dragging && styles.dragging].filter(Boolean).join(" ")}>
      {large && (
        <svg viewBox="0 0 48 48" width="56" height="56" aria-hidden="true" className={styles.icon}>
          <rect x="6" y="10" width="36" height="28" rx="5" />
          <circle cx="17" cy="20" r="3.5" />
          <path d="M8 35l11-10 7 6 7-8 8 9" />
        </svg>
      )}
      <button type="button" className={styles.button} onClick={() => input.current?.click()}>
        {large ? "Choose a photo" : "Another photo"}
      </button>
      {large && <p>or drop or paste one anywhere: JPEG, PNG or WebP</p>}
      <input
        ref={input}
        type="file"
        accept="image/*"
        aria-label="Photo to search with"
        className={styles.input}
        tabIndex={-1}
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = "";
          if (file) onPhoto(file);
        }}
      />
    </div>
  );
}
