// The manifest of a delta. What is read lies in cells, in the order in which it stands in the document;
// as-core/src/delta.ts knows the order too. Cells below FIRST_CELL are those of bundle-documents.ts, which reads the
// signatures.
import { numberIn, lengthIn, closeDocument, endObject, formatName, HEX, key, NAME, number, oneOf, openDocument, text } from './bundle-text';
import { MANIFEST_BYTES_MAX, ROOT_BYTES_MAX, SIGNATURES_BYTES_MAX, SIGNATURES_MAX, UKI_BYTES_MAX } from './bundle-memory';
import { MANIFEST_CELLS } from './bundle-documents';
import {
  STATUS_DELTA_ENCODER,
  STATUS_DELTA_PLACES,
  STATUS_DELTA_SIDES,
  STATUS_DELTA_TOO_LARGE,
  STATUS_OK,
} from './status';

/** The first cell of the manifest: behind those of the signatures. */
export const FIRST_CELL: u32 = MANIFEST_CELLS + 2 * SIGNATURES_MAX;
/** Cells of one side: data bytes, root hash, SHA-256, bytes and SHA-256 of the kernel image. */
const SIDE_CELLS: u32 = 5;
const PART_CELLS: u32 = 3;

const BLOCK: u32 = FIRST_CELL;
const CANARY: u32 = FIRST_CELL + 1;
const ENCODER: u32 = FIRST_CELL + 2;
const FROM: u32 = FIRST_CELL + 3;
/** Canary, offset, packed and unpacked bytes. */
const KERNEL: u32 = FIRST_CELL + 4;
const LEVEL: u32 = FIRST_CELL + 8;
const MEMORY: u32 = FIRST_CELL + 9;
const RUN: u32 = FIRST_CELL + 10;
/** Offset, SHA-256 and size of each: literals, patch, plan, target's manifest, target's signatures. */
const PARTS: u32 = FIRST_CELL + 11;
const PATCHED: u32 = PARTS + 5 * PART_CELLS;
const SOURCE: u32 = PATCHED + 1;
const TARGET: u32 = SOURCE + SIDE_CELLS;
const TO: u32 = TARGET + SIDE_CELLS;

const NAME_MAX: u32 = 64;
const SHA256_DIGITS: u32 = 64;
const LEVEL_MAX: u64 = 22;
const BLOCK_MIN: u64 = 4096;
const BLOCK_MAX: u64 = 1 << 20;
/** 2^53 - 1. */
const INTEGER_MAX: u64 = 0x1fffffffffffff;

/** Most memory that applying may take. */
const MEMORY_MAX: u64 = 64 << 20;
/** Largest run of blocks, unpacked. */
const RUN_MAX: u64 = 1 << 20;
/** Largest plan. */
export const PLAN_BYTES_MAX: u32 = 1 << 20;
const PATCHED_MAX: u64 = 1 << 33;
/** Largest unpacked kernel. */
export const KERNEL_MAX: u64 = 1 << 27;

const KEYS: string =
  'blockBytes canary encoder format from kernel level limits parts patchedBytes source target to';
const KERNEL_KEYS: string = 'canary offset packedBytes unpackedBytes';
const LIMIT_KEYS: string = 'memoryBytes runBytes';
const PARTS_KEYS: string = 'literals patch plan targetManifest targetSignatures';
const PART_KEYS: string = 'offset sha256 size';
const SIDE_KEYS: string = 'dataBytes rootHash sha256 ukiBytes ukiSha256';

/** Reads a manifest of which the parts must end at `partsEnd`. */
export function readManifest(start: u32, length: u32, partsEnd: u64): i32 {
  openDocument(start, length);
  key(KEYS, 0);
  number(BLOCK, BLOCK_MIN, BLOCK_MAX);
  key(KEYS, 1);
  text(CANARY, HEX, SHA256_DIGITS, SHA256_DIGITS);
  key(KEYS, 2);
  oneOf(ENCODER, 'zstd-1.5.7', STATUS_DELTA_ENCODER);
  key(KEYS, 3);
  formatName('keelos-delta/1');
  key(KEYS, 4);
  text(FROM, NAME, 1, NAME_MAX);
  key(KEYS, 5);
  readKernel();
  key(KEYS, 6);
  number(LEVEL, 1, LEVEL_MAX);
  key(KEYS, 7);
  key(LIMIT_KEYS, 0);
  number(MEMORY, 1, INTEGER_MAX);
  key(LIMIT_KEYS, 1);
  number(RUN, 1, INTEGER_MAX);
  endObject(LIMIT_KEYS);
  key(KEYS, 8);
  for (let part: i32 = 0; part < 5; part++) {
    key(PARTS_KEYS, part);
    readPart(PARTS + <u32>part * PART_CELLS);
  }
  endObject(PARTS_KEYS);
  key(KEYS, 9);
  number(PATCHED, 0, INTEGER_MAX);
  key(KEYS, 10);
  readSide(SOURCE);
  key(KEYS, 11);
  readSide(TARGET);
  key(KEYS, 12);
  text(TO, NAME, 1, NAME_MAX);
  endObject(KEYS);
  let status: i32 = closeDocument();
  if (status == STATUS_OK) status = judgeSizes();
  if (status == STATUS_OK) status = judgePlaces(partsEnd);
  return status == STATUS_OK ? judgeSides() : status;
}

function readKernel(): void {
  key(KERNEL_KEYS, 0);
  text(KERNEL, HEX, 0, SHA256_DIGITS);
  key(KERNEL_KEYS, 1);
  number(KERNEL + 1, 0, INTEGER_MAX);
  key(KERNEL_KEYS, 2);
  number(KERNEL + 2, 0, INTEGER_MAX);
  key(KERNEL_KEYS, 3);
  number(KERNEL + 3, 0, INTEGER_MAX);
  endObject(KERNEL_KEYS);
}

