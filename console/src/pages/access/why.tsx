// Why someone sees a table, or does not: the lines of access.toml that reach them.

import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, call } from "../../api/client";
import { useSearch } from "../../app/router";
import { useText } from "../../i18n";
import { Badge, Button, Field, Panel, ProblemBox, Table } from "../../ui";
import styles from "./access.module.css";
import { accessText } from "./text";
import type { ReasonView, WhyView } from "./types";

export function Why({ admin }: { admin: boolean }) {
  const text = useText(accessText);
  const [table, askTable] = useSearch("table");
  const [who, askWho] = useSearch("who");
  const [draft, setDraft] = useState({ table, who });
  const why = useQuery({
    queryKey: ["access", "why", table, who],
    enabled: table !== "",
    queryFn: () => call(api.GET("/api/v1/access/why", { params: { query: who ? { table, who } : { table } } })),
  });
  const ask = (event: FormEvent) => {
    event.preventDefault();
    askTable(draft.table.trim());
    askWho(draft.who.trim());
  };
  return (
    <>
      <form onSubmit={ask} className={styles.form}>
        <Field
          label={text.whyTable}
          help={text.whyTableHelp}
          value={draft.table}
          onChange={(table) => setDraft({ ...draft, table })}
          mono
        />
        {admin && (
          <Field
            label={text.whyWho}
            help={text.whyWhoHelp}
            value={draft.who}
            onChange={(who) => setDraft({ ...draft, who })}
            mono
          />
        )}
        <Button type="submit" kind="primary">
          {text.ask}
        </Button>
      </form>
      {why.isError && <ProblemBox error={why.error} onRetry={why.refetch} />}
      {why.data && <Answer why={why.data} />}
    </>
  );
}

function Answer({ why }: { why: WhyView }) {
  const text = useText(accessText);
  const role = why.role ? (text.roles[why.role] ?? why.role) : undefined;
  return (
    <Panel>
      <p>
        <Badge tone={role ? "good" : "off"}>
          {role ? text.may(why.who, role, why.table) : text.mayNot(why.who, why.table)}
        </Badge>
      </p>
      <Table
        label={text.why}
        rows={why.reasons}
        id={(reason) => `${reason.kind} ${reason.place} ${reason.to} ${reason.on}`}
        empty={<p>{text.reasonNone}</p>}
        columns={[
          { id: "place", header: text.line, cell: (reason) => <code>{reason.place ?? "–"}</code> },
          { id: "rule", header: text.can, cell: (reason) => <Rule reason={reason} />, grow: true },
        ]}
      />
    </Panel>
  );
}

function Rule({ reason }: { reason: ReasonView }) {
  const text = useText(accessText);
  if (reason.kind === "admin") return <>{text.reasonAdmin}</>;
  if (reason.kind === "open") return <>{text.reasonOpen}</>;
  return (
    <span>
      <code>{reason.to}</code> → <code>{reason.on}</code>: {text.roles[reason.can ?? ""] ?? reason.can}
      {!reason.counts && ` (${text.doesNotCount})`}
    </span>
  );
}
