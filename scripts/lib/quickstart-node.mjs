// The half of quickstart that runs on the pinned Node: build, boot, enrol, show.

import { constants } from 'node:os';
import { endCommands } from './children.mjs';
import { createLocalNode } from './local-node.mjs';
import { buildNode } from './node-image.mjs';
import { createProgress } from './progress.mjs';
import { showUpdate } from './quickstart-update.mjs';

const CONTEXT = 'quickstart';
const ANNOUNCE_TIMEOUT_MS = 240_000;
const HEALTH_TIMEOUT = '120s';
/** A certificate with less than this left is renewed, so that it outlives a first look around. */
const RENEW_BEFORE_MS = 3_600_000;

/** @typedef {import('./progress.mjs').Timing} Timing */
/** @typedef {import('./local-node.mjs').LocalNode} LocalNode */

const isJson = process.argv.includes('--json');
const isOnce = process.argv.includes('--once');
const isUpdate = process.argv.includes('--update');
const progress = createProgress({ json: isJson });
/** @type {Timing[]} */
const earlier = JSON.parse(process.env.KEEL_SETUP_TIMINGS ?? '[]');

/** @param {string} text a line for people; in JSON mode there are none, and the result has the same facts */
const print = (text) => void (isJson || process.stdout.write(`${text}\n`));

/**
 * Whether the operator's certificate has less than an hour left.
 * @param {LocalNode} node
 */
async function endsSoon(node) {
  const shown = await node.osctl(['config', 'show', CONTEXT, '-o', 'json']);
  const { certificateExpires } = JSON.parse(shown.stdout);
  return Date.parse(certificateExpires) - Date.now() < RENEW_BEFORE_MS;
}

/**
 * Makes the context valid: uses it when the node knows it, renews its certificate when that ends soon, enrols anew with
 * the console's token when not, and restarts the node for a new token when that one is used up.
 * @param {LocalNode} node
 * @returns {Promise<'known' | 'renewed' | 'enrolled'>}
 */
async function enrol(node) {
  if (await node.isOperator(CONTEXT)) {
    await node.osctl(['config', 'use', CONTEXT]);
    if (!(await endsSoon(node))) return 'known';
    const renewed = await node.osctl(['init', 'renew', '--context', CONTEXT]);
    if (renewed.exitCode === 0) return 'renewed';
    progress.note(`osctl init renew failed, enrolling anew: ${renewed.stderr.trimEnd()}`);
  }
  for (const attempt of ['present token', 'new token']) {
    if (attempt === 'new token') {
      progress.note(
        'the token on the console does not work any more: restarting the node for a new one',
      );
      await node.restart();
    }
    const announcement = await node.announcement(ANNOUNCE_TIMEOUT_MS);
    if (announcement.token === undefined) continue;
    const ended = await node.osctl([
      ...['init', 'bootstrap', '--endpoint', node.endpoint, '--context', CONTEXT, '--force'],
      ...['--fingerprint', announcement.fingerprint, '--token', announcement.token],
    ]);
    if (ended.exitCode === 0) return 'enrolled';
    if (attempt === 'new token') throw new Error(`osctl init bootstrap failed:\n${ended.stderr}`);
  }
  throw new Error('The node printed no enrolment token on its console');
}

/**
 * @param {string} command @param {LocalNode} node @param {readonly string[]} args
 * @param {{ timeoutMs?: number }} [options]
 */
async function show(command, node, args, options) {
  const ended = await node.osctl(args, options);
  print(`\n$ npx ${command}\n${(ended.stdout + ended.stderr).trimEnd()}`);
  return ended;
}

async function main() {
  const image = await buildNode(progress);
  const node = await progress.step('disk of the node', { estimateSeconds: 2 }, () =>
    createLocalNode({ image, say: progress.note }),
  );
  await progress.step('start the node', { estimateSeconds: 2 }, () => node.ensureRunning());
  const announcement = await progress.step(
    `wait for the node (console: ${node.consoleLog})`,
    { estimateSeconds: node.bootEstimateSeconds },
    () => node.announcement(ANNOUNCE_TIMEOUT_MS),
  );
  await progress.step('enrol the operator', { estimateSeconds: 3 }, async () => {
    const how = await enrol(node);
    const file = await node.contextsFile();
    const notes = {
      known: `context "${CONTEXT}" in ${file} is still valid; it is the current one`,
      renewed: `renewed the certificate of context "${CONTEXT}" in ${file}; it is the current one`,
      enrolled: `wrote context "${CONTEXT}" to ${file} and made it the current one`,
    };
    progress.note(notes[how]);
  });
  const health = await progress.step('node healthy', { estimateSeconds: 10 }, () =>
    node.osctl(['health', '--wait', '--timeout', HEALTH_TIMEOUT, '-o', 'json']),
  );
  const isHealthy = health.exitCode === 0;
  await show('osctl version', node, ['version']);
  await show('osctl health', node, ['health']);
  const version = await node.osctl(['version', '-o', 'json']);
  const update = isUpdate && isHealthy ? await showUpdate({ node, progress, show }) : null;
  if (isOnce) {
    await progress.step('power the node off', { estimateSeconds: 5 }, () => node.stop());
  } else {
    print('\nThe node keeps running. Next:');
    print('  npx osctl status            what the node is and has');
    print('  npx osctl dmesg -f          what its kernel says');
    print('  npm run vm -- stop          power it off; `npm run vm -- start` brings it back');
  }
  return {
    ok: isHealthy && (update?.ok ?? true),
    steps: steps(),
    endpoint: node.endpoint,
    fingerprint: announcement.fingerprint,
    context: CONTEXT,
    contexts: await node.contextsFile(),
    accelerator: node.accelerator,
    version: parse(version.stdout),
    health: parse(health.stdout),
    update,
    console: node.consoleLog,
    running: !isOnce,
  };
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // the command failed; its message is on stderr already
  }
}

function steps() {
  return [...earlier, ...progress.timings].map(({ title, seconds, ok }) => ({
    name: title.replace(/ \(console: .*\)$/, ''),
    seconds,
    ok,
  }));
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, async () => {
    process.stderr.write('\nInterrupted. Run it again: it goes on where it stopped.\n');
    await endCommands();
    process.exit(128 + constants.signals[signal]);
  });
}

try {
  const result = await main();
  if (isJson) process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = result.ok ? 0 : 1;
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const failed = progress.timings.at(-1)?.title ?? 'quickstart';
  process.stderr.write(`\nThe step "${failed}" failed: ${message}\n`);
  process.stderr.write('Mend that and run it again: it goes on where it stopped.\n');
  if (isJson) {
    process.stdout.write(
      `${JSON.stringify({ ok: false, steps: steps(), step: failed, error: message })}\n`,
    );
  }
  process.exitCode = 1;
}
