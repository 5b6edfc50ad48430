// The line above an answer: how the run stands, what it read, as of when.

import { useEffect, useState } from "react";
import { useLanguage, useText } from "../../i18n";
import { formatBytes, formatNumber, formatSpan } from "../../i18n/format";
import { Badge, Span, Time, type Tone } from "../../ui";
import { isOver, type Query, type QueryState, type Reading } from "./api";
import styles from "./sql.module.css";
import { sqlText } from "./text";

const TONES: Record<QueryState, Tone> = {
  queued: "waiting",
  running: "busy",
  done: "good",
  failed: "bad",
  timed_out: "warn",
  cancelled: "off",
};

const TICK_MS = 100;

/** How long it has run, going on between what the server says. */
function useElapsed(query: Query): number {
  const over = isOver(query.state);
  const [told, setTold] = useState({ query, at: performance.now() });
  if (told.query !== query) setTold({ query, at: performance.now() });
  const [, tick] = useState(0);
  useEffect(() => {
    if (over) return;
    const timer = setInterval(() => tick((count) => count + 1), TICK_MS);
    return () => clearInterval(timer);
  }, [over]);
  return over ? query.elapsed_ms : query.elapsed_ms + performance.now() - told.at;
}

export function RunState({ query }: { query: Query }) {
  const text = useText(sqlText);
  const { language } = useLanguage();
  const elapsed = useElapsed(query);
  const { state, queue_place: place, progress } = query;
  const words = {
    queued: place ? text.queuedAt(formatNumber(place, language)) : text.queued,
    running: text.stateRunning,
    done: text.done,
    failed: text.failed,
    timed_out: text.timed_out,
    cancelled: text.cancelled,
  }[state];
  return (
    <div className={styles.state} role="status">
      <Badge tone={TONES[state]}>{words}</Badge>
      <span className="number">
        {isOver(state) ? <Span ms={elapsed} /> : formatSpan(Math.floor(elapsed / TICK_MS) * TICK_MS, language)}
      </span>
      {query.columns && isOver(state) && <span className="number">{text.rows(query.rows_total ?? query.rows)}</span>}
      {progress.bytes_read > 0 && isOver(state) && (
        <span className="number">{text.readBytes(formatBytes(progress.bytes_read, language))}</span>
      )}
      {!isOver(state) && <Doing query={query} />}
      {isOver(state) && query.reads.length > 0 && <Reads reads={query.reads} asOf={query.as_of} />}
    </div>
  );
}

/** What a running statement has done; a share only where the whole is known. */
function Doing({ query }: { query: Query }) {
  const text = useText(sqlText);
  const { language } = useLanguage();
  const { rows_read: read, rows_total: all, bytes_read: bytes } = query.progress;
  const figure = (value: number) => formatNumber(value, language);
  if (query.state === "queued") return null;
  const label = all ? text.readOf(figure(Math.min(read, all)), figure(all)) : text.readRows(figure(read));
  return (
    <>
      <progress className={styles.bar} aria-label={label} {...(all ? { value: Math.min(read, all), max: all } : {})} />
      <span className="number">{label}</span>
      {bytes > 0 && <span className="number">{formatBytes(bytes, language)}</span>}
      {query.rows > 0 && <span className="number">{text.rowsSoFar(figure(query.rows))}</span>}
    </>
  );
}

/** As of when, and of which tables at which version. */
function Reads({ reads, asOf }: { reads: Reading[]; asOf: string | null }) {
  const text = useText(sqlText);
  const { language } = useLanguage();
  return (
    <details className={styles.reads}>
      <summary>
        {asOf ? (
          <span>
            {text.asOf} <Time at={asOf} ago />
          </span>
        ) : (
          text.reads(reads.length)
        )}
      </summary>
      <ul>
        {asOf && (
          <li>
            <Time at={asOf} />
          </li>
        )}
        {reads.map((reading) => (
          <li key={reading.table}>
            <code>{reading.table}</code>
            {reading.version != null && <span>{text.version(formatNumber(reading.version, language))}</span>}
          </li>
        ))}
      </ul>
    </details>
  );
}
