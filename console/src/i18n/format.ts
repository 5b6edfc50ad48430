// Numbers, sizes, spans and times as text. Pure: the language is an argument.

import { type Language, locale } from "./index";

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"] as const;

/** Bytes in powers of 1000, three figures at most: `1.24 GB`. */
export function formatBytes(bytes: number, language: Language): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toLocaleString(locale(language), { maximumFractionDigits: digits })} ${UNITS[unit]}`;
}

const SPANS = {
  en: { day: "d", hour: "h", minute: "min", second: "s", milli: "ms" },
  ko: { day: "일", hour: "시간", minute: "분", second: "초", milli: "ms" },
};

/** A span in its two largest units: `2 h 5 min`, `840 ms`. */
export function formatSpan(ms: number, language: Language): string {
  const words = SPANS[language];
  const gap = language === "ko" ? "" : " ";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}${gap}${words.milli}`;
  const seconds = Math.floor(ms / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), words.day],
    [Math.floor(seconds / 3600) % 24, words.hour],
    [Math.floor(seconds / 60) % 60, words.minute],
    [seconds % 60, words.second],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, word]) => `${amount.toLocaleString(locale(language))}${gap}${word}`).join(" ");
}

/** How long ago, coarsely: `just now`, `5 min ago`, `3시간 전`. Times ahead read `in 5 min`, `5분 뒤`. */
export function formatAgo(then: Date, now: Date, language: Language): string {
  const ms = now.getTime() - then.getTime();
  const size = Math.abs(ms);
  if (size < 10_000) return language === "ko" ? "방금" : "just now";
  const words = SPANS[language];
  const gap = language === "ko" ? "" : " ";
  const steps: [number, string][] = [
    [86_400_000, words.day],
    [3_600_000, words.hour],
    [60_000, words.minute],
    [1000, words.second],
  ];
  const [unit, word] = steps.find(([unit]) => size >= unit) ?? [1000, words.second];
  const amount = `${Math.floor(size / unit)}${gap}${word}`;
  if (language === "ko") return ms >= 0 ? `${amount} 전` : `${amount} 뒤`;
  return ms >= 0 ? `${amount} ago` : `in ${amount}`;
}

/** Date and time with the offset of this browser: `2026-11-23 12:04:05 +09:00`. Same in both languages, sorts, pastes. */
export function formatTime(time: Date, seconds = true): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const offset = -time.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const zone = `${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}${seconds ? `:${two(time.getSeconds())}` : ""}`;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock} ${zone}`;
}

/** Digits with separators; exact also where the server sends an INT64 or NUMERIC as text. */
export function formatNumber(value: number | string, language: Language): string {
  if (typeof value === "number") return value.toLocaleString(locale(language));
  const match = /^(-?)(\d+)(\.\d+)?$/.exec(value);
  if (!match) return value;
  const [, sign = "", whole = "", fraction = ""] = match;
  return `${sign}${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${fraction}`;
}
