// The head of a patch: lengths, regions, bases, spans and the copy list. Each call codes one record, in either direction; what was
// decoded is looked at before it is kept.
import {
  BASE_BYTES,
  BASES_AT,
  BASES_MAX,
  COPIES_AT,
  COPIES_MAX,
  COPY_BYTES,
  NEW_REGIONS_AT,
  OLD_REGIONS_AT,
  REGION_BYTES,
  REGIONS_MAX,
  SPAN_BYTES,
  SPANS_AT,
  SPANS_MAX,
} from './delta-coder-memory';
import { beginNumbers, codeNumber, codeSigned } from './delta-numbers';
import { STATUS_DELTA_PATCH_HEAD, STATUS_DELTA_VERSION, STATUS_OK } from './status';

/** Version of the model: another one codes the same bytes otherwise. */
const MODEL: u32 = 1;
/** Highest kind of a base, and the most that its extra number can be: a place in a record of 24 bytes. */
const KINDS_MAX: u64 = 5;
const EXTRA_MAX: u64 = 23;
/** Regions of one file. */
const REGIONS_OF_FILE_MAX: u32 = 16;

export let newBytes: u32 = 0;
export let headOldBytes: u32 = 0;
export let oldRegions: u32 = 0;
export let newRegions: u32 = 0;
export let bases: u32 = 0;
export let copies: u32 = 0;
export let spans: u32 = 0;
/** CRC-32 of what is made. */
export let checksum: u32 = 0;

let previousEnd: u64 = 0;
let previousAddress: u64 = 0;
let previousFile: u32 = 0;
let regionsOfFile: u32 = 0;
let previousShift: u32 = 0;

export function beginHead(): void {
  beginNumbers();
  previousShift = 0;
  beginList();
}

/** Begins the regions of a side, or the copies. */
export function beginList(): void {
  previousEnd = 0;
  previousAddress = 0;
  previousFile = 0;
  regionsOfFile = 0;
}

/** What an encoder begins with. */
export function setHead(
  old: u32,
  fresh: u32,
  oldRegionCount: u32,
  newRegionCount: u32,
  baseCount: u32,
  copyCount: u32,
  spanCount: u32,
  crc: u32,
): void {
  headOldBytes = old;
  newBytes = fresh;
  oldRegions = oldRegionCount;
  newRegions = newRegionCount;
  bases = baseCount;
  copies = copyCount;
  spans = spanCount;
  checksum = crc;
}

/** Lengths and counts. */
export function codeCounts(): i32 {
  if (<u32>codeNumber(0, MODEL) != MODEL) return STATUS_DELTA_VERSION;
  const old: u64 = codeNumber(1, headOldBytes);
  const fresh: u64 = codeNumber(1, newBytes);
  const oldCount: u64 = codeNumber(2, oldRegions);
  const newCount: u64 = codeNumber(2, newRegions);
  const baseCount: u64 = codeNumber(2, bases);
  const copyCount: u64 = codeNumber(2, copies);
  const spanCount: u64 = codeNumber(2, spans);
  const crc: u64 = codeNumber(16, checksum);
  if (old > <u64>u32.MAX_VALUE || fresh > <u64>u32.MAX_VALUE) return STATUS_DELTA_PATCH_HEAD;
  if (oldCount > REGIONS_MAX || newCount > REGIONS_MAX || baseCount > BASES_MAX) return STATUS_DELTA_PATCH_HEAD;
  if (copyCount > COPIES_MAX || spanCount > SPANS_MAX || crc > <u64>u32.MAX_VALUE) return STATUS_DELTA_PATCH_HEAD;
  headOldBytes = <u32>old;
  newBytes = <u32>fresh;
  oldRegions = <u32>oldCount;
  newRegions = <u32>newCount;
  bases = <u32>baseCount;
  copies = <u32>copyCount;
  spans = <u32>spanCount;
  checksum = <u32>crc;
  return STATUS_OK;
}

