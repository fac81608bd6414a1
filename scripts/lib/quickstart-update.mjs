// What `npm run quickstart -- --update` shows: an update that proves itself, and a way back with a reason.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeBundle } from '../../image/src/shell/make-bundle.ts';
import { buildNode, nextVersion } from './node-image.mjs';
import { testKeys } from './test-keys.mjs';

/** Download, write, boot and trial of an emulated machine. */
const UPDATE_TIMEOUT_MS = 15 * 60_000;
const UPDATE_SECONDS = 150;
const ROLLBACK_SECONDS = 60;
const REASON = 'only to show the way back';
const TRIAL = ['--enable-auto-rollback', '--health-check-timeout', '180', '--min-healthy', '10'];

/** @typedef {import('./exec.mjs').Ended} Ended */

/**
 * Builds the next version, updates the node to it, and goes back.
 *
 * @param {{
 *   node: import('./local-node.mjs').LocalNode,
 *   progress: import('./progress.mjs').Progress,
 *   show: (command: string, node: import('./local-node.mjs').LocalNode, args: readonly string[],
 *          options?: { timeoutMs?: number }) => Promise<Ended>,
 * }} with
 * @returns {Promise<{ ok: boolean, from: unknown, to: string, history: unknown }>}
 */
export async function showUpdate({ node, progress, show }) {
  const version = await nextVersion();
  const image = await buildNode(progress, { version });
  const folder = await mkdtemp(join(tmpdir(), 'keel-quickstart-bundle-'));
  const wait = { timeoutMs: UPDATE_TIMEOUT_MS };
  try {
    const { path } = await progress.step(
      'make and sign the bundle',
      { estimateSeconds: 3 },
      async () =>
        makeBundle({ imageDir: image.dir, keys: [(await testKeys()).keyFile], out: folder }),
    );
    const before = await runs(node);
    const name = path.slice(folder.length + 1);
    await progress.step(`update to ${version}`, { estimateSeconds: UPDATE_SECONDS }, async () => {
      const args = ['update', '--source', path, ...TRIAL, '--wait'];
      const shown = `osctl update --source ${name} ${TRIAL.join(' ')} --wait`;
      mustSucceed(await show(shown, node, args, wait), shown);
    });
    await show('osctl version', node, ['version']);
    await show('osctl slots', node, ['slots']);
    await progress.step('go back', { estimateSeconds: ROLLBACK_SECONDS }, async () => {
      const args = ['rollback', 'trigger', '--reason', REASON, '--wait'];
      const shown = `osctl rollback trigger --reason "${REASON}" --wait`;
      mustSucceed(await show(shown, node, args, wait), shown);
    });
    await show('osctl rollback history', node, ['rollback', 'history']);
    const history = await node.osctl(['rollback', 'history', '-o', 'json']);
    const ok = (await runs(node)) === before && history.exitCode === 0;
    return { ok, from: before, to: version, history: JSON.parse(history.stdout) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Release that runs.
 * @param {import('./local-node.mjs').LocalNode} node
 */
async function runs(node) {
  const { stdout } = await node.osctl(['version', '-o', 'json']);
  return JSON.parse(stdout).server?.version;
}

/** @param {Ended} ended @param {string} command */
function mustSucceed(ended, command) {
  if (ended.exitCode === 0) return;
  throw new Error(`${command} ended with ${ended.exitCode}:\n${ended.stderr}`);
}
