// `npm run keel-verify -- COMMAND FILE`: as-core/build/keel-verify.wasm under Node's WASI. It sees the whole file
// system, and can only read. What it does: docs/reference/keel-verify.md.

import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const module = new URL('../as-core/build/keel-verify.wasm', import.meta.url);
// npm starts scripts at the top of the checkout, and says where it was called.
const folder = process.env.INIT_CWD ?? process.cwd();
const wasi = new WASI({
  version: 'preview1',
  args: ['keel-verify', ...process.argv.slice(2)],
  preopens: { '/': '/', '.': folder },
  returnOnExit: true,
});
const compiled = await WebAssembly.compile(await readFile(module));
const imports = /** @type {Record<string, unknown>} */ (wasi.getImportObject());
process.exitCode = wasi.start(new WebAssembly.Instance(compiled, imports));
