import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeBackupGpt,
  decodeGpt,
  encodeGpt,
  GPT_BACKUP_SECTORS,
  GPT_PRIMARY_SECTORS,
  type Gpt,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import { PARTITION_NAMES, STATE_PARTITION_TYPE } from '@keelos/proto/node-paths.ts';
import {
  BACKUP_OFFSETS_BYTES,
  blocksToGrowTo,
  isSuperblockDamaged,
  parseExt4Size,
  restoreSuperblock,
} from '../src/core/ext4-superblock.ts';
import { type DiskWrite, planGrow } from '../src/core/gpt-grow.ts';

const OLD_SECTORS = 4096;
const NEW_SECTORS = 8192 + 5;
const LINUX_DATA = '0fc63daf-8483-4772-8e79-3d69d8477de4';

function guid(digit: number): string {
  return `00000000-0000-4000-8000-00000000000${digit}`;
}

const TABLE: Gpt = {
  diskGuid: guid(9),
  diskSectors: OLD_SECTORS,
  partitions: [1, 2, 3, 4].map((number) => ({
    number,
    typeGuid: number === 4 ? STATE_PARTITION_TYPE : LINUX_DATA,
    guid: guid(number),
    firstLba: 40 + (number - 1) * 800,
    lastLba: 40 + number * 800 - 1,
    attributes: 0n,
    name: number === 4 ? PARTITION_NAMES.state : `part-${number}`,
  })),
};

/** The old disk, copied onto a larger one. */
function grownDisk(table: Gpt = TABLE): Buffer {
  const disk = Buffer.alloc(NEW_SECTORS * SECTOR_BYTES);
  const encoded = encodeGpt(table);
  encoded.primary.copy(disk, 0);
  encoded.backup.copy(disk, encoded.backupLba * SECTOR_BYTES);
  return disk;
}

function tableBytes(disk: Buffer) {
  return {
    diskSectors: disk.length / SECTOR_BYTES,
    primary: disk.subarray(0, GPT_PRIMARY_SECTORS * SECTOR_BYTES),
    backup: disk.subarray(disk.length - GPT_BACKUP_SECTORS * SECTOR_BYTES),
  };
}

function apply(disk: Buffer, write: DiskWrite, sectorsWritten = Number.POSITIVE_INFINITY): void {
  const bytes = write.bytes.subarray(
    0,
    Math.min(write.bytes.length, sectorsWritten * SECTOR_BYTES),
  );
  bytes.copy(disk, write.offsetBytes);
}

/** What firmware does: the primary table, else the copy in the last sectors. */
function firmwareReads(disk: Buffer): Gpt {
  try {
    return decodeGpt(tableBytes(disk).primary);
  } catch {
    return decodeBackupGpt(tableBytes(disk).backup);
  }
}

function withoutState(gpt: Gpt) {
  return gpt.partitions.slice(0, 3);
}

