// The body of a patch: goes through the new bytes, in and between copies, token by token.
import { basesHere, enterPlaces } from './delta-addresses';
import {
  beginTargets,
  companion,
  isValue,
  MODE_BASE,
  MODE_CODE,
  nextToken,
  predicted,
  secondCompanion,
  thirdCompanion,
  tokenBytes,
  unchanged,
} from './delta-predict';
import { copyCount, copyLength, copyNew, copyOld } from './delta-map';
import { SPAN_BYTES, SPANS_AT } from './delta-coder-memory';
import { addContext, beginContexts, beginMixing, codeNode } from './delta-mixing';
import { oldAt, oldBytes } from './delta-old';
import { newAt, place, skipTo } from './delta-piece';
import { beginPlain, codeExtra, codePlain } from './delta-plain';
import { isEncoding } from './delta-range';
import { beginValues, codeValue } from './delta-values';

/** Bytes that are looked at in one way. */
const CHUNK_BYTES: u32 = 1024;
/** A stretch this short keeps the mode. */
const SHORT_BYTES: u32 = 16;
/** Another mode must save this many quarters of bytes. */
const CHANGE_BYTES: u32 = 8;

let spanCount: u32 = 0;
/** Spans that were begun, and where the last of them ends. */
let span: u32 = 0;
let spanEnd: u32 = 0;
let copy: u32 = 0;
let mode: u32 = 0;
let modeBefore: u32 = 0;
let chunk: u32 = 0xffffffff;
let chunkCopy: u32 = 0xffffffff;

/** Begins with `count` spans. */
export function beginBody(count: u32): void {
  spanCount = count;
  span = 0;
  spanEnd = 0;
  beginMixing();
  beginTargets();
  beginPlain();
  beginValues();
  copy = 0;
  mode = 0;
  modeBefore = 0;
  chunk = 0xffffffff;
  chunkCopy = 0xffffffff;
}

/** Something is left to code. */
export function hasMore(): bool {
  if (place < spanEnd) return true;
  if (span == spanCount) return false;
  const at: usize = SPANS_AT + <usize>span * SPAN_BYTES;
  span++;
  skipTo(load<u32>(at));
  spanEnd = place + load<u32>(at, 4);
  return true;
}

/** Codes the next token. */
export function codeStep(): void {
  while (copy < copyCount && place >= copyNew(copy) + copyLength(copy)) copy++;
  if (copy == copyCount || place < copyNew(copy)) {
    codeExtra(guessExtra());
    return;
  }
  const since: u32 = place - copyNew(copy);
  const old: u32 = copyOld(copy) + since;
  const left: u32 = min<u32>(copyLength(copy) - since, spanEnd - place);
  if (place / CHUNK_BYTES != chunk || copy != chunkCopy) enterChunk(old, left);
  nextToken(mode, old, place, left);
  const at: usize = oldAt(old, old + left);
  if (isValue) codeValue(mode, mode == MODE_CODE ? load<u16>(at - 2) : 0);
  else codePlain(at, tokenBytes, mode, left, since);
}

/** The old byte at the distance of the copy before, or 256. */
function guessExtra(): u32 {
  if (copy == 0) return 256;
  const old: u32 = copyOld(copy - 1) + (place - copyNew(copy - 1));
  if (old >= oldBytes) return 256;
  return load<u8>(oldAt(old, old + 64));
}

function enterChunk(old: u32, left: u32): void {
  chunk = place / CHUNK_BYTES;
  chunkCopy = copy;
  enterPlaces(old, place);
  const length: u32 = min<u32>(left, CHUNK_BYTES - place % CHUNK_BYTES);
  if (length < SHORT_BYTES) return;
  const modes: u32 = MODE_BASE + basesHere;
  const chosen: u32 = isEncoding ? chooseMode(old, left, length, modes) : 0;
  beginContexts();
  addContext(mode, 2 << 16);
  addContext(mode | (modeBefore << 8), 2 << 16);
  let node: u32 = 1;
  for (let i: i32 = 4; i >= 0; i--) node = (node << 1) | codeNode((chosen >> i) & 1, node, 2600);
  modeBefore = mode;
  mode = min<u32>(node & 31, modes - 1);
}

/** The mode that leaves the fewest bytes to say. */
function chooseMode(old: u32, left: u32, length: u32, modes: u32): u32 {
  let best: u32 = min<u32>(mode, modes - 1);
  let fewest: u32 = wrongBytes(best, old, left, length);
  if (fewest == 0) return best;
  const own: u32 = best;
  for (let other: u32 = 0; other < modes; other++) {
    if (other == own) continue;
    const wrong: u32 = wrongBytes(other, old, left, length);
    if (wrong + (best == own ? CHANGE_BYTES : 0) < fewest) {
      best = other;
      fewest = wrong;
    }
  }
  return best;
}

/** What a mode would leave to say, in quarters of bytes. */
function wrongBytes(candidate: u32, old: u32, left: u32, length: u32): u32 {
  let wrong: u32 = 0;
  let done: u32 = 0;
  let first: u64 = 0;
  let second: u64 = 0;
  let third: u64 = 0;
  while (done < length) {
    nextToken(candidate, old + done, place + done, left - done);
    const at: usize = oldAt(old + done, old + left);
    const fresh: usize = newAt(done);
    if (isValue) {
      const actual: u64 = tokenBytes == 8 ? load<u64>(fresh) : <u64>load<u32>(fresh);
      const move: u64 = actual - unchanged;
      if (actual != predicted) {
        const isNear: bool = move == first || move == second || move == third;
        const isOther: bool = actual == companion || actual == secondCompanion || actual == thirdCompanion;
        if (isNear || isOther) wrong += 1;
        else for (let i: u32 = 0; i < tokenBytes; i++) wrong += ((actual ^ predicted) >> (i << 3) & 0xff) != 0 ? 4 : 0;
      }
      third = second;
      second = first;
      first = move;
    } else {
      for (let i: u32 = 0; i < tokenBytes; i++) wrong += load<u8>(at + i) != load<u8>(fresh + i) ? 4 : 0;
    }
    done += tokenBytes;
  }
  return wrong;
}
