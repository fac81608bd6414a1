// Looks for a better shift nearby: where something was put in or taken out, what follows stands a little before or
// behind its place, and between changed addresses there are too few equal bytes for a window.
import { BLOCK_BYTES, BLOCK_LOG, newAt, newBytes, oldAt, oldBytes } from './delta-match-memory';
import { cheapestShift, fitsAnywhere, follow, missesOf, NO_SHIFT } from './delta-match-tracks';

/** Looked for when so many bytes of a block differ, */
export const NEAR_MISSES_MIN: u32 = 4;
/** of two blocks so many, */
const TWO_MISSES_MIN: u32 = 8;
/** and no track fits both but for so many. */
const TWO_MISSES_FIT: u32 = 2;
/** So many fewer of four blocks must differ. */
const GAIN_MIN: u32 = 8;
/** How far before and behind. */
const RADIUS: i64 = 2048;
/** Bytes that must be equal. */
const ANCHOR_BYTES: u32 = 8;
/** Places that are looked at for one anchor: more are something that repeats itself. */
const PLACES_MAX: u32 = 64;

let lastShift: i64 = 0;
let foundShift: i64 = NO_SHIFT;
let foundMisses: u32 = 0;

/** Begins with both sides at the same place. */
export function beginNear(): void {
  lastShift = 0;
}

/** Misses of a block and the three behind it. */
function missesOfFour(shift: i64, block: u32): u32 {
  return (
    missesOf(shift, block) +
    missesOf(shift, block + 1) +
    missesOf(shift, block + 2) +
    missesOf(shift, block + 3)
  );
}

/** Follows the best shift near the one of the cheapest path, should there be one. */
export function lookNear(block: u32): void {
  if (newBytes >> BLOCK_LOG < block + 4) return;
  const shift: i64 = cheapestShift();
  if (shift != NO_SHIFT) lastShift = shift;
  const two: u32 = missesOf(lastShift, block) + missesOf(lastShift, block + 1);
  if (two < TWO_MISSES_MIN || fitsAnywhere(block, TWO_MISSES_FIT)) return;
  const four: u32 = missesOfFour(lastShift, block);
  foundShift = NO_SHIFT;
  foundMisses = four - GAIN_MIN;
  const place: u32 = block << BLOCK_LOG;
  for (let at: u32 = place; at < place + BLOCK_BYTES; at += ANCHOR_BYTES) lookFor(at, block);
  if (foundShift != NO_SHIFT) follow(foundShift, block);
}

/** Looks for the eight bytes at `place` of the new side. */
function lookFor(place: u32, block: u32): void {
  const word: u64 = load<u64>(newAt + place);
  // One byte eight times is everywhere.
  if (word == rotl<u64>(word, 8)) return;
  const middle: i64 = <i64>place + lastShift;
  const first: i64 = max<i64>(middle - RADIUS, 0);
  const end: i64 = min<i64>(middle + RADIUS, <i64>oldBytes - ANCHOR_BYTES);
  const byte0: v128 = i8x16.splat(<i8>word);
  const byte1: v128 = i8x16.splat(<i8>(word >> 8));
  const byte2: v128 = i8x16.splat(<i8>(word >> 16));
  const byte3: v128 = i8x16.splat(<i8>(word >> 24));
  let places: u32 = 0;
  for (let start: i64 = first; start < end; start += 16) {
    const at: usize = oldAt + <usize>start;
    const two: v128 = v128.and(
      i8x16.eq(v128.load(at), byte0),
      i8x16.eq(v128.load(at, 1), byte1),
    );
    const other: v128 = v128.and(
      i8x16.eq(v128.load(at, 2), byte2),
      i8x16.eq(v128.load(at, 3), byte3),
    );
    for (let hits: u32 = i8x16.bitmask(v128.and(two, other)); hits != 0; hits &= hits - 1) {
      const hit: u32 = ctz<u32>(hits);
      if (load<u64>(at + hit) != word) continue;
      if (++places > PLACES_MAX) return;
      judge(start + hit - place, block);
    }
  }
}

function judge(shift: i64, block: u32): void {
  const misses: u32 = missesOfFour(shift, block);
  if (misses > foundMisses) return;
  const isNearer: bool = abs<i64>(shift - lastShift) < abs<i64>(foundShift - lastShift);
  if (misses == foundMisses && !isNearer) return;
  foundMisses = misses;
  foundShift = shift;
}
