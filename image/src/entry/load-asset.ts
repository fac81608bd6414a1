/**
 * What as-core/src/load.ts is inside the image: compiled modules and the script of the workers are assets of the
 * executable. Nothing is read before it is asked for.
 */
/// <reference path="../../../as-core/src/web-assembly.d.ts" />
import { getRawAsset } from 'node:sea';
import { Worker } from 'node:worker_threads';
import type * as load from '@keelos/as-core/load.ts';

/** Compiles a module. @throws Error (ERR_SINGLE_EXECUTABLE_APPLICATION_ASSET_NOT_FOUND) for one that no node needs */
export const compileModule: typeof load.compileModule = (name) =>
  WebAssembly.compile(new Uint8Array(getRawAsset(`${name}.wasm`)));

/** Starts a thread that runs worker.ts: from text, since the executable has no file to start it from. */
export const startCoreWorker: typeof load.startCoreWorker = () =>
  new Worker(Buffer.from(getRawAsset('core-worker.cjs')).toString('latin1'), {
    eval: true,
    name: 'keel-core',
  });
