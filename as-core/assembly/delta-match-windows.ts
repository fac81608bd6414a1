// Where windows of 24 old bytes are: a table of slots with up to four places each.
//
// Only sampled windows are in it, and only those are looked up: whether one is sampled follows from its first bytes, so
// that the same bytes are sampled wherever they stand. An entry has the place + 1 in its low bits, and above them as
// many bits of the hash as there is room for: most windows that are not there are seen to be without a look at the old
// bytes. The first three places of a slot stay, the fourth is the last one seen.
import { oldAt, oldBytes, tableAt, tableLog } from './delta-match-memory';

/** Bytes of a window. */
export const WINDOW_BYTES: u32 = 24;
/** Places in a slot. */
export const SLOT_PLACES: u32 = 4;
/** Fewer than one window in 2^8 is not worth the memory. */
export const SAMPLE_LOG_MAX: u32 = 8;

const SLOT_LOG: u32 = 4;
const FACTOR1: u64 = 0x9e3779b97f4a7c15;
const FACTOR2: u64 = 0xc2b2ae3d27d4eb4f;

let sampleMask: u64 = 0;
/** Bits of a place + 1. */
let placeLog: u32 = 0;

// @ts-ignore: decorator
@inline
function isPeriodic(at: usize): bool {
  const word: u64 = load<u64>(at);
  return word == load<u64>(at, 8) && word == load<u64>(at, 16);
}

/** Whether the window at `at` is in the table, should it be one of the old bytes. */
// @ts-ignore: decorator
@inline
export function isSampled(at: usize): bool {
  // The upper half of a product depends on all eight bytes.
  return (((load<u64>(at) * FACTOR1) >> 40) & sampleMask) == 0 && !isPeriodic(at);
}

/** The hash of a window. */
// @ts-ignore: decorator
@inline
export function hashOf(at: usize): u64 {
  let hash: u64 = load<u64>(at) * FACTOR1;
  hash = (rotl<u64>(hash, 29) ^ load<u64>(at, 8)) * FACTOR2;
  hash = (rotl<u64>(hash, 31) ^ load<u64>(at, 16)) * FACTOR1;
  hash ^= hash >> 32;
  return hash * FACTOR2;
}

/** The slot for a hash. */
// @ts-ignore: decorator
@inline
export function slotOf(hash: u64): usize {
  return tableAt + (<usize>(hash >> (64 - <u64>(tableLog - SLOT_LOG))) << SLOT_LOG);
}

// @ts-ignore: decorator
@inline
function tagOf(hash: u64): u32 {
  return <u32>((<u64>(<u32>hash)) << <u64>placeLog);
}

// @ts-ignore: decorator
@inline
function put(hash: u64, place: u32): void {
  const slot: usize = slotOf(hash);
  const entry: u32 = tagOf(hash) | (place + 1);
  if (load<u32>(slot) == 0) store<u32>(slot, entry);
  else if (load<u32>(slot, 4) == 0) store<u32>(slot, entry, 4);
  else if (load<u32>(slot, 8) == 0) store<u32>(slot, entry, 8);
  else store<u32>(slot, entry, 12);
}

/** Fills the table with one of `2^sampleLog` windows. */
export function fillTable(sampleLog: u32): void {
  sampleMask = (<u64>1 << sampleLog) - 1;
  placeLog = 32 - clz<u32>(oldBytes);
  memory.fill(tableAt, 0, <usize>1 << tableLog);
  if (oldBytes < WINDOW_BYTES) return;
  const last: u32 = oldBytes - WINDOW_BYTES;
  for (let place: u32 = 0; place <= last; place++) {
    const at: usize = oldAt + place;
    if (isSampled(at)) put(hashOf(at), place);
  }
}

/** Whether two windows are the same. */
// @ts-ignore: decorator
@inline
export function isSame(a: usize, b: usize): bool {
  return (
    load<u64>(a) == load<u64>(b) &&
    load<u64>(a, 8) == load<u64>(b, 8) &&
    load<u64>(a, 16) == load<u64>(b, 16)
  );
}

/** The place of entry `index` of a slot, when the old window there is the one at `at` with this hash; else -1. */
// @ts-ignore: decorator
@inline
export function placeIn(slot: usize, index: u32, hash: u64, at: usize): i64 {
  const entry: u32 = load<u32>(slot + (<usize>index << 2));
  if (entry == 0) return -1;
  const low: u32 = <u32>((<u64>1 << <u64>placeLog) - 1);
  if ((entry & ~low) != (tagOf(hash) & ~low)) return -1;
  const place: u32 = (entry & low) - 1;
  return isSame(oldAt + place, at) ? <i64>place : -1;
}
