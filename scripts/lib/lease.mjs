// Who uses a build product: one empty file for each product and process, `<key>.<pid>.<start of the process>`. It counts
// while that process runs, so nobody has to be trusted to give anything back.

import { rmSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { startTicks } from './process-identity.mjs';

const FOLDER = '.leases';
const NAME = /^([0-9a-f]+)\.(\d+)\.(\d+)$/;
const KEY = /^[0-9a-f]{16}$/;

/** @type {Set<string>} */
const taken = new Set();

/** Only to be tidy: a lease whose process has ended counts no more. */
function giveBack() {
  for (const path of taken) rmSync(path, { force: true });
}

/**
 * Keeps a product for as long as this process runs.
 * @param {string} folder where the products of one kind are
 * @param {string} key name of the product in it
 */
export async function takeLease(folder, key) {
  const path = join(folder, FOLDER, `${key}.${process.pid}.${await startTicks(process.pid)}`);
  if (taken.has(path)) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, '');
  if (taken.size === 0) process.on('exit', giveBack);
  taken.add(path);
}

/**
 * Keeps the product that a file belongs to, when it is one's.
 * @param {string} file
 * @param {string} root folder of all products
 */
export async function leaseProductOf(file, root) {
  const inside = `${resolve(root)}/`;
  for (let path = resolve(file); path.startsWith(inside); path = dirname(path)) {
    if (KEY.test(basename(path))) return takeLease(dirname(path), basename(path));
  }
}

/**
 * The products of a folder that a running process uses. Leases of ended processes are removed.
 * @param {string} folder
 * @returns {Promise<Set<string>>} keys
 */
export async function leasedKeys(folder) {
  const keys = new Set();
  for (const name of await readdir(join(folder, FOLDER)).catch(() => [])) {
    const [, key = '', pid = '', ticks] = NAME.exec(name) ?? [];
    if (key !== '' && (await startTicks(Number(pid))) === ticks) keys.add(key);
    else await rm(join(folder, FOLDER, name), { force: true });
  }
  return keys;
}
