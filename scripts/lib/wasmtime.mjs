// wasmtime, the second WASI host that keel-verify.wasm is tested under: its Python package, which carries the whole
// runtime as one shared library, in a folder of the cache.

import { fileURLToPath } from 'node:url';
import { product } from './cache.mjs';
import { exec } from './exec.mjs';

const LOCK = fileURLToPath(new URL('wasmtime.lock.txt', import.meta.url));
const INSTALL_TIMEOUT_MS = 5 * 60_000;

/**
 * The folder to put into PYTHONPATH.
 *
 * @returns {Promise<string>}
 */
export async function installWasmtime() {
  const { dir } = await product({
    name: 'wasmtime',
    inputs: { files: [LOCK] },
    build: async (out) => {
      await exec(
        'pip3',
        ['install', '--quiet', '--no-deps', '--require-hashes', '--target', out, '-r', LOCK],
        { timeoutMs: INSTALL_TIMEOUT_MS },
      );
    },
  });
  return dir;
}
