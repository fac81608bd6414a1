// The patch coder (docs/reference/delta-coder.md): makes new bytes out of old ones and a stream, or the stream out of both.
// Encoder and decoder are the same code, so that they cannot disagree; only `codeBit` differs. Work comes in steps: `run`
// goes on until a piece of new bytes is done or the stream area must be filled or emptied.
import {
  BASES_AT,
  BASES_MAX,
  COPIES_AT,
  COPIES_MAX,
  MEMORY_END,
  NEW_AT,
  NEW_REGIONS_AT,
  OLD_REGIONS_AT,
  PIECE_BYTES,
  REGIONS_MAX,
  SPANS_AT,
  SPANS_MAX,
  STREAM_AT,
  STREAM_BYTES,
} from './delta-coder-memory';
import { beginBody, codeStep, hasMore } from './delta-body';
import { setAddressCounts } from './delta-addresses';
import {
  bases,
  beginHead,
  beginList,
  codeBase,
  codeCopy,
  codeCounts,
  codeRegion,
  codeSpan,
  checksum as headChecksum,
  copies,
  headOldBytes,
  newBytes,
  newRegions,
  oldRegions,
  setHead,
  spans,
} from './delta-head';
import { paintMap, setCopyCount } from './delta-map';
import { beginOld, oldFailure } from './delta-old';
import { beginPieces, doneBytes, nextPiece } from './delta-piece';
import {
  beginRange,
  closeEncoder,
  compact,
  grewBy,
  hasStep,
  isAtEnd,
  isBroken,
  isEncoding,
  openDecoder,
  streamEnd,
  taken,
} from './delta-range';
import { STATUS_DELTA_PATCH_END, STATUS_DELTA_PATCH_HEAD, STATUS_OK, STATUS_OUT_OF_RANGE, STATUS_WRONG_STATE } from './status';

/** What `run` waits for, in `wants`. */
const WANTS_STREAM: u32 = 1;
const WANTS_PIECE: u32 = 2;
const WANTS_NOTHING: u32 = 3;

const PHASE_OPEN: u32 = 0;
const PHASE_OLD_REGIONS: u32 = 1;
const PHASE_NEW_REGIONS: u32 = 2;
const PHASE_BASES: u32 = 3;
const PHASE_SPANS: u32 = 4;
const PHASE_COPIES: u32 = 5;
const PHASE_BODY: u32 = 6;
const PHASE_DONE: u32 = 7;
const PHASE_FAILED: u32 = 8;

let phase: u32 = PHASE_FAILED;
let index: u32 = 0;
let oldBytesGiven: u32 = 0;
let wanted: u32 = WANTS_STREAM;

/** Begins to encode: regions, bases and copies are in their areas, sorted and within their sides. */
export function beginEncoder(
  old: u32,
  fresh: u32,
  oldRegionCount: u32,
  newRegionCount: u32,
  baseCount: u32,
  copyCount: u32,
  spanCount: u32,
  crc: u32,
): i32 {
  if (oldRegionCount > REGIONS_MAX || newRegionCount > REGIONS_MAX || baseCount > BASES_MAX) return STATUS_OUT_OF_RANGE;
  if (copyCount > COPIES_MAX || spanCount > SPANS_MAX) return STATUS_OUT_OF_RANGE;
  setHead(old, fresh, oldRegionCount, newRegionCount, baseCount, copyCount, spanCount, crc);
  begin(true, old);
  return STATUS_OK;
}

/** Begins to decode with `old` old bytes. */
export function beginDecoder(old: u32): void {
  setHead(0, 0, 0, 0, 0, 0, 0, 0);
  begin(false, old);
}

function begin(encode: bool, old: u32): void {
  beginRange(encode);
  beginHead();
  beginPieces();
  oldBytesGiven = old;
  phase = PHASE_OPEN;
  index = 0;
  wanted = encode ? WANTS_PIECE : WANTS_STREAM;
}

/** Goes on. `wants` then says for what it stopped. */
export function run(): i32 {
  if (phase >= PHASE_DONE) return phase == PHASE_DONE ? STATUS_OK : STATUS_WRONG_STATE;
  while (phase != PHASE_DONE) {
    if (!hasStep()) {
      wanted = WANTS_STREAM;
      return STATUS_OK;
    }
    if (phase == PHASE_BODY && doneBytes >= PIECE_BYTES) {
      wanted = WANTS_PIECE;
      return STATUS_OK;
    }
    const status: i32 = step();
    if (status != STATUS_OK) {
      phase = PHASE_FAILED;
      return status;
    }
  }
  wanted = WANTS_NOTHING;
  return STATUS_OK;
}

