// The files below a folder. Node has this since 20.1 only, and the paths of entries since 20.12.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What others put into the tree. */
const NOT_ENTERED = ['node_modules', 'build'];

/**
 * Paths of the files below `folder` whose names are wanted, sorted. Packages and build results are not entered, links
 * are not followed.
 * @param {string} folder
 * @param {(name: string) => boolean} isWanted
 * @returns {Promise<string[]>}
 */
export async function filesBelow(folder, isWanted) {
  const found = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!NOT_ENTERED.includes(entry.name)) found.push(...(await filesBelow(path, isWanted)));
    } else if (entry.isFile() && isWanted(entry.name)) {
      found.push(path);
    }
  }
  return found.sort();
}
