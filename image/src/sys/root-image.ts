/** The root file system in a file of an image, read by our own reader. */
import { type FileHandle, open } from 'node:fs/promises';
import { SquashfsImage } from '@keelos/as-core/squashfs.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { partitionBytes, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import { imageFileKind, isSquashfs, readTable } from './image-file.ts';

/** Where something lies in a file. */
export interface Place {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/**
 * Where in a file the root file system is: all of a SquashFS, the first slot that has one in a disk image. What follows
 * it, a hash tree for example, counts as well.
 *
 * @throws KeelError E_IMAGE_INVALID when there is none
 */
export async function findRoot(file: FileHandle): Promise<Place> {
  const kind = await imageFileKind(file);
  if (kind === 'squashfs') return { offsetBytes: 0, sizeBytes: (await file.stat()).size };
  if (kind === 'disk') {
    for (const partition of (await readTable(file)).partitions) {
      const offsetBytes = partition.firstLba * SECTOR_BYTES;
      const sizeBytes = partitionBytes(partition);
      if (await isSquashfs(file, offsetBytes)) return { offsetBytes, sizeBytes };
    }
  }
  throw new KeelError(
    'E_IMAGE_INVALID',
    'Cannot read root file system: neither a SquashFS nor a raw disk image with one in a slot',
  );
}

/** What the superblock of a SquashFS says. */
export interface SquashfsFacts {
  readonly usedBytes: number;
  readonly blockBytes: number;
  readonly inodeCount: number;
  readonly fragmentCount: number;
  readonly idCount: number;
  readonly timeSeconds: number;
}

/**
 * Facts of the SquashFS at a place; undefined when none begins there.
 *
 * @throws KeelError E_IMAGE_INVALID when its superblock is malformed
 */
export async function squashfsFacts(
  file: FileHandle,
  place: Place,
): Promise<SquashfsFacts | undefined> {
  if (!(await isSquashfs(file, place.offsetBytes))) return undefined;
  return explained(async () => {
    const { superblock } = await SquashfsImage.open({ fd: file.fd, ...place });
    const { usedBytes, blockBytes, inodes, fragments, ids, mtimeSeconds } = superblock;
    return {
      usedBytes,
      blockBytes,
      inodeCount: inodes,
      fragmentCount: fragments,
      idCount: ids,
      timeSeconds: mtimeSeconds,
    };
  });
}

/**
 * Opens the root file system of the file at `path` for as long as `use` runs.
 *
 * @throws KeelError E_IMAGE_INVALID when there is none, or when `use` meets something malformed in it
 */
export async function withRoot<T>(
  path: string,
  use: (image: SquashfsImage, source: Place & { readonly fd: number }) => T | Promise<T>,
): Promise<T> {
  const file = await open(path, 'r');
  try {
    const place = await findRoot(file);
    return await explained(async () => {
      const image = await SquashfsImage.open({ fd: file.fd, ...place });
      try {
        return await use(image, { fd: file.fd, ...place });
      } finally {
        image.close();
      }
    });
  } finally {
    await file.close();
  }
}

async function explained<T>(use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    throw new KeelError('E_IMAGE_INVALID', `${error.message} [${error.code}]`, { cause: error });
  }
}
