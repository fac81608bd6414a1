/** Looks into a disk image or a part of one. */
import type { FileHandle } from 'node:fs/promises';
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

/** Whether a SquashFS begins at an offset. */
export async function isSquashfs(file: FileHandle, offset: number): Promise<boolean> {
  return (await readAt(file, offset, SQUASHFS_MAGIC.length)).toString('latin1') === SQUASHFS_MAGIC;
}
