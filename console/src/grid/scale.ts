// A scroll bar over more rows than a browser can lay out.
//
// Owns: the mapping between the height that rows would need (logical) and the height that the page gives them
// (physical). Browsers stop at some 17 to 33 million pixels; beyond `PHYSICAL_MAX` a small scroll moves as many pixels
// as the hand asked for, and a jump of the bar lands at its share of the rows. Pure: no page, no events.

/** Below what any browser lays out (Firefox: 17.8 million). */
export const PHYSICAL_MAX = 15_000_000;

/** What is scrolled: both heights in pixels, without the viewport's own. */
export interface Track {
  /** All rows. */
  logical: number;
  /** What the page holds. */
  physical: number;
  /** Height of the visible part. */
  viewport: number;
}

/** Where the view stands: the page's scroll offset, and by how much rows are moved up against it. */
export interface Stand {
  top: number;
  shift: number;
}

/** The track of so many rows. */
export function trackOf(rows: number, rowHeight: number, viewport: number): Track {
  const logical = rows * rowHeight;
  return { logical, physical: Math.min(logical, PHYSICAL_MAX), viewport };
}

const reach = (height: number, viewport: number) => Math.max(0, height - viewport);
const clamp = (value: number, most: number) => Math.max(0, Math.min(most, value));

/** The logical offset of a stand. */
export const offsetOf = (stand: Stand) => stand.top + stand.shift;

/** The stand that shows a logical offset, the bar at its fair share. */
export function standAt(offset: number, track: Track): Stand {
  const logical = reach(track.logical, track.viewport);
  const physical = reach(track.physical, track.viewport);
  const wanted = clamp(offset, logical);
  if (logical <= physical) return { top: wanted, shift: 0 };
  // Near the ends the bar leaves as much way as there are rows, so that a hand's steps reach the very last.
  const steps = 2 * track.viewport;
  const least = Math.min(wanted, steps);
  const most = physical - Math.min(logical - wanted, steps);
  const top = Math.max(least, Math.min(most, Math.round((wanted / logical) * physical)));
  return { top, shift: wanted - top };
}

/**
 * The stand after the page was scrolled to `top`.
 *
 * A step shorter than two viewports is the hand's own (wheel, finger, key): rows move by just as much. A longer one is a
 * jump of the bar. Where a step runs into the page's end while rows are left, the bar is set anew; then `top` of the
 * answer differs from what the page has and the caller scrolls there.
 */
export function scrolled(stand: Stand, top: number, track: Track): Stand {
  const physical = reach(track.physical, track.viewport);
  const logical = reach(track.logical, track.viewport);
  if (logical <= physical) return { top, shift: 0 };
  const step = top - stand.top;
  if (Math.abs(step) > 2 * track.viewport) {
    const offset = physical === 0 ? 0 : (top / physical) * logical;
    return { top, shift: offset - top };
  }
  const offset = clamp(top + stand.shift, logical);
  const atEnd = top <= 0 || top >= physical;
  const done = offset <= 0 || offset >= logical;
  if (atEnd !== done) return standAt(offset, track);
  return { top, shift: offset - top };
}

/** The offset that brings a row into view with the least movement. */
export function revealing(offset: number, row: number, rowHeight: number, track: Track): number {
  const start = row * rowHeight;
  const end = start + rowHeight;
  if (start < offset) return start;
  if (end > offset + track.viewport) return end - track.viewport;
  return offset;
}
