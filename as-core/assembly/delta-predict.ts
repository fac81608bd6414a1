// What comes next in a copy, and what it will most likely be: a plain piece of up to eight bytes, or a value that holds an
// address. The new value of an address is computed: where its target went says the map of the copy list, or better a
// reference to the same target that was seen before.
import { TARGET_BYTES, TARGETS, TARGETS_AT } from './delta-coder-memory';
import {
  baseExtra,
  baseKind,
  basesHere,
  hasAddresses,
  mapAddress,
  newAddress,
  newBase,
  NO_REGION,
  oldAddress,
  oldBase,
  regionOf,
} from './delta-addresses';
import { segment } from './delta-map';
import { oldAt } from './delta-old';

/** Ways to look at a chunk. From MODE_BASE on: 32-bit offsets from base (mode - MODE_BASE). */
export const MODE_PLAIN: u32 = 0;
export const MODE_CODE: u32 = 1;
export const MODE_WORDS_64: u32 = 2;
export const MODE_WORDS_32: u32 = 3;
export const MODE_BASE: u32 = 4;
/** Kinds of bases; KIND_OFFSETS is all else. As as-core/src/delta-addresses.ts has them. */
const KIND_MIXED: u32 = 1;
const KIND_RECORDS: u32 = 2;
const KIND_SYMBOLS: u32 = 3;
const KIND_COMPANY: u32 = 4;
const KIND_MIXED_COMPANY: u32 = 5;
/** Bytes of a symbol, and of a relocation. */
const RECORD_BYTES: u64 = 24;
/** Longest plain piece. */
const PLAIN_BYTES_MAX: u32 = 8;

/** Bytes of the token. */
export let tokenBytes: u32 = 0;
/** A value, not a plain piece. */
export let isValue: bool = false;
/** It holds an address, with all that follows. */
export let isAddress: bool = false;
/** The value predicted, that by the map alone, and the old one. */
export let predicted: u64 = 0;
export let mapped: u64 = 0;
export let unchanged: u64 = 0;
/** The same counted from the three bases behind this one; the old value when there are none. */
export let companion: u64 = 0;
export let secondCompanion: u64 = 0;
export let thirdCompanion: u64 = 0;
/** Old target, from what its new place is counted, and how often it was seen at the same new place. */
export let target: u64 = 0;
export let origin: u64 = 0;
export let trust: u32 = 0;
/** Segment of the map that the target lies in. */
export let targetSegment: u32 = 0;

/** Which word of a record of 24 bytes it may be, or which kind of instruction it belongs to. */
export let wordColumn: u32 = 0;

/** The memory of a fresh instance is 0 already. */
let isUsed: bool = false;

/** Forgets all targets. */
export function beginTargets(): void {
  if (isUsed) memory.fill(TARGETS_AT, 0, TARGETS * TARGET_BYTES);
  isUsed = true;
}

// @ts-ignore: decorator
@inline
function keyOf(address: u64): u32 {
  const h: u32 = <u32>address * 0x9e3779b1 + <u32>(address >> 32);
  return h == 0 ? 1 : h;
}

// @ts-ignore: decorator
@inline
function targetAt(key: u32): usize {
  return TARGETS_AT + <usize>((key ^ (key >>> 15)) & (TARGETS - 1)) * TARGET_BYTES;
}

/** Remembers that `target` went to `address`. */
export function learnTarget(address: u64): void {
  const key: u32 = keyOf(target);
  const at: usize = targetAt(key);
  const distance: u32 = <u32>(address - target);
  if (load<u32>(at) == key && load<u32>(at, 4) == distance) {
    store<u32>(at, min<u32>(load<u32>(at, 8) + 1, 7), 8);
    return;
  }
  store<u32>(at, key);
  store<u32>(at, distance, 4);
  store<u32>(at, 1, 8);
}

