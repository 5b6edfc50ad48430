// What must hold on every page: axe finds nothing, nothing scrolls sideways, the keyboard reaches everything.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe objects to, one line each. */
export async function axe(page) {
  await page.evaluate(AXE);
  const violations = await page.evaluate(
    async (rules) => (await window.axe.run(document, { runOnly: { type: "tag", values: rules } })).violations,
    RULES,
  );
  return violations.flatMap(({ id, help, nodes }) =>
    nodes
      .slice(0, 5)
      .map((node) => `axe ${id}: ${help}: ${node.target.join(" ")} ${node.failureSummary?.split("\n")[1] ?? ""}`),
  );
}

/** Whether the page itself scrolls sideways, and what is too wide. */
export async function sideways(page) {
  return page.evaluate(() => {
    const most = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= most) return [];
    const wide = [...document.querySelectorAll("body *")].filter(
      (element) => element.getBoundingClientRect().right > most + 1,
    );
    const names = wide.slice(-4).map((element) => `${element.tagName.toLowerCase()}.${element.className}`);
    return [`scrolls sideways (${document.documentElement.scrollWidth} > ${most}): ${names.join(", ")}`];
  });
}

const TABS_MAX = 250;

/**
 * What Tab does not reach. Within a composite widget (tabs, menus, grids, a toolbar of react-aria) one stop is enough:
 * arrows do the rest.
 */
export async function unreachable(page) {
  const expected = await page.evaluate(() => {
    const composite =
      "[role=tablist],[role=menu],[role=listbox],[role=grid],[role=treegrid],[role=tree],[role=toolbar],.cm-editor";
    const candidates = document.querySelectorAll(
      "a[href],button:not(:disabled),input:not(:disabled),select,textarea,[tabindex='0'],summary",
    );
    const list = [...candidates].filter((element) => {
      const box = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      const shown =
        box.width > 0 &&
        box.height > 0 &&
        style.visibility !== "hidden" &&
        !element.closest("[inert],[aria-hidden=true]");
      return (
        shown &&
        element.tabIndex >= 0 &&
        !element.parentElement?.closest(composite) &&
        element.getAttribute("type") !== "radio"
      );
    });
    list.forEach((element, at) => {
      element.dataset.e2eStop = String(at);
    });
    return list.map(
      (element) =>
        `${element.tagName.toLowerCase()} ${element.getAttribute("aria-label") ?? element.textContent?.trim().slice(0, 40)}`,
    );
  });
  const seen = new Set();
  await page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  for (
    let pressed = 0;
    pressed < Math.min(TABS_MAX, expected.length * 2 + 20) && seen.size < expected.length;
    pressed += 1
  ) {
    // In an editor Tab indents; Escape before it leaves, as CodeMirror says.
    if (await page.evaluate(() => document.activeElement?.closest(".cm-editor") !== null))
      await page.keyboard.press("Escape");
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => document.activeElement?.dataset?.e2eStop);
    if (stop !== undefined) seen.add(Number(stop));
  }
  return expected.filter((_, at) => !seen.has(at)).map((what) => `Tab does not reach: ${what}`);
}