/** Region `index` of one side. */
export function codeRegion(isOld: bool, index: u32): i32 {
  const at: usize = (isOld ? OLD_REGIONS_AT : NEW_REGIONS_AT) + <usize>index * REGION_BYTES;
  const end: u64 = isOld ? headOldBytes : newBytes;
  const file: u64 = codeNumber(3, load<u32>(at, 24) - previousFile);
  if (file > REGIONS_MAX) return STATUS_DELTA_PATCH_HEAD;
  if (file != 0 || index == 0) {
    regionsOfFile = 0;
    previousAddress = 0;
  }
  if (++regionsOfFile > REGIONS_OF_FILE_MAX) return STATUS_DELTA_PATCH_HEAD;
  const gap: u64 = codeNumber(4, <u64>load<u32>(at, 16) - previousEnd);
  const bytes: u64 = codeNumber(5, load<u32>(at, 20));
  if (gap > end || bytes > end || previousEnd + gap + bytes > end) return STATUS_DELTA_PATCH_HEAD;
  const address: u64 = previousAddress + <u64>codeSigned(6, <i64>(load<u64>(at) - previousAddress));
  const more: u64 = codeNumber(7, load<u64>(at, 8) - bytes);
  previousFile += <u32>file;
  store<u64>(at, address);
  store<u64>(at, bytes + more, 8);
  store<u32>(at, <u32>(previousEnd + gap), 16);
  store<u32>(at, <u32>bytes, 20);
  store<u32>(at, previousFile, 24);
  previousEnd += gap + bytes;
  previousAddress = address + bytes;
  return STATUS_OK;
}

/** Base `index`. */
export function codeBase(index: u32): i32 {
  const at: usize = BASES_AT + <usize>index * BASE_BYTES;
  const previous: usize = index == 0 ? 0 : at - BASE_BYTES;
  const address: u64 = previous == 0 ? 0 : load<u64>(previous);
  const shift: u64 = previous == 0 ? 0 : load<u64>(previous, 8) - address;
  const old: u64 = address + <u64>codeSigned(8, <i64>(load<u64>(at) - address));
  const fresh: u64 = old + shift + <u64>codeSigned(9, <i64>(load<u64>(at, 8) - load<u64>(at) - shift));
  const oldFile: u64 = codeNumber(10, load<u32>(at, 16));
  const newFile: u64 = codeNumber(10, load<u32>(at, 20));
  const kind: u64 = codeNumber(19, load<u32>(at, 24));
  const extra: u64 = codeNumber(20, load<u32>(at, 28));
  if (kind > KINDS_MAX || extra > EXTRA_MAX) return STATUS_DELTA_PATCH_HEAD;
  if (oldFile > REGIONS_MAX * REGIONS_MAX || newFile > REGIONS_MAX * REGIONS_MAX) return STATUS_DELTA_PATCH_HEAD;
  store<u64>(at, old);
  store<u64>(at, fresh, 8);
  store<u32>(at, <u32>oldFile, 16);
  store<u32>(at, <u32>newFile, 20);
  store<u32>(at, <u32>kind, 24);
  store<u32>(at, <u32>extra, 28);
  return STATUS_OK;
}

/** Copy `index`: how far behind the one before, how long, how much its distance differs. */
export function codeCopy(index: u32): i32 {
  const at: usize = COPIES_AT + <usize>index * COPY_BYTES;
  const gap: u64 = codeNumber(11, <u64>load<u32>(at) - previousEnd);
  const length: u64 = codeNumber(gap == 0 ? 12 : 13, load<u32>(at, 4));
  if (gap > newBytes || length > newBytes || length == 0) return STATUS_DELTA_PATCH_HEAD;
  const fresh: u64 = previousEnd + gap;
  if (fresh + length > newBytes) return STATUS_DELTA_PATCH_HEAD;
  const change: i32 = <i32>(load<u32>(at, 8) - load<u32>(at) - previousShift);
  const shift: u32 = previousShift + <u32>codeSigned(gap == 0 ? 14 : 15, change);
  const old: u32 = <u32>fresh + shift;
  if (<u64>old + length > headOldBytes) return STATUS_DELTA_PATCH_HEAD;
  store<u32>(at, <u32>fresh);
  store<u32>(at, <u32>length, 4);
  store<u32>(at, old, 8);
  previousEnd = fresh + length;
  previousShift = shift;
  return STATUS_OK;
}

/** Span `index`: how far behind the one before, how long. */
export function codeSpan(index: u32): i32 {
  const at: usize = SPANS_AT + <usize>index * SPAN_BYTES;
  const gap: u64 = codeNumber(17, <u64>load<u32>(at) - previousEnd);
  const length: u64 = codeNumber(18, load<u32>(at, 4));
  if (gap > newBytes || length > newBytes || length == 0) return STATUS_DELTA_PATCH_HEAD;
  if (previousEnd + gap + length > newBytes) return STATUS_DELTA_PATCH_HEAD;
  store<u32>(at, <u32>(previousEnd + gap));
  store<u32>(at, <u32>length, 4);
  previousEnd += gap + length;
  return STATUS_OK;
}
