// Paths and search parameters. The URL is the state of a page: what a reload shall keep is read with `useSearch`.

import {
  type AnchorHTMLAttributes,
  createContext,
  type MouseEvent,
  type ReactNode,
  type Ref,
  useCallback,
  useContext,
  useMemo,
  useSyncExternalStore,
} from "react";

export type Params = Record<string, string>;

const CHANGED = "naru:location";

/** Goes to a path of the console (`/sql?q=1`). `replace` keeps the history as it is. */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  if (!options.replace) window.scrollTo(0, 0);
  window.dispatchEvent(new Event(CHANGED));
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("popstate", changed);
  window.addEventListener(CHANGED, changed);
  return () => {
    window.removeEventListener("popstate", changed);
    window.removeEventListener(CHANGED, changed);
  };
}

export function useLocation(): { path: string; search: URLSearchParams } {
  const path = useSyncExternalStore(subscribe, () => location.pathname);
  const search = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => ({ path, search: new URLSearchParams(search) }), [path, search]);
}

/** One search parameter with its default; setting the default removes it from the URL. Replaces, adds no history. */
export function useSearch(name: string, fallback = ""): [string, (value: string) => void] {
  const { search } = useLocation();
  const set = useCallback(
    (value: string) => {
      const next = new URLSearchParams(location.search);
      if (value === fallback) next.delete(name);
      else next.set(name, value);
      const text = next.toString();
      navigate(`${location.pathname}${text && `?${text}`}`, { replace: true });
    },
    [name, fallback],
  );
  return [search.get(name) ?? fallback, set];
}

/** The parameters of a path that fits the pattern (`/catalog/:dataset/:table`), else undefined. */
export function match(pattern: string, path: string): Params | undefined {
  const [want, got] = [pattern, path].map((text) => text.split("/").filter(Boolean)) as [string[], string[]];
  if (want.length !== got.length) return undefined;
  const params: Params = {};
  for (const [at, part] of want.entries()) {
    const value = got[at] ?? "";
    if (part.startsWith(":")) {
      try {
        params[part.slice(1)] = decodeURIComponent(value);
      } catch {
        return undefined;
      }
    } else if (part !== value) return undefined;
  }
  return params;
}

/** A path from parts, each encoded: `pathOf("catalog", dataset, table)`. */
export function pathOf(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

export interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href"> {
  to: string;
  children: ReactNode;
  ref?: Ref<HTMLAnchorElement>;
}

/** A link within the console: no reload, and everything a link does (new tab, copy address) still works. */
export function Link({ to, onClick, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (event.altKey || (rest.target && rest.target !== "_self")) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  );
}

const ParamsContext = createContext<Params>({});
export const ParamsProvider = ParamsContext;

/** The parameters of this page's path. */
export function useParams(): Params {
  return useContext(ParamsContext);
}
