/** Records in the memory of the SquashFS module, and what they mean: the other side of as-core/assembly/squashfs-*.ts. */

/** Types of things in a file system, by the number of the format. */
export const ENTRY_TYPES = [
  'directory',
  'file',
  'symlink',
  'block-device',
  'character-device',
  'fifo',
  'socket',
] as const;

/** Type of a thing in a file system. */
export type EntryType = (typeof ENTRY_TYPES)[number];

/** "None" in a 32-bit field. */
export const NONE = 0xffffffff;

/** An inode. */
export interface InodeRecord {
  readonly reference: bigint;
  readonly type: EntryType;
  /** 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly number: number;
  readonly links: number;
  readonly sizeBytes: number;
  /** Where the first block of a file is in the image. */
  readonly start: bigint;
  /** Data blocks of a file, holes too, without the one of its tail. */
  readonly blocks: number;
  /** As Linux encodes it in 32 bits. */
  readonly device: number;
  readonly fragment: number;
  /** {@link NONE} for no attributes. */
  readonly xattr: number;
  /** Number of the directory around a directory. */
  readonly parent: number;
}

/** Bytes of an inode record. */
export const INODE_BYTES = 128;

/** Reads an inode record at the start of `view`. */
export function readInodeRecord(view: DataView): InodeRecord {
  const field = (offset: number) => view.getUint32(offset, true);
  return {
    reference: view.getBigUint64(0, true),
    sizeBytes: Number(view.getBigUint64(8, true)),
    start: view.getBigUint64(16, true),
    blocks: Number(view.getBigUint64(32, true)),
    type: entryType(field(60)),
    mode: field(64),
    uid: field(68),
    gid: field(72),
    mtimeSeconds: field(76),
    number: field(80),
    links: field(84),
    device: field(88),
    fragment: field(92),
    xattr: field(104),
    parent: field(108),
  };
}

function entryType(number: number): EntryType {
  const type = ENTRY_TYPES[number - 1];
  if (type === undefined) throw new RangeError(`the type ${number} does not exist`);
  return type;
}

/** An entry of a directory. */
export interface ListingRecord {
  readonly reference: bigint;
  readonly number: number;
  /** Of the format, 1 to 7; another one is wrong. */
  readonly type: number;
  /** The reader's own copy. */
  readonly name: Uint8Array;
}

const LISTING_NAME = 104;

/** Reads the entry of a listing record. */
export function readListingRecord(view: DataView): ListingRecord {
  const length = view.getUint32(80, true);
  return {
    reference: view.getBigUint64(0, true),
    number: view.getUint32(72, true),
    type: view.getUint32(76, true),
    name: new Uint8Array(view.buffer, view.byteOffset + LISTING_NAME, length).slice(),
  };
}

/** Major and minor number of a device (new_encode_dev in the kernel's kdev_t.h). */
export interface DeviceNumbers {
  readonly major: number;
  readonly minor: number;
}

/** Takes a device number apart. */
export function deviceNumbers(device: number): DeviceNumbers {
  return {
    major: (device >>> 8) & 0xfff,
    minor: (device & 0xff) | ((device >>> 12) & 0xfff00),
  };
}

/** What the superblock says. */
export interface Superblock {
  readonly inodes: number;
  readonly mtimeSeconds: number;
  readonly blockBytes: number;
  readonly fragments: number;
  readonly flags: number;
  readonly ids: number;
  readonly usedBytes: number;
}

/** Reads the superblock, which has been judged. */
export function readSuperblockRecord(view: DataView): Superblock {
  return {
    inodes: view.getUint32(4, true),
    mtimeSeconds: view.getUint32(8, true),
    blockBytes: view.getUint32(12, true),
    fragments: view.getUint32(16, true),
    flags: view.getUint16(24, true),
    ids: view.getUint16(26, true),
    usedBytes: Number(view.getBigUint64(40, true)),
  };
}
