// Home: one sentence on how everything is, then what is wrong, the worst first.

import { useQuery } from "@tanstack/react-query";
import { api, call } from "../../api/client";
import { routes } from "../../app/routes";
import { useSession } from "../../app/session";
import { useLanguage, useText } from "../../i18n";
import { formatBytes, formatNumber } from "../../i18n/format";
import { AsOf, Empty, Figures, Loading, Page, Panel, ProblemBox } from "../../ui";
import styles from "./home.module.css";
import { Problems } from "./problems";
import { Sources } from "./sources";
import { homeText } from "./text";
import type { HomeView } from "./types";
import { verdict } from "./verdict";

const EVERY_MS = 10_000;

export default function Home() {
  const text = useText(homeText);
  const home = useQuery({
    queryKey: ["home"],
    queryFn: () => call(api.GET("/api/v1/home")),
    refetchInterval: EVERY_MS,
  });
  if (home.isPending) return <Loading label={text.loading} />;
  if (!home.data) return <ProblemBox error={home.error} onRetry={home.refetch} />;
  return (
    <>
      {home.isError && <ProblemBox error={home.error} onRetry={home.refetch} small />}
      <Known home={home.data} />
    </>
  );
}

function Known({ home }: { home: HomeView }) {
  const text = useText(homeText);
  const said = verdict(home, text);
  if (!said) return <NothingYet />;
  return (
    <Page
      title={<Verdict tone={said.tone} words={said.words} />}
      under={<AsOf at={home.as_of} complete={home.complete ? undefined : false} why={text.partly} />}
    >
      {said.also && <p className={styles.also}>{said.also}</p>}
      <Glance home={home} />
      <Panel title={text.problems}>
        <Problems problems={home.problems} />
      </Panel>
      {home.sources.length > 0 && (
        <Panel title={text.sources}>
          <Sources sources={home.sources} />
        </Panel>
      )}
    </Page>
  );
}

function Verdict({ tone, words }: { tone: string; words: string }) {
  return (
    <span className={styles.verdict} data-tone={tone}>
      {words}
    </span>
  );
}

function Glance({ home }: { home: HomeView }) {
  const text = useText(homeText);
  const { language } = useLanguage();
  const { tables, marts, topics, disk } = home;
  const behind = tables.late + tables.stopped;
  const items = [
    {
      name: text.tables,
      value: formatNumber(tables.all, language),
      note: text.tablesNote(behind),
      shown: tables.all > 0,
    },
    {
      name: text.marts,
      value: formatNumber(marts.all, language),
      note: text.martsNote(marts.failed, marts.running),
      shown: marts.all > 0,
    },
    {
      name: text.topics,
      value: formatNumber(topics.all, language),
      note: text.topicsNote(formatNumber(Math.round(topics.events_per_s * 10) / 10, language)),
      shown: topics.all > 0,
    },
    {
      name: text.dead,
      value: formatNumber(topics.dead_letters, language),
      note: topics.dead_letters > 0 ? text.deadNote : text.deadNone,
      shown: topics.all > 0,
    },
    {
      name: text.disk,
      value: disk ? formatBytes(disk.free_bytes, language) : "",
      note: disk ? text.diskNote(formatBytes(disk.lake_bytes, language)) : "",
      shown: Boolean(disk),
    },
  ];
  return <Figures items={items.filter((item) => item.shown)} />;
}

/** Nothing is there, or nothing that this person may see: one next step. */
function NothingYet() {
  const text = useText(homeText);
  const me = useSession();
  const sync = routes.find((route) => route.name === "sync");
  if (!me.admin) return <Empty title={text.emptyTitle} hint={text.emptyHintAsk} />;
  if (!sync) return <Empty title={text.emptyTitle} hint={text.emptyByHand} />;
  return (
    <Empty title={text.emptyTitle} hint={text.emptyHint} action={{ label: text.emptyAction, to: "/sync?connect=1" }} />
  );
}
