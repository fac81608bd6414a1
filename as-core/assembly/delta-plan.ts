// The plan of a delta, read step by step. Each step is judged before it is told: what it takes is there, and what it makes
// fits what is left of the target. Varints: 7 bits a byte, the lowest first.
import {
  blockBytes,
  isKernelUnpacked,
  KERNEL_MAX,
  literalBytes,
  patchedBytes,
  planBytes,
  PLAN_BYTES_MAX,
  runBytesMax,
  sourceBytes,
  targetDataBytes,
  targetUkiBytes,
} from './delta-manifest';
import {
  STATUS_DELTA_PLAN_KIND,
  STATUS_DELTA_PLAN_NUMBER,
  STATUS_DELTA_PLAN_RUN,
  STATUS_DELTA_PLAN_SOURCE,
  STATUS_DELTA_PLAN_STREAMS,
  STATUS_DELTA_PLAN_TARGET,
  STATUS_OK,
} from './status';

const COPY: u32 = 0;
const RAW: u32 = 1;
const DATA: u32 = 2;
const METADATA: u32 = 3;
const LITERAL: u32 = 4;
const ZERO: u32 = 5;
const KERNEL: u32 = 6;

const VARINT_BYTES_MAX: u32 = 8;
const METADATA_BYTES: u64 = 8192;
/** A metadata block has its length in front. */
const LENGTH_BYTES: u64 = 2;
/** Most blocks of one step. */
const BLOCKS_MAX: u32 = 4096;

/** Where the plan is put. */
export const PLAN_AT: usize = (__heap_base + 63) & ~63;
/** u32 for each block of the step: its length, unpacked. */
export const BLOCKS_AT: usize = PLAN_AT + PLAN_BYTES_MAX;
export const PLAN_MEMORY_END: usize = BLOCKS_AT + <usize>BLOCKS_MAX * 4;

let at: u32 = 0;
let copyEnd: u64 = 0;
let targetAt: u64 = 0;
let patchedLeft: u64 = 0;
let literalLeft: u64 = 0;
/** What was wrong with the last number; every number after it is 0. */
let fault: i32 = STATUS_OK;

export let kind: u32 = 0;
/** What the step makes. */
export let bytes: u64 = 0;
/** Place in the source, of a copy. */
export let from: u64 = 0;
/** Blocks of the step. */
export let count: u32 = 0;
/** Patched bytes that the step takes. */
export let taken: u64 = 0;
export let crc: u32 = 0;

/** Goes to the first step. */
export function rewind(): void {
  at = 0;
  copyEnd = 0;
  targetAt = 0;
  patchedLeft = patchedBytes();
  literalLeft = literalBytes();
  fault = STATUS_OK;
}

/** Whether there is another step. */
export function hasStep(): bool {
  return at < planBytes();
}

/** Byte of the plan at which it stands. */
export function planPlace(): u32 {
  return at;
}

/** Whether all is made and all is used: asked behind the last step. */
export function judgeEnd(): i32 {
  if (targetAt != targetDataBytes() + targetUkiBytes()) return STATUS_DELTA_PLAN_TARGET;
  return patchedLeft == 0 && literalLeft == 0 ? STATUS_OK : STATUS_DELTA_PLAN_STREAMS;
}

/** Reads the next step, which must be there. */
export function nextStep(): i32 {
  kind = <u32>load<u8>(PLAN_AT + at);
  at += 1;
  count = 0;
  from = 0;
  taken = 0;
  if (kind > KERNEL || (kind == KERNEL && !isKernelUnpacked())) return STATUS_DELTA_PLAN_KIND;
  let status: i32 = STATUS_OK;
  if (kind == DATA) status = readData();
  else if (kind == METADATA) status = readMetadata();
  else bytes = varint();
  if (status == STATUS_OK && kind == COPY) status = readCopy();
  if (status == STATUS_OK && kind == KERNEL) status = readKernel();
  if (fault != STATUS_OK) return fault;
  if (status != STATUS_OK) return status;
  if (planBytes() - at < 4) return STATUS_DELTA_PLAN_NUMBER;
  crc = load<u32>(PLAN_AT + at);
  at += 4;
  return account();
}

