// What the SQL page asks of the server: queries, drafts, saved queries, history, the tree of tables.
//
// Owns: the shapes in which the page holds answers, and the calls. Nothing here draws or keeps state.

import { send } from "../../api/client";
import { type Problem, ProblemError, readProblem } from "../../api/problem";
import type { LoadRows, Row } from "../../grid/pages";
import { type Column, kindOf } from "../../grid/values";

/** A place in a text, from 1; columns count characters. */
export interface Position {
  line: number;
  column: number;
}

export type QueryState = "queued" | "running" | "done" | "failed" | "timed_out" | "cancelled";

/** A table that was read, at which version where it has them. */
export interface Reading {
  table: string;
  version: number | null;
}

export interface Query {
  id: string;
  state: QueryState;
  sql: string;
  created_at: string;
  elapsed_ms: number;
  queue_place: number | null;
  progress: { rows_read: number; rows_total: number | null; bytes_read: number };
  columns: Column[] | null;
  /** Rows that can be fetched now. */
  rows: number;
  /** Rows of the whole answer, once known. */
  rows_total: number | null;
  complete: boolean;
  time_zone: string;
  /** The moment whose rows these are. */
  as_of: string | null;
  reads: Reading[];
  problem: Problem | null;
  /** Where the problem is in the text that was sent. */
  position: Position | null;
}

export interface Check {
  problems: CheckProblem[];
  /** What the statement at the cursor would read at most. */
  estimate: { bytes: number | null; rows: number | null; tables: string[] } | null;
}

export interface CheckProblem extends Problem {
  /** `null` for a mistake of the whole text. */
  start: Position | null;
  end: Position | null;
  /** What was meant, instead of what stands between start and end. */
  instead: string | null;
}

export interface Completion {
  from: Position;
  items: { label: string; insert: string; kind: string; detail: string | null }[];
}

export interface Draft {
  id: string;
  title: string;
  sql: string;
  position: number;
  revision: number;
  query: string | null;
  saved: string | null;
}

export type Can = "view" | "edit" | "own";

/** Who else may open or change a saved query: `person:kim@acme.kr`, `group:analysts`, `domain:acme.kr`. */
export interface SharedWith {
  to: string;
  can: Can;
}

export interface Saved {
  id: string;
  name: string;
  sql: string;
  description: string;
  owner: string;
  mine: boolean;
  can: Can;
  shared: SharedWith[];
  revision: number;
  updated_at: string;
}

export interface Past {
  id: string;
  sql: string;
  state: QueryState;
  created_at: string;
  elapsed_ms: number;
  rows: number | null;
}

/** By then a browser has begun to store the file. */
const REVOKE_MS = 60_000;

export const isOver = (state: QueryState) => state !== "queued" && state !== "running";

/** A query as the page holds it, whatever the server leaves out. */
function readQuery(answer: Partial<Query> & Pick<Query, "id" | "state">): Query {
  return {
    sql: "",
    created_at: "",
    elapsed_ms: 0,
    queue_place: null,
    rows: 0,
    rows_total: null,
    complete: false,
    time_zone: "UTC",
    reads: [],
    as_of: null,
    problem: null,
    position: null,
    ...answer,
    progress: { rows_read: 0, rows_total: null, bytes_read: 0, ...answer.progress },
    columns: answer.columns?.map(({ name, type }) => ({ name, type, kind: kindOf(type) })) ?? null,
  };
}

const at = (...parts: string[]) => `/api/v1/${parts.map(encodeURIComponent).join("/")}`;
const search = (values: Record<string, string | number | undefined>) => {
  const filled = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(filled.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
};

export async function startQuery(body: { sql: string; draft?: string }): Promise<Query> {
  return readQuery(await send("POST", at("queries"), body));
}

export const getQuery = async (id: string) => readQuery(await send<Query>("GET", at("queries", id)));
export const cancelQuery = async (id: string) => readQuery(await send<Query>("POST", at("queries", id, "cancel"), {}));

/** Why a download was asked for, and of what: the rows that are kept where they are not all. */
export interface Download {
  format: "csv" | "xlsx" | "parquet";
  name?: string | undefined;
  part?: "kept" | undefined;
  reason?: string | undefined;
}

/** The name that a `Content-Disposition` gives a file. */
export function fileNameOf(disposition: string | null): string {
  const coded = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "")?.[1];
  return coded ? decodeURIComponent(coded) : (/filename="([^"]*)"/.exec(disposition ?? "")?.[1] ?? "naru");
}

/**
 * Fetches a file of a whole answer and hands it to the browser. A plain link would show nobody why a file did not come;
 * a file that breaks off is an error here too, never a short file.
 */
export async function download(id: string, { format, ...rest }: Download, signal: AbortSignal): Promise<void> {
  const path = `${at("queries", id, "download")}${search({ format, ...rest })}`;
  const answer = await fetch(path, { credentials: "same-origin", headers: { "x-naru": "1" }, signal });
  if (!answer.ok) throw readProblem(await answer.json().catch(() => undefined), answer.status);
  const file = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = file;
  link.download = fileNameOf(answer.headers.get("content-disposition"));
  link.click();
  setTimeout(() => URL.revokeObjectURL(file), REVOKE_MS);
}

