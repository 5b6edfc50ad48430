// Sources and their tables, live: what is tried now, what came of the last try, how long the source's log lasts.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { api, call } from "../../api/client";
import { useJobEvents } from "../../api/events";
import { pathOf, useParams, useSearch } from "../../app/router";
import { useSession } from "../../app/session";
import { useShortcuts } from "../../app/shortcuts";
import { useLanguage, useText } from "../../i18n";
import { formatBytes, formatNumber, formatSpan } from "../../i18n/format";
import {
  AsOf,
  Badge,
  Button,
  Bytes,
  type Column,
  Empty,
  Figures,
  Loading,
  Num,
  Page,
  Panel,
  ProblemBox,
  SearchField,
  Span,
  Status,
  Table,
  Time,
  Toolbar,
} from "../../ui";
import { Unfold } from "../../ui/unfold";
import { Outcome, State } from "./cells";
import { Connect } from "./connect";
import { byUrgency, logTone, phaseTone, sourceTone } from "./states";
import styles from "./sync.module.css";
import { OneTable } from "./table";
import { syncText } from "./text";
import type { SourceList, SourceView, SyncedTable } from "./types";

const KEY = ["sources"] as const;
const never = () => false;

/** All sources, renewed by the server every two seconds. */
export function useSources() {
  const client = useQueryClient();
  const { state, broken } = useJobEvents<SourceList>("/api/v1/sources/events", never);
  useEffect(() => {
    if (state) client.setQueryData(KEY, state);
  }, [state, client]);
  const query = useQuery({
    queryKey: KEY,
    queryFn: () => call(api.GET("/api/v1/sources")),
    refetchInterval: broken ? 5_000 : false,
  });
  return query;
}

export default function Sync() {
  const text = useText(syncText);
  const { table } = useParams();
  const sources = useSources();
  const [connecting, setConnecting] = useSearch("connect");
  if (sources.isPending) return <Loading label={text.loading} />;
  if (!sources.data) return <ProblemBox error={sources.error} onRetry={sources.refetch} />;
  const list = sources.data;
  return (
    <>
      {sources.isError && <ProblemBox error={sources.error} onRetry={sources.refetch} small />}
      {table ? (
        <OneTable key={table} name={table} list={list} />
      ) : list.items.length === 0 ? (
        <Nothing list={list} onConnect={() => setConnecting("1")} />
      ) : (
        <All list={list} onConnect={() => setConnecting("1")} />
      )}
      {connecting && list.may_connect && <Connect onClose={() => setConnecting("")} />}
    </>
  );
}

function Nothing({ list, onConnect }: { list: SourceList; onConnect: () => void }) {
  const text = useText(syncText);
  const me = useSession();
  if (!list.may_connect && !me.admin) return <Empty title={text.emptyTitle} hint={text.emptyForeign} />;
  return <Empty title={text.emptyTitle} hint={text.emptyHint} action={{ label: text.connect, run: onConnect }} />;
}

function All({ list, onConnect }: { list: SourceList; onConnect: () => void }) {
  const text = useText(syncText);
  const [only] = useSearch("source");
  const shown = list.items.filter((source) => !only || source.source === only);
  return (
    <Page
      title={text.title}
      under={<AsOf at={list.as_of} complete={list.complete ? undefined : false} why={text.unread} />}
      actions={list.may_connect && <Button onPress={onConnect}>{text.connect}</Button>}
    >
      {(shown.length > 0 ? shown : list.items).map((source) => (
        <Source key={source.source} source={source} />
      ))}
    </Page>
  );
}

