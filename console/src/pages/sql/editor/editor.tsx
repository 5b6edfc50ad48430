// The text of a statement being written. CodeMirror with GoogleSQL, the server's completion and its diagnoses.
//
// Owns: the editor's element and a state for each sheet, so that undoing and the cursor survive a change of tabs. Never
// runs anything itself: it says which statement is meant.

import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
  startCompletion,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { sql } from "@codemirror/lang-sql";
import { bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { type Diagnostic, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, Prec, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { type Ref, useEffect, useImperativeHandle, useRef } from "react";
import { nonce } from "../../../app/nonce";
import { completeFromServer } from "./complete";
import { googleSql } from "./dialect";
import { look } from "./look";
import { type Statement, statementAt, statementsOf } from "./statements";

/** What is to run: a part of the text and where it begins. */
export interface Part {
  sql: string;
  from: number;
}

export interface EditorHandle {
  focus: () => void;
  /** The selection, else the statement at the cursor. */
  current: () => Part | undefined;
  insert: (text: string) => void;
  /** Where an error is: scrolls there and puts the cursor on it. */
  goTo: (offset: number) => void;
}

export interface EditorProps {
  /** Of the sheet; another key shows another text with its own history. */
  sheet: string;
  text: string;
  label: string;
  hint: string;
  diagnostics: Diagnostic[];
  onChange: (text: string) => void;
  /** Where the cursor is now. */
  onCursor: (offset: number) => void;
  onRun: (part: Part) => void;
  onSave: () => void;
  ref?: Ref<EditorHandle>;
}

const currentLine = Decoration.line({ class: "cm-current" });

/** Marks the statement that Ctrl+Enter would run, where there are several. */
const currentStatement = StateField.define<DecorationSet>({
  create: marksOf,
  update: (marks, change) => (change.docChanged || change.selection ? marksOf(change.state) : marks),
  provide: (field) => EditorView.decorations.from(field),
});

/** Beyond it the text is not read anew with every move of the cursor. */
const MARKED_TEXT_MAX = 200_000;

function marksOf(state: EditorState): DecorationSet {
  if (state.doc.length > MARKED_TEXT_MAX) return Decoration.none;
  const text = state.doc.toString();
  if (statementsOf(text).length < 2) return Decoration.none;
  const statement = statementAt(text, state.selection.main.head);
  if (!statement) return Decoration.none;
  const marks = [];
  for (let at = statement.from; at <= statement.to; ) {
    const line = state.doc.lineAt(at);
    marks.push(currentLine.range(line.from));
    at = line.to + 1;
  }
  return Decoration.set(marks);
}

/** The part that is meant now. */
function partOf(state: EditorState): Part | undefined {
  const { from, to } = state.selection.main;
  const text = state.doc.toString();
  const found: Statement | undefined = from < to ? { from, to } : statementAt(text, from);
  if (!found) return undefined;
  const sql = text.slice(found.from, found.to);
  return sql.trim() === "" ? undefined : { sql, from: found.from };
}

const words = new Compartment();
const wordsOf = (label: string, hint: string): Extension => [
  placeholder(hint),
  EditorView.contentAttributes.of({
    "aria-label": label,
    spellcheck: "false",
    autocorrect: "off",
    autocapitalize: "off",
  }),
];

export default function Editor(props: EditorProps) {
  const { sheet, text, label, hint, diagnostics, ref } = props;
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const states = useRef(new Map<string, EditorState>());
  const shown = useRef(sheet);
  // The text as the editor last had it: a `text` that differs comes from elsewhere.
  const known = useRef(text);
  const latest = useRef(props);
  latest.current = {
    ...props,
    onChange: (changed) => {
      known.current = changed;
      props.onChange(changed);
    },
  };

  useEffect(() => {
    const made = new EditorView({
      parent: place.current ?? document.body,
      state: stateOf(latest.current.text, latest),
    });
    view.current = made;
    return () => made.destroy();
  }, []);

  useEffect(() => {
    const editor = view.current;
    if (!editor || shown.current === sheet) return;
    states.current.set(shown.current, editor.state);
    shown.current = sheet;
    editor.setState(states.current.get(sheet) ?? stateOf(latest.current.text, latest));
    known.current = editor.state.doc.toString();
    latest.current.onCursor(editor.state.selection.main.head);
  }, [sheet]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another sheet's text is compared anew
  useEffect(() => {
    const editor = view.current;
    if (!editor || text === known.current) return;
    known.current = text;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }, [sheet, text]);

  useEffect(() => {
    view.current?.dispatch({ effects: words.reconfigure(wordsOf(label, hint)) });
  }, [label, hint]);

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const most = editor.state.doc.length;
    const inside = diagnostics.filter(({ to }) => to <= most);
    editor.dispatch(setDiagnostics(editor.state, inside));
  }, [diagnostics]);

  useImperativeHandle(ref, () => handleOf(() => view.current), []);
  return <div ref={place} style={{ height: "100%", minHeight: 0 }} />;
}

function handleOf(view: () => EditorView | null): EditorHandle {
  return {
    focus: () => view()?.focus(),
    current: () => {
      const editor = view();
      return editor ? partOf(editor.state) : undefined;
    },
    insert: (text) => {
      const editor = view();
      if (!editor) return;
      editor.dispatch(editor.state.replaceSelection(text), { userEvent: "input", scrollIntoView: true });
      editor.focus();
    },
    goTo: (offset) => {
      const editor = view();
      if (!editor) return;
      const at = Math.min(offset, editor.state.doc.length);
      editor.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
      editor.focus();
    },
  };
}

/** Keys of this editor; none of them acts while Hangul is composed, CodeMirror sees to that. */
const keysOf = (latest: { current: EditorProps }): Extension =>
  Prec.highest(
    keymap.of([
      {
        key: "Mod-Enter",
        run: (view) => {
          closeCompletion(view);
          const part = partOf(view.state);
          if (part) latest.current.onRun(part);
          return true;
        },
      },
      {
        key: "Mod-Shift-Enter",
        run: (view) => {
          closeCompletion(view);
          const whole = view.state.doc.toString();
          if (whole.trim() !== "") latest.current.onRun({ sql: whole, from: 0 });
          return true;
        },
      },
      {
        key: "Mod-s",
        run: () => {
          latest.current.onSave();
          return true;
        },
      },
      { key: "Tab", run: acceptCompletion },
      { key: "Ctrl-Space", run: startCompletion },
    ]),
  );

function stateOf(text: string, latest: { current: EditorProps }): EditorState {
  return EditorState.create({
    doc: text,
    extensions: [
      EditorView.cspNonce.of(nonce()),
      keysOf(latest),
      lineNumbers(),
      highlightActiveLineGutter(),
      highlightSpecialChars(),
      history(),
      drawSelection(),
      indentOnInput(),
      indentUnit.of("  "),
      bracketMatching(),
      closeBrackets(),
      autocompletion({ override: [completeFromServer], activateOnTypingDelay: 150, maxRenderedOptions: 200 }),
      highlightActiveLine(),
      highlightSelectionMatches(),
      search(),
      sql({ dialect: googleSql, upperCaseKeywords: true }),
      currentStatement,
      words.of(wordsOf(latest.current.label, latest.current.hint)),
      EditorView.lineWrapping,
      EditorState.allowMultipleSelections.of(true),
      look,
      keymap.of([
        ...closeBracketsKeymap,
        ...defaultKeymap,
        ...searchKeymap,
        ...historyKeymap,
        ...completionKeymap,
        ...lintKeymap,
        indentWithTab,
      ]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) latest.current.onChange(update.state.doc.toString());
        if (update.docChanged || update.selectionSet) latest.current.onCursor(update.state.selection.main.head);
      }),
    ],
  });
}
