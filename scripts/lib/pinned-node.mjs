// Hands over to the Node that comes with the packages: it runs TypeScript, and it is the one in the image. Plain
// JavaScript for any Node from 20 on.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const CHECKOUT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const PINNED_NODE = join(CHECKOUT, 'node_modules/.bin/node');

/** True when it is there: the packages are installed. */
export function hasPinnedNode() {
  return existsSync(PINNED_NODE);
}

/**
 * Runs a script of the checkout on this terminal, to its end.
 *
 * @param {string} script path from the root of the checkout
 * @param {readonly string[]} args
 * @param {{ env?: Record<string, string> }} [options] added to the environment
 * @returns {Promise<number>} its exit code; 128 and the signal's number when a signal ended it, 1 when it cannot start
 */
export function runOnPinnedNode(script, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(PINNED_NODE, [join(CHECKOUT, script), ...args], {
      stdio: 'inherit',
      env: { ...process.env, ...options.env },
    });
    // Ctrl-C reaches the child by itself (same terminal); this process lives until the child has ended.
    process.on('SIGINT', () => {});
    for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) {
      process.on(signal, () => child.kill(signal));
    }
    child.once('error', (error) => {
      process.stderr.write(`Cannot start ${script}: ${error.message}\nhint: run npm ci\n`);
      done(1);
    });
    child.once('close', (code, signal) => {
      done(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
