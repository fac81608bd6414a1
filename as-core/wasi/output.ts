// Printing: to standard output until `toErrors()` is called. Text is kept until the buffer is full or `flush()`.
import { fdWrite, procExit } from './preview1';

const BUFFER_BYTES: u32 = 8192;
const STDOUT: i32 = 1;
const STDERR: i32 = 2;

const buffer: usize = memory.data(8192, 16);
const piece: usize = memory.data(8, 8);
const written: usize = memory.data(4, 4);
const digits: usize = memory.data(24, 8);

let used: u32 = 0;
let stream: i32 = STDOUT;

/** What is printed from now on goes to standard error. */
export function toErrors(): void {
  flush();
  stream = STDERR;
}

/** Hands everything to the host; ends with status 3 when the host takes no more. */
export function flush(): void {
  let at: u32 = 0;
  while (at < used) {
    store<u32>(piece, <u32>(buffer + at), 0);
    store<u32>(piece, used - at, 4);
    store<u32>(written, 0);
    const errno: i32 = fdWrite(stream, piece, 1, written);
    const count: u32 = load<u32>(written);
    if (errno != 0 || count == 0 || count > used - at) {
      used = 0;
      procExit(3);
      unreachable();
    }
    at += count;
  }
  used = 0;
}

/** One byte as it is. */
export function printByte(byte: u32): void {
  if (used == BUFFER_BYTES) flush();
  store<u8>(buffer + used, byte);
  used += 1;
}

/** A text of the program itself: ASCII. */
export function print(text: string): void {
  for (let index: i32 = 0; index < text.length; index++) printByte(text.charCodeAt(index));
}

/** Bytes as they are. */
export function printBytes(pointer: usize, length: u32): void {
  for (let index: u32 = 0; index < length; index++) printByte(load<u8>(pointer + index));
}

/** Bytes of a name, none of which can play tricks on a terminal: control characters and "\" become \ooo. */
export function printName(pointer: usize, length: u32): void {
  for (let index: u32 = 0; index < length; index++) {
    const byte: u32 = load<u8>(pointer + index);
    if (byte >= 0x20 && byte != 0x5c && byte != 0x7f) {
      printByte(byte);
      continue;
    }
    printByte(0x5c);
    printByte(0x30 + (byte >> 6));
    printByte(0x30 + ((byte >> 3) & 7));
    printByte(0x30 + (byte & 7));
  }
}

/** A number in decimal. */
export function printNumber(value: u64): void {
  let at: u32 = 24;
  let left: u64 = value;
  do {
    at -= 1;
    store<u8>(digits + at, 0x30 + <u8>(left % 10));
    left /= 10;
  } while (left != 0);
  printBytes(digits + at, 24 - at);
}

/** The lowest three digits of a number in octal, or four when it needs them. */
export function printMode(mode: u32): void {
  printByte(0x30 + ((mode >> 9) & 7));
  printByte(0x30 + ((mode >> 6) & 7));
  printByte(0x30 + ((mode >> 3) & 7));
  printByte(0x30 + (mode & 7));
}

/** Bytes in hexadecimal. */
export function printHex(pointer: usize, length: u32): void {
  for (let index: u32 = 0; index < length; index++) {
    const byte: u32 = load<u8>(pointer + index);
    printHexDigit(byte >> 4);
    printHexDigit(byte & 15);
  }
}

function printHexDigit(value: u32): void {
  printByte(value < 10 ? 0x30 + value : 0x57 + value);
}
