// The new bytes around the place that is being coded, in either direction, and what was seen on the way there.
import { BEYOND_BYTES, NEW_AT, PIECE_BYTES } from './delta-coder-memory';
import { isEncoding } from './delta-range';

/** New bytes before the piece that can be looked at. */
const BEFORE_BYTES: u32 = 64;

/** New place that is coded next. */
export let place: u32 = 0;
/** Bytes of the piece that are done; those that reach beyond it count too. */
export let doneBytes: u32 = 0;
/** Bytes done in all, as far as the ring needs to know. */
let turn: u32 = 0;

/** Differences of the last 64 bytes, a ring; and how many bytes went by. */
const differences: usize = memory.data(64, 16);

export function beginPieces(): void {
  place = 0;
  doneBytes = 0;
  turn = 0;
  memory.fill(NEW_AT - BEFORE_BYTES, 0, BEFORE_BYTES + PIECE_BYTES + BEYOND_BYTES);
  memory.fill(differences, 0, 64);
}

/** Goes to the next piece: what reached beyond this one becomes its beginning. */
export function nextPiece(): void {
  memory.copy(NEW_AT - BEFORE_BYTES, NEW_AT + PIECE_BYTES - BEFORE_BYTES, BEFORE_BYTES + BEYOND_BYTES);
  doneBytes -= PIECE_BYTES;
}

/** Goes to another place: what lies between is not made. */
export function skipTo(next: u32): void {
  place = next;
}

/** Where the byte `ahead` places further is. */
// @ts-ignore: decorator
@inline
export function newAt(ahead: u32): usize {
  return NEW_AT + doneBytes + ahead;
}

/** Difference of the byte `back` bytes ago, at least 1 and at most 64. */
// @ts-ignore: decorator
@inline
export function differenceAt(back: u32): u32 {
  return load<u8>(differences + ((turn - back) & 63));
}

/** The next byte is `byte` (an encoder has it already), `difference` away from what was expected. */
// @ts-ignore: decorator
@inline
export function put(byte: u32, difference: u32): void {
  if (!isEncoding) store<u8>(newAt(0), <u8>byte);
  store<u8>(differences + (turn & 63), <u8>difference);
  place++;
  doneBytes++;
  turn++;
}
