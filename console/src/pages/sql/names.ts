// Names of tables and columns as they are written in a statement.

/** Words that need quotes when they are a name. */
const RESERVED = new Set(
  `all and any array as asc at between by case cast collate contains create cross cube current default define desc distinct
  else end enum escape except exclude exists extract false fetch following for from full group grouping groups hash having
  if ignore in inner intersect interval into is join lateral left like limit lookup merge natural new no not null nulls of
  on or order outer over partition preceding proto qualify range recursive respect right rollup rows select set some struct
  tablesample then to treat true unbounded union unnest using when where window with within`.split(/\s+/),
);

/** One part of a name, quoted where it must be. */
export function quoted(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) && !RESERVED.has(name.toLowerCase()) ? name : `\`${name.replaceAll("`", "\\`")}\``;
}

/** A name of several parts. */
export const pathName = (...parts: string[]) => parts.map(quoted).join(".");

/** The last part of the first table that a text reads; empty without one. */
export function tableIn(sql: string): string {
  const path =
    /\b(?:from|into|update|table)\s+(?!unnest\b)((?:`[^`]+`|[\p{L}\p{N}_-]+)(?:\.(?:`[^`]+`|[\p{L}\p{N}_-]+))*)/iu.exec(
      sql,
    )?.[1] ?? "";
  return path.replaceAll("`", "").split(".").at(-1) ?? "";
}

/** What stands on a sheet's tab: its name, else what it reads. */
export const shownTitle = (sheet: { title: string; sql: string }, untitled: string) =>
  sheet.title || tableIn(sheet.sql) || untitled;
