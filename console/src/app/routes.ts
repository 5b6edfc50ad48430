// The pages of the console: one line each. A page that is not there is not listed.

import { House, type LucideIcon, SquareTerminal } from "lucide-react";
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
];
