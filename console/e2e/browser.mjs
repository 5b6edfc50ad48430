// A browser that is signed in: Debian's Chromium, driven by playwright-core, without the network.

import { chromium } from "playwright-core";

const CHROMIUM = process.env.NARU_CHROMIUM ?? "/usr/bin/chromium";

// A page that is not there by then, on a loaded machine, does not come.
const TIMEOUT_MS = 20_000;

/** Opens the browser and signs in with the one-time link; gives the cookies. */
export async function signIn(link) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  const context = await browser.newContext({ reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(link);
  await page.waitForURL((url) => !url.pathname.startsWith("/signin"));
  const state = await context.storageState();
  await context.close();
  return { browser, state };
}

/** A page in one language, one theme, one width. Collects what goes wrong in it. */
export async function open(house, { language, theme, width, touch = width < 600 }) {
  const context = await house.browser.newContext({
    storageState: house.state,
    locale: language === "ko" ? "ko-KR" : "en-GB",
    timezoneId: "Asia/Seoul",
    colorScheme: theme,
    viewport: { width, height: width < 600 ? 760 : 820 },
    hasTouch: touch,
    reducedMotion: "reduce",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  const wrong = [];
  page.on("console", (message) => {
    if (message.type() === "error") wrong.push(`console: ${message.text()} ${message.location().url ?? ""}`);
  });
  page.on("pageerror", (error) => wrong.push(`page: ${error.message}`));
  return { context, page, wrong };
}

/** Goes to a path and waits until nothing on it is loading. */
export async function visit(page, url) {
  await page.goto(url);
  await settled(page);
}

export async function settled(page) {
  await page.waitForFunction(() => {
    const main = document.querySelector("main");
    return main !== null && (main.textContent ?? "").trim() !== "" && !document.querySelector("[data-loading]");
  });
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
}
