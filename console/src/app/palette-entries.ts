// What the palette (Ctrl/Cmd+K) offers beside the pages: pages add entries while they are on screen, or a search.

import { useEffect, useRef } from "react";

export interface PaletteEntry {
  id: string;
  label: string;
  /** What kind of thing, or where: shown dim at the right. */
  hint?: string;
  /** A path, or something to do. */
  to?: string;
  run?: () => void;
}

/** Answers a typed text; called with at least one character, debounced. */
export type PaletteSearch = (text: string, signal: AbortSignal) => Promise<PaletteEntry[]>;

const entries = new Map<symbol, () => PaletteEntry[]>();
const searches = new Set<PaletteSearch>();

/** Entries that the palette offers while the caller is on screen. */
export function usePaletteEntries(list: PaletteEntry[]): void {
  const latest = useRef(list);
  latest.current = list;
  useEffect(() => {
    const key = Symbol();
    entries.set(key, () => latest.current);
    return () => {
      entries.delete(key);
    };
  }, []);
}

/** Adds a search for the console's whole life (tables, saved queries). Call it at module level of a page's `palette.ts`. */
export function addPaletteSearch(search: PaletteSearch): void {
  searches.add(search);
}

export function paletteEntries(): PaletteEntry[] {
  return [...entries.values()].flatMap((list) => list());
}

export function paletteSearches(): PaletteSearch[] {
  return [...searches];
}

/** Whether all words of `text` are in the label: Hangul in either normal form, any case. */
export function fits(label: string, text: string): boolean {
  const plain = (value: string) => value.normalize("NFC").toLowerCase();
  const inside = plain(label);
  return plain(text)
    .split(/\s+/)
    .every((word) => inside.includes(word));
}
