// Metadata blocks: u16 header (bit 15: not compressed, the rest: length on the disk), then at most 8 KiB of content.
// A table is a row of them; what a stream reads may begin in one and end in the next.
import { decode, notePlace, readImage, spend } from './squashfs-host';
import {
  CACHE_AT,
  CACHE_SLOTS,
  METADATA_BYTES,
  METADATA_RAW_AT,
  SLOT_BYTES,
  SLOTS_AT,
} from './squashfs-memory';
import {
  STATUS_OK,
  STATUS_SQUASHFS_METADATA_LENGTH,
  STATUS_SQUASHFS_METADATA_OFFSET,
  STATUS_SQUASHFS_METADATA_OUTSIDE,
  STATUS_SQUASHFS_METADATA_SHORT,
  STATUS_SQUASHFS_METADATA_UNREADABLE,
} from './status';

const HEADER_BYTES: u32 = 2;
const UNCOMPRESSED: u32 = 0x8000;
// Bits of a slot's next position that hold the decoded length (1 to 8192) and the position itself.
const LENGTH_BITS: u64 = 14;
const NOTHING: u64 = 0xffffffffffffffff;

/** A place in a row of metadata blocks that ends at `end`. */
@unmanaged
export class Stream {
  /** Place of the block in the image. */
  block: u64;
  /** End of the row. */
  end: u64;
  /** Bytes of the block that were read. */
  offset: u32;
}

/** Where the block of the last `loadMetadata` is. */
export let metadataAt: usize = 0;
/** Its decoded length. */
export let metadataLength: u32 = 0;
/** Place of the block behind it. */
export let metadataNext: u64 = 0;

/** Forgets every kept block: another image comes. */
export function clearMetadata(): void {
  for (let slot: u32 = 0; slot < CACHE_SLOTS; slot++) {
    store<u64>(SLOTS_AT + slot * SLOT_BYTES, NOTHING);
  }
}

/** Reads and decodes the block at `position` of a row that ends at `end`, unless it is kept. */
export function loadMetadata(position: u64, end: u64): i32 {
  notePlace(position);
  const slot = <u32>((position * 0x9e3779b97f4a7c15) >> 58) & (CACHE_SLOTS - 1);
  const known = SLOTS_AT + slot * SLOT_BYTES;
  metadataAt = CACHE_AT + slot * METADATA_BYTES;
  if (load<u64>(known) != position) {
    store<u64>(known, NOTHING);
    const status = fetch(position, end, known);
    if (status != STATUS_OK) return status;
    store<u64>(known, position);
  } else {
    const status = spend(64);
    if (status != STATUS_OK) return status;
  }
  const packed = load<u64>(known, 8);
  metadataNext = packed >> LENGTH_BITS;
  metadataLength = <u32>(packed & ((1 << LENGTH_BITS) - 1));
  return metadataNext > end ? STATUS_SQUASHFS_METADATA_OUTSIDE : STATUS_OK;
}

function fetch(position: u64, end: u64, known: usize): i32 {
  if (position > end || end - position < HEADER_BYTES + 1) return STATUS_SQUASHFS_METADATA_OUTSIDE;
  let status = spend(METADATA_BYTES);
  if (status != STATUS_OK) return status;
  // One read for header and content: what is behind the block is not looked at.
  const available = <u32>min<u64>(end - position, HEADER_BYTES + METADATA_BYTES);
  status = readImage(position, METADATA_RAW_AT, available);
  if (status != STATUS_OK) return status;
  const header = <u32>load<u16>(METADATA_RAW_AT);
  const length = header & ~UNCOMPRESSED;
  if (length == 0 || length > METADATA_BYTES) return STATUS_SQUASHFS_METADATA_LENGTH;
  if (length > available - HEADER_BYTES) return STATUS_SQUASHFS_METADATA_OUTSIDE;
  let decoded = length;
  if ((header & UNCOMPRESSED) != 0) {
    memory.copy(metadataAt, METADATA_RAW_AT + HEADER_BYTES, length);
  } else {
    const answer = decode(METADATA_RAW_AT + HEADER_BYTES, length, metadataAt, METADATA_BYTES);
    if (answer <= 0 || <u32>answer > METADATA_BYTES) return STATUS_SQUASHFS_METADATA_UNREADABLE;
    decoded = <u32>answer;
  }
  store<u64>(known, ((position + HEADER_BYTES + length) << LENGTH_BITS) | <u64>decoded, 8);
  return STATUS_OK;
}

/** Puts a stream at `offset` of the block at `block`. */
export function openStream(stream: Stream, block: u64, end: u64, offset: u32): i32 {
  stream.block = block;
  stream.end = end;
  stream.offset = offset;
  return offset < METADATA_BYTES ? STATUS_OK : STATUS_SQUASHFS_METADATA_OFFSET;
}

/** Reads the next `length` bytes to `target`, or leaves them out when `target` is 0. */
export function readStream(stream: Stream, target: usize, length: u64): i32 {
  let left = length;
  while (left > 0) {
    const status = loadMetadata(stream.block, stream.end);
    if (status != STATUS_OK) return status;
    if (stream.offset >= metadataLength) {
      if (stream.offset > metadataLength) return STATUS_SQUASHFS_METADATA_OFFSET;
      if (metadataLength != METADATA_BYTES) {
        const isLast = metadataNext == stream.end;
        return isLast ? STATUS_SQUASHFS_METADATA_OUTSIDE : STATUS_SQUASHFS_METADATA_SHORT;
      }
      stream.block = metadataNext;
      stream.offset = 0;
      continue;
    }
    const piece = <u32>min<u64>(left, metadataLength - stream.offset);
    if (target != 0) {
      memory.copy(target, metadataAt + stream.offset, piece);
      target += piece;
    }
    stream.offset += piece;
    left -= piece;
  }
  return STATUS_OK;
}

/** Whether a stream has read all of its row: 1 or 0, or a negative status. */
export function isAtEnd(stream: Stream): i32 {
  if (stream.block == stream.end) return 1;
  const status = loadMetadata(stream.block, stream.end);
  if (status != STATUS_OK) return -status;
  return stream.offset == metadataLength && metadataNext == stream.end ? 1 : 0;
}

/** Puts a stream where another one was, which may be behind the last byte of a block. */
export function resumeStream(stream: Stream, block: u64, end: u64, offset: u32): void {
  stream.block = block;
  stream.end = end;
  stream.offset = offset;
}

/** Decoded length of the row that `checkRow` checked. */
export let rowBytes: u64 = 0;

/** Checks that the blocks from `start` on fill a row that ends at `end`. */
export function checkRow(start: u64, end: u64): i32 {
  let position = start;
  rowBytes = 0;
  while (position != end) {
    const status = loadMetadata(position, end);
    if (status != STATUS_OK) return status;
    if (metadataNext != end && metadataLength != METADATA_BYTES) {
      return STATUS_SQUASHFS_METADATA_SHORT;
    }
    rowBytes += metadataLength;
    position = metadataNext;
  }
  return STATUS_OK;
}
