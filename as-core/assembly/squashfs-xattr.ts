// Extended attributes. The superblock points to a header (place of the lists u64, count u32, unused u32) with the
// pointers to the id table behind it; an id is (reference of a list u64, attributes u32, size u32); a list is a row of
// (type u16, name length u16, name, value length u32, value). A value may lie elsewhere: type bit 8, and in place of
// the value a reference to (length u32, value).
import { notePlace, readImage, spend } from './squashfs-host';
import {
  ATTRIBUTE_NAME_AT,
  ATTRIBUTE_VALUE_AT,
  INODES_MAX,
  METADATA_BYTES,
  NO_TABLE,
  SCRATCH_AT,
  VALUE_BYTES_MAX,
} from './squashfs-memory';
import { checkRow, metadataAt, openStream, readStream, Stream } from './squashfs-metadata';
import { bytesUsed, directoryTable, pointersEnd, xattrTable } from './squashfs-superblock';
import { checkTable, loadTableBlock } from './squashfs-tables';
import {
  STATUS_OK,
  STATUS_SQUASHFS_TABLE_GAP,
  STATUS_SQUASHFS_XATTR_COUNT,
  STATUS_SQUASHFS_XATTR_NAME,
  STATUS_SQUASHFS_XATTR_REFERENCE,
  STATUS_SQUASHFS_XATTR_SIZE,
  STATUS_SQUASHFS_XATTR_TABLE,
  STATUS_SQUASHFS_XATTR_TYPE,
  STATUS_SQUASHFS_XATTR_VALUE,
} from './status';

const HEADER_BYTES: u64 = 16;
const ID_BYTES: u64 = 16;
const TYPE_ELSEWHERE: u32 = 0x100;
const TYPE_SECURITY: u32 = 2;
const NAME_BYTES_MAX: u32 = 255;
const REFERENCE_BYTES: u32 = 8;
// listxattr gives at most 64 KiB of names to a program (XATTR_LIST_MAX), each of 7 bytes at least.
const ATTRIBUTES_MAX: u32 = 9362;
const LIST_BYTES_MAX: u64 = 1 << 20;

/** Lists of attributes; 0 without a table. */
export let xattrCount: u32 = 0;
let listsStart: u64 = 0;
let listsEnd: u64 = 0;

/** Attributes of the open list that were not read yet. */
export let attributesLeft: u32 = 0;
/** Type of the attribute that was read last: 0 user, 1 trusted, 2 security. */
export let attributeType: u32 = 0;
/** Bytes of its name, without prefix. */
export let attributeNameLength: u32 = 0;
/** Bytes of its value. */
export let attributeValueLength: u32 = 0;

let listSize: u32 = 0;
let listRead: u64 = 0;
let listStored: u64 = 0;
const list = changetype<Stream>(memory.data(24, 8));
const elsewhere = changetype<Stream>(memory.data(24, 8));

function idsTable(): u64 {
  return xattrTable + HEADER_BYTES;
}

function idsBytes(): u64 {
  return <u64>xattrCount * ID_BYTES;
}

/** Reads the header of the table, if there is a table. */
export function readXattrTable(): i32 {
  xattrCount = 0;
  if (xattrTable == NO_TABLE) return STATUS_OK;
  notePlace(xattrTable);
  if (bytesUsed - xattrTable < HEADER_BYTES + 8) return STATUS_SQUASHFS_XATTR_TABLE;
  const status = readImage(xattrTable, SCRATCH_AT, <u32>HEADER_BYTES + 8);
  if (status != STATUS_OK) return status;
  listsStart = load<u64>(SCRATCH_AT);
  const count = load<u32>(SCRATCH_AT, 8);
  const unused = load<u32>(SCRATCH_AT, 12);
  // The lists end where the ids begin.
  listsEnd = load<u64>(SCRATCH_AT, 16);
  if (count == 0 || count > INODES_MAX) return STATUS_SQUASHFS_XATTR_COUNT;
  if (unused != 0) return STATUS_SQUASHFS_XATTR_TABLE;
  if (listsStart < directoryTable || listsStart >= listsEnd || listsEnd >= xattrTable) {
    return STATUS_SQUASHFS_XATTR_TABLE;
  }
  xattrCount = count;
  const isWhole = pointersEnd(idsTable(), idsBytes()) <= bytesUsed;
  return isWhole ? STATUS_OK : STATUS_SQUASHFS_XATTR_COUNT;
}

