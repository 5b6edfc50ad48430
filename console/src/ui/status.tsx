// How something is: icon and word together, never colour alone.

import {
  Ban,
  CheckCircle2,
  CircleAlert,
  CircleDashed,
  Clock,
  Info,
  Loader,
  type LucideIcon,
  TriangleAlert,
} from "lucide-react";
import type { ReactNode } from "react";
import styles from "./status.module.css";

export type Tone = "good" | "busy" | "warn" | "bad" | "waiting" | "off" | "info" | "none";

const ICONS: Record<Tone, LucideIcon> = {
  good: CheckCircle2,
  busy: Loader,
  warn: TriangleAlert,
  bad: CircleAlert,
  waiting: Clock,
  off: Ban,
  info: Info,
  none: CircleDashed,
};

export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  const Icon = ICONS[tone];
  return (
    <span className={styles.status} data-tone={tone}>
      <Icon size={15} aria-hidden />
      <span>{children}</span>
    </span>
  );
}

/** The same with a soft ground: for a page's header and for verdicts. */
export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  const Icon = ICONS[tone];
  return (
    <span className={styles.badge} data-tone={tone}>
      <Icon size={15} aria-hidden />
      <span>{children}</span>
    </span>
  );
}

/** A notice over the whole width. */
export function Notice({ tone, children, action }: { tone: Tone; children: ReactNode; action?: ReactNode }) {
  const Icon = ICONS[tone];
  return (
    <div className={styles.notice} data-tone={tone} role="status">
      <Icon size={18} aria-hidden />
      <div>{children}</div>
      {action}
    </div>
  );
}
