// A sheet with nothing in it yet: examples over the person's own tables, one press from an answer.

import { useQuery } from "@tanstack/react-query";
import { Play } from "lucide-react";
import { useText } from "../../i18n";
import { Empty } from "../../ui";
import { getTable, getTree } from "./api";
import { pathName, quoted } from "./names";
import styles from "./sql.module.css";
import { sqlText } from "./text";

export interface Example {
  label: string;
  sql: string;
}

interface Known {
  dataset: string;
  name: string;
  columns: { name: string; type: string }[];
}

/** A column by whose few values rows are worth counting. */
const groupable = (table: Known) =>
  table.columns.find(
    ({ name, type }) => /status|state|kind|type|category|city|country/i.test(name) && /^STRING/.test(type),
  ) ?? table.columns.find(({ type }) => /^(STRING|BOOL)/.test(type));

interface Words {
  exampleRows: (table: string) => string;
  exampleCount: (table: string) => string;
  exampleGroup: (table: string, column: string) => string;
}

/** Examples over a table, the plainest first. */
export function examplesOf(table: Known, words: Words): Example[] {
  const path = pathName(table.dataset, table.name);
  const examples = [{ label: words.exampleRows(table.name), sql: `SELECT *\nFROM ${path}\nLIMIT 100` }];
  const group = groupable(table);
  if (group) {
    const column = quoted(group.name);
    examples.push({
      label: words.exampleGroup(table.name, group.name),
      sql: `SELECT ${column}, COUNT(*) AS n\nFROM ${path}\nGROUP BY ${column}\nORDER BY n DESC\nLIMIT 100`,
    });
  }
  examples.push({ label: words.exampleCount(table.name), sql: `SELECT COUNT(*) AS n\nFROM ${path}` });
  return examples;
}

/** Datasets of naru itself come last. */
const ownLast = (name: string) => (name === "naru" || name.startsWith("INFORMATION_SCHEMA") ? 1 : 0);

async function firstTable(): Promise<Known | null> {
  const { datasets } = await getTree({});
  const filled = datasets.filter(({ tables }) => tables > 0).sort((a, b) => ownLast(a.name) - ownLast(b.name));
  const dataset = filled[0]?.name;
  if (!dataset) return null;
  const items = (await getTree({ dataset })).datasets.find(({ name }) => name === dataset)?.items ?? [];
  const name = (items.find((item) => /order|sale|event|user/i.test(item.name)) ?? items[0])?.name;
  if (!name) return null;
  return { dataset, name, columns: (await getTable(dataset, name)).columns };
}

export function FirstRun({
  onExample,
  onConnect,
}: {
  onExample: (sql: string) => void;
  onConnect: (() => void) | undefined;
}) {
  const text = useText(sqlText);
  const table = useQuery({ queryKey: ["sql", "first"], queryFn: firstTable });
  if (table.isPending) return null;
  if (!table.data) {
    return (
      <div className={styles.blank}>
        <Empty
          title={text.firstEmpty}
          hint={text.firstEmptyHint}
          {...(onConnect ? { action: { label: text.firstConnect, run: onConnect } } : {})}
        />
      </div>
    );
  }
  return (
    <div className={styles.blank}>
      <h2>{text.firstTitle}</h2>
      <p>{text.firstHint}</p>
      <ul className={styles.examples}>
        {examplesOf(table.data, text).map(({ label, sql }) => (
          <li key={sql}>
            <button type="button" onClick={() => onExample(sql)}>
              <span>
                <Play size={15} aria-hidden /> {label}
              </span>
              <code>{sql.replace(/\s+/g, " ")}</code>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
