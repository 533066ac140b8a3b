// useTrail.ts: the way from a photo to a product to the next. The browser's
// Back and Forward walk it; the page's own steps do so through them.
import { useCallback, useEffect, useState } from "react";
import type { Subject } from "./api";

interface Trail {
  steps: Subject[];
  at: number; // -1: before the first
}

export function useTrail() {
  const [trail, setTrail] = useState<Trail>({ steps: [], at: -1 });
  const { steps } = trail;
  // After a reload, history may know steps that we don't.
  const at = Math.min(trail.at, steps.length - 1);

  useEffect(() => {
    const walk = (event: PopStateEvent) => {
      const to = (event.state as { at?: number } | null)?.at ?? -1;
      setTrail((before) => ({ ...before, at: to }));
    };
    addEventListener("popstate", walk);
    return () => removeEventListener("popstate", walk);
  }, []);

  const open = useCallback(
    (subject: Subject) => {
      for (const left of steps.slice(at + 1)) if (left.kind === "photo") URL.revokeObjectURL(left.url);
      setTrail({ steps: [...steps.slice(0, at + 1), subject], at: at + 1 });
      history.pushState({ at: at + 1 }, "");
      scrollTo(0, 0);
    },
    [steps, at],
  );
  const goTo = useCallback((step: number) => history.go(step - at), [at]);

  return { subject: steps[at] ?? null, before: steps.slice(0, Math.max(0, at)), open, goTo };
}
