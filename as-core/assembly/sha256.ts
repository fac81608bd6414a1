// SHA-256 (FIPS 180-4) of one stream that comes in pieces of any size.
//
// Memory, all of it static:
//
//   input    INPUT_BYTES_MAX  the caller writes a piece here, then calls update(length)
//   pending  64               bytes that do not fill a block yet
//   schedule 256              the 64 words of the block at work
//   hash     32               H0..H7, as numbers
//   digest   32               the result, as bytes
//
// No call allocates or throws; a refused call changes nothing.
import { initialHash, roundConstants } from './sha256-constants';
import {
  STATUS_INPUT_TOO_LONG,
  STATUS_OK,
  STATUS_STREAM_TOO_LONG,
  STATUS_WRONG_STATE,
} from './status';

const BLOCK_BYTES: u32 = 64;
const INPUT_BYTES_MAX: u32 = 65536;
// The length field has 64 bits and counts bits (FIPS 180-4 section 5.1.1).
const STREAM_BYTES_MAX: u64 = 0x1fffffffffffffff;

const input: usize = memory.data(INPUT_BYTES_MAX, 16);
const pending: usize = memory.data(BLOCK_BYTES, 16);
const schedule: usize = memory.data(256, 16);
const hash: usize = memory.data(32, 16);
const digest: usize = memory.data(32, 16);

let totalBytes: u64 = 0;
let pendingBytes: u32 = 0;
let isFinished: bool = false;

/** Where the caller writes input. */
export function inputPointer(): usize {
  return input;
}

/** Size of the input area in bytes. */
export function inputBytesMax(): u32 {
  return INPUT_BYTES_MAX;
}

/** Where the 32 bytes of the digest are after `finish`. */
export function digestPointer(): usize {
  return digest;
}

/** Begins a new stream. */
export function init(): void {
  memory.copy(hash, initialHash, 32);
  totalBytes = 0;
  pendingBytes = 0;
  isFinished = false;
}

/**
 * For tests of the byte count: pretends that `blocks` blocks went before, leaving the hash as it is. Only at the
 * beginning of a stream.
 */
export function skipBlocks(blocks: u64): i32 {
  if (isFinished || totalBytes != 0) return STATUS_WRONG_STATE;
  if (blocks > STREAM_BYTES_MAX / BLOCK_BYTES) return STATUS_STREAM_TOO_LONG;
  totalBytes = blocks * BLOCK_BYTES;
  return STATUS_OK;
}

/** Takes the first `length` bytes of the input area. */
export function update(length: u32): i32 {
  if (isFinished) return STATUS_WRONG_STATE;
  if (length > INPUT_BYTES_MAX) return STATUS_INPUT_TOO_LONG;
  if (<u64>length > STREAM_BYTES_MAX - totalBytes) return STATUS_STREAM_TOO_LONG;
  totalBytes += length;
  let at: usize = input;
  let left: u32 = length;
  if (pendingBytes != 0) {
    const missing: u32 = BLOCK_BYTES - pendingBytes;
    const taken: u32 = left < missing ? left : missing;
    memory.copy(pending + pendingBytes, at, taken);
    pendingBytes += taken;
    at += taken;
    left -= taken;
    if (pendingBytes < BLOCK_BYTES) return STATUS_OK;
    compress(pending);
    pendingBytes = 0;
  }
  while (left >= BLOCK_BYTES) {
    compress(at);
    at += BLOCK_BYTES;
    left -= BLOCK_BYTES;
  }
  memory.copy(pending, at, left);
  pendingBytes = left;
  return STATUS_OK;
}

/** Ends the stream: pads it and leaves the digest at `digestPointer()`. */
export function finish(): i32 {
  if (isFinished) return STATUS_WRONG_STATE;
  isFinished = true;
  store<u8>(pending + pendingBytes, 0x80);
  pendingBytes += 1;
  if (pendingBytes > BLOCK_BYTES - 8) {
    memory.fill(pending + pendingBytes, 0, BLOCK_BYTES - pendingBytes);
    compress(pending);
    pendingBytes = 0;
  }
  memory.fill(pending + pendingBytes, 0, BLOCK_BYTES - 8 - pendingBytes);
  store<u64>(pending, bswap<u64>(totalBytes << 3), 56);
  compress(pending);
  for (let offset: usize = 0; offset < 32; offset += 4) {
    store<u32>(digest + offset, bswap<u32>(load<u32>(hash + offset)));
  }
  return STATUS_OK;
}

