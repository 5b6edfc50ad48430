// The latest runs of one mart as a strip of cells, the newest at the right.

import { Link, pathOf } from "../../app/router";
import { useLanguage, useText } from "../../i18n";
import { formatAgo, formatSpan, formatTime } from "../../i18n/format";
import { useNow } from "../../ui";
import styles from "./marts.module.css";
import { glyph, strip, tone } from "./states";
import { martsText, stateText, stateWord } from "./text";
import type { Cell } from "./types";

export interface CellsProps {
  mart: string;
  cells: Cell[];
  length: number;
  /** Its place among the rows, for arrow keys. */
  row: number;
  /** The cell that Tab reaches. */
  active?: number | undefined;
  /** Highlights the same run in every row. */
  run: number | undefined;
  onRun: (run: number | undefined) => void;
}

export function Cells({ mart, cells, length, row, active, run, onRun }: CellsProps) {
  const text = useText(martsText);
  const states = useText(stateText);
  const { language } = useLanguage();
  const now = useNow();
  return (
    <span className={styles.cells}>
      {strip(cells, length).map((cell, at) => {
        // biome-ignore lint/suspicious/noArrayIndexKey: an empty place is what it is by its place
        if (!cell) return <span key={`none-${at}`} className={styles.noCell} aria-hidden />;
        const word = stateWord(states, cell.state);
        const when = formatAgo(new Date(cell.at), now, language);
        const took = cell.ms === null || cell.ms === undefined ? "" : ` · ${formatSpan(cell.ms, language)}`;
        const label = text.cell(mart, cell.run, word, when);
        return (
          <Link
            key={cell.run}
            to={`${pathOf("runs", String(cell.run))}?mart=${encodeURIComponent(mart)}`}
            className={styles.cell ?? ""}
            data-tone={tone(cell.state)}
            data-same={cell.run === run || undefined}
            data-row={row}
            data-at={at}
            tabIndex={active === at ? 0 : -1}
            aria-label={label}
            title={`${label}${took}${cell.cause ? `\n${cell.cause}` : ""}`}
            onMouseEnter={() => onRun(cell.run)}
            onMouseLeave={() => onRun(undefined)}
            onFocus={() => onRun(cell.run)}
          >
            {glyph(cell.state)}
          </Link>
        );
      })}
    </span>
  );
}

/** When a schedule starts next: `in 3 h`. */
export function Next({ at }: { at: string | null | undefined }) {
  const { language } = useLanguage();
  const now = useNow();
  if (!at) return <span>–</span>;
  const time = new Date(at);
  return (
    <time dateTime={at} title={formatTime(time)}>
      {formatAgo(time, now, language)}
    </time>
  );
}
