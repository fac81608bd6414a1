// Listings of directories: headers (entries - 1 u32, metadata block of their inodes u32, base inode number u32), each
// with up to 256 entries (offset in that block u16, inode number - base i16, type u16, name length - 1 u16, name).
// The names are sorted by their bytes. An extended directory has an index in its inode: (bytes of the listing before a
// header u32, metadata block of that header u32, name length - 1 u32, the name behind the header), sorted too.
import { Inode, TYPE_DIRECTORY } from './squashfs-inode';
import { NAME_BYTES_MAX, METADATA_BYTES, SCRATCH_AT, WINDOW_AT } from './squashfs-memory';
import { readStream, resumeStream, Stream } from './squashfs-metadata';
import { directoryEnd, directoryTable } from './squashfs-superblock';
import { spend } from './squashfs-host';
import {
  STATUS_OK,
  STATUS_SQUASHFS_DIRECTORY_CUT,
  STATUS_SQUASHFS_DIRECTORY_HEADER,
  STATUS_SQUASHFS_DIRECTORY_INDEX,
  STATUS_SQUASHFS_METADATA_OFFSET,
  STATUS_SQUASHFS_NAME_FORBIDDEN,
  STATUS_SQUASHFS_NAME_LENGTH,
  STATUS_SQUASHFS_NAME_ORDER,
  STATUS_SQUASHFS_NAME_TWICE,
  STATUS_WRONG_STATE,
} from './status';

const HEADER_BYTES: u32 = 12;
const ENTRY_BYTES: u32 = 8;
const ENTRIES_MAX: u32 = 256;
const INDEX_BYTES: u32 = 12;

/** Place in a listing, and the entry that was read last. as-core/src/squashfs-records.ts reads the same fields. */
@unmanaged
export class Listing {
  /** 0: reference of the inode that the entry leads to */
  reference: u64;
  /** 8, 16: place in the directory table */
  block: u64;
  end: u64;
  /** 24, 32: place in the index */
  indexBlock: u64;
  indexEnd: u64;
  /** 40 */
  offset: u32;
  /** 44 */
  indexOffset: u32;
  /** 48: bytes of the listing that were read, and that are left */
  bytesRead: u32;
  /** 52 */
  bytesLeft: u32;
  /** 56: entries left behind the last header */
  entriesLeft: u32;
  /** 60, 64: of the last header */
  inodeBlock: u32;
  inodeBase: u32;
  /** 68: entries of the index that were not compared yet */
  indexesLeft: u32;
  /** 72: number of the inode that the entry leads to */
  number: u32;
  /** 76 */
  type: u32;
  /** 80 */
  nameLength: u32;
  /** 84: 1 when the entry is the first behind its header */
  isFirst: u32;
  /** 88: where the block of the last header begins */
  headerBlock: u64;
  /** 96: bytes of the listing before the last header */
  headerStart: u32;
}

/** Offset of the name in a listing record; the space behind it takes the name before. */
export const LISTING_NAME: u32 = 104;
const LISTING_NEXT: u32 = LISTING_NAME + 256;
/** Bytes of a listing record. */
export const LISTING_BYTES: u32 = LISTING_NEXT + 256;

const stream = changetype<Stream>(memory.data(24, 8));

/** Opens the listing of a directory. */
export function openListing(listing: Listing, inode: Inode): i32 {
  if (inode.type != TYPE_DIRECTORY) return STATUS_WRONG_STATE;
  listing.block = directoryTable + inode.listingBlock;
  listing.end = directoryEnd;
  listing.offset = inode.listingOffset;
  listing.indexBlock = inode.listBlock;
  listing.indexEnd = inode.listEnd;
  listing.indexOffset = inode.listOffset;
  listing.indexesLeft = inode.indexes;
  listing.bytesRead = 0;
  listing.bytesLeft = <u32>inode.size;
  listing.entriesLeft = 0;
  listing.nameLength = 0;
  listing.isFirst = 0;
  if (inode.size == 0) return inode.indexes == 0 ? STATUS_OK : STATUS_SQUASHFS_DIRECTORY_INDEX;
  return listing.offset < METADATA_BYTES ? STATUS_OK : STATUS_SQUASHFS_METADATA_OFFSET;
}

/** Whether an entry is left. */
export function hasEntry(listing: Listing): bool {
  return listing.bytesLeft > 0 || listing.entriesLeft > 0;
}

/** Reads the next entry; one must be left. */
export function nextEntry(listing: Listing): i32 {
  let status = spend(64);
  if (status != STATUS_OK) return status;
  resumeStream(stream, listing.block, listing.end, listing.offset);
  listing.isFirst = 0;
  if (listing.entriesLeft == 0) {
    status = readHeader(listing);
    if (status != STATUS_OK) return status;
  }
  status = readEntry(listing);
  listing.block = stream.block;
  listing.offset = stream.offset;
  if (status != STATUS_OK) return status;
  return listing.isFirst == 1 ? checkIndex(listing) : STATUS_OK;
}

