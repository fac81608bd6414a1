/**
 * Finds what is not TypeScript: compiled modules, as-core/build/<name>.wasm, made by `npm run build --workspace as-core`,
 * and the script of the workers. In the image another file with the same exports stands in for this one.
 */
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';

/** Names of the modules. */
export type ModuleName =
  | 'sha256'
  | 'verity'
  | 'zstd'
  | 'zstd-frame'
  | 'squashfs'
  | 'bundle'
  | 'delta'
  | 'delta-layout'
  | 'delta-coder'
  | 'delta-match';

/**
 * Compiles a module. Callers keep the result: instances of one compiled module are cheap and share nothing.
 *
 * @throws Error (ENOENT) when the modules were not built
 */
export async function compileModule(name: ModuleName): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(moduleUrl(name)));
}

/** Where a module lies. zstd is not compiled here: its package carries it beside its JavaScript, and names only that. */
export function moduleUrl(name: ModuleName): URL {
  if (name !== 'zstd') return new URL(`../build/${name}.wasm`, import.meta.url);
  return new URL('zstd.wasm', import.meta.resolve('@bokuweb/zstd-wasm'));
}

/** Starts a thread that runs worker.ts. */
export function startCoreWorker(): Worker {
  return new Worker(new URL('./worker.ts', import.meta.url));
}
