// Keys of the whole console and of pages. Never while a text is written, and never while Hangul is composed.

import { useEffect, useRef, useSyncExternalStore } from "react";

export interface Shortcut {
  /** As shown in the help: `mod+k`, `?`, `j`, `g s` (one after the other). `mod` is Cmd on a Mac, else Ctrl. */
  keys: string;
  /** What it does, already in the chosen language. */
  label: string;
  run: () => void;
}

const ANOTHER_KEY_MS = 1200;

let active: Shortcut[] = [];
const listeners = new Set<() => void>();

function changed(next: Shortcut[]): void {
  active = next;
  for (const listener of listeners) listener();
}

export function isComposing(event: { isComposing?: boolean; keyCode?: number }): boolean {
  return event.isComposing === true || event.keyCode === 229;
}

function isWriting(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
}

/** How the pressed key reads in `Shortcut.keys`. */
export function keyName(event: Pick<KeyboardEvent, "key" | "metaKey" | "ctrlKey" | "altKey" | "shiftKey">): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey && event.key.length > 1 ? "shift+" : "";
  return `${event.metaKey || event.ctrlKey ? "mod+" : ""}${event.altKey ? "alt+" : ""}${shift}${key}`;
}

/** Keys that work while the calling component is on screen. */
export function useShortcuts(shortcuts: Shortcut[]): void {
  const latest = useRef(shortcuts);
  latest.current = shortcuts;
  const signature = shortcuts.map((shortcut) => `${shortcut.keys}=${shortcut.label}`).join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: what a key does is read when it is pressed, so only keys and labels matter here
  useEffect(() => {
    const mine = latest.current.map((shortcut, at) => ({ ...shortcut, run: () => latest.current[at]?.run() }));
    changed([...active, ...mine]);
    return () => changed(active.filter((shortcut) => !mine.includes(shortcut)));
  }, [signature]);
}

/** All keys that work now, for the help. */
export function useActiveShortcuts(): Shortcut[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => active,
  );
}

/** Listens to the keyboard, once, for the whole console. */
export function listenToKeys(): () => void {
  let first = "";
  let firstAt = 0;
  const pressed = (event: KeyboardEvent) => {
    if (event.defaultPrevented || isComposing(event)) return;
    const name = keyName(event);
    const fits = (keys: string) => active.findLast((shortcut) => shortcut.keys === keys);
    const withModifier = name.startsWith("mod+") || name.startsWith("alt+");
    if (!withModifier && (isWriting(event.target) || document.querySelector("[role=dialog],[role=alertdialog]")))
      return;
    const both = event.timeStamp - firstAt < ANOTHER_KEY_MS ? fits(`${first} ${name}`) : undefined;
    const shortcut = both ?? fits(name);
    [first, firstAt] = [name, event.timeStamp];
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
  };
  window.addEventListener("keydown", pressed);
  return () => window.removeEventListener("keydown", pressed);
}

const IS_MAC = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");

/** Keys for eyes: `⌘ K` or `Ctrl K`. */
export function keyText(keys: string): string[] {
  return keys.split(/[+ ]/).map((key) => {
    if (key === "mod") return IS_MAC ? "⌘" : "Ctrl";
    if (key === "shift") return IS_MAC ? "⇧" : "Shift";
    if (key === "alt") return IS_MAC ? "⌥" : "Alt";
    return key.length === 1 ? key.toUpperCase() : key;
  });
}
