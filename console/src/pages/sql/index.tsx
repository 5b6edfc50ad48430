// SQL: write, run, read, copy. Sheets beside each other, each with its text and its answer.

import { PanelLeftOpen } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from "react";
import { queries } from "../../api/client";
import { ProblemError } from "../../api/problem";
import { navigate, useParams, useSearch } from "../../app/router";
import { useShortcuts } from "../../app/shortcuts";
import { useText } from "../../i18n";
import { announce, Button, copyText, IconButton, Loading, Notice, ProblemBox } from "../../ui";
import { uiText } from "../../ui/text";
import { getSaved, isOver, type Saved } from "./api";
import { Bar } from "./bar";
import type { EditorHandle, Part } from "./editor/editor";
import { positionAt } from "./editor/statements";
import { HISTORY_KEY } from "./past";
import { Result } from "./result";
import { SaveDialog, type Saving, saveInto } from "./save-dialog";
import { SheetTabs } from "./sheet-tabs";
import {
  activate,
  cancel,
  closeSheet,
  edit,
  keepAll,
  loadSheets,
  openSaved,
  openSheet,
  run,
  type Sheet,
  settle,
  tie,
  useSheets,
} from "./sheets";
import { Side } from "./side";
import { Splitter } from "./splitter";
import styles from "./sql.module.css";
import { sqlText } from "./text";
import { failureOf, useCheck } from "./use-check";

const ShareDialog = lazy(() => import("./share-dialog"));
// The largest part of this page comes while the rest is shown already.
const Editor = lazy(() => import("./editor/editor"));

const SIDE_KEY = "naru.sql.side";
const SHARE_KEY = "naru.sql.share";
const SHARE_FIRST = 38;
const isSmall = () => matchMedia("(max-width: 860px)").matches;

/** On a small screen a sheet with nothing in it is where people look for what they saved. */
const isFresh = (sheet: Sheet) => sheet.sql === "" && location.pathname === "/sql";

/** The address says which saved query is shown. */
const goTo = (saved: string | null) => {
  const path = saved ? `/sql/${saved}` : "/sql";
  if (location.pathname !== path) navigate(path, { replace: true });
};

export default function SqlPage() {
  const text = useText(sqlText);
  const { loaded, error, sheets, active } = useSheets();
  const sheet = sheets.find((each) => each.key === active);
  const { id } = useParams();
  const [failed, setFailed] = useState<unknown>();

  useEffect(() => {
    void loadSheets();
  }, []);
  useEffect(() => {
    const hide = () => document.visibilityState === "hidden" && keepAll();
    document.addEventListener("visibilitychange", hide);
    return () => {
      document.removeEventListener("visibilitychange", hide);
      keepAll();
    };
  }, []);
  useEffect(() => {
    setFailed(undefined);
    if (!loaded || !id) return;
    let current = true;
    getSaved(id)
      .then((saved) => current && openSaved(saved))
      .catch((failure: unknown) => current && setFailed(failure));
    return () => {
      current = false;
    };
  }, [loaded, id]);

  // Other pages hand over a statement: `/sql?sql=…` opens it in a sheet of its own, not run.
  const [given] = useSearch("sql");
  useEffect(() => {
    if (!loaded || given === "") return;
    openSheet("", given);
    navigate("/sql", { replace: true });
  }, [loaded, given]);

  if (error !== undefined) return <ProblemBox error={error} onRetry={loadSheets} />;
  if (!loaded || !sheet) return <Loading label={text.loading} />;
  return <Workbench sheets={sheets} sheet={sheet} failed={failed} />;
}