/** Opens the list with an index below `xattrCount`. */
export function openList(index: u32): i32 {
  attributesLeft = 0;
  const at = <u64>index * ID_BYTES;
  if (index >= xattrCount) return STATUS_SQUASHFS_XATTR_REFERENCE;
  const status = loadTableBlock(idsTable(), idsBytes(), at / METADATA_BYTES);
  if (status != STATUS_OK) return status;
  const id = metadataAt + <usize>(at % METADATA_BYTES);
  const reference = load<u64>(id);
  const count = load<u32>(id, 8);
  listSize = load<u32>(id, 12);
  listRead = 0;
  listStored = 0;
  if (count == 0 || count > ATTRIBUTES_MAX) return STATUS_SQUASHFS_XATTR_COUNT;
  if (!openAt(list, reference)) return STATUS_SQUASHFS_XATTR_REFERENCE;
  attributesLeft = count;
  return STATUS_OK;
}

function openAt(stream: Stream, reference: u64): bool {
  const block = reference >> 16;
  if (block >= listsEnd - listsStart) return false;
  return openStream(stream, listsStart + block, listsEnd, <u32>(reference & 0xffff)) == STATUS_OK;
}

/** Reads the next attribute of the open list, of which at least one must be left; its value too if `withValue`. */
export function nextAttribute(withValue: bool): i32 {
  if (attributesLeft == 0) return STATUS_SQUASHFS_XATTR_COUNT;
  attributesLeft--;
  let status = spend(64);
  if (status != STATUS_OK) return status;
  status = readStream(list, SCRATCH_AT, 4);
  if (status != STATUS_OK) return status;
  const type = <u32>load<u16>(SCRATCH_AT);
  attributeNameLength = load<u16>(SCRATCH_AT, 2);
  attributeType = type & ~TYPE_ELSEWHERE;
  if (attributeType > TYPE_SECURITY) return STATUS_SQUASHFS_XATTR_TYPE;
  const prefix = prefixLength(attributeType);
  if (attributeNameLength == 0 || attributeNameLength > NAME_BYTES_MAX - prefix) {
    return STATUS_SQUASHFS_XATTR_NAME;
  }
  status = readStream(list, ATTRIBUTE_NAME_AT, attributeNameLength);
  if (status != STATUS_OK) return status;
  for (let at: u32 = 0; at < attributeNameLength; at++) {
    if (load<u8>(ATTRIBUTE_NAME_AT + at) == 0) return STATUS_SQUASHFS_XATTR_NAME;
  }
  status = readStream(list, SCRATCH_AT, 4);
  if (status != STATUS_OK) return status;
  let from = list;
  listStored += 8 + attributeNameLength;
  if ((type & TYPE_ELSEWHERE) != 0) {
    if (load<u32>(SCRATCH_AT) != REFERENCE_BYTES) return STATUS_SQUASHFS_XATTR_VALUE;
    status = readStream(list, SCRATCH_AT, REFERENCE_BYTES);
    if (status != STATUS_OK) return status;
    if (!openAt(elsewhere, load<u64>(SCRATCH_AT))) return STATUS_SQUASHFS_XATTR_REFERENCE;
    status = readStream(elsewhere, SCRATCH_AT, 4);
    if (status != STATUS_OK) return status;
    from = elsewhere;
    listStored += REFERENCE_BYTES;
  }
  attributeValueLength = load<u32>(SCRATCH_AT);
  if (attributeValueLength > VALUE_BYTES_MAX) return STATUS_SQUASHFS_XATTR_VALUE;
  if (from === list) listStored += attributeValueLength;
  listRead += prefix + attributeNameLength + 1 + attributeValueLength;
  if (listRead > LIST_BYTES_MAX) return STATUS_SQUASHFS_XATTR_SIZE;
  status = readStream(from, withValue ? ATTRIBUTE_VALUE_AT : 0, attributeValueLength);
  if (status != STATUS_OK || attributesLeft > 0) return status;
  // mksquashfs counts whole names, a NUL and the values; squashfs-tools-ng what the list takes on the disk.
  const isCounted = listRead == listSize || listStored == listSize;
  return isCounted ? STATUS_OK : STATUS_SQUASHFS_XATTR_SIZE;
}

/** Bytes of "user.", "trusted." or "security.". */
function prefixLength(type: u32): u32 {
  if (type == 0) return 5;
  return type == 1 ? 8 : 9;
}

/** Checks every list and the layout of the table, which begins at `from` and is the last of the image. */
export function checkXattrs(from: u64): i32 {
  notePlace(from);
  if (listsStart != from) return STATUS_SQUASHFS_TABLE_GAP;
  let status = checkRow(listsStart, listsEnd);
  if (status != STATUS_OK) return status;
  status = checkTable(idsTable(), idsBytes(), listsEnd, xattrTable);
  if (status != STATUS_OK) return status;
  notePlace(xattrTable);
  if (pointersEnd(idsTable(), idsBytes()) != bytesUsed) return STATUS_SQUASHFS_TABLE_GAP;
  for (let index: u32 = 0; index < xattrCount; index++) {
    status = openList(index);
    while (status == STATUS_OK && attributesLeft > 0) status = nextAttribute(false);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}
