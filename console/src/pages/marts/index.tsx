// All marts: a grid of their latest runs, or how they depend on each other. Live while the page is open.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { api, call } from "../../api/client";
import { useJobEvents } from "../../api/events";
import { useParams, useSearch } from "../../app/router";
import { useSession } from "../../app/session";
import { useShortcuts } from "../../app/shortcuts";
import { useText } from "../../i18n";
import {
  AsOf,
  Button,
  Checkbox,
  CodeBlock,
  Empty,
  Loading,
  Notice,
  Page,
  ProblemBox,
  SearchField,
  Tabs,
  Toolbar,
} from "../../ui";
import { CELLS, Grid } from "./grid";
import { Mart } from "./mart";
import styles from "./marts.module.css";
import { type Action, PlanDialog } from "./plan-dialog";
import { moves, urgency } from "./states";
import { martsText, SAMPLE } from "./text";
import type { MartItem, MartList } from "./types";

const Graph = lazy(() => import("./graph").then(({ Graph }) => ({ default: Graph })));

export default function Marts() {
  const { mart } = useParams();
  return mart ? <Mart key={mart} name={mart} /> : <All />;
}

const never = () => false;

/** Asks again whenever a mart takes a step. */
function useSteps(): void {
  const client = useQueryClient();
  const { state } = useJobEvents<{ marts: string[] }>("/api/v1/marts/events", never);
  useEffect(() => {
    if (state && state.marts.length > 0) client.invalidateQueries({ queryKey: ["marts"] });
  }, [state, client]);
}

function All() {
  const text = useText(martsText);
  useSteps();
  const marts = useQuery({
    queryKey: ["marts", CELLS],
    queryFn: () => call(api.GET("/api/v1/marts", { params: { query: { runs: CELLS } } })),
    refetchInterval: 30_000,
  });
  if (marts.isPending) return <Loading label={text.loading} />;
  if (!marts.data) return <ProblemBox error={marts.error} onRetry={marts.refetch} />;
  return (
    <>
      {marts.isError && <ProblemBox error={marts.error} onRetry={marts.refetch} small />}
      {marts.data.items.length === 0 ? <Nothing list={marts.data} /> : <Known list={marts.data} />}
    </>
  );
}

function Nothing({ list }: { list: MartList }) {
  const text = useText(martsText);
  const me = useSession();
  if (!me.admin) return <Empty title={text.emptyTitle} hint={text.emptyForeign} />;
  return (
    <Empty
      title={text.emptyTitle}
      hint={
        <>
          <p>{text.emptyHint}</p>
          {list.folder.map((problem) => (
            <ProblemBox key={problem.summary} problem={problem} small />
          ))}
          <CodeBlock text={SAMPLE} label="SQL" />
          <p className={styles.under}>{text.sampleNote}</p>
        </>
      }
    />
  );
}

function Known({ list }: { list: MartList }) {
  const text = useText(martsText);
  const [search, setSearch] = useSearch("q");
  const [only, setOnly] = useSearch("only");
  const [action, setAction] = useState<Action | undefined>();
  const shown = useMemo(() => {
    const wanted = search.normalize("NFC").toLowerCase();
    const fits = (mart: MartItem) =>
      (mart.mart.toLowerCase().includes(wanted) || (mart.owner ?? "").toLowerCase().includes(wanted)) &&
      (only !== "problems" || urgency(mart) <= 3);
    return list.items.filter(fits);
  }, [list.items, search, only]);
  useShortcuts([{ keys: "/", label: text.focusSearch, run: () => document.getElementById("mart-search")?.focus() }]);
  const mayRunAll = list.items.some((mart) => mart.may_run);
  return (
    <Page
      title={text.title}
      under={<AsOf at={list.as_of} />}
      actions={
        mayRunAll && (
          <Button
            onPress={() => setAction({ kind: "run", marts: search || only ? shown.map((mart) => mart.mart) : [] })}
          >
            {search || only ? text.runSelected : text.runAll}
          </Button>
        )
      }
    >
      <Verdict marts={list.items} />
      {list.folder.map((problem) => (
        <div key={`${problem.place?.file} ${problem.summary}`}>
          <Notice tone="warn">{text.folder}</Notice>
          <ProblemBox problem={problem} small />
        </div>
      ))}
      <Toolbar>
        <SearchField id="mart-search" label={text.search} value={search} onChange={setSearch} />
        <Checkbox checked={only === "problems"} onChange={(on) => setOnly(on ? "problems" : "")}>
          {text.onlyProblems}
        </Checkbox>
      </Toolbar>
      {shown.length === 0 ? (
        <Empty
          title={text.nothingFits}
          action={{
            label: text.clear,
            run: () => {
              setSearch("");
              setOnly("");
            },
          }}
        />
      ) : (
        <Tabs
          label={text.views}
          name="view"
          items={[
            { id: "grid", label: text.grid, content: () => <Grid marts={shown} /> },
            { id: "graph", label: text.graph, content: () => <GraphTab list={list} shown={shown} search={search} /> },
          ]}
        />
      )}
      {action && <PlanDialog action={action} onClose={() => setAction(undefined)} />}
    </Page>
  );
}

/** The graph; on a small screen the list that shows the same. */
function GraphTab({ list, shown, search }: { list: MartList; shown: MartItem[]; search: string }) {
  const text = useText(martsText);
  const focus = search ? shown[0]?.mart : undefined;
  if (useSmallScreen()) {
    return (
      <>
        <p className={styles.under}>{text.graphSmall}</p>
        <Grid marts={shown} />
      </>
    );
  }
  return (
    <Suspense fallback={<Loading label={text.loading} />}>
      <Graph marts={list.items} focus={focus} />
    </Suspense>
  );
}

const SMALL = "(max-width: 40rem)";

function watchScreen(changed: () => void): () => void {
  const query = matchMedia(SMALL);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

function useSmallScreen(): boolean {
  return useSyncExternalStore(watchScreen, () => matchMedia(SMALL).matches);
}

function Verdict({ marts }: { marts: MartItem[] }) {
  const text = useText(martsText);
  const bad = marts.filter((mart) => urgency(mart) <= 2).length;
  const running = marts.filter((mart) => moves(mart.state)).length;
  const never = marts.filter((mart) => !mart.state && !mart.broken).length;
  const also = [running > 0 && text.runningNow(running), never > 0 && text.neverRan(never)].filter(Boolean).join(" · ");
  const tone = bad > 0 ? "bad" : running > 0 ? "busy" : "good";
  const words = bad > 0 ? text.verdict(bad, marts.length) : text.allWell(marts.length - running - never);
  return (
    <Notice tone={tone}>
      <strong>{words}</strong>
      {also && ` · ${also}`}
    </Notice>
  );
}
