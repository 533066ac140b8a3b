// useSearch.ts: one search at a time; a newer one takes the older one's place.
import { useCallback, useEffect, useState } from "react";
import { type Answer, search, SearchError, type Subject, type Wishes } from "./api";

export interface Searching {
  answer: Answer | null;
  /** What the subject shows, as last told without a chosen class. */
  classes: Answer["classes"];
  error: SearchError | null;
  busy: boolean;
  retry: () => void;
}

interface Found extends Pick<Searching, "answer" | "classes" | "error"> {
  subject: Subject | null;
  round: string;
}

const SETTLE_MS = 180; // a crop or a slider on the move
const NOTHING: Found = { subject: null, round: "", answer: null, classes: [], error: null };

export function useSearch(subject: Subject | null, wishes: Wishes): Searching {
  const [last, setLast] = useState<Found>(NOTHING);
  const [attempt, setAttempt] = useState(0);
  const key = JSON.stringify(wishes);
  const round = `${attempt} ${key}`;
  // What was found for another subject is of no use.
  const found = last.subject === subject ? last : NOTHING;
  const isNew = found === NOTHING;
  const retry = useCallback(() => setAttempt((n) => n + 1), []);

  useEffect(() => {
    if (!subject) return;
    const abort = new AbortController();
    const run = async () => {
      const asked = JSON.parse(key) as Wishes;
      try {
        const answer = await search(subject, asked, abort.signal);
        setLast((before) => {
          const known = before.subject === subject ? before.classes : [];
          const classes = asked.chosen === null || !known.length ? answer.classes : known;
          return { subject, round, answer, classes, error: null };
        });
      } catch (caught) {
        if (abort.signal.aborted) return;
        const error = caught instanceof SearchError ? caught : new SearchError("failed", String(caught));
        setLast((before) => ({ ...(before.subject === subject ? before : NOTHING), subject, round, answer: null, error }));
      }
    };
    const timer = setTimeout(run, isNew ? 0 : SETTLE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
    // isNew only sets the pace; when it changes, nothing is searched again.
  }, [subject, round]);

  const { error } = found;
  useEffect(() => {
    if (error?.trouble === "offline") {
      addEventListener("online", retry);
      return () => removeEventListener("online", retry);
    }
    if (error?.trouble !== "busy") return;
    const timer = setTimeout(retry, error.wait * 1000);
    return () => clearTimeout(timer);
  }, [error, retry]);

  const busy = subject !== null && found.round !== round;
  return { answer: found.answer, classes: found.classes, error: found.error, busy, retry };
}
