// The matcher of deltas: finds for each part of the new bytes the old bytes that resemble it most. Runs where deltas are
// made, never on a node.
//
// Shifts that may be good are found in two ways: by a table of windows of the old bytes, and by a look around. Which of
// them is used where is then the cheapest path through all of them. Once the current shift fits, nothing is looked up.
import { BLOCK_BYTES, BLOCK_LOG, newAt, newBytes, oldAt, oldBytes } from './delta-match-memory';
import { beginNear, lookNear, NEAR_MISSES_MIN } from './delta-match-near';
import {
  beginTracks,
  cheapestNode,
  cheapestShift,
  follow,
  missesOf,
  NO_SHIFT,
  remember,
  settled,
  step,
} from './delta-match-tracks';
import {
  fillTable,
  hashOf,
  isSame,
  isSampled,
  placeIn,
  SAMPLE_LOG_MAX,
  SLOT_PLACES,
  slotOf,
  WINDOW_BYTES,
} from './delta-match-windows';
import { STATUS_OK, STATUS_OUT_OF_RANGE } from './status';

export { newPointer, nodesPointer, oldPointer, place } from './delta-match-memory';

/** Windows of one block that may bring a new shift: more are something that repeats itself. */
const FOUND_MAX: u32 = 4;

let last: u32 = 0;

/** Matches what was put into the memory; one of `2^sampleLog` windows of the old bytes is in the table. */
export function match(sampleLog: u32): i32 {
  if (sampleLog > SAMPLE_LOG_MAX) return STATUS_OUT_OF_RANGE;
  fillTable(sampleLog);
  beginTracks();
  beginNear();
  follow(0, 0);
  const blocks: u32 = newBytes >> BLOCK_LOG;
  for (let block: u32 = 0; block < blocks; block++) {
    remember(block);
    const shift: i64 = cheapestShift();
    const misses: u32 = shift == NO_SHIFT ? BLOCK_BYTES : missesOf(shift, block);
    if (misses == 0 && settled()) continue;
    if (misses != 0) lookUp(block, shift);
    if (misses >= NEAR_MISSES_MIN) lookNear(block);
    step(block);
  }
  last = cheapestNode();
  return STATUS_OK;
}

/** The node that the cheapest path of the last match ends with. */
export function lastNode(): u32 {
  return last;
}

/** Follows the shifts of windows that begin in a block and are old ones too. */
function lookUp(block: u32, shift: i64): void {
  const start: u32 = block << BLOCK_LOG;
  let found: u32 = 0;
  for (let place: u32 = start; place < start + BLOCK_BYTES; place++) {
    if (place + WINDOW_BYTES > newBytes) return;
    const at: usize = newAt + place;
    if (!isSampled(at) || isCopied(place, shift)) continue;
    const hash: u64 = hashOf(at);
    const slot: usize = slotOf(hash);
    for (let index: u32 = 0; index < SLOT_PLACES; index++) {
      const old: i64 = placeIn(slot, index, hash, at);
      if (old < 0) continue;
      follow(old - place, block);
      if (++found == FOUND_MAX) return;
    }
  }
}

/** Whether the window at `place` is the old one at the current shift. */
// @ts-ignore: decorator
@inline
function isCopied(place: u32, shift: i64): bool {
  const old: i64 = <i64>place + shift;
  if (old < 0 || old + WINDOW_BYTES > <i64>oldBytes) return false;
  return isSame(oldAt + <usize>old, newAt + place);
}
