// The open sheets (tabs): their texts, kept on the server, and their runs, which go on while another is looked at.
//
// Owns: this state, for as long as the console is open, whichever page is shown. Every change of a text is on the server
// within about a second; a text changed in two windows is never overwritten unseen.

import { useSyncExternalStore } from "react";
import { ProblemError } from "../../api/problem";
import { RowPages } from "../../grid/pages";
import {
  cancelQuery,
  type Draft,
  dropDraft,
  followQuery,
  getQuery,
  isOver,
  keepDraft,
  listDrafts,
  makeDraft,
  type Query,
  rowLoader,
  type Saved,
  startQuery,
} from "./api";
import { setBase } from "./saved-base";

/** A run of a sheet. */
export interface Run {
  query: Query | null;
  /** What was sent, and where it began in the sheet. */
  sql: string;
  from: number;
  pages: RowPages | null;
  /** The line to the server is down. */
  broken: boolean;
  /** It could not be started at all. */
  error: unknown;
}

/** How a sheet's text stands against the server's. */
export type Keeping = "kept" | "changed" | "failed" | "conflict";

export interface Sheet {
  /** Stays as long as the sheet is open in this window. */
  key: string;
  draft: string | null;
  revision: number;
  /** Empty while nobody named it. */
  title: string;
  sql: string;
  saved: string | null;
  keeping: Keeping;
  /** What another window made of it. */
  other: Draft | null;
  run: Run | null;
}

export interface Sheets {
  loaded: boolean;
  error: unknown;
  sheets: Sheet[];
  active: string;
}

/** A pause in typing after which a text is kept. */
const KEEP_MS = 800;
/** A line that is down for so long is told. */
const BROKEN_MS = 4000;
/** How often a run that is not looked at is asked for. */
const ASK_MS = 2000;
/** Tries to keep a text again, after this long. */
const KEEP_AGAIN_MS = 5000;

let state: Sheets = { loaded: false, error: undefined, sheets: [], active: "" };
const listeners = new Set<() => void>();
const timers = new Map<string, ReturnType<typeof setTimeout>>();
const keepingNow = new Map<string, Promise<void>>();
const followers = new Map<string, () => void>();
let keys = 0;

function set(next: Partial<Sheets>): void {
  state = { ...state, ...next };
  for (const listener of listeners) listener();
}

function change(key: string, next: Partial<Sheet> | ((sheet: Sheet) => Partial<Sheet>)): void {
  set({
    sheets: state.sheets.map((sheet) =>
      sheet.key === key ? { ...sheet, ...(typeof next === "function" ? next(sheet) : next) } : sheet,
    ),
  });
}

const find = (key: string) => state.sheets.find((sheet) => sheet.key === key);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** All sheets, and the one that is looked at. */
export const useSheets = () => useSyncExternalStore(subscribe, () => state);

function blank(title: string): Sheet {
  keys += 1;
  const key = `sheet-${keys}`;
  return {
    key,
    draft: null,
    revision: 0,
    title,
    sql: "",
    saved: null,
    keeping: "kept",
    other: null,
    run: null,
  };
}

const fromDraft = (draft: Draft): Sheet => ({
  ...blank(draft.title),
  draft: draft.id,
  revision: draft.revision,
  sql: draft.sql,
  saved: draft.saved,
});

let loading: Promise<void> | null = null;

/** Fetches the sheets once; again after a failure. */
export function loadSheets(): Promise<void> {
  loading ??= load().catch((error: unknown) => {
    loading = null;
    set({ error });
  });
  return loading;
}

async function load(): Promise<void> {
  set({ error: undefined });
  const drafts = (await listDrafts()).sort((a, b) => a.position - b.position);
  const sheets = drafts.length > 0 ? drafts.map(fromDraft) : [blank("")];
  set({ loaded: true, sheets, active: sheets[0]?.key ?? "" });
  for (const [at, draft] of drafts.entries()) {
    const sheet = sheets[at];
    if (draft.query && sheet) void rejoin(sheet.key, draft.query);
  }
}

