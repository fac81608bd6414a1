/** Writes what a root file system holds into a new folder. */
import { closeSync, fchmodSync, openSync, writeSync } from 'node:fs';
import { chmod, link, lutimes, mkdir, symlink, utimes } from 'node:fs/promises';
import type { SquashfsEntry, SquashfsImage } from '@keelos/as-core/squashfs.ts';

/** What was written. */
export interface Extracted {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly bytes: number;
  /** Devices, fifos and sockets, which are left out. */
  readonly skipped: readonly string[];
}

/**
 * Extracts `from` (a path in the image) and everything in it into the folder `to`, which must not be there yet: nothing
 * that exists can be written through. Modes and times are kept; owners and attributes are not.
 *
 * @throws CoreError when the image is malformed
 * @throws Error EEXIST when `to` is there
 */
export async function extractRoot(
  image: SquashfsImage,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Extracted> {
  const base = from.replace(/\/+$/, '');
  const first = new Map<number, string>();
  const closing: { path: string; entry: SquashfsEntry }[] = [];
  const skipped: string[] = [];
  const count = { files: 0, directories: 0, symlinks: 0, bytes: 0 };
  for (const entry of image.entries()) {
    if (entry.path !== (base || '/') && !entry.path.startsWith(`${base}/`)) continue;
    const path = `${to}${entry.path === '/' ? '' : entry.path.slice(base.length)}`;
    const known = first.get(entry.inode);
    if (entry.type === 'directory') {
      await mkdir(path, { mode: 0o700 });
      closing.push({ path, entry });
      count.directories++;
    } else if (known !== undefined) {
      await link(known, path);
    } else if (entry.type === 'file') {
      count.bytes += writeFile(image, { entry, path });
      await utimes(path, entry.mtimeSeconds, entry.mtimeSeconds);
      count.files++;
    } else if (entry.type === 'symlink') {
      await symlink(entry.target ?? '', path);
      await lutimes(path, entry.mtimeSeconds, entry.mtimeSeconds);
      count.symlinks++;
    } else {
      skipped.push(entry.path);
      continue;
    }
    if (entry.nlink > 1 && entry.type !== 'directory') first.set(entry.inode, path);
  }
  // Last, so that directories without the right to write can be filled, and inner ones before outer ones.
  for (const { path, entry } of closing.reverse()) {
    await chmod(path, entry.mode);
    await utimes(path, entry.mtimeSeconds, entry.mtimeSeconds);
  }
  return { ...count, skipped };
}

function writeFile(
  image: SquashfsImage,
  { entry, path }: { readonly entry: SquashfsEntry; readonly path: string },
): number {
  const fd = openSync(path, 'wx', 0o600);
  try {
    image.readFile(entry, (piece) => {
      for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done);
    });
    fchmodSync(fd, entry.mode);
  } finally {
    closeSync(fd);
  }
  return entry.sizeBytes;
}
