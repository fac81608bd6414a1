// The superblock (96 bytes at the start of the image) and the order of the tables it points to.
//
//   0 magic  4 inodes  8 time  12 block size  16 fragments  20 compression u16  22 block log u16  24 flags u16
//   26 ids u16  28 major u16  30 minor u16  32 root u64  40 bytes used u64  48 id table u64  56 xattr table u64
//   64 inode table u64  72 directory table u64  80 fragment table u64  88 export table u64
//
// In the image: superblock, compressor options, data, inodes, directories, then fragments, export, ids and
// attributes: each of these its blocks first, then the pointers to them, and the superblock points to the pointers.
import { notePlace, readImage } from './squashfs-host';
import {
  FRAGMENTS_MAX,
  INODES_MAX,
  METADATA_BYTES,
  NO_TABLE,
  SCRATCH_AT,
  SUPERBLOCK_AT,
} from './squashfs-memory';
import {
  STATUS_OK,
  STATUS_SQUASHFS_BLOCK_LOG,
  STATUS_SQUASHFS_BLOCK_SIZE,
  STATUS_SQUASHFS_BYTES_USED,
  STATUS_SQUASHFS_COMPRESSION,
  STATUS_SQUASHFS_FLAGS,
  STATUS_SQUASHFS_FRAGMENT_COUNT,
  STATUS_SQUASHFS_ID_COUNT,
  STATUS_SQUASHFS_INODE_COUNT,
  STATUS_SQUASHFS_MAGIC,
  STATUS_SQUASHFS_TABLE_ORDER,
  STATUS_SQUASHFS_TABLE_OUTSIDE,
  STATUS_SQUASHFS_TABLE_POINTER,
  STATUS_SQUASHFS_TRUNCATED,
  STATUS_SQUASHFS_VERSION,
} from './status';

export const SUPERBLOCK_BYTES: u32 = 96;
const MAGIC: u32 = 0x73717368;
const ZSTD: u32 = 6;
const FLAGS_KNOWN: u32 = 0x0ffb;
const FLAG_OPTIONS: u32 = 0x0400;
const BLOCK_LOG_MIN: u32 = 12;
const BLOCK_LOG_MAX: u32 = 20;
const IMAGE_BYTES_MAX: u64 = 1 << 48;
const FRAGMENT_ENTRY_BYTES: u64 = 16;
const REFERENCE_BYTES: u64 = 8;
const ID_BYTES: u64 = 4;

export let inodeCount: u32 = 0;
export let blockBytes: u32 = 0;
export let blockLog: u32 = 0;
export let fragmentCount: u32 = 0;
export let idCount: u32 = 0;
export let hasOptions: bool = false;
export let rootReference: u64 = 0;
export let imageBytes: u64 = 0;
export let bytesUsed: u64 = 0;
export let idTable: u64 = 0;
export let xattrTable: u64 = 0;
export let inodeTable: u64 = 0;
export let directoryTable: u64 = 0;
export let fragmentTable: u64 = 0;
export let exportTable: u64 = 0;
/** End of the directory table: the first block of the table behind it. */
export let directoryEnd: u64 = 0;

/** Reads and judges the superblock of an image of `size` bytes. */
export function readSuperblock(size: u64): i32 {
  imageBytes = size;
  if (size < SUPERBLOCK_BYTES || size > IMAGE_BYTES_MAX) return STATUS_SQUASHFS_TRUNCATED;
  let status = readImage(0, SUPERBLOCK_AT, SUPERBLOCK_BYTES);
  if (status != STATUS_OK) return status;
  if (load<u32>(SUPERBLOCK_AT) != MAGIC) return STATUS_SQUASHFS_MAGIC;
  if (load<u16>(SUPERBLOCK_AT, 28) != 4 || load<u16>(SUPERBLOCK_AT, 30) != 0) {
    return STATUS_SQUASHFS_VERSION;
  }
  if (load<u16>(SUPERBLOCK_AT, 20) != ZSTD) return STATUS_SQUASHFS_COMPRESSION;
  status = readCounts();
  if (status != STATUS_OK) return status;
  status = readPlaces();
  return status == STATUS_OK ? findDirectoryEnd() : status;
}

function readCounts(): i32 {
  blockBytes = load<u32>(SUPERBLOCK_AT, 12);
  blockLog = load<u16>(SUPERBLOCK_AT, 22);
  if (popcnt(blockBytes) != 1) return STATUS_SQUASHFS_BLOCK_SIZE;
  if (blockBytes < 1 << BLOCK_LOG_MIN || blockBytes > 1 << BLOCK_LOG_MAX) {
    return STATUS_SQUASHFS_BLOCK_SIZE;
  }
  if (blockLog > BLOCK_LOG_MAX || blockBytes != 1 << blockLog) return STATUS_SQUASHFS_BLOCK_LOG;
  const flags = <u32>load<u16>(SUPERBLOCK_AT, 24);
  if ((flags & ~FLAGS_KNOWN) != 0) return STATUS_SQUASHFS_FLAGS;
  hasOptions = (flags & FLAG_OPTIONS) != 0;
  inodeCount = load<u32>(SUPERBLOCK_AT, 4);
  if (inodeCount == 0 || inodeCount > INODES_MAX) return STATUS_SQUASHFS_INODE_COUNT;
  fragmentCount = load<u32>(SUPERBLOCK_AT, 16);
  // Each fragment block holds the end of a file at least.
  if (fragmentCount > FRAGMENTS_MAX || fragmentCount > inodeCount) {
    return STATUS_SQUASHFS_FRAGMENT_COUNT;
  }
  idCount = load<u16>(SUPERBLOCK_AT, 26);
  return idCount == 0 ? STATUS_SQUASHFS_ID_COUNT : STATUS_OK;
}

