// Reader of deltas (proto/src/delta.ts): the footer, the manifest and the signatures from the last bytes of a delta, and
// its plan. Every reading returns a status; `faultPart` and `faultAt` then say where. No call allocates or throws.
//
//   input   81,984        the caller writes the end of a delta here
//   cells   192 * 8       what was read
//   plan    1 MiB         the caller writes the plan here
//   blocks  4096 * 4      lengths of the blocks of a step
import { readSignatures, MANIFEST_CELLS, signatureCount } from './bundle-documents';
import { cells, FOOTER_BYTES, input, INPUT_BYTES_MAX } from './bundle-memory';
import { at } from './bundle-text';
import { manifestBytes, manifestOffset, readFooter, signaturesBytes } from './delta-footer';
import { FIRST_CELL, planBytes, readManifest } from './delta-manifest';
import {
  BLOCKS_AT,
  bytes,
  count,
  crc,
  from,
  hasStep,
  judgeEnd,
  kind,
  nextStep,
  PLAN_AT,
  PLAN_MEMORY_END,
  planPlace,
  rewind,
  taken,
} from './delta-plan';
import { STATUS_OK, STATUS_OUT_OF_RANGE, STATUS_WRONG_STATE } from './status';

const PART_FOOTER: u32 = 1;
const PART_MANIFEST: u32 = 2;
const PART_SIGNATURES: u32 = 3;
const PART_PLAN: u32 = 4;

/** Part that the last refusal is about. */
let part: u32 = 0;
/** Where in `input` it begins. */
let partStart: u32 = 0;
let isRead: bool = false;
let hasPlan: bool = false;

/** Reads the last `length` bytes of a delta of `size` bytes: all of it, or as many as `input` holds. */
export function readTail(length: u32, size: u64): i32 {
  isRead = false;
  hasPlan = false;
  if (<u64>length != min<u64>(size, <u64>INPUT_BYTES_MAX)) return STATUS_OUT_OF_RANGE;
  part = PART_FOOTER;
  const footer: i32 = readFooter(length, size);
  if (footer != STATUS_OK) return footer;
  const signaturesStart: u32 = length - FOOTER_BYTES - signaturesBytes;
  part = PART_SIGNATURES;
  partStart = signaturesStart;
  const signatures: i32 = readSignatures(partStart, signaturesBytes);
  if (signatures != STATUS_OK) return signatures;
  part = PART_MANIFEST;
  partStart = signaturesStart - manifestBytes;
  const manifest: i32 = readManifest(partStart, manifestBytes, manifestOffset);
  isRead = manifest == STATUS_OK;
  return manifest;
}

/** Takes the plan, of which `length` bytes were written to `planPointer`, and goes over all of it. */
export function openPlan(length: u32): i32 {
  hasPlan = false;
  if (!isRead) return STATUS_WRONG_STATE;
  if (length != planBytes()) return STATUS_OUT_OF_RANGE;
  part = PART_PLAN;
  rewind();
  while (hasStep()) {
    const status: i32 = nextStep();
    if (status != STATUS_OK) return status;
  }
  const end: i32 = judgeEnd();
  hasPlan = end == STATUS_OK;
  rewind();
  return end;
}

/** Whether the plan has another step. */
export function hasPlanStep(): bool {
  return hasPlan && hasStep();
}

/** Reads the next step: the functions below say what it is. */
export function nextPlanStep(): i32 {
  return hasPlanStep() ? nextStep() : STATUS_WRONG_STATE;
}

export function stepKind(): u32 {
  return kind;
}
/** What it makes. */
export function stepBytes(): u64 {
  return bytes;
}
/** Place in the source. */
export function stepFrom(): u64 {
  return from;
}
/** Patched bytes that it takes. */
export function stepTaken(): u64 {
  return taken;
}
export function stepCrc(): u32 {
  return crc;
}
export function stepBlocks(): u32 {
  return count;
}
export function blocksPointer(): usize {
  return BLOCKS_AT;
}

/** Where the caller writes. */
export function inputPointer(): usize {
  return input;
}
/** How much fits. */
export function inputBytesMax(): u32 {
  return INPUT_BYTES_MAX;
}
export function planPointer(): usize {
  return PLAN_AT;
}
/** Where what was read lies. */
export function cellsPointer(): usize {
  return cells;
}
/** The first cell of the manifest. */
export function manifestCell(): u32 {
  return FIRST_CELL;
}
/** The first cell of the signatures. */
export function signaturesCell(): u32 {
  return MANIFEST_CELLS;
}
/** Where in `input` the manifest begins. */
export function manifestStart(length: u32): u32 {
  return length - FOOTER_BYTES - signaturesBytes - manifestBytes;
}
/** Its length. */
export function manifestLength(): u32 {
  return manifestBytes;
}
/** Signatures that were read. */
export function signaturesRead(): u32 {
  return signatureCount;
}
/** See `part`. */
export function faultPart(): u32 {
  return part;
}
/** Byte of that part. */
export function faultAt(): u32 {
  return part == PART_PLAN ? planPlace() : at - partStart;
}
/** End of the memory that the module uses. */
export function memoryEnd(): usize {
  return PLAN_MEMORY_END;
}
