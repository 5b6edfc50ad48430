// What the console does when it is used: by keyboard, in Hangul, signed out, with the strict content security policy.

import assert from "node:assert/strict";
import { open, settled, visit } from "./browser.mjs";
import { operationsBehaviours } from "./operations.mjs";
import { sqlBehaviours } from "./sql.mjs";

const PLAIN = { language: "en", theme: "light", width: 1280 };

async function using(house, looks, use) {
  const { context, page, wrong } = await open(house, looks);
  try {
    await use(page, context);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

export const behaviours = {
  "the palette opens by keyboard and leads to a page": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, origin);
      await page.keyboard.press("Control+k");
      const input = page.getByRole("combobox");
      await input.waitFor();
      await page.keyboard.type("home");
      await page.getByRole("option", { name: "Home" }).first().waitFor();
      await page.keyboard.press("Enter");
      await input.waitFor({ state: "detached" });
      assert.equal(new URL(page.url()).pathname, "/");
    }),

  "Enter that ends a Hangul syllable does not choose": (house, origin) =>
    using(house, { ...PLAIN, language: "ko" }, async (page, context) => {
      await visit(page, origin);
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").waitFor();
      const devtools = await context.newCDPSession(page);
      await devtools.send("Input.imeSetComposition", { text: "호", selectionStart: 1, selectionEnd: 1 });
      await devtools.send("Input.imeSetComposition", { text: "홈", selectionStart: 1, selectionEnd: 1 });
      await page.evaluate(() => {
        const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, isComposing: true });
        document.activeElement?.dispatchEvent(event);
      });
      assert.equal(await page.getByRole("combobox").inputValue(), "홈");
      await devtools.send("Input.insertText", { text: "홈" });
      assert.equal(await page.getByRole("combobox").inputValue(), "홈");
      await page.keyboard.press("Escape");
    }),

  "the help lists the keys, and the language is kept over a reload": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, origin);
      await page.keyboard.press("?");
      await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: /^Account/ }).click();
      await page.getByRole("menuitem", { name: "한국어" }).click();
      await page.reload();
      await settled(page);
      assert.equal(await page.locator("html").getAttribute("lang"), "ko");
      await page.getByRole("link", { name: "홈" }).waitFor();
    }),

  "dark is kept over a reload": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, origin);
      await page.getByRole("button", { name: /^Account/ }).click();
      await page.getByRole("menuitem", { name: "Dark" }).click();
      await page.reload();
      await settled(page);
      const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      assert.equal(ground, "rgb(14, 17, 22)");
    }),

  "the page allows no inline script and no other host": async (house, origin) => {
    const answer = await fetch(origin, { headers: { accept: "text/html" } });
    const policy = answer.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!policy.includes("unsafe"), policy);
    await using(house, PLAIN, async (page) => {
      await visit(page, origin);
      const ran = await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "window.inlineRan = true";
        document.head.append(script);
        return window.inlineRan === true;
      });
      assert.equal(ran, false);
    }).catch((error) => {
      // Chromium says so on the console, which is what is wanted here.
      if (!/Content Security Policy/.test(error.message)) throw error;
    });
  },

  "an address that does not exist leads home": (house, origin) =>
    using(house, PLAIN, async (page) => {
      await visit(page, `${origin}/nothing/here`);
      await page.getByRole("button", { name: "Go to Home" }).click();
      await settled(page);
      assert.equal(new URL(page.url()).pathname, "/");
    }),

  "nobody sees anything but the way in": async (house, origin) => {
    const signedOut = { browser: house.browser, state: { cookies: [], origins: [] } };
    await using(signedOut, PLAIN, async (page) => {
      await page.goto(`${origin}/`);
      await page.waitForFunction(() => (document.querySelector("main")?.textContent ?? "").length > 0);
      assert.equal(await page.getByRole("navigation").count(), 0);
    }).catch((error) => {
      // The browser reports the one refused call, GET /api/v1/me.
      if (!/401/.test(error.message)) throw error;
    });
  },

  ...sqlBehaviours,
  ...operationsBehaviours,
};
