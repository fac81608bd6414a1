// Runs commands and mocha for `npm test`, and counts what ran.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** @typedef {import('./test-run.mjs').RunOptions} RunOptions */
/** @typedef {import('./test-run.mjs').Counts} Counts */

/** Files that take longest start first, so that no core waits for one of them at the end. */
const LONGEST_FIRST = ['lifecycle', 'docs', 'state-faults', 'node'];
const STAGE_TIMEOUT_MS = 10 * 60_000;
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
 * @param {{ env?: Record<string, string>, timeoutMs?: number, graceMs?: number }} [options]
 * @returns {Promise<void>}
 */
export function runCommand(command, cwd, options = {}) {
  const [program = '', ...args] = command;
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      cwd,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...options.env },
    });
    const timeoutMs = options.timeoutMs ?? STAGE_TIMEOUT_MS;
    let isLate = false;
    let timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGTERM');
      timer = setTimeout(() => child.kill('SIGKILL'), options.graceMs ?? GRACE_MS);
    }, timeoutMs);
    const shown = command.map((part) => part.replace(`${process.cwd()}/`, '')).join(' ');
    child.once('error', (cause) => {
      clearTimeout(timer);
      fail(new Error(`Cannot run ${shown}: ${cause.message}`, { cause }));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (isLate) fail(new Error(`${shown}: ended after its limit of ${timeoutMs} ms`));
      else if (code === 0) done();
      else fail(new Error(`${shown}: ${signal ?? `exit status ${code}`} (its output is above)`));
    });
  });
}

/**
 * Kills the machines that have their sockets in a folder: what a test run that did not come to its end left behind.
 * @param {string} folder
 * @returns {Promise<number>} how many there were
 */
export async function endMachines(folder) {
  let count = 0;
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!/^[^\0]*qemu-system-/.test(command) || !command.includes(`${folder}/`)) continue;
    process.kill(Number(pid), 'SIGKILL');
    count += 1;
  }
  return count;
}

/**
 * Runs mocha on the Node that ships in the image, and reads what it counted from the reporter's file.
 * @param {RunOptions} options @param {string} label
 * @param {{ files: readonly string[], imageDir?: string, timeoutMs?: number }} what
 * @returns {Promise<Counts>}
 */
export async function mocha(options, label, { files, imageDir, timeoutMs = STAGE_TIMEOUT_MS }) {
  const folder = await mkdtemp(join(tmpdir(), 'keel-test-'));
  await chmod(folder, 0o711); // some tests run a program as nobody
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
    const machines = await endMachines(folder);
    if (machines > 0)
      process.stdout.write(`  [${label}] ended ${machines} machines left running\n`);
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * One mocha process a file, `nodesMax` at a time.
 * @param {RunOptions} options @param {{ files: readonly string[], imageDir: string }} what
 * @returns {Promise<Counts>}
 */
export async function mochaEach(options, { files, imageDir }) {
  await mkdir(join(options.checkout, '.vm'), { recursive: true });
  const labelOf = (/** @type {string} */ file) => basename(file).replace(/\.test\.(ts|mjs)$/, '');
  const rank = (/** @type {string} */ file) => {
    const at = LONGEST_FIRST.indexOf(labelOf(file));
    return at < 0 ? LONGEST_FIRST.length : at;
  };
  const queue = files.toSorted((a, b) => rank(a) - rank(b));
  /** @type {Counts} */
  const total = { passed: 0, failed: 0, failures: [] };
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const counts = await mocha(options, labelOf(file), {
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
