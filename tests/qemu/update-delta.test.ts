/**
 * A node that is updated by deltas: to the same root as by the full bundle, and by that where the delta cannot be used.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExitCode } from '@keelos/proto/error-codes.ts';
import { UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { makeDelta } from '@keelos/tests/bundle-factory.ts';
import { keepEvidence } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { slotsOf } from '@keelos/tests/update-view.ts';

describe('a node that is updated by deltas', function () {
  this.timeout(2 * UPDATE_TIMEOUT_MS);
  let lab: UpdateLab;
  /** Release that runs at first. */
  let first: string;
  let delta = '';

  before(async () => {
    lab = await UpdateLab.open('update-delta');
    first = lab.node.image.rootHash;
    delta = join(lab.factory.dir, 'beginning-good.kdelta');
    await makeDelta([await lab.factory.beginning(), await lab.factory.bundle('good')], delta);
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(() => lab?.close());

  const update = async (path: string, ...more: readonly string[]) =>
    lab.node.osctlWithin(
      UPDATE_TIMEOUT_MS,
      ...['update', '--source', lab.server.add(path), '--delta', '--enable-auto-rollback'],
      ...['--health-check-timeout', '120', '--min-healthy', '5', '--timeout', '9m', ...more],
    );
  const damaged = async (file = delta) => {
    const bytes = await readFile(file);
    // In plan or patch, which lie in front.
    const at = bytes.length >> 3;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const path = join(lab.factory.dir, 'damaged.kdelta');
    await writeFile(path, bytes);
    return path;
  };

  it('stops at a damaged one with nothing changed', async () => {
    const before = await slotsOf(lab.node);
    const { exitCode, stderr } = await update(await damaged(), '--wait');
    assert.equal(exitCode, ExitCode.bundleDamaged, stderr);
    assert.deepEqual(await slotsOf(lab.node), before);
    await lab.assertWell('after a damaged delta');
  });

  it('installs, proves and commits the release that it makes: the root of the full bundle', async () => {
    const bundle = await lab.factory.bundle('good');
    lab.server.sentBytes = 0;
    const { ended, after, boots, entry, seconds } = await lab.watch(() =>
      update(delta, '--sha256', bundle.sha256, '--wait'),
    );
    assert.equal(ended.exitCode, 0, ended.stderr + ended.stdout);
    assert.deepEqual(after, { version: bundle.version, rootHash: bundle.rootHash });
    assert.equal(boots, 1);
    assert.equal(entry?.outcome, UpdateOutcome.COMMITTED);
    assert.match(ended.stderr, /Made of a delta: .* fetched instead of .* \(99\.\d % less\)/);
    const { length } = await readFile(delta);
    assert.ok(lab.server.sentBytes < length + 1024, `${lab.server.sentBytes} of ${length} bytes`);
    process.stdout.write(
      `    ${length} bytes of delta for ${bundle.sizeBytes} of bundle, committed in ${seconds.toFixed(1)} s\n`,
    );
  });

  it('refuses the delta from a release that does not run any more', async () => {
    const { exitCode, stderr } = await update(delta, '--dry-run');
    assert.equal(exitCode, ExitCode.deltaUnfit, stderr);
    assert.match(stderr, new RegExp(`it is for root hash ${first}`));
  });

  it('falls back to the full bundle where the delta is damaged, and says why', async () => {
    const full = await lab.urlOf('good-again');
    // It fits what runs, so that nothing but the damage speaks against it.
    const fitting = join(lab.factory.dir, 'good-good-again.kdelta');
    const pair = [
      await lab.factory.bundle('good'),
      await lab.factory.bundle('good-again'),
    ] as const;
    await makeDelta(pair, fitting);
    const { ended, after, entry } = await lab.watch(async () =>
      update(await damaged(fitting), '--fallback', '--full-image-url', full, '--wait'),
    );
    assert.equal(ended.exitCode, 0, ended.stderr + ended.stdout);
    assert.equal(after.rootHash, (await lab.factory.bundle('good-again')).rootHash);
    assert.equal(entry?.outcome, UpdateOutcome.COMMITTED);
    assert.match(ended.stderr, /The full bundle is fetched instead of the delta: Cannot .*SHA-256/);
  });
});
