/** Files that are complete and on the disk, or not there. */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { makeFile } from '../../../scripts/lib/whole-file.mjs';

/** What a disk, a quota or a limit of the process says when there is no room. */
const FULL_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Writes all of `bytes` at `offset`. One write may take a part of them only: that is how a full disk begins. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}

/**
 * Writes a file, in the place of whatever is at `path`. When this returns, bytes and name are on the disk; what `write`
 * throws leaves all as it was. `write` must use {@link writeAll}, or know how much was written.
 *
 * @throws KeelError E_OUTPUT_FULL
 */
export async function writeSynced(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  try {
    await writeWhole(path, write);
  } catch (cause) {
    if (!FULL_CODES.has((cause as NodeJS.ErrnoException).code)) throw cause;
    throw new KeelError('E_OUTPUT_FULL', `Cannot write ${path}: there is no room left`, { cause });
  }
}

async function writeWhole(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const firstMade = await mkdir(folder, { recursive: true });
  await makeFile(path, async (temporary) => {
    const file = await open(temporary, 'w');
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
  });
  // The name of the file, and those of folders that were made for it.
  const last = firstMade === undefined ? folder : dirname(firstMade);
  for (let at = folder; ; at = dirname(at)) {
    await syncFolder(at);
    if (at === last) return;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
