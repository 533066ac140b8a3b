// Query.tsx: what is looked for: the photo with its crop, or an item, and the
// way that led to it.
import { useState } from "react";
import ReactCrop, { type PercentCrop } from "react-image-crop";
import "react-image-crop/dist/ReactCrop.css";
import { type Crop, photoUrl, type Subject } from "./api";
import styles from "./Query.module.css";
import { nameOf } from "./text";

const MIN_PERCENT = 4; // a smaller crop is a slip of the finger
/** A finger scrolls the page: it crops once that was asked for. */
const touch = () => matchMedia("(hover: none)").matches;
const MIDDLE: PercentCrop = { unit: "%", x: 20, y: 20, width: 60, height: 60 };

/** Per cent of the photo to fractions; null for the whole. */
export function fractions(crop: PercentCrop): Crop | null {
  if (crop.width < MIN_PERCENT || crop.height < MIN_PERCENT) return null;
  const part = (value: number) => Math.round(value * 100) / 10000;
  const [x, y] = [part(crop.x), part(crop.y)];
  return { x, y, w: Math.min(part(crop.width), 1 - x), h: Math.min(part(crop.height), 1 - y) };
}

function Photo({ url, name, onCrop }: { url: string; name: string; onCrop: (crop: Crop | null) => void }) {
  const [crop, setCrop] = useState<PercentCrop>();
  const [shown, setShown] = useState(true);
  const cropTo = (next: PercentCrop | undefined) => {
    setCrop(next);
    onCrop(next ? fractions(next) : null);
  };
  if (!shown) return <p className={styles.unreadable}>{name} can&rsquo;t be shown here.</p>;
  return (
    <>
      <ReactCrop
        {...(crop ? { crop } : {})}
        className={styles.crop ?? ""}
        disabled={!crop && touch()}
        onChange={(_, percent) => setCrop(percent)}
        onComplete={(_, percent) => onCrop(fractions(percent))}
        ruleOfThirds
        ariaLabels={{
          cropArea: "Use the arrow keys to move the part that is searched",
          nwDragHandle: "Use the arrow keys to move the upper left corner",
          nDragHandle: "Use the up and down arrow keys to move the upper edge",
          neDragHandle: "Use the arrow keys to move the upper right corner",
          eDragHandle: "Use the left and right arrow keys to move the right edge",
          seDragHandle: "Use the arrow keys to move the lower right corner",
          sDragHandle: "Use the up and down arrow keys to move the lower edge",
          swDragHandle: "Use the arrow keys to move the lower left corner",
          wDragHandle: "Use the left and right arrow keys to move the left edge",
        }}
      >
        <img src={url} alt="What you are looking for" className={styles.photo} onError={() => setShown(false)} />
      </ReactCrop>
      <p className={styles.hint}>
        {crop?.width ? (
          <button type="button" onClick={() => cropTo(undefined)}>
            Search the whole photo
          </button>
        ) : touch() ? (
          <button type="button" onClick={() => cropTo(MIDDLE)}>
            Search a part
          </button>
        ) : (
          <>
            Drag over the photo to{" "}
            <button type="button" onClick={() => cropTo(MIDDLE)}>
              search a part
            </button>
          </>
        )}
      </p>
    </>
  );
}

function thumbnail(subject: Subject): string {
  return subject.kind === "photo" ? subject.url : photoUrl(subject.hit);
}

interface Props {
  subject: Subject;
  /** The steps that led here. */
  before: Subject[];
  onCrop: (crop: Crop | null) => void;
  onStep: (step: number) => void;
}

export function Query({ subject, before, onCrop, onStep }: Props) {
  return (
    <div className={styles.query}>
      {subject.kind === "photo" ? (
        <Photo key={subject.url} url={subject.url} name={subject.name} onCrop={onCrop} />
      ) : (
        <>
          <img src={photoUrl(subject.hit)} alt="" className={styles.photo} />
          <p className={styles.hint}>More like this {nameOf(subject.hit)}</p>
        </>
      )}
      {before.length > 0 && (
        <nav aria-label="The way here" className={styles.trail}>
          {before.map((step, i) => (
            <button type="button" key={i} onClick={() => onStep(i)} aria-label={`Back to step ${i + 1}`}>
              <img src={thumbnail(step)} alt="" />
            </button>
          ))}
        </nav>
      )}
    </div>
  );
}
