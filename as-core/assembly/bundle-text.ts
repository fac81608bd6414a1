// Canonical JSON, read from left to right by a reader that knows what must come next. The first thing that is wrong ends
// it: every call after that does nothing, so that callers look at `status` once, at the end of a list or a document.
import { cellAt, input } from './bundle-memory';
import {
  STATUS_BUNDLE_FORMAT,
  STATUS_BUNDLE_KEY_MISSING,
  STATUS_BUNDLE_KEY_TWICE,
  STATUS_BUNDLE_KEY_UNKNOWN,
  STATUS_BUNDLE_NUMBER,
  STATUS_BUNDLE_SYNTAX,
  STATUS_BUNDLE_TEXT,
  STATUS_OK,
} from './status';

const QUOTE: u32 = 0x22;
const BACKSLASH: u32 = 0x5c;
const SPACE: i32 = 0x20;
const KEY_BYTES_MAX: u32 = 32;
/** Digits of 2^53, the most that a number may have. */
const DIGITS_MAX: u32 = 16;

/** Any printable ASCII but `"` and `\`. */
export const PRINTABLE: u32 = 0;
/** Letters, digits and ". - + _". */
export const NAME: u32 = 1;
/** Digits of lower-case hexadecimal. */
export const HEX: u32 = 2;

/** What was wrong first; STATUS_OK while nothing is. */
export let status: i32 = STATUS_OK;
/** Where in `input` the cursor stands; after a refusal, where it was refused. */
export let at: u32 = 0;
let end: u32 = 0;
let textStart: u32 = 0;
let textBytes: u32 = 0;

/** Begins a document at `start` of `input`. */
export function openDocument(start: u32, length: u32): void {
  status = STATUS_OK;
  at = start;
  end = start + length;
}

/** Ends the document: nothing may be left of it. */
export function closeDocument(): i32 {
  if (status == STATUS_OK && at != end) status = STATUS_BUNDLE_SYNTAX;
  return status;
}

/** Refuses what stands at the cursor. */
export function refuse(reason: i32): void {
  if (status == STATUS_OK) status = reason;
}

/** The byte at the cursor; -1 at the end of the document. */
export function peek(): i32 {
  return at < end ? <i32>load<u8>(input + at) : -1;
}

/** Steps over one byte that must be there. */
export function expect(byte: i32): void {
  if (status != STATUS_OK) return;
  if (peek() != byte) {
    status = STATUS_BUNDLE_SYNTAX;
    return;
  }
  at += 1;
}

/**
 * Steps to the value of key `nth` of an object whose keys are `names`, in ascending order with a space between, each of
 * which must be there.
 */
export function key(names: string, nth: i32): void {
  if (status == STATUS_OK && nth > 0 && peek() == 0x7d) status = STATUS_BUNDLE_KEY_MISSING;
  expect(nth == 0 ? 0x7b : 0x2c);
  if (status == STATUS_OK && nth == 0 && peek() == 0x7d) status = STATUS_BUNDLE_KEY_MISSING;
  judgeKey(names, nth);
  expect(0x3a);
}

/** Ends an object after its last key. */
export function endObject(names: string): void {
  if (status == STATUS_OK && peek() == 0x2c) {
    at += 1;
    judgeKey(names, i32.MAX_VALUE);
  }
  expect(0x7d);
}

function judgeKey(names: string, nth: i32): void {
  quoted(KEY_BYTES_MAX, STATUS_BUNDLE_KEY_UNKNOWN);
  if (status != STATUS_OK) return;
  const found: i32 = wordIndex(names);
  if (found == nth) return;
  if (found < 0) status = STATUS_BUNDLE_KEY_UNKNOWN;
  else status = found < nth ? STATUS_BUNDLE_KEY_TWICE : STATUS_BUNDLE_KEY_MISSING;
}

/** Which of the words the last text is; -1 when none. */
function wordIndex(words: string): i32 {
  const length: i32 = words.length;
  let index: i32 = 0;
  let from: i32 = 0;
  for (let to: i32 = 0; to <= length; to++) {
    if (to < length && words.charCodeAt(to) != SPACE) continue;
    if (isPiece(words, from, to)) return index;
    index += 1;
    from = to + 1;
  }
  return -1;
}

