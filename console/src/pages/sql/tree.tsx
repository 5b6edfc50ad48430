// Tables and columns at the side: found by name, unfolded, put into the text by a press.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ChevronDown, ChevronRight, Database, Eye, Plus, Table2 } from "lucide-react";
import { useDeferredValue, useState } from "react";
import { useText } from "../../i18n";
import { Empty, IconButton, Loading, ProblemBox, SearchField } from "../../ui";
import { getTable, getTree } from "./api";
import { pathName, quoted } from "./names";
import styles from "./sql.module.css";
import { sqlText } from "./text";

/** Tables of a dataset that are listed at once. */
const LISTED_MAX = 300;

export interface TreeProps {
  onInsert: (text: string) => void;
  /** Runs a look into a table in a sheet of its own. */
  onPreview: (title: string, sql: string) => void;
}

export function TableTree({ onInsert, onPreview }: TreeProps) {
  const text = useText(sqlText);
  const [typed, setTyped] = useState("");
  const find = useDeferredValue(typed.trim());
  const tree = useQuery({
    queryKey: ["sql", "tree", find],
    queryFn: () => getTree(find === "" ? {} : { find }),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
  const datasets = tree.data?.datasets ?? [];
  return (
    <>
      <div className={styles.search}>
        <SearchField label={text.findTable} value={typed} onChange={setTyped} id="sql-find-table" />
      </div>
      {tree.isPending && <Loading label={text.tables} />}
      {tree.isError && <ProblemBox small error={tree.error} onRetry={() => tree.refetch()} />}
      {tree.isSuccess && datasets.length === 0 && find === "" && (
        <Empty title={text.noTables} hint={text.noTablesHint} />
      )}
      {tree.isSuccess && datasets.length === 0 && find !== "" && <p className={styles.none}>{text.noTableFits}</p>}
      <ul className={styles.tree}>
        {datasets.map((dataset) => (
          <Dataset
            key={dataset.name}
            name={dataset.name}
            count={dataset.tables}
            found={find === "" ? null : (dataset.items ?? [])}
            alone={datasets.length === 1}
            onInsert={onInsert}
            onPreview={onPreview}
          />
        ))}
      </ul>
    </>
  );
}

interface DatasetProps extends TreeProps {
  name: string;
  count: number;
  /** Tables that fit what is looked for; `null` while nothing is. */
  found: { name: string }[] | null;
  alone: boolean;
}

function Dataset({ name, count, found, alone, onInsert, onPreview }: DatasetProps) {
  const text = useText(sqlText);
  const [chosen, setChosen] = useState<boolean | null>(null);
  const open = chosen ?? (alone || found !== null);
  const tables = useQuery({
    queryKey: ["sql", "tree", "dataset", name],
    queryFn: async () => (await getTree({ dataset: name })).datasets.find((each) => each.name === name)?.items ?? [],
    enabled: open && found === null,
    staleTime: 30_000,
  });
  const listed = found ?? tables.data ?? [];
  return (
    <li>
      <div className={styles.branch}>
        <Unfold open={open} onToggle={() => setChosen(!open)}>
          <Database size={14} aria-hidden />
          <span>{name}</span>
          <small className="number">{count}</small>
        </Unfold>
      </div>
      {open && tables.isError && <ProblemBox small error={tables.error} onRetry={() => tables.refetch()} />}
      {open && (
        <ul>
          {listed.slice(0, LISTED_MAX).map((table) => (
            <TableBranch key={table.name} dataset={name} name={table.name} onInsert={onInsert} onPreview={onPreview} />
          ))}
          {listed.length > LISTED_MAX && <li className={styles.none}>{text.tooMany(listed.length - LISTED_MAX)}</li>}
        </ul>
      )}
    </li>
  );
}

function TableBranch({ dataset, name, onInsert, onPreview }: TreeProps & { dataset: string; name: string }) {
  const text = useText(sqlText);
  const [open, setOpen] = useState(false);
  const table = useQuery({
    queryKey: ["sql", "table", dataset, name],
    queryFn: () => getTable(dataset, name),
    enabled: open,
    staleTime: 30_000,
  });
  const path = pathName(dataset, name);
  return (
    <li>
      <div className={styles.branch}>
        <Unfold open={open} onToggle={() => setOpen(!open)}>
          <Table2 size={14} aria-hidden />
          <span title={path}>{name}</span>
        </Unfold>
        <span className={styles.leafTools}>
          <IconButton
            small
            label={text.preview(name)}
            icon={Eye}
            onPress={() => onPreview(name, `SELECT *\nFROM ${path}\nLIMIT 100`)}
          />
          <IconButton small label={text.insert(name)} icon={Plus} onPress={() => onInsert(path)} />
        </span>
      </div>
      {open && table.isError && <ProblemBox small error={table.error} onRetry={() => table.refetch()} />}
      {open && (
        <ul>
          {table.data?.columns.map((column) => (
            <li key={column.name}>
              <button
                type="button"
                className={styles.leaf}
                onClick={() => onInsert(quoted(column.name))}
                title={text.insert(column.name)}
              >
                <span>{column.name}</span>
                <small>{column.type}</small>
              </button>
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

function Unfold({ open, onToggle, children }: { open: boolean; onToggle: () => void; children: React.ReactNode }) {
  const Arrow = open ? ChevronDown : ChevronRight;
  return (
    <button type="button" className={styles.unfold} aria-expanded={open} onClick={onToggle}>
      <Arrow size={14} aria-hidden />
      {children}
    </button>
  );
}