function Workbench({ sheets, sheet, failed }: { sheets: Sheet[]; sheet: Sheet; failed: unknown }) {
  const text = useText(sqlText);
  const words = useText(uiText);
  const editor = useRef<EditorHandle>(null);
  const [cursor, setCursor] = useState(0);
  const [dialog, setDialog] = useState<Saving | "share" | null>(null);
  const [saveError, setSaveError] = useState<unknown>();
  const [side, setSide] = useState(() => (isSmall() ? isFresh(sheet) : localStorage.getItem(SIDE_KEY) !== "closed"));
  const [share, setShare] = useState(() => Number(localStorage.getItem(SHARE_KEY)) || SHARE_FIRST);
  const checked = useCheck(sheet.sql, cursor, sheet.run);
  const query = sheet.run?.query ?? null;
  const running = sheet.run !== null && sheet.run.error === undefined && !(query && isOver(query.state));

  useEndOfRun(query?.id, query ? isOver(query.state) : false);

  const choose = (key: string) => {
    activate(key);
    goTo(sheets.find((each) => each.key === key)?.saved ?? null);
  };
  const open = (title = "", sql = "") => {
    const key = openSheet(title, sql);
    goTo(null);
    return key;
  };
  const close = (key: string) => {
    closeSheet(key);
    if (key === sheet.key) goTo(null);
  };
  const runPart = useCallback((part: Part) => void run(sheet.key, part.sql, part.from), [sheet.key]);
  const runCurrent = () => {
    const part = editor.current?.current();
    if (part) runPart(part);
  };
  const runAgain = () => {
    if (sheet.run) void run(sheet.key, sheet.run.sql, sheet.run.from);
  };
  const saved = (result: Saved | null) => {
    setDialog(null);
    tie(sheet.key, result?.id ?? null, result?.name ?? sheet.title);
    goTo(result?.id ?? null);
    if (result) announce(text.savedUnchanged);
  };
  const save = () => {
    if (sheet.sql.trim() === "") return;
    if (!sheet.saved) return setDialog("save");
    setSaveError(undefined);
    saveInto(sheet.saved, sheet.sql).then((done) => {
      if (done) announce(text.savedUnchanged);
      else setDialog("save");
    }, setSaveError);
  };
  const showSide = (shown: boolean) => {
    setSide(shown);
    if (!isSmall()) localStorage.setItem(SIDE_KEY, shown ? "open" : "closed");
  };
  const afterSide = () => {
    if (isSmall()) setSide(false);
  };
  const setHeight = (value: number) => {
    setShare(value);
    localStorage.setItem(SHARE_KEY, String(value));
  };

  useShortcuts([
    { keys: "mod+Enter", label: text.runHint, run: runCurrent },
    { keys: "/", label: text.findTable, run: () => document.getElementById("sql-find-table")?.focus() },
  ]);

  const failure = failureOf(sheet.sql, sheet.run);
  return (
    <div className={styles.page} data-side={side || undefined}>
      <h1 className="only-read">{text.title}</h1>
      {side && (
        <div className={styles.sideBox}>
          <Side
            first={isSmall() ? "saved" : "tables"}
            saved={sheet.saved}
            onHide={() => showSide(false)}
            onInsert={(name) => {
              editor.current?.insert(name);
              afterSide();
            }}
            onPreview={(title, sql) => {
              const key = open(title, sql);
              void run(key, sql, 0);
              afterSide();
            }}
            onPast={(past) => {
              open("", past.sql);
              afterSide();
            }}
          />
        </div>
      )}
      <div className={styles.work} id="sql-sheet">
        <div className={styles.top}>
          {!side && <IconButton small label={text.showSide} icon={PanelLeftOpen} onPress={() => showSide(true)} />}
          <SheetTabs sheets={sheets} active={sheet.key} onChoose={choose} onOpen={() => open()} onClose={close} />
        </div>
        <Bar
          sheet={sheet}
          running={running}
          checked={checked}
          onRun={runCurrent}
          onRunAll={() => runPart({ sql: sheet.sql, from: 0 })}
          onCancel={() => void cancel(sheet.key)}
          onSave={save}
          onDialog={setDialog}
          onClose={() => close(sheet.key)}
          onLink={() => announce(copyText(location.href) ? words.copied : words.copyFailed)}
        />
        {failed !== undefined && <ProblemBox small error={failed} />}
        {saveError !== undefined && sheet.saved && (
          <SaveFailed
            error={saveError}
            saved={sheet.saved}
            onOpen={(theirs) => {
              open(theirs.name, theirs.sql);
              setSaveError(undefined);
            }}
            onSaveAs={() => {
              setSaveError(undefined);
              setDialog("save");
            }}
          />
        )}
        {sheet.keeping === "conflict" && <Conflict sheet={sheet} />}
        <div className={styles.split}>
          <div className={styles.editor} style={{ flexBasis: `${share}%` }}>
            <Suspense fallback={<Loading label={text.editor} />}>
              <Editor
                ref={editor}
                sheet={sheet.key}
                text={sheet.sql}
                label={text.editor}
                hint={text.editorHint}
                diagnostics={checked.diagnostics}
                onChange={(sql) => edit(sheet.key, sql)}
                onCursor={setCursor}
                onRun={runPart}
                onSave={save}
              />
            </Suspense>
          </div>
          <Splitter label={text.resizeEditor} value={share} onChange={setHeight} />
          <div className={styles.answer}>
            <Result
              sheet={sheet}
              onRun={runAgain}
              onExample={(sql) => {
                edit(sheet.key, sql);
                void run(sheet.key, sql, 0);
              }}
              mistake={
                failure && {
                  line: positionAt(sheet.sql, failure.from).line,
                  show: () => editor.current?.goTo(failure.from),
                }
              }
            />
          </div>
        </div>
      </div>
      {dialog === "share" && sheet.saved && <ShareDialog saved={sheet.saved} onClose={() => setDialog(null)} />}
      {dialog && dialog !== "share" && (
        <SaveDialog what={dialog} sheet={sheet} onClose={() => setDialog(null)} onSaved={saved} />
      )}
    </div>
  );
}

interface SaveFailedProps {
  error: unknown;
  saved: string;
  onOpen: (theirs: Saved) => void;
  onSaveAs: () => void;
}

/** Why saving failed; where a colleague was faster, both ways on. */
function SaveFailed({ error, saved, onOpen, onSaveAs }: SaveFailedProps) {
  const text = useText(sqlText);
  if (!(error instanceof ProblemError) || error.status !== 409) return <ProblemBox small error={error} />;
  return (
    <Notice
      tone="warn"
      action={
        <span className={styles.pair}>
          <Button small onPress={() => void getSaved(saved).then(onOpen)}>
            {text.openTheirs}
          </Button>
          <Button small onPress={onSaveAs}>
            {text.saveAs}
          </Button>
        </span>
      }
    >
      {text.saveConflict}
    </Notice>
  );
}

/** The history has a new line once a run is over. */
function useEndOfRun(id: string | undefined, over: boolean): void {
  useEffect(() => {
    if (id && over) void queries.invalidateQueries({ queryKey: HISTORY_KEY });
  }, [id, over]);
}

function Conflict({ sheet }: { sheet: Sheet }) {
  const text = useText(sqlText);
  return (
    <Notice
      tone="warn"
      action={
        <span className={styles.pair}>
          <Button small onPress={() => settle(sheet.key, true)}>
            {text.conflictTheirs}
          </Button>
          <Button small onPress={() => settle(sheet.key, false)}>
            {text.conflictMine}
          </Button>
        </span>
      }
    >
      {text.conflict}
    </Notice>
  );
}
