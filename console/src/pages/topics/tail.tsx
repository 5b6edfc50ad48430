// Events as they come in, with filters over key, text and JSON fields. What does not fit on the page is counted.

import { useEffect, useState } from "react";
import { useSearch } from "../../app/router";
import { useShortcuts } from "../../app/shortcuts";
import { useLanguage, useText } from "../../i18n";
import { formatBytes, formatNumber } from "../../i18n/format";
import { Button, CodeBlock, Field, Notice, Status, Time, Toolbar } from "../../ui";
import { hexLines, pretty } from "./difference";
import { topicsText } from "./text";
import { Send } from "./topic";
import styles from "./topics.module.css";
import type { Lot, TailEvent, TopicView } from "./types";

/** Events that the page keeps. */
const KEPT = 300;
const WAIT_FOR_TYPING_MS = 400;

interface Seen {
  events: TailEvent[];
  next: number | undefined;
  passed: number;
  leftOut: number;
  broken: boolean;
}

const NOTHING: Seen = { events: [], next: undefined, passed: 0, leftOut: 0, broken: false };

/** Follows a topic; a broken or ended stream goes on where it was. */
function useTail(topic: string, query: string, running: boolean): Seen {
  const [seen, setSeen] = useState<Seen>(NOTHING);
  useEffect(() => {
    setSeen(NOTHING);
    if (!running) return;
    let source: EventSource | undefined;
    let next: number | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    const open = () => {
      const from = next === undefined ? "" : `&from=${next}`;
      source = new EventSource(`/api/v1/topics/${encodeURIComponent(topic)}/tail?${query}${from}`);
      source.addEventListener("state", (event) => {
        const lot = JSON.parse((event as MessageEvent<string>).data) as Lot;
        next = lot.next;
        setSeen((before) => ({
          events: [...lot.events.toReversed(), ...before.events].slice(0, KEPT),
          next,
          passed: before.passed + lot.passed,
          leftOut: before.leftOut + lot.left_out,
          broken: false,
        }));
      });
      source.addEventListener("error", () => {
        // The server ends every stream after a while: going on from the last event loses and doubles nothing.
        source?.close();
        setSeen((before) => ({ ...before, broken: next === undefined }));
        again = setTimeout(open, 500);
      });
    };
    open();
    return () => {
      clearTimeout(again);
      source?.close();
    };
  }, [topic, query, running]);
  return seen;
}

/** A value that stands still for a moment. */
function useSettled(value: string): string {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const wait = setTimeout(() => settle(value), WAIT_FOR_TYPING_MS);
    return () => clearTimeout(wait);
  }, [value]);
  return settled;
}

export function Tail({ topic }: { topic: TopicView }) {
  const text = useText(topicsText);
  const { language } = useLanguage();
  const [key, setKey] = useSearch("key");
  const [contains, setContains] = useSearch("contains");
  const [json, setJson] = useSearch("json");
  const [since, setSince] = useSearch("since");
  const [running, setRunning] = useState(true);
  const query = new URLSearchParams();
  if (key) query.set("key", key);
  if (contains) query.set("contains", contains);
  if (json) query.set("json", json);
  if (since) query.set("since", new Date(since).toISOString());
  const asked = useSettled(query.toString());
  const live = useTail(topic.topic, asked, running);
  // What was seen before a pause stays on screen.
  const [kept, setKept] = useState<Seen>(NOTHING);
  useEffect(() => {
    if (running) setKept(live);
  }, [running, live]);
  const seen = running ? live : kept;
  const toggle = () => setRunning((on) => !on);
  useShortcuts([{ keys: "p", label: running ? text.pause : text.goOn, run: toggle }]);
  const filtered = asked !== "";
  return (
    <>
      <Toolbar>
        <Field label={text.key} value={key} onChange={setKey} />
        <Field label={text.contains} value={contains} onChange={setContains} />
        <Field label={text.json} placeholder={text.jsonHelp} value={json} onChange={setJson} mono />
        <Field label={text.since} value={since} onChange={setSince} type="datetime-local" />
        <Button onPress={toggle}>{running ? text.pause : text.goOn}</Button>
        {running && <Status tone="busy">{text.tailOn}</Status>}
      </Toolbar>
      {seen.broken && <Notice tone="warn">{text.broken}</Notice>}
      {(seen.passed > 0 && filtered) || seen.leftOut > 0 ? (
        <p className={styles.muted}>
          {filtered && text.passed(formatNumber(seen.passed, language))}
          {filtered && seen.leftOut > 0 && " · "}
          {seen.leftOut > 0 && text.leftOut(formatNumber(seen.leftOut, language))}
        </p>
      ) : null}
      {seen.events.length === 0 ? (
        topic.next === 0 ? (
          <>
            <p>{text.noneYet}</p>
            <Send topic={topic} />
          </>
        ) : (
          <p className={styles.muted}>{filtered ? text.noneFits : text.waiting}</p>
        )
      ) : (
        <ol className={styles.events} aria-label={text.tail}>
          {seen.events.map((event) => (
            <Event key={event.offset} event={event} />
          ))}
        </ol>
      )}
      {seen.events.length >= KEPT && <p className={styles.muted}>{text.kept(KEPT)}</p>}
    </>
  );
}

function Event({ event }: { event: TailEvent }) {
  const text = useText(topicsText);
  const { language } = useLanguage();
  const [open, setOpen] = useState(false);
  const cut = event.text !== null && new TextEncoder().encode(event.text).length < event.bytes;
  return (
    <li>
      <details onToggle={(toggled) => setOpen(toggled.currentTarget.open)}>
        <summary>
          <span className={styles.offset}>{event.offset}</span>
          <Time at={event.at} ago />
          {event.key && <code className={styles.key}>{event.key}</code>}
          <span className={styles.line}>{event.text ?? event.base64}</span>
        </summary>
        {open && (
          <>
            {event.text !== null ? (
              <CodeBlock text={pretty(event.text)} label={text.event} />
            ) : (
              <CodeBlock text={hexLines(event.base64 ?? "").join("\n")} label={text.rawBytes} />
            )}
            {cut && <p className={styles.muted}>{text.cut(formatBytes(event.bytes, language))}</p>}
            {event.attributes.length > 0 && (
              <p className={styles.muted}>
                {text.attributes}: {event.attributes.map(([name, value]) => `${name}=${value}`).join(", ")}
              </p>
            )}
            <p className={styles.muted}>
              <Time at={event.at} /> · {formatBytes(event.bytes, language)}
            </p>
          </>
        )}
      </details>
    </li>
  );
}
