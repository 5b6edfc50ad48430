// After `vite build`: writes a gzip form beside every text and the hash of the sources, which makes the build valid.

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { sourcesHash } from "./sources.mjs";

const TEXTS = /\.(js|css|html|svg|json)$/;

function walk(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? walk(path) : [path];
  });
}

for (const path of walk("dist")) {
  // The page itself carries a fresh nonce in every answer, and is small.
  if (!TEXTS.test(path) || path.endsWith("index.html") || path.includes(".vite")) continue;
  writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: constants.Z_BEST_COMPRESSION }));
}
writeFileSync(join("dist", "sources.sha256"), sourcesHash("."));
