// Files that are complete or not there, whenever their writer is interrupted.

import { rename, rm, writeFile } from 'node:fs/promises';

/**
 * Lets `make` write a file beside `path`, which then takes the place of whatever is at `path`.
 * @param {string} path
 * @param {(temporary: string) => Promise<unknown>} make
 * @returns {Promise<void>}
 */
export async function makeFile(path, make) {
  // The number keeps two processes apart that make the same file.
  const temporary = `${path}.${process.pid}.new`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Puts a text in the place of whatever is at `path`.
 * @param {string} path @param {string} text
 * @param {{ mode?: number }} [options] 0o666 without the umask when absent
 * @returns {Promise<void>}
 */
export function replaceFile(path, text, options = {}) {
  return makeFile(path, (temporary) => writeFile(temporary, text, options));
}

/**
 * The name that a file was to get whose making was interrupted; any other name as it is.
 * @param {string} name
 */
export function finishedName(name) {
  return name.replace(/(\.\d+)?\.new$/, '');
}
