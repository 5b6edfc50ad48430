// How one table stands: its phase, and apart from it what the last try came to.

import { useLanguage, useText } from "../../i18n";
import { formatNumber } from "../../i18n/format";
import { Progress, Status } from "../../ui";
import { tableTone } from "./states";
import styles from "./sync.module.css";
import { syncText } from "./text";
import type { SourceView, SyncedTable } from "./types";

export function State({ table }: { table: SyncedTable }) {
  const text = useText(syncText);
  const { language } = useLanguage();
  const word = text.states[table.state] ?? table.state;
  const copied = table.copied;
  return (
    <span>
      <Status tone={tableTone(table)}>
        {word}
        {table.state === "live" && !table.followed && ` · ${text.notFollowed}`}
      </Status>
      {copied !== null && copied !== undefined && (
        <Progress
          label={text.copied(
            formatNumber(copied, language),
            formatNumber(Math.max(copied, table.expected ?? 0), language),
          )}
          done={copied}
          of={table.expected ? Math.max(copied, table.expected) : undefined}
        />
      )}
    </span>
  );
}

/** What the last try came to, which is not what is being tried now. */
export function Outcome({ table, source }: { table: SyncedTable; source: SourceView }) {
  const text = useText(syncText);
  const quiet = `${styles.outcome} ${styles.quiet}`;
  if (table.reason) return <span className={styles.outcome}>{table.reason}</span>;
  if (table.adjusted_values > 0) {
    return (
      <span className={styles.outcome}>
        <Status tone="warn">{text.adjusted(table.adjusted_values)}</Status>
      </span>
    );
  }
  if (table.state !== "live") return <span className={quiet}>{source.problem?.summary ?? ""}</span>;
  if (source.phase !== "streaming") return <span className={quiet}>{text.notFollowed}</span>;
  return <span className={quiet}>{table.changes > 0 ? text.applied : text.appliedNothing}</span>;
}
