// The stages of `npm test`, and the loop that runs and counts them.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { filesBelow } from './files-below.mjs';
import { guardFolder } from './left-behind.mjs';
import { failure, fileLabel, mocha, mochaEach, runCommand } from './mocha-run.mjs';
import { createProgress } from './progress.mjs';

/** Folders with unit tests in `<package>/test`. */
export const PACKAGES = [
  'proto',
  'as-core',
  'ts-init',
  'ts-agent',
  'osctl',
  'kernel',
  'image',
  'bench',
  'scripts',
  'tests',
];

/** Folders of tests/ that need a built image; all but `oracle` boot nodes. */
const IMAGE_FOLDERS = ['oracle', 'docs', 'qemu'];
/** Folder of tests/ in which the power is cut at a simulated disk. */
const CRASH_FOLDER = 'crash';
/** Folder of tests/ with the sweeps of `npm run test:long`. */
const LONG_FOLDER = 'long';
/** For a file of sweeps, and for what the crash simulation does beyond its sample. */
const LONG_TIMEOUT_MS = 8 * 3_600_000;
const BUILD_TIMEOUT_MS = 60 * 60_000;
const SETUP = 'setup';
const BUILD = 'kernel and image';

/**
 * @typedef {{ title: string, message: string }} Failure
 * @typedef {{ name: string, passed: number, failed: number, failures: Failure[], seconds: number }} StageResult
 * @typedef {{ passed: number, failed: number, failures: Failure[] }} Counts
 */

/**
 * @typedef {object} RunOptions
 * @property {string} checkout
 * @property {string | undefined} package
 * @property {string | undefined} grep
 * @property {boolean} qemu
 * @property {boolean} host
 * @property {boolean} verbose
 * @property {boolean} long the sweeps that take hours instead of everything else
 * @property {readonly string[]} files names of test files that boot nodes, without ".test.ts"; none: all
 * @property {number} atATime how many packages, or test files that boot nodes, run at the same time
 */

/**
 * Prepares a run; calling the result performs it.
 * @param {RunOptions} options
 * @returns {() => Promise<{ stages: StageResult[], passed: number, failed: number, hasTested: boolean }>}
 */
export function createRun(options) {
  return async () => {
    /** @type {StageResult[]} */
    const stages = [];
    /**
     * @param {string} name
     * @param {() => Promise<Counts>} run
     */
    const stage = async (name, run) => {
      process.stdout.write(`\n== ${name}\n`);
      const startedMs = performance.now();
      const counts = await run().catch((error) => failure(name, error));
      const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
      stages.push({ name, seconds, ...counts });
      process.stdout.write(`== ${name}: ${counts.passed} passed, ${counts.failed} failed\n`);
      return counts.failed === 0;
    };
    if (await stage(SETUP, () => once(prepare))) await runStages(options, stage);
    const sum = (/** @type {'passed' | 'failed'} */ key) =>
      stages.reduce((total, each) => total + each[key], 0);
    // What only prepares is no test: a pattern that matches nothing must not look like a success.
    const hasTested = stages.some(
      ({ name, passed, failed }) => name !== SETUP && name !== BUILD && passed + failed > 0,
    );
    return { stages, passed: sum('passed'), failed: sum('failed'), hasTested };
  };
}

async function prepare() {
  const { setup } = await import('../setup.mjs');
  await setup({ progress: createProgress(), forTests: true });
}

/**
 * @param {RunOptions} options
 * @param {(name: string, run: () => Promise<Counts>) => Promise<boolean>} stage
 */
async function runStages(options, stage) {
  if (options.long) {
    await runSweeps(options, stage);
    return;
  }
  const isWhole = options.package === undefined && options.grep === undefined;
  if (options.host && isWhole) {
    const checks = /** @type {const} */ ([
      ['lint (biome)', [bin(options, 'biome'), 'check', '.'], '.'],
      ['type check (tsc)', [bin(options, 'tsc'), '--noEmit'], '.'],
      ['API lint (buf)', [bin(options, 'buf'), 'lint'], 'proto'],
      ['API compatible with the last release (buf)', breakingCommand(options), 'proto'],
    ]);
    for (const [name, command, folder] of checks) {
      await stage(name, () => once(() => runCommand(command, join(options.checkout, folder))));
    }
  }
  if (options.host) {
    await runUnitStages(options, stage);
    if (options.package === undefined || options.package === CRASH_FOLDER) {
      const files = await testFiles(join(options.checkout, 'tests'), CRASH_FOLDER);
      // Processes of their own: they look at every module that is loaded.
      await stage('crash simulation, a sample', () => mochaEach(options, { files }));
    }
  }
  await runImageStages(options, stage);
}

/**
 * Every cut of the simulated disk, and the sweeps on nodes.
 * @param {RunOptions} options
 * @param {(name: string, run: () => Promise<Counts>) => Promise<boolean>} stage
 */
