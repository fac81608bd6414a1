/** Borders of copies, to the byte: a matcher that works in blocks leaves them at multiples of its blocks. Pure. */
import type { Copy } from './delta-copy.ts';

/** New bytes from `start` to `end` that are copied from `shift` bytes further on in the old ones. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly shift: number;
}

/** How far a border moves into a copy. */
const INWARD_BYTES_MAX = 64;
/** How far it moves out into bytes that no copy has. */
const OUTWARD_BYTES_MAX = 4096;

interface Sides {
  readonly old: Uint8Array;
  readonly fresh: Uint8Array;
}

interface Moving {
  start: number;
  end: number;
  readonly shift: number;
}

/**
 * Moves every border to where most bytes are equal.
 *
 * @param stretches sorted, without overlap, inside both sides
 */
export function exactCopies(
  stretches: readonly Stretch[],
  old: Uint8Array,
  fresh: Uint8Array,
): Copy[] {
  const sides = { old, fresh };
  const moving: Moving[] = stretches.map((stretch) => ({ ...stretch }));
  let before: Moving | undefined;
  for (const next of moving) {
    if (before === undefined || before.end < next.start) {
      const freeFrom = before === undefined ? 0 : extended(before, next.start, sides);
      next.start = begun(next, freeFrom, sides);
    } else {
      split(before, next, sides);
    }
    before = next;
  }
  if (before !== undefined) extended(before, fresh.length, sides);
  return moving
    .filter(({ start, end }) => end > start)
    .map(({ start, end, shift }) => ({
      newOffset: start,
      oldOffset: start + shift,
      length: end - start,
    }));
}

function isEqual({ old, fresh }: Sides, shift: number, at: number): boolean {
  return old[at + shift] === fresh[at];
}

/** Puts the border between two neighbours where fewest bytes differ. */
function split(before: Moving, next: Moving, sides: Sides): void {
  const from = Math.max(before.start, before.end - INWARD_BYTES_MAX, -next.shift);
  const room = Math.min(next.end, before.end + INWARD_BYTES_MAX);
  const to = Math.min(room, sides.old.length - before.shift);
  let [gain, most, border] = [0, 0, from];
  for (let at = from; at < to; at++) {
    gain += Number(isEqual(sides, before.shift, at)) - Number(isEqual(sides, next.shift, at));
    if (gain > most) [most, border] = [gain, at + 1];
  }
  before.end = border;
  next.start = border;
}

/** Ends a copy where it has most equal bytes over different ones; answers that end. */
function extended(copy: Moving, freeTo: number, sides: Sides): number {
  const from = Math.max(copy.start, copy.end - INWARD_BYTES_MAX);
  const room = Math.min(freeTo, copy.end + OUTWARD_BYTES_MAX);
  const to = Math.min(room, sides.old.length - copy.shift);
  let [gain, most, end] = [0, 0, from];
  for (let at = from; at < to; at++) {
    gain += isEqual(sides, copy.shift, at) ? 1 : -1;
    if (gain > most) [most, end] = [gain, at + 1];
  }
  copy.end = end;
  return end;
}

/** Where a copy begins so that it has most equal bytes over different ones. */
function begun(copy: Moving, freeFrom: number, sides: Sides): number {
  const from = Math.min(copy.end, copy.start + INWARD_BYTES_MAX);
  const room = Math.max(freeFrom, copy.start - OUTWARD_BYTES_MAX);
  const to = Math.max(room, -copy.shift);
  let [gain, most, start] = [0, 0, from];
  for (let at = from - 1; at >= to; at--) {
    gain += isEqual(sides, copy.shift, at) ? 1 : -1;
    if (gain > most) [most, start] = [gain, at];
  }
  return start;
}
