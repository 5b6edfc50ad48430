// One mart: how it stands, its query, checks, runs and neighbours.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";
import { api, call } from "../../api/client";
import { Link, pathOf } from "../../app/router";
import { useLanguage, useText } from "../../i18n";
import { formatSpan } from "../../i18n/format";
import {
  AsOf,
  announce,
  Badge,
  Button,
  CodeBlock,
  type Column,
  DialogButtons,
  Empty,
  Field,
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
  Status,
  Table,
  Time,
} from "../../ui";
import { Unfold } from "../../ui/unfold";
import { Cells, Next } from "./cells";
import styles from "./marts.module.css";
import { type Action, PlanDialog } from "./plan-dialog";
import { isBad, isSlow, tone, trimmed } from "./states";
import { martsText, stateText, stateWord } from "./text";
import type { Cell, MartView } from "./types";

const Graph = lazy(() => import("./graph").then(({ Graph }) => ({ default: Graph })));
const CELLS = 40;

export function Mart({ name }: { name: string }) {
  const text = useText(martsText);
  const mart = useQuery({
    queryKey: ["marts", "one", name],
    queryFn: () => call(api.GET("/api/v1/marts/{mart}", { params: { path: { mart: name } } })),
    refetchInterval: 10_000,
  });
  if (mart.isPending) return <Loading label={text.loading} />;
  if (!mart.data) return <ProblemBox error={mart.error} onRetry={mart.refetch} />;
  return <Known mart={mart.data} />;
}

function Known({ mart }: { mart: MartView }) {
  const text = useText(martsText);
  const states = useText(stateText);
  const [action, setAction] = useState<Action | undefined>();
  const [run, setRun] = useState<number | undefined>();
  const latest = mart.cells[0];
  return (
    <Page
      title={
        <>
          {mart.mart}{" "}
          <Badge tone={mart.broken ? "bad" : tone(mart.state)}>
            {mart.broken ? text.broken : stateWord(states, mart.state)}
          </Badge>
        </>
      }
      under={<AsOf at={mart.as_of} />}
      actions={<Actions mart={mart} onAction={setAction} />}
    >
      {mart.broken && <ProblemBox problem={mart.broken} />}
      {mart.paused && <Notice tone="warn">{pausedText(text, mart)}</Notice>}
      {latest && isBad(latest.state) && (
        <Notice
          tone="bad"
          action={
            <Link to={`${pathOf("runs", String(latest.run))}?mart=${encodeURIComponent(mart.mart)}`}>
              {text.runNumber(latest.run)}
            </Link>
          }
        >
          {mart.cause ?? stateWord(states, latest.state)}
        </Notice>
      )}
      <Figures
        items={[
          { name: text.rows, value: <Num value={mart.rows} /> },
          {
            name: text.fresh,
            value: <Time at={mart.published_at} ago />,
            ...(mart.edited ? { note: text.edited } : {}),
          },
          {
            name: text.duration,
            value: <Span ms={latest?.ms} />,
            note: (
              <>
                {text.usual} <Span ms={mart.median_ms} />
                {isSlow(latest?.ms, mart.median_ms) && ` · ${text.slow}`}
              </>
            ),
          },
          {
            name: text.next,
            value: <Next at={mart.next_at} />,
            ...(mart.schedule ? { note: mart.schedule } : {}),
          },
        ]}
      />
      {mart.cells.length > 0 && (
        <div className={styles.ownCells}>
          <span className={styles.under}>{text.runs}</span>
          <Cells
            mart={mart.mart}
            cells={mart.cells}
            length={Math.min(CELLS, mart.cells.length)}
            row={0}
            active={Math.min(CELLS, mart.cells.length) - 1}
            run={run}
            onRun={setRun}
          />
        </div>
      )}
      <Panel
        title={text.sql}
        actions={
          <Link to={`/sql?sql=${encodeURIComponent(`SELECT * FROM ${quoted(mart.mart)} LIMIT 100`)}`}>
            {text.openSql}
          </Link>
        }
      >
        {mart.description && <p>{mart.description}</p>}
        <CodeBlock text={trimmed(mart.sql).sql} label={text.sql} numbered />
      </Panel>
      <Panel title={text.checks}>
        <Checks mart={mart} />
      </Panel>
      <Panel title={text.graph}>
        <Neighbours mart={mart} />
      </Panel>
      <Panel title={text.history}>
        <History mart={mart} onAction={setAction} />
      </Panel>
      <Panel>
        <Facts mart={mart} />
      </Panel>
      {action && <PlanDialog action={action} onClose={() => setAction(undefined)} />}
    </Page>
  );
}

