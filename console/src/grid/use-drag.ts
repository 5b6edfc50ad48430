// Selecting with the mouse: press, drag, and scrolling by itself where the mouse leaves what is seen.

import { type PointerEvent, useCallback, useEffect, useRef } from "react";

/** What a drag is over: a part of the grid. */
export type Part = "cells" | "rows" | "columns";

export interface Spot {
  part: Part;
  row: number;
  column: number;
}

/** Pixels a frame for each pixel that the mouse is outside. */
const SPEED = 0.25;
const SPEED_MAX = 60;

const speedOf = (outside: number) => Math.sign(outside) * Math.min(SPEED_MAX, 2 + Math.abs(outside) * SPEED);
const beyond = (at: number, least: number, most: number) => (at < least ? at - least : at > most ? at - most : 0);

export interface DragPorts {
  scroller: () => HTMLElement | null;
  /** The inset of the rows in what scrolls: row numbers at the left, headers above. */
  inset: { left: number; top: number };
  /** The place under a point of the window, pulled into the grid. */
  spotAt: (x: number, y: number, part: Part) => Spot;
  begin: (spot: Spot, extend: boolean) => void;
  extend: (spot: Spot) => void;
}

/** Gives the handler for `pointerdown`; a finger scrolls and selects nothing by dragging. */
export function useDrag(ports: DragPorts): (event: PointerEvent, part: Part) => void {
  const latest = useRef(ports);
  latest.current = ports;
  const stop = useRef<() => void>(() => {});
  useEffect(() => () => stop.current(), []);

  return useCallback((event: PointerEvent, part: Part) => {
    if (event.button !== 0) return;
    const { clientX, clientY } = event;
    latest.current.begin(latest.current.spotAt(clientX, clientY, part), event.shiftKey);
    if (event.pointerType === "touch") return;
    stop.current();
    stop.current = drag(part, { x: clientX, y: clientY }, () => latest.current);
  }, []);
}

function drag(part: Part, mouse: { x: number; y: number }, ports: () => DragPorts): () => void {
  let frame = 0;
  const reach = () => ports().extend(ports().spotAt(mouse.x, mouse.y, part));
  const creep = () => {
    frame = 0;
    const { scroller, inset } = ports();
    const element = scroller();
    if (!element) return;
    const box = element.getBoundingClientRect();
    const x = part === "rows" ? 0 : beyond(mouse.x, box.left + inset.left, box.left + element.clientWidth);
    const y = part === "columns" ? 0 : beyond(mouse.y, box.top + inset.top, box.top + element.clientHeight);
    if (x === 0 && y === 0) return;
    element.scrollBy(x && speedOf(x), y && speedOf(y));
    reach();
    frame = requestAnimationFrame(creep);
  };
  const move = (event: globalThis.PointerEvent) => {
    mouse.x = event.clientX;
    mouse.y = event.clientY;
    reach();
    if (!frame) creep();
  };
  const end = () => {
    cancelAnimationFrame(frame);
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", end);
    window.removeEventListener("pointercancel", end);
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", end);
  window.addEventListener("pointercancel", end);
  return end;
}
