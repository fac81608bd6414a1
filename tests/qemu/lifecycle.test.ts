/**
 * One node over many boots: what it is told survives, and every way of ending it ends in order.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';

const CYCLES = wholeSetting('KEEL_CYCLES', 2);
const STATIC_ADDRESS = '10.0.2.77/24';
const STATIC_GATEWAY = '10.0.2.2';

interface StatusRow {
  readonly hostname: string;
  readonly machineId: string;
  readonly addresses: readonly { readonly address: string; readonly origin: string }[];
}

describe('a node over many boots', () => {
  let node: TestNode;
  let first: StatusRow;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('lifecycle');
    const { exitCode, stderr } = await node.bootstrap();
    assert.equal(exitCode, 0, stderr);
    first = await node.osctlJson<StatusRow>('status');
  });
  beforeEach(function () {
    this.timeout(3 * TestNode.bootTimeoutMs);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('takes a host name and a static address, and has both after reboot --wait', async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    const file = join(node.dir, 'node.yaml');
    await writeFile(
      file,
      [
        'apiVersion: keel/v1',
        'hostname: lighthouse',
        'network:',
        '  interfaces:',
        '    - name: eth0',
        `      addresses: [${STATIC_ADDRESS}]`,
        `      gateways: [${STATIC_GATEWAY}]`,
        '',
      ].join('\n'),
    );
    const applied = await node.osctl('apply', '-f', file);
    assert.equal(applied.exitCode, 0, applied.stderr);
    const config = await node.osctl('get', 'config', '-o', 'json');
    assert.match(config.stdout, /lighthouse/);
    const mark = await node.consoleSize();
    const waiting = node.osctl('reboot', '--wait', '--timeout', '180s');
    await node.awaitConsole((text) => text.includes('Linux version'), mark);
    // QEMU leads the API port to 10.0.2.15 unless told otherwise; the node now is at its new address.
    await node.forwardTo(STATIC_ADDRESS.split('/')[0] ?? '');
    const rebooted = await waiting;
    assert.equal(rebooted.exitCode, 0, rebooted.stderr + rebooted.stdout);
    await node.awaitAnnouncement(mark);
    const status = await node.osctlJson<StatusRow>('status');
    assert.equal(status.hostname, 'lighthouse');
    assert.equal(status.machineId, first.machineId);
    const own = status.addresses.find((each) => each.address === STATIC_ADDRESS);
    assert.equal(own?.origin, 'static', JSON.stringify(status.addresses));
  });

  it('keeps identity, configuration and enrolment when the power is cut', async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    await node.cutPower();
    await node.start();
    const status = await node.osctlJson<StatusRow>('status');
    assert.deepEqual([status.hostname, status.machineId], ['lighthouse', first.machineId]);
    assert.equal((await node.osctlJson<{ healthy: boolean }>('health')).healthy, true);
  });

  it('the power button ends it in order', async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    const mark = await node.consoleSize();
    await node.pressPowerButton();
    await node.awaitPowerOff();
    assert.doesNotMatch(await node.consoleText(mark), /panic/i);
    await node.start();
  });

  it('ctrl-alt-del starts it again in order', async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    const mark = await node.consoleSize();
    await node.pressCtrlAltDel();
    await node.awaitAnnouncement(mark);
    assert.equal((await node.osctlJson<{ healthy: boolean }>('health')).healthy, true);
  });

  it(`is healthy after each of ${CYCLES} ends, clean power-off and cut power in turn`, async function () {
    this.timeout(CYCLES * 2 * TestNode.bootTimeoutMs);
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      if (cycle % 2 === 0) {
        const off = await node.osctl('shutdown');
        assert.equal(off.exitCode, 0, off.stderr);
        await node.awaitPowerOff();
      } else {
        await node.cutPower();
      }
      await node.start();
      const health = await node.osctlJson<{ healthy: boolean }>('health');
      assert.equal(health.healthy, true, `cycle ${cycle + 1}: ${JSON.stringify(health, null, 2)}`);
    }
  });
});
