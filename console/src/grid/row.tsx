// One drawn row: its number, and of its cells those whose columns are on screen.

import type { VirtualItem } from "@tanstack/react-virtual";
import { Maximize2 } from "lucide-react";
import { memo } from "react";
import styles from "./grid.module.css";
import type { Row } from "./pages";
import { type Column, isNested, isNumber, shownOf } from "./values";

/** A cell's element, for `aria-activedescendant`. */
export const cellId = (grid: string, row: number, column: number) => `${grid}-${row}-${column}`;

export interface RowProps {
  grid: string;
  index: number;
  /** Not yet fetched while undefined. */
  row: Row | undefined;
  columns: Column[];
  /** Columns on screen. */
  items: VirtualItem[];
  zone: string;
  wrapped: boolean;
  height: number;
  width: number;
  gutter: number;
  /** Selected columns of this row, both included; -1 without. */
  from: number;
  to: number;
  /** The cell with the focus; -1 without. */
  focus: number;
  /** Columns with a match, as `,3,7,`; empty without. */
  found: string;
  openLabel: string;
  onOpen: (row: number, column: number) => void;
}

export const GridRow = memo(function GridRow(props: RowProps) {
  const { grid, index, row, items, height, width, gutter, from, to } = props;
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus and names its active cell
    // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out rows and columns that are not seen
    <div
      role="row"
      aria-rowindex={index + 2}
      className={styles.row}
      style={{ height, width }}
      aria-busy={!row || undefined}
    >
      {/* biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus */}
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      <div
        role="rowheader"
        aria-colindex={1}
        className={styles.number}
        style={{ width: gutter }}
        data-part="rows"
        data-marked={from >= 0 || undefined}
      >
        {(index + 1).toLocaleString("en-US")}
      </div>
      {items.map((item) => (
        // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
        // biome-ignore lint/a11y/useSemanticElements: see above
        <div
          key={item.index}
          role="gridcell"
          id={cellId(grid, index, item.index)}
          aria-colindex={item.index + 2}
          aria-selected={from <= item.index && item.index <= to}
          className={styles.cell}
          style={{ left: item.start, width: item.size }}
          data-part="cells"
          data-number={isNumber(props.columns[item.index]?.kind ?? "other") || undefined}
          data-focus={props.focus === item.index || undefined}
          data-found={props.found.includes(`,${item.index},`) || undefined}
        >
          <CellContent {...props} at={item.index} />
        </div>
      ))}
    </div>
  );
});

function CellContent({ row, columns, zone, wrapped, at, focus, index, onOpen, openLabel }: RowProps & { at: number }) {
  const column = columns[at];
  if (!row || !column) return <span className={styles.waiting} aria-hidden />;
  const cell = row[at] ?? null;
  if (cell === null) return <span className={styles.null}>NULL</span>;
  const shown = shownOf(cell, column.kind, zone, wrapped);
  const opens = isNested(column.kind) || shown.length > 40;
  return (
    <>
      <span className={wrapped ? styles.wrapped : styles.line} data-nested={isNested(column.kind) || undefined}>
        {shown}
      </span>
      {opens && focus === at && (
        <button
          type="button"
          className={styles.open}
          tabIndex={-1}
          aria-label={openLabel}
          onPointerDown={(event) => event.stopPropagation()}
          onClick={() => onOpen(index, at)}
        >
          <Maximize2 size={13} aria-hidden />
        </button>
      )}
    </>
  );
}
