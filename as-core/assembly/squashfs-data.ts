// Data of files: blocks in a row from the file's start, their sizes as words in the inode's list (0: a hole), then the
// tail in a fragment block.
import { decode, notePlace, readImage, spend } from './squashfs-host';
import { Inode } from './squashfs-inode';
import { CONTENT_AT, FRAGMENT_AT, FRAGMENT_LENGTHS_AT, RAW_AT, WINDOW_AT } from './squashfs-memory';
import { readStream, resumeStream, Stream } from './squashfs-metadata';
import { blockBytes, fragmentCount, inodeTable } from './squashfs-superblock';
import {
  dataStart,
  keptLength,
  loadFragment,
  WORD_LENGTH,
  WORD_UNCOMPRESSED,
} from './squashfs-tables';
import {
  STATUS_OK,
  STATUS_SQUASHFS_BLOCK_LENGTH,
  STATUS_SQUASHFS_BLOCK_OUTSIDE,
  STATUS_SQUASHFS_BLOCK_TOO_LONG,
  STATUS_SQUASHFS_BLOCK_UNREADABLE,
  STATUS_SQUASHFS_BLOCK_WORD,
  STATUS_SQUASHFS_FRAGMENT_RANGE,
  STATUS_SQUASHFS_SPARSE_BYTES,
  STATUS_ZSTD_CONTENT_TOO_LARGE,
} from './status';

/** Reading of one file. */
const words = changetype<Stream>(memory.data(24, 8));
let blocksLeft: u64 = 0;
let bytesLeft: u64 = 0;
let place: u64 = 0;
let holeBytes: u64 = 0;

/** Where the piece is that `nextPiece` gave. */
export let pieceAt: usize = 0;
/** Its length. */
export let pieceLength: u32 = 0;

/** Data blocks and bytes that were checked. */
export let blocksChecked: u64 = 0;
export let bytesChecked: u64 = 0;

/** Begins to count anew. */
export function clearChecked(): void {
  blocksChecked = 0;
  bytesChecked = 0;
}

/** Begins to read a file. */
export function openFile(inode: Inode): void {
  resumeStream(words, inode.listBlock, inode.listEnd, inode.listOffset);
  blocksLeft = inode.blocks;
  bytesLeft = inode.size;
  place = inode.start;
  holeBytes = 0;
}

/** Whether a block is left. */
export function hasBlock(): bool {
  return blocksLeft > 0;
}

/** Takes the next word of the list: `place` is where its block begins, `word` and `expected` come back. */
let word: u32 = 0;
let expected: u32 = 0;
function nextWord(): i32 {
  blocksLeft--;
  expected = <u32>min<u64>(blockBytes, bytesLeft);
  bytesLeft -= expected;
  let status = spend(64);
  if (status != STATUS_OK) return status;
  status = readStream(words, WINDOW_AT, 4);
  if (status != STATUS_OK) return status;
  word = load<u32>(WINDOW_AT);
  const length = word & WORD_LENGTH;
  if (word > (WORD_UNCOMPRESSED | WORD_LENGTH) || length > blockBytes) return STATUS_SQUASHFS_BLOCK_WORD;
  notePlace(place);
  if (length == 0) {
    holeBytes += expected;
    return word == 0 ? STATUS_OK : STATUS_SQUASHFS_BLOCK_WORD;
  }
  const isInside = place >= dataStart && place < inodeTable && length <= inodeTable - place;
  return isInside ? STATUS_OK : STATUS_SQUASHFS_BLOCK_OUTSIDE;
}

/** Decodes the next block to CONTENT_AT; a hole is zeros there if `withHoles`, else nothing. */
export function nextBlock(withHoles: bool): i32 {
  let status = nextWord();
  if (status != STATUS_OK) return status;
  pieceAt = CONTENT_AT;
  pieceLength = expected;
  const length = word & WORD_LENGTH;
  if (length == 0) {
    if (withHoles) {
      status = spend(expected);
      if (status == STATUS_OK) memory.fill(CONTENT_AT, 0, expected);
    }
    return status;
  }
  status = spend(blockBytes);
  if (status != STATUS_OK) return status;
  const isPlain = (word & WORD_UNCOMPRESSED) != 0;
  if (isPlain && length != expected) return STATUS_SQUASHFS_BLOCK_LENGTH;
  status = readImage(place, isPlain ? CONTENT_AT : RAW_AT, length);
  if (status != STATUS_OK) return status;
  place += length;
  if (isPlain) return STATUS_OK;
  const answer = decode(RAW_AT, length, CONTENT_AT, blockBytes);
  if (answer == -STATUS_ZSTD_CONTENT_TOO_LARGE) return STATUS_SQUASHFS_BLOCK_TOO_LONG;
  if (answer < 0) return STATUS_SQUASHFS_BLOCK_UNREADABLE;
  return <u32>answer == expected ? STATUS_OK : STATUS_SQUASHFS_BLOCK_LENGTH;
}

/** Finds the tail of a file, which has one. */
export function loadTail(inode: Inode): i32 {
  const status = loadFragment(inode.fragment);
  if (status != STATUS_OK) return status;
  const isInside =
    inode.fragmentOffset <= keptLength && inode.tail <= keptLength - inode.fragmentOffset;
  if (!isInside) return STATUS_SQUASHFS_FRAGMENT_RANGE;
  pieceAt = FRAGMENT_AT + inode.fragmentOffset;
  pieceLength = inode.tail;
  return STATUS_OK;
}

/** Checks all the data of a file; the lengths of the fragment blocks are known. */
export function checkFile(inode: Inode): i32 {
  openFile(inode);
  while (hasBlock()) {
    const status = nextBlock(false);
    if (status != STATUS_OK) return status;
    blocksChecked++;
    bytesChecked += pieceLength;
  }
  if (inode.sparse > holeBytes) return STATUS_SQUASHFS_SPARSE_BYTES;
  if (inode.tail == 0) return STATUS_OK;
  bytesChecked += inode.tail;
  const length = load<u32>(FRAGMENT_LENGTHS_AT + inode.fragment * 4);
  const isInside = inode.fragmentOffset <= length && inode.tail <= length - inode.fragmentOffset;
  return isInside ? STATUS_OK : STATUS_SQUASHFS_FRAGMENT_RANGE;
}

/** Decodes every fragment block and remembers how long it is. */
export function checkFragments(): i32 {
  for (let index: u32 = 0; index < fragmentCount; index++) {
    const status = loadFragment(index);
    if (status != STATUS_OK) return status;
    store<u32>(FRAGMENT_LENGTHS_AT + index * 4, keptLength);
    blocksChecked++;
  }
  return STATUS_OK;
}

/** Bytes that the blocks of a file take in the image, one after another from its start. */
export let storedBytes: u64 = 0;

/** Adds up `storedBytes`. */
export function measureFile(inode: Inode): i32 {
  openFile(inode);
  storedBytes = 0;
  while (hasBlock()) {
    const status = nextWord();
    if (status != STATUS_OK) return status;
    const length = word & WORD_LENGTH;
    place += length;
    storedBytes += length;
  }
  return STATUS_OK;
}
