/**
 * A machine that has no hardware watchdog.
 */
import assert from 'node:assert/strict';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

/** Longer than the 60 s after which a watchdog that nobody feeds restarts the machine. */
const SURVIVED_SECONDS = 75;
const SURVIVE_TIMEOUT_MS = 180_000;

interface Status {
  readonly bootId: string;
  readonly uptimeSeconds: number;
}

describe('a node on a machine without a hardware watchdog', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('no-watchdog', { watchdog: false });
    const { exitCode, stderr } = await node.bootstrap();
    assert.equal(exitCode, 0, stderr);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('says in its health that only the software watchdog is fed, and what to do', async () => {
    const check = (await node.health()).checks.find(({ name }) => name === 'watchdog');
    assert.equal(check?.state, 'degraded', JSON.stringify(check));
    assert.match(check?.message ?? '', /hardware watchdog.*only the software watchdog is fed/);
    assert.match(check?.remedy ?? '', /watchdog/);
  });

  it('feeds it: the node is the same boot after longer than its time-out', async function () {
    this.timeout(SURVIVE_TIMEOUT_MS);
    const before = await node.osctlJson<Status>('status');
    const after = await node.until(SURVIVE_TIMEOUT_MS, async () => {
      const status = await node.osctlJson<Status>('status');
      return status.uptimeSeconds > SURVIVED_SECONDS ? status : undefined;
    });
    assert.equal(after.bootId, before.bootId);
  });
});
