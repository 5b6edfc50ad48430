// The edge between the editor and the answer, moved by mouse, finger or arrow keys.

import { type KeyboardEvent, type PointerEvent, useRef } from "react";
import styles from "./sql.module.css";

export interface SplitterProps {
  label: string;
  /** Share of the height above it, in percent. */
  value: number;
  onChange: (value: number) => void;
}

const LEAST = 12;
const MOST = 85;
const STEP = 4;

export const shareWithin = (value: number) => Math.max(LEAST, Math.min(MOST, Math.round(value)));

export function Splitter({ label, value, onChange }: SplitterProps) {
  const held = useRef(false);
  const move = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.parentElement?.getBoundingClientRect();
    if (held.current && box) onChange(shareWithin(((event.clientY - box.top) / box.height) * 100));
  };
  const key = (event: KeyboardEvent) => {
    const by = { ArrowUp: -STEP, ArrowDown: STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    onChange(shareWithin(value + by));
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: an <hr> cannot be moved
    <div
      role="separator"
      aria-orientation="horizontal"
      aria-label={label}
      aria-valuenow={value}
      aria-valuemin={LEAST}
      aria-valuemax={MOST}
      tabIndex={0}
      className={styles.splitter}
      onKeyDown={key}
      onPointerDown={(event) => {
        held.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={move}
      onPointerUp={() => {
        held.current = false;
      }}
      onPointerCancel={() => {
        held.current = false;
      }}
    />
  );
}
