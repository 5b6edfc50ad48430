// The line in which a text is looked for in the answer.

import { ArrowDown, ArrowUp, X } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef } from "react";
import { isComposing } from "../app/shortcuts";
import { useLanguage, useText } from "../i18n";
import { formatNumber } from "../i18n/format";
import { IconButton } from "../ui/button";
import { FIND_ROWS_MAX, MATCHES_MAX } from "./find";
import styles from "./grid.module.css";
import { gridText } from "./text";
import type { Finding } from "./use-find";

export interface FindBarProps {
  value: string;
  finding: Finding;
  /** Which match is shown, from 0; -1 without. */
  at: number;
  rows: number;
  onChange: (value: string) => void;
  onStep: (backwards: boolean) => void;
  onClose: () => void;
}

export function FindBar({ value, finding, at, rows, onChange, onStep, onClose }: FindBarProps) {
  const text = useText(gridText);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  const key = (event: KeyboardEvent) => {
    if (isComposing(event.nativeEvent)) return;
    if (event.key === "Enter") onStep(event.shiftKey);
    else if (event.key === "Escape") onClose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <search className={styles.find}>
      <input
        ref={field}
        type="text"
        // biome-ignore lint/a11y/noAutofocus: the bar opens on the person's own key
        autoFocus
        aria-label={text.findInResult}
        placeholder={text.findInResult}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={key}
        spellCheck={false}
        autoComplete="off"
      />
      <span className={styles.count} role="status">
        <FindState value={value} finding={finding} at={at} rows={rows} />
      </span>
      <IconButton small label={text.findBack} icon={ArrowUp} onPress={() => onStep(true)} />
      <IconButton small label={text.findNext} icon={ArrowDown} onPress={() => onStep(false)} />
      <IconButton small label={text.findClose} icon={X} onPress={onClose} />
    </search>
  );
}

function FindState({ value, finding, at, rows }: Pick<FindBarProps, "value" | "finding" | "at" | "rows">) {
  const text = useText(gridText);
  const { language } = useLanguage();
  if (value === "") return null;
  const figure = (of: number) => formatNumber(of, language);
  const { matches, seen, ended } = finding;
  const place =
    matches.length > 0 && text.findAt(figure(at + 1), figure(matches.length), !ended || matches.length === MATCHES_MAX);
  const looking = !ended && text.findLooking(figure(seen));
  const limit = ended && rows > FIND_ROWS_MAX && seen >= FIND_ROWS_MAX && text.findLimit(figure(FIND_ROWS_MAX));
  const none = ended && matches.length === 0 && text.findNone;
  return <>{[place, none, looking, limit].filter(Boolean).join(" · ")}</>;
}
