// A mocha reporter for a run that another program counts: a line for people as each test ends, and one JSON object
// with the exact counts in the file that KEEL_TEST_SUMMARY names, written when the run is over.
'use strict';

const { writeFileSync } = require('node:fs');

const SLOW_MS = 2_000;

/**
 * Titles from the outermost `describe` down, joined.
 * @param {{ titlePath(): string[] }} test
 */
function titleOf(test) {
  return test.titlePath().join(' › ');
}

class CountingReporter {
  /** @param {import('mocha').Runner} runner */
  constructor(runner) {
    const label = process.env.KEEL_TEST_LABEL ?? '';
    const prefix = label === '' ? '  ' : `  [${label}] `;
    /** @type {{ title: string, message: string }[]} */
    const failures = [];
    let passed = 0;
    let pending = 0;
    const say = (/** @type {string} */ line) => void process.stdout.write(`${prefix}${line}\n`);

    runner.on('pass', (test) => {
      passed += 1;
      const duration = test.duration ?? 0;
      if (process.env.KEEL_TEST_VERBOSE === '1' || duration >= SLOW_MS) {
        say(
          `✓ ${titleOf(test)}${duration >= SLOW_MS ? ` (${(duration / 1000).toFixed(1)} s)` : ''}`,
        );
      }
    });
    runner.on('pending', () => {
      pending += 1;
    });
    // A hook that fails arrives here too, so tests that never ran because of it do not vanish silently.
    runner.on('fail', (test, error) => {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      failures.push({ title: titleOf(test), message });
      say(`✗ ${titleOf(test)}`);
      for (const line of message.split('\n')) say(`    ${line}`);
    });
    runner.on('end', () => {
      const file = process.env.KEEL_TEST_SUMMARY;
      if (file !== undefined) {
        writeFileSync(file, JSON.stringify({ passed, failed: failures.length, pending, failures }));
      }
    });
  }
}

module.exports = CountingReporter;
