import assert from 'node:assert/strict';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import type { TrialPolicy } from '@keelos/proto/update-record.ts';
import { testRoot } from './slot-disk.ts';
import { MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const POLICY: TrialPolicy = { autoRollback: true, healthTimeoutSeconds: 60, minHealthySeconds: 10 };
const OPTIONS = {
  ...{ sha256: '', isDryRun: false, isRebootLeft: false, retryFailed: false, policy: POLICY },
};
const NEW = testRoot(2, 200);
const WHO = 'CN=alice';

const fails = (code: ErrorCode) => (error: unknown) =>
  error instanceof KeelError && (error.code === code || assert.equal(error.code, code) === null);

/** A node on which 0.2.0 is armed and the machine has been started again. */
async function inTrial() {
  const node = new UpdateWorld();
  const bundle = madeBundle(NEW);
  node.know(NEW, '0.2.0');
  await node.engine.install(new MemorySource(bundle.bytes), OPTIONS, WHO);
  assert.equal(await node.boot(), '0.2.0');
  return { node };
}

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
