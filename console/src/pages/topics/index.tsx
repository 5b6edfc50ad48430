// Topics: how many events come, how far their tables are, what did not fit.

import { useQuery } from "@tanstack/react-query";
import { api, call } from "../../api/client";
import { Link, pathOf, useParams, useSearch } from "../../app/router";
import { useSession } from "../../app/session";
import { useShortcuts } from "../../app/shortcuts";
import { useLanguage, useText } from "../../i18n";
import { formatNumber } from "../../i18n/format";
import {
  AsOf,
  Bytes,
  CodeBlock,
  type Column,
  Empty,
  Loading,
  Notice,
  Num,
  Page,
  ProblemBox,
  SearchField,
  Status,
  Table,
  type Tone,
  Toolbar,
} from "../../ui";
import { SAMPLE, topicsText } from "./text";
import { Topic } from "./topic";
import styles from "./topics.module.css";
import type { TopicItem, TopicList } from "./types";

const EVERY_MS = 2_000;

export default function Topics() {
  const { topic } = useParams();
  return topic ? <Topic key={topic} name={topic} /> : <All />;
}

function All() {
  const text = useText(topicsText);
  const topics = useQuery({
    queryKey: ["topics"],
    queryFn: () => call(api.GET("/api/v1/topics")),
    refetchInterval: EVERY_MS,
  });
  if (topics.isPending) return <Loading label={text.loading} />;
  if (!topics.data) return <ProblemBox error={topics.error} onRetry={topics.refetch} />;
  return (
    <>
      {topics.isError && <ProblemBox error={topics.error} onRetry={topics.refetch} small />}
      {topics.data.items.length === 0 ? <Nothing /> : <Known list={topics.data} />}
    </>
  );
}

function Nothing() {
  const text = useText(topicsText);
  const me = useSession();
  if (!me.admin) return <Empty title={text.emptyTitle} hint={text.emptyForeign} />;
  return (
    <Empty
      title={text.emptyTitle}
      hint={
        <>
          <p>{text.emptyHint}</p>
          <CodeBlock text={SAMPLE} label="TOML" />
        </>
      }
    />
  );
}

function Known({ list }: { list: TopicList }) {
  const text = useText(topicsText);
  const [search, setSearch] = useSearch("q");
  useShortcuts([{ keys: "/", label: text.search, run: () => document.getElementById("topic-search")?.focus() }]);
  const wanted = search.normalize("NFC").toLowerCase();
  const shown = list.items.filter((topic) => topic.topic.toLowerCase().includes(wanted));
  return (
    <Page
      title={text.title}
      under={
        <>
          <AsOf at={list.as_of} /> · {text.log} <Bytes value={list.log.bytes} /> ·{" "}
          {text.logModes[list.log.mode] ?? list.log.mode}
        </>
      }
    >
      {list.log.problem && <ProblemBox problem={list.log.problem} />}
      {list.edited.length > 0 && (
        <Notice tone="warn">
          {text.edited} {list.edited.join(", ")}
        </Notice>
      )}
      {list.items.length > 8 && (
        <Toolbar>
          <SearchField id="topic-search" label={text.search} value={search} onChange={setSearch} />
        </Toolbar>
      )}
      <Table
        label={text.title}
        columns={useColumns()}
        rows={shown}
        id={(topic) => topic.topic}
        to={(topic) => pathOf("topics", topic.topic)}
        empty={<Empty title={text.nothingFits} action={{ label: text.clear, run: () => setSearch("") }} />}
      />
    </Page>
  );
}

export function topicTone(topic: TopicItem): Tone {
  if (topic.state === "retrying" || topic.problem) return "bad";
  if (topic.state === "stopped") return "off";
  if (topic.state === "starting") return "busy";
  if ((topic.dead_letters ?? 0) > 0) return "warn";
  return topic.state ? "good" : "none";
}

export function useRate(): (rate: number) => string {
  const text = useText(topicsText);
  const { language } = useLanguage();
  return (rate) => text.perSecond(formatNumber(rate >= 100 ? Math.round(rate) : Math.round(rate * 10) / 10, language));
}

function useColumns(): Column<TopicItem>[] {
  const text = useText(topicsText);
  const { language } = useLanguage();
  const rate = useRate();
  return [
    { id: "topic", header: text.topic, cell: (topic) => topic.topic, order: (topic) => topic.topic, grow: true },
    {
      id: "state",
      header: text.state,
      cell: (topic) => <Status tone={topicTone(topic)}>{text.states[topic.state ?? "log"] ?? topic.state}</Status>,
    },
    { id: "rate", header: text.rate, cell: (topic) => rate(topic.rate), order: (topic) => topic.rate, end: true },
    {
      id: "lag",
      header: text.lag,
      cell: (topic) => (topic.lag > 0 ? formatNumber(topic.lag, language) : topic.declared ? text.upToDate : "–"),
      order: (topic) => topic.lag,
      end: true,
    },
    {
      id: "rows",
      header: text.rows,
      cell: (topic) => <Num value={topic.rows} />,
      order: (topic) => topic.rows,
      end: true,
    },
    {
      id: "dead",
      header: text.dead,
      cell: (topic) =>
        topic.dead_letters ? (
          <Link to={pathOf("topics", topic.topic, "dead")} className={styles.dead ?? ""}>
            <Status tone="warn">{formatNumber(topic.dead_letters, language)}</Status>
          </Link>
        ) : (
          <Num value={topic.dead_letters} />
        ),
      order: (topic) => topic.dead_letters,
      end: true,
    },
    {
      id: "readers",
      header: text.readers,
      cell: (topic) => <Num value={topic.readers} />,
      order: (topic) => topic.readers,
      end: true,
    },
  ];
}
