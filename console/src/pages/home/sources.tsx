// The sources, and how much of their log they keep for naru.

import { useText } from "../../i18n";
import { Bytes, type Column, Num, Span, Status, Table, type Tone } from "../../ui";
import { homeText } from "./text";
import type { SourceLine } from "./types";

const TONES: Record<string, Tone> = {
  streaming: "good",
  connecting: "busy",
  preflight: "busy",
  waiting: "warn",
  stopped: "bad",
  vanished: "bad",
};

export function Sources({ sources }: { sources: SourceLine[] }) {
  const text = useText(homeText);
  const columns: Column<SourceLine>[] = [
    { id: "source", header: text.source, cell: (row) => row.source, order: (row) => row.source, grow: true },
    {
      id: "phase",
      header: text.phase,
      cell: (row) => <Status tone={TONES[row.phase] ?? "none"}>{text.phases[row.phase] ?? row.phase}</Status>,
      order: (row) => row.phase,
    },
    {
      id: "tables",
      header: text.tables,
      cell: (row) => <Num value={row.tables} />,
      order: (row) => row.tables,
      end: true,
    },
    {
      id: "late",
      header: text.lateTables,
      cell: (row) => <Num value={row.late} />,
      order: (row) => row.late,
      end: true,
    },
    { id: "lag", header: text.lag, cell: (row) => <Span ms={row.lag_ms} />, order: (row) => row.lag_ms, end: true },
    {
      id: "retained",
      header: text.retained,
      cell: (row) => <Bytes value={row.retained_bytes} />,
      order: (row) => row.retained_bytes,
      end: true,
    },
    {
      id: "left",
      header: text.untilLost,
      cell: (row) => (row.safe_bytes == null ? text.unlimited : <Bytes value={row.safe_bytes} />),
      order: (row) => row.safe_bytes,
      end: true,
    },
  ];
  return (
    <Table
      label={text.sources}
      columns={columns}
      rows={sources}
      id={(row) => row.source}
      to={(row) => `/sync?source=${encodeURIComponent(row.source)}`}
      sort="source"
    />
  );
}
