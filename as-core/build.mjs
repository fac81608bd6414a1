// Compiles assembly/<name>.ts to build/<name>.wasm: `npm run build --workspace as-core`.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/**
 * Modules and their memory in pages of 64 KiB: it never grows. Without a number: the module imports its memory, and has
 * no data of its own.
 *
 * @type {{ name: string, memoryPages?: number }[]}
 */
const MODULES = [
  { name: 'sha256', memoryPages: 2 },
  { name: 'verity', memoryPages: 6 },
  { name: 'zstd-frame' },
  { name: 'squashfs', memoryPages: 240 },
  { name: 'bundle', memoryPages: 2 },
  { name: 'delta-coder', memoryPages: 416 },
  { name: 'delta', memoryPages: 20 },
  { name: 'delta-layout', memoryPages: 240 },
  { name: 'delta-match' },
];

await mkdir(`${FOLDER}build`, { recursive: true });
for (const { name, memoryPages } of MODULES) {
  const { error, stderr } = await asc.main([
    `assembly/${name}.ts`,
    ...['--config', 'asconfig.json', '--baseDir', FOLDER, '--outFile', `build/${name}.wasm`],
    ...memoryOptions(memoryPages),
  ]);
  if (error !== null) {
    process.stderr.write(`${stderr.toString()}${error.message}\n`);
    process.exitCode = 1;
  }
}

/** @param {number | undefined} pages */
function memoryOptions(pages) {
  if (pages === undefined) return ['--importMemory', '--noExportMemory', '--initialMemory', '1'];
  return ['--initialMemory', String(pages), '--maximumMemory', String(pages)];
}
