// One run: opens on the mart that failed first, with the line of its query and the rows that a check found.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, call } from "../../api/client";
import { useJobEvents } from "../../api/events";
import { Link, pathOf, useParams, useSearch } from "../../app/router";
import { useShortcuts } from "../../app/shortcuts";
import { useText } from "../../i18n";
import {
  AsOf,
  Badge,
  Button,
  Bytes,
  CodeBlock,
  Loading,
  Notice,
  Num,
  Page,
  Pairs,
  Panel,
  ProblemBox,
  Progress,
  Span,
  Status,
  Table,
  Time,
} from "../../ui";
import { Unfold } from "../../ui/unfold";
import { outcomeTone } from "./mart";
import styles from "./marts.module.css";
import { type Action, PlanDialog } from "./plan-dialog";
import { isSlow, moves, nodeOrder, tone, trimmed } from "./states";
import { martsText, stateText, stateWord } from "./text";
import type { NodeView, RunView } from "./types";

export default function Run() {
  const { run = "" } = useParams();
  return <One key={run} number={run} />;
}

function One({ number }: { number: string }) {
  const text = useText(martsText);
  const client = useQueryClient();
  const run = useQuery({
    queryKey: ["run", number],
    queryFn: () => call(api.GET("/api/v1/runs/{run}", { params: { path: { run: Number(number) } } })),
  });
  const going = run.data && !run.data.complete;
  const { state, broken } = useJobEvents<RunView>(
    going ? `/api/v1/runs/${encodeURIComponent(number)}/events` : undefined,
    (view) => view.complete,
  );
  useEffect(() => {
    if (state) client.setQueryData(["run", number], state);
  }, [state, client, number]);
  if (run.isPending) return <Loading label={text.loadingRun} />;
  if (!run.data) return <ProblemBox error={run.error} onRetry={run.refetch} />;
  return <Known run={run.data} broken={broken && !!going} onChanged={() => void run.refetch()} />;
}

function Known({ run, broken, onChanged }: { run: RunView; broken: boolean; onChanged: () => void }) {
  const text = useText(martsText);
  const states = useText(stateText);
  const [chosen, choose] = useSearch("mart");
  const [action, setAction] = useState<Action | undefined>();
  const nodes = nodeOrder(run.nodes);
  const node = nodes.find((node) => node.mart === (chosen || run.first_failing)) ?? nodes[0];
  const step = (by: number) => {
    const next = nodes[nodes.findIndex((each) => each.mart === node?.mart) + by];
    if (next) choose(next.mart);
  };
  useShortcuts([
    { keys: "f", label: text.firstFailure, run: () => run.first_failing && choose(run.first_failing) },
    { keys: "j", label: text.nodes, run: () => step(1) },
    { keys: "k", label: text.nodes, run: () => step(-1) },
  ]);
  const ended = run.nodes.filter((node) => !moves(node.state)).length;
  return (
    <Page
      title={
        <>
          {text.runNumber(run.run)} <Badge tone={tone(run.state)}>{stateWord(states, run.state)}</Badge>
        </>
      }
      under={<AsOf at={run.as_of} complete={run.complete} why={text.progress(ended, run.nodes.length)} />}
      actions={<Actions run={run} onAction={setAction} onChanged={onChanged} />}
    >
      {broken && <Notice tone="warn">{text.loadingRun}</Notice>}
      {!run.complete && <Progress label={text.progress(ended, run.nodes.length)} done={ended} of={run.nodes.length} />}
      <Head run={run} />
      <div className={styles.run}>
        <nav className={styles.nodes} aria-label={text.nodes}>
          {nodes.map((each) => (
            <NodeLine key={each.mart} node={each} chosen={each === node} onChoose={() => choose(each.mart)} />
          ))}
        </nav>
        {node && <NodePanel key={node.mart} node={node} run={run} onChoose={choose} onAction={setAction} />}
      </div>
      {action && <PlanDialog action={action} onClose={() => setAction(undefined)} />}
    </Page>
  );
}

