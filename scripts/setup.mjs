// `npm run setup`: brings a bare machine to the point where KeelOS can be built, run and tested. Each part looks first
// whether it is done, so an interrupted run is simply started again. Plain JavaScript: it runs before anything is
// installed.

import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureTools } from './lib/apt.mjs';
import { cacheRoot, hashInputs, product, withLock } from './lib/cache.mjs';
import { exec } from './lib/exec.mjs';
import { filesBelow } from './lib/files-below.mjs';
import { createProgress } from './lib/progress.mjs';
import { installPythonPackage } from './lib/python-package.mjs';
import { BASE_TOOLS, GRPCURL, TEST_TOOLS } from './lib/tools.data.mjs';
import { installWasmtime } from './lib/wasmtime.mjs';

/** Root folder of the checkout. */
export const CHECKOUT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const NPM_TIMEOUT_MS = 15 * 60_000;
const GENERATE_TIMEOUT_MS = 5 * 60_000;
const GO_TIMEOUT_MS = 20 * 60_000;

/** @typedef {import('./lib/progress.mjs').Progress} Progress */

/**
 * Installs and generates what `quickstart` needs, and with `forTests` what the tests need besides.
 *
 * @param {{ progress: Progress, forTests?: boolean }} options
 * @returns {Promise<void>}
 */
export async function setup({ progress, forTests = false }) {
  await progress.step('tools of the system', {}, async () => {
    const kernelTools = await kernelBuildTools();
    const tools = [...BASE_TOOLS, ...kernelTools, ...(forTests ? TEST_TOOLS : [])];
    await ensureTools(tools, { say: progress.note });
  });
  await progress.step('npm packages', { estimateSeconds: 30 }, () => installPackages(progress));
  await progress.step('generated code', { estimateSeconds: 10 }, generate);
  if (forTests) {
    await progress.step('grpcurl', { estimateSeconds: 60 }, () => buildGrpcurl());
    await progress.step('wasmtime', { estimateSeconds: 20 }, () => installWasmtime());
    await progress.step('virt-firmware', { estimateSeconds: 5 }, () =>
      installPythonPackage('virt-firmware'),
    );
  }
}

/** @returns {Promise<import('./lib/apt.mjs').Tool[]>} the kernel folder keeps its own list */
async function kernelBuildTools() {
  const { kernelTools } = await import('../kernel/src/core/tools.data.mjs');
  return [...kernelTools];
}

/**
 * True when node_modules holds exactly what package-lock.json names. npm writes its own hidden lock file last, so an
 * interrupted `npm ci` has none.
 */
export async function packagesMatch() {
  const hidden = join(CHECKOUT, 'node_modules/.package-lock.json');
  if (!existsSync(hidden)) return false;
  const lock = JSON.parse(await readFile(join(CHECKOUT, 'package-lock.json'), 'utf8'));
  const there = JSON.parse(await readFile(hidden, 'utf8'));
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '') continue;
    const installed = there.packages[path];
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) {
      if (!(await binariesLinked(path))) return false;
      continue;
    }
    if (installed === undefined) {
      if (entry.optional === true || entry.peer === true) continue; // for another platform, say
      return false;
    }
    if (entry.link !== true && installed.version !== entry.version) return false;
  }
  return true;
}

/** @param {string} workspace true when every command of the workspace is in node_modules/.bin */
async function binariesLinked(workspace) {
  const file = join(CHECKOUT, workspace, 'package.json');
  if (!existsSync(file)) return true;
  const { bin = {} } = JSON.parse(await readFile(file, 'utf8'));
  return Object.keys(bin).every((name) => existsSync(join(CHECKOUT, 'node_modules/.bin', name)));
}

/** @param {Progress} progress */
async function installPackages(progress) {
  await withLock(join(cacheRoot(), 'npm-ci.lock'), async () => {
    if (await packagesMatch()) return;
    progress.note('npm ci: node_modules is not what package-lock.json names');
    await exec('npm', ['ci', '--no-fund', '--no-audit'], {
      cwd: CHECKOUT,
      timeoutMs: NPM_TIMEOUT_MS,
      // Not the Node inside node_modules: npm ci removes it while it runs.
      env: { PATH: pathWithout(join(CHECKOUT, 'node_modules/.bin')) },
    });
  });
}

/** @param {string} folder */
function pathWithout(folder) {
  const parts = (process.env.PATH ?? '').split(delimiter);
  return parts.filter((part) => resolve(part) !== folder).join(delimiter);
}

/**
 * Runs `make` unless the stamp says that it has run with these inputs.
 * @param {{ stamp: string, files: string[], make: () => Promise<unknown> }} options
 */
async function stamped({ stamp, files, make }) {
  const hash = await hashInputs({
    files: [...files, join(CHECKOUT, 'package-lock.json')],
    values: { node: process.arch },
  });
  const found = existsSync(stamp) ? await readFile(stamp, 'utf8') : '';
  if (found === hash) return;
  await rm(stamp, { force: true });
  await make();
  await mkdir(dirname(stamp), { recursive: true });
  await writeFile(stamp, hash);
}

async function generate() {
  const protoFiles = await filesBelow(
    join(CHECKOUT, 'proto'),
    (name) => name.endsWith('.proto') || (name.startsWith('buf') && name.endsWith('.yaml')),
  );
  await stamped({
    stamp: join(CHECKOUT, 'proto/gen/.stamp'),
    files: [...protoFiles, join(CHECKOUT, 'scripts/generate.mjs')],
    make: () =>
      exec(join(CHECKOUT, 'node_modules/.bin/node'), [join(CHECKOUT, 'scripts/generate.mjs')], {
        cwd: CHECKOUT,
        timeoutMs: GENERATE_TIMEOUT_MS,
      }),
  });
  const assembly = join(CHECKOUT, 'as-core');
  const { scripts = {} } = JSON.parse(await readFile(join(assembly, 'package.json'), 'utf8'));
  if (scripts.build === undefined) return;
  await stamped({
    stamp: join(assembly, 'build/.stamp'),
    files: await filesBelow(assembly, (name) => /\.(ts|mjs|js|json|wat)$/.test(name)),
    make: () =>
      exec('npm', ['run', 'build', '--workspace', 'as-core'], {
        cwd: CHECKOUT,
        timeoutMs: GENERATE_TIMEOUT_MS,
      }),
  });
}

/**
 * The gRPC client that the tests use as a stranger's view of the API, built once.
 * @returns {Promise<string>} path of the program
 */
export async function buildGrpcurl() {
  const { dir } = await product({
    name: 'grpcurl',
    inputs: { values: { module: GRPCURL.module, version: GRPCURL.version } },
    build: async (out) => {
      await exec('go', ['install', `${GRPCURL.module}@${GRPCURL.version}`], {
        env: { GOBIN: out, GOFLAGS: '-mod=mod' },
        cwd: out,
        timeoutMs: GO_TIMEOUT_MS,
      });
    },
  });
  return join(dir, 'grpcurl');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const forTests = process.argv.includes('--tests');
  try {
    await setup({ progress: createProgress(), forTests });
  } catch (error) {
    process.stderr.write(`\nCannot set up: ${error instanceof Error ? error.message : error}\n`);
    process.stderr.write('Run it again after mending that: it goes on where it stopped.\n');
    process.exitCode = 1;
  }
}
