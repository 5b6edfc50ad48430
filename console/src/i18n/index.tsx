// Korean and English: typed dictionaries, the chosen language, and numbers, dates and plurals in it.
// A dictionary is written with `defineText`; a key that one language lacks, or has too much, breaks `tsc`.

import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { I18nProvider } from "react-aria-components/I18nProvider";

export type Language = "ko" | "en";

// A text is a string, or a function of what it names.
type Entry = ReactNode | ((...values: never[]) => ReactNode) | { [key: string]: Entry };
type Widened<T> = {
  [K in keyof T]: T[K] extends string
    ? string
    : T[K] extends (...values: never[]) => unknown
      ? T[K]
      : T[K] extends Record<string, unknown>
        ? Widened<T[K]>
        : T[K];
};

export interface Dictionary<T> {
  en: T;
  ko: T;
}

/** A dictionary with the same keys in both languages. */
export function defineText<const T extends Record<string, Entry>>(texts: {
  en: T;
  ko: Widened<NoInfer<T>>;
}): Dictionary<Widened<T>> {
  return texts as Dictionary<Widened<T>>;
}

const KEY = "naru.language";

function chosen(): Language {
  const kept = globalThis.localStorage?.getItem(KEY);
  if (kept === "ko" || kept === "en") return kept;
  return globalThis.navigator?.language.toLowerCase().startsWith("ko") ? "ko" : "en";
}

interface Choice {
  language: Language;
  setLanguage: (language: Language) => void;
}

const Context = createContext<Choice>({ language: "en", setLanguage: () => {} });

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, set] = useState<Language>(chosen);
  const setLanguage = useCallback((next: Language) => {
    localStorage.setItem(KEY, next);
    set(next);
  }, []);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const choice = useMemo(() => ({ language, setLanguage }), [language, setLanguage]);
  return (
    <Context value={choice}>
      <I18nProvider locale={locale(language)}>{children}</I18nProvider>
    </Context>
  );
}

export function useLanguage(): Choice {
  return useContext(Context);
}

/** The texts of a dictionary in the chosen language. */
export function useText<T>(dictionary: Dictionary<T>): T {
  return dictionary[useContext(Context).language];
}

/** The BCP 47 tag for `Intl`. */
export function locale(language: Language): string {
  return language === "ko" ? "ko-KR" : "en-GB";
}

/** "1 table", "2 tables": English only; Korean needs no plural. */
export function plural(count: number, one: string, many: string): string {
  return `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;
}

/** A whole number with separators, in Korean with its counter: `counted(3, "개")`. */
export function counted(count: number, counter: string): string {
  return `${count.toLocaleString("ko-KR")}${counter}`;
}
