// Which rows are on screen, and scrolling over more of them than a browser lays out.
//
// Rows have one height, so their places are arithmetic and a million of them cost nothing (a virtual list would measure
// each); columns, which have widths of their own, are react-virtual's.

import { type RefObject, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { offsetOf, revealing, type Stand, scrolled, standAt, type Track, trackOf } from "./scale";

/** Rows drawn above and below what is seen. */
const OVERSCAN = 8;

export interface RowsView {
  first: number;
  last: number;
  /** Rows are drawn this much higher than their place in all rows. */
  shift: number;
}

export interface RowsScroll {
  view: RowsView;
  track: Track;
  /** Rows that are seen whole. */
  page: number;
  /** Scrolls as little as needed. */
  reveal: (row: number) => void;
  /** The row at so many pixels below the upper edge of what is seen; may lie outside of the rows. */
  rowAt: (y: number) => number;
}

export function useRowsScroll(
  scroller: RefObject<HTMLElement | null>,
  rows: number,
  rowHeight: number,
  headHeight: number,
): RowsScroll {
  const [height, setHeight] = useState(0);
  const viewport = Math.max(0, height - headHeight);
  const track = useMemo(() => trackOf(rows, rowHeight, viewport), [rows, rowHeight, viewport]);
  const stand = useRef<Stand>({ top: 0, shift: 0 });
  const [view, setView] = useState<RowsView>({ first: 0, last: -1, shift: 0 });

  const show = useCallback(
    (next: Stand) => {
      stand.current = next;
      const at = Math.floor(offsetOf(next) / rowHeight);
      const seen = Math.ceil(track.viewport / rowHeight) + 1;
      const first = Math.max(0, at - OVERSCAN);
      const last = Math.min(rows - 1, at + seen + OVERSCAN);
      setView((now) =>
        now.first === first && now.last === last && now.shift === next.shift ? now : { first, last, shift: next.shift },
      );
    },
    [rows, rowHeight, track],
  );

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const follow = () => {
      const next = scrolled(stand.current, element.scrollTop, track);
      show(next);
      if (next.top !== element.scrollTop) element.scrollTop = next.top;
    };
    element.addEventListener("scroll", follow, { passive: true });
    return () => element.removeEventListener("scroll", follow);
  }, [scroller, track, show]);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => setHeight(element.clientHeight);
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    return () => watch.disconnect();
  }, [scroller]);

  const goTo = useCallback(
    (offset: number) => {
      const step = offset - offsetOf(stand.current);
      const near = Math.abs(step) <= 2 * track.viewport;
      const next = near ? scrolled(stand.current, stand.current.top + step, track) : standAt(offset, track);
      show(next);
      if (scroller.current) scroller.current.scrollTop = next.top;
    },
    [scroller, show, track],
  );

  // A row keeps its place on screen when rows are added or their height changes.
  const rowHeightBefore = useRef(rowHeight);
  useLayoutEffect(() => {
    const offset = (offsetOf(stand.current) / rowHeightBefore.current) * rowHeight;
    if (rowHeightBefore.current !== rowHeight) goTo(offset);
    else show(stand.current);
    rowHeightBefore.current = rowHeight;
  }, [rowHeight, goTo, show]);

  const reveal = useCallback(
    (row: number) => {
      if (row < 0) return;
      const offset = offsetOf(stand.current);
      const next = revealing(offset, row, rowHeight, track);
      if (next !== offset) goTo(next);
    },
    [rowHeight, track, goTo],
  );
  const rowAt = useCallback((y: number) => Math.floor((offsetOf(stand.current) + y) / rowHeight), [rowHeight]);
  return { view, track, page: Math.max(1, Math.floor(viewport / rowHeight)), reveal, rowAt };
}
