/**
 * Machines whose real-time clock is wrong by decades.
 */
import assert from 'node:assert/strict';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

const DAY_MS = 86_400_000;

interface Status {
  readonly clock: { readonly now: string; readonly source: string; readonly trusted: boolean };
}
for (const { title, rtc } of [
  { title: 'in 1970 (flat battery)', rtc: '1970-01-01T00:01:00' },
  { title: 'in 2099', rtc: '2099-06-01T12:00:00' },
]) {
  describe(`a node whose clock starts ${title}`, () => {
    let node: TestNode;

    before(async function () {
      this.timeout(TestNode.bootTimeoutMs);
      node = await TestNode.boot(`clock-${rtc.slice(0, 4)}`, { rtc });
    });
    afterEach(async function () {
      await keepEvidence(node, this.currentTest);
    });
    after(() => node?.destroy());

    it('enrols an operator, follows the time of the certificate, and says that it did not believe its own clock', async function () {
      this.timeout(120_000);
      const { exitCode, stderr } = await node.bootstrap();
      assert.equal(exitCode, 0, stderr);
      const status = await node.osctlJson<Status>('status');
      const offMs = Math.abs(Date.parse(status.clock.now) - Date.now());
      assert.ok(offMs < 2 * DAY_MS, `the node believes that it is ${status.clock.now}`);
      assert.equal(status.clock.source, 'operator');
      assert.equal((await node.health()).healthy, true);
      // At its start it took the last known time, and said that it did.
      const text = await node.awaitConsole((seen) => seen.includes('keel-init: up: '));
      assert.match(text, /keel-init: up: .*clock floor/);
    });
  });
}
