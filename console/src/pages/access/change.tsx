// Changing access.toml: by a form or by hand, with who gains and who loses shown before it is put in force.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, call } from "../../api/client";
import { ProblemError } from "../../api/problem";
import { useText } from "../../i18n";
import { Button, Field, IconButton, Notice, Panel, ProblemBox, Select, Status, Table, Toolbar } from "../../ui";
import styles from "./access.module.css";
import { entries, withGrant, withoutGrant } from "./edit";
import { Names } from "./grants";
import { accessText } from "./text";
import type { ChangeView, FileView, PlanView } from "./types";

export function Change({ file }: { file: FileView | undefined }) {
  const text = useText(accessText);
  const client = useQueryClient();
  const base = file?.text ?? "";
  // The text that the draft was made from stays, though somebody else changes the file meanwhile.
  const [from, setFrom] = useState(base);
  const [draft, setDraft] = useState(base);
  const plan = useMutation({ mutationFn: (text: string) => call(api.POST("/api/v1/access/plan", { body: { text } })) });
  const apply = useMutation({
    mutationFn: () => call(api.PUT("/api/v1/access", { body: { text: draft, base: from } })),
    onSuccess: () => {
      setFrom(draft);
      plan.reset();
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["access"] }),
  });
  const write = (next: string) => {
    setDraft(next);
    plan.reset();
    apply.reset();
  };
  const again = () => {
    setFrom(base);
    write(base);
  };
  const meanwhile = apply.error instanceof ProblemError && apply.error.problem.code === "access.changed_meanwhile";
  const sound = plan.data && plan.data.wrong.length === 0;
  return (
    <>
      <AddGrant add={(to, can, on) => write(withGrant(draft, to, can, on))} />
      {file && draft === from && from === base && (
        <Remove file={file} remove={(line) => write(withoutGrant(draft, line))} />
      )}
      <Panel title={text.file}>
        <Field label={text.file} help={text.fileHelp} value={draft} onChange={write} lines={18} mono />
        <Toolbar>
          <Button onPress={again} isDisabled={draft === base && from === base}>
            {text.reset}
          </Button>
          <Button isPending={plan.isPending} isDisabled={draft === from} onPress={() => plan.mutate(draft)}>
            {text.preview}
          </Button>
          <Button
            kind="primary"
            isPending={apply.isPending}
            isDisabled={!sound || draft === from}
            onPress={() => apply.mutate()}
          >
            {text.apply}
          </Button>
        </Toolbar>
      </Panel>
      {plan.isError && <ProblemBox error={plan.error} />}
      {meanwhile ? <Notice tone="warn">{text.meanwhile}</Notice> : apply.isError && <ProblemBox error={apply.error} />}
      {apply.isSuccess && <Notice tone="good">{text.applied}</Notice>}
      {plan.data && <Plan plan={plan.data} />}
    </>
  );
}

function AddGrant({ add }: { add: (to: string[], can: string, on: string[]) => void }) {
  const text = useText(accessText);
  const [to, setTo] = useState("");
  const [can, setCan] = useState("view");
  const [on, setOn] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (entries(to).length === 0 || entries(on).length === 0) return;
    add(entries(to), can, entries(on));
    setTo("");
    setOn("");
  };
  const roles = ["view", "edit", "own"].map((id) => ({ id, label: text.roles[id] ?? id }));
  return (
    <Panel title={text.addGrant}>
      <form onSubmit={submit} className={styles.form}>
        <Field label={text.addTo} help={text.addToHelp} value={to} onChange={setTo} mono />
        <Select label={text.can} help={text.roleHelp[can]} value={can} onChange={setCan} items={roles} />
        <Field label={text.on} help={text.addOnHelp} value={on} onChange={setOn} mono />
        <Button type="submit">{text.add}</Button>
      </form>
    </Panel>
  );
}

function Remove({ file, remove }: { file: FileView; remove: (line: number) => void }) {
  const text = useText(accessText);
  if (file.grants.length === 0) return null;
  return (
    <Table
      label={text.grants}
      rows={file.grants}
      id={(grant) => String(grant.line)}
      columns={[
        { id: "to", header: text.to, cell: (grant) => <Names names={grant.to} /> },
        { id: "can", header: text.can, cell: (grant) => text.roles[grant.can] ?? grant.can },
        { id: "on", header: text.on, cell: (grant) => <Names names={grant.on} />, grow: true },
        {
          id: "remove",
          header: text.remove,
          cell: (grant) => (
            <IconButton small icon={Trash2} label={text.removeGrant(grant.line)} onPress={() => remove(grant.line)} />
          ),
          end: true,
        },
      ]}
    />
  );
}

function Plan({ plan }: { plan: PlanView }) {
  const text = useText(accessText);
  if (plan.wrong.length > 0) {
    return (
      <>
        {plan.wrong.map((problem) => (
          <ProblemBox
            key={`${problem.place?.line}:${problem.place?.column}:${problem.summary}`}
            problem={{
              ...problem,
              summary: `${text.line} ${problem.place?.line ?? "–"}: ${problem.summary}`,
              retry: "never",
            }}
            small
          />
        ))}
      </>
    );
  }
  const role = (word: string | null | undefined) => (word ? (text.roles[word] ?? word) : text.nothing);
  return (
    <Panel title={text.changed}>
      <Table
        label={text.changed}
        rows={plan.changes}
        id={(change) => `${change.who} ${change.dataset} ${change.before} ${change.after}`}
        empty={<Notice tone="info">{text.noChange}</Notice>}
        columns={[
          {
            id: "turn",
            header: text.turn,
            cell: (change) => (
              <Status tone={change.loses ? "warn" : "good"}>{change.loses ? text.loses : text.gains}</Status>
            ),
            order: (change) => (change.loses ? 0 : 1),
          },
          { id: "who", header: text.who, cell: (change) => <code>{change.who}</code>, order: (change) => change.who },
          { id: "on", header: text.on, cell: (change) => <Where change={change} />, grow: true },
          { id: "before", header: text.now, cell: (change) => role(change.before) },
          { id: "after", header: text.afterwards, cell: (change) => role(change.after) },
        ]}
      />
    </Panel>
  );
}

function Where({ change }: { change: ChangeView }) {
  const text = useText(accessText);
  return (
    <span title={change.names.join(", ")}>
      <code>{change.dataset}</code> ({change.all ? text.allOf : text.someOf(change.tables)})
    </span>
  );
}
