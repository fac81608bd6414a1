// Codes values: words and fields of four or eight bytes, as predicted or with their distance from that.
import { addContext, beginContexts, codeFlag, codeNode } from './delta-mixing';
import { newAt, put } from './delta-piece';
import {
  companion,
  isAddress,
  MODE_BASE,
  learnTarget,
  mapped,
  origin,
  predicted,
  secondCompanion,
  target,
  targetSegment,
  thirdCompanion,
  tokenBytes,
  trust,
  unchanged,
  wordColumn,
} from './delta-predict';
import { isEncoding } from './delta-range';

/** Ways to say what a value will be: as computed, or the old one moved as far as another value was. */
const WAYS: u32 = 8;
const COLUMNS: u32 = 16;
const MODES: u32 = 32;
/** How fast a way gains and loses. */
const SCORE_RATE: u32 = 4;

/** The last eight values, rings: how far they moved, and what they were away from the prediction. */
const moves: usize = memory.data(8 * 8, 16);
const recent: usize = memory.data(8 * 8, 16);
/** Distances of the last four values that were not as predicted. */
const misses: usize = memory.data(4 * 8, 16);
/** How far the last value of each column moved, and how often each way was right there. */
const columnMoves: usize = memory.data(32 * 16 * 8, 16);
const scores: usize = memory.data(32 * 16 * 8 * 2, 16);
/** What each way says of this value. */
const candidates: usize = memory.data(8 * 8, 16);
let valueCount: u32 = 0;
let hits: u32 = 0;
/** Values since the last one whose target was seen before. */
let sinceTrusted: u32 = 0;

export function beginValues(): void {
  memory.fill(moves, 0, 64);
  memory.fill(recent, 0, 64);
  memory.fill(misses, 0, 32);
  memory.fill(columnMoves, 0, MODES * COLUMNS * 8);
  memory.fill(scores, 0, MODES * COLUMNS * WAYS * 2);
  valueCount = 0;
  hits = 0;
  sinceTrusted = 0;
}

// @ts-ignore: decorator
@inline
function ringAt(ring: usize, back: u32): u64 {
  return load<u64>(ring + (<usize>((valueCount - back) & 7) << 3));
}

// @ts-ignore: decorator
@inline
function missAt(index: u32): u64 {
  return load<u64>(misses + (<usize>index << 3));
}

// @ts-ignore: decorator
@inline
function candidateAt(way: u32): u64 {
  return load<u64>(candidates + (<usize>way << 3));
}

// @ts-ignore: decorator
@inline
function fold(value: u64): u32 {
  return <u32>value ^ (<u32>(value >> 32) * 0x9e3779b1);
}

/** Fills `candidates`, and answers the way that was right most often lately. */
function bestWay(cell: u32, mask: u64): u32 {
  store<u64>(candidates, predicted);
  store<u64>(candidates, (unchanged + load<u64>(columnMoves + (<usize>cell << 3))) & mask, 8);
  store<u64>(candidates, (unchanged + ringAt(moves, 1)) & mask, 16);
  store<u64>(candidates, (unchanged + ringAt(moves, 2)) & mask, 24);
  store<u64>(candidates, (unchanged + ringAt(moves, 3)) & mask, 32);
  store<u64>(candidates, companion, 40);
  store<u64>(candidates, secondCompanion, 48);
  store<u64>(candidates, thirdCompanion, 56);
  let best: u32 = 0;
  let most: u32 = load<u16>(scores + <usize>cell * (WAYS * 2));
  for (let way: u32 = 1; way < WAYS; way++) {
    const score: u32 = load<u16>(scores + <usize>cell * (WAYS * 2) + (<usize>way << 1));
    if (score > most + 1024) {
      best = way;
      most = score;
    }
  }
  return best;
}

/** Counts which ways were right. */
function judgeWays(cell: u32, actual: u64): void {
  for (let way: u32 = 0; way < WAYS; way++) {
    const at: usize = scores + <usize>cell * (WAYS * 2) + (<usize>way << 1);
    const score: u32 = load<u16>(at);
    store<u16>(at, <u16>(candidateAt(way) == actual ? score + ((65535 - score) >> SCORE_RATE) : score - (score >> SCORE_RATE)));
  }
}

