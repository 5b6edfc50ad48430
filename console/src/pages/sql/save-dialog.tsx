// Saving a sheet under a name, renaming and deleting what was saved.

import { useState } from "react";
import { queries } from "../../api/client";
import { useText } from "../../i18n";
import { Button, DialogButtons, Field, Modal, ProblemBox } from "../../ui";
import { uiText } from "../../ui/text";
import { changeSaved, dropSaved, getSaved, makeSaved, type Saved } from "./api";
import { SAVED_KEY } from "./past";
import { baseOf, setBase } from "./saved-base";
import type { Sheet } from "./sheets";
import { sqlText } from "./text";

export type Saving = "save" | "rename" | "remove";

export interface SaveDialogProps {
  what: Saving;
  sheet: Sheet;
  onClose: () => void;
  onSaved: (saved: Saved | null) => void;
}

/**
 * Saves the sheet's text into the query it belongs to. Answers `null` where the caller may only look at that query, and
 * fails (409) where somebody changed it since this sheet was opened.
 */
export async function saveInto(id: string, sql: string): Promise<Saved | null> {
  const now = await getSaved(id);
  if (now.can === "view") return null;
  const saved = await changeSaved(id, { sql, revision: baseOf(id) ?? now.revision });
  setBase(id, saved.revision);
  await queries.invalidateQueries({ queryKey: SAVED_KEY });
  return saved;
}

async function act(what: Saving, sheet: Sheet, name: string): Promise<Saved | null> {
  if (what === "save") return makeSaved({ name, sql: sheet.sql });
  if (!sheet.saved) return null;
  if (what === "remove") {
    await dropSaved(sheet.saved);
    return null;
  }
  const { revision } = await getSaved(sheet.saved);
  return changeSaved(sheet.saved, { name, revision });
}

export function SaveDialog({ what, sheet, onClose, onSaved }: SaveDialogProps) {
  const text = useText(sqlText);
  const words = useText(uiText);
  const [name, setName] = useState(sheet.title);
  const [missing, setMissing] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const go = async () => {
    if (what !== "remove" && name.trim() === "") return setMissing(true);
    setBusy(true);
    try {
      const saved = await act(what, sheet, name.trim());
      if (saved) setBase(saved.id, saved.revision);
      await queries.invalidateQueries({ queryKey: SAVED_KEY });
      onSaved(saved);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const title = { save: text.saveTitle, rename: text.rename, remove: text.removeTitle(sheet.title) }[what];
  return (
    <Modal isOpen onOpenChange={onClose} title={title} keep={what !== "remove"}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void go();
        }}
      >
        {what === "remove" ? (
          <p>{text.removeWords}</p>
        ) : (
          <Field
            label={text.saveName}
            value={name}
            onChange={setName}
            autoFocus
            {...(what === "save" ? { help: text.saveNameHelp } : {})}
            error={missing && name.trim() === "" ? text.nameNeeded : undefined}
          />
        )}
        {error !== undefined && <ProblemBox small error={error} />}
        <DialogButtons>
          <Button onPress={onClose}>{words.cancel}</Button>
          <Button kind={what === "remove" ? "danger" : "primary"} type="submit" isDisabled={busy}>
            {what === "remove" ? text.removeDo : text.save}
          </Button>
        </DialogButtons>
      </form>
    </Modal>
  );
}
