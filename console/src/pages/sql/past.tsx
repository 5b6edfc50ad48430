// Saved queries and past statements at the side.

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { Link } from "../../app/router";
import { useText } from "../../i18n";
import { Button, Empty, Loading, ProblemBox, SearchField, Span, Status, Time, type Tone } from "../../ui";
import { listHistory, listSaved, type Past, type QueryState } from "./api";
import styles from "./sql.module.css";
import { sqlText } from "./text";

export const SAVED_KEY = ["sql", "saved"] as const;
export const HISTORY_KEY = ["sql", "history"] as const;

export function SavedList({ current }: { current: string | null }) {
  const text = useText(sqlText);
  const [typed, setTyped] = useState("");
  const find = useDeferredValue(typed.trim());
  const saved = useQuery({
    queryKey: [...SAVED_KEY, find],
    queryFn: () => listSaved(find),
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <div className={styles.search}>
        <SearchField label={text.findSaved} value={typed} onChange={setTyped} />
      </div>
      {saved.isPending && <Loading label={text.saved} />}
      {saved.isError && <ProblemBox small error={saved.error} onRetry={() => saved.refetch()} />}
      {saved.data?.length === 0 && find === "" && <Empty title={text.noSaved} hint={text.noSavedHint} />}
      {saved.data?.length === 0 && find !== "" && <p className={styles.none}>{text.noSavedFits}</p>}
      <ul className={styles.list}>
        {saved.data?.map((query) => (
          <li key={query.id}>
            <Link to={`/sql/${query.id}`} className={styles.entry} aria-current={query.id === current || undefined}>
              <strong>{query.name}</strong>
              {query.description && <span>{query.description}</span>}
              <small>
                {!query.mine && `${text.by(query.owner)} · `}
                <Time at={query.updated_at} ago />
              </small>
            </Link>
          </li>
        ))}
      </ul>
    </>
  );
}

const TONES: Record<QueryState, Tone> = {
  queued: "waiting",
  running: "busy",
  done: "good",
  failed: "bad",
  timed_out: "warn",
  cancelled: "off",
};

export function HistoryList({ onOpen }: { onOpen: (past: Past) => void }) {
  const text = useText(sqlText);
  const [typed, setTyped] = useState("");
  const find = useDeferredValue(typed.trim());
  const history = useInfiniteQuery({
    queryKey: [...HISTORY_KEY, find],
    queryFn: ({ pageParam }) => listHistory(find, pageParam),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });
  const items = history.data?.pages.flatMap((page) => page.items) ?? [];
  const words = {
    queued: text.queued,
    running: text.stateRunning,
    done: text.done,
    failed: text.failed,
    timed_out: text.timed_out,
    cancelled: text.cancelled,
  };
  return (
    <>
      <div className={styles.search}>
        <SearchField label={text.findHistory} value={typed} onChange={setTyped} />
      </div>
      {history.isPending && <Loading label={text.history} />}
      {history.isError && <ProblemBox small error={history.error} onRetry={() => history.refetch()} />}
      {history.isSuccess && items.length === 0 && <p className={styles.none}>{text.noHistory}</p>}
      <ul className={styles.list}>
        {items.map((past) => (
          <li key={past.id}>
            <button type="button" className={styles.entry} onClick={() => onOpen(past)} title={text.openAgain}>
              <code>{past.sql.replace(/\s+/g, " ").slice(0, 160)}</code>
              <small>
                <Status tone={TONES[past.state]}>{words[past.state]}</Status>
                <Span ms={past.elapsed_ms} />
                <Time at={past.created_at} ago />
              </small>
            </button>
          </li>
        ))}
      </ul>
      {history.hasNextPage && (
        <Button small kind="quiet" onPress={() => history.fetchNextPage()}>
          {text.more}
        </Button>
      )}
    </>
  );
}
