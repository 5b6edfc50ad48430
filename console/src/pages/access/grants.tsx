// What access.toml grants, line by line.

import { navigate } from "../../app/router";
import { useText } from "../../i18n";
import { Empty, Panel, Table } from "../../ui";
import styles from "./access.module.css";
import { accessText } from "./text";
import type { AccessView } from "./types";

export function Grants({ view }: { view: AccessView }) {
  const text = useText(accessText);
  const file = view.file;
  if (!file || file.grants.length === 0) {
    const action = { label: text.noGrantsAction, run: () => navigate("/access?tab=edit") };
    return <Empty title={text.noGrantsTitle} hint={text.noGrantsHint} action={action} />;
  }
  return (
    <>
      <Table
        label={text.grants}
        rows={file.grants}
        id={(grant) => String(grant.line)}
        columns={[
          { id: "to", header: text.to, cell: (grant) => <Names names={grant.to} />, order: (grant) => grant.to[0] },
          {
            id: "can",
            header: text.can,
            cell: (grant) => text.roles[grant.can] ?? grant.can,
            order: (grant) => grant.can,
          },
          { id: "on", header: text.on, cell: (grant) => <Names names={grant.on} />, grow: true },
          { id: "line", header: text.line, cell: (grant) => grant.line, order: (grant) => grant.line, end: true },
        ]}
      />
      {file.closed.length > 0 && (
        <Panel title={text.closed}>
          <p>{text.closedHint}</p>
          <Names names={file.closed} />
        </Panel>
      )}
    </>
  );
}

export function Names({ names }: { names: string[] }) {
  return (
    <span className={styles.names}>
      {names.map((name) => (
        <code key={name}>{name}</code>
      ))}
    </span>
  );
}
