// The palette: type where to go. A combobox in a dialog; the first result is chosen while typing.

import { type KeyboardEvent, useEffect, useId, useMemo, useState } from "react";
import { useLanguage, useText } from "../i18n";
import { Modal } from "../ui/dialog";
import styles from "./palette.module.css";
import { fits, type PaletteEntry, paletteEntries, paletteSearches } from "./palette-entries";
import { navigate } from "./router";
import { routes } from "./routes";
import { isComposing } from "./shortcuts";
import { shellText } from "./text";

const SHOWN_MAX = 40;
const SEARCH_WAIT_MS = 120;

function useEntries(text: string, admin: boolean): PaletteEntry[] {
  const { language } = useLanguage();
  const [found, setFound] = useState<PaletteEntry[]>([]);
  useEffect(() => {
    setFound([]);
    if (text.trim() === "") return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      for (const search of paletteSearches()) {
        // A search that fails leaves its results out; its own page shows why.
        search(text.trim(), abort.signal)
          .then((more) => abort.signal.aborted || setFound((before) => [...before, ...more]))
          .catch(() => {});
      }
    }, SEARCH_WAIT_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return useMemo(() => {
    const pages: PaletteEntry[] = routes
      .filter((route) => route.label && (admin || !route.admin))
      .map((route) => ({ id: `page:${route.name}`, label: route.label?.[language] ?? "", to: route.paths[0] }));
    const known = [...paletteEntries(), ...pages].filter((entry) => fits(entry.label, text));
    return [...known, ...found].slice(0, SHOWN_MAX);
  }, [language, text, found, admin]);
}

export default function Palette({ onClose, admin }: { onClose: () => void; admin: boolean }) {
  const text = useText(shellText);
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();
  const entries = useEntries(typed, admin);
  const chosen = Math.min(at, Math.max(0, entries.length - 1));

  const go = (entry: PaletteEntry | undefined) => {
    if (!entry) return;
    onClose();
    if (entry.to) navigate(entry.to);
    entry.run?.();
  };
  const pressed = (event: KeyboardEvent) => {
    if (isComposing(event.nativeEvent)) return;
    if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(1, entries.length));
    else if (event.key === "ArrowUp") setAt((chosen - 1 + entries.length) % Math.max(1, entries.length));
    else if (event.key === "Enter") go(entries[chosen]);
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    document.getElementById(`${id}-${chosen}`)?.scrollIntoView({ block: "nearest" });
  }, [id, chosen]);

  return (
    <Modal isOpen onOpenChange={(open) => open || onClose()} label={text.search} className={styles.palette}>
      <input
        className={styles.input}
        // biome-ignore lint/a11y/noAutofocus: the dialog was opened in order to type
        autoFocus
        role="combobox"
        aria-label={text.search}
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={entries.length > 0 ? `${id}-${chosen}` : undefined}
        aria-autocomplete="list"
        placeholder={text.searchHint}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setAt(0);
        }}
        onKeyDown={pressed}
      />
      <div id={`${id}-list`} role="listbox" aria-label={text.search} className={styles.list}>
        {entries.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the input above has the focus and handles Enter
          // biome-ignore lint/a11y/useFocusableInteractive: active descendant of the input
          <div
            key={entry.id}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            className={styles.option}
            onClick={() => go(entry)}
            onPointerMove={() => setAt(index)}
          >
            <span>{entry.label}</span>
            {entry.hint && <span className={styles.hint}>{entry.hint}</span>}
          </div>
        ))}
      </div>
      <p className={styles.none} role="status">
        {entries.length === 0 ? text.nothingFound : <span className="only-read">{text.results(entries.length)}</span>}
      </p>
    </Modal>
  );
}