type Text = (typeof martsText)["en"];

function pausedText(text: Text, mart: MartView): string {
  const { by, why } = mart.paused ?? {};
  return [by ? `${text.paused}: ${text.pausedBy(by)}` : text.paused, why].filter(Boolean).join(" · ");
}

export function quoted(name: string): string {
  return name
    .split(".")
    .map((part) => `\`${part}\``)
    .join(".");
}

function Actions({ mart, onAction }: { mart: MartView; onAction: (action: Action) => void }) {
  const text = useText(martsText);
  const [pausing, setPausing] = useState(false);
  const client = useQueryClient();
  const pause = async (paused: boolean, why?: string) => {
    await call(
      api.POST("/api/v1/marts/{mart}/pause", {
        params: { path: { mart: mart.mart } },
        body: { paused, why: why ?? null },
      }),
    );
    announce(paused ? text.paused : text.unpause);
    await client.invalidateQueries({ queryKey: ["marts"] });
  };
  return (
    <>
      {mart.may_operate && mart.schedule && !mart.paused && (
        <Button onPress={() => setPausing(true)}>{text.pause}</Button>
      )}
      {mart.may_operate && mart.paused && <Button onPress={() => void pause(false)}>{text.unpause}</Button>}
      {mart.may_run && mart.kind === "table" && (
        <Button onPress={() => onAction({ kind: "rollback", mart: mart.mart })}>{text.rollback}</Button>
      )}
      {mart.may_run && (
        <Button kind="primary" onPress={() => onAction({ kind: "run", marts: [mart.mart] })}>
          {text.runSelected}
        </Button>
      )}
      {pausing && <PauseDialog onClose={() => setPausing(false)} onPause={(why) => pause(true, why)} />}
    </>
  );
}

function PauseDialog({ onClose, onPause }: { onClose: () => void; onPause: (why: string) => Promise<void> }) {
  const text = useText(martsText);
  const [why, setWhy] = useState("");
  const [error, setError] = useState<unknown>();
  return (
    <Modal isOpen onOpenChange={(open) => !open && onClose()} title={text.pauseTitle} keep>
      <p>{text.pauseEffect}</p>
      <Field label={text.why} value={why} onChange={setWhy} autoFocus />
      {error !== undefined && <ProblemBox error={error} small />}
      <DialogButtons>
        <Button onPress={onClose}>{text.cancelDialog}</Button>
        <Button kind="primary" onPress={() => onPause(why).then(onClose, setError)}>
          {text.doPause}
        </Button>
      </DialogButtons>
    </Modal>
  );
}

function Checks({ mart }: { mart: MartView }) {
  const text = useText(martsText);
  if (mart.checks.length === 0) return <p className={styles.under}>{text.noChecks}</p>;
  return (
    <ul className={styles.checks}>
      {mart.checks.map((check) => (
        <li key={check.check}>
          <Unfold
            summary={
              <>
                <Status tone={outcomeTone(check.outcome)}>
                  {check.outcome ? (text.outcomes[check.outcome] ?? check.outcome) : text.notRun}
                </Status>{" "}
                <strong>{check.check}</strong>
                {check.failing ? ` · ${text.failingRows(check.failing)}` : ""}
              </>
            }
          >
            <CodeBlock text={check.sql} label={text.checkSql} />
          </Unfold>
        </li>
      ))}
    </ul>
  );
}

export function outcomeTone(outcome: string | null | undefined): "good" | "warn" | "bad" | "none" {
  if (outcome === "pass") return "good";
  if (outcome === "warn") return "warn";
  return outcome ? "bad" : "none";
}