function readCopy(): i32 {
  const coded: u64 = varint();
  const distance: u64 = (coded + 1) >> 1;
  const isBack: bool = (coded & 1) != 0;
  if (isBack ? distance > copyEnd : distance > sourceBytes()) return STATUS_DELTA_PLAN_SOURCE;
  from = isBack ? copyEnd - distance : copyEnd + distance;
  if (from > sourceBytes() || bytes > sourceBytes() - from) return STATUS_DELTA_PLAN_SOURCE;
  copyEnd = from + bytes;
  return STATUS_OK;
}

/** A frame is hardly longer than what it holds. */
function readKernel(): i32 {
  taken = varint();
  if (taken == 0 || taken > KERNEL_MAX) return STATUS_DELTA_PLAN_RUN;
  if (targetAt < targetDataBytes()) return STATUS_DELTA_PLAN_TARGET;
  return bytes > taken + taken / 128 + 1024 ? STATUS_DELTA_PLAN_TARGET : STATUS_OK;
}

function readData(): i32 {
  const status: i32 = readCount();
  if (status != STATUS_OK) return status;
  const block: u64 = blockBytes();
  for (let index: u32 = 0; index < count; index++) {
    const missing: u64 = varint();
    if (missing >= block) return STATUS_DELTA_PLAN_NUMBER;
    addBlock(index, block - missing);
  }
  // A block that does not become smaller is stored as it is.
  return judgeRun(taken, count);
}

function readMetadata(): i32 {
  const status: i32 = readCount();
  if (status != STATUS_OK) return status;
  const missing: u64 = varint();
  if (missing >= METADATA_BYTES) return STATUS_DELTA_PLAN_NUMBER;
  for (let index: u32 = 0; index < count; index++) {
    addBlock(index, index + 1 < count ? METADATA_BYTES : METADATA_BYTES - missing);
  }
  return judgeRun(taken + LENGTH_BYTES * count, (LENGTH_BYTES + 1) * count);
}

function readCount(): i32 {
  const blocks: u64 = varint();
  bytes = varint();
  if (blocks == 0 || blocks > BLOCKS_MAX) return STATUS_DELTA_PLAN_RUN;
  count = <u32>blocks;
  return STATUS_OK;
}

function addBlock(index: u32, length: u64): void {
  store<u32>(BLOCKS_AT + (<usize>index << 2), <u32>length);
  taken += length;
}

/** Whether blocks that take `taken` bytes may be one run that makes from `least` to `most` bytes. */
function judgeRun(most: u64, least: u64): i32 {
  if (taken > runBytesMax()) return STATUS_DELTA_PLAN_RUN;
  return bytes < least || bytes > most ? STATUS_DELTA_PLAN_TARGET : STATUS_OK;
}

/** Takes what the step takes, and what it makes, from what is left. */
function account(): i32 {
  if (kind == RAW) {
    taken = bytes;
    if (taken > runBytesMax()) return STATUS_DELTA_PLAN_RUN;
  }
  if (taken > patchedLeft) return STATUS_DELTA_PLAN_STREAMS;
  patchedLeft -= taken;
  if (kind == LITERAL) {
    if (bytes > literalLeft) return STATUS_DELTA_PLAN_STREAMS;
    literalLeft -= bytes;
  }
  const data: u64 = targetDataBytes();
  const end: u64 = targetAt < data ? data : data + targetUkiBytes();
  if (bytes == 0 || bytes > end - targetAt) return STATUS_DELTA_PLAN_TARGET;
  targetAt += bytes;
  return STATUS_OK;
}

function varint(): u64 {
  let value: u64 = 0;
  for (let index: u32 = 0; index < VARINT_BYTES_MAX; index++) {
    if (fault != STATUS_OK || at >= planBytes()) break;
    const byte: u64 = load<u8>(PLAN_AT + at);
    at += 1;
    value |= (byte & 0x7f) << <u64>(7 * index);
    if (byte >= 0x80) continue;
    if (byte == 0 && index > 0) break;
    return value;
  }
  fault = STATUS_DELTA_PLAN_NUMBER;
  return 0;
}
