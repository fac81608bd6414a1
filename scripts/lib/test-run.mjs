// The stages of `npm test`, and the loop that runs and counts them.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
const BUILD_TIMEOUT_MS = 60 * 60_000;
const STAGE_TIMEOUT_MS = 10 * 60_000;
const NODE_FILE_TIMEOUT_MS = 25 * 60_000;

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
 * @property {number} nodesMax how many test files that boot nodes run at the same time
 */

/**
 * Prepares a run; calling the result performs it.
 * @param {RunOptions} options
 * @returns {() => Promise<{ stages: StageResult[], passed: number, failed: number }>}
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
    if (await stage('setup', () => once(prepare))) await runStages(options, stage);
    const sum = (/** @type {'passed' | 'failed'} */ key) =>
      stages.reduce((total, each) => total + each[key], 0);
    return { stages, passed: sum('passed'), failed: sum('failed') };
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
    for (const name of PACKAGES) {
      if (options.package !== undefined && options.package !== name) continue;
      const root = join(options.checkout, name);
      const files =
        name === 'tests'
          ? [...(await testFiles(root, '')), ...(await testFiles(root, 'tidy'))]
          : await testFiles(root, 'test');
      if (files.length > 0)
        await stage(`unit tests of ${name}`, () => mocha(options, name, { files }));
    }
  }
  await runImageStages(options, stage);
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
  let imageDir = '';
  const built = await stage('kernel and image', () =>
    once(async () => {
      const program = [bin(options, 'node'), join(options.checkout, 'scripts/lib/node-image.mjs')];
      const { stdout } = await runCommand(program, options.checkout, {
        timeoutMs: BUILD_TIMEOUT_MS,
        capture: true,
      });
      imageDir = stdout.trim();
    }),
  );
  if (!built) return;
  if (folders.includes('oracle')) {
    const files = await testFiles(join(options.checkout, 'tests'), 'oracle');
    await stage('tests/oracle', () => mocha(options, 'oracle', { files, imageDir }));
  }
  /** @type {string[]} */
  const files = [];
  for (const folder of ['qemu', 'docs'].filter((name) => folders.includes(name))) {
    files.push(...(await testFiles(join(options.checkout, 'tests'), folder)));
  }
  if (files.length > 0)
    await stage('tests on nodes in QEMU', () => mochaEach(options, { files, imageDir }));
}

/**
 * Test files, sorted. With an empty `folder` only those directly in `root`.
 * @param {string} root @param {string} folder
 */
async function testFiles(root, folder) {
  const start = join(root, folder);
  if (!existsSync(start)) return [];
  const names = await readdir(start, { recursive: folder !== '' });
  const wanted = names.filter((name) => /\.test\.(ts|mjs)$/.test(name));
  return wanted
    .filter((name) => !name.includes('node_modules'))
    .map((name) => join(start, name))
    .sort();
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

/** @param {string} title @param {unknown} error @returns {Counts} */
function failure(title, error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stdout.write(`  ✗ ${message.split('\n').join('\n    ')}\n`);
  return { passed: 0, failed: 1, failures: [{ title, message }] };
}

/**
 * Runs a command with its output passed through, or its standard output returned; resolves when it exits with 0.
 * @param {readonly string[]} command @param {string} cwd
 * @param {{ env?: Record<string, string>, timeoutMs?: number, capture?: boolean }} [options]
 * @returns {Promise<{ stdout: string }>}
 */
function runCommand(command, cwd, options = {}) {
  const [program = '', ...args] = command;
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      cwd,
      stdio: ['ignore', options.capture === true ? 'pipe' : 'inherit', 'inherit'],
      env: { ...process.env, ...options.env },
    });
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      stdout += text;
    });
    const timeoutMs = options.timeoutMs ?? STAGE_TIMEOUT_MS;
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const shown = command.map((part) => part.replace(`${process.cwd()}/`, '')).join(' ');
    child.once('error', (cause) => {
      clearTimeout(timer);
      fail(new Error(`Cannot run ${shown}: ${cause.message}`, { cause }));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) done({ stdout });
      else if (signal === 'SIGKILL') fail(new Error(`${shown}: killed, limit ${timeoutMs} ms`));
      else fail(new Error(`${shown}: ${signal ?? `exit status ${code}`} (its output is above)`));
    });
  });
}

/**
 * Runs mocha on the Node that ships in the image, and reads what it counted from the reporter's file.
 * @param {RunOptions} options @param {string} label
 * @param {{ files: readonly string[], imageDir?: string, timeoutMs?: number }} what
 * @returns {Promise<Counts>}
 */
async function mocha(options, label, { files, imageDir, timeoutMs = STAGE_TIMEOUT_MS }) {
  const folder = await mkdtemp(join(tmpdir(), 'keel-test-'));
  const summary = join(folder, 'summary.json');
  const command = [
    join(options.checkout, 'node_modules/.bin/node'),
    join(options.checkout, 'node_modules/mocha/bin/mocha.js'),
    '--exit',
    '--reporter',
    join(options.checkout, 'scripts/lib/mocha-reporter.cjs'),
    ...(options.grep === undefined ? [] : ['--grep', options.grep]),
    ...files,
  ];
  try {
    const ended = await runCommand(command, options.checkout, {
      timeoutMs,
      env: {
        KEEL_TEST_SUMMARY: summary,
        KEEL_TEST_LABEL: label,
        ...(imageDir === undefined ? {} : { KEEL_IMAGE_DIR: imageDir }),
        ...(options.verbose ? { KEEL_TEST_VERBOSE: '1' } : {}),
        NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
      },
    }).then(
      () => undefined,
      (error) => error,
    );
    if (!existsSync(summary)) {
      return failure(label, ended ?? new Error('mocha ended without counting its tests'));
    }
    const counted = JSON.parse(await readFile(summary, 'utf8'));
    if (ended !== undefined && counted.failed === 0) {
      counted.failed = 1; // died after its last test: not a success
      counted.failures = [{ title: label, message: ended.message }];
    }
    if (counted.pending > 0) process.stdout.write(`  [${label}] ${counted.pending} skipped\n`);
    return { passed: counted.passed, failed: counted.failed, failures: counted.failures };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * One mocha process a file, `nodesMax` at a time.
 * @param {RunOptions} options @param {{ files: readonly string[], imageDir: string }} what
 * @returns {Promise<Counts>}
 */
async function mochaEach(options, { files, imageDir }) {
  await mkdir(join(options.checkout, '.vm'), { recursive: true });
  const queue = [...files];
  /** @type {Counts} */
  const total = { passed: 0, failed: 0, failures: [] };
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const label = file.replace(/^.*\/([^/]+)\.test\.(ts|mjs)$/, '$1');
      const counts = await mocha(options, label, {
        files: [file],
        imageDir,
        timeoutMs: NODE_FILE_TIMEOUT_MS,
      });
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.failures.push(...counts.failures);
    }
  };
  await Promise.all(Array.from({ length: options.nodesMax }, worker));
  return total;
}