function Neighbours({ mart }: { mart: MartView }) {
  const text = useText(martsText);
  const marts = useQuery({
    queryKey: ["marts", 1],
    queryFn: () => call(api.GET("/api/v1/marts", { params: { query: { runs: 1 } } })),
  });
  const all = marts.data?.items;
  const known = useMemo(() => new Set(all?.map((each) => each.mart)), [all]);
  const list = (names: string[]) =>
    names.length === 0
      ? text.nobody
      : names.map((name, at) => {
          const [dataset = "", table = ""] = name.split(".", 2);
          return (
            <span key={name}>
              {at > 0 && ", "}
              <Link to={known.has(name) ? pathOf("marts", name) : pathOf("catalog", dataset, table)}>{name}</Link>
            </span>
          );
        });
  return (
    <>
      <Pairs
        items={[
          [text.upstream, list(mart.reads)],
          [text.downstream, list(mart.read_by)],
        ]}
      />
      {all && (
        <div className={styles.wideOnly}>
          <Suspense fallback={<Loading label={text.loading} />}>
            <Graph marts={all} focus={mart.mart} />
          </Suspense>
        </div>
      )}
    </>
  );
}

function History({ mart, onAction }: { mart: MartView; onAction: (action: Action) => void }) {
  const text = useText(martsText);
  const states = useText(stateText);
  const { language } = useLanguage();
  const live = mart.published_run;
  const columns: Column<Cell>[] = [
    {
      id: "run",
      header: text.run,
      cell: (cell) => <span className={styles.oneLine}>{cell.run}</span>,
      order: (cell) => cell.run,
    },
    {
      id: "state",
      header: text.state,
      cell: (cell) => <Status tone={tone(cell.state)}>{stateWord(states, cell.state)}</Status>,
    },
    { id: "at", header: text.began, cell: (cell) => <Time at={cell.at} ago />, order: (cell) => cell.at },
    {
      id: "reason",
      header: text.reason,
      cell: (cell) => [text.reasons[cell.reason] ?? cell.reason, cell.by].filter(Boolean).join(" · "),
    },
    { id: "rows", header: text.rows, cell: (cell) => <Num value={cell.rows} />, end: true },
    {
      id: "took",
      header: text.took,
      cell: (cell) => (cell.ms === null || cell.ms === undefined ? "–" : formatSpan(cell.ms, language)),
      order: (cell) => cell.ms,
      end: true,
    },
    { id: "cause", header: "", cell: (cell) => <span className={styles.cause}>{cell.cause}</span>, grow: true },
    {
      id: "back",
      header: "",
      cell: (cell) =>
        mart.may_run &&
        mart.kind === "table" &&
        cell.state === "done" &&
        cell.reason !== "rollback" &&
        cell.run !== live ? (
          <Button small kind="quiet" onPress={() => onAction({ kind: "rollback", mart: mart.mart, to: cell.run })}>
            {text.rollbackTo}
          </Button>
        ) : null,
    },
  ];
  return (
    <Table
      label={text.history}
      columns={columns}
      rows={mart.cells}
      id={(cell) => String(cell.run)}
      to={(cell) => `${pathOf("runs", String(cell.run))}?mart=${encodeURIComponent(mart.mart)}`}
      empty={<Empty title={text.noHistory} />}
    />
  );
}

function Facts({ mart }: { mart: MartView }) {
  const text = useText(martsText);
  const [dataset = "", table = ""] = mart.mart.split(".", 2);
  return (
    <Pairs
      items={[
        [text.file, `${mart.file}:${mart.sql_line}`],
        [text.kind, text.kinds[mart.kind] ?? mart.kind],
        [text.owner, mart.owner ?? "–"],
        [text.schedule, mart.schedule ?? text.noSchedule],
        [
          text.limits,
          <span key="limits">
            {mart.timeout_s ? (
              <>
                {text.timeout} <Span ms={mart.timeout_s * 1000} />,{" "}
              </>
            ) : null}
            {text.retries(mart.retries)}
          </span>,
        ],
        [
          text.openCatalog,
          <Link key="catalog" to={pathOf("catalog", dataset, table)}>
            {mart.mart}
          </Link>,
        ],
      ]}
    />
  );
}
