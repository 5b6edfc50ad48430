// Long work on the server, followed live.

import { useEffect, useRef, useState } from "react";

export interface Followed<State> {
  /** The latest state; undefined before the first. */
  state: State | undefined;
  /** The line is down; the browser tries again by itself. */
  broken: boolean;
}

/**
 * Follows a job's events: the server sends its whole state as event `state`, at once and on every change. Rejoins after
 * a broken line; stops when `ended` says so or `path` is undefined.
 */
export function useJobEvents<State>(path: string | undefined, ended: (state: State) => boolean): Followed<State> {
  const [followed, setFollowed] = useState<Followed<State>>({ state: undefined, broken: false });
  const done = useRef(ended);
  done.current = ended;
  useEffect(() => {
    setFollowed({ state: undefined, broken: false });
    if (path === undefined) return;
    const source = new EventSource(path, { withCredentials: true });
    source.addEventListener("state", (event) => {
      const state = JSON.parse((event as MessageEvent<string>).data) as State;
      setFollowed({ state, broken: false });
      if (done.current(state)) source.close();
    });
    source.addEventListener("error", () => setFollowed((before) => ({ ...before, broken: true })));
    return () => source.close();
  }, [path]);
  return followed;
}
