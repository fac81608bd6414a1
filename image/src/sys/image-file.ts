/** Looks into a disk image or a part of one. */
import type { FileHandle } from 'node:fs/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import type { Gpt } from '@keelos/proto/gpt.ts';
import { decodeGpt, GPT_PRIMARY_SECTORS, SECTOR_BYTES } from '@keelos/proto/gpt.ts';

const SQUASHFS_MAGIC = 'hsqs';

/** Kinds of files that an image build makes. */
export type ImageFileKind = 'disk' | 'squashfs' | 'efi' | 'unknown';

async function readAt(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(sizeBytes);
  const { bytesRead } = await file.read(buffer, 0, sizeBytes, offset);
  return buffer.subarray(0, bytesRead);
}

/** What a file is, by its first bytes. */
export async function imageFileKind(file: FileHandle): Promise<ImageFileKind> {
  const start = await readAt(file, 0, 2 * SECTOR_BYTES);
  if (start.toString('latin1', 0, 4) === SQUASHFS_MAGIC) return 'squashfs';
  if (start.toString('latin1', 0, 2) === 'MZ') return 'efi';
  if (start.toString('latin1', SECTOR_BYTES, SECTOR_BYTES + 8) === 'EFI PART') return 'disk';
  return 'unknown';
}

/**
 * The partition table of a disk image.
 *
 * @throws KeelError E_DISK_LAYOUT when it is damaged.
 */
export async function readTable(file: FileHandle): Promise<Gpt> {
  return decodeGpt(await readAt(file, 0, GPT_PRIMARY_SECTORS * SECTOR_BYTES));
}

/** What the superblock of a SquashFS says. */
export interface SquashfsFacts {
  readonly usedBytes: number;
  readonly blockBytes: number;
  readonly inodeCount: number;
  readonly timeSeconds: number;
}

/**
 * Reads a SquashFS superblock (Documentation/filesystems/squashfs.rst).
 *
 * Returns undefined when there is none.
 */
export async function readSquashfs(
  file: FileHandle,
  offset: number,
): Promise<SquashfsFacts | undefined> {
  const block = await readAt(file, offset, 96);
  if (block.length < 96 || block.toString('latin1', 0, 4) !== SQUASHFS_MAGIC) return undefined;
  return {
    inodeCount: block.readUInt32LE(4),
    timeSeconds: block.readUInt32LE(8),
    blockBytes: block.readUInt32LE(12),
    usedBytes: Number(block.readBigUInt64LE(40)),
  };
}

/**
 * Where in a file the root file system starts: 0 in a SquashFS, the first slot that has one in a disk image.
 *
 * @throws KeelError E_IMAGE_INVALID when there is none.
 */
export async function findRoot(file: FileHandle): Promise<number> {
  const kind = await imageFileKind(file);
  if (kind === 'squashfs') return 0;
  if (kind === 'disk') {
    for (const partition of (await readTable(file)).partitions) {
      const offset = partition.firstLba * SECTOR_BYTES;
      if ((await readSquashfs(file, offset)) !== undefined) return offset;
    }
  }
  throw new KeelError(
    'E_IMAGE_INVALID',
    'Cannot list files: neither a SquashFS nor a raw disk image with one in a slot',
  );
}
