import { describe, expect, test, vi } from "vitest";
import { type LoadRows, PAGE_ROWS, RowPages } from "./pages";

const rowsOf = (from: number, count: number, total: number) =>
  Array.from({ length: Math.max(0, Math.min(count, total - from)) }, (_, at) => [from + at]);

/** A server of `total` rows that notes what it was asked. */
function server(total: number, most = 5000) {
  const asked: [number, number][] = [];
  const load: LoadRows = async (from, count) => {
    asked.push([from, count]);
    return rowsOf(from, Math.min(count, most), total);
  };
  return { asked, load };
}

const settled = (pages: RowPages, first: number, last: number) =>
  new Promise<void>((resolve) => {
    const look = () => {
      if (!pages.has(first, last)) return;
      stop();
      resolve();
    };
    const stop = pages.subscribe(look);
    if (pages.has(first, last)) look();
  });

describe("what is seen", () => {
  test("is fetched with a page on both sides", async () => {
    const { asked, load } = server(100_000);
    const pages = new RowPages(load, 100_000);
    pages.want(50_010, 50_050);
    await settled(pages, 49_500, 50_999);
    expect(asked).toEqual([
      [50_000, PAGE_ROWS],
      [50_500, PAGE_ROWS],
      [49_500, PAGE_ROWS],
    ]);
    expect(pages.row(50_010)).toEqual([50_010]);
  });

  test("is not fetched again", async () => {
    const { asked, load } = server(400);
    const pages = new RowPages(load, 400);
    pages.want(0, 30);
    await settled(pages, 0, 399);
    pages.want(10, 40);
    pages.want(300, 399);
    expect(asked).toHaveLength(1);
  });

  test("is fetched until it is whole when the server answers in pieces", async () => {
    const { asked, load } = server(1000, 200);
    const pages = new RowPages(load, 1000);
    pages.want(0, 30);
    await settled(pages, 0, 499);
    expect(asked.slice(0, 1)).toEqual([[0, 500]]);
    expect(pages.row(499)).toEqual([499]);
  });

  test("no longer is: its request ends and what is seen now comes first", async () => {
    const aborted: number[] = [];
    const load: LoadRows = (from, count, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => {
          aborted.push(from);
          reject(signal.reason);
        });
        if (from >= 90_000) resolve(rowsOf(from, count, 100_000));
      });
    const pages = new RowPages(load, 100_000);
    pages.want(0, 30);
    pages.want(90_000, 90_030);
    await settled(pages, 90_000, 90_499);
    expect(aborted).toEqual([0, 500]);
    expect(pages.failure).toBeUndefined();
  });
});

test("a growing answer is fetched where it grew", async () => {
  let total = 120;
  const load: LoadRows = async (from, count) => rowsOf(from, count, total);
  const pages = new RowPages(load, total);
  pages.want(0, 40);
  await settled(pages, 0, 119);
  total = 300;
  pages.setTotal(300);
  await settled(pages, 0, 299);
  expect(pages.row(299)).toEqual([299]);
});

test("a failure is told once and mended by asking again", async () => {
  let broken = true;
  const load: LoadRows = async (from, count) => {
    if (broken) throw new Error("gone");
    return rowsOf(from, count, 100);
  };
  const pages = new RowPages(load, 100);
  pages.want(0, 40);
  await vi.waitFor(() => expect(pages.failure).toEqual(new Error("gone")));
  broken = false;
  pages.retry();
  await settled(pages, 0, 99);
  expect(pages.failure).toBeUndefined();
});

test("pages least recently seen are let go beyond the limit", async () => {
  const { load } = server(1_000_000);
  const pages = new RowPages(load, 1_000_000);
  for (let at = 0; at < 260; at++) {
    pages.want(at * PAGE_ROWS, at * PAGE_ROWS + 10);
    await settled(pages, at * PAGE_ROWS, at * PAGE_ROWS + 10);
  }
  expect(pages.row(0)).toBeUndefined();
  expect(pages.row(259 * PAGE_ROWS)).toEqual([259 * PAGE_ROWS]);
});

describe("a range", () => {
  const collect = async (pages: RowPages, first: number, last: number) => {
    const rows = [];
    for await (const piece of pages.range(first, last, new AbortController().signal)) rows.push(...piece.rows);
    return rows;
  };

  test("is whole and in order, whatever is in the browser already", async () => {
    const { asked, load } = server(20_000);
    const pages = new RowPages(load, 20_000);
    pages.want(6000, 6100);
    await settled(pages, 6000, 6400);
    const before = asked.length;
    const rows = await collect(pages, 100, 13_000);
    expect(rows).toEqual(rowsOf(100, 12_901, 20_000));
    expect(asked.slice(before).every(([, count]) => count <= 5000)).toBe(true);
  });

  test("ends when it is told to", async () => {
    const { load } = server(20_000);
    const pages = new RowPages(load, 20_000);
    const abort = new AbortController();
    const walk = async () => {
      for await (const piece of pages.range(0, 19_999, abort.signal)) if (piece.from === 0) abort.abort();
    };
    await expect(walk()).rejects.toThrow();
  });
});
