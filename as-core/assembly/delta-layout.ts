// The pieces of a SquashFS: where its packed blocks are, found in its own tables. Data blocks come from the lists of the
// files and from the fragment table, metadata blocks from the rows of the tables; what lies between is left to the caller.
//
// The image is one that was verified: it is read here once, and nothing in it leads outside the memory, but not all that
// could be wrong with it is refused.
//
// A piece has 16 bytes: place u64 with its kind in the upper 8 bits, packed length u32, unpacked length u32.
import { begin, open } from './squashfs';
import { Inode, readNext, TYPE_DIRECTORY, TYPE_FILE } from './squashfs-inode';
import { METADATA_RAW_AT, NO_TABLE, REFERENCE_BLOCKS_AT, SCRATCH_AT } from './squashfs-memory';
import {
  isAtEnd,
  loadMetadata,
  metadataLength,
  metadataNext,
  openStream,
  readStream,
  Stream,
} from './squashfs-metadata';
import {
  blockBytes,
  bytesUsed,
  directoryEnd,
  directoryTable,
  exportBytes,
  exportTable,
  fragmentBytes,
  fragmentCount,
  fragmentTable,
  hasOptions,
  idBytes,
  idTable,
  inodeCount,
  inodeTable,
  pointersEnd,
  SUPERBLOCK_BYTES,
  xattrTable,
} from './squashfs-superblock';
import {
  dataStart,
  findFragment,
  fragmentStart,
  fragmentWord,
  keptLength,
  loadFragment,
  WORD_LENGTH,
  WORD_UNCOMPRESSED,
} from './squashfs-tables';
import {
  STATUS_DELTA_PIECES,
  STATUS_OK,
  STATUS_SQUASHFS_BLOCK_OUTSIDE,
  STATUS_SQUASHFS_BLOCK_WORD,
  STATUS_SQUASHFS_DIRECTORY_INDEX,
  STATUS_SQUASHFS_INODE_COUNT_WRONG,
} from './status';

export {
  faultInodeNumber,
  faultPlace,
} from './squashfs';

/** Zstd frame of a data block. */
const DATA: u64 = 1;
/** Metadata block with its header. */
const METADATA: u64 = 2;
const KIND_SHIFT: u64 = 56;
const PLACE: u64 = (1 << 56) - 1;

/** Most pieces. */
const PIECES_MAX: u32 = 131072;
const PIECE_BYTES: u32 = 16;
/** The areas that only `verify` uses. */
const PIECES_AT: usize = REFERENCE_BLOCKS_AT;

const inode = changetype<Inode>(memory.data(128, 8));
const table = changetype<Stream>(memory.data(24, 8));
let pieces: u32 = 0;

/** Finds the pieces of an image of `size` bytes, which may read and decode `work` bytes. */
export function findPieces(size: u64, work: u64): i32 {
  pieces = 0;
  if (PIECES_AT + <usize>PIECES_MAX * PIECE_BYTES > METADATA_RAW_AT) return STATUS_DELTA_PIECES;
  let status = open(size, work);
  if (status == STATUS_OK) status = begin(work);
  if (status == STATUS_OK) status = findFiles();
  if (status == STATUS_OK) status = findFragments();
  if (status == STATUS_OK) status = findTables();
  if (status != STATUS_OK) return status;
  sort();
  return dropRepeats();
}

export function piecesFound(): u32 {
  return pieces;
}
export function piecesPointer(): usize {
  return PIECES_AT;
}
/** Block size of the image. */
export function imageBlockBytes(): u32 {
  return blockBytes;
}

function add(kind: u64, place: u64, packed: u32, unpacked: u32): i32 {
  if (pieces == PIECES_MAX || place > PLACE) return STATUS_DELTA_PIECES;
  const at = PIECES_AT + pieces * PIECE_BYTES;
  store<u64>(at, (kind << KIND_SHIFT) | place);
  store<u32>(at, packed, 8);
  store<u32>(at, unpacked, 12);
  pieces++;
  return STATUS_OK;
}

/** Reads the inode table from its begin to its end. */
function findFiles(): i32 {
  let status = openStream(table, inodeTable, directoryTable, 0);
  if (status != STATUS_OK) return status;
  let count: u32 = 0;
  let answer = isAtEnd(table);
  while (answer == 0) {
    if (count == inodeCount) return STATUS_SQUASHFS_INODE_COUNT_WRONG;
    status = readNext(inode, table);
    if (status == STATUS_OK) status = inode.type == TYPE_FILE ? findBlocks() : passIndex();
    if (status != STATUS_OK) return status;
    count++;
    answer = isAtEnd(table);
  }
  return answer < 0 ? -answer : STATUS_OK;
}