// @ts-ignore: decorator
@inline
function choose(x: u32, y: u32, z: u32): u32 {
  return z ^ (x & (y ^ z));
}

// @ts-ignore: decorator
@inline
function majority(x: u32, y: u32, z: u32): u32 {
  return (x & y) | (z & (x | y));
}

// @ts-ignore: decorator
@inline
function sum0(x: u32): u32 {
  return rotr<u32>(x, 2) ^ rotr<u32>(x, 13) ^ rotr<u32>(x, 22);
}

// @ts-ignore: decorator
@inline
function sum1(x: u32): u32 {
  return rotr<u32>(x, 6) ^ rotr<u32>(x, 11) ^ rotr<u32>(x, 25);
}

// @ts-ignore: decorator
@inline
function sigma0(x: u32): u32 {
  return rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
}

// @ts-ignore: decorator
@inline
function sigma1(x: u32): u32 {
  return rotr<u32>(x, 17) ^ rotr<u32>(x, 19) ^ (x >> 10);
}

// @ts-ignore: decorator
@inline
function keyed(offset: usize, index: usize): u32 {
  return load<u32>(roundConstants + offset + 4 * index) + load<u32>(schedule + offset + 4 * index);
}

/** FIPS 180-4 section 6.2.2 for the 64 bytes at `block`. Eight rounds are written out, so that no value moves. */
function compress(block: usize): void {
  for (let offset: usize = 0; offset < 64; offset += 4) {
    store<u32>(schedule + offset, bswap<u32>(load<u32>(block + offset)));
  }
  for (let offset: usize = 64; offset < 256; offset += 4) {
    const word: usize = schedule + offset;
    const next: u32 =
      sigma1(load<u32>(word - 8)) + load<u32>(word - 28) + sigma0(load<u32>(word - 60)) + load<u32>(word - 64);
    store<u32>(word, next);
  }
  let a: u32 = load<u32>(hash, 0);
  let b: u32 = load<u32>(hash, 4);
  let c: u32 = load<u32>(hash, 8);
  let d: u32 = load<u32>(hash, 12);
  let e: u32 = load<u32>(hash, 16);
  let f: u32 = load<u32>(hash, 20);
  let g: u32 = load<u32>(hash, 24);
  let h: u32 = load<u32>(hash, 28);
  for (let offset: usize = 0; offset < 256; offset += 32) {
    h += sum1(e) + choose(e, f, g) + keyed(offset, 0);
    d += h;
    h += sum0(a) + majority(a, b, c);
    g += sum1(d) + choose(d, e, f) + keyed(offset, 1);
    c += g;
    g += sum0(h) + majority(h, a, b);
    f += sum1(c) + choose(c, d, e) + keyed(offset, 2);
    b += f;
    f += sum0(g) + majority(g, h, a);
    e += sum1(b) + choose(b, c, d) + keyed(offset, 3);
    a += e;
    e += sum0(f) + majority(f, g, h);
    d += sum1(a) + choose(a, b, c) + keyed(offset, 4);
    h += d;
    d += sum0(e) + majority(e, f, g);
    c += sum1(h) + choose(h, a, b) + keyed(offset, 5);
    g += c;
    c += sum0(d) + majority(d, e, f);
    b += sum1(g) + choose(g, h, a) + keyed(offset, 6);
    f += b;
    b += sum0(c) + majority(c, d, e);
    a += sum1(f) + choose(f, g, h) + keyed(offset, 7);
    e += a;
    a += sum0(b) + majority(b, c, d);
  }
  store<u32>(hash, load<u32>(hash, 0) + a, 0);
  store<u32>(hash, load<u32>(hash, 4) + b, 4);
  store<u32>(hash, load<u32>(hash, 8) + c, 8);
  store<u32>(hash, load<u32>(hash, 12) + d, 12);
  store<u32>(hash, load<u32>(hash, 16) + e, 16);
  store<u32>(hash, load<u32>(hash, 20) + f, 20);
  store<u32>(hash, load<u32>(hash, 24) + g, 24);
  store<u32>(hash, load<u32>(hash, 28) + h, 28);
}
