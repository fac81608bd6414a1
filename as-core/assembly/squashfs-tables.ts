// Tables that are found through pointers: ids, fragments, export. And what the layout of all of them must be.
import { decode, notePlace, readImage, spend } from './squashfs-host';
import {
  FRAGMENT_AT,
  IDS_AT,
  METADATA_BYTES,
  NO_TABLE,
  RAW_AT,
  SCRATCH_AT,
  WINDOW_AT,
  WINDOW_BYTES,
} from './squashfs-memory';
import { loadMetadata, metadataAt, metadataLength, metadataNext } from './squashfs-metadata';
import {
  blockBytes,
  blocksFor,
  bytesUsed,
  fragmentBytes,
  fragmentCount,
  fragmentTable,
  hasOptions,
  idBytes,
  idCount,
  idTable,
  imageBytes,
  inodeTable,
  SUPERBLOCK_BYTES,
} from './squashfs-superblock';
import {
  STATUS_OK,
  STATUS_SQUASHFS_COMPRESSOR_OPTIONS,
  STATUS_SQUASHFS_FRAGMENT_ENTRY,
  STATUS_SQUASHFS_FRAGMENT_INDEX,
  STATUS_SQUASHFS_FRAGMENT_OUTSIDE,
  STATUS_SQUASHFS_FRAGMENT_UNREADABLE,
  STATUS_SQUASHFS_METADATA_SHORT,
  STATUS_SQUASHFS_PADDING,
  STATUS_SQUASHFS_TABLE_GAP,
  STATUS_SQUASHFS_TABLE_POINTER,
} from './status';

/** Bit of a size word: the block is not compressed. */
export const WORD_UNCOMPRESSED: u32 = 1 << 24;
/** Bits of a size word that hold the length on the disk. */
export const WORD_LENGTH: u32 = WORD_UNCOMPRESSED - 1;
const FRAGMENT_ENTRY_BYTES: u32 = 16;
const PADDING_BYTES: u64 = 4096;
const ZSTD_LEVEL_MAX: u32 = 22;

let pointerTable: u64 = NO_TABLE;
let pointerIndex: u64 = 0;
let pointer: u64 = 0;

/** Place of the data area's start: behind superblock and compressor options. */
export let dataStart: u64 = SUPERBLOCK_BYTES;
/** Place of the fragment block that `findFragment` found. */
export let fragmentStart: u64 = 0;
/** Its size word. */
export let fragmentWord: u32 = 0;

let keptFragment: u32 = 0xffffffff;
/** Decoded length of the fragment block at FRAGMENT_AT. */
export let keptLength: u32 = 0;

/** Forgets what was read from another image. */
export function clearTables(): void {
  pointerTable = NO_TABLE;
  keptFragment = 0xffffffff;
  dataStart = SUPERBLOCK_BYTES;
}

/** Loads block `index` of the table of `bytes` decoded bytes whose pointers are at `table`. */
export function loadTableBlock(table: u64, bytes: u64, index: u64): i32 {
  if (pointerTable != table || pointerIndex != index) {
    pointerTable = NO_TABLE;
    const status = readImage(table + index * 8, SCRATCH_AT, 8);
    if (status != STATUS_OK) return status;
    pointer = load<u64>(SCRATCH_AT);
    pointerTable = table;
    pointerIndex = index;
  }
  notePlace(table + index * 8);
  if (pointer < inodeTable || pointer >= table) return STATUS_SQUASHFS_TABLE_POINTER;
  const status = loadMetadata(pointer, table);
  if (status != STATUS_OK) return status;
  const expected = min<u64>(METADATA_BYTES, bytes - index * METADATA_BYTES);
  return metadataLength == <u32>expected ? STATUS_OK : STATUS_SQUASHFS_METADATA_SHORT;
}

/** Reads the id table to its area. */
export function readIds(): i32 {
  const bytes = idBytes();
  const blocks = blocksFor(bytes);
  for (let index: u64 = 0; index < blocks; index++) {
    const status = loadTableBlock(idTable, bytes, index);
    if (status != STATUS_OK) return status;
    memory.copy(IDS_AT + <usize>(index * METADATA_BYTES), metadataAt, metadataLength);
  }
  return STATUS_OK;
}

