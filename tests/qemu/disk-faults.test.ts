/**
 * Damage outside the state partition: the table, the EFI system partition, the verified root at its mount.
 */
import assert from 'node:assert/strict';
import { PARTITION, partition, readBytes, tool, writeBytes } from '@keelos/tests/disk.ts';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

const CORRUPTION = /device-mapper: verity: .*block \d+ is corrupted/;
/** From damage to a health that knows of it. */
const RESULT_TIMEOUT_MS = 20_000;
const KERNEL_START = /\] Linux version 6\.12\./g;

describe('a node on a disk with the wrong layout', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('wrong-layout', {
      prepareDisk: async (disk) => {
        await tool('sgdisk', '--delete', String(PARTITION.state), disk);
      },
    });
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('answers from memory and says that it found no state partition', async function () {
    this.timeout(120_000);
    assert.equal((await node.bootstrap()).exitCode, 0);
    const check = (await node.health()).checks.find((each) => each.name === 'state-partition');
    assert.equal(check?.state, 'failing');
    assert.match(check?.message ?? '', /state partition/i);
  });

  it('says so when its EFI system partition becomes unreadable, and goes on', async function () {
    this.timeout(120_000);
    const before = (await node.health()).checks.find((each) => each.name === 'esp');
    assert.equal(before?.state, 'healthy', before?.message);
    const { offsetBytes } = await partition(node.disk, PARTITION.esp);
    // Behind the back of the running node, as a failing disk does it.
    await writeBytes(node.disk, offsetBytes, Buffer.alloc(4096, 0xa5));
    // A result of before is told for up to a second.
    const after = await node.until(RESULT_TIMEOUT_MS, async () => {
      const { checks } = await node.health();
      return checks.find(({ name, state }) => name === 'esp' && state !== 'healthy');
    });
    assert.equal(after.state, 'failing', after.message);
    assert.notEqual(after.remedy, '');
    assert.equal((await node.osctl('version')).exitCode, 0);
  });
});

describe('a node with one flipped byte in its root partition', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('flipped-byte', {
      isBroken: true,
      prepareDisk: async (disk) => {
        const { offsetBytes } = await partition(disk, PARTITION.slotA);
        // SquashFS superblock, bytes used: the last tables before that point are read by every mount.
        const used = Number((await readBytes(disk, offsetBytes + 40, 8)).readBigUInt64LE());
        const at = offsetBytes + used - 1;
        const [byte = 0] = await readBytes(disk, at, 1);
        await writeBytes(disk, at, Uint8Array.of(byte ^ 0x01));
      },
    });
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('does not read it, restarts, and shows the cause on its console', async function () {
    this.timeout(TestNode.bootTimeoutMs);
    const starts = (text: string) => text.match(KERNEL_START)?.length ?? 0;
    const text = await node.awaitConsole((console) => starts(console) > 1);
    assert.match(text, CORRUPTION);
    assert.doesNotMatch(text, /KeelOS: api:/);
  });
});
