// On which revision of a saved query this browser's sheet stands, so that saving never overwrites a colleague unseen.

const KEY = "naru.sql.saved";

function read(): Record<string, number> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, number>;
  } catch {
    return {};
  }
}

export const baseOf = (saved: string): number | undefined => read()[saved];

export function setBase(saved: string, revision: number): void {
  localStorage.setItem(KEY, JSON.stringify({ ...read(), [saved]: revision }));
}
