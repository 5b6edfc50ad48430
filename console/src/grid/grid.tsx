// A result on screen: rows and columns that are seen, a selection, the keyboard, copying, finding, one cell in full.
//
// Owns: what is drawn and where the focus is. Rows come from `RowPages`; what a range is, how it is copied and where a key
// leads is decided by the pure parts beside this file.

import { useVirtualizer } from "@tanstack/react-virtual";
import {
  type ClipboardEvent,
  type KeyboardEvent,
  type PointerEvent,
  type Ref,
  useCallback,
  useEffect,
  useId,
  useImperativeHandle,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { asProblem } from "../api/problem";
import { isComposing } from "../app/shortcuts";
import { useText } from "../i18n";
import { Button } from "../ui/button";
import { nextMatch } from "./find";
import { FindBar } from "./find-bar";
import { GridFoot } from "./foot";
import styles from "./grid.module.css";
import { GridHeader } from "./header";
import { GridMenu } from "./menu";
import { CopyNotice } from "./notice";
import type { RowPages } from "./pages";
import { type Bounds, cellAt, columnsOf, everything, moved, type Place, rectOf, rowsOf, type Selection } from "./range";
import { cellId, GridRow } from "./row";
import { gridText } from "./text";
import { useCopy } from "./use-copy";
import { type Part, type Spot, useDrag } from "./use-drag";
import { useFind } from "./use-find";
import { useRowsScroll } from "./use-rows";
import type { Column } from "./values";
import { CellViewer } from "./viewer";
import { firstWidths, widthWithin } from "./widths";

const ROW_HEIGHT = 28;
const ROW_HEIGHT_WRAPPED = 68;
const HEAD_HEIGHT = 44;
/** How far a key widens a column. */
const WIDTH_STEP = 16;
/** The least time between two askings for rows. */
const SETTLE_MS = 70;

/** What a toolbar outside asks of a grid. */
export interface GridHandle {
  copy: (headers: boolean) => void;
  find: () => void;
  focus: () => void;
}

export interface GridProps {
  label: string;
  columns: Column[];
  pages: RowPages;
  /** Rows there are now; may grow. */
  rows: number;
  /** More rows may come. */
  growing: boolean;
  /** The zone of TIMESTAMP columns. */
  zone: string;
  wrapped: boolean;
  ref?: Ref<GridHandle>;
}

export function Grid({ label, columns, pages, rows, growing, zone, wrapped, ref }: GridProps) {
  const text = useText(gridText);
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const version = useSyncExternalStore(pages.subscribe, pages.snapshot);
  const gutter = 24 + 8 * Math.max(2, rows.toLocaleString("en-US").length);
  const rowHeight = wrapped ? ROW_HEIGHT_WRAPPED : ROW_HEIGHT;
  const scroll = useRowsScroll(scroller, rows, rowHeight, HEAD_HEIGHT);
  const { view, reveal } = scroll;
  const [widths, setWidth, fit] = useWidths(columns, pages, zone, version, view);

  const virtual = useVirtualizer({
    horizontal: true,
    count: columns.length,
    getScrollElement: () => scroller.current,
    estimateSize: (at) => widths[at] ?? 0,
    overscan: 2,
    paddingStart: gutter,
    scrollPaddingStart: gutter,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: widths are what is measured
  useEffect(() => virtual.measure(), [virtual, widths, gutter]);
  const items = virtual.getVirtualItems();
  const width = virtual.getTotalSize();

  const bounds: Bounds = useMemo(
    () => ({ rows, columns: columns.length, page: scroll.page }),
    [rows, columns.length, scroll.page],
  );
  const [selection, setSelection] = useState<Selection | null>(null);
  const rect = useMemo(() => selection && rectOf(selection, bounds), [selection, bounds]);
  const [opened, setOpened] = useState(false);
  const [menuAt, setMenuAt] = useState<{ x: number; y: number } | null>(null);
  const copying = useCopy({ pages, columns, zone, rect });
  const finder = useFinder(pages, rows, columns, zone, selection, goTo);

  useWanted(pages, view.first, view.last);

  function goTo(place: Place): void {
    setSelection(cellAt(place.row, place.column));
    show(place);
  }
  function show(place: Place): void {
    reveal(place.row);
    virtual.scrollToIndex(place.column, { align: "auto" });
  }
  // The viewer takes a part of the width: what is open stays in view.
  const showing = useRef(show);
  showing.current = show;
  const [openRow, openColumn] = opened && selection ? [selection.focus.row, selection.focus.column] : [-1, -1];
  useEffect(() => {
    if (openRow < 0) return;
    const frame = requestAnimationFrame(() => showing.current({ row: openRow, column: openColumn }));
    return () => cancelAnimationFrame(frame);
  }, [openRow, openColumn]);
  function select(next: Selection, follow = true): void {
    setSelection(next);
    if (follow) show(next.focus);
  }
  const openCell = useCallback((row: number, column: number) => {
    setSelection(cellAt(row, column));
    setOpened(true);
  }, []);

  const press = useDrag({
    scroller: () => scroller.current,
    inset: { left: gutter, top: HEAD_HEIGHT },
    spotAt: (x, y, part) => {
      const box = scroller.current?.getBoundingClientRect();
      const row = scroll.rowAt(y - (box?.top ?? 0) - HEAD_HEIGHT);
      const offset = x - (box?.left ?? 0) + (scroller.current?.scrollLeft ?? 0);
      const column = columnAt(widths, offset - gutter);
      return { part, row: Math.max(0, Math.min(rows - 1, row)), column };
    },
    begin: (spot, extend) => setSelection((now) => begun(spot, extend ? now : null, bounds)),
    extend: (spot) => setSelection((now) => begun(spot, now, bounds)),
  });

  function pointerDown(event: PointerEvent): void {
    const part = (event.target as Element).closest<HTMLElement>("[data-part]")?.dataset.part;
    if (part === "all" && event.button === 0) setSelection(everything(bounds));
    else if (part) press(event, part as Part);
  }

  function contextMenu(event: React.MouseEvent): void {
    const cell = (event.target as Element).closest<HTMLElement>("[role=gridcell],[role=columnheader]");
    const at = cell?.id.split("-").slice(-1)[0];
    const row = (Number(cell?.parentElement?.getAttribute("aria-rowindex")) || 0) - 2;
    if (!cell?.id || at === undefined) return;
    event.preventDefault();
    const column = Number(at);
    const inside = rect && row <= rect.bottom && row >= rect.top && column >= rect.left && column <= rect.right;
    if (!inside) setSelection(row < 0 ? columnsOf(column, column, bounds) : cellAt(row, column));
    setMenuAt({ x: event.clientX, y: event.clientY });
  }

  function resizeBy(step: number): void {
    if (!selection) return;
    const { column } = selection.focus;
    setWidth(column, widthWithin((widths[column] ?? 0) + step));
  }

  function keyDown(event: KeyboardEvent): void {
    if (isComposing(event.nativeEvent)) return;
    const command = event.ctrlKey || event.metaKey;
    const now = selection ?? cellAt(0, 0);
    const onHeader = now.focus.row < 0;
    const lower = event.key.toLowerCase();
    if (event.altKey && onHeader && event.key === "ArrowRight") resizeBy(WIDTH_STEP);
    else if (event.altKey && onHeader && event.key === "ArrowLeft") resizeBy(-WIDTH_STEP);
    else if (event.altKey) return;
    else if (command && lower === "a") setSelection(everything(bounds));
    else if (command && lower === "f") finder.open();
    else if (command && event.shiftKey && lower === "c") copying.copy(true);
    else if (event.key === " " && command) setSelection(columnsOf(now.focus.column, now.focus.column, bounds));
    else if (event.key === " " && event.shiftKey) setSelection(rowsOf(now.focus.row, now.focus.row, bounds));
    else if (event.key === "Enter" || event.key === " ") {
      if (onHeader) setSelection(columnsOf(now.focus.column, now.focus.column, bounds));
      else setOpened(true);
    } else if (event.key === "Escape" && (opened || finder.isOpen)) {
      setOpened(false);
      finder.close();
    } else {
      const next = moved(now, { key: event.key, shift: event.shiftKey, command }, bounds);
      if (!next || rows === 0) return;
      select(next);
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function onCopy(event: ClipboardEvent): void {
    if (rect && event.target === scroller.current) copying.copy(false, event.nativeEvent);
  }

  useImperativeHandle(
    ref,
    () => ({ copy: copying.copy, find: finder.open, focus: () => scroller.current?.focus({ preventScroll: true }) }),
    [copying.copy, finder.open],
  );

  const focus = selection?.focus;
  const drawn = [];
  for (let row = view.first; row <= view.last; row++) drawn.push(row);
  const focusDrawn = focus && (focus.row < 0 || (focus.row >= view.first && focus.row <= view.last));
  const active =
    focusDrawn && items.some((item) => item.index === focus.column) ? cellId(id, focus.row, focus.column) : undefined;
  const inRect = (row: number) => rect !== null && row >= rect.top && row <= rect.bottom;
  const column = focus && columns[focus.column];

  return (
    <div className={styles.grid}>
      {finder.isOpen && (
        <FindBar
          value={finder.value}
          finding={finder.finding}
          at={finder.at}
          rows={rows}
          onChange={finder.setValue}
          onStep={finder.step}
          onClose={() => {
            finder.close();
            scroller.current?.focus({ preventScroll: true });
          }}
        />
      )}
      <div className={styles.body} data-opened={opened || undefined}>
        {/* biome-ignore lint/a11y/useSemanticElements: a table cannot leave out rows that are not seen */}
        <div
          ref={scroller}
          role="grid"
          tabIndex={0}
          aria-label={label}
          aria-rowcount={rows + 1}
          aria-colcount={columns.length + 1}
          aria-multiselectable
          aria-readonly
          aria-activedescendant={active}
          className={styles.scroller}
          onKeyDown={keyDown}
          onCopy={onCopy}
          onPointerDown={pointerDown}
          onDoubleClick={(event) => {
            if ((event.target as Element).closest("[data-part=cells]")) setOpened(true);
          }}
          onContextMenu={contextMenu}
          onFocus={() => setSelection((now) => now ?? (rows > 0 ? cellAt(0, 0) : null))}
        >
          <div
            role="presentation"
            style={{ width, height: HEAD_HEIGHT + scroll.track.physical }}
            className={styles.canvas}
          >
            <GridHeader
              grid={id}
              columns={columns}
              items={items}
              zone={zone}
              width={width}
              height={HEAD_HEIGHT}
              gutter={gutter}
              from={rect?.left ?? -1}
              to={rect?.right ?? -1}
              focus={focus?.row === -1 ? focus.column : -1}
              onWidth={setWidth}
              onFit={fit}
            />
            <div
              role="presentation"
              className={styles.rows}
              style={{ transform: `translateY(${view.first * rowHeight - view.shift}px)` }}
            >
              {drawn.map((row) => (
                <GridRow
                  key={row}
                  grid={id}
                  index={row}
                  row={pages.row(row)}
                  columns={columns}
                  items={items}
                  zone={zone}
                  wrapped={wrapped}
                  height={rowHeight}
                  width={width}
                  gutter={gutter}
                  from={rect && inRect(row) ? rect.left : -1}
                  to={rect && inRect(row) ? rect.right : -1}
                  focus={focus?.row === row ? focus.column : -1}
                  found={finder.foundIn(row)}
                  openLabel={text.openCell}
                  onOpen={openCell}
                />
              ))}
            </div>
          </div>
        </div>
        <div className={styles.ring} />
        {rows === 0 && !growing && <p className={styles.empty}>{text.noRows}</p>}
        {opened && focus && column && focus.row >= 0 && (
          <CellViewer
            key={`${focus.row}-${focus.column}`}
            column={column}
            row={focus.row}
            cell={pages.row(focus.row) && (pages.row(focus.row)?.[focus.column] ?? null)}
            zone={zone}
            onClose={() => {
              setOpened(false);
              scroller.current?.focus({ preventScroll: true });
            }}
          />
        )}
        <CopyNotice copying={copying} />
        {pages.failure !== undefined && (
          <div className={styles.failed} role="alert">
            <span>
              {text.rowsFailed} {asProblem(pages.failure).summary}
            </span>
            <Button small onPress={() => pages.retry()}>
              {text.again}
            </Button>
          </div>
        )}
      </div>
      <GridFoot
        rect={rect}
        columns={columns}
        pages={pages}
        version={version}
        first={Math.min(rows - 1, scroll.rowAt(0))}
        last={Math.min(rows, scroll.rowAt(0) + scroll.page) - 1}
        rows={rows}
      />
      {menuAt && (
        <GridMenu
          at={menuAt}
          onClose={() => setMenuAt(null)}
          onCopy={copying.copy}
          onOpen={() => setOpened(true)}
          onFind={finder.open}
        />
      )}
    </div>
  );
}

/** Asks for the rows on screen: at once after a pause, and not more often than `SETTLE_MS` while scrolling goes on. */
function useWanted(pages: RowPages, first: number, last: number): void {
  const asked = useRef(0);
  useEffect(() => {
    const ask = () => {
      asked.current = performance.now();
      pages.want(first, last);
    };
    const timer = setTimeout(ask, asked.current + SETTLE_MS - performance.now());
    return () => clearTimeout(timer);
  }, [pages, first, last]);
}

/** The column at so many pixels right of the first; the nearest where there is none. */
function columnAt(widths: number[], offset: number): number {
  let end = 0;
  for (const [at, width] of widths.entries()) {
    end += width;
    if (offset < end) return at;
  }
  return Math.max(0, widths.length - 1);
}

/** The selection of a press or drag: anew without one before, else from its anchor on. */
function begun(spot: Spot, before: Selection | null, bounds: Bounds): Selection | null {
  if (bounds.rows === 0 && spot.part !== "columns") return before;
  switch (spot.part) {
    case "cells":
      return { anchor: before?.anchor ?? spot, focus: { row: spot.row, column: spot.column } };
    case "rows":
      return rowsOf(before?.anchor.row ?? spot.row, spot.row, bounds);
    case "columns":
      return columnsOf(before?.anchor.column ?? spot.column, spot.column, bounds);
  }
}

/** Widths of all columns: estimated once the first rows are here, then as a person sets them. */
function useWidths(
  columns: Column[],
  pages: RowPages,
  zone: string,
  version: number,
  view: { first: number; last: number },
) {
  const arrived = version > 0 && pages.row(0) !== undefined;
  const estimated = useMemo(() => {
    const first = arrived
      ? Array.from({ length: 60 }, (_, at) => pages.row(at)).filter((row) => row !== undefined)
      : [];
    return firstWidths(columns, first, zone);
  }, [columns, pages, zone, arrived]);
  const [set, setSet] = useState<{ of: Column[]; widths: Map<number, number> }>({ of: columns, widths: new Map() });
  const mine = set.of === columns ? set.widths : undefined;
  const widths = useMemo(() => estimated.map((width, at) => mine?.get(at) ?? width), [estimated, mine]);
  const setWidth = useCallback(
    (column: number, width: number) =>
      setSet((now) => ({ of: columns, widths: new Map(now.of === columns ? now.widths : []).set(column, width) })),
    [columns],
  );
  const fit = useCallback(
    (column: number) => {
      const seen = [];
      for (let row = view.first; row <= view.last; row++) {
        const cells = pages.row(row);
        if (cells) seen.push([cells[column] ?? null]);
      }
      const [one] = columns.slice(column, column + 1);
      if (one) setWidth(column, firstWidths([one], seen, zone)[0] ?? 0);
    },
    [columns, pages, zone, view, setWidth],
  );
  return [widths, setWidth, fit] as const;
}

/** The find bar's state and which match is shown. */
function useFinder(
  pages: RowPages,
  rows: number,
  columns: Column[],
  zone: string,
  selection: Selection | null,
  goTo: (place: Place) => void,
) {
  const [isOpen, setOpen] = useState(false);
  const [value, setValue] = useState("");
  const [at, setAt] = useState(-1);
  const finding = useFind(isOpen ? value : "", pages, rows, columns, zone);
  const { matches } = finding;
  const going = useRef(goTo);
  going.current = goTo;
  const first = matches[0];
  useEffect(() => {
    setAt(first ? 0 : -1);
    if (first) going.current(first);
  }, [first]);
  const byRow = useMemo(() => {
    const found = new Map<number, string>();
    for (const { row, column } of matches) found.set(row, `${found.get(row) ?? ","}${column},`);
    return found;
  }, [matches]);
  const step = (backwards: boolean) => {
    const next = nextMatch(matches, selection?.focus ?? { row: -1, column: -1 }, backwards);
    const place = matches[next];
    setAt(next);
    if (place) goTo(place);
  };
  return {
    isOpen,
    value,
    at,
    finding,
    setValue,
    step,
    open: useCallback(() => setOpen(true), []),
    close: useCallback(() => setOpen(false), []),
    foundIn: (row: number) => byRow.get(row) ?? "",
  };
}
