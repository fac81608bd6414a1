/**
 * What is wrong with the state partition is said, and never keeps a node from answering.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import {
  changePartition,
  inPlace,
  PARTITION,
  partition,
  readBytes,
  tool,
  writeBytes,
} from '@keelos/tests/disk.ts';
import { type HealthAnswer, keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

const FILL_BYTES = 64 * 1024 * 1024;
/** Large enough for the file system to get a second block group, and with it a copy of its superblock. */
const GROWN_DISK_GIB = 3;
/** The backup partition table, and what aligning costs. */
const DISK_END_BYTES_MAX = 2 * 1024 ** 2;
const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 1024;
/** A last block group that is too small for its own tables is not made. */
const UNUSED_BYTES_MAX = 128 * 1024 * 1024;

interface Case {
  readonly title: string;
  readonly name: string;
  readonly prepare: (disk: string) => Promise<void>;
  readonly state: string;
  readonly says: RegExp;
}

const CASES: readonly Case[] = [
  {
    title: 'is full',
    name: 'state-full',
    prepare: (disk) =>
      changePartition(disk, PARTITION.state, async (file) => {
        const filler = `${file}.filler`;
        await writeFile(filler, randomBytes(FILL_BYTES));
        // debugfs writes until there is no room left, and says so with exit status 0.
        await tool('debugfs', '-w', '-R', `write ${filler} filler`, file);
        await rm(filler);
      }),
    state: 'failing',
    says: /cannot take more data|no room|full/i,
  },
  {
    title: 'can only be read',
    name: 'state-read-only',
    prepare: (disk) =>
      changePartition(disk, PARTITION.state, async (file) => {
        // EXT4_FEATURE_RO_COMPAT_READONLY: the kernel refuses to mount it writable.
        await tool('debugfs', '-w', '-R', 'feature read-only', file);
      }),
    state: 'failing',
    says: /read-only/,
  },
  {
    title: 'has a damaged superblock and no copy of it',
    name: 'state-superblock',
    prepare: async (disk) => {
      const { offsetBytes } = await partition(disk, PARTITION.state);
      await writeBytes(disk, offsetBytes, Buffer.alloc(4096, 0xa5));
    },
    state: 'failing',
    says: /forgets everything/,
  },
];

const stateCheck = (health: HealthAnswer) => {
  const check = health.checks.find((each) => each.name === 'state-partition');
  assert.ok(check !== undefined, JSON.stringify(health));
  return check;
};

for (const each of CASES) {
  describe(`a node whose state partition ${each.title}`, () => {
    let node: TestNode;

    before(async function () {
      this.timeout(TestNode.bootTimeoutMs);
      node = await TestNode.boot(each.name, { prepareDisk: each.prepare });
    });
    afterEach(async function () {
      await keepEvidence(node, this.currentTest);
    });
    after(() => node?.destroy());

    it('answers, enrols, and says what is wrong and what to do', async function () {
      this.timeout(120_000);
      const { exitCode, stderr } = await node.bootstrap();
      assert.equal(exitCode, 0, stderr);
      const health = await node.health();
      const check = stateCheck(health);
      assert.equal(check.state, each.state, check.message);
      assert.match(check.message, each.says);
      assert.notEqual(check.remedy, '');
      assert.equal(health.healthy, false);
      assert.equal((await node.osctl('health')).exitCode, 7);
    });
  });
}

describe('a node whose state partition grew with its disk', () => {
  let node: TestNode;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('state-backup', { diskGiB: GROWN_DISK_GIB });
    const { exitCode, stderr } = await node.bootstrap();
    assert.equal(exitCode, 0, stderr);
    await node.osctl('shutdown');
    await node.awaitPowerOff();
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('has a file system on it that fills it and that e2fsck has nothing to say about', async () => {
    const { offsetBytes, sizeBytes } = await partition(node.disk, PARTITION.state);
    const superblock = await readBytes(
      node.disk,
      offsetBytes + SUPERBLOCK_OFFSET,
      SUPERBLOCK_BYTES,
    );
    // s_blocks_count_lo, s_log_block_size (ext4 documentation, "Super Block")
    const blockBytes = 1024 << superblock.readUInt32LE(0x18);
    const unused = sizeBytes - superblock.readUInt32LE(0x04) * blockBytes;
    const left = GROWN_DISK_GIB * 1024 ** 3 - offsetBytes - sizeBytes;
    assert.ok(left < DISK_END_BYTES_MAX, `${left} bytes of the disk are behind the partition`);
    assert.ok(unused >= 0 && unused < UNUSED_BYTES_MAX, `${unused} bytes are not used`);
    const said = await tool('e2fsck', '-f', '-n', await inPlace(node.disk, PARTITION.state));
    assert.doesNotMatch(said, /recover|warning/i);
  });

  it('uses the copy of its superblock when that is damaged, still knows its operator, and says so', async function () {
    this.timeout(TestNode.bootTimeoutMs);
    const { offsetBytes } = await partition(node.disk, PARTITION.state);
    const zeros = Buffer.alloc(SUPERBLOCK_BYTES);
    await writeBytes(node.disk, offsetBytes + SUPERBLOCK_OFFSET, zeros);
    await node.start();
    const check = stateCheck(await node.health());
    assert.equal(check.state, 'degraded', check.message);
    assert.match(check.message, /superblock/);
  });
});
