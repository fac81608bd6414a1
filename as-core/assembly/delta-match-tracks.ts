// The cheapest path through the new bytes: which shift (old offset - new offset) each block of 16 is copied with.
//
// A path costs something for each byte that differs from its old one, for each block that is not copied, and for each
// change of shift. A few shifts are followed at a time, each on a track; track 0 is for blocks that are not copied. After
// each block a track is either cheaper than the cheapest one and a change, or its path is that: the cheapest one up to
// there, and a change (the algorithm of Viterbi). A path is a chain of nodes; only what has become part of another path
// is written down.
import {
  BLOCK_BYTES,
  BLOCK_LOG,
  HISTORY_BLOCKS,
  HISTORY_BYTES,
  historyAt,
  newAt,
  NODE_BYTES,
  nodesAt,
  oldAt,
  oldBytes,
  TRACKS_AT,
} from './delta-match-memory';

/** The shift of track 0. */
export const NO_SHIFT: i64 = 0x7fffffff;
/** No node. */
export const NONE: u32 = 0xffffffff;

const TRACKS_MAX: u32 = 12;
/** Cost i64, shift i64, first block u32, node before u32, own node u32 or NONE, last block that fitted u32. */
const TRACK_BYTES: usize = 32;
const SHIFT: usize = 8;
const START: usize = 16;
const BEFORE: usize = 20;
const OWN: usize = 24;
const FITTED: usize = 28;

// In quarters of a byte that differs; measured on pairs of libraries and programs with the coder behind it.
/** A change to a shift within this distance, */
const NEAR_DISTANCE: i64 = 4096;
const NEAR_COST: i64 = 20;
/** and to any other: a copy from a wrong place also misleads about where things went. */
const FAR_COST: i64 = 48;
const MISS_COST: i64 = 4;
const BARE_COST: i64 = 38;
/** A new track is followed back until it is dearer than the cheapest path by this much, */
const BACK_COST: i64 = 64;
/** or for this many blocks. */
const BACK_BLOCKS_MAX: u32 = 1024;

let count: u32 = 0;
let cheapest: u32 = 0;
let nodes: u32 = 0;
/** The last shift of the cheapest path. */
let lastShift: i64 = 0;
/** Whether every other track is the cheapest one and a change. */
let isSettled: bool = true;

// @ts-ignore: decorator
@inline
function trackAt(index: u32): usize {
  return TRACKS_AT + <usize>index * TRACK_BYTES;
}

/** What it costs to change from the cheapest path to a shift. */
// @ts-ignore: decorator
@inline
function changeCost(shift: i64): i64 {
  const isNear: bool = shift == NO_SHIFT || abs<i64>(shift - lastShift) <= NEAR_DISTANCE;
  return isNear ? NEAR_COST : FAR_COST;
}

/** Bytes of a block that differ when it is copied with this shift; all of them where the old bytes end. */
// @ts-ignore: decorator
@inline
export function missesOf(shift: i64, block: u32): u32 {
  const place: i64 = (<i64>block << BLOCK_LOG) + shift;
  if (place < 0 || place + BLOCK_BYTES > <i64>oldBytes) return BLOCK_BYTES;
  const old: v128 = v128.load(oldAt + <usize>place);
  const same: v128 = i8x16.eq(old, v128.load(newAt + (<usize>block << BLOCK_LOG)));
  return BLOCK_BYTES - popcnt<u32>(i8x16.bitmask(same));
}

/** Begins with nothing copied. */
export function beginTracks(): void {
  count = 1;
  cheapest = 0;
  nodes = 0;
  lastShift = 0;
  isSettled = true;
  set(trackAt(0), NO_SHIFT, 0, 0, NONE);
}

function set(track: usize, shift: i64, cost: i64, start: u32, before: u32): void {
  store<i64>(track, cost);
  store<i64>(track, shift, SHIFT);
  store<u32>(track, start, START);
  store<u32>(track, before, BEFORE);
  store<u32>(track, NONE, OWN);
  store<u32>(track, start, FITTED);
}

/** The node of the cheapest path. */
export function cheapestNode(): u32 {
  const track: usize = trackAt(cheapest);
  const own: u32 = load<u32>(track, OWN);
  if (own != NONE) return own;
  const node: usize = nodesAt + <usize>nodes * NODE_BYTES;
  store<u32>(node, load<u32>(track, START));
  store<i32>(node, <i32>load<i64>(track, SHIFT), 4);
  store<u32>(node, load<u32>(track, BEFORE), 8);
  store<u32>(track, nodes, OWN);
  return nodes++;
}

