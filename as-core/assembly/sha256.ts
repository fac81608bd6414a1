// SHA-256 (FIPS 180-4) of one stream that comes in pieces of any size.
//
// Memory, all of it static:
//
//   input    INPUT_BYTES_MAX  the caller writes a piece here, then calls update(length)
//   pending  64               bytes that do not fill a block yet
//   hash     32               H0..H7, as numbers
//   digest   32               the result, as bytes
//
// No call allocates or throws; a refused call changes nothing.
import { compress } from './sha256-compress';
import { initialHash } from './sha256-constants';
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
    compress(hash, pending);
    pendingBytes = 0;
  }
  while (left >= BLOCK_BYTES) {
    compress(hash, at);
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
    compress(hash, pending);
    pendingBytes = 0;
  }
  memory.fill(pending + pendingBytes, 0, BLOCK_BYTES - 8 - pendingBytes);
  store<u64>(pending, bswap<u64>(totalBytes << 3), 56);
  compress(hash, pending);
  for (let offset: usize = 0; offset < 32; offset += 4) {
    store<u32>(digest + offset, bswap<u32>(load<u32>(hash + offset)));
  }
  return STATUS_OK;
}
