// Audit: who asked what through which door, and whether the chain of rows is whole.

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useState } from "react";
import { api, call } from "../../api/client";
import { useLocation, useSearch } from "../../app/router";
import { useText } from "../../i18n";
import { AsOf, Badge, Button, Empty, Loading, Notice, Page, ProblemBox } from "../../ui";
import styles from "./audit.module.css";
import { Bar } from "./bar";
import { Export } from "./export";
import { FILTERS, type FilterName, type Filters, toQuery } from "./filters";
import { Rows } from "./rows";
import { auditText } from "./text";

function useFilters(): [Filters, (name: FilterName, value: string) => void, () => void] {
  const { search } = useLocation();
  const filters = Object.fromEntries(FILTERS.map((name) => [name, search.get(name) ?? ""])) as Filters;
  const setters = Object.fromEntries(
    // biome-ignore lint/correctness/useHookAtTopLevel: the list never changes
    FILTERS.map((name) => [name, useSearch(name)[1]]),
  ) as Record<FilterName, (value: string) => void>;
  const set = (name: FilterName, value: string) => setters[name](value);
  const clear = () => {
    for (const name of FILTERS) setters[name]("");
  };
  return [filters, set, clear];
}

export default function Audit() {
  const text = useText(auditText);
  const [filters, set, clear] = useFilters();
  const [exporting, setExporting] = useState(false);
  const query = toQuery(filters);
  const audit = useInfiniteQuery({
    queryKey: ["audit", query],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam }) =>
      call(api.GET("/api/v1/audit", { params: { query: pageParam ? { ...query, before: pageParam } : query } })),
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const first = audit.data?.pages[0];
  const rows = audit.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page
      title={text.title}
      under={first && <AsOf at={first.as_of} />}
      actions={
        <Button icon={Download} onPress={() => setExporting(true)}>
          {text.export}
        </Button>
      }
    >
      <Chain />
      <Bar filters={filters} set={set} clear={clear} />
      {audit.isPending && <Loading label={text.loading} />}
      {audit.isError && <ProblemBox error={audit.error} onRetry={audit.refetch} />}
      {first && rows.length === 0 && (
        <Empty title={text.emptyTitle} hint={text.emptyHint} action={{ label: text.emptyAction, run: clear }} />
      )}
      {rows.length > 0 && <Rows rows={rows} />}
      {audit.hasNextPage && (
        <div className={styles.more}>
          <Button isPending={audit.isFetchingNextPage} onPress={() => audit.fetchNextPage()}>
            {text.more}
          </Button>
        </div>
      )}
      {exporting && (
        <Export filters={filters} needsReason={first?.asks_why ?? false} close={() => setExporting(false)} />
      )}
    </Page>
  );
}

/** Whether every row is as it was written. */
function Chain() {
  const text = useText(auditText);
  const chain = useQuery({
    queryKey: ["audit", "chain"],
    staleTime: 60_000,
    queryFn: () => call(api.GET("/api/v1/audit/chain")),
  });
  if (chain.isPending) return <Badge tone="busy">{text.checking}</Badge>;
  if (!chain.data) return null;
  const { broken, head, rows } = chain.data;
  if (broken) {
    return (
      <Notice tone="bad">
        <strong>{text.broken(broken.row)}</strong> {text.brokenWhy[broken.why]} {text.brokenNext}
      </Notice>
    );
  }
  return (
    <p className={styles.chain}>
      <Badge tone="good">{text.whole(rows)}</Badge>
      {head && (
        <span className={styles.head} title={head.hash}>
          {text.head}: <code>{`${head.row}:${head.hash.slice(0, 16)}…`}</code>
        </span>
      )}
    </p>
  );
}
