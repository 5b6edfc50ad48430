// Which cells are selected and where keys and drags take the selection.
//
// Owns: the selection as a value and its moves, all pure. Knows neither pixels nor the page.

/** A cell by place; row -1 is the row of headers. */
export interface Place {
  row: number;
  column: number;
}

/** A selection: where it began and where it reaches; either may lie above or left of the other. */
export interface Selection {
  anchor: Place;
  focus: Place;
}

/** Rows and columns from the first to the last, both included. */
export interface Rect {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** The size of what can be selected, and how many rows a page key moves. */
export interface Bounds {
  rows: number;
  columns: number;
  page: number;
}

/** The cells of a selection; a selection of headers alone is the columns from top to bottom. */
export function rectOf(selection: Selection, bounds: Bounds): Rect | null {
  if (bounds.rows === 0 || bounds.columns === 0) return null;
  const { anchor, focus } = selection;
  const header = anchor.row < 0 && focus.row < 0;
  return {
    top: header ? 0 : Math.max(0, Math.min(anchor.row, focus.row)),
    bottom: header ? bounds.rows - 1 : Math.min(bounds.rows - 1, Math.max(anchor.row, focus.row)),
    left: Math.max(0, Math.min(anchor.column, focus.column)),
    right: Math.min(bounds.columns - 1, Math.max(anchor.column, focus.column)),
  };
}

/** How many cells a rectangle has. */
export const cellsOf = (rect: Rect) => (rect.bottom - rect.top + 1) * (rect.right - rect.left + 1);

/** One cell. */
export const cellAt = (row: number, column: number): Selection => ({
  anchor: { row, column },
  focus: { row, column },
});

/** Everything; the focus stays where it is seen. */
export const everything = (bounds: Bounds): Selection => ({
  anchor: { row: bounds.rows - 1, column: bounds.columns - 1 },
  focus: { row: 0, column: 0 },
});

/** Whole columns; the focus is their first row. */
export const columnsOf = (from: number, to: number, bounds: Bounds): Selection => ({
  anchor: { row: bounds.rows - 1, column: from },
  focus: { row: 0, column: to },
});

/** Whole rows; the focus is their first column. */
export const rowsOf = (from: number, to: number, bounds: Bounds): Selection => ({
  anchor: { row: from, column: bounds.columns - 1 },
  focus: { row: to, column: 0 },
});

/** A key that moves, as far as a move needs it. */
export interface MoveKey {
  key: string;
  shift: boolean;
  /** Ctrl, or Cmd on a Mac. */
  command: boolean;
}

/** Where a key takes the selection; `null` for a key that moves nothing. */
export function moved(selection: Selection, key: MoveKey, bounds: Bounds): Selection | null {
  const to = target(selection.focus, key, bounds);
  if (!to) return null;
  const focus = within(to, bounds, key.shift);
  return key.shift ? { anchor: selection.anchor, focus } : { anchor: focus, focus };
}

function target(from: Place, key: MoveKey, bounds: Bounds): Place | null {
  const { row, column } = from;
  const last = { row: bounds.rows - 1, column: bounds.columns - 1 };
  switch (key.key) {
    case "ArrowUp":
      return { row: key.command ? 0 : row - 1, column };
    case "ArrowDown":
      return { row: key.command ? last.row : row + 1, column };
    case "ArrowLeft":
      return { row, column: key.command ? 0 : column - 1 };
    case "ArrowRight":
      return { row, column: key.command ? last.column : column + 1 };
    case "PageUp":
      return { row: Math.max(0, row - bounds.page), column };
    case "PageDown":
      return { row: row + bounds.page, column };
    case "Home":
      return { row: key.command ? 0 : row, column: 0 };
    case "End":
      return { row: key.command ? last.row : row, column: last.column };
    default:
      return null;
  }
}

/** Keeps a place inside; the headers above the first row are reached without Shift only. */
function within(place: Place, bounds: Bounds, extending: boolean): Place {
  const least = extending ? 0 : -1;
  return {
    row: Math.max(least, Math.min(bounds.rows - 1, place.row)),
    column: Math.max(0, Math.min(bounds.columns - 1, place.column)),
  };
}
