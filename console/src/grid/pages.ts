// The rows of an answer that are in the browser, page by page, and which are fetched next.
//
// Owns: what is asked of the server, how much at once, what is kept and what is let go. Rows are never changed. Knows
// nothing of what is drawn.

import type { Cell } from "./values";

export type Row = Cell[];

/** Fetches rows `from … from+count`; may answer fewer (an answer has a limit of bytes) but never none while there are. */
export type LoadRows = (from: number, count: number, signal: AbortSignal) => Promise<Row[]>;

/** Rows a page. */
export const PAGE_ROWS = 500;
/** Pages kept: 100,000 rows, more than anyone scrolls back through at once. */
const PAGES_MAX = 200;
/** Requests under way at once for what is seen. */
const LOADS_MAX = 3;
/** Rows asked for at once where many are needed (copying, searching). */
const BULK_ROWS = 5000;

interface Page {
  rows: Row[];
}

/** Rows seen by their place; the parts that are missing are fetched where they are wanted. */
export class RowPages {
  private readonly load: LoadRows;
  private total: number;
  /** In order of use, the least recent first. */
  private readonly pages = new Map<number, Page>();
  private readonly loading = new Map<number, AbortController>();
  private readonly failed = new Map<number, unknown>();
  private wanted: number[] = [];
  private readonly listeners = new Set<() => void>();
  private version = 0;
  private closed = false;

  constructor(load: LoadRows, total: number) {
    this.load = load;
    this.total = total;
  }

  /** How many rows there are now; a growing answer is told here. */
  setTotal(total: number): void {
    if (total === this.total) return;
    this.total = total;
    this.pump();
  }

  get rows(): number {
    return this.total;
  }

  /** A row that is in the browser. */
  row(index: number): Row | undefined {
    return this.pages.get(Math.floor(index / PAGE_ROWS))?.rows[index % PAGE_ROWS];
  }

  /** Whether every row from `first` to `last` is in the browser. */
  has(first: number, last: number): boolean {
    for (let page = pageOf(first); page <= pageOf(last); page++) if (!this.isWhole(page, last)) return false;
    return true;
  }

  private isWhole(page: number, last: number): boolean {
    const need = Math.min(last + 1, (page + 1) * PAGE_ROWS, this.total) - page * PAGE_ROWS;
    return (this.pages.get(page)?.rows.length ?? 0) >= need;
  }

  /** What is seen now, first and last row: fetched first, with a page on both sides; what was wanted before is not. */
  want(first: number, last: number): void {
    const [from, to] = [pageOf(first), pageOf(Math.max(first, last))];
    this.wanted = [];
    for (let page = from; page <= to; page++) this.wanted.push(page);
    this.wanted.push(to + 1);
    if (from > 0) this.wanted.push(from - 1);
    for (const [page, abort] of this.loading) if (!this.wanted.includes(page)) abort.abort();
    this.pump();
  }

  private pump(): void {
    if (this.closed) return;
    for (const page of this.wanted) {
      if (this.loading.size >= LOADS_MAX) return;
      if (page * PAGE_ROWS >= this.total || this.loading.has(page) || this.failed.has(page)) continue;
      const held = this.pages.get(page);
      if (held) this.touch(page, held);
      if (!this.isWhole(page, (page + 1) * PAGE_ROWS - 1)) void this.fetch(page);
    }
  }

  private async fetch(page: number): Promise<void> {
    const abort = new AbortController();
    this.loading.set(page, abort);
    const from = page * PAGE_ROWS;
    try {
      const rows = await this.loadAll(from, Math.min(from + PAGE_ROWS, this.total), abort.signal);
      if (this.closed || abort.signal.aborted) return;
      this.keep(page, rows);
    } catch (error) {
      if (!abort.signal.aborted && !this.closed) this.failed.set(page, error);
    } finally {
      this.loading.delete(page);
      if (!this.closed) {
        this.changed();
        this.pump();
      }
    }
  }

  private async loadAll(from: number, to: number, signal: AbortSignal): Promise<Row[]> {
    const rows: Row[] = [];
    while (from + rows.length < to) {
      const more = await this.load(from + rows.length, to - from - rows.length, signal);
      if (more.length === 0) break;
      rows.push(...more);
    }
    return rows;
  }

  private keep(page: number, rows: Row[]): void {
    const held = this.pages.get(page);
    this.touch(page, held && held.rows.length > rows.length ? held : { rows });
    this.failed.delete(page);
    for (const oldest of this.pages.keys()) {
      if (this.pages.size <= PAGES_MAX) break;
      if (!this.wanted.includes(oldest)) this.pages.delete(oldest);
    }
  }

  private touch(page: number, held: Page): void {
    this.pages.delete(page);
    this.pages.set(page, held);
  }

  /**
   * Every row of a range, in order, fetching what is missing in large pieces. `seen` is told how many rows are done.
   * Rejects where the server fails or `signal` aborts.
   */
  async *range(first: number, last: number, signal: AbortSignal): AsyncGenerator<{ from: number; rows: Row[] }> {
    let from = first;
    while (from <= last) {
      const here = this.held(from, last);
      if (here.length > 0) {
        yield { from, rows: here };
        from += here.length;
        continue;
      }
      const rows = await this.load(from, Math.min(BULK_ROWS, last + 1 - from), signal);
      signal.throwIfAborted();
      if (rows.length === 0) throw new Error(`row ${from} is missing`);
      yield { from, rows };
      from += rows.length;
    }
  }

  /** The rows in the browser from `first` on without a gap. */
  private held(first: number, last: number): Row[] {
    const page = this.pages.get(pageOf(first));
    const at = first % PAGE_ROWS;
    return page ? page.rows.slice(at, Math.min(page.rows.length, at + last + 1 - first)) : [];
  }

  /** The first failure of what is wanted. */
  get failure(): unknown {
    for (const page of this.wanted) if (this.failed.has(page)) return this.failed.get(page);
    return undefined;
  }

  /** Fetches again what failed. */
  retry(): void {
    this.failed.clear();
    this.changed();
    this.pump();
  }

  /** Ends all requests; nothing is told any more. */
  close(): void {
    this.closed = true;
    for (const abort of this.loading.values()) abort.abort();
    this.listeners.clear();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Changes whenever a row arrived or a request failed. */
  readonly snapshot = (): number => this.version;

  private changed(): void {
    this.version += 1;
    for (const listener of this.listeners) listener();
  }
}

const pageOf = (row: number) => Math.floor(row / PAGE_ROWS);