/** Codes the value token that was looked at last; `tag` is what stands before it. */
export function codeValue(mode: u32, tag: u32): void {
  const mask: u64 = tokenBytes == 8 ? u64.MAX_VALUE : 0xffffffff;
  let actual: u64 = 0;
  if (isEncoding) actual = tokenBytes == 8 ? load<u64>(newAt(0)) : <u64>load<u32>(newAt(0));
  const column: u32 = mode < MODE_BASE ? wordColumn : min<u32>(sinceTrusted, COLUMNS - 1);
  const cell: u32 = mode * COLUMNS + column;
  const way: u32 = bestWay(cell, mask);
  const guess: u64 = candidateAt(way);
  let agree: u32 = (mapped == guess ? 1 : 0) | (unchanged == guess ? 2 : 0) | (mapped == unchanged ? 4 : 0) | (isAddress ? 8 : 0);
  for (let i: u32 = 0; i < WAYS; i++) agree |= (candidateAt(i) == guess ? 1 : 0) << (4 + i);
  const sure: u32 = agree | (trust << 12) | (mode << 15) | (way << 20);
  beginContexts();
  addContext(sure, 0);
  addContext(sure, hits & 255);
  addContext(<u32>target, mode);
  addContext(targetSegment, agree | (mode << 12));
  addContext(tag | (column << 16), agree | (hits & 3) << 12);
  addContext(<u32>(target >> 8), sure);
  addContext(fold(ringAt(recent, 1)), fold(ringAt(recent, 2)) + sure);
  addContext(fold(ringAt(recent, 2)), fold(ringAt(recent, 4)) + sure);
  addContext(fold(ringAt(recent, 3)), column | (agree << 4) | (mode << 16));
  addContext(column | (mode << 4), agree | (hits & 15) << 12);
  let distance: u64 = (actual - guess) & mask;
  const set: u32 = 512 + ((mode << 4) | (agree & 3) | (agree >> 2 & 12));
  const isHit: bool = codeFlag(distance == 0 ? 1 : 0, set) != 0;
  distance = isHit ? 0 : codeDistance(distance, guess, mask, mode, tag | (column << 16));
  actual = (guess + distance) & mask;
  judgeWays(cell, actual);
  hits = (hits << 1) | (isHit ? 1 : 0);
  sinceTrusted = isAddress && trust > 0 ? 0 : sinceTrusted + 1;
  const move: u64 = (actual - unchanged) & mask;
  store<u64>(columnMoves + (<usize>cell << 3), move);
  store<u64>(moves + (<usize>(valueCount & 7) << 3), move);
  store<u64>(recent + (<usize>(valueCount & 7) << 3), distance);
  valueCount++;
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

function codeDistance(distance: u64, guess: u64, mask: u64, mode: u32, tag: u32): u64 {
  const byMap: u64 = (mapped - guess) & mask;
  const byNothing: u64 = (unchanged - guess) & mask;
  const computed: u64 = (predicted - guess) & mask;
  let known: u64 = 0;
  for (let i: u32 = 0; i < tokenBytes; i++) {
    const shift: u32 = i << 3;
    const below: u64 = (1 << <u64>shift) - 1;
    const where: u32 = i | (mode << 3);
    const first: u32 = expected(missAt(0), known, below, shift);
    const second: u32 = expected(missAt(1), known, below, shift);
    const map: u32 = expected(byMap, known, below, shift);
    const nothing: u32 = expected(byNothing, known, below, shift);
    const column: u32 = expected((candidateAt(1) - guess) & mask, known, below, shift);
    const last: u32 = expected((candidateAt(2) - guess) & mask, known, below, shift);
    const lastButOne: u32 = expected((candidateAt(3) - guess) & mask, known, below, shift);
    beginContexts();
    addContext(where, fold(known));
    addContext(where | (map << 8), nothing | (expected(computed, known, below, shift) << 9));
    addContext(where | (first << 8), second);
    addContext(where | (expected(missAt(2), known, below, shift) << 8), expected(missAt(3), known, below, shift));
    addContext(where | (targetSegment << 8), fold(known));
    addContext(where | (<u32>target << 8), fold(known));
    addContext(where | (<u32>(target >> 10) << 8), fold(known));
    addContext(where | (last << 8), lastButOne);
    addContext(where | (column << 8), expected((candidateAt(4) - guess) & mask, known, below, shift));
    addContext(where | (column << 8), map);
    addContext(where | (expected((companion - guess) & mask, known, below, shift) << 8), expected((secondCompanion - guess) & mask, known, below, shift) | (expected((thirdCompanion - guess) & mask, known, below, shift) << 9));
    addContext(where, tag);
    addContext(where | (tag << 8), fold(known));
    addContext(where | (i == 0 ? 0 : <u32>(known >> (shift - 8)) << 8), 0);
    const set: u32 = 1024 + (where << 3);
    const matches: u32 = (map != 0 ? 1 : 0) | (first != 0 ? 2 : 0) | (column != 0 ? 4 : 0);
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
