// What whoever looks may see themselves.

import { useText } from "../../i18n";
import { Empty, Num, Status, Table } from "../../ui";
import { accessText } from "./text";
import type { AccessView } from "./types";

export function Mine({ view }: { view: AccessView }) {
  const text = useText(accessText);
  if (view.mine.length === 0) {
    return <Empty title={text.nothingTitle} hint={view.admin ? text.nothingHintAdmin : text.nothingHint} />;
  }
  return (
    <Table
      label={text.mine}
      rows={view.mine}
      id={(row) => row.dataset}
      columns={[
        { id: "dataset", header: text.dataset, cell: (row) => row.dataset, order: (row) => row.dataset },
        {
          id: "role",
          header: text.role,
          cell: (row) => (
            <Status tone="info">
              {text.roles[row.role] ?? row.role}: {text.roleHelp[row.role]}
            </Status>
          ),
          grow: true,
        },
        {
          id: "tables",
          header: text.tables,
          cell: (row) => <Num value={row.tables} />,
          order: (row) => row.tables,
          end: true,
        },
      ]}
    />
  );
}
