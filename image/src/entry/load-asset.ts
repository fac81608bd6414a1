/**
 * What as-core/src/load.ts is inside the image: compiled modules and the script of the workers are assets of the
 * executable. Nothing is read before it is asked for.
 */
/// <reference path="../../../as-core/src/web-assembly.d.ts" />
import { getRawAsset } from 'node:sea';
import { Worker } from 'node:worker_threads';
import type * as load from '@keelos/as-core/load.ts';

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/**
 * Compiles a module, once in each thread: code that comes and goes is what V8 has trouble with, and they are small.
 *
 * @throws Error (ERR_SINGLE_EXECUTABLE_APPLICATION_ASSET_NOT_FOUND) for one that no node needs
 */
export const compileModule: typeof load.compileModule = async (name) => {
  const module =
    compiled.get(name) ?? WebAssembly.compile(new Uint8Array(getRawAsset(`${name}.wasm`)));
  compiled.set(name, module);
  return module;
};

/** Starts a thread that runs worker.ts: from text, since the executable has no file to start it from. */
export const startCoreWorker: typeof load.startCoreWorker = () =>
  new Worker(Buffer.from(getRawAsset('core-worker.cjs')).toString('latin1'), {
    eval: true,
    name: 'keel-core',
  });
