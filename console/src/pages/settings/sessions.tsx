// Browsers that are signed in as the caller, and ending one.

import { useMutation, useQuery } from "@tanstack/react-query";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import { Button, type Column, Loading, Panel, ProblemBox, Status, Table, Time } from "../../ui";
import styles from "./settings.module.css";
import { settingsText } from "./text";

type Session = Awaited<ReturnType<typeof read>>["items"][number];

function read() {
  return call(api.GET("/api/v1/sessions"));
}

export function Sessions() {
  const text = useText(settingsText);
  const sessions = useQuery({ queryKey: ["sessions"], queryFn: read });
  const end = useMutation({
    mutationFn: (id: number) => call(api.DELETE("/api/v1/sessions/{id}", { params: { path: { id } } })),
    onSettled: () => sessions.refetch(),
  });
  const columns: Column<Session>[] = [
    {
      id: "client",
      header: text.browser,
      cell: (row) => <span className={styles.client}>{row.client || text.unknownBrowser}</span>,
      grow: true,
    },
    { id: "address", header: text.from, cell: (row) => row.address },
    { id: "created", header: text.since, cell: (row) => <Time at={row.created_at} /> },
    { id: "used", header: text.lastUsed, cell: (row) => <Time at={row.used_at} ago /> },
    {
      id: "end",
      header: text.end,
      cell: (row) =>
        row.current ? (
          <Status tone="good">{text.current}</Status>
        ) : (
          <Button small onPress={() => end.mutate(row.id)} isDisabled={end.isPending}>
            {text.end}
          </Button>
        ),
    },
  ];
  return (
    <Panel title={text.sessions}>
      <p className={styles.hint}>{text.sessionsHint}</p>
      {end.isError && <ProblemBox error={end.error} small />}
      {sessions.isPending ? (
        <Loading label={text.loading} />
      ) : sessions.data ? (
        <Table label={text.sessions} columns={columns} rows={sessions.data.items} id={(row) => String(row.id)} />
      ) : (
        <ProblemBox error={sessions.error} onRetry={sessions.refetch} />
      )}
    </Panel>
  );
}
