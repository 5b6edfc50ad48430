// The typed client of `/api/v1/`. Paths and bodies come from `schema.d.ts`, which is made of `openapi.json`.

import { QueryClient } from "@tanstack/react-query";
import createClient from "openapi-fetch";
import { ProblemError, readProblem } from "./problem";
import type { paths } from "./schema";

/** `api.GET("/api/v1/me")`; wrap it in `call` to get the body or a `ProblemError`. */
export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "http://localhost",
  credentials: "same-origin",
  // A page of another origin cannot send this header, which the server asks of every change.
  headers: { "x-naru": "1" },
});

/** The body of an answer. Throws `ProblemError`. */
export async function call<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw readProblem(error, response.status);
  return data as T;
}

/** For paths that the document does not describe (downloads, sign-in). Same rules as `call`. */
export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    credentials: "same-origin",
    headers: { "x-naru": "1", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed: unknown = text && response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : undefined;
  if (!response.ok) throw readProblem(parsed, response.status);
  return parsed as T;
}

const TRIES_MAX = 2;

/** Answers are a few seconds old at most, calls that cannot succeed are not repeated, and a change reloads nothing by itself. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) => {
        if (error instanceof ProblemError && error.problem.retry !== "later") return false;
        return failures < TRIES_MAX;
      },
    },
    mutations: { retry: false },
  },
});