function Actions({
  run,
  onAction,
  onChanged,
}: {
  run: RunView;
  onAction: (action: Action) => void;
  onChanged: () => void;
}) {
  const text = useText(martsText);
  const [asked, setAsked] = useState(false);
  const [error, setError] = useState<unknown>();
  const cancel = async () => {
    setAsked(true);
    try {
      await call(api.POST("/api/v1/runs/{run}/cancel", { params: { path: { run: run.run } } }));
      onChanged();
    } catch (problem) {
      setError(problem);
      setAsked(false);
    }
  };
  if (!run.may_run) return null;
  const left = run.complete && run.state !== "done" && run.reason !== "rollback";
  return (
    <>
      {error !== undefined && <ProblemBox error={error} small />}
      {!run.complete && (
        <Button kind="danger" isDisabled={asked} onPress={() => void cancel()}>
          {text.cancelRun}
        </Button>
      )}
      {asked && !run.complete && <span className={styles.under}>{text.cancelAsked}</span>}
      {left && (
        <Button kind="primary" onPress={() => onAction({ kind: "resume", run: run.run })}>
          {text.resume}
        </Button>
      )}
    </>
  );
}

function Head({ run }: { run: RunView }) {
  const text = useText(martsText);
  const items: [string, React.ReactNode][] = [
    [text.reason, text.reasons[run.reason] ?? run.reason],
    [text.began, <Time key="began" at={run.started_at} />],
    [text.took, <Span key="took" ms={run.ms} />],
  ];
  if (run.by) items.push([text.by, run.by]);
  if (run.requested) items.push([text.requested, run.requested]);
  if (run.why) items.push([text.whyAsked, run.why]);
  if (run.rolled_to) items.push([text.rollback.replace("…", ""), text.rolledTo(run.rolled_to)]);
  const positions = Object.entries(run.positions);
  if (positions.length > 0) items.push([text.positions, positions.map(([source, at]) => `${source} ${at}`).join(", ")]);
  return <Pairs items={items} />;
}

function NodeLine({ node, chosen, onChoose }: { node: NodeView; chosen: boolean; onChoose: () => void }) {
  const states = useText(stateText);
  const most = Math.max(node.ms ?? 0, node.median_ms ?? 0, 1);
  const share = (ms: number | null | undefined) => Math.round(((ms ?? 0) / most) * 100);
  return (
    <button type="button" className={styles.nodeLine} aria-current={chosen || undefined} onClick={onChoose}>
      <span className={styles.nodeLineName}>{node.mart}</span>
      <Status tone={tone(node.state)}>{stateWord(states, node.state)}</Status>
      {(node.ms !== null && node.ms !== undefined) || node.median_ms ? (
        <svg
          className={styles.bar}
          viewBox="0 0 100 6"
          preserveAspectRatio="none"
          aria-hidden
          data-slow={isSlow(node.ms, node.median_ms) || undefined}
        >
          <rect x="0" y="0" height="6" width={share(node.ms)} />
          {node.median_ms && <line x1={share(node.median_ms)} x2={share(node.median_ms)} y1="0" y2="6" />}
        </svg>
      ) : null}
      <span className={styles.nodeLineTook}>
        <Span ms={node.ms} />
      </span>
    </button>
  );
}

interface NodePanelProps {
  node: NodeView;
  run: RunView;
  onChoose: (mart: string) => void;
  onAction: (action: Action) => void;
}

function NodePanel({ node, run, onChoose, onAction }: NodePanelProps) {
  const text = useText(martsText);
  const states = useText(stateText);
  const root = node.blocked_by_another ? run.first_failing : undefined;
  return (
    <div className={styles.nodePanel}>
      <Panel
        title={<Link to={pathOf("marts", node.mart)}>{node.mart}</Link>}
        actions={
          run.may_run && run.complete ? (
            <Button small onPress={() => onAction({ kind: "run", marts: [node.mart] })}>
              {text.runSelected}
            </Button>
          ) : undefined
        }
      >
        <p>
          <Badge tone={tone(node.state)}>{stateWord(states, node.state)}</Badge>{" "}
          {node.cause !== node.problem?.summary && node.cause}
        </p>
        {root && root !== node.mart && (
          <p>
            {text.waitsFor}{" "}
            <Button small kind="quiet" onPress={() => onChoose(root)}>
              {root}
            </Button>
          </p>
        )}
        {node.problem && <ProblemBox problem={node.problem} />}
        <Pairs
          items={[
            [text.rows, <Num key="rows" value={node.rows} />],
            [text.bytes, <Bytes key="bytes" value={node.bytes} />],
            [
              text.took,
              <span key="took">
                <Span ms={node.ms} /> ({text.usual} <Span ms={node.median_ms} />)
              </span>,
            ],
            [text.tries, text.attempt(node.tries)],
            [text.owner, node.owner ?? "–"],
          ]}
        />
      </Panel>
      <Found node={node} />
      <Sql node={node} />
      <Panel title={text.inputs}>
        <Inputs node={node} run={run} />
      </Panel>
    </div>
  );
}

