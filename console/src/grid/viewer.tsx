// One cell in full: a long text with its line ends, or the parts of a STRUCT, ARRAY or JSON value to unfold.

import { Copy, X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useLanguage, useText } from "../i18n";
import { formatNumber } from "../i18n/format";
import { Button, IconButton } from "../ui/button";
import { write } from "./clipboard";
import { ExactNumber, type JsonPart, partsOf } from "./exact-json";
import styles from "./grid.module.css";
import { gridText } from "./text";
import { type Cell, type Column, isNested, textOf } from "./values";

/** Parts shown before the rest is asked for. */
const PARTS_FIRST = 100;
/** Parts unfolded from the start are this deep at most. */
const DEEP_OPEN = 3;

export interface ViewerProps {
  column: Column;
  row: number;
  /** Not yet fetched while undefined. */
  cell: Cell | undefined;
  zone: string;
  onClose: () => void;
}

export function CellViewer({ column, row, cell, zone, onClose }: ViewerProps) {
  const text = useText(gridText);
  const { language } = useLanguage();
  const whole = cell === undefined || cell === null ? "" : textOf(cell, column.kind, zone);
  return (
    <aside className={styles.viewer} aria-label={text.viewer}>
      <header>
        <div>
          <strong>{column.name}</strong>
          <small>
            {column.type} · {text.rowOf(formatNumber(row + 1, language))}
          </small>
        </div>
        <IconButton small label={text.close} icon={X} onPress={onClose} />
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long value is scrolled with the keyboard */}
      <section className={styles.viewed} tabIndex={0} aria-label={column.name}>
        <Value column={column} cell={cell} whole={whole} />
      </section>
      {whole !== "" && (
        <footer>
          <small>{text.viewerLetters([...whole].length)}</small>
          <Button small icon={Copy} onPress={() => void write({ text: whole, html: "" })}>
            {text.viewerCopy}
          </Button>
        </footer>
      )}
    </aside>
  );
}

function Value({ column, cell, whole }: { column: Column; cell: Cell | undefined; whole: string }) {
  const text = useText(gridText);
  if (cell === undefined) return <em>{text.loadingRows}</em>;
  if (cell === null) return <em>{text.viewerNull}</em>;
  const parts = isNested(column.kind) ? partsOf(cell, column.kind === "json") : undefined;
  if (parts !== undefined && typeof parts === "object") return <Part part={parts} depth={0} />;
  if (whole === "") return <em>{text.viewerEmpty}</em>;
  return <pre className={styles.long}>{whole}</pre>;
}

function Part({ part, depth }: { part: JsonPart; depth: number }): ReactNode {
  if (part === null) return <span className={styles.null}>NULL</span>;
  if (part instanceof ExactNumber) return <span className={styles.figure}>{part.text}</span>;
  if (typeof part === "string") return <span>{part === "" ? '""' : part}</span>;
  if (typeof part !== "object") return <span className={styles.figure}>{String(part)}</span>;
  const entries = Array.isArray(part)
    ? part.map((value, at): [string, JsonPart] => [String(at), value])
    : Object.entries(part);
  return <Parts entries={entries} depth={depth} list={Array.isArray(part)} />;
}

function Parts({ entries, depth, list }: { entries: [string, JsonPart][]; depth: number; list: boolean }) {
  const text = useText(gridText);
  const [shown, setShown] = useState(PARTS_FIRST);
  const [open, setOpen] = useState(depth < DEEP_OPEN && (depth === 0 || entries.length <= 20));
  const size = list ? text.viewerItems(entries.length) : text.viewerFields(entries.length);
  if (entries.length === 0) return <span className={styles.null}>{list ? "[ ]" : "{ }"}</span>;
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)} className={styles.parts}>
      <summary>{size}</summary>
      {open && (
        <dl>
          {entries.slice(0, shown).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <Part part={value} depth={depth + 1} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {open && entries.length > shown && (
        <Button small kind="quiet" onPress={() => setShown(shown + 10 * PARTS_FIRST)}>
          {text.viewerMore(entries.length - shown)}
        </Button>
      )}
    </details>
  );
}
