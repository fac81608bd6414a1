// Guard of the zstd decoder (RFC 8878): reads the header of a frame and of each of its blocks before the decoder sees
// them, and refuses what would need more room than the caller has, or what does not add up.
//
//   magic 4 | descriptor 1 | window 0-1 | dictionary id 0-4 | content size 0-8 | blocks: header 3, body … | checksum 0-4
//
// The module has no memory of its own: it imports the decoder's, and looks at the bytes where they lie. It writes
// nothing. Skippable frames, dictionaries and frames of unknown length are refused: nothing here makes them.
import {
  STATUS_OK,
  STATUS_ZSTD_BLOCK_TOO_LARGE,
  STATUS_ZSTD_CONTENT_TOO_LARGE,
  STATUS_ZSTD_DICTIONARY,
  STATUS_ZSTD_FRAME_TOO_LONG,
  STATUS_ZSTD_MAGIC,
  STATUS_ZSTD_NO_CONTENT_SIZE,
  STATUS_ZSTD_RESERVED_BIT,
  STATUS_ZSTD_RESERVED_BLOCK,
  STATUS_ZSTD_SIZES_DIFFER,
  STATUS_ZSTD_SKIPPABLE,
  STATUS_ZSTD_TRAILING_BYTES,
  STATUS_ZSTD_TRUNCATED,
  STATUS_ZSTD_WINDOW_TOO_LARGE,
} from './status';

// Section 3.1.1.
const FRAME_MAGIC: u32 = 0xfd2fb528;
// Section 3.1.2: sixteen numbers.
const SKIPPABLE_MAGIC: u32 = 0x184d2a50;
const SKIPPABLE_MASK: u32 = 0xfffffff0;
// Section 3.1.1.1.2: a window has at least 1 KiB.
const WINDOW_BYTES_MIN: u64 = 1024;
// Section 3.1.1.2.4.
const BLOCK_BYTES_MAX: u64 = 131072;
const BLOCK_HEADER_BYTES: u32 = 3;
const CHECKSUM_BYTES: u32 = 4;

const BLOCK_RLE: u32 = 1;
const BLOCK_COMPRESSED: u32 = 2;

// What the header said; set by readHeader alone.
let headerBytes: u32 = 0;
let contentSize: u64 = 0;
let windowSize: u64 = 0;
let hasChecksum: bool = false;

/** Content size of the frame that `check` accepted last. */
export function contentBytes(): u32 {
  return <u32>contentSize;
}

/** Longest frame that a content of `bytes` can need: ZSTD_COMPRESSBOUND of libzstd. */
export function frameBytesMax(bytes: u32): u32 {
  const small: u32 = <u64>bytes < BLOCK_BYTES_MAX ? (<u32>BLOCK_BYTES_MAX - bytes) >> 11 : 0;
  return bytes + (bytes >> 8) + small;
}

/**
 * Whether the `length` bytes at `frame` are one whole frame whose content has at most `contentBytesMax` bytes and whose
 * window is no larger than that (or 1 KiB, the smallest there is).
 *
 * Says nothing about the bodies of compressed blocks: that is the decoder's work.
 */
export function check(frame: usize, length: u32, contentBytesMax: u32): i32 {
  const status: i32 = readHeader(frame, length);
  if (status != STATUS_OK) return status;
  if (contentSize > <u64>contentBytesMax) return STATUS_ZSTD_CONTENT_TOO_LARGE;
  const windowMax: u64 = max<u64>(contentBytesMax, WINDOW_BYTES_MIN);
  if (windowSize > windowMax) return STATUS_ZSTD_WINDOW_TOO_LARGE;
  if (length > frameBytesMax(<u32>contentSize)) return STATUS_ZSTD_FRAME_TOO_LONG;
  return walkBlocks(frame, length);
}

