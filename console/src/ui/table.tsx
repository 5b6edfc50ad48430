// A table of things (tables, runs, people): sortable, each row may lead somewhere. At 640 px and below every row
// becomes a block with its column names, unless `scrolls`. Results of SQL have their own grid (src/grid).

import { ArrowDown, ArrowUp } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";
import { Link } from "../app/router";
import { useText } from "../i18n";
import styles from "./table.module.css";
import { uiText } from "./text";

export interface Column<Row> {
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** Makes the column sortable. Numbers and null; null comes last. */
  order?: (row: Row) => string | number | null | undefined;
  /** Figures stand at the end of their cell. */
  end?: boolean;
  /** Takes the space that is left. */
  grow?: boolean;
}

export interface TableProps<Row> {
  /** Read aloud. */
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  id: (row: Row) => string;
  /** Where the first cell's link leads. */
  to?: (row: Row) => string | undefined;
  /** Scrolls sideways in its own box on a small screen, instead of stacking. */
  scrolls?: boolean;
  /** Shown in place of rows. */
  empty?: ReactNode;
  /** Initial order: a column's id, with `-` before it for the other way round. */
  sort?: string;
}

function compare(a: string | number | null | undefined, b: string | number | null | undefined, down: boolean): number {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  const order =
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });
  return down ? -order : order;
}

export function Table<Row>({ label, columns, rows, id, to, scrolls, empty, sort }: TableProps<Row>) {
  const text = useText(uiText);
  const [by, setBy] = useState(sort ?? "");
  const down = by.startsWith("-");
  const column = columns.find((column) => column.id === by.replace(/^-/, ""));
  const sorted = useMemo(() => {
    const order = column?.order;
    return order ? rows.toSorted((a, b) => compare(order(a), order(b), down)) : rows;
  }, [rows, column, down]);
  if (rows.length === 0 && empty) return <>{empty}</>;
  return (
    <section className={styles.box} aria-label={label} {...(scrolls ? { tabIndex: 0 } : {})}>
      {/* The roles stay although CSS turns rows into blocks on small screens. */}
      {/* biome-ignore-start lint/a11y/noRedundantRoles: see above */}
      {/* biome-ignore-start lint/a11y/useSemanticElements: see above */}
      <table className={styles.table} role="table" aria-label={label} data-stacks={!scrolls || undefined}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((each) =>
              each.header === "" ? (
                // A column of buttons has no name of its own.
                <td key={each.id} role="cell" />
              ) : (
                <th
                  key={each.id}
                  role="columnheader"
                  scope="col"
                  data-end={each.end || undefined}
                  data-grow={each.grow || undefined}
                  {...(each === column ? { "aria-sort": down ? ("descending" as const) : ("ascending" as const) } : {})}
                >
                  {each.order ? (
                    <button
                      type="button"
                      title={text.sortBy(each.header)}
                      onClick={() => setBy(by === each.id ? `-${each.id}` : each.id)}
                    >
                      {each.header}
                      {each === column &&
                        (down ? <ArrowDown size={13} aria-hidden /> : <ArrowUp size={13} aria-hidden />)}
                    </button>
                  ) : (
                    each.header
                  )}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {sorted.map((row) => {
            const path = to?.(row);
            return (
              <tr key={id(row)} role="row" data-links={path ? true : undefined}>
                {columns.map((each, at) => (
                  <td
                    key={each.id}
                    role="cell"
                    data-end={each.end || undefined}
                    data-grow={each.grow || undefined}
                    data-label={each.header}
                  >
                    {at === 0 && path ? (
                      <Link to={path} className={styles.link}>
                        {each.cell(row)}
                      </Link>
                    ) : (
                      each.cell(row)
                    )}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
      {/* biome-ignore-end lint/a11y/useSemanticElements: see above */}
      {/* biome-ignore-end lint/a11y/noRedundantRoles: see above */}
    </section>
  );
}