describe('growing the partition table', () => {
  it('writes the backup first, then one page', () => {
    const plan = planGrow(tableBytes(grownDisk()));
    assert.deepEqual(
      plan.writes.map((write) => [write.offsetBytes, write.bytes.length]),
      [
        [(NEW_SECTORS - GPT_BACKUP_SECTORS) * SECTOR_BYTES, GPT_BACKUP_SECTORS * SECTOR_BYTES],
        [0, 4096],
      ],
    );
    assert.equal(plan.partitionNumber, 4);
    assert.equal(plan.lengthBytes % 4096, 0);
    assert.equal(plan.startBytes, 2440 * SECTOR_BYTES);
  });

  it('writes nothing the second time', () => {
    const disk = grownDisk();
    for (const write of planGrow(tableBytes(disk)).writes) apply(disk, write);
    assert.deepEqual(planGrow(tableBytes(disk)).writes, []);
    assert.deepEqual(decodeGpt(tableBytes(disk).primary), decodeBackupGpt(tableBytes(disk).backup));
  });

  it('power cut at every sector of every write: all partitions are found, the next boot finishes', () => {
    const { writes } = planGrow(tableBytes(grownDisk()));
    let states = 0;
    for (const [position, torn] of writes.entries()) {
      for (let sectors = 0; sectors <= torn.bytes.length / SECTOR_BYTES; sectors += 1) {
        const disk = grownDisk();
        for (const write of writes.slice(0, position)) apply(disk, write);
        apply(disk, torn, sectors);
        assert.deepEqual(withoutState(firmwareReads(disk)), withoutState(TABLE));
        for (const write of planGrow(tableBytes(disk)).writes) apply(disk, write);
        const after = decodeGpt(tableBytes(disk).primary);
        assert.equal(after.diskSectors, NEW_SECTORS);
        assert.deepEqual(after, decodeBackupGpt(tableBytes(disk).backup));
        states += 1;
      }
    }
    assert.equal(states, GPT_BACKUP_SECTORS + 1 + 9);
  });

  it('makes a table that sgdisk finds nothing wrong with, in every state between writes', function () {
    this.timeout(20_000);
    const folder = mkdtempSync(join(tmpdir(), 'keel-gpt-'));
    try {
      const disk = grownDisk();
      for (const write of planGrow(tableBytes(disk)).writes) apply(disk, write);
      const path = join(folder, 'disk');
      writeFileSync(path, disk);
      const text = execFileSync('sgdisk', ['--verify', path], { encoding: 'utf8' });
      assert.match(text, /No problems found/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('leaves a disk alone whose last partition is not the state partition', () => {
    const [one, two, three, four] = TABLE.partitions;
    assert.ok(one && two && three && four);
    for (const last of [
      { ...four, name: 'other' },
      { ...four, typeGuid: LINUX_DATA },
    ]) {
      const table = { ...TABLE, partitions: [one, two, three, last] };
      assert.throws(() => planGrow(tableBytes(grownDisk(table))), RangeError);
    }
    assert.throws(() => planGrow(tableBytes(Buffer.alloc(NEW_SECTORS * SECTOR_BYTES))), {
      code: 'E_DISK_LAYOUT',
    });
  });
});

describe('ext4 superblock', () => {
  let superblock: Buffer;
  before(() => {
    const folder = mkdtempSync(join(tmpdir(), 'keel-ext4-'));
    const path = join(folder, 'image');
    writeFileSync(path, Buffer.alloc(64 * 2 ** 20));
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-F', path]);
    superblock = readFileSync(path).subarray(1024, 2048);
    rmSync(folder, { recursive: true });
  });

  it('reads the size that mke2fs wrote', () => {
    assert.deepEqual(parseExt4Size(superblock), { blockBytes: 4096, blocks: 16_384 });
    assert.equal(isSuperblockDamaged(superblock), false);
  });

  it('notices every flipped bit', () => {
    for (let bit = 0; bit < 8192; bit += 1) {
      const copy = Buffer.from(superblock);
      copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      // Without the feature bit there is no checksum to be wrong.
      if (bit === 0x65 * 8 + 2) continue;
      assert.ok(isSuperblockDamaged(copy), `bit ${bit}`);
    }
  });

  it('takes nothing from too few bytes or zeros', () => {
    assert.equal(parseExt4Size(superblock.subarray(0, 1023)), undefined);
    assert.ok(isSuperblockDamaged(Buffer.alloc(1024)));
  });

  it('is restored from a copy so that e2fsck finds nothing to mend but the counters', function () {
    this.timeout(20_000);
    const folder = mkdtempSync(join(tmpdir(), 'keel-ext4-'));
    const path = join(folder, 'image');
    try {
      writeFileSync(path, '');
      truncateSync(path, 512 * 2 ** 20);
      execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-F', path]);
      const image = readFileSync(path);
      const offset = BACKUP_OFFSETS_BYTES[0] ?? 0;
      const restored = restoreSuperblock(image.subarray(offset, offset + 1024));
      assert.ok(restored);
      assert.equal(isSuperblockDamaged(restored), false);
      assert.deepEqual(parseExt4Size(restored), parseExt4Size(image.subarray(1024, 2048)));
      image.fill(0, 1024, 2048);
      restored.copy(image, 1024);
      writeFileSync(path, image);
      // -p mends what is safe: the journal flag. Exit code 1: mended.
      const first = spawnSync('e2fsck', ['-p', path], { encoding: 'utf8' });
      assert.ok((first.status ?? 9) <= 1, first.stdout + first.stderr);
      execFileSync('e2fsck', ['-fn', path]);
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.equal(restoreSuperblock(Buffer.alloc(1024)), undefined);
  });

  it('is restored without the list of deleted files of the day when its copy was made', () => {
    const folder = mkdtempSync(join(tmpdir(), 'keel-ext4-'));
    const path = join(folder, 'image');
    try {
      writeFileSync(path, Buffer.alloc(64 * 2 ** 20));
      execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-F', path]);
      execFileSync('debugfs', ['-w', '-R', 'set_super_value last_orphan 12', path], {
        stdio: 'ignore',
      });
      const copy = readFileSync(path).subarray(1024, 2048);
      assert.equal(copy.readUInt32LE(0xe8), 12);
      const restored = restoreSuperblock(copy);
      assert.ok(restored);
      assert.equal(restored.readUInt32LE(0xe8), 0);
      assert.equal(isSuperblockDamaged(restored), false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('grows only upwards, by whole blocks', () => {
    const size = { blockBytes: 4096, blocks: 10 };
    assert.equal(blocksToGrowTo(size, 40_960), undefined);
    assert.equal(blocksToGrowTo(size, 45_055), undefined);
    assert.equal(blocksToGrowTo(size, 45_056), 11);
    assert.equal(blocksToGrowTo(size, 4096), undefined);
  });
});