/** Takes up a run that was begun before this page was loaded. */
async function rejoin(key: string, id: string): Promise<void> {
  try {
    const query = await getQuery(id);
    const sheet = find(key);
    if (!sheet || sheet.run) return;
    const from = Math.max(0, sheet.sql.indexOf(query.sql));
    change(key, { run: { query: null, sql: query.sql, from, pages: null, broken: false, error: undefined } });
    told(key, query);
    if (!isOver(query.state)) follow(key, query.id);
  } catch (error) {
    // An answer that is gone leaves a sheet without one; anything else will show when it is run again.
    if (!(error instanceof ProblemError)) throw error;
  }
}

export function activate(key: string): void {
  const before = state.active;
  if (before === key || !find(key)) return;
  set({ active: key });
  followAnew(before, key);
}

/** Opens a new sheet behind the others and shows it. */
export function openSheet(title = "", sql = "", saved: string | null = null): string {
  const sheet = { ...blank(title), sql, saved };
  const before = state.active;
  set({ sheets: [...state.sheets, sheet], active: sheet.key });
  followAnew(before);
  if (sql !== "") later(sheet.key);
  return sheet.key;
}

/** Shows the sheet of a saved query, opening it where there is none. */
export function openSaved(saved: Saved): void {
  const sheet = state.sheets.find((each) => each.saved === saved.id);
  if (sheet) {
    activate(sheet.key);
    return;
  }
  setBase(saved.id, saved.revision);
  openSheet(saved.name, saved.sql, saved.id);
}

/** Closes a sheet, ends its run and removes its draft; the last one is replaced by an empty one. */
export function closeSheet(key: string): void {
  const at = state.sheets.findIndex((sheet) => sheet.key === key);
  const sheet = state.sheets[at];
  if (!sheet) return;
  stop(key);
  clearTimeout(timers.get(key));
  const left = state.sheets.filter((each) => each.key !== key);
  const sheets = left.length > 0 ? left : [blank("")];
  const next = sheets[Math.min(at, sheets.length - 1)]?.key ?? "";
  set({ sheets, active: state.active === key ? next : state.active });
  followAnew(state.active);
  if (sheet.draft) dropDraft(sheet.draft).catch(() => undefined);
}

export function edit(key: string, sql: string): void {
  if (find(key)?.sql === sql) return;
  change(key, { sql, keeping: "changed" });
  later(key);
}

export function rename(key: string, title: string): void {
  change(key, { title, keeping: "changed" });
  later(key);
}

/** Says that a sheet is a saved query's (or no longer one's). */
export function tie(key: string, saved: string | null, title: string): void {
  change(key, { saved, title, keeping: "changed" });
  later(key);
}

function later(key: string, ms = KEEP_MS): void {
  clearTimeout(timers.get(key));
  timers.set(
    key,
    setTimeout(() => void keep(key), ms),
  );
}

/** Keeps a text now; one call at a time for a sheet, so that revisions follow each other. */
export function keep(key: string): Promise<void> {
  const work = (keepingNow.get(key) ?? Promise.resolve()).then(() => keepOnce(key));
  keepingNow.set(key, work);
  return work;
}

async function keepOnce(key: string): Promise<void> {
  const sheet = find(key);
  if (!sheet || sheet.keeping === "conflict" || (sheet.keeping === "kept" && sheet.draft)) return;
  const { title, sql, saved } = sheet;
  const position = state.sheets.findIndex((each) => each.key === key);
  const body = { title, sql, position, saved };
  try {
    const answer = sheet.draft
      ? await keepDraft(sheet.draft, { ...body, revision: sheet.revision })
      : { draft: await makeDraft(body) };
    if ("other" in answer) {
      change(key, { keeping: "conflict", other: answer.other });
      return;
    }
    change(key, (now) => ({
      draft: answer.draft.id,
      revision: answer.draft.revision,
      keeping: now.sql === sql && now.title === title && now.saved === saved ? "kept" : "changed",
    }));
  } catch {
    change(key, { keeping: "failed" });
    later(key, KEEP_AGAIN_MS);
  }
}

