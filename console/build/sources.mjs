// The sources of a build and their hash. The server computes the same (crates/server/src/console/sources.rs) and refuses
// a build that is not of these sources, so that nobody ever looks at a stale console.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const FILES = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
const FOLDERS = ["build", "public", "src"];

function walk(root, folder) {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = `${folder}/${name}`;
    return statSync(join(root, path)).isDirectory() ? walk(root, path) : [path];
  });
}

/** SHA-256 over `path NUL length NUL content` of every source, by path; tests are no sources. */
export function sourcesHash(root) {
  const paths = [...FILES, ...FOLDERS.flatMap((folder) => walk(root, folder))];
  const sources = paths.filter((path) => !/\.test\.[a-z]+$/.test(path));
  const sorted = sources.map((path) => Buffer.from(path)).sort(Buffer.compare);
  const hash = createHash("sha256");
  for (const path of sorted) {
    const content = readFileSync(join(root, path.toString()));
    hash.update(path).update("\0").update(String(content.length)).update("\0").update(content);
  }
  return hash.digest("hex");
}