/** Section 3.1.1.1. */
function readHeader(frame: usize, length: u32): i32 {
  if (length < 4) return STATUS_ZSTD_TRUNCATED;
  const magic: u32 = load<u32>(frame);
  if ((magic & SKIPPABLE_MASK) == SKIPPABLE_MAGIC) return STATUS_ZSTD_SKIPPABLE;
  if (magic != FRAME_MAGIC) return STATUS_ZSTD_MAGIC;
  if (length < 5) return STATUS_ZSTD_TRUNCATED;
  const descriptor: u32 = load<u8>(frame, 4);
  const isSingleSegment: bool = (descriptor & 0x20) != 0;
  const sizeFlag: u32 = descriptor >> 6;
  if ((descriptor & 0x08) != 0) return STATUS_ZSTD_RESERVED_BIT;
  if ((descriptor & 0x03) != 0) return STATUS_ZSTD_DICTIONARY;
  if (sizeFlag == 0 && !isSingleSegment) return STATUS_ZSTD_NO_CONTENT_SIZE;
  hasChecksum = (descriptor & 0x04) != 0;
  const windowBytes: u32 = isSingleSegment ? 0 : 1;
  headerBytes = 5 + windowBytes + (<u32>1 << sizeFlag);
  if (length < headerBytes) return STATUS_ZSTD_TRUNCATED;
  contentSize = readContentSize(frame + 5 + windowBytes, sizeFlag);
  windowSize = isSingleSegment ? contentSize : windowOf(load<u8>(frame, 5));
  return STATUS_OK;
}

/** Section 3.1.1.1.4. */
function readContentSize(field: usize, sizeFlag: u32): u64 {
  if (sizeFlag == 0) return load<u8>(field);
  if (sizeFlag == 1) return <u64>load<u16>(field) + 256;
  if (sizeFlag == 2) return load<u32>(field);
  return load<u64>(field);
}

/** Section 3.1.1.1.2. */
function windowOf(descriptor: u32): u64 {
  const base: u64 = WINDOW_BYTES_MIN << <u64>(descriptor >> 3);
  return base + (base >> 3) * <u64>(descriptor & 7);
}

/** Section 3.1.1.2: every block lies in the frame, the last one ends it, and the sizes can add up to the content. */
function walkBlocks(frame: usize, length: u32): i32 {
  const blockMax: u64 = min<u64>(windowSize, BLOCK_BYTES_MAX);
  // Content bytes that are certain, and the most there can be.
  let leastBytes: u64 = 0;
  let mostBytes: u64 = 0;
  let at: u32 = headerBytes;
  let isLast: bool = false;
  while (!isLast) {
    if (length - at < BLOCK_HEADER_BYTES) return STATUS_ZSTD_TRUNCATED;
    const header: u32 = <u32>load<u16>(frame + at) | (<u32>load<u8>(frame + at, 2) << 16);
    at += BLOCK_HEADER_BYTES;
    isLast = (header & 1) != 0;
    const type: u32 = (header >> 1) & 3;
    const size: u32 = header >> 3;
    if (type > BLOCK_COMPRESSED) return STATUS_ZSTD_RESERVED_BLOCK;
    if (<u64>size > blockMax) return STATUS_ZSTD_BLOCK_TOO_LARGE;
    const bodyBytes: u32 = type == BLOCK_RLE ? 1 : size;
    if (length - at < bodyBytes) return STATUS_ZSTD_TRUNCATED;
    at += bodyBytes;
    leastBytes += type == BLOCK_COMPRESSED ? 0 : <u64>size;
    mostBytes += type == BLOCK_COMPRESSED ? blockMax : <u64>size;
    if (leastBytes > contentSize) return STATUS_ZSTD_SIZES_DIFFER;
  }
  if (mostBytes < contentSize) return STATUS_ZSTD_SIZES_DIFFER;
  const tailBytes: u32 = hasChecksum ? CHECKSUM_BYTES : 0;
  if (length - at < tailBytes) return STATUS_ZSTD_TRUNCATED;
  return length - at > tailBytes ? STATUS_ZSTD_TRAILING_BYTES : STATUS_OK;
}
