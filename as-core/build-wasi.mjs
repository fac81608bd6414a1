// Puts keel-verify.wasm together: the command (wasi/keel-verify.ts and the same assembly files that the modules of the
// node are made of), libzstd with its guard, and a bridge between the two memories. Part of
// `npm run build --workspace as-core`, after build.mjs.

import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import asc from 'assemblyscript/asc';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const BUILD = join(FOLDER, 'build');
const { resolve } = createRequire(import.meta.url);
const execute = promisify(execFile);

/** Pages of 64 KiB of the command: 15 MiB for the SquashFS reader, 2 MiB for paths and listings. */
const MEMORY_PAGES = 288;

/** What a host must understand beyond WebAssembly 1.0, and nothing more. */
const FEATURES = [
  ...['simd', 'bulk-memory', 'bulk-memory-opt', 'multimemory', 'sign-ext', 'mutable-globals'],
  ...['nontrapping-float-to-int', 'reference-types'],
].map((name) => `--enable-${name}`);

/** What the host may see; everything else that the parts show each other is dropped. */
const ROOTS = ['_start', 'memory'].map((name) => ({ name, root: true, export: name }));

/** Builds build/keel-verify.wasm. The modules of build.mjs must be there. */
async function buildWasi() {
  await writeStatusNames();
  await compileCommand();
  for (const name of ['bridge', 'zstd-imports', 'guard-memory']) {
    await binaryen('wasm-as', [join(FOLDER, `wasi/${name}.wat`), '-o', part(name)]);
  }
  const zstd = join(dirname(resolve('@bokuweb/zstd-wasm')), 'zstd.wasm');
  // In two steps: the guard wants the decoder's memory under another name.
  await merge({ zstd, memory: part('guard-memory') }, part('libzstd'));
  await merge(
    {
      command: part('command'),
      host: part('bridge'),
      env: part('libzstd'),
      a: part('zstd-imports'),
      guard: join(BUILD, 'zstd-frame.wasm'),
    },
    part('merged'),
  );
  const graph = join(BUILD, 'keel-verify.roots.json');
  await writeFile(graph, JSON.stringify(ROOTS));
  const output = join(BUILD, 'keel-verify.wasm');
  await binaryen('wasm-metadce', [part('merged'), '--graph-file', graph, '-o', output]);
}

/** @param {string} name */
function part(name) {
  return join(BUILD, `keel-verify.${name}.wasm`);
}

/**
 * @param {Readonly<Record<string, string>>} modules name under which the others import it, to file
 * @param {string} output
 */
async function merge(modules, output) {
  const files = Object.entries(modules).flatMap(([name, file]) => [file, name]);
  await binaryen('wasm-merge', ['--rename-export-conflicts', ...files, '-o', output]);
}

/**
 * @param {string} tool of the version that AssemblyScript itself uses
 * @param {readonly string[]} args
 */
async function binaryen(tool, args) {
  const program = join(dirname(resolve('binaryen/package.json')), 'bin', tool);
  await execute(process.execPath, [program, ...FEATURES, ...args], { maxBuffer: 2 ** 26 });
}

/** Codes of refusals for the command, from the one table of src/status.ts. */
async function writeStatusNames() {
  const table = await readFile(join(FOLDER, 'src/status.ts'), 'utf8');
  const rows = [...table.matchAll(/^ {2}([a-z][A-Za-z]*): (\d+),$/gm)].map(
    ([, name = '', status]) => {
      const code = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return `  if (status == ${status}) return '${code}';`;
    },
  );
  if (rows.length === 0) throw new Error('src/status.ts has no table of statuses');
  const head = '/** Code of a status. */\nexport function statusName(status: i32): string {';
  const text = [head, ...rows, "  return 'unknown';", '}', ''].join('\n');
  await writeFile(join(BUILD, 'status-name.ts'), text);
}

async function compileCommand() {
  const { error, stderr } = await asc.main([
    'wasi/keel-verify.ts',
    ...['--config', 'asconfig.json', '--baseDir', FOLDER],
    ...['--outFile', 'build/keel-verify.command.wasm'],
    ...['--initialMemory', String(MEMORY_PAGES), '--maximumMemory', String(MEMORY_PAGES)],
  ]);
  if (error !== null) throw new Error(`${stderr.toString()}${error.message}`);
}

await buildWasi();
