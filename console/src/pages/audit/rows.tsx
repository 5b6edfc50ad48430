// Rows of the audit, and one row whole.

import { ZoomIn } from "lucide-react";
import { useState } from "react";
import type { components } from "../../api/schema";
import { useText } from "../../i18n";
import { Bytes, CodeBlock, IconButton, Modal, Num, Pairs, Span, Status, Table, Time } from "../../ui";
import styles from "./audit.module.css";
import { auditText } from "./text";

type Item = components["schemas"]["AuditItem"];

export function Rows({ rows }: { rows: Item[] }) {
  const text = useText(auditText);
  const [open, setOpen] = useState<Item>();
  return (
    <>
      <Table
        label={text.title}
        rows={rows}
        id={(row) => String(row.id)}
        columns={[
          { id: "time", header: text.time, cell: (row) => <Time at={row.at} /> },
          { id: "who", header: text.who, cell: (row) => row.account },
          {
            id: "what",
            header: text.what,
            cell: (row) => (
              <span className={styles.what}>
                <span>{text.actions[row.action] ?? row.action}</span>
                <code>{row.sql ?? row.detail ?? ""}</code>
              </span>
            ),
            grow: true,
          },
          { id: "rows", header: text.rows, cell: (row) => <Num value={row.rows} />, end: true },
          { id: "result", header: text.result, cell: (row) => <Result result={row.result} /> },
          {
            id: "open",
            header: text.details,
            cell: (row) => <IconButton small icon={ZoomIn} label={text.open} onPress={() => setOpen(row)} />,
            end: true,
          },
        ]}
      />
      {open && <Details row={open} close={() => setOpen(undefined)} />}
    </>
  );
}

function Result({ result }: { result: string }) {
  const text = useText(auditText);
  if (result === "ok") return <Status tone="good">{text.ok}</Status>;
  if (result === "left") return <Status tone="off">{text.left}</Status>;
  return <Status tone="bad">{result}</Status>;
}

function Details({ row, close }: { row: Item; close: () => void }) {
  const text = useText(auditText);
  const from = [text.doors[row.door] ?? row.door, row.address].filter(Boolean).join(", ");
  return (
    <Modal isOpen onOpenChange={(open) => !open && close()} title={`${text.number} ${row.id}`} wide>
      <Pairs
        items={[
          [text.time, <Time key="time" at={row.at} />],
          [text.who, row.account],
          [text.where, from],
          [text.client, row.client],
          [text.what, text.actions[row.action] ?? row.action],
          [text.result, <Result key="result" result={row.result} />],
          [text.tables, row.tables.join(", ") || "–"],
          [text.rows, <Num key="rows" value={row.rows} />],
          [text.bytes, <Bytes key="bytes" value={row.bytes} />],
          [text.read, <Bytes key="read" value={row.bytes_read} />],
          [text.took, <Span key="took" ms={row.took_ms} />],
          [text.reason, row.reason ?? "–"],
        ]}
      />
      {row.detail && <CodeBlock label={text.details} text={row.detail} />}
      {row.sql && <CodeBlock label="SQL" text={row.sql} numbered />}
    </Modal>
  );
}
