import assert from 'node:assert/strict';
import { fails, inTrial, POLICY, WHO } from './update-wishes.ts';
import { UpdateWorld } from './update-world.ts';

describe('rollbacks by hand', () => {
  it('a rollback verifies the other slot, arms it, and is committed like an update', async () => {
    const { node } = await inTrial();
    assert.equal(await node.committer.run(), 'committed');
    const options = { policy: POLICY, retryFailed: false, isRebootLeft: false, reason: 'slow' };
    const status = await node.engine.rollback(options, WHO);
    assert.deepEqual([status.phase, status.version, status.slot], ['armed', '0.1.0', 'a']);
    assert.equal(await node.boot(), '0.1.0');
    assert.equal(await node.committer.run(), 'committed');
    const [entry] = node.engine.history.entries();
    assert.deepEqual(
      [entry?.kind, entry?.reason, entry?.outcome, entry?.from.version, entry?.to.version],
      ['rollback', 'slow', 'committed', '0.2.0', '0.1.0'],
    );
    assert.deepEqual(await node.entries(), ['keel-3+9.conf', 'keel-2+9.conf']);
  });

  it('a rollback to an empty, damaged or failed slot is refused, and leaves all as it was', async () => {
    const options = { policy: POLICY, retryFailed: false, isRebootLeft: false, reason: 'x' };
    const empty = new UpdateWorld();
    await assert.rejects(empty.engine.rollback(options, WHO), fails('E_SLOT_EMPTY'));
    const { node } = await inTrial();
    await node.committer.run();
    const before = await node.entries();
    (node.world.files.files.get('/dev/vda2') as Buffer)[8_192] = 9;
    await assert.rejects(node.engine.rollback(options, WHO), fails('E_SLOT_DAMAGED'));
    assert.deepEqual(await node.entries(), before);
  });
});
