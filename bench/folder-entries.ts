/** A folder on the disk as entries of a SquashFS image, for subjects that measure on the caller's files. */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';

const MODE_BITS = 0o7777;

/**
 * Everything under `folder`, owned by root as the rival is told to write it; hard links and xattrs are not looked for.
 *
 * @throws Error naming the path of a device, FIFO or socket
 */
export async function folderEntries(folder: string): Promise<SquashfsEntry[]> {
  const entries: SquashfsEntry[] = [];
  // The list grows while it is walked. (A recursive readdir would go through links to directories.)
  const names = await readdir(folder);
  for (const name of names) {
    const source = join(folder, name);
    const facts = await lstat(source);
    const common = { path: `/${name}`, mode: facts.mode & MODE_BITS };
    if (facts.isDirectory()) {
      entries.push({ ...common, type: 'directory' });
      for (const inside of await readdir(source)) names.push(join(name, inside));
    } else if (facts.isSymbolicLink()) {
      entries.push({ ...common, type: 'symlink', target: await readlink(source) });
    } else if (facts.isFile()) {
      entries.push({ ...common, type: 'file', contents: await readFile(source) });
    } else throw new Error(`Cannot take ${source}: no file, directory or link`);
  }
  return entries;
}