function isPiece(words: string, from: i32, to: i32): bool {
  if (<u32>(to - from) != textBytes) return false;
  for (let index: i32 = from; index < to; index++) {
    const byte: i32 = <i32>load<u8>(input + textStart + <usize>(index - from));
    if (words.charCodeAt(index) != byte) return false;
  }
  return true;
}

/** Steps over a text of printable ASCII and remembers where it is. Longer ones are refused with `tooLong`. */
function quoted(bytesMax: u32, tooLong: i32): void {
  expect(QUOTE);
  if (status != STATUS_OK) return;
  textStart = at;
  while (at < end) {
    const byte: u32 = load<u8>(input + at);
    if (byte == QUOTE) {
      textBytes = at - textStart;
      at += 1;
      return;
    }
    if (byte < 0x20 || byte > 0x7e || byte == BACKSLASH) break;
    if (at - textStart == bytesMax) {
      status = tooLong;
      return;
    }
    at += 1;
  }
  status = STATUS_BUNDLE_SYNTAX;
}

/** Reads a text of `least` to `most` bytes of one kind into a cell. */
export function text(cell: u32, kind: u32, least: u32, most: u32): void {
  if (status != STATUS_OK) return;
  quoted(most, STATUS_BUNDLE_TEXT);
  if (status != STATUS_OK) return;
  if (textBytes < least || !isOfKind(kind)) {
    status = STATUS_BUNDLE_TEXT;
    return;
  }
  store<u32>(cellAt(cell), textStart);
  store<u32>(cellAt(cell), textBytes, 4);
}

function isOfKind(kind: u32): bool {
  if (kind == PRINTABLE) return true;
  for (let index: u32 = 0; index < textBytes; index++) {
    const byte: u32 = load<u8>(input + textStart + index);
    const isDigit: bool = byte - 0x30 < 10;
    if (kind == HEX) {
      if (!isDigit && byte - 0x61 >= 6) return false;
      continue;
    }
    const isLetter: bool = (byte | 0x20) - 0x61 < 26;
    // + - . _
    const isMark: bool = byte == 0x2b || byte == 0x2d || byte == 0x2e || byte == 0x5f;
    if (!isDigit && !isLetter && !isMark) return false;
  }
  return true;
}

/** Reads a text that must be one of `words` (a space between), else the document is refused with `other`. */
export function oneOf(cell: u32, words: string, other: i32): void {
  text(cell, PRINTABLE, 0, 64);
  if (status == STATUS_OK && wordIndex(words) < 0) status = other;
}

/** Steps over the name of the format. */
export function formatName(name: string): void {
  if (status != STATUS_OK) return;
  quoted(64, STATUS_BUNDLE_FORMAT);
  if (status == STATUS_OK && wordIndex(name) != 0) status = STATUS_BUNDLE_FORMAT;
}

/** Reads an integer in its shortest form, `least` to `most`, into a cell. */
export function number(cell: u32, least: u64, most: u64): void {
  if (status != STATUS_OK) return;
  const start: u32 = at;
  let value: u64 = 0;
  while (at < end && at - start < DIGITS_MAX) {
    const digit: u32 = <u32>load<u8>(input + at) - 0x30;
    if (digit >= 10) break;
    value = value * 10 + <u64>digit;
    at += 1;
  }
  const digits: u32 = at - start;
  const hasZeros: bool = digits > 1 && load<u8>(input + start) == 0x30;
  if (digits == 0) status = STATUS_BUNDLE_SYNTAX;
  else if (hasZeros || value < least || value > most) status = STATUS_BUNDLE_NUMBER;
  if (status == STATUS_OK) store<u64>(cellAt(cell), value);
}

/** Whether the text of cell `a` stands before that of cell `b`; both have the same length. */
export function isBefore(a: u32, b: u32): bool {
  const length: u32 = load<u32>(cellAt(a), 4);
  const first: usize = input + load<u32>(cellAt(a));
  const second: usize = input + load<u32>(cellAt(b));
  for (let index: u32 = 0; index < length; index++) {
    const difference: i32 = <i32>load<u8>(first + index) - <i32>load<u8>(second + index);
    if (difference != 0) return difference < 0;
  }
  return false;
}

/** The number in a cell. */
export function numberIn(cell: u32): u64 {
  return load<u64>(cellAt(cell));
}

/** The length of the text in a cell. */
export function lengthIn(cell: u32): u32 {
  return load<u32>(cellAt(cell), 4);
}
