// One synced table: how it stands, why, what mends it, and what may be done with it.

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useJobEvents } from "../../api/events";
import { Link, pathOf, useSearch } from "../../app/router";
import { useShortcuts } from "../../app/shortcuts";
import { useLanguage, useText } from "../../i18n";
import { formatNumber } from "../../i18n/format";
import {
  AsOf,
  announce,
  Button,
  Bytes,
  DialogButtons,
  Figures,
  Loading,
  Modal,
  Notice,
  Num,
  Page,
  Pairs,
  Panel,
  ProblemBox,
  Span,
} from "../../ui";
import { Outcome, State } from "./cells";
import styles from "./sync.module.css";
import { syncText } from "./text";
import type { SourceList, SyncedTable, WorkView } from "./types";

type Act = "resync" | "pause" | "resume";

export function OneTable({ name, list }: { name: string; list: SourceList }) {
  const text = useText(syncText);
  const source = list.items.find((source) => source.tables.some((table) => table.table === name));
  const table = source?.tables.find((table) => table.table === name);
  const [act, setAct] = useState<Act | undefined>();
  const paused = table?.state === "paused" || table?.state === "quarantined";
  useShortcuts(
    table?.may_operate
      ? [
          { keys: "p", label: paused ? text.resume : text.pause, run: () => setAct(paused ? "resume" : "pause") },
          { keys: "r", label: text.resync, run: () => setAct("resync") },
        ]
      : [],
  );
  if (!source || !table) {
    const problem = { code: "sync.no_table", summary: `no source writes a table ${name}` };
    return <ProblemBox problem={problem} />;
  }
  const sql = `SELECT * FROM ${name
    .split(".")
    .map((part) => `\`${part}\``)
    .join(".")} LIMIT 100`;
  const [dataset = "", short = ""] = name.split(".", 2);
  return (
    <Page
      title={name}
      under={
        <>
          <Link to="/sync">{text.back}</Link> · <AsOf at={list.as_of} />
        </>
      }
      actions={
        table.may_operate && (
          <>
            {paused ? (
              <Button onPress={() => setAct("resume")}>{text.resume}</Button>
            ) : (
              <Button onPress={() => setAct("pause")}>{text.pause}</Button>
            )}
            <Button onPress={() => setAct("resync")}>{text.resync}</Button>
          </>
        )
      }
    >
      <Figures
        items={[
          { name: text.state, value: <State table={table} /> },
          { name: text.last, value: <Outcome table={table} source={source} /> },
          { name: text.rows, value: <Num value={table.rows} /> },
          { name: text.lag, value: <Span ms={table.lag_ms} /> },
          { name: text.waits, value: <Bytes value={table.spool_bytes} /> },
        ]}
      />
      {source.problem && <ProblemBox problem={source.problem} />}
      {table.reason && (
        <Notice tone={table.state === "quarantined" ? "bad" : "info"}>
          {table.reason}
          {table.fix && (
            <>
              <br />
              <strong>{text.remedy}:</strong> {table.fix}
            </>
          )}
        </Notice>
      )}
      {table.adjusted_values > 0 && (
        <Notice tone="warn" action={<Link to={`/sql?sql=${encodeURIComponent(sql)}`}>{text.seeRows}</Link>}>
          {text.adjusted(table.adjusted_values)}. {text.adjustedWhy}
        </Notice>
      )}
      <Panel>
        <Pairs
          items={[
            [
              text.source,
              <Link key="source" to={`/sync?source=${encodeURIComponent(source.source)}`}>
                {source.source}
              </Link>,
            ],
            [text.atSource, table.source_table],
            [text.definition, table.last_definition ?? text.definitionNone],
            [text.changes, <Num key="changes" value={table.changes} />],
            [text.files, <Num key="files" value={table.files} />],
            [
              text.openCatalog,
              <Link key="catalog" to={pathOf("catalog", dataset, short)}>
                {name}
              </Link>,
            ],
            [
              text.openSql,
              <Link key="sql" to={`/sql?sql=${encodeURIComponent(sql)}`}>
                {sql}
              </Link>,
            ],
          ]}
        />
      </Panel>
      <Panel title={text.compare}>
        <Compare table={table} />
      </Panel>
      {act && <ActDialog table={table} act={act} onClose={() => setAct(undefined)} />}
    </Page>
  );
}

function ActDialog({ table, act, onClose }: { table: SyncedTable; act: Act; onClose: () => void }) {
  const text = useText(syncText);
  const ask = (dryRun: boolean) =>
    call(
      api.POST("/api/v1/sources/tables/{table}", {
        params: { path: { table: table.table } },
        body: { action: act, dry_run: dryRun },
      }),
    );
  const preview = useMutation({ mutationFn: () => ask(true) });
  const doIt = useMutation({
    mutationFn: () => ask(false),
    onSuccess: () => {
      announce(`${table.table} ${text.done[act] ?? ""}`);
      onClose();
    },
  });
  if (preview.isIdle) preview.mutate();
  const impact = preview.data;
  const label = { resync: text.doResync, pause: text.doPause, resume: text.doResume }[act];
  return (
    <Modal isOpen onOpenChange={(open) => !open && onClose()} title={`${table.table}: ${text.what}`} keep>
      <p>{text.effect[act]}</p>
      {preview.isPending && <Loading label={text.loading} />}
      {preview.isError && <ProblemBox error={preview.error} small />}
      {impact && (
        <Pairs
          items={[
            ...(act === "resync"
              ? ([[text.rowsAgain, <Num key="rows" value={impact.table.expected ?? impact.table.rows} />]] as [
                  string,
                  React.ReactNode,
                ][])
              : []),
            [text.waitsNow, <Bytes key="waits" value={impact.table.spool_bytes} />],
            [
              text.below(impact.marts_below.length),
              impact.marts_below.length > 0 ? impact.marts_below.slice(0, 12).join(", ") : "–",
            ],
          ]}
        />
      )}
      {doIt.isError && <ProblemBox error={doIt.error} small />}
      <DialogButtons>
        <Button onPress={onClose}>{text.notNow}</Button>
        <Button kind="primary" isDisabled={!impact || doIt.isPending} onPress={() => doIt.mutate()}>
          {label}
        </Button>
      </DialogButtons>
    </Modal>
  );
}

interface Compared {
  at: string | null;
  note?: string;
  tables: { source_rows?: number; lake_rows?: number; equal: boolean | null; note?: string | null }[];
}

/** Compares on the server; a reload finds the work again by the number in the URL. */
function Compare({ table }: { table: SyncedTable }) {
  const text = useText(syncText);
  const [work, setWork] = useSearch("work");
  const begin = useMutation({
    mutationFn: () =>
      call(api.POST("/api/v1/sources/tables/{table}/compare", { params: { path: { table: table.table } } })),
    onSuccess: (work) => setWork(String(work.id)),
  });
  const { state } = useJobEvents<WorkView>(
    work ? `/api/v1/works/${encodeURIComponent(work)}/events` : undefined,
    (work) => work.state !== "running",
  );
  const stop = () => void call(api.POST("/api/v1/works/{id}/cancel", { params: { path: { id: Number(work) } } }));
  if (state?.state === "running") {
    return (
      <div className={styles.line}>
        <Loading label={text.comparing} />
        <Button small onPress={stop}>
          {text.stop}
        </Button>
      </div>
    );
  }
  return (
    <>
      {begin.isError && <ProblemBox error={begin.error} small />}
      {state?.problem && <ProblemBox problem={state.problem} small />}
      {state?.state === "done" && <Verdicts result={state.result as unknown as Compared[]} at={state.ended_at} />}
      <div className={styles.line}>
        <Button isDisabled={begin.isPending} onPress={() => begin.mutate()}>
          {text.compare}
        </Button>
      </div>
    </>
  );
}

function Verdicts({ result, at }: { result: Compared[]; at: string | null | undefined }) {
  const text = useText(syncText);
  const { language } = useLanguage();
  const figure = (value: number | undefined) => formatNumber(value ?? 0, language);
  const rows = result.flatMap((source) =>
    source.tables.map((table) => ({ ...table, at: source.at, why: table.note ?? source.note })),
  );
  return (
    <>
      {rows.map((row, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: verdicts do not move
        <Notice key={at} tone={row.equal ? "good" : row.equal === false ? "bad" : "warn"}>
          {row.equal
            ? text.compareSame(figure(row.source_rows))
            : row.equal === false
              ? text.compareDiffers(figure(row.source_rows), figure(row.lake_rows))
              : text.compareNot}
          {row.why ? ` · ${row.why}` : ""}
          {row.at ? ` · ${row.at}` : ""}
        </Notice>
      ))}
      <AsOf at={at} />
    </>
  );
}
