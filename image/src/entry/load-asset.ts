/**
 * What as-core/src/load.ts is inside the image: compiled modules are assets of the executable. Nothing is read before it
 * is asked for.
 */
/// <reference path="../../../as-core/src/web-assembly.d.ts" />
import { getRawAsset } from 'node:sea';
import type * as load from '@keelos/as-core/load.ts';

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/**
 * Compiles a module, once.
 *
 * @throws Error (ERR_SINGLE_EXECUTABLE_APPLICATION_ASSET_NOT_FOUND) for one that no node needs
 */
export const compileModule: typeof load.compileModule = async (name) => {
  const module =
    compiled.get(name) ?? WebAssembly.compile(new Uint8Array(getRawAsset(`${name}.wasm`)));
  compiled.set(name, module);
  return module;
};

/** A node has no such threads: what is verified is verified by a process with one. */
export const startCoreWorker: typeof load.startCoreWorker = () => {
  throw new Error('Cannot start a thread of as-core: its script is not in the image');
};
