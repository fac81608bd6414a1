/** Files that are complete and on the disk, or not there. */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFile } from '../../../scripts/lib/whole-file.mjs';

/**
 * Writes a file, in the place of whatever is at `path`. When this returns, bytes and name are on the disk; what `write`
 * throws leaves all as it was.
 */
export async function writeSynced(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  await makeFile(path, async (temporary) => {
    const file = await open(temporary, 'w');
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
  });
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
