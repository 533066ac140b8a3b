// useSearch.ts: one search at a time; a newer one takes the older one's place.
import { useCallback, useEffect, useState } from "react";
import { type Answer, search, SearchError, type Subject, type Wishes } from "./api";

export interface Searching {
  answer: Answer | null;
  error: SearchError | null;
  busy: boolean;
  retry: () => void;
}

const SETTLE_MS = 180; // a crop or a slider on the move

export function useSearch(subject: Subject | null, wishes: Wishes): Searching {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [error, setError] = useState<SearchError | null>(null);
  const [busy, setBusy] = useState(false);
  const [round, setRound] = useState(0);
  const [searched, setSearched] = useState<Subject | null>(null);
  const key = JSON.stringify(wishes);

  useEffect(() => {
    if (!subject) {
      setAnswer(null);
      setError(null);
      setBusy(false);
      return;
    }
    const abort = new AbortController();
    const run = async () => {
      try {
        setAnswer(await search(subject, JSON.parse(key) as Wishes, abort.signal));
        setError(null);
      } catch (caught) {
        if (abort.signal.aborted) return;
        setAnswer(null);
        setError(caught instanceof SearchError ? caught : new SearchError(String(caught), true));
      }
      setBusy(false);
    };
    setBusy(true);
    if (subject !== searched) {
      setSearched(subject);
      setAnswer(null);
      setError(null);
    }
    const timer = setTimeout(run, subject === searched ? SETTLE_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
    // `searched` is what the last run was for; it must not start another.
  }, [subject, key, round]);

  const retry = useCallback(() => setRound((n) => n + 1), []);
  return { answer, error, busy, retry };
}
