// Prints what a browser loads (gzip) for the shell, and beyond it for each piece that is loaded when it is needed: a
// page, or a part of a page (its bytes beyond those of the pages that load it). Fails above the budget of issue 4.

import { readFileSync } from "node:fs";
import { join } from "node:path";

const SHELL_KB_MAX = 180;
const ROUTE_KB_MAX = 150;

const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"));

/** Files that the chunk needs at once: itself, its styles, and what it imports statically. */
function files(key, into = new Set(), seen = new Set()) {
  const chunk = manifest[key];
  if (!chunk || seen.has(key)) return into;
  seen.add(key);
  into.add(chunk.file);
  for (const style of chunk.css ?? []) into.add(style);
  for (const next of chunk.imports ?? []) files(next, into, seen);
  return into;
}

const gzipped = (list) => list.reduce((sum, file) => sum + readFileSync(join("dist", `${file}.gz`)).length, 0) / 1000;

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const shell = files(entry);
const rows = [["shell", gzipped([...shell]), SHELL_KB_MAX]];
const loaded = Object.keys(manifest).filter((key) => manifest[key].isDynamicEntry);

/** What is there already when a piece is asked for: the shell, and what all that ask for it have in common. */
function before(key) {
  const askers = Object.keys(manifest).filter(
    (asker) => manifest[asker].dynamicImports?.includes(key) && asker !== entry,
  );
  const [first, ...others] = askers.filter((asker) => manifest[asker].isDynamicEntry).map((asker) => files(asker));
  const common = [...(first ?? [])].filter((file) => others.every((other) => other.has(file)));
  return new Set([...shell, ...common]);
}

for (const key of loaded.sort()) {
  const there = before(key);
  rows.push([key, gzipped([...files(key)].filter((file) => !there.has(file))), ROUTE_KB_MAX]);
}
for (const [name, size, most] of rows) {
  const verdict = size > most ? `  above its ${most} KB` : "";
  process.stdout.write(`${size.toFixed(1).padStart(7)} KB  ${name}${verdict}\n`);
}
const above = rows.filter(([, size, most]) => size > most);
if (above.length > 0) {
  process.stderr.write(`too large (gzip): ${above.map(([name]) => name).join(", ")}\n`);
  process.exit(1);
}
