// Verifies a whole image in bounded memory, without recursion:
//
//   layout       every byte behind the data belongs to one table, blocks follow each other, padding is zero
//   fragments    every fragment block decodes; its length is kept
//   attributes   every list can be read
//   inodes       the inode table from its start to its end: place, type and links of each number; data of each file
//   directories  the table a second time: every listing, and that each entry leads to the inode that it names
//   parents      from each directory up to the root: no loops, no islands, not too deep
//   links        every inode was reached as often as it says; the export table names the same places
import { checkFile, checkFragments, clearChecked } from './squashfs-data';
import { noteInode, notePlace, spend } from './squashfs-host';
import { hasEntry, Listing, nextEntry, openListing } from './squashfs-directory';
import { Inode, readInode, readNext, TYPE_DIRECTORY, TYPE_FILE, TYPE_SYMLINK } from './squashfs-inode';
import {
  INODE_AT,
  INODES_MAX,
  LINKS_AT,
  LISTING_AT,
  METADATA_BYTES,
  NO_TABLE,
  OTHER_INODE_AT,
  REFERENCE_BLOCKS_AT,
  REFERENCE_OFFSETS_AT,
} from './squashfs-memory';
import {
  checkRow,
  isAtEnd,
  metadataAt,
  openStream,
  readStream,
  rowBytes,
  Stream,
} from './squashfs-metadata';
import {
  bytesUsed,
  directoryEnd,
  directoryTable,
  exportBytes,
  exportTable,
  fragmentBytes,
  fragmentCount,
  fragmentTable,
  idBytes,
  idTable,
  inodeCount,
  inodeTable,
  pointersEnd,
  rootReference,
  xattrTable,
} from './squashfs-superblock';
import { checkPadding, checkTable, loadTableBlock } from './squashfs-tables';
import { checkXattrs } from './squashfs-xattr';
import {
  STATUS_OK,
  STATUS_SQUASHFS_DIRECTORY_INDEX,
  STATUS_SQUASHFS_DIRECTORY_LOOP,
  STATUS_SQUASHFS_DIRECTORY_PARENT,
  STATUS_SQUASHFS_DIRECTORY_TOO_DEEP,
  STATUS_SQUASHFS_DIRECTORY_UNLISTED,
  STATUS_SQUASHFS_ENTRY_TYPE,
  STATUS_SQUASHFS_EXPORT_ENTRY,
  STATUS_SQUASHFS_INODE_COUNT_WRONG,
  STATUS_SQUASHFS_INODE_NUMBER_TWICE,
  STATUS_SQUASHFS_INODE_REFERENCE,
  STATUS_SQUASHFS_LINK_COUNT,
  STATUS_SQUASHFS_ROOT_INODE,
  STATUS_SQUASHFS_TABLE_GAP,
  STATUS_SQUASHFS_TABLE_ORDER,
} from './status';

/** Deepest directory. */
export const DEPTH_MAX: u32 = 2048;
const LINKS_MAX: u32 = 65535;
const TYPE_SHIFT: u32 = 13;
const OFFSET_BITS: u32 = (1 << TYPE_SHIFT) - 1;

const inode = changetype<Inode>(INODE_AT);
const other = changetype<Inode>(OTHER_INODE_AT);
const listing = changetype<Listing>(LISTING_AT);
const table = changetype<Stream>(memory.data(24, 8));

/** What was found: inodes by kind. */
export let filesFound: u32 = 0;
export let directoriesFound: u32 = 0;
export let symlinksFound: u32 = 0;
export let othersFound: u32 = 0;

let rootNumber: u32 = 0;
// Bytes of the directory table that are in no listing yet.
let unlistedBytes: u64 = 0;

/** Verifies the image whose superblock, ids and attribute header were read. */
export function checkImage(): i32 {
  clearChecked();
  filesFound = directoriesFound = symlinksFound = othersFound = 0;
  let status = checkLayout();
  if (status == STATUS_OK) status = checkFragments();
  if (status == STATUS_OK) status = checkInodes();
  if (status == STATUS_OK) status = checkRoot();
  if (status == STATUS_OK) status = checkDirectories();
  if (status == STATUS_OK) status = checkParents();
  if (status == STATUS_OK) status = checkLinks();
  return status == STATUS_OK ? checkExport() : status;
}

function checkLayout(): i32 {
  let status = checkPadding();
  if (status == STATUS_OK) status = checkRow(directoryTable, directoryEnd);
  unlistedBytes = rowBytes;
  let from = directoryEnd;
  if (status == STATUS_OK && fragmentCount > 0) {
    status = checkTable(fragmentTable, fragmentBytes(), from, fragmentTable);
    from = pointersEnd(fragmentTable, fragmentBytes());
  } else if (fragmentTable != NO_TABLE && fragmentTable != from) {
    // mksquashfs says where the table would have been.
    if (status == STATUS_OK) status = STATUS_SQUASHFS_TABLE_ORDER;
  }
  if (status == STATUS_OK && exportTable != NO_TABLE) {
    status = checkTable(exportTable, exportBytes(), from, exportTable);
    from = pointersEnd(exportTable, exportBytes());
  }
  if (status == STATUS_OK) status = checkTable(idTable, idBytes(), from, idTable);
  if (status != STATUS_OK) return status;
  from = pointersEnd(idTable, idBytes());
  if (xattrTable != NO_TABLE) return checkXattrs(from);
  notePlace(from);
  return from == bytesUsed ? STATUS_OK : STATUS_SQUASHFS_TABLE_GAP;
}

