// What the SQL page asks of the server: queries, drafts, saved queries and their shares, history, the tree of tables.
//
// Owns: the shapes in which the page holds answers, made of the server's own document, and the calls. Nothing here draws
// or keeps state.

import { api, call } from "../../api/client";
import { type Problem, ProblemError, readProblem } from "../../api/problem";
import type { components } from "../../api/schema";
import type { LoadRows, Row } from "../../grid/pages";
import { type Column, kindOf } from "../../grid/values";

type Schemas = components["schemas"];
/** The server leaves nothing out: what may be missing is `null`. */
type Whole<T> = { [Key in keyof T]-?: undefined extends T[Key] ? Exclude<T[Key], undefined> | null : T[Key] };

/** A place in a text, from 1; columns count characters. */
export type Position = Schemas["PlaceInText"];
export type QueryState = "queued" | "running" | "done" | "failed" | "timed_out" | "cancelled";
export type Reading = Schemas["ReadView"];
export type Check = Schemas["CheckedView"];
export type CheckProblem = Schemas["MistakeView"];
export type Completion = Schemas["CompletionsView"];
export type Draft = Whole<Schemas["DraftView"]>;
export type Saved = Schemas["SavedView"];
export type Can = Schemas["Can"];
export type Past = Omit<Schemas["RanView"], "state"> & { state: QueryState };
export type ShareLink = Schemas["LinkView"];

type Told = Whole<Schemas["QueryView"]>;
export interface Query extends Omit<Told, "state" | "columns" | "problem"> {
  state: QueryState;
  columns: Column[] | null;
  problem: Problem | null;
}

/** By then a browser has begun to store the file. */
const REVOKE_MS = 60_000;

export const isOver = (state: QueryState) => state !== "queued" && state !== "running";

/** A problem without the place at the end of its summary: the page shows the place itself, in the whole text. */
export const placeless = <P extends Problem>(problem: P): P => ({
  ...problem,
  summary: problem.summary.replace(/ at \d+:\d+$/, ""),
});

/** A query as the page holds it: what is missing is `null`, columns know their kind. */
function readQuery(told: Schemas["QueryView"]): Query {
  return {
    ...(told as Told),
    state: told.state as QueryState,
    columns: told.columns?.map(({ name, type }) => ({ name, type, kind: kindOf(type) })) ?? null,
    problem: told.problem ? placeless(told.problem) : null,
  };
}

const of = (id: string) => ({ params: { path: { id } } });

export const startQuery = async (sql: string, draft: string | null) =>
  readQuery(await call(api.POST("/api/v1/queries", { body: { sql, draft } })));
export const getQuery = async (id: string) => readQuery(await call(api.GET("/api/v1/queries/{id}", of(id))));
export const cancelQuery = async (id: string) => readQuery(await call(api.POST("/api/v1/queries/{id}/cancel", of(id))));

const pathOf = (id: string, what: string) => `/api/v1/queries/${encodeURIComponent(id)}/${what}`;

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
export async function download(id: string, what: Download, signal: AbortSignal): Promise<void> {
  const asked = Object.entries(what).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const path = `${pathOf(id, "download")}?${new URLSearchParams(asked)}`;
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
  const source = new EventSource(pathOf(id, "events"), { withCredentials: true });
  source.addEventListener("state", (event) => {
    const query = readQuery(JSON.parse((event as MessageEvent<string>).data) as Schemas["QueryView"]);
    broken(false);
    if (isOver(query.state)) source.close();
    tell(query);
  });
  source.addEventListener("error", () => broken(true));
  return () => source.close();
}

/** Rows of an answer, for the grid. Cells are JSON whose form their column's type says, which the document cannot. */
export function rowLoader(id: string): LoadRows {
  return async (from, count, signal) => {
    const params = { path: { id }, query: { from, count } };
    const page = await call(api.GET("/api/v1/queries/{id}/rows", { params, signal }));
    return page.rows as unknown as Row[];
  };
}

export const checkSql = (sql: string, cursor: Position) =>
  call(api.POST("/api/v1/queries/check", { body: { sql, cursor } }));
export const complete = (sql: string, { line, column }: Position) =>
  call(api.POST("/api/v1/queries/complete", { body: { sql, line, column } }));

/** Datasets with their numbers of tables; with `find` or `dataset` also the tables that fit. */
export const getTree = (query: { find?: string; dataset?: string }) =>
  call(api.GET("/api/v1/queries/tree", { params: { query } }));
export const getTable = (dataset: string, table: string) =>
  call(api.GET("/api/v1/queries/tree/{dataset}/{table}", { params: { path: { dataset, table } } }));

export const listDrafts = async () => (await call(api.GET("/api/v1/drafts"))).items as Draft[];
export const dropDraft = (id: string) => call(api.DELETE("/api/v1/drafts/{id}", of(id)));

type DraftBody = Pick<Draft, "title" | "sql" | "position" | "saved">;
export const makeDraft = async (body: DraftBody) => (await call(api.POST("/api/v1/drafts", { body }))) as Draft;

/** Keeps a draft; answers the other's draft where somebody (another window) changed it in between. */
export async function keepDraft(
  id: string,
  body: DraftBody & { revision: number },
): Promise<{ draft: Draft } | { other: Draft }> {
  try {
    return { draft: (await call(api.PUT("/api/v1/drafts/{id}", { ...of(id), body }))) as Draft };
  } catch (error) {
    if (!(error instanceof ProblemError) || error.status !== 409) throw error;
    const { current } = error.problem as Problem & { current?: Draft };
    if (!current) throw error;
    return { other: current };
  }
}

export const listSaved = async (find: string) =>
  (await call(api.GET("/api/v1/saved", { params: { query: { find } } }))).items;
export const getSaved = (id: string) => call(api.GET("/api/v1/saved/{id}", of(id)));
export const makeSaved = (body: { name: string; sql: string }) => call(api.POST("/api/v1/saved", { body }));
export const changeSaved = (id: string, body: Schemas["ChangedSaved"]) =>
  call(api.PUT("/api/v1/saved/{id}", { ...of(id), body }));
export const dropSaved = (id: string) => call(api.DELETE("/api/v1/saved/{id}", of(id)));

export async function listHistory(find: string, cursor: number | undefined) {
  const query = { find, ...(cursor === undefined ? {} : { cursor }) };
  const { items, next } = await call(api.GET("/api/v1/history", { params: { query } }));
  return { items: items as Past[], next: next ?? undefined };
}

export const listLinks = async (saved: string) => (await call(api.GET("/api/v1/saved/{id}/links", of(saved)))).items;
export const makeLink = (saved: string, body: Schemas["NewLink"]) =>
  call(api.POST("/api/v1/saved/{id}/links", { ...of(saved), body }));
export const endLink = (id: string) => call(api.DELETE("/api/v1/links/{id}", of(id)));

export const listShareSheets = (saved: string) => call(api.GET("/api/v1/saved/{id}/sheets", of(saved)));
export const makeShareSheet = (saved: string, body: Schemas["NewSheet"]) =>
  call(api.POST("/api/v1/saved/{id}/sheets", { ...of(saved), body }));
export const refreshShareSheet = (id: string) => call(api.POST("/api/v1/sheets/{id}/refresh", of(id)));
export const endShareSheet = (id: string) => call(api.DELETE("/api/v1/sheets/{id}", of(id)));
