/** What a release on trial must not have made worse, and a loader that does not count. */
import assert from 'node:assert/strict';
import type { CheckResult } from '@keelos/ts-agent/core/health-history.ts';
import { armed, historyOf, NEW, REBOOT_LEFT } from './update-wishes.ts';
import { failingCheck, MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

describe('a trial', () => {
  it('a release that has made a check worse is given up, one that found it like that is not', async () => {
    const watchdog = (state: CheckResult['state']): CheckResult => ({
      ...failingCheck('watchdog'),
      state,
    });
    for (const [before, expected] of [
      ['healthy', 'given-up'],
      ['degraded', 'committed'],
    ] as const) {
      const node = new UpdateWorld();
      node.know(NEW, '0.2.0');
      node.health = [watchdog(before)];
      await node.engine.install(new MemorySource(madeBundle(NEW).bytes), REBOOT_LEFT, 'CN=a');
      assert.equal(await node.boot(), '0.2.0');
      node.health = [watchdog('degraded')];
      assert.equal(await node.committer.run(), expected);
    }
  });

  it('a trial that the loader has not counted is tried once all the same', async () => {
    const { node } = await armed();
    assert.equal(await node.boot({ isCounting: false }), '0.2.0');
    assert.equal(await node.bootState.counting(), false);
    // The check of the loader fails for as long as this system runs.
    node.health = [failingCheck('boot-counting')];
    assert.equal(await node.committer.run(), 'given-up');
    assert.deepEqual(await node.entries(), ['keel-1+9.conf', 'keel-2+0-1.conf']);
    assert.equal(await node.boot({ isCounting: false }), '0.1.0');
    node.health = [];
    assert.equal(await node.committer.run(), 'settled');
    assert.match(historyOf(node)[0] ?? '', /^rolled-back .*boot-counting/);
  });

  it('going back to a release that lacks something is no reason to stay', async () => {
    const { node } = await armed();
    assert.equal(await node.boot(), '0.2.0');
    assert.equal(await node.committer.run(), 'committed');
    const watchdog = failingCheck('watchdog');
    node.health = [{ ...watchdog, state: 'healthy' }];
    await node.engine.rollback({ ...REBOOT_LEFT, reason: 'slow disk' }, 'CN=a');
    assert.equal(await node.boot(), '0.1.0');
    node.health = [{ ...watchdog, state: 'degraded' }];
    assert.equal(await node.committer.run(), 'committed');
  });
});
