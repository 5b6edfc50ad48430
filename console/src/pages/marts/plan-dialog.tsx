// What an action would do, shown before it is done.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { navigate, pathOf } from "../../app/router";
import { useText } from "../../i18n";
import {
  announce,
  Button,
  Checkbox,
  DialogButtons,
  Field,
  Loading,
  Modal,
  Num,
  ProblemBox,
  Span,
  Status,
} from "../../ui";
import { Unfold } from "../../ui/unfold";
import styles from "./marts.module.css";
import { tone } from "./states";
import { martsText, stateText, stateWord } from "./text";
import type { Plan } from "./types";

export type Action =
  | { kind: "run"; marts: string[] }
  | { kind: "resume"; run: number }
  | { kind: "rollback"; mart: string; to?: number };

interface Choice {
  above: boolean;
  below: boolean;
  older: boolean;
  why: string;
}

function ask(action: Action, choice: Choice, dryRun: boolean): Promise<Plan> {
  const why = choice.why.trim() || null;
  switch (action.kind) {
    case "run": {
      const marts = action.marts.map((mart) => `${choice.above ? "+" : ""}${mart}${choice.below ? "+" : ""}`);
      return call(api.POST("/api/v1/marts/run", { body: { marts, dry_run: dryRun, why } }));
    }
    case "resume":
      return call(
        api.POST("/api/v1/runs/{run}/resume", {
          params: { path: { run: action.run } },
          body: { older: choice.older, dry_run: dryRun },
        }),
      );
    case "rollback":
      return call(
        api.POST("/api/v1/marts/{mart}/rollback", {
          params: { path: { mart: action.mart } },
          body: { to: action.to ?? null, dry_run: dryRun, why },
        }),
      );
  }
}

export function PlanDialog({ action, onClose }: { action: Action; onClose: () => void }) {
  const text = useText(martsText);
  const client = useQueryClient();
  const [choice, setChoice] = useState<Choice>({ above: false, below: false, older: false, why: "" });
  const { above, below, older } = choice;
  const plan = useQuery({
    queryKey: ["plan", action, above, below, older],
    queryFn: () => ask(action, choice, true),
    staleTime: 0,
    retry: false,
  });
  const doIt = useMutation({
    mutationFn: () => ask(action, choice, false),
    onSuccess: (done) => {
      client.invalidateQueries({ queryKey: ["marts"] });
      client.invalidateQueries({ queryKey: ["run"] });
      onClose();
      if (done.run) {
        announce(text.begun(done.run));
        navigate(pathOf("runs", String(done.run)));
      }
    },
  });
  const label = { run: text.doRun, resume: text.doResume, rollback: text.doRollback }[action.kind];
  const some = action.kind === "run" && action.marts.length > 0;
  const refused = plan.data?.marts.some((mart) => mart.busy);
  return (
    <Modal isOpen onOpenChange={(open) => !open && onClose()} title={text.planTitle} keep wide>
      {plan.isPending && <Loading label={text.loading} />}
      {plan.isError && <ProblemBox error={plan.error} onRetry={plan.refetch} />}
      {plan.data && <Shown plan={plan.data} />}
      {some && (
        <div className={styles.choices}>
          <Checkbox checked={below} onChange={(below) => setChoice({ ...choice, below })}>
            {text.withBelow}
          </Checkbox>
          <Checkbox checked={above} onChange={(above) => setChoice({ ...choice, above })}>
            {text.withAbove}
          </Checkbox>
        </div>
      )}
      {action.kind === "resume" && (
        <Checkbox checked={older} onChange={(older) => setChoice({ ...choice, older })}>
          {text.older}
        </Checkbox>
      )}
      {action.kind !== "resume" && (
        <Field label={text.why} value={choice.why} onChange={(why) => setChoice({ ...choice, why })} />
      )}
      {doIt.isError && <ProblemBox error={doIt.error} small />}
      <DialogButtons>
        <Button onPress={onClose}>{text.cancelDialog}</Button>
        <Button
          kind={action.kind === "rollback" ? "danger" : "primary"}
          isDisabled={!plan.data || plan.data.marts.length === 0 || refused || doIt.isPending}
          onPress={() => doIt.mutate()}
        >
          {label}
        </Button>
      </DialogButtons>
    </Modal>
  );
}

function Shown({ plan }: { plan: Plan }) {
  const text = useText(martsText);
  const states = useText(stateText);
  if (plan.marts.length === 0) return <p>{text.planNothing}</p>;
  return (
    <>
      {plan.rolled_to ? (
        <p>
          {text.planRollback(plan.rolled_to)}
          {plan.rows !== null && plan.rows !== undefined && (
            <>
              {" "}
              {text.planRows}: <Num value={plan.rows} />
            </>
          )}
        </p>
      ) : (
        <p>{text.planRun(plan.marts.length)}</p>
      )}
      <ol className={styles.planned}>
        {plan.marts.map((mart) => (
          <li key={mart.mart}>
            <strong>{mart.mart}</strong>
            <Status tone={mart.broken ? "bad" : tone(mart.state)}>
              {mart.broken ? text.planBroken : stateWord(states, mart.state)}
            </Status>
            <Span ms={mart.median_ms} />
            {mart.busy && <Status tone="warn">{text.planBusy(mart.busy)}</Status>}
          </li>
        ))}
      </ol>
      <p>
        {plan.expected_ms === null || plan.expected_ms === undefined ? (
          text.planUnknown
        ) : (
          <>
            {text.planExpected} <Span ms={plan.expected_ms} />
          </>
        )}
      </p>
      {plan.stale_below.length > 0 && (
        <Unfold className={styles.stale} summary={text.planStale(plan.stale_below.length)}>
          <p>{plan.stale_below.join(", ")}</p>
        </Unfold>
      )}
      <p className={styles.under}>{text.planSafe}</p>
    </>
  );
}
