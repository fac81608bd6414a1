// Codes values: words and fields of four or eight bytes, as predicted or with their distance from that.
import { addContext, beginContexts, codeFlag, codeNode } from './delta-mixing';
import { newAt, put } from './delta-piece';
import {
  isAddress,
  learnTarget,
  mapped,
  origin,
  predicted,
  target,
  targetSegment,
  tokenBytes,
  trust,
  unchanged,
} from './delta-predict';
import { isEncoding } from './delta-range';

/** Distances of the last eight values, a ring, and of the last four that were not 0. */
const recent: usize = memory.data(8 * 8, 16);
const misses: usize = memory.data(4 * 8, 16);
let valueCount: u32 = 0;
let hits: u32 = 0;

export function beginValues(): void {
  memory.fill(recent, 0, 64);
  memory.fill(misses, 0, 32);
  valueCount = 0;
  hits = 0;
}

// @ts-ignore: decorator
@inline
function recentAt(back: u32): u64 {
  return load<u64>(recent + (<usize>((valueCount - back) & 7) << 3));
}

// @ts-ignore: decorator
@inline
function missAt(index: u32): u64 {
  return load<u64>(misses + (<usize>index << 3));
}

// @ts-ignore: decorator
@inline
function fold(value: u64): u32 {
  return <u32>value ^ (<u32>(value >> 32) * 0x9e3779b1);
}

/** Codes the value token that was looked at last; `tag` is what stands before it: mode and opcode. */
export function codeValue(mode: u32, tag: u32): void {
  const mask: u64 = tokenBytes == 8 ? u64.MAX_VALUE : 0xffffffff;
  let actual: u64 = 0;
  if (isEncoding) actual = tokenBytes == 8 ? load<u64>(newAt(0)) : <u64>load<u32>(newAt(0));
  const byMap: u64 = (mapped - predicted) & mask;
  const byNothing: u64 = (unchanged - predicted) & mask;
  const shape: u32 = (isAddress ? 1 : 0) | (byMap == 0 ? 2 : 0) | (byNothing == 0 ? 4 : 0) | (mapped == unchanged ? 8 : 0);
  const sure: u32 = shape | (trust << 4) | (mode << 8);
  beginContexts();
  addContext(sure, 0);
  addContext(sure, hits & 255);
  addContext(<u32>target, mode);
  addContext(targetSegment, shape | (mode << 8));
  addContext(tag, shape | (hits & 3) << 8);
  addContext(<u32>(target >> 8), sure);
  addContext(fold(recentAt(1)), fold(recentAt(2)) + sure);
  addContext(fold(recentAt(2)), fold(recentAt(4)) + sure);
  let distance: u64 = (actual - predicted) & mask;
  const isHit: bool = codeFlag(distance == 0 ? 1 : 0, 16 + ((mode << 4) | shape)) != 0;
  if (!isHit) distance = codeDistance(distance, mode, byMap, byNothing, tag);
  else distance = 0;
  actual = (predicted + distance) & mask;
  hits = (hits << 1) | (isHit ? 1 : 0);
  store<u64>(recent + (<usize>(valueCount++ & 7) << 3), distance);
  if (!isHit) {
    memory.copy(misses + 8, misses, 24);
    store<u64>(misses, distance);
  }
  if (isAddress) learnTarget(tokenBytes == 8 ? actual + origin : origin + <u64><i64><i32><u32>actual);
  for (let i: u32 = 0; i < tokenBytes; i++) put(<u32>(actual >> (i << 3)) & 0xff, <u32>(distance >> (i << 3)) & 0xff);
}

/** The low bits of `guess` when its bytes below the one at `shift` are those of `known`. */
// @ts-ignore: decorator
@inline
function expected(guess: u64, known: u64, below: u64, shift: u32): u32 {
  return ((guess ^ known) & below) == 0 ? (<u32>(guess >> shift) & 0xff) | 256 : 0;
}

function codeDistance(distance: u64, mode: u32, byMap: u64, byNothing: u64, tag: u32): u64 {
  let known: u64 = 0;
  for (let i: u32 = 0; i < tokenBytes; i++) {
    const shift: u32 = i << 3;
    const below: u64 = (1 << <u64>shift) - 1;
    const where: u32 = i | (mode << 3);
    const first: u32 = expected(missAt(0), known, below, shift);
    const second: u32 = expected(missAt(1), known, below, shift);
    const map: u32 = expected(byMap, known, below, shift);
    const nothing: u32 = expected(byNothing, known, below, shift);
    beginContexts();
    addContext(where, fold(known));
    addContext(where | (map << 8), nothing);
    addContext(where | (first << 8), second);
    addContext(where | (expected(missAt(2), known, below, shift) << 8), expected(missAt(3), known, below, shift));
    addContext(where | (targetSegment << 8), fold(known));
    addContext(where | (<u32>target << 8), fold(known));
    addContext(where | (<u32>(target >> 10) << 8), fold(known));
    addContext(where | (expected(recentAt(1), known, below, shift) << 8), expected(recentAt(2), known, below, shift));
    addContext(where | (expected(recentAt(2), known, below, shift) << 8), expected(recentAt(4), known, below, shift));
    addContext(where | (tag << 8), fold(known));
    addContext(where | (i == 0 ? 0 : <u32>(known >> (shift - 8)) << 8), 0);
    const set: u32 = 512 + (where << 3);
    const matches: u32 = (map != 0 ? 1 : 0) | (first != 0 ? 2 : 0) | (nothing != 0 ? 4 : 0);
    const byte: u32 = codeByte(<u32>(distance >> shift) & 0xff, set + matches);
    known |= <u64>byte << shift;
  }
  return known;
}

/** Eight bits, the highest first. */
export function codeByte(byte: u32, set: u32): u32 {
  let node: u32 = 1;
  for (let i: i32 = 7; i >= 0; i--) node = (node << 1) | codeNode((byte >> i) & 1, node, set);
  return node & 0xff;
}
