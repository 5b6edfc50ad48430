// What went wrong, as the server says it: stable code, what, why, what to do.

export interface Problem {
  code: string;
  summary: string;
  detail?: string | null;
  hint?: string | null;
  retry?: "never" | "later";
  /** The request's id, to look it up in the log. */
  request?: string | null;
}

/** A failed call of the API. Thrown by `call`, caught by react-query, shown by `ProblemBox`. */
export class ProblemError extends Error {
  readonly problem: Problem;
  readonly status: number;

  constructor(problem: Problem, status: number) {
    super(problem.summary);
    this.name = "ProblemError";
    this.problem = problem;
    this.status = status;
  }
}

/** Any error as a problem. Codes `console.*` are the browser's own. */
export function asProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof TypeError) {
    return { code: "console.unreachable", summary: "naru cannot be reached", retry: "later", detail: error.message };
  }
  return { code: "console.defect", summary: "the console failed", detail: String(error) };
}

export function readProblem(body: unknown, status: number): ProblemError {
  if (typeof body === "object" && body !== null && "code" in body && "summary" in body) {
    return new ProblemError(body as Problem, status);
  }
  const summary = `the server answered ${status} without saying why`;
  return new ProblemError({ code: "console.unexplained", summary, retry: status >= 500 ? "later" : "never" }, status);
}
