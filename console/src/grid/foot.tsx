// The line below the rows: where one is, and what the selected cells add up to.

import { useDeferredValue, useMemo } from "react";
import { useLanguage, useText } from "../i18n";
import { formatNumber } from "../i18n/format";
import styles from "./grid.module.css";
import type { RowPages } from "./pages";
import type { Rect } from "./range";
import { sumsOf } from "./sums";
import { gridText } from "./text";
import type { Column } from "./values";

export interface FootProps {
  rect: Rect | null;
  columns: Column[];
  pages: RowPages;
  /** Of `pages`: sums appear when rows arrive. */
  version: number;
  first: number;
  last: number;
  rows: number;
}

export function GridFoot({ rect, columns, pages, version, first, last, rows }: FootProps) {
  const text = useText(gridText);
  const { language } = useLanguage();
  const figure = (value: number | string) => formatNumber(value, language);
  const later = useDeferredValue(rect);
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows that arrive change the version only
  const sums = useMemo(
    () => (later ? sumsOf(later, columns, (row) => pages.row(row)) : null),
    [later, columns, pages, version],
  );
  const many = rect && (rect.bottom > rect.top || rect.right > rect.left);
  return (
    <div className={styles.foot}>
      {rows > 0 && <span>{text.rowsFromTo(figure(first + 1), figure(last + 1), figure(rows))}</span>}
      <span className={styles.sums} role="status">
        {many && (
          <>
            <Figure label={text.selected(rect.bottom - rect.top + 1, rect.right - rect.left + 1)} />
            {sums && sums.filled < sums.cells && <Figure label={text.filled} value={figure(sums.filled)} />}
            {sums?.sum && <Figure label={text.sum} value={figure(sums.sum)} />}
            {sums?.average && <Figure label={text.average} value={figure(sums.average)} />}
            {sums?.least && <Figure label={text.least} value={figure(sums.least)} />}
            {sums?.most && <Figure label={text.most} value={figure(sums.most)} />}
          </>
        )}
      </span>
    </div>
  );
}

function Figure({ label, value }: { label: string; value?: string }) {
  return (
    <span>
      {label}
      {value !== undefined && <b className="number"> {value}</b>}
    </span>
  );
}
