// Changes of the text of access.toml that leave everything else in it as it was written. The server checks the result.

/** Entries of a text field, separated by commas. */
export function entries(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter(Boolean);
}

function quoted(values: string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
}

/** The text with one more grant at its end. */
export function withGrant(text: string, to: string[], can: string, on: string[]): string {
  const before = text.trimEnd();
  const grant = `[[grants]]\nto = ${quoted(to)}\ncan = ${JSON.stringify(can)}\non = ${quoted(on)}\n`;
  return before ? `${before}\n\n${grant}` : grant;
}

/** The text without the grant whose `[[grants]]` stands on a line (from 1). Comments above it go with it, those of the next table stay. */
export function withoutGrant(text: string, line: number): string {
  const lines = text.split("\n");
  let start = line - 1;
  if (!/^\s*\[\[\s*grants\s*\]\]/.test(lines[start] ?? "")) return text;
  let end = start + 1;
  while (end < lines.length && !/^\s*\[/.test(lines[end] ?? "")) end += 1;
  if (end < lines.length) {
    while (end > start + 1 && /^\s*(#.*)?$/.test(lines[end - 1] ?? "")) end -= 1;
  }
  while (start > 0 && /^\s*#/.test(lines[start - 1] ?? "")) start -= 1;
  while (start > 0 && lines[start - 1]?.trim() === "" && (lines[end]?.trim() ?? "") === "") start -= 1;
  return [...lines.slice(0, start), ...lines.slice(end)].join("\n");
}
