// A window into the old bytes. They are fetched through the host, so that not all of them are in memory.
import { MARGIN_BYTES, WINDOW_AT, WINDOW_BYTES } from './delta-coder-memory';
import { readOld } from './delta-host';

/** Tokens look so far back and ahead. */
const REACH: u32 = 16;

/** Bytes of the old side. */
export let oldBytes: u32 = 0;
/** Old place of the first byte of the window. */
let first: u32 = 0;
/** Places that may be looked at, with their reach. */
let low: u64 = 1;
let high: u64 = 0;
/** Fetching failed: the status of the host. */
export let oldFailure: i32 = 0;

export function beginOld(bytes: u32): void {
  oldBytes = bytes;
  first = 0;
  low = 1;
  high = 0;
  oldFailure = 0;
}

/** Where the byte at `place` is. The 16 bytes before it and the 16 from it on may be read: outside of the old bytes they are 0. */
// @ts-ignore: decorator
@inline
export function oldAt(place: u32, end: u32): usize {
  if (<u64>place < low || <u64>place + REACH > high) fetch(place, end);
  return WINDOW_AT + place - first;
}

/** Fetches from `place` on; what lies far behind `end` will hardly be wanted. */
function fetch(place: u32, end: u32): void {
  const from: u32 = place < REACH ? 0 : place - REACH;
  const wanted: u64 = <u64>max<u32>(end, place) + 2 * REACH;
  const until: u32 = <u32>min<u64>(min<u64>(wanted, <u64>from + WINDOW_BYTES), <u64>oldBytes);
  const length: u32 = until > from ? until - from : 0;
  memory.fill(WINDOW_AT - MARGIN_BYTES, 0, MARGIN_BYTES);
  if (length > 0) {
    const status: i32 = readOld(from, <u32>WINDOW_AT, length);
    if (status != 0) oldFailure = status;
  }
  memory.fill(WINDOW_AT + length, 0, 2 * MARGIN_BYTES);
  first = from;
  low = from == 0 ? 0 : <u64>from + REACH;
  high = until == oldBytes ? <u64>until + 2 * MARGIN_BYTES : <u64>until;
}