/** The blocks of the file in the inode record, whose list comes next in the table. */
function findBlocks(): i32 {
  let place = inode.start;
  let left = inode.size;
  for (let block: u64 = 0; block < inode.blocks; block++) {
    let status = readStream(table, SCRATCH_AT, 4);
    if (status != STATUS_OK) return status;
    const word = load<u32>(SCRATCH_AT);
    const length = word & WORD_LENGTH;
    const unpacked = <u32>min<u64>(blockBytes, left);
    left -= unpacked;
    if (length == 0) continue;
    if (word > (WORD_UNCOMPRESSED | WORD_LENGTH) || length > blockBytes) return STATUS_SQUASHFS_BLOCK_WORD;
    const isInside = place >= dataStart && place < inodeTable && length <= inodeTable - place;
    if (!isInside) return STATUS_SQUASHFS_BLOCK_OUTSIDE;
    if ((word & WORD_UNCOMPRESSED) == 0) status = add(DATA, place, length, unpacked);
    if (status != STATUS_OK) return status;
    place += length;
  }
  return STATUS_OK;
}

/** Moves behind the index of a directory. */
function passIndex(): i32 {
  if (inode.type != TYPE_DIRECTORY) return STATUS_OK;
  for (let left = inode.indexes; left > 0; left--) {
    let status = readStream(table, SCRATCH_AT, 12);
    if (status != STATUS_OK) return status;
    const length = <u64>load<u32>(SCRATCH_AT, 8) + 1;
    if (length > 256) return STATUS_SQUASHFS_DIRECTORY_INDEX;
    status = readStream(table, 0, length);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

function findFragments(): i32 {
  for (let index: u32 = 0; index < fragmentCount; index++) {
    let status = findFragment(index);
    if (status != STATUS_OK) return status;
    if ((fragmentWord & WORD_UNCOMPRESSED) != 0) continue;
    const place = fragmentStart;
    const length = fragmentWord & WORD_LENGTH;
    status = loadFragment(index);
    if (status == STATUS_OK) status = add(DATA, place, length, keptLength);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

/** The rows of metadata blocks, each up to the list of its places. */
function findTables(): i32 {
  let status = STATUS_OK;
  if (hasOptions) status = findRow(SUPERBLOCK_BYTES, dataStart);
  if (status == STATUS_OK) status = findRow(inodeTable, directoryTable);
  if (status == STATUS_OK) status = findRow(directoryTable, directoryEnd);
  let end = directoryEnd;
  if (status == STATUS_OK && fragmentCount > 0) {
    status = findRow(end, fragmentTable);
    end = pointersEnd(fragmentTable, fragmentBytes());
  }
  if (status == STATUS_OK && exportTable != NO_TABLE) {
    status = findRow(end, exportTable);
    end = pointersEnd(exportTable, exportBytes());
  }
  if (status == STATUS_OK) status = findRow(end, idTable);
  end = pointersEnd(idTable, idBytes());
  if (status == STATUS_OK && xattrTable != NO_TABLE) status = findRow(end, xattrTable);
  return status;
}

/** The metadata blocks from `from` up to `to`. What follows the last one that fits is no metadata. */
function findRow(from: u64, to: u64): i32 {
  let place = from;
  while (place < to) {
    let status = loadMetadata(place, to);
    if (status != STATUS_OK) return status;
    status = add(METADATA, place, <u32>(metadataNext - place), metadataLength);
    if (status != STATUS_OK) return status;
    place = metadataNext;
  }
  return STATUS_OK;
}

function pieceAt(index: u32): usize {
  return PIECES_AT + index * PIECE_BYTES;
}

function placeOf(index: u32): u64 {
  return load<u64>(pieceAt(index)) & PLACE;
}

function swap(first: u32, second: u32): void {
  const a = load<v128>(pieceAt(first));
  store<v128>(pieceAt(first), load<v128>(pieceAt(second)));
  store<v128>(pieceAt(second), a);
}

/** By place: heapsort, which needs no memory and has no bad case. */
function sort(): void {
  for (let root = pieces / 2; root > 0; root--) sink(root - 1, pieces);
  for (let end = pieces; end > 1; end--) {
    swap(0, end - 1);
    sink(0, end - 1);
  }
}

function sink(start: u32, end: u32): void {
  let root: u32 = start;
  let child: u32 = 2 * root + 1;
  while (child < end) {
    if (child + 1 < end && placeOf(child) < placeOf(child + 1)) child++;
    if (placeOf(root) >= placeOf(child)) return;
    swap(root, child);
    root = child;
    child = 2 * root + 1;
  }
}

/** A block of several files stays once; blocks that overlap otherwise are refused. */
function dropRepeats(): i32 {
  let kept: u32 = 0;
  let end: u64 = 0;
  for (let index: u32 = 0; index < pieces; index++) {
    const piece = load<v128>(pieceAt(index));
    const place = placeOf(index);
    if (kept > 0 && v128.all_true<u8>(v128.eq<u8>(piece, load<v128>(pieceAt(kept - 1))))) continue;
    if (place < end) return STATUS_DELTA_PIECES;
    end = place + load<u32>(pieceAt(index), 8);
    store<v128>(pieceAt(kept), piece);
    kept++;
  }
  pieces = kept;
  return end <= bytesUsed ? STATUS_OK : STATUS_DELTA_PIECES;
}
