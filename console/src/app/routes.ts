// The pages of the console: one line each. A page that is not there is not listed.

import {
  DatabaseZap,
  House,
  KeyRound,
  type LucideIcon,
  RadioTower,
  ScrollText,
  SquareTerminal,
  Workflow,
} from "lucide-react";
import type { ComponentType } from "react";
import type { Dictionary } from "../i18n";

export interface Route {
  name: string;
  /** Patterns; the first is where the navigation leads. */
  paths: [string, ...string[]];
  page: () => Promise<{ default: ComponentType }>;
  /** Shown in the navigation and the palette. Without it the page is reached by links only. */
  label?: Dictionary<string>;
  icon?: LucideIcon;
  /** Only for those who may administer. */
  admin?: boolean;
  /** Needs no session (sign-in itself). */
  open?: boolean;
  /** Two keys that lead there: `g s`. */
  keys?: string;
  /** Uses the full window: no page margins, no own scroll. */
  wide?: boolean;
}

export const routes: Route[] = [
  {
    name: "home",
    paths: ["/"],
    page: () => import("../pages/home"),
    label: { en: "Home", ko: "홈" },
    icon: House,
    keys: "g h",
  },
  {
    name: "sql",
    paths: ["/sql", "/sql/:id"],
    page: () => import("../pages/sql"),
    label: { en: "SQL", ko: "SQL" },
    icon: SquareTerminal,
    keys: "g s",
    wide: true,
  },
  {
    name: "sync",
    paths: ["/sync", "/sync/:source/:table"],
    page: () => import("../pages/sync"),
    label: { en: "Sync", ko: "동기화" },
    icon: DatabaseZap,
    keys: "g y",
  },
  {
    name: "topics",
    paths: ["/topics", "/topics/:topic"],
    page: () => import("../pages/topics"),
    label: { en: "Topics", ko: "토픽" },
    icon: RadioTower,
    keys: "g t",
  },
  { name: "dead", paths: ["/topics/:topic/dead"], page: () => import("../pages/topics/dead") },
  {
    name: "marts",
    paths: ["/marts", "/marts/:mart"],
    page: () => import("../pages/marts"),
    label: { en: "Marts", ko: "마트" },
    icon: Workflow,
    keys: "g m",
  },
  { name: "run", paths: ["/runs/:run"], page: () => import("../pages/marts/run") },
  {
    name: "access",
    paths: ["/access"],
    page: () => import("../pages/access"),
    label: { en: "Access", ko: "권한" },
    icon: KeyRound,
    keys: "g a",
  },
  {
    name: "audit",
    paths: ["/audit"],
    page: () => import("../pages/audit"),
    label: { en: "Audit", ko: "감사 기록" },
    icon: ScrollText,
    admin: true,
    keys: "g u",
  },
  { name: "settings", paths: ["/settings"], page: () => import("../pages/settings"), keys: "g ," },
  { name: "signin", paths: ["/signin"], page: () => import("../pages/signin"), open: true },
  { name: "device", paths: ["/signin/device"], page: () => import("../pages/signin/device") },
];