/** Follows a query until it is over; the answer ends following. A broken line is taken up again. */
export function followQuery(id: string, tell: (query: Query) => void, broken: (is: boolean) => void): () => void {
  const source = new EventSource(`${at("queries", id)}/events`, { withCredentials: true });
  source.addEventListener("state", (event) => {
    const query = readQuery(JSON.parse((event as MessageEvent<string>).data) as Query);
    broken(false);
    if (isOver(query.state)) source.close();
    tell(query);
  });
  source.addEventListener("error", () => broken(true));
  return () => source.close();
}

/** Rows of an answer, for the grid. */
export function rowLoader(id: string): LoadRows {
  return async (from, count, signal) => {
    const response = await fetch(`${at("queries", id, "rows")}${search({ from, count })}`, {
      credentials: "same-origin",
      headers: { "x-naru": "1" },
      signal,
    });
    const body = (await response.json()) as { rows: Row[] } | Problem;
    if (!response.ok || !("rows" in body)) throw readProblem(body, response.status);
    return body.rows;
  };
}

export const checkSql = (sql: string, cursor: Position) => send<Check>("POST", at("queries", "check"), { sql, cursor });
export const complete = (sql: string, { line, column }: Position) =>
  send<Completion>("POST", at("queries", "complete"), { sql, line, column });

export const listDrafts = async () => (await send<{ items: Draft[] }>("GET", at("drafts"))).items;
export const makeDraft = (draft: DraftBody) => send<Draft>("POST", at("drafts"), draft);
export const dropDraft = (id: string) => send<void>("DELETE", at("drafts", id));

type DraftBody = Pick<Draft, "title" | "sql" | "position" | "saved">;

/** Keeps a draft; answers the other's draft where somebody (another window) changed it in between. */
export async function keepDraft(
  id: string,
  body: DraftBody & { revision: number },
): Promise<{ draft: Draft } | { other: Draft }> {
  try {
    return { draft: await send<Draft>("PUT", at("drafts", id), body) };
  } catch (error) {
    if (!(error instanceof ProblemError) || error.status !== 409) throw error;
    const { current } = error.problem as Problem & { current?: Draft };
    if (!current) throw error;
    return { other: current };
  }
}

export const listSaved = async (find: string) =>
  (await send<{ items: Saved[] }>("GET", `${at("saved")}${search({ find })}`)).items;
export const getSaved = (id: string) => send<Saved>("GET", at("saved", id));
export const makeSaved = (body: { name: string; sql: string }) => send<Saved>("POST", at("saved"), body);
export const changeSaved = (
  id: string,
  body: { name?: string; sql?: string; shared?: SharedWith[]; revision: number },
) => send<Saved>("PUT", at("saved", id), body);
export const dropSaved = (id: string) => send<void>("DELETE", at("saved", id));

export const listHistory = (find: string, cursor?: string) =>
  send<{ items: Past[]; next: string | null }>("GET", `${at("history")}${search({ find, cursor })}`);

/** A table of the tree. */
export interface TreeTable {
  dataset: string;
  name: string;
  kind: string;
}

export interface TreeColumn {
  name: string;
  type: string;
  description: string | null;
}

/** Datasets with their numbers of tables; with `find` or `dataset` also the tables that fit. */
export interface Tree {
  datasets: { name: string; tables: number; items: { name: string; kind: string }[] | null }[];
}

export const getTree = (options: { find?: string; dataset?: string }) =>
  send<Tree>("GET", `${at("queries", "tree")}${search(options)}`);
export const getTable = (dataset: string, table: string) =>
  send<{ name: string; kind: string; description: string | null; columns: TreeColumn[] }>(
    "GET",
    at("queries", "tree", dataset, table),
  );

/** A secret address that gives a saved query's rows as a file. */
export interface ShareLink {
  id: string;
  name: string;
  sharer: string;
  rows_max: number;
  expires_at: string;
  revoked_at: string | null;
  used_at: string | null;
  uses: number;
  problem_code: string | null;
}

export const listLinks = async (saved: string) =>
  (await send<{ items: ShareLink[] }>("GET", at("saved", saved, "links"))).items;
export const makeLink = (saved: string, body: { name: string; days: number }) =>
  send<{ link: ShareLink; csv: string; xlsx: string }>("POST", at("saved", saved, "links"), body);
export const endLink = (id: string) => send<void>("DELETE", at("links", id));

/** A block of a Google spreadsheet that naru fills. */
export interface ShareSheet {
  id: string;
  spreadsheet: string;
  sheet: string;
  schedule: string | null;
  refreshed_at: string | null;
  rows: number | null;
  rows_total: number | null;
  problem: Problem | null;
}

export const listShareSheets = (saved: string) =>
  send<{ items: ShareSheet[]; account: string | null }>("GET", at("saved", saved, "sheets"));
export const makeShareSheet = (saved: string, body: { spreadsheet: string; sheet: string; schedule?: string }) =>
  send<ShareSheet>("POST", at("saved", saved, "sheets"), body);
export const refreshShareSheet = (id: string) => send<ShareSheet>("POST", at("sheets", id, "refresh"), {});
export const endShareSheet = (id: string) => send<void>("DELETE", at("sheets", id));
