// Python packages that tests lean on, each in a folder of the cache: with its hash, and without what it may depend on.

import { fileURLToPath } from 'node:url';
import { product } from './cache.mjs';
import { exec } from './exec.mjs';

const INSTALL_TIMEOUT_MS = 5 * 60_000;

/**
 * The folder to put into PYTHONPATH. `<name>.lock.txt` beside this file gives version and hash.
 *
 * @param {string} name
 * @returns {Promise<string>}
 */
export async function installPythonPackage(name) {
  const lock = fileURLToPath(new URL(`${name}.lock.txt`, import.meta.url));
  const { dir } = await product({
    name,
    inputs: { files: [lock] },
    build: async (out) => {
      await exec(
        'pip3',
        ['install', '--quiet', '--no-deps', '--require-hashes', '--target', out, '-r', lock],
        { timeoutMs: INSTALL_TIMEOUT_MS },
      );
    },
  });
  return dir;
}
