// Taking an answer away as a file. A refusal is told in words: too long for a sheet, only a part kept, a reason asked for.

import { Download as DownloadIcon, X } from "lucide-react";
import { useCallback, useRef, useState } from "react";
import { ProblemError } from "../../api/problem";
import { useText } from "../../i18n";
import { Button, DialogButtons, Field, IconButton, Menu, MenuItem, Modal, Notice, ProblemBox } from "../../ui";
import { uiText } from "../../ui/text";
import { type Download, download, isOver, type Query } from "./api";
import styles from "./sql.module.css";
import { sqlText } from "./text";

const REASON_NEEDED = "query.reason_needed";

export interface Downloading {
  /** What goes on or was refused. */
  asked: Download | null;
  error: unknown;
  needsReason: boolean;
  begin: (what: Download) => void;
  dismiss: () => void;
}

/** Downloads of one answer. */
export function useDownload(id: string, name: string): Downloading {
  const [asked, setAsked] = useState<Download | null>(null);
  const [error, setError] = useState<unknown>();
  const under = useRef<AbortController | null>(null);
  const begin = useCallback(
    (what: Download) => {
      setAsked(what);
      setError(undefined);
      under.current?.abort();
      const abort = new AbortController();
      under.current = abort;
      download(id, { name: name || undefined, ...what }, abort.signal).then(
        () => setAsked(null),
        (failure: unknown) => abort.signal.aborted || setError(failure),
      );
    },
    [id, name],
  );
  const dismiss = useCallback(() => {
    under.current?.abort();
    setAsked(null);
    setError(undefined);
  }, []);
  const needsReason = error instanceof ProblemError && error.problem.code === REASON_NEEDED;
  return { asked, error, needsReason, begin, dismiss };
}

/** The formats; nothing is offered before the answer is whole. */
export function DownloadMenu({ query, downloading }: { query: Query; downloading: Downloading }) {
  const text = useText(sqlText);
  return (
    <Menu
      trigger={
        <Button small kind="quiet" icon={DownloadIcon} isDisabled={!isOver(query.state)}>
          {text.download}
        </Button>
      }
    >
      <MenuItem onAction={() => downloading.begin({ format: "csv" })}>{text.asCsv}</MenuItem>
      <MenuItem onAction={() => downloading.begin({ format: "xlsx" })}>{text.asXlsx}</MenuItem>
      <MenuItem onAction={() => downloading.begin({ format: "parquet" })}>{text.asParquet}</MenuItem>
    </Menu>
  );
}

/** What became of a download that did not come. */
export function DownloadAnswer({ downloading }: { downloading: Downloading }) {
  const text = useText(sqlText);
  const words = useText(uiText);
  const [reason, setReason] = useState("");
  const { asked, error, needsReason, begin, dismiss } = downloading;
  if (!asked) return null;
  if (error === undefined) {
    return (
      <Notice
        tone="busy"
        action={
          <Button small onPress={dismiss}>
            {words.cancel}
          </Button>
        }
      >
        {text.downloading}
      </Notice>
    );
  }
  if (!needsReason) {
    const again =
      error instanceof ProblemError && error.problem.retry !== "later" ? {} : { onRetry: () => begin(asked) };
    return (
      <div className={styles.refused}>
        <ProblemBox error={error} {...again} />
        <IconButton small label={words.close} icon={X} onPress={dismiss} />
      </div>
    );
  }
  return (
    <Modal isOpen onOpenChange={dismiss} title={text.reasonTitle} keep>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (reason.trim() !== "") begin({ ...asked, reason: reason.trim() });
        }}
      >
        <Field label={text.reasonLabel} help={text.reasonHelp} value={reason} onChange={setReason} autoFocus required />
        <DialogButtons>
          <Button onPress={dismiss}>{words.cancel}</Button>
          <Button kind="primary" type="submit">
            {text.download}
          </Button>
        </DialogButtons>
      </form>
    </Modal>
  );
}
