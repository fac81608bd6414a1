// SquashFS 4.0 with zstd: reader and verifier. Every call that can be refused returns a status; `faultPlace` and
// `faultInodeNumber` then say where. No call allocates or throws; after a refusal every other call still works.
//
// The caller opens an image first. Records (inode, listing) stay as they are until the next call that fills them; the
// caller may copy a listing away and back to go on with it later.
import { clearMetadata } from './squashfs-metadata';
import { beginWork, faultAt, faultInode } from './squashfs-host';
import {
  blocksChecked,
  bytesChecked,
  hasBlock,
  loadTail,
  measureFile,
  nextBlock,
  openFile,
  pieceAt,
  pieceLength,
  storedBytes,
} from './squashfs-data';
import { hasEntry, Listing, LISTING_BYTES, nextEntry, openListing } from './squashfs-directory';
import { Inode, readInode, TYPE_FILE } from './squashfs-inode';
import {
  ATTRIBUTE_NAME_AT,
  ATTRIBUTE_VALUE_AT,
  INODE_AT,
  LISTING_AT,
  MEMORY_END,
  SUPERBLOCK_AT,
  TARGET_AT,
} from './squashfs-memory';
import {
  directoryEnd,
  directoryTable,
  exportTable,
  fragmentCount,
  fragmentTable,
  idTable,
  inodeTable,
  readSuperblock,
  rootReference,
  bytesUsed,
} from './squashfs-superblock';
import { clearTables, dataStart, findFragment, fragmentStart, fragmentWord, readIds, readOptions, WORD_LENGTH } from './squashfs-tables';
import {
  checkImage,
  directoriesFound,
  filesFound,
  othersFound,
  symlinksFound,
} from './squashfs-verify';
import {
  attributeNameLength,
  attributesLeft,
  attributeType,
  attributeValueLength,
  nextAttribute,
  openList,
  readXattrTable,
} from './squashfs-xattr';
import { STATUS_OK, STATUS_WRONG_STATE } from './status';

const inode = changetype<Inode>(INODE_AT);
const listing = changetype<Listing>(LISTING_AT);
let isOpen: bool = false;
let hasTail: bool = false;

/** Opens an image of `size` bytes: superblock, compressor options, ids, header of the attributes. */
export function open(size: u64, work: u64): i32 {
  isOpen = false;
  beginWork(work);
  clearMetadata();
  clearTables();
  let status = readSuperblock(size);
  if (status == STATUS_OK) status = readOptions();
  if (status == STATUS_OK) status = readIds();
  if (status == STATUS_OK) status = readXattrTable();
  isOpen = status == STATUS_OK;
  return status;
}

/** Begins a job of the caller that may read and decode `bytes` bytes in all. */
export function begin(bytes: u64): i32 {
  beginWork(bytes);
  return isOpen ? STATUS_OK : STATUS_WRONG_STATE;
}

/** Verifies the open image. */
export function verify(): i32 {
  return isOpen ? checkImage() : STATUS_WRONG_STATE;
}

/** Fills the inode record (and the target of a link). */
export function readInodeAt(reference: u64): i32 {
  return isOpen ? readInode(inode, reference) : STATUS_WRONG_STATE;
}

/** Opens the listing of the directory in the inode record. */
export function openDirectory(): i32 {
  return isOpen ? openListing(listing, inode) : STATUS_WRONG_STATE;
}

/** Whether the listing has another entry. */
export function hasDirectoryEntry(): bool {
  return hasEntry(listing);
}

/** Fills the listing record with its next entry. */
export function nextDirectoryEntry(): i32 {
  return isOpen && hasEntry(listing) ? nextEntry(listing) : STATUS_WRONG_STATE;
}

/** Begins to read the file in the inode record. */
export function openContent(): i32 {
  if (!isOpen || inode.type != TYPE_FILE) return STATUS_WRONG_STATE;
  openFile(inode);
  hasTail = inode.tail > 0;
  return STATUS_OK;
}

/** Whether the file has another piece. */
export function hasPiece(): bool {
  return hasBlock() || hasTail;
}

/** Decodes the next piece of the file in the inode record: `piecePointer`, `pieceBytes`. */
export function nextPiece(): i32 {
  if (!isOpen || !hasPiece()) return STATUS_WRONG_STATE;
  if (hasBlock()) return nextBlock(true);
  hasTail = false;
  return loadTail(inode);
}

/** Opens a list of attributes. */
export function openAttributes(index: u32): i32 {
  return isOpen ? openList(index) : STATUS_WRONG_STATE;
}

/** Reads the next attribute. */
export function nextAttributeOfList(): i32 {
  return isOpen ? nextAttribute(true) : STATUS_WRONG_STATE;
}

/** Adds up what the blocks of the file in the inode record take in the image: `fileBytesStored`. */
export function measureContent(): i32 {
  return isOpen && inode.type == TYPE_FILE ? measureFile(inode) : STATUS_WRONG_STATE;
}

export function fileBytesStored(): u64 {
  return storedBytes;
}

/** Finds a fragment block: `fragmentPlace`, `fragmentBytesStored`. */
export function findFragmentBlock(index: u32): i32 {
  return isOpen ? findFragment(index) : STATUS_WRONG_STATE;
}

export function fragmentPlace(): u64 {
  return fragmentStart;
}
export function fragmentBytesStored(): u32 {
  return fragmentWord & WORD_LENGTH;
}
export function fragmentBlocks(): u32 {
  return fragmentCount;
}

/** Ends of options, data, inodes, directories and everything in the open image. */
export function partEnd(part: u32): u64 {
  if (part == 0) return dataStart;
  if (part == 1) return inodeTable;
  if (part == 2) return directoryTable;
  if (part == 3) return directoryEnd;
  return bytesUsed;
}

export function fragmentPointers(): u64 {
  return fragmentTable;
}
export function exportPointers(): u64 {
  return exportTable;
}
export function idPointers(): u64 {
  return idTable;
}
export function root(): u64 {
  return rootReference;
}

export function superblockPointer(): usize {
  return SUPERBLOCK_AT;
}
export function inodePointer(): usize {
  return INODE_AT;
}
export function targetPointer(): usize {
  return TARGET_AT;
}
export function listingPointer(): usize {
  return LISTING_AT;
}
export function listingBytes(): u32 {
  return LISTING_BYTES;
}
export function piecePointer(): usize {
  return pieceAt;
}
export function pieceBytes(): u32 {
  return pieceLength;
}
export function attributeNamePointer(): usize {
  return ATTRIBUTE_NAME_AT;
}
export function attributeNameBytes(): u32 {
  return attributeNameLength;
}
export function attributeValuePointer(): usize {
  return ATTRIBUTE_VALUE_AT;
}
export function attributeValueBytes(): u32 {
  return attributeValueLength;
}
export function attributePrefix(): u32 {
  return attributeType;
}
export function attributesToRead(): u32 {
  return attributesLeft;
}

export function faultPlace(): u64 {
  return faultAt;
}
export function faultInodeNumber(): u32 {
  return faultInode;
}
export function filesChecked(): u32 {
  return filesFound;
}
export function directoriesChecked(): u32 {
  return directoriesFound;
}
export function symlinksChecked(): u32 {
  return symlinksFound;
}
export function othersChecked(): u32 {
  return othersFound;
}
export function blocksDecoded(): u64 {
  return blocksChecked;
}
export function bytesDecoded(): u64 {
  return bytesChecked;
}
/** End of the memory that the module uses. */
export function memoryEnd(): usize {
  return MEMORY_END;
}
