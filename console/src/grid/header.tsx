// The row of column names and types, and their widths by hand.

import type { VirtualItem } from "@tanstack/react-virtual";
import { type PointerEvent, useRef } from "react";
import { useText } from "../i18n";
import styles from "./grid.module.css";
import { cellId } from "./row";
import { gridText } from "./text";
import { type Column, isNumber, knowsZone } from "./values";
import { widthWithin } from "./widths";

export interface HeaderProps {
  grid: string;
  columns: Column[];
  items: VirtualItem[];
  zone: string;
  width: number;
  height: number;
  gutter: number;
  /** Columns with selected cells, both included; -1 without. */
  from: number;
  to: number;
  /** The header with the focus; -1 without. */
  focus: number;
  onWidth: (column: number, width: number) => void;
  /** As wide as what is on screen needs. */
  onFit: (column: number) => void;
}

export function GridHeader(props: HeaderProps) {
  const text = useText(gridText);
  const { grid, columns, items, zone, width, height, gutter, from, to, focus } = props;
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus and names its active cell
    // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out columns that are not seen
    <div role="row" aria-rowindex={1} className={styles.head} style={{ width, height }}>
      {/* biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus */}
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      <div
        role="columnheader"
        aria-colindex={1}
        className={styles.corner}
        style={{ width: gutter }}
        data-part="all"
        title={text.selectAll}
      >
        <span className="only-read">{text.rowNumber}</span>
      </div>
      {items.map(({ index, start, size }) => {
        const column = columns[index];
        if (!column) return null;
        const type = column.kind === "timestamp" ? `${column.type} · ${knowsZone(zone) ? zone : "UTC"}` : column.type;
        return (
          // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
          // biome-ignore lint/a11y/useSemanticElements: see above
          <div
            key={index}
            role="columnheader"
            id={cellId(grid, -1, index)}
            aria-colindex={index + 2}
            className={styles.name}
            style={{ left: start, width: size }}
            data-part="columns"
            data-number={isNumber(column.kind) || undefined}
            data-marked={(from <= index && index <= to) || undefined}
            data-focus={focus === index || undefined}
            title={`${column.name}\n${type}`}
          >
            <span>{column.name || "—"}</span>
            <small>{type}</small>
            <Handle width={size} onWidth={(next) => props.onWidth(index, next)} onFit={() => props.onFit(index)} />
          </div>
        );
      })}
    </div>
  );
}

interface HandleProps {
  width: number;
  onWidth: (width: number) => void;
  onFit: () => void;
}

/** The edge of a column: dragged by mouse or finger; with the keyboard it is Alt and the arrows on the header. */
function Handle({ width, onWidth, onFit }: HandleProps) {
  const began = useRef<{ x: number; width: number } | null>(null);
  const press = (event: PointerEvent<HTMLSpanElement>) => {
    event.stopPropagation();
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    began.current = { x: event.clientX, width };
  };
  const move = (event: PointerEvent) => {
    if (began.current) onWidth(widthWithin(began.current.width + event.clientX - began.current.x));
  };
  const release = () => {
    began.current = null;
  };
  return (
    <span
      className={styles.handle}
      aria-hidden
      onPointerDown={press}
      onPointerMove={move}
      onPointerUp={release}
      onPointerCancel={release}
      onDoubleClick={onFit}
    />
  );
}