/** Reads the whole inode table, and the data of its files. */
function checkInodes(): i32 {
  memory.fill(REFERENCE_OFFSETS_AT, 0, INODES_MAX * 2);
  let status = openStream(table, inodeTable, directoryTable, 0);
  if (status != STATUS_OK) return status;
  let count: u32 = 0;
  let answer = isAtEnd(table);
  while (answer == 0) {
    if (count == inodeCount) return STATUS_SQUASHFS_INODE_COUNT_WRONG;
    status = readNext(inode, table);
    if (status == STATUS_OK) status = keepInode();
    if (status == STATUS_OK) status = passList();
    if (status == STATUS_OK && inode.type == TYPE_FILE) status = checkFile(inode);
    if (status != STATUS_OK) return status;
    countInode();
    count++;
    answer = isAtEnd(table);
  }
  if (answer < 0) return -answer;
  return count == inodeCount ? STATUS_OK : STATUS_SQUASHFS_INODE_COUNT_WRONG;
}

function keepInode(): i32 {
  const at = inode.number - 1;
  if (load<u16>(REFERENCE_OFFSETS_AT + at * 2) != 0) return STATUS_SQUASHFS_INODE_NUMBER_TWICE;
  if (inode.type != TYPE_DIRECTORY && inode.links > LINKS_MAX) return STATUS_SQUASHFS_LINK_COUNT;
  store<u32>(REFERENCE_BLOCKS_AT + at * 4, <u32>(inode.reference >> 16));
  const offset = <u32>(inode.reference & OFFSET_BITS);
  store<u16>(REFERENCE_OFFSETS_AT + at * 2, <u16>(offset | (inode.type << TYPE_SHIFT)));
  // A directory lies in one directory; its own count is of those in it.
  store<u16>(LINKS_AT + at * 2, inode.type == TYPE_DIRECTORY ? 1 : <u16>inode.links);
  return STATUS_OK;
}

