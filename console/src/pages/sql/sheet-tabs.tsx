// The strip of open sheets. Each says whether its statement runs; none stops when another is chosen.

import { LoaderCircle, Plus, X } from "lucide-react";
import { type KeyboardEvent, useEffect, useState } from "react";
import { isComposing } from "../../app/shortcuts";
import { useText } from "../../i18n";
import { IconButton } from "../../ui";
import { isOver } from "./api";
import { shownTitle } from "./names";
import { rename, type Sheet } from "./sheets";
import styles from "./sql.module.css";
import { sqlText } from "./text";

export interface SheetTabsProps {
  sheets: Sheet[];
  active: string;
  onChoose: (key: string) => void;
  onOpen: () => void;
  onClose: (key: string) => void;
}

const runs = (sheet: Sheet) =>
  sheet.run !== null && !sheet.run.error && !(sheet.run.query && isOver(sheet.run.query.state));

export function SheetTabs({ sheets, active, onChoose, onOpen, onClose }: SheetTabsProps) {
  const text = useText(sqlText);
  const [renaming, setRenaming] = useState("");
  useEffect(() => {
    document.getElementById(`tab-${active}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [active]);
  const step = (event: KeyboardEvent, at: number) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = by && sheets[(at + by + sheets.length) % sheets.length];
    if (event.key === "F2") setRenaming(active);
    else if (event.key === "Delete") onClose(active);
    else if (next) {
      onChoose(next.key);
      document.getElementById(`tab-${next.key}`)?.focus();
    } else return;
    event.preventDefault();
  };
  return (
    <div className={styles.strip}>
      <div role="tablist" aria-label={text.sheets} className={styles.tabs}>
        {sheets.map((sheet, at) => (
          <div
            key={sheet.key}
            className={styles.tab}
            data-active={sheet.key === active || undefined}
            role="presentation"
          >
            {renaming === sheet.key ? (
              <Rename sheet={sheet} onEnd={() => setRenaming("")} />
            ) : (
              <button
                type="button"
                role="tab"
                id={`tab-${sheet.key}`}
                aria-selected={sheet.key === active}
                aria-controls="sql-sheet"
                tabIndex={sheet.key === active ? 0 : -1}
                onClick={() => onChoose(sheet.key)}
                onDoubleClick={() => setRenaming(sheet.key)}
                onAuxClick={(event) => event.button === 1 && onClose(sheet.key)}
                onKeyDown={(event) => step(event, at)}
                title={shownTitle(sheet, text.untitled)}
              >
                {runs(sheet) && <LoaderCircle size={14} className={styles.spin} aria-hidden />}
                {runs(sheet) && <span className="only-read">{text.running}: </span>}
                <span className={styles.title}>{shownTitle(sheet, text.untitled)}</span>
                {/* For the mouse; the keyboard closes with Delete, and the sheet's menu says so in words. */}
                <span
                  className={styles.closeTab}
                  aria-hidden
                  onClick={(event) => {
                    event.stopPropagation();
                    onClose(sheet.key);
                  }}
                >
                  <X size={13} />
                </span>
              </button>
            )}
          </div>
        ))}
      </div>
      <IconButton small label={text.newSheet} icon={Plus} onPress={onOpen} />
    </div>
  );
}

function Rename({ sheet, onEnd }: { sheet: Sheet; onEnd: () => void }) {
  const text = useText(sqlText);
  const [value, setValue] = useState(shownTitle(sheet, ""));
  const end = (keep: boolean) => {
    if (keep && value.trim() !== "") rename(sheet.key, value.trim());
    onEnd();
  };
  return (
    <input
      className={styles.rename}
      aria-label={text.renameSheet}
      // biome-ignore lint/a11y/noAutofocus: it opens on the person's own double click or key
      autoFocus
      value={value}
      onFocus={(event) => event.target.select()}
      onChange={(event) => setValue(event.target.value)}
      onBlur={() => end(true)}
      onKeyDown={(event) => {
        if (isComposing(event.nativeEvent)) return;
        if (event.key === "Enter") end(true);
        if (event.key === "Escape") end(false);
      }}
    />
  );
}
