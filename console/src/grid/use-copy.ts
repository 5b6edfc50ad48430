// Copying a range: at once where it is in the browser and small, else after fetching it, with progress and an end.

import { useCallback, useEffect, useRef, useState } from "react";
import { fill, write } from "./clipboard";
import { type Clip, Clipping, COPY_CELLS_MAX } from "./copy";
import type { RowPages } from "./pages";
import { cellsOf, type Rect } from "./range";
import type { Column } from "./values";

/** Beyond this a range is put together in steps, so that the page stays alive. */
const AT_ONCE_CELLS = 20_000;

/** What copying says. */
export type Notice =
  | { kind: "fetching"; done: number; of: number }
  | { kind: "copied"; rows: number; columns: number; headers: boolean; long: number; zone: string | null }
  /** Fetched, but the browser wants a fresh click. */
  | { kind: "ready"; clip: Clip; rect: Rect; headers: boolean }
  | { kind: "tooLarge"; cells: number; most: number }
  | { kind: "failed"; error: unknown };

export interface CopyPorts {
  pages: RowPages;
  columns: Column[];
  zone: string;
  rect: Rect | null;
}

export interface Copying {
  notice: Notice | null;
  /** Copies the selection; gives an event its content where that can be done at once. */
  copy: (headers: boolean, event?: ClipboardEvent) => void;
  /** The click that was missing. */
  copyReady: () => void;
  /** Ends fetching, hides the notice. */
  dismiss: () => void;
}

const zoneOf = (columns: Column[], rect: Rect, zone: string) =>
  columns.slice(rect.left, rect.right + 1).some((column) => column.kind === "timestamp") ? zone : null;

const nextTask = () => new Promise((resolve) => setTimeout(resolve));

export function useCopy(ports: CopyPorts): Copying {
  const [notice, setNotice] = useState<Notice | null>(null);
  const fetching = useRef<AbortController | null>(null);
  const latest = useRef(ports);
  latest.current = ports;
  useEffect(() => () => fetching.current?.abort(), []);

  const done = useCallback((clip: Clip, rect: Rect, headers: boolean) => {
    const { columns, zone } = latest.current;
    setNotice({
      kind: "copied",
      rows: rect.bottom - rect.top + 1,
      columns: rect.right - rect.left + 1,
      headers,
      long: clip.long,
      zone: zoneOf(columns, rect, zone),
    });
  }, []);

  const collect = useCallback(
    async (rect: Rect, headers: boolean) => {
      const { pages, columns, zone } = latest.current;
      const abort = new AbortController();
      fetching.current = abort;
      const of = rect.bottom - rect.top + 1;
      setNotice({ kind: "fetching", done: 0, of });
      try {
        const clipping = new Clipping({ columns, left: rect.left, right: rect.right, zone }, headers);
        for await (const piece of pages.range(rect.top, rect.bottom, abort.signal)) {
          clipping.add(piece.rows);
          setNotice({ kind: "fetching", done: piece.from + piece.rows.length - rect.top, of });
          await nextTask();
          abort.signal.throwIfAborted();
        }
        const clip = clipping.finish();
        if (await write(clip)) done(clip, rect, headers);
        else setNotice({ kind: "ready", clip, rect, headers });
      } catch (error) {
        if (!abort.signal.aborted) setNotice({ kind: "failed", error });
      }
    },
    [done],
  );

  const copy = useCallback(
    (headers: boolean, event?: ClipboardEvent) => {
      const { pages, columns, zone, rect } = latest.current;
      if (!rect) return;
      fetching.current?.abort();
      const cells = cellsOf(rect);
      if (cells > COPY_CELLS_MAX) {
        event?.preventDefault();
        setNotice({ kind: "tooLarge", cells, most: COPY_CELLS_MAX });
        return;
      }
      if (cells > AT_ONCE_CELLS || !pages.has(rect.top, rect.bottom)) {
        event?.preventDefault();
        void collect(rect, headers);
        return;
      }
      const clipping = new Clipping({ columns, left: rect.left, right: rect.right, zone }, headers);
      for (let row = rect.top; row <= rect.bottom; row++) clipping.add([pages.row(row) ?? []]);
      const clip = clipping.finish();
      if (event && fill(event, clip)) done(clip, rect, headers);
      else
        void write(clip).then((ok) =>
          ok ? done(clip, rect, headers) : setNotice({ kind: "ready", clip, rect, headers }),
        );
    },
    [collect, done],
  );

  const copyReady = useCallback(() => {
    if (notice?.kind !== "ready") return;
    const { clip, rect, headers } = notice;
    void write(clip).then((ok) => {
      if (ok) done(clip, rect, headers);
    });
  }, [notice, done]);

  const dismiss = useCallback(() => {
    fetching.current?.abort();
    setNotice(null);
  }, []);
  return { notice, copy, copyReady, dismiss };
}
