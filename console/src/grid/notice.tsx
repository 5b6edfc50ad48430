// What copying says: progress, done, or why not.

import { Check, TriangleAlert, X } from "lucide-react";
import { useEffect } from "react";
import { asProblem } from "../api/problem";
import { useLanguage, useText } from "../i18n";
import { formatNumber } from "../i18n/format";
import { Button, IconButton } from "../ui/button";
import styles from "./grid.module.css";
import { gridText } from "./text";
import type { Copying, Notice } from "./use-copy";

/** A good word goes by itself. */
const GOOD_MS = 4000;

export function CopyNotice({ copying }: { copying: Copying }) {
  const text = useText(gridText);
  const { notice, dismiss, copyReady } = copying;
  const passes = notice?.kind === "copied" && notice.long === 0;
  useEffect(() => {
    if (!passes) return;
    const timer = setTimeout(dismiss, GOOD_MS);
    return () => clearTimeout(timer);
  }, [passes, dismiss]);
  return (
    <div className={styles.notices} role="status">
      {notice && (
        <div className={styles.notice} data-bad={notice.kind === "failed" || notice.kind === "tooLarge" || undefined}>
          <NoticeWords notice={notice} />
          {notice.kind === "ready" && (
            <Button small kind="primary" onPress={copyReady}>
              {text.copyNow}
            </Button>
          )}
          {notice.kind === "fetching" ? (
            <Button small onPress={dismiss}>
              {text.stop}
            </Button>
          ) : (
            <IconButton small label={text.close} icon={X} onPress={dismiss} />
          )}
        </div>
      )}
    </div>
  );
}

function NoticeWords({ notice }: { notice: Notice }) {
  const text = useText(gridText);
  const { language } = useLanguage();
  const figure = (value: number) => formatNumber(value, language);
  switch (notice.kind) {
    case "fetching":
      return (
        <span className={styles.words}>
          <span className="number">{text.fetching(figure(notice.done), figure(notice.of))}</span>
          <progress
            value={notice.done}
            max={notice.of}
            aria-label={text.fetching(figure(notice.done), figure(notice.of))}
          />
        </span>
      );
    case "copied":
      return (
        <span className={styles.words}>
          <Check size={15} aria-hidden />
          <span>
            {[
              text.copied(notice.rows, notice.columns),
              notice.headers ? text.copiedHeaders : text.copiedPlain,
              notice.zone && text.copiedZone(notice.zone),
              notice.long > 0 && text.copiedLong(notice.long),
            ]
              .filter(Boolean)
              .join(" · ")}
          </span>
        </span>
      );
    case "ready":
      return <span className={styles.words}>{text.ready}</span>;
    case "tooLarge":
      return (
        <span className={styles.words}>
          <TriangleAlert size={15} aria-hidden />
          <span>{text.tooLarge(figure(notice.cells), figure(notice.most))}</span>
        </span>
      );
    case "failed":
      return (
        <span className={styles.words}>
          <TriangleAlert size={15} aria-hidden />
          <span>
            {text.copyFailed} {asProblem(notice.error).summary}
          </span>
        </span>
      );
  }
}
