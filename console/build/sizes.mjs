// Prints what a browser loads (gzip) for the shell and for each page, and fails above the budget of issue 4.

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
for (const key of loaded.sort()) {
  const own = [...files(key)].filter((file) => !shell.has(file));
  rows.push([key, gzipped(own), ROUTE_KB_MAX]);
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
