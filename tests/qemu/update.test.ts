/**
 * A node that is updated: by URL and by push, gated by its health, back on request, and the same after the power was off.
 */
import assert from 'node:assert/strict';
import { ExitCode } from '@keelos/proto/error-codes.ts';
import { SlotState, UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { areInOrder, historyOf, slotsOf } from '@keelos/tests/update-view.ts';

const REASON = 'the new shop is too slow';

describe('a node that is updated', function () {
  this.timeout(2 * UPDATE_TIMEOUT_MS);
  let lab: UpdateLab;
  let first: string;

  before(async () => {
    lab = await UpdateLab.open('update');
    first = lab.node.image.rootHash;
  });
  afterEach(async function () {
    await keepEvidence(lab?.node, this.currentTest);
  });
  after(() => lab?.close());

  it('counts its boots and has its firmware boot options in order from the first boot on', async () => {
    const slots = await lab.node.until(TestNode.bootTimeoutMs, async () => {
      const seen = await slotsOf(lab.node);
      const { triesLeft } = seen.slots.find(({ running }) => running) ?? {};
      return triesLeft === 9 && areInOrder(seen) ? seen : undefined;
    });
    assert.equal(slots.bootCounting, true);
    const [running] = slots.slots.filter((slot) => slot.running);
    assert.deepEqual([running?.state, running?.rootHash], [SlotState.COMMITTED, first]);
  });

  it('checks a bundle without writing', async () => {
    const { exitCode, stderr } = await lab.update('good', '--dry-run');
    assert.equal(exitCode, 0, stderr);
    const [other] = (await slotsOf(lab.node)).slots.filter((slot) => !slot.running);
    assert.equal(other?.state, SlotState.EMPTY);
  });

  it('refuses what has another hash than the operator said, and stays as it is', async () => {
    const { exitCode, stderr } = await lab.update('good', '--sha256', 'ab'.repeat(32), '--wait');
    assert.equal(exitCode, ExitCode.bundleDamaged, stderr);
    assert.equal((await lab.running()).rootHash, first);
    await lab.assertWell('after a refusal');
  });

  it('installs, proves and commits a release from a URL', async () => {
    const bundle = await lab.factory.bundle('good');
    const { ended, after, boots, entry, seconds } = await lab.watch(() =>
      lab.update('good', '--sha256', bundle.sha256, '--wait', '--timeout', '9m'),
    );
    assert.equal(ended.exitCode, 0, ended.stderr + ended.stdout);
    assert.deepEqual(after, { version: bundle.version, rootHash: bundle.rootHash });
    assert.equal(boots, 1);
    assert.equal(entry?.outcome, UpdateOutcome.COMMITTED);
    assert.deepEqual([entry?.kind, entry?.automatic], ['update', false]);
    assert.notEqual(entry?.who, '');
    process.stdout.write(`    from osctl update to committed in ${seconds.toFixed(1)} s\n`);
  });

  it('runs it again after a cold start', async () => {
    const off = await lab.node.osctl('shutdown');
    assert.equal(off.exitCode, 0, off.stderr);
    await lab.node.awaitPowerOff();
    await lab.node.start();
    const { rootHash } = await lab.factory.bundle('good');
    assert.equal((await lab.running()).rootHash, rootHash);
    await lab.assertWell('after a cold start');
  });

  it('keeps it through three power cuts in a row', async () => {
    // Each costs a try, which only a boot that gets as far as being healthy puts back.
    for (let cut = 0; cut < 3; cut++) {
      await lab.node.cutPower();
      await lab.node.startUntil((text) => text.includes('Linux version'));
    }
    await lab.node.cutPower();
    await lab.node.start();
    const { rootHash } = await lab.factory.bundle('good');
    assert.equal((await lab.running()).rootHash, rootHash);
    const tries = await lab.node.until(60_000, async () => {
      const slot = (await slotsOf(lab.node)).slots.find((each) => each.running);
      return slot?.triesLeft === 9 ? slot.triesLeft : undefined;
    });
    assert.equal(tries, 9);
  });

  it('goes back when it is told to, and writes down why', async () => {
    const { ended, after, entry } = await lab.watch(() =>
      lab.node.osctlWithin(
        UPDATE_TIMEOUT_MS,
        ...['rollback', 'trigger', '--reason', REASON, '--wait', '--timeout', '9m'],
      ),
    );
    assert.equal(ended.exitCode, 0, ended.stderr);
    assert.equal(after.rootHash, first);
    assert.deepEqual(
      [entry?.kind, entry?.automatic, entry?.reason, entry?.outcome],
      ['rollback', false, REASON, UpdateOutcome.COMMITTED],
    );
  });

  it('installs a file that the operator pushes', async () => {
    const bundle = await lab.factory.bundle('good-again');
    const { ended, after } = await lab.watch(() =>
      lab.node.osctlWithin(
        UPDATE_TIMEOUT_MS,
        ...['update', '--source', bundle.path, '--enable-auto-rollback', '--min-healthy', '5'],
        ...['--wait', '--timeout', '9m'],
      ),
    );
    assert.equal(ended.exitCode, 0, ended.stderr + ended.stdout);
    assert.equal(after.rootHash, bundle.rootHash);
    const kinds = (await historyOf(lab.node)).map(({ kind, outcome }) => [kind, outcome]);
    assert.deepEqual(kinds.slice(0, 3), [
      ['update', UpdateOutcome.COMMITTED],
      ['rollback', UpdateOutcome.COMMITTED],
      ['update', UpdateOutcome.COMMITTED],
    ]);
  });
});
