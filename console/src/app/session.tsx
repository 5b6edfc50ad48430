// Who is signed in. Asks `GET /api/v1/me` once; a 401 of any later call leads back to sign-in.

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { queries, send } from "../api/client";
import { ProblemError } from "../api/problem";

export interface Me {
  /** E-mail, a service's name, or "owner". */
  name: string;
  /** How to call them on screen. */
  shown: string;
  /** May administer: access, audit, settings of the project. */
  admin: boolean;
  project: string;
  version: string;
}

const ME = ["me"] as const;

/** `null` when nobody is signed in. */
export function useMe(): UseQueryResult<Me | null> {
  return useQuery({
    queryKey: ME,
    staleTime: 60_000,
    queryFn: async () => {
      try {
        return await send<Me>("GET", "/api/v1/me");
      } catch (error) {
        if (error instanceof ProblemError && error.status === 401) return null;
        throw error;
      }
    },
  });
}

/** After a call that was answered 401: nobody is signed in any more. */
export function forgetMe(): void {
  queries.setQueryData(ME, null);
}

const SessionContext = createContext<Me | undefined>(undefined);
export const SessionProvider = SessionContext;

/** Who is signed in, on a page that needs it (every page that is not `open`). */
export function useSession(): Me {
  const me = useContext(SessionContext);
  if (!me) throw new Error("no session on this page");
  return me;
}
