// Compiles assembly/<name>.ts to build/<name>.wasm: `npm run build --workspace as-core`.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** Modules and their memory in pages of 64 KiB: it never grows. */
const MODULES = [{ name: 'sha256', memoryPages: 2 }];

await mkdir(`${FOLDER}build`, { recursive: true });
for (const { name, memoryPages } of MODULES) {
  const { error, stderr } = await asc.main([
    `assembly/${name}.ts`,
    ...['--config', 'asconfig.json', '--baseDir', FOLDER, '--outFile', `build/${name}.wasm`],
    ...['--initialMemory', String(memoryPages), '--maximumMemory', String(memoryPages)],
  ]);
  if (error !== null) {
    process.stderr.write(`${stderr.toString()}${error.message}\n`);
    process.exitCode = 1;
  }
}
