// Light, dark, or as the system has it. Only an attribute on <html>; the colours are in ui/theme.css.

import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "naru.theme";
const CHANGED = "naru:theme";

export function theme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(): void {
  const now = theme();
  if (now === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
}

export function setTheme(next: Theme): void {
  if (next === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  applyTheme();
  window.dispatchEvent(new Event(CHANGED));
}

function subscribe(changed: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  window.addEventListener(CHANGED, changed);
  system.addEventListener("change", changed);
  return () => {
    window.removeEventListener(CHANGED, changed);
    system.removeEventListener("change", changed);
  };
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, theme);
}

/** Whether it looks dark now: for canvases, which read no CSS. */
export function useIsDark(): boolean {
  return useSyncExternalStore(subscribe, () => {
    const now = theme();
    return now === "dark" || (now === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  });
}
