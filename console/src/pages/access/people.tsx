// Groups, and everyone who can come in; letting someone go.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import { Button, DialogButtons, Empty, Modal, Notice, Panel, ProblemBox, Select, Status, Table } from "../../ui";
import { Names } from "./grants";
import { accessText } from "./text";
import type { AccessView, KnownView } from "./types";

export function People({ view }: { view: AccessView }) {
  const text = useText(accessText);
  const [leaving, setLeaving] = useState<KnownView>();
  const groups = view.file?.groups ?? [];
  return (
    <>
      <Panel title={text.known}>
        <Table
          label={text.known}
          rows={view.known}
          id={(known) => known.who}
          empty={<Empty title={text.nobodyTitle} hint={text.nobodyHint} />}
          columns={[
            { id: "who", header: text.who, cell: (known) => <code>{known.who}</code>, order: (known) => known.who },
            {
              id: "kind",
              header: text.kind,
              cell: (known) => text.kinds[known.kind] ?? known.kind,
              order: (known) => known.kind,
            },
            {
              id: "state",
              header: text.state,
              cell: (known) => (
                <Status tone={known.active ? "good" : "off"}>
                  {known.active ? text.active : text.inactive}
                  {known.admin && `, ${text.admins}`}
                </Status>
              ),
              grow: true,
            },
            {
              id: "go",
              header: text.letGo,
              cell: (known) =>
                known.kind === "person" &&
                known.active && (
                  <Button small onPress={() => setLeaving(known)}>
                    {text.letGo}
                  </Button>
                ),
              end: true,
            },
          ]}
        />
      </Panel>
      <Panel title={text.groups}>
        <Table
          label={text.groups}
          rows={groups}
          id={(group) => group.name}
          empty={<p>{text.noGroups}</p>}
          columns={[
            {
              id: "group",
              header: text.group,
              cell: (group) => <code>{group.name}</code>,
              order: (group) => group.name,
            },
            { id: "members", header: text.members, cell: (group) => <Names names={group.members} />, grow: true },
            { id: "line", header: text.line, cell: (group) => group.line, end: true },
          ]}
        />
      </Panel>
      {leaving && <LetGo who={leaving} others={view.known} close={() => setLeaving(undefined)} />}
    </>
  );
}

const NOBODY = "-";

function LetGo({ who, others, close }: { who: KnownView; others: KnownView[]; close: () => void }) {
  const text = useText(accessText);
  const client = useQueryClient();
  const [heir, setHeir] = useState(NOBODY);
  const address = (known: KnownView) => known.who.replace(/^person:/, "");
  const heirs = others.filter((known) => known.kind === "person" && known.active && known.who !== who.who);
  const go = useMutation({
    mutationFn: () => {
      const to = heir === NOBODY ? null : heir;
      return call(api.POST("/api/v1/access/offboard", { body: { who: address(who), to } }));
    },
    onSuccess: () => client.invalidateQueries({ queryKey: ["access"] }),
  });
  const items = [
    { id: NOBODY, label: text.noHeir },
    ...heirs.map((known) => ({ id: address(known), label: known.shown })),
  ];
  return (
    <Modal isOpen onOpenChange={(open) => !open && close()} title={text.letGoTitle(who.shown)} keep>
      {go.data ? (
        <>
          <Notice tone="good">{text.letGoDone(go.data.sessions, go.data.tokens, go.data.services)}</Notice>
          {go.data.still_named.length > 0 && (
            <Notice tone="warn">{text.stillNamed(go.data.still_named.join(", "))}</Notice>
          )}
          <DialogButtons>
            <Button kind="primary" onPress={close}>
              OK
            </Button>
          </DialogButtons>
        </>
      ) : (
        <>
          <p>{text.letGoHint}</p>
          <Select label={text.heir} help={text.heirHelp} value={heir} onChange={setHeir} items={items} />
          {go.isError && <ProblemBox error={go.error} />}
          <DialogButtons>
            <Button onPress={close}>{text.cancel}</Button>
            <Button kind="danger" isPending={go.isPending} onPress={() => go.mutate()}>
              {text.letGo}
            </Button>
          </DialogButtons>
        </>
      )}
    </Modal>
  );
}
