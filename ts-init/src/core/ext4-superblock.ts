/**
 * Size of an ext4 file system from its superblock, which is at byte 1024 of the partition. Kernel source:
 * Documentation/filesystems/ext4/super.rst.
 */

/** Where the superblock is, and how much of it there is. */
export const SUPERBLOCK_OFFSET_BYTES = 1024;
/** Bytes of a superblock. */
export const SUPERBLOCK_BYTES = 1024;

const MAGIC = 0xef53;
const INCOMPAT_64BIT = 0x80;
const INCOMPAT_RECOVER = 0x4;
/** s_last_orphan: first inode of the list of files that were deleted while open. */
const LAST_ORPHAN_OFFSET = 0xe8;
/** s_block_group_nr: the group that a superblock is in. */
const BLOCK_GROUP_OFFSET = 0x5a;
const RO_COMPAT_METADATA_CSUM = 0x400;
const CHECKSUM_OFFSET = 0x3fc;
const LOG_BLOCK_SIZE_MAX = 6;

/** Size of the file system. */
export interface Ext4Size {
  readonly blockBytes: number;
  readonly blocks: number;
}

/** Reads the size; undefined when the bytes are not a superblock. */
export function parseExt4Size(superblock: Uint8Array): Ext4Size | undefined {
  if (superblock.length < SUPERBLOCK_BYTES) return undefined;
  const view = new DataView(superblock.buffer, superblock.byteOffset, superblock.byteLength);
  if (view.getUint16(0x38, true) !== MAGIC) return undefined;
  const logBlockSize = view.getUint32(0x18, true);
  if (logBlockSize > LOG_BLOCK_SIZE_MAX) return undefined;
  const is64Bit = (view.getUint32(0x60, true) & INCOMPAT_64BIT) !== 0;
  const high = is64Bit ? view.getUint32(0x150, true) : 0;
  return { blockBytes: 1024 << logBlockSize, blocks: high * 2 ** 32 + view.getUint32(4, true) };
}

/**
 * True when the bytes are not a superblock, or its checksum is wrong.
 *
 * The checksum is CRC-32C over all bytes before it, without the final inversion, present with feature metadata_csum.
 */
export function isSuperblockDamaged(superblock: Uint8Array): boolean {
  if (parseExt4Size(superblock) === undefined) return true;
  const view = new DataView(superblock.buffer, superblock.byteOffset, superblock.byteLength);
  if ((view.getUint32(0x64, true) & RO_COMPAT_METADATA_CSUM) === 0) return false;
  const wanted = view.getUint32(CHECKSUM_OFFSET, true);
  return crc32c(superblock.subarray(0, CHECKSUM_OFFSET)) !== wanted;
}

/** Groups that hold a copy of the superblock (sparse_super): 1 and powers of 3, 5, 7; the first few are enough. */
const BACKUP_GROUPS = [1, 3, 5, 7, 9] as const;
/** Bytes in a block group of 4 KiB blocks: one block of bitmap covers it. */
const GROUP_BYTES = 32_768 * 4096;

/** Where the copies of the superblock are, from the start of the partition: at the very start of their groups. */
export const BACKUP_OFFSETS_BYTES: readonly number[] = BACKUP_GROUPS.map(
  (group) => group * GROUP_BYTES,
);

/**
 * The first superblock, made again from one of its copies; undefined when the copy is damaged too.
 *
 * A copy is written when the file system is made or grown, so its counters are old: the kernel counts anew at each
 * mount. It is marked as in need of journal recovery, which does nothing when the journal is empty.
 */
export function restoreSuperblock(copy: Uint8Array): Buffer | undefined {
  if (isSuperblockDamaged(copy)) return undefined;
  const restored = Buffer.from(copy.subarray(0, SUPERBLOCK_BYTES));
  restored.writeUInt16LE(0, BLOCK_GROUP_OFFSET);
  // The list of then: its inodes may be files by now, which a mount would delete.
  restored.writeUInt32LE(0, LAST_ORPHAN_OFFSET);
  restored.writeUInt32LE(restored.readUInt32LE(0x60) | INCOMPAT_RECOVER, 0x60);
  if ((restored.readUInt32LE(0x64) & RO_COMPAT_METADATA_CSUM) !== 0) {
    restored.writeUInt32LE(crc32c(restored.subarray(0, CHECKSUM_OFFSET)), CHECKSUM_OFFSET);
  }
  return restored;
}

/** CRC-32C (Castagnoli), start all ones, not inverted at the end. Bit by bit: it runs over one sector, once. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f63b78);
  }
  return crc >>> 0;
}

/** Blocks that the file system should have on a partition of this size; undefined when it has them already. */
export function blocksToGrowTo(size: Ext4Size, partitionSizeBytes: number): number | undefined {
  const blocks = Math.floor(partitionSizeBytes / size.blockBytes);
  return blocks > size.blocks ? blocks : undefined;
}
