// Marts, sources and topics in use, over a real naru: planned and run, compared and paused, mended and replayed.

import assert from "node:assert/strict";
import { open, visit } from "./browser.mjs";

const PLAIN = { language: "en", theme: "light", width: 1280 };

async function using(house, looks, use) {
  const { context, page, wrong } = await open(house, looks);
  try {
    await use(page);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

const dialog = (page) => page.getByRole("dialog");

export const operationsBehaviours = {
  "a run opens on the mart that failed, with its line and what to do": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/runs/1`);
      await page.getByRole("heading", { name: "finance.refund_rate" }).waitFor();
      await page.getByText("division by zero").first().waitFor();
      await page.locator("code[data-marked]").first().waitFor();
    }),

  "the first failure of the marts is one key away, and cells are reached by arrows": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/marts`);
      await page.locator("[data-row='0'][data-at='24']").focus();
      await page.keyboard.press("ArrowDown");
      assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("data-row")), "1");
      await page.keyboard.press("f");
      await page.waitForURL(/\/runs\/\d+\?mart=finance\.refund_rate/);
    }),

  "marts are run after what will happen was shown": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/marts/staging.orders`);
      await page.getByRole("button", { name: "Run…" }).click();
      await dialog(page).getByText("1 mart is built, in this order").waitFor();
      await dialog(page).getByText("Also everything that reads it").click();
      await dialog(page).getByText("finance.daily_sales").waitFor();
      await dialog(page).getByRole("button", { name: "Run", exact: true }).click();
      await page.waitForURL(/\/runs\/\d+/);
      await page.getByText("complete", { exact: true }).first().waitFor({ timeout: 60_000 });
    }),

  "a synced table is compared with its source, paused and resumed": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/sync/shop/shop.products`);
      await page.getByRole("button", { name: "Compare with the source" }).click();
      await page.getByText(/Source and lake are the same/).waitFor({ timeout: 60_000 });
      await page.getByRole("button", { name: "Pause…" }).click();
      await dialog(page).getByText("Its changes wait on this machine's disk").waitFor();
      await dialog(page).getByRole("button", { name: "Pause", exact: true }).click();
      await page.getByRole("button", { name: "Resume…" }).click({ timeout: 60_000 });
      await dialog(page).getByRole("button", { name: "Resume", exact: true }).click();
      await page.getByRole("button", { name: "Pause…" }).waitFor({ timeout: 60_000 });
    }),

  "a dead letter is mended, counted and replayed, and then its group": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/topics/clicks/dead`);
      const event = page.locator("textarea").first();
      const came = await event.inputValue();
      await event.fill(came.replace(/\{\s*"id": 7\s*\}/, "7"));
      await page.getByText("It fits the columns as they are now.").waitFor();
      await page.getByRole("button", { name: "Replay this letter…" }).click();
      await dialog(page).getByText("1 of 1 letter would go into the table now").waitFor();
      await dialog(page).getByRole("button", { name: "Replay", exact: true }).click();
      await dialog(page).getByText("1 letter is in the table now").waitFor({ timeout: 60_000 });
      await dialog(page).getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: "Replay these…" }).first().click();
      await dialog(page).locator("textarea").fill("user_id=1");
      await dialog(page)
        .getByText(/^(\d+) of \1 letters would go/)
        .waitFor();
      await dialog(page).getByRole("button", { name: "Replay", exact: true }).click();
      await dialog(page)
        .getByText(/letters are in the table now/)
        .waitFor({ timeout: 60_000 });
    }),

  "events are followed as they come, and filtered by a field": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/topics/clicks?json=user_id%3D11`);
      await page
        .getByText(/"user_id": 11/)
        .first()
        .waitFor();
      assert.equal(await page.getByText(/"user_id": 12/).count(), 0);
    }),
};