function readPart(cell: u32): void {
  key(PART_KEYS, 0);
  number(cell, 0, INTEGER_MAX);
  key(PART_KEYS, 1);
  text(cell + 1, HEX, SHA256_DIGITS, SHA256_DIGITS);
  key(PART_KEYS, 2);
  number(cell + 2, 0, INTEGER_MAX);
  endObject(PART_KEYS);
}

function readSide(cell: u32): void {
  key(SIDE_KEYS, 0);
  number(cell, 1, INTEGER_MAX);
  key(SIDE_KEYS, 1);
  text(cell + 1, HEX, 0, SHA256_DIGITS);
  key(SIDE_KEYS, 2);
  text(cell + 2, HEX, SHA256_DIGITS, SHA256_DIGITS);
  key(SIDE_KEYS, 3);
  number(cell + 3, 0, INTEGER_MAX);
  key(SIDE_KEYS, 4);
  text(cell + 4, HEX, 0, SHA256_DIGITS);
  endObject(SIDE_KEYS);
}

function partOffset(part: u32): u64 {
  return numberIn(PARTS + part * PART_CELLS);
}

function partSize(part: u32): u64 {
  return numberIn(PARTS + part * PART_CELLS + 2);
}

function judgeSizes(): i32 {
  if (numberIn(MEMORY) > MEMORY_MAX || numberIn(RUN) > RUN_MAX) return STATUS_DELTA_TOO_LARGE;
  if (numberIn(PATCHED) > PATCHED_MAX || numberIn(KERNEL + 3) > KERNEL_MAX) return STATUS_DELTA_TOO_LARGE;
  if (partSize(2) > PLAN_BYTES_MAX) return STATUS_DELTA_TOO_LARGE;
  if (partSize(3) > MANIFEST_BYTES_MAX || partSize(4) > SIGNATURES_BYTES_MAX) return STATUS_DELTA_TOO_LARGE;
  for (let cell: u32 = SOURCE; cell <= TARGET; cell += SIDE_CELLS) {
    if (numberIn(cell) > ROOT_BYTES_MAX || numberIn(cell + 3) > UKI_BYTES_MAX) return STATUS_DELTA_TOO_LARGE;
  }
  return STATUS_OK;
}

/** In the file: plan, patch, literals, the target's manifest and signatures; in the manifest: by name. */
function judgePlaces(partsEnd: u64): i32 {
  let end: u64 = 0;
  for (let nth: u32 = 0; nth < 5; nth++) {
    const part: u32 = nth < 3 ? 2 - nth : nth;
    if (partOffset(part) != end || partSize(part) > partsEnd - end) return STATUS_DELTA_PLACES;
    end += partSize(part);
  }
  return end == partsEnd ? STATUS_OK : STATUS_DELTA_PLACES;
}

/** Both sides are bundles, with a root hash and a kernel image and in whole blocks, or neither is. */
function judgeSides(): i32 {
  const isBundle: bool = lengthIn(SOURCE + 1) != 0;
  for (let cell: u32 = SOURCE; cell <= TARGET; cell += SIDE_CELLS) {
    const digits: u32 = isBundle ? SHA256_DIGITS : 0;
    if (lengthIn(cell + 1) != digits || lengthIn(cell + 4) != digits) return STATUS_DELTA_SIDES;
    if ((numberIn(cell + 3) != 0) != isBundle) return STATUS_DELTA_SIDES;
    if (isBundle && numberIn(cell) % 4096 != 0) return STATUS_DELTA_SIDES;
  }
  const block: u64 = numberIn(BLOCK);
  if ((block & (block - 1)) != 0) return STATUS_DELTA_SIDES;
  if ((numberIn(PATCHED) != 0) != (partSize(1) != 0)) return STATUS_DELTA_SIDES;
  const isCarried: bool = partSize(3) != 0;
  if (isCarried != isBundle || (partSize(4) != 0) != isBundle) return STATUS_DELTA_SIDES;
  return judgeKernel();
}

/** It lies in the kernel image of the source, or nothing is said of it. */
function judgeKernel(): i32 {
  const offset: u64 = numberIn(KERNEL + 1);
  const packed: u64 = numberIn(KERNEL + 2);
  const unpacked: u64 = numberIn(KERNEL + 3);
  if (lengthIn(KERNEL) == 0) return (offset | packed | unpacked) == 0 ? STATUS_OK : STATUS_DELTA_SIDES;
  if (lengthIn(KERNEL) != SHA256_DIGITS || packed == 0 || unpacked == 0) return STATUS_DELTA_SIDES;
  const uki: u64 = numberIn(SOURCE + 3);
  return offset <= uki && packed <= uki - offset ? STATUS_OK : STATUS_DELTA_SIDES;
}

export function isKernelUnpacked(): bool {
  return lengthIn(KERNEL) != 0;
}

export function blockBytes(): u32 {
  return <u32>numberIn(BLOCK);
}
export function runBytesMax(): u64 {
  return numberIn(RUN);
}
export function planBytes(): u32 {
  return <u32>partSize(2);
}
export function literalBytes(): u64 {
  return partSize(0);
}
export function patchedBytes(): u64 {
  return numberIn(PATCHED);
}
export function sourceBytes(): u64 {
  return numberIn(SOURCE) + numberIn(SOURCE + 3);
}
export function targetDataBytes(): u64 {
  return numberIn(TARGET);
}
export function targetUkiBytes(): u64 {
  return numberIn(TARGET + 3);
}
