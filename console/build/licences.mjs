// Fails when a package that ends up in the console, or only builds and tests it, has a licence that is not permissive.

import { readFileSync } from "node:fs";
import { join } from "node:path";

const PERMISSIVE = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "Unicode-3.0",
  "Zlib",
]);

// Never linked: they build or test the console, and nothing of them is in what naru serves.
const BUILD_ONLY = {
  argparse: "Python-2.0",
  "axe-core": "MPL-2.0",
  lightningcss: "MPL-2.0",
};

function allowed(licence) {
  const choices = licence.replace(/[()]/g, "").split(/ OR /);
  return choices.some((choice) => choice.split(/ AND /).every((part) => PERMISSIVE.has(part.trim())));
}

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const wrong = [];
let linked = 0;
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === "") continue;
  const name = path.replace(/^.*node_modules\//, "");
  const buildOnly = entry.dev === true || entry.devOptional === true;
  if (!buildOnly) linked += 1;
  let licence = entry.license;
  if (!licence) {
    try {
      licence = JSON.parse(readFileSync(join(path, "package.json"), "utf8")).license;
    } catch {
      // A binary for another system: its main package is here and was judged.
      if (entry.optional) continue;
    }
  }
  if (licence && allowed(licence)) continue;
  const excepted = Object.keys(BUILD_ONLY).find((known) => name === known || name.startsWith(`${known}-`));
  if (buildOnly && excepted && licence === BUILD_ONLY[excepted]) continue;
  wrong.push(`${name} (${licence ?? "no licence"}${buildOnly ? ", build only" : ""})`);
}
if (wrong.length > 0) {
  process.stderr.write(`licences to look at: ${wrong.join(", ")}\n`);
  process.exit(1);
}
process.stdout.write(
  `${linked} linked packages, all permissive; build and test: ${Object.entries(BUILD_ONLY)
    .map((pair) => pair.join(" "))
    .join(", ")}\n`,
);
