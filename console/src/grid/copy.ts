// A range of cells as a spreadsheet reads it: tab-separated text and an HTML table.
//
// Owns: quoting, what becomes text for good, and the rule against formulas, which is the same in every door of naru: a
// text that begins with = + - @ Tab, CR or LF gets an apostrophe before it. Numbers, times and booleans are never touched.

import type { Row } from "./pages";
import { type Column, isText, roundsInSheets, textOf } from "./values";

/** Cells that go to the clipboard at once; beyond it browsers and sheets stall, and a file is the better way. */
export const COPY_CELLS_MAX = 500_000;

/** The columns of a range by place, in order. */
export interface Shape {
  columns: Column[];
  left: number;
  right: number;
  zone: string;
}

/** Both forms of a range. */
export interface Clip {
  text: string;
  html: string;
  /** Numbers with more digits than a spreadsheet keeps. */
  long: number;
}

/** Text that a spreadsheet could run, made safe. */
export const defused = (text: string) => (/^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text);

/** A cell of tab-separated text as Sheets and Excel read it: quoted where it holds what separates cells. */
export const tsvCell = (text: string) => (/[\t\r\n]|^"/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text: string) => text.replace(/[&<>"]/g, (mark) => ESCAPES[mark] ?? mark);
const htmlText = (text: string) => escaped(text).replace(/\r\n|\r|\n/g, '<br style="mso-data-placement:same-cell">');

/** Tells Excel to keep it as text: `0101234` keeps its zero and an id of 19 digits its end. */
const AS_TEXT = ` style="mso-number-format:'\\@'"`;

/** Collects a range piece by piece; a piece is some rows in order. */
export class Clipping {
  private readonly shape: Shape;
  private readonly lines: string[] = [];
  private readonly html: string[] = [];
  private long = 0;

  constructor(shape: Shape, headers: boolean) {
    this.shape = shape;
    if (headers) this.addHeaders();
  }

  private columns(): Column[] {
    return this.shape.columns.slice(this.shape.left, this.shape.right + 1);
  }

  private addHeaders(): void {
    const names = this.columns().map((column) => defused(column.name));
    this.lines.push(names.map(tsvCell).join("\t"));
    this.html.push(`<tr>${names.map((name) => `<th>${htmlText(name)}</th>`).join("")}</tr>`);
  }

  add(rows: Row[]): void {
    const columns = this.columns();
    for (const row of rows) {
      const texts: string[] = [];
      const cells: string[] = [];
      for (const [at, column] of columns.entries()) {
        const cell = row[this.shape.left + at] ?? null;
        const plain = textOf(cell, column.kind, this.shape.zone);
        const text = isText(column.kind) ? defused(plain) : plain;
        const long = roundsInSheets(cell, column.kind);
        if (long) this.long += 1;
        texts.push(tsvCell(text));
        cells.push(`<td${(isText(column.kind) && text !== "") || long ? AS_TEXT : ""}>${htmlText(text)}</td>`);
      }
      this.lines.push(texts.join("\t"));
      this.html.push(`<tr>${cells.join("")}</tr>`);
    }
  }

  finish(): Clip {
    return {
      text: this.lines.join("\n"),
      html: `<meta charset="utf-8"><table>${this.html.join("")}</table>`,
      long: this.long,
    };
  }
}
