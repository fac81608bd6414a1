// Inodes: a header of 16 bytes, fields by type, then a list: block sizes of a file, index of a directory, target of a
// link.
import { noteInode } from './squashfs-host';
import { METADATA_BYTES, NONE, SCRATCH_AT, TARGET_AT, TARGET_BYTES_MAX } from './squashfs-memory';
import { openStream, readStream, Stream } from './squashfs-metadata';
import {
  blockBytes,
  blockLog,
  directoryEnd,
  directoryTable,
  fragmentCount,
  idCount,
  inodeCount,
  inodeTable,
} from './squashfs-superblock';
import { idAt } from './squashfs-tables';
import { xattrCount } from './squashfs-xattr';
import {
  STATUS_OK,
  STATUS_SQUASHFS_DIRECTORY_SIZE,
  STATUS_SQUASHFS_DIRECTORY_START,
  STATUS_SQUASHFS_FILE_SIZE,
  STATUS_SQUASHFS_FRAGMENT_INDEX,
  STATUS_SQUASHFS_FRAGMENT_NEEDLESS,
  STATUS_SQUASHFS_FRAGMENT_RANGE,
  STATUS_SQUASHFS_INODE_ID,
  STATUS_SQUASHFS_INODE_MODE,
  STATUS_SQUASHFS_INODE_NUMBER,
  STATUS_SQUASHFS_INODE_REFERENCE,
  STATUS_SQUASHFS_INODE_TYPE,
  STATUS_SQUASHFS_INODE_XATTR,
  STATUS_SQUASHFS_LINK_COUNT,
  STATUS_SQUASHFS_METADATA_OFFSET,
  STATUS_SQUASHFS_SPARSE_BYTES,
  STATUS_SQUASHFS_SYMLINK_NUL,
  STATUS_SQUASHFS_SYMLINK_SIZE,
} from './status';

export const TYPE_DIRECTORY: u32 = 1;
export const TYPE_FILE: u32 = 2;
export const TYPE_SYMLINK: u32 = 3;
export const TYPE_BLOCK_DEVICE: u32 = 4;
export const TYPE_CHARACTER_DEVICE: u32 = 5;
/** The extended form of a type is the type plus this. */
const EXTENDED: u32 = 7;
const HEADER_BYTES: u32 = 16;
const MODE_BITS: u32 = 0o7777;
// A directory's size counts 3 bytes for "." and "..", which are not in its listing.
const DOTS_BYTES: u32 = 3;

/** An inode that was read and judged by itself. as-core/src/squashfs-records.ts reads the same fields. */
@unmanaged
export class Inode {
  /** 0: place in the inode table (block << 16 | offset) */
  reference: u64;
  /** 8: bytes of a file, of a target, of a listing */
  size: u64;
  /** 16: place of the first data block */
  start: u64;
  /** 24: bytes of holes */
  sparse: u64;
  /** 32: data blocks, without the fragment */
  blocks: u64;
  /** 40: the list behind the fields */
  listBlock: u64;
  /** 48 */
  listEnd: u64;
  /** 56 */
  listOffset: u32;
  /** 60: 1 to 7, never the extended form */
  type: u32;
  /** 64: 07777 */
  mode: u32;
  /** 68 */
  uid: u32;
  /** 72 */
  gid: u32;
  /** 76 */
  time: u32;
  /** 80 */
  number: u32;
  /** 84 */
  links: u32;
  /** 88 */
  device: u32;
  /** 92: NONE without one */
  fragment: u32;
  /** 96 */
  fragmentOffset: u32;
  /** 100: bytes in the fragment */
  tail: u32;
  /** 104: NONE without any */
  xattr: u32;
  /** 108: number of the directory that a directory lies in */
  parent: u32;
  /** 112: place of the listing from the start of the directory table */
  listingBlock: u32;
  /** 116 */
  listingOffset: u32;
  /** 120: entries of a directory's index */
  indexes: u32;
}

/** The list behind the inode that `readInode` read last: block words, index, or what comes behind the inode. */
const stream = changetype<Stream>(memory.data(24, 8));