function step(): i32 {
  let status: i32 = STATUS_OK;
  if (phase == PHASE_BODY) {
    const isMore: bool = hasMore();
    if (isMore) codeStep();
    if (oldFailure != 0) status = oldFailure;
    else if (isBroken()) status = STATUS_DELTA_PATCH_END;
    else if (!isMore) status = finish();
    return status;
  }
  if (phase == PHASE_OPEN) {
    status = open();
  } else if (phase == PHASE_OLD_REGIONS) {
    if (index < oldRegions) status = codeRegion(true, index);
  } else if (phase == PHASE_NEW_REGIONS) {
    if (index < newRegions) status = codeRegion(false, index);
  } else if (phase == PHASE_BASES) {
    if (index < bases) status = codeBase(index);
  } else if (phase == PHASE_SPANS) {
    if (index < spans) status = codeSpan(index);
  } else if (index < copies) {
    status = codeCopy(index);
  }
  index++;
  if (status == STATUS_OK && index >= recordsOfPhase()) nextPhase();
  return isBroken() ? STATUS_DELTA_PATCH_END : status;
}

function open(): i32 {
  if (!isEncoding) openDecoder();
  const status: i32 = codeCounts();
  if (status != STATUS_OK) return status;
  return headOldBytes == oldBytesGiven ? STATUS_OK : STATUS_DELTA_PATCH_HEAD;
}

function recordsOfPhase(): u32 {
  if (phase == PHASE_OLD_REGIONS) return oldRegions;
  if (phase == PHASE_NEW_REGIONS) return newRegions;
  if (phase == PHASE_BASES) return bases;
  if (phase == PHASE_SPANS) return spans;
  return phase == PHASE_COPIES ? copies : 1;
}

function nextPhase(): void {
  phase++;
  index = 0;
  beginList();
  if (phase != PHASE_BODY) return;
  setCopyCount(copies);
  setAddressCounts(oldRegions, newRegions, bases);
  paintMap();
  beginOld(headOldBytes);
  beginBody(spans);
}

function finish(): i32 {
  if (isEncoding) closeEncoder();
  else if (!isAtEnd()) return STATUS_DELTA_PATCH_END;
  phase = PHASE_DONE;
  return STATUS_OK;
}

/** See `run`. */
export function wants(): u32 {
  return wanted;
}

/** New bytes that were decoded and not yet taken: at most a piece. */
export function piecePointer(): usize {
  return NEW_AT;
}

/** How many of them. */
export function pieceBytes(): u32 {
  return phase == PHASE_BODY || phase == PHASE_DONE ? min<u32>(doneBytes, PIECE_BYTES) : 0;
}

/** The piece was taken; an encoder then puts the next one, and what comes behind it, in its place. */
export function pieceTaken(): i32 {
  if (phase != PHASE_BODY || doneBytes < PIECE_BYTES) return STATUS_WRONG_STATE;
  nextPiece();
  return STATUS_OK;
}

/** CRC-32 of what is made; known when the head was read. */
export function checksum(): u32 {
  return headChecksum;
}

/** Where coded bytes are. */
export function streamPointer(): usize {
  return STREAM_AT;
}

/** How many the encoder has written. */
export function streamBytes(): u32 {
  return streamEnd;
}

/** The encoder's bytes were taken. */
export function streamTaken(): void {
  taken();
}

/** Makes room for coded bytes: they go behind the unread ones, whose number is answered. */
export function makeRoom(): u32 {
  return compact();
}

/** `count` coded bytes were put there; with `last`, none follow. */
export function streamGrew(count: u32, last: bool): i32 {
  if (isEncoding || count > STREAM_BYTES - streamEnd) return STATUS_OUT_OF_RANGE;
  grewBy(count, last);
  return STATUS_OK;
}

/** Size of the stream area. */
export function streamBytesMax(): u32 {
  return STREAM_BYTES;
}

/** Areas of the records that an encoder begins with. */
export function copiesPointer(): usize {
  return COPIES_AT;
}

export function spansPointer(): usize {
  return SPANS_AT;
}

export function oldRegionsPointer(): usize {
  return OLD_REGIONS_AT;
}

export function newRegionsPointer(): usize {
  return NEW_REGIONS_AT;
}

export function basesPointer(): usize {
  return BASES_AT;
}

/** Where the static areas end: the memory must be at least so large. */
export function memoryEnd(): usize {
  return MEMORY_END;
}
