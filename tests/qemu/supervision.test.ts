/**
 * Services that die: PID 1 brings them back, waits longer each time, and health says so.
 */
import assert from 'node:assert/strict';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

const BACK_TIMEOUT_MS = 90_000;
const CRASHES = 3;

interface ServiceRow {
  readonly name: string;
  readonly state: string;
  readonly pid: number;
  readonly restarts: number;
  readonly lastExit: string;
}

describe('a node whose agent dies', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('supervision');
    assert.equal((await node.bootstrap()).exitCode, 0);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  const agent = async () => {
    const { services } = await node.osctlJson<{ services: ServiceRow[] }>('services');
    const row = services.find((each) => each.name === 'agent');
    assert.ok(row !== undefined);
    return row;
  };

  const killAgent = async () => {
    const { pid } = await agent();
    const { exitCode, stderr } = await node.osctl('restart-service', 'agent', '--kill');
    assert.equal(exitCode, 0, stderr);
    return node.until(BACK_TIMEOUT_MS, async () => {
      const row = await agent().catch(() => undefined); // not back yet
      return row !== undefined && row.pid !== pid ? row : undefined;
    });
  };

  it('is up again with a new agent, the same operators and the same boot', async function () {
    this.timeout(2 * BACK_TIMEOUT_MS);
    const before = await node.osctlJson<{ machineId: string }>('status');
    const mark = await node.consoleSize();
    const row = await killAgent();
    assert.equal(row.state, 'running');
    assert.equal(row.restarts, 1);
    assert.equal(row.lastExit, 'signal SIGKILL');
    const after = await node.osctlJson<{ machineId: string }>('status');
    assert.equal(after.machineId, before.machineId);
    assert.doesNotMatch(await node.consoleText(mark), /Linux version/);
  });

  it('says that the service crashes again and again, and waits longer each time', async function () {
    this.timeout((CRASHES + 1) * BACK_TIMEOUT_MS);
    for (let crash = 1; crash < CRASHES; crash++) await killAgent();
    const health = await node.health();
    assert.equal(health.healthy, false);
    assert.match(JSON.stringify(health.checks), /agent \(3 restarts, last: signal SIGKILL\)/);
    const { stdout } = await node.osctl('dmesg');
    const waits = [...stdout.matchAll(/agent.*?again in (\d+) ms/g)].map((match) =>
      Number(match[1]),
    );
    assert.ok(waits.length >= CRASHES, `the kernel log shows ${waits.length} restarts`);
    assert.deepEqual(
      waits,
      waits.toSorted((a, b) => a - b),
    );
    assert.ok((waits.at(-1) ?? 0) > (waits[0] ?? 0), waits.join(', '));
  });
});
