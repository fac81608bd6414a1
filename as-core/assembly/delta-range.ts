// Arithmetic coding of single bits, in both directions: a range coder with carry (the one of LZMA, with probabilities of
// 16 bits). A decoder that is fed any bytes at all goes on giving bits; what they mean is bounded elsewhere.
import { STEP_BYTES, STREAM_AT, STREAM_BYTES } from './delta-coder-memory';

const TOP: u32 = 1 << 24;
/** A decoder reads these before its first bit, and an encoder writes as many after its last. */
const STATE_BYTES: u32 = 5;

/** Encoding, not decoding. */
export let isEncoding: bool = false;
/** Coded bytes in the stream area: written by the encoder, or not yet read by the decoder. */
export let streamStart: u32 = 0;
export let streamEnd: u32 = 0;
/** The decoder was told that no bytes follow. */
let isLast: bool = false;
/** Bytes that the decoder read after the last one: a whole stream has as many as are read. */
let beyond: u32 = 0;
/** The encoder had no room. */
let isFull: bool = false;

let low: u64 = 0;
let range: u32 = 0;
let code: u32 = 0;
let held: u32 = 0;
let heldCount: u32 = 0;

/** Begins a stream. */
export function beginRange(encode: bool): void {
  isEncoding = encode;
  streamStart = 0;
  streamEnd = 0;
  isLast = false;
  beyond = 0;
  isFull = false;
  low = 0;
  range = 0xffffffff;
  code = 0;
  held = 0;
  heldCount = 1;
}

/** The decoder got `count` more bytes at the end of the stream area; with `last`, no more come. */
export function grewBy(count: u32, last: bool): void {
  streamEnd += count;
  isLast = last;
}

/** Moves what is unread to the beginning, and answers how much that is. */
export function compact(): u32 {
  const count: u32 = streamEnd - streamStart;
  memory.copy(STREAM_AT, STREAM_AT + streamStart, count);
  streamStart = 0;
  streamEnd = count;
  return count;
}

/** The written bytes were taken. */
export function taken(): void {
  streamEnd = 0;
}

/** There is room, or there are bytes, for one more step. */
export function hasStep(): bool {
  if (isEncoding) return STREAM_BYTES - streamEnd >= STEP_BYTES;
  return isLast || streamEnd - streamStart >= STEP_BYTES;
}

/** The stream ended before its content, or did not fit. */
export function isBroken(): bool {
  return isFull || beyond > 0;
}

/** The decoder has read exactly all. */
export function isAtEnd(): bool {
  return isLast && streamStart == streamEnd && beyond == 0;
}

function next(): u32 {
  if (streamStart < streamEnd) return load<u8>(STREAM_AT + streamStart++);
  beyond++;
  return 0;
}

/** The first bytes of a stream. Its very first is 0: nothing was carried into it. */
export function openDecoder(): void {
  if (streamStart < streamEnd && load<u8>(STREAM_AT) != 0) beyond++;
  for (let i: u32 = 0; i < STATE_BYTES; i++) code = (code << 8) | next();
}

function put(byte: u32): void {
  if (streamEnd < STREAM_BYTES) store<u8>(STREAM_AT + streamEnd++, <u8>byte);
  else isFull = true;
}

function shiftLow(): void {
  if (<u32>low < 0xff000000 || low >> 32 != 0) {
    const carry: u32 = <u32>(low >> 32);
    let byte: u32 = held;
    do {
      put(byte + carry);
      byte = 0xff;
    } while (--heldCount != 0);
    held = <u32>(low >> 24) & 0xff;
  }
  heldCount++;
  low = (low & 0x00ffffff) << 8;
}

/** The last bytes of a stream. */
export function closeEncoder(): void {
  for (let i: u32 = 0; i < STATE_BYTES; i++) shiftLow();
}

/** Codes one bit; `p` of 65,536 is the probability of 1, neither 0 nor all. When decoding, `bit` is not looked at. */
// @ts-ignore: decorator
@inline
export function codeBit(bit: u32, p: u32): u32 {
  const bound: u32 = (range >>> 16) * p;
  let result: u32 = bit;
  if (isEncoding) {
    if (bit != 0) range = bound;
    else {
      low += bound;
      range -= bound;
    }
    while (range < TOP) {
      range <<= 8;
      shiftLow();
    }
  } else {
    if (code < bound) {
      range = bound;
      result = 1;
    } else {
      code -= bound;
      range -= bound;
      result = 0;
    }
    while (range < TOP) {
      range <<= 8;
      code = (code << 8) | next();
    }
  }
  return result;
}
