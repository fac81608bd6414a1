/** Finds compiled modules: as-core/build/<name>.wasm, made by `npm run build --workspace as-core`. */
import { readFile } from 'node:fs/promises';

/** Names of the modules. */
export type ModuleName = 'sha256';

/**
 * Compiles a module. Callers keep the result: instances of one compiled module are cheap and share nothing.
 *
 * @throws Error (ENOENT) when the modules were not built
 */
export async function compileModule(name: ModuleName): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(new URL(`../build/${name}.wasm`, import.meta.url)));
}
