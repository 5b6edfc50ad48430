// Figures and times: digits that line up, times with their offset, and as of when.

import { type ReactNode, useSyncExternalStore } from "react";
import { useLanguage, useText } from "../i18n";
import { formatAgo, formatBytes, formatNumber, formatSpan, formatTime } from "../i18n/format";
import styles from "./figures.module.css";
import { Status } from "./status";
import { uiText } from "./text";

/** A number; INT64 and NUMERIC that came as text keep every digit. A missing one reads "–". */
export function Num({ value }: { value: number | string | null | undefined }) {
  const { language } = useLanguage();
  return <span className="number">{value === null || value === undefined ? "–" : formatNumber(value, language)}</span>;
}

export function Bytes({ value }: { value: number | null | undefined }) {
  const { language } = useLanguage();
  if (value === null || value === undefined) return <span>–</span>;
  return (
    <span className="number" title={`${formatNumber(value, language)} B`}>
      {formatBytes(value, language)}
    </span>
  );
}

export function Span({ ms }: { ms: number | null | undefined }) {
  const { language } = useLanguage();
  return <span className="number">{ms === null || ms === undefined ? "–" : formatSpan(ms, language)}</span>;
}

let now = new Date();
const listeners = new Set<() => void>();
let clock: ReturnType<typeof setInterval> | undefined;
const TICK_MS = 10_000;

function watchClock(listener: () => void): () => void {
  now = new Date();
  listeners.add(listener);
  clock ??= setInterval(() => {
    now = new Date();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(clock);
      clock = undefined;
    }
  };
}

/** The time now, renewed every ten seconds. */
export function useNow(): Date {
  return useSyncExternalStore(watchClock, () => now);
}

/** A time (RFC 3339 from the server). `ago` reads "5 min ago" and keeps the exact time with its offset in the title. */
export function Time({ at, ago }: { at: string | null | undefined; ago?: boolean }) {
  const { language } = useLanguage();
  const current = useNow();
  if (!at) return <span>–</span>;
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return <span>{at}</span>;
  const exact = formatTime(time);
  return (
    <time dateTime={at} title={exact} className={styles.time}>
      {ago ? formatAgo(time, time > current ? time : current, language) : exact}
    </time>
  );
}

export interface AsOfProps {
  at: string | null | undefined;
  /** Whether everything up to `at` is in it; leave out where the question does not arise. */
  complete?: boolean | undefined;
  /** Why it is not. */
  why?: ReactNode;
}

/** As of when a figure holds, and whether it is complete. */
export function AsOf({ at, complete, why }: AsOfProps) {
  const text = useText(uiText);
  return (
    <span className={styles.asOf}>
      <span>
        {text.asOf} <Time at={at} />
      </span>
      {complete === true && <Status tone="good">{text.complete}</Status>}
      {complete === false && (
        <span className={styles.incomplete}>
          <Status tone="warn">{text.incomplete}</Status> {why ?? text.incompleteHint}
        </span>
      )}
    </span>
  );
}