/** The shift of the cheapest path. */
export function cheapestShift(): i64 {
  return load<i64>(trackAt(cheapest), SHIFT);
}

/** Whether only the cheapest track matters as long as it fits. */
export function settled(): bool {
  return isSettled;
}

/** Whether some track fits two blocks but for `most` bytes. */
export function fitsAnywhere(block: u32, most: u32): bool {
  for (let index: u32 = 1; index < count; index++) {
    const shift: i64 = load<i64>(trackAt(index), SHIFT);
    if (missesOf(shift, block) + missesOf(shift, block + 1) <= most) return true;
  }
  return false;
}

// @ts-ignore: decorator
@inline
function historyOf(block: u32): usize {
  return historyAt + <usize>((block & (HISTORY_BLOCKS - 1)) * HISTORY_BYTES);
}

/** Remembers the cheapest path before a block. */
export function remember(block: u32): void {
  const at: usize = historyOf(block);
  store<i64>(at, load<i64>(trackAt(cheapest)));
  store<u32>(at, cheapestNode(), 8);
}

/** Follows a shift from here on; or from further back, where that is cheaper. */
export function follow(shift: i64, block: u32): void {
  for (let index: u32 = 1; index < count; index++) {
    const track: usize = trackAt(index);
    if (load<i64>(track, SHIFT) != shift) continue;
    store<u32>(track, block, FITTED);
    return;
  }
  const now: i64 = load<i64>(trackAt(cheapest));
  const change: i64 = changeCost(shift);
  let cost: i64 = now + change;
  let start: u32 = block;
  let before: u32 = cheapestNode();
  let misses: i64 = 0;
  const first: u32 = block > BACK_BLOCKS_MAX ? block - BACK_BLOCKS_MAX : 0;
  for (let earlier: u32 = block; earlier > first; ) {
    earlier--;
    misses += MISS_COST * missesOf(shift, earlier);
    const then: i64 = load<i64>(historyOf(earlier));
    if (then + change + misses < cost) {
      cost = then + change + misses;
      start = earlier;
      before = load<u32>(historyOf(earlier), 8);
    }
    if (misses > now - then + BACK_COST) break;
  }
  const track: usize = trackAt(freeTrack());
  set(track, shift, cost, start, before);
  store<u32>(track, block, FITTED);
  isSettled = false;
}

/** A track that is not in use, or the one that is missed least: the dearest, of several the one that fitted longest ago. */
function freeTrack(): u32 {
  if (count < TRACKS_MAX) return count++;
  const now: i64 = load<i64>(trackAt(cheapest));
  let found: u32 = cheapest == 1 ? 2 : 1;
  let dearest: i64 = i64.MIN_VALUE;
  for (let index: u32 = 1; index < count; index++) {
    if (index == cheapest) continue;
    const track: usize = trackAt(index);
    const cost: i64 = min<i64>(load<i64>(track), now + changeCost(load<i64>(track, SHIFT)));
    const isOlder: bool = load<u32>(track, FITTED) < load<u32>(trackAt(found), FITTED);
    if (cost < dearest || (cost == dearest && !isOlder)) continue;
    dearest = cost;
    found = index;
  }
  return found;
}

/** Takes a block on every track. */
export function step(block: u32): void {
  const node: u32 = cheapestNode();
  const now: i64 = load<i64>(trackAt(cheapest));
  let least: i64 = i64.MAX_VALUE;
  let found: u32 = cheapest;
  for (let index: u32 = 0; index < count; index++) {
    const track: usize = trackAt(index);
    const shift: i64 = load<i64>(track, SHIFT);
    const limit: i64 = now + changeCost(shift);
    if (index != cheapest && load<i64>(track) >= limit) {
      const fitted: u32 = load<u32>(track, FITTED);
      set(track, shift, limit, block, node);
      store<u32>(track, fitted, FITTED);
    }
    const misses: u32 = index == 0 ? BLOCK_BYTES : missesOf(shift, block);
    if (misses == 0) store<u32>(track, block, FITTED);
    const cost: i64 = load<i64>(track) + (index == 0 ? BARE_COST : MISS_COST * misses);
    store<i64>(track, cost);
    if (cost > least || (cost == least && index != cheapest)) continue;
    least = cost;
    found = index;
  }
  cheapest = found;
  if (found != 0) lastShift = cheapestShift();
  isSettled = true;
  for (let index: u32 = 0; index < count; index++) {
    const track: usize = trackAt(index);
    if (index == cheapest || load<i64>(track) >= least + changeCost(load<i64>(track, SHIFT))) continue;
    isSettled = false;
  }
}