// @ts-ignore: decorator
@inline
function unchangedOf(address: u64, oldFrom: u64, mask: u64): u64 {
  return (address - oldFrom) & mask;
}

/** A value whose old target is `address`; it is stored as the distance from `oldFrom`, and will be from `newFrom`. */
function setAddress(address: u64, oldFrom: u64, newFrom: u64, mask: u64): bool {
  const region: u32 = regionOf(address);
  if (region == NO_REGION) return false;
  isAddress = true;
  companion = unchangedOf(address, oldFrom, mask);
  secondCompanion = companion;
  thirdCompanion = companion;
  target = address;
  origin = newFrom;
  mapped = (mapAddress(address, region) - newFrom) & mask;
  targetSegment = segment;
  unchanged = companion;
  const key: u32 = keyOf(address);
  const at: usize = targetAt(key);
  if (load<u32>(at) == key) {
    trust = load<u32>(at, 8);
    predicted = (address + <u64><i64><i32>load<u32>(at, 4) - newFrom) & mask;
  } else {
    trust = 0;
    predicted = mapped;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function isOpcodeBefore(at: usize): bool {
  const last: u32 = load<u8>(at - 1);
  return (last & 0xfe) == 0xe8 || (last & 0xc7) == 0x05 || ((last & 0xf0) == 0x80 && load<u8>(at - 2) == 0x0f);
}

/** Bytes of the instruction after the field: what is loaded at once is part of it. */
// @ts-ignore: decorator
@inline
function immediateBytes(at: usize): u32 {
  if ((load<u8>(at - 1) & 0xc7) != 0x05) return 0;
  const opcode: u32 = load<u8>(at - 2);
  if (opcode == 0x83 || opcode == 0x80 || opcode == 0xc6 || opcode == 0x6b) return 1;
  if (opcode == 0x81 || opcode == 0xc7 || opcode == 0x69) return 4;
  return 0;
}

/** The 32-bit field at `at`, relative to the end of its instruction. */
function setRelative(at: usize, old: u32, fresh: u32): bool {
  const behind: u64 = 4 + <u64>immediateBytes(at);
  const oldFrom: u64 = oldAddress(old) + behind;
  const address: u64 = oldFrom + <u64><i64>load<i32>(at);
  return setAddress(address, oldFrom, newAddress(fresh) + behind, 0xffffffff);
}

function setPlainWord(at: usize, bytes: u32): void {
  isAddress = false;
  unchanged = bytes == 8 ? load<u64>(at) : <u64>load<u32>(at);
  predicted = unchanged;
  mapped = unchanged;
  companion = unchanged;
  secondCompanion = unchanged;
  thirdCompanion = unchanged;
  trust = 0;
  target = unchanged;
  targetSegment = 0;
}

/** Looks at the token at `old`, which becomes the one at `fresh`, in a copy that goes on for `left` bytes. */
export function nextToken(mode: u32, old: u32, fresh: u32, left: u32): void {
  const at: usize = oldAt(old, old + left);
  isValue = false;
  isAddress = false;
  if (mode == MODE_PLAIN || !hasAddresses()) {
    tokenBytes = min<u32>(left, PLAIN_BYTES_MAX - (fresh & 7));
    return;
  }
  if (mode == MODE_CODE) {
    nextOfCode(at, old, fresh, left);
    return;
  }
  const from: u64 = oldAddress(old);
  const width: u32 = wordBytes(at, mode, from, left);
  const ahead: u32 = (0 - <u32>from) & (width - 1);
  if (ahead != 0 || left < width) {
    tokenBytes = min<u32>(ahead != 0 ? ahead : left, left);
    return;
  }
  isValue = true;
  tokenBytes = width;
  wordColumn = <u32>(from >> 2) % 12;
  if (!setWord(at, mode, from, fresh)) setPlainWord(at, width);
}

// @ts-ignore: decorator
@inline
function isMixed(kind: u32): bool {
  return kind == KIND_MIXED || kind == KIND_MIXED_COMPANY;
}

/** How wide the word at `at` is. */
function wordBytes(at: usize, mode: u32, from: u64, left: u32): u32 {
  if (mode == MODE_WORDS_64) return 8;
  if (mode == MODE_WORDS_32) return 4;
  const kind: u32 = baseKind(mode - MODE_BASE);
  if (kind == KIND_SYMBOLS) return fieldOf(mode, from) < 8 ? 4 : 8;
  const isWide: bool = isMixed(kind) && (<u32>from & 7) == 0 && left >= 8;
  return isWide && regionOf(load<u64>(at)) != NO_REGION ? 8 : 4;
}

/** Where in its symbol a word is. */
// @ts-ignore: decorator
@inline
function fieldOf(mode: u32, from: u64): u32 {
  return <u32>((from - baseExtra(mode - MODE_BASE)) % RECORD_BYTES);
}

function setWord(at: usize, mode: u32, from: u64, fresh: u32): bool {
  if (mode == MODE_WORDS_64) return setAddress(load<u64>(at), 0, 0, u64.MAX_VALUE);
  if (mode == MODE_WORDS_32) {
    return setAddress(from + <u64><i64>load<i32>(at), from, newAddress(fresh), 0xffffffff);
  }
  const index: u32 = mode - MODE_BASE;
  const kind: u32 = baseKind(index);
  if (tokenBytes == 8) {
    return (isMixed(kind) || fieldOf(mode, from) == 8) && setAddress(load<u64>(at), 0, 0, u64.MAX_VALUE);
  }
  if (kind == KIND_SYMBOLS && fieldOf(mode, from) != 0) return false;
  if (kind == KIND_RECORDS) return setRecord(load<u32>(at), oldBase(index), newBase(index));
  const value: u64 = load<u32>(at);
  const isKnown: bool = setAddress(oldBase(index) + value, oldBase(index), newBase(index), 0xffffffff);
  const hasCompany: bool = kind >= KIND_COMPANY && index + 3 < basesHere;
  if (!isKnown || !hasCompany) return isKnown;
  companion = movedFrom(index + 1, value);
  secondCompanion = movedFrom(index + 2, value);
  thirdCompanion = movedFrom(index + 3, value);
  return true;
}

/** A value counted from base `index`, by the map. */
function movedFrom(index: u32, value: u64): u64 {
  const address: u64 = oldBase(index) + value;
  const region: u32 = regionOf(address);
  return region == NO_REGION ? value : (mapAddress(address, region) - newBase(index)) & 0xffffffff;
}

/** Number `index` of the records from `oldFrom` on. */
function setRecord(index: u32, oldFrom: u64, newFrom: u64): bool {
  const address: u64 = oldFrom + <u64>index * RECORD_BYTES;
  if (!setAddress(address, oldFrom, newFrom, u64.MAX_VALUE)) return false;
  mapped = (mapped / RECORD_BYTES) & 0xffffffff;
  predicted = mapped;
  unchanged = index;
  companion = index;
  secondCompanion = index;
  thirdCompanion = index;
  trust = 0;
  isAddress = false;
  return true;
}

function nextOfCode(at: usize, old: u32, fresh: u32, left: u32): void {
  if (left >= 4 && isOpcodeBefore(at) && setRelative(at, old, fresh)) {
    isValue = true;
    tokenBytes = 4;
    const last: u32 = load<u8>(at - 1);
    wordColumn = last == 0xe8 ? 0 : last == 0xe9 ? 1 : (last & 0xf0) == 0x80 ? 2 : 3;
    return;
  }
  const most: u32 = min<u32>(left, PLAIN_BYTES_MAX);
  let length: u32 = 1;
  while (length < most) {
    if (left - length >= 4 && isOpcodeBefore(at + length) && setRelative(at + length, old + length, fresh + length)) break;
    length++;
  }
  isAddress = false;
  tokenBytes = length;
}
