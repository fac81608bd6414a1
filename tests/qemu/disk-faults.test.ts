/**
 * Damage outside the state partition: the table, the EFI system partition, the verified root at its mount and later.
 */
import assert from 'node:assert/strict';
import { PARTITION, partition, readBytes, tool, writeBytes } from '@keelos/tests/disk.ts';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

const CORRUPTION = /device-mapper: verity: .*block \d+ is corrupted/;
const KERNEL_START = /\] Linux version 6\.12\./g;
const VERITY_BLOCK_BYTES = 4096;
/** Questions that lead a node into code and files that it has not needed before. */
const QUESTIONS: readonly (readonly string[])[] = [
  // Needs modules that lie in the executable and that nothing has read before.
  ['verify'],
  ...[['health'], ['status'], ['get', 'security'], ['get', 'image-files'], ['get', 'processes']],
  ...[['get', 'mounts'], ['get', 'boot'], ['dmesg'], ['logs', 'agent'], ['services']],
  ...[
    ['get', 'config', '--history'],
    ['init', 'renew'],
    ['restart-service', 'agent', '--kill'],
  ],
];

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
    const after = (await node.health()).checks.find((each) => each.name === 'esp');
    assert.equal(after?.state, 'failing', after?.message);
    assert.notEqual(after?.remedy, '');
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

describe('a node whose root changes on the disk while it runs, one bit in each block', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('later-flip');
    const { exitCode, stderr } = await node.bootstrap();
    assert.equal(exitCode, 0, stderr);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('restarts at the first block that it reads, shows the cause, and is well again on a good disk', async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    const { offsetBytes } = await partition(node.disk, PARTITION.slotA);
    const { dataBytes } = node.image.manifest.parts.root;
    const good = await readBytes(node.disk, offsetBytes, dataBytes);
    const bad = Buffer.from(good);
    for (let at = 0; at < dataBytes; at += VERITY_BLOCK_BYTES) bad[at] = (bad[at] ?? 0) ^ 0x01;
    const mark = await node.consoleSize();
    await writeBytes(node.disk, offsetBytes, bad);
    // What is in memory is not read again: ask until something is needed that is not.
    for (const question of QUESTIONS) {
      if (CORRUPTION.test(await node.consoleText(mark))) break;
      await node.osctl(...question, '--timeout', '10s');
    }
    const seen = await node.awaitConsole((text) => CORRUPTION.test(text), mark);
    assert.doesNotMatch(seen.slice(0, seen.search(CORRUPTION)), KERNEL_START);
    await writeBytes(node.disk, offsetBytes, good);
    await node.awaitAnnouncement(mark);
    assert.match(await node.consoleText(mark), KERNEL_START);
    assert.equal((await node.health()).healthy, true);
  });
});