/** Moves the table's stream behind the list of the inode. */
function passList(): i32 {
  if (inode.type == TYPE_FILE) return readStream(table, 0, inode.blocks * 4);
  if (inode.type != TYPE_DIRECTORY) return STATUS_OK;
  for (let left = inode.indexes; left > 0; left--) {
    let status = readStream(table, OTHER_INODE_AT, 12);
    if (status != STATUS_OK) return status;
    const length = <u64>load<u32>(OTHER_INODE_AT, 8) + 1;
    if (length > METADATA_BYTES) return STATUS_SQUASHFS_DIRECTORY_INDEX;
    status = readStream(table, 0, length);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

function countInode(): void {
  if (inode.type == TYPE_FILE) filesFound++;
  else if (inode.type == TYPE_DIRECTORY) directoriesFound++;
  else if (inode.type == TYPE_SYMLINK) symlinksFound++;
  else othersFound++;
}

/** The kept reference of a number that the table has. */
function referenceOf(number: u32): u64 {
  const at = number - 1;
  const block = <u64>load<u32>(REFERENCE_BLOCKS_AT + at * 4);
  return (block << 16) | <u64>(<u32>load<u16>(REFERENCE_OFFSETS_AT + at * 2) & OFFSET_BITS);
}

function typeOf(number: u32): u32 {
  return <u32>load<u16>(REFERENCE_OFFSETS_AT + (number - 1) * 2) >> TYPE_SHIFT;
}

function isNumber(number: u32): bool {
  return number > 0 && number <= inodeCount;
}

function checkRoot(): i32 {
  notePlace(0);
  const status = readInode(inode, rootReference);
  if (status != STATUS_OK) return status;
  if (referenceOf(inode.number) != rootReference) return STATUS_SQUASHFS_INODE_REFERENCE;
  if (inode.type != TYPE_DIRECTORY) return STATUS_SQUASHFS_ROOT_INODE;
  rootNumber = inode.number;
  // No entry leads to the root.
  store<u16>(LINKS_AT + (rootNumber - 1) * 2, 0);
  return STATUS_OK;
}

function checkDirectories(): i32 {
  for (let number: u32 = 1; number <= inodeCount; number++) {
    if (typeOf(number) != TYPE_DIRECTORY) continue;
    let status = readInode(inode, referenceOf(number));
    if (status == STATUS_OK) status = openListing(listing, inode);
    if (status == STATUS_OK) status = checkListing();
    if (status != STATUS_OK) return status;
    // Listings cannot overlap: their entries would be counted twice as links.
    unlistedBytes -= min<u64>(inode.size, unlistedBytes);
  }
  noteInode(0);
  notePlace(directoryTable);
  return unlistedBytes == 0 ? STATUS_OK : STATUS_SQUASHFS_DIRECTORY_UNLISTED;
}

function checkListing(): i32 {
  let entries: u32 = 0;
  let directories: u32 = 0;
  while (hasEntry(listing)) {
    let status = nextEntry(listing);
    if (status == STATUS_OK) status = checkEntry();
    if (status != STATUS_OK) return status;
    noteInode(inode.number);
    entries++;
    if (listing.type == TYPE_DIRECTORY) directories++;
  }
  if (listing.indexesLeft > 0) return STATUS_SQUASHFS_DIRECTORY_INDEX;
  // mksquashfs counts the directories in a directory, squashfs-tools-ng everything.
  const isCounted = inode.links == directories + 2 || inode.links == entries + 2;
  return isCounted ? STATUS_OK : STATUS_SQUASHFS_LINK_COUNT;
}

function checkEntry(): i32 {
  const number = listing.number;
  if (!isNumber(number) || referenceOf(number) != listing.reference) {
    return STATUS_SQUASHFS_INODE_REFERENCE;
  }
  if (typeOf(number) != listing.type) return STATUS_SQUASHFS_ENTRY_TYPE;
  noteInode(number);
  if (number == rootNumber) return STATUS_SQUASHFS_DIRECTORY_LOOP;
  const links = load<u16>(LINKS_AT + (number - 1) * 2);
  if (links == 0) return STATUS_SQUASHFS_LINK_COUNT;
  store<u16>(LINKS_AT + (number - 1) * 2, links - 1);
  if (listing.type != TYPE_DIRECTORY) return STATUS_OK;
  const status = readInode(other, listing.reference);
  if (status != STATUS_OK) return status;
  return other.parent == inode.number ? STATUS_OK : STATUS_SQUASHFS_DIRECTORY_PARENT;
}

/** Every directory has exactly one entry and names its parent: what is left are loops apart from the root. */
function checkParents(): i32 {
  for (let number: u32 = 1; number <= inodeCount; number++) {
    if (typeOf(number) != TYPE_DIRECTORY) continue;
    noteInode(number);
    if (load<u16>(LINKS_AT + (number - 1) * 2) != 0) return STATUS_SQUASHFS_LINK_COUNT;
  }
  // From here on the links of a directory hold its depth plus one, 0 when that is not known yet.
  store<u16>(LINKS_AT + (rootNumber - 1) * 2, 1);
  for (let number: u32 = 1; number <= inodeCount; number++) {
    if (typeOf(number) != TYPE_DIRECTORY) continue;
    const status = findDepth(number);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

/** Goes up to a directory whose depth is known, then the same way again to write the depths down. */
function findDepth(start: u32): i32 {
  let steps: u32 = 0;
  let number = start;
  while (load<u16>(LINKS_AT + (number - 1) * 2) == 0) {
    if (++steps > DEPTH_MAX) return isLoop(start) ? STATUS_SQUASHFS_DIRECTORY_LOOP : STATUS_SQUASHFS_DIRECTORY_TOO_DEEP;
    const status = readInode(inode, referenceOf(number));
    if (status != STATUS_OK) return status;
    number = inode.parent;
  }
  let depth = <u32>load<u16>(LINKS_AT + (number - 1) * 2) + steps;
  noteInode(start);
  if (depth > DEPTH_MAX + 1) return STATUS_SQUASHFS_DIRECTORY_TOO_DEEP;
  for (number = start; load<u16>(LINKS_AT + (number - 1) * 2) == 0; depth--) {
    store<u16>(LINKS_AT + (number - 1) * 2, <u16>depth);
    const status = readInode(inode, referenceOf(number));
    if (status != STATUS_OK) return status;
    number = inode.parent;
  }
  return STATUS_OK;
}

/** Whether the way up never ends: after as many steps as there are inodes. */
function isLoop(start: u32): bool {
  let number = start;
  for (let steps: u32 = 0; steps <= inodeCount; steps++) {
    if (number == rootNumber) return false;
    if (spend(64) != STATUS_OK || readInode(other, referenceOf(number)) != STATUS_OK) return true;
    number = other.parent;
  }
  noteInode(start);
  return true;
}

function checkLinks(): i32 {
  for (let number: u32 = 1; number <= inodeCount; number++) {
    if (typeOf(number) == TYPE_DIRECTORY) continue;
    noteInode(number);
    if (load<u16>(LINKS_AT + (number - 1) * 2) != 0) return STATUS_SQUASHFS_LINK_COUNT;
  }
  noteInode(0);
  return STATUS_OK;
}

function checkExport(): i32 {
  if (exportTable == NO_TABLE) return STATUS_OK;
  const each = METADATA_BYTES / 8;
  for (let number: u32 = 1; number <= inodeCount; number++) {
    const at = number - 1;
    const status = loadTableBlock(exportTable, exportBytes(), at / each);
    if (status != STATUS_OK) return status;
    if (load<u64>(metadataAt + (at % each) * 8) != referenceOf(number)) {
      noteInode(number);
      return STATUS_SQUASHFS_EXPORT_ENTRY;
    }
  }
  return STATUS_OK;
}