function take(listing: Listing, length: u32): bool {
  if (length > listing.bytesLeft) return false;
  listing.bytesLeft -= length;
  listing.bytesRead += length;
  return true;
}

function readHeader(listing: Listing): i32 {
  listing.headerStart = listing.bytesRead;
  const isBehind = stream.offset == METADATA_BYTES;
  const block = stream.block;
  if (!take(listing, HEADER_BYTES)) return STATUS_SQUASHFS_DIRECTORY_HEADER;
  const status = readStream(stream, SCRATCH_AT, HEADER_BYTES);
  if (status != STATUS_OK) return status;
  listing.headerBlock = isBehind ? stream.block : block;
  const count = load<u32>(SCRATCH_AT);
  if (count >= ENTRIES_MAX) return STATUS_SQUASHFS_DIRECTORY_HEADER;
  listing.entriesLeft = count + 1;
  listing.inodeBlock = load<u32>(SCRATCH_AT, 4);
  listing.inodeBase = load<u32>(SCRATCH_AT, 8);
  listing.isFirst = 1;
  return STATUS_OK;
}

function readEntry(listing: Listing): i32 {
  if (!take(listing, ENTRY_BYTES)) return STATUS_SQUASHFS_DIRECTORY_CUT;
  let status = readStream(stream, SCRATCH_AT, ENTRY_BYTES);
  if (status != STATUS_OK) return status;
  listing.entriesLeft--;
  const offset = <u64>load<u16>(SCRATCH_AT);
  listing.reference = (<u64>listing.inodeBlock << 16) | offset;
  listing.number = listing.inodeBase + <u32>(<i32>load<i16>(SCRATCH_AT, 2));
  listing.type = load<u16>(SCRATCH_AT, 4);
  const length = <u32>load<u16>(SCRATCH_AT, 6) + 1;
  if (length > NAME_BYTES_MAX) return STATUS_SQUASHFS_NAME_LENGTH;
  if (!take(listing, length)) return STATUS_SQUASHFS_DIRECTORY_CUT;
  const name = changetype<usize>(listing) + LISTING_NAME;
  const next = changetype<usize>(listing) + LISTING_NEXT;
  status = readStream(stream, next, length);
  if (status != STATUS_OK) return status;
  if (!isName(next, length)) return STATUS_SQUASHFS_NAME_FORBIDDEN;
  const order = compare(name, listing.nameLength, next, length);
  if (order == 0) return STATUS_SQUASHFS_NAME_TWICE;
  if (order > 0) return STATUS_SQUASHFS_NAME_ORDER;
  memory.copy(name, next, length);
  listing.nameLength = length;
  return STATUS_OK;
}

function isName(at: usize, length: u32): bool {
  const first = load<u8>(at);
  if (first == 0x2e && (length == 1 || (length == 2 && load<u8>(at, 1) == 0x2e))) return false;
  for (let index: u32 = 0; index < length; index++) {
    const byte = load<u8>(at + index);
    if (byte == 0 || byte == 0x2f) return false;
  }
  return true;
}

/** Less than, equal to or more than 0, by bytes, a shorter name before its continuation. */
function compare(left: usize, leftLength: u32, right: usize, rightLength: u32): i32 {
  const order = memory.compare(left, right, min(leftLength, rightLength));
  if (order != 0) return order;
  return <i32>leftLength - <i32>rightLength;
}

/** Compares the entry that was read, the first behind its header, with the index. */
function checkIndex(listing: Listing): i32 {
  if (listing.indexesLeft == 0) return STATUS_OK;
  resumeStream(stream, listing.indexBlock, listing.indexEnd, listing.indexOffset);
  let status = readStream(stream, SCRATCH_AT, INDEX_BYTES);
  if (status != STATUS_OK) return status;
  const start = load<u32>(SCRATCH_AT);
  // This header has no entry in the index: not every one has.
  if (start > listing.headerStart) return STATUS_OK;
  const block = <u64>load<u32>(SCRATCH_AT, 4);
  const length = load<u32>(SCRATCH_AT, 8);
  if (start < listing.headerStart || directoryTable + block != listing.headerBlock) {
    return STATUS_SQUASHFS_DIRECTORY_INDEX;
  }
  if (length >= NAME_BYTES_MAX || length + 1 != listing.nameLength) return STATUS_SQUASHFS_DIRECTORY_INDEX;
  status = readStream(stream, WINDOW_AT, length + 1);
  if (status != STATUS_OK) return status;
  const name = changetype<usize>(listing) + LISTING_NAME;
  if (memory.compare(name, WINDOW_AT, length + 1) != 0) return STATUS_SQUASHFS_DIRECTORY_INDEX;
  listing.indexesLeft--;
  listing.indexBlock = stream.block;
  listing.indexOffset = stream.offset;
  return STATUS_OK;
}
