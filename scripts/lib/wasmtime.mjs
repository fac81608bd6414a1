// wasmtime, the second WASI host that keel-verify.wasm is tested under: its Python package, which carries the whole
// runtime as one shared library.

import { installPythonPackage } from './python-package.mjs';

/**
 * The folder to put into PYTHONPATH.
 *
 * @returns {Promise<string>}
 */
export function installWasmtime() {
  return installPythonPackage('wasmtime');
}