/** What checks found, the failing ones open and with their rows. */
function Found({ node }: { node: NodeView }) {
  const text = useText(martsText);
  if (node.checks.length === 0) return null;
  return (
    <Panel title={text.checks}>
      <ul className={styles.checks}>
        {node.checks.map((check) => (
          <li key={check.check}>
            <Unfold
              open={check.outcome !== "pass"}
              summary={
                <>
                  <Status tone={outcomeTone(check.outcome)}>{text.outcomes[check.outcome] ?? check.outcome}</Status>{" "}
                  <strong>{check.check}</strong>
                  {check.failing > 0 && ` · ${text.failingRows(check.failing)}`}
                </>
              }
            >
              {check.detail && <p>{check.detail}</p>}
              <Sample rows={check.sample as Record<string, unknown>[]} of={check.failing} />
              <CodeBlock text={check.sql} label={text.checkSql} />
            </Unfold>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function Sample({ rows, of }: { rows: Record<string, unknown>[]; of: number }) {
  const text = useText(martsText);
  const first = rows[0];
  if (!first) return null;
  return (
    <>
      {rows.length < of && <p className={styles.under}>{text.sample}</p>}
      <Table
        label={text.sample}
        scrolls
        columns={Object.keys(first).map((name) => ({
          id: name,
          header: name,
          cell: (row: Record<string, unknown>) => <span className={styles.value}>{shown(row[name])}</span>,
        }))}
        rows={rows}
        id={(row) => String(rows.indexOf(row))}
      />
    </>
  );
}

/** The query, with the line that the problem names. */
function Sql({ node }: { node: NodeView }) {
  const text = useText(martsText);
  const mart = useQuery({
    queryKey: ["marts", "one", node.mart],
    queryFn: () => call(api.GET("/api/v1/marts/{mart}", { params: { path: { mart: node.mart } } })),
    retry: false,
  });
  if (!mart.data) return null;
  const place = node.problem?.place;
  const { sql, above } = trimmed(mart.data.sql);
  const line = place && place.file === mart.data.file ? place.line - mart.data.sql_line + 1 - above : undefined;
  return (
    <Panel title={text.sql}>
      {node.edited && <Notice tone="warn">{text.sqlEdited}</Notice>}
      {place && (
        <p className={styles.under}>
          {place.file}:{place.line}:{place.column}
        </p>
      )}
      <CodeBlock text={sql} label={text.sql} numbered {...(line ? { marked: [line] } : {})} />
    </Panel>
  );
}

function Inputs({ node, run }: { node: NodeView; run: RunView }) {
  const text = useText(martsText);
  const states = useText(stateText);
  type Input = NodeView["inputs"][number];
  const made = (input: Input) => {
    if (!input.mart) return text.atCut;
    if (input.run === run.run) return text.sameRun;
    return input.run ? <Link to={pathOf("runs", String(input.run))}>{text.ofRun(input.run)}</Link> : "–";
  };
  return (
    <Table
      label={text.inputs}
      columns={[
        { id: "table", header: text.input, cell: (input: Input) => input.table, grow: true },
        {
          id: "state",
          header: text.state,
          cell: (input: Input) =>
            input.state ? <Status tone={tone(input.state)}>{stateWord(states, input.state)}</Status> : "",
        },
        { id: "at", header: text.asOfInput, cell: (input: Input) => <Time at={input.at} ago /> },
        { id: "made", header: "", cell: (input: Input) => <span className={styles.oneLine}>{made(input)}</span> },
        { id: "version", header: text.version, cell: (input: Input) => <Num value={input.version} />, end: true },
      ]}
      rows={node.inputs}
      id={(input) => input.table}
      to={(input) => {
        const [dataset = "", table = ""] = input.table.split(".", 2);
        return input.mart ? pathOf("marts", input.table) : pathOf("catalog", dataset, table);
      }}
      empty={<p className={styles.under}>{text.noInputs}</p>}
    />
  );
}
