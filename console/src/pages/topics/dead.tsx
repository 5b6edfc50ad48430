// Dead letters of a topic by what is wrong with them: look, mend, see what a replay would do, replay.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { Link, pathOf, useParams, useSearch } from "../../app/router";
import { useText } from "../../i18n";
import { AsOf, Badge, Button, Empty, Loading, Page, Panel, ProblemBox, Status, Time } from "../../ui";
import { Letter } from "./letter";
import { type Chosen, ReplayDialog } from "./replay";
import { topicsText } from "./text";
import { useTopic } from "./topic";
import styles from "./topics.module.css";
import type { Group } from "./types";

export default function Dead() {
  const { topic = "" } = useParams();
  return <Of key={topic} name={topic} />;
}

export function groupId(group: Group): string {
  return [group.sink, group.reason, group.path, group.expected, group.got, group.schema_revision].join("|");
}

function Of({ name }: { name: string }) {
  const text = useText(topicsText);
  const topic = useTopic(name, 10_000);
  const [open, setOpen] = useSearch("group");
  const [chosen, setChosen] = useState<Chosen | undefined>();
  const groups = useQuery({
    queryKey: ["topics", "dead", name],
    queryFn: () => call(api.GET("/api/v1/topics/{topic}/dead", { params: { path: { topic: name } } })),
    refetchInterval: 10_000,
  });
  if (groups.isPending || topic.isPending) return <Loading label={text.loading} />;
  if (!groups.data) return <ProblemBox error={groups.error} onRetry={groups.refetch} />;
  if (!topic.data) return <ProblemBox error={topic.error} onRetry={topic.refetch} />;
  const { items, schema_revision: now } = groups.data;
  const all = items.reduce((sum, group) => sum + group.letters, 0);
  return (
    <Page
      title={text.deadFor(name)}
      under={
        <>
          <Link to={pathOf("topics", name)}>{name}</Link> ·{" "}
          <AsOf at={groups.data.as_of} complete={groups.data.complete ? undefined : false} why={text.looksAt} />
        </>
      }
      actions={
        topic.data.may_run &&
        all > 0 && (
          <Button kind="primary" onPress={() => setChosen({ letters: all })}>
            {text.replayAll}
          </Button>
        )
      }
    >
      {items.length === 0 && <Empty title={text.deadNone} hint={text.deadNoneHint} />}
      {items.map((group) => {
        const id = groupId(group);
        const isOpen = open === "" ? group === items[0] : open === id;
        return (
          <Panel
            key={id}
            title={<GroupTitle group={group} now={now} />}
            actions={
              <>
                {items.length > 1 && (
                  <Button small kind="quiet" onPress={() => setOpen(isOpen ? "none" : id)}>
                    {isOpen ? text.close : text.example}
                  </Button>
                )}
                {topic.data?.may_run && (
                  <Button small onPress={() => setChosen({ kind: group, letters: group.letters })}>
                    {text.replayGroup}
                  </Button>
                )}
              </>
            }
          >
            <p className={styles.muted}>
              {text.first} <Time at={group.first_seen} ago /> · {text.last} <Time at={group.last_seen} ago /> ·{" "}
              {text.ofRevision(group.schema_revision, now)}
              {group.attempts > 0 && ` · ${text.attempts(group.attempts)}`}
              {group.sink !== "table" && ` · ${text.sink} ${group.sink}`}
            </p>
            {isOpen && topic.data && <Letter topic={topic.data} group={group} onReplay={setChosen} />}
          </Panel>
        );
      })}
      {chosen && <ReplayDialog topic={name} chosen={chosen} onClose={() => setChosen(undefined)} />}
    </Page>
  );
}

function GroupTitle({ group, now }: { group: Group; now: number }) {
  const text = useText(topicsText);
  return (
    <span className={styles.group}>
      <Badge tone="warn">{text.letters(group.letters)}</Badge>
      <code>{group.path || "$"}</code>
      <span>{text.expectedGot(group.expected || "–", group.got || group.reason)}</span>
      {group.schema_revision !== now && <Status tone="info">{text.ofRevision(group.schema_revision, now)}</Status>}
    </span>
  );
}
