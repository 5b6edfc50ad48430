// Looking through an answer while it is typed what for.

import { useEffect, useState } from "react";
import { FIND_ROWS_MAX, folded, MATCHES_MAX, matchesIn } from "./find";
import type { RowPages } from "./pages";
import type { Place } from "./range";
import type { Column } from "./values";

const TYPING_MS = 200;

export interface Finding {
  matches: Place[];
  /** Rows looked through. */
  seen: number;
  /** Looking ended: all rows, the limit, or enough matches. */
  ended: boolean;
  error: unknown;
}

const NOTHING: Finding = { matches: [], seen: 0, ended: true, error: undefined };

/** Matches of `text`, as they are found; goes no further than `FIND_ROWS_MAX` rows. */
export function useFind(text: string, pages: RowPages, rows: number, columns: Column[], zone: string): Finding {
  const [finding, setFinding] = useState(NOTHING);
  useEffect(() => {
    const needle = folded(text);
    if (needle === "" || rows === 0) {
      setFinding(NOTHING);
      return;
    }
    const abort = new AbortController();
    const look = async () => {
      let matches: Place[] = [];
      let seen = 0;
      const tell = (ended: boolean, error?: unknown) => setFinding({ matches, seen, ended, error });
      try {
        for await (const piece of pages.range(0, Math.min(rows, FIND_ROWS_MAX) - 1, abort.signal)) {
          const more = matchesIn(piece.rows, piece.from, columns, zone, needle);
          matches = [...matches, ...more].slice(0, MATCHES_MAX);
          seen = piece.from + piece.rows.length;
          tell(false);
          await new Promise((resolve) => setTimeout(resolve));
          if (abort.signal.aborted) return;
          if (matches.length === MATCHES_MAX) break;
        }
        tell(true);
      } catch (error) {
        if (!abort.signal.aborted) tell(true, error);
      }
    };
    const timer = setTimeout(look, TYPING_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, pages, rows, columns, zone]);
  return finding;
}
