// The SQL page in use: written in Hangul, run, scrolled, copied, cancelled, by keyboard alone. Prints what it measured.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { open, settled, visit } from "./browser.mjs";
import { axe, sideways } from "./checks.mjs";

const PLAIN = { language: "en", theme: "light", width: 1280 };
const FRAME_MS_MAX = 1000;
const WAIT = { timeout: 60_000 };

const rows = (count) =>
  `SELECT n, CONCAT('행 ', CAST(n AS STRING)) AS name, -n AS minus, '=1+1' AS formula ` +
  `FROM UNNEST(GENERATE_ARRAY(1, ${count})) AS n ORDER BY n`;
const LONG =
  "SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS a CROSS JOIN UNNEST(GENERATE_ARRAY(1, 1000000)) AS b";

/** A person on the page, with a sheet of their own. */
async function working(house, origin, looks, use) {
  const { context, page, wrong } = await open(house, looks);
  try {
    await visit(page, `${origin}/sql`);
    await page.locator(".cm-content").waitFor(WAIT);
    await page.getByRole("button", { name: looks.language === "ko" ? "새 시트" : "New sheet" }).click();
    await use(page, context);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

async function write(page, sql) {
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(sql);
}

async function run(page, sql) {
  await write(page, sql);
  await page.keyboard.press("ControlOrMeta+Enter");
  await page.getByRole("grid").waitFor(WAIT);
}

const finished = (page) => page.getByText("Done", { exact: true }).waitFor(WAIT);

const clipboard = (page) =>
  page.evaluate(async () => {
    const [item] = await navigator.clipboard.read();
    const parts = {};
    for (const type of item.types) parts[type] = await (await item.getType(type)).text();
    return parts;
  });

/** The frames of the page while `act` goes on: how many, and the longest. */
async function frames(page, act) {
  await page.evaluate(() => {
    const seen = { longest: 0, count: 0, going: true };
    window.seenFrames = seen;
    let last = performance.now();
    const tick = (now) => {
      seen.longest = Math.max(seen.longest, now - last);
      seen.count += 1;
      last = now;
      if (seen.going) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  await act();
  const { longest, count } = await page.evaluate(() => {
    window.seenFrames.going = false;
    return window.seenFrames;
  });
  return { longest: Math.round(longest), count };
}

const jumps = (page) =>
  page.evaluate(async () => {
    const grid = document.querySelector("[role=grid]");
    for (let step = 0; step <= 200; step += 1) {
      grid.scrollTop = (grid.scrollHeight * step) / 200;
      await new Promise((drawn) => requestAnimationFrame(drawn));
    }
  });

async function scrollsAlive(page, count) {
  await run(page, rows(count));
  await finished(page);
  const grid = page.getByRole("grid");
  await grid.hover();
  const wheel = await frames(page, async () => {
    for (let step = 0; step < 100; step += 1) await page.mouse.wheel(0, 400);
  });
  const bar = await frames(page, () => jumps(page));
  await grid.focus();
  await page.keyboard.press("ControlOrMeta+End");
  const last = count.toLocaleString("en-US");
  await page.getByRole("rowheader", { name: last, exact: true }).waitFor(WAIT);
  await page.getByRole("gridcell", { name: `행 ${count}`, exact: true }).waitFor(WAIT);
  process.stdout.write(`${last} rows: longest frame ${wheel.longest} ms by wheel, ${bar.longest} ms by bar\n`);
  assert.ok(wheel.longest < FRAME_MS_MAX && bar.longest < FRAME_MS_MAX);
}

export const sqlBehaviours = {
  "Hangul composed in the editor arrives whole and its Enter runs nothing": (house, origin) =>
    working(house, origin, { ...PLAIN, language: "ko" }, async (page, context) => {
      await write(page, "SELECT '");
      const devtools = await context.newCDPSession(page);
      for (const text of ["ㅎ", "하", "한"]) {
        await devtools.send("Input.imeSetComposition", { text, selectionStart: 1, selectionEnd: 1 });
      }
      await devtools.send("Input.insertText", { text: "한" });
      for (const text of ["ㄱ", "그", "글"]) {
        await devtools.send("Input.imeSetComposition", { text, selectionStart: 1, selectionEnd: 1 });
      }
      await page.evaluate(() => {
        const key = { key: "Enter", keyCode: 229, ctrlKey: true, bubbles: true, isComposing: true };
        document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", key));
      });
      await devtools.send("Input.insertText", { text: "글" });
      assert.match(await page.locator(".cm-content").textContent(), /^SELECT '한글/);
      assert.equal(await page.getByRole("region", { name: "결과" }).count(), 0);
    }),

  "a range is copied as text and as a table, with names only on Shift": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await run(page, rows(50));
      await finished(page);
      await page.getByRole("gridcell", { name: "행 2", exact: true }).click();
      await page.keyboard.press("Shift+ArrowDown");
      await page.keyboard.press("Shift+ArrowRight");
      await page.keyboard.press("Shift+ArrowRight");
      await page.keyboard.press("ControlOrMeta+c");
      await page.getByText(/^Copied 2 rows/).waitFor(WAIT);
      const plain = await clipboard(page);
      assert.equal(plain["text/plain"], "행 2\t-2\t'=1+1\n행 3\t-3\t'=1+1");
      const lines = [...plain["text/html"].matchAll(/<tr>(.*?)<\/tr>/g)].map(([, line]) =>
        line.replace(/<[^>]*>/g, "|"),
      );
      assert.deepEqual(lines, ["|행 2||-2||'=1+1|", "|행 3||-3||'=1+1|"]);
      await page.keyboard.press("ControlOrMeta+Shift+c");
      await page.getByText(/with column names/).waitFor(WAIT);
      assert.match((await clipboard(page))["text/plain"], /^name\tminus\tformula\n행 2\t/);
    }),

  "rows that were never shown are fetched for the clipboard, and too many are refused in words": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await run(page, rows(300_000));
      await finished(page);
      await page.getByRole("columnheader", { name: /^name/ }).click();
      await page.keyboard.press("ControlOrMeta+c");
      await page.getByText(/^Copied 300,000 rows/).waitFor(WAIT);
      const lines = (await clipboard(page))["text/plain"].split("\n");
      assert.deepEqual([lines.length, lines.at(-1)], [300_000, "행 300000"]);
      await page.keyboard.press("ControlOrMeta+a");
      await page.keyboard.press("ControlOrMeta+c");
      await page.getByText(/1,200,000 cells; the clipboard takes 500,000/).waitFor(WAIT);
    }),

  "100,000 rows scroll without a dropped second": (house, origin) =>
    working(house, origin, PLAIN, (page) => scrollsAlive(page, 100_000)),

  "a million rows never stall the page": (house, origin) =>
    working(house, origin, PLAIN, (page) => scrollsAlive(page, 1_000_000)),

  "a sheet goes on running while another is used, and is cancelled": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await write(page, LONG);
      await page.keyboard.press("ControlOrMeta+Enter");
      await page.getByText("Running", { exact: true }).waitFor(WAIT);
      await page.getByRole("button", { name: "New sheet" }).click();
      await run(page, rows(3));
      await finished(page);
      await page.getByRole("tab", { name: /running/ }).click();
      await page.getByText("Running", { exact: true }).waitFor(WAIT);
      const asked = Date.now();
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByText("Cancelled", { exact: true }).waitFor(WAIT);
      process.stdout.write(`cancelled after ${Date.now() - asked} ms\n`);
    }),

  "an answer is downloaded whole, as a CSV whose Hangul Excel reads, and as a workbook": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await run(page, rows(20_000));
      await finished(page);
      const take = async (item) => {
        const coming = page.waitForEvent("download", WAIT);
        await page.getByRole("button", { name: "Download", exact: true }).click();
        await page.getByRole("menuitem", { name: item }).click();
        const file = await coming;
        return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
      };
      const csv = await take(/^CSV/);
      const lines = csv.bytes.toString("utf8").trimEnd().split("\r\n");
      assert.match(csv.name, /\.csv$/);
      assert.equal(lines[0], "\ufeffn,name,minus,formula");
      assert.deepEqual([lines.length, lines.at(-1)], [20_001, "20000,행 20000,-20000,'=1+1"]);
      const book = await take(/^Excel/);
      assert.match(book.name, /\.xlsx$/);
      assert.equal(book.bytes.subarray(0, 2).toString(), "PK");
    }),

  "a value is found in an answer and opened in full": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await run(
        page,
        "SELECT n, [STRUCT(n AS id, '가' AS word)] AS parts FROM UNNEST(GENERATE_ARRAY(1, 5000)) AS n ORDER BY n",
      );
      await finished(page);
      await page.getByRole("grid").focus();
      await page.keyboard.press("ControlOrMeta+f");
      await page.keyboard.type("4321");
      await page.getByText("1 of 2", { exact: true }).waitFor(WAIT);
      await page.keyboard.press("Enter");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Enter");
      const cell = page.getByRole("complementary", { name: "Cell" });
      await cell.getByText("4321").waitFor(WAIT);
      await cell.getByText("가").waitFor(WAIT);
    }),

  "a mistake is underlined where it stands, with what was meant": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await write(page, "SELECT n\nFROM UNNEST([1, 2]) AS n\nWHERE nn = 1");
      await page.locator(".cm-lintRange-error").first().waitFor(WAIT);
      assert.equal(await page.locator(".cm-line").nth(2).locator(".cm-lintRange-error").count(), 1);
      await page.getByText("1 mistake").waitFor(WAIT);
    }),

  "by keyboard alone from an empty sheet to a copied cell": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      const focused = () => page.evaluate(() => document.activeElement?.getAttribute("role") ?? "");
      const tabTo = async (role) => {
        for (let press = 0; press < 60 && (await focused()) !== role; press += 1) await page.keyboard.press("Tab");
        assert.equal(await focused(), role);
      };
      await tabTo("textbox");
      await page.keyboard.insertText("SELECT 41 + 1 AS answer");
      await page.keyboard.press("ControlOrMeta+Enter");
      await finished(page);
      await page.keyboard.press("Escape");
      await tabTo("grid");
      await page.keyboard.press("ControlOrMeta+c");
      await page.getByText(/^Copied 1 row/).waitFor(WAIT);
      assert.equal((await clipboard(page))["text/plain"], "42");
    }),

  "what was written and run is there after a reload": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await run(page, "SELECT '다시' AS again, 7 AS n");
      await finished(page);
      await page.getByText("Draft kept").waitFor(WAIT);
      await page.reload();
      await settled(page);
      await page.getByRole("tab").last().click();
      await page.getByText("SELECT '다시' AS again").waitFor(WAIT);
      await page.getByRole("gridcell", { name: "다시", exact: true }).waitFor(WAIT);
    }),

  "a query saved has an address that opens it": (house, origin) =>
    working(house, origin, PLAIN, async (page) => {
      await write(page, "SELECT 'saved' AS word");
      await page.keyboard.press("ControlOrMeta+s");
      const name = `매출 ${Date.now()}`;
      await page.getByRole("textbox", { name: "Name" }).fill(name);
      await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
      await page.waitForURL(/\/sql\/.+/);
      await page.goto(page.url());
      await page.getByRole("tab", { name, selected: true }).waitFor(WAIT);
      await page.getByText("SELECT 'saved' AS word").waitFor(WAIT);
    }),

  "an answer has nothing that axe objects to, in both themes and both widths": async (house, origin) => {
    for (const theme of ["light", "dark"]) {
      for (const width of [1280, 360]) {
        await working(house, origin, { ...PLAIN, theme, width }, async (page) => {
          await run(page, rows(200));
          await finished(page);
          assert.deepEqual([...(await axe(page)), ...(await sideways(page))], []);
        });
      }
    }
  },
};
