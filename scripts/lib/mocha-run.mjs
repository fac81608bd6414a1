// Runs commands and mocha for `npm test`, and counts what ran.

import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { exec } from './exec.mjs';
import { endPrograms, guardFolder } from './left-behind.mjs';
import { formatSeconds } from './progress.mjs';

/** @typedef {import('./test-run.mjs').RunOptions} RunOptions */
/** @typedef {import('./test-run.mjs').Counts} Counts */

/** Files that take longest start first, so that no core waits for one of them at the end. */
const LONGEST_FIRST = [
  'sweep',
  'update',
  'docs',
  'broken-images',
  'power-cuts',
  'verify',
  'update-page',
  'loader',
  'update-channel',
  'trial-guard',
  'update-delta',
  'quickstart-update',
  'state-faults',
  'lifecycle',
  'disk-faults',
  'image-run',
  'node',
];
/** Half of it is what the unit tests of the largest packages take on a slow machine, two at a time. */
const STAGE_TIMEOUT_MS = 20 * 60_000;
/** What runs too long gets SIGTERM, and SIGKILL this much later. */
const GRACE_MS = 10_000;
/** Of a test on a node that names no limit of its own: every step of it crosses an emulated machine. */
const NODE_TEST_TIMEOUT_MS = 60_000;
const NODE_FILE_TIMEOUT_MS = 25 * 60_000;

/**
 * What a thing that failed as a whole counts: one failure.
 * @param {string} title @param {unknown} error
 * @returns {Counts}
 */
export function failure(title, error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stdout.write(`  ✗ ${message.split('\n').join('\n    ')}\n`);
  return { passed: 0, failed: 1, failures: [{ title, message }] };
}

/**
 * Runs a command with its output passed through; resolves when it exits with 0.
 * @param {readonly string[]} command @param {string} cwd
 * @param {{ env?: Record<string, string>, timeoutMs?: number }} [options]
 */
export async function runCommand([program = '', ...args], cwd, options = {}) {
  const timeoutMs = options.timeoutMs ?? STAGE_TIMEOUT_MS;
  await exec(program, args, { ...options, cwd, timeoutMs, graceMs: GRACE_MS, show: true });
}

/**
 * Runs mocha on the Node that ships in the image, and reads what it counted from the reporter's file.
 * @param {RunOptions} options @param {string} label
 * @param {{ files: readonly string[], imageDir?: string, timeoutMs?: number, isLong?: boolean }} what
 *   `isLong`: tests see KEEL_LONG=1 and do all of what is else a sample
 * @returns {Promise<Counts>}
 */
export async function mocha(options, label, what) {
  const { files, imageDir, timeoutMs = STAGE_TIMEOUT_MS, isLong = false } = what;
  const folder = await mkdtemp(join(tmpdir(), 'keel-test-'));
  await chmod(folder, 0o711); // some tests run a program as nobody
  const guard = guardFolder(folder);
  const summary = join(folder, 'summary.json');
  const command = [
    join(options.checkout, 'node_modules/.bin/node'),
    join(options.checkout, 'node_modules/mocha/bin/mocha.js'),
    '--exit',
    '--reporter',
    join(options.checkout, 'scripts/lib/mocha-reporter.cjs'),
    ...(options.grep === undefined ? [] : ['--grep', options.grep]),
    ...(imageDir === undefined ? [] : ['--timeout', String(NODE_TEST_TIMEOUT_MS)]),
    ...files,
  ];
  try {
    const ended = await runCommand(command, options.checkout, {
      timeoutMs,
      env: {
        TMPDIR: folder, // everything that the tests leave behind is in one place
        KEEL_TEST_SUMMARY: summary,
        KEEL_TEST_LABEL: label,
        ...(imageDir === undefined ? {} : { KEEL_IMAGE_DIR: imageDir }),
        ...(isLong ? { KEEL_LONG: '1' } : {}),
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
    const programs = await endPrograms(folder);
    if (programs > 0)
      process.stdout.write(`  [${label}] ended ${programs} programs left running\n`);
    await rm(folder, { recursive: true, force: true });
    guard.close();
  }
}

/**
 * Name of a test file without its ending.
 * @param {string} file
 */
export function fileLabel(file) {
  return basename(file).replace(/\.test\.(ts|mjs)$/, '');
}

/**
 * One mocha process a file, `atATime` at a time.
 * @param {RunOptions} options
 * @param {{ files: readonly string[], imageDir?: string, timeoutMs?: number, isLong?: boolean }} what
 *   `timeoutMs`: for one file
 * @returns {Promise<Counts>}
 */
export async function mochaEach(options, what) {
  const { files, timeoutMs = NODE_FILE_TIMEOUT_MS, ...more } = what;
  await mkdir(join(options.checkout, '.vm'), { recursive: true });
  const rank = (/** @type {string} */ file) => {
    const at = LONGEST_FIRST.indexOf(fileLabel(file));
    return at < 0 ? LONGEST_FIRST.length : at;
  };
  const queue = files.toSorted((a, b) => rank(a) - rank(b));
  /** @type {Counts} */
  const total = { passed: 0, failed: 0, failures: [] };
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const startedMs = performance.now();
      const counts = await mocha(options, fileLabel(file), { ...more, files: [file], timeoutMs });
      const seconds = formatSeconds((performance.now() - startedMs) / 1000);
      process.stdout.write(
        `  [${fileLabel(file)}] ${counts.passed} passed, ${counts.failed} failed in ${seconds}\n`,
      );
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.failures.push(...counts.failures);
    }
  };
  await Promise.all(Array.from({ length: options.atATime }, worker));
  return total;
}