async function runSweeps(options, stage) {
  const crash = wanted(options, await testFiles(join(options.checkout, 'tests'), CRASH_FOLDER));
  if (crash.length > 0) {
    await stage('crash simulation, every cut', () =>
      mochaEach(options, { files: crash, timeoutMs: LONG_TIMEOUT_MS, isLong: true }),
    );
  }
  const files = wanted(options, await testFiles(join(options.checkout, 'tests'), LONG_FOLDER));
  if (files.length === 0) return;
  await withImage(options, stage, async (imageDir) => {
    await stage('sweeps on nodes in QEMU', () =>
      mochaEach(options, { files, imageDir, timeoutMs: LONG_TIMEOUT_MS, isLong: true }),
    );
  });
}

/**
 * Those that were asked for by name.
 * @param {RunOptions} options @param {readonly string[]} files
 */
function wanted({ files: names }, files) {
  return files.filter((file) => names.length === 0 || names.includes(fileLabel(file)));
}

/**
 * Unit tests, as many packages at a time as nodes later: each package is one process and keeps about one core busy.
 * @param {RunOptions} options
 * @param {(name: string, run: () => Promise<Counts>) => Promise<boolean>} stage
 */
async function runUnitStages(options, stage) {
  const queue = PACKAGES.filter(
    (name) => options.package === undefined || options.package === name,
  );
  const unitTests = async (/** @type {string} */ name) => {
    const root = join(options.checkout, name);
    const files =
      name === 'tests'
        ? (await Promise.all(['', 'tidy', 'fuzz'].map((each) => testFiles(root, each)))).flat()
        : await testFiles(root, 'test');
    if (files.length === 0) return;
    await stage(`unit tests of ${name}`, () => mocha(options, name, { files }));
  };
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) await unitTests(name);
  };
  await Promise.all(Array.from({ length: options.atATime }, worker));
}

/**
 * A command that the packages brought along.
 * @param {RunOptions} options @param {string} name
 */
function bin(options, name) {
  return join(options.checkout, 'node_modules/.bin', name);
}

/** @param {RunOptions} options */
function breakingCommand(options) {
  return [bin(options, 'buf'), 'breaking', '--against', 'api.lock.json'];
}

/**
 * @param {RunOptions} options
 * @param {(name: string, run: () => Promise<Counts>) => Promise<boolean>} stage
 */
async function runImageStages(options, stage) {
  const folders = IMAGE_FOLDERS.filter(
    (name) =>
      (options.package === undefined || options.package === name) &&
      (name === 'oracle' ? options.host : options.qemu),
  );
  if (folders.length === 0) return;
  await withImage(options, stage, (imageDir) => runOnImage(options, { folders, imageDir, stage }));
}

/**
 * Builds the image that all tests look at, or takes it from the cache, and runs `use` on it.
 * @param {RunOptions} options
 * @param {(name: string, run: () => Promise<Counts>) => Promise<boolean>} stage
 * @param {(imageDir: string) => Promise<void>} use
 */
async function withImage(options, stage, use) {
  const vmDir = join(options.checkout, '.vm');
  await mkdir(vmDir, { recursive: true });
  const imageDir = await mkdtemp(join(vmDir, 'image-under-test-'));
  const guard = guardFolder(imageDir);
  const built = await stage(BUILD, () =>
    once(() => {
      const script = join(options.checkout, 'scripts/lib/node-image.mjs');
      const next = options.qemu ? ['--next'] : [];
      return runCommand([bin(options, 'node'), script, imageDir, ...next], options.checkout, {
        timeoutMs: BUILD_TIMEOUT_MS,
      });
    }),
  );
  try {
    if (built) await use(imageDir);
  } finally {
    await rm(imageDir, { recursive: true, force: true });
    guard.close();
  }
}

/**
 * @param {RunOptions} options
 * @param {{ folders: readonly string[], imageDir: string,
 *           stage: (name: string, run: () => Promise<Counts>) => Promise<boolean> }} what
 */
async function runOnImage(options, { folders, imageDir, stage }) {
  if (folders.includes('oracle')) {
    const files = await testFiles(join(options.checkout, 'tests'), 'oracle');
    await stage('tests/oracle', () => mocha(options, 'oracle', { files, imageDir }));
  }
  /** @type {string[]} */
  const files = [];
  for (const folder of ['qemu', 'docs'].filter((name) => folders.includes(name))) {
    files.push(...(await testFiles(join(options.checkout, 'tests'), folder)));
  }
  const chosen = wanted(options, files);
  if (chosen.length > 0)
    await stage('tests on nodes in QEMU', () => mochaEach(options, { files: chosen, imageDir }));
}

/**
 * Test files, sorted. With an empty `folder` only those directly in `root`.
 * @param {string} root @param {string} folder
 */
async function testFiles(root, folder) {
  const start = join(root, folder);
  if (!existsSync(start)) return [];
  const isTest = (/** @type {string} */ name) => /\.test\.(ts|mjs)$/.test(name);
  if (folder !== '') return filesBelow(start, isTest);
  const names = (await readdir(start)).filter(isTest);
  return names.map((name) => join(start, name)).sort();
}

/**
 * A stage that counts as one test.
 * @param {() => Promise<unknown>} run
 * @returns {Promise<Counts>}
 */
async function once(run) {
  await run();
  return { passed: 1, failed: 0, failures: [] };
}
