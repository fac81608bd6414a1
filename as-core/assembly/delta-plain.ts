// Codes plain pieces of a copy, as they were or byte by byte; and extra bytes, which no copy covers.
import { addContext, beginContexts, codeFlag, codeNode } from './delta-mixing';
import { differenceAt, newAt, place, put } from './delta-piece';
import { isEncoding } from './delta-range';
import { codeByte } from './delta-values';

/** Outcomes of the last pieces: 1 is "as it was". */
let hits: u32 = 0;
/** The last two differences that were not 0, and where. */
let last: u32 = 0;
let lastButOne: u32 = 0;
let lastPlace: u32 = 0;

export function beginPlain(): void {
  hits = 0xffffffff;
  last = 0;
  lastButOne = 0;
  lastPlace = 0;
}

// @ts-ignore: decorator
@inline
function steps(distance: u32): u32 {
  return distance < 8 ? distance : 40 - clz<u32>(distance);
}

/** Codes `length` bytes (at most 8) that were those at `at`; `left` bytes of the copy remain, `since` are done. */
export function codePlain(at: usize, length: u32, mode: u32, left: u32, since: u32): void {
  const old: u64 = load<u64>(at);
  const mask: u64 = length == 8 ? u64.MAX_VALUE : (1 << <u64>(length << 3)) - 1;
  const far: u32 = steps(place - lastPlace);
  const where: u32 = length | (mode << 4);
  const low: u32 = <u32>(old & mask);
  const high: u32 = <u32>((old & mask) >> 32);
  beginContexts();
  addContext(where, hits & 0xff);
  addContext(far, where | (hits & 3) << 12);
  addContext(low, high * 31 + length);
  addContext(low & 0xffff, where);
  addContext(steps(left), steps(since) << 8 | (hits & 3) << 16);
  addContext(differenceAt(8) << 8 | differenceAt(16), differenceAt(4) << 8 | differenceAt(12));
  addContext(hits & 0xffff, where);
  let isHit: u32 = 0;
  if (isEncoding) isHit = ((load<u64>(newAt(0)) ^ old) & mask) == 0 ? 1 : 0;
  isHit = codeFlag(isHit, (far << 3) | min<u32>(mode, 7));
  hits = (hits << 1) | isHit;
  if (isHit != 0) {
    for (let i: u32 = 0; i < length; i++) put(load<u8>(at + i), 0);
    return;
  }
  let isAllSame: bool = true;
  for (let i: u32 = 0; i < length; i++) {
    const difference: u32 = codeDifference(at + i, i, where, isAllSame && i + 1 == length);
    if (difference != 0) isAllSame = false;
  }
}

function codeDifference(at: usize, index: u32, where: u32, isSure: bool): u32 {
  const old: u32 = load<u8>(at);
  const recent: u32 =
    (differenceAt(1) != 0 ? 1 : 0) |
    (differenceAt(2) != 0 ? 2 : 0) |
    (differenceAt(3) != 0 ? 4 : 0) |
    (differenceAt(4) != 0 ? 8 : 0) |
    (differenceAt(8) != 0 ? 16 : 0);
  const made: u32 = load<u8>(newAt(0) - 1) | (<u32>load<u8>(newAt(0) - 2) << 8);
  const four: u32 = differenceAt(1) | (differenceAt(2) << 8) | (differenceAt(3) << 16) | (differenceAt(4) << 24);
  beginContexts();
  addContext(old, recent);
  addContext(four, 0);
  addContext(last | (lastButOne << 8), min<u32>(place - lastPlace, 64));
  addContext(differenceAt(4) | (differenceAt(8) << 8), differenceAt(12));
  addContext(differenceAt(8) | (differenceAt(16) << 8), differenceAt(24) | (place & 7) << 8);
  addContext(old | (<u32>load<u8>(at - 1) << 8), load<u8>(at + 1));
  addContext(load<u32>(at), differenceAt(1));
  addContext(made, old);
  addContext(made, old | (<u32>load<u8>(newAt(0) - 3) << 8) | (<u32>load<u8>(newAt(0) - 4) << 16));
  addContext(where, index | (recent & 3) << 4);
  addContext(load<u32>(at - 3), load<u32>(at + 1));
  const set: u32 = 2400 + recent;
  let difference: u32 = 0;
  if (isEncoding) difference = (<u32>load<u8>(newAt(0)) - old) & 0xff;
  const isSame: bool = !isSure && codeNode(difference == 0 ? 1 : 0, 0, set) != 0;
  difference = isSame ? 0 : codeByte(difference, set + 32);
  if (difference != 0) {
    lastButOne = last;
    last = difference;
    lastPlace = place;
  }
  put((old + difference) & 0xff, difference);
  return difference;
}

/** Codes one extra byte; `guess` is the old byte at the distance of the last copy, or 256. */
export function codeExtra(guess: u32): void {
  const at: usize = newAt(0);
  const four: u32 = load<u32>(at - 4);
  beginContexts();
  addContext(1 << 16, 0);
  addContext(four >>> 24, 1 << 16);
  addContext(four >>> 16, 1 << 16);
  addContext(four >>> 8, 1 << 16);
  addContext(four, 1 << 16);
  addContext(four, load<u16>(at - 6) | 1 << 16);
  addContext(guess, four >>> 24 | 1 << 16);
  addContext(guess, 3 << 16);
  const byte: u32 = codeByte(load<u8>(at), 2500 + (guess == 256 ? 0 : 1));
  put(byte, 0);
}
