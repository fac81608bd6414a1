import assert from 'node:assert/strict';
import { TRUST_FILE } from '@keelos/proto/bundle.ts';
import { EMPTY_TRUST, encodeTrust } from '@keelos/proto/bundle-writer.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
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

  it('a rollback below the epoch of the running release is refused, unless that is not known any more', async () => {
    const options = { policy: POLICY, retryFailed: true, isRebootLeft: true, reason: 'x' };
    const { node } = await inTrial();
    const { files } = node.world.files;
    files.set(TRUST_FILE, encodeTrust({ ...EMPTY_TRUST, epoch: 3 }));
    assert.equal(await node.committer.run(), 'committed');
    const before = await node.entries();
    const told = { message: /epoch of 0\.1\.0 is 2, at least 3 is wanted/ };
    await assert.rejects(node.engine.rollback(options, WHO), told);
    await assert.rejects(node.engine.rollback(options, WHO), fails('E_EPOCH_TOO_LOW'));
    assert.deepEqual(await node.entries(), before);
    // The floor outlives a trust file that asks for less.
    files.set(TRUST_FILE, encodeTrust({ ...EMPTY_TRUST, epoch: 2 }));
    await assert.rejects(node.engine.rollback(options, WHO), fails('E_EPOCH_TOO_LOW'));
    node.world.state.remove(UPDATE_PATHS.epoch);
    assert.equal((await node.engine.rollback(options, WHO)).phase, 'armed');
  });
});
