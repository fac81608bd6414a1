// The command line: at most ARGUMENTS_MAX arguments of ARGUMENT_BYTES_MAX bytes in all.
import { argsGet, argsSizesGet } from './preview1';

const ARGUMENTS_MAX: u32 = 32;
const ARGUMENT_BYTES_MAX: u32 = 16384;

const pointers: usize = memory.data(32 * 4, 16);
const texts: usize = memory.data(16384, 16);
const sizes: usize = memory.data(8, 8);

let count: u32 = 0;

/** Reads the command line. False when it is too long. */
export function readArguments(): bool {
  if (argsSizesGet(sizes, sizes + 4) != 0) return false;
  const total: u32 = load<u32>(sizes);
  if (total > ARGUMENTS_MAX || load<u32>(sizes, 4) > ARGUMENT_BYTES_MAX) return false;
  if (argsGet(pointers, texts) != 0) return false;
  count = total;
  return true;
}

/** Number of arguments, the name of the program among them. */
export function argumentCount(): u32 {
  return count;
}

/** Where argument `index` is; it ends with a NUL. */
export function argumentAt(index: u32): usize {
  return load<u32>(pointers + 4 * index);
}

/** Bytes of a text before its NUL. */
export function lengthOf(text: usize): u32 {
  let length: u32 = 0;
  while (length < ARGUMENT_BYTES_MAX && load<u8>(text + length) != 0) length += 1;
  return length;
}

/** Whether argument `index` is `text`, in ASCII. */
export function argumentIs(index: u32, text: string): bool {
  const at: usize = argumentAt(index);
  const length: u32 = text.length;
  for (let each: u32 = 0; each < length; each++) {
    if (load<u8>(at + each) != text.charCodeAt(each)) return false;
  }
  return load<u8>(at + length) == 0;
}

/** Argument `index` as a number of at most 15 digits, or -1. */
export function numberOf(index: u32): i64 {
  const at: usize = argumentAt(index);
  const length: u32 = lengthOf(at);
  if (length == 0 || length > 15) return -1;
  let value: i64 = 0;
  for (let each: u32 = 0; each < length; each++) {
    const digit: u32 = <u32>load<u8>(at + each) - 0x30;
    if (digit > 9) return -1;
    value = value * 10 + <i64>digit;
  }
  return value;
}

/** Writes argument `index`, hexadecimal, as at most `bytesMax` bytes to `target`: how many, or -1. */
export function bytesOf(index: u32, target: usize, bytesMax: u32): i32 {
  const at: usize = argumentAt(index);
  const length: u32 = lengthOf(at);
  if ((length & 1) != 0 || length >> 1 > bytesMax) return -1;
  for (let each: u32 = 0; each < length >> 1; each++) {
    const high: i32 = hexValue(load<u8>(at + 2 * each));
    const low: i32 = hexValue(load<u8>(at + 2 * each, 1));
    if (high < 0 || low < 0) return -1;
    store<u8>(target + each, (high << 4) | low);
  }
  return length >> 1;
}

function hexValue(character: u32): i32 {
  if (character - 0x30 <= 9) return character - 0x30;
  const lower: u32 = character | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
