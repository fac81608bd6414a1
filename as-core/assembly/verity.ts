// Digests of dm-verity, format 1: SHA-256 of salt and block, for many blocks of 4096 bytes at a time.
//
// Memory, all of it static:
//
//   input    INPUT_BLOCKS_MAX * 4096  the caller writes blocks here, then calls hashBlocks(count)
//   digests  INPUT_BLOCKS_MAX * 32    the results
//   salt     256                      the caller writes the salt here, then calls setSalt(length)
//   first    4 * 64                   a lane's first 64 bytes of a message that hold the end of the salt
//   last     4 * 128                  a lane's last 64 or 128 bytes of a message, with the padding
//   hash     32                       state after the whole 64-byte blocks of the salt
//   state    128                      the four messages at work
//
// With s = length of the salt and r = s % 64 a message is made of the s - r bytes that `hash` stands for, then 64 bytes
// (r of salt, 64 - r of data), then data from 64 - r on where it lies, then r bytes of data and the padding. So only the
// ends are ever copied. No call allocates or throws; a refused call changes nothing.
import { initialHash } from './sha256-constants';
import { compressLanes, LANE_STATE_BYTES, LANES, spreadState, storeDigest } from './sha256-lanes';
import { STATUS_OK, STATUS_OUT_OF_RANGE } from './status';

const BLOCK_BYTES: u32 = 4096;
const DIGEST_BYTES: u32 = 32;
const HASHED_BYTES: u32 = 64;
const INPUT_BLOCKS_MAX: u32 = 64;
const SALT_BYTES_MAX: u32 = 256;
/** Bytes of a message's last 64 that padding needs at least: 0x80 and the length. */
const PADDING_BYTES_MIN: u32 = 9;

const input: usize = memory.data(64 * 4096, 16);
const digests: usize = memory.data(64 * 32, 16);
const salt: usize = memory.data(256, 16);
const first: usize = memory.data(4 * 64, 16);
const last: usize = memory.data(4 * 128, 16);
const hash: usize = memory.data(32, 16);
const state: usize = memory.data(128, 16);

/** r above: bytes of salt in `first`, and bytes of data in `last`. */
let carriedBytes: u32 = 0;
/** Bytes of a lane's part of `last` that count: 64 or 128. */
let lastBytes: u32 = 0;

setSalt(0);

/** Where the caller writes blocks. */
export function inputPointer(): usize {
  return input;
}

/** How many blocks fit. */
export function inputBlocksMax(): u32 {
  return INPUT_BLOCKS_MAX;
}

/** Where the caller writes the salt. */
export function saltPointer(): usize {
  return salt;
}

/** Where the digests are after `hashBlocks`, 32 bytes each. */
export function digestsPointer(): usize {
  return digests;
}

/** Takes the first `length` bytes of the salt area, at most 256, for all blocks from now on. */
export function setSalt(length: u32): i32 {
  if (length > SALT_BYTES_MAX) return STATUS_OUT_OF_RANGE;
  spreadState(state, initialHash);
  const wholeBytes: u32 = length & ~63;
  for (let at: usize = salt; at < salt + wholeBytes; at += HASHED_BYTES) compressLanes(state, at, at, at, at);
  for (let word: usize = 0; word < 8; word++) store<u32>(hash + 4 * word, load<u32>(state + 16 * word));
  carriedBytes = length - wholeBytes;
  lastBytes = carriedBytes + PADDING_BYTES_MIN <= HASHED_BYTES ? HASHED_BYTES : 2 * HASHED_BYTES;
  memory.fill(last, 0, 4 * 128);
  const messageBits: u64 = (<u64>length + BLOCK_BYTES) << 3;
  for (let lane: usize = 0; lane < LANES; lane++) {
    memory.copy(first + 64 * lane, salt + wholeBytes, carriedBytes);
    const end: usize = last + 128 * lane;
    store<u8>(end + carriedBytes, 0x80);
    store<u64>(end + lastBytes - 8, bswap<u64>(messageBits));
  }
  return STATUS_OK;
}

/** Hashes the first `count` blocks of the input area, at most `inputBlocksMax()`, each with the salt before it. */
export function hashBlocks(count: u32): i32 {
  if (count > INPUT_BLOCKS_MAX) return STATUS_OUT_OF_RANGE;
  for (let index: u32 = 0; index < count; index += LANES) {
    const left: u32 = count - index;
    const filled: u32 = left < LANES ? left : LANES;
    // Lanes without a block of their own repeat the first one, and nobody reads what they find.
    const at: usize = input + index * BLOCK_BYTES;
    const second: usize = filled > 1 ? at + BLOCK_BYTES : at;
    const third: usize = filled > 2 ? at + 2 * BLOCK_BYTES : at;
    hashFour(at, second, third, filled > 3 ? at + 3 * BLOCK_BYTES : at);
    for (let lane: u32 = 0; lane < filled; lane++) {
      storeDigest(state, lane, digests + (index + lane) * DIGEST_BYTES);
    }
  }
  return STATUS_OK;
}

/** Leaves the states after four messages, salt and block and padding, in `state`. */
function hashFour(block0: usize, block1: usize, block2: usize, block3: usize): void {
  const carried: u32 = carriedBytes;
  spreadState(state, hash);
  let offset: u32 = 0;
  if (carried != 0) {
    offset = HASHED_BYTES - carried;
    memory.copy(first + carried, block0, offset);
    memory.copy(first + 64 + carried, block1, offset);
    memory.copy(first + 128 + carried, block2, offset);
    memory.copy(first + 192 + carried, block3, offset);
    compressLanes(state, first, first + 64, first + 128, first + 192);
  }
  for (; offset <= BLOCK_BYTES - HASHED_BYTES; offset += HASHED_BYTES) {
    compressLanes(state, block0 + offset, block1 + offset, block2 + offset, block3 + offset);
  }
  memory.copy(last, block0 + offset, carried);
  memory.copy(last + 128, block1 + offset, carried);
  memory.copy(last + 256, block2 + offset, carried);
  memory.copy(last + 384, block3 + offset, carried);
  for (let at: usize = last; at < last + lastBytes; at += HASHED_BYTES) {
    compressLanes(state, at, at + 128, at + 256, at + 384);
  }
}