function readPlaces(): i32 {
  rootReference = load<u64>(SUPERBLOCK_AT, 32);
  bytesUsed = load<u64>(SUPERBLOCK_AT, 40);
  idTable = load<u64>(SUPERBLOCK_AT, 48);
  xattrTable = load<u64>(SUPERBLOCK_AT, 56);
  inodeTable = load<u64>(SUPERBLOCK_AT, 64);
  directoryTable = load<u64>(SUPERBLOCK_AT, 72);
  fragmentTable = load<u64>(SUPERBLOCK_AT, 80);
  exportTable = load<u64>(SUPERBLOCK_AT, 88);
  if (bytesUsed <= SUPERBLOCK_BYTES) return STATUS_SQUASHFS_BYTES_USED;
  if (bytesUsed > imageBytes) return STATUS_SQUASHFS_TRUNCATED;
  if (!isInside(inodeTable) || !isInside(directoryTable) || !isInside(idTable)) {
    return STATUS_SQUASHFS_TABLE_OUTSIDE;
  }
  if (fragmentCount > 0 && !isInside(fragmentTable)) return STATUS_SQUASHFS_TABLE_OUTSIDE;
  if (fragmentTable != NO_TABLE && !isInside(fragmentTable)) return STATUS_SQUASHFS_TABLE_OUTSIDE;
  if (exportTable != NO_TABLE && !isInside(exportTable)) return STATUS_SQUASHFS_TABLE_OUTSIDE;
  if (xattrTable != NO_TABLE && !isInside(xattrTable)) return STATUS_SQUASHFS_TABLE_OUTSIDE;
  if (directoryTable <= inodeTable) return STATUS_SQUASHFS_TABLE_ORDER;
  let before = directoryTable;
  if (fragmentCount > 0) {
    if (fragmentTable <= before) return STATUS_SQUASHFS_TABLE_ORDER;
    before = pointersEnd(fragmentTable, fragmentBytes());
  }
  if (exportTable != NO_TABLE) {
    if (exportTable <= before) return STATUS_SQUASHFS_TABLE_ORDER;
    before = pointersEnd(exportTable, exportBytes());
  }
  if (idTable <= before) return STATUS_SQUASHFS_TABLE_ORDER;
  before = pointersEnd(idTable, idBytes());
  if (xattrTable != NO_TABLE) return xattrTable <= before ? STATUS_SQUASHFS_TABLE_ORDER : STATUS_OK;
  return before > bytesUsed ? STATUS_SQUASHFS_TABLE_OUTSIDE : STATUS_OK;
}

function isInside(table: u64): bool {
  return table >= SUPERBLOCK_BYTES && table < bytesUsed;
}

/** Blocks that a table of `bytes` bytes takes. */
export function blocksFor(bytes: u64): u64 {
  return (bytes + METADATA_BYTES - 1) / METADATA_BYTES;
}

/** End of the pointers of a table that begin at `start`. */
export function pointersEnd(start: u64, bytes: u64): u64 {
  return start + blocksFor(bytes) * 8;
}

/** Size of the fragment table, decoded. */
export function fragmentBytes(): u64 {
  return <u64>fragmentCount * FRAGMENT_ENTRY_BYTES;
}

/** Size of the export table, decoded. */
export function exportBytes(): u64 {
  return <u64>inodeCount * REFERENCE_BYTES;
}

/** Size of the id table, decoded. */
export function idBytes(): u64 {
  return <u64>idCount * ID_BYTES;
}

/** The first table behind the directories: its pointers. */
export function tableBehindDirectories(): u64 {
  if (fragmentCount > 0) return fragmentTable;
  return exportTable != NO_TABLE ? exportTable : idTable;
}

function findDirectoryEnd(): i32 {
  const table = tableBehindDirectories();
  if (bytesUsed - table < 8) return STATUS_SQUASHFS_TABLE_OUTSIDE;
  const status = readImage(table, SCRATCH_AT, 8);
  if (status != STATUS_OK) return status;
  directoryEnd = load<u64>(SCRATCH_AT);
  notePlace(table);
  const isFitting = directoryEnd >= directoryTable && directoryEnd < table;
  return isFitting ? STATUS_OK : STATUS_SQUASHFS_TABLE_POINTER;
}