/** Ends a conflict: with the other window's text, or with this one's. */
export function settle(key: string, theirs: boolean): void {
  const sheet = find(key);
  if (!sheet?.other) return;
  const { revision, sql, title } = sheet.other;
  if (theirs) {
    change(key, { sql, title, revision, keeping: "kept", other: null });
    return;
  }
  change(key, { revision, keeping: "changed", other: null });
  void keep(key);
}

/** Keeps what was typed before the window goes. */
export function keepAll(): void {
  for (const sheet of state.sheets) if (sheet.keeping === "changed") void keep(sheet.key);
}

// Runs

/** Runs a part of a sheet; a run of it that still goes on is cancelled first. */
export async function run(key: string, sql: string, from: number): Promise<void> {
  stop(key);
  const started: Run = { query: null, sql, from, pages: null, broken: false, error: undefined };
  change(key, { run: started });
  const sheet = find(key);
  if (!sheet) return;
  if (!sheet.draft) await keep(key);
  try {
    const query = await startQuery(sql, find(key)?.draft ?? null);
    if (find(key)?.run !== started) {
      cancelQuery(query.id).catch(() => undefined);
      return;
    }
    told(key, query);
    if (!isOver(query.state)) follow(key, query.id);
  } catch (error) {
    change(key, (now) => (now.run === started ? { run: { ...started, error } } : {}));
  }
}

/**
 * Follows a run. The sheet that is looked at has a live line; others are asked for now and then, because a browser has few
 * lines to one server (six without HTTP/2) and runs must not use them up.
 */
function follow(key: string, id: string): void {
  followers.get(key)?.();
  const end = key === state.active ? listen(key, id) : ask(key, id);
  followers.set(key, end);
}

function listen(key: string, id: string): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const setBroken = (broken: boolean) => change(key, (now) => (now.run ? { run: { ...now.run, broken } } : {}));
  const stopFollowing = followQuery(
    id,
    (query) => told(key, query),
    (broken) => {
      clearTimeout(timer);
      if (broken) timer = setTimeout(setBroken, BROKEN_MS, true);
      else if (find(key)?.run?.broken) setBroken(false);
    },
  );
  return () => {
    clearTimeout(timer);
    stopFollowing();
  };
}

function ask(key: string, id: string): () => void {
  const timer = setInterval(async () => {
    try {
      const query = await getQuery(id);
      if (find(key)?.run?.query?.id !== id) return;
      told(key, query);
      if (isOver(query.state)) clearInterval(timer);
    } catch {
      // The next time is soon; a sheet that is looked at says that its line is down.
    }
  }, ASK_MS);
  return () => clearInterval(timer);
}

/** Changes who has the live line. */
function followAnew(...keys: string[]): void {
  for (const key of keys) {
    const query = find(key)?.run?.query;
    if (query && !isOver(query.state)) follow(key, query.id);
  }
}

/** Takes in what the server says of a run. */
function told(key: string, query: Query): void {
  change(key, ({ run }) => {
    if (!run || (run.query && run.query.id !== query.id)) return {};
    // An answer that was under way while the run ended (of `cancel`, say) comes too late.
    if (run.query && isOver(run.query.state) && !isOver(query.state)) return {};
    const pages = run.pages ?? (query.columns ? new RowPages(rowLoader(query.id), query.rows) : null);
    pages?.setTotal(query.rows);
    // Columns keep their identity, so that the grid keeps its widths while rows arrive.
    const columns = run.query?.columns ?? query.columns;
    return { run: { ...run, query: { ...query, columns }, pages, error: undefined } };
  });
}

/** Lets go of a run's answer, and cancels it where it still goes on. */
function stop(key: string): void {
  followers.get(key)?.();
  followers.delete(key);
  const run = find(key)?.run;
  run?.pages?.close();
  if (run?.query && !isOver(run.query.state)) cancelQuery(run.query.id).catch(() => undefined);
}

/** Cancels a run; what it says last comes by its events. */
export async function cancel(key: string): Promise<void> {
  const query = find(key)?.run?.query;
  if (!query || isOver(query.state)) return;
  try {
    told(key, await cancelQuery(query.id));
  } catch (error) {
    change(key, (now) => (now.run ? { run: { ...now.run, error } } : {}));
  }
}