function Source({ source }: { source: SourceView }) {
  const text = useText(syncText);
  const { language } = useLanguage();
  const hours = (value: number) => formatSpan(value * 3_600_000, language);
  const bounded = source.safe_bytes !== null && source.safe_bytes !== undefined;
  const log = source.hours_until_lost
    ? text.logLost(hours(source.hours_until_lost))
    : source.hours_if_stopped
      ? `${text.logSteady} · ${text.logStopped(hours(source.hours_if_stopped))}`
      : bounded
        ? text.logSteady
        : text.logUnbounded;
  return (
    <Panel
      title={
        <>
          {source.source} <Badge tone={sourceTone(source)}>{text.phases[source.phase] ?? source.phase}</Badge>
        </>
      }
    >
      <Figures
        items={[
          {
            name: text.phase,
            value: <Status tone={phaseTone(source.phase)}>{text.phases[source.phase] ?? source.phase}</Status>,
            ...(source.since
              ? {
                  note: (
                    <>
                      {text.since} <Time at={source.since} ago />
                    </>
                  ),
                }
              : {}),
          },
          {
            name: text.outcome,
            value: source.problem ? (
              <Status tone="bad">{source.problem.summary}</Status>
            ) : (
              <Status tone="good">{text.outcomeGood}</Status>
            ),
          },
          {
            name: text.log,
            value: <Bytes value={source.retained_bytes} />,
            note:
              source.phase === "vanished" ? (
                ""
              ) : (
                <span className={styles.log} data-tone={bounded ? logTone(source) : "warn"}>
                  {log}
                </span>
              ),
          },
          {
            name: text.written,
            value:
              source.written_per_s === null || source.written_per_s === undefined
                ? "–"
                : text.perSecond(formatBytes(source.written_per_s, language)),
          },
        ]}
      />
      {source.problem && <ProblemBox problem={source.problem} />}
      {source.warnings.map((problem) => (
        <ProblemBox key={problem.code + problem.summary} problem={problem} />
      ))}
      {source.notes.length > 0 && (
        <Unfold
          className={styles.notes}
          summary={
            <>
              {text.notes} ({source.notes.length})
            </>
          }
        >
          {source.notes.map((problem) => (
            <ProblemBox key={problem.code + problem.summary} problem={problem} small />
          ))}
        </Unfold>
      )}
      <Tables source={source} />
    </Panel>
  );
}

function Tables({ source }: { source: SourceView }) {
  const text = useText(syncText);
  const [search, setSearch] = useState("");
  const shown = useMemo(() => {
    const wanted = search.normalize("NFC").toLowerCase();
    return byUrgency(source.tables).filter((table) => table.table.toLowerCase().includes(wanted));
  }, [source.tables, search]);
  const id = `tables-${source.source}`;
  useShortcuts([{ keys: "/", label: text.search, run: () => document.getElementById(id)?.focus() }]);
  const columns = useColumns(source);
  if (source.tables.length === 0) return <Empty title={text.noTables} />;
  return (
    <>
      {source.tables.length > 8 && (
        <Toolbar>
          <SearchField id={id} label={text.search} value={search} onChange={setSearch} />
          <span className={styles.muted}>{text.tables(shown.length)}</span>
        </Toolbar>
      )}
      <Table
        label={text.tables(shown.length)}
        columns={columns}
        rows={shown}
        id={(table) => table.table}
        to={(table) => pathOf("sync", source.source, table.table)}
        empty={<Empty title={text.nothingFits} action={{ label: text.clear, run: () => setSearch("") }} />}
      />
    </>
  );
}

function useColumns(source: SourceView): Column<SyncedTable>[] {
  const text = useText(syncText);
  const { language } = useLanguage();
  return [
    {
      id: "table",
      header: text.table,
      cell: (table) => <span className={styles.oneLine}>{table.table}</span>,
      order: (table) => table.table,
    },
    { id: "state", header: text.state, cell: (table) => <State table={table} />, order: (table) => table.state },
    { id: "last", header: text.last, cell: (table) => <Outcome table={table} source={source} />, grow: true },
    {
      id: "rows",
      header: text.rows,
      cell: (table) => <Num value={table.rows} />,
      order: (table) => table.rows,
      end: true,
    },
    {
      id: "lag",
      header: text.lag,
      cell: (table) => <Span ms={table.lag_ms} />,
      order: (table) => table.lag_ms,
      end: true,
    },
    {
      id: "changes",
      header: text.changes,
      cell: (table) =>
        table.changes_per_s === null || table.changes_per_s === undefined
          ? "–"
          : text.perSecond(formatNumber(Math.round(table.changes_per_s * 10) / 10, language)),
      order: (table) => table.changes_per_s,
      end: true,
    },
    {
      id: "waits",
      header: text.waits,
      cell: (table) => <Bytes value={table.spool_bytes} />,
      order: (table) => table.spool_bytes,
      end: true,
    },
  ];
}
