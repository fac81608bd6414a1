/**
 * Inodes of SquashFS as bytes. Each is written in its basic form when that can say everything, else in the extended one.
 * (Linux: fs/squashfs/squashfs_fs.h)
 */
import { METADATA_BLOCK_BYTES, type MetadataPosition } from './squashfs-metadata.ts';
import type { InodeEntry, TreeInode } from './squashfs-tree.ts';

/** Says "no xattrs", "no fragment" and the like. */
export const NONE = 0xffff_ffff;

const BASIC = {
  directory: 1,
  file: 2,
  symlink: 3,
  'block-device': 4,
  'character-device': 5,
  fifo: 6,
  socket: 7,
} as const;

/** The number of a type in directories and in basic inodes. */
export function basicType(type: InodeEntry['type']): number {
  return BASIC[type];
}

const EXTENDED = 7;
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
/** The kernel counts `.` and `..` with so many bytes. */
const LISTING_EXTRA_BYTES = 3;

/** What an inode says besides its entry. */
export interface InodeFacts {
  readonly inode: TreeInode;
  readonly uidIndex: number;
  readonly gidIndex: number;
  readonly mtimeSeconds: number;
  /** Index in the table of xattrs, or {@link NONE}. */
  readonly xattrIndex: number;
}

/** Where the contents of a file are. */
export interface FilePlace {
  /** Of the first stored block in the image; 0 when none is stored. */
  readonly start: number;
  readonly sizeBytes: number;
  readonly holeBytes: number;
  readonly fragment: { readonly index: number; readonly offset: number } | undefined;
  /** Stored length of each block with the bit for "not compressed"; 0 for a hole. */
  readonly blockSizes: readonly number[];
}

/** One step into a large directory. */
export interface DirectoryIndex {
  /** Of a header in the listing. */
  readonly listingOffset: number;
  /** Of the metadata block that the header is in. */
  readonly blockStart: number;
  /** The first name behind the header. */
  readonly name: Buffer;
}

/** Where the listing of a directory is. */
export interface ListingPlace {
  readonly position: MetadataPosition;
  readonly sizeBytes: number;
  readonly parentNumber: number;
  readonly index: readonly DirectoryIndex[];
}

/** Little-endian fields, one behind the other: [bytes of the field, value]. */
export function fields(...list: readonly (readonly [2 | 4 | 8, number])[]): Buffer {
  const bytes = Buffer.alloc(list.reduce((sum, [size]) => sum + size, 0));
  let offset = 0;
  for (const [size, value] of list) {
    if (size === 8) bytes.writeBigUInt64LE(BigInt(value), offset);
    else bytes.writeUIntLE(value, offset, size);
    offset += size;
  }
  return bytes;
}

/** Equal little-endian fields, one behind the other; any number of them. */
export function fieldList(size: 4 | 8, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * size);
  for (const [index, value] of values.entries()) {
    if (size === 8) bytes.writeBigUInt64LE(BigInt(value), index * size);
    else bytes.writeUInt32LE(value, index * size);
  }
  return bytes;
}

/** The part in front that all inodes have. */
function header(facts: InodeFacts, isExtended: boolean): Buffer {
  const { entry, number } = facts.inode;
  return fields(
    [2, BASIC[entry.type] + (isExtended ? EXTENDED : 0)],
    [2, entry.mode],
    [2, facts.uidIndex],
    [2, facts.gidIndex],
    [4, facts.mtimeSeconds],
    [4, number],
  );
}

/** A regular file. */
export function fileInode(facts: InodeFacts, place: FilePlace): Buffer {
  const { start, sizeBytes, holeBytes, fragment, blockSizes } = place;
  const { links } = facts.inode;
  const isExtended =
    links > 1 ||
    holeBytes > 0 ||
    facts.xattrIndex !== NONE ||
    start > U32_MAX ||
    sizeBytes > U32_MAX;
  const tail = [
    [4, fragment?.index ?? NONE],
    [4, fragment?.offset ?? 0],
  ] as const;
  const body = isExtended
    ? fields(
        ...([
          [8, start],
          [8, sizeBytes],
          [8, holeBytes],
          [4, links],
        ] as const),
        ...tail,
        [4, facts.xattrIndex],
      )
    : fields([4, start], ...tail, [4, sizeBytes]);
  return Buffer.concat([header(facts, isExtended), body, fieldList(4, blockSizes)]);
}

/** A directory. */
export function directoryInode(facts: InodeFacts, place: ListingPlace): Buffer {
  const { position, parentNumber, index } = place;
  const { links } = facts.inode;
  const size = place.sizeBytes + LISTING_EXTRA_BYTES;
  const isExtended = facts.xattrIndex !== NONE || size > U16_MAX || index.length > 0;
  if (!isExtended) {
    const body = fields(
      [4, position.blockStart],
      [4, links],
      [2, size],
      [2, position.offset],
      [4, parentNumber],
    );
    return Buffer.concat([header(facts, false), body]);
  }
  const body = fields(
    [4, links],
    [4, size],
    [4, position.blockStart],
    [4, parentNumber],
    [2, index.length],
    [2, position.offset],
    [4, facts.xattrIndex],
  );
  const steps = index.flatMap(({ listingOffset, blockStart, name }) => [
    fields([4, listingOffset], [4, blockStart], [4, name.length - 1]),
    name,
  ]);
  return Buffer.concat([header(facts, true), body, ...steps]);
}

/** The kernel's 32-bit form of a device number. */
function deviceNumber({ major, minor }: { readonly major: number; readonly minor: number }) {
  const lowMinor = minor & 0xff;
  return (((minor - lowMinor) << 12) | (major << 8) | lowMinor) >>> 0;
}

/** A symbolic link, device, FIFO or socket. */
export function otherInode(facts: InodeFacts): Buffer {
  const { entry, links } = facts.inode;
  const isExtended = facts.xattrIndex !== NONE;
  const parts = [header(facts, isExtended), fields([4, links])];
  if (entry.type === 'symlink') {
    const target = Buffer.from(entry.target);
    parts.push(fields([4, target.length]), target);
  }
  if (entry.type === 'block-device' || entry.type === 'character-device') {
    parts.push(fields([4, deviceNumber(entry)]));
  }
  if (isExtended) parts.push(fields([4, facts.xattrIndex]));
  return Buffer.concat(parts);
}

/** A position as one number of 64 bits: block start above 16 bits of offset. */
export function reference({ blockStart, offset }: MetadataPosition): number {
  return blockStart * (U16_MAX + 1) + (offset % METADATA_BLOCK_BYTES);
}
