// What a replay would do, counted before it is done, and the replay as work that a reload finds again.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, call } from "../../api/client";
import { useJobEvents } from "../../api/events";
import { useLanguage, useText } from "../../i18n";
import { formatNumber } from "../../i18n/format";
import { announce, Button, Checkbox, DialogButtons, Field, Loading, Modal, Notice, ProblemBox } from "../../ui";
import { Unfold } from "../../ui/unfold";
import { topicsText } from "./text";
import styles from "./topics.module.css";
import type { Group, Replayed, WorkView } from "./types";

/** Letters that shall be tried again: one, those of a group, or all. */
export interface Chosen {
  id?: number;
  kind?: Group;
  /** The event mended; for one letter. */
  text?: string;
  letters: number;
}

const isEnded = (work: WorkView) => work.state !== "running";

function useWork(id: number | undefined) {
  return useJobEvents<WorkView>(id === undefined ? undefined : `/api/v1/works/${id}/events`, isEnded).state;
}

export function ReplayDialog({ topic, chosen, onClose }: { topic: string; chosen: Chosen; onClose: () => void }) {
  const text = useText(topicsText);
  const client = useQueryClient();
  const [set, setSet] = useState("");
  const [force, setForce] = useState(false);
  const ask = (dryRun: boolean) => {
    const kind = chosen.kind && {
      sink: chosen.kind.sink,
      reason: chosen.kind.reason,
      path: chosen.kind.path,
      expected: chosen.kind.expected,
      got: chosen.kind.got,
      schema_revision: chosen.kind.schema_revision,
    };
    return call(
      api.POST("/api/v1/topics/{topic}/dead/replay", {
        params: { path: { topic } },
        body: {
          ids: chosen.id === undefined ? [] : [chosen.id],
          kind: kind ?? null,
          text: chosen.text ?? null,
          set: set
            .split("\n")
            .map((line) => line.trim())
            .filter(Boolean),
          dry_run: dryRun,
          force,
        },
      }),
    );
  };
  const count = useMutation({ mutationFn: () => ask(true) });
  const replay = useMutation({ mutationFn: () => ask(false) });
  const counted = useWork(count.data?.id);
  const work = useWork(replay.data?.id);
  // biome-ignore lint/correctness/useExhaustiveDependencies: counts again when what is asked for changes
  useEffect(() => {
    const wait = setTimeout(() => count.mutate(), 400);
    return () => clearTimeout(wait);
  }, [set, force]);
  useEffect(() => {
    if (work?.state === "done") {
      announce(text.replayed((work.result as unknown as Replayed).in_table));
      client.invalidateQueries({ queryKey: ["topics"] });
    }
  }, [work, client, text]);
  const would = counted?.state === "done" ? (counted.result as unknown as Replayed) : undefined;
  const done = work?.state === "done" ? (work.result as unknown as Replayed) : undefined;
  const nothing = would !== undefined && would.fit + would.unjudged === 0;
  const stop = () => {
    if (replay.data) void call(api.POST("/api/v1/works/{id}/cancel", { params: { path: { id: replay.data.id } } }));
  };
  return (
    <Modal isOpen onOpenChange={(open) => !open && onClose()} title={text.dryRun} keep>
      {chosen.text === undefined && !replay.data && (
        <>
          <Field label={text.set} help={text.setHelp} value={set} onChange={setSet} lines={2} mono />
          <Checkbox checked={force} onChange={setForce}>
            {text.force}
          </Checkbox>
        </>
      )}
      {count.isError && <ProblemBox error={count.error} small />}
      {counted?.problem && <ProblemBox problem={counted.problem} small />}
      {!would && !count.isError && !counted?.problem && <Loading label={text.counting} />}
      {would && !replay.data && <Would would={would} />}
      {replay.isError && <ProblemBox error={replay.error} small />}
      {work?.problem && <ProblemBox problem={work.problem} small />}
      {replay.data && !work?.ended_at && <Loading label={text.replaying} />}
      {done && (
        <>
          <Notice tone="good">{text.replayed(done.in_table)}</Notice>
          <Would would={done} ended />
        </>
      )}
      <DialogButtons>
        {replay.data && !work?.ended_at ? (
          <Button onPress={stop}>{text.stop}</Button>
        ) : (
          <Button onPress={onClose}>{done ? text.close : text.notNow}</Button>
        )}
        {!replay.data && (
          <Button kind="primary" isDisabled={!would || nothing || replay.isPending} onPress={() => replay.mutate()}>
            {text.replay}
          </Button>
        )}
      </DialogButtons>
    </Modal>
  );
}

function Would({ would, ended }: { would: Replayed; ended?: boolean }) {
  const text = useText(topicsText);
  const { language } = useLanguage();
  const figure = (value: number) => formatNumber(value, language);
  const lines = [
    would.unfit > 0 && text.wouldNot(figure(would.unfit)),
    would.unmended > 0 && text.wouldUnmended(figure(would.unmended)),
    would.unjudged > 0 && text.wouldForward(figure(would.unjudged)),
    would.worn > 0 && text.wouldWorn(figure(would.worn)),
  ].filter(Boolean);
  return (
    <>
      {!ended && (
        <Notice tone={would.fit > 0 ? "good" : "warn"}>
          <strong>{text.wouldFit(would.fit, would.letters)}</strong>
        </Notice>
      )}
      {lines.length > 0 && (
        <ul>
          {lines.map((line) => (
            <li key={String(line)}>{line}</li>
          ))}
        </ul>
      )}
      {would.faults.length > 0 && (
        <Unfold summary={text.faults}>
          <ul className={styles.faults}>
            {would.faults.map((fault) => (
              <li key={fault.id}>
                {fault.id}: {fault.why}
              </li>
            ))}
          </ul>
        </Unfold>
      )}
      {!ended && <p className={styles.muted}>{text.noDouble}</p>}
    </>
  );
}