/** Reads the inode at a reference. Its list has not been looked at, but for the target of a link. */
export function readInode(inode: Inode, reference: u64): i32 {
  const block = reference >> 16;
  if (block >= directoryEnd - inodeTable || inodeTable + block >= directoryTable) {
    return STATUS_SQUASHFS_INODE_REFERENCE;
  }
  const status = openStream(stream, inodeTable + block, directoryTable, <u32>(reference & 0xffff));
  return status == STATUS_OK ? readNext(inode, stream) : STATUS_SQUASHFS_METADATA_OFFSET;
}

/** Reads the inode at a stream's place; the stream is left at its list. */
export function readNext(inode: Inode, from: Stream): i32 {
  const block = from.block;
  const offset = from.offset;
  let status = readStream(from, SCRATCH_AT, HEADER_BYTES);
  if (status != STATUS_OK) return status;
  // Behind the last byte of a block is the first of the next.
  const isBehind = offset == METADATA_BYTES;
  inode.reference = ((isBehind ? from.block : block) - inodeTable) << 16;
  if (!isBehind) inode.reference |= <u64>offset;
  const type = <u32>load<u16>(SCRATCH_AT);
  if (type == 0 || type > 2 * EXTENDED) return STATUS_SQUASHFS_INODE_TYPE;
  inode.mode = load<u16>(SCRATCH_AT, 2);
  const uid = <u32>load<u16>(SCRATCH_AT, 4);
  const gid = <u32>load<u16>(SCRATCH_AT, 6);
  inode.time = load<u32>(SCRATCH_AT, 8);
  inode.number = load<u32>(SCRATCH_AT, 12);
  noteInode(inode.number);
  if ((inode.mode & ~MODE_BITS) != 0) return STATUS_SQUASHFS_INODE_MODE;
  if (uid >= idCount || gid >= idCount) return STATUS_SQUASHFS_INODE_ID;
  if (inode.number == 0 || inode.number > inodeCount) return STATUS_SQUASHFS_INODE_NUMBER;
  inode.uid = idAt(uid);
  inode.gid = idAt(gid);
  const isExtended = type > EXTENDED;
  inode.type = isExtended ? type - EXTENDED : type;
  clearFields(inode);
  status = readFields(inode, from, isExtended);
  if (status != STATUS_OK) return status;
  if (inode.links == 0) return STATUS_SQUASHFS_LINK_COUNT;
  if (inode.xattr != NONE && inode.xattr >= xattrCount) return STATUS_SQUASHFS_INODE_XATTR;
  inode.listBlock = from.block;
  inode.listEnd = from.end;
  inode.listOffset = from.offset;
  return inode.type == TYPE_SYMLINK ? readTarget(inode, from, isExtended) : STATUS_OK;
}

function clearFields(inode: Inode): void {
  inode.size = 0;
  inode.start = 0;
  inode.sparse = 0;
  inode.blocks = 0;
  inode.links = 1;
  inode.device = 0;
  inode.fragment = NONE;
  inode.fragmentOffset = 0;
  inode.tail = 0;
  inode.xattr = NONE;
  inode.parent = 0;
  inode.listingBlock = 0;
  inode.listingOffset = 0;
  inode.indexes = 0;
}

function readFields(inode: Inode, from: Stream, isExtended: bool): i32 {
  if (inode.type == TYPE_DIRECTORY) return readDirectory(inode, from, isExtended);
  if (inode.type == TYPE_FILE) return readFile(inode, from, isExtended);
  let length: u32 = 4;
  const isDevice = inode.type == TYPE_BLOCK_DEVICE || inode.type == TYPE_CHARACTER_DEVICE;
  const isLink = inode.type == TYPE_SYMLINK;
  if (isDevice || isLink) length += 4;
  // The attributes of a link come behind its target.
  const hasXattr = isExtended && !isLink;
  if (hasXattr) length += 4;
  const status = readStream(from, SCRATCH_AT, length);
  if (status != STATUS_OK) return status;
  inode.links = load<u32>(SCRATCH_AT);
  if (isDevice) inode.device = load<u32>(SCRATCH_AT, 4);
  if (isLink) inode.size = load<u32>(SCRATCH_AT, 4);
  if (hasXattr) inode.xattr = load<u32>(SCRATCH_AT + length - 4);
  return STATUS_OK;
}

