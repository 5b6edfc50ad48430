// What the phases of sources and tables mean to a reader. Phase (what is being tried) and outcome (what the last try came
// to) are two things: a source that tries again after an error is not well again before it has worked.

import type { Tone } from "../../ui";
import type { SourceView, SyncedTable } from "./types";

const PHASES: Record<string, Tone> = {
  streaming: "good",
  connecting: "busy",
  preflight: "busy",
  waiting: "warn",
  stopped: "off",
  vanished: "bad",
};

const TABLES: Record<string, Tone> = {
  live: "good",
  catching_up: "busy",
  copying: "busy",
  rebuilding: "busy",
  preflight: "busy",
  discovered: "waiting",
  paused: "off",
  quarantined: "bad",
  dropped: "off",
  not_synced: "none",
};

export function phaseTone(phase: string): Tone {
  return PHASES[phase] ?? "none";
}

export function tableTone(table: SyncedTable): Tone {
  // A live table of a source that does not stream is not followed: it only looks well.
  if (table.state === "live" && !table.followed) return "warn";
  return TABLES[table.state] ?? "none";
}

/** How a source stands altogether: what it tries now and what came of the last try, the worse of the two. */
export function sourceTone(source: SourceView): Tone {
  if (source.problem) return source.phase === "streaming" ? "warn" : "bad";
  if (source.warnings.length > 0) return "warn";
  return phaseTone(source.phase);
}

/** What needs somebody comes first. */
export function urgency(table: SyncedTable): number {
  if (table.state === "quarantined") return 0;
  if (table.state === "live" && !table.followed) return 1;
  if (table.state === "paused" || table.state === "dropped") return 2;
  if (["copying", "rebuilding", "catching_up", "preflight", "discovered"].includes(table.state)) return 3;
  if (table.adjusted_values > 0) return 4;
  return table.state === "not_synced" ? 6 : 5;
}

export function byUrgency(tables: SyncedTable[]): SyncedTable[] {
  return tables.toSorted((a, b) => urgency(a) - urgency(b) || a.table.localeCompare(b.table));
}

export const DAY_HOURS = 24;

/** How worrying the log that waits at the source is. */
export function logTone(source: SourceView): Tone {
  const left = source.hours_until_lost;
  if (left !== null && left !== undefined && left < DAY_HOURS) return left < 2 ? "bad" : "warn";
  return "good";
}
