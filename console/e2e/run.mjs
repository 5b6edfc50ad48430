// Looks at every page in both languages, light and dark, wide and narrow. Started by the test `console` of naru-tests,
// which gives the one-time link of a running naru: `node e2e/run.mjs LINK [PICTURES]`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { behaviours } from "./behaviours.mjs";
import { open, settled, signIn, visit } from "./browser.mjs";
import { axe, sideways, unreachable } from "./checks.mjs";
import { PAGES } from "./pages.mjs";

const [link, pictures] = process.argv.slice(2);
// For work on one page: NARU_E2E=sync looks at pages and behaviours whose name has it.
const only = new RegExp(process.env.NARU_E2E ?? "");
const origin = new URL(link).origin;
const failures = [];

/** Said at once: a look at everything takes minutes. */
function fail(what) {
  failures.push(what);
  process.stderr.write(`${what}\n`);
}

/** Each page twice for the guide: as most people see it, and as it is hardest to get right. */
function pictureOf(page, { language, theme, width }) {
  if (language === "en" && theme === "light" && width === 1280) return `${page.name}.png`;
  if (language === "ko" && theme === "dark" && width === 360) return `${page.name}-ko-dark-360.png`;
  return undefined;
}

async function look(house, looks) {
  const { context, page, wrong } = await open(house, looks);
  for (const each of PAGES.filter((each) => only.test(each.name))) {
    const where = `${each.name} ${looks.language} ${looks.theme} ${looks.width}`;
    try {
      await visit(page, origin + each.path);
      if (each.ready) await page.waitForSelector(each.ready);
      await settled(page);
      const picture = pictureOf(each, looks);
      if (pictures && picture) await page.screenshot({ path: join(pictures, picture) });
      const found = [...(await axe(page)), ...(await sideways(page)), ...wrong.splice(0)];
      if (looks.theme === "light") found.push(...(await unreachable(page)), ...wrong.splice(0));
      for (const what of found) fail(`${where}: ${what}`);
    } catch (error) {
      for (const what of [error.message, ...wrong.splice(0)]) fail(`${where}: ${what}`);
    }
  }
  await context.close();
}

if (pictures) mkdirSync(pictures, { recursive: true });
const house = await signIn(link);
try {
  for (const language of ["en", "ko"]) {
    for (const theme of ["light", "dark"]) {
      for (const width of [1280, 360]) await look(house, { language, theme, width });
    }
  }
  for (const [name, behaviour] of Object.entries(behaviours).filter(([name]) => only.test(name))) {
    try {
      await behaviour(house, origin);
    } catch (error) {
      fail(`${name}: ${error.message}`);
    }
  }
} finally {
  await house.browser.close();
}
process.stdout.write(
  `${PAGES.length} pages, ${Object.keys(behaviours).length} behaviours, ${failures.length} failures\n`,
);
process.exit(failures.length === 0 ? 0 : 1);
