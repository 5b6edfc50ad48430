// Putting a text and its table on the clipboard.
//
// The `copy` event works everywhere, without TLS and with an untouched table; the newer API is tried where the browser
// allows no such event any more because fetching took too long.

import type { Clip } from "./copy";

/** Fills a `copy` event. */
export function fill(event: ClipboardEvent, clip: Pick<Clip, "text" | "html">): boolean {
  if (!event.clipboardData) return false;
  event.preventDefault();
  event.clipboardData.setData("text/plain", clip.text);
  event.clipboardData.setData("text/html", clip.html);
  return true;
}

/** Asks the browser for a `copy` event and fills it; it grants one for some seconds after a key or click. */
function byEvent(clip: Pick<Clip, "text" | "html">): boolean {
  let filled = false;
  const listen = (event: ClipboardEvent) => {
    event.stopImmediatePropagation();
    filled = fill(event, clip);
  };
  // Without something selected browsers have nothing to copy and send no event.
  const carrier = document.createElement("span");
  carrier.textContent = "\u00a0";
  carrier.className = "only-read";
  carrier.setAttribute("aria-hidden", "true");
  const focused = document.activeElement;
  document.body.append(carrier);
  const selection = getSelection();
  selection?.selectAllChildren(carrier);
  document.addEventListener("copy", listen, true);
  try {
    document.execCommand("copy");
  } finally {
    document.removeEventListener("copy", listen, true);
    selection?.removeAllRanges();
    carrier.remove();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  }
  return filled;
}

/** Copies now; `false` when the browser wants a fresh click first. */
export async function write(clip: Pick<Clip, "text" | "html">): Promise<boolean> {
  if (byEvent(clip)) return true;
  try {
    const parts = { "text/plain": clip.text, "text/html": clip.html };
    const blobs = Object.entries(parts).map(([type, text]) => [type, new Blob([text], { type })]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
    return true;
  } catch {
    return false;
  }
}
