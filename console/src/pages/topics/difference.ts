// What an event has and what the topic's columns want, field by field.

import type { ColumnView } from "./types";

export interface Field {
  name: string;
  /** Type of the event's value; undefined where the event lacks it. */
  got: string | undefined;
  /** Type of the column; undefined where there is none. */
  wants: string | undefined;
  required: boolean;
  /** Whether the fault's path begins here. */
  faulty: boolean;
}

export function jsonType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value;
}

/** The fields of both, the faulty ones first; undefined when the text is no JSON object. */
export function difference(text: string, columns: ColumnView[], path: string): Field[] | undefined {
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof event !== "object" || event === null || Array.isArray(event)) return undefined;
  const fields = new Map(Object.entries(event));
  const top = /^\$?\.?([^.[]+)/.exec(path.replace(/^\$\.?/, ""))?.[1];
  const rows: Field[] = columns.map((column) => {
    const has = fields.has(column.name);
    const got = has ? jsonType(fields.get(column.name)) : undefined;
    fields.delete(column.name);
    const missing = column.required && !has;
    return {
      name: column.name,
      got,
      wants: column.sql_type,
      required: column.required,
      faulty: missing || column.name === top,
    };
  });
  for (const [name, value] of fields) {
    rows.push({ name, got: jsonType(value), wants: undefined, required: false, faulty: name === top });
  }
  const weight = (field: Field) => (field.faulty ? 0 : field.wants === undefined ? 1 : field.got === undefined ? 3 : 2);
  return rows.toSorted((a, b) => weight(a) - weight(b));
}

/** The bytes of base64 as they lie: offset, hex, and what can be printed. */
export function hexLines(base64: string, most = 64): string[] {
  const bytes = Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const lines: string[] = [];
  for (let at = 0; at < bytes.length && lines.length < most; at += 16) {
    const row = bytes.slice(at, at + 16);
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const shown = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${shown}`);
  }
  if (bytes.length > most * 16) lines.push(`… ${bytes.length - most * 16} B`);
  return lines;
}

/** The text indented where it is JSON whose numbers survive that, else as it came. */
export function pretty(text: string): string {
  // A number beyond 2^53 would lose digits on the way through a parser.
  if (/\d{16,}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
