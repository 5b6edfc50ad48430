// Every mart with its latest runs. Arrow keys go through the cells, Enter opens the run.

import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { Link, navigate, pathOf } from "../../app/router";
import { isComposing, useShortcuts } from "../../app/shortcuts";
import { useText } from "../../i18n";
import { Button, Num, Span, Status, Time } from "../../ui";
import { Cells, Next } from "./cells";
import styles from "./marts.module.css";
import { byUrgency, isBad, isSlow, tone } from "./states";
import { martsText, stateText, stateWord } from "./text";
import type { MartItem } from "./types";

/** Cells of a row, and rows that are drawn before somebody asks for all. */
export const CELLS = 25;
const ROWS_FIRST = 150;

export function Grid({ marts }: { marts: MartItem[] }) {
  const text = useText(martsText);
  const [all, setAll] = useState(false);
  const [run, setRun] = useState<number | undefined>();
  const box = useRef<HTMLDivElement>(null);
  const sorted = useMemo(() => byUrgency(marts), [marts]);
  const rows = all ? sorted : sorted.slice(0, ROWS_FIRST);
  const failure = sorted.find((mart) => isBad(mart.cells[0]?.state));
  useShortcuts([
    {
      keys: "f",
      label: text.firstFailure,
      run: () => {
        const cell = failure?.cells[0];
        if (failure && cell) navigate(`${pathOf("runs", String(cell.run))}?mart=${encodeURIComponent(failure.mart)}`);
      },
    },
  ]);

  const move = (event: KeyboardEvent<HTMLDivElement>) => {
    if (isComposing(event.nativeEvent)) return;
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
    };
    const step = steps[event.key];
    const from = event.target as HTMLElement;
    if (!step || !from.dataset.at) return;
    event.preventDefault();
    let row = Number(from.dataset.row);
    let at = Number(from.dataset.at);
    // Rows of marts that never ran, and places before their first run, are passed over.
    for (let tries = 0; tries < ROWS_FIRST + CELLS; tries += 1) {
      [row, at] = [row + step[0], at + step[1]];
      const next = box.current?.querySelector<HTMLElement>(`[data-row="${row}"][data-at="${at}"]`);
      if (next) return next.focus();
      if (row < 0 || at < 0 || at >= CELLS || row >= rows.length) return;
    }
  };

  return (
    <div ref={box} className={styles.grid}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the links within */}
      <div onKeyDown={move}>
        <table className={styles.rows} aria-label={text.title}>
          <thead>
            <tr>
              <th scope="col">{text.mart}</th>
              <th scope="col">{text.state}</th>
              <th scope="col" className={styles.cellsHead}>
                {text.runs}
              </th>
              <th scope="col" className={styles.end}>
                {text.rows}
              </th>
              <th scope="col">{text.fresh}</th>
              <th scope="col" className={styles.end}>
                {text.duration}
              </th>
              <th scope="col">{text.next}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((mart, row) => (
              <Row key={mart.mart} mart={mart} row={row} run={run} onRun={setRun} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length < sorted.length && (
        <p className={styles.more}>
          {text.shown(rows.length, sorted.length)}{" "}
          <Button small onPress={() => setAll(true)}>
            {text.showAll(sorted.length)}
          </Button>
        </p>
      )}
    </div>
  );
}

interface RowProps {
  mart: MartItem;
  row: number;
  run: number | undefined;
  onRun: (run: number | undefined) => void;
}

function Row({ mart, row, run, onRun }: RowProps) {
  const text = useText(martsText);
  const [dataset, table] = mart.mart.split(".", 2);
  const latest = mart.cells[0];
  return (
    <tr className={styles.row}>
      <th scope="row">
        <Link to={pathOf("marts", mart.mart)}>
          <span className={styles.dataset}>{dataset}.</span>
          {table}
        </Link>
        <Remarks mart={mart} />
      </th>
      <td data-label={text.state}>
        <State mart={mart} />
      </td>
      <td className={styles.cellsCell}>
        <Cells
          mart={mart.mart}
          cells={mart.cells}
          length={CELLS}
          row={row}
          active={CELLS - 1}
          run={run}
          onRun={onRun}
        />
      </td>
      <td className={styles.end} data-label={text.rows}>
        <Num value={mart.rows} />
      </td>
      <td data-label={text.fresh}>
        <Time at={mart.published_at} ago />
      </td>
      <td className={styles.end} data-label={text.duration}>
        <span className={isSlow(latest?.ms, mart.median_ms) ? styles.slow : undefined}>
          <Span ms={latest?.ms} />
        </span>
        {isSlow(latest?.ms, mart.median_ms) && <span className={styles.under}>{text.slow}</span>}
      </td>
      <td data-label={text.next}>
        <Next at={mart.next_at} />
      </td>
    </tr>
  );
}

export function State({ mart }: { mart: MartItem }) {
  const text = useText(martsText);
  const states = useText(stateText);
  if (mart.broken) return <Status tone="bad">{text.broken}</Status>;
  return (
    <span>
      <Status tone={tone(mart.state)}>{stateWord(states, mart.state)}</Status>
      {isBad(mart.state) && mart.cause && <span className={styles.cause}>{mart.cause}</span>}
    </span>
  );
}

function Remarks({ mart }: { mart: MartItem }) {
  const text = useText(martsText);
  const remarks = [
    mart.failing_checks.length > 0 && !isBad(mart.state) && text.checksWarn(mart.failing_checks.length),
    mart.paused && text.paused,
    mart.rolled_back && text.rolledBack,
    mart.edited && text.edited,
  ].filter(Boolean);
  return remarks.length > 0 ? <span className={styles.under}>{remarks.join(" · ")}</span> : null;
}
