// One's own tokens: what they are for, until when, when they were used, making one, revoking one.

import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useText } from "../../i18n";
import {
  Button,
  type Column,
  DialogButtons,
  Empty,
  Loading,
  Modal,
  Panel,
  ProblemBox,
  Status,
  Table,
  Time,
  type Tone,
} from "../../ui";
import { NewToken } from "./new-token";
import styles from "./settings.module.css";
import { settingsText } from "./text";

type Token = Awaited<ReturnType<typeof read>>["items"][number];

function read() {
  return call(api.GET("/api/v1/tokens"));
}

export function Tokens() {
  const text = useText(settingsText);
  const tokens = useQuery({ queryKey: ["tokens"], queryFn: read });
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token | undefined>();
  const items = tokens.data?.items ?? [];
  const live = items.filter((token) => token.state === "live");
  const ended = items.filter((token) => token.state !== "live");
  return (
    <Panel
      title={text.tokens}
      actions={live.length > 0 && <Button onPress={() => setMaking(true)}>{text.newToken}</Button>}
    >
      <p className={styles.hint}>{text.tokensHint}</p>
      {tokens.isPending && <Loading label={text.loading} />}
      {tokens.isError && <ProblemBox error={tokens.error} onRetry={tokens.refetch} />}
      {tokens.data && (
        <List
          rows={live}
          revoke={setRevoking}
          empty={
            <Empty
              title={text.noTokens}
              hint={text.noTokensHint}
              action={{ label: text.newToken, run: () => setMaking(true) }}
            />
          }
        />
      )}
      {ended.length > 0 && (
        <details>
          <summary>{text.ended(ended.length)}</summary>
          <List rows={ended} />
        </details>
      )}
      {making && <NewToken onClose={() => setMaking(false)} onMade={() => tokens.refetch()} />}
      {revoking && (
        <Revoke
          token={revoking}
          onClose={() => {
            setRevoking(undefined);
            tokens.refetch();
          }}
        />
      )}
    </Panel>
  );
}

const TONES: Record<string, Tone> = { live: "good", expired: "off", revoked: "off" };

function List({ rows, revoke, empty }: { rows: Token[]; revoke?: (token: Token) => void; empty?: React.ReactNode }) {
  const text = useText(settingsText);
  const states = text.states as Record<string, string | undefined>;
  const columns: Column<Token>[] = [
    { id: "name", header: text.tokenName, cell: (row) => row.name, order: (row) => row.name, grow: true },
    { id: "for", header: text.for, cell: (row) => row.scopes.join(", ") },
    {
      id: "state",
      header: text.state,
      cell: (row) => <Status tone={TONES[row.state] ?? "none"}>{states[row.state] ?? row.state}</Status>,
    },
    {
      id: "used",
      header: text.used,
      cell: (row) => (row.last_used_at ? <Time at={row.last_used_at} ago /> : text.unused),
      order: (row) => row.last_used_at,
    },
    {
      id: "expires",
      header: text.expires,
      cell: (row) => (row.expires_at ? <Time at={row.expires_at} /> : text.never),
      order: (row) => row.expires_at,
    },
  ];
  if (revoke) {
    columns.push({
      id: "revoke",
      header: text.revoke,
      cell: (row) => (
        <Button small onPress={() => revoke(row)}>
          {text.revoke}
        </Button>
      ),
    });
  }
  return <Table label={text.tokens} columns={columns} rows={rows} id={(row) => String(row.id)} empty={empty} />;
}

function Revoke({ token, onClose }: { token: Token; onClose: () => void }) {
  const text = useText(settingsText);
  const revoke = useMutation({
    mutationFn: () => call(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id: token.id } } })),
    onSuccess: onClose,
  });
  return (
    <Modal isOpen onOpenChange={(open) => !open && onClose()} title={text.revoke}>
      <p>{text.revokeAsk(token.name)}</p>
      {revoke.isError && <ProblemBox error={revoke.error} small />}
      <DialogButtons>
        <Button onPress={onClose}>{text.cancel}</Button>
        <Button kind="danger" onPress={() => revoke.mutate()} isDisabled={revoke.isPending}>
          {text.revoke}
        </Button>
      </DialogButtons>
    </Modal>
  );
}
