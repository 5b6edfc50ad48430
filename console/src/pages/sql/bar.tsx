// The line above the editor: run and cancel, what the server says of the text, keeping and saving.

import { EllipsisVertical, Play, Save, Square } from "lucide-react";
import { useLanguage, useText } from "../../i18n";
import { formatBytes } from "../../i18n/format";
import { Button, IconButton, Keys, Menu, MenuItem, Status } from "../../ui";
import type { Saving } from "./save-dialog";
import type { Sheet } from "./sheets";
import styles from "./sql.module.css";
import { sqlText } from "./text";
import type { Checked } from "./use-check";

export interface BarProps {
  sheet: Sheet;
  running: boolean;
  checked: Checked;
  onRun: () => void;
  onRunAll: () => void;
  onCancel: () => void;
  onSave: () => void;
  onDialog: (what: Saving | "share") => void;
  onLink: () => void;
  onClose: () => void;
}

export function Bar({
  sheet,
  running,
  checked,
  onRun,
  onRunAll,
  onCancel,
  onSave,
  onDialog,
  onLink,
  onClose,
}: BarProps) {
  const text = useText(sqlText);
  const blank = sheet.sql.trim() === "";
  return (
    <div className={styles.actions}>
      {running ? (
        <Button key="cancel" small kind="danger" icon={Square} onPress={onCancel}>
          {text.cancel}
        </Button>
      ) : (
        <Button key="run" small kind="primary" icon={Play} onPress={onRun} isDisabled={blank} aria-label={text.runHint}>
          {text.run}
        </Button>
      )}
      <span className={styles.keys}>
        <Keys keys="mod+Enter" />
      </span>
      <Said checked={checked} blank={blank} />
      <span className={styles.spring} />
      <Kept sheet={sheet} />
      <Button small icon={Save} onPress={onSave} isDisabled={blank}>
        {text.save}
      </Button>
      <Menu trigger={<IconButton small label={text.sheetMenu} icon={EllipsisVertical} />}>
        <MenuItem onAction={onRunAll} isDisabled={blank}>
          {text.runAll}
        </MenuItem>
        <MenuItem onAction={() => onDialog("save")} isDisabled={blank}>
          {text.saveAs}
        </MenuItem>
        <MenuItem onAction={() => onDialog("share")} isDisabled={sheet.saved === null}>
          {text.share}
        </MenuItem>
        <MenuItem onAction={onLink} isDisabled={sheet.saved === null}>
          {text.copyLink}
        </MenuItem>
        <MenuItem onAction={() => onDialog("rename")} isDisabled={sheet.saved === null}>
          {text.rename}
        </MenuItem>
        <MenuItem danger onAction={() => onDialog("remove")} isDisabled={sheet.saved === null}>
          {text.remove}
        </MenuItem>
        <MenuItem onAction={onClose}>{text.close}</MenuItem>
      </Menu>
    </div>
  );
}

/** What checking found: mistakes, or what running it would read. */
function Said({ checked, blank }: { checked: Checked; blank: boolean }) {
  const text = useText(sqlText);
  const { language } = useLanguage();
  const { diagnostics, estimate, known, busy } = checked;
  const mistakes = diagnostics.filter(({ severity }) => severity === "error").length;
  if (blank) return null;
  return (
    <span className={styles.said} role="status">
      {mistakes > 0 && <Status tone="bad">{text.mistakes(mistakes)}</Status>}
      {mistakes === 0 && known && estimate && estimate.tables.length > 0 && (
        <span title={estimate.tables.join("\n")}>
          {estimate.bytes == null
            ? text.reads(estimate.tables.length)
            : text.estimate(formatBytes(estimate.bytes, language), estimate.tables.length)}
        </span>
      )}
      {mistakes === 0 && known && estimate?.tables.length === 0 && <span>{text.estimateNone}</span>}
      {mistakes === 0 && known && !estimate && <span>{text.valid}</span>}
      {mistakes === 0 && !known && busy && <span>{text.checking}</span>}
    </span>
  );
}

/** How the text stands against the server's: said where it matters. */
function Kept({ sheet }: { sheet: Sheet }) {
  const text = useText(sqlText);
  if (sheet.keeping === "failed") return <Status tone="warn">{text.keptFailed}</Status>;
  if (sheet.keeping === "changed") return <span className={styles.kept}>{text.keptChanged}</span>;
  return sheet.draft && sheet.sql !== "" ? <span className={styles.kept}>{text.keptDraft}</span> : null;
}
