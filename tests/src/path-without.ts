/** A search path on which some programs are missing. */
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/**
 * Fills `folder`, which must not exist, with links to every program on the present path but `missing`.
 *
 * @returns the value for PATH
 */
export async function pathWithout(folder: string, missing: readonly string[]): Promise<string> {
  await mkdir(folder);
  const taken = new Set(missing);
  for (const place of (process.env.PATH ?? '').split(delimiter)) {
    if (place === '') continue;
    // A folder of the path need not exist.
    for (const name of await readdir(place).catch(() => [])) {
      if (taken.has(name)) continue;
      taken.add(name);
      await symlink(join(place, name), join(folder, name));
    }
  }
  return folder;
}