function readDirectory(inode: Inode, from: Stream, isExtended: bool): i32 {
  const status = readStream(from, SCRATCH_AT, isExtended ? 24 : 16);
  if (status != STATUS_OK) return status;
  let size: u32 = 0;
  if (isExtended) {
    inode.links = load<u32>(SCRATCH_AT);
    size = load<u32>(SCRATCH_AT, 4);
    inode.listingBlock = load<u32>(SCRATCH_AT, 8);
    inode.parent = load<u32>(SCRATCH_AT, 12);
    inode.indexes = load<u16>(SCRATCH_AT, 16);
    inode.listingOffset = load<u16>(SCRATCH_AT, 18);
    inode.xattr = load<u32>(SCRATCH_AT, 20);
  } else {
    inode.listingBlock = load<u32>(SCRATCH_AT);
    inode.links = load<u32>(SCRATCH_AT, 4);
    size = load<u16>(SCRATCH_AT, 8);
    inode.listingOffset = load<u16>(SCRATCH_AT, 10);
    inode.parent = load<u32>(SCRATCH_AT, 12);
  }
  if (size < DOTS_BYTES) return STATUS_SQUASHFS_DIRECTORY_SIZE;
  inode.size = size - DOTS_BYTES;
  if (inode.size == 0) return STATUS_OK;
  const isInside = directoryTable + inode.listingBlock < directoryEnd;
  return isInside ? STATUS_OK : STATUS_SQUASHFS_DIRECTORY_START;
}

function readFile(inode: Inode, from: Stream, isExtended: bool): i32 {
  const status = readStream(from, SCRATCH_AT, isExtended ? 40 : 16);
  if (status != STATUS_OK) return status;
  if (isExtended) {
    inode.start = load<u64>(SCRATCH_AT);
    inode.size = load<u64>(SCRATCH_AT, 8);
    inode.sparse = load<u64>(SCRATCH_AT, 16);
    inode.links = load<u32>(SCRATCH_AT, 24);
    inode.fragment = load<u32>(SCRATCH_AT, 28);
    inode.fragmentOffset = load<u32>(SCRATCH_AT, 32);
    inode.xattr = load<u32>(SCRATCH_AT, 36);
  } else {
    inode.start = load<u32>(SCRATCH_AT);
    inode.fragment = load<u32>(SCRATCH_AT, 4);
    inode.fragmentOffset = load<u32>(SCRATCH_AT, 8);
    inode.size = load<u32>(SCRATCH_AT, 12);
  }
  return judgeFile(inode);
}

function judgeFile(inode: Inode): i32 {
  // Signed in the kernel (loff_t); and a list of block sizes this long cannot be.
  if (inode.size > 0x7fffffffffffffff) return STATUS_SQUASHFS_FILE_SIZE;
  inode.blocks = inode.size >> blockLog;
  const tail = <u32>(inode.size & (blockBytes - 1));
  if (inode.sparse > inode.size) return STATUS_SQUASHFS_SPARSE_BYTES;
  if (inode.fragment == NONE) {
    if (tail > 0) inode.blocks++;
    return STATUS_OK;
  }
  if (inode.fragment >= fragmentCount) return STATUS_SQUASHFS_FRAGMENT_INDEX;
  if (tail == 0) return STATUS_SQUASHFS_FRAGMENT_NEEDLESS;
  inode.tail = tail;
  const isInside = inode.fragmentOffset < blockBytes && tail <= blockBytes - inode.fragmentOffset;
  return isInside ? STATUS_OK : STATUS_SQUASHFS_FRAGMENT_RANGE;
}

function readTarget(inode: Inode, from: Stream, isExtended: bool): i32 {
  const length = inode.size;
  if (length == 0 || length > TARGET_BYTES_MAX) return STATUS_SQUASHFS_SYMLINK_SIZE;
  let status = readStream(from, TARGET_AT, length);
  if (status != STATUS_OK) return status;
  for (let at: u32 = 0; at < <u32>length; at++) {
    if (load<u8>(TARGET_AT + at) == 0) return STATUS_SQUASHFS_SYMLINK_NUL;
  }
  if (!isExtended) return STATUS_OK;
  status = readStream(from, SCRATCH_AT, 4);
  if (status != STATUS_OK) return status;
  inode.xattr = load<u32>(SCRATCH_AT);
  const isKnown = inode.xattr == NONE || inode.xattr < xattrCount;
  return isKnown ? STATUS_OK : STATUS_SQUASHFS_INODE_XATTR;
}
