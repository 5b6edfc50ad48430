// Tells a screen reader what changed without moving the focus.

let region: HTMLElement | undefined;

export function announce(text: string): void {
  if (!region?.isConnected) {
    region = document.createElement("div");
    region.className = "only-read";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  const said = region;
  said.textContent = "";
  // A region that is empty for a moment is read again also when the words are the same.
  requestAnimationFrame(() => {
    said.textContent = text;
  });
}
