// One topic: its live events, columns, how to send, and who reads it.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { Link, pathOf } from "../../app/router";
import { useLanguage, useText } from "../../i18n";
import { formatNumber, formatSpan } from "../../i18n/format";
import {
  AsOf,
  Badge,
  CodeBlock,
  Empty,
  Figures,
  Loading,
  Notice,
  Num,
  Page,
  Pairs,
  ProblemBox,
  Select,
  Status,
  Table,
  Tabs,
} from "../../ui";
import { topicTone, useRate } from "./index";
import { snippets } from "./send";
import { Tail } from "./tail";
import { topicsText } from "./text";
import styles from "./topics.module.css";
import type { ColumnView, TopicView } from "./types";

export function useTopic(name: string, everyMs: number) {
  return useQuery({
    queryKey: ["topics", "one", name],
    queryFn: () => call(api.GET("/api/v1/topics/{topic}", { params: { path: { topic: name } } })),
    refetchInterval: everyMs,
  });
}

export function Topic({ name }: { name: string }) {
  const text = useText(topicsText);
  const topic = useTopic(name, 3_000);
  if (topic.isPending) return <Loading label={text.loading} />;
  if (!topic.data) return <ProblemBox error={topic.error} onRetry={topic.refetch} />;
  return <Known topic={topic.data} />;
}

function Known({ topic }: { topic: TopicView }) {
  const text = useText(topicsText);
  const { language } = useLanguage();
  const rate = useRate();
  const dead = topic.dead_letters ?? 0;
  const sql = `SELECT * FROM \`topics\`.\`${topic.topic}\` LIMIT 100`;
  return (
    <Page
      title={
        <>
          {topic.topic} <Badge tone={topicTone(topic)}>{text.states[topic.state ?? "log"] ?? topic.state}</Badge>
        </>
      }
      under={
        <>
          <Link to="/topics">{text.back}</Link> · <AsOf at={topic.as_of} />
        </>
      }
      actions={
        topic.declared && (
          <>
            <Link to={`/sql?sql=${encodeURIComponent(sql)}`}>{text.openSql}</Link>
            <Link to={pathOf("catalog", "topics", topic.topic)}>{text.openTable}</Link>
          </>
        )
      }
    >
      {topic.problem && <ProblemBox problem={topic.problem} />}
      {dead > 0 && topic.may_see_dead && (
        <Notice tone="warn" action={<Link to={pathOf("topics", topic.topic, "dead")}>{text.deadTitle}</Link>}>
          {text.deadLink(dead)}
        </Notice>
      )}
      <Figures
        items={[
          { name: text.rate, value: rate(topic.rate) },
          {
            name: text.lag,
            value: topic.lag > 0 ? formatNumber(topic.lag, language) : text.upToDate,
            ...(topic.lag > 0 && topic.rate > 0
              ? { note: `${text.backlogAbout} ${formatSpan((topic.lag / topic.rate) * 1000, language)}` }
              : {}),
          },
          { name: text.rows, value: <Num value={topic.rows} /> },
          {
            name: text.published,
            value: <Num value={topic.published} />,
            ...(topic.refused > 0 ? { note: `${text.refused}: ${formatNumber(topic.refused, language)}` } : {}),
          },
          { name: text.duplicates, value: <Num value={topic.duplicates} /> },
        ]}
      />
      <Tabs
        label={text.tabs}
        items={[
          { id: "live", label: text.tail, content: () => <Tail topic={topic} /> },
          { id: "columns", label: text.schema, content: () => <Columns topic={topic} /> },
          { id: "send", label: text.send, content: () => <Send topic={topic} /> },
          {
            id: "readers",
            label: `${text.subscriptions} (${topic.readers})`,
            content: () => <Readers topic={topic} />,
          },
        ]}
      />
    </Page>
  );
}

function Columns({ topic }: { topic: TopicView }) {
  const text = useText(topicsText);
  if (!topic.declared) return <p className={styles.muted}>{text.noColumns}</p>;
  return (
    <>
      <Pairs
        items={[
          [text.revision, <Num key="revision" value={topic.schema_revision} />],
          [text.unknown, text.unknowns[topic.unknown ?? ""] ?? "–"],
          [text.dedup, topic.dedup ?? "–"],
        ]}
      />
      <Table
        label={text.schema}
        columns={[
          { id: "name", header: text.column, cell: (column: ColumnView) => <code>{column.name}</code> },
          { id: "type", header: text.type, cell: (column: ColumnView) => <code>{column.sql_type}</code> },
          { id: "required", header: "", cell: (column: ColumnView) => (column.required ? text.required : "") },
          {
            id: "description",
            header: text.description,
            cell: (column: ColumnView) => column.description ?? "",
            grow: true,
          },
        ]}
        rows={topic.columns}
        id={(column) => column.name}
      />
    </>
  );
}

export function Send({ topic }: { topic: TopicView }) {
  const text = useText(topicsText);
  const all = snippets(topic.topic, topic.doors, topic.columns);
  const [chosen, choose] = useState(all[0]?.id ?? "");
  const snippet = all.find((each) => each.id === chosen) ?? all[0];
  if (!snippet) return null;
  return (
    <>
      <Select
        label={text.client}
        value={snippet.id}
        onChange={choose}
        items={all.map(({ id, label }) => ({ id, label }))}
      />
      <CodeBlock text={snippet.text} label={snippet.label} />
      <p className={styles.muted}>{text.sendHint.replace("TOPIC", topic.topic)}</p>
    </>
  );
}

function Readers({ topic }: { topic: TopicView }) {
  const text = useText(topicsText);
  const { language } = useLanguage();
  if (topic.subscriptions.length + topic.forwards.length === 0) {
    return <Empty title={text.noReaders} hint={text.readersHint} />;
  }
  const backlog = (count: number, seconds: number | null | undefined) => (
    <>
      <Num value={count} />
      {seconds ? ` (${text.backlogAbout} ${formatSpan(seconds * 1000, language)})` : ""}
    </>
  );
  return (
    <>
      {topic.subscriptions.length > 0 && (
        <Table
          label={text.subscription}
          columns={[
            { id: "name", header: text.subscription, cell: (each) => each.name },
            { id: "backlog", header: text.backlog, cell: (each) => backlog(each.backlog, each.behind_s), end: true },
            { id: "ordered", header: "", cell: (each) => (each.ordered ? text.ordered : "") },
            { id: "filter", header: text.filter, cell: (each) => <code>{each.filter || "–"}</code>, grow: true },
          ]}
          rows={topic.subscriptions}
          id={(each) => each.name}
        />
      )}
      {topic.forwards.map((forward) => (
        <section key={forward.forward} className={styles.forward}>
          <h3>
            {text.forward} {forward.forward}{" "}
            <Status tone={forward.state === "running" ? "good" : forward.state === "paused" ? "off" : "warn"}>
              {forward.state}
            </Status>
          </h3>
          <Pairs
            items={[
              [text.to, `${forward.kind} · ${forward.to}`],
              [text.backlog, backlog(forward.backlog, forward.behind_ms / 1000)],
              [text.nextStep, forward.next_step],
            ]}
          />
          {forward.problem && <ProblemBox problem={forward.problem} small />}
        </section>
      ))}
    </>
  );
}