/** The id at `index`; 0 for one that is not in the table. */
export function idAt(index: u32): u32 {
  return index < idCount ? load<u32>(IDS_AT + index * 4) : 0;
}

/** Checks that the blocks of a table with pointers at `table` follow each other and fill `from` to `to`. */
export function checkTable(table: u64, bytes: u64, from: u64, to: u64): i32 {
  const blocks = blocksFor(bytes);
  let expected = from;
  for (let index: u64 = 0; index < blocks; index++) {
    const status = loadTableBlock(table, bytes, index);
    if (status != STATUS_OK) return status;
    if (pointer != expected) return STATUS_SQUASHFS_TABLE_POINTER;
    expected = metadataNext;
  }
  return expected == to ? STATUS_OK : STATUS_SQUASHFS_TABLE_GAP;
}

/** Reads the compressor options, if there are some: where the data area starts follows from them. */
export function readOptions(): i32 {
  if (!hasOptions) return STATUS_OK;
  const status = loadMetadata(SUPERBLOCK_BYTES, inodeTable);
  if (status != STATUS_OK) return status;
  dataStart = metadataNext;
  const level = metadataLength == 4 ? load<u32>(metadataAt) : 0;
  return level == 0 || level > ZSTD_LEVEL_MAX ? STATUS_SQUASHFS_COMPRESSOR_OPTIONS : STATUS_OK;
}

/** Checks that the bytes behind the tables, up to the next 4 KiB, are zero. */
export function checkPadding(): i32 {
  const end = min<u64>(imageBytes, (bytesUsed + PADDING_BYTES - 1) & ~(PADDING_BYTES - 1));
  if (end == bytesUsed) return STATUS_OK;
  const length = <u32>min<u64>(end - bytesUsed, WINDOW_BYTES);
  const status = readImage(bytesUsed, WINDOW_AT, length);
  if (status != STATUS_OK) return status;
  for (let at: u32 = 0; at < length; at++) {
    if (load<u8>(WINDOW_AT + at) != 0) return STATUS_SQUASHFS_PADDING;
  }
  return STATUS_OK;
}

/** Finds a fragment block: `fragmentStart`, `fragmentWord`. */
export function findFragment(index: u32): i32 {
  if (index >= fragmentCount) return STATUS_SQUASHFS_FRAGMENT_INDEX;
  const at = <u64>index * FRAGMENT_ENTRY_BYTES;
  const status = loadTableBlock(fragmentTable, fragmentBytes(), at / METADATA_BYTES);
  if (status != STATUS_OK) return status;
  const entry = metadataAt + <usize>(at % METADATA_BYTES);
  fragmentStart = load<u64>(entry);
  fragmentWord = load<u32>(entry, 8);
  const length = fragmentWord & WORD_LENGTH;
  if (fragmentWord > (WORD_UNCOMPRESSED | WORD_LENGTH) || load<u32>(entry, 12) != 0) {
    return STATUS_SQUASHFS_FRAGMENT_ENTRY;
  }
  if (length == 0 || length > blockBytes) return STATUS_SQUASHFS_FRAGMENT_ENTRY;
  const isInside =
    fragmentStart >= dataStart && fragmentStart < inodeTable && length <= inodeTable - fragmentStart;
  return isInside ? STATUS_OK : STATUS_SQUASHFS_FRAGMENT_OUTSIDE;
}

/** Decodes a fragment block to its area, unless it is there: `keptLength`. */
export function loadFragment(index: u32): i32 {
  if (index == keptFragment) return STATUS_OK;
  keptFragment = 0xffffffff;
  let status = findFragment(index);
  if (status != STATUS_OK) return status;
  status = spend(blockBytes);
  if (status != STATUS_OK) return status;
  const length = fragmentWord & WORD_LENGTH;
  const isPlain = (fragmentWord & WORD_UNCOMPRESSED) != 0;
  status = readImage(fragmentStart, isPlain ? FRAGMENT_AT : RAW_AT, length);
  if (status != STATUS_OK) return status;
  keptLength = length;
  if (!isPlain) {
    const answer = decode(RAW_AT, length, FRAGMENT_AT, blockBytes);
    if (answer <= 0 || <u32>answer > blockBytes) return STATUS_SQUASHFS_FRAGMENT_UNREADABLE;
    keptLength = <u32>answer;
  }
  keptFragment = index;
  return STATUS_OK;
}
