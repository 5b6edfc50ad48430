// Whether to sign in without asking: when this browser was signed in before, and nobody signed out.

const KEY = "naru.signed-in";

/** The person goes off to sign in. */
export function remember(): void {
  localStorage.setItem(KEY, "1");
}

/** Nothing happens by itself any more: somebody signed out, or it did not work. */
export function forget(): void {
  localStorage.removeItem(KEY);
}

export function mayTryQuietly(): boolean {
  return localStorage.getItem(KEY) === "1";
}

/** Where signing in begins. */
export function startPath(to: string, how?: "quiet" | "choose"): string {
  const query = new URLSearchParams({ to, ...(how ? { [how]: "1" } : {}) });
  return `/signin/start?${query}`;
}
